//! Sigstore instances, and what signers by certificate are told apart by.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::form::{SignerForm, SigstoreForm};
use super::super::{CosignDemands, Glob, NamePattern, SignerRule};
use super::{PolicyError, Reader, nearest};
use crate::claim::CERTIFICATE_CLAIMS;
use crate::reason::{Code, Reason};
use crate::scheme::{AuthorityAnchor, RepositoryAnchor, SigstoreAnchor, Thresholds};

/// Most operators that can be demanded: more than any instance has.
const MAX_OPERATORS: i64 = 32;

/// Most certificates of an authority of one's own, of each kind.
const MAX_CERTIFICATES: usize = 64;
/// What the name of a signer's own authority starts with. No instance may be called so.
const OWN: &str = "ca:";
/// Longest address of a repository, in bytes.
const MAX_URL: usize = 2048;

/// Where the trusted root of an instance comes from.
pub(super) enum Instance {
    /// From a TUF repository.
    Fetched(RepositoryAnchor),
    /// From a file beside the policy.
    Fixed(SigstoreAnchor),
}

impl Reader<'_> {
    /// A signer by key, or by a name in a certificate.
    pub(super) fn cosign(&self, name: &str, form: &Spanned<SignerForm>) -> Result<SignerRule, PolicyError> {
        let signer = form.get_ref();
        let log = |default: bool| match signer.log.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None => Ok(default),
            Some(("required", _)) => Ok(true),
            Some(("optional", _)) => Ok(false),
            Some((_, span)) => Err(self.error(span, "log is \"required\" or \"optional\"")),
        };
        let claims = self.claims(signer)?;
        let own = signer.ca.as_ref().map(|_| format!("{OWN}{name}"));
        let demands = |log: bool| CosignDemands {
            log,
            claims,
            annotations: signer.annotations.as_ref().map(|table| table.get_ref().clone()).unwrap_or_default(),
            sigstore: own.clone().or_else(|| signer.sigstore.as_ref().map(|name| name.get_ref().clone())),
        };
        let identity = self.names(("identity", signer.identity.as_ref()), ("identity-regex", signer.identity_regex.as_ref()))?;
        let issuer = self.names(("issuer", signer.issuer.as_ref()), ("issuer-regex", signer.issuer_regex.as_ref()))?;
        match (&signer.key, identity, issuer) {
            (Some(key), None, None) if own.is_none() && signer.ca_intermediates.is_none() => {
                Ok(SignerRule::CosignKey { key: Box::new(self.key(key)?), demands: demands(log(false)?) })
            }
            (None, Some(identity), Some(issuer)) => {
                Ok(SignerRule::CosignIdentity { identity, issuer, demands: demands(log(own.is_none())?) })
            }
            (None, Some(identity), None) if own.is_some() => {
                Ok(SignerRule::CosignIdentity { identity, issuer: NamePattern::any(), demands: demands(log(false)?) })
            }
            _ => {
                let message =
                    "a cosign signer has either key, or identity and issuer (identity-regex, issuer-regex), or ca and identity";
                Err(self.error(form.span(), message))
            }
        }
    }

    /// The one of two fields that is there: a text with stars, or a regular expression.
    fn names(
        &self,
        (glob_field, glob): (&str, Option<&Spanned<String>>),
        (regex_field, regex): (&str, Option<&Spanned<String>>),
    ) -> Result<Option<NamePattern>, PolicyError> {
        let (text, read) = match (glob, regex) {
            (None, None) => return Ok(None),
            (Some(text), None) => (text, NamePattern::glob(text.get_ref())),
            (None, Some(text)) => (text, NamePattern::regex(text.get_ref())),
            (Some(_), Some(text)) => {
                let message = format!("there are both \"{glob_field}\" and \"{regex_field}\": give one of them");
                return Err(self.error(text.span(), message));
            }
        };
        read.map(Some).map_err(|error| self.error(text.span(), error))
    }

    /// The authority that a signer by certificate brings along, if it does.
    pub(super) fn authority(&self, name: &str, form: &Spanned<SignerForm>) -> Result<Option<AuthorityAnchor>, PolicyError> {
        let signer = form.get_ref();
        if signer.scheme.get_ref() != "cosign" {
            return Ok(None);
        }
        let Some(ca) = &signer.ca else {
            return match &signer.ca_intermediates {
                Some(path) => Err(self.error(path.span(), "ca-intermediates goes with ca")),
                None => Ok(None),
            };
        };
        let read = |path: &Spanned<String>| {
            let certificates = self.certificates(path)?;
            if certificates.len() > MAX_CERTIFICATES {
                return Err(self.error(path.span(), format!("there are more than {MAX_CERTIFICATES} certificates")));
            }
            Ok(certificates)
        };
        let names = self.names(("identity", signer.identity.as_ref()), ("identity-regex", signer.identity_regex.as_ref()))?;
        Ok(Some(AuthorityAnchor {
            name: format!("{OWN}{name}"),
            roots: read(ca)?,
            intermediates: signer.ca_intermediates.as_ref().map(read).transpose()?.unwrap_or_default(),
            names: names.unwrap_or_else(NamePattern::any),
            instance: signer.sigstore.as_ref().map(|name| name.get_ref().clone()),
            sigstore: None,
        }))
    }

    pub(super) fn sigstore(&self, name: &str, form: &Spanned<SigstoreForm>) -> Result<Instance, PolicyError> {
        if name.starts_with(OWN) {
            return Err(self.error(form.span(), "the name of an instance must not start with \"ca:\""));
        }
        let instance = form.get_ref();
        let thresholds = self.thresholds(instance)?;
        match (&instance.trusted_root, &instance.tuf, &instance.root) {
            (Some(file), None, None) => {
                let trusted_root = self.load(file)?.into();
                Ok(Instance::Fixed(SigstoreAnchor { name: Some(name.to_owned()), trusted_root, thresholds }))
            }
            (None, Some(url), Some(root)) => {
                let (url, root) = (self.url(url)?, self.load(root)?.into());
                let lacking = Reason::new(Code::AnchorNotFetched, format!("no trusted root of [sigstores.{name}] is at hand"));
                Ok(Instance::Fetched(RepositoryAnchor { name: name.to_owned(), url, root, thresholds, lacking }))
            }
            _ => Err(self.error(form.span(), "an instance has either trusted-root, or tuf and root")),
        }
    }

    /// The address of a repository, without a final slash. Whether it can be asked is for whoever asks to say.
    fn url(&self, url: &Spanned<String>) -> Result<String, PolicyError> {
        let text = url.get_ref();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@');
        match rest.map(|rest| rest.trim_end_matches('/')) {
            Some(rest) if !rest.is_empty() && text.len() <= MAX_URL && rest.chars().all(plain) => {
                Ok(text.trim_end_matches('/').to_owned())
            }
            _ => Err(self.error(url.span(), "tuf is an https address, without user, query and fragment")),
        }
    }

    fn thresholds(&self, form: &SigstoreForm) -> Result<Thresholds, PolicyError> {
        let usual = Thresholds::default();
        let inclusion_proof = match form.inclusion_proof.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("optional", _)) => false,
            Some(("required", _)) => true,
            Some((_, span)) => return Err(self.error(span, "inclusion-proof is \"required\" or \"optional\"")),
        };
        Ok(Thresholds {
            logs: self.operators(form.logs.as_ref(), 0, usual.logs)?,
            times: self.operators(form.times.as_ref(), 1, usual.times)?,
            certificate_logs: self.operators(form.certificate_logs.as_ref(), 0, usual.certificate_logs)?,
            inclusion_proof,
        })
    }

    fn operators(&self, count: Option<&Spanned<i64>>, least: i64, usual: usize) -> Result<usize, PolicyError> {
        let Some(count) = count else { return Ok(usual) };
        let number = Some(*count.get_ref()).filter(|number| (least..=MAX_OPERATORS).contains(number));
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.error(count.span(), format!("a number of operators is {least} to {MAX_OPERATORS}")))
    }

    /// What the certificate must say beside identity and issuer.
    pub(super) fn claims(&self, signer: &SignerForm) -> Result<BTreeMap<String, Glob>, PolicyError> {
        let Some(table) = &signer.claims else { return Ok(BTreeMap::new()) };
        if signer.identity.is_none() && signer.identity_regex.is_none() {
            return Err(self.error(table.span(), "claims go with identity and issuer: a key has none"));
        }
        let claims = table.get_ref().iter().map(|(name, value)| {
            if !CERTIFICATE_CLAIMS.iter().any(|(_, known)| known == name) {
                let near = nearest(name, CERTIFICATE_CLAIMS.iter().map(|(_, known)| *known));
                let hint = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
                return Err(self.error(value.span(), format!("there is no certificate claim \"{name}\"{hint}")));
            }
            Ok((name.clone(), Glob::new(value.get_ref())))
        });
        claims.collect()
    }
}

/// Whether `signer` is judged with the instance of this name; `None` is the one that counts where none is named.
pub(in crate::policy) fn is_judged_by(signer: &SignerRule, name: Option<&str>) -> bool {
    match signer {
        SignerRule::CosignIdentity { demands, .. } => demands.sigstore.as_deref() == name,
        SignerRule::CosignKey { demands, .. } => {
            (demands.log || demands.sigstore.is_some()) && demands.sigstore.as_deref() == name
        }
        SignerRule::Dct { .. } => false,
    }
}
