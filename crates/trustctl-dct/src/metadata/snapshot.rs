//! `snapshot.json`: hash and length of root, targets and every delegation at one moment.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::{Document, Expiry, FileMeta, common, number};
use crate::canonical_json::Value;
use crate::error::{DctError, Malformed};
use crate::role::RoleName;

/// Most files that a snapshot may name.
pub const MAX_FILES: usize = 1024;

/// A snapshot document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its version, at least 1.
    pub version: u64,
    /// Its end date.
    pub expires: Expiry,
    /// The root file it belongs to.
    pub root: FileMeta,
    /// The targets file.
    pub targets: FileMeta,
    /// The files of the delegations.
    pub delegations: BTreeMap<RoleName, FileMeta>,
}

impl Document for Snapshot {
    const TYPE: &'static str = "Snapshot";

    /// Reads a snapshot. Names that are not a role's are ignored.
    fn from_signed(signed: &Value) -> Result<Self, DctError> {
        let fields = Fields::of(signed, "snapshot", &["_type", "expires", "meta", "version"])?;
        let (version, expires) = common(fields, Self::TYPE)?;
        let meta = Fields::of(fields.required("meta")?, "meta", &["root", "targets"])?;
        let (root, targets) = (FileMeta::from_value(meta.required("root")?)?, FileMeta::from_value(meta.required("targets")?)?);
        let mut delegations = BTreeMap::new();
        for (name, value) in fields.map("meta")?.into_iter().flatten() {
            let Some(role) = name.parse::<RoleName>().ok().filter(RoleName::is_delegation) else { continue };
            if delegations.len() >= MAX_FILES {
                return Err(Malformed::TooMany { what: "files in a snapshot", limit: MAX_FILES }.into());
            }
            delegations.insert(role, FileMeta::from_value(value)?);
        }
        Ok(Self { version, expires, root, targets, delegations })
    }

    fn to_signed(&self) -> Value {
        let mut meta: BTreeMap<String, Value> =
            self.delegations.iter().map(|(role, file)| (role.to_string(), file.to_value())).collect();
        meta.insert("root".to_owned(), self.root.to_value());
        meta.insert("targets".to_owned(), self.targets.to_value());
        Value::object([
            ("_type", Self::TYPE.into()),
            ("expires", self.expires.to_string().into()),
            ("meta", Value::Object(meta)),
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
