//! What the tokens of CI systems say beyond whom they name, as far as a certificate authority makes a name of it.
//!
//! Source: the `ci-issuer-metadata` and the issuer types in Fulcio's configuration (`subject-alternative-name-template`, `issuer-claim`).
//! Only used to know beforehand whom a certificate will name; nothing is decided by it that a certificate does not confirm.

use serde::Deserialize;

/// Claims of machines. Those that are missing or not text are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Machine {
    /// GitHub Actions: `owner/repository/.github/workflows/file.yml@ref`.
    #[serde(default, deserialize_with = "text")]
    job_workflow_ref: Option<String>,
    /// GitLab: `host/group/project//.gitlab-ci.yml@ref`.
    #[serde(default, deserialize_with = "text")]
    ci_config_ref_uri: Option<String>,
    /// Buildkite.
    #[serde(default, deserialize_with = "text")]
    organization_slug: Option<String>,
    /// Buildkite.
    #[serde(default, deserialize_with = "text")]
    pipeline_slug: Option<String>,
    /// Dex, which hands the issuer behind it on.
    #[serde(default, rename = "federated_claims", deserialize_with = "connector")]
    connector: Option<String>,
}

impl Machine {
    /// Every text in it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        let Self { job_workflow_ref, ci_config_ref_uri, organization_slug, pipeline_slug, connector } = self;
        [job_workflow_ref, ci_config_ref_uri, organization_slug, pipeline_slug, connector].into_iter().flatten()
    }

    /// The issuer behind the issuer.
    pub(super) fn connector(&self) -> Option<&String> {
        self.connector.as_ref()
    }

    /// The names a certificate may have for a token with these claims, this address and this subject.
    pub(super) fn identities(&self, email: Option<&str>, subject: &str) -> Vec<String> {
        let workflow = self.job_workflow_ref.as_ref().map(|path| format!("https://github.com/{path}"));
        let pipeline = self.ci_config_ref_uri.as_ref().map(|path| format!("https://{path}"));
        let buildkite = match (&self.organization_slug, &self.pipeline_slug) {
            (Some(organization), Some(pipeline)) => Some(format!("https://buildkite.com/{organization}/{pipeline}")),
            _ => None,
        };
        let uri = subject.contains("://").then(|| subject.to_owned());
        [email.map(str::to_owned), workflow, pipeline, buildkite, uri].into_iter().flatten().collect()
    }
}

/// A text, or nothing.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// The connector in Dex's claim, or nothing.
fn connector<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let claim = serde_json::Value::deserialize(deserializer)?;
    Ok(claim.get("connector_id").and_then(serde_json::Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn names(json: &str) -> Vec<String> {
        serde_json::from_str::<Machine>(json).unwrap().identities(None, "subject")
    }

    #[test]
    fn machines_are_named_as_fulcio_names_them() {
        let github = r#"{"job_workflow_ref":"acme/shop/.github/workflows/release.yml@refs/tags/v1"}"#;
        assert_eq!(names(github), ["https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1"]);
        let gitlab = r#"{"ci_config_ref_uri":"gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main"}"#;
        assert_eq!(names(gitlab), ["https://gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main"]);
        assert_eq!(names(r#"{"organization_slug":"acme","pipeline_slug":"shop"}"#), ["https://buildkite.com/acme/shop"]);
        assert_eq!(names(r#"{"organization_slug":"acme","job_workflow_ref":7}"#), [""; 0]);
        let spiffe = Machine::default().identities(None, "spiffe://acme/builder");
        assert_eq!(spiffe, ["spiffe://acme/builder"]);
        assert_eq!(Machine::default().identities(Some("dev@example.test"), "7"), ["dev@example.test"]);
    }
}
