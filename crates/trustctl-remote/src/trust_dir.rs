//! The trust directories of Docker and Notary: which private keys and which cached metadata they hold. They are only read.
//!
//! Every generation is understood, as found on disks since 2015:
//!
//! - Notary 0.6, Docker 17.12 and later: `private/<id>.key`; role and GUN are PEM headers;
//! - Notary 0.3 to 0.5: `private/root_keys/<id>.key` and `private/tuf_keys/[<GUN>/]<id>.key`; the role is a PEM header;
//! - Notary 0.1 and 0.2: the same folders, the role at the end of the file name: `<id>_root.key`;
//! - in all of them `tuf/<GUN>/metadata/` and `tuf/<GUN>/changelist/`; in the oldest also `trusted_certificates/<GUN>/*.crt`.
//!
//! Symbolic links are followed: people keep root keys on a medium of their own. Keys are not parsed here beyond their headers, and
//! nothing here is proven: a header is what somebody wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use trustctl_core::reason::{Code, Reason};
use zeroize::Zeroizing;

use crate::folder::{Folder, FolderError, Links};

/// Most bytes of a key file; an encrypted RSA-4096 key has 3,500.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Most bytes of a metadata file, as for the Notary server's.
const MAX_METADATA: u64 = 100 * 1024 * 1024;
/// Most entries of one folder.
const MAX_ENTRIES: usize = 10_000;
/// Most folders that are entered in one walk.
const MAX_FOLDERS: usize = 20_000;
/// Most folders below one another; a GUN has at most 128 path components of one letter.
const MAX_DEPTH: usize = 140;

const PRIVATE: &str = "private";
const TUF: &str = "tuf";
const CERTIFICATES: &str = "trusted_certificates";

/// Where trust directories are looked for: `$DOCKER_CONFIG/trust`, else `~/.docker/trust`, then `~/.notary`. They need not exist.
///
/// `variable` looks up environment variables.
pub fn usual_places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("HOME");
    let docker = set("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let docker = docker.map(|folder| folder.join("trust"));
    docker.into_iter().chain(home.map(|home| home.join(".notary"))).collect()
}

/// A trust directory.
#[derive(Clone, Debug)]
pub struct TrustDir {
    folder: Folder,
}

/// How a trust directory's files are laid out; old ones are moved by old clients on first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Generation {
    /// Notary 0.1 and 0.2: the role is at the end of the file name.
    RoleInFileName,
    /// Notary 0.3 to 0.5: root keys and others in folders of their own.
    KeyFolders,
    /// Notary 0.6 and later: all keys in one folder.
    Flat,
}

/// A private key file, by what its place and its headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// The key's canonical id, as the file name says: 64 lower-case hexadecimal digits.
    pub id: String,
    /// The role: `root`, `targets`, `snapshot`, `timestamp`, or a signer's name; `None` when nothing says it.
    pub role: Option<String>,
    /// The GUN the key belongs to; `None` for root and signer keys, which belong to no single one.
    pub gun: Option<String>,
    /// Which generation wrote the file.
    pub generation: Generation,
    /// The PEM label: `ENCRYPTED PRIVATE KEY`, `PRIVATE KEY`, `EC PRIVATE KEY`, …
    pub label: String,
    /// Whether a passphrase is needed.
    pub encrypted: bool,
}

/// Something that lies where a key should and cannot be used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// Why it is left aside.
    pub reason: Reason,
}

/// The key files of a trust directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keys {
    /// The keys, ordered by path.
    pub found: Vec<KeyFile>,
    /// What looks like a key file and is none, ordered by path.
    pub unusable: Vec<Unusable>,
}

/// What a trust directory holds about one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collection {
    /// The collection's name, as its folder says. Notary takes any text, not only image names.
    pub gun: String,
    /// Cached metadata, as [`TrustDir::metadata`] takes them: `root.json`, `targets/releases.json`.
    pub files: Vec<String>,
    /// How many changes wait for publishing.
    pub staged_changes: usize,
}

impl TrustDir {
    /// The trust directory at `path`; `None` when there is no such folder.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when it is no folder or cannot be entered.
    pub fn open(path: &Path) -> Result<Option<Self>, Reason> {
        let folder = Folder::open(path, Links::Anywhere).map_err(|error| local(path, &error))?;
        Ok(folder.map(|folder| Self { folder }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.root()
    }

    /// The private key files, of all generations. A file that cannot be used does not hide the others.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when a folder cannot be listed or holds too much.
    pub fn keys(&self) -> Result<Keys, Reason> {
        let mut keys = Keys::default();
        for file in self.walk(PRIVATE)? {
            let Some(place) = KeyPlace::of(&file) else { continue };
            let path = self.folder.root().join(&file);
            match self.folder.read(&file, MAX_KEY_FILE).map(|bytes| bytes.map(Zeroizing::new)) {
                Ok(None) => {}
                Ok(Some(bytes)) => match PemHead::read(&bytes) {
                    Some(head) => keys.found.push(place.key_file(path, head)),
                    None => keys.unusable.push(Unusable { reason: unreadable(&path, "it is not a PEM private key"), path }),
                },
                Err(error) => keys.unusable.push(Unusable { reason: unreadable(&path, &error.to_string()), path }),
            }
        }
        Ok(keys)
    }

    /// The collections of which metadata is cached or changes wait, ordered by GUN.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when a folder cannot be listed or holds too much.
    pub fn collections(&self) -> Result<Vec<Collection>, Reason> {
        let mut collections: BTreeMap<String, Collection> = BTreeMap::new();
        for file in self.walk(TUF)? {
            let below = file.strip_prefix("tuf/").unwrap_or(&file);
            // The last one counts: a GUN may itself have a component with such a name.
            let split =
                |middle: &str| below.rfind(middle).and_then(|at| Some((below.get(..at)?, below.get(at + middle.len()..)?)));
            let (gun, metadata) = match (split("/metadata/"), split("/changelist/")) {
                (Some((gun, file)), _) if file.ends_with(".json") => (gun, Some(file)),
                (_, Some((gun, file))) if file.ends_with(".change") => (gun, None),
                _ => continue,
            };
            let collection = collections.entry(gun.to_owned()).or_insert_with(|| Collection {
                gun: gun.to_owned(),
                files: Vec::new(),
                staged_changes: 0,
            });
            match metadata {
                Some(file) => collection.files.push(file.to_owned()),
                None => collection.staged_changes += 1,
            }
        }
        Ok(collections.into_values().collect())
    }

    /// The bytes of one cached metadata file of `gun`; `None` when it is not cached. `file` is written as [`Collection::files`] are.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when it cannot be read, has more than 100 MiB, or its name leads elsewhere.
    pub fn metadata(&self, gun: &str, file: &str) -> Result<Option<Vec<u8>>, Reason> {
        let relative = format!("{TUF}/{gun}/metadata/{file}");
        self.folder.read(&relative, MAX_METADATA).map_err(|error| local(&self.folder.root().join(relative), &error))
    }

    /// The root certificates that Notary 0.1 and 0.2 pinned for `gun`, as PEM files.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when the folder cannot be listed.
    pub fn pinned_certificates(&self, gun: &str) -> Result<Vec<PathBuf>, Reason> {
        let relative = format!("{CERTIFICATES}/{gun}");
        let listed =
            self.folder.list(&relative, MAX_ENTRIES).map_err(|error| local(&self.folder.root().join(&relative), &error))?;
        let files = listed.into_iter().filter(|listed| !listed.is_folder && listed.name.ends_with(".crt"));
        Ok(files.map(|file| self.folder.root().join(&relative).join(file.name)).collect())
    }

    /// All files below `start`, as paths relative to the trust directory, ordered.
    fn walk(&self, start: &str) -> Result<Vec<String>, Reason> {
        let mut files = Vec::new();
        let mut folders = vec![(start.to_owned(), 0_usize)];
        // Links may lead in circles: every folder is entered once.
        let mut entered = BTreeSet::new();
        while let Some((folder, depth)) = folders.pop() {
            let failed = |error: &FolderError| local(&self.folder.root().join(&folder), error);
            let Some(place) = self.folder.resolve(&folder).map_err(|error| failed(&error))? else { continue };
            if !entered.insert(place) {
                continue;
            }
            if entered.len() > MAX_FOLDERS {
                return Err(failed(&FolderError::TooLarge(u64::try_from(MAX_FOLDERS).unwrap_or(u64::MAX))));
            }
            for listed in self.folder.list(&folder, MAX_ENTRIES).map_err(|error| failed(&error))? {
                let path = format!("{folder}/{}", listed.name);
                match listed.is_folder {
                    true if depth < MAX_DEPTH => folders.push((path, depth + 1)),
                    true => {}
                    false => files.push(path),
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// What the path of a key file says.
struct KeyPlace {
    id: String,
    role: Option<String>,
    gun: Option<String>,
    generation: Generation,
}

impl KeyPlace {
    /// The place of a file below `private/`; `None` when its name is not a key's.
    fn of(file: &str) -> Option<Self> {
        let below = file.strip_prefix("private/")?;
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
        let stem = name.strip_suffix(".key")?;
        let (id, suffix) = stem.split_once('_').map_or((stem, None), |(id, role)| (id, Some(role)));
        if id.len() != 64 || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let (in_key_folders, is_root, gun) = match folder.split_once('/').unwrap_or((folder, "")) {
            ("root_keys", _) => (true, true, None),
            ("tuf_keys", gun) => (true, false, Some(gun).filter(|gun| !gun.is_empty())),
            _ => (false, false, None),
        };
        let generation = match (suffix, in_key_folders) {
            (Some(_), _) => Generation::RoleInFileName,
            (None, true) => Generation::KeyFolders,
            (None, false) => Generation::Flat,
        };
        let role = suffix.or(is_root.then_some("root")).map(str::to_owned);
        Some(Self { id: id.to_owned(), role, gun: gun.map(str::to_owned), generation })
    }

    /// Path and headers together; where both speak, the header counts, as in Notary.
    fn key_file(self, path: PathBuf, head: PemHead) -> KeyFile {
        KeyFile {
            path,
            id: self.id,
            role: head.role.or(self.role),
            gun: head.gun.or(self.gun),
            generation: self.generation,
            encrypted: head.label.starts_with("ENCRYPTED") || head.encrypted,
            label: head.label,
        }
    }
}

/// The first line and the headers of a PEM file (RFC 1421, section 4.4).
struct PemHead {
    label: String,
    role: Option<String>,
    gun: Option<String>,
    encrypted: bool,
}

impl PemHead {
    /// The head of the first private key in `bytes`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().map(str::trim_end);
        let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
        if !label.ends_with("PRIVATE KEY") {
            return None;
        }
        let mut head = Self { label: label.to_owned(), role: None, gun: None, encrypted: false };
        // Headers end at the first line that is none: the blank one, or the body where there are no headers.
        for (name, value) in lines.map_while(|line| line.split_once(':')) {
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "role" => head.role = Some(value.to_owned()),
                "gun" => head.gun = Some(value.to_owned()),
                "proc-type" => head.encrypted = value.ends_with("ENCRYPTED"),
                _ => {}
            }
        }
        Some(head)
    }
}

fn unreadable(path: &Path, why: &str) -> Reason {
    Reason::new(Code::KeyUnreadable, format!("{}: {why}", path.display()))
}

fn local(path: &Path, error: &FolderError) -> Reason {
    Reason::new(Code::LocalFile, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    const ID: &str = "14abc17f07ea171f3fbd31e735b10c183fc224e169c9f6216a56cc6c22ff6325";

    #[test]
    fn docker_config_takes_the_place_of_the_home_folder() {
        let places = |pairs: &[(&str, &str)]| {
            usual_places(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(places(&[("HOME", "/h")]), [Path::new("/h/.docker/trust"), Path::new("/h/.notary")]);
        assert_eq!(places(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")]), [Path::new("/d/trust"), Path::new("/h/.notary")]);
        assert!(places(&[]).is_empty());
    }

    #[test]
    fn every_generation_of_key_paths_is_understood() {
        let place = |path: String| {
            let place = KeyPlace::of(&path).unwrap();
            (place.role.unwrap_or_default(), place.gun.unwrap_or_default(), place.generation)
        };
        let text = str::to_owned;
        assert_eq!(place(format!("private/{ID}.key")), (text(""), text(""), Generation::Flat));
        assert_eq!(place(format!("private/root_keys/{ID}.key")), (text("root"), text(""), Generation::KeyFolders));
        assert_eq!(place(format!("private/tuf_keys/{ID}.key")), (text(""), text(""), Generation::KeyFolders));
        assert_eq!(place(format!("private/tuf_keys/d.io/a/{ID}.key")), (text(""), text("d.io/a"), Generation::KeyFolders));
        assert_eq!(place(format!("private/root_keys/{ID}_root.key")), (text("root"), text(""), Generation::RoleInFileName));
        assert_eq!(
            place(format!("private/tuf_keys/d.io/a/{ID}_targets.key")),
            (text("targets"), text("d.io/a"), Generation::RoleInFileName)
        );
        for other in ["private/notes.txt", "private/short.key", &format!("private/{}.key", ID.to_uppercase())] {
            assert!(KeyPlace::of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn headers_are_read_and_the_body_is_not_taken_for_one() {
        let head = |text: &str| PemHead::read(text.as_bytes());
        let new = head("-----BEGIN ENCRYPTED PRIVATE KEY-----\r\ngun: d.io/a:b\r\nrole: targets\r\n\r\nMIHu\r\n").unwrap();
        assert_eq!((new.role.as_deref(), new.gun.as_deref()), (Some("targets"), Some("d.io/a:b")));
        let old = head("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\nrole: root\n\nMIHu\n")
            .unwrap();
        assert!(old.encrypted && old.role.as_deref() == Some("root"));
        let bare = head("-----BEGIN PRIVATE KEY-----\nMIHu\nrole: no\n").unwrap();
        assert!(!bare.encrypted && bare.role.is_none());
        assert!(head("-----BEGIN CERTIFICATE-----\nMIHu\n").is_none());
        assert!(head("").is_none());
        assert!(PemHead::read(&[0xff, 0xfe]).is_none());
    }
}
