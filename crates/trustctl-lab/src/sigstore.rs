//! A Sigstore in memory: OpenID Connect issuer, Fulcio, Rekor v1 and v2, and a timestamp authority, which real clients sign against.
//!
//! Every check that the real services make of a request is made here too: tokens, proofs of possession, signatures in log entries. Faults
//! are committed on demand ([`crate::faults`]), also those that only a bad log or authority commits ([`crate::faults::Part`]).

mod certificate;
mod configuration;
mod fulcio;
mod issuer;
mod keys;
mod log;
mod merkle;
mod refusal;
mod rekor;
mod service;
mod timestamps;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;

pub use issuer::Claims;
pub use service::Service;

use crate::clock::Clock;
use crate::error::LabError;
use crate::server::{Listen, Server};
use certificate::{Window, pem};
use configuration::{Asked, Trusted, TrustedAuthority, TrustedLog};
use fulcio::{FulcioKeys, FulcioSite};
use issuer::{Issuer, IssuerSite};
use keys::{Key, sha256};
use log::Log;
use rekor::first::{RekorSite, TreeId};
use rekor::tiles::TilesSite;
use service::ServiceTime;
use timestamps::{StampKeys, StampSite};

/// How a [`LabSigstore`] starts. The default: free ports, the machine's time.
#[derive(Clone, Debug, Default)]
pub struct SigstoreOptions {
    /// The time of all services.
    pub clock: Clock,
    /// The loopback ports; 0 lets the system choose.
    pub ports: SigstorePorts,
}

/// The loopback ports of the services; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigstorePorts {
    /// Of Fulcio.
    pub fulcio: u16,
    /// Of the OpenID Connect issuer.
    pub issuer: u16,
    /// Of Rekor v1.
    pub rekor: u16,
    /// Of Rekor v2.
    pub tiles: u16,
    /// Of the timestamp authority.
    pub timestamps: u16,
}

/// A version of the transparency log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogVersion {
    /// Rekor v1: every kind of entry, promises, its own time.
    V1,
    /// Rekor v2: `hashedrekord` entries only, tiles, no time of its own.
    V2,
}

/// A running Sigstore; it stops, and its keys are gone, when this value is dropped.
#[derive(Debug)]
pub struct LabSigstore {
    fulcio: Service,
    issuer: Service,
    rekor: Service,
    tiles: Service,
    timestamps: Service,
    tokens: Arc<Issuer>,
    fulcio_keys: Arc<FulcioKeys>,
    stamp_keys: Arc<StampKeys>,
    first_log: Arc<Mutex<Log>>,
    second_log: Arc<Mutex<Log>>,
    since: Timestamp,
    trusted_root: String,
}

impl LabSigstore {
    /// Starts all five services on 127.0.0.1, each on a thread of its own, with new keys.
    ///
    /// # Errors
    /// [`LabError::Io`] when a port is taken or a thread cannot start; [`LabError::Crypto`] and [`LabError::Der`] when keys or
    /// certificates cannot be made.
    pub fn start(options: SigstoreOptions) -> Result<Self, LabError> {
        let SigstoreOptions { clock, ports } = options;
        let now = clock.now();
        let window = Window { from: now.saturating_sub(PAST), until: now.saturating_add(FUTURE) };
        let fulcio_keys = Arc::new(FulcioKeys::create(window)?);
        let stamp_keys = Arc::new(StampKeys::create(window)?);
        let (tokens, issuer) = start_issuer(&clock, ports.issuer)?;
        let fulcio = start_fulcio(&clock, ports.fulcio, &fulcio_keys, &tokens)?;
        let (first_log, rekor) = start_rekor(&clock, ports.rekor)?;
        let (second_log, tiles) = start_tiles(&clock, ports.tiles)?;
        let timestamps = start_timestamps(&clock, ports.timestamps, &stamp_keys)?;
        let since = window.from;
        let mut lab = Self {
            fulcio,
            issuer,
            rekor,
            tiles,
            timestamps,
            tokens,
            fulcio_keys,
            stamp_keys,
            first_log,
            second_log,
            since,
            trusted_root: String::new(),
        };
        lab.trusted_root = lab.write_trusted_root()?;
        Ok(lab)
    }

    /// The OpenID Connect issuer. Its paths: `/.well-known/openid-configuration`, `/keys`, `/auth`, `/token`, `/device/code`,
    /// `/actions/token`.
    #[must_use]
    pub fn issuer(&self) -> &Service {
        &self.issuer
    }

    /// The certificate authority.
    #[must_use]
    pub fn fulcio(&self) -> &Service {
        &self.fulcio
    }

    /// The transparency log of version 1.
    #[must_use]
    pub fn rekor(&self) -> &Service {
        &self.rekor
    }

    /// The transparency log of version 2.
    #[must_use]
    pub fn tiles(&self) -> &Service {
        &self.tiles
    }

    /// The timestamp authority.
    #[must_use]
    pub fn timestamps(&self) -> &Service {
        &self.timestamps
    }

    /// Where timestamps are asked for: the URL that signing configurations name.
    #[must_use]
    pub fn timestamp_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.timestamps.url())
    }

    /// A token of the issuer with these claims, for `sigstore` unless they name another audience.
    ///
    /// # Errors
    /// [`LabError::Crypto`] when it cannot be signed.
    pub fn token(&self, claims: &Claims) -> Result<String, LabError> {
        self.tokens.token(claims, Issuer::AUDIENCE)
    }

    /// Sets who the tokens of the GitHub-style endpoint are for.
    pub fn set_workload(&self, claims: Claims) {
        self.tokens.set_workload(claims);
    }

    /// Sets who logs in by browser or device.
    pub fn set_login(&self, claims: Claims) {
        self.tokens.set_login(claims);
    }

    /// Sets how often a device that asks is told to wait before its login is approved.
    pub fn set_device_polls(&self, polls: u32) {
        self.tokens.set_device_polls(polls);
    }

    /// The variables that make a program believe it runs in GitHub Actions with the permission to ask for tokens.
    #[must_use]
    pub fn workload_environment(&self) -> Vec<(&'static str, String)> {
        self.tokens.workload_environment()
    }

    /// The trusted root, JSON, version 0.1: both logs, Fulcio, its certificate log and the timestamp authority.
    #[must_use]
    pub fn trusted_root(&self) -> &str {
        &self.trusted_root
    }

    /// The trusted root as an anchor with the usual thresholds.
    #[must_use]
    pub fn anchor(&self) -> SigstoreAnchor {
        SigstoreAnchor { name: None, trusted_root: self.trusted_root.as_bytes().into(), thresholds: Thresholds::default() }
    }

    /// A signing configuration, JSON, version 0.2, with this log, Fulcio, the issuer and the timestamp authority.
    #[must_use]
    pub fn signing_config(&self, log: LogVersion) -> String {
        let (log, log_version) = match log {
            LogVersion::V1 => (self.rekor.url(), 1),
            LogVersion::V2 => (self.tiles.url(), 2),
        };
        let (fulcio, issuer, timestamps) = (self.fulcio.url(), self.issuer.url(), self.timestamp_url());
        format!("{:#}", Asked { fulcio, issuer, log, log_version, timestamps, since: self.since }.to_json())
    }

    /// The bodies of all entries of a log, the oldest first.
    #[must_use]
    pub fn entries(&self, log: LogVersion) -> Vec<Value> {
        let log = match log {
            LogVersion::V1 => &self.first_log,
            LogVersion::V2 => &self.second_log,
        };
        log.lock().unwrap_or_else(PoisonError::into_inner).values()
    }

    /// The key of the certificate transparency log, PEM: `SIGSTORE_CT_LOG_PUBLIC_KEY_FILE`.
    #[must_use]
    pub fn certificate_log_key_pem(&self) -> String {
        self.fulcio_keys.log().to_pem()
    }

    /// The key of Rekor v1, PEM: `SIGSTORE_REKOR_PUBLIC_KEY`.
    #[must_use]
    pub fn rekor_key_pem(&self) -> String {
        self.first_log.lock().unwrap_or_else(PoisonError::into_inner).key.public().to_pem()
    }

    /// The key of Rekor v2, PEM.
    #[must_use]
    pub fn tiles_key_pem(&self) -> String {
        self.second_log.lock().unwrap_or_else(PoisonError::into_inner).key.public().to_pem()
    }

    /// Fulcio's authorities, PEM, the issuing one first: `SIGSTORE_ROOT_FILE`.
    ///
    /// # Errors
    /// [`LabError::Der`].
    pub fn fulcio_chain_pem(&self) -> Result<String, LabError> {
        pem(self.fulcio_keys.chain())
    }

    /// The timestamp authority's certificates, PEM, the stamping one first: `SIGSTORE_TSA_CERTIFICATE_FILE`.
    ///
    /// # Errors
    /// [`LabError::Der`].
    pub fn timestamp_chain_pem(&self) -> Result<String, LabError> {
        pem(self.stamp_keys.chain())
    }

    fn write_trusted_root(&self) -> Result<String, LabError> {
        let (first, second) = (
            self.first_log.lock().unwrap_or_else(PoisonError::into_inner),
            self.second_log.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let certificate_log = self.fulcio_keys.log();
        let trusted = Trusted {
            logs: vec![
                TrustedLog { url: self.rekor.url(), key: first.key.public(), id: first.id() },
                TrustedLog { url: self.tiles.url(), key: second.key.public(), id: second.id() },
            ],
            certificate_log: TrustedLog {
                url: format!("{}/ct", self.fulcio.url()),
                key: certificate_log,
                id: &sha256(certificate_log.spki_der()),
            },
            fulcio: TrustedAuthority { name: "lab-fulcio", url: self.fulcio.url(), chain: self.fulcio_keys.chain() },
            timestamps: TrustedAuthority { name: "lab-tsa", url: self.timestamp_url(), chain: self.stamp_keys.chain() },
            since: self.since,
        };
        Ok(format!("{:#}", trusted.to_json()?))
    }
}

fn start_issuer(clock: &Clock, port: u16) -> Result<(Arc<Issuer>, Service), LabError> {
    let time = ServiceTime::new(clock);
    let mut started = None;
    let server = Server::start(listen("lab-issuer", port), |address| {
        let issuer = Arc::new(Issuer::new(format!("http://{address}"), time.clone()));
        started = Some(issuer.clone());
        IssuerSite(issuer)
    })?;
    let issuer = started.ok_or(LabError::Crypto)?;
    Ok((issuer, Service::new(server, time)))
}

fn start_fulcio(clock: &Clock, port: u16, keys: &Arc<FulcioKeys>, issuer: &Arc<Issuer>) -> Result<Service, LabError> {
    let time = ServiceTime::new(clock);
    let site = FulcioSite { keys: keys.clone(), issuer: issuer.clone(), time: time.clone() };
    Ok(Service::new(Server::start(listen("lab-fulcio", port), |_| site)?, time))
}

fn start_rekor(clock: &Clock, port: u16) -> Result<(Arc<Mutex<Log>>, Service), LabError> {
    let time = ServiceTime::new(clock);
    let key = Key::p256()?;
    let tree = TreeId::of(&sha256(key.public().spki_der()));
    let log = Arc::new(Mutex::new(Log::new(key, &tree.origin(HOST), HOST)?));
    let site = RekorSite { log: log.clone(), tree, time: time.clone() };
    Ok((log, Service::new(Server::start(listen("lab-rekor", port), |_| site)?, time)))
}

fn start_tiles(clock: &Clock, port: u16) -> Result<(Arc<Mutex<Log>>, Service), LabError> {
    let log = Arc::new(Mutex::new(Log::new(Key::ed25519()?, HOST, HOST)?));
    let site = TilesSite(log.clone());
    Ok((log, Service::new(Server::start(listen("lab-tiles", port), |_| site)?, ServiceTime::new(clock))))
}

fn start_timestamps(clock: &Clock, port: u16, keys: &Arc<StampKeys>) -> Result<Service, LabError> {
    let time = ServiceTime::new(clock);
    let site = StampSite { keys: keys.clone(), time: time.clone() };
    Ok(Service::new(Server::start(listen("lab-timestamps", port), |_| site)?, time))
}

fn listen(name: &'static str, port: u16) -> Listen {
    Listen { name, port, tls: None }
}

/// The name of both logs: the host of their URLs, without the port, which is what clients of Rekor v2 look for.
const HOST: &str = "127.0.0.1";
/// How long before its start everything of a lab is valid, so that clocks may be set back.
const PAST: Duration = Duration::from_secs(366 * 86_400);
/// How long after its start everything of a lab is valid.
const FUTURE: Duration = Duration::from_secs(10 * 366 * 86_400);
