//! The servers of the benchmark, and the images they serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use trustctl_tests::failure::Failure;
use trustctl_tests::image::{Content, Repository};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ready, Server, run};
use trustctl_tests::program::User;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The repository of everything.
pub(crate) const NAME: &str = "bench/app";
/// How the pull-through cache is called.
pub(crate) const PULL_THROUGH: &str = "docker-registry, pull-through";
/// The small blob: 4 KiB.
const SMALL: usize = 4 * 1024;
/// The large blob: 1 GiB, or as many MiB as `BENCH_LARGE_MIB` says.
const LARGE_MIB: usize = 1024;
/// A release build of this program may have to be waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// A server that is measured.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
}

/// All of them, and what they serve.
pub(crate) struct Arena {
    pub(crate) folder: TempDir,
    registry_program: Program,
    user: User,
    /// docker-registry with the images, the upstream of everything.
    pub(crate) registry: Contestant,
    /// docker-registry as a pull-through cache of the first.
    pub(crate) pull_through: Contestant,
    /// nginx with the same content as files.
    pub(crate) nginx: Contestant,
    /// The proxy.
    pub(crate) ours: Contestant,
    /// Digest of the small blob, and of the large one.
    pub(crate) small: String,
    pub(crate) large: String,
    pub(crate) large_bytes: f64,
}

impl Arena {
    /// Starts the servers and pushes a signed image.
    ///
    /// # Errors
    /// [`Failure`] when a program is missing or a server does not come up.
    pub(crate) fn build() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
        let registry_program =
            Peer::DockerRegistry.find().map_err(|missing| Failure::Output(format!("docker-registry: {missing}")))?;
        let registry = start_registry(&registry_program, folder.path(), "registry", None)?;
        let user =
            [("COSIGN_PASSWORD", "bench")].iter().fold(User::new(folder.path()), |user, (name, value)| user.with(name, *value));
        for words in [&["key", "generate", "bench"][..], &["key", "export", "bench", "--public", "--to", "bench.pub"]] {
            user.run(words)?.ok()?;
        }
        let small = Content::new(LAYER, noise(SMALL, 1));
        let mebibytes = std::env::var("BENCH_LARGE_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(LARGE_MIB);
        let large = Content::new(LAYER, noise(mebibytes * 1024 * 1024, 2));
        let manifest = push(&registry.address(), &[&small, &large], "1")?;
        sign(&user, &registry.address(), "1")?;
        let pull_through = start_registry(&registry_program, folder.path(), "pull-through", Some(&registry.address()))?;
        let nginx = start_nginx(folder.path(), &manifest, &[&small, &large])?;
        let ours = start_proxy(&user, folder.path(), "proxy", (&registry.address(), &registry.address()), "")?;
        let of = |name, server| Contestant { name, server };
        Ok(Self {
            registry: of("docker-registry", registry),
            pull_through: of(PULL_THROUGH, pull_through),
            nginx: of("nginx, static files", nginx),
            ours: of("trustctl proxy", ours),
            small: small.digest(),
            large: large.digest(),
            large_bytes: f64::from(u32::try_from(mebibytes).unwrap_or(u32::MAX)) * 1024.0 * 1024.0,
            folder,
            registry_program,
            user,
        })
    }

    /// All contestants.
    pub(crate) fn all(&self) -> [&Contestant; 4] {
        [&self.registry, &self.pull_through, &self.nginx, &self.ours]
    }

    /// Which programs compete.
    pub(crate) fn versions(&self) -> String {
        let nginx = run(Command::new("nginx").arg("-v"), LIMIT).map(|ran| ran.output().trim().to_owned()).unwrap_or_default();
        format!("docker-registry {}, {nginx}", self.registry_program.version())
    }

    /// Pushes a signed image of these layers to the registry, under a tag.
    ///
    /// # Errors
    /// [`Failure`] when the registry or the program refuses.
    pub(crate) fn publish(&self, layers: &[&Content], tag: &str) -> Result<(), Failure> {
        push(&self.registry.server.address(), layers, tag)?;
        sign(&self.user, &self.registry.server.address(), tag)
    }

    /// Pushes an image that nobody signs.
    ///
    /// # Errors
    /// [`Failure`] when the registry refuses.
    pub(crate) fn push_unsigned(&self, layers: &[&Content], tag: &str) -> Result<(), Failure> {
        push(&self.registry.server.address(), layers, tag).map(drop)
    }

    /// Another proxy with more lines of configuration.
    ///
    /// # Errors
    /// [`Failure`] when it does not come up.
    pub(crate) fn impatient_proxy(&self, name: &str, endpoint: &str, more: &str) -> Result<Server, Failure> {
        start_proxy(&self.user, self.folder.path(), name, (&self.registry.server.address(), endpoint), more)
    }

    /// Another proxy, with nothing in its cache, that finds the registry at `endpoint`.
    ///
    /// # Errors
    /// [`Failure`] when it does not come up.
    pub(crate) fn fresh_proxy(&self, name: &str, endpoint: &str) -> Result<Server, Failure> {
        self.impatient_proxy(name, endpoint, "")
    }

    /// Another pull-through cache with nothing in it, that finds the registry at `endpoint`.
    ///
    /// # Errors
    /// [`Failure`] when it does not come up.
    pub(crate) fn fresh_pull_through(&self, name: &str, endpoint: &str) -> Result<Server, Failure> {
        start_registry(&self.registry_program, self.folder.path(), name, Some(endpoint))
    }
}

impl Contestant {
    /// Where it serves something of the repository.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{NAME}/{rest}", self.server.address())
    }
}

/// A layer of bytes that do not repeat.
pub(crate) fn layer(size: usize, seed: u64) -> Content {
    Content::new(LAYER, noise(size, seed))
}

/// Bytes that do not repeat, the same for the same seed (xorshift64).
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Pushes an image of these layers; its manifest.
fn push(address: &str, layers: &[&Content], tag: &str) -> Result<Content, Failure> {
    let repository = Repository::new(address, NAME);
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.digest()).collect();
    let config =
        json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = Content::new(CONFIG, config.to_string());
    let descriptors: Vec<_> = layers.iter().map(|layer| layer.descriptor()).collect();
    // As large as usual: 1.5 KB.
    let padding = json!({"org.example.padding": "x".repeat(800)});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": descriptors, "annotations": padding,
    });
    let manifest = Content::new(MANIFEST, manifest.to_string());
    for blob in layers.iter().copied().chain([&config]) {
        repository.push_blob(blob)?;
    }
    repository.push_manifest(&manifest, tag)?;
    Ok(manifest)
}

fn sign(user: &User, address: &str, tag: &str) -> Result<(), Failure> {
    let image = format!("{address}/{NAME}:{tag}");
    user.run(&["sign", &image, "--resolve-tag", "--key", "bench", "--storage", "legacy"])?.ok().map(drop)
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let what = path.display().to_string();
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).map_err(|source| Failure::Io { what, source })
}

fn start_registry(program: &Program, folder: &Path, name: &str, upstream: Option<&str>) -> Result<Server, Failure> {
    let remote = upstream.map(|address| format!("proxy: {{remoteurl: \"http://{address}\"}}\n")).unwrap_or_default();
    Server::start(name, folder, &Ready::Http("/v2/".to_owned()), |port| {
        let storage = folder.join(format!("{name}-{port}"));
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\", secret: bench, relativeurls: true}}\n{remote}",
            storage.display()
        );
        let file = folder.join(format!("{name}.yml"));
        write(&file, config)?;
        let mut command = program.command(folder);
        command.arg("serve").arg(file);
        Ok(command)
    })
}

fn start_nginx(folder: &Path, manifest: &Content, blobs: &[&Content]) -> Result<Server, Failure> {
    let root = folder.join("static");
    write(&root.join(format!("v2/{NAME}/manifests/1")), &manifest.bytes)?;
    for blob in blobs {
        write(&root.join(format!("v2/{NAME}/blobs/{}", blob.digest())), &blob.bytes)?;
    }
    Server::start("nginx", folder, &Ready::Tcp, |port| {
        let config = format!(
            "daemon off; worker_processes auto; pid {0}/nginx.pid; error_log {0}/nginx-error.log;\nuser root;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; client_body_temp_path {0}/nginx-body;\n\
             default_type {MANIFEST}; server {{ listen 127.0.0.1:{port}; root {1}; }} }}\n",
            folder.display(),
            root.display()
        );
        let file = folder.join("nginx.conf");
        write(&file, config)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-p").arg(folder);
        Ok(command)
    })
}

/// A proxy for `registry`, which is served at `endpoint`.
fn start_proxy(
    user: &User,
    folder: &Path,
    name: &str,
    (registry, endpoint): (&str, &str),
    more: &str,
) -> Result<Server, Failure> {
    let policy = format!(
        "version = 1\n[signers.bench]\nscheme = \"cosign\"\nkey = \"bench.pub\"\n\
         [[rules]]\nname = \"bench\"\nimages = [\"{registry}/bench/**\"]\nrequire = {{ any = [\"bench\"] }}\n"
    );
    write(&folder.join("policy.toml"), policy)?;
    Server::start(name, folder, &Ready::Http("/v2/".to_owned()), |port| {
        let config = format!(
            "version = 1\npolicy = \"policy.toml\"\nstate = \"{name}-{port}\"\n[[listen]]\naddress = \"127.0.0.1:{port}\"\n{more}\
             [[upstreams]]\nregistry = \"{registry}\"\nendpoint = \"http://{endpoint}\"\ndefault = true\n"
        );
        write(&folder.join(format!("{name}.toml")), config)?;
        Ok(user.command(&["proxy", "run", "--config", &format!("{name}.toml")]))
    })
}
