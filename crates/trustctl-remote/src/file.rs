//! Writing a file that is there as a whole or not at all, and reading one within limits.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// How many names are tried for the file that is not finished; that one of them is taken already is hardly ever seen.
const NAMES: usize = 16;

/// Puts a file with `bytes` in the place of `path`: whoever looks sees what was there before, or all of it.
///
/// A link is never followed, whenever it was put there. The bytes are on disk before the name is.
///
/// # Errors
/// [`io::Error`]; of kind [`ErrorKind::InvalidInput`] when something else than a file is there: a link, a folder, a device. What was
/// there before then still is.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, bytes, Readers::All)
}

/// The same, with a file that only its owner may read, and a name that is on disk when this returns.
///
/// # Errors
/// As [`replace`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, bytes, Readers::Owner)?;
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    /// Whom the system's mask lets.
    All,
    /// Its owner.
    Owner,
}

fn replace_with(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "a link, a folder or a device is there, and only a file is replaced",
            ));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (beside, mut file) = unfinished(path, readers)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The bytes of a regular file of at most `max_bytes` bytes.
///
/// # Errors
/// [`io::Error`]; of kind [`ErrorKind::InvalidInput`] when it is something else, such as a pipe that nobody writes to, and
/// [`ErrorKind::FileTooLarge`] when it is larger.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let check = |found: &fs::Metadata| match found.len() {
        _ if !found.is_file() => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
        length if length > max_bytes => Err(too_large(max_bytes)),
        _ => Ok(()),
    };
    // Before it is opened: opening a pipe waits for its other end.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    check(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes) { Ok(bytes) } else { Err(too_large(max_bytes)) }
}

fn too_large(max_bytes: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {max_bytes} bytes"))
}

/// A new file beside `path`, which no link can lead elsewhere.
fn unfinished(path: &Path, readers: Readers) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it is not the name of a file"))?;
    for _ in 0..NAMES {
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".{:016x}.new", fastrand::u64(..)));
        let beside = path.with_file_name(beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if readers == Readers::Owner {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = readers;
        match options.open(&beside) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (beside, file)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<OsString> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence.json");
        for text in ["one", "another"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["evidence.json"]);
    }

    #[test]
    fn a_private_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pending.json");
        replace_private(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["pending.json"]);
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("evidence.json"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        assert_eq!(replace(&path, b"new").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(names(folder.path()), ["evidence.json", "victim"]);
    }

    #[test]
    fn who_reads_meanwhile_sees_the_old_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence.json");
        fs::write(&path, "old").unwrap();
        let mut before = File::open(&path).unwrap();
        replace(&path, b"new and longer").unwrap();
        assert_eq!(io::read_to_string(&mut before).unwrap(), "old");
    }

    #[test]
    fn what_cannot_be_written_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        assert_eq!(replace(&inside, b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(replace(&folder.path().join("none").join("file"), b"x").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(names(folder.path()), ["inside"]);
    }
}
