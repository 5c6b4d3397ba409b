//! Reading below one folder that somebody else filled: regular files only, each with a size limit, and no way out by a path.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

/// An existing folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    links: Links,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Anywhere: the folder is the user's own, and parts of it may rest on another medium.
    Anywhere,
    /// To places below the folder: it was filled by somebody else.
    Inside,
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Its name; names that are not Unicode are not listed.
    pub(crate) name: String,
    /// Whether it is a folder itself.
    pub(crate) is_folder: bool,
}

/// Why something could not be read. That it does not exist is not among these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// The operating system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is neither a regular file nor a folder.
    #[error("not a regular file")]
    NotAFile,
    /// The path or a link in it leads out of the folder.
    #[error("leads out of the folder")]
    Outside,
    /// The file is larger, or the folder holds more, than is read.
    #[error("more than {0} are not read")]
    TooLarge(u64),
}

impl Folder {
    /// The folder at `path`; `None` when nothing is there.
    pub(crate) fn open(path: &Path, links: Links) -> Result<Option<Self>, FolderError> {
        let Some(root) = existing(path.canonicalize())? else { return Ok(None) };
        if !root.is_dir() {
            return Err(FolderError::NotAFile);
        }
        Ok(Some(Self { root, links }))
    }

    /// Where the folder is, links resolved.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The bytes of the file at `relative`, at most `max_bytes` of them; `None` when nothing is there.
    pub(crate) fn read(&self, relative: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, FolderError> {
        let Some(file) = self.file(relative)? else { return Ok(None) };
        if file.metadata()?.len() > max_bytes {
            return Err(FolderError::TooLarge(max_bytes));
        }
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        // It may have grown since.
        if u64::try_from(bytes.len()).map_or(true, |length| length > max_bytes) {
            return Err(FolderError::TooLarge(max_bytes));
        }
        Ok(Some(bytes))
    }

    /// The regular file at `relative`, open for reading; `None` when nothing is there.
    pub(crate) fn file(&self, relative: &str) -> Result<Option<File>, FolderError> {
        let Some(path) = self.resolve(relative)? else { return Ok(None) };
        // Asked before opening: opening a pipe would wait for a writer.
        let Some(metadata) = existing(path.metadata())? else { return Ok(None) };
        if !metadata.is_file() {
            return Err(FolderError::NotAFile);
        }
        Ok(existing(File::open(path))?)
    }

    /// What is in the folder at `relative`, ordered by name; nothing when no folder is there.
    pub(crate) fn list(&self, relative: &str, max_entries: usize) -> Result<Vec<Listed>, FolderError> {
        let Some(path) = self.resolve(relative)? else { return Ok(Vec::new()) };
        let Some(entries) = existing(std::fs::read_dir(path))? else { return Ok(Vec::new()) };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            if listed.len() == max_entries {
                return Err(FolderError::TooLarge(u64::try_from(max_entries).unwrap_or(u64::MAX)));
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_folder = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            listed.push(Listed { name, is_folder });
        }
        listed.sort();
        Ok(listed)
    }

    /// Where `relative` really is, links resolved; `None` when nothing is there.
    pub(crate) fn resolve(&self, relative: &str) -> Result<Option<PathBuf>, FolderError> {
        let relative = Path::new(relative);
        if !relative.components().all(|component| matches!(component, Component::Normal(_))) {
            return Err(FolderError::Outside);
        }
        let Some(path) = existing(self.root.join(relative).canonicalize())? else { return Ok(None) };
        if self.links == Links::Inside && !path.starts_with(&self.root) {
            return Err(FolderError::Outside);
        }
        Ok(Some(path))
    }
}

fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(links: Links) -> (tempfile::TempDir, Folder) {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("inside");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::write(inside.join("sub").join("file"), "1234").unwrap();
        symlink("../../secret", inside.join("sub").join("out")).unwrap();
        symlink("sub/file", inside.join("in")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let folder = Folder::open(&inside, links).unwrap().unwrap();
        (outside, folder)
    }

    #[test]
    fn no_path_and_no_link_leads_out() {
        let (_keep, folder) = folder(Links::Inside);
        assert_eq!(folder.read("sub/file", 4).unwrap().unwrap(), b"1234");
        assert_eq!(folder.read("in", 4).unwrap().unwrap(), b"1234");
        for path in ["../secret", "/etc/passwd", "sub/../../secret", "sub/out"] {
            assert!(matches!(folder.read(path, 9), Err(FolderError::Outside)), "{path}");
        }
        assert!(folder.read("loop", 9).is_err());
    }

    #[test]
    fn the_users_own_links_are_followed() {
        let (_keep, folder) = folder(Links::Anywhere);
        assert_eq!(folder.read("sub/out", 9).unwrap().unwrap(), b"s");
        assert!(matches!(folder.read("../secret", 9), Err(FolderError::Outside)));
    }

    #[test]
    fn only_regular_files_up_to_the_limit_are_read() {
        let (_keep, folder) = folder(Links::Inside);
        assert!(matches!(folder.read("sub/file", 3), Err(FolderError::TooLarge(3))));
        assert!(matches!(folder.read("sub", 9), Err(FolderError::NotAFile)));
        assert!(folder.read("none", 9).unwrap().is_none());
        assert!(folder.read("sub/file/below", 9).unwrap().is_none());
        let pipe = folder.root().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(folder.read("pipe", 9), Err(FolderError::NotAFile)), "and it does not wait");
    }

    #[test]
    fn listings_are_ordered_and_bounded() {
        let (_keep, folder) = folder(Links::Inside);
        let names: Vec<_> = folder.list("", 9).unwrap().into_iter().map(|one| (one.name, one.is_folder)).collect();
        assert_eq!(names, [("in".to_owned(), false), ("loop".to_owned(), false), ("sub".to_owned(), true)]);
        assert!(matches!(folder.list("", 1), Err(FolderError::TooLarge(1))));
        assert!(folder.list("none", 9).unwrap().is_empty());
    }
}
