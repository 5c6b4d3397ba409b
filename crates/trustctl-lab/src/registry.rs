//! An OCI registry in memory (OCI distribution 1.1), with the powers of an attacker who owns the real one.

mod blobs;
mod listing;
mod manifests;
mod route;
mod settings;
mod site;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use trustctl_core::digest::Digest;

pub use settings::RegistrySettings;
pub use store::Manifest;

use crate::access::{Access, Account, Guard};
use crate::authority::Authority;
use crate::error::LabError;
use crate::faults::Faults;
use crate::image::Artifact;
use crate::push::Pusher;
use crate::requests::RequestLog;
use crate::server::{Listen, Server};
use site::{RegistrySite, State};
use store::Store;

/// How a [`LabRegistry`] starts. The default: a free port, plain HTTP, open to everybody on this machine, empty.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// The loopback port; 0 lets the system choose.
    pub port: u16,
    /// Who may do what.
    pub access: Access,
    /// How it behaves where registries differ.
    pub settings: RegistrySettings,
    /// Whose certificates it uses; without, it speaks plain HTTP.
    pub tls: Option<Authority>,
}

/// A running registry; it stops when this value is dropped.
#[derive(Debug)]
pub struct LabRegistry {
    server: Server,
    state: Arc<Mutex<State>>,
    authority: Option<Authority>,
}

/// Everything a registry held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySnapshot(Store);

/// A manifest that was taken away, with what is needed to bring it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenManifest {
    /// The digest it was stored under.
    pub digest: Digest,
    /// Its type and bytes.
    pub manifest: Manifest,
    /// The tags that pointed to it.
    pub tags: Vec<String>,
}

impl LabRegistry {
    /// Starts a registry on 127.0.0.1, on a thread of its own.
    ///
    /// # Errors
    /// [`LabError::Io`] when the port is taken or the thread cannot start; [`LabError::Certificate`] and [`LabError::Tls`] for TLS.
    pub fn start(options: RegistryOptions) -> Result<Self, LabError> {
        let state = Arc::new(Mutex::new(State { settings: options.settings, ..State::default() }));
        let tls = options.tls.as_ref().map(Authority::server_config).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = state.clone();
        let listen = Listen { name: "lab-registry", port: options.port, tls };
        let server = Server::start(listen, |address| RegistrySite {
            state: shared,
            guard: Guard::new(options.access, format!("{scheme}://{address}")),
        })?;
        Ok(Self { server, state, authority: options.tls })
    }

    /// `127.0.0.1:PORT`: the host of image references.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// The base URL, without a slash at the end.
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

    /// Pushes an artifact over HTTP to the repository `name`, under `tag` or by digest only; returns its digest.
    ///
    /// `account` logs in when the registry asks for it. The requests are in the log like any other.
    ///
    /// # Errors
    /// [`LabError::Refused`] with the registry's answer; [`LabError::Http`] when there was none.
    pub fn push(
        &self,
        name: &str,
        tag: Option<&str>,
        artifact: &Artifact,
        account: Option<&Account>,
    ) -> Result<Digest, LabError> {
        let authority = self.authority.clone();
        Pusher { url: self.url(), name: name.to_owned(), account: account.cloned(), authority }.push(artifact, tag)
    }

    /// Changes how it behaves, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut RegistrySettings)) {
        change(&mut self.state().settings);
    }

    /// Everything it holds, without unfinished uploads.
    #[must_use]
    pub fn snapshot(&self) -> RegistrySnapshot {
        RegistrySnapshot(self.state().store.clone())
    }

    /// Makes it hold what it held at a snapshot, as an attacker with a backup would.
    pub fn restore(&self, snapshot: &RegistrySnapshot) {
        self.state().store = snapshot.0.clone();
    }

    /// The digest that a tag of the repository `name` (without the host) points to.
    #[must_use]
    pub fn tag(&self, name: &str, tag: &str) -> Option<Digest> {
        self.state().store.repositories.get(name)?.tags.get(tag).copied()
    }

    /// The tags of a repository, sorted.
    #[must_use]
    pub fn tags(&self, name: &str) -> Vec<String> {
        self.state().store.repositories.get(name).map(|one| one.tags.keys().cloned().collect()).unwrap_or_default()
    }

    /// The manifest that a tag or digest names.
    #[must_use]
    pub fn manifest(&self, name: &str, reference: &str) -> Option<(Digest, Manifest)> {
        self.state().store.repositories.get(name)?.find(reference).map(|(digest, manifest)| (digest, manifest.clone()))
    }

    /// The digests of all manifests of a repository.
    #[must_use]
    pub fn manifests(&self, name: &str) -> Vec<Digest> {
        self.state().store.repositories.get(name).map(|one| one.manifests.keys().copied().collect()).unwrap_or_default()
    }

    /// The manifests whose `subject` is `digest`, whether or not the referrers API is on.
    #[must_use]
    pub fn referrers(&self, name: &str, digest: &Digest) -> Vec<Digest> {
        let state = self.state();
        let found = state.store.repositories.get(name).map(|one| one.referrers(digest)).unwrap_or_default();
        found.iter().filter_map(|one| one.get("digest")?.as_str()?.parse().ok()).collect()
    }

    /// The bytes of a blob.
    #[must_use]
    pub fn blob(&self, name: &str, digest: &Digest) -> Option<Bytes> {
        self.state().store.repositories.get(name)?.blobs.get(digest).cloned()
    }

    /// Points a tag to a digest without a push: the re-tagging attack. The digest need not exist.
    pub fn point_tag(&self, name: &str, tag: &str, digest: Digest) {
        self.state().repository_mut(name).tags.insert(tag.to_owned(), digest);
    }

    /// Takes a tag away and returns what it pointed to.
    pub fn take_tag(&self, name: &str, tag: &str) -> Option<Digest> {
        self.state().store.repositories.get_mut(name)?.tags.remove(tag)
    }

    /// Takes a manifest away with its tags; [`LabRegistry::put_manifest`] brings it back.
    pub fn take_manifest(&self, name: &str, digest: &Digest) -> Option<TakenManifest> {
        let (manifest, tags) = self.state().store.repositories.get_mut(name)?.remove(digest)?;
        Some(TakenManifest { digest: *digest, manifest, tags })
    }

    /// Stores a manifest and its tags without any check: also under a digest that is not its own.
    pub fn put_manifest(&self, name: &str, taken: TakenManifest) {
        let mut state = self.state();
        let repository = state.repository_mut(name);
        repository.manifests.insert(taken.digest, taken.manifest);
        repository.tags.extend(taken.tags.into_iter().map(|tag| (tag, taken.digest)));
    }

    /// Replaces the bytes served for a manifest; digest, type and tags stay.
    ///
    /// # Errors
    /// [`LabError::Missing`] when there is no such manifest.
    pub fn overwrite_manifest(&self, name: &str, digest: &Digest, bytes: Bytes) -> Result<(), LabError> {
        let mut state = self.state();
        let manifest = state.store.repositories.get_mut(name).and_then(|one| one.manifests.get_mut(digest));
        manifest.map(|manifest| manifest.bytes = bytes).ok_or_else(|| missing("manifest", name, digest))
    }

    /// Replaces the bytes served for a blob.
    ///
    /// # Errors
    /// [`LabError::Missing`] when there is no such blob.
    pub fn overwrite_blob(&self, name: &str, digest: &Digest, bytes: Bytes) -> Result<(), LabError> {
        let mut state = self.state();
        let blob = state.store.repositories.get_mut(name).and_then(|one| one.blobs.get_mut(digest));
        blob.map(|blob| *blob = bytes).ok_or_else(|| missing("blob", name, digest))
    }

    /// Stores a blob without any check, under any digest.
    pub fn put_blob(&self, name: &str, digest: Digest, bytes: Bytes) {
        self.state().repository_mut(name).blobs.insert(digest, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(kind: &str, name: &str, digest: &Digest) -> LabError {
    LabError::Missing { what: format!("{kind} {name}@{digest}") }
}
