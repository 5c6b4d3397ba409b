//! What a certificate says of who signed. Read only after its chain was verified; still, nothing in it is guessed.

use std::collections::BTreeMap;

use der::asn1::Utf8StringRef;
use der::oid::ObjectIdentifier;
use der::{Decode as _, Tagged as _};
use trustctl_core::claim::CERTIFICATE_CLAIMS;
use trustctl_core::reason::Code;
use x509_cert::Certificate as X509;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};

use super::fault::Fault;

/// The arc of Fulcio's extensions.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// The kind of name that a user name has which is neither an address nor a URI.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
/// From this number on, Fulcio's extensions are DER; below, bare text.
const FIRST_DER: u32 = 8;

/// Who a certificate was issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The one subject alternative name: an address, a URI, a host name, or a user name.
    pub identity: String,
    /// The OIDC issuer; empty in a certificate that names none, as private authorities issue them.
    pub issuer: String,
    /// Every extension that says who signed, by the names of [`CERTIFICATE_CLAIMS`].
    pub claims: BTreeMap<String, String>,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::CosignMalformed`] when it does not have exactly one name, or an extension that is known occurs twice or is
    /// not of its form.
    pub fn from_der(der: &[u8]) -> Result<Self, Fault> {
        Self::of(&read(der)?)
    }

    pub(super) fn of(certificate: &X509) -> Result<Self, Fault> {
        let [identity] = names(certificate)?.try_into().map_err(|all: Vec<String>| {
            // With two, it would depend on the reader which one counts.
            Fault::malformed(format!("the certificate has {} names, not one", all.len()))
        })?;
        Self::with_name(certificate, identity)
    }

    /// What the certificate says beside its names, one of which is `identity`.
    pub(super) fn with_name(certificate: &X509, identity: String) -> Result<Self, Fault> {
        let mut claims = BTreeMap::new();
        for extension in certificate.tbs_certificate.extensions.iter().flatten() {
            let Some((number, name)) = known(extension) else { continue };
            if claims.insert(name.to_owned(), value(number, extension)?).is_some() {
                return Err(Fault::malformed(format!("the certificate says twice what its {name} is")));
            }
        }
        let issuer = claims.get("issuer").or_else(|| claims.get("issuer-v1")).cloned().unwrap_or_default();
        Ok(Self { identity, issuer, claims })
    }
}

/// DER of the certificates in PEM text, at least one and at most 64.
///
/// # Errors
/// [`Fault`] with [`Code::AnchorUnusable`] when there is none, more than are read, or something else beside them.
pub fn of_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    const MOST: usize = 64;
    let unusable = |words: &str| Fault::new(Code::AnchorUnusable, words);
    let blocks = pem::parse_many(text).map_err(|error| Fault::new(Code::AnchorUnusable, error.to_string()))?;
    match blocks.len() {
        0 => return Err(unusable("it holds no PEM certificate")),
        count if count > MOST => return Err(unusable("it holds more than 64 certificates")),
        _ => {}
    }
    if blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
        return Err(unusable("it holds something else than certificates"));
    }
    Ok(blocks.into_iter().map(pem::Pem::into_contents).collect())
}

pub(super) fn read(der: &[u8]) -> Result<X509, Fault> {
    X509::from_der(der).map_err(|error| Fault::malformed(format!("the certificate: {error}")))
}

/// The number and name of an extension that says who signed.
fn known(extension: &Extension) -> Option<(u32, &'static str)> {
    // A last arc below 128 is one byte (X.690, section 8.19.2); none that is known has more.
    let [number] = extension.extn_id.as_bytes().strip_prefix(FULCIO.as_bytes())? else { return None };
    CERTIFICATE_CLAIMS.iter().copied().find(|(known, _)| *known == u32::from(*number))
}

fn value(number: u32, extension: &Extension) -> Result<String, Fault> {
    let bytes = extension.extn_value.as_bytes();
    let malformed = || Fault::malformed(format!("extension {} of the certificate is not text", extension.extn_id));
    if number >= FIRST_DER {
        return Utf8StringRef::from_der(bytes).map(|text| text.as_str().to_owned()).map_err(|_| malformed());
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed())
}

/// The subject alternative names, each readable.
pub(super) fn names(certificate: &X509) -> Result<Vec<String>, Fault> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>();
    let names = names.map_err(|error| Fault::malformed(format!("the names in the certificate: {error}")))?;
    let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    names.iter().map(name).collect()
}

/// The subject alternative names that can be read; the others are passed over.
pub(super) fn readable_names(certificate: &X509) -> Vec<String> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    names.iter().filter_map(|one| name(one).ok()).collect()
}

fn name(name: &GeneralName) -> Result<String, Fault> {
    let text = match name {
        GeneralName::DnsName(text) => text.to_string(),
        GeneralName::OtherName(other) => user_name(other)?,
        GeneralName::Rfc822Name(text) => text.to_string(),
        GeneralName::UniformResourceIdentifier(text) => text.to_string(),
        _ => return Err(Fault::new(Code::CosignMalformed, "the certificate has a name of a kind that is not read")),
    };
    if text.is_empty() { Err(Fault::malformed("a name in the certificate is empty")) } else { Ok(text) }
}

fn user_name(other: &OtherName) -> Result<String, Fault> {
    let text = other.value.decode_as::<Utf8StringRef<'_>>().ok().filter(|_| other.type_id == USER_NAME);
    text.map(|text| text.as_str().to_owned()).ok_or_else(|| {
        let words = format!("the certificate has a name of kind {} ({}), which is not read", other.type_id, other.value.tag());
        Fault::malformed(words)
    })
}
