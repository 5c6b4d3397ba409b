//! The stamp: what it says (RFC 3161, section 2.4.2), signed as CMS (RFC 5652) with the certificate named in it (RFC 5816).

use std::time::Duration;

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::db::rfc5912::ID_SHA_256;
use der::asn1::{Any, GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode as _, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use trustctl_core::time::Timestamp;
use x509_cert::attr::Attribute;

use super::StampKeys;
use super::query::{Imprint, POLICY, Query};
use crate::error::LabError;
use crate::faults::Part;
use crate::sigstore::keys::{random, sha256};

#[derive(Debug, Sequence)]
struct Info {
    version: u8,
    policy: ObjectIdentifier,
    imprint: Imprint,
    serial: Int,
    time: GeneralizedTime,
    accuracy: Accuracy,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
}

#[derive(Debug, Sequence)]
struct Accuracy {
    seconds: u8,
}

/// The signing certificate's hash (RFC 5035, section 4); SHA-256 is the default and is not written.
#[derive(Debug, Sequence)]
struct SigningCertificate {
    certificates: Vec<CertificateHash>,
}

#[derive(Debug, Sequence)]
struct CertificateHash {
    hash: OctetString,
}

#[derive(Debug, Sequence)]
struct Response {
    status: Status,
    token: ContentInfo,
}

/// 0: granted.
#[derive(Debug, Sequence)]
struct Status {
    status: u8,
}

/// The answer to a query, DER.
pub(crate) fn response(query: &Query, keys: &StampKeys, now: Timestamp, wrong: Option<Part>) -> Result<Vec<u8>, LabError> {
    let since = Duration::from_secs(u64::try_from(now.unix_seconds()).unwrap_or_default());
    let mut imprint = query.imprint.clone();
    if wrong == Some(Part::Imprint) {
        imprint.hash = OctetString::new(vec![0; imprint.hash.as_bytes().len()])?;
    }
    let mut nonce = query.nonce.clone();
    if wrong == Some(Part::Nonce) {
        nonce = Some(Int::new(&[1])?);
    }
    let serial = [&[0x40], random::<15>()?.as_slice()].concat();
    let info = Info {
        version: 1,
        policy: POLICY,
        imprint,
        serial: Int::new(&serial)?,
        time: GeneralizedTime::from_unix_duration(since)?,
        accuracy: Accuracy { seconds: 1 },
        nonce,
    };
    let token = signed(&info.to_der()?, keys, query.certificates)?;
    let token = ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&token)? };
    Ok(Response { status: Status { status: 0 }, token }.to_der()?)
}

/// `info` as signed data, with the chain of certificates when asked for.
fn signed(info: &[u8], keys: &StampKeys, certificates: bool) -> Result<SignedData, LabError> {
    let sha_256 = AlgorithmIdentifierOwned { oid: ID_SHA_256, parameters: None };
    let leaf = &keys.leaf.certificate;
    let attributes = attributes(info, &leaf.to_der()?)?;
    let signature = keys.leaf.key.sign(&attributes.to_der()?)?;
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.tbs_certificate.issuer.clone(),
            serial_number: leaf.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: sha_256.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: keys.leaf.key.algorithm(),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let chain = keys.chain().map(|one| CertificateChoices::Certificate(one.clone()));
    let chain = if certificates { Some(CertificateSet(SetOfVec::try_from(chain.to_vec())?)) } else { None };
    let content = Any::new(Tag::OctetString, info)?;
    Ok(SignedData {
        version: CmsVersion::V3,
        digest_algorithms: SetOfVec::try_from(vec![sha_256])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: STAMP, econtent: Some(content) },
        certificates: chain,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    })
}

/// What the signature is over: the kind and hash of the content, and who signed.
fn attributes(info: &[u8], certificate: &[u8]) -> Result<SignedAttributes, LabError> {
    let hash = CertificateHash { hash: OctetString::new(sha256(certificate))? };
    let attribute =
        |oid, value: Any| -> Result<Attribute, LabError> { Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? }) };
    Ok(SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&STAMP)?)?,
        attribute(MESSAGE_DIGEST, Any::new(Tag::OctetString, sha256(info))?)?,
        attribute(SIGNING_CERTIFICATE, Any::encode_from(&SigningCertificate { certificates: vec![hash] })?)?,
    ])?)
}

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const STAMP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
