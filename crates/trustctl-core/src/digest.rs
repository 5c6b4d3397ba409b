//! Content digests as OCI writes them: `sha256:<hex>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The hash functions a digest may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256 (FIPS 180-4), written `sha256`.
    Sha256,
    /// SHA-512 (FIPS 180-4), written `sha512`.
    Sha512,
}

impl DigestAlgorithm {
    /// The name before the colon, as in the OCI image specification, "Registered algorithms".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

/// The digest of some bytes: an algorithm this program knows and exactly as many bytes as it yields.
///
/// Parsed and printed as `algorithm:lower-case-hex` (OCI image specification, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Value);

impl Digest {
    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn sha256_of(bytes: &[u8]) -> Self {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        Self::from_slice(DigestAlgorithm::Sha256, hash.as_ref()).unwrap_or(Self(Value::Sha256([0; 32])))
    }

    /// The digest of `bytes` by `algorithm`.
    #[must_use]
    pub fn of(algorithm: DigestAlgorithm, bytes: &[u8]) -> Self {
        match algorithm {
            DigestAlgorithm::Sha256 => Self::sha256_of(bytes),
            DigestAlgorithm::Sha512 => {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes);
                Self::from_slice(algorithm, hash.as_ref()).unwrap_or(Self(Value::Sha512([0; 64])))
            }
        }
    }

    /// A digest from raw hash bytes; `None` when the length is not the algorithm's.
    #[must_use]
    pub fn from_slice(algorithm: DigestAlgorithm, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            DigestAlgorithm::Sha256 => bytes.try_into().ok().map(|value| Self(Value::Sha256(value))),
            DigestAlgorithm::Sha512 => bytes.try_into().ok().map(|value| Self(Value::Sha512(value))),
        }
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.0 {
            Value::Sha256(_) => DigestAlgorithm::Sha256,
            Value::Sha512(_) => DigestAlgorithm::Sha512,
        }
    }

    /// The raw hash: 32 bytes for SHA-256, 64 for SHA-512.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Value::Sha256(bytes) => bytes,
            Value::Sha512(bytes) => bytes,
        }
    }

    /// The hash in lower-case hexadecimal, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// Whether `bytes` hash to this digest.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm(), bytes) == *self
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no colon between algorithm and value.
    #[error("a digest is written algorithm:hex")]
    NoSeparator,
    /// The algorithm is not one this program can check.
    #[error("unsupported digest algorithm (sha256 and sha512 are)")]
    UnknownAlgorithm,
    /// The value is not lower-case hexadecimal of the algorithm's length.
    #[error("the value is not the algorithm's number of lower-case hexadecimal digits")]
    BadValue,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, value) = text.split_once(':').ok_or(DigestError::NoSeparator)?;
        let algorithm = match name {
            "sha256" => DigestAlgorithm::Sha256,
            "sha512" => DigestAlgorithm::Sha512,
            _ => return Err(DigestError::UnknownAlgorithm),
        };
        if value.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(DigestError::BadValue);
        }
        let bytes = hex::decode(value).map_err(|_| DigestError::BadValue)?;
        Self::from_slice(algorithm, &bytes).ok_or(DigestError::BadValue)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_of_nothing_is_the_known_value() {
        assert_eq!(Digest::sha256_of(b"").to_string(), EMPTY);
        assert!(EMPTY.parse::<Digest>().unwrap().matches(b""));
        assert!(!EMPTY.parse::<Digest>().unwrap().matches(b"x"));
    }

    #[test]
    fn malformed_digests_are_refused_with_the_reason() {
        assert_eq!("abc".parse::<Digest>(), Err(DigestError::NoSeparator));
        assert_eq!("md5:abcd".parse::<Digest>(), Err(DigestError::UnknownAlgorithm));
        assert_eq!("sha256:abcd".parse::<Digest>(), Err(DigestError::BadValue));
        assert_eq!(EMPTY.to_uppercase().replace("SHA", "sha").parse::<Digest>(), Err(DigestError::BadValue));
    }
}
