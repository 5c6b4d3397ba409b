//! The listeners of a configuration.

use toml::Spanned;

use super::form::ListenForm;
use super::parse::Reader;
use super::{ClientAuthority, ConfigError, Listen, TlsFiles, values};

impl Reader<'_> {
    pub(super) fn listen(&mut self, form: &Spanned<ListenForm>) -> Result<Listen, ConfigError> {
        let written = form.get_ref();
        let address = self.value(&written.address, values::address)?;
        let tls = self.tls(form)?;
        match &written.plain {
            Some(plain) if *plain.get_ref() && tls.is_some() => {
                return Err(self.error(plain.span(), "plain = true contradicts the certificate"));
            }
            Some(plain) if *plain.get_ref() && !address.ip().is_loopback() => {
                self.warn(
                    plain.span(),
                    format!("{address} is served without TLS: whoever is on the path can replace what was verified"),
                );
            }
            _ if tls.is_none() && !address.ip().is_loopback() => {
                let message = "other machines reach this address: give it a certificate and key, or write plain = true where something \
                               else does TLS";
                return Err(self.error(written.address.span(), message));
            }
            _ => {}
        }
        Ok(Listen { address, tls })
    }

    fn tls(&self, form: &Spanned<ListenForm>) -> Result<Option<TlsFiles>, ConfigError> {
        let written = form.get_ref();
        let (certificate, key) = match (&written.certificate, &written.key) {
            (Some(certificate), Some(key)) => (self.path(certificate)?, self.path(key)?),
            (Some(one), None) | (None, Some(one)) => {
                return Err(self.error(one.span(), "certificate and key go together"));
            }
            (None, None) => {
                let needs_tls = written.client_ca.as_ref().or(written.client_certificates.as_ref());
                return match needs_tls {
                    Some(span) => Err(self.error(span.span(), "certificates of clients need TLS: add certificate and key")),
                    None => Ok(None),
                };
            }
        };
        Ok(Some(TlsFiles { certificate, key, clients: self.clients(written)? }))
    }

    fn clients(&self, written: &ListenForm) -> Result<Option<ClientAuthority>, ConfigError> {
        let Some(authority) = &written.client_ca else {
            return match &written.client_certificates {
                Some(word) => Err(self.error(word.span(), "client-certificates needs a client-ca")),
                None => Ok(None),
            };
        };
        let required = match written.client_certificates.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None | Some(("required", _)) => true,
            Some(("optional", _)) => false,
            Some((_, span)) => return Err(self.error(span, "client-certificates is \"required\" or \"optional\"")),
        };
        Ok(Some(ClientAuthority { authority: self.path(authority)?, required }))
    }
}
