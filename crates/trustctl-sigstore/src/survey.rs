//! What of the evidence matters, what is still to be asked for, and what could not be read. Asking and judging both start here,
//! so that they cannot disagree.

use std::borrow::Cow;
use std::collections::BTreeSet;

use trustctl_core::claim::Source;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Want};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::scheme::Missing;

use crate::format::FormatError;
use crate::layout::bundle::ReferrerManifest;
use crate::layout::listing::Listings;
use crate::layout::referrers::{Promise, Referrer};
use crate::layout::signatures::{DSSE, SIMPLE_SIGNING, SignatureLayer, SignatureManifest};
use crate::layout::{Descriptor, attestation_tag, signature_tag};
use crate::limits::{
    BUDGET_REFERRERS, BUDGET_TAGS, Budget, MAX_BLOB, MAX_MANIFEST, MAX_REFERRERS, MAX_REVOCATION, MAX_SIGNATURES,
};
use crate::revocation::{is_revocation, is_revocation_type};
use crate::simple_signing;
use crate::statement::SIGN;

/// How many attestations are read to say whose they are, when nothing else is there. They prove no signature.
const DIAGNOSED: usize = 4;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The repository whose `.sig` tag is read.
    pub(crate) signatures: Option<Repository>,
    /// The repositories whose referrers are read.
    pub(crate) referrers: Vec<Repository>,
    /// The repository whose `.att` tag is read.
    pub(crate) attestations: Option<Repository>,
    /// Whether attestations among the referrers are read.
    pub(crate) bundled_attestations: bool,
    /// The predicate types of the attestations that are read, of those that say theirs; all where none is named.
    pub(crate) attestation_types: BTreeSet<String>,
    /// Whether a few attestations are read where there is nothing else.
    pub(crate) diagnose: bool,
    /// The listings that were read so far.
    pub(crate) listings: Listings,
    /// Whether of the referrers only those are read that could be revocations.
    pub(crate) only_revocations: bool,
    /// The image's name, where payloads need not be asked for whose digests say that they are the usual ones about it.
    pub(crate) image: Option<(Repository, Option<Tag>)>,
}

impl Places {
    /// Whether attestations that say they are of this type are read.
    fn wants_type(&self, predicate_type: &str) -> bool {
        self.attestation_types.is_empty() || self.attestation_types.contains(predicate_type)
    }
}

/// The form in which something was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Form {
    /// A layer under the `.att` tag.
    AttestationTag,
    /// A bundle that refers to the image.
    Bundle,
    /// Remembered from an earlier run.
    Memory,
    /// A legacy signature in a manifest that refers to the image.
    SignatureReferrer,
    /// A layer under the `.sig` tag.
    SignatureTag,
}

impl Form {
    /// The words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::AttestationTag => ".att tag",
            Self::Bundle => "bundle",
            Self::Memory => "memory",
            Self::SignatureReferrer => ".sig referrer",
            Self::SignatureTag => ".sig tag",
        }
    }
}

/// Something that was found.
pub(crate) struct Found<'e> {
    pub(crate) form: Form,
    pub(crate) source: Source,
    /// The manifest of a bundle, and its repository.
    pub(crate) manifest: Option<(Repository, Digest)>,
    /// Whether it is said to be a revocation, by its listing or manifest.
    pub(crate) says_revocation: bool,
    pub(crate) content: Content<'e>,
}

pub(crate) enum Content<'e> {
    /// It cannot be read.
    Broken(Reason),
    /// A bundle.
    Bundle(&'e [u8]),
    /// A DSSE envelope under the `.att` tag.
    Envelope { layer: SignatureLayer, envelope: &'e [u8] },
    /// A legacy signature.
    Legacy { layer: SignatureLayer, payload: Cow<'e, [u8]> },
    /// An attestation that nobody asked to read.
    Unread { predicate_type: String },
}

/// Something still to be asked for.
pub(crate) struct Pending {
    pub(crate) want: Want,
    /// What its absence would mean; `None` when nothing depends on it.
    hides: Option<bool>,
}

/// What there is.
pub(crate) struct Survey<'e> {
    digest: Digest,
    evidence: &'e Evidence,
    pub(crate) found: Vec<Found<'e>>,
    pub(crate) pending: Vec<Pending>,
    missing: Vec<Missing>,
    pub(crate) looked_at: Vec<String>,
    /// The repositories whose referrers were asked for, and whether the registry's API answered; those that nobody answered for
    /// are not in it.
    pub(crate) apis: Vec<(Repository, Api)>,
    tags: Budget,
    bundles: Budget,
}

/// Which way a listing of referrers came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// The referrers API answered.
    Answered,
    /// The registry said that it has no such API.
    NotThere,
}

impl Api {
    /// The way an answer came; `None` when it says nothing about the registry.
    fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Present { origin: Origin::ReferrersApi, .. } => Some(Self::Answered),
            // The API answers with an empty listing where there is nothing; only a fallback tag can be absent.
            Entry::Absent | Entry::Present { origin: Origin::FallbackTag, .. } => Some(Self::NotThere),
            Entry::Present { .. } | Entry::Refused(_) => None,
        }
    }
}

/// How one piece of evidence is asked for.
struct Ask {
    locator: Locator,
    /// How many bytes it is said to have; the limit where nobody says.
    size: u64,
    limit: u64,
    /// Whether a revocation could be in it; `None` when nothing depends on it.
    hides: Option<bool>,
}

enum Answer<'e> {
    Absent,
    Bytes(&'e [u8]),
    Nothing,
}

/// A referrer on its way from the listing to its bundle.
struct Candidate {
    repository: Repository,
    referrer: Referrer,
    /// The bundle, when the manifest was read.
    blob: Option<Descriptor>,
}

impl<'e> Survey<'e> {
    /// Looks through the evidence about `digest`.
    pub(crate) fn new(digest: &Digest, places: &Places, evidence: &'e Evidence) -> Self {
        let mut survey = Self {
            digest: *digest,
            evidence,
            found: Vec::new(),
            pending: Vec::new(),
            missing: Vec::new(),
            looked_at: Vec::new(),
            apis: Vec::new(),
            tags: Budget::new(BUDGET_TAGS),
            bundles: Budget::new(BUDGET_REFERRERS),
        };
        if let Some(repository) = &places.signatures {
            survey.read_tag(digest, repository, Form::SignatureTag, places);
        }
        let mut candidates = Vec::new();
        for repository in &places.referrers {
            candidates.extend(survey.listing(digest, repository, places));
        }
        survey.read_referrers(candidates, places);
        if let Some(repository) = &places.attestations {
            survey.read_tag(digest, repository, Form::AttestationTag, places);
        }
        survey
    }

    /// What could not be read, with what was never asked for.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let unasked = self.pending.iter().filter_map(|pending| {
            let may_hide_revocation = pending.hides?;
            let words = format!("{} was never asked for", pending.want.locator);
            Some(Missing { reason: Reason::new(Code::NotGathered, words), may_hide_revocation })
        });
        self.missing.iter().cloned().chain(unasked).collect()
    }

    fn ask(&mut self, ask: Ask) -> Answer<'e> {
        match self.evidence.entry(&ask.locator) {
            Some(Entry::Absent) => Answer::Absent,
            Some(Entry::Present { bytes, .. }) if u64::try_from(bytes.len()).is_ok_and(|length| length <= ask.limit) => {
                Answer::Bytes(bytes)
            }
            Some(Entry::Present { bytes, .. }) => self.too_large(&ask, u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Some(Entry::Refused(refusal)) => self.miss(refusal.reason(&ask.locator), ask.hides),
            None if ask.size > ask.limit => self.too_large(&ask, ask.size),
            None => {
                let want = Want { locator: ask.locator, max_bytes: ask.size };
                if !self.pending.iter().any(|pending| pending.want.locator == want.locator) {
                    self.pending.push(Pending { want, hides: ask.hides });
                }
                Answer::Nothing
            }
        }
    }

    fn too_large(&mut self, ask: &Ask, size: u64) -> Answer<'e> {
        let words = format!("{} has {size} bytes, more than the {} that are read", ask.locator, ask.limit);
        self.miss(Reason::new(Code::TooLarge, words), ask.hides)
    }

    fn miss(&mut self, reason: Reason, hides: Option<bool>) -> Answer<'e> {
        if let Some(may_hide_revocation) = hides {
            self.missing.push(Missing { reason, may_hide_revocation });
        }
        Answer::Nothing
    }

    fn broken(&mut self, form: Form, at: String, reason: Reason) {
        let source = Source { form: form.words().to_owned(), at };
        self.found.push(Found { form, source, manifest: None, says_revocation: false, content: Content::Broken(reason) });
    }

    /// The `.sig` or `.att` tag of the image.
    fn read_tag(&mut self, digest: &Digest, repository: &Repository, form: Form, places: &Places) {
        let tag = if form == Form::AttestationTag { attestation_tag(digest) } else { signature_tag(digest) };
        let Some(tag) = tag else { return };
        let locator = Locator::TaggedManifest { repository: repository.clone(), tag };
        let at = locator.to_string();
        self.looked_at.push(at.clone());
        if let Answer::Bytes(bytes) = self.ask(Ask { locator, size: MAX_MANIFEST, limit: MAX_MANIFEST, hides: Some(false) }) {
            self.read_layers(bytes, (repository, &at), form, places);
        }
    }

    /// The layers of a manifest with legacy signatures or attestations.
    fn read_layers(&mut self, bytes: &[u8], (repository, at): (&Repository, &str), form: Form, places: &Places) {
        let manifest = match SignatureManifest::parse(bytes) {
            Ok(manifest) => manifest,
            Err(error) => return self.broken(form, at.to_owned(), error.reason(at)),
        };
        let wanted = if form == Form::AttestationTag { DSSE } else { SIMPLE_SIGNING };
        let mut count = 0_usize;
        for (index, layer) in manifest.layers().enumerate() {
            if layer.meaning.as_ref().is_ok_and(|layer| layer.payload.media_type != wanted) {
                continue;
            }
            count += 1;
            if count > MAX_SIGNATURES {
                let words = format!("{at} has more than the {MAX_SIGNATURES} signatures that are read");
                self.miss(Reason::new(Code::CosignTooMany, words), Some(false));
                return;
            }
            let at = format!("{at}, layer {}", index + 1);
            match layer.meaning {
                Ok(layer) => match &layer.predicate_type {
                    Some(predicate_type) if form == Form::AttestationTag && !places.wants_type(predicate_type) => {
                        let content = Content::Unread { predicate_type: predicate_type.clone() };
                        let source = Source { form: form.words().to_owned(), at };
                        self.found.push(Found { form, source, manifest: None, says_revocation: false, content });
                    }
                    _ => self.read_payload(layer, repository, form, (at, places)),
                },
                Err(error) => self.broken(form, at.clone(), error.reason(&at)),
            }
        }
    }

    fn read_payload(&mut self, layer: SignatureLayer, repository: &Repository, form: Form, (at, places): (String, &Places)) {
        let locator = Locator::Blob { repository: repository.clone(), digest: layer.payload.digest };
        if form != Form::AttestationTag
            && !self.evidence.has(&locator)
            && let Some((image, tag)) = &places.image
            && let Some(payload) = simple_signing::foresee(&layer.payload, &self.digest, image, tag.as_ref())
        {
            let source = Source { form: form.words().to_owned(), at };
            let content = Content::Legacy { layer, payload: Cow::Owned(payload) };
            self.found.push(Found { form, source, manifest: None, says_revocation: false, content });
            return;
        }
        if layer.payload.size <= MAX_BLOB && !self.tags.spend(layer.payload.size) && !self.evidence.has(&locator) {
            self.miss(
                Reason::new(Code::OutOfBudget, format!("{locator}: the payloads before it used up the budget")),
                Some(false),
            );
            return;
        }
        let source = Source { form: form.words().to_owned(), at };
        let content = match self.ask(Ask { locator, size: layer.payload.size, limit: MAX_BLOB, hides: Some(false) }) {
            Answer::Nothing => return,
            Answer::Absent => Content::Broken(gone(&source.at)),
            Answer::Bytes(envelope) if form == Form::AttestationTag => Content::Envelope { layer, envelope },
            Answer::Bytes(payload) => Content::Legacy { layer, payload: Cow::Borrowed(payload) },
        };
        self.found.push(Found { form, source, manifest: None, says_revocation: false, content });
    }

    /// The referrers of the image that may matter.
    fn listing(&mut self, digest: &Digest, repository: &Repository, places: &Places) -> Vec<Candidate> {
        let Places { listings, only_revocations, .. } = places;
        let locator = Locator::Referrers { repository: repository.clone(), digest: *digest };
        let at = locator.to_string();
        self.looked_at.push(at.clone());
        self.apis.extend(self.evidence.entry(&locator).and_then(Api::of).map(|api| (repository.clone(), api)));
        let bytes = match self.ask(Ask { locator, size: MAX_MANIFEST, limit: MAX_MANIFEST, hides: Some(true) }) {
            Answer::Bytes(bytes) => bytes,
            Answer::Absent | Answer::Nothing => return Vec::new(),
        };
        let read = listings.read(bytes);
        let listing = match read.as_ref() {
            Ok(listing) => listing,
            Err(error) => {
                let code = if matches!(error, FormatError::TooMany { .. }) { Code::CosignTooMany } else { Code::BadAnswer };
                self.miss(Reason::new(code, format!("{at}: {error}")), Some(true));
                return Vec::new();
            }
        };
        for error in &listing.broken {
            self.broken(Form::Bundle, at.clone(), error.reason(&at));
        }
        if let Some(error) = &listing.withheld {
            self.miss(error.reason(&at), Some(true));
        }
        let wanted = listing.referrers.iter().filter(|referrer| !only_revocations || referrer.is_or_may_be_revocation());
        let candidate =
            |referrer: &Referrer| Candidate { repository: repository.clone(), referrer: referrer.clone(), blob: None };
        wanted.map(candidate).collect()
    }

    /// Manifests first, then bundles, each in the order of what they promise: what could withdraw the image is never starved.
    fn read_referrers(&mut self, mut candidates: Vec<Candidate>, places: &Places) {
        let is_unwanted = |candidate: &Candidate| match &candidate.referrer.promise {
            Promise::Attestation(predicate_type) => !places.bundled_attestations || !places.wants_type(predicate_type),
            _ => false,
        };
        candidates.sort_by(|one, two| one.referrer.promise.cmp(&two.referrer.promise));
        let (attestations, mut clear): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| is_unwanted(candidate));
        self.cut(&mut clear);
        let mut read: Vec<Candidate> = clear.into_iter().filter_map(|candidate| self.read_manifest(candidate, false)).collect();
        if places.only_revocations {
            read.retain(|candidate| candidate.referrer.is_or_may_be_revocation());
        }
        read.sort_by(|one, two| one.referrer.promise.cmp(&two.referrer.promise));
        let (more, wanted): (Vec<_>, Vec<_>) = read.into_iter().partition(|candidate| is_unwanted(candidate));
        for candidate in wanted {
            self.read_bundle(candidate, false);
        }
        self.diagnose(attestations.into_iter().chain(more).collect(), places.diagnose);
    }

    /// Reads a few attestations where there is nothing else, to say whose they are; notes the others as unread.
    fn diagnose(&mut self, attestations: Vec<Candidate>, wanted: bool) {
        let alone = wanted && self.found.is_empty() && self.missing.is_empty() && self.pending.is_empty();
        for (index, candidate) in attestations.into_iter().enumerate() {
            if alone && index < DIAGNOSED {
                let candidate = if candidate.blob.is_some() { Some(candidate) } else { self.read_manifest(candidate, true) };
                if let Some(candidate) = candidate {
                    self.read_bundle(candidate, true);
                }
            } else if let Promise::Attestation(predicate_type) = &candidate.referrer.promise {
                let content = Content::Unread { predicate_type: predicate_type.clone() };
                self.found.push(candidate.found(content));
            }
        }
    }

    fn cut(&mut self, candidates: &mut Vec<Candidate>) {
        let count = candidates.len();
        if count <= MAX_REFERRERS {
            return;
        }
        let beyond = candidates.split_off(MAX_REFERRERS);
        let hides = beyond.iter().any(|candidate| candidate.referrer.may_be_revocation());
        let words = format!("the image has {count} referrers that may matter, {MAX_REFERRERS} are read");
        self.miss(Reason::new(Code::CosignTooMany, words), Some(hides));
    }

    /// Reads the manifest of a referrer; legacy signatures in it are read at once, a bundle is handed back.
    fn read_manifest(&mut self, mut candidate: Candidate, quiet: bool) -> Option<Candidate> {
        let Descriptor { digest, size, .. } = candidate.referrer.manifest;
        let hides = (!quiet).then(|| candidate.referrer.may_be_revocation());
        let locator = Locator::Manifest { repository: candidate.repository.clone(), digest };
        let answer = self.within_budget(Ask { locator, size, limit: MAX_REVOCATION, hides });
        let bytes = match answer {
            Answer::Bytes(bytes) => bytes,
            Answer::Nothing => return None,
            Answer::Absent => {
                self.withheld(&candidate);
                let content = Content::Broken(gone(&candidate.at()));
                self.found.push(candidate.found(content));
                return None;
            }
        };
        match ReferrerManifest::parse(bytes) {
            Ok(ReferrerManifest::Bundle { blob, predicate_type }) => {
                candidate.referrer.refine(&blob, predicate_type);
                candidate.blob = Some(blob);
                return Some(candidate);
            }
            Ok(ReferrerManifest::Signatures) => {
                let at = candidate.at();
                self.read_layers(bytes, (&candidate.repository, &at), Form::SignatureReferrer, &Places::default());
            }
            Ok(ReferrerManifest::Other) => {}
            Err(error) => {
                let content = Content::Broken(error.reason(&candidate.at()));
                self.found.push(candidate.found(content));
            }
        }
        None
    }

    fn read_bundle(&mut self, candidate: Candidate, quiet: bool) {
        let Some(blob) = &candidate.blob else { return };
        let hides = (!quiet).then(|| candidate.referrer.may_be_revocation_of(blob.size));
        let locator = Locator::Blob { repository: candidate.repository.clone(), digest: blob.digest };
        let content = match self.within_budget(Ask { locator, size: blob.size, limit: MAX_BLOB, hides }) {
            Answer::Nothing => return,
            Answer::Absent => {
                self.withheld(&candidate);
                Content::Broken(gone(&candidate.at()))
            }
            Answer::Bytes(bytes) => Content::Bundle(bytes),
        };
        self.found.push(candidate.found(content));
    }

    /// A revocation that is listed and is not there was taken away: whatever it says counts until it can be read.
    fn withheld(&mut self, candidate: &Candidate) {
        if candidate.referrer.promise == Promise::Revocation {
            self.missing.push(Missing { reason: gone(&candidate.at()), may_hide_revocation: true });
        }
    }

    fn within_budget(&mut self, ask: Ask) -> Answer<'e> {
        if ask.size <= ask.limit && !self.bundles.spend(ask.size) && !self.evidence.has(&ask.locator) {
            let words = format!("{}: the referrers before it used up the budget", ask.locator);
            return self.miss(Reason::new(Code::OutOfBudget, words), ask.hides);
        }
        self.ask(ask)
    }
}

impl Candidate {
    fn at(&self) -> String {
        format!("{}@{}", self.repository, self.referrer.manifest.digest)
    }

    fn found(self, content: Content<'_>) -> Found<'_> {
        let source = Source { form: Form::Bundle.words().to_owned(), at: self.at() };
        let says_revocation = self.referrer.promise == Promise::Revocation;
        let manifest = Some((self.repository, self.referrer.manifest.digest));
        Found { form: Form::Bundle, source, manifest, says_revocation, content }
    }
}

impl Referrer {
    /// Whether it has to be read to know that it is no revocation.
    fn is_or_may_be_revocation(&self) -> bool {
        matches!(self.promise, Promise::Revocation | Promise::Unclear)
    }

    fn may_be_revocation(&self) -> bool {
        self.may_be_revocation_of(self.manifest.size)
    }

    /// Whether something of `size` bytes, by the word of others, could be a revocation. What says that it is one is believed
    /// whatever its size: that is a number anybody can write into a listing.
    fn may_be_revocation_of(&self, size: u64) -> bool {
        match self.promise {
            Promise::Revocation => true,
            Promise::Unclear => self.manifest.size.max(size) <= MAX_REVOCATION,
            Promise::Attestation(_) | Promise::Foreign | Promise::Signature => false,
        }
    }

    /// What the manifest says it holds counts more than what the listing says.
    fn refine(&mut self, blob: &Descriptor, predicate_type: Option<String>) {
        self.promise = match predicate_type {
            _ if is_revocation_type(&blob.media_type) => Promise::Revocation,
            Some(predicate_type) if is_revocation(&predicate_type) => Promise::Revocation,
            Some(predicate_type) if predicate_type == SIGN => Promise::Signature,
            Some(predicate_type) if !predicate_type.is_empty() => Promise::Attestation(predicate_type),
            _ if self.promise == Promise::Revocation => Promise::Revocation,
            _ => Promise::Unclear,
        };
    }
}

fn gone(at: &str) -> Reason {
    Reason::new(Code::CosignMalformed, format!("{at} is listed, and the registry does not have it"))
}
