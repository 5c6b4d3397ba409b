//! The pulls of one client.

use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Reference;
use trustctl_proxy::doctor::{Denied, Engine, Outcome, Pull, Signs, outcome, said};
use trustctl_remote::http::origin::Origin;

use super::{Asked, Attempt};
use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::run::Session;

/// Most bytes that are looked at of what a client writes: its last words are wanted, and progress is written before them.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;

/// What clients are made to pull.
pub(super) struct Tries<'a> {
    pub(super) session: &'a Session,
    pub(super) args: &'a DoctorArgs,
    pub(super) reference: &'a Reference,
    /// The proxy's host and port.
    pub(super) proxy: &'a str,
    pub(super) asked: &'a Asked,
}

/// One pull.
struct Try<'a> {
    image: &'a str,
    /// The digest in its name.
    digest: Option<Digest>,
    /// Whether it is by the proxy's name.
    by_proxy: bool,
}

impl Tries<'_> {
    /// Pulls by the registry's name: as asked for, and by digest, since some clients take a refused digest from elsewhere. Where
    /// neither meets the proxy, because the way to the registry is closed, the pull by the proxy's name shows that the client works.
    ///
    /// # Errors
    /// [`Code::LocalFile`] for a temporary folder that cannot be made; usage for `--timeout`.
    pub(super) async fn of(&self, client: Engine) -> Result<Vec<Attempt>, Failure> {
        let named = self.reference.digest;
        let mut done = vec![self.pull(client, &Try { image: &self.args.image, digest: named, by_proxy: false }).await?];
        if let (Some(digest), None) = (self.asked.digest, named) {
            let image = format!("{}@{digest}", self.reference.repository);
            done.push(self.pull(client, &Try { image: &image, digest: Some(digest), by_proxy: false }).await?);
        }
        let is_closed = done.iter().all(|attempt| attempt.outcome == Outcome::Closed);
        if let (true, Some(path)) = (is_closed, &self.asked.path) {
            let (colon, name) = match (&self.reference.digest, self.reference.tag_or_latest()) {
                (Some(digest), _) => ('@', digest.to_string()),
                (None, tag) => (':', tag.map(|tag| tag.to_string()).unwrap_or_default()),
            };
            let image = format!("{}/{path}{colon}{name}", self.proxy);
            done.push(self.pull(client, &Try { image: &image, digest: named, by_proxy: true }).await?);
        }
        Ok(done)
    }

    async fn pull(&self, client: Engine, wanted: &Try<'_>) -> Result<Attempt, Failure> {
        let Try { image, digest, by_proxy } = *wanted;
        let scratch = tempfile::tempdir().map_err(|error| Failure::new(Reason::new(Code::LocalFile, error.to_string())))?;
        let options = &self.args.client_arg;
        let denied = digest.filter(|_| self.asked.is_sticky).map(|asked| Denied { asked, given: self.asked.denial });
        let (hosts, tells) = (self.args.hosts_dir.as_path(), denied.is_some());
        let pull = Pull { image, options, hosts, folder: scratch.path(), tells };
        let repository = &self.reference.repository;
        let served = Origin::of_registry(repository.registry()).map_err(|error| Failure::new(error.reason()))?.to_string();
        let (path, code) = (repository.path(), self.asked.endpoint.code());
        let signs = Signs { proxy: self.proxy, registry: &served, path, code, denied };
        let ran = self.session.deadline()?.limit(client.program(), run(client, &pull)).await;
        let (outcome, said) = match ran {
            Ok(Ok((success, text))) => (outcome(success, &text, &signs), said(&text)),
            Ok(Err(error)) => (Outcome::Failed, format!("{}: {error}", client.program())),
            Err(error) => (Outcome::Failed, error.reason().message),
        };
        Ok(Attempt { client, image: image.to_owned(), outcome, said, by_proxy })
    }
}

/// Whether the program ended well, and what it wrote.
async fn run(client: Engine, pull: &Pull<'_>) -> std::io::Result<(bool, String)> {
    let mut command = Command::new(client.program());
    command.args(client.arguments(pull)).envs(client.environment().iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::join!(read(out), read(err));
    let success = child.wait().await?.success();
    Ok((success, format!("{}{}", out?, err?)))
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
        // A program that cannot write on would never end.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
