//! `root.json`: the keys of the four top-level roles.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::{Document, Expiry, MAX_ROLE_KEYS, MAX_ROOT_KEYS, RoleKeys, common, number, read_keys, write_keys};
use crate::canonical_json::Value;
use crate::error::{DctError, Malformed};
use crate::key::{Key, KeyId};

/// A root document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its version, at least 1; each root is one higher than its predecessor.
    pub version: u64,
    /// Its end date.
    pub expires: Expiry,
    /// Always false in Notary, which serves files by hash all the same.
    pub consistent_snapshot: bool,
    /// The keys, by id; may hold keys that no role uses, such as the previous root key after a rotation.
    pub keys: BTreeMap<KeyId, Key>,
    /// The keys of the root role.
    pub root: RoleKeys,
    /// The keys of the targets role, Docker's "repository" keys.
    pub targets: RoleKeys,
    /// The keys of the snapshot role.
    pub snapshot: RoleKeys,
    /// The keys of the timestamp role; the server's.
    pub timestamp: RoleKeys,
}

impl Document for Root {
    const TYPE: &'static str = "Root";

    /// Reads a root. All four roles must exist, with at least one key each, and every key id must be in `keys`. Other roles,
    /// which some old versions of Notary wrote, are ignored.
    fn from_signed(signed: &Value) -> Result<Self, DctError> {
        let fields = Fields::of(signed, "root", &["_type", "consistent_snapshot", "expires", "keys", "roles", "version"])?;
        let (version, expires) = common(fields, Self::TYPE)?;
        let keys = read_keys(fields.map("keys")?, MAX_ROOT_KEYS)?;
        let roles = Fields::of(fields.required("roles")?, "roles", &["root", "targets", "snapshot", "timestamp"])?;
        let role = |name: &'static str| -> Result<RoleKeys, Malformed> {
            let role =
                RoleKeys::from_fields(Fields::of(roles.required(name)?, "role", &["keyids", "threshold"])?, MAX_ROLE_KEYS)?;
            let complete = !role.key_ids.is_empty() && role.key_ids.iter().all(|id| keys.contains_key(id));
            if complete { Ok(role) } else { Err(roles.wrong(name, "a role with keys, all of them listed")) }
        };
        let (root, targets) = (role("root")?, role("targets")?);
        let (snapshot, timestamp) = (role("snapshot")?, role("timestamp")?);
        let consistent_snapshot = fields.optional("consistent_snapshot") == Some(&Value::Bool(true));
        Ok(Self { version, expires, consistent_snapshot, keys, root, targets, snapshot, timestamp })
    }

    fn to_signed(&self) -> Value {
        let role = |role: &RoleKeys| Value::object(role.members());
        let roles = Value::object([
            ("root", role(&self.root)),
            ("snapshot", role(&self.snapshot)),
            ("targets", role(&self.targets)),
            ("timestamp", role(&self.timestamp)),
        ]);
        Value::object([
            ("_type", Self::TYPE.into()),
            ("consistent_snapshot", self.consistent_snapshot.into()),
            ("expires", self.expires.to_string().into()),
            ("keys", write_keys(&self.keys)),
            ("roles", roles),
            ("version", number(self.version)),
        ])
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> &Expiry {
        &self.expires
    }
}
