//! A client without a network: a refresh that is given files of a repository, and remembers as the program does.

use bytes::Bytes;
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;
use trustctl_lab::tuf::{Files, Key, KeyKind, Repository, Role};
use trustctl_sigstore::keyless::PUBLIC_GOOD;
use trustctl_sigstore::tuf::{Beginning, Refresh, Target, kept};

pub(crate) const NOW: &str = "2026-11-28T12:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A trusted root that can be told from others by its number; the public-good one otherwise.
pub(crate) fn trusted_root(number: usize) -> String {
    format!("{PUBLIC_GOOD}{}", "\n".repeat(number))
}

/// A repository with a trusted root and both signing configs, published at [`NOW`].
pub(crate) fn repository() -> Repository {
    let target = |name: Target, text: String| (name.name().to_owned(), Bytes::from(text));
    let targets = [
        target(Target::TrustedRoot, trusted_root(1)),
        target(Target::SigningConfig, "{\"signing\":1}".to_owned()),
        target(Target::SigningConfigRekorV2, "{\"signing\":2}".to_owned()),
    ];
    Repository::create(targets.into_iter().collect(), at(NOW)).unwrap()
}

/// Publishes a next root, which names these keys for `role`.
pub(crate) fn rotate(repository: &mut Repository, role: Role, keys: Vec<Key>) {
    let changed = repository.rotate(|repository| {
        repository.role(role)?.keys = keys;
        Ok(())
    });
    changed.unwrap();
}

/// A new key alone.
pub(crate) fn new_key(kind: KeyKind) -> Vec<Key> {
    vec![Key::generate(kind).unwrap()]
}

/// Who refreshes, and remembers.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) pinned: Bytes,
    pub(crate) slot: Slot,
    pub(crate) now: Timestamp,
}

impl Client {
    pub(crate) fn of(repository: &Repository) -> Self {
        Self { pinned: repository.root(1).unwrap(), slot: Slot::default(), now: at(NOW) }
    }

    /// Refreshes from these files; the paths that were asked for.
    pub(crate) fn refresh(&mut self, files: &Files) -> Result<Vec<String>, Reason> {
        self.refresh_until(files, usize::MAX).map(|(asked, _)| asked)
    }

    /// As [`Client::refresh`], but ends before file number `end`; whether it was done by then.
    pub(crate) fn refresh_until(&mut self, files: &Files, end: usize) -> Result<(Vec<String>, bool), Reason> {
        let beginning = Beginning { root: &self.pinned, must_lead_here: true };
        let mut refresh = Refresh::begin(beginning, &self.slot, self.now)?;
        let mut asked = Vec::new();
        loop {
            self.slot.merge(refresh.learnt().clone());
            let wants = refresh.wants();
            if wants.is_empty() {
                return Ok((asked, true));
            }
            for file in wants {
                if asked.len() == end {
                    return Ok((asked, false));
                }
                asked.push(file.path.clone());
                refresh.receive(&file, files.get(&file.path).map(|bytes| &bytes[..]))?;
            }
        }
    }

    pub(crate) fn code(&mut self, files: &Files) -> Option<Code> {
        self.refresh(files).err().map(|reason| reason.code)
    }

    /// The trusted root that is in use.
    pub(crate) fn uses(&self) -> Option<String> {
        kept(&self.slot).map(|kept| String::from_utf8(kept.trusted_root.to_vec()).unwrap())
    }

    pub(crate) fn root_version(&self) -> u64 {
        self.slot.documents["root"].version
    }
}
