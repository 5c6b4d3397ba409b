//! What a token says.

use serde_json::{Map, Value, json};
use trustctl_core::time::Timestamp;

use crate::access::random_name;
use crate::sigstore::fulcio::GITHUB;

/// The claims of a token that is still to be made. Without a word it is for `sigstore` and good for five minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    values: Map<String, Value>,
    audience: Option<String>,
    /// Seconds from its making to its end; negative when it has ended before.
    life: i64,
}

impl Claims {
    /// A person with a verified e-mail address.
    #[must_use]
    pub fn email(address: &str) -> Self {
        Self::of(json!({"sub": format!("lab-{address}"), "email": address, "email_verified": true}))
    }

    /// A run of the workflow `release.yml` of a repository such as `acme/shop`, for a ref such as `refs/tags/v1.4`, with the claims that
    /// GitHub's tokens have.
    #[must_use]
    pub fn github(repository: &str, reference: &str) -> Self {
        let owner = repository.split('/').next().unwrap_or_default();
        let workflow = format!("{repository}/.github/workflows/release.yml@{reference}");
        Self::of(json!({
            "jti": random_name(),
            "sub": format!("repo:{repository}:ref:{reference}"),
            "ref": reference,
            "ref_type": if reference.starts_with("refs/tags/") { "tag" } else { "branch" },
            "sha": COMMIT,
            "repository": repository,
            "repository_id": "100001",
            "repository_owner": owner,
            "repository_owner_id": "100000",
            "repository_visibility": "public",
            "actor": "lab-user",
            "actor_id": "100002",
            "workflow": "release",
            "workflow_ref": workflow,
            "workflow_sha": COMMIT,
            "job_workflow_ref": workflow,
            "job_workflow_sha": COMMIT,
            "event_name": "push",
            "run_id": "1000000001",
            "run_number": "1",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
            "head_ref": "",
            "base_ref": "",
        }))
    }

    /// A subject that is a URI of its own, such as a SPIFFE id.
    #[must_use]
    pub fn subject(uri: &str) -> Self {
        Self::of(json!({"sub": uri}))
    }

    fn of(values: Value) -> Self {
        let values = if let Value::Object(values) = values { values } else { Map::new() };
        Self { values, audience: None, life: LIFE }
    }

    /// The same claims, with one set; also those that the issuer would set itself, such as `iss`, `exp` and `nonce`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The same claims without one of them.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.values.shift_remove(name);
        self
    }

    /// The same claims, for another audience whatever is asked for.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// The same claims, good for this many seconds.
    #[must_use]
    pub fn lives(mut self, seconds: i64) -> Self {
        self.life = seconds;
        self
    }

    /// The same claims, in a token that has expired when it is made.
    #[must_use]
    pub fn expired(self) -> Self {
        self.lives(-60)
    }

    /// The name that Fulcio writes into certificates for these claims: the e-mail address, the workflow's URL, or the subject.
    #[must_use]
    pub fn identity(&self) -> String {
        let text = |name: &str| self.values.get(name).and_then(Value::as_str);
        let workflow = || text("job_workflow_ref").map(|workflow| format!("{GITHUB}/{workflow}"));
        text("email").map(str::to_owned).or_else(workflow).or_else(|| text("sub").map(str::to_owned)).unwrap_or_default()
    }

    /// What the token says that is made of them at `now`.
    pub(crate) fn complete(&self, issuer: &str, audience: &str, now: Timestamp) -> Map<String, Value> {
        let now = now.unix_seconds();
        let end = now.saturating_add(self.life);
        let begin = now.min(end.saturating_sub(1));
        let audience = self.audience.as_deref().unwrap_or(audience);
        let made = json!({"iss": issuer, "aud": audience, "iat": begin, "nbf": begin, "exp": end});
        let mut all = if let Value::Object(made) = made { made } else { Map::new() };
        all.extend(self.values.clone());
        all
    }
}

/// As GitHub's tokens.
const LIFE: i64 = 300;
const COMMIT: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
