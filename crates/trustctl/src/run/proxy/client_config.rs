//! `trustctl proxy client-config`: what a client needs so that it goes to the proxy and to nobody else.

use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::report::ReasonReport;
use trustctl_proxy::clients::{Address, Client, ClientError, MARK, Served, Setup, Wanted};

use super::super::Session;
use crate::cli::{ClientArg, ClientConfigArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// Longest file that is looked at before it is written over. What is made here has some hundred bytes.
const MAX_FILE: u64 = 1024 * 1024;

impl From<ClientArg> for Client {
    fn from(client: ClientArg) -> Self {
        match client {
            ClientArg::Buildkit => Self::Buildkit,
            ClientArg::Containerd => Self::Containerd,
            ClientArg::Crio => Self::Crio,
            ClientArg::Docker => Self::Docker,
            ClientArg::K3s => Self::K3s,
            ClientArg::Podman => Self::Podman,
        }
    }
}

/// Prints the files, or writes all of them.
///
/// # Errors
/// A usage [`Failure`] for values that cannot be; [`Code::LocalFile`] for a file that cannot be written or that somebody else wrote.
pub(super) fn run(session: &Session, args: &ClientConfigArgs) -> Result<Exit, Failure> {
    let setup = wanted(args)?.setup(args.client.into()).map_err(|error| wrong(&error))?;
    let files = placed(&setup, args.to.as_deref());
    if args.to.is_some() {
        files.iter().try_for_each(|(path, text)| check_place(path, text, args.force))?;
        files.iter().try_for_each(|(path, text)| write(path, text))?;
    }
    let warning = (!setup.enforced).then(|| {
        let words = "this client takes images from elsewhere when the proxy refuses, whatever its settings are";
        Reason::new(Code::ClientNotEnforced, words)
    });
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = warning.iter().map(ReasonReport::new).collect();
        let files: Vec<_> = files.iter().map(|(path, text)| json!({ "path": path, "text": text })).collect();
        let report = json!({
            "schema": "trustctl/proxy-client-config/v1", "exit": 0, "client": format!("{:?}", args.client).to_lowercase(),
            "enforced": setup.enforced, "files": files, "notes": setup.notes, "warnings": warnings,
        });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    for (path, text) in &files {
        match args.to {
            Some(_) => session.ui.say(format!("written: {}", path.display())),
            // A sign for a comment in all these languages but JSON, in whose place the name is told beside.
            None if text.starts_with('{') => {
                session.ui.note(format!("file: {}", path.display()));
                session.ui.say(text.trim_end());
            }
            None => session.ui.say(format!("# {}\n{}", path.display(), text.trim_end())),
        }
    }
    if let Some(warning) = &warning {
        render::warning(&session.ui, warning);
    }
    setup.notes.iter().for_each(|note| session.ui.note(format!("note: {note}")));
    Ok(Exit::Done)
}

fn wanted(args: &ClientConfigArgs) -> Result<Wanted, Failure> {
    let registries = args.registry.iter().map(|text| Served::parse(text)).collect::<Result<_, _>>();
    let proxy = Address::parse(&args.proxy).map_err(|error| wrong(&error))?;
    Ok(Wanted { proxy, registries: registries.map_err(|error| wrong(&error))?, authority: args.ca.clone() })
}

fn wrong(error: &ClientError) -> Failure {
    let flag = match error {
        ClientError::BadAddress(_) => "--proxy",
        ClientError::RelativeAuthority(_) => "--ca",
        ClientError::BadRegistry(_) | ClientError::NoPrefix(_) => "--registry",
    };
    Failure::usage(Code::BadValue, format!("{flag}: {error}"))
}

fn placed(setup: &Setup, to: Option<&Path>) -> Vec<(PathBuf, String)> {
    let folder = to.unwrap_or(Path::new(setup.folder));
    setup.files.iter().map(|(path, text)| (folder.join(path), text.clone())).collect()
}

/// Whether a file may be put there: nothing is there, or the same; or what this command made, when it is to be kept beside.
fn check_place(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if !is_file(path)? {
        return Ok(());
    }
    let bytes = match trustctl_remote::file::read(path, MAX_FILE) {
        Err(error) => return Err(Failure::file(path, &error)),
        Ok(bytes) if bytes == text.as_bytes() => return Ok(()),
        Ok(bytes) => bytes,
    };
    let refused = |words: String, step: &str| Err(Failure::new(Reason::new(Code::LocalFile, words).step(Step::words(step))));
    let shown = path.display();
    if !bytes.starts_with(format!("# {MARK}").as_bytes()) {
        let step = "look whether it is still needed: move it away, or add by hand what is printed without --to";
        return refused(format!("{shown} is there already, and was not made by this command"), step);
    }
    if !force {
        let words = format!("{shown} is there with other content: it was edited, or made for other values; nothing was written");
        let step = "compare it with what is printed without --to; then name another folder, or give --force, which keeps it with .bak at its end";
        return refused(words, step);
    }
    let kept = kept(path);
    if !is_file(&kept)? {
        return Ok(());
    }
    match trustctl_remote::file::read(&kept, MAX_FILE) {
        Err(error) => Err(Failure::file(&kept, &error)),
        Ok(old) if old == bytes => Ok(()),
        Ok(_) => {
            let words = format!("{} is there already, with other content than {shown}; nothing was written", kept.display());
            refused(words, "move it away, so that the file can be kept under that name")
        }
    }
}

/// Whether a file is there, and not nothing. A link is neither, wherever it leads: what it stands for is not this command's to replace.
fn is_file(path: &Path) -> Result<bool, Failure> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => {
            let words = format!("{} is there already, and is a link, a folder or a device; nothing was written", path.display());
            let step = Step::words("move it away, or name the folder that the link leads to by --to");
            Err(Failure::new(Reason::new(Code::LocalFile, words).step(step)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

/// Where a file is kept that another takes the place of. No client reads a file of that name.
fn kept(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// Writes the file; what was there is kept, and who could not read it can read neither.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(path, &error))?;
    let written = match trustctl_remote::file::read(path, MAX_FILE) {
        Ok(bytes) if bytes == text.as_bytes() => return Ok(()),
        Ok(bytes) => {
            let rights = path.symlink_metadata().map_err(|error| Failure::file(path, &error))?.permissions();
            keep(&kept(path), &bytes, &rights).map_err(|error| Failure::file(&kept(path), &error))?;
            // Nobody else reads it before it has the rights.
            trustctl_remote::file::replace_private(path, text.as_bytes()).and_then(|()| std::fs::set_permissions(path, rights))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => trustctl_remote::file::replace(path, text.as_bytes()),
        Err(error) => Err(error),
    };
    written.map_err(|error| Failure::file(path, &error))
}

/// Puts bytes into a file that is not there, or has them.
fn keep(path: &Path, bytes: &[u8], rights: &Permissions) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(bytes).and_then(|()| file.set_permissions(rights.clone())).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && trustctl_remote::file::read(path, MAX_FILE)? == bytes => Ok(()),
        Err(error) => Err(error),
    }
}
