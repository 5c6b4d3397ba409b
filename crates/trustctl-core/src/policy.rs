//! Policy: who must sign what, written in TOML and read strictly.
//!
//! An unknown field, a contradiction or a missing key file refuses the whole policy, with its line: a typing error must never
//! widen trust. The reference with every field is `docs/reference/policy.md`.

pub mod condition;
mod explain;
mod form;
mod instances;
mod names;
mod parse;
pub mod reference;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::claim::SchemeName;
use crate::digest::Digest;
use crate::public_key::PublicKey;
use crate::reason::{Code, Reason};
use crate::reference::Repository;
use crate::scheme::{Anchors, AuthorityAnchor, DctAnchor, KeyAnchor, RepositoryAnchor, SigstoreAnchor};
use crate::time::Timestamp;

use condition::Condition;
pub(crate) use explain::describe;
pub use explain::explain;
pub use names::{NamePattern, NamePatternError};
pub use parse::{PolicyError, PolicyText};
pub use scope::{Glob, Pattern, PatternError};

/// A policy that was read, with every key it names.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Where it comes from, for reports: a path, or `command line`.
    pub name: String,
    /// What happens to images that no rule covers.
    pub default: DefaultAction,
    /// The signers, by name.
    pub signers: BTreeMap<String, SignerRule>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Digests that are refused whatever is signed.
    pub deny: Vec<Deny>,
    /// Pinned images that are accepted without a signature until a date.
    pub allow: Vec<Allow>,
    /// The Sigstore instances that signers name, and the one that counts where a signer names none, if there is one at hand.
    pub sigstores: Vec<SigstoreAnchor>,
    /// The certificate authorities of signers that bring their own.
    pub authorities: Vec<AuthorityAnchor>,
    /// The instances whose trusted root is kept up to date from a TUF repository; what was fetched is given by
    /// [`Policy::with_fetched`].
    pub repositories: Vec<RepositoryAnchor>,
}

/// What happens to images that no rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// They pass, with a warning in every report.
    Allow,
    /// They are rejected.
    Deny,
}

/// A signer: how to recognise one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SignerRule {
    /// A name in a certificate: of a Sigstore instance (keyless), or of an authority of one's own.
    CosignIdentity {
        /// The subject alternative name.
        identity: NamePattern,
        /// The OIDC issuer.
        issuer: NamePattern,
        /// What else its signatures must have.
        demands: CosignDemands,
    },
    /// The holder of a Cosign key.
    CosignKey {
        /// The key.
        key: Box<PublicKey>,
        /// What else its signatures must have.
        demands: CosignDemands,
    },
    /// A role of a Notary collection.
    Dct {
        /// Pinned TUF root key ids, lower-case hexadecimal.
        roots: Vec<String>,
        /// DER of CA certificates that a root certificate may chain to.
        authorities: Vec<Vec<u8>>,
        /// Whether the first root seen is believed.
        tofu: bool,
        /// The role that must sign; Docker's rule when none is named.
        role: Option<String>,
    },
}

/// What Cosign signatures of a signer must have beyond being valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CosignDemands {
    /// Whether a transparency log entry is demanded.
    pub log: bool,
    /// Annotations that must be signed with these values.
    pub annotations: BTreeMap<String, String>,
    /// Who vouches for the identity: the private Sigstore instance of this name, or the signer's own authority by the name of its
    /// [`AuthorityAnchor`]; the public-good instance when nobody is named.
    pub sigstore: Option<String>,
    /// What the certificate must say beside identity and issuer, by the names of [`crate::claim::CERTIFICATE_CLAIMS`].
    pub claims: BTreeMap<String, Glob>,
}

/// A rule: which images, and what they need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// The line it starts on, from 1; 0 when it was not read from a file.
    pub line: usize,
    /// Which repositories it covers.
    pub images: Vec<Pattern>,
    /// How many of which signers must have signed.
    pub require: Requirement,
    /// Which manifests of a multi-platform image must be signed.
    pub platforms: Platforms,
    /// What the repository named in a signature must be.
    pub signed_repository: SignedRepository,
    /// Whether the signature must name the tag asked for.
    pub signed_tag: SignedTag,
    /// The greatest age of the newest signature's trusted time.
    pub max_age: Option<Duration>,
    /// Attestations that must be there.
    pub attestations: Vec<AttestationRule>,
    /// Until when the rule only warns, or records; `None` when it is enforced.
    pub warn_until: Option<Timestamp>,
    /// Whether, until then, the proxy records what it would refuse and does not tell the client.
    pub audit_only: bool,
    /// Signers whose revocation counts here, beside the required ones.
    pub revokers: Vec<String>,
}

/// How many of which signers must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The number, at least 1 and at most as many as there are signers.
    pub at_least: usize,
    /// The signers' names, each once.
    pub of: Vec<String>,
}

/// Which manifests of a multi-platform image must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// Every child must be trusted by itself.
    Children,
    /// The index, or every child. A trusted index covers the children it names, all of which are images.
    Either,
    /// The index. A trusted index covers the children it names.
    Index,
}

/// What the repository named in a signature must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRepository {
    /// Whether it may be any: there is no name to compare with, as for a folder that nobody named. No policy file can say so.
    pub any: bool,
    /// Whether one must be named at all.
    pub required: bool,
    /// For mirrors: prefix of the name asked for, and the prefix that signatures carry instead.
    pub remap: BTreeMap<String, String>,
}

/// Whether the signature must name the tag asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedTag {
    /// It may name another tag, or none.
    Any,
    /// Asked for by tag, the signature must name that tag.
    Same,
}

/// An attestation that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRule {
    /// The in-toto predicate type (URI).
    pub predicate_type: String,
    /// Signers whose attestation counts.
    pub signers: Vec<String>,
    /// The greatest age.
    pub max_age: Option<Duration>,
    /// What must hold of its predicate; all of these.
    pub conditions: Vec<Condition>,
    /// Of which attestations the conditions must hold.
    pub which: Which,
    /// The line it is written on, from 1; 0 when it was not read from a file.
    pub line: usize,
}

/// Of which of several attestations the conditions must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Of one.
    Any,
    /// Of the newest by proven time, and of each whose time nobody proves: it could be the newest.
    Newest,
}

/// A digest that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// The digest of a manifest.
    pub digest: Digest,
    /// Why.
    pub reason: String,
}

/// A pinned image that is accepted without a signature.
#[derive(Clone, Debug)]
pub struct Allow {
    /// Which repositories.
    pub images: Vec<Pattern>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// The last moment at which it counts.
    pub until: Timestamp,
}

/// What a policy says about one image, before any evidence.
#[derive(Clone, Copy, Debug)]
pub enum Applies<'a> {
    /// An allow entry that still counts.
    Allow(&'a Allow),
    /// No rule covers it.
    Default(DefaultAction),
    /// A deny entry.
    Deny(&'a Deny),
    /// The most specific rule.
    Rule(&'a Rule),
}

impl Policy {
    /// A policy for one run, from anchors named on the command line: every image must be signed by one of `signers`.
    #[must_use]
    pub fn of_command_line(signers: BTreeMap<String, SignerRule>) -> Self {
        let rule = Rule {
            name: "command line".to_owned(),
            line: 0,
            images: vec![Pattern::everything()],
            require: Requirement { at_least: 1, of: signers.keys().cloned().collect() },
            platforms: Platforms::Either,
            signed_repository: SignedRepository { any: false, required: false, remap: BTreeMap::new() },
            signed_tag: SignedTag::Any,
            max_age: None,
            attestations: Vec::new(),
            warn_until: None,
            audit_only: false,
            revokers: Vec::new(),
        };
        Self {
            name: "command line".to_owned(),
            default: DefaultAction::Deny,
            signers,
            rules: vec![rule],
            deny: Vec::new(),
            allow: Vec::new(),
            sigstores: Vec::new(),
            authorities: Vec::new(),
            repositories: Vec::new(),
        }
    }

    /// The same policy for an image without a name: the repository that signatures name is not compared with anything.
    #[must_use]
    pub fn for_nameless_image(mut self) -> Self {
        for rule in &mut self.rules {
            rule.signed_repository.any = true;
        }
        self
    }

    /// What applies to the manifest `digest` of `repository`: deny beats allow, allow beats rules, and of the rules the most
    /// specific one decides alone.
    ///
    /// # Errors
    /// [`Code::PolicyUnusable`] when two rules are equally specific for this repository.
    pub fn applies(&self, repository: &Repository, digest: &Digest, now: Timestamp) -> Result<Applies<'_>, Reason> {
        if let Some(deny) = self.deny.iter().find(|deny| deny.digest == *digest) {
            return Ok(Applies::Deny(deny));
        }
        let allows = |allow: &&Allow| {
            allow.digest == *digest && now <= allow.until && allow.images.iter().any(|pattern| pattern.matches(repository))
        };
        if let Some(allow) = self.allow.iter().find(allows) {
            return Ok(Applies::Allow(allow));
        }
        Ok(self.rule_for(repository)?.map_or(Applies::Default(self.default), Applies::Rule))
    }

    /// The most specific rule that covers `repository`.
    ///
    /// # Errors
    /// [`Code::PolicyUnusable`] when two rules are equally specific.
    pub fn rule_for(&self, repository: &Repository) -> Result<Option<&Rule>, Reason> {
        let mut best: Option<(scope::Specificity, &Rule)> = None;
        for rule in &self.rules {
            let covering = rule.images.iter().filter(|pattern| pattern.matches(repository));
            let Some(specificity) = covering.map(Pattern::specificity).max() else { continue };
            match &best {
                Some((other, first)) if *other == specificity => {
                    return Err(Reason::new(
                        Code::PolicyUnusable,
                        format!("rules \"{}\" and \"{}\" are equally specific for {repository}", first.name, rule.name),
                    ));
                }
                Some((other, _)) if *other > specificity => {}
                _ => best = Some((specificity, rule)),
            }
        }
        Ok(best.map(|(_, rule)| rule))
    }

    /// The ended allow entry for this image, if there is one; for telling people why it stopped working.
    #[must_use]
    pub fn ended_allow(&self, repository: &Repository, digest: &Digest) -> Option<&Allow> {
        self.allow.iter().find(|allow| allow.digest == *digest && allow.images.iter().any(|p| p.matches(repository)))
    }

    /// The schemes that must be looked at to judge by `rule`: those of its signers and revokers.
    #[must_use]
    pub fn schemes(&self, rule: &Rule) -> BTreeSet<SchemeName> {
        self.named_by(rule).map(|(_, signer)| signer.scheme()).collect()
    }

    /// What is trusted to begin with under `rule`: the anchors of its signers and revokers.
    #[must_use]
    pub fn anchors(&self, rule: &Rule) -> Anchors {
        let named =
            |anchor: &&SigstoreAnchor| self.named_by(rule).any(|(_, signer)| parse::is_judged_by(signer, anchor.name.as_deref()));
        let sigstores = self.sigstores.iter().filter(named).cloned().collect();
        let mut anchors = Anchors { sigstores, authorities: self.authorities_of(rule), ..Anchors::default() };
        for (name, signer) in self.named_by(rule) {
            match signer {
                SignerRule::CosignKey { key, .. } => {
                    anchors.keys.push(KeyAnchor { signer: name.to_owned(), key: (**key).clone() });
                }
                SignerRule::Dct { roots, authorities, tofu, .. } => anchors.dct.push(DctAnchor {
                    signer: name.to_owned(),
                    roots: roots.clone(),
                    authorities: authorities.clone(),
                    tofu: *tofu,
                }),
                SignerRule::CosignIdentity { .. } => {}
            }
        }
        anchors
    }

    /// Whose revocations count where `rule` decides: the signers that it requires, and its revokers.
    pub fn revokers<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a SignerRule> {
        rule.require.of.iter().chain(&rule.revokers).filter_map(|name| self.signers.get(name))
    }

    /// The signers that `rule` names anywhere, each once.
    fn named_by<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = (&'a str, &'a SignerRule)> {
        let attesting = rule.attestations.iter().flat_map(|attestation| &attestation.signers);
        let names: BTreeSet<&String> = rule.require.of.iter().chain(&rule.revokers).chain(attesting).collect();
        names.into_iter().filter_map(|name| self.signers.get(name).map(|signer| (name.as_str(), signer)))
    }
}

impl SignerRule {
    /// The scheme this signer signs with.
    #[must_use]
    pub fn scheme(&self) -> SchemeName {
        match self {
            Self::CosignIdentity { .. } | Self::CosignKey { .. } => SchemeName::Cosign,
            Self::Dct { .. } => SchemeName::Dct,
        }
    }
}

impl SignedRepository {
    /// The name that signatures for `repository` carry: the longest matching prefix replaced.
    #[must_use]
    pub fn expected(&self, repository: &Repository) -> String {
        let name = repository.to_string();
        let fits = |from: &&String| {
            name.strip_prefix(from.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || from.ends_with('/'))
        };
        let longest = self.remap.keys().filter(fits).max_by_key(|from| from.len());
        match longest.and_then(|from| Some((self.remap.get(from)?, name.strip_prefix(from.as_str())?))) {
            Some((to, rest)) => format!("{to}{rest}"),
            None => name,
        }
    }
}
