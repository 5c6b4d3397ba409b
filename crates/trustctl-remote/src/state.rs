//! Where [`Memory`] rests between runs: one file for each name, written so that nothing learnt is ever lost.
//!
//! A file is replaced as a whole: lock, read again, merge, write beside it, flush to disk, rename, flush the folder. A process that
//! is killed at any moment leaves the old file or the new one. A file that cannot be read is an error and is never left aside:
//! going on without it would give up the protection against rollback that it stands for.
//!
//! Everything here blocks; asynchronous callers move it off the executor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use trustctl_core::claim::SchemeName;
use trustctl_core::digest::Digest;
use trustctl_core::memory::{Memory, Slot};
use trustctl_core::reason::{Code, Reason, Step};

/// The `schema` member of a memory file.
const SCHEMA: &str = "trustctl/memory/v1";
/// Folder of the memory files, below the state folder.
const FOLDER: &str = "memory";
/// The lock that writers hold; readers need none, because files are replaced by renaming.
const LOCK: &str = "lock";
/// Most bytes of one memory file: the largest root that is accepted (100 MiB), in base64, and as much again.
const MAX_FILE: u64 = 272 * 1024 * 1024;
/// Most memory files that [`Store::all`] reads.
const MAX_FILES: usize = 100_000;
/// How long a writer waits for others; each holds the lock for the time of a few small writes.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two tries to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// The state folder of this user: `$XDG_STATE_HOME/trustctl`, else `$HOME/.local/state/trustctl` (XDG base directory
/// specification 0.8; a relative `XDG_STATE_HOME` is ignored as it demands).
///
/// `variable` looks up environment variables. `None` when neither variable gives an absolute path.
pub fn default_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))?;
    Some(state.join("trustctl"))
}

/// The memory files below one state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    is_read_only: bool,
}

/// One remembered name with everything remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The scheme that remembers.
    pub scheme: SchemeName,
    /// The name the scheme chose: a GUN, a digest.
    pub name: String,
    /// What is remembered.
    pub slot: Slot,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    schema: String,
    scheme: SchemeName,
    name: String,
    slot: Slot,
}

impl Store {
    /// The store below `state_folder`. Nothing is created before something is learnt.
    #[must_use]
    pub fn new(state_folder: impl AsRef<Path>) -> Self {
        Self { folder: state_folder.as_ref().join(FOLDER), is_read_only: false }
    }

    /// The store below `state_folder`, for whoever must leave it as it is: it gives what is remembered, learns nothing, and creates no
    /// file and no folder.
    #[must_use]
    pub fn read_only(state_folder: impl AsRef<Path>) -> Self {
        Self { is_read_only: true, ..Self::new(state_folder) }
    }

    /// A memory of `names` alone; names never heard of are absent from it.
    ///
    /// # Errors
    /// [`Code::ConfigUnusable`] naming the file when one exists and is damaged, too large, about something else, or can be
    /// written by other users. [`Code::LocalFile`] when the operating system refuses to read it.
    pub fn load<'a>(&self, names: impl IntoIterator<Item = (SchemeName, &'a str)>) -> Result<Memory, Reason> {
        let mut memory = Memory::new();
        for (scheme, name) in names {
            if let Some(slot) = self.read(scheme, name)? {
                memory.learn(scheme, name, slot);
            }
        }
        Ok(memory)
    }

    /// Adds what was learnt about names of `scheme` to what is stored; nothing stored gets lost, whoever writes at the same time.
    ///
    /// When it returns, everything is on disk. Nothing is written when nothing is new, and never by a store from [`Store::read_only`].
    ///
    /// # Errors
    /// As [`Store::load`], and [`Code::LocalFile`] when a file cannot be written or another process holds the lock for 10 s.
    pub fn learn(&self, scheme: SchemeName, learnt: &[(String, Slot)]) -> Result<(), Reason> {
        if self.is_read_only {
            return Ok(());
        }
        // One write for a name, however often it comes.
        let mut news: BTreeMap<&str, Slot> = BTreeMap::new();
        for (name, slot) in learnt {
            news.entry(name).or_default().merge(slot.clone());
        }
        let mut unknown = Vec::new();
        for (name, slot) in news {
            if self.merged(scheme, name, slot.clone())?.is_some() {
                unknown.push((name, slot));
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let lock = self.lock()?;
        for (name, slot) in unknown {
            // Read again under the lock: somebody may have written since.
            if let Some(slot) = self.merged(scheme, name, slot)? {
                self.write(FileForm { schema: SCHEMA.to_owned(), scheme, name: name.to_owned(), slot })?;
            }
        }
        drop(lock);
        Ok(())
    }

    /// Forgets `name` in `scheme`, even when its file is damaged; true when there was a file. Only for a user who starts trust
    /// afresh: what an attacker served before would be believed again.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when the file cannot be removed or the lock cannot be had, and of a store from [`Store::read_only`].
    pub fn forget(&self, scheme: SchemeName, name: &str) -> Result<bool, Reason> {
        if self.is_read_only {
            return Err(Reason::new(Code::LocalFile, format!("{} is only read here", self.folder.display())));
        }
        if !self.folder.exists() {
            return Ok(false);
        }
        let lock = self.lock()?;
        let path = self.path(scheme, name);
        let existed = match std::fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(local(&path, "remove", &error)),
        };
        self.flush_folder()?;
        drop(lock);
        Ok(existed)
    }

    /// Everything remembered, ordered by scheme and name.
    ///
    /// # Errors
    /// As [`Store::load`]; also [`Code::ConfigUnusable`] when there are more than 100,000 files.
    pub fn all(&self) -> Result<Vec<Remembered>, Reason> {
        self.check_folder()?;
        let listing = match std::fs::read_dir(&self.folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(local(&self.folder, "list", &error)),
        };
        let mut found = Vec::new();
        for item in listing {
            let path = item.map_err(|error| local(&self.folder, "list", &error))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            if found.len() == MAX_FILES {
                return Err(Reason::new(Code::ConfigUnusable, format!("{} holds too many files", self.folder.display())));
            }
            if let Some(form) = self.parse(&path)? {
                found.push(Remembered { scheme: form.scheme, name: form.name, slot: form.slot });
            }
        }
        found.sort_by(|one, other| (one.scheme, &one.name).cmp(&(other.scheme, &other.name)));
        Ok(found)
    }

    /// The file for `name` in `scheme`. Its name is a hash, so that no name from outside becomes part of a path.
    #[must_use]
    pub fn path(&self, scheme: SchemeName, name: &str) -> PathBuf {
        self.folder.join(format!("{}.json", Digest::sha256_of(format!("{scheme}:{name}").as_bytes()).hex()))
    }

    /// What is to be stored once `news` is added; `None` when that is what is stored already.
    fn merged(&self, scheme: SchemeName, name: &str, news: Slot) -> Result<Option<Slot>, Reason> {
        let stored = self.read(scheme, name)?;
        let mut slot = stored.clone().unwrap_or_default();
        slot.merge(news);
        Ok(Some(slot).filter(|slot| stored.as_ref() != Some(slot)))
    }

    fn read(&self, scheme: SchemeName, name: &str) -> Result<Option<Slot>, Reason> {
        self.check_folder()?;
        Ok(self.parse(&self.path(scheme, name))?.map(|form| form.slot))
    }

    fn parse(&self, path: &Path) -> Result<Option<FileForm>, Reason> {
        let Some(bytes) = read_capped(path)? else { return Ok(None) };
        let form: FileForm = serde_json::from_slice(&bytes).map_err(|error| unusable(path, &format!("is damaged ({error})")))?;
        if form.schema != SCHEMA {
            return Err(unusable(path, &format!("has schema \"{}\", which this version cannot read", form.schema)));
        }
        if self.path(form.scheme, &form.name) != path {
            return Err(unusable(path, &format!("is about {} \"{}\", which has another file", form.scheme, form.name)));
        }
        Ok(Some(form))
    }

    fn write(&self, form: FileForm) -> Result<(), Reason> {
        let path = self.path(form.scheme, &form.name);
        let text = serde_json::to_vec(&form).map_err(|error| unusable(&path, &format!("cannot be composed ({error})")))?;
        if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE) {
            return Err(unusable(&path, &format!("would grow beyond {MAX_FILE} bytes")));
        }
        // Writers hold the lock, so that what lies under this name was left by one that was killed.
        let beside = path.with_extension("new");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(local(&beside, "remove", &error)),
            _ => {}
        }
        let written = private_file(OpenOptions::new().write(true).create_new(true))
            .open(&beside)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        written.map_err(|error| local(&beside, "write", &error))?;
        std::fs::rename(&beside, &path).map_err(|error| local(&path, "replace", &error))?;
        self.flush_folder()
    }

    fn lock(&self) -> Result<File, Reason> {
        private_folder(&self.folder)?;
        self.check_folder()?;
        let path = self.folder.join(LOCK);
        let file = private_file(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&path)
            .map_err(|error| local(&path, "open", &error))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(local(&path, "lock", &error)),
                Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let why = format!("{} has been locked by another process for too long", path.display());
                    return Err(Reason::new(Code::LocalFile, why));
                }
            }
        }
    }

    /// Whoever can write here can make this user forget.
    fn check_folder(&self) -> Result<(), Reason> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = match std::fs::metadata(&self.folder) {
                Ok(metadata) => metadata.permissions().mode(),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(local(&self.folder, "read", &error)),
            };
            if mode & 0o022 != 0 {
                let why = format!("can be written by other users (mode {:03o})", mode & 0o777);
                return Err(unusable(&self.folder, &why).step(Step::command(
                    "take the permission away, after looking whether anything was changed",
                    ["chmod", "go-w", &self.folder.to_string_lossy()],
                )));
            }
        }
        Ok(())
    }

    fn flush_folder(&self) -> Result<(), Reason> {
        #[cfg(unix)]
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|error| local(&self.folder, "flush", &error))?;
        Ok(())
    }
}

fn read_capped(path: &Path) -> Result<Option<Vec<u8>>, Reason> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(local(path, "open", &error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| local(path, "read", &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(unusable(path, &format!("is larger than {MAX_FILE} bytes")));
    }
    Ok(Some(bytes))
}

fn private_folder(path: &Path) -> Result<(), Reason> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| local(path, "create", &error))
}

fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn unusable(path: &Path, why: &str) -> Reason {
    Reason::new(Code::ConfigUnusable, format!("{} {why}", path.display())).step(Step::words(
        "restore it from a backup; it protects against old metadata being served as new, and removing it gives that up",
    ))
}

fn local(path: &Path, verb: &str, error: &std::io::Error) -> Reason {
    Reason::new(Code::LocalFile, format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn the_state_folder_follows_the_xdg_rules() {
        let home = Some(PathBuf::from("/home/a/.local/state/trustctl"));
        assert_eq!(default_folder(variables(&[("HOME", "/home/a")])), home);
        assert_eq!(default_folder(variables(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "relative")])), home);
        assert_eq!(default_folder(variables(&[("XDG_STATE_HOME", "/s")])), Some(PathBuf::from("/s/trustctl")));
        assert_eq!(default_folder(variables(&[("XDG_STATE_HOME", "")])), None);
    }

    #[test]
    fn names_from_outside_never_become_paths() {
        let store = Store::new("/state");
        let path = store.path(SchemeName::Dct, "../../etc/passwd");
        assert_eq!(path.parent(), Some(Path::new("/state/memory")));
        assert_ne!(path, store.path(SchemeName::Cosign, "../../etc/passwd"));
    }
}
