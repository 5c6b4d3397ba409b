//! Writing a repository: four roles, each with keys, a threshold, a version and an end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;
use trustctl_dct::canonical_json;

use super::Files;
use super::key::{Key, KeyKind};
use crate::error::LabError;

/// How long metadata count unless something else is said: roots and targets half a year, the others a week, as Sigstore's own.
const LONG: Duration = Duration::from_secs(180 * 86_400);
const SHORT: Duration = Duration::from_secs(7 * 86_400);

/// A top-level role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Names the keys of all roles.
    Root,
    /// Names the versions of all metadata.
    Snapshot,
    /// Names the targets.
    Targets,
    /// Names the snapshot.
    Timestamp,
}

impl Role {
    const ALL: [Self; 4] = [Self::Root, Self::Snapshot, Self::Targets, Self::Timestamp];

    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Timestamp => "timestamp",
        }
    }
}

/// What a role is at the moment. Everything may be changed before the next [`Repository::publish`].
#[derive(Clone, Debug)]
pub struct RoleState {
    /// The keys that the root names for it.
    pub keys: Vec<Key>,
    /// How many of them must sign.
    pub threshold: u32,
    /// The version of its file.
    pub version: u64,
    /// When its file ends.
    pub expires: Timestamp,
    /// The keys that sign its file; those that the root names when there are none.
    pub signed_by: Vec<Key>,
}

/// A repository that is being written. Clones have the same keys and go their own ways.
#[derive(Clone, Debug)]
pub struct Repository {
    roles: BTreeMap<Role, RoleState>,
    /// Whether file names carry versions and digests (section 6.2).
    pub consistent: bool,
    targets: BTreeMap<String, Bytes>,
    /// What the targets' metadata say of a target, where that is not the truth.
    lies: BTreeMap<String, Value>,
    /// Further files that the snapshot lists, with their versions.
    pub listed: BTreeMap<String, u64>,
    files: Files,
}

impl Repository {
    /// A repository with one Ed25519 key a role, P-256 for the root, and these targets, published at `now`.
    ///
    /// # Errors
    /// [`LabError::Io`] when no key can be made.
    pub fn create(targets: BTreeMap<String, Bytes>, now: Timestamp) -> Result<Self, LabError> {
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let (kind, life) = match role {
                Role::Root => (KeyKind::Ecdsa, LONG),
                Role::Targets => (KeyKind::Ed25519, LONG),
                Role::Snapshot | Role::Timestamp => (KeyKind::Ed25519, SHORT),
            };
            let keys = vec![Key::generate(kind)?];
            let expires = now.saturating_add(life);
            roles.insert(role, RoleState { keys, threshold: 1, version: 1, expires, signed_by: Vec::new() });
        }
        let (lies, listed, files) = (BTreeMap::new(), BTreeMap::new(), Files::new());
        let mut repository = Self { roles, consistent: true, targets, lies, listed, files };
        repository.publish_root(&[])?;
        repository.publish()?;
        Ok(repository)
    }

    /// A role, to be changed.
    ///
    /// # Errors
    /// [`LabError::Missing`] never, for every repository has all roles.
    pub fn role(&mut self, role: Role) -> Result<&mut RoleState, LabError> {
        self.roles.get_mut(&role).ok_or_else(|| LabError::Missing { what: format!("role {}", role.name()) })
    }

    /// The files as they were last published.
    #[must_use]
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// The root of a version: what users pin.
    #[must_use]
    pub fn root(&self, version: u64) -> Option<Bytes> {
        self.files.get(&format!("{version}.root.json")).cloned()
    }

    /// Puts a target in the place of an older one; it is there after the next [`Repository::publish`].
    pub fn set_target(&mut self, name: &str, bytes: impl Into<Bytes>) {
        self.targets.insert(name.to_owned(), bytes.into());
    }

    /// Lets the targets' metadata say this of a target, such as a wrong length.
    pub fn lie_about(&mut self, name: &str, what: Value) {
        self.lies.insert(name.to_owned(), what);
    }

    /// Gives new versions to targets, snapshot and timestamp, signs and publishes them.
    ///
    /// # Errors
    /// As [`Repository::publish`].
    pub fn release(&mut self) -> Result<(), LabError> {
        for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
            self.role(role)?.version += 1;
        }
        self.publish()
    }

    /// Gives the root a new version and publishes it, signed by its keys and those of the root before.
    ///
    /// # Errors
    /// As [`Repository::publish`].
    pub fn rotate(&mut self, change: impl FnOnce(&mut Self) -> Result<(), LabError>) -> Result<(), LabError> {
        let before = self.role(Role::Root)?.keys.clone();
        change(self)?;
        self.role(Role::Root)?.version += 1;
        self.publish_root(&before)
    }

    /// Signs and publishes a root with the roles as they are; `also` signs too.
    ///
    /// # Errors
    /// As [`Repository::publish`].
    pub fn publish_root(&mut self, also: &[Key]) -> Result<(), LabError> {
        let (mut keys, mut roles) = (Map::new(), Map::new());
        for (role, state) in &self.roles {
            keys.extend(state.keys.iter().map(|key| (key.id().to_owned(), key.public().clone())));
            let ids: Vec<&str> = state.keys.iter().map(Key::id).collect();
            roles.insert(role.name().to_owned(), json!({"keyids": ids, "threshold": state.threshold}));
        }
        let more = json!({"consistent_snapshot": self.consistent, "keys": keys, "roles": roles});
        let bytes = self.signed(Role::Root, more, also)?;
        let version = self.role(Role::Root)?.version;
        self.files.insert(format!("{version}.root.json"), bytes.clone());
        self.files.insert("root.json".to_owned(), bytes);
        Ok(())
    }

    /// Signs and publishes targets, snapshot and timestamp, as the roles say.
    ///
    /// # Errors
    /// [`LabError::Io`] when a key does not sign.
    pub fn publish(&mut self) -> Result<(), LabError> {
        let mut described = Map::new();
        for (name, bytes) in &self.targets {
            let digest = Digest::sha256_of(bytes).hex();
            let truth = json!({"length": bytes.len(), "hashes": {"sha256": digest}});
            described.insert(name.clone(), self.lies.get(name).cloned().unwrap_or(truth));
            let (folder, file) =
                name.rsplit_once('/').map_or((String::new(), name.as_str()), |(at, file)| (format!("{at}/"), file));
            let path = if self.consistent { format!("targets/{folder}{digest}.{file}") } else { format!("targets/{name}") };
            self.files.insert(path, bytes.clone());
        }
        let targets = self.signed(Role::Targets, json!({"targets": described}), &[])?;
        let mut listed = Map::new();
        listed.insert("targets.json".to_owned(), json!({"version": self.role(Role::Targets)?.version}));
        listed.extend(self.listed.iter().map(|(name, version)| (name.clone(), json!({"version": version}))));
        let snapshot = self.signed(Role::Snapshot, json!({"meta": listed}), &[])?;
        let version = self.role(Role::Snapshot)?.version;
        let meta =
            json!({"version": version, "length": snapshot.len(), "hashes": {"sha256": Digest::sha256_of(&snapshot).hex()}});
        let timestamp = self.signed(Role::Timestamp, json!({"meta": {"snapshot.json": meta}}), &[])?;
        for (role, bytes) in [(Role::Targets, targets), (Role::Snapshot, snapshot)] {
            let name = role.name();
            let version = self.role(role)?.version;
            let path = if self.consistent { format!("{version}.{name}.json") } else { format!("{name}.json") };
            self.files.insert(path, bytes);
        }
        self.files.insert("timestamp.json".to_owned(), timestamp);
        Ok(())
    }

    /// The file of a role with `more` in it.
    fn signed(&mut self, role: Role, more: Value, also: &[Key]) -> Result<Bytes, LabError> {
        let state = self.role(role)?;
        let mut signed = Map::new();
        signed.insert("_type".to_owned(), json!(role.name()));
        signed.insert("spec_version".to_owned(), json!("1.0.31"));
        signed.insert("version".to_owned(), json!(state.version));
        signed.insert("expires".to_owned(), json!(state.expires.to_string()));
        signed.extend(more.as_object().cloned().unwrap_or_default());
        self.sealed(role, &Value::Object(signed), also)
    }

    /// The file with `signed` in it, signed by the role's keys: what somebody with these keys can make. It is not published.
    ///
    /// # Errors
    /// As [`Repository::publish`].
    pub fn sign_again(&mut self, role: Role, signed: &Value) -> Result<Bytes, LabError> {
        self.sealed(role, signed, &[])
    }

    fn sealed(&mut self, role: Role, signed: &Value, also: &[Key]) -> Result<Bytes, LabError> {
        let broken = |error: canonical_json::JsonError| LabError::Missing { what: format!("canonical form: {error}") };
        let bytes = canonical_json::Value::parse(signed.to_string().as_bytes()).map_err(broken)?.canonical();
        let state = self.role(role)?;
        let own = if state.signed_by.is_empty() { &state.keys } else { &state.signed_by };
        let mut signatures: BTreeMap<&str, String> = BTreeMap::new();
        for key in own.iter().chain(also) {
            signatures.insert(key.id(), key.sign(&bytes)?);
        }
        let signatures: Vec<Value> = signatures.into_iter().map(|(id, sig)| json!({"keyid": id, "sig": sig})).collect();
        Ok(json!({"signatures": signatures, "signed": signed}).to_string().into())
    }
}
