//! The upstreams of a configuration.

use toml::Spanned;

use super::form::UpstreamForm;
use super::parse::Reader;
use super::{ConfigError, values};
use crate::upstreams::{DenyMode, SecretSource, Upstream, UpstreamCredentials, Upstreams};

impl Reader<'_> {
    pub(super) fn upstreams(&mut self, forms: &[Spanned<UpstreamForm>]) -> Result<Upstreams, ConfigError> {
        let read = forms.iter().map(|form| self.upstream(form)).collect::<Result<Vec<_>, _>>()?;
        Upstreams::new(read).map_err(|error| {
            let span = forms.get(error.position()).map(|form| form.get_ref().registry.span());
            self.error(span.unwrap_or(0..0), error)
        })
    }

    fn upstream(&mut self, form: &Spanned<UpstreamForm>) -> Result<Upstream, ConfigError> {
        let written = form.get_ref();
        let flag = |flag: &Option<Spanned<bool>>| flag.as_ref().is_some_and(|flag| *flag.get_ref());
        let named = Upstream::new(written.registry.get_ref());
        let upstream = Upstream {
            endpoint: self.endpoint(written)?,
            notary: self.notary(written)?,
            prefix: written.prefix.as_ref().map(|prefix| prefix.get_ref().clone()).or(named.prefix),
            namespace: flag(&written.namespace),
            hosts: written.hosts.as_ref().map(|hosts| hosts.get_ref().clone()).unwrap_or_default(),
            default: flag(&written.default),
            mirror: flag(&written.mirror),
            deny_mode: self.deny_mode(written)?,
            credentials: self.credentials(written)?,
            canary: written.canary.as_ref().map(|canary| canary.get_ref().clone()),
            registry: named.registry,
        };
        if let (UpstreamCredentials::PassThrough, true, Some(word)) =
            (&upstream.credentials, upstream.mirror, &written.credentials)
        {
            let message = "a mirror never asks clients for credentials, so there are none to pass through";
            return Err(self.error(word.span(), message));
        }
        if let (DenyMode::Sticky, false, Some(word)) = (upstream.deny_mode, upstream.mirror, &written.deny_mode) {
            let message = "deny-mode = \"sticky\" goes with mirror = true: only clients that ask mirrors in turn need it";
            return Err(self.error(word.span(), message));
        }
        Ok(upstream)
    }

    fn endpoint(&mut self, written: &UpstreamForm) -> Result<Option<String>, ConfigError> {
        let plain = written.plain.as_ref().filter(|plain| *plain.get_ref());
        let Some(text) = &written.endpoint else {
            return match plain {
                Some(plain) => Err(self.error(plain.span(), "plain = true goes with an endpoint by http://")),
                None => Ok(None),
            };
        };
        let (endpoint, unprotected) = self.value(text, values::endpoint)?;
        match plain {
            Some(plain) if unprotected => {
                self.warn(plain.span(), format!("{endpoint} is asked without TLS: whoever is on the path reads its credentials"));
            }
            None if unprotected => {
                let message =
                    "plain HTTP is only used to loopback addresses: write https://, or plain = true where the way is safe";
                return Err(self.error(text.span(), message));
            }
            _ => {}
        }
        Ok(Some(endpoint))
    }

    fn notary(&mut self, written: &UpstreamForm) -> Result<Option<String>, ConfigError> {
        let Some(text) = &written.notary else { return Ok(None) };
        match self.value(text, values::endpoint)? {
            (_, true) => Err(self.error(text.span(), "plain HTTP is only used to loopback addresses: write https://")),
            (server, false) => Ok(Some(server)),
        }
    }

    fn deny_mode(&self, written: &UpstreamForm) -> Result<DenyMode, ConfigError> {
        match written.deny_mode.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("status", _)) => Ok(DenyMode::Status),
            Some(("sticky", _)) => Ok(DenyMode::Sticky),
            Some((_, span)) => Err(self.error(span, "deny-mode is \"status\" or \"sticky\"")),
        }
    }

    fn credentials(&self, written: &UpstreamForm) -> Result<UpstreamCredentials, ConfigError> {
        let (user, password) = match (&written.user, &written.password) {
            (None, None) => return self.credentials_word(written.credentials.as_ref()),
            (Some(user), Some(password)) => (user, password),
            (Some(one), None) | (None, Some(one)) => return Err(self.error(one.span(), "user and password go together")),
        };
        if let Some(word) = &written.credentials {
            return Err(self.error(word.span(), "credentials contradicts user and password"));
        }
        if user.get_ref().is_empty() || user.get_ref().contains(|c: char| c == ':' || c.is_control()) {
            return Err(self.error(user.span(), "a user's name is not empty and has no colon"));
        }
        let password = match password.get_ref().strip_prefix("env:") {
            Some("") => return Err(self.error(password.span(), "env: is followed by the name of a variable")),
            Some(name) => SecretSource::Environment(name.to_owned()),
            None => SecretSource::File(self.path(password)?),
        };
        Ok(UpstreamCredentials::User { user: user.get_ref().clone(), password })
    }

    fn credentials_word(&self, word: Option<&Spanned<String>>) -> Result<UpstreamCredentials, ConfigError> {
        match word.map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("docker", _)) => Ok(UpstreamCredentials::Docker),
            Some(("none", _)) => Ok(UpstreamCredentials::None),
            Some(("pass-through", _)) => Ok(UpstreamCredentials::PassThrough),
            Some((_, span)) => {
                Err(self
                    .error(span, "credentials is \"docker\", \"none\" or \"pass-through\"; for one user write user and password"))
            }
        }
    }
}
