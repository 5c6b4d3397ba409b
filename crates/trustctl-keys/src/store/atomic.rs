//! Writing a file so that it is complete or not there, whatever happens.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::KeyError;
use crate::format::pkcs8::random;

/// Permissions of private files.
pub(super) const PRIVATE: u32 = 0o600;
/// Permissions of public files.
pub(super) const PUBLIC: u32 = 0o644;
/// How old an unfinished file must be before it is swept away: no write takes this long.
const STALE: Duration = Duration::from_secs(3600);

/// Writes a file that must not exist yet.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let unfinished = write_unfinished(path, bytes, mode)?;
    // A link, unlike a rename, fails when the name is taken. Where the file system has no links, a look before the rename must do.
    let placed = match fs::hard_link(&unfinished, path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            if path.symlink_metadata().is_ok() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(&unfinished, path) }
        }
        other => other,
    };
    // After a rename there is nothing to remove.
    let _ = fs::remove_file(&unfinished);
    placed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { name: path.display().to_string() },
        _ => KeyError::File { path: path.to_owned(), action: "written", error },
    })?;
    flush_folder(path)
}

/// Writes a file in place of the one before, if there was one.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let unfinished = write_unfinished(path, bytes, mode)?;
    fs::rename(&unfinished, path).map_err(KeyError::file(path, "written"))?;
    flush_folder(path)
}

/// Makes a folder that only its owner can look into, and those above it.
pub(super) fn make_folder(folder: &Path) -> Result<(), KeyError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(KeyError::file(folder, "made"))
}

/// Takes others' permissions away from a folder of ours.
pub(super) fn close_folder(folder: &Path) -> Result<(), KeyError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder).map_err(KeyError::file(folder, "read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(KeyError::file(folder, "written"))?;
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Removes what killed writers left behind.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let unfinished = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp"));
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        if unfinished && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write_unfinished(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, KeyError> {
    let mut number = [0; 8];
    random(&mut number)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("key");
    let unfinished = path.with_file_name(format!(".{name}.{}.tmp", hex::encode(number)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(&unfinished).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    if let Err(error) = written {
        let _ = fs::remove_file(&unfinished);
        return Err(KeyError::File { path: path.to_owned(), action: "written", error });
    }
    Ok(unfinished)
}

/// A name is safe on disk only when its folder is.
fn flush_folder(path: &Path) -> Result<(), KeyError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(KeyError::file(folder, "written"))?;
    }
    Ok(())
}
