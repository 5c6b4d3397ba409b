//! `trustctl anchor export`: trusted root and signing config as files, for machines without a network.

use std::path::Path;

use serde_json::json;
use trustctl_sigstore::tuf::Target;

use crate::cli::ExportAnchorArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::Session;
use crate::ui::Paint;

/// Writes the files of one instance into a folder.
///
/// # Errors
/// A [`Failure`] when there is nothing to write, or it cannot be written.
pub(super) fn run(session: &Session, args: &ExportAnchorArgs) -> Result<Exit, Failure> {
    let files = session.anchor_files(&args.name, args.policy.as_deref())?;
    std::fs::create_dir_all(&args.to).map_err(|error| Failure::file(&args.to, &error))?;
    let mut written = Vec::new();
    for (target, bytes) in &files {
        let path = args.to.join(target.name());
        trustctl_remote::file::replace(&path, bytes).map_err(|error| Failure::file(&path, &error))?;
        written.push(path.display().to_string());
    }
    let ui = &session.ui;
    if ui.json() {
        let report = json!({ "schema": "trustctl/anchor-export/v1", "exit": 0, "name": args.name, "files": written });
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    written.iter().for_each(|path| ui.say(format!("{}: {path}", ui.paint(Paint::Green, "wrote"))));
    let trusted = Path::new(&args.to).join(Target::TrustedRoot.name());
    ui.note(format!("next: trustctl verify IMAGE … --trusted-root {}", trusted.display()));
    Ok(Exit::Done)
}
