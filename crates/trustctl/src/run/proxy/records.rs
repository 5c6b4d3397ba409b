//! The store of a proxy that starts.
//!
//! After a crash the file is opened by another process first: the database ends the program on some damaged files (measured), and a proxy
//! that never starts again for the sake of a store that only saves work would be the worse of both.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trustctl_core::reason::{Code, Reason};
use trustctl_proxy::store::{FileRecords, StoreOptions};

use super::super::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// How long a store may take to be opened: a gigabyte takes seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// How often is looked whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// The store in `file`; that a damaged one was set aside is said.
///
/// # Errors
/// As [`FileRecords::open_or_begin_anew`].
pub(super) fn open(session: &Session, file: &Path) -> Result<FileRecords, Failure> {
    let opened = FileRecords::open_or_begin_anew(file, &StoreOptions::default(), survives);
    let (records, aside) = opened.map_err(Reason::from)?;
    if let Some(aside) = aside {
        let words = format!("{} was damaged and is {} now", file.display(), aside.display());
        render::warning(&session.ui, &Reason::new(Code::ProxyStoreAside, words));
    }
    Ok(records)
}

/// Opens a store and closes it again.
///
/// # Errors
/// As [`FileRecords::open`].
pub(super) fn attempt(file: &Path) -> Result<Exit, Failure> {
    FileRecords::open(file, StoreOptions::default()).map_err(Reason::from)?;
    Ok(Exit::Done)
}

/// Whether a program that opens the file comes to an end of its own; what that end is, is found out here once more.
fn survives(file: &Path) -> bool {
    let Ok(program) = std::env::current_exe() else { return true };
    let mut command = Command::new(program);
    command.args(["proxy", "try-store"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Without another process nothing is known against the file.
    let Ok(mut child) = command.spawn() else { return true };
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) => return status.code().is_some_and(|code| code != i32::from(Exit::Bug.code())),
            Err(_) => return true,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
