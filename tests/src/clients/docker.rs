//! The Docker engine, and the BuildKit in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, Dockerd, LIMIT, Route, Setup, file_name, held};
use crate::engine::{DockerClient, Engine, EngineOptions};
use crate::failure::{Failure, io};
use crate::peers::{Peer, Program};
use crate::process::{Ran, run};

/// The programs that it takes.
pub(super) struct Parts {
    engine: Program,
    containerd: Option<Program>,
    client: Program,
    builder: Option<Program>,
}

struct Docker {
    engine: Engine,
    client: DockerClient,
    builder: Option<Program>,
    /// What stands before the repository in the names of images.
    prefix: String,
    files: TempDir,
}

impl Parts {
    /// All programs, or nothing after saying loudly what is missing.
    pub(super) fn find(engine: Program, which: Dockerd, builds: bool) -> Option<Self> {
        let containerd = match which {
            Dockerd::Classic => None,
            Dockerd::NewerClassic | Dockerd::NewerContainerd | Dockerd::Newest => Some(Peer::ContainerdSid.or_skip()?),
        };
        let client = Peer::DockerCli.or_skip()?;
        let builder = if builds { Some(Peer::DockerBuildx.or_skip()?) } else { None };
        Some(Self { engine, containerd, client, builder })
    }
}

/// An engine without images, with the settings of the route.
pub(super) fn start(parts: &Parts, which: Dockerd, route: &Route<'_>) -> Result<Box<dyn Client>, Failure> {
    let files = tempfile::tempdir().map_err(io("temporary folder"))?;
    let mut settings = json!({});
    let etc = match route.setup.files() {
        Some(setup) => {
            if let Ok(text) = fs::read_to_string(setup.join("daemon.json")) {
                settings = serde_json::from_str(&text).map_err(|error| Failure::Output(format!("daemon.json: {error}")))?;
            }
            setup.to_owned()
        }
        None => {
            settings = json!({ "registry-mirrors": [format!("http://{}", route.proxy)], "insecure-registries": [route.proxy] });
            etc_with_mirror(files.path(), route)?
        }
    };
    let is_containerd = matches!(which, Dockerd::NewerContainerd | Dockerd::Newest);
    if let Some(settings) = settings.as_object_mut() {
        // After a connection that was cut it tries five times in more than a minute.
        settings.insert("max-download-attempts".to_owned(), json!(1));
    }
    // The classic store is the default up to 28, and the features say which it is. Later ones are left to theirs.
    if let (Some(settings), Dockerd::NewerClassic | Dockerd::NewerContainerd) = (settings.as_object_mut(), which) {
        settings.insert("features".to_owned(), json!({ "containerd-snapshotter": is_containerd }));
    }
    let engine = Engine::start_with(
        &parts.engine,
        &EngineOptions {
            settings,
            storage: is_containerd.then_some("native"),
            hub: Some(route.hub),
            etc: Some(&etc),
            containerd: parts.containerd.as_ref(),
            networks: false,
        },
    )?;
    let client = DockerClient::new(&parts.client, &engine, None)?;
    // With our settings the proxy has a name of its own in images; a mirror stands for Docker Hub.
    let prefix = if matches!(route.setup, Setup::Written(_)) { route.proxy.to_owned() } else { "docker.io".to_owned() };
    Ok(Box::new(Docker { engine, client, builder: parts.builder.clone(), prefix, files }))
}

/// The mirror in the way of containerd, for engines that read that.
fn etc_with_mirror(folder: &Path, route: &Route<'_>) -> Result<PathBuf, Failure> {
    let etc = folder.join("etc");
    let hosts = etc.join("certs.d/docker.io");
    fs::create_dir_all(&hosts).map_err(io("folder of hosts"))?;
    let text = format!(
        "server = \"https://registry-1.docker.io\"\n[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
        route.proxy
    );
    fs::write(hosts.join("hosts.toml"), text).map_err(io("hosts.toml"))?;
    Ok(etc)
}

impl Docker {
    fn built(image: &str) -> String {
        format!("built-{}:1", file_name(image).replace("sha256", "digest"))
    }

    fn build(&self, builder: &Program, image: &str) -> Result<Ran, Failure> {
        let context = self.files.path().join(file_name(image));
        fs::create_dir_all(&context).map_err(io("context of a build"))?;
        let text = format!("FROM {}/{image}\nLABEL built=yes\n", self.prefix);
        fs::write(context.join("Dockerfile"), text).map_err(io("Dockerfile"))?;
        let mut command = held(builder, self.client.home());
        command.env("DOCKER_HOST", format!("unix://{}", self.engine.socket().display()));
        command.env("DOCKER_CONFIG", self.client.config()).env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        command.args(["build", "--progress", "plain", "--no-cache", "--tag", &Self::built(image)]).arg(context);
        run(&mut command, LIMIT)
    }
}

impl Client for Docker {
    fn pull(&self, image: &str) -> Result<Ran, Failure> {
        match &self.builder {
            Some(builder) => self.build(builder, image),
            None => run(&mut self.client.command(&["pull", &format!("{}/{image}", self.prefix)]), LIMIT),
        }
    }

    fn tells(&self, image: &str) -> Result<String, Failure> {
        let name = if self.builder.is_some() { Self::built(image) } else { format!("{}/{image}", self.prefix) };
        let told = run(&mut self.client.command(&["image", "inspect", &name]), LIMIT)?.ok()?.stdout;
        let told: Value = serde_json::from_str(&told).map_err(|error| Failure::Output(error.to_string()))?;
        Ok(told.to_string())
    }

    fn folder(&self) -> &Path {
        self.engine.folder()
    }
}
