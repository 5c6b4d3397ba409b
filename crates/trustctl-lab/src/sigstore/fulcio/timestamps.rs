//! Signed certificate timestamps (RFC 6962, section 3), embedded in the certificate that they are about.

use der::Encode as _;
use der::asn1::{ObjectIdentifier, OctetString};
use trustctl_core::public_key::PublicKey;
use trustctl_core::time::Timestamp;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;

use crate::error::LabError;
use crate::sigstore::keys::{Key, sha256};

/// The extension with one timestamp by `log` over the certificate that `issuer` is about to sign.
pub(crate) fn promised(
    certificate: &TbsCertificate,
    issuer: &PublicKey,
    log: &Key,
    now: Timestamp,
) -> Result<Extension, LabError> {
    let milliseconds = u64::try_from(now.unix_seconds()).unwrap_or_default().saturating_mul(1000).to_be_bytes();
    let certificate = certificate.to_der()?;
    // Section 3.2: version 1, kind certificate_timestamp, the time, kind precert_entry, what is certified, no extensions.
    let mut signed = vec![0, 0];
    signed.extend(milliseconds);
    signed.extend([0, 1]);
    signed.extend(sha256(issuer.spki_der()));
    signed.extend(length::<3>(certificate.len()));
    signed.extend(&certificate);
    signed.extend([0, 0]);
    let signature = log.sign(&signed)?;

    // Section 3.3: version 1, the log, the time, no extensions, SHA-256 with ECDSA, the signature.
    let mut promise = vec![0];
    promise.extend(sha256(log.public().spki_der()));
    promise.extend(milliseconds);
    promise.extend([0, 0, 4, 3]);
    promise.extend(length::<2>(signature.len()));
    promise.extend(&signature);
    let mut list = length::<2>(promise.len() + 2).to_vec();
    list.extend(length::<2>(promise.len()));
    list.extend(&promise);
    // An octet string within the octet string of the extension.
    let value = OctetString::new(list)?.to_der()?;
    Ok(Extension { extn_id: EMBEDDED, critical: false, extn_value: OctetString::new(value)? })
}

/// A length in N bytes, the largest first; certificates and signatures of the lab fit.
fn length<const N: usize>(length: usize) -> [u8; N] {
    let bytes = length.to_be_bytes();
    let mut out = [0; N];
    out.copy_from_slice(bytes.get(bytes.len() - N..).unwrap_or(&[0; N]));
    out
}

const EMBEDDED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
