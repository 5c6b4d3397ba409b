//! Who pulls: Skopeo or Docker where they are here, else this program.

use std::path::Path;
use std::process::Stdio;

use http::header::ACCEPT;
use serde_json::Value;
use tokio::process::Command;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, clean};
use trustctl_remote::http::origin::Origin;
use trustctl_remote::http::{Http, Network, Request};
use trustctl_remote::limits::{Deadline, MAX_MANIFEST};

use super::super::Story;
use crate::failure::Failure;

/// Where the Docker engine of this machine listens. Another one would look for the proxy on its own loopback.
const DOCKER: &str = "/var/run/docker.sock";
const TYPES: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A program that pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    BuiltIn,
    Docker,
    Skopeo,
}

/// What became of a pull.
pub(super) struct Pulled {
    /// The digest of what is here now.
    pub(super) arrived: Option<Digest>,
    /// Why it is not.
    pub(super) said: String,
    /// What was run, or would be.
    pub(super) command: Vec<String>,
}

impl Client {
    /// The first that is here and works.
    pub(super) async fn here(story: &Story<'_>) -> Self {
        if works(story, "skopeo", &["--version"]).await {
            return Self::Skopeo;
        }
        if Path::new(DOCKER).exists() && works(story, "docker", &["version"]).await { Self::Docker } else { Self::BuiltIn }
    }

    /// Pulls an image, by a name with a tag.
    ///
    /// # Errors
    /// A [`Failure`] where nothing can be said about how it came out.
    pub(super) async fn pull(self, story: &Story<'_>, image: &str) -> Result<Pulled, Failure> {
        match self {
            Self::BuiltIn => built_in(image).await,
            Self::Docker => docker(story, image).await,
            Self::Skopeo => skopeo(story, image).await,
        }
    }
}

fn program(story: &Story<'_>, name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", story.path("home"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn works(story: &Story<'_>, name: &str, words: &[&str]) -> bool {
    program(story, name, words).output().await.is_ok_and(|done| done.status.success())
}

/// Whether it ended well, and what it said.
async fn ran(story: &Story<'_>, words: &[&str]) -> Result<(bool, String, Vec<String>), Failure> {
    let [name, rest @ ..] = words else { return Ok((false, String::new(), Vec::new())) };
    let done = program(story, name, rest).output().await.map_err(|error| Failure::file(Path::new(name), &error))?;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Ok((done.status.success(), said.trim().to_owned(), words.iter().map(|word| (*word).to_owned()).collect()))
}

async fn skopeo(story: &Story<'_>, image: &str) -> Result<Pulled, Failure> {
    let folder = tempfile::tempdir_in(story.world.folder());
    let folder = folder.map_err(|error| Failure::file(story.world.folder(), &error))?;
    let (from, to) = (format!("docker://{image}"), format!("dir:{}", folder.path().display()));
    let words = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", &from, &to];
    let (success, said, command) = ran(story, &words).await?;
    let manifest = std::fs::read(folder.path().join("manifest.json")).ok();
    let arrived = manifest.filter(|_| success).map(|bytes| Digest::sha256_of(&bytes));
    Ok(Pulled { arrived, said, command })
}

async fn docker(story: &Story<'_>, image: &str) -> Result<Pulled, Failure> {
    let (success, said, command) = ran(story, &["docker", "pull", image]).await?;
    let digest = said.lines().find_map(|line| line.trim().strip_prefix("Digest: ")?.parse().ok());
    if success {
        // The engine is the user's own.
        ran(story, &["docker", "rmi", image]).await?;
    }
    Ok(Pulled { arrived: digest.filter(|_| success), said, command })
}

/// The manifest with its configuration and layers, each held against its digest.
async fn built_in(image: &str) -> Result<Pulled, Failure> {
    let malformed = || Failure::new(Reason::new(Code::BadReference, format!("{image} has no tag")));
    let (address, rest) = image.split_once('/').ok_or_else(malformed)?;
    let (name, tag) = rest.rsplit_once(':').ok_or_else(malformed)?;
    let url = format!("http://{address}/v2/{name}/manifests/{tag}");
    let command = ["curl", "-H", "Accept: application/vnd.oci.image.manifest.v1+json", &url].map(str::to_owned).to_vec();
    let (origin, http) = (Origin::parse_url(&format!("http://{address}")), Http::new(Network::default()));
    let (origin, _) = origin.map_err(|error| Failure::new(error.reason()))?;
    let get = async |path: String| {
        let request = Request::get(origin.clone(), path, MAX_MANIFEST).header(ACCEPT, TYPES);
        http.send(&request, Deadline::default()).await.map_err(|error| Failure::new(error.reason()))
    };
    let answer = get(format!("/v2/{name}/manifests/{tag}")).await?;
    if answer.status != 200 {
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = document.pointer("/errors/0/message").and_then(Value::as_str).map(clean).unwrap_or_default();
        return Ok(Pulled { arrived: None, said: format!("{}: {words}", answer.status), command });
    }
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
    for part in manifest.get("config").into_iter().chain(layers) {
        let digest = part.get("digest").and_then(Value::as_str).unwrap_or_default();
        let blob = get(format!("/v2/{name}/blobs/{digest}")).await?;
        if Digest::sha256_of(&blob.body).to_string() != digest {
            return Ok(Pulled { arrived: None, said: format!("{digest} is something else"), command });
        }
    }
    Ok(Pulled { arrived: Some(Digest::sha256_of(&answer.body)), said: String::new(), command })
}
