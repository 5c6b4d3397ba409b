//! Where the passphrase of a key comes from.
//!
//! For a key that is encrypted, in this order; every one that is there is tried before the next is asked for:
//! 1. the source the user named (`--passphrase`): then no other is used;
//! 2. the variables for the key's use, in the order of [`KeyUse::variables`]: users of docker, notary and cosign have them set already;
//! 3. the keyring, under the key's fingerprint or Notary id, when one was given;
//! 4. a prompt, three times, when there is somebody to ask.
//!
//! Environment, keyring and prompt are arguments, so that nothing here depends on the process it runs in.

use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::format::{Format, SealedKey, read_file};
use crate::private_key::PrivateKey;
use crate::secret::Passphrase;

/// How often a prompt is repeated for one key.
const TRIES: u8 = 3;
/// Shortest passphrase for a new Notary key: `notary` and `docker` refuse shorter ones at their prompts.
pub const MIN_NEW: usize = 8;

/// What a key is used for; it decides which variables hold its passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyUse {
    /// Signing with Cosign.
    Cosign,
    /// A Notary delegation, which is a signer of `docker trust`.
    NotaryDelegation,
    /// Notary's root.
    NotaryRoot,
    /// Notary's snapshot (and a timestamp key, which no client holds).
    NotarySnapshot,
    /// Notary's targets: the repository key.
    NotaryTargets,
    /// A key whose file does not say.
    Unknown,
}

impl KeyUse {
    /// The use that a key file shows: by its Notary role, else by its format.
    #[must_use]
    pub fn of(key: &SealedKey) -> Self {
        Self::by_role(key.labels().role(), key.format())
    }

    pub(crate) fn by_role(role: Option<&str>, format: Format) -> Self {
        match (role, format) {
            (Some("root"), _) => Self::NotaryRoot,
            (Some("snapshot" | "timestamp"), _) => Self::NotarySnapshot,
            (Some("targets"), _) => Self::NotaryTargets,
            (Some(_), _) => Self::NotaryDelegation,
            (None, Format::Cosign) => Self::Cosign,
            (None, _) => Self::Unknown,
        }
    }

    /// The variables that are read, in this order. Docker's come first: where both are set, its users are the more recent ones.
    #[must_use]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Cosign => &["COSIGN_PASSWORD"],
            Self::NotaryDelegation => &["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "NOTARY_DELEGATION_PASSPHRASE"],
            Self::NotaryRoot => &["DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "NOTARY_ROOT_PASSPHRASE"],
            Self::NotarySnapshot => &["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "NOTARY_SNAPSHOT_PASSPHRASE"],
            Self::NotaryTargets => &["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "NOTARY_TARGETS_PASSPHRASE"],
            Self::Unknown => &[],
        }
    }
}

/// A source that the user names, as text: `env:NAME`, `keyring:NAME`, or the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The first line of a file.
    File(PathBuf),
    /// An entry of the keyring.
    Keyring(String),
    /// A variable of the environment.
    Variable(String),
}

impl Source {
    /// The source that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("env", name)) => Self::Variable(name.to_owned()),
            Some(("keyring", name)) => Self::Keyring(name.to_owned()),
            _ => Self::File(PathBuf::from(text)),
        }
    }
}

/// The variables of a process.
pub trait Environment {
    /// The value of a variable; `None` when it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<Zeroizing<String>>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn variable(&self, name: &str) -> Option<Zeroizing<String>> {
        self(name).map(Zeroizing::new)
    }
}

/// Somebody who can be asked.
pub trait Prompt {
    /// What they answer to the question, which is one line without a colon at its end. `None` when there is nobody, as when input is not a
    /// terminal, or when they give up.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] when they stop the program instead.
    fn ask(&self, question: &str) -> Result<Option<Passphrase>, KeyError>;

    /// Tells them something before they are asked again.
    fn tell(&self, message: &str);
}

/// Nobody to ask: `--no-input`, and programs without a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn ask(&self, _: &str) -> Result<Option<Passphrase>, KeyError> {
        Ok(None)
    }

    fn tell(&self, _: &str) {}
}

/// A place that keeps small secrets by name: the operating system's keyring.
pub trait SecretStore {
    /// The secret under a name; `None` when there is none.
    ///
    /// # Errors
    /// [`KeyError::KeyringUnavailable`] when the place cannot be used.
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError>;

    /// Keeps a secret under a name, instead of the one before.
    ///
    /// # Errors
    /// [`KeyError::KeyringUnavailable`] when the place cannot be used.
    fn store(&self, name: &str, secret: &[u8]) -> Result<(), KeyError>;

    /// Forgets the secret under a name; `false` when there was none.
    ///
    /// # Errors
    /// [`KeyError::KeyringUnavailable`] when the place cannot be used.
    fn delete(&self, name: &str) -> Result<bool, KeyError>;

    /// The names there are; none where the place cannot list.
    ///
    /// # Errors
    /// [`KeyError::KeyringUnavailable`] when the place cannot be used.
    fn names(&self) -> Result<Vec<String>, KeyError> {
        Ok(Vec::new())
    }
}

/// The name under which a keyring keeps the passphrase of a key.
#[must_use]
pub fn keyring_name(key: &str) -> String {
    format!("passphrase:{key}")
}

/// All the places a passphrase can come from; see the module for their order.
pub struct Passphrases<'a> {
    /// What the user named; then nothing else is used.
    pub named: Option<Source>,
    /// The variables.
    pub environment: &'a dyn Environment,
    /// The keyring, when it is to be asked.
    pub keyring: Option<&'a dyn SecretStore>,
    /// Whom to ask.
    pub prompt: &'a dyn Prompt,
}

/// The key whose passphrase is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// What to call it in questions and errors: `the root key 77d38dd`.
    pub called: &'a str,
    /// What it is used for.
    pub used: KeyUse,
    /// Names under which a keyring may have its passphrase: fingerprint, Notary id, name.
    pub ids: &'a [String],
}

impl Passphrases<'_> {
    /// Opens a key with the first passphrase that fits.
    ///
    /// # Errors
    /// [`KeyError::WrongPassphrase`] when none of those that are there fits; [`KeyError::PassphraseNeeded`] when there is none, naming the variables that
    /// would be read; and what [`SealedKey::open`] says about the file itself.
    pub fn open(&self, key: &SealedKey, wanted: &Wanted<'_>) -> Result<PrivateKey, KeyError> {
        if !key.is_encrypted() {
            return key.open(None);
        }
        let try_one = |passphrase: &Passphrase| match key.open(Some(passphrase)) {
            Err(KeyError::WrongPassphrase { .. }) => Ok(None),
            other => other.map(Some).map_err(|error| error.named(wanted.called)),
        };
        let wrong = || KeyError::WrongPassphrase { key: wanted.called.to_owned() };
        if let Some(source) = &self.named {
            return try_one(&self.by_source(source)?)?.ok_or_else(wrong);
        }
        let mut tried = false;
        // The keyring is looked at only when the variables did not open the key: it may ask its owner to unlock it.
        for look in [Self::by_variables, Self::by_keyring] {
            for passphrase in look(self, wanted)? {
                tried = true;
                if let Some(key) = try_one(&passphrase)? {
                    return Ok(key);
                }
            }
        }
        let question = format!("Passphrase of {}", wanted.called);
        for _ in 0..TRIES {
            let Some(passphrase) = self.prompt.ask(&question)? else { break };
            tried = true;
            if let Some(key) = try_one(&passphrase)? {
                return Ok(key);
            }
            self.prompt.tell("That passphrase does not open the key.");
        }
        if tried { Err(wrong()) } else { Err(needed(wanted)) }
    }

    /// The passphrase for a key that is about to be written: from the same places, or asked twice.
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`] when there is none; [`KeyError::PassphraseFile`] and its like when the source that the user named
    /// cannot be read.
    pub fn choose(&self, wanted: &Wanted<'_>) -> Result<Passphrase, KeyError> {
        if let Some(source) = &self.named {
            return self.by_source(source);
        }
        for look in [Self::by_variables, Self::by_keyring] {
            if let Some(first) = look(self, wanted)?.into_iter().next() {
                return Ok(first);
            }
        }
        let question = format!("New passphrase for {}", wanted.called);
        let again = format!("Again, the new passphrase for {}", wanted.called);
        for _ in 0..TRIES {
            let Some(first) = self.prompt.ask(&question)? else { break };
            if wanted.used != KeyUse::Cosign && first.expose().len() < MIN_NEW {
                self.prompt.tell(&format!("At least {MIN_NEW} characters, please."));
                continue;
            }
            match self.prompt.ask(&again)? {
                Some(second) if second.same_as(&first) => return Ok(first),
                Some(_) => self.prompt.tell("The two were not the same."),
                None => break,
            }
        }
        Err(needed(wanted))
    }

    fn by_variables(&self, wanted: &Wanted<'_>) -> Result<Vec<Passphrase>, KeyError> {
        let mut found = Vec::new();
        for name in wanted.used.variables() {
            // An empty variable is "not set" for docker and notary, and the empty passphrase for cosign.
            match self.environment.variable(name) {
                Some(value) if !value.is_empty() || wanted.used == KeyUse::Cosign => found.push(passphrase(value.as_bytes())?),
                _ => {}
            }
        }
        Ok(found)
    }

    fn by_keyring(&self, wanted: &Wanted<'_>) -> Result<Vec<Passphrase>, KeyError> {
        let Some(keyring) = self.keyring else { return Ok(Vec::new()) };
        // A keyring that is locked or gone must not stand in the way of a prompt.
        wanted.ids.iter().filter_map(|id| keyring.load(&keyring_name(id)).ok()?).map(|secret| passphrase(&secret)).collect()
    }

    fn by_source(&self, source: &Source) -> Result<Passphrase, KeyError> {
        match source {
            Source::Variable(name) => match self.environment.variable(name) {
                Some(value) => passphrase(value.as_bytes()),
                None => Err(KeyError::PassphraseVariable { name: name.clone() }),
            },
            Source::File(path) => {
                let bytes = read_file(path).map_err(without_name)?;
                let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                passphrase(line.strip_suffix(b"\r").unwrap_or(line))
            }
            Source::Keyring(name) => {
                let keyring =
                    self.keyring.ok_or_else(|| KeyError::KeyringUnavailable { why: "this run does not use one".to_owned() })?;
                match keyring.load(&keyring_name(name))? {
                    Some(secret) => passphrase(&secret),
                    None => Err(KeyError::PassphraseEntry { name: name.clone() }),
                }
            }
        }
    }
}

/// The error about a file of a passphrase, without what the user wrote: those who take the flag for the passphrase wrote that.
fn without_name(error: KeyError) -> KeyError {
    let error = match error {
        KeyError::File { error, .. } => error,
        KeyError::NoFile { .. } => io::Error::new(io::ErrorKind::NotFound, "no such file"),
        _ => io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"),
    };
    KeyError::PassphraseFile { flag: "--passphrase", error }
}

fn passphrase(bytes: &[u8]) -> Result<Passphrase, KeyError> {
    Passphrase::new(bytes).ok_or(KeyError::unreadable("the passphrase is longer than 1024 bytes"))
}

fn needed(wanted: &Wanted<'_>) -> KeyError {
    let variables = wanted.used.variables().iter().map(|name| (*name).to_owned()).collect();
    KeyError::PassphraseNeeded { key: wanted.called.to_owned(), variables }
}
