//! The private keys of a publisher: those a change needs are opened, those a new collection needs are found or made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use trustctl_core::public_key::KeyKind;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::signer::Signer as _;
use trustctl_dct::collection::Collection;
use trustctl_dct::edit::{Change, Initialise};
use trustctl_dct::key::{Key, KeyId};
use trustctl_dct::role::RoleName;
use trustctl_keys::certificate;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::NotaryLabels;
use trustctl_keys::passphrase::{KeyUse, Wanted};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::store::{StoredKey, TrustDirectory};
use trustctl_remote::notary::ServerRole;

use super::{Known, Publication, usable};
use crate::failure::Failure;

/// How long a root certificate is valid, in years: as Notary's.
const ROOT_YEARS: u16 = 10;

fn failed(error: KeyError) -> Failure {
    Failure::from(error)
}

impl Publication<'_> {
    /// The trust directories: the one named by a flag, else the usual ones.
    pub(super) fn trust_folders(&self) -> Vec<PathBuf> {
        match &self.args.trust_dir {
            Some(folder) => vec![folder.clone()],
            None => trustctl_remote::trust_dir::usual_places(|name: &str| std::env::var_os(name)),
        }
    }

    /// The private keys of `roles` that are here, opened.
    pub(super) fn held(&self, roles: &BTreeSet<RoleName>, collection: &Collection) -> Result<Vec<PrivateKey>, Failure> {
        let root = &collection.root.document;
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        for role in roles {
            match role.as_str() {
                "root" => wanted.extend(ids_of(collection, &root.root.key_ids)),
                "targets" => wanted.extend(ids_of(collection, &root.targets.key_ids)),
                _ => wanted.extend(
                    collection.role(role).into_iter().flat_map(|role| &role.canonical_ids).map(|id| id.as_str().to_owned()),
                ),
            }
        }
        // Whoever holds the snapshot key signs the snapshot; else the server does.
        wanted.extend(ids_of(collection, &root.snapshot.key_ids));
        // A signer whom the collection does not have yet is known by the name on the key.
        let new: BTreeSet<&str> =
            roles.iter().filter(|role| collection.role(role).is_none()).filter_map(RoleName::signer).collect();
        self.open_all(&|stored| {
            let named = stored.labels.role().is_some_and(|role| new.contains(role));
            named || stored.notary_id.as_ref().is_some_and(|id| wanted.contains(id))
        })
    }

    /// Whether the private half of one of the collection's root keys is here.
    pub(super) fn holds_root(&self, collection: &Collection) -> Result<bool, Failure> {
        self.holds_one_of(collection, &collection.root.document.root.key_ids)
    }

    fn holds_one_of(&self, collection: &Collection, ids: &[KeyId]) -> Result<bool, Failure> {
        let ids: BTreeSet<String> = ids_of(collection, ids).collect();
        let keyring = self.session.keyring();
        let listing = self.session.places(self.args.trust_dir.as_deref(), &keyring)?.list().map_err(failed)?;
        Ok(listing.keys.iter().any(|stored| stored.notary_id.as_ref().is_some_and(|id| ids.contains(id))))
    }

    /// Every key that `fits`, opened, each once.
    fn open_all(&self, fits: &dyn Fn(&StoredKey) -> bool) -> Result<Vec<PrivateKey>, Failure> {
        let keyring = self.session.keyring();
        let places = self.session.places(self.args.trust_dir.as_deref(), &keyring)?;
        let mut seen = BTreeSet::new();
        let mut opened = Vec::new();
        for stored in places.list().map_err(failed)?.keys {
            if !fits(&stored) || !seen.insert(stored.notary_id.clone()) {
                continue;
            }
            let key = self.session.with_passphrases(None, &keyring, |sources| places.open(&stored, sources)).map_err(failed)?;
            self.session.refuse_example(&key.public_key().fingerprint())?;
            opened.push(key);
        }
        Ok(opened)
    }

    /// The first files of a repository: the root key that is here or a new one, a new targets key, the server's other keys.
    pub(super) async fn initialise(&self, keys: &mut Vec<PrivateKey>) -> Result<Initialise, Failure> {
        let gun = self.gun.to_string();
        let is_root = |stored: &StoredKey| stored.labels.role() == Some("root");
        let root = match self.open_all(&is_root)?.into_iter().next() {
            Some(root) => root,
            None => self.make("root", None)?,
        };
        let certificate = certificate::self_signed(&root, &gun, self.now, ROOT_YEARS).map_err(failed)?;
        let root_key = usable(Key::from_certificates(certificate::to_pem(&certificate).as_bytes()))?;
        let is_targets = |stored: &StoredKey| stored.labels.role() == Some("targets") && stored.labels.gun() == Some(&gun);
        let targets = match self.open_all(&is_targets)?.into_iter().next() {
            Some(targets) => targets,
            None => self.make("targets", Some(&gun))?,
        };
        let targets_key = Key::from_public_key(targets.public_key());
        let snapshot = self.server_key(ServerRole::Snapshot).await?;
        let timestamp = self.server_key(ServerRole::Timestamp).await?;
        keys.extend([root, targets]);
        Ok(Initialise::new(root_key, targets_key, snapshot, timestamp))
    }

    async fn server_key(&self, role: ServerRole) -> Result<Key, Failure> {
        let bytes = self.world.notary.server_key(&self.gun, role, self.session.deadline()?).await;
        usable(
            Key::from_json(&bytes.map_err(|error| Failure::new(error.reason()))?)
                .map_err(|error| error.reason("the server's key").message),
        )
    }

    /// The delegation of the signer that was named, with the key of that name that is here or a new one.
    pub(super) fn signer_of_new(&self, keys: &mut Vec<PrivateKey>) -> Result<Option<Change>, Failure> {
        let Some(name) = &self.args.signer else { return Ok(None) };
        let key = match self.open_all(&|stored| stored.labels.role() == Some(name.as_str()))?.into_iter().next() {
            Some(key) => key,
            None => self.make(name, None)?,
        };
        let public = Key::from_public_key(key.public_key());
        keys.push(key);
        Ok(Some(Change::AddSigner { name: name.clone(), keys: vec![public] }))
    }

    /// The public keys of a signer of this name that are here; a new one for a signer whom the collection does not have yet, when the
    /// targets key, which adds signers, is here.
    pub(in crate::run) async fn signer_keys(&self, name: &str, role: &RoleName) -> Result<Vec<Key>, Failure> {
        let mut opened = self.open_all(&|stored| stored.labels.role() == Some(name))?;
        if let Known::Collection(collection) = self.read(self.world).await?
            && collection.role(role).is_none()
        {
            self.may_be_added(name, &collection)?;
            if opened.is_empty() && self.holds_one_of(&collection, &collection.root.document.targets.key_ids)? {
                opened.push(self.make(name, None)?);
            }
        }
        Ok(opened.iter().map(|key| Key::from_public_key(key.public_key())).collect())
    }

    /// A name that is not a signer's yet may be a slip of the pen, and whoever is added may sign every tag from then on.
    fn may_be_added(&self, name: &str, collection: &Collection) -> Result<(), Failure> {
        let signers: Vec<&str> = collection.roles.iter().filter_map(|role| role.name.signer()).collect();
        if signers.is_empty() || self.args.add_signer {
            return Ok(());
        }
        let words = format!("{} has no signer {name}", collection.gun);
        let step = Step::words(format!("name one of its signers, or give --add-signer to make {name} one of them"));
        let reason = Reason::new(Code::DctRoleMissing, words).expected_found(signers.join(" or "), name).step(step);
        Err(Failure::new(reason))
    }

    /// A new key in the trust directory, where docker and notary find it too. It is on disk before anything is published.
    fn make(&self, role: &str, gun: Option<&str>) -> Result<PrivateKey, Failure> {
        let folder = self.args.trust_dir.clone().or_else(|| self.session.environment.trust_dir()).ok_or_else(|| {
            Failure::new(Reason::new(
                Code::ConfigUnusable,
                "neither HOME nor DOCKER_CONFIG is set, so there is no trust directory",
            ))
        })?;
        let key = PrivateKey::generate(KeyKind::EcdsaP256).map_err(failed)?;
        let used = match role {
            "root" => KeyUse::NotaryRoot,
            "targets" => KeyUse::NotaryTargets,
            _ => KeyUse::NotaryDelegation,
        };
        let called = gun.map_or_else(|| format!("the new {role} key"), |gun| format!("the new {role} key of {gun}"));
        let keyring = self.session.keyring();
        let wanted = Wanted { called: &called, used, ids: &[] };
        let passphrase = self.session.with_passphrases(None, &keyring, |sources| sources.choose(&wanted)).map_err(failed)?;
        let labels = NotaryLabels::new(role, gun).map_err(failed)?;
        let stored = TrustDirectory::docker(folder).add(&key, labels, Some(&passphrase)).map_err(failed)?;
        self.session.ui.note(format!("made {}; keep a copy of it", stored.called()));
        if let Some(path) = &stored.path {
            self.session.ui.note(format!("  file: {}", path.display()));
        }
        Ok(key)
    }
}

/// The canonical ids, which key files are named by, of keys in the root's list.
fn ids_of<'a>(collection: &'a Collection, ids: &'a [KeyId]) -> impl Iterator<Item = String> + 'a {
    let keys = &collection.root.document.keys;
    ids.iter().filter_map(|id| keys.get(id)?.canonical_id().ok()).map(|id| id.as_str().to_owned())
}
