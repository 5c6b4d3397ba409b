//! TLS of a listener: its files, loaded once and again when they change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trustctl_core::reason::{Code, Reason};

use super::Notices;
use crate::config::{ClientAuthority, TlsFiles};

/// Most bytes of a certificate or key file: bundles of all public roots have a quarter of that.
const MAX_FILE: u64 = 1024 * 1024;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Takes TLS connections with the newest usable files.
#[derive(Clone)]
pub(super) struct Acceptor {
    files: TlsFiles,
    current: Arc<RwLock<Arc<ServerConfig>>>,
    seen: Marks,
}

/// What tells a file from what it was before. A folder of symbolic links that is swapped as a whole shows in the inode.
type Marks = Vec<Option<(u64, u64, i64, i64, u64)>>;

impl Acceptor {
    pub(super) async fn load(files: TlsFiles) -> Result<Self, Reason> {
        let loaded = tokio::task::spawn_blocking(move || {
            let seen = marks(&files);
            let config = load(&files)?;
            Ok(Self { files, current: Arc::new(RwLock::new(Arc::new(config))), seen })
        });
        loaded.await.map_err(|_| Reason::new(Code::ProxyCertificate, "loading the certificates was interrupted"))?
    }

    pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> io::Result<TlsStream<T>> {
        let config = self.current.read().map(|current| current.clone()).map_err(|_| io::ErrorKind::Other)?;
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Looks at the files for ever. New ones that are usable serve the next connection; of others it is told once.
    pub(super) async fn reload(mut self, notices: Notices) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let (files, seen) = (self.files.clone(), self.seen.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let now = marks(&files);
                (now != seen).then(|| (now, load(&files)))
            });
            let Ok(Some((now, loaded))) = looked.await else { continue };
            self.seen = now;
            match loaded {
                Ok(config) => {
                    if let Ok(mut current) = self.current.write() {
                        *current = Arc::new(config);
                    }
                }
                Err(reason) => notices(&Reason::new(Code::ProxyCertificateKept, reason.message)),
            }
        }
    }
}

fn marks(files: &TlsFiles) -> Marks {
    let clients = files.clients.as_ref().map(|clients| &clients.authority);
    let mark = |path: &std::path::PathBuf| {
        fs::metadata(path).ok().map(|data| (data.dev(), data.ino(), data.mtime(), data.mtime_nsec(), data.len()))
    };
    [&files.certificate, &files.key].into_iter().chain(clients).map(mark).collect()
}

fn load(files: &TlsFiles) -> Result<ServerConfig, Reason> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| unusable(&files.key, &format!("no private key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, &error.to_string()))?;
    let builder = match &files.clients {
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| unusable(&files.certificate, &format!("with its key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(clients: &ClientAuthority) -> Result<Arc<dyn ClientCertVerifier>, Reason> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&clients.authority)? {
        roots.add(certificate).map_err(|error| unusable(&clients.authority, &error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| unusable(&clients.authority, &error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(path, "no certificate in PEM")),
        Err(error) => Err(unusable(path, &error.to_string())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Reason> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| unusable(path, &error.to_string()))?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| unusable(path, &error.to_string()))?;
    Ok(bytes)
}

fn unusable(path: &Path, why: &str) -> Reason {
    Reason::new(Code::ProxyCertificate, format!("{}: {why}", path.display()))
}
