//! audit
use super::super::Session;
use crate::cli::AuditCommand;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(_session: &Session, _command: &AuditCommand) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
