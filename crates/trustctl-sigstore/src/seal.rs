//! Sealing: a signature, and what an instance's services say about it, as a finished bundle.
//!
//! Pure: what is asked is built here as bytes, and the answers are bytes too. Whoever talks to the services does so in this order:
//!
//! 1. [`authority`]: a certificate for the key, where an identity signs;
//! 2. [`Signed`]: the signature over an envelope or a message;
//! 3. [`timestamp`]: a timestamp over the signature, of each authority that is to be asked;
//! 4. [`log`]: an entry in each log that is to be asked;
//! 5. [`Sealed`]: all of it, [judged](Sealed::judge) as any verifier would, and only then written, as a bundle or as the annotations of a
//!    layer under a `.sig` tag.
//!
//! An answer is read within limits and compared with what was asked. That services tell the truth is not assumed: only what
//! [`Sealed::judge`] accepts is to be published.

pub mod authority;
pub mod kept;
pub mod log;
pub mod timestamp;
mod written;

use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;

use crate::dsse::{Envelope, pae};
use crate::format::encode;
use crate::keyless::{About, By, Fault, Instance, Proof, Question, legacy};
use crate::layout::Descriptor;
use crate::layout::signatures::{Notes, SIMPLE_SIGNING, SignatureLayer};
use crate::make::{MakeError, checked_signature};
use authority::Chain;
use log::Entry;

/// A signature that nobody has vouched for yet.
#[derive(Clone, Debug)]
pub struct Signed {
    content: Content,
    key: PublicKey,
    chain: Option<Chain>,
}

/// What is signed, and the signature.
#[derive(Clone, Debug)]
enum Content {
    Envelope(Envelope),
    /// The SHA-256 of a message, and the signature over the message.
    Message {
        digest: Digest,
        signature: Vec<u8>,
    },
}

/// A signature with everything that vouches for it.
#[derive(Clone, Debug)]
pub struct Sealed {
    signed: Signed,
    entries: Vec<Entry>,
    timestamps: Vec<Vec<u8>>,
}

impl Signed {
    /// Signs a DSSE envelope around `payload`. With `chain` it is the certificate that vouches for the key, which must be the signer's.
    ///
    /// # Errors
    /// [`MakeError`] when the signer fails, or what it made does not verify.
    pub fn envelope(signer: &dyn Signer, chain: Option<Chain>, payload_type: &str, payload: Vec<u8>) -> Result<Self, MakeError> {
        let signature = checked_signature(signer, &pae(payload_type, &payload))?;
        let content = Content::Envelope(Envelope { payload_type: payload_type.to_owned(), payload, signature });
        Ok(Self { content, key: signer.public_key().clone(), chain })
    }

    /// Signs `message` as it is: the payload under a `.sig` tag, or a file.
    ///
    /// # Errors
    /// As [`Signed::envelope`].
    pub fn message(signer: &dyn Signer, chain: Option<Chain>, message: &[u8]) -> Result<Self, MakeError> {
        let signature = checked_signature(signer, message)?;
        Ok(Self::of_signature(signer.public_key().clone(), chain, (Digest::sha256_of(message), signature)))
    }

    /// Signs a file of which only hashes are known.
    ///
    /// # Errors
    /// As [`Signed::envelope`]; also for a key that signs whole messages only.
    pub fn file(signer: &dyn Signer, chain: Option<Chain>, file: &Hashes) -> Result<Self, MakeError> {
        let (_, _, signature) = crate::blob::signature(file, signer)?;
        let digest = file.sha256().ok_or(MakeError::KeyUnsupported { kind: signer.public_key().kind().name() })?;
        Ok(Self::of_signature(signer.public_key().clone(), chain, (digest, signature)))
    }

    /// A signature by `key` over the message with the SHA-256 `digest`, made elsewhere: of a file too large to hold.
    #[must_use]
    pub fn of_signature(key: PublicKey, chain: Option<Chain>, (digest, signature): (Digest, Vec<u8>)) -> Self {
        Self { content: Content::Message { digest, signature }, key, chain }
    }

    /// The signature: what timestamps are over.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Envelope(envelope) => &envelope.signature,
            Content::Message { signature, .. } => signature,
        }
    }

    /// The key that signed.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate or the key, PEM: what log entries name.
    fn verifier(&self) -> String {
        self.chain.as_ref().map_or_else(|| self.key.to_pem(), Chain::leaf_pem)
    }

    /// With everything that vouches for it; nothing is checked yet.
    #[must_use]
    pub fn sealed(self, entries: Vec<Entry>, timestamps: Vec<Vec<u8>>) -> Sealed {
        Sealed { signed: self, entries, timestamps }
    }
}

impl Sealed {
    /// The bundle 0.3 as cosign 3 writes it.
    #[must_use]
    pub fn bundle(&self) -> Vec<u8> {
        written::bundle(self)
    }

    /// The envelope, where one is signed.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.signed.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.signed.signature()
    }

    /// The key that signed.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        self.signed.key()
    }

    /// The certificate, where an identity signed.
    #[must_use]
    pub fn chain(&self) -> Option<&Chain> {
        self.signed.chain.as_ref()
    }

    /// The log entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many timestamps there are.
    #[must_use]
    pub fn timestamps(&self) -> usize {
        self.timestamps.len()
    }

    /// What the annotations of a layer under a `.sig` or `.att` tag say.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::LegacyNotPossible`] when the only entries are ones without a promise, which these annotations cannot hold.
    pub fn notes(&self) -> Result<Notes, Fault> {
        let entry = match self.entries.iter().find_map(Entry::annotation) {
            None if !self.entries.is_empty() => {
                let words = "an entry of this log (Rekor v2) has no place in the annotations of a .sig tag; store a bundle, or use a \
                             signing config that names a Rekor v1";
                return Err(Fault::new(Code::LegacyNotPossible, words));
            }
            entry => entry,
        };
        let stamp = |token: &Vec<u8>| format!(r#"{{"SignedRFC3161Timestamp":"{}"}}"#, encode(token));
        Ok(Notes {
            signature: encode(self.signature()),
            certificate: self.chain().map(Chain::leaf_pem),
            chain: self.chain().map(Chain::above_pem),
            log_entry: entry,
            timestamp: self.timestamps.first().map(stamp),
            predicate_type: None,
        })
    }

    /// Judges the bundle as any verifier would, about `about`: for an envelope a digest that its statement names, for a message its bytes
    /// or digest.
    ///
    /// # Errors
    /// [`Fault`], by the first thing that does not hold: then nothing is to be published.
    pub fn judge(&self, instance: &Instance, about: About<'_>, now: Timestamp) -> Result<Proof, Fault> {
        self.judge_bytes(instance, &self.bundle(), about, now)
    }

    /// Judges the annotations of a `.sig` layer for `payload`, as any verifier would.
    ///
    /// # Errors
    /// As [`Sealed::judge`] and [`Sealed::notes`].
    pub fn judge_layer(&self, instance: &Instance, payload: &[u8], now: Timestamp) -> Result<Proof, Fault> {
        let notes = self.notes()?;
        let layer = SignatureLayer {
            payload: Descriptor::of(SIMPLE_SIGNING, payload),
            signature: Some(notes.signature),
            certificate: notes.certificate,
            chain: notes.chain.filter(|chain| !chain.is_empty()),
            log_entry: notes.log_entry,
            timestamp: notes.timestamp,
            predicate_type: None,
        };
        let bundle = legacy::bundle(&layer, self.signature())?;
        self.judge_bytes(instance, &bundle, About::Bytes(payload), now)
    }

    fn judge_bytes(&self, instance: &Instance, bundle: &[u8], about: About<'_>, now: Timestamp) -> Result<Proof, Fault> {
        let by = if self.chain().is_some() { By::Certificate } else { By::Key(self.key()) };
        instance.verify(Question { bundle, about, by }, now)
    }
}

#[cfg(test)]
mod tests;
