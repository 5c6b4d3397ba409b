//! The real Rekor v2 and timestamp servers, beside the issuer and the certificate authority of the lab: trustctl signs against them, and what
//! comes out is judged by trustctl and cosign 3. They are built only when that is asked for; see `tests/setup/peers.sh`.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_tests::peers::Program;
use trustctl_tests::process::{Ready, Server, free_port, run};

use super::client::Client;
use super::stage::{STRANGER, Stage, accepts, denies, json};

/// What the log calls itself: the host of its address without the port, as clients expect it.
const ORIGIN: &str = "127.0.0.1";
const STARTED: &str = "2026-01-01T00:00:00Z";
const EXTENSIONS: &str = "[root]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n\
    [stamper]\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\nsubjectKeyIdentifier=hash\n\
    authorityKeyIdentifier=keyid\n";

/// The servers, and what clients must know of them.
struct Servers {
    log: Server,
    stamps: Server,
    root: String,
    config: String,
}

fn openssl(program: &Program, stage: &Stage, words: &str) {
    accepts(run(program.command(stage.home.path()).args(words.split(' ')), Duration::from_secs(30)).unwrap());
}

/// The bytes of the PEM block in a file.
fn der(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    STANDARD.decode(text.lines().filter(|line| !line.starts_with("-----")).collect::<String>()).unwrap()
}

/// Keys and certificates of both servers, made by openssl.
fn make_keys(program: &Program, stage: &Stage) {
    stage.write("extensions", EXTENSIONS);
    openssl(program, stage, "genpkey -algorithm ed25519 -out log.key");
    openssl(program, stage, "pkey -in log.key -pubout -out log.pub");
    for name in ["root", "stamper"] {
        openssl(program, stage, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
        openssl(program, stage, &format!("req -new -key {name}.key -subj /O=tests/CN={name} -out {name}.csr"));
    }
    let certificate = "x509 -req -days 30 -extfile extensions -extensions";
    openssl(program, stage, &format!("{certificate} root -in root.csr -signkey root.key -out root.pem"));
    openssl(
        program,
        stage,
        &format!("{certificate} stamper -in stamper.csr -CA root.pem -CAkey root.key -CAcreateserial -out stamper.pem"),
    );
    let chain = ["stamper.pem", "root.pem"].map(|name| std::fs::read_to_string(stage.path(name)).unwrap()).concat();
    stage.write("chain.pem", &chain);
}

impl Servers {
    fn start(stage: &Stage, rekor: &Program, timestamps: &Program) -> Self {
        let folder = stage.home.path();
        std::fs::create_dir(stage.path("entries")).unwrap();
        let log = Server::start("rekor-server", folder, &Ready::Http("/healthz".to_owned()), |port| {
            let mut command = rekor.command(folder);
            command.args(["serve", "--storage-dir", "entries", "--signer-filepath", "log.key", "--hostname", ORIGIN]);
            command.args(["--http-address", "127.0.0.1", "--grpc-address", "127.0.0.1", "--http-port", &port.to_string()]);
            command.args(["--grpc-port", &free_port()?.to_string(), "--http-metrics-port", &free_port()?.to_string()]);
            command.args(["--checkpoint-interval", "1s", "--batch-max-age", "50ms"]);
            Ok(command)
        });
        let stamps = Server::start("timestamp-server", folder, &Ready::Http("/ping".to_owned()), |port| {
            let mut command = timestamps.command(folder);
            command.args(["serve", "--timestamp-signer", "file", "--file-signer-key-path", "stamper.key"]);
            command.args(["--certificate-chain-path", "chain.pem", "--disable-ntp-monitoring"]);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            Ok(command)
        });
        let mut servers = Self { log: log.unwrap(), stamps: stamps.unwrap(), root: String::new(), config: String::new() };
        servers.root = stage.write("real-root.json", &servers.trusted_root(stage).to_string());
        servers.config = stage.write("real-config.json", &servers.signing_config(stage).to_string());
        servers
    }

    /// The lab's trusted root with these servers in place of the lab's.
    fn trusted_root(&self, stage: &Stage) -> Value {
        let key = der(&stage.path("log.pub"));
        // C2SP signed-note: an Ed25519 key is named by the hash of its owner, a line feed, 1 and its 32 bytes.
        let raw = key.split_at(key.len() - 32).1;
        let id = Digest::sha256_of(&[ORIGIN.as_bytes(), b"\n\x01", raw].concat());
        let window = json!({"start": STARTED});
        let certificates = ["stamper.pem", "root.pem"].map(|name| json!({"rawBytes": STANDARD.encode(der(&stage.path(name)))}));
        let mut root = json(stage.shared("trusted_root.json"));
        let members = root.as_object_mut().unwrap();
        members.insert("tlogs".to_owned(), json!([{
            "baseUrl": format!("http://{}", self.log.address()), "hashAlgorithm": "SHA2_256", "logId": {"keyId": STANDARD.encode(id.as_bytes())},
            "publicKey": {"rawBytes": STANDARD.encode(&key), "keyDetails": "PKIX_ED25519", "validFor": window},
        }]));
        members.insert(
            "timestampAuthorities".to_owned(),
            json!([{
                "subject": {"organization": "tests", "commonName": "stamper"}, "uri": format!("http://{}", self.stamps.address()),
                "certChain": {"certificates": certificates}, "validFor": window,
            }]),
        );
        root
    }

    /// The lab's signing config with these servers in place of the lab's.
    fn signing_config(&self, stage: &Stage) -> Value {
        let service = |url: String, version: u32| json!([{"url": url, "majorApiVersion": version, "operator": "tests", "validFor": {"start": STARTED}}]);
        let mut config = json(stage.config(trustctl_lab::sigstore::LogVersion::V2));
        let members = config.as_object_mut().unwrap();
        members.insert("rekorTlogUrls".to_owned(), service(format!("http://{}", self.log.address()), 2));
        members.insert("tsaUrls".to_owned(), service(format!("http://{}/api/v1/timestamp", self.stamps.address()), 1));
        config
    }
}

#[test]
fn trustctl_signs_with_the_real_log_and_timestamp_authority() {
    let (rekor, timestamps) = (need!(RekorServer), need!(TimestampServer));
    let (openssl, cosign) = (need!(Openssl), need!(Cosign3));
    let stage = Stage::new();
    make_keys(&openssl, &stage);
    let servers = Servers::start(&stage, &rekor, &timestamps);
    let (identity, issuer, image) = (Stage::claims().identity(), stage.issuer(), stage.image());
    let token = stage.token(&Stage::claims());
    let vouching = ["--signing-config", &servers.config, "--trusted-root", &servers.root, "--identity-token", &token];
    stage.done(&[&["sign", &image, "--tag", "1.4"], &vouching[..]].concat());
    stage.done(&[&["blob", "sign", "release", "--bundle", "ours.json"], &vouching[..]].concat());

    let trustctl = |identity: &str, root: &str| {
        let words = ["verify", &image, "--identity", identity, "--issuer", &issuer, "--trusted-root", root];
        stage.user.run(&words).unwrap()
    };
    assert_eq!(trustctl(STRANGER, &servers.root).code, Some(1));
    assert_eq!(trustctl(&identity, &stage.shared("trusted_root.json")).code, Some(1), "the lab's log is another");
    accepts(trustctl(&identity, &servers.root));

    let theirs = |identity: &str| {
        let words =
            ["verify", "--trusted-root", &servers.root, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
        stage.run(&cosign, &[&words[..], &["--use-signed-timestamps", "--allow-http-registry", &image]].concat(), &[])
    };
    denies(&theirs(STRANGER), "certificate identity");
    accepts(theirs(&identity));

    for client in Client::all() {
        client.judges_by(&stage, &servers.root, ("release", "ours.json"), "another");
    }
}
