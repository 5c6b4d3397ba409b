//! Attestations one by one: what lies beside an image, for listing and downloading.

use trustctl_core::claim::{Claim, Claimed};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::scheme::Context;
use trustctl_core::subject::Subject;

use crate::artifact::{Artifact, Form, State};
use crate::dsse::Envelope;
use crate::revocation::is_revocation;
use crate::scheme::Cosign;
use crate::statement::{SIGN, Statement};

/// An attestation, or what lies where one would be.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// What is known about it.
    pub artifact: Artifact,
}

/// A form in which an attestation is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The DSSE envelope: the statement with its signature.
    Envelope,
    /// What is said.
    Predicate,
    /// What is said, and about what.
    Statement,
}

impl Cosign {
    /// The attestations that the evidence holds, in the order in which they are read; of other artifacts those under the `.att` tag
    /// that cannot be read.
    #[must_use]
    pub fn attestations(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<Attestation> {
        let is_one = |artifact: &Artifact| match &artifact.predicate_type {
            Some(stated) => stated.peek() != SIGN && !is_revocation(stated.peek()),
            None => artifact.form == Form::AttestationTag,
        };
        let artifacts = self.artifacts(subject, evidence, context).into_iter();
        artifacts.filter(is_one).map(|artifact| Attestation { artifact }).collect()
    }
}

impl Attestation {
    /// The type of what is said, as signed; of what was not read as its manifest says.
    #[must_use]
    pub fn predicate_type(&self) -> Option<&str> {
        self.artifact.predicate_type.as_ref().map(|stated| stated.peek().as_str())
    }

    /// What it proves, when it does.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        match &self.artifact.state {
            State::Proven(claim) => Some(claim),
            _ => None,
        }
    }

    /// The SHA-256 of the statement: by it an attestation is told from others.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.envelope().map(|envelope| Digest::sha256_of(&envelope.payload))
    }

    /// How many bytes the predicate has.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        self.statement()?.predicate_json().map(str::len)
    }

    /// A part of it, as JSON text; `None` where it has none.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<String> {
        let envelope = self.envelope()?;
        match part {
            Part::Envelope => Some(envelope.to_json()),
            Part::Predicate => self.statement()?.predicate_json().map(str::to_owned),
            Part::Statement => String::from_utf8(envelope.payload.clone()).ok(),
        }
    }

    fn envelope(&self) -> Option<&Envelope> {
        self.artifact.envelope.as_ref().map(Claimed::peek)
    }

    fn statement(&self) -> Option<Statement<'_>> {
        Statement::parse(&self.envelope()?.payload).ok()
    }
}
