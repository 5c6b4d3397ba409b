//! The owner of a collection, as the tests need one: keys, files, and uploads that are right until a test breaks them.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::{PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};
use trustctl_dct::key::Key;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder};
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::{Delegation, Target, Targets};
use trustctl_dct::metadata::{Document, Expiry, FileMeta, RoleKeys};
use trustctl_dct::role::RoleName;
use trustctl_lab::clock::Clock;
use trustctl_lab::notary::{LabNotary, NotaryOptions};

use crate::support::{Answer, Ask};

pub(crate) const GUN: &str = "localhost:5000/demo/app";
/// What the tests' clocks show.
pub(crate) const NOW: &str = "2026-11-23T00:00:00Z";
/// When the owner's files end.
pub(crate) const END: &str = "2029-11-21T00:00:00Z";

/// A P-256 key, bare or in a self-signed certificate.
pub(crate) struct OwnKey {
    pub(crate) key: Key,
    public: PublicKey,
    pair: EcdsaKeyPair,
}

impl OwnKey {
    pub(crate) fn bare() -> Self {
        Self::of(&KeyPair::generate().unwrap(), None)
    }

    pub(crate) fn certified(common_name: &str) -> Self {
        Self::certified_until(common_name, 2100)
    }

    pub(crate) fn certified_until(common_name: &str, year: i32) -> Self {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&pair).unwrap().pem();
        Self::of(&pair, Some(certificate))
    }

    fn of(pair: &KeyPair, certificate: Option<String>) -> Self {
        let public = PublicKey::from_spki_der(&pair.subject_public_key_info()).unwrap();
        let key = match certificate {
            Some(pem) => Key::from_certificates(pem.as_bytes()).unwrap(),
            None => Key::from_public_key(&public),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap();
        Self { key, public, pair }
    }
}

impl Signer for OwnKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, _scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

/// A collection whose snapshot key is with the server, or with the owner.
pub(crate) struct Owner {
    pub(crate) notary: LabNotary,
    pub(crate) clock: Clock,
    pub(crate) root_key: OwnKey,
    pub(crate) targets_key: OwnKey,
    pub(crate) snapshot_key: Option<OwnKey>,
    pub(crate) root: Root,
    pub(crate) targets: Targets,
}

impl Owner {
    /// With the snapshot key on the server, as `docker` does it.
    pub(crate) async fn new() -> Self {
        Self::with(NotaryOptions::default(), None).await
    }

    /// With its own snapshot key, as `notary init` does it.
    pub(crate) async fn with_own_snapshot() -> Self {
        Self::with(NotaryOptions::default(), Some(OwnKey::bare())).await
    }

    pub(crate) async fn with(options: NotaryOptions, snapshot_key: Option<OwnKey>) -> Self {
        let clock = Clock::stopped_at(NOW.parse().unwrap());
        let notary = LabNotary::start(NotaryOptions { clock: clock.clone(), ..options }).unwrap();
        let (root_key, targets_key) = (OwnKey::certified(GUN), OwnKey::bare());
        let timestamp = server_key(&notary, "GET", "timestamp").await;
        let snapshot = match &snapshot_key {
            Some(own) => own.key.clone(),
            None => server_key(&notary, "GET", "snapshot").await,
        };
        let mut root = Root {
            version: 1,
            expires: END.parse().unwrap(),
            consistent_snapshot: false,
            keys: BTreeMap::new(),
            root: RoleKeys::any_of(vec![]),
            targets: RoleKeys::any_of(vec![]),
            snapshot: RoleKeys::any_of(vec![]),
            timestamp: RoleKeys::any_of(vec![]),
        };
        root.root = own(&mut root.keys, &root_key.key);
        root.targets = own(&mut root.keys, &targets_key.key);
        root.snapshot = own(&mut root.keys, &snapshot);
        root.timestamp = own(&mut root.keys, &timestamp);
        let targets = Targets::new(1, END.parse::<Expiry>().unwrap());
        Self { notary, clock, root_key, targets_key, snapshot_key, root, targets }
    }

    /// A collection that has been published once.
    pub(crate) async fn published() -> Self {
        let owner = Self::new().await;
        let answer = owner.publish().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        owner
    }

    /// Uploads root and targets as they are, and a first snapshot when its key is the owner's.
    pub(crate) async fn publish(&self) -> Answer {
        let (root, targets) = (self.signed_root(), self.signed_targets());
        let mut files = vec![("root", root.clone()), ("targets", targets.clone())];
        if let Some(key) = &self.snapshot_key {
            files.push(("snapshot", sign(&snapshot(1, &root, &targets), &[key])));
        }
        self.upload(files).await
    }

    pub(crate) async fn upload(&self, files: Vec<(&str, Bytes)>) -> Answer {
        upload(&self.notary, &files).send().await
    }

    pub(crate) fn signed_root(&self) -> Bytes {
        sign(&self.root, &[&self.root_key])
    }

    pub(crate) fn signed_targets(&self) -> Bytes {
        sign(&self.targets, &[&self.targets_key])
    }

    /// Adds a tag and counts the version up.
    pub(crate) fn add_tag(&mut self, name: &str) {
        self.targets.targets.insert(name.to_owned(), Target::image(Digest::sha256_of(name.as_bytes()), 528));
        self.targets.version += 1;
    }

    /// Adds a delegation to a key and counts the version up.
    pub(crate) fn delegate(&mut self, role: &str, key: &OwnKey) {
        let keys = own(&mut self.targets.delegations.keys, &key.key);
        self.targets.delegations.roles.push(Delegation { name: role.parse().unwrap(), keys, paths: vec![String::new()] });
        self.targets.version += 1;
    }

    pub(crate) fn url(&self, file: &str) -> String {
        url(&self.notary, file)
    }

    pub(crate) fn stored<D: Document>(&self, role: &RoleName) -> D {
        D::from_signed(Envelope::parse(&self.notary.files(GUN)[role]).unwrap().signed()).unwrap()
    }
}

/// A snapshot of files as they were signed.
pub(crate) fn snapshot(version: u64, root: &Bytes, targets: &Bytes) -> Snapshot {
    let expires = END.parse().unwrap();
    Snapshot { version, expires, root: FileMeta::of(root), targets: FileMeta::of(targets), delegations: BTreeMap::new() }
}

/// Lists a key and makes it the only one of a role.
pub(crate) fn own(keys: &mut BTreeMap<trustctl_dct::key::KeyId, Key>, key: &Key) -> RoleKeys {
    keys.insert(key.id().clone(), key.clone());
    RoleKeys::any_of(vec![key.id().clone()])
}

pub(crate) fn sign<D: Document>(document: &D, keys: &[&OwnKey]) -> Bytes {
    let holders: Vec<KeyHolder<'_>> = keys.iter().map(|own| KeyHolder { key: &own.key, signer: *own }).collect();
    Envelope::sign(&document.to_signed(), &holders).unwrap().into()
}

pub(crate) fn url(notary: &LabNotary, file: &str) -> String {
    format!("{}/v2/{GUN}/_trust/tuf/{file}", notary.url())
}

/// The server's key for a role: the one in use by GET, the one to rotate to by POST.
pub(crate) async fn server_key(notary: &LabNotary, method: &str, role: &str) -> Key {
    let answer = Ask::new(method, url(notary, &format!("{role}.key"))).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Key::from_json(&answer.body).unwrap()
}

/// An upload as Notary's clients send it.
pub(crate) fn upload(notary: &LabNotary, files: &[(&str, Bytes)]) -> Ask {
    let mut body = Vec::new();
    for (role, content) in files {
        let head = format!(
            "--boundary\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{role}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--boundary--\r\n");
    Ask::new("POST", url(notary, "")).header("content-type", "multipart/form-data; boundary=boundary").body(body)
}

/// Asserts the name of the validation error that a refused upload carries.
#[track_caller]
pub(crate) fn refused(answer: &Answer, name: &str) {
    let found = answer.json().pointer("/errors/0/detail/Name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
    assert_eq!((answer.status, answer.code().as_str(), found.as_str()), (400, "INVALID_UPDATE", name), "{}", answer.text());
}

#[track_caller]
pub(crate) fn accepted(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}
