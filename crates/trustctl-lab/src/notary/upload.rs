//! Judging an upload, and what the server adds to it (Notary, `server/handlers/validation.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use trustctl_core::time::Timestamp as Time;
use trustctl_dct::canonical_json::Value;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::metadata::{Document, Expiry, FileMeta};
use trustctl_dct::role::RoleName;

use super::keys::ServerKeys;
use super::loaded::{Expired, Loaded};
use super::refusal::{Invalid, Refusal};
use super::store::{Collection, Update};

/// The version that a file claims, before anything else about it is known.
///
/// # Errors
/// [`Refusal::MalformedJson`].
pub(crate) fn claimed_version(bytes: &[u8]) -> Result<u64, Refusal> {
    let value = Value::parse(bytes).map_err(|_| Refusal::MalformedJson)?;
    let signed = value.as_object().and_then(|file| file.get("signed")).ok_or(Refusal::MalformedJson)?;
    match signed.as_object().ok_or(Refusal::MalformedJson)?.get("version") {
        None => Ok(0),
        Some(Value::Number(version)) => u64::try_from(*version).map_err(|_| Refusal::MalformedJson),
        Some(_) => Err(Refusal::MalformedJson),
    }
}

/// A server about to judge an upload.
pub(crate) struct Judge<'a> {
    pub(crate) gun: &'a str,
    pub(crate) stored: Option<&'a Collection>,
    pub(crate) keys: &'a ServerKeys,
    pub(crate) now: Time,
}

impl Judge<'_> {
    /// What to store for an upload: its files, without any timestamp, with a snapshot if it has none, and with a new timestamp.
    ///
    /// # Errors
    /// [`Invalid`] by the first rule that is broken.
    pub(crate) fn judge(&self, uploads: Vec<Update>) -> Result<Vec<Update>, Invalid> {
        let roles: BTreeMap<RoleName, Update> = uploads.into_iter().map(|upload| (upload.role.clone(), upload)).collect();
        let mut loaded = self.load_root(roles.get(&RoleName::root()))?;
        self.load_targets(&mut loaded, &roles)?;
        let snapshot = match roles.get(&RoleName::snapshot()) {
            Some(snapshot) => {
                loaded.load_snapshot(&snapshot.bytes).map_err(Invalid::BadSnapshot)?;
                snapshot.clone()
            }
            None => self.new_snapshot(&loaded)?,
        };
        let timestamp = self.new_timestamp(&loaded, &snapshot.bytes)?;
        let own = |role: &RoleName| *role != RoleName::snapshot() && *role != RoleName::timestamp();
        let mut all: Vec<Update> = roles.into_values().filter(|upload| own(&upload.role)).collect();
        all.extend([snapshot, timestamp]);
        Ok(all)
    }

    /// The stored root, or the uploaded one after it: of the same version or the next, and signed by both.
    fn load_root(&self, upload: Option<&Update>) -> Result<Loaded<'_>, Invalid> {
        let mut stored = Loaded::new(self.gun, self.now);
        if let Some(bytes) = self.stored_bytes(&RoleName::root()) {
            stored.load_root(bytes, None, 1, Expired::Allowed).map_err(|_| Invalid::Stored)?;
        }
        let Some(upload) = upload else {
            if stored.root.is_none() {
                return Err(Invalid::Validation("no pre-existing root and no root provided in update.".to_owned()));
            }
            return Ok(stored);
        };
        let previous = stored.root.map(|file| file.document);
        let current = previous.as_ref().map_or(1, |root| root.version);
        if upload.version != current && Some(upload.version) != current.checked_add(1) {
            let message = format!("Root modifications must increment the version. Current {current}, new {}", upload.version);
            return Err(Invalid::BadRoot(message));
        }
        let mut loaded = Loaded::new(self.gun, self.now);
        loaded.load_root(&upload.bytes, previous.as_ref(), current, Expired::Refused).map_err(Invalid::BadRoot)?;
        Ok(loaded)
    }

    /// The uploaded targets and delegations, parents first, each with its ancestors.
    fn load_targets(&self, loaded: &mut Loaded<'_>, roles: &BTreeMap<RoleName, Update>) -> Result<(), Invalid> {
        let mut uploads: Vec<&Update> =
            roles.values().filter(|upload| upload.role == RoleName::targets() || upload.role.is_delegation()).collect();
        uploads.sort_by_key(|upload| upload.role.as_str().matches('/').count());
        for upload in uploads {
            let mut ancestors: Vec<RoleName> = std::iter::successors(upload.role.parent(), RoleName::parent).collect();
            ancestors.reverse();
            for ancestor in ancestors {
                if loaded.targets.contains_key(&ancestor) {
                    continue;
                }
                // One that does not exist is found out when its child is loaded.
                if let Some(bytes) = self.stored_bytes(&ancestor) {
                    loaded.load_targets(&ancestor, bytes, Expired::Allowed).map_err(|_| Invalid::Stored)?;
                }
            }
            loaded.load_targets(&upload.role, &upload.bytes, Expired::Refused).map_err(Invalid::BadTargets)?;
        }
        Ok(())
    }

    /// A snapshot after the stored one, with what was loaded brought up to date, signed by the server.
    fn new_snapshot(&self, loaded: &Loaded<'_>) -> Result<Update, Invalid> {
        let root = loaded.root.as_ref().ok_or(Invalid::Stored)?;
        let targets = loaded.targets.get(&RoleName::targets()).map(|file| file.meta());
        let expires = Expiry::at(self.now.saturating_add(SNAPSHOT_LIFE));
        let mut snapshot = match self.stored_bytes(&RoleName::snapshot()) {
            Some(bytes) => read::<Snapshot>(bytes).ok_or(Invalid::Stored)?,
            None => {
                let must_be_loaded = || Invalid::Validation("targets must be loaded first".to_owned());
                let targets = targets.clone().ok_or_else(must_be_loaded)?;
                Snapshot { version: 0, expires: expires.clone(), root: root.meta(), targets, delegations: BTreeMap::new() }
            }
        };
        snapshot.version += 1;
        snapshot.expires = expires;
        snapshot.root = root.meta();
        if let Some(targets) = targets {
            snapshot.targets = targets;
        }
        let delegations = loaded.targets.iter().filter(|(role, _)| role.is_delegation());
        snapshot.delegations.extend(delegations.map(|(role, file)| (role.clone(), file.meta())));
        let message = "no snapshot was included in update and server does not hold current snapshot key for repository";
        let missing = || Invalid::BadHierarchy { missing: "snapshot", message: message.to_owned() };
        let bytes = self.keys.sign(&root.document.snapshot, &snapshot.to_signed()).ok_or_else(missing)?;
        Ok(Update { role: RoleName::snapshot(), version: snapshot.version, bytes: bytes.into() })
    }

    fn new_timestamp(&self, loaded: &Loaded<'_>, snapshot: &Bytes) -> Result<Update, Invalid> {
        let root = loaded.root.as_ref().ok_or(Invalid::Stored)?;
        let previous = self.stored_bytes(&RoleName::timestamp()).map(|bytes| read::<Timestamp>(bytes).ok_or(Invalid::Stored));
        let version = previous.transpose()?.map_or(1, |previous| previous.version.saturating_add(1));
        let no_key = || Invalid::BadRoot("no  timestamp keys exist on the server".to_owned());
        self.sign_timestamp(&root.document, snapshot, version).ok_or_else(no_key)
    }

    /// A timestamp over a snapshot; `None` when the server does not hold the key that the root names.
    pub(crate) fn sign_timestamp(&self, root: &Root, snapshot: &Bytes, version: u64) -> Option<Update> {
        let expires = Expiry::at(self.now.saturating_add(TIMESTAMP_LIFE));
        let timestamp = Timestamp { version, expires, snapshot: as_written::<Snapshot>(snapshot)? };
        let bytes = self.keys.sign(&root.timestamp, &timestamp.to_signed())?;
        Some(Update { role: RoleName::timestamp(), version, bytes: bytes.into() })
    }

    /// The stored snapshot one version on, with this file of a delegation in it; `None` when there is no snapshot, or the server does
    /// not hold the key that the root names.
    pub(crate) fn sign_snapshot(&self, root: &Root, (role, bytes): (&RoleName, &Bytes)) -> Option<Update> {
        let mut snapshot = read::<Snapshot>(self.stored_bytes(&RoleName::snapshot())?)?;
        snapshot.version += 1;
        snapshot.delegations.insert(role.clone(), as_written::<Targets>(bytes)?);
        let bytes = self.keys.sign(&root.snapshot, &snapshot.to_signed())?;
        Some(Update { role: RoleName::snapshot(), version: snapshot.version, bytes: bytes.into() })
    }

    /// What a GET of the timestamp has to store first: nothing while it and its snapshot are good, else new ones.
    ///
    /// Like Notary's, the server renews only what has expired, and cannot when the root or its certificate has.
    ///
    /// # Errors
    /// [`Refusal::MetadataNotFound`] when a file is missing, [`Refusal::Unknown`] when one cannot be used or signed.
    pub(crate) fn renewals(&self) -> Result<Vec<Update>, Refusal> {
        let stored = self.stored.ok_or(Refusal::MetadataNotFound)?;
        let bytes = self.stored_bytes(&RoleName::timestamp()).ok_or(Refusal::MetadataNotFound)?;
        let timestamp = read::<Timestamp>(bytes).ok_or(Refusal::Unknown)?;
        let named = stored.by_hash(&RoleName::snapshot(), &timestamp.snapshot.sha256).ok_or(Refusal::MetadataNotFound)?;
        let snapshot = read::<Snapshot>(&named.bytes).ok_or(Refusal::Unknown)?;
        let snapshot_ended = snapshot.expires.time() < self.now;
        if timestamp.expires.time() >= self.now && !snapshot_ended {
            return Ok(Vec::new());
        }
        let root_bytes = self.stored_bytes(&RoleName::root()).ok_or(Refusal::MetadataNotFound)?;
        let mut loaded = Loaded::new(self.gun, self.now);
        loaded.load_root(root_bytes, None, 1, Expired::Refused).map_err(|_| Refusal::Unknown)?;
        let mut updates = Vec::new();
        if snapshot_ended {
            updates.push(self.new_snapshot(&loaded).map_err(|_| Refusal::Unknown)?);
        }
        let bytes = updates.first().map_or(&named.bytes, |update| &update.bytes);
        loaded.load_snapshot(bytes).map_err(|_| Refusal::Unknown)?;
        updates.push(self.new_timestamp(&loaded, &bytes.clone()).map_err(|_| Refusal::Unknown)?);
        Ok(updates)
    }

    fn stored_bytes(&self, role: &RoleName) -> Option<&Bytes> {
        Some(&self.stored?.current(role)?.bytes)
    }
}

/// What a file says, whoever signed it.
pub(crate) fn read<D: Document>(bytes: &[u8]) -> Option<D> {
    D::from_signed(Envelope::parse(bytes).ok()?.signed()).ok()
}

/// Hash and length of a file as Notary's encoder would write it; see [`super::loaded::File::meta`].
fn as_written<D: Document>(bytes: &[u8]) -> Option<FileMeta> {
    let envelope = Envelope::parse(bytes).ok()?;
    let document = D::from_signed(envelope.signed()).ok()?;
    Some(FileMeta::of(&Envelope::seal(&document.to_signed(), envelope.signatures())))
}

const DAY: u64 = 24 * 3600;
/// How long a timestamp is good.
pub(crate) const TIMESTAMP_LIFE: Duration = Duration::from_secs(14 * DAY);
/// How long a snapshot signed by the server is good.
const SNAPSHOT_LIFE: Duration = Duration::from_secs(3 * 365 * DAY);
