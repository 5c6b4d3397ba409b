//! Sigstore instances, and what signers by certificate are told apart by.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::form::{SignerForm, SigstoreForm};
use super::super::{Glob, SignerRule};
use super::{PolicyError, Reader, nearest};
use crate::claim::CERTIFICATE_CLAIMS;
use crate::scheme::{SigstoreAnchor, Thresholds};

/// Most operators that can be demanded: more than any instance has.
const MAX_OPERATORS: i64 = 32;

impl Reader<'_> {
    pub(super) fn sigstore(&self, name: &str, form: &SigstoreForm) -> Result<SigstoreAnchor, PolicyError> {
        let usual = Thresholds::default();
        let inclusion_proof = match form.inclusion_proof.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("optional", _)) => false,
            Some(("required", _)) => true,
            Some((_, span)) => return Err(self.error(span, "inclusion-proof is \"required\" or \"optional\"")),
        };
        let thresholds = Thresholds {
            logs: self.operators(form.logs.as_ref(), 0, usual.logs)?,
            times: self.operators(form.times.as_ref(), 1, usual.times)?,
            certificate_logs: self.operators(form.certificate_logs.as_ref(), 0, usual.certificate_logs)?,
            inclusion_proof,
        };
        Ok(SigstoreAnchor { name: Some(name.to_owned()), trusted_root: self.load(&form.trusted_root)?.into(), thresholds })
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
        if signer.identity.is_none() {
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
