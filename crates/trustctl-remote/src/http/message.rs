//! What is asked and what is answered.

use std::fmt;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use zeroize::Zeroizing;

use super::origin::Origin;
use crate::error::RemoteError;
use crate::limits::{MAX_ERROR_BODY, TRIES};

/// The value of an `Authorization` header. Erased from memory when dropped, never shown.
#[derive(Clone)]
pub struct Authorization(Zeroizing<String>);

impl Authorization {
    /// `Bearer <token>`.
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self(Zeroizing::new(format!("Bearer {token}")))
    }

    /// `<scheme> <token>`, for servers with a scheme of their own.
    #[must_use]
    pub fn with_scheme(scheme: &str, token: &str) -> Self {
        Self(Zeroizing::new(format!("{scheme} {token}")))
    }

    /// `Basic <base64 of user:password>` (RFC 7617).
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
        Self(Zeroizing::new(format!("Basic {}", *encoded)))
    }

    pub(super) fn header(&self) -> Result<HeaderValue, RemoteError> {
        let mut value = HeaderValue::from_str(&self.0)
            .map_err(|_| RemoteError::configuration("credentials", "they hold characters that HTTP cannot carry"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

/// One request. Made by [`Request::get`] or [`Request::new`], then completed field by field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The server.
    pub origin: Origin,
    /// Path and query, encoded; begins with a slash.
    pub path: String,
    /// Further headers; not `Authorization`.
    pub headers: Vec<(HeaderName, String)>,
    /// Credentials; they never reach another server.
    pub authorization: Option<Authorization>,
    /// The body.
    pub body: Option<Bytes>,
    /// Most bytes of a successful answer; more is [`RemoteError::TooLarge`].
    pub max_bytes: u64,
    /// Whether sending it twice does no harm. What may not be repeated is only tried again when it surely was not carried out.
    pub repeatable: bool,
    /// How often it is tried in all, within the deadline; [`TRIES`] when nothing is said.
    pub tries: u32,
}

impl Request {
    /// A GET of at most `max_bytes`.
    #[must_use]
    pub fn get(origin: Origin, path: impl Into<String>, max_bytes: u64) -> Self {
        Self { max_bytes, ..Self::new(Method::GET, origin, path) }
    }

    /// A request without body. Of the answer [`MAX_ERROR_BODY`] bytes are read; GET, HEAD, PUT and DELETE may be repeated.
    #[must_use]
    pub fn new(method: Method, origin: Origin, path: impl Into<String>) -> Self {
        Self {
            repeatable: matches!(method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE),
            method,
            origin,
            path: path.into(),
            headers: Vec::new(),
            authorization: None,
            body: None,
            max_bytes: MAX_ERROR_BODY,
            tries: TRIES,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a body and its media type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header(CONTENT_TYPE, media_type)
    }

    /// What is sent to `url`.
    pub(super) fn outgoing(&self, url: &Url, with_credentials: bool) -> Result<reqwest::Request, RemoteError> {
        let mut outgoing = reqwest::Request::new(self.method.clone(), url.clone());
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value).map_err(|_| {
                RemoteError::configuration("request", format!("`{name}` holds characters that HTTP cannot carry"))
            })?;
            outgoing.headers_mut().append(name, value);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| with_credentials) {
            outgoing.headers_mut().append(AUTHORIZATION, authorization.header()?);
        }
        if let Some(body) = &self.body {
            if body.is_empty() {
                // The library leaves it out, and some servers then wait for a body (RFC 9110, section 8.6).
                outgoing.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            *outgoing.body_mut() = Some(body.clone().into());
        }
        Ok(outgoing)
    }
}

/// An answer: any status but those that were tried again in vain.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: of a success all of it, of anything else its first [`MAX_ERROR_BODY`] bytes.
    pub body: Bytes,
    /// Who answered: after a redirect another server than the one asked.
    pub origin: Origin,
    /// The path that was answered, without query.
    pub path: String,
    /// Whether the answer came from another server than the one asked.
    pub redirected: bool,
}

impl Response {
    /// The value of a header, when it is there once and is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() { None } else { Some(value) }
    }

    /// The media type, lower-case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
