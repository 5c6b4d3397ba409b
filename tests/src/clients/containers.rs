//! Podman, Buildah and Skopeo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Client, Kind, LIMIT, Route, file_name, held};
use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ran, run};

struct Containers {
    kind: Kind,
    program: Program,
    registry: String,
    configuration: PathBuf,
    /// Its home, with its configuration.
    home: TempDir,
    /// What it stores.
    store: TempDir,
}

/// One with an empty store.
pub(super) fn start(kind: Kind, program: Program, route: &Route<'_>) -> Result<Box<dyn Client>, Failure> {
    let folder = || tempfile::tempdir().map_err(io("temporary folder"));
    let (home, store) = (folder()?, folder()?);
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).map_err(io("configuration"));
    write("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    let configuration = match route.setup.files() {
        Some(folder) => folder.join("50-trustctl-proxy.conf"),
        None => {
            write("mirror.conf", &mirror(route))?;
            home.path().join("mirror.conf")
        }
    };
    Ok(Box::new(Containers { kind, program, registry: route.registry.to_owned(), configuration, home, store }))
}

/// The registry with a mirror.
fn mirror(route: &Route<'_>) -> String {
    let Route { registry, proxy, .. } = route;
    format!(
        "[[registry]]\nprefix = \"{registry}\"\nlocation = \"{registry}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{proxy}/lab\"\ninsecure = true\n"
    )
}

impl Containers {
    fn command(&self) -> Command {
        let mut command = held(&self.program, self.home.path());
        command.env("CONTAINERS_REGISTRIES_CONF", &self.configuration);
        command.env("XDG_RUNTIME_DIR", self.home.path()).env("TMPDIR", self.store.path());
        let at = |name: &str| self.store.path().join(name);
        match self.kind {
            Kind::Podman => {
                command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
                command.arg("--tmpdir").arg(at("tmp"));
            }
            Kind::Buildah => drop(command.arg("--registries-conf").arg(&self.configuration)),
            _ => {
                command.arg("--policy").arg(self.home.path().join("policy.json"));
                command.arg("--registries-conf").arg(&self.configuration).arg("--tmpdir").arg(self.store.path());
            }
        }
        if matches!(self.kind, Kind::Podman | Kind::Buildah) {
            command.arg("--root").arg(at("root")).arg("--runroot").arg(at("run")).args(["--storage-driver", "vfs"]);
        }
        command
    }
}

impl Client for Containers {
    fn pull(&self, image: &str) -> Result<Ran, Failure> {
        let mut command = self.command();
        let name = format!("docker://{}/{image}", self.registry);
        match self.kind {
            Kind::Podman | Kind::Buildah => {
                command.arg("pull").arg("--signature-policy").arg(self.home.path().join("policy.json")).arg(name);
            }
            _ => {
                let to = self.store.path().join(file_name(image));
                command.args(["copy", "--all", "--preserve-digests", &name]).arg(format!("dir:{}", to.display()));
            }
        }
        run(&mut command, LIMIT)
    }

    fn tells(&self, image: &str) -> Result<String, Failure> {
        if matches!(self.kind, Kind::Podman | Kind::Buildah) {
            let name = format!("{}/{image}", self.registry);
            return Ok(run(self.command().args(["inspect", "--type", "image", &name]), LIMIT)?.ok()?.stdout);
        }
        super::traces::digests(&self.store.path().join(file_name(image)))
    }

    fn folder(&self) -> &Path {
        self.store.path()
    }
}
