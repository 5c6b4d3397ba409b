//! What a Notary server has on its shelf, and gathering evidence from it the way a client does: in rounds, each at once.

use std::collections::BTreeMap;

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Refusal, RefusalKind, Want};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::{Context, Scheme};
use trustctl_core::subject::Subject;
use trustctl_dct::scheme::Dct;

/// The files of one collection, under every name the server serves them by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes served for every name of a role, whatever was asked for.
    forced: BTreeMap<String, Vec<u8>>,
    /// The answer to everything, when the server is down or denies.
    refusal: Option<RefusalKind>,
}

/// Evidence, and what was asked for in each round.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    pub(crate) evidence: Evidence,
    pub(crate) rounds: Vec<Vec<String>>,
}

impl Shelf {
    /// Publishes a file of `role`: it is the current one, and stays available by hash for ever.
    pub(crate) fn put(&mut self, role: &str, bytes: &[u8]) {
        self.files.insert(format!("{role}.json"), bytes.to_vec());
        self.put_by_hash(role, bytes);
    }

    /// Makes a file of `role` available by its hash only.
    pub(crate) fn put_by_hash(&mut self, role: &str, bytes: &[u8]) {
        self.files.insert(format!("{role}.{}.json", Digest::sha256_of(bytes).hex()), bytes.to_vec());
    }

    /// Makes a file available under exactly this name.
    pub(crate) fn put_as(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), bytes.to_vec());
    }

    /// Serves these bytes whenever a file of `role` is asked for, by hash or not.
    pub(crate) fn force(&mut self, role: &str, bytes: &[u8]) {
        self.forced.insert(role.to_owned(), bytes.to_vec());
    }

    /// Takes every name of `role` off the shelf.
    pub(crate) fn remove(&mut self, role: &str) {
        self.files.retain(|name, _| role_of(name) != role);
    }

    /// Takes one name off the shelf.
    pub(crate) fn remove_name(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// The current file of `role`.
    pub(crate) fn current(&self, role: &str) -> Option<&[u8]> {
        self.files.get(&format!("{role}.json")).map(Vec::as_slice)
    }

    /// From now on everything is answered with this refusal; `None` ends it.
    pub(crate) fn refuse(&mut self, kind: Option<RefusalKind>) {
        self.refusal = kind;
    }

    /// What asking for one file brings.
    pub(crate) fn answer(&self, want: &Want) -> Entry {
        let Locator::Notary { file, .. } = &want.locator else { return Entry::Absent };
        if let Some(kind) = self.refusal {
            return Entry::Refused(Refusal { kind, detail: "the test says so".to_owned() });
        }
        match self.forced.get(role_of(file)).or_else(|| self.files.get(file)) {
            None => Entry::Absent,
            Some(bytes) if u64::try_from(bytes.len()).is_ok_and(|length| length <= want.max_bytes) => {
                Entry::Present { bytes: bytes.clone(), origin: Origin::Notary }
            }
            Some(_) => Entry::Refused(Refusal { kind: RefusalKind::TooLarge, detail: "longer than allowed".to_owned() }),
        }
    }

    /// Everything the scheme asks for about `subject`, in at most eight rounds.
    pub(crate) fn gather(&self, subject: &Subject, context: &Context<'_>) -> Gathered {
        let mut gathered = Gathered { evidence: Evidence::new(), rounds: Vec::new() };
        for _ in 0..8 {
            let wants = Dct.wants(subject, &gathered.evidence, context);
            if wants.is_empty() {
                break;
            }
            let mut asked = Vec::new();
            for want in wants {
                assert!(!gathered.evidence.has(&want.locator), "{} is asked for twice", want.locator);
                if let Locator::Notary { file, .. } = &want.locator {
                    asked.push(file.clone());
                }
                let answer = self.answer(&want);
                gathered.evidence.insert(want.locator, answer);
            }
            gathered.rounds.push(asked);
        }
        gathered
    }
}

/// `targets/releases` for `targets/releases.<hash>.json`; `root` for `3.root.json`.
fn role_of(file: &str) -> &str {
    let name = file.strip_suffix(".json").unwrap_or(file);
    let name = match name.rsplit_once('.') {
        Some((role, hash)) if hash.len() == 64 => role,
        _ => name,
    };
    name.split_once('.').map_or(name, |(_, role)| role)
}

/// The image `gun:tag` with this digest and size, as a registry would serve it.
pub(crate) fn image(gun: &str, tag: Option<&str>, digest: Digest, size: u64) -> Subject {
    let repository: Repository = gun.parse().unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
    Subject { repository, tag: tag.map(|tag| tag.parse().unwrap()), digest, size, media_type, children: Vec::new() }
}
