//! The issuer's answers.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::flows::{DEVICE_GRANT, Login, OUT_OF_BAND, Redemption, challenge, is_redirect};
use super::{Issuer, token};
use crate::answer::{self, Answer};
use crate::error::LabError;
use crate::server::Site;
use crate::sigstore::refusal::Refusal;
use crate::sigstore::service::failed_plain;

#[derive(Debug)]
pub(crate) struct IssuerSite(pub(crate) Arc<Issuer>);

impl Site for IssuerSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.oauth())
    }

    fn body_limit(&self) -> usize {
        MAX_FORM
    }

    fn failure(&self, status: StatusCode) -> Answer {
        failed_plain(status)
    }
}

impl IssuerSite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let ok = |value| Ok(answer::json_value(StatusCode::OK, &value));
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => ok(self.0.discovery()),
            (&Method::GET, "/keys") => ok(token::key_set(self.0.key()?.public())?),
            (&Method::GET, "/auth") => self.authorize(request),
            (&Method::POST, "/token") => self.redeem(request),
            (&Method::POST, "/device/code") => self.begin_device(request),
            (&Method::GET, "/device") => Ok(answer::text(StatusCode::OK, "The lab approves at once; there is nothing to do.\n")),
            (&Method::GET, "/actions/token") => self.workload_token(request),
            _ => Err(Refusal::not_found()),
        }
    }

    /// The token endpoint of GitHub Actions: `{"value": TOKEN}` for the audience asked for, else for the owner's URL.
    fn workload_token(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let bearer = header.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
        if !bearer.is_some_and(|bearer| self.0.is_request_token(bearer)) {
            return Err(Refusal::unauthenticated("unauthorized: this is not the job's request token"));
        }
        let audience = answer::query(request.uri().query(), "audience");
        let token = self.0.token(&self.0.workload(), audience.as_deref().unwrap_or(OWNER))?;
        Ok(answer::json_value(StatusCode::OK, &json!({"count": token.len(), "value": token})))
    }

    /// Approves a login and sends the browser back with a code (RFC 6749, section 4.1.2).
    fn authorize(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let field = |name| answer::query(request.uri().query(), name);
        let redirect = field("redirect_uri").unwrap_or_default();
        if !is_redirect(&redirect) {
            return Err(Refusal::bad("invalid_request: the lab redirects to loopback only"));
        }
        if field("response_type").as_deref() != Some("code") {
            return Err(Refusal::bad("unsupported_response_type: only codes are given"));
        }
        let login = Login {
            client: field("client_id").ok_or_else(|| Refusal::bad("invalid_request: who asks is missing"))?,
            redirect: redirect.clone(),
            nonce: field("nonce"),
            challenge: challenge(field("code_challenge"), field("code_challenge_method").as_deref())?,
            until: self.0.time.now().saturating_add(LOGIN_LIFE),
            waits: 0,
        };
        let code = self.begin(login);
        if redirect == OUT_OF_BAND {
            return Ok(answer::text(StatusCode::OK, code));
        }
        let state = field("state").map(|state| format!("&state={}", percent_encoded(&state))).unwrap_or_default();
        let separator = if redirect.contains('?') { '&' } else { '?' };
        let mut found = answer::empty(StatusCode::FOUND);
        answer::set(&mut found, LOCATION, format!("{redirect}{separator}code={code}{state}"));
        Ok(found)
    }

    /// Begins a device's login (RFC 8628, section 3.2).
    fn begin_device(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let form = std::str::from_utf8(request.body()).ok();
        let field = |name| answer::query(form, name);
        let waits = self.0.flows.lock().unwrap_or_else(PoisonError::into_inner).device_polls;
        let login = Login {
            client: field("client_id").ok_or_else(|| Refusal::bad("invalid_request: who asks is missing"))?,
            redirect: String::new(),
            nonce: field("nonce"),
            challenge: challenge(field("code_challenge"), field("code_challenge_method").as_deref())?,
            until: self.0.time.now().saturating_add(LOGIN_LIFE),
            waits,
        };
        let code = self.begin(login);
        let url = self.0.url();
        Ok(answer::json_value(
            StatusCode::OK,
            &json!({
                "device_code": code,
                "user_code": "LAB-USER",
                "verification_uri": format!("{url}/device"),
                "verification_uri_complete": format!("{url}/device?user_code=LAB-USER"),
                "expires_in": LOGIN_LIFE.as_secs(),
                "interval": 1,
            }),
        ))
    }

    /// A token for a code (RFC 6749, section 4.1.3; RFC 8628, section 3.4).
    fn redeem(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let form = std::str::from_utf8(request.body()).ok();
        let field = |name| answer::query(form, name);
        let grant = field("grant_type").unwrap_or_default();
        let code = match grant.as_str() {
            "authorization_code" => field("code"),
            DEVICE_GRANT => field("device_code"),
            _ => return Err(Refusal::bad("unsupported_grant_type: only codes are taken")),
        };
        let (code, client) = (code.unwrap_or_default(), field("client_id").or_else(|| basic_user(request)).unwrap_or_default());
        let redirect = if grant == DEVICE_GRANT { String::new() } else { field("redirect_uri").unwrap_or_default() };
        let verifier = field("code_verifier");
        let shown = Redemption {
            code: &code,
            client: &client,
            redirect: &redirect,
            verifier: verifier.as_deref(),
            now: self.0.time.now(),
        };
        let login = self.0.flows.lock().unwrap_or_else(PoisonError::into_inner).redeem(&shown)?;
        Ok(self.granted(&login)?)
    }

    /// Identity and access token are one: sigstore-python takes the second for the first.
    fn granted(&self, login: &Login) -> Result<Answer, LabError> {
        let mut claims = self.0.login();
        if let Some(nonce) = &login.nonce {
            claims = claims.with("nonce", nonce.as_str());
        }
        let token = self.0.token(&claims, &login.client)?;
        let body = json!({"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": 300});
        let mut answer = answer::json_value(StatusCode::OK, &body);
        answer::set(&mut answer, CACHE_CONTROL, "no-store");
        Ok(answer)
    }

    fn begin(&self, login: Login) -> String {
        let now = self.0.time.now();
        self.0.flows.lock().unwrap_or_else(PoisonError::into_inner).begin(login, now)
    }
}

/// The client's name where it logs in by basic authentication (RFC 6749, section 2.3.1).
fn basic_user(request: &Request<Bytes>) -> Option<String> {
    use base64::Engine as _;
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(header).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The audience of GitHub's tokens when none is asked for.
const OWNER: &str = "https://github.com/acme";
/// How long a code is good.
const LOGIN_LIFE: Duration = Duration::from_secs(300);
/// The largest form, in bytes.
const MAX_FORM: usize = 64 << 10;
