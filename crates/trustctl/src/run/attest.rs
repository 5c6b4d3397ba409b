//! `trustctl attest`: say something about an image, and judge, list and download what is said.

mod download;
mod gathered;
mod list;
mod making;
mod saying;
mod verify;

use super::Session;
use crate::cli::{AttestArgs, AttestCommand};
use crate::exit::Exit;
use crate::failure::Failure;
pub(super) use saying::Said;

/// Carries out an `attest` command.
///
/// # Errors
/// A [`Failure`], by what is wrong.
pub(super) async fn run(session: &Session, args: &AttestArgs) -> Result<Exit, Failure> {
    match &args.command {
        None => making::run(session, args).await,
        Some(AttestCommand::Verify(args)) => verify::run(session, args).await,
        Some(AttestCommand::List(args)) => list::run(session, args).await,
        Some(AttestCommand::Download(args)) => download::run(session, args).await,
    }
}
