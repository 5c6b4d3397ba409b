//! Writes the seed corpus of the fuzz targets: what the program itself makes when it signs in the lab.

use std::path::{Path, PathBuf};

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, EvidenceFile, Locator};
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
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

    /// Writes the pieces of evidence to the targets that read their like.
    fn write_evidence(&self, file: &[u8]) -> Result<(), Failure> {
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
                    self.write("bundle", bytes)?;
                    self.write("keyless_bundle", bytes)?;
                }
                _ => self.write("manifest", bytes)?,
            }
        }
        Ok(())
    }
}
