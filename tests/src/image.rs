//! Tiny images and indexes, made and pushed without any other program.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::{Request, Response};

/// Bytes with their media type, as a registry stores them.
#[derive(Clone, Debug)]
pub struct Content {
    /// The media type.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// An image of one layer with one small text file.
#[derive(Clone, Debug)]
pub struct Image {
    /// The image manifest.
    pub manifest: Content,
    /// The configuration blob.
    pub config: Content,
    /// The layer blob, an uncompressed tar archive.
    pub layer: Content,
    architecture: String,
}

/// An index over images of several architectures.
#[derive(Clone, Debug)]
pub struct Index {
    /// The image index.
    pub manifest: Content,
    /// The images it names.
    pub images: Vec<Image>,
}

/// A repository on a registry that speaks plain HTTP.
#[derive(Clone, Debug)]
pub struct Repository {
    address: String,
    name: String,
    authorization: Option<String>,
}

impl Content {
    /// Content from bytes.
    #[must_use]
    pub fn new(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: media_type.to_owned(), bytes: bytes.into() }
    }

    /// `sha256:HEX` of the bytes.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(digest(&SHA256, &self.bytes)))
    }

    /// The OCI descriptor of the content.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

impl Image {
    /// An amd64 image in OCI format; different words give different images.
    #[must_use]
    pub fn tiny(word: &str) -> Self {
        Self::of(word, "amd64")
    }

    /// An image for an architecture, in OCI format.
    #[must_use]
    pub fn of(word: &str, architecture: &str) -> Self {
        Self::build(word, architecture, &OCI)
    }

    /// An amd64 image in Docker's older format, schema 2.
    #[must_use]
    pub fn docker(word: &str) -> Self {
        Self::build(word, "amd64", &DOCKER)
    }

    fn build(word: &str, architecture: &str, types: &MediaTypes) -> Self {
        let layer = Content::new(types.layer, tar("word.txt", word.as_bytes()));
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["/word.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
        });
        let config = Content::new(types.config, config.to_string());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": types.manifest, "config": config.descriptor(), "layers": [layer.descriptor()],
        });
        let manifest = Content::new(types.manifest, manifest.to_string());
        Self { manifest, config, layer, architecture: architecture.to_owned() }
    }

    /// Pushes the image under a tag and returns its digest.
    ///
    /// # Errors
    /// [`Failure::Status`] when the registry refuses; [`Failure::Io`] and [`Failure::Http`] when it cannot be talked to.
    pub fn push(&self, repository: &Repository, tag: &str) -> Result<String, Failure> {
        repository.push_blob(&self.layer)?;
        repository.push_blob(&self.config)?;
        repository.push_manifest(&self.manifest, tag)
    }

    /// The digest of its manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        self.manifest.digest()
    }
}

impl Index {
    /// An OCI index over an amd64 and an arm64 image.
    #[must_use]
    pub fn two_architectures(word: &str) -> Self {
        let images: Vec<Image> = ["amd64", "arm64"].iter().map(|architecture| Image::of(word, architecture)).collect();
        let manifests: Vec<Value> = images.iter().map(entry).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        Self { manifest: Content::new(INDEX, manifest.to_string()), images }
    }

    /// Pushes the images by digest and the index under a tag, and returns the index's digest.
    ///
    /// # Errors
    /// As [`Image::push`].
    pub fn push(&self, repository: &Repository, tag: &str) -> Result<String, Failure> {
        for image in &self.images {
            image.push(repository, &image.digest())?;
        }
        repository.push_manifest(&self.manifest, tag)
    }

    /// The digest of the index.
    #[must_use]
    pub fn digest(&self) -> String {
        self.manifest.digest()
    }
}

impl Repository {
    /// A repository on a registry at `HOST:PORT` that needs no credentials.
    #[must_use]
    pub fn new(address: impl Into<String>, name: &str) -> Self {
        Self { address: address.into(), name: name.to_owned(), authorization: None }
    }

    /// The same repository, talked to with this `Authorization` header.
    #[must_use]
    pub fn authorized(mut self, authorization: impl Into<String>) -> Self {
        self.authorization = Some(authorization.into());
        self
    }

    /// `HOST:PORT/NAME:TAG`.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.address, self.name)
    }

    /// `HOST:PORT/NAME@DIGEST`.
    #[must_use]
    pub fn at(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.address, self.name)
    }

    /// Sends a request for `/v2/NAME/REST`; any status is a result.
    ///
    /// # Errors
    /// [`Failure::Io`] and [`Failure::Http`] when the registry cannot be talked to.
    pub fn ask(&self, method: &str, rest: &str) -> Result<Response, Failure> {
        let mut request = self.request(method, &format!("/v2/{}/{rest}", self.name));
        for media_type in [OCI.manifest, DOCKER.manifest, INDEX] {
            request = request.header("Accept", media_type);
        }
        request.send(&self.address)
    }

    /// Stores a blob.
    ///
    /// # Errors
    /// As [`Image::push`].
    pub fn push_blob(&self, blob: &Content) -> Result<(), Failure> {
        let request = self.request("POST", &format!("/v2/{}/blobs/uploads/", self.name));
        let begun = request.send(&self.address)?.expect(&request, &[202])?;
        let location = begun.headers.first("Location").unwrap_or_default();
        let path = location.strip_prefix("http://").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        let path = path.unwrap_or(location);
        let joint = if path.contains('?') { '&' } else { '?' };
        let request = self.request("PUT", &format!("{path}{joint}digest={}", blob.digest()));
        let request = request.body("application/octet-stream", &blob.bytes);
        request.send(&self.address)?.expect(&request, &[201])?;
        Ok(())
    }

    /// Stores a manifest or index under a tag or its digest, and returns its digest.
    ///
    /// # Errors
    /// As [`Image::push`].
    pub fn push_manifest(&self, manifest: &Content, reference: &str) -> Result<String, Failure> {
        let request = self.request("PUT", &format!("/v2/{}/manifests/{reference}", self.name));
        let request = request.body(&manifest.media_type, &manifest.bytes);
        request.send(&self.address)?.expect(&request, &[201])?;
        Ok(manifest.digest())
    }

    fn request(&self, method: &str, target: &str) -> Request {
        let request = Request::new(method, target);
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization.as_str()),
            None => request,
        }
    }
}

struct MediaTypes {
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

fn entry(image: &Image) -> Value {
    let mut descriptor = image.manifest.descriptor();
    if let Some(members) = descriptor.as_object_mut() {
        members.insert("platform".to_owned(), json!({"architecture": image.architecture, "os": "linux"}));
    }
    descriptor
}

/// A tar archive (ustar) with one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut fields: Vec<(usize, Vec<u8>)> = vec![
        (0, name.as_bytes().to_vec()),
        (100, b"0000644\0".to_vec()),
        (108, b"0000000\0".to_vec()),
        (116, b"0000000\0".to_vec()),
        (124, format!("{:011o}\0", content.len()).into_bytes()),
        (136, b"00000000000\0".to_vec()),
        (148, b"        ".to_vec()),
        (156, b"0".to_vec()),
        (257, b"ustar\x0000".to_vec()),
    ];
    let sum: u32 = fields.iter().flat_map(|(_, bytes)| bytes).copied().map(u32::from).sum();
    fields.push((148, format!("{sum:06o}\0 ").into_bytes()));
    let mut archive = vec![0; 512];
    for (start, bytes) in fields {
        for (place, byte) in archive.iter_mut().skip(start).zip(bytes) {
            *place = byte;
        }
    }
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI: MediaTypes = MediaTypes {
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar",
};
const DOCKER: MediaTypes = MediaTypes {
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar",
};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::run_with_input;

    #[test]
    fn the_real_tar_reads_a_layer() {
        let mut command = Command::new("tar");
        command.args(["-xO", "-f", "-", "word.txt"]);
        let ran =
            run_with_input(&mut command, std::time::Duration::from_secs(5), &tar("word.txt", b"hello")).unwrap().ok().unwrap();
        assert_eq!(ran.stdout, "hello");
    }

    #[test]
    fn different_words_are_different_images() {
        assert_ne!(Image::tiny("a").digest(), Image::tiny("b").digest());
        assert_eq!(Image::tiny("a").digest(), Image::tiny("a").digest());
    }
}
