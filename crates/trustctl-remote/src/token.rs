//! Requests with credentials: challenges are answered, tokens are kept, and nothing is handed to a stranger.
//!
//! The first request to a server carries no credentials. When it answers 401 with a challenge, a token is fetched from the token
//! server it names, if it may name that one (`realm`), and the request is sent once more. Source: distribution, "Token
//! Authentication Specification" and "OAuth2 Token Authentication"; RFC 7235.

mod challenge;
mod realm;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use trustctl_core::reference::Repository;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::credentials::{Credential, Credentials};
use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Authorization, Http, Method, Opened, Request, Response, Take, server_words};
use crate::limits::{Deadline, MAX_TOKEN_BODY};
use challenge::Challenge;

/// How long a token is good when its server does not say (distribution's specification: at least 60 seconds).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token is not used in its last seconds, so that it does not expire on the way.
const LIFE_MARGIN: Duration = Duration::from_secs(5);
/// Most grants that are kept: a server that runs for long is asked for any number of repositories.
const MAX_GRANTS: usize = 4096;
/// What we call ourselves to token servers.
const CLIENT_ID: &str = "trustctl";

/// What a request needs to be allowed, and whose credentials show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The name to look credentials up by: `registry/path`.
    pub account: String,
    /// The resource, such as `repository:library/alpine`.
    pub resource: String,
    /// The actions, comma-separated, such as `pull,push`.
    pub actions: &'static str,
}

impl Access {
    /// Reading a repository.
    #[must_use]
    pub fn pull(repository: &Repository) -> Self {
        Self::to(repository, "pull")
    }

    /// Reading and writing a repository.
    #[must_use]
    pub fn push(repository: &Repository) -> Self {
        Self::to(repository, "pull,push")
    }

    /// Reading a repository and deleting in it.
    #[must_use]
    pub fn delete(repository: &Repository) -> Self {
        Self::to(repository, "pull,push,delete")
    }

    /// The given `actions` on a repository of the registry named in it.
    #[must_use]
    pub fn to(repository: &Repository, actions: &'static str) -> Self {
        Self { account: repository.to_string(), resource: format!("repository:{}", repository.path()), actions }
    }

    fn scope(&self) -> String {
        format!("{}:{}", self.resource, self.actions)
    }

    /// The registry that the credentials belong to.
    fn registry(&self) -> &str {
        self.account.split('/').next().unwrap_or(&self.account)
    }
}

/// A client with credentials. Cloning is cheap and shares connections and tokens.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    http: Http,
    credentials: Credentials,
    grants: Mutex<HashMap<(Origin, Access), Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Grant>>>;

/// What a server accepted, or is expected to accept.
#[derive(Clone)]
struct Grant {
    authorization: Authorization,
    good_until: Option<Instant>,
    serial: u64,
    with_credentials: bool,
}

impl Session {
    /// A session that looks credentials up in `credentials` when a server asks for some.
    #[must_use]
    pub fn new(http: Http, credentials: Credentials) -> Self {
        Self(Arc::new(Inner { http, credentials, grants: Mutex::default() }))
    }

    /// A session with the same settings and nothing else in common: no connection, no token, no memory of servers.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.0.http.fresh(), self.0.credentials.clone())
    }

    /// The client below.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.0.http
    }

    /// Sends `request`, with a token if one is known, and once more with a new one when the server asks for it.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`RemoteError::Denied`] for 401 and 403; [`RemoteError::NoCredentials`];
    /// [`RemoteError::RealmRefused`]; [`RemoteError::CredentialHelper`]. The answer is never 401 or 403.
    pub async fn send(&self, request: Request, access: &Access, deadline: Deadline) -> Result<Response, RemoteError> {
        Ok(self.ask(request, access, Take::Whole, deadline).await?.response)
    }

    /// Sends `request` like [`Session::send`], and leaves the body of a success to be read piece by piece: see [`Http::open`].
    ///
    /// # Errors
    /// Those of [`Session::send`].
    pub async fn open(&self, request: Request, access: &Access, deadline: Deadline) -> Result<Opened, RemoteError> {
        self.ask(request, access, Take::Head, deadline).await
    }

    async fn ask(&self, mut request: Request, access: &Access, take: Take, deadline: Deadline) -> Result<Opened, RemoteError> {
        let host = request.origin.to_string();
        let slot = self.slot(&request.origin, access);
        let known = slot.lock().await.clone().filter(Grant::is_good);
        request.authorization = known.as_ref().map(|grant| grant.authorization.clone());
        let opened = self.0.http.ask(&request, take, deadline).await?;
        if opened.response.status != 401 || opened.response.redirected {
            return allowed(opened, &host);
        }
        let grant = {
            let mut slot = slot.lock().await;
            let tried = known.as_ref().map_or(0, |grant| grant.serial);
            match slot.as_ref().filter(|newer| newer.serial > tried) {
                // Somebody else was asked the same at the same time, and has a token by now.
                Some(newer) => newer.clone(),
                None => {
                    let grant = self.authorize(&request.origin, &opened.response, access, deadline).await?;
                    let grant = Grant { serial: tried + 1, ..grant };
                    slot.replace(grant.clone());
                    grant
                }
            }
        };
        request.authorization = Some(grant.authorization.clone());
        let again = self.0.http.ask(&request, take, deadline).await?;
        if again.response.status == 401 && !again.response.redirected && !grant.with_credentials {
            return Err(RemoteError::NoCredentials { host, account: access.registry().to_owned() });
        }
        allowed(again, &host)
    }

    /// The answer to the challenge in a 401.
    async fn authorize(
        &self,
        origin: &Origin,
        refused: &Response,
        access: &Access,
        deadline: Deadline,
    ) -> Result<Grant, RemoteError> {
        let host = origin.to_string();
        let challenges = refused.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::choose(challenges) else {
            return Err(denied(&host, refused));
        };
        let credential = self.0.credentials.lookup(&access.account, deadline).await?;
        let ready = |authorization| Grant { authorization, good_until: None, serial: 0, with_credentials: true };
        match (challenge, credential) {
            (Challenge::Bearer { .. }, Some(Credential::RegistryToken(token))) => Ok(ready(Authorization::bearer(&token))),
            (Challenge::Bearer { realm, service, scope }, credential) => {
                let account = Origin::of_registry(access.registry()).ok();
                let token_server = realm::check(&self.0.http, origin, account.as_ref(), &realm)?;
                let scopes = scopes(access, scope.as_deref());
                let wish = Wish { token_server, service, scopes };
                self.fetch_token(wish, credential, deadline).await
            }
            (Challenge::Basic, Some(credential)) => match credential.basic() {
                Some(authorization) => Ok(ready(authorization)),
                None => Err(denied(&host, refused)),
            },
            (Challenge::Basic, None) => Err(RemoteError::NoCredentials { host, account: access.registry().to_owned() }),
        }
    }

    async fn fetch_token(&self, wish: Wish, credential: Option<Credential>, deadline: Deadline) -> Result<Grant, RemoteError> {
        let (origin, path) = wish.token_server.clone();
        let host = origin.to_string();
        let request = match &credential {
            Some(Credential::IdentityToken(token)) => {
                let form = Zeroizing::new(format!(
                    "grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={}&{}",
                    encode(token),
                    wish.form()
                ));
                let mut request = Request::new(Method::POST, origin, path.split('?').next().unwrap_or_default());
                request.max_bytes = MAX_TOKEN_BODY;
                request.repeatable = true;
                request.body("application/x-www-form-urlencoded", Bytes::copy_from_slice(form.as_bytes()))
            }
            other => {
                let join = if path.contains('?') { '&' } else { '?' };
                let mut request = Request::get(origin, format!("{path}{join}{}", wish.query()), MAX_TOKEN_BODY);
                request.authorization = other.as_ref().and_then(Credential::basic);
                request
            }
        };
        let response = allowed(self.0.http.ask(&request, Take::Whole, deadline).await?, &host)?.response;
        if !response.is_success() {
            let words = server_words(&response.body);
            return Err(RemoteError::bad_answer(host, format!("the token server answered {}{words}", response.status)));
        }
        let answer: TokenAnswer = serde_json::from_slice(&response.body)
            .map_err(|_| RemoteError::bad_answer(&host, "the token server's answer is not a token"))?;
        let token = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RemoteError::bad_answer(host, "the token server's answer is not a token"));
        }
        let life = answer.expires_in.map_or(DEFAULT_LIFE, |seconds| Duration::from_secs(seconds.min(24 * 3600)));
        Ok(Grant {
            authorization: Authorization::bearer(token),
            good_until: Some(Instant::now() + life.saturating_sub(LIFE_MARGIN)),
            serial: 0,
            with_credentials: credential.is_some(),
        })
    }

    fn slot(&self, origin: &Origin, access: &Access) -> Slot {
        let mut grants = self.0.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if grants.len() >= MAX_GRANTS {
            // Those in use stay; the others are asked for again.
            grants.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(grants.entry((origin.clone(), access.clone())).or_default())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("http", &self.0.http).finish_non_exhaustive()
    }
}

impl Grant {
    fn is_good(&self) -> bool {
        self.good_until.is_none_or(|until| Instant::now() < until)
    }
}

/// A token as it is asked for.
struct Wish {
    token_server: (Origin, String),
    service: Option<String>,
    scopes: Vec<String>,
}

impl Wish {
    /// For GET: one `scope` for each (distribution, "Token Authentication Specification").
    fn query(&self) -> String {
        let scopes = self.scopes.iter().map(|scope| format!("scope={}", encode(scope)));
        self.service().into_iter().chain(scopes).collect::<Vec<_>>().join("&")
    }

    /// For POST: one `scope` with spaces between (RFC 6749, section 3.3).
    fn form(&self) -> String {
        let scope = format!("scope={}", encode(&self.scopes.join(" ")));
        self.service().into_iter().chain([scope]).collect::<Vec<_>>().join("&")
    }

    fn service(&self) -> Option<String> {
        self.service.as_ref().map(|service| format!("service={}", encode(service)))
    }
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Our own scope, and the challenge's beside it when that asks for something else, as registries do that map names.
fn scopes(access: &Access, challenged: Option<&str>) -> Vec<String> {
    let own = access.scope();
    let Some(challenged) = challenged.filter(|scope| !scope.is_empty()) else { return vec![own] };
    let covered = challenged.rsplit_once(':').is_some_and(|(resource, actions)| {
        resource == access.resource && actions.split(',').all(|action| access.actions.split(',').any(|ours| ours == action))
    });
    if covered { vec![own] } else { vec![own, challenged.to_owned()] }
}

fn allowed(opened: Opened, host: &str) -> Result<Opened, RemoteError> {
    match opened.response.status {
        401 | 403 => Err(denied(host, &opened.response)),
        _ => Ok(opened),
    }
}

fn denied(host: &str, response: &Response) -> RemoteError {
    RemoteError::Denied { host: host.to_owned(), status: response.status, detail: server_words(&response.body) }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
