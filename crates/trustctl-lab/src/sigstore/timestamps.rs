//! A timestamp authority (RFC 3161) as Sigstore's: DER queries, and the JSON that sigstore-js sends.

mod query;
mod token;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};

use super::certificate::{Authority, Draft, Window, extension, pem};
use super::keys::Key;
use super::refusal::Refusal;
use super::service::{ServiceTime, failed_plain};
use crate::answer::{self, Answer};
use crate::error::LabError;
use crate::faults::Part;
use crate::server::Site;
use query::Query;

/// The authority and the certificate that it stamps with.
#[derive(Debug)]
pub(crate) struct StampKeys {
    root: Authority,
    leaf: Authority,
}

#[derive(Debug)]
pub(crate) struct StampSite {
    pub(crate) keys: Arc<StampKeys>,
    pub(crate) time: ServiceTime,
}

impl StampKeys {
    pub(crate) fn create(window: Window) -> Result<Self, LabError> {
        let root = Authority::root("CN=lab-tsa-root,O=trustctl-lab", window, 0)?;
        let key = Key::p256()?;
        let extensions = vec![
            extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
            // Critical and alone, as RFC 3161, section 2.3 demands.
            extension(true, &ExtendedKeyUsage(vec![const_oid::db::rfc5280::ID_KP_TIME_STAMPING]))?,
        ];
        let draft = Draft { subject: "CN=lab-tsa,O=trustctl-lab", key: key.public(), window, extensions };
        let certificate = root.issue(&draft)?;
        Ok(Self { root, leaf: Authority { key, certificate } })
    }

    /// The certificate that stamps, and the one that vouches for it.
    pub(crate) fn chain(&self) -> [&Certificate; 2] {
        [&self.leaf.certificate, &self.root.certificate]
    }
}

impl Site for StampSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.plain())
    }

    fn body_limit(&self) -> usize {
        MAX_QUERY
    }

    fn failure(&self, status: StatusCode) -> Answer {
        failed_plain(status)
    }
}

impl StampSite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/api/v1/timestamp") => {
                let wrong = request.extensions().get::<Part>().copied();
                let query = read(request)?;
                let response = token::response(&query, self.keys.as_ref(), self.time.now(), wrong)?;
                Ok(answer::bytes(StatusCode::CREATED, "application/timestamp-reply", response))
            }
            (&Method::GET, "/api/v1/timestamp/certchain") => {
                let chain = pem(self.keys.chain())?;
                Ok(answer::bytes(StatusCode::OK, "application/pem-certificate-chain", chain))
            }
            (&Method::GET, "/ping") => Ok(answer::text(StatusCode::OK, ".")),
            _ => Err(Refusal::not_found()),
        }
    }
}

fn read(request: &Request<Bytes>) -> Result<Query, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().map(str::trim) {
        Some("application/json") => Query::from_json(request.body()),
        Some("application/timestamp-query") => Query::from_der(request.body()),
        _ => return Err(Refusal::bad("a query is application/timestamp-query or application/json")),
    }
    .map_err(Refusal::bad)
}

/// The largest query, in bytes: a hash, a number and some words about them.
const MAX_QUERY: usize = 16 << 10;
