//! Whether a client is held to the proxy: it is made to pull what the proxy refuses: its canary, or an image that the policy refuses. Pure:
//! programs are run and servers asked elsewhere.
//!
//! Such an image that arrives came from somewhere else. One that does not arrive shows something only where the registry has it, which the
//! proxy says when it is asked itself ([`Endpoint`]), and where it was the proxy's refusal that the client met ([`Outcome::Refused`]):
//! a daemon that is down, or a misspelt name, keeps images away too. What the proxy gives shows nothing, wherever it arrives.

#[cfg(test)]
mod tests;
mod words;

use std::path::Path;

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Ending, clean};

use crate::answer::DENIED_MEDIA_TYPE;

pub use words::{Denied, Signs, outcome, said};

/// Where containerd's programs find the hosts of registries unless told otherwise.
pub const HOSTS: &str = "/etc/containerd/certs.d";

/// A program that has images pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Buildah.
    Buildah,
    /// The client of container runtimes for Kubernetes: containerd and CRI-O, as a kubelet asks them.
    Crictl,
    /// containerd's own client.
    Ctr,
    /// The client of the Docker engine.
    Docker,
    /// containerd's client for people.
    Nerdctl,
    /// Podman.
    Podman,
    /// Skopeo.
    Skopeo,
}

/// A pull that an engine is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// The image.
    pub image: &'a str,
    /// Arguments of the program itself, before the command.
    pub options: &'a [String],
    /// The folder of containerd's hosts, for `ctr`, which is told it with each pull.
    pub hosts: &'a Path,
    /// An empty folder, for what keeps no store of its own.
    pub folder: &'a Path,
    /// Whether the client is to tell whom it asks, where it can.
    pub tells: bool,
}

/// What a pull came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The image is there.
    Arrived,
    /// It is not, and the client came to no registry: the way is closed.
    Closed,
    /// It is not, for another reason, such as that a registry has nothing of that name.
    Failed,
    /// It is not, and the client met the refusal of the proxy.
    Refused,
}

/// What the proxy answered when it was asked for the image itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Its policy refuses the image, for this reason; which digest it has, where that was said.
    Forbids(Code, Option<Digest>),
    /// It gives the image.
    Gives,
    /// It is a proxy of this kind, and gives the image: its policy does not refuse it.
    Passes,
    /// It refuses it as its canary, and knows that the registry has it, as which digest.
    Refuses(Option<Digest>),
    /// It answers neither way: why.
    Unclear(String),
}

/// Whether the client is held to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is not known.
    CannotTell,
    /// Yes.
    Enforced,
    /// No: the image came.
    NotEnforced,
    /// The proxy refuses, and no client was tried.
    Refusing,
}

impl Engine {
    /// The name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Crictl => "crictl",
            Self::Ctr => "ctr",
            Self::Docker => "docker",
            Self::Nerdctl => "nerdctl",
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
        }
    }

    /// The variables with which it pulls. A client that asks a Notary server first may never come to ask a registry: whether it would
    /// take the image is not what is to be found out, but from where.
    #[must_use]
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        if self == Self::Docker { &[("DOCKER_CONTENT_TRUST", "0")] } else { &[] }
    }

    /// The arguments with which it pulls. What it has already counts for nothing: each of them asks a registry all the same.
    #[must_use]
    pub fn arguments(self, pull: &Pull<'_>) -> Vec<String> {
        let shown = |path: &Path| path.display().to_string();
        let mut words: Vec<String> = pull.options.to_vec();
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        match self {
            Self::Buildah | Self::Podman if pull.tells => add(&["--log-level=debug"]),
            Self::Skopeo if pull.tells => add(&["--debug"]),
            _ => {}
        }
        match self {
            Self::Buildah => add(&["pull", "--policy", "always", pull.image]),
            Self::Crictl | Self::Docker | Self::Nerdctl | Self::Podman => add(&["pull", pull.image]),
            Self::Ctr => add(&["content", "fetch", "--hosts-dir", &shown(pull.hosts), pull.image]),
            // Whether the client would take the image by a policy of its own is not asked: the way that it takes is.
            Self::Skopeo => {
                let (from, to) = (format!("docker://{}", pull.image), format!("dir:{}", shown(pull.folder)));
                add(&["--insecure-policy", "copy", &from, &to]);
            }
        }
        words
    }
}

/// What an answer for the manifest of the image means.
#[must_use]
pub fn endpoint(status: StatusCode, body: &[u8]) -> Endpoint {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (code, found, message) = match status {
        _ if is_denial(status, body) => {
            let message = clean(text("/annotations/dev.trustctl.denied.message"));
            (text("/annotations/dev.trustctl.denied.reason"), text("/annotations/dev.trustctl.denied.found"), message)
        }
        _ if status.is_success() => return Endpoint::Gives,
        StatusCode::FORBIDDEN => (text("/errors/0/detail/reason"), text("/errors/0/detail/found"), told(status, &document)),
        _ => return Endpoint::Unclear(told(status, &document)),
    };
    let is_manifest = status.is_success();
    let digest = text(if is_manifest { "/annotations/dev.trustctl.denied.digest" } else { "/errors/0/detail/digest" });
    match Code::find(code) {
        Some(Code::ProxyCanary) => Endpoint::Refuses(found.parse().ok()),
        Some(code) if is_verdict(code) => Endpoint::Forbids(code, digest.parse().ok()),
        _ => Endpoint::Unclear(message),
    }
}

/// Whether an answer is a denial manifest.
#[must_use]
pub fn is_denial(status: StatusCode, body: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let media_type = document.pointer("/config/mediaType").and_then(Value::as_str).unwrap_or_default();
    status.is_success() && media_type.starts_with(DENIED_MEDIA_TYPE)
}

/// Whether the answer for an image of a registry that nobody serves is that of a proxy of this kind.
#[must_use]
pub fn is_proxy(status: StatusCode, body: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = document.pointer("/errors/0/detail/reason").and_then(Value::as_str);
    status == StatusCode::FORBIDDEN && reason.and_then(Code::find) == Some(Code::ProxyNamespace)
}

/// Whether a refusal for this reason says that the registry has the image, and that the policy does not trust it.
fn is_verdict(code: Code) -> bool {
    matches!(code.ending(), Ending::Rejected | Ending::Unsigned)
}

fn told(status: StatusCode, document: &Value) -> String {
    match document.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or_default() {
        "" => format!("status {status}"),
        message => format!("status {status}: {}", clean(message)),
    }
}

impl Endpoint {
    /// The reason code that a client meets where it meets the refusal of the proxy.
    #[must_use]
    pub fn code(&self) -> Code {
        if let Self::Forbids(code, _) = self { *code } else { Code::ProxyCanary }
    }

    /// Whether the proxy refuses the image, which its registry has.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self, Self::Forbids(..) | Self::Refuses(_))
    }
}

/// Whether a client is held to the proxy, by what the proxy answered and what the pulls of the client came to: those by the registry's
/// name, and the one by the proxy's name, where that was tried because none of the others met the proxy.
#[must_use]
pub fn standing(endpoint: &Endpoint, pulls: &[Outcome], by_proxy: Option<Outcome>) -> Standing {
    let all = |outcome: Outcome| pulls.iter().all(|pull| *pull == outcome);
    match endpoint {
        // It may have come from the proxy.
        Endpoint::Passes => Standing::CannotTell,
        _ if pulls.iter().chain(&by_proxy).any(|pull| *pull == Outcome::Arrived) => Standing::NotEnforced,
        Endpoint::Gives => Standing::NotEnforced,
        Endpoint::Unclear(_) => Standing::CannotTell,
        Endpoint::Forbids(..) | Endpoint::Refuses(_) if pulls.is_empty() => Standing::Refusing,
        // Some clients take from elsewhere by digest what they are refused by tag, and that was not tried; and whether a registry has what
        // no digest was said of is not known.
        Endpoint::Forbids(_, None) | Endpoint::Refuses(None) => Standing::CannotTell,
        Endpoint::Forbids(..) | Endpoint::Refuses(_) if all(Outcome::Refused) => Standing::Enforced,
        // The way to the registry is closed, and the client works.
        Endpoint::Forbids(..) | Endpoint::Refuses(_) if all(Outcome::Closed) && by_proxy == Some(Outcome::Refused) => {
            Standing::Enforced
        }
        // Also where one was refused: another that failed by itself may arrive the next time, and not from the proxy.
        Endpoint::Forbids(..) | Endpoint::Refuses(_) => Standing::CannotTell,
    }
}
