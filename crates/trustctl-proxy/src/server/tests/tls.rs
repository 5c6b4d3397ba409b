//! TLS: reload, and certificates of clients.

use std::path::Path;

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trustctl_core::reason::Code;

use super::*;
use crate::config::{ClientAuthority, TlsFiles};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certify(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

fn write(folder: &Path, identity: &Identity) {
    std::fs::write(folder.join("tls.key"), &identity.key).unwrap();
    std::fs::write(folder.join("tls.crt"), &identity.certificate).unwrap();
}

fn listen(folder: &Path, clients: Option<bool>) -> Listen {
    let clients = clients.map(|required| ClientAuthority { authority: folder.join("clients.crt"), required });
    let tls = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key"), clients };
    Listen { address: "127.0.0.1:0".parse().unwrap(), tls: Some(tls) }
}

/// A connection to `address`.
async fn connect(address: SocketAddr, authority: &Authority, client: Option<&Identity>) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// The answer to `/client`, and the certificate that was shown.
async fn ask(address: SocketAddr, authority: &Authority, client: Option<&Identity>) -> io::Result<(String, Vec<u8>)> {
    let mut stream = connect(address, authority, client).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream.write_all(b"GET /client HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?;
    Ok((answer, shown))
}

/// A listener with a certificate of its own, and how to get through to it.
pub(super) async fn listener(folder: &Path) -> (Listen, impl AsyncFn(SocketAddr) -> TlsStream<TcpStream>) {
    let authority = Authority::new();
    write(folder, &authority.certify("server"));
    (listen(folder, None), async move |address| connect(address, &authority, None).await.unwrap())
}

#[tokio::test]
async fn a_new_certificate_is_served_and_a_broken_one_is_not() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), &authority.certify("first"));
    let mut server = Running::start_on(&listen(folder.path(), None), LIMITS).await;
    let (answer, first) = ask(server.address, &authority, None).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("subject: None"), "{answer}");

    let second = authority.certify("second");
    write(folder.path(), &second);
    let wanted = CertificateDer::from_pem_slice(second.certificate.as_bytes()).unwrap();
    // The two files may be seen while one is new and the other old; that is a notice, and then the new certificate.
    within(async { while ask(server.address, &authority, None).await.unwrap().1 != wanted.as_ref() {} }).await;
    assert_ne!(first, wanted.as_ref());

    std::fs::write(folder.path().join("tls.crt"), "nonsense").unwrap();
    let notice = within(async {
        loop {
            let notice = server.notices.recv().await.unwrap();
            if notice.message.contains("no certificate") {
                break notice;
            }
        }
    });
    let notice = notice.await;
    assert!(notice.code == Code::ProxyCertificateKept && notice.message.contains("tls.crt"), "{notice}");
    assert_eq!(ask(server.address, &authority, None).await.unwrap().1, wanted.as_ref(), "the old one stays");
    assert!(server.stop().await);
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let (authority, other, folder) = (Authority::new(), Authority::new(), TempDir::new().unwrap());
    write(folder.path(), &authority.certify("server"));
    std::fs::write(folder.path().join("clients.crt"), &authority.pem).unwrap();
    let server = Running::start_on(&listen(folder.path(), Some(true)), LIMITS).await;
    let known = authority.certify("node-1");
    let (answer, _) = ask(server.address, &authority, Some(&known)).await.unwrap();
    assert!(answer.contains("subject: Some(\"CN=node-1"), "{answer}");
    assert!(ask(server.address, &authority, None).await.is_err());
    assert!(ask(server.address, &authority, Some(&other.certify("node-1"))).await.is_err());

    let optional = Running::start_on(&listen(folder.path(), Some(false)), LIMITS).await;
    assert!(ask(optional.address, &authority, None).await.unwrap().0.contains("subject: None"));
    assert!(ask(optional.address, &authority, Some(&other.certify("node-1"))).await.is_err());
}

#[tokio::test]
async fn files_that_do_not_fit_refuse_the_start() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let refused = |clients| {
        let listen = listen(folder.path(), clients);
        async move { Server::bind(&[listen], LIMITS).await.err().unwrap() }
    };
    let reason = refused(None).await;
    assert!(reason.code == Code::ProxyCertificate && reason.message.contains("tls.crt"), "{reason}");
    let (one, two) = (authority.certify("one"), authority.certify("two"));
    write(folder.path(), &Identity { certificate: one.certificate.clone(), key: two.key });
    assert!(refused(None).await.message.contains("with its key"));
    write(folder.path(), &Identity { certificate: one.key.clone(), key: one.key.clone() });
    assert!(refused(None).await.message.contains("no certificate"));
    write(folder.path(), &Identity { certificate: one.certificate.clone(), key: one.certificate.clone() });
    assert!(refused(None).await.message.contains("tls.key"));
    write(folder.path(), &one);
    assert!(refused(Some(true)).await.message.contains("clients.crt"));
}
