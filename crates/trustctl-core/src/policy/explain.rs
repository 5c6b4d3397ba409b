//! A policy's answer for one image, in words: `trustctl policy explain`.

use super::condition::in_units;
use super::{Applies, AttestationRule, Platforms, Policy, Rule, SignedTag, SignerRule, Which};
use crate::digest::Digest;
use crate::reason::Reason;
use crate::reference::Repository;
use crate::time::Timestamp;

/// What `policy` demands of an image, one statement a line. `digest` is only needed to see deny and allow entries.
///
/// # Errors
/// The policy's [`Reason`] when two rules are equally specific.
pub fn explain(policy: &Policy, repository: &Repository, digest: Option<&Digest>, now: Timestamp) -> Result<Vec<String>, Reason> {
    let applies = match digest {
        Some(digest) => policy.applies(repository, digest, now)?,
        None => policy.rule_for(repository)?.map_or(Applies::Default(policy.default), Applies::Rule),
    };
    Ok(match applies {
        Applies::Deny(deny) => vec![format!("denied by digest: {}", deny.reason)],
        Applies::Allow(allow) => vec![format!("allowed without a signature until {}: {}", allow.until.date(), allow.reason)],
        Applies::Default(super::DefaultAction::Deny) => vec!["no rule covers it; the default is deny".to_owned()],
        Applies::Default(super::DefaultAction::Allow) => {
            vec!["no rule covers it; the default lets it through unchecked".to_owned()]
        }
        Applies::Rule(rule) => explain_rule(policy, rule, now),
    })
}

fn explain_rule(policy: &Policy, rule: &Rule, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("rule \"{}\" ({}:{})", rule.name, policy.name, rule.line)];
    let count = match (rule.require.at_least, rule.require.of.len()) {
        (1, 1) => "must be signed by".to_owned(),
        (1, _) => "must be signed by any of".to_owned(),
        (n, all) if n == all => "must be signed by all of".to_owned(),
        (n, _) => format!("must be signed by at least {n} of"),
    };
    lines.push(count);
    for name in &rule.require.of {
        let what = policy.signers.get(name).map(describe).unwrap_or_default();
        lines.push(format!("  {name}: {what}"));
    }
    lines.push(match rule.platforms {
        Platforms::Children => "every platform image must be signed by itself".to_owned(),
        Platforms::Either => "a signed index covers its platform images; else each of them must be signed".to_owned(),
        Platforms::Index => "a signed index covers its platform images".to_owned(),
    });
    let named = if rule.signed_repository.required { "must name the repository" } else { "may leave the repository out" };
    lines.push(format!("the signature {named}; a named one must be the one asked for"));
    for (from, to) in &rule.signed_repository.remap {
        lines.push(format!("  {from} counts as {to}"));
    }
    if rule.signed_tag == SignedTag::Same {
        lines.push("asked for by tag, the signature must name that tag".to_owned());
    }
    if let Some(age) = rule.max_age {
        lines.push(format!("the newest signature may be at most {} hours old, by a trusted time", age.as_secs() / 3600));
    }
    for attestation in &rule.attestations {
        lines.extend(explain_attestation(attestation));
    }
    if !rule.revokers.is_empty() {
        lines.push(format!("revocations by {} count too", rule.revokers.join(", ")));
    }
    match rule.warn_until {
        Some(until) if now <= until && rule.audit_only => lines.push(format!("only records until {}", until.date())),
        Some(until) if now <= until => lines.push(format!("only warns until {}", until.date())),
        Some(until) => {
            let mode = if rule.audit_only { "audit" } else { "warn" };
            lines.push(format!("is enforced: its {mode} mode ended {}", until.date()));
        }
        None => {}
    }
    lines
}

fn explain_attestation(attestation: &AttestationRule) -> Vec<String> {
    let age = attestation.max_age.map(|age| format!(", at most {} old by a trusted time", in_units(age))).unwrap_or_default();
    let by = attestation.signers.join(" or ");
    let mut lines = vec![format!("needs an attestation {} by {by}{age}", attestation.predicate_type)];
    if !attestation.conditions.is_empty() {
        lines.push(match attestation.which {
            Which::Any => "  of one of them must hold:".to_owned(),
            Which::Newest => "  of the newest, and of each without a trusted time, must hold:".to_owned(),
        });
    }
    lines.extend(attestation.conditions.iter().map(|condition| format!("    {condition}")));
    lines
}

/// A signer in words: who must sign, and with what.
pub(crate) fn describe(signer: &SignerRule) -> String {
    let log = |demanded: bool| if demanded { ", with a log entry" } else { "" };
    match signer {
        SignerRule::CosignKey { key, demands } => {
            format!("cosign key {} ({}){}", key.fingerprint(), key.kind().name(), log(demands.log))
        }
        SignerRule::CosignIdentity { identity, issuer, demands } => {
            let by = demands.sigstore.as_ref().map(|name| format!(", by {name}")).unwrap_or_default();
            let claims: String = demands.claims.iter().map(|(name, value)| format!(", {name} {value}")).collect();
            format!("cosign identity {identity}, issuer {issuer}{by}{claims}{}", log(demands.log))
        }
        SignerRule::Dct { roots, authorities, tofu, role } => {
            let mut anchors: Vec<String> = roots.iter().map(|id| format!("root {id}")).collect();
            if !authorities.is_empty() {
                anchors.push(format!("{} pinned CA certificate(s)", authorities.len()));
            }
            if *tofu {
                anchors.push("trust on first use".to_owned());
            }
            let role = role.as_deref().unwrap_or("targets/releases, then targets");
            format!("Docker Content Trust role {role}; {}", anchors.join(", "))
        }
    }
}
