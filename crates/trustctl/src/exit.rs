//! Exit codes: one enum, taken from a verdict or an error and from nothing else.

use trustctl_core::reason::{Code, Ending};
use trustctl_core::verdict::VerdictKind;

/// How a run ended, as the exit code says it. The table in the docs is generated from [`Exit::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done; every image is trusted.
    Done,
    /// Evidence was read, and the policy is not met.
    Rejected,
    /// The command line is wrong.
    Usage,
    /// Everything the policy names was looked at, and there is nothing.
    Unsigned,
    /// It cannot be said: something could not be fetched or judged.
    Undecided,
    /// Credentials, a passphrase or a keyring are missing or refused.
    Credentials,
    /// The image, tag, role or key does not exist.
    NotFound,
    /// A policy, configuration, local file, key file or anchor cannot be used.
    Configuration,
    /// Somebody else changed the same thing meanwhile; running again is safe.
    Conflict,
    /// A defect of this program.
    Bug,
    /// Stopped by the user.
    Interrupted,
}

impl Exit {
    /// Every exit code, in order.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Rejected,
        Self::Usage,
        Self::Unsigned,
        Self::Undecided,
        Self::Credentials,
        Self::NotFound,
        Self::Configuration,
        Self::Conflict,
        Self::Bug,
        Self::Interrupted,
    ];

    /// The number the process exits with.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Unsigned => 3,
            Self::Undecided => 4,
            Self::Credentials => 5,
            Self::NotFound => 6,
            Self::Configuration => 7,
            Self::Conflict => 8,
            Self::Bug => 101,
            Self::Interrupted => 130,
        }
    }

    /// What it means, for the docs.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; for verify: every image is trusted",
            Self::Rejected => "rejected: evidence was read and the policy is not met (also revoked, stale, moved tag)",
            Self::Usage => "usage: the command line is wrong, or asks for nothing that can be decided",
            Self::Unsigned => "unsigned: everything the policy names was looked at, and nothing is there",
            Self::Undecided => "undecided: evidence could not be fetched or judged, or a limit cut it off",
            Self::Credentials => "credentials or a passphrase are missing or refused, or the keyring is locked",
            Self::NotFound => "the image, tag, role or key does not exist",
            Self::Configuration => "a policy, configuration, local file, key file or anchor cannot be used",
            Self::Conflict => "conflict: the remote side changed meanwhile; running again is safe",
            Self::Bug => "a defect of this program; please report it",
            Self::Interrupted => "stopped by the user: interrupted, or answered no",
        }
    }

    /// The exit code for one verdict.
    #[must_use]
    pub fn of_verdict(verdict: VerdictKind) -> Self {
        match verdict {
            VerdictKind::Rejected => Self::Rejected,
            VerdictKind::Trusted => Self::Done,
            VerdictKind::Undecided => Self::Undecided,
            VerdictKind::Unsigned => Self::Unsigned,
        }
    }

    /// The exit code for a run that failed for a reason.
    #[must_use]
    pub fn of_code(code: Code) -> Self {
        match code.ending() {
            Ending::Configuration => Self::Configuration,
            Ending::Conflict => Self::Conflict,
            Ending::Credentials => Self::Credentials,
            Ending::NotFound => Self::NotFound,
            Ending::Rejected => Self::Rejected,
            // A run that fails for a mere remark has a defect.
            Ending::Remark => Self::Bug,
            Ending::Undecided => Self::Undecided,
            Ending::Unsigned => Self::Unsigned,
            Ending::Usage => Self::Usage,
        }
    }

    /// The exit code for several images: the first that applies of rejected, undecided, unsigned, not found; else the first
    /// other failure; else done.
    #[must_use]
    pub fn of_several(exits: &[Self]) -> Self {
        let order = [Self::Rejected, Self::Undecided, Self::Unsigned, Self::NotFound];
        let ranked = order.into_iter().find(|exit| exits.contains(exit));
        ranked.or_else(|| exits.iter().copied().find(|exit| *exit != Self::Done)).unwrap_or(Self::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_images_give_the_most_telling_code() {
        assert_eq!(Exit::of_several(&[]), Exit::Done);
        assert_eq!(Exit::of_several(&[Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(Exit::of_several(&[Exit::NotFound, Exit::Unsigned, Exit::Undecided]), Exit::Undecided);
        assert_eq!(Exit::of_several(&[Exit::Undecided, Exit::Rejected]), Exit::Rejected);
        assert_eq!(Exit::of_several(&[Exit::Done, Exit::Credentials]), Exit::Credentials);
    }

    #[test]
    fn no_failure_code_is_zero() {
        for code in Code::ALL {
            assert_ne!(Exit::of_code(*code).code(), 0, "{code}");
        }
    }
}
