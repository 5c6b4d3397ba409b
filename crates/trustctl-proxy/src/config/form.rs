//! The configuration as it is written: what serde reads, before any meaning.

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigForm {
    pub(super) version: Spanned<i64>,
    pub(super) policy: Spanned<String>,
    pub(super) state: Spanned<String>,
    pub(super) help: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) listen: Vec<Spanned<ListenForm>>,
    pub(super) admin: Option<Spanned<ListenForm>>,
    #[serde(default)]
    pub(super) cache: CacheForm,
    #[serde(default)]
    pub(super) times: TimesForm,
    #[serde(default)]
    pub(super) limits: LimitsForm,
    #[serde(default)]
    pub(super) audit: AuditForm,
    #[serde(default)]
    pub(super) break_glass: BreakGlassForm,
    #[serde(default)]
    pub(super) upstreams: Vec<Spanned<UpstreamForm>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ListenForm {
    pub(super) address: Spanned<String>,
    pub(super) certificate: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) client_ca: Option<Spanned<String>>,
    pub(super) client_certificates: Option<Spanned<String>>,
    pub(super) plain: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CacheForm {
    pub(super) max_size: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TimesForm {
    pub(super) tag_ttl: Option<Spanned<String>>,
    pub(super) revocation: Option<Spanned<String>>,
    pub(super) refusal: Option<Spanned<String>>,
    pub(super) max_stale: Option<Spanned<String>>,
    pub(super) verify: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LimitsForm {
    pub(super) connections: Option<Spanned<i64>>,
    pub(super) header: Option<Spanned<String>>,
    pub(super) idle: Option<Spanned<String>>,
    pub(super) shutdown: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AuditForm {
    pub(super) file: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BreakGlassForm {
    #[serde(default)]
    pub(super) keys: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UpstreamForm {
    pub(super) registry: Spanned<String>,
    pub(super) endpoint: Option<Spanned<String>>,
    pub(super) notary: Option<Spanned<String>>,
    pub(super) plain: Option<Spanned<bool>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) hosts: Option<Spanned<Vec<String>>>,
    pub(super) namespace: Option<Spanned<bool>>,
    pub(super) default: Option<Spanned<bool>>,
    pub(super) mirror: Option<Spanned<bool>>,
    pub(super) deny_mode: Option<Spanned<String>>,
    pub(super) credentials: Option<Spanned<String>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) password: Option<Spanned<String>>,
    pub(super) canary: Option<Spanned<String>>,
}
