//! Which passphrase is used, in which order, and what is said when none is there.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use trustctl_core::public_key::KeyKind;
use trustctl_core::reason::Code;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, Format, NotaryLabels, SealedKey};
use trustctl_keys::passphrase::{KeyUse, NoPrompt, Passphrases, Prompt, SecretStore, Source, Wanted, keyring_name};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use zeroize::Zeroizing;

/// Answers one after the other, and keeps what was asked and told.
struct Person {
    answers: RefCell<Vec<&'static str>>,
    heard: RefCell<Vec<String>>,
}

impl Person {
    fn who_says(answers: &[&'static str]) -> Self {
        Self { answers: RefCell::new(answers.iter().rev().copied().collect()), heard: RefCell::default() }
    }
}

impl Prompt for Person {
    fn ask(&self, question: &str) -> Result<Option<Passphrase>, KeyError> {
        self.heard.borrow_mut().push(question.to_owned());
        match self.answers.borrow_mut().pop() {
            Some("^C") => Err(KeyError::Stopped),
            answer => Ok(answer.and_then(Passphrase::new)),
        }
    }

    fn tell(&self, message: &str) {
        self.heard.borrow_mut().push(message.to_owned());
    }
}

struct Keyring(BTreeMap<String, &'static str>);

impl SecretStore for Keyring {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        Ok(self.0.get(name).map(|secret| Zeroizing::new(secret.as_bytes().to_vec())))
    }

    fn store(&self, _: &str, _: &[u8]) -> Result<(), KeyError> {
        panic!("nothing is stored when looking for a passphrase")
    }

    fn delete(&self, _: &str) -> Result<bool, KeyError> {
        panic!("nothing is deleted when looking for a passphrase")
    }
}

struct Locked;

impl SecretStore for Locked {
    fn load(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        Err(KeyError::KeyringUnavailable { why: "locked".to_owned() })
    }

    fn store(&self, _: &str, _: &[u8]) -> Result<(), KeyError> {
        Err(KeyError::KeyringUnavailable { why: "locked".to_owned() })
    }

    fn delete(&self, _: &str) -> Result<bool, KeyError> {
        Err(KeyError::KeyringUnavailable { why: "locked".to_owned() })
    }
}

fn sealed(role: &str) -> SealedKey {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let labels = NotaryLabels::new(role, None).unwrap();
    let text = key.export(&Export::Notary(labels), Passphrase::new("right word").as_ref()).unwrap();
    SealedKey::parse(text.as_bytes()).unwrap()
}

fn wanted<'a>(used: KeyUse, ids: &'a [String]) -> Wanted<'a> {
    Wanted { called: "the root key 1234567", used, ids }
}

fn set(values: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
    move |name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn code(result: Result<impl Sized, KeyError>) -> Code {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.code(),
    }
}

#[test]
fn the_role_decides_the_variable() {
    for (role, used, variable) in [
        ("root", KeyUse::NotaryRoot, "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE"),
        ("root", KeyUse::NotaryRoot, "NOTARY_ROOT_PASSPHRASE"),
        ("targets", KeyUse::NotaryTargets, "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"),
        ("targets", KeyUse::NotaryTargets, "NOTARY_TARGETS_PASSPHRASE"),
        ("snapshot", KeyUse::NotarySnapshot, "NOTARY_SNAPSHOT_PASSPHRASE"),
        ("alice", KeyUse::NotaryDelegation, "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"),
        ("targets/releases", KeyUse::NotaryDelegation, "NOTARY_DELEGATION_PASSPHRASE"),
    ] {
        let key = sealed(role);
        assert_eq!(KeyUse::of(&key), used);
        let environment = |name: &str| (name == variable).then(|| "right word".to_owned());
        let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
        assert!(passphrases.open(&key, &wanted(used, &[])).is_ok(), "{role} {variable}");
        let other = |name: &str| (name != variable && !used.variables().contains(&name)).then(|| "right word".to_owned());
        let passphrases = Passphrases { named: None, environment: &other, keyring: None, prompt: &NoPrompt };
        assert_eq!(code(passphrases.open(&key, &wanted(used, &[]))), Code::PassphraseNeeded, "{role} {variable}");
    }
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let text = key.export(&Export::Cosign, Some(&Passphrase::empty())).unwrap();
    let key = SealedKey::parse(text.as_bytes()).unwrap();
    assert_eq!((KeyUse::of(&key), key.format()), (KeyUse::Cosign, Format::Cosign));
    // For Cosign a variable that is set and empty is the empty passphrase.
    let environment = set(&[("COSIGN_PASSWORD", "")]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    assert!(passphrases.open(&key, &wanted(KeyUse::Cosign, &[])).is_ok());
}

#[test]
fn a_wrong_variable_does_not_hide_the_right_one() {
    let environment = set(&[("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "old word"), ("NOTARY_ROOT_PASSPHRASE", "right word")]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    assert!(passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[])).is_ok());
}

#[test]
fn what_is_missing_is_named_and_what_is_wrong_is_said() {
    let environment = set(&[]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    let error = passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[])).err().unwrap();
    let reason = error.reason();
    assert_eq!(reason.code, Code::PassphraseNeeded);
    assert_eq!(
        reason.message,
        "the root key 1234567 is encrypted and no passphrase was given (DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE or NOTARY_ROOT_PASSPHRASE is not set)"
    );
    assert_eq!(reason.next[0].text, "set DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE or NOTARY_ROOT_PASSPHRASE");
    let environment = set(&[("NOTARY_ROOT_PASSPHRASE", "guess"), ("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "")]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    let error = passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[])).err().unwrap();
    assert_eq!(error.reason().message, "the passphrase does not open the root key 1234567");
    assert!(!format!("{error:?}").contains("guess"));
}

#[test]
fn a_source_that_was_named_is_the_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("word");
    fs::write(&file, "right word\r\nnot this line\n").unwrap();
    let environment = set(&[("W", "right word"), ("BAD", "wrong word"), ("NOTARY_ROOT_PASSPHRASE", "right word")]);
    let keyring = Keyring([(keyring_name("mine"), "right word")].into());
    let key = sealed("root");
    let open = |source: &str| {
        let passphrases = Passphrases {
            named: Some(Source::parse(source)),
            environment: &environment,
            keyring: Some(&keyring),
            prompt: &NoPrompt,
        };
        passphrases.open(&key, &wanted(KeyUse::NotaryRoot, &[]))
    };
    for source in ["env:W", "keyring:mine", file.to_str().unwrap()] {
        assert!(open(source).is_ok(), "{source}");
    }
    assert_eq!(code(open("env:BAD")), Code::WrongPassphrase);
    for missing in ["env:NONE", "keyring:none", "/no/such/file"] {
        assert_eq!(code(open(missing)), Code::PassphraseNeeded, "{missing}");
    }
    fs::write(&file, "x".repeat(2000)).unwrap();
    assert_eq!(code(open(file.to_str().unwrap())), Code::KeyUnreadable);
}

#[test]
fn the_keyring_is_asked_after_the_variables_and_may_be_locked() {
    let environment = set(&[("NOTARY_ROOT_PASSPHRASE", "wrong word")]);
    let ids = ["other".to_owned(), "abc".to_owned()];
    let keyring = Keyring([(keyring_name("abc"), "right word")].into());
    let passphrases = Passphrases { named: None, environment: &environment, keyring: Some(&keyring), prompt: &NoPrompt };
    assert!(passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &ids)).is_ok());
    let person = Person::who_says(&["right word"]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: Some(&Locked), prompt: &person };
    assert!(passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &ids)).is_ok());
}

#[test]
fn a_person_has_three_tries() {
    let environment = set(&[]);
    let person = Person::who_says(&["no", "nor this", "right word"]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &person };
    assert!(passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[])).is_ok());
    assert_eq!(person.heard.borrow()[0], "Passphrase of the root key 1234567");
    let person = Person::who_says(&["1", "2", "3", "right word"]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &person };
    assert_eq!(code(passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[]))), Code::WrongPassphrase);
    assert_eq!(person.answers.borrow().len(), 1);
}

#[test]
fn a_new_passphrase_is_asked_twice_and_is_not_short() {
    let environment = set(&[]);
    let choose = |person: &Person, used| {
        let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: person };
        passphrases.choose(&wanted(used, &[]))
    };
    let person = Person::who_says(&["short", "long enough", "long enoug", "long enough", "long enough"]);
    assert!(choose(&person, KeyUse::NotaryRoot).unwrap().same_as(&Passphrase::new("long enough").unwrap()));
    let heard = person.heard.borrow();
    assert!(
        heard.iter().any(|line| line.contains("At least 8")) && heard.iter().any(|line| line.contains("not the same")),
        "{heard:?}"
    );
    assert!(choose(&Person::who_says(&["", ""]), KeyUse::Cosign).unwrap().is_empty());
    assert_eq!(
        code(choose(&Person::who_says(&["a long word", "another word", "x"]), KeyUse::NotaryRoot)),
        Code::PassphraseNeeded
    );
    let environment = set(&[("NOTARY_TARGETS_PASSPHRASE", "from there")]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    let chosen = passphrases.choose(&wanted(KeyUse::NotaryTargets, &[])).unwrap();
    assert!(chosen.same_as(&Passphrase::new("from there").unwrap()));
    assert_eq!(code(passphrases.choose(&wanted(KeyUse::NotaryRoot, &[]))), Code::PassphraseNeeded);
}

#[test]
fn whoever_stops_is_asked_nothing_more() {
    let environment = set(&[]);
    for answers in [&["^C"][..], &["a wrong word", "^C"]] {
        let person = Person::who_says(answers);
        let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &person };
        let opened = passphrases.open(&sealed("root"), &wanted(KeyUse::NotaryRoot, &[]));
        assert!(matches!(opened, Err(KeyError::Stopped)));
        let person = Person::who_says(answers);
        let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &person };
        assert!(matches!(passphrases.choose(&wanted(KeyUse::NotaryRoot, &[])), Err(KeyError::Stopped)));
    }
}

#[test]
fn a_key_without_a_variable_of_its_own_names_the_flag() {
    let environment = set(&[]);
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    let reason = passphrases.choose(&wanted(KeyUse::Unknown, &[])).err().unwrap().reason();
    assert!(reason.next[0].text.starts_with("give --passphrase env:NAME"), "{reason:?}");
}
