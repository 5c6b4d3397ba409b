//! Taking turns with other processes of this machine. Advisory: who cannot lock goes on without.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_core::publish::Put;

use crate::limits::Deadline;
use crate::referrers::fallback_tag;

/// How long another process is waited for; each holds a lock for a few requests. After that we go on without.
const PATIENCE: Duration = Duration::from_secs(15);

/// Locks on places, released when dropped or when the process ends.
#[derive(Debug)]
pub(super) struct Held {
    names: BTreeSet<String>,
    /// Open files hold the locks.
    _files: Vec<File>,
}

/// The names of the lock files for what `puts` replace: one of 256 for each tag, so that the folder does not grow.
pub(super) fn places(puts: &[Put]) -> BTreeSet<String> {
    let tags = puts.iter().filter_map(|put| match put {
        Put::TaggedManifest { repository, tag, .. } => Some(format!("{repository}:{tag}")),
        Put::Referrer { repository, subject, .. } => Some(format!("{repository}:{}", fallback_tag(subject).ok()?)),
        _ => None,
    });
    tags.filter_map(|tag| Digest::sha256_of(tag.as_bytes()).hex().get(..2).map(|name| format!("tag-{name}"))).collect()
}

impl Held {
    /// Takes the locks in the order of their names; `None` when that is not possible or takes too long.
    pub(super) async fn take(folder: &Path, names: &BTreeSet<String>, deadline: Deadline) -> Option<Self> {
        make_folder(folder).ok()?;
        let patience = Deadline::after(PATIENCE.min(deadline.remaining()));
        let mut files = Vec::new();
        for name in names {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(name)).ok()?;
            while file.try_lock().is_err() {
                if patience.remaining().is_zero() {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(fastrand::u64(2..12))).await;
            }
            files.push(file);
        }
        Some(Self { names: names.clone(), _files: files })
    }

    /// Whether these locks suffice for `names`.
    pub(super) fn covers(&self, names: &BTreeSet<String>) -> bool {
        names.is_subset(&self.names)
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
