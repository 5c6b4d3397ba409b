//! A token server as registries and Notary servers expect one: ES256 tokens with an `x5c` header.
//!
//! Anonymous callers are given `pull` only, a known user everything asked for, and wrong credentials nothing.

use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::{Request, Response, Service, query};
use crate::tls::Authority;

/// The one user that servers with access control know.
pub const USER: &str = "alice";
/// That user's password.
pub const PASSWORD: &str = "throw-away-secret";
/// The issuer that the tokens name.
pub const ISSUER: &str = "trustctl-tests issuer";
/// The service that the tokens are for.
pub const SERVICE: &str = "trustctl-tests";

/// A token server on a loopback port.
#[derive(Debug)]
pub struct TokenServer {
    service: Service,
    authority: Authority,
}

struct Mint {
    key: EcdsaKeyPair,
    certificate: String,
    serial: AtomicU64,
}

impl TokenServer {
    /// Starts a token server whose certificate authority lies in `folder`.
    ///
    /// # Errors
    /// [`Failure::Certificate`], [`Failure::Signing`] or [`Failure::Io`].
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        let authority = Authority::create(folder)?;
        let pair = authority.issue("tokens")?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.key_der).map_err(|_| Failure::Signing)?;
        let mint = Mint { key, certificate: STANDARD.encode(&pair.certificate_der), serial: AtomicU64::new(1) };
        let service = Service::start(move |request| mint.answer(&request))?;
        Ok(Self { service, authority })
    }

    /// The realm to put into a challenge.
    #[must_use]
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.service.address())
    }

    /// The certificate file that a server needs to check the tokens.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        self.authority.certificate()
    }
}

impl Mint {
    fn answer(&self, request: &Request) -> Response {
        let Ok(user) = user(request.headers.first("Authorization")) else { return refusal() };
        let scopes = query(&request.target, "scope").join(" ");
        let access: Vec<Value> = scopes.split(' ').filter_map(|scope| grant(scope, user.is_some())).collect();
        let service = query(&request.target, "service").into_iter().next().unwrap_or_else(|| SERVICE.to_owned());
        match self.token(user.unwrap_or_default(), &service, &access) {
            Ok(token) => {
                let body = json!({"token": token, "access_token": token, "expires_in": LIFETIME});
                Response::new(200, "application/json", body.to_string().as_bytes())
            }
            Err(failure) => Response::new(500, "text/plain", failure.to_string().as_bytes()),
        }
    }

    fn token(&self, user: &str, service: &str, access: &[Value]) -> Result<String, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": user, "aud": service, "exp": now + LIFETIME, "nbf": now.saturating_sub(10), "iat": now,
            "jti": format!("{now}-{serial}"), "access": access,
        });
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| Failure::Signing)?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mint")
    }
}

struct WrongCredentials;

fn user(authorization: Option<&str>) -> Result<Option<&'static str>, WrongCredentials> {
    match authorization {
        None => Ok(None),
        Some(value) if value == basic() => Ok(Some(USER)),
        Some(_) => Err(WrongCredentials),
    }
}

/// The `Authorization` value of the known user.
#[must_use]
pub fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

fn refusal() -> Response {
    Response::new(401, "application/json", br#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong credentials"}]}"#)
}

/// `TYPE:NAME:ACTION,…`, where a name may hold colons.
fn grant(scope: &str, known: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

/// Seconds that a token is good for.
const LIFETIME: u64 = 300;

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_anonymous_caller_is_given_pull_only() {
        assert_eq!(grant("repository:localhost:5000/a/b:push,pull", false).unwrap()["actions"], json!(["pull"]));
        assert_eq!(grant("repository:localhost:5000/a/b:push,pull", true).unwrap()["name"], "localhost:5000/a/b");
    }

    #[test]
    fn wrong_credentials_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let server = TokenServer::start(folder.path()).unwrap();
        let ask = |authorization: &str| {
            Request::new("GET", "/token?service=x")
                .header("Authorization", authorization)
                .send(&server.service.address())
                .unwrap()
                .status
        };
        assert_eq!((ask("Basic bm90OnJpZ2h0"), ask(&basic())), (401, 200));
    }
}
