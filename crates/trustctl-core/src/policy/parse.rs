//! From the written form to a [`Policy`]: every name resolved, every key loaded, every contradiction refused with its line.

mod attestation;
mod sigstore;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::form::{AllowForm, PolicyForm, RepositoryForm, RequireForm, RuleForm, SignerForm};
use super::{Allow, DefaultAction, Deny, Pattern, Platforms, Policy, Requirement, Rule, SignedRepository, SignedTag, SignerRule};
use sigstore::Instance;
pub(super) use sigstore::is_judged_by;

use crate::digest::{Digest, DigestAlgorithm};
use crate::public_key::PublicKey;
use crate::reason::{Code, Reason, Step, clean};
use crate::time::{Timestamp, parse_age};
use crate::toml_error::{explain, line_of, nearest};

/// Longest policy that is read, in bytes.
const MAX_POLICY: usize = 1024 * 1024;
/// Longest life of a warn mode or an allow entry is not limited; a day is added so that the named day still counts.
const DAY: Duration = Duration::from_secs(86_400);

/// The text of a policy and what it refers to.
pub struct PolicyText<'a> {
    /// Where it comes from, for messages.
    pub name: &'a str,
    /// The TOML text.
    pub text: &'a str,
    /// Loads a file that the policy names, by the path as written there; the error is for people.
    pub load: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

/// Why a policy cannot be used: the place and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {message}")]
pub struct PolicyError {
    /// The policy's name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// [`Code::PolicyUnusable`], or [`Code::AnchorUnusable`] when a file it names cannot be used.
    pub code: Code,
}

impl PolicyError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::new(self.code, format!("{}, line {}: {}", self.name, self.line, self.message))
            .step(Step::command("fix the line, then run", ["trustctl", "policy", "check", &self.name]))
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for the first thing that is wrong.
    pub fn parse(source: &PolicyText<'_>) -> Result<Self, PolicyError> {
        let reader = Reader { source };
        if source.text.len() > MAX_POLICY {
            return Err(reader.error(0..0, "the policy is larger than 1 MiB"));
        }
        let form: PolicyForm = toml::from_str(source.text).map_err(|error| {
            reader.error(error.span().unwrap_or(0..0), explain(source.text, error.span().unwrap_or(0..0), error.message()))
        })?;
        if *form.version.get_ref() != 1 {
            return Err(reader.error(form.version.span(), "unknown version; this program reads version 1"));
        }
        let default = match form.default.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("deny", _)) => DefaultAction::Deny,
            Some(("allow", _)) => DefaultAction::Allow,
            Some((_, span)) => return Err(reader.error(span, "default is \"deny\" or \"allow\"")),
        };
        let (mut signers, mut authorities) = (BTreeMap::new(), Vec::new());
        for (name, signer) in &form.signers {
            if let Some(instance) = &signer.get_ref().sigstore
                && !form.sigstores.contains_key(instance.get_ref())
            {
                return Err(reader.error(instance.span(), format!("there is no [sigstores.{}]", instance.get_ref())));
            }
            signers.insert(name.clone(), reader.signer(name, signer)?);
            authorities.extend(reader.authority(name, signer)?);
        }
        let (mut sigstores, mut repositories) = (Vec::new(), Vec::new());
        for (name, instance) in &form.sigstores {
            match reader.sigstore(name, instance)? {
                Instance::Fixed(anchor) => sigstores.push(anchor),
                Instance::Fetched(anchor) => repositories.push(anchor),
            }
        }
        let names: BTreeSet<&str> = signers.keys().map(String::as_str).collect();
        let mut rules = Vec::new();
        for rule in &form.rules {
            rules.push(reader.rule(rule, &names)?);
        }
        reader.check_rules(&form.rules, &rules)?;
        let deny = form.deny.iter().map(|deny| {
            let digest = reader.digest(&deny.digest)?;
            Ok(Deny { digest, reason: clean(deny.reason.get_ref()) })
        });
        let deny = deny.collect::<Result<_, PolicyError>>()?;
        let allow = form.allow.iter().map(|allow| reader.allow(allow)).collect::<Result<_, _>>()?;
        Ok(Self { name: source.name.to_owned(), default, signers, rules, deny, allow, sigstores, authorities, repositories })
    }
}

struct Reader<'a> {
    source: &'a PolicyText<'a>,
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, message: impl Display) -> PolicyError {
        PolicyError {
            name: self.source.name.to_owned(),
            line: line_of(self.source.text, span.start),
            message: clean(&message.to_string()),
            code: Code::PolicyUnusable,
        }
    }

    fn load(&self, path: &Spanned<String>) -> Result<Vec<u8>, PolicyError> {
        (self.source.load)(path.get_ref()).map_err(|error| PolicyError {
            code: Code::AnchorUnusable,
            ..self.error(path.span(), format!("\"{}\" cannot be read: {error}", path.get_ref()))
        })
    }

    fn signer(&self, name: &str, form: &Spanned<SignerForm>) -> Result<SignerRule, PolicyError> {
        let signer = form.get_ref();
        let foreign = |fields: &[(&str, Option<Range<usize>>)]| match fields.iter().find_map(|(n, s)| Some((n, s.clone()?))) {
            Some((name, span)) => {
                Err(self.error(span, format!("\"{name}\" does not go with scheme \"{}\"", signer.scheme.get_ref())))
            }
            None => Ok(()),
        };
        match signer.scheme.get_ref().as_str() {
            "cosign" => {
                foreign(&[
                    ("roots", signer.roots.as_ref().map(Spanned::span)),
                    ("tofu", signer.tofu.as_ref().map(Spanned::span)),
                    ("role", signer.role.as_ref().map(Spanned::span)),
                ])?;
                self.cosign(name, form)
            }
            "dct" => {
                foreign(&[
                    ("identity", signer.identity.as_ref().map(Spanned::span)),
                    ("identity-regex", signer.identity_regex.as_ref().map(Spanned::span)),
                    ("issuer", signer.issuer.as_ref().map(Spanned::span)),
                    ("issuer-regex", signer.issuer_regex.as_ref().map(Spanned::span)),
                    ("ca-intermediates", signer.ca_intermediates.as_ref().map(Spanned::span)),
                    ("key", signer.key.as_ref().map(Spanned::span)),
                    ("log", signer.log.as_ref().map(Spanned::span)),
                    ("annotations", signer.annotations.as_ref().map(Spanned::span)),
                    ("sigstore", signer.sigstore.as_ref().map(Spanned::span)),
                    ("claims", signer.claims.as_ref().map(Spanned::span)),
                ])?;
                self.dct(form)
            }
            _ => Err(self.error(signer.scheme.span(), "scheme is \"cosign\" or \"dct\"")),
        }
    }

    /// A key is inline PEM, or a path relative to the policy.
    fn key(&self, key: &Spanned<String>) -> Result<PublicKey, PolicyError> {
        let inline = key.get_ref().contains("-----BEGIN");
        let text = if inline { key.get_ref().clone().into_bytes() } else { self.load(key)? };
        PublicKey::from_pem(&text).map_err(|error| PolicyError {
            code: Code::AnchorUnusable,
            ..self.error(key.span(), format!("the key cannot be used: {error}"))
        })
    }

    fn dct(&self, form: &Spanned<SignerForm>) -> Result<SignerRule, PolicyError> {
        let signer = form.get_ref();
        let roots = signer.roots.as_ref().map(|roots| roots.get_ref().clone()).unwrap_or_default();
        if let (Some(span), Some(bad)) = (signer.roots.as_ref().map(Spanned::span), roots.iter().find(|id| !is_key_id(id))) {
            return Err(self.error(span, format!("\"{bad}\" is not a root key id: 64 lower-case hexadecimal digits")));
        }
        let authorities = signer.ca.as_ref().map(|ca| self.certificates(ca)).transpose()?.unwrap_or_default();
        let tofu = signer.tofu.as_ref().is_some_and(|tofu| *tofu.get_ref());
        if roots.is_empty() && authorities.is_empty() && !tofu {
            return Err(
                self.error(form.span(), "a dct signer pins roots or a ca; trust on first use must be asked for: tofu = true")
            );
        }
        let role = signer.role.as_ref().map(|role| role.get_ref().clone());
        if let Some(role) = &signer.role
            && role.get_ref() != "targets"
            && !role.get_ref().starts_with("targets/")
        {
            return Err(self.error(role.span(), "a role is targets, or a delegation like targets/releases"));
        }
        Ok(SignerRule::Dct { roots, authorities, tofu, role })
    }

    /// DER of the certificates in a PEM file, at least one.
    fn certificates(&self, path: &Spanned<String>) -> Result<Vec<Vec<u8>>, PolicyError> {
        let blocks = pem::parse_many(self.load(path)?).unwrap_or_default();
        let certificates = blocks.iter().filter(|block| block.tag() == "CERTIFICATE").map(|block| block.contents().to_vec());
        let certificates: Vec<Vec<u8>> = certificates.collect();
        if certificates.is_empty() {
            return Err(PolicyError {
                code: Code::AnchorUnusable,
                ..self.error(path.span(), format!("\"{}\" holds no PEM certificate", path.get_ref()))
            });
        }
        Ok(certificates)
    }

    fn rule(&self, form: &Spanned<RuleForm>, names: &BTreeSet<&str>) -> Result<Rule, PolicyError> {
        let rule = form.get_ref();
        let images = self.patterns(&rule.images)?;
        let platforms = match rule.platforms.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("either", _)) => Platforms::Either,
            Some(("index", _)) => Platforms::Index,
            Some(("children", _)) => Platforms::Children,
            Some((_, span)) => return Err(self.error(span, "platforms is \"index\", \"children\" or \"either\"")),
        };
        let signed_tag = match rule.signed_tag.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("any", _)) => SignedTag::Any,
            Some(("same", _)) => SignedTag::Same,
            Some((_, span)) => return Err(self.error(span, "signed-tag is \"any\" or \"same\"")),
        };
        Ok(Rule {
            name: clean(rule.name.get_ref()),
            line: self.error(rule.name.span(), "").line,
            images,
            require: self.requirement(&rule.require, names)?,
            platforms,
            signed_repository: self.signed_repository(rule.signed_repository.as_ref())?,
            signed_tag,
            max_age: self.age(rule.max_age.as_ref())?,
            attestations: rule.attestations.iter().map(|a| self.attestation(a, names)).collect::<Result<_, _>>()?,
            warn_until: self.warn_until(rule)?,
            audit_only: rule.mode.as_ref().is_some_and(|mode| mode.get_ref() == "audit"),
            revokers: self.signer_names(&rule.revokers, names)?,
        })
    }

    fn warn_until(&self, rule: &RuleForm) -> Result<Option<Timestamp>, PolicyError> {
        match (rule.mode.as_ref().map(|word| (word.get_ref().as_str(), word.span())), &rule.until) {
            (None | Some(("enforce", _)), None) => Ok(None),
            (None | Some(("enforce", _)), Some(until)) => {
                Err(self.error(until.span(), "until goes with mode = \"warn\" or \"audit\""))
            }
            (Some(("audit" | "warn", _)), Some(until)) => self.end(until).map(Some),
            (Some((word @ ("audit" | "warn"), span)), None) => {
                Err(self.error(span, format!("mode = \"{word}\" needs an end: until = 2027-01-31")))
            }
            (Some((_, span)), _) => Err(self.error(span, "mode is \"enforce\", \"warn\" or \"audit\"")),
        }
    }

    fn requirement(&self, form: &Spanned<RequireForm>, names: &BTreeSet<&str>) -> Result<Requirement, PolicyError> {
        let require = form.get_ref();
        let (at_least, list) = match (&require.any, &require.all, &require.at_least, &require.of) {
            (Some(any), None, None, None) => (1, any),
            (None, Some(all), None, None) => (all.len(), all),
            (None, None, Some(count), Some(of)) => (*count.get_ref(), of),
            _ => {
                let message = "require is { any = [...] }, { all = [...] } or { at-least = N, of = [...] }";
                return Err(self.error(form.span(), message));
            }
        };
        let of = self.signer_names(list, names)?;
        if at_least == 0 || at_least > of.len() {
            return Err(self.error(form.span(), "require at least one signer, and not more than are listed"));
        }
        Ok(Requirement { at_least, of })
    }

    fn signer_names(&self, list: &[Spanned<String>], names: &BTreeSet<&str>) -> Result<Vec<String>, PolicyError> {
        let mut seen = BTreeSet::new();
        for name in list {
            if !names.contains(name.get_ref().as_str()) {
                let near = nearest(name.get_ref(), names.iter().copied());
                let hint = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
                return Err(self.error(name.span(), format!("there is no signer \"{}\"{hint}", name.get_ref())));
            }
            if !seen.insert(name.get_ref().clone()) {
                return Err(self.error(name.span(), format!("signer \"{}\" is listed twice", name.get_ref())));
            }
        }
        Ok(list.iter().map(|name| name.get_ref().clone()).collect())
    }

    fn signed_repository(&self, form: Option<&Spanned<RepositoryForm>>) -> Result<SignedRepository, PolicyError> {
        let of = |required: bool, remap: BTreeMap<String, String>| SignedRepository { any: false, required, remap };
        match form.map(|form| (form.get_ref(), form.span())) {
            None => Ok(of(false, BTreeMap::new())),
            Some((RepositoryForm::Word(word), _)) if word == "same" => Ok(of(false, BTreeMap::new())),
            Some((RepositoryForm::Word(word), _)) if word == "required" => Ok(of(true, BTreeMap::new())),
            Some((RepositoryForm::Table(table), _)) => Ok(of(table.required, table.remap.clone())),
            Some((RepositoryForm::Word(_), span)) => {
                let message = "signed-repository is \"same\", \"required\" or { remap = { \"mirror/path\" = \"signed/path\" } }";
                Err(self.error(span, message))
            }
        }
    }

    fn allow(&self, form: &AllowForm) -> Result<Allow, PolicyError> {
        Ok(Allow {
            images: self.patterns(&form.images)?,
            digest: self.digest(&form.digest)?,
            reason: clean(form.reason.get_ref()),
            until: self.end(&form.until)?,
        })
    }

    fn patterns(&self, list: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Pattern>, PolicyError> {
        if list.get_ref().is_empty() {
            return Err(self.error(list.span(), "name at least one image pattern"));
        }
        let parse = |text: &Spanned<String>| Pattern::parse(text.get_ref()).map_err(|error| self.error(text.span(), error));
        list.get_ref().iter().map(parse).collect()
    }

    /// Images are known by their SHA-256; an entry with another digest would never be met.
    fn digest(&self, text: &Spanned<String>) -> Result<Digest, PolicyError> {
        let digest: Digest = text.get_ref().parse().map_err(|error| self.error(text.span(), error))?;
        if digest.algorithm() != DigestAlgorithm::Sha256 {
            return Err(self.error(text.span(), "images are known by their SHA-256: write sha256:<64 hex digits>"));
        }
        Ok(digest)
    }

    fn age(&self, text: Option<&Spanned<String>>) -> Result<Option<Duration>, PolicyError> {
        text.map(|text| parse_age(text.get_ref()).map_err(|error| self.error(text.span(), error))).transpose()
    }

    /// A date counts until its end, in UTC; a full time exactly.
    fn end(&self, until: &Spanned<toml::value::Datetime>) -> Result<Timestamp, PolicyError> {
        let at: Timestamp = until.get_ref().to_string().parse().map_err(|error| self.error(until.span(), error))?;
        Ok(if until.get_ref().time.is_none() { at.saturating_add(DAY).saturating_sub(Duration::from_secs(1)) } else { at })
    }

    fn check_rules(&self, forms: &[Spanned<RuleForm>], rules: &[Rule]) -> Result<(), PolicyError> {
        for (position, (form, rule)) in forms.iter().zip(rules).enumerate() {
            for earlier in rules.iter().take(position) {
                if earlier.name == rule.name {
                    return Err(self.error(form.get_ref().name.span(), format!("there are two rules \"{}\"", rule.name)));
                }
                let tie =
                    |one: &&Pattern| earlier.images.iter().any(|two| one.specificity() == two.specificity() && one.overlaps(two));
                if let Some(pattern) = rule.images.iter().find(tie) {
                    let message = format!(
                        "\"{pattern}\" and a pattern of rule \"{}\" can cover the same image and are equally specific",
                        earlier.name
                    );
                    return Err(self.error(form.get_ref().images.span(), message));
                }
            }
        }
        Ok(())
    }
}

fn is_key_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}
