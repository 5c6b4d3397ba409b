//! Asking a timestamp authority for a timestamp over a signature, and reading its answer.
//!
//! Source: RFC 3161, sections 2.4.1 and 2.4.2; the token is CMS SignedData (RFC 5652). Here the answer is only compared with the question;
//! that the authority signed it is judged with the finished bundle.

use der::asn1::{AnyRef, ContextSpecific, GeneralizedTime, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode as _, Reader, SliceReader, Tag, TagNumber, Tagged as _};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;

use crate::keyless::Fault;

/// Largest answer that is read, in bytes; with a chain of certificates real ones have about 5,000.
const MAX_ANSWER: usize = 64 * 1024;
/// Bytes of a nonce.
pub const NONCE: usize = 8;
/// SHA-256.
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// CMS SignedData.
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// What a timestamp signs.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// A question for a timestamp authority.
#[derive(Clone, Debug)]
pub struct Query {
    digest: Digest,
    nonce: [u8; NONCE],
}

/// What a token says of the question it answers.
struct Said<'a> {
    algorithm: ObjectIdentifier,
    digest: &'a [u8],
    nonce: Option<&'a [u8]>,
}

impl Query {
    /// A question about `signature`. `nonce` has to be random, so that no old answer fits.
    #[must_use]
    pub fn new(signature: &[u8], mut nonce: [u8; NONCE]) -> Self {
        // A positive number of exactly eight bytes in DER.
        if let Some(first) = nonce.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        Self { digest: Digest::sha256_of(signature), nonce }
    }

    /// The question as DER: SHA-256, a nonce, and the wish for the authority's certificate.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let algorithm = element(0x30, &[&element(0x06, &[SHA_256.as_bytes()]), &element(0x05, &[])]);
        let imprint = element(0x30, &[&algorithm, &element(0x04, &[self.digest.as_bytes()])]);
        element(0x30, &[&element(0x02, &[&[1]]), &imprint, &element(0x02, &[&self.nonce]), &element(0x01, &[&[0xff]])])
    }

    /// The answer, kept as it is, when it grants a timestamp for this question.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::ServiceRefused`] when the authority refuses, [`Code::NotOurs`] when it answers another question,
    /// [`Code::CosignMalformed`] for anything else.
    pub fn answered(&self, answer: &[u8]) -> Result<Vec<u8>, Fault> {
        if answer.len() > MAX_ANSWER {
            return Err(Fault::malformed("the timestamp authority's answer is larger than 64 KiB"));
        }
        let malformed = |error: der::Error| Fault::malformed(format!("the timestamp authority's answer: {error}"));
        let (status, token) = parts(answer).map_err(malformed)?;
        // 0 is granted, 1 granted with modifications.
        if status > 1 {
            let words = format!("the timestamp authority refuses (status {status} of RFC 3161, section 2.4.2)");
            return Err(Fault::new(Code::ServiceRefused, words));
        }
        let token = token.ok_or_else(|| Fault::malformed("the timestamp authority grants a timestamp, and sends none"))?;
        let info = content(token).map_err(malformed)?;
        let said = said(info).map_err(malformed)?;
        let is_answer = said.algorithm == SHA_256
            && said.digest == self.digest.as_bytes()
            && said.nonce.is_some_and(|nonce| nonce == self.nonce);
        if is_answer {
            return Ok(answer.to_vec());
        }
        Err(Fault::new(
            Code::NotOurs,
            "the timestamp authority answers another question: its digest or nonce is not the one sent",
        ))
    }
}

/// One DER element of fewer than 128 bytes of content.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content.as_slice()].concat()
}

/// TimeStampResp: the status, and the token where there is one.
fn parts(answer: &[u8]) -> der::Result<(u8, Option<AnyRef<'_>>)> {
    let mut reader = SliceReader::new(answer)?;
    let parts = reader.sequence(|response| {
        let status = response.sequence(|info| {
            let status = u8::decode(info)?;
            skip(info)?;
            Ok(status)
        })?;
        let token = if response.is_finished() { None } else { Some(AnyRef::decode(response)?) };
        Ok((status, token))
    })?;
    reader.finish(parts)
}

/// The bytes that a token signs: ContentInfo, SignedData, EncapsulatedContentInfo.
fn content(token: AnyRef<'_>) -> der::Result<&[u8]> {
    token.sequence(|info| {
        if ObjectIdentifier::decode(info)? != SIGNED_DATA {
            return Err(der::ErrorKind::OidUnknown { oid: SIGNED_DATA }.into());
        }
        let signed = explicit(info, TagNumber::N0)?.value;
        signed.sequence(|data| {
            u8::decode(data)?;
            AnyRef::decode(data)?;
            let content = data.sequence(|encapsulated| {
                if ObjectIdentifier::decode(encapsulated)? != TST_INFO {
                    return Err(der::ErrorKind::OidUnknown { oid: TST_INFO }.into());
                }
                let content = explicit(encapsulated, TagNumber::N0)?.value;
                Ok(content.decode_as::<OctetStringRef<'_>>()?.as_bytes())
            })?;
            skip(data)?;
            Ok(content)
        })
    })
}

/// TSTInfo, as far as it is compared.
fn said(info: &[u8]) -> der::Result<Said<'_>> {
    let mut reader = SliceReader::new(info)?;
    let said = reader.sequence(|info| {
        u8::decode(info)?;
        ObjectIdentifier::decode(info)?;
        let (algorithm, digest) = info.sequence(|imprint| {
            let algorithm = imprint.sequence(|algorithm| {
                let oid = ObjectIdentifier::decode(algorithm)?;
                skip(algorithm)?;
                Ok(oid)
            })?;
            Ok((algorithm, OctetStringRef::decode(imprint)?.as_bytes()))
        })?;
        UintRef::decode(info)?;
        GeneralizedTimeRef::decode(info)?;
        // Accuracy, ordering, nonce, name, extensions: each may be missing, and only one of them is an INTEGER.
        let mut nonce = None;
        while !info.is_finished() {
            let next = AnyRef::decode(info)?;
            if next.tag() == Tag::Integer {
                nonce = Some(next.value());
            }
        }
        Ok(Said { algorithm, digest, nonce })
    })?;
    reader.finish(said)
}

/// The time of a token. It may have fractions of a second, which the library's type for it does not read.
struct GeneralizedTimeRef;

impl<'a> der::Decode<'a> for GeneralizedTimeRef {
    fn decode<R: Reader<'a>>(reader: &mut R) -> der::Result<Self> {
        let any = AnyRef::decode(reader)?;
        any.tag().assert_eq(<GeneralizedTime as der::FixedTag>::TAG).map(|_| Self)
    }
}

fn explicit<'a>(reader: &mut impl Reader<'a>, number: TagNumber) -> der::Result<ContextSpecific<AnyRef<'a>>> {
    let found = ContextSpecific::decode_explicit(reader, number)?;
    found.ok_or_else(|| der::ErrorKind::TagNumberInvalid.into())
}

/// Reads what is left, and leaves it aside.
fn skip<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}
