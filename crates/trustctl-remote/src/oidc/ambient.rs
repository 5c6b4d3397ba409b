//! Tokens that the surroundings offer. Nothing is asked of anybody until [`Ambient::fetch`]; what is not detected is never asked.
//!
//! | surroundings | told by | token from |
//! |---|---|---|
//! | any | `SIGSTORE_ID_TOKEN` (GitLab: `id_tokens`) | the variable |
//! | Kubernetes and others | the file `/var/run/sigstore/cosign/oidc-token` | the file |
//! | GitHub Actions | `ACTIONS_ID_TOKEN_REQUEST_URL`, `_TOKEN` | the runner's endpoint |
//! | CircleCI | `CIRCLECI` | the program `circleci` |
//! | Buildkite | `BUILDKITE_AGENT_ACCESS_TOKEN`, `BUILDKITE_JOB_ID` | the agent's API |
//! | SPIFFE | `SPIFFE_ENDPOINT_SOCKET` | the Workload API |
//! | Google Cloud | `GCE_METADATA_HOST`, or the machine's product name | the metadata server |

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::header::{ACCEPT, HeaderName};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::token::{IdentityToken, MAX_TOKEN};
use super::{Secret, TokenError};
use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Authorization, Http, Method, Network, Request, Response, server_words};
use crate::limits::{Deadline, MAX_TOKEN_BODY};

/// Where cosign's clients expect a mounted token.
pub const TOKEN_FILE: &str = "/var/run/sigstore/cosign/oidc-token";
/// What tells a machine of Google Cloud.
const PRODUCT_NAME: &str = "/sys/class/dmi/id/product_name";
/// The metadata server of Google Cloud.
const METADATA: &str = "metadata.google.internal";
/// The API of Buildkite's agents when none is named.
const BUILDKITE: &str = "https://agent.buildkite.com/v3";

/// What is looked at to find a source: variables and two files.
pub struct Surroundings<'a> {
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// [`TOKEN_FILE`], or another in tests.
    pub token_file: PathBuf,
    /// The file with the machine's product name.
    pub product_name: PathBuf,
}

impl<'a> Surroundings<'a> {
    /// The usual files, and these variables.
    #[must_use]
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, token_file: PathBuf::from(TOKEN_FILE), product_name: PathBuf::from(PRODUCT_NAME) }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

/// A source of tokens that was detected.
pub struct Ambient(Source);

enum Source {
    Buildkite { endpoint: String, job: String, access: Zeroizing<String> },
    CircleCi,
    File(PathBuf),
    GitHub { url: String, access: Zeroizing<String> },
    Google { host: String, named: bool },
    Spiffe { socket: PathBuf },
    Variable(Zeroizing<String>),
}

#[derive(Deserialize)]
struct GitHubAnswer {
    value: Secret,
}

#[derive(Deserialize)]
struct BuildkiteAnswer {
    token: Secret,
}

impl Ambient {
    /// The source that the surroundings offer, if any. Reads variables, and looks whether two files are there.
    ///
    /// # Errors
    /// [`TokenError::Permission`] in a CI system that could give tokens and gives this job none; [`TokenError::Source`] when the
    /// surroundings contradict themselves.
    pub fn detect(around: &Surroundings<'_>) -> Result<Option<Self>, TokenError> {
        if let Some(token) = around.get("SIGSTORE_ID_TOKEN") {
            return Ok(Some(Self(Source::Variable(Zeroizing::new(token)))));
        }
        if around.token_file.is_file() {
            return Ok(Some(Self(Source::File(around.token_file.clone()))));
        }
        if let (Some(url), Some(access)) =
            (around.get("ACTIONS_ID_TOKEN_REQUEST_URL"), around.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        {
            return Ok(Some(Self(Source::GitHub { url, access: Zeroizing::new(access) })));
        }
        if around.get("CIRCLECI").is_some() {
            return Ok(Some(Self(Source::CircleCi)));
        }
        if let (Some(access), Some(job)) = (around.get("BUILDKITE_AGENT_ACCESS_TOKEN"), around.get("BUILDKITE_JOB_ID")) {
            let endpoint = around.get("BUILDKITE_AGENT_ENDPOINT").unwrap_or_else(|| BUILDKITE.to_owned());
            return Ok(Some(Self(Source::Buildkite { endpoint, job, access: Zeroizing::new(access) })));
        }
        if let Some(address) = around.get("SPIFFE_ENDPOINT_SOCKET") {
            let path = address.strip_prefix("unix://").or_else(|| address.strip_prefix("unix:"));
            let socket = path.map(PathBuf::from).filter(|path| path.is_absolute());
            let socket = socket.ok_or_else(|| SPIFFE.failed("SPIFFE_ENDPOINT_SOCKET is not unix:///PATH"))?;
            return Ok(Some(Self(Source::Spiffe { socket })));
        }
        if let Some(host) = around.get("GCE_METADATA_HOST") {
            return Ok(Some(Self(Source::Google { host, named: true })));
        }
        if is_google(&around.product_name) {
            return Ok(Some(Self(Source::Google { host: METADATA.to_owned(), named: false })));
        }
        match missing_permission(around) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// What the source is, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Source::Buildkite { .. } => "Buildkite",
            Source::CircleCi => "CircleCI",
            Source::File(_) => "the token file",
            Source::GitHub { .. } => "GitHub Actions",
            Source::Google { .. } => "Google Cloud",
            Source::Spiffe { .. } => SPIFFE.0,
            Source::Variable(_) => "SIGSTORE_ID_TOKEN",
        }
    }

    /// Whether somebody set this source up for the job. That a machine stands in somebody's cloud is no wish to sign as that machine.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        !matches!(self.0, Source::Google { named: false, .. })
    }

    /// A token for `audience`, fetched now; read, and not yet [checked](IdentityToken::check).
    ///
    /// # Errors
    /// [`TokenError`], by what went wrong.
    pub async fn fetch(&self, http: &Http, audience: &str, deadline: Deadline) -> Result<IdentityToken, TokenError> {
        let text = match &self.0 {
            Source::Buildkite { endpoint, job, access } => buildkite(http, (endpoint, job, access), audience, deadline).await?,
            Source::CircleCi => circleci(audience, deadline).await?,
            Source::File(path) => read_token(path)?,
            Source::GitHub { url, access } => github(http, (url, access), audience, deadline).await?,
            Source::Google { host, .. } => google(host, audience, deadline).await?,
            Source::Spiffe { socket } => super::spiffe::token(socket, audience, deadline).await?,
            Source::Variable(text) => text.clone(),
        };
        IdentityToken::parse(&text)
    }
}

/// A source by its name, to fail with.
pub(super) struct Named(pub(super) &'static str);

const BUILDKITE_AGENT: Named = Named("Buildkite's agent");
const CIRCLE: Named = Named("CircleCI");
const FILE: Named = Named("the token file");
const GITHUB: Named = Named("GitHub Actions");
const GOOGLE: Named = Named("Google's metadata server");
pub(super) const SPIFFE: Named = Named("the SPIFFE Workload API");

impl Named {
    pub(super) fn failed(&self, words: impl Into<String>) -> TokenError {
        TokenError::Source { source_name: self.0, words: words.into() }
    }

    fn refused(&self, response: &Response) -> TokenError {
        self.failed(format!("it answered {}{}", response.status, server_words(&response.body)))
    }
}

/// Reads a token from a file, at most [`MAX_TOKEN`] bytes and some white space.
///
/// # Errors
/// [`TokenError::Source`] with the operating system's words.
pub fn read_token(path: &Path) -> Result<Zeroizing<String>, TokenError> {
    let failed = |error: std::io::Error| FILE.failed(format!("{}: {error}", path.display()));
    let most = u64::try_from(MAX_TOKEN).unwrap_or(u64::MAX) + 16;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path).map_err(failed)?.take(most).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// What a CI system that could give tokens lacks.
fn missing_permission(around: &Surroundings<'_>) -> Option<TokenError> {
    if around.get("GITHUB_ACTIONS").is_some() {
        return Some(TokenError::Permission {
            words: "this GitHub Actions job may not ask for an identity token".to_owned(),
            step: "give the job, in its workflow file: permissions: id-token: write (and contents: read, which is no longer implied)",
        });
    }
    if around.get("GITLAB_CI").is_some() {
        return Some(TokenError::Permission {
            words: "this GitLab job has no identity token".to_owned(),
            step: "give the job, in .gitlab-ci.yml: id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore",
        });
    }
    None
}

fn is_google(product_name: &Path) -> bool {
    let mut text = String::new();
    let read = std::fs::File::open(product_name).and_then(|file| file.take(64).read_to_string(&mut text));
    read.is_ok() && text.trim_start().starts_with("Google")
}

/// A request to an address that may have a query.
fn request(method: Method, address: &str, pairs: &[(&str, &str)]) -> Result<Request, RemoteError> {
    let wrong = || RemoteError::configuration(address, "not an http or https address");
    let mut url: reqwest::Url = address.parse().map_err(|_| wrong())?;
    let origin = Origin::of_url(&url).ok_or_else(wrong)?;
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::new(method, origin, format!("{}{query}", url.path()));
    request.max_bytes = MAX_TOKEN_BODY;
    Ok(request)
}

async fn github(
    http: &Http,
    (url, access): (&str, &str),
    audience: &str,
    deadline: Deadline,
) -> Result<Zeroizing<String>, TokenError> {
    let mut request = request(Method::GET, url, &[("audience", audience)])?.header(ACCEPT, "application/json");
    request.authorization = Some(Authorization::bearer(access));
    let response = http.send(&request, deadline).await?;
    if !response.is_success() {
        return Err(GITHUB.refused(&response));
    }
    let answer: GitHubAnswer = serde_json::from_slice(&response.body).map_err(|_| GITHUB.failed("its answer holds no token"))?;
    Ok(answer.value.0)
}

/// Source: buildkite/agent `api/oidc.go`.
async fn buildkite(
    http: &Http,
    (endpoint, job, access): (&str, &str, &str),
    audience: &str,
    deadline: Deadline,
) -> Result<Zeroizing<String>, TokenError> {
    if !job.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(BUILDKITE_AGENT.failed("BUILDKITE_JOB_ID is not the id of a job"));
    }
    let address = format!("{}/jobs/{job}/oidc/tokens", endpoint.trim_end_matches('/'));
    let body = serde_json::json!({ "audience": audience }).to_string();
    let mut request = request(Method::POST, &address, &[])?.body("application/json", body);
    request.authorization = Some(Authorization::with_scheme("Token", access));
    request.repeatable = true;
    let response = http.send(&request, deadline).await?;
    if !response.is_success() {
        return Err(BUILDKITE_AGENT.refused(&response));
    }
    let answer: BuildkiteAnswer =
        serde_json::from_slice(&response.body).map_err(|_| BUILDKITE_AGENT.failed("its answer holds no token"))?;
    Ok(answer.token.0)
}

/// CircleCI's variables hold tokens for another audience; its program makes one for this.
async fn circleci(audience: &str, deadline: Deadline) -> Result<Zeroizing<String>, TokenError> {
    let claims = serde_json::json!({ "aud": audience }).to_string();
    let mut command = tokio::process::Command::new("circleci");
    command.args(["run", "oidc", "get", "--claims", &claims]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| CIRCLE.failed(format!("its program circleci does not run: {error}")))?;
    let work = async {
        let mut text = Zeroizing::new(String::new());
        let most = u64::try_from(MAX_TOKEN).unwrap_or(u64::MAX) + 16;
        if let Some(out) = child.stdout.take() {
            let failed = |error| CIRCLE.failed(format!("its program's answer: {error}"));
            out.take(most).read_to_string(&mut text).await.map_err(failed)?;
        }
        let ended = child.wait().await.map_err(|error| CIRCLE.failed(error.to_string()))?;
        if ended.success() { Ok(text) } else { Err(CIRCLE.failed(format!("its program failed ({ended})"))) }
    };
    deadline.limit("the program circleci", work).await?
}

/// Source: Google Cloud, "Obtaining an identity token". The server speaks plain HTTP on a link-local address, and no proxy may stand between.
async fn google(host: &str, audience: &str, deadline: Deadline) -> Result<Zeroizing<String>, TokenError> {
    let mut network = Network::default();
    network.plain_http.push(host.to_owned());
    network.direct = true;
    let address = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/identity");
    let flavor = HeaderName::from_static("metadata-flavor");
    let request = request(Method::GET, &address, &[("audience", audience), ("format", "full")])?.header(flavor, "Google");
    let response = Http::new(network).send(&request, deadline).await?;
    if response.status != 200 || response.redirected || response.header("metadata-flavor") != Some("Google") {
        return Err(GOOGLE.refused(&response));
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| GOOGLE.failed("its answer holds no token"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
