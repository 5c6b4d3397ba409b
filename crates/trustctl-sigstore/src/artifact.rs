//! Artifact by artifact: what is there, what it says of itself, and what of that is proven. Findings are made from this, and
//! `inspect` shows it.
//!
//! Each artifact is judged alone. The signature comes first: what no key at hand has signed is merely claimed, however
//! well-formed it is.

use trustctl_core::claim::{Claim, Claimed, LogEntry, Principal, SchemeName, Source, Statement};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};

use crate::bundle::{Bundle, Content as BundleContent, Material};
use crate::dsse::{Envelope, IN_TOTO};
use crate::format::{FormatError, decode};
use crate::keys::{Keyring, Known, short};
use crate::layout::signatures::SignatureLayer;
use crate::revocation::{self, is_revocation};
use crate::simple_signing::Payload;
use crate::statement::{self, SIGN};
use crate::survey::{Content, Found};
use crate::{log, survey};

pub use survey::Form;

/// One artifact of an image.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The form in which it is stored.
    pub form: Form,
    /// Where it was found.
    pub source: Source,
    /// What kind of statement it is said to be; `None` for a legacy signature.
    pub predicate_type: Option<Claimed<String>>,
    /// The key it says it was signed with (base64 of the SHA-256 of the SPKI); `None` when it does not say.
    pub hint: Option<Claimed<String>>,
    /// Whether it carries a certificate.
    pub has_certificate: bool,
    /// The log entries it carries.
    pub log_entries: Vec<Claimed<LogEntry>>,
    /// How many signed timestamps it carries.
    pub timestamps: usize,
    /// What is known about it.
    pub state: State,
    /// Who signed it, when that is proven, whatever else is wrong with it.
    pub principal: Option<Principal>,
}

/// What is known about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is not what it should be.
    Broken(Reason),
    /// Nothing at hand can check it.
    Claimed(Reason),
    /// It is signed by a key at hand and is about this image.
    Proven(Box<Claim>),
    /// It was not fetched, because by its own word it is an attestation.
    Unread,
}

impl Artifact {
    fn new(form: Form, source: Source) -> Self {
        Self {
            form,
            source,
            predicate_type: None,
            hint: None,
            has_certificate: false,
            log_entries: Vec::new(),
            timestamps: 0,
            state: State::Unread,
            principal: None,
        }
    }

    fn broken(mut self, error: &FormatError) -> Self {
        self.state = State::Broken(error.reason(&self.source.at));
        self
    }

    /// Judges what was found about `digest` with the keys at hand.
    pub(crate) fn judge(found: Found<'_>, digest: &Digest, ring: &Keyring<'_>) -> Self {
        let artifact = Self::new(found.form, found.source);
        match found.content {
            Content::Broken(reason) => Self { state: State::Broken(reason), ..artifact },
            Content::Unread { predicate_type } => Self { predicate_type: Some(Claimed::new(predicate_type)), ..artifact },
            Content::Legacy { layer, payload } => artifact.judge_legacy(&layer, payload, digest, ring),
            Content::Bundle(bytes) => match Bundle::parse(bytes) {
                Ok(bundle) => artifact.judge_bundle(bundle, digest, ring),
                Err(error) => artifact.broken(&error),
            },
            Content::Envelope(bytes) => match Envelope::parse(bytes) {
                Ok(envelope) => artifact.judge_envelope(&envelope, digest, ring),
                Err(error) => artifact.broken(&error),
            },
        }
    }

    /// A revocation that was remembered: the envelope as it was verified then, verified again.
    pub(crate) fn remembered(envelope: &Envelope, digest: &Digest, ring: &Keyring<'_>) -> Self {
        let source = Source { form: Form::Memory.words().to_owned(), at: format!("what was seen of {digest} before") };
        Self::new(Form::Memory, source).judge_envelope(envelope, digest, ring)
    }

    fn judge_legacy(mut self, layer: &SignatureLayer, payload: &[u8], digest: &Digest, ring: &Keyring<'_>) -> Self {
        self.has_certificate = layer.has_certificate;
        self.timestamps = usize::from(layer.has_timestamp);
        self.log_entries.extend(layer.log_entry.as_deref().and_then(|json| log::parse_legacy(json).ok()));
        let signature = match layer.signature.as_deref().map(|text| decode(text, "the signature")) {
            Some(Ok(signature)) if !signature.is_empty() => signature,
            Some(Err(error)) => return self.broken(&error),
            Some(Ok(_)) | None => return self.broken(&FormatError::NotOne { what: "signature in the layer", count: 0 }),
        };
        let Some(known) = ring.signer(payload, &signature, "") else { return self.unproven(ring) };
        self.principal = Some(principal(known));
        let said = match Payload::parse(payload) {
            Ok(said) => said,
            Err(error) => return self.broken(&error),
        };
        if said.digest != *digest {
            return self.about_another(known, digest, &said.digest.to_string());
        }
        let claim = Claim {
            repository: said.repository,
            tag: said.tag,
            annotations: said.annotations,
            ..self.claim(Statement::Signature, known, digest)
        };
        self.state = State::Proven(Box::new(claim));
        self
    }

    fn judge_bundle(mut self, bundle: Bundle, digest: &Digest, ring: &Keyring<'_>) -> Self {
        match bundle.material {
            Material::Certificate(_) => self.has_certificate = true,
            Material::Key { hint } => self.hint = Some(hint).filter(|hint| !hint.is_empty()).map(Claimed::new),
        }
        self.log_entries = bundle.log_entries;
        self.timestamps = bundle.timestamps;
        match bundle.content {
            BundleContent::Envelope(envelope) => self.judge_envelope(&envelope, digest, ring),
            BundleContent::Message => self.broken(&FormatError::Unsupported {
                what: "content of a bundle beside an image",
                found: "messageSignature".to_owned(),
            }),
        }
    }

    fn judge_envelope(mut self, envelope: &Envelope, digest: &Digest, ring: &Keyring<'_>) -> Self {
        let said = statement::Statement::parse(&envelope.payload);
        self.predicate_type = said.as_ref().ok().map(|said| Claimed::new(said.predicate_type.clone()));
        let hint = self.hint.as_ref().map_or("", |hint| hint.peek().as_str());
        let Some(known) = ring.signer(&envelope.signed_bytes(), &envelope.signature, hint) else { return self.unproven(ring) };
        self.principal = Some(principal(known));
        if envelope.payload_type != IN_TOTO {
            return self.broken(&FormatError::Unsupported { what: "payload type", found: envelope.payload_type.clone() });
        }
        let said = match said {
            Ok(said) => said,
            Err(error) => return self.broken(&error),
        };
        let subject = match said.about(digest) {
            Ok(Some(subject)) => subject,
            Ok(None) => return self.about_another(known, digest, "other digests"),
            Err(error) => return self.broken(&error),
        };
        let claim = Claim {
            repository: subject.repository.clone(),
            tag: subject.tag.clone(),
            annotations: subject.annotations.clone(),
            ..self.claim(stated(&said), known, digest)
        };
        self.state = State::Proven(Box::new(claim));
        self
    }

    fn claim(&self, statement: Statement, known: &Known<'_>, digest: &Digest) -> Claim {
        Claim {
            scheme: SchemeName::Cosign,
            statement,
            principal: principal(known),
            digest: *digest,
            repository: None,
            tag: None,
            annotations: std::collections::BTreeMap::new(),
            signed_at: None,
            fresh_until: None,
            log_entries: self.log_entries.clone(),
            source: self.source.clone(),
        }
    }

    /// No key at hand has made the signature.
    fn unproven(mut self, ring: &Keyring<'_>) -> Self {
        let at = &self.source.at;
        let hint = self.hint.as_ref().map(|hint| hint.peek().as_str());
        self.state = if self.has_certificate {
            let words = format!("{at} was signed with a certificate, and none of the trusted keys made the signature");
            State::Claimed(Reason::new(Code::CosignKeylessUnjudged, words))
        } else if let Some(known) = hint.and_then(|hint| ring.hinted(hint)) {
            let words =
                format!("{at} says it was signed with key {}, which did not make the signature", short(&known.fingerprint));
            State::Broken(Reason::new(Code::CosignBadSignature, words))
        } else {
            let words = format!("{at} was not signed with a trusted key");
            let found = hint.map_or_else(|| "another key".to_owned(), |hint| format!("a key with hint {hint}"));
            State::Claimed(Reason::new(Code::CosignWrongKey, words).expected_found(ring.names(), found))
        };
        self
    }

    fn about_another(mut self, known: &Known<'_>, digest: &Digest, found: &str) -> Self {
        let words = format!("{} is validly signed with key {}, for another image", self.source.at, short(&known.fingerprint));
        self.state = State::Broken(Reason::new(Code::CosignDigestMismatch, words).expected_found(digest, found));
        self
    }
}

fn principal(known: &Known<'_>) -> Principal {
    Principal::Key { fingerprint: known.fingerprint.clone() }
}

/// Only the predicate type that is meant for it makes a statement a signature.
fn stated(said: &statement::Statement<'_>) -> Statement {
    match said.predicate_type.as_str() {
        SIGN => Statement::Signature,
        other if is_revocation(other) => revocation::read(said),
        other => Statement::Attestation { predicate_type: other.to_owned() },
    }
}
