//! The metadata files of a collection: read strictly, written as Notary writes them (Notary, `tuf/data`; a dialect of the TUF
//! specification 1.0, section 4).
//!
//! Field names are exact and lower-case, unknown fields are ignored, `delegations` may be missing and its lists `null`.
//! Reading proves nothing: signatures, versions, dates and hashes are judged in [`crate::collection`].

pub mod envelope;
pub(crate) mod fields;
pub mod root;
pub mod snapshot;
pub mod targets;
pub mod timestamp;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::time::Timestamp as Time;

use crate::canonical_json::Value;
use crate::error::{DctError, Malformed};
use crate::key::{Key, KeyId};
use fields::Fields;

/// Longest `timestamp.json` that is read, in bytes; nothing declares its length, and real ones have under 1 KiB.
pub const MAX_TIMESTAMP: u64 = 1024 * 1024;
/// Longest of any other file, in bytes, whatever its parent declares (Notary's own cap).
pub const MAX_FILE: u64 = 100 * 1024 * 1024;
/// Most keys in the file of a role that signs tags, most key ids of a delegation, most delegations in one file.
pub const MAX_KEYS: usize = 1024;
/// Most keys in a root: certificates of earlier root keys stay listed, one a rotation.
pub const MAX_ROOT_KEYS: usize = 256;
/// Most keys of each role in a root. Real ones have a handful; every certificate of every root is read, and there may be many
/// roots between what is trusted and the current one.
pub const MAX_ROLE_KEYS: usize = 64;

/// A file of a collection, inside its envelope.
pub trait Document: Sized {
    /// The value of `_type`.
    const TYPE: &'static str;

    /// The document that the `signed` part of an envelope holds.
    ///
    /// # Errors
    /// [`DctError::Malformed`], or [`DctError::KeyIdMismatch`] when a key is listed under an id that is not its own.
    fn from_signed(signed: &Value) -> Result<Self, DctError>;

    /// The `signed` part to put into an envelope.
    fn to_signed(&self) -> Value;

    /// The version, at least 1.
    fn version(&self) -> u64;

    /// The end date.
    fn expires(&self) -> &Expiry;
}

/// An end date, with the text it was read from: what is signed is the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    text: String,
    time: Time,
}

impl Expiry {
    /// An end date at `time`, written in whole seconds of UTC.
    #[must_use]
    pub fn at(time: Time) -> Self {
        Self { text: time.to_string(), time }
    }

    /// The point in time.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }
}

/// A text that is not an end date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time with zone, as RFC 3339 writes them")]
pub struct ExpiryError;

impl FromStr for Expiry {
    type Err = ExpiryError;

    /// Reads Go's RFC3339Nano: 0 to 9 fraction digits, `Z` or an offset.
    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        let upright = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ+".contains(&byte));
        let complete = text.get(10..11) == Some("T") && text.get(19..).is_some_and(|rest| rest.contains(['Z', '+', '-']));
        if !upright || !complete || text.len() > 35 {
            return Err(ExpiryError);
        }
        let time = text.parse().map_err(|_| ExpiryError)?;
        Ok(Self { text: text.to_owned(), time })
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The keys of a role, and how many of them have to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleKeys {
    /// Ids of the keys.
    pub key_ids: Vec<KeyId>,
    /// How many distinct keys have to sign.
    pub threshold: NonZeroU32,
}

impl RoleKeys {
    /// A role for which one signature by any of `key_ids` is enough: all that Notary's and Docker's commands ever make.
    #[must_use]
    pub fn any_of(key_ids: Vec<KeyId>) -> Self {
        Self { key_ids, threshold: NonZeroU32::MIN }
    }

    fn from_fields(role: Fields<'_>, limit: usize) -> Result<Self, Malformed> {
        let ids = role.list("keyids")?;
        if ids.len() > limit {
            return Err(Malformed::TooMany { what: "key ids in a role", limit });
        }
        let id =
            |value: &Value| value.as_text().and_then(|text| text.parse().ok()).ok_or(role.wrong("keyids", "a list of key ids"));
        let threshold = u32::try_from(role.number("threshold", 1)?).ok().and_then(NonZeroU32::new);
        Ok(Self {
            key_ids: ids.iter().map(id).collect::<Result<_, _>>()?,
            threshold: threshold.ok_or(role.wrong("threshold", "a whole number in its range"))?,
        })
    }

    fn members(&self) -> [(&'static str, Value); 2] {
        let ids = self.key_ids.iter().map(|id| id.as_str().into()).collect();
        [("keyids", Value::List(ids)), ("threshold", self.threshold.get().into())]
    }
}

/// What a signed parent says about a file: its hashes and length. SHA-256 is mandatory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// SHA-256 of the exact bytes.
    pub sha256: Digest,
    /// SHA-512 of the exact bytes, where it is named.
    pub sha512: Option<Digest>,
    /// The number of bytes.
    pub length: u64,
}

impl FileMeta {
    /// What a parent says about `bytes`, both hashes as Notary writes them.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Digest::sha256_of(bytes),
            sha512: Some(Digest::of(DigestAlgorithm::Sha512, bytes)),
            length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        }
    }

    /// Checks that `bytes` are the file: exact length, and every hash that is named.
    ///
    /// Stricter than Notary, which accepts fewer bytes than declared.
    ///
    /// # Errors
    /// [`DctError::WrongLength`] or [`DctError::HashMismatch`].
    pub fn check(&self, bytes: &[u8]) -> Result<(), DctError> {
        for expected in [Some(self.sha256), self.sha512].into_iter().flatten() {
            let found = Digest::of(expected.algorithm(), bytes);
            if found != expected {
                return Err(DctError::HashMismatch { expected, found });
            }
        }
        let actual = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if actual != self.length {
            return Err(DctError::WrongLength { declared: self.length, actual: Some(actual) });
        }
        Ok(())
    }

    fn from_value(value: &Value) -> Result<Self, Malformed> {
        let meta = Fields::of(value, "file", &["hashes", "length"])?;
        let hashes = Hashes::from_fields(meta)?;
        let sha256 = hashes.sha256.ok_or(meta.wrong("hashes", "an object with sha256"))?;
        Ok(Self { sha256, sha512: hashes.sha512, length: meta.number("length", 0)? })
    }

    fn to_value(&self) -> Value {
        let hashes = Hashes { sha256: Some(self.sha256), sha512: self.sha512 };
        Value::object([("hashes", hashes.to_value()), ("length", number(self.length))])
    }
}

/// The hashes named for something; at least one of them in anything that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Option<Digest>,
    /// SHA-512.
    pub sha512: Option<Digest>,
}

impl Hashes {
    fn from_fields(meta: Fields<'_>) -> Result<Self, Malformed> {
        let named = meta.map("hashes")?.ok_or(Malformed::Missing { of: "file", field: "hashes" })?;
        let hash = |algorithm: DigestAlgorithm| {
            let Some(value) = named.get(algorithm.name()) else { return Ok(None) };
            let bytes = value.as_text().and_then(|text| STANDARD.decode(text).ok());
            let digest = bytes.and_then(|bytes| Digest::from_slice(algorithm, &bytes));
            digest.map(Some).ok_or(meta.wrong("hashes", "an object of base64 hashes of the right length"))
        };
        let hashes = Self { sha256: hash(DigestAlgorithm::Sha256)?, sha512: hash(DigestAlgorithm::Sha512)? };
        if hashes.sha256.is_none() && hashes.sha512.is_none() {
            return Err(meta.wrong("hashes", "an object with sha256 or sha512"));
        }
        Ok(hashes)
    }

    fn to_value(&self) -> Value {
        let named = [self.sha256, self.sha512].into_iter().flatten();
        Value::Object(named.map(|hash| (hash.algorithm().name().to_owned(), STANDARD.encode(hash.as_bytes()).into())).collect())
    }
}

/// The keys of a file, each listed under its own id; at most `limit`.
fn read_keys(keys: Option<&BTreeMap<String, Value>>, limit: usize) -> Result<BTreeMap<KeyId, Key>, DctError> {
    let mut read = BTreeMap::new();
    for (listed, value) in keys.into_iter().flatten() {
        if read.len() >= limit {
            return Err(Malformed::TooMany { what: "keys", limit }.into());
        }
        let key = Key::from_value(value)?;
        if key.id().as_str() != listed {
            return Err(DctError::KeyIdMismatch { listed: listed.clone(), actual: key.id().to_string() });
        }
        read.insert(key.id().clone(), key);
    }
    Ok(read)
}

fn write_keys(keys: &BTreeMap<KeyId, Key>) -> Value {
    Value::Object(keys.iter().map(|(id, key)| (id.to_string(), key.to_value())).collect())
}

/// The members every `signed` part has.
fn common(signed: Fields<'_>, type_name: &str) -> Result<(u64, Expiry), DctError> {
    if signed.text("_type")? != type_name {
        return Err(signed.wrong("_type", "the type of this role, with a capital").into());
    }
    let expires = signed.text("expires")?.parse().map_err(|_| signed.wrong("expires", "a time as RFC 3339 writes it"))?;
    Ok((signed.number("version", 1)?, expires))
}

/// A number that metadata can hold. Lengths and versions stay far below the limit of 64 bits.
fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}
