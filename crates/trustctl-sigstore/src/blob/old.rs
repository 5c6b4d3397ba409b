//! Cosign's JSON form for files before the Sigstore bundle: `cosign sign-blob --bundle` of cosign 2.
//!
//! Source: cosign 2.5.0, `pkg/cosign` (`LocalSignedPayload`); `cert` is PEM, or base64 of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::format::{Text, decode, read};
use crate::keyless::{Fault, legacy};

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow, rename = "base64Signature")]
    signature: Text<'a>,
    #[serde(borrow, default)]
    cert: Option<Text<'a>>,
    #[serde(borrow, default, rename = "rekorBundle")]
    entry: Option<&'a RawValue>,
}

/// Only for telling the forms apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default, rename = "base64Signature")]
    signature: Option<&'a RawValue>,
}

/// The bundle that `bytes` are, or that says the same as cosign's older form.
///
/// # Errors
/// [`Fault`] with [`trustctl_core::reason::Code::CosignMalformed`] when it is the older form and a part of it is not of its form.
pub fn as_bundle(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let malformed = |error: crate::format::FormatError| Fault::malformed(error.to_string());
    if read::<Probe<'_>>(bytes, "the bundle").is_ok_and(|probe| probe.signature.is_none()) {
        return Ok(Cow::Borrowed(bytes));
    }
    let form: Form<'_> = read(bytes, "the bundle").map_err(malformed)?;
    let signature = decode(form.signature.as_str(), "the signature").map_err(malformed)?;
    let certificate = match form.cert.as_ref().map(Text::as_str).filter(|text| !text.is_empty()) {
        None => None,
        Some(pem) if pem.trim_start().starts_with("-----") => Some(pem.to_owned()),
        Some(encoded) => {
            let pem = String::from_utf8(decode(encoded, "the certificate").map_err(malformed)?);
            Some(pem.map_err(|_| Fault::malformed("the certificate is not PEM"))?)
        }
    };
    let entry = form.entry.map(RawValue::get).filter(|text| *text != "null");
    legacy::bundle_of_parts(certificate.as_deref(), entry, &signature).map(Cow::Owned)
}
