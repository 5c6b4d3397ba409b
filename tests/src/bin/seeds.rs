//! Writes the seed corpus of the fuzz targets: what the program itself makes when it signs in the lab.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, EvidenceFile, Locator};
use trustctl_core::time::Timestamp;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::Claims;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_proxy::audit::line::Head;
use trustctl_proxy::store::{Parent, TagRecord, form};
use trustctl_tests::failure::Failure;
use trustctl_tests::program::User;

fn main() -> Result<(), Failure> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let world = World::start(WorldOptions::default()).map_err(|error| Failure::Output(error.to_string()))?;
    world.push("shop/cart:1.4", &Artifact::multi_platform("seed")).map_err(|error| Failure::Output(error.to_string()))?;
    let home = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
    let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
    let user = ["COSIGN_PASSWORD", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"]
        .into_iter()
        .fold(user, |user, name| user.with(name, "seeds seeds"));
    let image = world.name("shop/cart:1.4");
    let keys = home.path().join("keys");
    for (name, format) in [("cosign", "cosign"), ("alice", "notary"), ("plain", "pkcs8")] {
        user.run(&[
            "key",
            "generate",
            name,
            "--format",
            format,
            "--to",
            &keys.display().to_string(),
            "--passphrase",
            "env:COSIGN_PASSWORD",
        ])?
        .ok()?;
    }
    let key = keys.join("cosign.key").display().to_string();
    user.run(&[
        "sign",
        &image,
        "--resolve-tag",
        "--key",
        &key,
        "--storage",
        "both",
        "--scheme",
        "cosign",
        "--scheme",
        "dct",
        "-a",
        "a=b",
    ])?
    .ok()?;
    user.run(&[
        "revoke",
        &image,
        "--resolve-tag",
        "--key",
        &key,
        "--reason",
        "mistake",
        "--message",
        "seed",
        "--keep-signatures",
        "--yes",
    ])?
    .ok()?;
    let policy = home.path().join("policy.toml");
    let public = keys.join("cosign.pub").display().to_string();
    user.run(&["policy", "init", &policy.display().to_string(), "--key", &public, "--dct-root", &"0".repeat(64)])?.ok()?;
    let evidence = home.path().join("evidence.json");
    let words = [
        "verify",
        &image,
        "--key",
        &public,
        "--danger-trust-on-first-use",
        "--danger-no-memory",
        "--save-evidence",
        &evidence.display().to_string(),
    ];
    drop(user.run(&words)?);

    let seeds = Seeds { corpus };
    for name in ["cosign.key", "alice.key", "plain.key"] {
        seeds.write("key_files", &read(&keys.join(name))?)?;
    }
    seeds.write("public_key", &read(&keys.join("cosign.pub"))?)?;
    seeds.write("policy", &read(&policy)?)?;
    for text in [
        "alpine:3.20",
        "localhost:5000/demo/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "[::1]:5000/a__b/c-d:v1",
    ] {
        seeds.write("reference", text.as_bytes())?;
    }
    seeds.write("trusted_root", trustctl_sigstore::keyless::PUBLIC_GOOD.as_bytes())?;
    seeds.write_vouched(&user, &world)?;
    seeds.write("signing_config", trustctl_sigstore::signing_config::PUBLIC_GOOD.as_bytes())?;
    let token = world.sigstore().token(&Claims::github("acme/shop", "refs/tags/v1"));
    seeds.write("identity_token", token.map_err(|error| Failure::Output(error.to_string()))?.as_bytes())?;
    seeds.write("tuf_refresh", trustctl_sigstore::tuf::PUBLIC_GOOD_ROOT)?;
    seeds.write_samples()?;
    seeds.write_proxy()?;
    let file = read(&evidence)?;
    seeds.write("evidence", &file)?;
    seeds.write_evidence(&file)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Io { what: path.display().to_string(), source })
}

struct Seeds {
    corpus: PathBuf,
}

impl Seeds {
    /// Writes a seed under its own digest, so that the same seed is there once.
    fn write(&self, target: &str, bytes: &[u8]) -> Result<(), Failure> {
        let folder = self.corpus.join(target);
        let name = Digest::sha256_of(bytes).hex();
        let path = folder.join(name.get(..16).unwrap_or(&name));
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|source| Failure::Io { what: path.display().to_string(), source })
    }

    /// Writes what the lab's services say of a file that is signed by identity, to the targets that read its parts.
    fn write_vouched(&self, user: &User, world: &World) -> Result<(), Failure> {
        let output = |error: &dyn std::fmt::Display| Failure::Output(error.to_string());
        let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
        let token = world.write_token(&Claims::github("acme/shop", "refs/tags/v1")).map_err(|error| output(&error))?;
        let subject = user.home().join("file");
        std::fs::write(&subject, "file").map_err(|source| Failure::Io { what: "a file".to_owned(), source })?;
        let (config, root, token) = (file("signing_config.json"), file("trusted_root.json"), token.display().to_string());
        let words = ["blob", "sign", "file", "--identity-token", &token, "--signing-config", &config, "--trusted-root", &root];
        user.run(&words)?.ok()?;
        let bundle = read(&user.home().join("file.sigstore.json"))?;
        self.write("keyless_bundle", &bundle)?;
        let bundle: Value = serde_json::from_slice(&bundle).map_err(|error| output(&error))?;
        let part = |at: &str| {
            let text = bundle.pointer(at).and_then(Value::as_str).unwrap_or_default();
            STANDARD.decode(text).map_err(|error| output(&error))
        };
        let certificate = part("/verificationMaterial/certificate/rawBytes")?;
        self.write("certificate", &certificate)?;
        self.write_answers(&bundle, &certificate)?;
        // The extension's value: an octet string around the list, behind the name 1.3.6.1.4.1.11129.2.4.2.
        let name = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
        if let Some(at) = certificate.windows(name.len()).position(|window| window == name) {
            let rest = certificate.get(at + name.len()..).unwrap_or_default();
            // The certificate's value (tag and length) and then the list's, of fewer than 128 bytes in the lab.
            let length = rest.get(1).map_or(0, |length| usize::from(*length));
            let content = rest.get(2..length + 2);
            self.write("certificate_timestamps", content.unwrap_or_default())?;
        }
        self.write("log_body", &part("/verificationMaterial/tlogEntries/0/canonicalizedBody")?)?;
        self.write("log_body", b"own")?;
        self.write(
            "timestamp_token",
            &part("/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp")?,
        )?;
        let checkpoint = bundle.pointer("/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope");
        self.write("checkpoint", checkpoint.and_then(Value::as_str).unwrap_or_default().as_bytes())?;
        self.write("checkpoint", b"@own@")?;
        self.write("inclusion_proof", &[0; 96])
    }

    /// Writes what services answer to whoever signs: Fulcio's chain, Rekor's entry, and the authority's timestamp.
    fn write_answers(&self, bundle: &Value, certificate: &[u8]) -> Result<(), Failure> {
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate));
        let chain = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [pem]}}});
        let entry = bundle.pointer("/verificationMaterial/tlogEntries/0").cloned().unwrap_or_default();
        let stamp = bundle.pointer("/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp");
        let stamp = STANDARD.decode(stamp.and_then(Value::as_str).unwrap_or_default());
        let stamp = stamp.map_err(|error| Failure::Output(error.to_string()))?;
        for answer in [chain.to_string().as_bytes(), entry.to_string().as_bytes(), &stamp] {
            self.write("signing_answers", answer)?;
        }
        Ok(())
    }

    /// Writes the samples of the page on attestation policies: documents, policies, and each policy's conditions with each document.
    fn write_samples(&self) -> Result<(), Failure> {
        let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to/attestation-policies.md"))?;
        let files = trustctl_tests::pages::files(&String::from_utf8_lossy(&page));
        let (documents, policies): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name.ends_with(".json"));
        for (_, document) in &documents {
            self.write("predicate", document.as_bytes())?;
        }
        for (_, policy) in policies {
            self.write("policy", policy.as_bytes())?;
            for conditions in policy.split("where = [\n").skip(1).filter_map(|rest| rest.split("\n]\n").next()) {
                for (_, document) in &documents {
                    self.write("conditions", format!("{conditions}\n---\n{document}").as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Writes what the proxy keeps: an audit log, and entries of its store.
    fn write_proxy(&self) -> Result<(), Failure> {
        let output = |error: &dyn std::fmt::Display| Failure::Output(error.to_string());
        let (mut log, mut head) = (String::new(), Head::default());
        for (kind, fields) in [("decision", r#""outcome":"served""#), ("lost", r#""count":2"#), ("torn-line", "")] {
            let (line, next) = head.next(Timestamp::UNIX_EPOCH, kind, fields);
            log.push_str(&line);
            log.push('\n');
            head = next;
            self.write("audit_log", log.as_bytes())?;
        }
        let digest = Digest::sha256_of(b"seed");
        let mut parents = form::Parents::default();
        for parent in [Parent::Manifest(digest), Parent::Artifact(digest)] {
            parents.add(&parent);
        }
        self.write("proxy_store", &form::stamped(1, &parents.write().map_err(|error| output(&error))?))?;
        let record = TagRecord { digest, size: 4, media_type: "text/plain".to_owned(), at: Timestamp::UNIX_EPOCH };
        self.write("proxy_store", &form::stamped(1, &form::write_tag(&record).map_err(|error| output(&error))?))
    }

    /// Writes the pieces of evidence to the targets that read their like.
    fn write_evidence(&self, file: &[u8]) -> Result<(), Failure> {
        self.write("proxy_store", &form::stamped(1, file))?;
        let file = EvidenceFile::from_json(file).map_err(|error| Failure::Output(error.to_string()))?;
        for (locator, entry) in file.evidence.iter() {
            let Entry::Present { bytes, .. } = entry else { continue };
            match locator {
                Locator::Notary { .. } => {
                    self.write("notary_metadata", bytes)?;
                    self.write("canonical_json", bytes)?;
                }
                Locator::Blob { .. } if bytes.starts_with(b"{\"critical\"") => self.write("simple_signing", bytes)?,
                Locator::Blob { .. } => {
                    self.write("predicate", bytes)?;
                    self.write("bundle", bytes)?;
                    let envelope = serde_json::from_slice::<Value>(bytes).ok();
                    if let Some(envelope) = envelope.as_ref().and_then(|bundle| bundle.get("dsseEnvelope")) {
                        self.write("dsse", envelope.to_string().as_bytes())?;
                    }
                    self.write("keyless_bundle", bytes)?;
                }
                _ => self.write("manifest", bytes)?,
            }
        }
        Ok(())
    }
}
