//! The envelope around every file: `{"signed":…,"signatures":[{"keyid","method","sig"}]}`.
//!
//! Signed is the canonical form of `signed`, whatever the wire looks like. A signature counts when its key id is one of the
//! role's, the key listed under that id is the one it names, and the key verifies it. Each public key counts once, by its
//! SubjectPublicKeyInfo: a role may list the same key bare and in certificates, under as many ids.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};

use super::RoleKeys;
use super::fields::Fields;
use crate::canonical_json::Value;
use crate::error::{DctError, Malformed};
use crate::key::{Key, KeyId};

/// Most signatures that are read from one file, each of which may have to be tried. Real files have one or two, and a root those of
/// the role's keys before and after a rotation.
pub const MAX_SIGNATURES: usize = 64;

/// How a signature is made; written in lower case, compared in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `ecdsa`: SHA-256 whatever the curve, `r || s` each padded to the curve's length.
    Ecdsa,
    /// `eddsa`: Ed25519.
    EdDsa,
    /// `rsapkcs1v15`: RSASSA-PKCS1-v1_5 with SHA-256; verified, never made.
    RsaPkcs1,
    /// `rsapss`: RSASSA-PSS with SHA-256, MGF1 of the same and a salt of 32 bytes. `pycrypto-pkcs#1 pss` is its old name.
    RsaPss,
    /// A method this program does not know; such signatures do not count.
    Unknown,
}

impl Method {
    /// The method that keys of `kind` sign with.
    #[must_use]
    pub fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Ed25519 => Self::EdDsa,
            KeyKind::Rsa => Self::RsaPss,
            _ => Self::Ecdsa,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::EdDsa => "eddsa",
            Self::RsaPkcs1 => "rsapkcs1v15",
            Self::RsaPss => "rsapss",
            Self::Unknown => "unknown",
        }
    }

    fn of_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "ecdsa" => Self::Ecdsa,
            "eddsa" => Self::EdDsa,
            "rsapkcs1v15" => Self::RsaPkcs1,
            "rsapss" | "pycrypto-pkcs#1 pss" => Self::RsaPss,
            _ => Self::Unknown,
        }
    }

    fn scheme(self) -> Option<SignatureScheme> {
        match self {
            Self::Ecdsa => Some(SignatureScheme::EcdsaFixed(Hash::Sha256)),
            Self::EdDsa => Some(SignatureScheme::Ed25519),
            Self::RsaPkcs1 => Some(SignatureScheme::RsaPkcs1(Hash::Sha256)),
            Self::RsaPss => Some(SignatureScheme::RsaPss(Hash::Sha256)),
            Self::Unknown => None,
        }
    }
}

/// One signature, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The TUF id of the key it claims to be made with.
    pub key_id: KeyId,
    /// How it was made.
    pub method: Method,
    /// The signature itself.
    pub bytes: Vec<u8>,
}

/// A file as received: the value that is signed, and signatures nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    signed: Value,
    signatures: Vec<Signature>,
}

/// The keys that signed a file, by TUF id, each with the fingerprint of its public key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers(BTreeMap<KeyId, String>);

/// A key of a role together with who can sign with it.
#[derive(Clone, Copy)]
pub struct KeyHolder<'a> {
    /// The key as the role lists it; in a certificate, where the role lists it so.
    pub key: &'a Key,
    /// Its holder.
    pub signer: &'a dyn Signer,
}

impl Envelope {
    /// The envelope that `bytes` hold.
    ///
    /// # Errors
    /// [`DctError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DctError> {
        let Value::Object(mut members) = Value::parse(bytes).map_err(Malformed::Json)? else {
            return Err(Malformed::Value { of: "file", field: "", expected: "an object" }.into());
        };
        let signed = members.remove("signed").ok_or(Malformed::Missing { of: "file", field: "signed" })?;
        let rest = Value::Object(members);
        let list = Fields::of(&rest, "file", &["signed", "signatures"])?.list("signatures")?;
        if list.len() > MAX_SIGNATURES {
            return Err(Malformed::TooMany { what: "signatures", limit: MAX_SIGNATURES }.into());
        }
        let signatures = list.iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Self { signed, signatures })
    }

    /// An envelope with a signature by each holder, in the bytes Notary would put on the wire.
    ///
    /// # Errors
    /// [`SignError`] of the first holder that fails.
    pub fn sign(signed: &Value, holders: &[KeyHolder<'_>]) -> Result<Vec<u8>, SignError> {
        let message = signed.canonical();
        let mut signatures = Vec::new();
        for holder in holders {
            let method = Method::of(holder.signer.public_key().kind());
            let scheme = method.scheme().ok_or(SignError::Unsupported { key: holder.signer.public_key().kind().name() })?;
            let signature = holder.signer.sign(scheme, &message)?;
            signatures.push(Signature { key_id: holder.key.id().clone(), method, bytes: signature });
        }
        Ok(Self::seal(signed, &signatures))
    }

    /// The wire bytes of `signed` with these signatures: Go writes `signed` before `signatures`, each compact.
    #[must_use]
    pub fn seal(signed: &Value, signatures: &[Signature]) -> Vec<u8> {
        let list = signatures.iter().map(|signature| {
            Value::object([
                ("keyid", signature.key_id.as_str().into()),
                ("method", signature.method.name().into()),
                ("sig", STANDARD.encode(&signature.bytes).into()),
            ])
        });
        let mut bytes = b"{\"signed\":".to_vec();
        bytes.extend_from_slice(&signed.wire());
        bytes.extend_from_slice(b",\"signatures\":");
        bytes.extend_from_slice(&Value::List(list.collect()).wire());
        bytes.push(b'}');
        bytes
    }

    /// The value that is signed.
    #[must_use]
    pub fn signed(&self) -> &Value {
        &self.signed
    }

    /// The signatures, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks that enough keys of `role` signed, looking them up in `keys`; returns those that did.
    ///
    /// # Errors
    /// [`DctError::BadSignature`] when fewer distinct public keys signed than the threshold asks for.
    pub fn verify(&self, role: &RoleKeys, keys: &BTreeMap<KeyId, Key>) -> Result<Signers, DctError> {
        let signers = self.signers(&role.key_ids, keys);
        let valid = signers.count();
        if valid < role.threshold.get() {
            return Err(DctError::BadSignature { valid, threshold: role.threshold.get() });
        }
        Ok(signers)
    }

    /// Those of `ids` whose key, looked up in `keys`, made one of the signatures.
    pub(crate) fn signers(&self, ids: &[KeyId], keys: &BTreeMap<KeyId, Key>) -> Signers {
        let mut signers = Signers::default();
        let mut message = None;
        for signature in &self.signatures {
            let id = &signature.key_id;
            if signers.0.contains_key(id) || !ids.contains(id) {
                continue;
            }
            let (Some(key), Some(scheme)) = (keys.get(id), signature.method.scheme()) else { continue };
            let Ok(key) = key.public_key() else { continue };
            let message = message.get_or_insert_with(|| self.signed.canonical());
            if key.verify(scheme, message, &signature.bytes).is_ok() {
                signers.0.insert(id.clone(), key.fingerprint());
            }
        }
        signers
    }
}

impl Signers {
    /// The TUF ids of the keys, as the role lists them, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.keys()
    }

    /// The fingerprints of the public keys (hexadecimal SHA-256 of SubjectPublicKeyInfo), each once, sorted.
    #[must_use]
    pub fn fingerprints(&self) -> BTreeSet<&str> {
        self.0.values().map(String::as_str).collect()
    }

    /// How many public keys there are: what a threshold counts.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.fingerprints().len()).unwrap_or(u32::MAX)
    }
}

fn signature(value: &Value) -> Result<Signature, Malformed> {
    let fields = Fields::of(value, "signature", &["keyid", "method", "sig"])?;
    let key_id = fields.text("keyid")?.parse().map_err(|_| fields.wrong("keyid", "a key id"))?;
    let bytes = STANDARD.decode(fields.text("sig")?).map_err(|_| fields.wrong("sig", "base64"))?;
    Ok(Signature { key_id, method: Method::of_name(fields.text("method")?), bytes })
}
