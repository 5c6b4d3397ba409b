//! How refusals and remarks reach clients and observers.

use std::sync::Arc;

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Tag;
use trustctl_core::verdict::VerdictKind;

use super::{Proxy, RETRY_AFTER, Request};
use crate::answer::{self, Answer, Denial, Places, Refusal};
use crate::break_glass::{Grant, Token};
use crate::decide::{Decision, Permit, Ruling, Trouble, Why};
use crate::observe::{Event, Outcome};
use crate::request::{Call, ManifestName};
use crate::upstreams::DenyMode;

/// What is asked for: `manifest` or `blob`, with the names it has.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) call: &'static str,
    pub(super) tag: Option<&'a Tag>,
    pub(super) digest: Option<&'a Digest>,
}

impl Proxy {
    /// Tells the observer, and gives leave to serve or the answer instead.
    pub(super) fn announce(
        &self,
        request: &Request<'_>,
        asked: Asked<'_>,
        decided: Result<(Decision, bool), Trouble>,
    ) -> Result<(Permit, bool), Box<Answer>> {
        match decided {
            Ok((Decision::Pass(permit), is_stale)) => {
                let is_stale = is_stale || matches!(&permit.why, Why::Ruling(ruling) if ruling.is_stale);
                self.tell_served(request, asked, &permit, is_stale);
                Ok((permit, is_stale))
            }
            Ok((Decision::Refuse(ruling), _)) => Err(Box::new(self.refuse(request, asked, &ruling))),
            Ok((Decision::Unreached(reason), _)) => Err(Box::new(self.refuse_for(request, asked, &reason))),
            Err(trouble) => {
                let (outcome, reason) = match &trouble {
                    Trouble::NotFound => (Outcome::NotFound, None),
                    Trouble::Unknown(reason) => (Outcome::Undecided, Some(reason)),
                };
                self.tell(request, asked, (outcome, reason), None);
                Err(Box::new(self.trouble(request, &trouble)))
            }
        }
    }

    /// Refuses for a reason that is no rule's.
    pub(super) fn refuse_for(&self, request: &Request<'_>, asked: Asked<'_>, reason: &Reason) -> Answer {
        self.tell(request, asked, (Outcome::Refused, Some(reason)), None);
        self.no(request, (reason, None, None), None)
    }

    fn refuse(&self, request: &Request<'_>, asked: Asked<'_>, ruling: &Ruling) -> Answer {
        let fallback = Reason::new(Code::CosignUnsigned, "nothing that the policy accepts was found");
        let reason = ruling.reasons.first().unwrap_or(&fallback);
        let rule = ruling.rule.as_deref();
        let is_undecided = ruling.verdict == VerdictKind::Undecided;
        let outcome = if is_undecided { Outcome::Undecided } else { Outcome::Refused };
        self.tell(request, asked, (outcome, Some(reason)), Some(ruling));
        let image = named(request);
        if is_undecided {
            self.unsure(request, reason, rule)
        } else {
            self.no(request, (reason, Some(&image), Some(ruling.subject.digest)), rule)
        }
    }

    /// The refusal, in the way that counts for this upstream's clients.
    fn no(
        &self,
        request: &Request<'_>,
        (reason, image, digest): (&Reason, Option<&str>, Option<Digest>),
        rule: Option<&str>,
    ) -> Answer {
        let reason = &self.parts.places.told(reason);
        let refusal = Refusal { image, digest, reason, rule, link: &self.link(reason.code) };
        if sticks(request) { self.sticky(request, &refusal) } else { answer::denied(&refusal) }
    }

    /// That it could not be decided, in the way that counts for this upstream's clients.
    ///
    /// Those that ask mirrors in turn take this, too, as a cause to ask the registry, and whoever can push can make an image that nobody
    /// can judge: so what stops them must not depend on why they are stopped.
    pub(super) fn unsure(&self, request: &Request<'_>, reason: &Reason, rule: Option<&str>) -> Answer {
        let (image, reason) = (named(request), &self.of_registry(request, reason));
        let refusal = Refusal { image: Some(&image), digest: None, reason, rule, link: &self.link(reason.code) };
        if sticks(request) { self.sticky(request, &refusal) } else { answer::undecided(&refusal, RETRY_AFTER) }
    }

    /// The denial manifest, which is then kept for a while: engines that ask for a tag by HEAD ask for what it names by digest next, and
    /// some for its configuration. Only who got it gets it again: the words may be about what others must not know of.
    fn sticky(&self, request: &Request<'_>, refusal: &Refusal<'_>) -> Answer {
        let denial = Arc::new(Denial::new(refusal));
        for name in [denial.digest(), denial.configuration()] {
            self.denials.insert((request.world.caller, request.place.repository.clone(), name), denial.clone());
        }
        denial.answer()
    }

    /// The answer to a request for a denial manifest that this caller was given, or for its configuration.
    pub(super) fn handed_out(&self, request: &Request<'_>) -> Option<Answer> {
        if request.place.upstream.deny_mode != DenyMode::Sticky {
            return None;
        }
        let given = |digest: &Digest| self.denials.get(&(request.world.caller, request.place.repository.clone(), *digest));
        match &request.ask.call {
            Call::Manifest { reference: ManifestName::Digest(digest), .. } => {
                given(digest).filter(|denial| denial.digest() == *digest).map(|denial| denial.answer())
            }
            Call::Blob { digest, .. } => {
                given(digest).filter(|denial| denial.configuration() == *digest).map(|denial| denial.words())
            }
            _ => None,
        }
    }

    fn tell_served(&self, request: &Request<'_>, asked: Asked<'_>, permit: &Permit, is_stale: bool) {
        let asked = Asked { digest: Some(&permit.digest), ..asked };
        let ruling = match &permit.why {
            Why::Ruling(ruling) => ruling,
            Why::Evidence => return self.tell(request, asked, (Outcome::Evidence, None), None),
            Why::BreakGlass(grant, ruling) => {
                let reason = used(grant);
                return self.tell(request, asked, (Outcome::BreakGlass, Some(&reason)), Some(ruling));
            }
        };
        let stale = is_stale.then(stale);
        let (outcome, reason) = lenient(ruling);
        let outcome = if is_stale { Outcome::Stale } else { outcome };
        self.tell(request, asked, (outcome, stale.as_ref().or(reason)), Some(ruling));
    }

    fn tell(
        &self,
        request: &Request<'_>,
        asked: Asked<'_>,
        (outcome, reason): (Outcome, Option<&Reason>),
        ruling: Option<&Ruling>,
    ) {
        let at = (self.parts.clock)();
        self.parts.observer.decided(&Event {
            at,
            client: request.client,
            host: request.ask.host.as_deref(),
            trace: request.headers.get("traceparent").and_then(|value| value.to_str().ok()),
            id: request.id,
            call: asked.call,
            repository: &request.place.repository,
            tag: asked.tag,
            digest: asked.digest,
            outcome,
            reason,
            rule: ruling.and_then(|ruling| ruling.rule.as_deref()),
            scheme: ruling.and_then(|ruling| ruling.scheme),
            signers: ruling.map(|ruling| &ruling.signers),
            evidence_age: ruling.map(|ruling| at.since(ruling.gathered)),
            took: request.began.elapsed(),
            fingerprint: ruling.map(|ruling| &ruling.fingerprint),
            ruling,
        });
    }
}

/// How something was served that no break-glass token let pass, and the reason for which its rule would refuse it or, of what is trusted,
/// the first remark.
fn lenient(ruling: &Ruling) -> (Outcome, Option<&Reason>) {
    let mode = |code: Code| ruling.warnings.iter().position(|reason| reason.code == code);
    let (outcome, at) = match (mode(Code::ProxyAuditOnly), mode(Code::PolicyWarn)) {
        (Some(at), _) => (Outcome::Audited, at),
        (None, Some(at)) => (Outcome::Warned, at),
        (None, None) => return (Outcome::Served, ruling.warnings.first()),
    };
    // What it would be refused for follows the word about the mode.
    (outcome, ruling.warnings.get(at + 1).or(ruling.warnings.get(at)))
}

/// What clients are told of a ruling by which something passes: all, but for what a rule only records.
fn told(ruling: &Ruling) -> impl Iterator<Item = &Reason> {
    ruling.warnings.iter().take_while(|reason| reason.code != Code::ProxyAuditOnly)
}

/// Adds what a client is to be told about something that is served.
pub(super) fn add_remarks(answer: &mut Answer, permit: &Permit, (is_stale, places): (bool, &Places)) {
    let ruling = match &permit.why {
        Why::Ruling(ruling) => ruling,
        Why::Evidence => return,
        Why::BreakGlass(grant, _) => {
            let reason = used(grant);
            return answer::add_warnings(answer.headers_mut(), [format!("{}: {}", reason.code.id(), reason.message).as_str()]);
        }
    };
    if is_stale {
        let stale = stale();
        answer::add_warnings(answer.headers_mut(), [format!("{}: {}", stale.code.id(), stale.message).as_str()]);
    }
    let told = told(ruling).map(|reason| format!("{}: {}", reason.code.id(), places.without(&reason.message)));
    let texts: Vec<String> = told.collect();
    answer::add_warnings(answer.headers_mut(), texts.iter().map(String::as_str));
}

/// What is said wherever something is served without its registry.
fn stale() -> Reason {
    Reason::new(Code::ProxyStale, "the upstream cannot be asked; this was trusted when it was last checked")
}

/// What is said wherever a token lets something pass.
fn used(grant: &Grant) -> Reason {
    let Token { reason, until, .. } = &grant.token;
    Reason::new(Code::ProxyBreakGlass, format!("let through until {until} by key {}: {reason}", grant.key))
}

/// What is asked for, by the name that policies speak of.
fn named(request: &Request<'_>) -> String {
    let repository = &request.place.repository;
    match &request.ask.call {
        Call::Manifest { reference: ManifestName::Tag(tag), .. } => format!("{repository}:{tag}"),
        Call::Blob { digest, .. } | Call::Manifest { reference: ManifestName::Digest(digest), .. } => {
            format!("{repository}@{digest}")
        }
        _ => repository.to_string(),
    }
}

/// Whether this request is refused by the denial manifest.
fn sticks(request: &Request<'_>) -> bool {
    let is_manifest = matches!(request.ask.call, Call::Manifest { .. });
    is_manifest && request.place.upstream.deny_mode == DenyMode::Sticky
}
