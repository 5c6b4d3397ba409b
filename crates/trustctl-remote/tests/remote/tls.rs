//! TLS: who is trusted, and finding out who speaks it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use trustctl_core::reason::Code;
use trustctl_remote::error::RemoteError;
use trustctl_remote::http::origin::{Origin, Scheme};
use trustctl_remote::http::{Http, Request, Response};

use crate::server::{Server, answer, redirect};
use crate::{network, soon};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

fn acceptor(certificate: &rcgen::Certificate, key: &KeyPair, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

/// A `certs.d` folder with files for one server.
fn folder(address: &str, files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(address);
    fs::create_dir(&own).unwrap();
    for (name, text) in files {
        fs::write(own.join(name), text).unwrap();
    }
    folder
}

fn client(folder: &Path) -> Http {
    let mut network = network();
    network.certificates = vec![folder.to_owned()];
    Http::new(network)
}

async fn ask(http: &Http, address: &str) -> Result<Response, RemoteError> {
    http.send(&Request::get(Origin::of_registry(address).unwrap(), "/v2/", 100), soon()).await
}

async fn tls_server(authority: &Authority, name: &str, clients: Option<&Authority>) -> Server {
    let (certificate, key) = authority.issue(name);
    Server::start_tls(acceptor(&certificate, &key, clients), |_| answer(200, "x/y", "over tls")).await
}

#[tokio::test]
async fn certificates_in_certs_d_are_trusted_and_tls_is_spoken_at_once() {
    let authority = Authority::new();
    let server = tls_server(&authority, "127.0.0.1", None).await;
    let certs = folder(&server.address, &[("ca.crt", authority.certificate.pem())]);
    let http = client(certs.path());
    assert_eq!(ask(&http, &server.address).await.unwrap().body, "over tls");
    assert_eq!(http.counts().requests, 1);
}

#[tokio::test]
async fn without_them_the_certificate_is_refused_and_named_as_the_trouble() {
    let server = tls_server(&Authority::new(), "127.0.0.1", None).await;
    let http = Http::new(network());
    let error = ask(&http, &server.address).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("issuer is not trusted"), "{error}");
    assert!(server.seen().is_empty());
    assert_eq!(http.counts().requests, 2, "asking again would not help");
    let step = error.reason().next.remove(0).text;
    assert!(step.contains(&format!("certs.d/{}/ca.crt", server.address)), "{step}");
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let authority = Authority::new();
    let server = tls_server(&authority, "registry.example", None).await;
    let certs = folder(&server.address, &[("ca.crt", authority.certificate.pem())]);
    let error = ask(&client(certs.path()), &server.address).await.unwrap_err();
    assert!(error.to_string().contains("the certificate is for another name"), "{error}");

    let server = tls_server(&authority, "127.0.0.1", None).await;
    let certs = folder(&server.address, &[("ca.crt", Authority::new().certificate.pem())]);
    let error = ask(&client(certs.path()), &server.address).await.unwrap_err();
    assert!(error.to_string().contains("TLS failed"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_self_signed_root_may_be_the_server_when_the_user_says_so() {
    for (name, accepted) in [("127.0.0.1", true), ("registry.example", false)] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let server = Server::start_tls(acceptor(&certificate, &key, None), |_| answer(200, "x/y", "own root")).await;
        let certs = folder(&server.address, &[("ca.crt", certificate.pem())]);
        assert_eq!(ask(&client(certs.path()), &server.address).await.is_ok(), accepted, "{name}");
    }
}

#[tokio::test]
async fn an_expired_self_signed_root_is_refused() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let server = Server::start_tls(acceptor(&certificate, &key, None), |_| answer(200, "x/y", "old")).await;
    let certs = folder(&server.address, &[("ca.crt", certificate.pem())]);
    let error = ask(&client(certs.path()), &server.address).await.unwrap_err();
    assert!(error.to_string().contains("the certificate has expired"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_given() {
    let authority = Authority::new();
    let server = tls_server(&authority, "127.0.0.1", Some(&authority)).await;
    let root = ("ca.crt", authority.certificate.pem());
    let error = ask(&client(folder(&server.address, std::slice::from_ref(&root)).path()), &server.address).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);

    let (certificate, key) = authority.issue("client");
    let files = [root, ("client.cert", certificate.pem()), ("client.key", key.serialize_pem())];
    let certs = folder(&server.address, &files);
    assert_eq!(ask(&client(certs.path()), &server.address).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_folder_that_is_not_complete_is_an_error() {
    let authority = Authority::new();
    let server = tls_server(&authority, "127.0.0.1", None).await;
    let (certificate, key) = authority.issue("client");
    for (files, expected) in [
        (vec![("client.cert", certificate.pem())], "client.key"),
        (vec![("client.key", key.serialize_pem())], "no .cert file"),
        (vec![("ca.crt", "nothing".to_owned())], "no PEM certificate"),
    ] {
        let certs = folder(&server.address, &files);
        let error = ask(&client(certs.path()), &server.address).await.unwrap_err();
        assert_eq!(error.code(), Code::ConfigUnusable);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn tls_on_loopback_is_found_out_once() {
    let authority = Authority::new();
    let server = tls_server(&authority, "127.0.0.1", None).await;
    // The root is known, but not in a folder for this server, as with SSL_CERT_FILE: the plain try comes first.
    let http = Http::new(network());
    let error = ask(&http, &server.address).await.unwrap_err();
    assert!(error.to_string().contains("TLS failed"), "{error}");
    assert_eq!(http.counts().requests, 2, "one plain try, one over TLS");
    assert_eq!(http.scheme_of(&Origin::of_registry(&server.address).unwrap()), None::<Scheme>);
}

#[tokio::test]
async fn a_redirect_never_leaves_tls() {
    let plain = Server::start(|_| answer(200, "x/y", "plain")).await;
    let target = plain.url("/blob");
    let authority = Authority::new();
    let (certificate, key) = authority.issue("127.0.0.1");
    let server = Server::start_tls(acceptor(&certificate, &key, None), move |_| redirect(target.clone())).await;
    let certs = folder(&server.address, &[("ca.crt", authority.certificate.pem())]);
    let error = ask(&client(certs.path()), &server.address).await.unwrap_err();
    assert_eq!(error.code(), Code::BadAnswer);
    assert!(error.to_string().contains("without TLS"), "{error}");
    assert!(plain.seen().is_empty());
}

/// The part of [`ssl_cert_file_is_honoured`] that runs in a process with the variable set.
#[tokio::test]
#[ignore = "run by ssl_cert_file_is_honoured"]
async fn asks_the_server_named_in_the_environment() {
    let address = std::env::var("TRUSTCTL_TEST_SERVER").unwrap();
    let expected = std::env::var("TRUSTCTL_TEST_ERROR").unwrap();
    match ask(&Http::new(network()), &address).await {
        Ok(response) => assert_eq!((response.body.as_ref(), expected.as_str()), (b"own root".as_slice(), "")),
        Err(error) => assert!(!expected.is_empty() && error.to_string().contains(&expected), "{error}"),
    }
}

#[tokio::test]
async fn ssl_cert_file_is_honoured() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("127.0.0.1");
    let issued = Server::start_tls(acceptor(&certificate, &key, None), |_| answer(200, "x/y", "own root")).await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let self_signed = Server::start_tls(acceptor(&root, &key, None), |_| answer(200, "x/y", "own root")).await;

    for (server, trusted, expected) in [
        (&issued, Some(authority.certificate.pem()), ""),
        (&issued, Some(root.pem()), "not signed by an issuer that is trusted"),
        (&issued, None, "ssl.pem"),
        (&self_signed, Some(root.pem()), ""),
        (&self_signed, Some(authority.certificate.pem()), "TLS failed"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssl.pem");
        if let Some(pem) = trusted {
            fs::write(&file, pem).unwrap();
        }
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--ignored", "tls::asks_the_server_named_in_the_environment"]);
        child.env("SSL_CERT_FILE", &file).env("TRUSTCTL_TEST_SERVER", &server.address).env("TRUSTCTL_TEST_ERROR", expected);
        let output = child.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{expected}: {text}");
    }
}
