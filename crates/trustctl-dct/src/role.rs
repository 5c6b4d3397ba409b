//! Role names and who may sign for a role (Notary, `tuf/data/roles.go`).

use std::fmt;
use std::str::FromStr;

/// Longest name of a delegation, in bytes (Notary: fewer than 256).
const MAX_NAME: usize = 255;

/// The name of a role: `root`, `targets`, `snapshot`, `timestamp`, or a delegation below `targets/`.
///
/// A delegation's name matches `^[-a-z0-9_/]+$`, is at most 255 bytes, and has no empty component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

/// A text that is not a role name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: write root, targets, snapshot, timestamp, or targets/<name> of a-z, 0-9, - and _")]
pub struct RoleNameError;

impl RoleName {
    /// The root role.
    #[must_use]
    pub fn root() -> Self {
        Self("root".to_owned())
    }

    /// The top-level targets role, Docker's "repository" role.
    #[must_use]
    pub fn targets() -> Self {
        Self("targets".to_owned())
    }

    /// The snapshot role.
    #[must_use]
    pub fn snapshot() -> Self {
        Self("snapshot".to_owned())
    }

    /// The timestamp role.
    #[must_use]
    pub fn timestamp() -> Self {
        Self("timestamp".to_owned())
    }

    /// The delegation that Docker's pull asks first, `targets/releases`.
    #[must_use]
    pub fn releases() -> Self {
        Self("targets/releases".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it lies below `targets/`.
    #[must_use]
    pub fn is_delegation(&self) -> bool {
        self.0.starts_with("targets/")
    }

    /// The role that delegates to this one; `None` for the four top-level roles.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// Whether `parent` delegates to it directly.
    #[must_use]
    pub fn is_direct_child_of(&self, parent: &Self) -> bool {
        self.parent().as_ref() == Some(parent)
    }

    /// The signer's name as Docker shows it, `alice` for `targets/alice`; `None` for roles that are no signer's.
    #[must_use]
    pub fn signer(&self) -> Option<&str> {
        self.0.strip_prefix("targets/").filter(|name| *name != "releases" && !name.contains('/'))
    }
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<Self, RoleNameError> {
        if matches!(text, "root" | "targets" | "snapshot" | "timestamp") {
            return Ok(Self(text.to_owned()));
        }
        let below = text.strip_prefix("targets/").ok_or(RoleNameError)?;
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let clean = below.split('/').all(|part| !part.is_empty() && part.bytes().all(allowed));
        if clean && text.len() <= MAX_NAME { Ok(Self(text.to_owned())) } else { Err(RoleNameError) }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn delegation_names_follow_notarys_grammar() {
        for good in ["root", "targets", "targets/releases", "targets/a/b-c_9"] {
            assert_eq!(good.parse::<RoleName>().unwrap().as_str(), good);
        }
        let long = format!("targets/{}", "a".repeat(MAX_NAME));
        for bad in
            ["", "Targets", "targets/", "targets//a", "targets/a/", "targets/A", "targets/../root", "root/a", "targets/é", &long]
        {
            assert!(bad.parse::<RoleName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_next_level_is_a_direct_child() {
        let role = |text: &str| text.parse::<RoleName>().unwrap();
        assert!(role("targets/a").is_direct_child_of(&RoleName::targets()));
        assert!(role("targets/a/b").is_direct_child_of(&role("targets/a")));
        assert!(!role("targets/a/b").is_direct_child_of(&RoleName::targets()));
        assert!(!role("targets/ab").is_direct_child_of(&role("targets/a")));
        assert_eq!(RoleName::root().parent(), None);
        assert_eq!(role("targets/alice").signer(), Some("alice"));
        assert_eq!(RoleName::releases().signer(), None);
    }
}
