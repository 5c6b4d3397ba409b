//! Finding and opening keys: the places they rest, where their passphrases are, and the refusal of the published example keys.

use std::path::Path;

use trustctl_core::reason::{Code, Reason};
use trustctl_core::signer::Signer as _;
use trustctl_keys::error::KeyError;
use trustctl_keys::passphrase::{NoPrompt, Passphrases, Prompt, SecretStore, Source};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Places, Store, TrustDirectory, default_trust_directories};

use super::Session;
use crate::config::Environment;
use crate::failure::Failure;
use crate::ui::Ui;

/// The keyring of this machine; without the feature `keyring` it says that it cannot be used.
pub(super) type Keyring = Option<Box<dyn SecretStore>>;

impl Session {
    /// The keyring of the operating system. Nothing is asked of it until it is used.
    pub(super) fn keyring(&self) -> Keyring {
        Some(Box::new(trustctl_keys::keyring::SystemKeyring::new()))
    }

    /// Every place a key may rest: this program's store, and the trust directories of docker and notary (or just `trust_dir`).
    pub(super) fn places<'a>(&self, trust_dir: Option<&Path>, keyring: &'a Keyring) -> Result<Places<'a>, Failure> {
        let Some(directory) = &self.environment.keys else {
            return Err(Failure::new(Reason::new(Code::ConfigUnusable, "neither HOME nor XDG_DATA_HOME is set")));
        };
        let variable = |name: &str| Environment::variable(name);
        let trust = match trust_dir {
            Some(directory) => vec![TrustDirectory::docker(directory)],
            None => default_trust_directories(&variable),
        };
        Ok(Places { store: Store::at(directory), trust, keyring: keyring.as_deref() })
    }

    /// Runs `work` with the sources of passphrases: `named` alone when given, else variables, keyring and prompt.
    pub(super) fn with_passphrases<T>(
        &self,
        named: Option<&str>,
        keyring: &Keyring,
        work: impl FnOnce(&Passphrases<'_>) -> T,
    ) -> T {
        let variable = |name: &str| Environment::variable(name);
        let ask = Terminal { ui: &self.ui };
        let prompt: &dyn Prompt = if self.ui.may_ask() { &ask } else { &NoPrompt };
        let keyring = keyring.as_deref();
        work(&Passphrases { named: named.map(Source::parse), environment: &variable, keyring, prompt })
    }

    /// The private key that `wanted` names, opened.
    pub(super) fn private_key(
        &self,
        wanted: &str,
        passphrase: Option<&str>,
        trust_dir: Option<&Path>,
    ) -> Result<PrivateKey, Failure> {
        let keyring = self.keyring();
        let opened = if let Some(name) = wanted.strip_prefix("env:") {
            let text = Environment::variable(name).ok_or_else(|| KeyError::NotFound { wanted: wanted.to_owned() });
            text.and_then(|text| self.open_text(&text, wanted, passphrase))
        } else {
            let places = self.places(trust_dir, &keyring)?;
            let stored = places.find(wanted);
            stored.and_then(|stored| self.with_passphrases(passphrase, &keyring, |sources| places.open(&stored, sources)))
        };
        let key = opened?;
        self.refuse_example(&key.public_key().fingerprint())?;
        Ok(key)
    }

    fn open_text(&self, text: &str, wanted: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
        use trustctl_keys::format::SealedKey;
        use trustctl_keys::passphrase::{KeyUse, Wanted};
        let sealed = SealedKey::parse(text.as_bytes())?;
        let used = KeyUse::of(&sealed);
        self.with_passphrases(passphrase, &self.keyring(), |sources| {
            sources.open(&sealed, &Wanted { called: wanted, used, ids: &[] })
        })
    }

    /// Refuses the published example keys, whose private halves everybody has.
    pub(super) fn refuse_example(&self, fingerprint: &str) -> Result<(), Failure> {
        if trustctl_keys::example::is_example(fingerprint) && !self.global.danger_example_keys {
            let words = format!("key {fingerprint} is one of the published example keys");
            return Err(Failure::new(Reason::new(Code::ExampleKey, words)));
        }
        Ok(())
    }
}

/// The person at the terminal.
struct Terminal<'a> {
    ui: &'a Ui,
}

impl Prompt for Terminal<'_> {
    fn ask(&self, question: &str) -> Result<Option<Passphrase>, KeyError> {
        match self.ui.ask_secret(question) {
            Ok(answer) => Ok(Passphrase::new(answer.as_bytes().to_vec())),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Err(KeyError::Stopped),
            Err(_) => Ok(None),
        }
    }

    fn tell(&self, message: &str) {
        self.ui.tell(message);
    }
}
