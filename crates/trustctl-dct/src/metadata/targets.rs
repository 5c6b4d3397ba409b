//! `targets.json` and the files of delegations: which digest a tag means, and who else may say so.

use std::collections::BTreeMap;

use trustctl_core::digest::{Digest, DigestAlgorithm};

use super::fields::Fields;
use super::{Document, Expiry, Hashes, MAX_KEYS, RoleKeys, common, number, read_keys, write_keys};
use crate::canonical_json::Value;
use crate::error::{DctError, Malformed};
use crate::key::{Key, KeyId};
use crate::role::RoleName;

/// The document of the targets role or of a delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Its version, at least 1.
    pub version: u64,
    /// Its end date.
    pub expires: Expiry,
    /// What is signed, by name; for images the name is the tag alone.
    pub targets: BTreeMap<String, Target>,
    /// Whom this role delegates to.
    pub delegations: Delegations,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The hashes; for an image, SHA-256 is the manifest's digest.
    pub hashes: Hashes,
    /// The length; for an image, the manifest's size in bytes.
    pub length: u64,
    /// Whatever the publisher added; signed, and not interpreted.
    pub custom: Option<Value>,
}

/// Whom a role delegates to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delegations {
    /// The keys of the delegations, by id.
    pub keys: BTreeMap<KeyId, Key>,
    /// The delegations, in the order in which they are asked.
    pub roles: Vec<Delegation>,
}

/// One delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Its name, a direct child of the role it stands in.
    pub name: RoleName,
    /// Its keys. May be empty: then nobody can sign for it.
    pub keys: RoleKeys,
    /// Prefixes of the names it may sign; `""` means all, none at all means none.
    pub paths: Vec<String>,
}

impl Target {
    /// The target for an image manifest: its digest under the name of its algorithm, and its length. Docker writes SHA-256, and
    /// reads nothing else.
    #[must_use]
    pub fn image(digest: Digest, length: u64) -> Self {
        let of = |algorithm: DigestAlgorithm| Some(digest).filter(|digest| digest.algorithm() == algorithm);
        let hashes = Hashes { sha256: of(DigestAlgorithm::Sha256), sha512: of(DigestAlgorithm::Sha512) };
        Self { hashes, length, custom: None }
    }

    /// The digest an image tag means: SHA-256.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.hashes.sha256
    }

    /// Whether it names `digest`, by the digest's own algorithm.
    #[must_use]
    pub fn names(&self, digest: &Digest) -> bool {
        [self.hashes.sha256, self.hashes.sha512].into_iter().flatten().any(|named| named == *digest)
    }

    fn from_value(value: &Value) -> Result<Self, Malformed> {
        let fields = Fields::of(value, "target", &["custom", "hashes", "length"])?;
        let custom = fields.optional("custom").cloned();
        Ok(Self { hashes: Hashes::from_fields(fields)?, length: fields.number("length", 0)?, custom })
    }

    fn to_value(&self) -> Value {
        let mut members =
            BTreeMap::from([("hashes".to_owned(), self.hashes.to_value()), ("length".to_owned(), number(self.length))]);
        if let Some(custom) = &self.custom {
            members.insert("custom".to_owned(), custom.clone());
        }
        Value::Object(members)
    }
}

impl Targets {
    /// An empty document.
    #[must_use]
    pub fn new(version: u64, expires: Expiry) -> Self {
        Self { version, expires, targets: BTreeMap::new(), delegations: Delegations::default() }
    }

    /// Checks what only the place of the document shows: that every delegation is a direct child of `role`.
    ///
    /// # Errors
    /// [`DctError::Malformed`].
    pub fn check_place(&self, role: &RoleName) -> Result<(), DctError> {
        if self.delegations.roles.iter().all(|delegation| delegation.name.is_direct_child_of(role)) {
            return Ok(());
        }
        Err(Malformed::Value { of: "delegation", field: "name", expected: "a direct child of its role" }.into())
    }
}

impl Document for Targets {
    const TYPE: &'static str = "Targets";

    fn from_signed(signed: &Value) -> Result<Self, DctError> {
        let fields = Fields::of(signed, "targets", &["_type", "delegations", "expires", "targets", "version"])?;
        let (version, expires) = common(fields, Self::TYPE)?;
        let named = fields.map("targets")?.into_iter().flatten();
        let targets =
            named.map(|(name, value)| Ok((name.clone(), Target::from_value(value)?))).collect::<Result<_, Malformed>>()?;
        let delegations = fields.optional("delegations").map(Delegations::from_value).transpose()?.unwrap_or_default();
        Ok(Self { version, expires, targets, delegations })
    }

    fn to_signed(&self) -> Value {
        let targets = self.targets.iter().map(|(name, target)| (name.clone(), target.to_value())).collect();
        Value::object([
            ("_type", Self::TYPE.into()),
            ("delegations", self.delegations.to_value()),
            ("expires", self.expires.to_string().into()),
            ("targets", Value::Object(targets)),
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

impl Delegations {
    fn from_value(value: &Value) -> Result<Self, DctError> {
        let fields = Fields::of(value, "delegations", &["keys", "roles"])?;
        let roles = fields.list("roles")?;
        if roles.len() > MAX_KEYS {
            return Err(Malformed::TooMany { what: "delegations", limit: MAX_KEYS }.into());
        }
        let roles = roles.iter().map(Delegation::from_value).collect::<Result<_, _>>()?;
        Ok(Self { keys: read_keys(fields.map("keys")?, MAX_KEYS)?, roles })
    }

    fn to_value(&self) -> Value {
        let roles = self.roles.iter().map(Delegation::to_value).collect();
        Value::object([("keys", write_keys(&self.keys)), ("roles", Value::List(roles))])
    }
}

impl Delegation {
    /// Whether its paths let it sign `name`.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.paths.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    fn from_value(value: &Value) -> Result<Self, Malformed> {
        let fields = Fields::of(value, "delegation", &["keyids", "name", "paths", "threshold"])?;
        let name: RoleName = fields.text("name")?.parse().map_err(|_| fields.wrong("name", "the name of a delegation"))?;
        if !name.is_delegation() {
            return Err(fields.wrong("name", "the name of a delegation"));
        }
        let paths = fields.list("paths")?;
        if paths.len() > MAX_KEYS {
            return Err(Malformed::TooMany { what: "paths of a delegation", limit: MAX_KEYS });
        }
        let path = |value: &Value| value.as_text().map(str::to_owned).ok_or(fields.wrong("paths", "a list of strings"));
        Ok(Self {
            name,
            keys: RoleKeys::from_fields(fields, MAX_KEYS)?,
            paths: paths.iter().map(path).collect::<Result<_, _>>()?,
        })
    }

    fn to_value(&self) -> Value {
        let [key_ids, threshold] = self.keys.members();
        let mut members = vec![key_ids, threshold, ("name", self.name.as_str().into())];
        if !self.paths.is_empty() {
            // Go leaves the field out when there are none.
            members.push(("paths", Value::List(self.paths.iter().map(|path| path.as_str().into()).collect())));
        }
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_under_its_own_algorithm() {
        let sha256 = Digest::sha256_of(b"image");
        let target = Target::image(sha256, 5);
        assert_eq!((target.digest(), target.names(&sha256)), (Some(sha256), true));
        let sha512 = Digest::of(DigestAlgorithm::Sha512, b"image");
        let target = Target::image(sha512, 5);
        assert_eq!((target.digest(), target.names(&sha512)), (None, true));
    }
}
