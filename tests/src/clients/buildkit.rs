//! BuildKit as a daemon of its own, asked by `buildctl`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Client, LIMIT, Route, Setup, file_name, held};
use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ran, Ready, Server, run};

/// What a build asks for by a Dockerfile whose `FROM` is the image.
struct Buildkit {
    buildctl: Program,
    /// What stands before the repository in the names of images.
    prefix: String,
    /// What it stores.
    folder: TempDir,
    home: TempDir,
    _server: Server,
}

/// A daemon without cache. Builds that run nothing need no network.
pub(super) fn start(daemon: &Program, buildctl: Program, route: &Route<'_>) -> Result<Box<dyn Client>, Failure> {
    let folder = || tempfile::tempdir().map_err(io("temporary folder"));
    let (folder, home) = (folder()?, folder()?);
    let settings = match route.setup.files() {
        Some(setup) => setup.join("buildkitd.toml"),
        None => mirror(home.path(), route)?,
    };
    let socket = home.path().join(SOCKET);
    let server = Server::start("buildkitd", home.path(), &Ready::Socket(socket.clone()), |_| {
        let mut command = held(daemon, home.path());
        command.arg("--config").arg(&settings).arg("--root").arg(folder.path());
        command.arg("--addr").arg(format!("unix://{}", socket.display()));
        command.args(["--containerd-worker", "false", "--oci-worker-snapshotter", "native", "--oci-worker-net", "host"]);
        Ok(command)
    })?;
    // With our settings the proxy has a name of its own in images.
    let prefix =
        if matches!(route.setup, Setup::Written(_)) { format!("{}/lab", route.proxy) } else { route.registry.to_owned() };
    Ok(Box::new(Buildkit { buildctl, prefix, folder, home, _server: server }))
}

/// The registry with a mirror.
fn mirror(home: &Path, route: &Route<'_>) -> Result<PathBuf, Failure> {
    let Route { registry, proxy, .. } = route;
    let path = home.join("buildkitd.toml");
    let text = format!("[registry.\"{registry}\"]\nhttp = true\nmirrors = [\"{proxy}\"]\n[registry.\"{proxy}\"]\nhttp = true\n");
    fs::write(&path, text).map_err(io("buildkitd.toml"))?;
    Ok(path)
}

impl Client for Buildkit {
    fn pull(&self, image: &str) -> Result<Ran, Failure> {
        let context = self.home.path().join(file_name(image));
        fs::create_dir_all(&context).map_err(io("context of a build"))?;
        let text = format!("FROM {}/{image}\nLABEL built=yes\n", self.prefix);
        fs::write(context.join("Dockerfile"), text).map_err(io("Dockerfile"))?;
        let mut command = held(&self.buildctl, self.home.path());
        command.arg("--addr").arg(format!("unix://{}", self.home.path().join(SOCKET).display()));
        command.args(["build", "--progress", "plain", "--no-cache", "--frontend", "dockerfile.v0"]);
        for name in ["context", "dockerfile"] {
            command.arg("--local").arg(format!("{name}={}", context.display()));
        }
        // Without an output it would not fetch the layers.
        command.arg("--output").arg(format!("type=oci,dest={}", context.join("image.tar").display()));
        run(&mut command, LIMIT)
    }

    fn tells(&self, _image: &str) -> Result<String, Failure> {
        super::traces::digests(&self.folder.path().join("runc-native/content/blobs/sha256"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

const SOCKET: &str = "buildkitd.sock";
