//! Files under their paths, and 404 for everything else.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};

use super::Files;
use crate::answer::{self, Answer};
use crate::server::Site;

/// Nobody sends a body here.
const MAX_BODY: usize = 1024;

#[derive(Debug)]
pub(crate) struct FileSite {
    pub(crate) files: Arc<Mutex<Files>>,
}

impl Site for FileSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.get(request.uri().path().trim_start_matches('/')) {
            Some(bytes) => answer::bytes(StatusCode::OK, "application/json", bytes.clone()),
            None => answer::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn body_limit(&self) -> usize {
        MAX_BODY
    }
}
