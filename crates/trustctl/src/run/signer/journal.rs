//! The journal: signatures that a log is being asked to enter, one file each, in the state folder.
//!
//! A log keeps what it is given, and a run can end at any moment. So what is given to a log is written down before, and again with the
//! answer; the file goes when what was made of it is published and verified. A run that is repeated goes on from the file: a Rekor v1 hands
//! out the entry it has, and where a log does not, the second entry is told. What is left is the signature, the certificate and what
//! services have said: nothing secret, and nothing that brings trust.
//!
//! Advisory, as all locks: where nothing can be written, that is said, and the run goes on. `sign` with a queue keeps its files there instead.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_sigstore::seal::kept::Kept;

use super::super::Session;
use super::super::turn::Turn;
use super::With;

/// Hexadecimal digits of a file's name: enough that no two intentions meet.
const DIGITS: usize = 32;
/// Largest file that is read, in bytes: an envelope of the largest bundle in base64, and some certificates and answers.
const MAX_PAGE: u64 = 16 * 1024 * 1024;
/// How long a file stays that no run has come back for. By then its certificate has ended long ago.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What is to be signed, as far as a repeated run knows it again.
pub(in crate::run) struct Intent<'i> {
    /// The same for the same intention, whatever is done of it: see [`Intent::name`].
    pub(in crate::run) name: String,
    /// Whether a signature that was left says what is to be said.
    pub(in crate::run) is_in: &'i dyn Fn(&Kept) -> bool,
}

impl Intent<'_> {
    /// A name for what `words` say.
    #[must_use]
    pub(in crate::run) fn name(words: &Value) -> String {
        let digest = Digest::sha256_of(words.to_string().as_bytes()).hex();
        digest.get(..DIGITS).unwrap_or_default().to_owned()
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Journal(PathBuf);

/// A file of it, and the lock on it.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    _turn: Turn,
}

impl Journal {
    /// The journal of this user; none without a state folder.
    pub(super) fn new(session: &Session) -> Option<Self> {
        session.environment.state.as_ref().map(|state| Self(state.join("journal")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// The file of this name; `None` when another process works on it.
    fn open(&self, name: &str) -> io::Result<Option<Page>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let turn = Turn::take(&self.0, name)?;
        Ok(turn.map(|turn| Page { path: self.path(name), _turn: turn }))
    }

    /// Removes what nobody has come back for.
    fn tidy(&self) {
        let old = |path: &Path| {
            let changed = fs::metadata(path).and_then(|found| found.modified());
            changed.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > KEPT))
        };
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if old(&entry.path()) {
                // One that stays is tried again by the next run.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl With<'_> {
    /// What a run before has left under this name. A file that is no such thing counts for nothing.
    pub(in crate::run) fn left(&self, name: &str) -> Option<Kept> {
        let bytes = trustctl_remote::file::read(&self.journal.as_ref()?.path(name), MAX_PAGE).ok()?;
        Kept::parse(&bytes).ok()
    }

    /// The page of this name, which is this run's until [`With::settled`].
    pub(super) async fn page(&self, name: &str) -> Option<Arc<Page>> {
        let journal = self.journal.as_ref().filter(|_| self.logs())?;
        let mut pages = self.pages.lock().await;
        if let Some(page) = pages.iter().find(|page| page.path == journal.path(name)) {
            return Some(Arc::clone(page));
        }
        if pages.is_empty() {
            journal.tidy();
        }
        match journal.open(name) {
            Ok(page) => {
                let page = Arc::new(page?);
                pages.push(Arc::clone(&page));
                Some(page)
            }
            Err(error) => {
                self.tell_unwritten(&journal.0, &error);
                None
            }
        }
    }

    /// Writes down what there is of a signature, where there is a place for it.
    pub(super) fn write(&self, page: Option<&Arc<Page>>, kept: &Kept) {
        if let Some(page) = page
            && let Err(error) = trustctl_remote::file::replace_private(&page.path, kept.to_json().as_bytes())
        {
            self.tell_unwritten(&page.path, &error);
        }
    }

    /// What this run has made is published and verified: nothing has to be known of it any more.
    pub(in crate::run) async fn settled(&self) {
        for page in self.pages.lock().await.drain(..) {
            // One that stays is usable by nobody: what it says is there already.
            let _ = fs::remove_file(&page.path);
        }
    }

    /// What was left under this name is there already.
    pub(in crate::run) fn forget(&self, name: &str) {
        if let Some(journal) = &self.journal {
            let _ = fs::remove_file(journal.path(name));
        }
    }

    fn tell_unwritten(&self, path: &Path, error: &io::Error) {
        let words =
            format!("{}: {error}; if this run is killed, the next one cannot know what a log has entered", path.display());
        crate::render::warning(&self.session.ui, &Reason::new(Code::JournalUnwritten, words));
    }
}
