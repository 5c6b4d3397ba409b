//! Docker Content Trust as a [`Scheme`]: what to fetch, and what the collection says about one image.
//!
//! Docker's rule decides what a tag means: `targets/releases` if it has the tag, else `targets`. Every role's word is reported, so
//! that a policy may ask for another role and people see when roles disagree.

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::claim::{Claim, LogFindings, Principal, SchemeName, Source, Statement};
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::evidence::{Evidence, Locator, Want};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Tag;
use trustctl_core::scheme::{Context, Findings, Problem, Scheme};
use trustctl_core::subject::Subject;

use crate::collection::{Collection, RoleFile, SigningRole};
use crate::error::DctError;
use crate::metadata::targets::Target;
use crate::reading::{Reading, read};
use crate::role::RoleName;

/// Docker Content Trust.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dct;

impl Scheme for Dct {
    fn name(&self) -> SchemeName {
        SchemeName::Dct
    }

    /// At most three rounds for a collection never seen: timestamp and root; snapshot, with intermediate roots where a pin needs
    /// them; targets and every delegation. One round when nothing changed since the last time.
    fn wants(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<Want> {
        let reading = read(&subject.repository, evidence, context);
        if reading.refuted { Vec::new() } else { reading.wants }
    }

    fn examine(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Findings {
        let Reading { collection, sound, refuted, problems, missing, learnt, warnings, .. } =
            read(&subject.repository, evidence, context);
        let mut findings = Findings::new(SchemeName::Dct);
        findings.looked_at.push(format!("Docker Content Trust data of {}", subject.repository));
        findings.problems = problems;
        // What is proven wrong is rejected, whatever else could not be read.
        findings.missing = if refuted { Vec::new() } else { missing };
        findings.warnings = warnings;
        if learnt != trustctl_core::memory::Slot::default() {
            findings.learnt.push((subject.repository.to_string(), learnt));
        }
        if let (Some(collection), true) = (collection, sound) {
            let case = Case { subject, collection: &collection };
            match &subject.tag {
                Some(tag) => case.by_tag(tag, &mut findings),
                None => case.by_digest(&mut findings),
            }
        }
        findings
    }
}

/// One image before one collection that counts.
struct Case<'a> {
    subject: &'a Subject,
    collection: &'a Collection,
}

impl Case<'_> {
    /// What each role says about the tag the image was asked for by.
    fn by_tag(&self, tag: &Tag, findings: &mut Findings) {
        let mut digests = BTreeSet::new();
        for role in &self.collection.roles {
            let Some(target) = role.target(tag.as_str()) else { continue };
            digests.extend(target.digest());
            if target.names(&self.subject.digest) {
                self.agree(role, tag.as_str(), target, findings);
            } else {
                findings.problems.push(self.moved(role, tag.as_str(), target));
            }
        }
        if digests.len() > 1 {
            findings.warnings.push(self.conflict(tag.as_str()));
        }
        if self.collection.deciding_role(tag.as_str()).is_none() && !self.undecidable() {
            let words = format!("no role of {} that counts signs the tag {tag}", self.collection.gun);
            findings.problems.push(self.problem(Reason::new(Code::DctTagNotSigned, words), None));
        }
    }

    /// What each role says about the digest, under whatever tag; one claim a role, for a tag that the role decides if there is one.
    fn by_digest(&self, findings: &mut Findings) {
        let mut decided = false;
        for role in &self.collection.roles {
            let named = || role.images().filter(|(_, digest)| *digest == self.subject.digest).map(|(tag, _)| tag);
            let Some(tag) = named().find(|tag| self.decides(role, tag)).or_else(|| named().next()) else { continue };
            decided |= self.decides(role, tag);
            if let Some(target) = role.target(tag) {
                self.agree(role, tag, target, findings);
            }
        }
        if !decided && !self.undecidable() {
            let words = format!("no tag of {} in the roles that count means {}", self.collection.gun, self.subject.digest);
            findings.problems.push(self.problem(Reason::new(Code::DctDigestNotSigned, words), None));
        }
    }

    /// The role signs this digest: a claim, unless it states another size for it.
    fn agree(&self, role: &SigningRole, tag: &str, target: &Target, findings: &mut Findings) {
        let principal = self.principal(role, tag);
        if target.length != self.subject.size {
            let error = DctError::WrongLength { declared: target.length, actual: Some(self.subject.size) };
            let reason = error.reason(&format!("the manifest of {}:{tag} by {}", self.collection.gun, role.name));
            findings.problems.push(self.problem(reason, Some(principal)));
            return;
        }
        findings.claims.push(Claim {
            scheme: SchemeName::Dct,
            statement: Statement::Signature,
            principal,
            digest: self.subject.digest,
            repository: Some(self.collection.gun.to_string()),
            tag: Some(tag.to_owned()),
            annotations: BTreeMap::new(),
            signed_at: None,
            fresh_until: role.fresh_until,
            log_entries: Vec::new(),
            log: LogFindings::default(),
            certificate: BTreeMap::new(),
            source: self.source(role.name.as_str()),
        });
    }

    fn moved(&self, role: &SigningRole, tag: &str, target: &Target) -> Problem {
        let signed = target.digest().map_or_else(|| "a digest of another kind".to_owned(), |digest| digest.to_string());
        let found = self.subject.digest;
        let words = format!("{} signs {tag} as {signed}; the registry serves {found}", role.name);
        let mut reason = Reason::new(Code::DctTagMoved, words).expected_found(&signed, found);
        if let Some(digest) = target.digest() {
            let image = format!("{}@{digest}", self.collection.gun);
            reason = reason.step(Step::words(format!("use the signed image: {image}")));
        }
        if found.algorithm() == DigestAlgorithm::Sha256 {
            let (image, about) = (format!("{}@{found}", self.collection.gun), "if you publish it and meant to move the tag");
            let sign = ["trustctl", "sign", &image, "--tag", tag, "--scheme", "dct"];
            reason = reason.step(Step::command(about, sign));
        }
        self.problem(reason, Some(self.principal(role, tag)))
    }

    fn conflict(&self, tag: &str) -> Reason {
        let said = |role: &SigningRole| Some((role.name.to_string(), role.target(tag)?.digest()?));
        let says =
            self.collection.roles.iter().filter_map(said).map(|(role, digest): (String, Digest)| format!("{role}: {digest}"));
        let words = format!("the roles of {} disagree about {tag}: {}", self.collection.gun, says.collect::<Vec<_>>().join(", "));
        Reason::new(Code::DctRoleConflict, words)
    }

    fn principal(&self, role: &SigningRole, tag: &str) -> Principal {
        let same = |other: &&SigningRole| {
            other.name.signer().is_some() && other.target(tag).is_some_and(|target| target.names(&self.subject.digest))
        };
        Principal::Role {
            role: role.name.to_string(),
            effective: self.decides(role, tag),
            signers: self.collection.roles.iter().filter(same).map(|role| role.name.to_string()).collect(),
            keys: role.signing_keys(),
            anchored_by: self.collection.anchored_by.clone(),
        }
    }

    fn decides(&self, role: &SigningRole, tag: &str) -> bool {
        self.collection.deciding_role(tag).is_some_and(|deciding| deciding.name == role.name)
    }

    /// Whether `targets/releases` is in a state in which nobody can say what a tag means; that is reported already.
    fn undecidable(&self) -> bool {
        let releases = self.collection.role(&RoleName::releases());
        releases.is_some_and(|role| matches!(role.file, RoleFile::Broken(_) | RoleFile::Unread))
    }

    fn problem(&self, reason: Reason, principal: Option<Principal>) -> Problem {
        let role = match &principal {
            Some(Principal::Role { role, .. }) => role.as_str(),
            _ => "targets",
        };
        Problem { reason, source: self.source(role), principal }
    }

    fn source(&self, role: &str) -> Source {
        let locator = Locator::Notary { gun: self.collection.gun.clone(), file: format!("{role}.json") };
        Source { form: "notary".to_owned(), at: locator.to_string() }
    }
}
