//! Signing and revoking tags.

use std::collections::BTreeSet;

use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Tag;

use super::change::{MissingKey, SignIn, SignTag};
use super::draft::{Draft, no_such_role};
use super::upload::Effect;
use crate::metadata::targets::Target;
use crate::role::RoleName;

/// Longest name of a target, in bytes. A tag has at most 128.
const MAX_NAME: usize = 1024;

impl Draft<'_> {
    pub(super) fn sign_tag(&mut self, tag: &SignTag) -> Result<(), Reason> {
        self.root()?;
        check_target(tag)?;
        let roles = self.roles_to_sign(tag)?;
        for role in &roles {
            self.sign_tag_in(role, tag)?;
        }
        self.remark_conflicts(tag, &roles);
        if !roles.iter().any(|role| *role == RoleName::targets() || *role == RoleName::releases()) {
            let message = format!("docker pull does not see {}: it asks targets/releases and targets only", tag.name);
            self.remarks.push(Reason::new(Code::DctTagNotSigned, message));
        }
        Ok(())
    }

    pub(super) fn revoke_tag(&mut self, name: &str, digest: Option<&Digest>, missing: MissingKey) -> Result<(), Reason> {
        self.root()?;
        let matches = |target: &Target| digest.is_none_or(|digest| target.names(digest));
        let holding: Vec<RoleName> = self.roles_holding(name, matches);
        self.revoke_in(&holding, name, missing)?;
        for role in self.delegations() {
            let asleep = !self.roles.contains_key(&role)
                && self.current.unsigned_role(&role).is_some_and(|content| content.targets.get(name).is_some_and(matches));
            if asleep {
                let message = format!("the file of {role} names {name}, but its present keys did not sign it: readers skip it");
                self.remarks.push(Reason::new(Code::DctBadSignature, message));
            }
        }
        Ok(())
    }

    pub(super) fn revoke_signer(&mut self, name: &str, missing: MissingKey) -> Result<(), Reason> {
        let own = super::delegations::signer_role(name)?;
        self.root()?;
        let Some(content) = self.roles.get(&own).cloned() else { return self.unreadable_signer(&own, missing) };
        for (tag, target) in &content.targets {
            let same = |other: &Target| target.digest().is_some_and(|digest| other.names(&digest));
            let holding = self.roles_holding(tag, same);
            let (signers, shared): (Vec<_>, Vec<_>) = holding.into_iter().partition(|role| role.signer().is_some());
            if signers.iter().all(|role| *role == own) {
                self.revoke_in(&shared, tag, missing)?;
            }
        }
        if content.targets.is_empty() {
            return Ok(());
        }
        if self.can_sign(&own).is_ok() {
            self.touch(&own)?.targets.clear();
            let revoked = content.targets.keys().map(|tag| Effect::Revoked { role: own.clone(), name: tag.clone() });
            self.effects.extend(revoked);
            return Ok(());
        }
        match self.can_sign(&RoleName::targets()) {
            Ok(()) => self.remove_delegation(&own),
            Err(_) => self.key_missing(&own, missing),
        }
    }

    /// Roles that are reached and hold `name` in a way that `matches`.
    fn roles_holding(&self, name: &str, matches: impl Fn(&Target) -> bool) -> Vec<RoleName> {
        let holds = |role: &&RoleName| self.roles.get(*role).and_then(|content| content.targets.get(name)).is_some_and(&matches);
        let reached = std::iter::once(RoleName::targets()).chain(self.delegations());
        reached.filter(|role| holds(&role)).collect()
    }

    /// Takes `name` out of `roles`: out of all of them, or with [`MissingKey::Fail`] out of none.
    fn revoke_in(&mut self, roles: &[RoleName], name: &str, missing: MissingKey) -> Result<(), Reason> {
        let without: Vec<&RoleName> = roles.iter().filter(|role| self.can_sign(role).is_err()).collect();
        if let (MissingKey::Fail, [first, rest @ ..]) = (missing, without.as_slice()) {
            let Err(reason) = self.can_sign(first) else { return Ok(()) };
            return Err(name_others(reason, rest));
        }
        for role in roles {
            if let Err(reason) = self.can_sign(role) {
                self.left.push(reason);
                continue;
            }
            self.touch(role)?.targets.remove(name);
            self.note(Effect::Revoked { role: role.clone(), name: name.to_owned() });
        }
        Ok(())
    }

    /// A signer whose file does not count: what it names is nobody's word, so nothing follows from it, and that is told.
    fn unreadable_signer(&mut self, own: &RoleName, missing: MissingKey) -> Result<(), Reason> {
        if self.delegation(own).is_none() || self.current.unsigned_role(own).is_none() {
            return Ok(());
        }
        let message =
            format!("the file of {own} is not signed by its present keys: what its holder signed elsewhere is not known");
        let reason = Reason::new(Code::DctBadSignature, message);
        match missing {
            MissingKey::Fail => Err(reason),
            MissingKey::LeaveOut => {
                self.left.push(reason);
                Ok(())
            }
        }
    }

    fn key_missing(&mut self, role: &RoleName, missing: MissingKey) -> Result<(), Reason> {
        match (self.can_sign(role), missing) {
            (Err(reason), MissingKey::Fail) => Err(reason),
            (Err(reason), MissingKey::LeaveOut) => {
                self.left.push(reason);
                Ok(())
            }
            (Ok(()), _) => Ok(()),
        }
    }

    fn roles_to_sign(&self, tag: &SignTag) -> Result<Vec<RoleName>, Reason> {
        let mut roles = match &tag.roles {
            SignIn::Named(roles) => return self.named_roles(roles, &tag.name),
            SignIn::DockersRule | SignIn::DockersRuleAndStale => self.dockers_rule(&tag.name)?,
        };
        if tag.roles == SignIn::DockersRuleAndStale {
            let stale = self.roles_holding(&tag.name, |target| target.digest() != Some(tag.digest));
            roles.extend(stale.into_iter().filter(|role| self.can_sign(role).is_ok()));
        }
        let roles: BTreeSet<RoleName> = roles.into_iter().collect();
        Ok(roles.into_iter().collect())
    }

    /// The roles that `docker trust sign` and `docker push` write to (docker/cli, `GetSignableRoles`).
    fn dockers_rule(&self, name: &str) -> Result<Vec<RoleName>, Reason> {
        let delegations = self.delegations();
        if delegations.is_empty() {
            return Ok(vec![RoleName::targets()]);
        }
        let first_level = delegations.into_iter().filter(|role| role.is_direct_child_of(&RoleName::targets()));
        let candidates: Vec<RoleName> = first_level.filter(|role| self.may_sign(role, name)).collect();
        let here: Vec<RoleName> = candidates.iter().filter(|role| self.holds_any(role)).cloned().collect();
        if !here.is_empty() {
            return Ok(here);
        }
        let names: Vec<&str> = candidates.iter().map(RoleName::as_str).collect();
        let message = format!("no key of a delegation that may sign {name} is here");
        let found = format!("{} held keys, none of these roles'", self.keys.len());
        Err(Reason::new(Code::DctKeyNeeded, message).expected_found(format!("a key of one of: {}", names.join(", ")), found))
    }

    fn named_roles(&self, roles: &[RoleName], name: &str) -> Result<Vec<RoleName>, Reason> {
        for role in roles {
            let reached = *role == RoleName::targets() || self.delegation(role).is_some();
            if !reached {
                return Err(no_such_role(role));
            }
            if !self.may_sign(role, name) {
                let paths: Vec<String> = self.paths(role).iter().map(|path| format!("\"{path}\"")).collect();
                let found = if paths.is_empty() { "no path at all".to_owned() } else { paths.join(", ") };
                let reason = Reason::new(Code::DctBadChange, format!("the paths of {role} do not let it sign {name}"));
                return Err(reason.expected_found(format!("a path that \"{name}\" starts with"), found));
            }
        }
        Ok(roles.to_vec())
    }

    fn sign_tag_in(&mut self, role: &RoleName, tag: &SignTag) -> Result<(), Reason> {
        let before = self.roles.get(role);
        let known = before.and_then(|content| content.targets.get(&tag.name));
        let same = known.is_some_and(|known| known.digest() == Some(tag.digest) && known.length == tag.length);
        if !same {
            self.touch(role)?.targets.insert(tag.name.clone(), Target::image(tag.digest, tag.length));
            self.note(Effect::Signed { role: role.clone(), name: tag.name.clone() });
            return Ok(());
        }
        let ends = before.map(|content| content.expires.time());
        let renew = tag.renew_before.zip(ends).is_some_and(|(before, ends)| ends < before);
        if renew && !self.dirty.contains(role) {
            self.touch(role)?;
            self.note(Effect::Renewed { role: role.clone() });
        }
        Ok(())
    }

    /// Other roles that go on signing another digest for the tag.
    fn remark_conflicts(&mut self, tag: &SignTag, signed: &[RoleName]) {
        for role in self.roles_holding(&tag.name, |target| target.digest() != Some(tag.digest)) {
            let Some(other) = self.roles.get(&role).and_then(|content| content.targets.get(&tag.name)) else { continue };
            if signed.contains(&role) {
                continue;
            }
            let found = other.digest().map_or_else(|| "no SHA-256 digest".to_owned(), |digest| digest.to_string());
            let message = format!("{role} goes on signing another digest for {}", tag.name);
            self.remarks.push(Reason::new(Code::DctRoleConflict, message).expected_found(tag.digest, found));
        }
    }
}

fn check_target(tag: &SignTag) -> Result<(), Reason> {
    let bad = |message: String| Err(Reason::new(Code::DctBadChange, message));
    if tag.digest.algorithm() != DigestAlgorithm::Sha256 {
        return bad(format!("Docker Content Trust signs SHA-256 digests only, not {}", tag.digest));
    }
    // Any tag will do, and any other text that Notary's own clients can publish.
    let publishable = !tag.name.is_empty() && tag.name.len() <= MAX_NAME && !tag.name.chars().any(char::is_control);
    if tag.name.parse::<Tag>().is_err() && !publishable {
        return bad(format!("\"{}\" cannot be the name of a target", tag.name));
    }
    if i64::try_from(tag.length).is_err() {
        return bad(format!("{} bytes are too many for a manifest", tag.length));
    }
    Ok(())
}

fn name_others(reason: Reason, others: &[&RoleName]) -> Reason {
    if others.is_empty() {
        return reason;
    }
    let names: Vec<&str> = others.iter().map(|role| role.as_str()).collect();
    let message = format!("{}; nor are those of {}", reason.message, names.join(", "));
    Reason { message, ..reason }
}
