//! The registry's answers: routing, access, and what all routes share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;

use super::route::Route;
use super::settings::RegistrySettings;
use super::store::{Repository, Store};
use crate::access::{Guard, Need, Rights};
use crate::answer::{self, Answer};
use crate::server::Site;

/// What a running registry and its handle share.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) settings: RegistrySettings,
}

/// Bytes that are being uploaded.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct RegistrySite {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) guard: Guard,
}

impl Site for RegistrySite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let answer = self.route(request).unwrap_or_else(|refusal| *refusal);
        answer::with(answer, "docker-distribution-api-version", "registry/2.0")
    }

    fn body_limit(&self) -> usize {
        MAX_BLOB
    }
}

impl RegistrySite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let Some(route) = Route::parse(request.uri().path()) else {
            return Ok(answer::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        };
        if route == Route::Token {
            return Ok(self.guard.token(request).unwrap_or_else(|| answer::text(StatusCode::NOT_FOUND, "404 page not found\n")));
        }
        self.guard.check(request, &need(&route, request.method()))?;
        if let Some(name) = route.name() {
            check_name(name)?;
        }
        let mut state = self.state();
        let state = &mut *state;
        match route {
            Route::Blob { name, digest } => state.blob(request, name, digest),
            Route::Catalog => Ok(state.catalog(request)),
            Route::Manifest { name, reference } => state.manifest(request, name, reference),
            Route::Referrers { name, digest } => state.referrers(request, name, digest),
            Route::Tags { name } => state.tags(request, name),
            Route::Upload { name, id } => state.upload(request, name, id),
            Route::Uploads { name } => state.start_upload(request, name),
            Route::Ping | Route::Token => Ok(answer::json_value(StatusCode::OK, &json!({}))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The repository, if anything was ever pushed to it.
    ///
    /// # Errors
    /// 404 `NAME_UNKNOWN`.
    pub(crate) fn repository(&self, name: &str) -> Result<&Repository, Refusal> {
        self.store.repositories.get(name).ok_or_else(|| {
            refusal(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry", json!({"name": name}))
        })
    }

    /// The repository, made when it is new.
    pub(crate) fn repository_mut(&mut self, name: &str) -> &mut Repository {
        self.store.repositories.entry(name.to_owned()).or_default()
    }

    /// # Errors
    /// 507 when `more` bytes do not fit.
    pub(crate) fn make_room(&self, more: usize) -> Result<(), Refusal> {
        let uploading: usize = self.uploads.values().map(|upload| upload.bytes.len()).sum();
        let size = self.store.size().saturating_add(uploading).saturating_add(more);
        if size > MAX_BYTES || self.store.entries() >= MAX_ENTRIES {
            return Err(refusal(StatusCode::INSUFFICIENT_STORAGE, "DENIED", "this lab is full", Value::Null));
        }
        Ok(())
    }
}

/// An answer that ends a request early.
pub(crate) type Refusal = Box<Answer>;

pub(crate) fn refusal(status: StatusCode, code: &str, message: &str, detail: Value) -> Refusal {
    Box::new(answer::error(status, code, message, detail))
}

pub(crate) fn method_not_allowed() -> Refusal {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.", Value::Null)
}

/// # Errors
/// 400 `DIGEST_INVALID`.
pub(crate) fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| digest_invalid(text))
}

pub(crate) fn digest_invalid(text: &str) -> Refusal {
    let message = "provided digest did not match uploaded content";
    refusal(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message, json!({"digest": text}))
}

fn need(route: &Route<'_>, method: &Method) -> Need {
    let rights = match *method {
        Method::GET | Method::HEAD => Rights::Pull,
        Method::DELETE if !matches!(route, Route::Upload { .. }) => Rights::All,
        _ => Rights::Push,
    };
    route.name().map_or_else(Need::catalog, |name| Need::repository(name, rights))
}

/// The grammar of repository names is the one of image references.
fn check_name(name: &str) -> Result<(), Refusal> {
    let full = format!("localhost/{name}");
    match full.parse::<trustctl_core::reference::Repository>() {
        Ok(repository) if repository.path() == name => Ok(()),
        _ => Err(refusal(StatusCode::BAD_REQUEST, "NAME_INVALID", "invalid repository name", json!({"name": name}))),
    }
}

/// The largest blob, and chunk of one.
pub(crate) const MAX_BLOB: usize = 256 << 20;
/// All content together. A lab is for small images.
const MAX_BYTES: usize = 1 << 30;
/// Manifests, blobs and tags together.
const MAX_ENTRIES: usize = 200_000;
/// Uploads at once.
pub(crate) const MAX_UPLOADS: usize = 256;
