//! Sigstore bundles, version 0.1 to 0.3.
//!
//! Source: sigstore protobuf-specs `sigstore_bundle.proto` (JSON form). Unknown fields are ignored, int64 may be a string, and
//! zeros may be left out. A version that is not known may mean something else, and is refused.

use serde::{Deserialize, Serialize};
use trustctl_core::claim::{Claimed, LogEntry};
use trustctl_core::public_key::Hash;

use crate::dsse::{Envelope, EnvelopeForm};
use crate::format::{Bounded, Count, FormatError, Text, decode, encode, json, read};
use crate::limits::{MAX_LOG_ENTRIES, MAX_TIMESTAMPS};
use crate::log::BundleEntry;

/// The media type that cosign 3 and this program write.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MEDIA_TYPES: [(&str, Version); 4] = [
    ("application/vnd.dev.sigstore.bundle+json;version=0.1", Version::V01),
    ("application/vnd.dev.sigstore.bundle+json;version=0.2", Version::V02),
    ("application/vnd.dev.sigstore.bundle+json;version=0.3", Version::V03),
    (MEDIA_TYPE, Version::V03),
];
const WHAT: &str = "the bundle";
/// How the hashes of message digests are called: `sigstore_common.proto`, `HashAlgorithm`.
const HASHES: [(&str, Hash); 3] = [("SHA2_256", Hash::Sha256), ("SHA2_384", Hash::Sha384), ("SHA2_512", Hash::Sha512)];

/// The versions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1
    V01,
    /// 0.2
    V02,
    /// 0.3
    V03,
}

/// A bundle. Nothing in it has been checked.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its version.
    pub version: Version,
    /// What was signed.
    pub content: Content,
    /// With what it says it was signed.
    pub material: Material,
    /// Its log entries, as claimed.
    pub log_entries: Vec<Claimed<LogEntry>>,
    /// How many signed timestamps it carries.
    pub timestamps: usize,
}

/// What a bundle signs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// A DSSE envelope.
    Envelope(Envelope),
    /// A signature over a file; says nothing about images.
    Message(MessageSignature),
}

/// A signature over a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSignature {
    /// The digest that comes along, for finding the file. Nobody has signed it as such.
    pub digest: Option<MessageDigest>,
    /// The signature over the file's bytes.
    pub signature: Vec<u8>,
}

/// The digest that a message signature names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDigest {
    /// The algorithm; `None` for one that this program does not know.
    pub algorithm: Option<Hash>,
    /// The hash.
    pub bytes: Vec<u8>,
}

/// With what a bundle says it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Material {
    /// A certificate, leaf first; DER.
    Certificate(Vec<Vec<u8>>),
    /// A key, with a hint which one (base64 of the SHA-256 of its SPKI, as Cosign writes it).
    Key {
        /// The hint; empty when there is none.
        hint: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow)]
    media_type: Text<'a>,
    #[serde(borrow)]
    verification_material: MaterialForm<'a>,
    #[serde(borrow, default)]
    dsse_envelope: Option<EnvelopeForm<'a>>,
    #[serde(borrow, default)]
    message_signature: Option<MessageForm<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageForm<'a> {
    #[serde(borrow, default)]
    message_digest: Option<DigestForm<'a>>,
    #[serde(borrow)]
    signature: Text<'a>,
}

#[derive(Deserialize)]
struct DigestForm<'a> {
    #[serde(borrow, default)]
    algorithm: Option<Text<'a>>,
    #[serde(borrow, default)]
    digest: Option<Text<'a>>,
}

impl TryFrom<MessageForm<'_>> for MessageSignature {
    type Error = FormatError;

    fn try_from(form: MessageForm<'_>) -> Result<Self, FormatError> {
        let digest = form.message_digest.map(|digest| {
            let algorithm = digest.algorithm.as_ref().map_or("", |name| name.as_str());
            Ok(MessageDigest {
                algorithm: HASHES.iter().find(|(name, _)| *name == algorithm).map(|(_, hash)| *hash),
                bytes: decode(digest.digest.as_ref().map_or("", |text| text.as_str()), "the message digest")?,
            })
        });
        Ok(Self { digest: digest.transpose()?, signature: decode(form.signature.as_str(), "the signature")? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MaterialForm<'a> {
    #[serde(borrow, default)]
    public_key: Option<KeyForm<'a>>,
    #[serde(borrow, default)]
    certificate: Option<CertificateForm<'a>>,
    #[serde(borrow, default)]
    x509_certificate_chain: Option<ChainForm<'a>>,
    #[serde(borrow, default)]
    tlog_entries: Option<Bounded<BundleEntry<'a>, MAX_LOG_ENTRIES>>,
    #[serde(default)]
    timestamp_verification_data: Option<TimestampForm>,
}

#[derive(Deserialize)]
struct KeyForm<'a> {
    #[serde(borrow, default)]
    hint: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateForm<'a> {
    #[serde(borrow)]
    raw_bytes: Text<'a>,
}

#[derive(Deserialize)]
struct ChainForm<'a> {
    #[serde(borrow)]
    certificates: Bounded<CertificateForm<'a>, MAX_CHAIN>,
}

#[derive(Deserialize)]
struct TimestampForm {
    #[serde(default, rename = "rfc3161Timestamps")]
    rfc3161_timestamps: Option<Count>,
}

/// Most certificates in a chain.
const MAX_CHAIN: usize = 8;

/// The version behind a media type; `None` when it is no bundle that is read.
#[must_use]
pub fn version_of(media_type: &str) -> Option<Version> {
    MEDIA_TYPES.iter().find(|(known, _)| *known == media_type).map(|(_, version)| *version)
}

/// Whether a media type is that of a bundle, of whatever version.
#[must_use]
pub fn is_bundle_type(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are not a bundle of a known version, or go beyond [`MAX_LOG_ENTRIES`] or
    /// [`MAX_TIMESTAMPS`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let form: Form<'_> = read(bytes, WHAT)?;
        let media_type = form.media_type.as_str();
        let version = version_of(media_type)
            .ok_or_else(|| FormatError::Unsupported { what: "bundle version", found: media_type.to_owned() })?;
        let content = match (form.dsse_envelope, form.message_signature) {
            (Some(envelope), None) => Content::Envelope(envelope.try_into()?),
            (None, Some(message)) => Content::Message(message.try_into()?),
            (None, None) => return Err(FormatError::NotOne { what: "content of the bundle", count: 0 }),
            (Some(_), Some(_)) => return Err(FormatError::NotOne { what: "content of the bundle", count: 2 }),
        };
        let stamps = form.verification_material.timestamp_verification_data.as_ref();
        let Count(timestamps) = stamps.and_then(|data| data.rfc3161_timestamps).unwrap_or_default();
        if timestamps > MAX_TIMESTAMPS {
            return Err(FormatError::TooMany { what: "timestamps", count: timestamps, limit: MAX_TIMESTAMPS });
        }
        let entries = form.verification_material.tlog_entries.as_ref().map_or(&[][..], |entries| &entries.0);
        let log_entries = entries.iter().map(BundleEntry::claimed).collect::<Result<_, _>>()?;
        Ok(Self { version, content, material: form.verification_material.material(version)?, log_entries, timestamps })
    }

    /// The bundle that Cosign writes around an envelope signed by a key, byte for byte. `hint` is
    /// [`trustctl_core::public_key::PublicKey::hint`].
    #[must_use]
    pub fn build(envelope: &Envelope, hint: &str) -> Vec<u8> {
        json(&Written {
            media_type: MEDIA_TYPE,
            verification_material: WrittenMaterial { public_key: WrittenKey { hint } },
            dsse_envelope: envelope.written(),
        })
        .into_bytes()
    }

    /// The bundle that `cosign sign-blob` writes for a file whose hash by `hash` is `digest`, signed by a key.
    #[must_use]
    pub fn build_message(hash: Hash, digest: &[u8], signature: &[u8], hint: &str) -> Vec<u8> {
        let algorithm = HASHES.iter().find(|(_, known)| *known == hash).map_or("", |(name, _)| *name);
        json(&WrittenMessage {
            media_type: MEDIA_TYPE,
            verification_material: WrittenMaterial { public_key: WrittenKey { hint } },
            message_signature: WrittenSignature {
                message_digest: WrittenDigest { algorithm, digest: encode(digest) },
                signature: encode(signature),
            },
        })
        .into_bytes()
    }
}

impl MaterialForm<'_> {
    /// Exactly one of key, certificate and (before 0.3) chain.
    fn material(&self, version: Version) -> Result<Material, FormatError> {
        let certificate = |form: &CertificateForm<'_>| decode(form.raw_bytes.as_str(), "the certificate");
        match (&self.public_key, &self.certificate, &self.x509_certificate_chain) {
            (Some(key), None, None) => {
                let hint = key.hint.as_ref().map(|hint| hint.as_str().to_owned()).unwrap_or_default();
                Ok(Material::Key { hint })
            }
            (None, Some(leaf), None) => Ok(Material::Certificate(vec![certificate(leaf)?])),
            (None, None, Some(_)) if version >= Version::V03 => {
                Err(FormatError::Unsupported { what: "key material in this version", found: "x509CertificateChain".to_owned() })
            }
            (None, None, Some(chain)) if !chain.certificates.0.is_empty() => {
                Ok(Material::Certificate(chain.certificates.0.iter().map(certificate).collect::<Result<_, _>>()?))
            }
            (None, None, Some(chain)) => Err(FormatError::NotOne { what: "leaf certificate", count: chain.certificates.0.len() }),
            (key, leaf, chain) => {
                let count = usize::from(key.is_some()) + usize::from(leaf.is_some()) + usize::from(chain.is_some());
                Err(FormatError::NotOne { what: "key material of the bundle", count })
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a, E: Serialize> {
    media_type: &'static str,
    verification_material: WrittenMaterial<'a>,
    dsse_envelope: E,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMessage<'a> {
    media_type: &'static str,
    verification_material: WrittenMaterial<'a>,
    message_signature: WrittenSignature<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSignature<'a> {
    message_digest: WrittenDigest<'a>,
    signature: String,
}

#[derive(Serialize)]
struct WrittenDigest<'a> {
    algorithm: &'a str,
    digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial<'a> {
    public_key: WrittenKey<'a>,
}

#[derive(Serialize)]
struct WrittenKey<'a> {
    hint: &'a str,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::dsse::IN_TOTO;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        Envelope { payload_type: IN_TOTO.to_owned(), payload: b"{}".to_vec(), signature: vec![0x30, 0x00] }
    }

    fn written() -> String {
        String::from_utf8(Bundle::build(&envelope(), "3WvCXuk/AimPXAbQzKUTpbNhT7TuMvM4FKv4dwPdKe4=")).unwrap()
    }

    #[test]
    fn the_bundle_is_cosigns_byte_for_byte() {
        let expected = concat!(
            r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","#,
            r#""verificationMaterial":{"publicKey":{"hint":"3WvCXuk/AimPXAbQzKUTpbNhT7TuMvM4FKv4dwPdKe4="}},"#,
            r#""dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MAA="}]}}"#,
        );
        assert_eq!(written(), expected);
        let bundle = Bundle::parse(written().as_bytes()).unwrap();
        assert_eq!(bundle.content, Content::Envelope(envelope()));
        assert_eq!(bundle.material, Material::Key { hint: "3WvCXuk/AimPXAbQzKUTpbNhT7TuMvM4FKv4dwPdKe4=".to_owned() });
    }

    #[test]
    fn known_versions_are_read_and_later_ones_refused() {
        for (media_type, version) in MEDIA_TYPES {
            let text = written().replace(MEDIA_TYPE, media_type);
            assert_eq!(Bundle::parse(text.as_bytes()).unwrap().version, version);
        }
        for later in ["application/vnd.dev.sigstore.bundle.v0.4+json", "application/vnd.dev.sigstore.bundle+json;version=0.4", ""]
        {
            let text = written().replace(MEDIA_TYPE, later);
            assert!(matches!(Bundle::parse(text.as_bytes()), Err(FormatError::Unsupported { .. })), "{later}");
        }
    }

    fn material(json: &str) -> String {
        written().replace(r#"{"publicKey":{"hint":"3WvCXuk/AimPXAbQzKUTpbNhT7TuMvM4FKv4dwPdKe4="}}"#, json)
    }

    #[test]
    fn key_material_is_exactly_one() {
        let certificate = r#"{"certificate":{"rawBytes":"AA=="}}"#;
        assert_eq!(Bundle::parse(material(certificate).as_bytes()).unwrap().material, Material::Certificate(vec![vec![0]]));
        let chain = material(r#"{"x509CertificateChain":{"certificates":[{"rawBytes":"AA=="}]}}"#);
        assert!(matches!(Bundle::parse(chain.as_bytes()), Err(FormatError::Unsupported { .. })));
        let old = chain.replace(MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.2");
        assert!(Bundle::parse(old.as_bytes()).is_ok());
        for (json, count) in [("{}", 0), (r#"{"publicKey":{},"certificate":{"rawBytes":""}}"#, 2)] {
            let error = Bundle::parse(material(json).as_bytes()).unwrap_err();
            assert_eq!(error, FormatError::NotOne { what: "key material of the bundle", count });
        }
    }

    #[test]
    fn log_entries_and_timestamps_are_counted_and_limited() {
        let with = |entries: usize, stamps: usize| {
            let entry = r#"{"logIndex":"9","logId":{"keyId":"AQ=="},"integratedTime":"5","unknown":[]}"#;
            let entries = vec![entry; entries].join(",");
            let stamps = vec![r#"{"signedTimestamp":"AA=="}"#; stamps].join(",");
            material(&format!(
                r#"{{"publicKey":{{}},"tlogEntries":[{entries}],"timestampVerificationData":{{"rfc3161Timestamps":[{stamps}]}}}}"#
            ))
        };
        let bundle = Bundle::parse(with(2, 32).as_bytes()).unwrap();
        assert_eq!(bundle.timestamps, 32);
        assert_eq!(
            *bundle.log_entries.first().unwrap().peek(),
            LogEntry { log_id: "01".to_owned(), index: 9, integrated_time: 5 }
        );
        assert!(matches!(Bundle::parse(with(33, 0).as_bytes()), Err(FormatError::Json { .. })));
        assert!(matches!(Bundle::parse(with(0, 33).as_bytes()), Err(FormatError::TooMany { count: 33, .. })));
        let without_zeros = material(r#"{"publicKey":{},"tlogEntries":[{}]}"#);
        assert_eq!(Bundle::parse(without_zeros.as_bytes()).unwrap().log_entries.len(), 1);
    }

    #[test]
    fn a_field_that_occurs_twice_is_refused() {
        let twice = written().replace("\"dsseEnvelope\":", "\"dsseEnvelope\":null,\"dsseEnvelope\":");
        assert!(matches!(Bundle::parse(twice.as_bytes()), Err(FormatError::Json { .. })));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Bundle::parse(&bytes);
        }

        #[test]
        fn a_damaged_bundle_never_panics(at in 0..300_usize, byte in any::<u8>()) {
            let mut bytes = written().into_bytes();
            let length = bytes.len();
            if let Some(slot) = bytes.get_mut(at % length) {
                *slot = byte;
            }
            let _ = Bundle::parse(&bytes);
        }
    }
}
