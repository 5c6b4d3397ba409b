//! Why a key was not read, written or used.

use std::io;
use std::path::{Path, PathBuf};

use trustctl_core::reason::{Code, Reason, Step};

/// Why nothing could be done with a key. No variant carries secret material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Several keys fit what was asked for.
    #[error("\"{wanted}\" fits several keys: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The keys that fit, by name, path or id.
        candidates: Vec<String>,
    },
    /// The text cannot be a key's name, role or GUN.
    #[error("\"{name}\" cannot be the {what} of a key")]
    BadName {
        /// `name`, `role` or `gun`.
        what: &'static str,
        /// The text.
        name: String,
    },
    /// Opening the file would take more time or memory than any honest key needs.
    #[error("the file asks for {parameter} = {asked}, and at most {most} is computed")]
    Costly {
        /// The parameter of the key derivation, or a size in bytes.
        parameter: &'static str,
        /// What the file asks for.
        asked: u64,
        /// The limit.
        most: u64,
    },
    /// The key is one of the published ones in `keys-example/`.
    #[error("the key {fingerprint} is a published example key")]
    Example {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// There is a key under this name already.
    #[error("there is a key named \"{name}\" already")]
    Exists {
        /// The name, or the path.
        name: String,
    },
    /// The operating system refused.
    #[error("{} cannot be {action}: {}", path.display(), io_words(error))]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `written`, `deleted`, `listed` or `made`.
        action: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// No keyring answers, or it is locked.
    #[error("the keyring cannot be used: {why}")]
    KeyringUnavailable {
        /// The keyring's own words.
        why: String,
    },
    /// There is no key of this name, and there are some of similar names.
    #[error("there is no key \"{wanted}\"; did you mean {}?", near.join(" or "))]
    Misspelt {
        /// What was asked for.
        wanted: String,
        /// The names of those that are there.
        near: Vec<String>,
    },
    /// There is no such file.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// There is no such key.
    #[error("there is no key \"{wanted}\"")]
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// The keyring that was named for a passphrase has no such entry.
    #[error("the keyring has no entry \"{name}\" with a passphrase")]
    PassphraseEntry {
        /// The entry.
        name: String,
    },
    /// The file that was named for a passphrase cannot be read. Its name is left out: it may be the passphrase itself.
    #[error("the passphrase file given with {flag} cannot be read: {}", io_words(error))]
    PassphraseFile {
        /// The flag that named it.
        flag: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// The key is encrypted and there is no passphrase.
    #[error("{key} is encrypted and no passphrase was given{}", set_one_of(variables))]
    PassphraseNeeded {
        /// The key, as users know it.
        key: String,
        /// The variables that would have been read for a key of this role.
        variables: Vec<String>,
    },
    /// The variable that was named for a passphrase is not set, or is not text.
    #[error("the variable {} is not set", shown_variable(name))]
    PassphraseVariable {
        /// The variable.
        name: String,
    },
    /// The private key was wanted, and the file holds a public one.
    #[error("it is a public key, which verifies and cannot sign")]
    PublicOnly,
    /// The bytes are not a key of a supported format.
    #[error("not a key that can be read: {why}")]
    Unreadable {
        /// What is wrong, in words.
        why: &'static str,
    },
    /// The user stopped the program instead of giving a passphrase.
    #[error("the question for a passphrase was not answered")]
    Stopped,
    /// The key, or its encryption, is of a kind that cannot be used for this.
    #[error("{what} cannot be used {purpose}")]
    Unsupported {
        /// The kind of key or algorithm.
        what: &'static str,
        /// For what, such as `in a Cosign key file`.
        purpose: &'static str,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {key}")]
    WrongPassphrase {
        /// The key, as users know it.
        key: String,
    },
}

impl KeyError {
    /// The reason to show, with a next step where there is a particular one.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let reason = Reason::new(self.code(), self.to_string());
        match self {
            Self::Ambiguous { .. } => reason.step(Step::words("give the id of one, or the path of its file")),
            Self::NoFile { .. } => {
                reason.step(Step::command("check the path, or see which keys have names", ["trustctl", "key", "list"]))
            }
            Self::Misspelt { .. } | Self::NotFound { .. } => {
                reason.step(Step::command("see which keys are here", ["trustctl", "key", "list"]))
            }
            Self::PublicOnly => {
                let words = "name the private key that belongs to it, by its file or by the name it has here";
                reason.step(Step::command(words, ["trustctl", "key", "list"]))
            }
            Self::PassphraseFile { flag, .. } => {
                reason.step(Step::words(format!("give {flag} a file, env:NAME or keyring:NAME, never the passphrase itself")))
            }
            Self::PassphraseEntry { .. } => reason.step(Step::words("check the name of the entry")),
            Self::PassphraseVariable { .. } => reason.step(Step::words("set and export the variable, or name another one")),
            Self::PassphraseNeeded { variables, .. } if !variables.is_empty() => {
                reason.step(Step::words(format!("set {}", variables.join(" or "))))
            }
            Self::PassphraseNeeded { .. } => {
                let words =
                    "give --passphrase env:NAME, keyring:NAME or a file; for a key of this kind no variable is read unasked";
                reason.step(Step::words(words))
            }
            _ => reason,
        }
    }

    /// The code alone.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Ambiguous { .. } | Self::Misspelt { .. } | Self::NoFile { .. } | Self::NotFound { .. } => Code::KeyNotFound,
            Self::BadName { .. } => Code::KeyBadName,
            Self::Costly { .. } | Self::PublicOnly | Self::Unreadable { .. } => Code::KeyUnreadable,
            Self::Example { .. } => Code::ExampleKey,
            Self::Exists { .. } => Code::KeyExists,
            Self::File { .. } => Code::KeyFileAccess,
            Self::KeyringUnavailable { .. } => Code::KeyringUnavailable,
            Self::PassphraseEntry { .. }
            | Self::PassphraseFile { .. }
            | Self::PassphraseNeeded { .. }
            | Self::PassphraseVariable { .. }
            | Self::Stopped => Code::PassphraseNeeded,
            Self::Unsupported { .. } => Code::KeyUnsupported,
            Self::WrongPassphrase { .. } => Code::WrongPassphrase,
        }
    }

    pub(crate) fn unreadable(why: &'static str) -> Self {
        Self::Unreadable { why }
    }

    /// A closure for `map_err`: a missing file is [`KeyError::NoFile`], everything else [`KeyError::File`].
    pub(crate) fn file<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| match error.kind() {
            io::ErrorKind::NotFound => Self::NoFile { path: path.to_owned() },
            _ => Self::File { path: path.to_owned(), action, error },
        }
    }

    /// The same error about a key that has a name.
    pub(crate) fn named(self, name: &str) -> Self {
        match self {
            Self::WrongPassphrase { .. } => Self::WrongPassphrase { key: name.to_owned() },
            Self::PassphraseNeeded { variables, .. } => Self::PassphraseNeeded { key: name.to_owned(), variables },
            other => other,
        }
    }
}

fn set_one_of(variables: &[String]) -> String {
    if variables.is_empty() { String::new() } else { format!(" ({} is not set)", variables.join(" or ")) }
}

/// The name of a variable; what cannot be one is not repeated, for it may be a passphrase.
fn shown_variable(name: &str) -> &str {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() { name } else { "named after env:" }
}

/// The operating system's words without Rust's `(os error n)`.
fn io_words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}
