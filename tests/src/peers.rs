//! Which real programs are on this machine, as `tests/setup/peers.sh` found or installed them.

use std::fs;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A real program that trustctl is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// buildah, for multi-architecture indexes made by others.
    Buildah,
    /// buildctl, which asks BuildKit (opt-in, see `tests/setup/peers.sh`).
    Buildctl,
    /// BuildKit as a daemon of its own (opt-in, see `tests/setup/peers.sh`).
    Buildkitd,
    /// A headless Chromium, to look at the status page.
    Chromium,
    /// containerd, with `ctr` beside it.
    Containerd,
    /// containerd 2.
    ContainerdSid,
    /// containerd 1.7.
    ContainerdTrixie,
    /// cosign 2, the older storage format.
    Cosign2,
    /// cosign 3, bundles as referrers.
    Cosign3,
    /// crane, another registry client.
    Crane,
    /// curl, which speaks HTTP/2 on a Unix socket: enough for containerd's CRI.
    Curl,
    /// `dbus-run-session`, a session bus for the Secret Service.
    DbusRunSession,
    /// docker-buildx, with which a build goes to the BuildKit in an engine.
    DockerBuildx,
    /// docker-compose, which reads and starts compositions.
    DockerCompose,
    /// A Docker client that knows Content Trust (28 or older).
    DockerCli,
    /// docker-registry, without the referrers API.
    DockerRegistry,
    /// The Docker engine.
    Dockerd,
    /// The Docker engine 29 (opt-in, see `tests/setup/peers.sh`).
    DockerdNewest,
    /// A Docker engine that can keep images in containerd's store.
    DockerdSid,
    /// A registry with the referrers API.
    FerroOciServer,
    /// gnome-keyring-daemon, a Secret Service.
    GnomeKeyring,
    /// hyperfine, for benchmarks beside other programs.
    Hyperfine,
    /// keyctl, the kernel's keyring.
    Keyctl,
    /// The notary client.
    Notary,
    /// notary-server.
    NotaryServer,
    /// notary-signer.
    NotarySigner,
    /// openssl, for key files made by others.
    Openssl,
    /// oras, another registry client.
    Oras,
    /// The cosign 2 that knows bundles of images (opt-in, see `tests/setup/peers.sh`).
    Cosign2Bundles,
    /// podman.
    Podman,
    /// The real Rekor v2 server (opt-in, see `tests/setup/peers.sh`).
    RekorServer,
    /// secret-tool, a client of the Secret Service.
    SecretTool,
    /// node with the libraries of sigstore-js in reach of `require`.
    SigstoreJs,
    /// The command of sigstore-python.
    SigstorePython,
    /// The skopeo of this Debian: copies images, cannot do sigstore.
    Skopeo,
    /// A newer skopeo, which signs and verifies `.sig` signatures.
    SkopeoSid,
    /// The real timestamp authority (opt-in, see `tests/setup/peers.sh`).
    TimestampServer,
    /// umoci, for images without a `mediaType` member.
    Umoci,
}

/// A peer that is here.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    version: String,
}

/// Why a peer is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl Peer {
    /// The name under which `tests/setup/peers.sh` reports it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Buildctl => "buildctl",
            Self::Buildkitd => "buildkitd",
            Self::Chromium => "chromium",
            Self::Containerd => "containerd",
            Self::ContainerdSid => "containerd-sid",
            Self::ContainerdTrixie => "containerd-trixie",
            Self::Cosign2 => "cosign2",
            Self::Cosign3 => "cosign3",
            Self::Crane => "crane",
            Self::Curl => "curl",
            Self::DbusRunSession => "dbus-run-session",
            Self::DockerBuildx => "docker-buildx",
            Self::DockerCompose => "docker-compose",
            Self::DockerCli => "docker-cli",
            Self::DockerRegistry => "docker-registry",
            Self::Dockerd => "dockerd",
            Self::DockerdNewest => "dockerd-newest",
            Self::DockerdSid => "dockerd-sid",
            Self::FerroOciServer => "ferro-oci-server",
            Self::GnomeKeyring => "gnome-keyring",
            Self::Hyperfine => "hyperfine",
            Self::Keyctl => "keyctl",
            Self::Notary => "notary",
            Self::NotaryServer => "notary-server",
            Self::NotarySigner => "notary-signer",
            Self::Openssl => "openssl",
            Self::Oras => "oras",
            Self::Cosign2Bundles => "cosign2-bundles",
            Self::Podman => "podman",
            Self::RekorServer => "rekor-server",
            Self::SecretTool => "secret-tool",
            Self::SigstoreJs => "sigstore-js",
            Self::SigstorePython => "sigstore-python",
            Self::Skopeo => "skopeo",
            Self::SkopeoSid => "skopeo-sid",
            Self::TimestampServer => "timestamp-server",
            Self::Umoci => "umoci",
        }
    }

    /// The program, or why it is not here.
    ///
    /// # Errors
    /// [`Missing`] when the setup script did not run or could not get the peer.
    pub fn find(self) -> Result<Program, Missing> {
        let folder = folder();
        let list = fs::read_to_string(folder.join("peers.env"))
            .map_err(|_| Missing("no peers.env here: run tests/setup/peers.sh first".to_owned()))?;
        find_in(&list, self.name())
    }

    /// The program, or `None` after saying loudly that the calling test is skipped.
    ///
    /// The line `SKIPPED peer NAME: REASON (TEST)` goes to standard error, past the test runner's capture, and is appended to the file named by
    /// `TRUSTCTL_SKIP_LOG`, so that a run can count what it did not test.
    #[must_use]
    pub fn or_skip(self) -> Option<Program> {
        match self.find() {
            Ok(program) => Some(program),
            Err(missing) => {
                skip(self.name(), &missing.0);
                None
            }
        }
    }
}

impl Program {
    /// Where the program is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version it reported when it was found; `unknown` when it reports none.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A command that sees nothing of the caller's environment but the search path, with `home` as its home directory.
    #[must_use]
    pub fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().env("PATH", search_path()).env("HOME", home).env("LC_ALL", "C").current_dir(home);
        command
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says loudly that the calling test does not test `what`, and why; see [`Peer::or_skip`].
pub fn skip(what: &str, reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED peer {what}: {reason} ({})\n", thread.name().unwrap_or("?"));
    // Written to the stream itself, because the test runner captures what the print macros write.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(log) = std::env::var_os("TRUSTCTL_SKIP_LOG") {
        // One write of one line in append mode: test binaries that run at once do not mix their lines.
        let written = OpenOptions::new().create(true).append(true).open(log).and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            let _ = writeln!(io::stderr(), "TRUSTCTL_SKIP_LOG cannot be written: {error}");
        }
    }
}

fn folder() -> PathBuf {
    match std::env::var_os("TRUSTCTL_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers"),
    }
}

/// Engines and daemons live in the `sbin` folders, which a user's path may lack.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

fn find_in(list: &str, name: &str) -> Result<Program, Missing> {
    let key = format!("PEER_{}", name.to_uppercase().replace('-', "_"));
    let value = |suffix: &str| {
        let prefix = format!("{key}{suffix}=");
        list.lines().find_map(|line| line.strip_prefix(prefix.as_str()))
    };
    if let Some(why) = value("_MISSING") {
        return Err(Missing(why.to_owned()));
    }
    let path = value("").ok_or_else(|| Missing("not in peers.env: run tests/setup/peers.sh again".to_owned()))?;
    if !Path::new(path).exists() {
        return Err(Missing(format!("{path} is gone: run tests/setup/peers.sh again")));
    }
    Ok(Program { path: PathBuf::from(path), version: value("_VERSION").unwrap_or("unknown").to_owned() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const LIST: &str =
        "PEER_COSIGN2_MISSING=no mirror\nPEER_COSIGN3=/bin/sh\nPEER_COSIGN3_VERSION=3.1.1\nPEER_CRANE=/nowhere/crane\n";

    #[test]
    fn a_listed_program_is_found_with_its_version() {
        let program = find_in(LIST, "cosign3").unwrap();
        assert_eq!((program.path(), program.version()), (Path::new("/bin/sh"), "3.1.1"));
    }

    #[test]
    fn a_missing_program_says_why() {
        assert_eq!(find_in(LIST, "cosign2").unwrap_err().to_string(), "no mirror");
        assert!(find_in(LIST, "crane").unwrap_err().to_string().contains("is gone"));
        assert!(find_in(LIST, "oras").unwrap_err().to_string().contains("not in peers.env"));
    }
}
