//! Manifests: pull, push and delete by tag or digest.

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reference::Tag;

use super::site::{Refusal, State, digest_invalid, method_not_allowed, parse_digest, refusal};
use super::store::Manifest;
use crate::answer::{self, Answer};

impl State {
    pub(crate) fn manifest(&mut self, request: &Request<Bytes>, name: &str, reference: &str) -> Result<Answer, Refusal> {
        match *request.method() {
            Method::GET | Method::HEAD => self.pull(request, name, reference),
            Method::PUT => self.push(request, name, reference),
            Method::DELETE => self.delete_manifest(name, reference),
            _ => Err(method_not_allowed()),
        }
    }

    fn pull(&self, request: &Request<Bytes>, name: &str, reference: &str) -> Result<Answer, Refusal> {
        if reference.contains(':') {
            parse_digest(reference)?;
        }
        let (digest, manifest) = self.repository(name)?.find(reference).ok_or_else(|| manifest_unknown(reference))?;
        if !self.accepts(request, &manifest.media_type) {
            let message = format!("{} found, but accept header does not support it", manifest.media_type);
            return Err(refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message, Value::Null));
        }
        let answer = answer::bytes(StatusCode::OK, &manifest.media_type, manifest.bytes.clone());
        let answer = answer::with(answer, "docker-content-digest", digest.to_string());
        Ok(answer::with(answer, "etag", format!("\"{digest}\"")))
    }

    fn accepts(&self, request: &Request<Bytes>, media_type: &str) -> bool {
        let values: Vec<&str> = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let types = || values.iter().flat_map(|value| value.split(',')).filter_map(|one| one.split(';').next()).map(str::trim);
        let named = types().any(|one| one == media_type);
        if self.settings.strict_accept {
            // docker-registry assumes its oldest type for clients that say nothing of use, and converts nothing else to it.
            return named || media_type == DOCKER_MANIFEST;
        }
        named || values.is_empty() || types().any(|one| one == "*/*" || one == "application/*")
    }

    fn push(&mut self, request: &Request<Bytes>, name: &str, reference: &str) -> Result<Answer, Refusal> {
        let body = request.body();
        if body.len() > MAX_MANIFEST {
            let message = "manifest is larger than 4 MiB";
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message, Value::Null));
        }
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let value = parse(body, media_type)?;
        let (digest, tag) = self.place(name, reference, body)?;
        self.check_parts(name, &value)?;
        self.make_room(body.len())?;
        let subject = value.pointer("/subject/digest").and_then(Value::as_str);
        let repository = self.repository_mut(name);
        repository.manifests.insert(digest, Manifest { media_type: media_type.to_owned(), bytes: body.clone() });
        if let Some(tag) = tag {
            repository.tags.insert(tag, digest);
        }
        let mut answer = answer::empty(StatusCode::CREATED);
        answer::set(&mut answer, LOCATION, format!("/v2/{name}/manifests/{digest}"));
        if let Some(subject) = subject.filter(|_| self.settings.referrers && self.settings.subject_header) {
            answer = answer::with(answer, "oci-subject", subject);
        }
        Ok(answer::with(answer, "docker-content-digest", digest.to_string()))
    }

    /// Under which digest, and with which tag, a manifest goes.
    fn place(&self, name: &str, reference: &str, body: &Bytes) -> Result<(Digest, Option<String>), Refusal> {
        if reference.contains(':') {
            let digest = parse_digest(reference)?;
            if self.settings.checks_digests && !digest.matches(body) {
                return Err(digest_invalid(reference));
            }
            return Ok((digest, None));
        }
        let digest = Digest::sha256_of(body);
        if reference.parse::<Tag>().is_err() {
            return Err(refusal(StatusCode::BAD_REQUEST, "TAG_INVALID", "manifest tag is not valid", json!({"tag": reference})));
        }
        let taken = self.store.repositories.get(name).and_then(|repository| repository.tags.get(reference));
        if self.settings.immutable_tags && taken.is_some_and(|other| *other != digest) {
            let message = format!("the tag {reference:?} already exists in {name:?}, whose tags are immutable");
            return Err(refusal(StatusCode::BAD_REQUEST, "TAG_INVALID", &message, Value::Null));
        }
        Ok((digest, Some(reference.to_owned())))
    }

    /// Everything that a manifest names must be here already, except its subject.
    fn check_parts(&self, name: &str, manifest: &Value) -> Result<(), Refusal> {
        let repository = self.store.repositories.get(name);
        let unknown = |digest: &str| {
            let detail = json!({"digest": digest});
            refusal(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", detail)
        };
        let listed = |field: &str| manifest.get(field).and_then(Value::as_array).into_iter().flatten();
        let blobs = manifest.get("config").into_iter().chain(listed("layers"));
        for digest in blobs.filter_map(digest_of_present) {
            let found = digest.parse().is_ok_and(|digest| repository.is_some_and(|one| one.blobs.contains_key(&digest)));
            if !found {
                return Err(unknown(digest));
            }
        }
        for digest in listed("manifests").filter_map(digest_of_present) {
            let found = digest.parse().is_ok_and(|digest| repository.is_some_and(|one| one.manifests.contains_key(&digest)));
            if !found {
                return Err(unknown(digest));
            }
        }
        Ok(())
    }

    fn delete_manifest(&mut self, name: &str, reference: &str) -> Result<Answer, Refusal> {
        let by_digest = reference.contains(':');
        if !self.settings.deletion || (!by_digest && !self.settings.tag_deletion) {
            return Err(method_not_allowed());
        }
        self.repository(name)?;
        let repository = self.repository_mut(name);
        let gone = if by_digest {
            repository.remove(&parse_digest(reference)?).is_some()
        } else {
            repository.tags.remove(reference).is_some()
        };
        if gone { Ok(answer::empty(StatusCode::ACCEPTED)) } else { Err(manifest_unknown(reference)) }
    }
}

fn manifest_unknown(reference: &str) -> Refusal {
    let detail = json!({"Tag": reference});
    refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown", detail)
}

/// The digest of a descriptor whose content has to be here; foreign layers (with `urls`) need not be.
fn digest_of_present(descriptor: &Value) -> Option<&str> {
    let foreign = descriptor.get("urls").and_then(Value::as_array).is_some_and(|urls| !urls.is_empty());
    if foreign { None } else { descriptor.get("digest")?.as_str() }
}

fn parse(body: &Bytes, media_type: &str) -> Result<Value, Refusal> {
    let invalid = |message: &str| refusal(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message, Value::Null);
    if media_type.is_empty() {
        return Err(invalid("the manifest's Content-Type is missing"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| invalid("the manifest is not JSON"))?;
    if value.get("schemaVersion") != Some(&json!(2)) {
        return Err(invalid("schemaVersion is not 2"));
    }
    match value.get("mediaType") {
        Some(own) if own.as_str() != Some(media_type) => Err(invalid("mediaType and Content-Type differ")),
        _ => Ok(value),
    }
}

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What most registries take at most, in bytes.
const MAX_MANIFEST: usize = 4 << 20;
