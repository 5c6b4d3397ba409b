//! An OpenID Connect issuer: tokens with any claims, a GitHub-style token endpoint, and logins that are approved at once.

mod claims;
mod flows;
mod site;
mod token;

use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Map, Value, json};
use trustctl_core::time::Timestamp;

pub use claims::Claims;
pub(crate) use site::IssuerSite;

use super::keys::Key;
use super::service::ServiceTime;
use crate::access::random_name;
use crate::error::LabError;
use flows::Flows;
use token::{BadToken, Expected};

/// What a running issuer, its handle and Fulcio share.
#[derive(Debug)]
pub(crate) struct Issuer {
    url: String,
    time: ServiceTime,
    /// Made when the first token is asked for, because it takes a while.
    key: OnceLock<Key>,
    request_token: String,
    workload: Mutex<Claims>,
    login: Mutex<Claims>,
    flows: Mutex<Flows>,
}

impl Issuer {
    /// Whom tokens are for when nobody says otherwise, and the only one whose tokens Fulcio takes.
    pub(crate) const AUDIENCE: &'static str = "sigstore";

    pub(crate) fn new(url: String, time: ServiceTime) -> Self {
        Self {
            url,
            time,
            key: OnceLock::new(),
            request_token: random_name(),
            workload: Mutex::new(Claims::github("acme/shop", "refs/tags/v1.0.0")),
            login: Mutex::new(Claims::email("lab-user@example.test")),
            flows: Mutex::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// A token with these claims, for `audience` unless they name another.
    pub(crate) fn token(&self, claims: &Claims, audience: &str) -> Result<String, LabError> {
        token::sign(self.key()?, &claims.complete(&self.url, audience, self.time.now()))
    }

    /// The claims of a token that is of this issuer, for Fulcio, and good at `now`.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Map<String, Value>, BadToken> {
        let key = self.key().map_err(|_| BadToken::Signature)?;
        token::verify(token, &Expected { key: key.public(), issuer: &self.url, audience: Self::AUDIENCE, now })
    }

    /// What GitHub Actions gives a job that may ask for tokens.
    pub(crate) fn workload_environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/actions/token?api-version=2.0", self.url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.request_token.clone()),
        ]
    }

    pub(crate) fn set_workload(&self, claims: Claims) {
        *self.workload.lock().unwrap_or_else(PoisonError::into_inner) = claims;
    }

    pub(crate) fn set_login(&self, claims: Claims) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = claims;
    }

    pub(crate) fn set_device_polls(&self, polls: u32) {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).device_polls = polls;
    }

    fn workload(&self) -> Claims {
        self.workload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn login(&self) -> Claims {
        self.login.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_request_token(&self, bearer: &str) -> bool {
        verify_slices_are_equal(bearer.as_bytes(), self.request_token.as_bytes()).is_ok()
    }

    fn key(&self) -> Result<&Key, LabError> {
        if self.key.get().is_none() {
            // Whoever comes second throws his away.
            let _ = self.key.set(Key::rsa()?);
        }
        self.key.get().ok_or(LabError::Crypto)
    }

    /// The discovery document (OpenID Connect Discovery 1.0, section 3; RFC 8628, section 4).
    fn discovery(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device/code"),
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", flows::DEVICE_GRANT],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "email_verified"],
        })
    }
}
