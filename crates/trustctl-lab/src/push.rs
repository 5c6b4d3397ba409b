//! Pushing artifacts over HTTP, as any client would.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use trustctl_core::digest::Digest;

use crate::access::Account;
use crate::authority::Authority;
use crate::error::{LabError, io};
use crate::image::Artifact;

/// A client of one repository of a registry that the lab runs.
pub(crate) struct Pusher {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) account: Option<Account>,
    pub(crate) authority: Option<Authority>,
}

impl Pusher {
    /// Pushes everything below the artifact and then the artifact itself, under `tag` or by digest; returns its digest.
    ///
    /// Works on a thread of its own, so that it can be called from anywhere, also from within an asynchronous runtime.
    pub(crate) fn push(&self, artifact: &Artifact, tag: Option<&str>) -> Result<Digest, LabError> {
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("starting a runtime"))?;
                runtime.block_on(async {
                    let session = self.session().await?;
                    session.artifact(artifact, tag).await
                })
            });
            work.join().unwrap_or_else(|_| Err(io("pushing")(std::io::ErrorKind::Other.into())))
        })
    }

    async fn session(&self) -> Result<Session<'_>, LabError> {
        let mut builder = Client::builder().no_proxy();
        if let Some(authority) = &self.authority {
            let certificate = reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes())?;
            builder = builder.tls_certs_only([certificate]);
        }
        let mut session = Session { pusher: self, client: builder.build()?, token: None };
        let ping = session.client.get(format!("{}/v2/", self.url)).send().await?;
        let challenge = ping.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(realm) = challenge.strip_prefix("Bearer ").and_then(|rest| quoted(rest, "realm")) {
            session.token = Some(session.fetch_token(realm).await?);
        }
        Ok(session)
    }
}

struct Session<'a> {
    pusher: &'a Pusher,
    client: Client,
    token: Option<String>,
}

impl Session<'_> {
    async fn fetch_token(&self, realm: &str) -> Result<String, LabError> {
        let scope = format!("repository:{}:pull,push", self.pusher.name);
        let url = format!("{realm}?service=trustctl-lab&scope={scope}");
        let mut request = self.client.get(url);
        if let Some(account) = &self.pusher.account {
            request = request.basic_auth(&account.name, Some(&account.password));
        }
        let answer = accepted("a token", request.send().await?).await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        Ok(answer.get("token").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    async fn artifact(&self, artifact: &Artifact, tag: Option<&str>) -> Result<Digest, LabError> {
        for child in &artifact.children {
            Box::pin(self.artifact(child, None)).await?;
        }
        for blob in &artifact.blobs {
            self.blob(blob).await?;
        }
        let digest = artifact.digest();
        let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
        let request = self.request(Method::PUT, &format!("/v2/{}/manifests/{reference}", self.pusher.name));
        let request = request.header(CONTENT_TYPE, &artifact.media_type).body(artifact.manifest.clone());
        accepted("pushing a manifest", request.send().await?).await?;
        Ok(digest)
    }

    async fn blob(&self, blob: &Bytes) -> Result<(), LabError> {
        let digest = Digest::sha256_of(blob);
        let name = &self.pusher.name;
        if self.request(Method::HEAD, &format!("/v2/{name}/blobs/{digest}")).send().await?.status().is_success() {
            return Ok(());
        }
        let started = self.request(Method::POST, &format!("/v2/{name}/blobs/uploads/")).send().await?;
        let started = accepted("starting an upload", started).await?;
        let location = started.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = self.request(Method::PUT, &format!("{location}?digest={digest}"));
        accepted("pushing a blob", request.body(blob.clone()).send().await?).await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.pusher.url));
        match (&self.token, &self.pusher.account) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(account)) => request.basic_auth(&account.name, Some(&account.password)),
            (None, None) => request,
        }
    }
}

async fn accepted(what: &str, answer: Response) -> Result<Response, LabError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let body: String = answer.text().await.unwrap_or_default().chars().take(500).collect();
    Err(LabError::Refused { what: what.to_owned(), status, body })
}

/// The value of `name="…"` in a challenge.
fn quoted<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = challenge.split_once(&format!("{name}=\""))?;
    after.split_once('"').map(|(value, _)| value)
}
