//! How the cache lies on disk.
//!
//! `<root>/sha256/<first two digits>/<hex>` are whole files, `<root>/filling/` those that are not, `<root>/lock` keeps other processes
//! out. After a crash, what was not whole is removed at the next start, and the rest is counted again; the order of last use is kept in
//! the files' access times.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use trustctl_core::digest::{Digest, DigestAlgorithm};

/// The folder of one cache; no other process can open it as long as this lives.
pub(super) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens or creates it, and removes what an earlier run did not finish.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(io::Error::other("another process uses it")),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        let folder = Self { root: root.to_owned(), _lock: lock };
        match fs::remove_dir_all(folder.filling()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(folder.filling())?,
        }
        Ok(folder)
    }

    /// Where a whole file lies. A digest is hexadecimal, so nothing in it leads elsewhere.
    pub(super) fn place(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let shard = hex.get(..2).unwrap_or_default();
        self.root.join(digest.algorithm().name()).join(shard).join(&hex)
    }

    /// Where files are that are not whole.
    pub(super) fn filling(&self) -> PathBuf {
        self.root.join("filling")
    }

    /// The whole files and their sizes, the least recently used first. What has another name is none of ours, and stays.
    pub(super) fn whole_files(&self) -> io::Result<Vec<(Digest, u64)>> {
        let mut found = Vec::new();
        for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
            let folder = self.root.join(algorithm.name());
            let shards = match fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                shards => shards?,
            };
            for shard in shards {
                let shard = shard?;
                if shard.file_type()?.is_dir() {
                    scan(&shard, algorithm, &mut found)?;
                }
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, digest, size)| (digest, size)).collect())
    }
}

fn scan(shard: &fs::DirEntry, algorithm: DigestAlgorithm, found: &mut Vec<(SystemTime, Digest, u64)>) -> io::Result<()> {
    let prefix = shard.file_name();
    for file in fs::read_dir(shard.path())? {
        let file = file?;
        let name = file.file_name();
        let parsed = name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.name()).parse::<Digest>().ok());
        let Some(digest) = parsed.filter(|digest| digest.hex().get(..2) == prefix.to_str()) else { continue };
        let metadata = file.metadata()?;
        if metadata.is_file() {
            let time = |time: io::Result<SystemTime>| time.unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((time(metadata.accessed()).max(time(metadata.modified())), digest, metadata.len()));
        }
    }
    Ok(())
}
