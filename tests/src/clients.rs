//! Real programs that pull images through the proxy, each with folders of its own, so that what stays on it can be looked at.
//!
//! - [`Kind`]: which there are, and what starts one
//! - [`Client`]: what all can do
//! - [`Site`]: a lab with good and bad images, and proxies in front of it
//! - [`Hub`]: what engines take for Docker Hub

mod buildkit;
mod containerd;
mod containers;
mod docker;
mod hub;
mod site;
mod traces;

use std::path::Path;
use std::time::Duration;

pub use hub::Hub;
pub use site::{Deny, Image, Site};
pub use traces::traces;

use crate::failure::Failure;
use crate::peers::{Peer, Program, skip};
use crate::process::Ran;

/// What one pull may take: c/image tries five times in 30 seconds after a 429, BuildKit for a minute after a connection that was cut.
const LIMIT: Duration = Duration::from_secs(150);

/// A program that pulls images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `buildah pull`.
    Buildah,
    /// A build by the BuildKit in Docker, from a Dockerfile whose `FROM` is the image.
    BuildKit(Dockerd),
    /// The same by a BuildKit of its own.
    Buildkitd,
    /// `ctr content fetch`.
    Containerd(Release),
    /// The kubelet's way: containerd's CRI.
    Cri(Release),
    /// `docker pull`.
    Docker(Dockerd),
    /// `podman pull`.
    Podman,
    /// `skopeo copy`.
    Skopeo,
    /// The same with a newer skopeo.
    SkopeoSid,
}

/// A Docker engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dockerd {
    /// 20.10.
    Classic,
    /// A newer one, with the same store of images.
    NewerClassic,
    /// A newer one that keeps images in containerd.
    NewerContainerd,
    /// 29, which does so unless it is told otherwise.
    Newest,
}

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 1.6.
    Old,
    /// 1.7.
    Trixie,
    /// 2.
    Sid,
}

/// How a client finds its way.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The name that images have: the registry behind the proxy.
    pub registry: &'a str,
    /// The address of the proxy, or of what stands before it.
    pub proxy: &'a str,
    /// What engines take for Docker Hub, which is that registry again.
    pub hub: &'a Hub,
    /// How it is set up.
    pub setup: Setup<'a>,
}

/// How a client is set up.
#[derive(Clone, Copy, Debug)]
pub enum Setup<'a> {
    /// With these files, by the names that `trustctl proxy client-config` gives them; images have the registry's name.
    Files(&'a Path),
    /// The proxy is a mirror before the registry, which is what a hurried operator writes.
    Mirror,
    /// With the files of `trustctl proxy client-config`, and images named as it says.
    Written(&'a Path),
}

impl<'a> Setup<'a> {
    const fn files(self) -> Option<&'a Path> {
        match self {
            Self::Files(folder) | Self::Written(folder) => Some(folder),
            Self::Mirror => None,
        }
    }
}

/// A running client.
pub trait Client {
    /// What pulling an image brings, named as `shop/cart:1` or `shop/cart@DIGEST`.
    ///
    /// # Errors
    /// When it cannot be run, or does not end in time.
    fn pull(&self, image: &str) -> Result<Ran, Failure>;

    /// What it says about an image that it has, with the digests of its layers.
    ///
    /// # Errors
    /// When it has no such image.
    fn tells(&self, image: &str) -> Result<String, Failure>;

    /// Where everything is that it stores.
    fn folder(&self) -> &Path;
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Docker(Dockerd::Classic),
        Self::Docker(Dockerd::NewerClassic),
        Self::Docker(Dockerd::NewerContainerd),
        Self::Docker(Dockerd::Newest),
        Self::BuildKit(Dockerd::Classic),
        Self::BuildKit(Dockerd::NewerClassic),
        Self::BuildKit(Dockerd::NewerContainerd),
        Self::BuildKit(Dockerd::Newest),
        Self::Buildkitd,
        Self::Containerd(Release::Old),
        Self::Containerd(Release::Trixie),
        Self::Containerd(Release::Sid),
        Self::Cri(Release::Old),
        Self::Cri(Release::Trixie),
        Self::Cri(Release::Sid),
        Self::Podman,
        Self::Buildah,
        Self::Skopeo,
        Self::SkopeoSid,
    ];

    /// The word that `trustctl proxy client-config` has for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BuildKit(_) | Self::Docker(_) => "docker",
            Self::Buildkitd => "buildkit",
            Self::Containerd(_) | Self::Cri(_) => "containerd",
            Self::Buildah | Self::Podman | Self::Skopeo | Self::SkopeoSid => "podman",
        }
    }

    /// Its name and version; `None` when it is not here.
    #[must_use]
    pub fn title(self) -> Option<String> {
        let program = self.peer().find().ok()?;
        let version = match self {
            // The module has a version of its own.
            Self::BuildKit(Dockerd::Newest) | Self::Docker(Dockerd::Newest) => &format!("29 (moby {})", program.version()),
            _ => program.version().split(['+', '~', '-']).next().unwrap_or_default(),
        };
        Some(match self {
            Self::Buildah => format!("Buildah {version}"),
            Self::Buildkitd => format!("BuildKit {version}"),
            Self::BuildKit(engine) => format!("BuildKit in Docker {version}{}", engine.store()),
            Self::Containerd(_) => format!("containerd {version}, `ctr`"),
            Self::Cri(_) => format!("containerd {version}, CRI"),
            Self::Docker(engine) => format!("Docker {version}{}", engine.store()),
            Self::Podman => format!("Podman {version}"),
            Self::Skopeo | Self::SkopeoSid => format!("Skopeo {version}"),
        })
    }

    const fn peer(self) -> Peer {
        match self {
            Self::Buildah => Peer::Buildah,
            Self::BuildKit(engine) | Self::Docker(engine) => engine.peer(),
            Self::Buildkitd => Peer::Buildkitd,
            Self::Containerd(release) | Self::Cri(release) => release.peer(),
            Self::Podman => Peer::Podman,
            Self::Skopeo => Peer::Skopeo,
            Self::SkopeoSid => Peer::SkopeoSid,
        }
    }

    /// Whether all that it takes is here; says loudly what is missing otherwise.
    #[must_use]
    pub fn is_here(self) -> bool {
        let Some(program) = self.peer().or_skip() else { return false };
        match self {
            Self::Cri(_) => Peer::Curl.or_skip().is_some(),
            Self::Buildkitd => Peer::Buildctl.or_skip().is_some() && is_root(self),
            Self::BuildKit(engine) | Self::Docker(engine) => {
                docker::Parts::find(program, engine, matches!(self, Self::BuildKit(_))).is_some() && is_root(self)
            }
            _ => true,
        }
    }

    /// Starts it; `None` when something that it takes is not here.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(self, route: &Route<'_>) -> Result<Option<Box<dyn Client>>, Failure> {
        let Ok(program) = self.peer().find() else { return Ok(None) };
        Ok(match self {
            Self::Buildah | Self::Podman | Self::Skopeo | Self::SkopeoSid => Some(containers::start(self, program, route)?),
            Self::Containerd(_) => Some(containerd::start(&program, None, route)?),
            Self::Buildkitd => match Peer::Buildctl.find() {
                Ok(buildctl) => Some(buildkit::start(&program, buildctl, route)?),
                Err(_) => None,
            },
            Self::Cri(_) => match Peer::Curl.find() {
                Ok(curl) => Some(containerd::start(&program, Some(curl), route)?),
                Err(_) => None,
            },
            Self::Docker(engine) | Self::BuildKit(engine) => {
                match docker::Parts::find(program, engine, matches!(self, Self::BuildKit(_))) {
                    Some(parts) => Some(docker::start(&parts, engine, route)?),
                    None => None,
                }
            }
        })
    }
}

impl Dockerd {
    const fn peer(self) -> Peer {
        match self {
            Self::Classic => Peer::Dockerd,
            Self::NewerClassic | Self::NewerContainerd => Peer::DockerdSid,
            Self::Newest => Peer::DockerdNewest,
        }
    }

    const fn store(self) -> &'static str {
        match self {
            Self::Classic | Self::Newest => "",
            Self::NewerClassic => ", classic store",
            Self::NewerContainerd => ", containerd store",
        }
    }
}

impl Release {
    const fn peer(self) -> Peer {
        match self {
            Self::Old => Peer::Containerd,
            Self::Sid => Peer::ContainerdSid,
            Self::Trixie => Peer::ContainerdTrixie,
        }
    }
}

/// Whether this user may start engines and give them a mount table of their own.
fn is_root(kind: Kind) -> bool {
    let mut command = std::process::Command::new("unshare");
    let is = command.args(["--mount", "true"]).output().is_ok_and(|output| output.status.success());
    if !is {
        skip(&format!("{kind:?}"), "an engine with a Docker Hub of its own needs root and unshare");
    }
    is
}

/// A name for files, made of an image's.
fn file_name(image: &str) -> String {
    image.replace(['/', ':', '@'], "-")
}

/// The command that speaks of nothing but loopback, whatever a configuration says.
fn held(program: &Program, home: &Path) -> std::process::Command {
    let mut command = program.command(home);
    command.envs(hub::NOWHERE);
    command
}
