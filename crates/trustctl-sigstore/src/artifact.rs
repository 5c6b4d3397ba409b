//! Artifact by artifact: what is there, what it says of itself, and what of that is proven. Findings are made from this, and
//! `inspect` shows it.
//!
//! Each artifact is judged alone. The signature comes first: what no key at hand has signed and no Sigstore instance at hand vouches
//! for is merely claimed, however well-formed it is.

use std::collections::BTreeMap;

use trustctl_core::claim::{Claim, Claimed, LogEntry, Principal, SchemeName, Source, Statement};
use trustctl_core::digest::Digest;
use trustctl_core::predicate::Predicate;
use trustctl_core::reason::{Code, Reason};

use crate::bundle::{Bundle, Content as BundleContent, Material};
use crate::dsse::{Envelope, IN_TOTO};
use crate::format::{FormatError, decode};
use crate::grounds::{Carrier, Grounds, Signed};
use crate::keyless::{About, Fault, legacy};
use crate::keys::{Keyring, Known, named_by_hint, short};
use crate::layout::signatures::SignatureLayer;
use crate::revocation::{self, is_revocation};
use crate::simple_signing::Payload;
use crate::statement::{self, SIGN};
use crate::survey::{Content, Found};
use crate::{log, survey, withdrawal};

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
    /// Its envelope, where it has one that can be read.
    pub envelope: Option<Claimed<Envelope>>,
    /// What is known about it.
    pub state: State,
    /// Who signed it, when that is proven, whatever else is wrong with it.
    pub principal: Option<Principal>,
    /// Whether it says that the image is withdrawn.
    pub withdraws: bool,
    /// Whom its certificate names, where it says that the image is withdrawn and is not proven.
    pub named: Option<Claimed<Principal>>,
}

/// What is known about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is not what it should be.
    Broken(Reason),
    /// Nothing at hand can check it.
    Claimed(Reason),
    /// It is signed by a key at hand, or with a certificate that an instance at hand vouches for, and is about this image.
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
            envelope: None,
            state: State::Unread,
            principal: None,
            withdraws: false,
            named: None,
        }
    }

    fn broken(mut self, error: &FormatError) -> Self {
        self.state = State::Broken(error.reason(&self.source.at));
        self
    }

    /// Judges what was found about `digest` by what is at hand.
    pub(crate) fn judge(found: Found<'_>, digest: &Digest, grounds: &Grounds<'_>) -> Self {
        let artifact = Self { withdraws: found.says_revocation, ..Self::new(found.form, found.source) };
        match found.content {
            Content::Broken(reason) => Self { state: State::Broken(reason), ..artifact },
            Content::Unread { predicate_type } => Self { predicate_type: Some(Claimed::new(predicate_type)), ..artifact },
            Content::Legacy { layer, payload } => artifact.judge_legacy(&layer, &payload, digest, grounds),
            Content::Bundle(bytes) => artifact.judge_bundle(bytes, digest, grounds),
            Content::Envelope { layer, envelope } => artifact.judge_tagged(&layer, envelope, digest, grounds),
        }
    }

    /// A revocation that was remembered: the bundle or envelope as it was verified then, verified again.
    pub(crate) fn remembered(text: &[u8], digest: &Digest, grounds: &Grounds<'_>) -> Self {
        let source = Source { form: Form::Memory.words().to_owned(), at: format!("what was seen of {digest} before") };
        let artifact = Self::new(Form::Memory, source);
        if Envelope::parse(text).is_ok() {
            artifact.judge_bare(text, digest, grounds)
        } else {
            artifact.judge_bundle(text, digest, grounds)
        }
    }

    fn judge_legacy(mut self, layer: &SignatureLayer, payload: &[u8], digest: &Digest, grounds: &Grounds<'_>) -> Self {
        self.has_certificate = layer.certificate.is_some();
        self.timestamps = usize::from(layer.timestamp.is_some());
        self.log_entries.extend(layer.log_entry.as_deref().and_then(|json| log::parse_legacy(json).ok()));
        let signature = match layer.signature.as_deref().map(|text| decode(text, "the signature")) {
            Some(Ok(signature)) if !signature.is_empty() => signature,
            Some(Err(error)) => return self.broken(&error),
            Some(Ok(_)) | None => return self.broken(&FormatError::NotOne { what: "signature in the layer", count: 0 }),
        };
        let known = grounds.ring.signer(payload, &signature, "");
        let signed = match (known, self.has_certificate && (grounds.have_sigstore() || grounds.have_authorities())) {
            (Some(known), _) => self.signed_by_key(known, layer, (&signature, payload), grounds),
            (None, false) => return self.unproven(&grounds.ring),
            (None, true) => {
                let bundle = legacy::bundle(layer, &signature);
                let carried =
                    bundle.map(|bundle| grounds.by_certificate(Carrier { bundle: &bundle, about: About::Bytes(payload) }));
                match carried {
                    Ok(Some(Ok(signed))) => signed,
                    Ok(None) => return self.unproven(&grounds.ring),
                    Ok(Some(Err(fault))) | Err(fault) => return self.refused(&fault),
                }
            }
        };
        self.principal = Some(signed.principal.clone());
        let said = match Payload::parse(payload) {
            Ok(said) => said,
            Err(error) => return self.broken(&error),
        };
        if said.digest != *digest {
            return self.about_another(&signed.principal, digest, &said.digest.to_string());
        }
        let claim = Claim {
            repository: said.repository,
            tag: said.tag,
            annotations: said.annotations,
            ..self.claim(Statement::Signature, signed, digest)
        };
        self.state = State::Proven(Box::new(claim));
        self
    }

    /// A legacy signature by key, with what its log entry proves.
    fn signed_by_key(
        &self,
        known: &Known<'_>,
        layer: &SignatureLayer,
        (signature, payload): (&[u8], &[u8]),
        grounds: &Grounds<'_>,
    ) -> Signed {
        if !grounds.have_sigstore() || layer.log_entry.is_none() {
            return grounds.by_key(known, None, &self.source.at);
        }
        let bare = SignatureLayer { certificate: None, chain: None, ..layer.clone() };
        match legacy::bundle(&bare, signature) {
            Ok(bundle) => {
                let carrier = Carrier { bundle: &bundle, about: About::Bytes(payload) };
                grounds.by_key(known, Some(carrier), &self.source.at)
            }
            Err(fault) => {
                let mut signed = grounds.by_key(known, None, &self.source.at);
                for (_, reason) in &mut signed.log.problems {
                    *reason = fault.reason(&self.source.at);
                }
                signed
            }
        }
    }

    fn judge_bundle(mut self, bytes: &[u8], digest: &Digest, grounds: &Grounds<'_>) -> Self {
        let bundle = match Bundle::parse(bytes) {
            Ok(bundle) => bundle,
            Err(error) => return self.broken(&error),
        };
        match bundle.material {
            Material::Certificate(_) => self.has_certificate = true,
            Material::Key { hint } => self.hint = Some(hint).filter(|hint| !hint.is_empty()).map(Claimed::new),
        }
        self.log_entries = bundle.log_entries;
        self.timestamps = bundle.timestamps;
        match bundle.content {
            BundleContent::Envelope(envelope) => self.judge_envelope(&envelope, Some(bytes), digest, grounds),
            BundleContent::Message(_) => self.broken(&FormatError::Unsupported {
                what: "content of a bundle beside an image",
                found: "messageSignature".to_owned(),
            }),
        }
    }

    /// An envelope under an `.att` tag: with what its annotations say, it is a bundle. A timestamp there is over the whole envelope, which
    /// no bundle can say; such an attestation by certificate is not judged.
    fn judge_tagged(mut self, layer: &SignatureLayer, bytes: &[u8], digest: &Digest, grounds: &Grounds<'_>) -> Self {
        self.has_certificate = layer.certificate.is_some();
        self.timestamps = usize::from(layer.timestamp.is_some());
        self.log_entries.extend(layer.log_entry.as_deref().and_then(|json| log::parse_legacy(json).ok()));
        let envelope = match Envelope::parse(bytes) {
            Ok(envelope) => envelope,
            Err(error) => return self.broken(&error),
        };
        let judgeable =
            layer.log_entry.is_some() && grounds.have_sigstore() || self.has_certificate && grounds.have_authorities();
        if !judgeable || layer.timestamp.is_some() {
            return self.judge_envelope(&envelope, None, digest, grounds);
        }
        match legacy::bundle_of_envelope(layer, &envelope) {
            Ok(bundle) => self.judge_envelope(&envelope, Some(&bundle), digest, grounds),
            Err(fault) => self.refused(&fault),
        }
    }

    /// An envelope without a bundle around it.
    fn judge_bare(self, bytes: &[u8], digest: &Digest, grounds: &Grounds<'_>) -> Self {
        match Envelope::parse(bytes) {
            Ok(envelope) => self.judge_envelope(&envelope, None, digest, grounds),
            Err(error) => self.broken(&error),
        }
    }

    fn judge_envelope(mut self, envelope: &Envelope, bundle: Option<&[u8]>, digest: &Digest, grounds: &Grounds<'_>) -> Self {
        self.envelope = Some(Claimed::new(envelope.clone()));
        let said = statement::Statement::parse(&envelope.payload);
        self.predicate_type = said.as_ref().ok().map(|said| Claimed::new(said.predicate_type.clone()));
        self.withdraws = withdrawal::withdraws(said.as_ref().ok(), digest).unwrap_or(self.withdraws);
        if let (true, Some(bundle)) = (self.withdraws, bundle) {
            self.named = withdrawal::named(bundle, envelope);
        }
        let hint = self.hint.as_ref().map_or("", |hint| hint.peek().as_str());
        let carrier = bundle.map(|bundle| Carrier { bundle, about: About::Digest(digest) });
        let signed = match grounds.ring.signer(&envelope.signed_bytes(), &envelope.signature, hint) {
            Some(known) => grounds.by_key(known, carrier.filter(|_| self.is_by_key_alone()), &self.source.at),
            None => match carrier.filter(|_| self.has_certificate).and_then(|carrier| grounds.by_certificate(carrier)) {
                None => return self.unproven(&grounds.ring),
                Some(Ok(signed)) => signed,
                Some(Err(fault)) => return self.refused(&fault),
            },
        };
        self.principal = Some(signed.principal.clone());
        if envelope.payload_type != IN_TOTO {
            return self.broken(&FormatError::Unsupported { what: "payload type", found: envelope.payload_type.clone() });
        }
        let said = match said {
            Ok(said) => said,
            Err(error) => return self.broken(&error),
        };
        let subject = match said.about(digest) {
            Ok(Some(subject)) => subject,
            Ok(None) => return self.about_another(&signed.principal, digest, "other digests"),
            Err(error) => return self.broken(&error),
        };
        let claim = Claim {
            repository: subject.repository.clone(),
            tag: subject.tag.clone(),
            annotations: subject.annotations.clone(),
            ..self.claim(stated(&said), signed, digest)
        };
        self.state = State::Proven(Box::new(claim));
        self
    }

    /// Whether it can carry log entries that are about a signature by key.
    fn is_by_key_alone(&self) -> bool {
        !self.has_certificate && !self.log_entries.is_empty()
    }

    fn claim(&self, statement: Statement, signed: Signed, digest: &Digest) -> Claim {
        Claim {
            scheme: SchemeName::Cosign,
            statement,
            principal: signed.principal,
            digest: *digest,
            repository: None,
            tag: None,
            annotations: BTreeMap::new(),
            signed_at: signed.at,
            fresh_until: None,
            log_entries: self.log_entries.clone(),
            log: signed.log,
            certificate: signed.certificate,
            source: self.source.clone(),
        }
    }

    /// No key at hand has made the signature.
    fn unproven(mut self, ring: &Keyring<'_>) -> Self {
        let at = &self.source.at;
        let hint = self.hint.as_ref().map(|hint| hint.peek().as_str());
        self.state = if self.has_certificate {
            let words = format!("{at} was signed with a certificate, and nothing at hand can judge one");
            State::Claimed(Reason::new(Code::CosignKeylessUnjudged, words))
        } else if let Some(known) = hint.and_then(|hint| ring.hinted(hint)) {
            let words =
                format!("{at} says it was signed with key {}, which did not make the signature", short(&known.fingerprint));
            State::Broken(Reason::new(Code::CosignBadSignature, words))
        } else {
            let words = format!("{at} was not signed with a trusted key");
            let found = hint.map_or_else(|| "another key".to_owned(), named_by_hint);
            State::Claimed(Reason::new(Code::CosignWrongKey, words).expected_found(ring.names(), found))
        };
        self
    }

    /// No instance at hand vouches for the certificate.
    fn refused(mut self, fault: &Fault) -> Self {
        let reason = fault.reason(&self.source.at);
        self.state = if fault.code == Code::AnchorUnusable { State::Claimed(reason) } else { State::Broken(reason) };
        self
    }

    fn about_another(mut self, principal: &Principal, digest: &Digest, found: &str) -> Self {
        let words = format!("{} is validly signed by {principal}, for another image", self.source.at);
        self.state = State::Broken(Reason::new(Code::CosignDigestMismatch, words).expected_found(digest, found));
        self
    }
}

/// Only the predicate type that is meant for it makes a statement a signature.
fn stated(said: &statement::Statement<'_>) -> Statement {
    match said.predicate_type.as_str() {
        SIGN => Statement::Signature,
        other if is_revocation(other) => revocation::read(said),
        other => Statement::Attestation {
            predicate_type: other.to_owned(),
            predicate: Predicate::new(said.predicate_json().unwrap_or("null")),
        },
    }
}
