//! What a trust scheme does: say which evidence it wants, and say what the evidence proves.

use std::sync::Arc;

use crate::claim::{Claim, Claimed, Principal, SchemeName, Source};
use crate::digest::Digest;
use crate::evidence::{Evidence, Want};
use crate::memory::{Memory, Slot};
use crate::policy::NamePattern;
use crate::public_key::PublicKey;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::time::Timestamp;

/// A trust scheme: Docker Content Trust, or Cosign. Its methods are pure.
pub trait Scheme: Sync {
    /// The scheme's name.
    fn name(&self) -> SchemeName;

    /// Everything that can be asked for now, given what is there already; empty when nothing more is needed.
    ///
    /// The caller fetches all of it at once, adds it to the evidence and asks again, for a bounded number of rounds. Nothing
    /// that the evidence already answers is asked for again.
    fn wants(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<Want>;

    /// What the evidence proves about the subject.
    ///
    /// Evidence that [`Scheme::wants`] would still ask for, and evidence that was refused, ends up in
    /// [`Findings::missing`]: an outage never looks like "unsigned".
    fn examine(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Findings;

    /// As [`Scheme::wants`], of what could withdraw the subject and nothing else: for the platform images of an index that is
    /// judged by itself. Nothing in a scheme that cannot withdraw a single image.
    fn wants_revocations(&self, _subject: &Subject, _evidence: &Evidence, _context: &Context<'_>) -> Vec<Want> {
        Vec::new()
    }

    /// As [`Scheme::examine`], of what [`Scheme::wants_revocations`] asks for: the revocations that are proven, and in
    /// [`Findings::missing`] only what may hide one.
    fn examine_revocations(&self, _subject: &Subject, _evidence: &Evidence, _context: &Context<'_>) -> Findings {
        Findings::new(self.name())
    }
}

/// What is trusted to begin with, what was seen before, and the time: the arguments no scheme may fetch for itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What is trusted to begin with.
    pub anchors: &'a Anchors,
    /// What was seen before.
    pub memory: &'a Memory,
    /// The time at which the evidence is judged.
    pub now: Timestamp,
}

/// What is trusted to begin with.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Cosign keys.
    pub keys: Vec<KeyAnchor>,
    /// Pinned roots of Notary collections.
    pub dct: Vec<DctAnchor>,
    /// Sigstore instances that vouch for identities and log entries.
    pub sigstores: Vec<SigstoreAnchor>,
    /// Certificate authorities of one's own.
    pub authorities: Vec<AuthorityAnchor>,
}

/// A Cosign key that a signer of the policy holds.
#[derive(Clone, Debug)]
pub struct KeyAnchor {
    /// The signer's name in the policy.
    pub signer: String,
    /// The key.
    pub key: PublicKey,
}

/// A Sigstore instance: who vouches for identities, log entries and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigstoreAnchor {
    /// Its name in the policy; `None` for the one that counts where a signer names none.
    pub name: Option<String>,
    /// Its trusted root, JSON as Sigstore publishes it.
    pub trusted_root: Arc<[u8]>,
    /// How much must vouch for a signature.
    pub thresholds: Thresholds,
}

/// A Sigstore instance whose trusted root is a target of a TUF repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryAnchor {
    /// Its name in the policy.
    pub name: String,
    /// The address of the repository's metadata, without a final slash.
    pub url: String,
    /// The root metadata that trust begins with, JSON.
    pub root: Arc<[u8]>,
    /// How much must vouch for a signature.
    pub thresholds: Thresholds,
    /// Why what its signers signed cannot be judged, as long as no trusted root of it is at hand.
    pub lacking: Reason,
}

/// How many distinct operators must vouch for a signature, whatever its signer demands beyond that.
///
/// An operator counts once, however many entries or timestamps it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Transparency logs with a proven entry.
    pub logs: usize,
    /// Logs and timestamp authorities with a proven time, for signatures by certificate. At least one is always demanded.
    pub times: usize,
    /// Certificate transparency logs whose signed certificate timestamp is in the certificate.
    pub certificate_logs: usize,
    /// Whether a log entry counts only with an inclusion proof, also where its format can do without: bundles 0.1 and the
    /// annotations of `.sig` tags.
    pub inclusion_proof: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { logs: 0, times: 1, certificate_logs: 1, inclusion_proof: false }
    }
}

/// A certificate authority of one's own, which vouches for one signer of the policy.
#[derive(Clone, Debug)]
pub struct AuthorityAnchor {
    /// How it is named in claims, where a Sigstore instance has its name: `ca:` and the signer's name.
    pub name: String,
    /// DER of the root certificates.
    pub roots: Vec<Vec<u8>>,
    /// DER of certificates between a root and those that sign, which a signature then need not bring along.
    pub intermediates: Vec<Vec<u8>>,
    /// Which name of a certificate counts; one that has no such name is not vouched for.
    pub names: NamePattern,
    /// The name of the Sigstore instance whose logs and timestamp authorities count.
    pub instance: Option<String>,
    /// That instance, where it is at hand. Its certificate authorities do not count.
    pub sigstore: Option<SigstoreAnchor>,
}

/// What a DCT signer of the policy pins.
#[derive(Clone, Debug)]
pub struct DctAnchor {
    /// The signer's name in the policy.
    pub signer: String,
    /// Pinned TUF root key ids, lower-case hexadecimal (the "Root Key" of `docker trust inspect`).
    pub roots: Vec<String>,
    /// DER of CA certificates that a root key's certificate may chain to.
    pub authorities: Vec<Vec<u8>>,
    /// Whether a collection seen for the first time is believed (trust on first use).
    pub tofu: bool,
}

/// How a pinned CA is named among the anchors of a claim: `ca:` and the SHA-256 of its DER, hexadecimal.
#[must_use]
pub fn authority_id(der: &[u8]) -> String {
    format!("ca:{}", Digest::sha256_of(der).hex())
}

/// What a scheme found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The scheme.
    pub scheme: SchemeName,
    /// What the evidence proves, for this subject's digest.
    pub claims: Vec<Claim>,
    /// Evidence that was read and does not prove what it should; each says whose it would have been, where that is known.
    pub problems: Vec<Problem>,
    /// Evidence that could not be read.
    pub missing: Vec<Missing>,
    /// What says that it withdraws the subject, and is not proven.
    pub unproven: Vec<Unproven>,
    /// Where the scheme looked, for people.
    pub looked_at: Vec<String>,
    /// What is to be remembered, by name; only what was proven. Stored whatever the verdict is.
    pub learnt: Vec<(String, Slot)>,
    /// What the servers that answered can do, by name. Nobody signs it: only who asked them himself may remember it, not who was
    /// given the evidence. All it can do is to make later evidence incomplete.
    pub noticed: Vec<(String, Slot)>,
    /// Remarks that change nothing, such as an expiry that comes near.
    pub warnings: Vec<Reason>,
}

impl Findings {
    /// Nothing found so far.
    #[must_use]
    pub fn new(scheme: SchemeName) -> Self {
        Self {
            scheme,
            claims: Vec::new(),
            problems: Vec::new(),
            missing: Vec::new(),
            unproven: Vec::new(),
            looked_at: Vec::new(),
            learnt: Vec::new(),
            noticed: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds what `other` found in the same scheme.
    pub fn merge(&mut self, other: Self) {
        self.claims.extend(other.claims);
        self.problems.extend(other.problems);
        self.missing.extend(other.missing);
        self.unproven.extend(other.unproven);
        self.looked_at.extend(other.looked_at);
        self.learnt.extend(other.learnt);
        for noticed in other.noticed {
            if !self.noticed.contains(&noticed) {
                self.noticed.push(noticed);
            }
        }
        self.warnings.extend(other.warnings);
    }
}

/// Evidence that was read and is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub reason: Reason,
    /// Whose evidence it would have been, when that is proven.
    pub principal: Option<Principal>,
    /// Where it was found.
    pub source: Source,
}

/// Evidence that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Why it could not be read.
    pub reason: Reason,
    /// Whether a revocation could be in it: then nothing is trusted without it.
    pub may_hide_revocation: bool,
}

/// A statement that the subject is withdrawn, of which it is not proven who made it. Whether that matters depends on whom it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// Why it is not proven.
    pub reason: Reason,
    /// Whom it names as its maker, where it names somebody: anybody could.
    pub by: Option<Claimed<Principal>>,
    /// Where it was found.
    pub source: Source,
}
