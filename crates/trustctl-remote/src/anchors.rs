//! Where anchors rest between runs: what was verified of TUF repositories, and what the user has pinned.
//!
//! Everything is a [`Slot`] of the [`Store`], so that it is written whole, under its lock, and only grows. What protects against
//! rollback (the newest root, the roots that led to it, and all floors) is kept twice, in two files: losing either loses none of it.

use std::collections::BTreeMap;

use trustctl_core::claim::SchemeName;
use trustctl_core::memory::{Document, Slot};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;

use crate::state::Store;

/// No repository of images has a name with a space in it, so that these names are nobody else's.
const REPOSITORY: &str = "anchor-repository ";
const FLOORS: &str = "anchor-floors ";
const PIN: &str = "anchor-pin ";
const COLLECTION: &str = "anchor-pin ";

/// The document that the second file holds beside floors and facts.
const NEWEST_ROOT: &str = "root";
const TRUSTED_ROOT: &str = "trusted-root";
const URL: &str = "url";

/// The anchors below one state folder.
#[derive(Clone, Debug)]
pub struct Anchors {
    store: Store,
}

/// A pinned Sigstore instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Its trusted root is fetched from a repository.
    Repository {
        /// The address of the repository.
        url: String,
        /// The root that trust begins with.
        root: Vec<u8>,
    },
    /// Its trusted root is this.
    TrustedRoot(Vec<u8>),
}

impl Anchors {
    /// The anchors in `store`. Nothing is created before something is learnt or pinned.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// What was learnt of the repository at `url`.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn repository(&self, url: &str) -> Result<Slot, Reason> {
        let (whole, floors) = (format!("{REPOSITORY}{url}"), format!("{FLOORS}{url}"));
        let memory = self.store.load([(SchemeName::Cosign, whole.as_str()), (SchemeName::Cosign, floors.as_str())])?;
        let mut slot = Slot::default();
        for name in [whole, floors] {
            slot.merge(memory.slot(SchemeName::Cosign, &name).cloned().unwrap_or_default());
        }
        Ok(slot)
    }

    /// Adds what was learnt of the repository at `url`.
    ///
    /// # Errors
    /// As [`Store::learn`].
    pub fn learn(&self, url: &str, learnt: &Slot) -> Result<(), Reason> {
        let root = learnt.documents.get(NEWEST_ROOT).map(|root| (NEWEST_ROOT.to_owned(), root.clone()));
        let floors = Slot { documents: root.into_iter().collect(), ..learnt.clone() };
        // The floors first: whoever is killed in between forgets nothing that counts.
        self.store.learn(SchemeName::Cosign, &[(format!("{FLOORS}{url}"), floors)])?;
        self.store.learn(SchemeName::Cosign, &[(format!("{REPOSITORY}{url}"), learnt.clone())])
    }

    /// Forgets the repository at `url`; true when something was remembered. Only for a user who starts trust in it afresh.
    ///
    /// # Errors
    /// As [`Store::forget`].
    pub fn forget_repository(&self, url: &str) -> Result<bool, Reason> {
        let whole = self.store.forget(SchemeName::Cosign, &format!("{REPOSITORY}{url}"))?;
        Ok(self.store.forget(SchemeName::Cosign, &format!("{FLOORS}{url}"))? || whole)
    }

    /// Pins an instance under `name`. Pinning the same again changes nothing.
    ///
    /// # Errors
    /// [`Code::AnchorExists`] when another one has this name; as [`Store::learn`].
    pub fn pin(&self, name: &str, pin: &Pin) -> Result<(), Reason> {
        match self.pinned(name)? {
            Some(known) if known == *pin => return Ok(()),
            Some(_) => return Err(Reason::new(Code::AnchorExists, format!("\"{name}\" is pinned to another instance"))),
            None => {}
        }
        let document = |bytes: &Vec<u8>| Document { version: 0, bytes: bytes.clone() };
        let mut slot = Slot::default();
        match pin {
            Pin::Repository { url, root } => {
                slot.facts.insert(URL.to_owned(), url.clone());
                slot.documents.insert(NEWEST_ROOT.to_owned(), document(root));
            }
            Pin::TrustedRoot(bytes) => drop(slot.documents.insert(TRUSTED_ROOT.to_owned(), document(bytes))),
        }
        self.store.learn(SchemeName::Cosign, &[(format!("{PIN}{name}"), slot)])
    }

    /// The instance that is pinned under `name`.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn pinned(&self, name: &str) -> Result<Option<Pin>, Reason> {
        let name = format!("{PIN}{name}");
        let memory = self.store.load([(SchemeName::Cosign, name.as_str())])?;
        Ok(memory.slot(SchemeName::Cosign, &name).and_then(read))
    }

    /// Every pinned instance, by name.
    ///
    /// # Errors
    /// As [`Store::all`].
    pub fn pins(&self) -> Result<BTreeMap<String, Pin>, Reason> {
        let all = self.store.all()?.into_iter().filter(|one| one.scheme == SchemeName::Cosign);
        Ok(all.filter_map(|one| Some((one.name.strip_prefix(PIN)?.to_owned(), read(&one.slot)?))).collect())
    }

    /// Forgets the pin of an instance, and what was learnt of its repository; true when there was one.
    ///
    /// # Errors
    /// As [`Store::forget`].
    pub fn forget(&self, name: &str) -> Result<bool, Reason> {
        if let Some(Pin::Repository { url, .. }) = self.pinned(name)? {
            self.forget_repository(&url)?;
        }
        self.store.forget(SchemeName::Cosign, &format!("{PIN}{name}"))
    }

    /// Pins root key ids of a Notary collection, beside those that are pinned already.
    ///
    /// # Errors
    /// As [`Store::learn`].
    pub fn pin_collection(&self, collection: &Repository, roots: &[String]) -> Result<(), Reason> {
        let facts = roots.iter().map(|root| (root.clone(), "pinned".to_owned())).collect();
        self.store.learn(SchemeName::Dct, &[(format!("{COLLECTION}{collection}"), Slot { facts, ..Slot::default() })])
    }

    /// The root key ids that are pinned for a collection.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn collection(&self, collection: &Repository) -> Result<Vec<String>, Reason> {
        let name = format!("{COLLECTION}{collection}");
        let memory = self.store.load([(SchemeName::Dct, name.as_str())])?;
        Ok(memory.slot(SchemeName::Dct, &name).map(|slot| slot.facts.keys().cloned().collect()).unwrap_or_default())
    }

    /// The pinned root key ids of every collection that has some.
    ///
    /// # Errors
    /// As [`Store::all`].
    pub fn collections(&self) -> Result<BTreeMap<String, Vec<String>>, Reason> {
        let all = self.store.all()?.into_iter().filter(|one| one.scheme == SchemeName::Dct);
        let roots = |slot: Slot| slot.facts.into_keys().collect();
        Ok(all.filter_map(|one| Some((one.name.strip_prefix(COLLECTION)?.to_owned(), roots(one.slot)))).collect())
    }

    /// Forgets the pins of a collection; true when there were some. What was seen of the collection stays remembered.
    ///
    /// # Errors
    /// As [`Store::forget`].
    pub fn forget_collection(&self, collection: &Repository) -> Result<bool, Reason> {
        self.store.forget(SchemeName::Dct, &format!("{COLLECTION}{collection}"))
    }
}

fn read(slot: &Slot) -> Option<Pin> {
    let bytes = |name: &str| slot.documents.get(name).map(|document| document.bytes.clone());
    match slot.facts.get(URL) {
        Some(url) => Some(Pin::Repository { url: url.clone(), root: bytes(NEWEST_ROOT)? }),
        None => bytes(TRUSTED_ROOT).map(Pin::TrustedRoot),
    }
}
