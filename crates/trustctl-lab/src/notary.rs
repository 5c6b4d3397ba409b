//! A Notary v1 server in memory that judges uploads as the real one does, with the powers of an attacker who owns it.

mod keys;
mod loaded;
mod multipart;
mod refusal;
mod route;
mod site;
mod store;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use trustctl_core::digest::Digest;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::role::RoleName;

pub use keys::KeyAlgorithm;

use crate::access::{Access, Guard};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::error::LabError;
use crate::faults::Faults;
use crate::requests::RequestLog;
use crate::server::{Listen, Server};
use keys::ServerKeys;
use site::{NotarySite, State};
use store::{Store, Update};

/// How a [`LabNotary`] starts. The default: a free port, plain HTTP, open, Ed25519 keys, the machine's time.
///
/// `notary` takes plain HTTP; `docker` wants TLS.
#[derive(Clone, Debug, Default)]
pub struct NotaryOptions {
    /// The loopback port; 0 lets the system choose.
    pub port: u16,
    /// Who may do what.
    pub access: Access,
    /// Whose certificates it uses; without, it speaks plain HTTP.
    pub tls: Option<Authority>,
    /// The kind of keys it makes.
    pub algorithm: KeyAlgorithm,
    /// Its time.
    pub clock: Clock,
}

/// A running Notary server; it stops, and its keys are gone, when this value is dropped.
#[derive(Debug)]
pub struct LabNotary {
    server: Server,
    state: Arc<Mutex<State>>,
    clock: Clock,
}

/// Every file a Notary server held at one moment; not its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotarySnapshot(Store);

impl LabNotary {
    /// Starts a server on 127.0.0.1, on a thread of its own.
    ///
    /// # Errors
    /// [`LabError::Io`] when the port is taken or the thread cannot start; [`LabError::Certificate`] and [`LabError::Tls`] for TLS.
    pub fn start(options: NotaryOptions) -> Result<Self, LabError> {
        let keys = ServerKeys::new(options.algorithm);
        let state = Arc::new(Mutex::new(State { keys, renews: true, ..State::default() }));
        let tls = options.tls.as_ref().map(Authority::server_config).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (shared, clock) = (state.clone(), options.clock.clone());
        let listen = Listen { name: "lab-notary", port: options.port, tls };
        let server = Server::start(listen, |address| NotarySite {
            state: shared,
            guard: Guard::new(options.access, format!("{scheme}://{address}")),
            clock,
        })?;
        Ok(Self { server, state, clock: options.clock })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// The base URL, without a slash at the end: what `DOCKER_CONTENT_TRUST_SERVER` and `notary -s` take.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The faults it commits.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// What it was asked.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        self.server.requests()
    }

    /// The names of all collections.
    #[must_use]
    pub fn guns(&self) -> Vec<String> {
        self.state().store.collections.keys().cloned().collect()
    }

    /// The current files of a collection; empty when there is none.
    #[must_use]
    pub fn files(&self, gun: &str) -> BTreeMap<RoleName, Bytes> {
        let state = self.state();
        let Some(collection) = state.store.collections.get(gun) else { return BTreeMap::new() };
        let current = |role: &RoleName| Some((role.clone(), collection.current(role)?.bytes.clone()));
        collection.roles.keys().filter_map(current).collect()
    }

    /// Every file it holds, of every version.
    #[must_use]
    pub fn snapshot(&self) -> NotarySnapshot {
        NotarySnapshot(self.state().store.clone())
    }

    /// Makes it hold what it held at a snapshot, as an attacker with a backup would: the rollback attack.
    pub fn restore(&self, snapshot: &NotarySnapshot) {
        self.state().store = snapshot.0.clone();
    }

    /// Whether an expired timestamp is renewed when it is asked for. Switched off, the server serves it as it is: the freeze attack.
    pub fn renew(&self, renews: bool) {
        self.state().renews = renews;
    }

    /// Replaces the bytes of a current file, wherever it is served: also under its old hash and version.
    ///
    /// # Errors
    /// [`LabError::Missing`] when there is no such file.
    pub fn overwrite(&self, gun: &str, role: &RoleName, bytes: Bytes) -> Result<(), LabError> {
        let mut state = self.state();
        let versions = state.store.collections.get_mut(gun).and_then(|collection| collection.roles.get_mut(role));
        let current = versions.and_then(|versions| versions.last_mut());
        current.map(|current| current.bytes = bytes).ok_or_else(|| LabError::Missing { what: format!("{role}.json of {gun}") })
    }

    /// Adds a file without any check, found by its hash and by the version it claims: for sets made elsewhere.
    pub fn put_file(&self, gun: &str, role: &RoleName, bytes: Bytes) {
        let version = upload::claimed_version(&bytes).unwrap_or(1);
        let update = Update { role: role.clone(), version, bytes };
        let now = self.clock.now();
        self.state().store.collections.entry(gun.to_owned()).or_default().add(update, now);
    }

    /// Takes one file away, in every version.
    pub fn take_file(&self, gun: &str, role: &RoleName) {
        if let Some(collection) = self.state().store.collections.get_mut(gun) {
            collection.roles.remove(role);
        }
    }

    /// Forgets a collection, as a DELETE does, but leaves no trace in the changefeed.
    pub fn forget(&self, gun: &str) {
        self.state().store.collections.remove(gun);
    }

    /// Signs a new timestamp of `version` over the current snapshot with the server's key: what a thief of that key can do.
    ///
    /// # Errors
    /// [`LabError::Missing`] when the collection has no root or snapshot, or the root names no key of this server.
    pub fn sign_timestamp(&self, gun: &str, version: u64) -> Result<(), LabError> {
        let missing = || LabError::Missing { what: format!("root, snapshot or timestamp key of {gun}") };
        let now = self.clock.now();
        let mut state = self.state();
        let bytes = |role: RoleName| Some(state.store.collections.get(gun)?.current(&role)?.bytes.clone());
        let root = bytes(RoleName::root()).and_then(|bytes| upload::read::<Root>(&bytes)).ok_or_else(missing)?;
        let snapshot = bytes(RoleName::snapshot()).ok_or_else(missing)?;
        let update = state.judge(gun, now).sign_timestamp(&root, &snapshot, version).ok_or_else(missing)?;
        state.store.collections.entry(gun.to_owned()).or_default().add(update, now);
        Ok(())
    }

    /// Serves `bytes` as the file of a delegation, named by a new snapshot that the server's key signs: what a thief of that key can do.
    /// A timestamp over it is for [`LabNotary::sign_timestamp`].
    ///
    /// # Errors
    /// [`LabError::Missing`] when the collection has no root or snapshot, or the root names no snapshot key of this server.
    pub fn replay(&self, gun: &str, role: &RoleName, bytes: Bytes) -> Result<(), LabError> {
        self.put_file(gun, role, bytes.clone());
        let missing = || LabError::Missing { what: format!("root, snapshot or snapshot key of {gun}") };
        let now = self.clock.now();
        let mut state = self.state();
        let root = state.store.collections.get(gun).and_then(|collection| collection.current(&RoleName::root()));
        let root = root.and_then(|file| upload::read::<Root>(&file.bytes)).ok_or_else(missing)?;
        let update = state.judge(gun, now).sign_snapshot(&root, (role, &bytes)).ok_or_else(missing)?;
        state.store.collections.entry(gun.to_owned()).or_default().add(update, now);
        Ok(())
    }

    /// The SHA-256 of a current file: what its parent ought to name.
    #[must_use]
    pub fn hash(&self, gun: &str, role: &RoleName) -> Option<Digest> {
        Some(Digest::sha256_of(&self.state().store.collections.get(gun)?.current(role)?.bytes))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
