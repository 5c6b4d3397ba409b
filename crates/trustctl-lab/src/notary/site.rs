//! The Notary server's answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, LAST_MODIFIED};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use trustctl_core::time::Timestamp;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::role::RoleName;

use super::keys::ServerKeys;
use super::multipart;
use super::refusal::Refusal;
use super::route::{Route, Which};
use super::store::{Change, NotStored, Store, Update, Version};
use super::upload::{Judge, claimed_version, read};
use crate::access::{Guard, Need, Rights};
use crate::answer::{self, Answer, text};
use crate::clock::Clock;
use crate::server::Site;

/// What a running Notary server and its handle share.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) keys: ServerKeys,
    pub(crate) renews: bool,
}

#[derive(Debug)]
pub(crate) struct NotarySite {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) guard: Guard,
    pub(crate) clock: Clock,
}

impl Site for NotarySite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.answer())
    }

    fn body_limit(&self) -> usize {
        MAX_UPLOAD
    }
}

impl NotarySite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let path = Route::parse(request.uri().path()).filter(|route| has_method(route, request.method()));
        let route = path.ok_or(Refusal::MetadataNotFound)?;
        if route == Route::Token {
            return self.guard.token(request).ok_or(Refusal::MetadataNotFound);
        }
        if let Some(need) = need(&route, request.method())
            && let Err(challenge) = self.guard.check(request, &need)
        {
            return Ok(*challenge);
        }
        let now = self.clock.now();
        let is_get = request.method() == Method::GET;
        let mut state = self.state();
        match route {
            Route::Changefeed { gun } => state.changefeed(request, gun),
            Route::Collection { gun } if request.method() == Method::POST => state.publish(request, gun, now),
            Route::Collection { gun } => {
                state.store.delete(gun, now);
                Ok(answer::empty(StatusCode::OK))
            }
            Route::File { gun, role, which } => state.file(gun, &role, &which, now),
            Route::Key { gun, role } => state.key(gun, &role, is_get),
            Route::Health => Ok(answer::bytes(StatusCode::OK, "application/json; charset=utf-8", "{}")),
            Route::Metrics => Ok(text(StatusCode::OK, "# trustctl-lab keeps no metrics\n")),
            Route::Ping | Route::Token => Ok(text(StatusCode::OK, "{}")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn publish(&mut self, request: &Request<Bytes>, gun: &str, now: Timestamp) -> Result<Answer, Refusal> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let parts = multipart::parts(content_type, request.body()).ok_or(Refusal::MalformedUpload)?;
        let mut uploads = Vec::new();
        for part in parts {
            let name = part.file_name.strip_suffix(".json").unwrap_or(&part.file_name);
            if name.is_empty() {
                return Err(Refusal::NoFilename);
            }
            let role: RoleName = name.parse().map_err(|_| Refusal::InvalidRole(name.to_owned()))?;
            let version = claimed_version(part.content)?;
            uploads.push(Update { role, version, bytes: Bytes::copy_from_slice(part.content) });
        }
        let updates = self.judge(gun, now).judge(uploads).map_err(Refusal::InvalidUpdate)?;
        self.store.update(gun, updates, now).map_err(|error| match error {
            NotStored::Full => Refusal::Updating,
            NotStored::OldVersion => Refusal::OldVersion,
        })?;
        Ok(answer::empty(StatusCode::OK))
    }

    fn file(&mut self, gun: &str, role: &RoleName, which: &Which, now: Timestamp) -> Result<Answer, Refusal> {
        let server_signed = *role == RoleName::timestamp() || *role == RoleName::snapshot();
        if *which == Which::Current && server_signed && self.renews {
            let renewals = self.judge(gun, now).renewals()?;
            self.store.update(gun, renewals, now).map_err(|_| Refusal::Unknown)?;
        }
        let collection = self.store.collections.get(gun).ok_or(Refusal::MetadataNotFound)?;
        let found = match which {
            Which::Current => collection.current(role),
            Which::Hash(sha256) => sha256.as_ref().and_then(|sha256| collection.by_hash(role, sha256)),
            Which::Version(version) => collection.by_version(role, *version),
        };
        let Version { bytes, stored, .. } = found.ok_or(Refusal::MetadataNotFound)?;
        let mut answer = answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", bytes.clone());
        let caching = if *which == Which::Current { CURRENT_CACHING } else { FIXED_CACHING };
        answer::set(&mut answer, CACHE_CONTROL, caching);
        answer::set(&mut answer, LAST_MODIFIED, last_modified(*stored));
        Ok(answer)
    }

    fn key(&mut self, gun: &str, role: &RoleName, in_use: bool) -> Result<Answer, Refusal> {
        let collection = self.store.collections.get(gun);
        let root = collection.and_then(|collection| collection.current(&RoleName::root())).map(|file| &file.bytes);
        let root = root.map(|bytes| read::<Root>(bytes).ok_or(Refusal::Unknown)).transpose()?;
        let key = if in_use { self.keys.current(gun, role, root.as_ref()) } else { self.keys.pending(gun, role, root.as_ref()) };
        let value = key.map_err(|_| Refusal::Unknown)?.to_value();
        let field = |path: [&str; 2]| value.as_object()?.get(path[0])?.as_object()?.get(path[1])?.as_text();
        let key_type = value.as_object().and_then(|key| key.get("keytype")?.as_text()).unwrap_or_default();
        let public = field(["keyval", "public"]).unwrap_or_default();
        // In the order of Notary's structure, which is not the canonical one.
        Ok(text(StatusCode::OK, format!(r#"{{"keytype":"{key_type}","keyval":{{"public":"{public}","private":null}}}}"#)))
    }

    fn changefeed(&self, request: &Request<Bytes>, gun: Option<&str>) -> Result<Answer, Refusal> {
        let query = request.uri().query();
        let records = answer::query(query, "records").unwrap_or_default();
        let records =
            records.parse::<i32>().map_err(|error| Refusal::InvalidParameters(format!("invalid records parameter: {error}")))?;
        let records = if records == 0 { PAGE } else { i64::from(records) };
        let after = answer::query(query, "change_id").filter(|id| !id.is_empty()).unwrap_or_else(|| "0".to_owned());
        let after = after
            .parse::<i32>()
            .map_err(|_| Refusal::InvalidParameters(format!("change ID expected to be integer, provided ID was: {after}")))?;
        let changes: Vec<Value> = self.store.changes(i64::from(after), records, gun).into_iter().map(record).collect();
        let list = if changes.is_empty() { Value::Null } else { changes.clone().into() };
        Ok(text(StatusCode::OK, json!({"count": changes.len(), "records": list}).to_string()))
    }

    pub(crate) fn judge<'a>(&'a self, gun: &'a str, now: Timestamp) -> Judge<'a> {
        Judge { gun, stored: self.store.collections.get(gun), keys: &self.keys, now }
    }
}

fn record(change: &Change) -> Value {
    let (version, sha256) = change.timestamp.map_or((0, String::new()), |(version, digest)| (version, digest.hex()));
    json!({
        "ID": change.id.to_string(),
        "CreatedAt": change.created,
        "GUN": change.gun,
        "Version": version,
        "SHA256": sha256,
        "Category": if change.timestamp.is_some() { "update" } else { "deletion" },
    })
}

fn has_method(route: &Route<'_>, method: &Method) -> bool {
    match route {
        Route::Collection { .. } => matches!(*method, Method::POST | Method::DELETE),
        Route::Key { .. } | Route::Token => matches!(*method, Method::GET | Method::POST),
        _ => *method == Method::GET,
    }
}

fn need(route: &Route<'_>, method: &Method) -> Option<Need> {
    let need = match route {
        Route::Changefeed { gun: None } | Route::Ping => Need::catalog(),
        Route::Changefeed { gun: Some(gun) } | Route::File { gun, .. } => Need::repository(gun, Rights::Pull),
        Route::Collection { gun } if *method == Method::POST => Need::repository(gun, Rights::Push),
        Route::Key { gun, .. } if *method == Method::GET => Need::repository(gun, Rights::Push),
        Route::Collection { gun } | Route::Key { gun, .. } => Need::repository(gun, Rights::All),
        Route::Health | Route::Metrics | Route::Token => return None,
    };
    Some(need)
}

/// `Sun, 22 Nov 2026 14:57:13 UTC`: Notary writes the zone so, not `GMT`.
fn last_modified(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // The first of January 1970 was a Thursday.
    let day = usize::try_from(time.unix_seconds().div_euclid(86_400).rem_euclid(7)).ok().and_then(|day| DAYS.get(day));
    let written = time.to_string();
    let part = |from: usize, to: usize| written.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.saturating_sub(1)));
    let (day, month) = (day.copied().unwrap_or_default(), month.copied().unwrap_or_default());
    format!("{day}, {} {month} {} {} UTC", part(8, 10), part(0, 4), part(11, 19))
}

const CURRENT_CACHING: &str = "public, max-age=300, s-maxage=300, must-revalidate";
const FIXED_CACHING: &str = "public, max-age=2592000, s-maxage=2592000";
/// Records in one answer of the changefeed when the client does not say.
const PAGE: i64 = 100;
/// The largest upload, in bytes.
const MAX_UPLOAD: usize = 64 << 20;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn dates_are_written_as_notary_does() {
        assert_eq!(last_modified("2026-11-22T14:57:13Z".parse().unwrap()), "Sun, 22 Nov 2026 14:57:13 UTC");
        assert_eq!(last_modified("1970-01-01T00:00:00Z".parse().unwrap()), "Thu, 01 Jan 1970 00:00:00 UTC");
    }
}
