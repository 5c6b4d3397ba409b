//! DSSE envelopes with exactly one signature (secure-systems-lab DSSE v1.0).

use serde::{Deserialize, Serialize};

use crate::format::{Bounded, FormatError, Text, decode, encode, json, read};
use crate::limits::MAX_SIGNATURES;

/// The payload type of in-toto statements, the only one that says something about an image.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
const WHAT: &str = "the DSSE envelope";

/// An envelope: a typed payload and one signature over both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The payload's type.
    pub payload_type: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The signature over [`pae`] of both.
    pub signature: Vec<u8>,
}

#[derive(Deserialize)]
pub(crate) struct EnvelopeForm<'a> {
    #[serde(borrow)]
    payload: Text<'a>,
    #[serde(borrow, rename = "payloadType")]
    payload_type: Text<'a>,
    #[serde(borrow)]
    signatures: Bounded<SignatureForm<'a>, MAX_SIGNATURES>,
}

#[derive(Deserialize)]
struct SignatureForm<'a> {
    #[serde(borrow)]
    sig: Text<'a>,
}

impl TryFrom<EnvelopeForm<'_>> for Envelope {
    type Error = FormatError;

    fn try_from(form: EnvelopeForm<'_>) -> Result<Self, FormatError> {
        let [signature] = form.signatures.0.as_slice() else {
            return Err(FormatError::NotOne { what: "signature in the envelope", count: form.signatures.0.len() });
        };
        Ok(Self {
            payload_type: form.payload_type.as_str().to_owned(),
            payload: decode(form.payload.as_str(), "the payload of the envelope")?,
            signature: decode(signature.sig.as_str(), "the signature of the envelope")?,
        })
    }
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are not an envelope with exactly one signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        read::<EnvelopeForm<'_>>(bytes, WHAT)?.try_into()
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// The envelope as Cosign writes it: compact JSON, key order `payload`, `payloadType`, `signatures`.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(&self.written())
    }

    pub(crate) fn written(&self) -> impl Serialize + use<> {
        Written {
            payload: encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: [WrittenSignature { sig: encode(&self.signature) }],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    payload: String,
    payload_type: String,
    signatures: [WrittenSignature; 1],
}

#[derive(Serialize)]
struct WrittenSignature {
    sig: String,
}

/// The pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(body) SP body`.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_encoding_is_the_one_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn none_and_two_signatures_are_refused() {
        let with = |signatures: &str| format!(r#"{{"payload":"e30=","payloadType":"{IN_TOTO}","signatures":{signatures}}}"#);
        assert!(Envelope::parse(with(r#"[{"sig":"AA==","keyid":"x"}]"#).as_bytes()).is_ok());
        for (signatures, count) in [("[]", 0), (r#"[{"sig":"AA=="},{"sig":"AA=="}]"#, 2)] {
            let error = Envelope::parse(with(signatures).as_bytes()).unwrap_err();
            assert_eq!(error, FormatError::NotOne { what: "signature in the envelope", count });
        }
        let twice = with(r#"[{"sig":"AA=="}]"#).replace("\"payloadType\"", "\"payload\":\"\",\"payloadType\"");
        assert!(matches!(Envelope::parse(twice.as_bytes()), Err(FormatError::Json { .. })));
    }

    proptest! {
        #[test]
        fn an_envelope_survives_writing(payload in proptest::collection::vec(any::<u8>(), 0..50), kind in "\\PC{0,20}") {
            let envelope = Envelope { payload_type: kind, payload, signature: vec![1, 2, 3] };
            prop_assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).unwrap(), envelope);
        }
    }
}
