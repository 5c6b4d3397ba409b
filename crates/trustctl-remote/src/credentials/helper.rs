//! Docker's credential helpers: programs named `docker-credential-…` that are asked on standard input.
//!
//! Protocol: `docker/docker-credential-helpers`, README, "Development": `get` reads the server's address and prints
//! `{"ServerURL", "Username", "Secret"}`; the user name `<token>` marks an identity token.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Credential;
use crate::error::RemoteError;
use crate::limits::Deadline;

/// Most bytes that a helper may print.
const MAX_OUTPUT: u64 = 64 * 1024;
/// How long a helper may take: some unlock a keyring, which asks the user.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What the helper `docker-credential-<name>` knows about `server`; `None` when it knows nothing.
pub(super) async fn ask(
    name: &str,
    server: &str,
    search_path: Option<&OsStr>,
    deadline: Deadline,
) -> Result<Option<Credential>, RemoteError> {
    let program = format!("docker-credential-{name}");
    let failed = |detail: &str| RemoteError::CredentialHelper {
        helper: trustctl_core::reason::clean(&program),
        detail: trustctl_core::reason::clean(detail),
    };
    // The name comes from a file; it must not lead to another folder.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(failed("its name has characters that a program name cannot have"));
    }
    let talk = run(&program, server, search_path);
    let patience = PATIENCE.min(deadline.remaining());
    let (output, success) = match tokio::time::timeout(patience, talk).await {
        Err(_) => return Err(failed("it did not answer in time")),
        Ok(Err(error)) => return Err(failed(&error.to_string())),
        Ok(Ok(answer)) => answer,
    };
    if u64::try_from(output.len()).is_ok_and(|length| length > MAX_OUTPUT) {
        return Err(failed("it printed more than 64 KiB"));
    }
    if !success {
        let text = String::from_utf8_lossy(&output).to_lowercase();
        let knows_nothing = text.contains("credentials not found") || text.contains("no credentials server url");
        return if knows_nothing { Ok(None) } else { Err(failed("it ended with an error")) };
    }
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| failed("it printed something else than it should"))?;
    Ok(match (answer.username.as_str(), answer.secret.as_str()) {
        (_, "") => None,
        ("<token>", token) => Some(Credential::IdentityToken(Zeroizing::new(token.to_owned()))),
        (user, password) => Some(Credential::password(user, password)),
    })
}

/// Standard output of the helper, cut one byte after the limit, and whether it ended well.
async fn run(program: &str, server: &str, search_path: Option<&OsStr>) -> std::io::Result<(Zeroizing<Vec<u8>>, bool)> {
    let mut command = Command::new(program);
    if let Some(path) = search_path {
        command.env("PATH", path);
    }
    let mut child =
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input still answers.
        let _ = input.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut output = Zeroizing::new(Vec::new());
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output).await?;
    }
    if u64::try_from(output.len()).is_ok_and(|length| length > MAX_OUTPUT) {
        return Ok((output, false));
    }
    Ok((output, child.wait().await?.success()))
}
