//! The client for Notary servers against the real notary-server, with collections made by the real notary.
//!
//! Both programs are in the Debian package `notary`; without them the tests say loudly that they were skipped.
#![cfg(unix)]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;
use trustctl_remote::credentials::Credentials;
use trustctl_remote::error::RemoteError;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::notary::{Notary, NotaryServers, RoleFile, ServerRole, network_for_notary};

const MAX: u64 = 1024 * 1024;

/// A running notary-server that keeps everything in memory. Stopped when dropped.
struct Server {
    process: Child,
    folder: TempDir,
    address: String,
    scheme: &'static str,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// `None`, said loudly, when the programs are not there.
    fn start(with_tls: bool) -> Option<Self> {
        let there = |program| Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !there("notary") || !there("notary-server") {
            eprintln!("SKIPPED: notary and notary-server are not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut listen = json!({"http_addr": address});
        if with_tls {
            write_certificates(folder.path());
            listen["tls_cert_file"] = json!("server.crt");
            listen["tls_key_file"] = json!("server.key");
        }
        let config = json!({"server": listen, "trust_service": {"type": "local"}, "storage": {"backend": "memory"}});
        let file = folder.path().join("server.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new("notary-server");
        command.arg("-config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let server = Self { process, folder, address, scheme: if with_tls { "https" } else { "http" } };
        let started = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "notary-server does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    fn trust_dir(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// Runs the real notary on a server at `url`.
    fn notary_cli(&self, url: &str, arguments: &[&str]) {
        let mut command = Command::new("notary");
        command.args(["-s", url, "-d"]).arg(self.trust_dir());
        if self.scheme == "https" {
            command.arg("--tlscacert").arg(self.folder.path().join("ca.crt"));
        }
        for role in ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"] {
            command.env(format!("NOTARY_{role}_PASSPHRASE"), "long-enough");
        }
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn client(&self) -> Notary {
        Notary::new(Http::new(Network::default()), Credentials::none(), NotaryServers::default().with_server(self.url()))
    }
}

fn write_certificates(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(folder.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("server.crt"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

fn gun() -> Repository {
    "localhost:14005/demo/app".parse().unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn add(server: &Server, url: &str, tag: &str) {
    let hash = Digest::sha256_of(tag.as_bytes()).hex();
    server.notary_cli(url, &["addhash", "-p", &gun().to_string(), tag, "100", "--sha256", &hash]);
}

async fn file(notary: &Notary, name: &str) -> Option<Vec<u8>> {
    notary.file((&gun(), name), MAX, soon()).await.unwrap()
}

fn version(bytes: &[u8]) -> u64 {
    serde_json::from_slice::<Value>(bytes).unwrap()["signed"]["version"].as_u64().unwrap()
}

/// A server in between that hands everything on but the next upload, which it keeps: what the real client wanted to send.
fn catch_upload(behind: &str) -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    let behind = behind.to_owned();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (head, body) = read_request(&mut client);
            if head.starts_with("POST") {
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                sender.send(body).unwrap();
                continue;
            }
            let mut server = TcpStream::connect(&behind).unwrap();
            server.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            client.write_all(&answer).unwrap();
        }
    });
    (url, receiver)
}

fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            assert_ne!(count, 0, "half a request");
            continue;
        };
        let head = String::from_utf8(bytes[..end + 4].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |text| text.parse().unwrap());
        if bytes.len() >= end + 4 + length {
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

/// Role and content of every part of an upload.
fn parts(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let boundary = text.lines().next().unwrap().to_owned();
    let parts = text.split(&boundary).filter_map(|part| part.trim_start().split_once("\r\n\r\n"));
    parts
        .map(|(head, content)| {
            let role = head.split("filename=\"").nth(1).unwrap().split('"').next().unwrap();
            (role.to_owned(), content.strip_suffix("\r\n").unwrap().to_owned())
        })
        .collect()
}

fn role_files(parts: &[(String, String)]) -> Vec<RoleFile<'_>> {
    parts.iter().map(|(role, content)| RoleFile { role, bytes: content.as_bytes() }).collect()
}

#[tokio::test]
async fn what_the_real_notary_published_is_read_by_every_name() {
    let Some(server) = Server::start(false) else { return };
    let notary = server.client();
    assert_eq!(file(&notary, "root.json").await, None, "the real server's 404 is understood");
    server.notary_cli(&server.url(), &["init", "-p", &gun().to_string()]);
    add(&server, &server.url(), "1.0");
    // The publisher's own cache is one publishing behind until it reads again.
    server.notary_cli(&server.url(), &["list", &gun().to_string()]);
    let cached =
        |name: &str| std::fs::read(server.trust_dir().join("tuf").join(gun().to_string()).join("metadata").join(name)).unwrap();
    for name in ["root.json", "targets.json", "snapshot.json"] {
        assert_eq!(file(&notary, name).await.unwrap(), cached(name), "{name}");
    }
    let snapshot = Digest::sha256_of(&cached("snapshot.json")).hex();
    assert_eq!(file(&notary, &format!("snapshot.{snapshot}.json")).await.unwrap(), cached("snapshot.json"));
    assert_eq!(file(&notary, "1.root.json").await.unwrap(), cached("root.json"));
    assert_eq!(file(&notary, "2.root.json").await, None);
    assert_eq!(file(&notary, "targets/releases.json").await, None);
    let too_large = notary.file((&gun(), "root.json"), 100, soon()).await.unwrap_err();
    assert_eq!(too_large.code(), Code::TooLarge);

    let changes = notary.changes(&gun(), "0", soon()).await.unwrap();
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|change| change.gun == gun().to_string() && change.category == "update"));
    assert_eq!(notary.changes(&gun(), &changes[0].id, soon()).await.unwrap(), changes[1..]);
}

#[tokio::test]
async fn uploads_are_taken_outdated_or_refused_as_the_real_server_says() {
    let Some(server) = Server::start(false) else { return };
    let notary = server.client();
    server.notary_cli(&server.url(), &["init", "-p", &gun().to_string()]);
    let (url, uploads) = catch_upload(&server.address);
    add(&server, &url, "1.0");
    let mut upload = parts(&uploads.recv_timeout(Duration::from_secs(5)).unwrap());
    // The client sends its parts in any order.
    upload.sort_by(|(one, _), (other, _)| other.cmp(one));
    assert_eq!(upload.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), ["targets", "snapshot"]);
    let before = version(&file(&notary, "targets.json").await.unwrap());

    let mut tampered = upload.clone();
    tampered[0].1 = tampered[0].1.replace("1.0", "6.6");
    let error = notary.publish(&gun(), &role_files(&tampered), soon()).await.unwrap_err();
    assert!(matches!(&error, RemoteError::UploadRefused { detail, .. } if detail.contains("ErrBadTargets")), "{error}");
    assert_eq!(error.code(), Code::DctPublishRefused);
    let error = notary.publish(&gun(), &role_files(&upload[..1]), soon()).await.unwrap_err();
    assert!(matches!(&error, RemoteError::UploadRefused { detail, .. } if detail.contains("ErrBadHierarchy")), "{error}");
    assert_eq!(version(&file(&notary, "targets.json").await.unwrap()), before, "nothing of it was taken");

    notary.publish(&gun(), &role_files(&upload), soon()).await.unwrap();
    let fresh = notary.fresh();
    assert_eq!(file(&fresh, "targets.json").await.unwrap(), upload[0].1.as_bytes());
    assert_eq!(version(&file(&fresh, "timestamp.json").await.unwrap()), 2, "the server signed a new timestamp");
    let error = notary.publish(&gun(), &role_files(&upload), soon()).await.unwrap_err();
    assert!(matches!(error, RemoteError::OutdatedUpload { .. }), "{error}");
    let error = notary.publish(&gun(), &[], soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::DctPublishRefused, "the server holds no snapshot key with which to sign anew: {error}");
}

#[tokio::test]
async fn keys_are_made_and_rotated_and_collections_deleted() {
    let Some(server) = Server::start(false) else { return };
    let notary = server.client();
    let key = notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&key).unwrap()["keytype"], "ed25519");
    assert_ne!(notary.server_key(&gun(), ServerRole::Snapshot, soon()).await.unwrap(), key);
    assert_ne!(notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap(), key, "a new one until a root names one");
    server.notary_cli(&server.url(), &["init", "-p", &gun().to_string()]);
    let key = notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap();
    let public = serde_json::from_slice::<Value>(&key).unwrap()["keyval"]["public"].as_str().unwrap().to_owned();
    let root: Value = serde_json::from_slice(&file(&notary, "root.json").await.unwrap()).unwrap();
    assert!(root["signed"]["keys"].to_string().contains(&public));
    assert_eq!(notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap(), key);
    assert_ne!(notary.rotate_server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap(), key);
    notary.delete(&gun(), soon()).await.unwrap();
    assert_eq!(file(&notary.fresh(), "timestamp.json").await, None);
    notary.delete(&gun(), soon()).await.unwrap();
}

#[tokio::test]
async fn tls_is_checked_on_loopback_too_with_the_ca_where_docker_keeps_it() {
    let Some(server) = Server::start(true) else { return };
    server.notary_cli(&server.url(), &["init", "-p", &gun().to_string()]);
    let error = server.client().file((&gun(), "root.json"), MAX, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains(&format!("tls/{}", server.address)), "it says where the CA belongs: {error}");

    let docker = server.folder.path().join("docker");
    let folder = docker.join("tls").join(&server.address);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(server.folder.path().join("ca.crt"), folder.join("ca.crt")).unwrap();
    let network = network_for_notary(Network::default(), |name| (name == "DOCKER_CONFIG").then(|| docker.clone().into()));
    let servers = NotaryServers::default().with_server(server.url());
    let notary = Notary::new(Http::new(network), Credentials::none(), servers);
    assert!(file(&notary, "root.json").await.is_some());
}
