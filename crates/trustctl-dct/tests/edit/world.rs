//! A server in memory that keeps Notary's rules for uploads, and a reader that fetches from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use trustctl_core::claim::Principal;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin};
use trustctl_core::memory::Memory;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{Anchors, Context, DctAnchor, Findings, Scheme as _};
use trustctl_core::signer::Signer;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_dct::edit::{Change, Current, Files, HeldKeys, Initialise, SignTag, Upload, apply, default_expiry, verify_upload};
use trustctl_dct::key::Key;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder};
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::timestamp;
use trustctl_dct::metadata::{Document, Expiry, FileMeta};
use trustctl_dct::reading::{Reading, read};
use trustctl_dct::role::RoleName;
use trustctl_dct::scheme::Dct;

use crate::keys::TestKey;

pub(crate) const GUN: &str = "localhost:5000/demo/app";

pub(crate) fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

pub(crate) fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

pub(crate) fn digest(text: &str) -> Digest {
    Digest::sha256_of(text.as_bytes())
}

/// The change that signs `tag` as the digest of `text`, 100 bytes long.
pub(crate) fn sign(tag: &str, text: &str) -> Change {
    Change::SignTag(SignTag::new(tag, digest(text), 100))
}

pub(crate) fn held<'a>(keys: &[&'a TestKey]) -> HeldKeys<'a> {
    let signer = |key: &&'a TestKey| -> &'a dyn Signer { *key };
    keys.iter().map(signer).collect()
}

pub(crate) fn bare(key: &TestKey) -> Key {
    Key::from_public_key(key.public_key())
}

/// A server with one repository, and everybody's keys.
pub(crate) struct World {
    pub(crate) root: Arc<TestKey>,
    pub(crate) targets: Arc<TestKey>,
    pub(crate) alice: Arc<TestKey>,
    pub(crate) bob: Arc<TestKey>,
    pub(crate) server_snapshot: Arc<TestKey>,
    pub(crate) server_timestamp: Arc<TestKey>,
    /// All versions of each file, oldest first.
    pub(crate) files: BTreeMap<String, Vec<Vec<u8>>>,
    pub(crate) memory: Memory,
}

impl World {
    pub(crate) fn virgin() -> Self {
        Self {
            root: Arc::new(TestKey::ecdsa()),
            targets: Arc::new(TestKey::ecdsa()),
            alice: Arc::new(TestKey::ecdsa()),
            bob: Arc::new(TestKey::ecdsa()),
            server_snapshot: Arc::new(TestKey::ed25519()),
            server_timestamp: Arc::new(TestKey::ed25519()),
            files: BTreeMap::new(),
            memory: Memory::new(),
        }
    }

    /// Root and targets are there, nothing is signed.
    pub(crate) fn initialised() -> Self {
        let mut world = Self::virgin();
        let upload = world.plan(&[world.first()], &[&world.root, &world.targets]).unwrap();
        world.accept(&upload).unwrap();
        world
    }

    /// Alice and Bob are signers.
    pub(crate) fn with_signers() -> Self {
        let mut world = Self::initialised();
        let changes = [world.add_signer("alice", &world.alice), world.add_signer("bob", &world.bob)];
        let upload = world.plan(&changes, &[&world.targets]).unwrap();
        world.accept(&upload).unwrap();
        world
    }

    pub(crate) fn first(&self) -> Change {
        let certificate = Key::from_certificates(self.root.certificate(GUN).as_bytes()).unwrap();
        let (snapshot, timestamp) = (bare(&self.server_snapshot), bare(&self.server_timestamp));
        Change::Initialise(Initialise::new(certificate, bare(&self.targets), snapshot, timestamp))
    }

    pub(crate) fn add_signer(&self, name: &str, key: &TestKey) -> Change {
        Change::AddSigner { name: name.to_owned(), keys: vec![bare(key)] }
    }

    pub(crate) fn plan(&self, changes: &[Change], keys: &[&TestKey]) -> Result<Upload, Reason> {
        let current = self.current();
        let upload = apply(changes, &current, &held(keys), now())?;
        verify_upload(&upload, &current, now()).unwrap();
        Ok(upload)
    }

    /// Plans, has the server accept, and checks that planning the same again finds nothing to do.
    pub(crate) fn publish(&mut self, changes: &[Change], keys: &[&TestKey]) -> Upload {
        let upload = self.plan(changes, keys).unwrap();
        self.accept(&upload).unwrap();
        let again = self.plan(changes, keys).unwrap();
        assert!(again.is_empty(), "applied twice: {:?}", again.effects());
        upload
    }

    /// All files the server has, also those of delegations that are gone.
    pub(crate) fn current(&self) -> Current {
        let newest = |name: &str| self.files.get(name).and_then(|versions| versions.last()).cloned();
        let Some(root) = newest("root") else { return Current::virgin(GUN) };
        let mut files = Files::new(root, newest("targets").unwrap());
        files.snapshot = newest("snapshot");
        let delegations = self.files.keys().filter(|name| name.starts_with("targets/"));
        files.delegations = delegations.map(|name| (role(name), newest(name).unwrap())).collect();
        Current::open(GUN, files).unwrap()
    }

    /// What the server does with an upload: the versions must grow, and it signs the snapshot if none came.
    pub(crate) fn accept(&mut self, upload: &Upload) -> Result<(), &'static str> {
        for (name, bytes) in upload.files() {
            let offered = version(bytes);
            let have = self.files.get(name.as_str()).and_then(|versions| versions.last()).map_or(0, |bytes| version(bytes));
            if offered <= have || (*name == RoleName::root() && offered != have + 1) {
                return Err("VERSION");
            }
        }
        for (name, bytes) in upload.files() {
            self.files.entry(name.to_string()).or_default().push(bytes.clone());
        }
        if upload.leaves_snapshot_to_server() {
            self.sign_snapshot(upload);
        }
        if !upload.is_empty() {
            self.sign_timestamp();
        }
        Ok(())
    }

    pub(crate) fn newest(&self, name: &str) -> &[u8] {
        self.files[name].last().unwrap()
    }

    pub(crate) fn newest_root(&self) -> Root {
        let envelope = Envelope::parse(self.newest("root")).unwrap();
        Root::from_signed(envelope.signed()).unwrap()
    }

    fn sign_snapshot(&mut self, upload: &Upload) {
        let before = self.files.get("snapshot").map(|versions| {
            let envelope = Envelope::parse(versions.last().unwrap()).unwrap();
            Snapshot::from_signed(envelope.signed()).unwrap()
        });
        let (number, mut delegations) = before.map_or((0, BTreeMap::new()), |before| (before.version, before.delegations));
        for (name, bytes) in upload.files().iter().filter(|(name, _)| name.is_delegation()) {
            delegations.insert(name.clone(), FileMeta::of(bytes));
        }
        let snapshot = Snapshot {
            version: number + 1,
            expires: Expiry::at(default_expiry(&RoleName::snapshot(), now())),
            root: FileMeta::of(self.newest("root")),
            targets: FileMeta::of(self.newest("targets")),
            delegations,
        };
        let bytes = sealed(&snapshot, &self.server_snapshot);
        self.files.entry("snapshot".to_owned()).or_default().push(bytes);
    }

    /// What a server that lies can do: `bytes` are the newest file of a delegation, named by a new snapshot.
    pub(crate) fn serve_instead(&mut self, name: &str, bytes: Vec<u8>) {
        let envelope = Envelope::parse(self.newest("snapshot")).unwrap();
        let mut snapshot = Snapshot::from_signed(envelope.signed()).unwrap();
        snapshot.version += 1;
        snapshot.delegations.insert(role(name), FileMeta::of(&bytes));
        self.files.get_mut(name).unwrap().push(bytes);
        let bytes = sealed(&snapshot, &self.server_snapshot);
        self.files.get_mut("snapshot").unwrap().push(bytes);
        self.sign_timestamp();
    }

    fn sign_timestamp(&mut self) {
        let number = self.files.get("timestamp").map_or(0, |versions| version(versions.last().unwrap()));
        let document = timestamp::Timestamp {
            version: number + 1,
            expires: Expiry::at("2026-12-06T00:00:00Z".parse().unwrap()),
            snapshot: FileMeta::of(self.newest("snapshot")),
        };
        let bytes = sealed(&document, &self.server_timestamp);
        self.files.entry("timestamp".to_owned()).or_default().push(bytes);
    }

    /// What a reader finds out about `tag` when the registry serves the digest of `text`; what it learns is remembered.
    pub(crate) fn read(&mut self, tag: &str, text: &str) -> Findings {
        let subject = Subject {
            repository: GUN.parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
            digest: digest(text),
            size: 100,
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            children: Vec::new(),
        };
        let anchor = DctAnchor { signer: "demo".to_owned(), roots: Vec::new(), authorities: Vec::new(), tofu: true };
        let anchors = Anchors { dct: vec![anchor], ..Anchors::default() };
        let mut evidence = Evidence::new();
        let findings = loop {
            let context = Context { anchors: &anchors, memory: &self.memory, now: now() };
            let wants = Dct.wants(&subject, &evidence, &context);
            if wants.is_empty() {
                break Dct.examine(&subject, &evidence, &context);
            }
            for want in wants {
                let entry = self.serve(&want.locator);
                evidence.insert(want.locator, entry);
            }
        };
        for (name, slot) in &findings.learnt {
            self.memory.learn(findings.scheme, name, slot.clone());
        }
        findings
    }

    /// The roles that say, for a reader, that `tag` is the digest of `text`; the deciding one first.
    pub(crate) fn signed_by(&mut self, tag: &str, text: &str) -> Vec<String> {
        let findings = self.read(tag, text);
        assert!(findings.missing.is_empty(), "{:?}", findings.missing);
        let mut roles: Vec<(bool, String)> = Vec::new();
        for claim in findings.claims {
            let Principal::Role { role, effective, .. } = claim.principal else { panic!("not a role") };
            roles.push((!effective, role));
        }
        roles.sort();
        roles.into_iter().map(|(_, role)| role).collect()
    }

    /// The codes of what a reader finds wrong.
    pub(crate) fn problems(&mut self, tag: &str, text: &str) -> Vec<Code> {
        self.read(tag, text).problems.into_iter().map(|problem| problem.reason.code).collect()
    }

    /// What a publisher reads, with what was seen before.
    pub(crate) fn reading(&self) -> Reading {
        let anchor = DctAnchor { signer: "demo".to_owned(), roots: Vec::new(), authorities: Vec::new(), tofu: true };
        let anchors = Anchors { dct: vec![anchor], ..Anchors::default() };
        let context = Context { anchors: &anchors, memory: &self.memory, now: now() };
        let gun = GUN.parse().unwrap();
        let mut evidence = Evidence::new();
        loop {
            let reading = read(&gun, &evidence, &context);
            if reading.wants.is_empty() {
                return reading;
            }
            for want in reading.wants {
                let entry = self.serve(&want.locator);
                evidence.insert(want.locator, entry);
            }
        }
    }

    /// The file that the server has under this name.
    pub(crate) fn file(&self, name: &str) -> Option<Vec<u8>> {
        let locator = Locator::Notary { gun: GUN.parse().unwrap(), file: name.to_owned() };
        match self.serve(&locator) {
            Entry::Present { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    fn serve(&self, locator: &Locator) -> Entry {
        let Locator::Notary { file, .. } = locator else { panic!("not a Notary file") };
        let name = file.strip_suffix(".json").unwrap();
        let found = match name.split_once('.') {
            None => self.files.get(name).and_then(|versions| versions.last()),
            Some((number, "root")) => {
                let number: u64 = number.parse().unwrap();
                self.files.get("root").and_then(|versions| versions.iter().find(|bytes| version(bytes) == number))
            }
            Some((name, hash)) => {
                self.files.get(name).and_then(|versions| versions.iter().find(|bytes| Digest::sha256_of(bytes).hex() == hash))
            }
        };
        found.map_or(Entry::Absent, |bytes| Entry::Present { bytes: bytes.clone(), origin: Origin::Notary })
    }
}

pub(crate) fn version(bytes: &[u8]) -> u64 {
    let envelope = Envelope::parse(bytes).unwrap();
    u64::try_from(envelope.signed().as_object().unwrap()["version"].as_number().unwrap()).unwrap()
}

pub(crate) fn sealed(document: &impl Document, key: &TestKey) -> Vec<u8> {
    Envelope::sign(&document.to_signed(), &[KeyHolder { key: &bare(key), signer: key }]).unwrap()
}
