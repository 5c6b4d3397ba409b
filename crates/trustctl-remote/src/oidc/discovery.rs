//! What an OpenID Connect issuer says of itself (OpenID Connect Discovery 1.0, section 4).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Secret, TokenError, form};
use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Http, Method, Request};
use crate::limits::{Deadline, MAX_TOKEN_BODY};

/// The addresses of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Issuer {
    /// Its name, which tokens repeat.
    pub issuer: String,
    /// Where a browser is sent.
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where a device gets its code.
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
}

/// An error of an endpoint (RFC 6749, section 5.2).
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub(super) error: String,
    #[serde(default)]
    error_description: String,
}

impl Refusal {
    pub(super) fn words(&self) -> String {
        let words = if self.error_description.is_empty() { &self.error } else { &self.error_description };
        trustctl_core::reason::clean(words)
    }
}

/// A token endpoint's answer, as far as it matters.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub(super) id_token: Secret,
}

impl Issuer {
    /// Asks the issuer at `url`, which must call itself that.
    ///
    /// # Errors
    /// [`TokenError::Remote`]; [`TokenError::SignIn`] when it calls itself otherwise.
    pub async fn discover(http: &Http, url: &str, deadline: Deadline) -> Result<Self, TokenError> {
        let (origin, path) = Origin::parse_url(url)?;
        let host = origin.to_string();
        let request = Request::get(origin, format!("{path}/.well-known/openid-configuration"), MAX_TOKEN_BODY);
        let response = http.send(&request, deadline).await?;
        if response.status != 200 {
            let words = format!("it answered {} where an OpenID Connect issuer describes itself", response.status);
            return Err(RemoteError::bad_answer(host, words).into());
        }
        let found: Self = serde_json::from_slice(&response.body)
            .map_err(|_| RemoteError::bad_answer(host, "it does not describe itself as an OpenID Connect issuer"))?;
        if found.issuer.trim_end_matches('/') != url.trim_end_matches('/') {
            let words = format!("the issuer {url} calls itself {}", trustctl_core::reason::clean(&found.issuer));
            return Err(TokenError::SignIn { words });
        }
        Ok(found)
    }
}

/// Posts a form; the answer, or the endpoint's refusal.
pub(super) async fn post<T: DeserializeOwned>(
    http: &Http,
    address: &str,
    pairs: &[(&str, &str)],
    deadline: Deadline,
) -> Result<Result<T, Refusal>, TokenError> {
    let (origin, path) = Origin::parse_url(address)?;
    let host = origin.to_string();
    let mut request = Request::new(Method::POST, origin, path).body("application/x-www-form-urlencoded", form(pairs));
    request.max_bytes = MAX_TOKEN_BODY;
    let response = http.send(&request, deadline).await?;
    if response.is_success() {
        let read = serde_json::from_slice(&response.body);
        return read.map(Ok).map_err(|_| RemoteError::bad_answer(host, "its answer to a sign-in cannot be read").into());
    }
    match serde_json::from_slice(&response.body) {
        Ok(refusal) => Ok(Err(refusal)),
        Err(_) => Err(RemoteError::bad_answer(host, format!("it answered {} to a sign-in", response.status)).into()),
    }
}
