//! How a run fails: one reason, and the exit code that follows from it.

use trustctl_core::reason::{Code, Reason, Step};
use trustctl_keys::error::KeyError;

use crate::exit::Exit;

/// A run that could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process exits.
    pub exit: Exit,
    /// Why.
    pub reason: Reason,
    /// The file that cannot be used, where the failure is about one that the user wrote.
    pub file: Option<String>,
}

impl Failure {
    /// A failure with the exit code its reason stands for.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self { exit: Exit::of_code(reason.code), reason, file: None }
    }

    /// A failure of the command line.
    #[must_use]
    pub fn usage(code: Code, message: impl AsRef<str>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(Reason::new(code, message)) }
    }

    /// The user stopped the program where it asked something.
    #[must_use]
    pub fn stopped() -> Self {
        let reason = Reason::new(Code::PassphraseNeeded, "stopped by the user; nothing was answered");
        Self { exit: Exit::Interrupted, ..Self::new(reason) }
    }

    /// A value that `place`, a flag or the name of an argument, cannot have; `expected` says what it can.
    #[must_use]
    pub fn bad_value(place: &str, value: &str, expected: impl std::fmt::Display) -> Self {
        Self::usage(Code::BadValue, format!("{place} {value}: {expected}"))
    }

    /// Whether a service could not be asked, as opposed to one that refused or answered falsely.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self.reason.code, Code::OutOfBudget | Code::Unavailable)
    }

    /// The same failure with a step the user can take.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.reason = self.reason.step(step);
        self
    }

    /// A local file that could not be read or written.
    #[must_use]
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Reason::new(Code::LocalFile, format!("{}: {error}", path.display())))
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        if matches!(error, KeyError::Stopped) { Self::stopped() } else { Self::new(error.reason()) }
    }
}
