//! What engines take for Docker Hub: names that lead to an address of this machine, and a server there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ready, Server};
use crate::program::User;
use crate::tls::Authority;

/// What takes every other address away from a program.
pub(super) const NOWHERE: [(&str, &str); 3] = [
    ("HTTP_PROXY", "http://127.0.0.1:1"),
    ("HTTPS_PROXY", "http://127.0.0.1:1"),
    ("NO_PROXY", "127.0.0.0/8,localhost,.docker.io,docker.io"),
];
/// The names under which engines look for Docker Hub.
const NAMES: [&str; 4] = ["registry-1.docker.io", "index.docker.io", "auth.docker.io", "docker.io"];
/// Binds a file over /etc/hosts and a folder over /etc/docker, which only this command sees, and becomes it.
const OWN_FILES: &str = r#"set -e
mount --bind "$HOSTS" /etc/hosts
if [ -n "$ETC" ]; then mkdir -p /etc/docker; mount --bind "$ETC" /etc/docker; fi
exec "$@""#;
/// Makes the addresses of several hubs differ.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A Docker Hub of loopback: it gives what a registry of the tests has, whoever asks.
#[derive(Debug)]
pub struct Hub {
    folder: TempDir,
    authority: PathBuf,
    _server: Server,
}

impl Hub {
    /// Starts one in front of the registry at `registry`, over TLS at port 443 of an address that nobody else uses.
    ///
    /// # Errors
    /// When it does not come up: it needs root.
    pub fn start(registry: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let authority = Authority::create(folder.path())?;
        let pair = authority.issue_for("hub", &NAMES)?;
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).map_err(io("file of the hub"));
        write("policy.toml", "version = 1\ndefault = \"allow\"\n".to_owned())?;
        let address = own_address();
        write("hosts", format!("127.0.0.1 localhost\n{address} {}\n", NAMES.join(" ")))?;
        let user = User::new(folder.path());
        let server = Server::start("hub", folder.path(), &Ready::Http("/v2/".to_owned()), |port| {
            let [certificate, key] = [&pair.certificate, &pair.key].map(|path| path.display());
            let config = format!(
                "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:{port}\"\n\
                 [[listen]]\naddress = \"{address}:443\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
                 [times]\ntag-ttl = \"0s\"\nrefusal = \"0s\"\n\
                 [[upstreams]]\nregistry = \"docker.io\"\nendpoint = \"http://{registry}\"\ndefault = true\nnamespace = true\n"
            );
            write("proxy.toml", config)?;
            Ok(user.command(&["proxy", "run", "--config", "proxy.toml"]))
        })?;
        let authority = authority.certificate().to_owned();
        Ok(Self { folder, authority, _server: server })
    }

    /// A command that takes this for Docker Hub, can reach nothing else but loopback, and sees `etc` as `/etc/docker`.
    pub(crate) fn command(&self, program: &Program, home: &Path, etc: Option<&Path>) -> Command {
        let plain = program.command(home);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", OWN_FILES, "sh"]).arg(program.path());
        command.env_clear().current_dir(home).envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.envs(NOWHERE).env("SSL_CERT_FILE", &self.authority).env("HOSTS", self.folder.path().join("hosts"));
        command.env("ETC", etc.unwrap_or_else(|| Path::new("")));
        command
    }
}

fn own_address() -> String {
    let number = (std::process::id() % 4096) * 16 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed) % 16);
    format!("127.77.{}.{}", number / 256 % 256, number % 256)
}
