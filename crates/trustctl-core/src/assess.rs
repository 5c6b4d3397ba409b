//! From evidence to a judgement: which schemes are consulted, what they find, and what the judge makes of it. Pure.

pub mod children;

use std::collections::BTreeSet;

use crate::claim::SchemeName;
use crate::evidence::{Evidence, Want};
use crate::judge::{Judgement, judge_strictly, needs_children, revoked_child, unproven_of_child, warn_only, with_children};
use crate::memory::{Memory, Slot};
use crate::policy::{Applies, DefaultAction, Policy};
use crate::reason::{Code, Reason};
use crate::reference::{Repository, Tag};
use crate::scheme::{Anchors, Context, Findings, Scheme};
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::verdict::{Reasons, Verdict};

use children::{Children, Labels};

/// Everything a judgement rests on beside the evidence.
#[derive(Clone, Copy)]
pub struct Assessor<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The schemes this program has.
    pub schemes: &'a [&'a dyn Scheme],
    /// What was seen before.
    pub memory: &'a Memory,
    /// The time at which the evidence is judged.
    pub now: Timestamp,
}

/// A judgement and how it came about.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The judgement.
    pub judgement: Judgement,
    /// What each consulted scheme found about the subject, revocations of its children included; then about its children, where
    /// these were judged too.
    pub findings: Vec<Findings>,
}

impl Assessment {
    /// What is to be remembered: by scheme and name, only what was proven. Stored whatever the verdict is.
    pub fn learnt(&self) -> impl Iterator<Item = (SchemeName, &str, &Slot)> {
        let all = self.findings.iter();
        all.flat_map(|findings| findings.learnt.iter().map(move |(name, slot)| (findings.scheme, name.as_str(), slot)))
    }
}

/// The names under which there may be something to remember about `subject` and its children: its collection, its digests, its
/// repository, and `elsewhere` where Cosign's artifacts are kept in another one.
#[must_use]
pub fn remembered_names(subject: &Subject, elsewhere: Option<&Repository>) -> Vec<(SchemeName, String)> {
    let children = subject.children.iter().map(|child| child.digest);
    let digests = std::iter::once(subject.digest).chain(children).map(|digest| digest.to_string());
    let repositories = elsewhere.into_iter().chain([&subject.repository]).map(Repository::canonical_name);
    let cosign = digests.chain(repositories).map(|name| (SchemeName::Cosign, name));
    cosign.chain([(SchemeName::Dct, subject.repository.to_string())]).collect()
}

impl<'a> Assessor<'a> {
    /// The schemes that the policy wants consulted about `subject`, and the anchors they are given; none when the policy decides
    /// without evidence.
    #[must_use]
    pub fn consulted(&self, subject: &Subject) -> (Vec<&'a dyn Scheme>, Anchors) {
        match self.policy.applies(&subject.repository, &subject.digest, self.now) {
            Ok(Applies::Rule(rule)) => {
                let named = self.policy.schemes(rule);
                let schemes = self.schemes.iter().copied().filter(|scheme| named.contains(&scheme.name()));
                (schemes.collect(), self.policy.anchors(rule))
            }
            _ => (Vec::new(), Anchors::default()),
        }
    }

    /// Everything that can be asked for now: about the subject, at the same time what could withdraw its children, and when the
    /// subject's is all there, the rest about its children where the policy needs them. Answers that are on their way are named
    /// again; whoever fetches leaves them out.
    #[must_use]
    pub fn wants(&self, subject: &Subject, evidence: &Evidence) -> Vec<Want> {
        let known = subject.by_sha256(evidence);
        let mut wants = self.wants_alone(&known, evidence);
        if subject.children.is_empty() {
            return wants;
        }
        let alone = wants.is_empty().then(|| self.strictly((&known, known.tag.as_ref()), evidence));
        let Some(labels) = self.labels(&known, alone.as_ref().map(|alone| &alone.judgement)) else { return wants };
        let looked = Children::look(subject, evidence, Labels::Believed);
        if !looked.refused.is_empty() {
            return wants;
        }
        wants.extend(looked.wants);
        if !self.consulted(&known).0.is_empty() {
            let more = |alone: &Assessment| needs_children(self.policy, &known, &alone.judgement, self.now);
            let needs_more = alone.as_ref().is_some_and(more);
            for child in known.children.iter().filter(|child| child.is_by_sha256()).map(|child| known.child(child)) {
                wants.extend(self.wants_revocations(&child, evidence));
                if needs_more {
                    wants.extend(self.wants_alone(&child, evidence));
                }
            }
        }
        if let (true, Labels::Doubted, Some(mut whole)) = (wants.is_empty(), labels, alone) {
            // Only what would be trusted is worth the requests.
            self.with_children(&mut whole, &known, evidence);
            if warn_only(self.policy, &known, self.now, whole.judgement).verdict.is_trusted() {
                wants = Children::look(subject, evidence, labels).wants;
            }
        }
        let mut seen = BTreeSet::new();
        wants.retain(|want| seen.insert(want.locator.clone()));
        wants
    }

    /// The judgement about `subject`, with its children where the policy asks for them.
    ///
    /// The same arguments always give the same judgement. Evidence that was never asked for makes it undecided.
    #[must_use]
    pub fn assess(&self, subject: &Subject, evidence: &Evidence) -> Assessment {
        let known = subject.by_sha256(evidence);
        let mut whole = self.strictly((&known, known.tag.as_ref()), evidence);
        let labels = self.labels(&known, Some(&whole.judgement));
        let looked = labels.map(|labels| Children::look(subject, evidence, labels)).unwrap_or_default();
        if looked.refused.is_empty() {
            self.with_children(&mut whole, &known, evidence);
        }
        refuse(&mut whole.judgement, looked);
        tell_once(&mut whole.judgement.warnings);
        let judgement = warn_only(self.policy, &known, self.now, whole.judgement);
        Assessment { judgement, findings: whole.findings }
    }

    /// Adds what is to be said about the children of an index, taken for what it says they are.
    fn with_children(&self, whole: &mut Assessment, subject: &Subject, evidence: &Evidence) {
        if !needs_children(self.policy, subject, &whole.judgement, self.now) {
            return self.withdraw(whole, subject, evidence);
        }
        let mut judgements = Vec::new();
        // An index that is trusted itself is bound to its tag already; its children stand for it only where it is not.
        let asked = subject.tag.as_ref().filter(|_| !whole.judgement.verdict.is_trusted());
        for child in &subject.children {
            let assessed = self.strictly((&subject.child(child), asked), evidence);
            judgements.push(assessed.judgement);
            whole.findings.extend(assessed.findings);
        }
        whole.judgement = with_children(&whole.judgement, subject, judgements);
    }

    /// Whose word it is what the children of an index are, by the judgement about the index itself as far as there is one; `None`
    /// where nothing depends on them.
    fn labels(&self, subject: &Subject, alone: Option<&Judgement>) -> Option<Labels> {
        let denies = !self.policy.deny.is_empty();
        match self.policy.applies(&subject.repository, &subject.digest, self.now) {
            Ok(Applies::Allow(_) | Applies::Default(DefaultAction::Allow)) if denies => Some(Labels::Doubted),
            Ok(Applies::Allow(_)) => Some(Labels::Believed),
            Ok(Applies::Rule(rule)) => {
                let passes_unsigned = |alone: &Judgement| {
                    let warns = rule.warn_until.is_some_and(|until| self.now <= until);
                    !alone.verdict.is_trusted() && (warns || needs_children(self.policy, subject, alone, self.now))
                };
                Some(if alone.is_some_and(passes_unsigned) { Labels::Doubted } else { Labels::Believed })
            }
            _ => None,
        }
    }

    /// Takes back the trust in an index that is judged by itself where one of its children is revoked, or might be: whoever pulls
    /// the index runs one of them. A revocation that is remembered counts without being asked for.
    fn withdraw(&self, whole: &mut Assessment, subject: &Subject, evidence: &Evidence) {
        let (mut revoked, mut hidden) = (None, Vec::new());
        for child in subject.children.iter().filter(|child| child.is_by_sha256()).map(|child| subject.child(child)) {
            let findings = self.revocations(&child, evidence);
            revoked = revoked.or_else(|| revoked_child(self.policy, &child, &findings, self.now));
            let (unproven, remark) = unproven_of_child(self.policy, &child, &findings, self.now);
            hidden.extend(unproven);
            whole.judgement.warnings.extend(remark);
            for found in findings {
                // Where the policy decides about the index without evidence, nothing was asked for about its children either.
                let Some(own) = whole.findings.iter_mut().find(|own| own.scheme == found.scheme) else { continue };
                hidden.extend(found.missing.iter().map(|missing| missing.reason.clone()));
                own.merge(found);
            }
        }
        if let Some(reasons) = revoked {
            whole.judgement.verdict = Verdict::Rejected { reasons };
        } else if whole.judgement.verdict.is_trusted()
            && let Some(missing) = Reasons::ranked(hidden)
        {
            whole.judgement.verdict = Verdict::Undecided { missing };
        }
    }

    fn wants_revocations(&self, child: &Subject, evidence: &Evidence) -> Vec<Want> {
        let (schemes, anchors) = self.consulted(child);
        let context = Context { anchors: &anchors, memory: self.memory, now: self.now };
        schemes.iter().flat_map(|scheme| scheme.wants_revocations(child, evidence, &context)).collect()
    }

    fn revocations(&self, child: &Subject, evidence: &Evidence) -> Vec<Findings> {
        let (schemes, anchors) = self.consulted(child);
        let context = Context { anchors: &anchors, memory: self.memory, now: self.now };
        schemes.iter().map(|scheme| scheme.examine_revocations(child, evidence, &context)).collect()
    }

    fn wants_alone(&self, subject: &Subject, evidence: &Evidence) -> Vec<Want> {
        let (schemes, anchors) = self.consulted(subject);
        let context = Context { anchors: &anchors, memory: self.memory, now: self.now };
        schemes.iter().flat_map(|scheme| scheme.wants(subject, evidence, &context)).collect()
    }

    /// The judgement about one manifest before warn mode, asked for by a tag.
    fn strictly(&self, (subject, asked): (&Subject, Option<&Tag>), evidence: &Evidence) -> Assessment {
        let (schemes, anchors) = self.consulted(subject);
        let context = Context { anchors: &anchors, memory: self.memory, now: self.now };
        let findings: Vec<Findings> = schemes.iter().map(|scheme| scheme.examine(subject, evidence, &context)).collect();
        Assessment { judgement: judge_strictly(self.policy, (subject, asked), &findings, self.now), findings }
    }
}

/// Whoever withdraws an index withdraws what it names with it: where that counts for nothing, it is one remark and not one for each image.
fn tell_once(warnings: &mut Vec<Reason>) {
    let is_told = |warning: &Reason| warning.code == Code::PolicyRevocationByOther;
    let (told, mut others): (Vec<Reason>, Vec<Reason>) = std::mem::take(warnings).into_iter().partition(is_told);
    others.extend(told.split_first().map(|(first, more)| match more.len() {
        0 => first.clone(),
        more => Reason::new(first.code, format!("{}; the same is said of {more} more in it", first.message)),
    }));
    *warnings = others;
}

/// An index with a child that may not be in one is refused; one with a child that was not read is not trusted.
fn refuse(judgement: &mut Judgement, children: Children) {
    let Children { mut refused, unread, .. } = children;
    if !refused.is_empty()
        && let Verdict::Rejected { reasons } = &judgement.verdict
    {
        refused.extend(reasons.iter().cloned());
    }
    if let Some(reasons) = Reasons::ranked(refused) {
        judgement.verdict = Verdict::Rejected { reasons };
    } else if judgement.verdict.is_trusted()
        && let Some(missing) = Reasons::ranked(unread)
    {
        judgement.verdict = Verdict::Undecided { missing };
    }
}
