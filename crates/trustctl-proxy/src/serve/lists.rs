//! Tags and referrers. They name things and serve none: what is named is judged when it is asked for.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reference::Tag;
use trustctl_remote::limits::{Deadline, MAX_MANIFEST};
use trustctl_remote::registry::ManifestName;

use super::{Proxy, Request};
use crate::answer::{self, Answer};
use crate::decide::Trouble;
use crate::request::MAX_PAGE;

impl Proxy {
    /// A page of the upstream's tags, in lexical order.
    pub(super) async fn tags(&self, request: &Request<'_>, name: &str, (limit, last): (Option<usize>, Option<&Tag>)) -> Answer {
        let repository = &request.place.repository;
        let all = match request.world.registry.tags(repository, Deadline::default()).await {
            Ok(Some(tags)) => tags,
            Ok(None) => {
                let words = format!("{repository} is not known to its registry");
                return answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &words, None);
            }
            Err(error) => return self.trouble(request, &Trouble::Unknown(error.reason())),
        };
        let mut tags: Vec<String> = all.into_iter().map(|tag| tag.as_str().to_owned()).collect();
        tags.sort_unstable();
        tags.dedup();
        if let Some(last) = last {
            let first = tags.partition_point(|tag| tag.as_str() <= last.as_str());
            tags.drain(..first);
        }
        let limit = limit.unwrap_or(MAX_PAGE);
        let is_more = tags.len() > limit;
        tags.truncate(limit);
        let more = tags.last().filter(|_| is_more).map(|last| (last.as_str(), limit));
        answer::tags(name, &tags, more)
    }

    /// What refers to a manifest: by the upstream's API, or by the index under its fallback tag.
    pub(super) async fn referrers(&self, request: &Request<'_>, digest: &Digest, artifact_type: Option<&str>) -> Answer {
        let repository = &request.place.repository;
        match self.admit(request, &ManifestName::Digest(*digest)).await {
            // What does not exist may have referrers all the same.
            Ok(()) | Err(Trouble::NotFound) => {}
            Err(trouble) => return self.trouble(request, &trouble),
        }
        let found = request.world.registry.referrers(repository, digest, MAX_MANIFEST, Deadline::default()).await;
        let index = match found {
            Ok(found) => found.map(|(bytes, _)| bytes),
            Err(error) => return self.trouble(request, &Trouble::Unknown(error.reason())),
        };
        let index = index.map_or_else(empty_index, Bytes::from);
        match artifact_type {
            None => answer::referrers(index, false),
            Some(wanted) => answer::referrers(filtered(&index, wanted), true),
        }
    }
}

fn empty_index() -> Bytes {
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] });
    Bytes::from(index.to_string())
}

/// The index with the entries of one artifact type alone.
fn filtered(index: &Bytes, wanted: &str) -> Bytes {
    let Ok(mut document) = serde_json::from_slice::<Value>(index) else { return empty_index() };
    if let Some(entries) = document.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.retain(|entry| entry.get("artifactType").and_then(Value::as_str) == Some(wanted));
    }
    Bytes::from(document.to_string())
}
