//! Whom to trust: a policy file, or a policy made from the flags of one run.

use std::collections::BTreeMap;
use std::path::Path;

use trustctl_core::policy::{CosignDemands, NamePattern, Policy, PolicyText, SignerRule};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Repository;
use trustctl_core::signer::Signer as _;

use super::{Session, policy, sigstore};
use crate::cli::TrustArgs;
use crate::config::Environment;
use crate::failure::Failure;

impl Session {
    /// The policy that the flags call for: their own anchors when there are any, else the policy file.
    ///
    /// # Errors
    /// [`Code::UsageAnchor`] when nothing says whom to trust; what reading policy and keys says.
    pub(super) fn policy_of(&self, trust: &TrustArgs) -> Result<Policy, Failure> {
        if self.environment.policy.is_some() && trust.danger_trust_on_first_use {
            let words = "--danger-trust-on-first-use does not go with a policy, and TRUSTCTL_POLICY is set";
            let step = Step::words("judge by the policy, or pin the root with --dct-root");
            return Err(Failure::usage(Code::BadCommandLine, words).step(step));
        }
        let signers = self.signers_of(trust)?;
        let named = !signers.is_empty();
        let mut policy =
            if named { Policy::of_command_line(signers) } else { policy::load(self, trust.signers.policy.as_deref())? };
        let instance = &trust.signers.instance;
        if named || instance.trusted_root.is_some() || instance.sigstore.is_some() {
            policy = sigstore::with_trusted_root(self, policy, Some(instance))?;
        }
        for signer in policy.signers.values() {
            if let SignerRule::CosignKey { key, .. } = signer {
                self.refuse_example(&key.fingerprint())?;
            }
        }
        Ok(policy)
    }

    /// As [`Session::policy_of`]; where nothing says whom to trust, what was pinned for the repositories of `images`.
    ///
    /// # Errors
    /// As [`Session::policy_of`]; no pin for one of the images counts as none.
    pub(super) fn policy_or_pins(&self, trust: &TrustArgs, images: &[String]) -> Result<Policy, Failure> {
        match self.policy_of(trust) {
            Err(failure)
                if failure.reason.code == Code::UsageAnchor && !images.is_empty() && self.environment.state.is_some() =>
            {
                self.policy_of_pins(images)?.ok_or(failure)
            }
            policy => policy,
        }
    }

    /// A policy with one rule a repository: its pinned root must have signed.
    fn policy_of_pins(&self, images: &[String]) -> Result<Option<Policy>, Failure> {
        let anchors = self.anchors()?;
        let mut pins = BTreeMap::new();
        for image in images {
            let repository = super::parse_image(image)?.repository;
            let roots = anchors.collection(&repository)?;
            if roots.is_empty() {
                return Ok(None);
            }
            pins.insert(repository.to_string(), roots);
        }
        let mut text = String::from("version = 1\n");
        for (position, (repository, roots)) in pins.iter().enumerate() {
            let roots: Vec<String> = roots.iter().map(|root| format!("\"{root}\"")).collect();
            let image = toml::Value::from(repository.as_str());
            text.push_str(&format!(
                "[signers.pin-{position}]\nscheme = \"dct\"\nroots = [{}]\n[[rules]]\nname = {}\nimages = [{image}]\nrequire = {{ any = [\"pin-{position}\"] }}\n",
                roots.join(", "),
                toml::Value::from(format!("pinned root of {repository}")),
            ));
        }
        let source = PolicyText { name: "anchor pins", text: &text, load: &|_| Err("no file is named".to_owned()) };
        let policy = Policy::parse(&source).map_err(|error| Failure::new(error.reason()))?;
        sigstore::with_trusted_root(self, policy, None).map(Some)
    }

    /// A remark where the policy that the environment names gives way to what was typed.
    pub(super) fn policy_not_used(&self, trust: &TrustArgs) -> Option<Reason> {
        let policy = self.environment.policy.as_ref().filter(|_| trust.signers.policy.is_none())?;
        let typed = [
            (!trust.signers.key.is_empty(), "--key"),
            (trust.signers.identity.is_some(), "--identity"),
            (trust.signers.identity_regex.is_some(), "--identity-regex"),
            (!trust.dct_root.is_empty(), "--dct-root"),
        ];
        let (_, flag) = typed.into_iter().find(|(given, _)| *given)?;
        let words = format!("TRUSTCTL_POLICY is set ({}) and not used: {flag} was given", policy.display());
        Some(Reason::new(Code::PolicyNotUsed, words))
    }

    fn signers_of(&self, trust: &TrustArgs) -> Result<BTreeMap<String, SignerRule>, Failure> {
        let mut signers = BTreeMap::new();
        let annotations = annotations(&trust.annotation)?;
        for name in &trust.signers.key {
            let key = Box::new(self.public_key(name)?);
            let demands = CosignDemands { annotations: annotations.clone(), ..CosignDemands::default() };
            signers.insert(format!("key {name}"), SignerRule::CosignKey { key, demands });
        }
        let identity = names(("--identity", &trust.signers.identity), ("--identity-regex", &trust.signers.identity_regex))?;
        let issuer = names(("--issuer", &trust.signers.issuer), ("--issuer-regex", &trust.signers.issuer_regex))?;
        if let (Some(identity), Some(issuer)) = (identity, issuer) {
            let demands = CosignDemands { log: true, annotations, ..CosignDemands::default() };
            signers.insert(format!("identity {identity}"), SignerRule::CosignIdentity { identity, issuer, demands });
        }
        for root in &trust.dct_root {
            check_root(root)?;
        }
        if !trust.dct_root.is_empty() || trust.danger_trust_on_first_use {
            let tofu = trust.danger_trust_on_first_use;
            let rule = SignerRule::Dct { roots: trust.dct_root.clone(), authorities: Vec::new(), tofu, role: None };
            signers.insert("notary collection".to_owned(), rule);
        }
        Ok(signers)
    }

    /// A public key from a PEM file (public, or a key pair whose public half is known without a passphrase), a stored key's name,
    /// or `env:NAME`.
    pub(super) fn public_key(&self, name: &str) -> Result<PublicKey, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            let step =
                Step::words("give a public key in PEM (-----BEGIN PUBLIC KEY-----), the name of a stored key, or env:NAME");
            Failure::new(Reason::new(Code::AnchorUnusable, format!("the key {name} cannot be used: {error}"))).step(step)
        };
        if let Some(variable) = name.strip_prefix("env:") {
            let text = Environment::variable(variable).ok_or_else(|| unusable(&"the variable is not set"))?;
            return PublicKey::from_pem(text.as_bytes()).map_err(|error| unusable(&error));
        }
        let path = Path::new(name);
        if path.is_file() {
            let bytes = policy::read_limited(path).map_err(|error| Failure::file(path, &error))?;
            match PublicKey::from_pem(&bytes) {
                Ok(key) => return Ok(key),
                Err(error) if !bytes.windows(11).any(|window| window == b"PRIVATE KEY") => return Err(unusable(&error)),
                Err(_) => {}
            }
        }
        let keyring = self.keyring();
        let stored = self.places(None, &keyring)?.find(name).map_err(|error| Failure::new(error.reason()))?;
        match stored.public_key {
            Some(key) => Ok(key),
            None => Ok(self.private_key(name, None, None)?.public_key().clone()),
        }
    }
}

/// The names that the one of two flags stands for which is given: a text with stars, or a regular expression.
///
/// # Errors
/// A usage [`Failure`] for what is no pattern.
pub(super) fn names(
    (glob_flag, glob): (&str, &Option<String>),
    (regex_flag, regex): (&str, &Option<String>),
) -> Result<Option<NamePattern>, Failure> {
    let (flag, text, read) = match (glob, regex) {
        (Some(text), _) => (glob_flag, text, NamePattern::glob(text)),
        (None, Some(text)) => (regex_flag, text, NamePattern::regex(text)),
        (None, None) => return Ok(None),
    };
    read.map(Some).map_err(|error| Failure::usage(Code::AnchorUnusable, format!("{flag} {text}: {error}")))
}

/// Refuses a `--dct-root` that cannot be the id of a key.
///
/// # Errors
/// A usage [`Failure`].
pub(super) fn check_root(id: &str) -> Result<(), Failure> {
    if id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Failure::bad_value("--dct-root", id, "a root key id is 64 lower-case hexadecimal digits"))
}

/// `NAME=VALUE` pairs, each name once.
///
/// # Errors
/// A usage [`Failure`] for a pair without `=`, and for a name that is there twice with different values.
pub(super) fn annotations(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::bad_value("--annotation", pair, "write NAME=VALUE"));
        };
        if all.insert(name.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
            return Err(Failure::bad_value("--annotation", name, "it is given twice with different values"));
        }
    }
    Ok(all)
}

/// The repository that a flag names.
///
/// # Errors
/// A usage [`Failure`].
pub(super) fn repository(flag: &str, text: Option<&str>) -> Result<Option<Repository>, Failure> {
    let parse = |text: &str| text.parse().map_err(|error| Failure::bad_value(flag, text, error));
    text.map(parse).transpose()
}
