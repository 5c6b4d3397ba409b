//! From the written form to a [`Config`].

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason, clean};
use trustctl_core::toml_error::{explain, line_of};

use super::form::{ConfigForm, LimitsForm, TimesForm};
use super::values::{self, Bounds, CONNECTIONS, DEFAULT_CACHE};
use super::{Config, ConfigError, ConfigText, Limits, MAX_CONFIG, Times};

pub(super) fn parse(source: &ConfigText<'_>) -> Result<Config, ConfigError> {
    let mut reader = Reader { source, warnings: Vec::new() };
    if u64::try_from(source.text.len()).is_ok_and(|length| length > MAX_CONFIG) {
        return Err(reader.error(0..0, "the configuration is larger than 1 MiB"));
    }
    let form: ConfigForm = toml::from_str(source.text).map_err(|error| {
        reader.error(error.span().unwrap_or(0..0), explain(source.text, error.span().unwrap_or(0..0), error.message()))
    })?;
    if *form.version.get_ref() != 1 {
        return Err(reader.error(form.version.span(), "unknown version; this program reads version 1"));
    }
    if form.listen.is_empty() {
        return Err(reader.error(0..0, "nobody is served: add a [[listen]] with an address, such as \"127.0.0.1:5000\""));
    }
    if form.upstreams.is_empty() {
        return Err(reader.error(0..0, "nothing is served: add an [[upstreams]] with a registry, such as \"docker.io\""));
    }
    let listen = form.listen.iter().map(|listen| reader.listen(listen)).collect::<Result<Vec<_>, _>>()?;
    let admin = form.admin.as_ref().map(|admin| reader.listen(admin)).transpose()?;
    let mut addresses = BTreeSet::new();
    for (listen, form) in listen.iter().chain(&admin).zip(form.listen.iter().chain(&form.admin)) {
        if listen.address.port() != 0 && !addresses.insert(listen.address) {
            return Err(reader.error(form.get_ref().address.span(), "this address is there twice"));
        }
    }
    let state = reader.path(&form.state)?;
    let audit = form.audit.file.as_ref().map(|file| reader.path(file)).transpose()?;
    let size = form.cache.max_size.as_ref().map(|size| reader.value(size, values::size)).transpose()?;
    let keys = form.break_glass.keys.iter().map(|key| reader.key(key)).collect::<Result<_, _>>()?;
    Ok(Config {
        policy: reader.path(&form.policy)?,
        policy_named: format!("{}, line {}", source.name, line_of(source.text, form.policy.span().start)),
        audit: audit.unwrap_or_else(|| state.join("audit.log")),
        state,
        listen,
        admin,
        cache_size: size.unwrap_or(DEFAULT_CACHE),
        times: reader.times(&form.times)?,
        limits: reader.limits(&form.limits)?,
        break_glass: keys,
        help: form.help.as_ref().map(|help| reader.value(help, values::link)).transpose()?,
        upstreams: reader.upstreams(&form.upstreams)?,
        warnings: reader.warnings,
    })
}

pub(super) struct Reader<'a> {
    source: &'a ConfigText<'a>,
    warnings: Vec<Reason>,
}

impl Reader<'_> {
    pub(super) fn error(&self, span: Range<usize>, message: impl Display) -> ConfigError {
        ConfigError {
            name: self.source.name.to_owned(),
            line: line_of(self.source.text, span.start),
            message: clean(&message.to_string()),
        }
    }

    pub(super) fn warn(&mut self, span: Range<usize>, message: impl Display) {
        let at = self.error(span, message);
        self.warnings.push(Reason::new(Code::ProxyPlain, format!("{}, line {}: {}", at.name, at.line, at.message)));
    }

    /// A value that is written as text.
    pub(super) fn value<T, E: Display>(
        &self,
        text: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        read(text.get_ref()).map_err(|error| self.error(text.span(), error))
    }

    /// A path, from the folder of the configuration when it is relative.
    pub(super) fn path(&self, text: &Spanned<String>) -> Result<PathBuf, ConfigError> {
        if text.get_ref().is_empty() || text.get_ref().contains('\0') {
            return Err(self.error(text.span(), "this is not a path"));
        }
        Ok(self.source.folder.join(text.get_ref()))
    }

    fn key(&self, text: &Spanned<String>) -> Result<PublicKey, ConfigError> {
        let path = self.path(text)?;
        let unusable = |error: String| self.error(text.span(), format!("the key \"{}\" cannot be used: {error}", text.get_ref()));
        let bytes = (self.source.load)(&path).map_err(unusable)?;
        PublicKey::from_pem(&bytes).map_err(|error| unusable(error.to_string()))
    }

    fn duration(&self, text: Option<&Spanned<String>>, bounds: &Bounds) -> Result<std::time::Duration, ConfigError> {
        text.map_or(Ok(bounds.default), |text| self.value(text, |written| bounds.read(written)))
    }

    fn times(&self, form: &TimesForm) -> Result<Times, ConfigError> {
        Ok(Times {
            tag_ttl: self.duration(form.tag_ttl.as_ref(), &values::tag_ttl())?,
            revocation: self.duration(form.revocation.as_ref(), &values::revocation())?,
            refusal: self.duration(form.refusal.as_ref(), &values::refusal())?,
            max_stale: self.duration(form.max_stale.as_ref(), &values::max_stale())?,
            verify: self.duration(form.verify.as_ref(), &values::verify())?,
        })
    }

    fn limits(&self, form: &LimitsForm) -> Result<Limits, ConfigError> {
        let connections = match &form.connections {
            None => Limits::default().connections,
            Some(written) => usize::try_from(*written.get_ref())
                .ok()
                .filter(|count| CONNECTIONS.contains(count))
                .ok_or_else(|| self.error(written.span(), "connections is a number from 1 to 65536"))?,
        };
        Ok(Limits {
            connections,
            header: self.duration(form.header.as_ref(), &values::header())?,
            idle: self.duration(form.idle.as_ref(), &values::idle())?,
            shutdown: self.duration(form.shutdown.as_ref(), &values::shutdown())?,
        })
    }
}
