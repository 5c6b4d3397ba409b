//! `timestamp.json`: hash and length of the snapshot, signed anew by the server every two weeks.

use super::fields::Fields;
use super::{Document, Expiry, FileMeta, common, number};
use crate::canonical_json::Value;
use crate::error::DctError;

/// A timestamp document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Its version, at least 1.
    pub version: u64,
    /// Its end date.
    pub expires: Expiry,
    /// The snapshot that is current.
    pub snapshot: FileMeta,
}

impl Document for Timestamp {
    const TYPE: &'static str = "Timestamp";

    fn from_signed(signed: &Value) -> Result<Self, DctError> {
        let fields = Fields::of(signed, "timestamp", &["_type", "expires", "meta", "version"])?;
        let (version, expires) = common(fields, Self::TYPE)?;
        let meta = Fields::of(fields.required("meta")?, "meta", &["snapshot"])?;
        Ok(Self { version, expires, snapshot: FileMeta::from_value(meta.required("snapshot")?)? })
    }

    fn to_signed(&self) -> Value {
        Value::object([
            ("_type", Self::TYPE.into()),
            ("expires", self.expires.to_string().into()),
            ("meta", Value::object([("snapshot", self.snapshot.to_value())])),
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
