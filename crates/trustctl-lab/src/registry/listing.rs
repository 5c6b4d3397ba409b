//! Lists with paging: tags, referrers, repositories.

use bytes::Bytes;
use hyper::header::LINK;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::site::{Refusal, State, method_not_allowed, parse_digest};
use crate::answer::{self, Answer};

impl State {
    pub(crate) fn tags(&self, request: &Request<Bytes>, name: &str) -> Result<Answer, Refusal> {
        only_get(request)?;
        let tags: Vec<String> = self.repository(name)?.tags.keys().cloned().collect();
        let (page, next) = self.page(request, tags, String::clone);
        let answer = answer::json_value(StatusCode::OK, &json!({"name": name, "tags": page}));
        Ok(linked(answer, &format!("/v2/{name}/tags/list"), next))
    }

    pub(crate) fn catalog(&self, request: &Request<Bytes>) -> Answer {
        let names: Vec<String> = self.store.repositories.keys().cloned().collect();
        let (page, next) = self.page(request, names, String::clone);
        linked(answer::json_value(StatusCode::OK, &json!({"repositories": page})), "/v2/_catalog", next)
    }

    /// The referrers of a digest, also of one that is not here (OCI distribution 1.1, "Listing Referrers").
    pub(crate) fn referrers(&self, request: &Request<Bytes>, name: &str, digest: &str) -> Result<Answer, Refusal> {
        only_get(request)?;
        if !self.settings.referrers {
            return Ok(answer::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        let digest = parse_digest(digest)?;
        let all = self.store.repositories.get(name).map(|repository| repository.referrers(&digest)).unwrap_or_default();
        let wanted = answer::query(request.uri().query(), "artifactType").filter(|_| self.settings.referrers_filter);
        let fits = |one: &Value| wanted.is_none() || one.get("artifactType").and_then(Value::as_str) == wanted.as_deref();
        let fitting: Vec<Value> = all.into_iter().filter(fits).collect();
        let own_digest = |one: &Value| one.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (page, next) = self.page(request, fitting, own_digest);
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page});
        let mut answer = answer::bytes(StatusCode::OK, OCI_INDEX, index.to_string());
        let mut path = format!("/v2/{name}/referrers/{digest}");
        if let Some(wanted) = wanted {
            answer = answer::with(answer, "oci-filters-applied", "artifactType");
            path = format!("{path}?artifactType={}", wanted.replace('+', "%2B"));
        }
        Ok(linked(answer, &path, next))
    }

    /// One page of `items`, which are in the order of `key`: those after `last`, at most `n`; and the key to go on from.
    fn page<T>(&self, request: &Request<Bytes>, items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Option<Next>) {
        let query = request.uri().query();
        let last = answer::query(query, "last").unwrap_or_default();
        let asked = answer::query(query, "n").and_then(|n| n.parse::<usize>().ok());
        let limit = match (asked, self.settings.page_size) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        };
        let mut rest: Vec<T> = items.into_iter().filter(|item| last.is_empty() || key(item) > last).collect();
        let Some(limit) = limit.filter(|limit| *limit < rest.len()) else { return (rest, None) };
        rest.truncate(limit);
        let next = rest.last().map(|item| Next { count: limit, last: key(item) });
        (rest, next)
    }
}

/// Where the next page starts.
struct Next {
    count: usize,
    last: String,
}

fn linked(mut answer: Answer, path: &str, next: Option<Next>) -> Answer {
    if let Some(Next { count, last }) = next {
        let joint = if path.contains('?') { '&' } else { '?' };
        answer::set(&mut answer, LINK, format!("<{path}{joint}n={count}&last={last}>; rel=\"next\""));
    }
    answer
}

fn only_get(request: &Request<Bytes>) -> Result<(), Refusal> {
    if matches!(*request.method(), Method::GET | Method::HEAD) { Ok(()) } else { Err(method_not_allowed()) }
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
