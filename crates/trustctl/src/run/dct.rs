//! Publishing with Docker Content Trust: read the collection, apply changes, upload in one request, read again.
//!
//! Whose collection it is must be known before anything is signed: from a pin, from what was seen before, from Docker's own cache, or
//! because the collection's root key is here.

mod keys;
mod read;

use std::collections::BTreeSet;

use trustctl_core::claim::SchemeName;
use trustctl_core::memory::Memory;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::time::Timestamp;
use trustctl_dct::collection::Collection;
use trustctl_dct::edit::{Change, Current, Files, HeldKeys, Upload, apply};
use trustctl_dct::key::Key;
use trustctl_dct::role::RoleName;
use trustctl_keys::private_key::PrivateKey;
use trustctl_remote::notary::RoleFile;
use trustctl_remote::state::Store;

use super::Session;
use super::network::World;
use crate::cli::DctArgs;
use crate::failure::Failure;

pub(super) use read::Known;

/// How often an update is made anew because somebody else was faster.
const TRIES: usize = 8;

/// One collection that this run publishes to.
pub(super) struct Publication<'a> {
    pub(super) session: &'a Session,
    pub(super) world: &'a World,
    pub(super) args: &'a DctArgs,
    pub(super) gun: Repository,
    pub(super) now: Timestamp,
}

/// What a publisher wants: it is asked anew for each state of the collection.
pub(super) trait Intention {
    /// The changes that are still needed.
    fn changes(&self, collection: Option<&Collection>) -> Result<Vec<Change>, Failure>;

    /// The roles whose private keys the changes need; what is not here is told by the edit itself.
    fn roles(&self, collection: &Collection) -> BTreeSet<RoleName>;
}

impl Publication<'_> {
    /// Carries out `intention`; what was uploaded, empty when the collection already was as intended.
    ///
    /// # Errors
    /// The edit's reason, [`Code::PublishConflict`] when others were faster every time, and those of reading and sending.
    pub(super) async fn publish(&self, intention: &dyn Intention) -> Result<Upload, Failure> {
        let mut last = None;
        for _ in 0..TRIES {
            let known = self.read(self.world).await?;
            let (changes, keys) = match &known {
                Known::Virgin => self.first_files(intention).await?,
                Known::Collection(collection) => {
                    (intention.changes(Some(collection))?, self.held(&intention.roles(collection), collection)?)
                }
            };
            let current = self.current(&known, &changes).await?;
            let mut held = HeldKeys::new();
            for key in &keys {
                held.hold(key);
            }
            let upload = apply(&changes, &current, &held, self.now)?;
            if upload.is_empty() {
                return Ok(upload);
            }
            let files: Vec<RoleFile<'_>> =
                upload.files().iter().map(|(role, bytes)| RoleFile { role: role.as_str(), bytes }).collect();
            match self.world.notary.publish(&self.gun, &files, self.session.deadline()?).await {
                Ok(()) => return Ok(upload),
                Err(error) if error.code() == Code::PublishConflict => last = Some(error.reason()),
                Err(error) => return Err(Failure::new(error.reason())),
            }
        }
        let words = format!("somebody else published to {} meanwhile, {TRIES} times in a row", self.gun);
        Err(Failure::new(last.unwrap_or_else(|| Reason::new(Code::PublishConflict, words))))
    }

    /// The collection read again by a client that knows nothing of this run, with what was learnt stored.
    pub(super) async fn read_back(&self) -> Result<Collection, Failure> {
        match self.read(&self.world.fresh()).await? {
            Known::Collection(collection) => Ok(*collection),
            Known::Virgin => {
                let words = format!("the Notary server has no trust data of {} after publishing", self.gun);
                Err(Failure::new(Reason::new(Code::PublishNotVisible, words)))
            }
        }
    }

    /// The state that changes are applied to, with the files of roles that the changes bring back to life. None of them may be
    /// older than what was seen: it would be signed as the newest.
    async fn current(&self, known: &Known, changes: &[Change]) -> Result<Current, Failure> {
        let Known::Collection(collection) = known else { return Ok(Current::virgin(&self.gun.to_string())) };
        let (memory, gun) = (self.memory()?, self.gun.to_string());
        let remembered = memory.slot(SchemeName::Dct, &gun);
        let mut files = Files::from(&**collection);
        let wanted: BTreeSet<RoleName> = Current::roles_to_read(changes).into_iter().chain(broken(collection)).collect();
        for role in wanted {
            if files.delegations.contains_key(&role) {
                continue;
            }
            let name = collection.file_of(&role);
            let deadline = self.session.deadline()?;
            let found = self.world.notary.file((&self.gun, &name), MAX_ROLE, deadline).await;
            let found = found.map_err(|error| Failure::new(error.reason()))?;
            files.add((collection, role), found, remembered)?;
        }
        Ok(Current::open(&gun, files)?)
    }

    /// The store of what was seen before.
    fn store(&self) -> Option<Store> {
        self.session.environment.state.as_ref().map(Store::new)
    }

    /// What was seen of this collection before.
    fn memory(&self) -> Result<Memory, Failure> {
        match self.store() {
            Some(store) => Ok(store.load([(SchemeName::Dct, self.gun.to_string().as_str())])?),
            None => Ok(Memory::new()),
        }
    }

    fn learn(&self, learnt: trustctl_core::memory::Slot) -> Result<(), Failure> {
        match self.store() {
            Some(store) if learnt != trustctl_core::memory::Slot::default() => {
                Ok(store.learn(SchemeName::Dct, &[(self.gun.to_string(), learnt)])?)
            }
            _ => Ok(()),
        }
    }

    /// The changes and keys that give a repository without trust data its first files.
    async fn first_files(&self, intention: &dyn Intention) -> Result<(Vec<Change>, Vec<PrivateKey>), Failure> {
        let mut keys = Vec::new();
        let mut changes = vec![Change::Initialise(self.initialise(&mut keys).await?)];
        changes.extend(self.signer_of_new(&mut keys)?);
        changes.extend(intention.changes(None)?);
        Ok((changes, keys))
    }
}

/// Most bytes of a role's file that is read beside the collection.
const MAX_ROLE: u64 = 100 * 1024 * 1024;

/// Delegations whose files are there and do not count: an edit must know their versions.
fn broken(collection: &Collection) -> impl Iterator<Item = RoleName> {
    use trustctl_dct::collection::RoleFile as State;
    collection
        .roles
        .iter()
        .filter(|role| matches!(role.file, State::Broken(_)) && role.name.is_delegation())
        .map(|role| role.name.clone())
}

/// The key in a PEM certificate or the like, with this program's words for what is wrong.
fn usable(key: Result<Key, impl std::fmt::Display>) -> Result<Key, Failure> {
    key.map_err(|error| Failure::new(Reason::new(Code::KeyUnsupported, error.to_string())))
}
