//! Blobs: pull (whole or a range), delete, and uploads in one piece, in chunks, or by mounting.

use bytes::Bytes;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, LOCATION, RANGE};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;

use super::site::{MAX_BLOB, MAX_UPLOADS, Refusal, State, Upload, digest_invalid, method_not_allowed, parse_digest, refusal};
use crate::access::random_name;
use crate::answer::{self, Answer};

impl State {
    pub(crate) fn blob(&mut self, request: &Request<Bytes>, name: &str, digest: &str) -> Result<Answer, Refusal> {
        let digest = parse_digest(digest)?;
        match *request.method() {
            Method::GET | Method::HEAD => {
                let blob = self.repository(name)?.blobs.get(&digest).ok_or_else(|| blob_unknown(&digest))?;
                let answer = ranged(request, blob);
                Ok(answer::with(answer, "docker-content-digest", digest.to_string()))
            }
            Method::DELETE if self.settings.deletion => {
                self.repository(name)?;
                let gone = self.repository_mut(name).blobs.remove(&digest).is_some();
                if gone { Ok(answer::empty(StatusCode::ACCEPTED)) } else { Err(blob_unknown(&digest)) }
            }
            _ => Err(method_not_allowed()),
        }
    }

    /// `POST …/blobs/uploads/`: mounts, takes the whole blob, or opens a session.
    pub(crate) fn start_upload(&mut self, request: &Request<Bytes>, name: &str) -> Result<Answer, Refusal> {
        if request.method() != Method::POST {
            return Err(method_not_allowed());
        }
        let query = request.uri().query();
        if let Some(digest) = answer::query(query, "digest") {
            return self.store_blob(name, &digest, request.body().clone());
        }
        if let (Some(digest), Some(from)) = (answer::query(query, "mount"), answer::query(query, "from")) {
            let digest = parse_digest(&digest)?;
            let found = self.store.repositories.get(&from).and_then(|other| other.blobs.get(&digest)).cloned();
            if let Some(blob) = found {
                self.repository_mut(name).blobs.insert(digest, blob);
                return Ok(created(name, &digest));
            }
        }
        if self.uploads.len() >= MAX_UPLOADS {
            self.uploads.pop_first();
        }
        let id = random_name();
        self.uploads.insert(id.clone(), Upload { name: name.to_owned(), bytes: Vec::new() });
        Ok(progress(StatusCode::ACCEPTED, name, &id, 0))
    }

    /// A session that was opened: status, one more chunk, the end, or giving up.
    pub(crate) fn upload(&mut self, request: &Request<Bytes>, name: &str, id: &str) -> Result<Answer, Refusal> {
        let known = self.uploads.get(id).filter(|upload| upload.name == name).map(|upload| upload.bytes.len());
        let so_far = known.ok_or_else(|| {
            refusal(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", Value::Null)
        })?;
        match *request.method() {
            Method::GET => Ok(progress(StatusCode::NO_CONTENT, name, id, so_far)),
            Method::PATCH => {
                let length = self.append(request, id, so_far)?;
                Ok(progress(StatusCode::ACCEPTED, name, id, length))
            }
            Method::PUT => {
                let digest = answer::query(request.uri().query(), "digest").unwrap_or_default();
                parse_digest(&digest)?;
                self.append(request, id, so_far)?;
                let upload = self.uploads.remove(id).map(|upload| upload.bytes).unwrap_or_default();
                self.store_blob(name, &digest, upload.into())
            }
            Method::DELETE => {
                self.uploads.remove(id);
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(method_not_allowed()),
        }
    }

    /// Appends the body to a session and returns its new length.
    fn append(&mut self, request: &Request<Bytes>, id: &str, so_far: usize) -> Result<usize, Refusal> {
        let chunk = request.body();
        let range = request.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let start = range.and_then(|range| range.trim_start_matches("bytes ").split_once('-')).map(|(start, _)| start);
        if start.is_some_and(|start| start.parse() != Ok(so_far)) {
            let mut out_of_order = answer::empty(StatusCode::RANGE_NOT_SATISFIABLE);
            answer::set(&mut out_of_order, RANGE, format!("0-{}", so_far.saturating_sub(1)));
            return Err(Box::new(out_of_order));
        }
        if so_far.saturating_add(chunk.len()) > MAX_BLOB {
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "blob is too large for this lab", Value::Null));
        }
        self.make_room(chunk.len())?;
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.bytes.extend_from_slice(chunk);
        }
        Ok(so_far + chunk.len())
    }

    fn store_blob(&mut self, name: &str, digest: &str, bytes: Bytes) -> Result<Answer, Refusal> {
        let parsed = parse_digest(digest)?;
        if self.settings.checks_digests && !parsed.matches(&bytes) {
            return Err(digest_invalid(digest));
        }
        self.make_room(bytes.len())?;
        self.repository_mut(name).blobs.insert(parsed, bytes);
        Ok(created(name, &parsed))
    }
}

fn blob_unknown(digest: &Digest) -> Refusal {
    refusal(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry", json!({"digest": digest}))
}

fn created(name: &str, digest: &Digest) -> Answer {
    let mut answer = answer::empty(StatusCode::CREATED);
    answer::set(&mut answer, LOCATION, format!("/v2/{name}/blobs/{digest}"));
    answer::with(answer, "docker-content-digest", digest.to_string())
}

fn progress(status: StatusCode, name: &str, id: &str, length: usize) -> Answer {
    let mut answer = answer::empty(status);
    answer::set(&mut answer, LOCATION, format!("/v2/{name}/blobs/uploads/{id}"));
    answer::set(&mut answer, RANGE, format!("0-{}", length.saturating_sub(1)));
    answer::with(answer, "docker-upload-uuid", id)
}

/// The blob, or the one range of it that the request asks for (RFC 9110, section 14). Several ranges are answered with the whole.
fn ranged(request: &Request<Bytes>, blob: &Bytes) -> Answer {
    let asked = request.headers().get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("bytes="));
    let Some(asked) = asked.filter(|asked| !asked.contains(',')) else {
        let mut answer = answer::bytes(StatusCode::OK, OCTETS, blob.clone());
        answer::set(&mut answer, ACCEPT_RANGES, "bytes");
        return answer;
    };
    let Some((start, end)) = bounds(asked, blob.len()) else {
        let mut answer = answer::empty(StatusCode::RANGE_NOT_SATISFIABLE);
        answer::set(&mut answer, CONTENT_RANGE, format!("bytes */{}", blob.len()));
        return answer;
    };
    let mut answer = answer::bytes(StatusCode::PARTIAL_CONTENT, OCTETS, blob.slice(start..=end));
    answer::set(&mut answer, CONTENT_RANGE, format!("bytes {start}-{end}/{}", blob.len()));
    answer
}

/// First and last byte of `1-2`, `1-` or `-2` in something of `length`.
fn bounds(asked: &str, length: usize) -> Option<(usize, usize)> {
    let last = length.checked_sub(1)?;
    let (start, end) = match asked.split_once('-')? {
        ("", count) => (length.saturating_sub(count.parse::<usize>().ok().filter(|count| *count > 0)?), last),
        (start, "") => (start.parse().ok()?, last),
        (start, end) => (start.parse().ok()?, end.parse::<usize>().ok()?.min(last)),
    };
    (start <= end).then_some((start, end))
}

const OCTETS: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_or_refused() {
        assert_eq!(bounds("0-3", 10), Some((0, 3)));
        assert_eq!(bounds("4-", 10), Some((4, 9)));
        assert_eq!(bounds("-3", 10), Some((7, 9)));
        assert_eq!(bounds("-30", 10), Some((0, 9)));
        assert_eq!(bounds("5-99", 10), Some((5, 9)));
        for bad in ["10-", "3-2", "-0", "x-y", "5"] {
            assert_eq!(bounds(bad, 10), None, "{bad}");
        }
        assert_eq!(bounds("0-", 0), None);
    }
}
