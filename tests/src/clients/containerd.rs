//! containerd, asked by `ctr` or by its CRI, which is how the kubelet asks.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Client, LIMIT, Route, file_name, held};
use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ran, Ready, Server, run};

struct Containerd {
    ctr: PathBuf,
    daemon: Program,
    curl: Option<Program>,
    registry: String,
    hosts: PathBuf,
    folder: TempDir,
    home: TempDir,
    _server: Server,
}

/// A containerd of its own; with `curl` it is asked by its CRI.
pub(super) fn start(daemon: &Program, curl: Option<Program>, route: &Route<'_>) -> Result<Box<dyn Client>, Failure> {
    let folder = || tempfile::tempdir().map_err(io("temporary folder"));
    let (folder, home) = (folder()?, folder()?);
    let hosts = match route.setup.files() {
        Some(setup) => setup.to_owned(),
        None => mirror(home.path(), route)?,
    };
    fs::write(home.path().join("config.toml"), configuration(folder.path(), home.path(), &hosts)).map_err(io("config.toml"))?;
    let socket = Ready::Socket(home.path().join(SOCKET));
    let server = Server::start("containerd", home.path(), &socket, |_| {
        let mut command = held(daemon, home.path());
        command.arg("--config").arg(home.path().join("config.toml"));
        Ok(command)
    })?;
    let ctr = daemon.path().with_file_name("ctr");
    let registry = route.registry.to_owned();
    Ok(Box::new(Containerd { ctr, daemon: daemon.clone(), curl, registry, hosts, folder, home, _server: server }))
}

/// The registry with a mirror before it.
fn mirror(home: &Path, route: &Route<'_>) -> Result<PathBuf, Failure> {
    let Route { registry, proxy, .. } = route;
    let folder = home.join("certs.d").join(registry);
    fs::create_dir_all(&folder).map_err(io("folder of hosts"))?;
    let text = format!("server = \"http://{registry}\"\n[host.\"http://{proxy}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
    fs::write(folder.join("hosts.toml"), text).map_err(io("hosts.toml"))?;
    Ok(home.join("certs.d"))
}

/// In the second version of the format, which 1.6 to 2.1 read. The native snapshotter runs everywhere.
fn configuration(folder: &Path, home: &Path, hosts: &Path) -> String {
    let (folder, home, hosts) = (folder.display(), home.display(), hosts.display());
    format!(
        "version = 2\nroot = \"{folder}/root\"\nstate = \"{home}/state\"\n[grpc]\naddress = \"{home}/{SOCKET}\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{home}/opt\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\nstream_server_port = \"0\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"{hosts}\"\n"
    )
}

impl Containerd {
    /// Asks `runtime.v1.ImageService` to pull. A call of gRPC is a POST over HTTP/2 whose body is a message with five bytes before it, and
    /// whose result is in the trailers.
    fn pull_by_cri(&self, curl: &Program, name: &str) -> Result<Ran, Failure> {
        // PullImageRequest { image = 1: ImageSpec { image = 1: name } }
        let message = field(&field(name.as_bytes()));
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let request = self.home.path().join(format!("{}.request", file_name(name)));
        fs::write(&request, [&[0], &length[..], &message].concat()).map_err(io("request"))?;
        let mut command = held(curl, self.home.path());
        command.args(["--silent", "--show-error", "--http2-prior-knowledge", "--noproxy", "*", "--dump-header", "-"]);
        command.arg("--unix-socket").arg(self.home.path().join(SOCKET));
        command.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
        command.arg("--data-binary").arg(format!("@{}", request.display()));
        command.arg("--output").arg(request.with_extension("answer"));
        command.arg("http://localhost/runtime.v1.ImageService/PullImage");
        let ran = run(&mut command, LIMIT)?;
        let is_done = ran.stdout.lines().any(|line| line.trim() == "grpc-status: 0");
        Ok(Ran { code: Some(i32::from(!(ran.success() && is_done))), ..ran })
    }

    fn ctr(&self) -> std::process::Command {
        let mut command = held(&self.daemon, self.home.path());
        let environment: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        command = std::process::Command::new(&self.ctr);
        command.env_clear().current_dir(self.home.path());
        command.envs(environment.into_iter().filter_map(|(name, value)| Some((name, value?))));
        command.arg("--address").arg(self.home.path().join(SOCKET));
        command
    }
}

impl Client for Containerd {
    fn pull(&self, image: &str) -> Result<Ran, Failure> {
        let name = format!("{}/{image}", self.registry);
        match &self.curl {
            Some(curl) => self.pull_by_cri(curl, &name),
            None => {
                let mut command = self.ctr();
                command.args(["content", "fetch", "--hosts-dir"]).arg(&self.hosts);
                run(command.arg(name), LIMIT)
            }
        }
    }

    fn tells(&self, _image: &str) -> Result<String, Failure> {
        super::traces::digests(&self.folder.path().join("root/io.containerd.content.v1.content/blobs/sha256"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A field 1 of bytes, in the wire format of protocol buffers.
fn field(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x0a];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(bytes);
    out
}

const SOCKET: &str = "containerd.sock";
