//! The policy file as it is written: what serde reads, before any meaning.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PolicyForm {
    pub(super) version: Spanned<i64>,
    pub(super) default: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) signers: BTreeMap<String, Spanned<SignerForm>>,
    #[serde(default)]
    pub(super) sigstores: BTreeMap<String, Spanned<SigstoreForm>>,
    #[serde(default)]
    pub(super) rules: Vec<Spanned<RuleForm>>,
    #[serde(default)]
    pub(super) deny: Vec<DenyForm>,
    #[serde(default)]
    pub(super) allow: Vec<AllowForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SignerForm {
    pub(super) scheme: Spanned<String>,
    pub(super) identity: Option<Spanned<String>>,
    pub(super) identity_regex: Option<Spanned<String>>,
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) issuer_regex: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) log: Option<Spanned<String>>,
    pub(super) annotations: Option<Spanned<BTreeMap<String, String>>>,
    pub(super) sigstore: Option<Spanned<String>>,
    pub(super) claims: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(super) roots: Option<Spanned<Vec<String>>>,
    pub(super) ca: Option<Spanned<String>>,
    pub(super) ca_intermediates: Option<Spanned<String>>,
    pub(super) tofu: Option<Spanned<bool>>,
    pub(super) role: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SigstoreForm {
    pub(super) trusted_root: Option<Spanned<String>>,
    pub(super) tuf: Option<Spanned<String>>,
    pub(super) root: Option<Spanned<String>>,
    pub(super) logs: Option<Spanned<i64>>,
    pub(super) times: Option<Spanned<i64>>,
    pub(super) certificate_logs: Option<Spanned<i64>>,
    pub(super) inclusion_proof: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RuleForm {
    pub(super) name: Spanned<String>,
    pub(super) images: Spanned<Vec<Spanned<String>>>,
    pub(super) require: Spanned<RequireForm>,
    pub(super) platforms: Option<Spanned<String>>,
    pub(super) signed_repository: Option<Spanned<RepositoryForm>>,
    pub(super) signed_tag: Option<Spanned<String>>,
    pub(super) max_age: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) attestations: Vec<AttestationForm>,
    pub(super) mode: Option<Spanned<String>>,
    pub(super) until: Option<Spanned<toml::value::Datetime>>,
    #[serde(default)]
    pub(super) revokers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RequireForm {
    pub(super) any: Option<Vec<Spanned<String>>>,
    pub(super) all: Option<Vec<Spanned<String>>>,
    pub(super) at_least: Option<Spanned<usize>>,
    pub(super) of: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RepositoryForm {
    Word(String),
    Table(RemapForm),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RemapForm {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) remap: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AttestationForm {
    #[serde(rename = "type")]
    pub(super) predicate: Spanned<String>,
    pub(super) signers: Vec<Spanned<String>>,
    pub(super) max_age: Option<Spanned<String>>,
    #[serde(rename = "where")]
    pub(super) conditions: Option<Vec<Spanned<ConditionForm>>>,
    pub(super) which: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConditionForm {
    pub(super) path: Option<Spanned<String>>,
    pub(super) all: Option<Spanned<String>>,
    pub(super) any: Option<Spanned<String>>,
    pub(super) none: Option<Spanned<String>>,
    pub(super) count: Option<Spanned<String>>,
    pub(super) equals: Option<Spanned<toml::Value>>,
    pub(super) not_equals: Option<Spanned<toml::Value>>,
    #[serde(rename = "in")]
    pub(super) within: Option<Spanned<toml::Value>>,
    pub(super) not_in: Option<Spanned<toml::Value>>,
    pub(super) like: Option<Spanned<toml::Value>>,
    pub(super) not_like: Option<Spanned<toml::Value>>,
    pub(super) at_least: Option<Spanned<toml::Value>>,
    pub(super) at_most: Option<Spanned<toml::Value>>,
    pub(super) exists: Option<Spanned<bool>>,
    pub(super) max_age: Option<Spanned<String>>,
    #[serde(rename = "where")]
    pub(super) conditions: Option<Vec<Spanned<ConditionForm>>>,
    pub(super) show: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DenyForm {
    pub(super) digest: Spanned<String>,
    pub(super) reason: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AllowForm {
    pub(super) images: Spanned<Vec<Spanned<String>>>,
    pub(super) digest: Spanned<String>,
    pub(super) reason: Spanned<String>,
    pub(super) until: Spanned<toml::value::Datetime>,
}
