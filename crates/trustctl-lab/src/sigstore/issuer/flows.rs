//! Logins of people: the authorization code flow with PKCE (RFC 6749, RFC 7636) and the device flow (RFC 8628).
//!
//! The lab's user approves everything at once, so that nobody has to click; everything a client may get wrong is checked.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Uri;
use trustctl_core::time::Timestamp;

use crate::access::random_name;
use crate::sigstore::keys::sha256;
use crate::sigstore::refusal::Refusal;

/// The grant type of the device flow (RFC 8628, section 3.4).
pub(crate) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Logins under way.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    codes: BTreeMap<String, Login>,
    /// How often a device is told to wait.
    pub(crate) device_polls: u32,
}

/// What a client asked for, and what its token must come with.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) client: String,
    /// Empty in the device flow.
    pub(crate) redirect: String,
    pub(crate) nonce: Option<String>,
    /// The S256 challenge.
    pub(crate) challenge: Option<String>,
    pub(crate) until: Timestamp,
    /// Polls that are still told to wait.
    pub(crate) waits: u32,
}

/// What a client shows for its code.
#[derive(Debug)]
pub(crate) struct Redemption<'a> {
    pub(crate) code: &'a str,
    pub(crate) client: &'a str,
    pub(crate) redirect: &'a str,
    pub(crate) verifier: Option<&'a str>,
    pub(crate) now: Timestamp,
}

impl Flows {
    /// A code for a login.
    pub(crate) fn begin(&mut self, login: Login, now: Timestamp) -> String {
        self.codes.retain(|_, login| login.until > now);
        if self.codes.len() >= MAX_LOGINS {
            self.codes.pop_first();
        }
        let code = random_name();
        self.codes.insert(code.clone(), login);
        code
    }

    /// The login that a code stands for; a code is good once.
    pub(crate) fn redeem(&mut self, shown: &Redemption<'_>) -> Result<Login, Refusal> {
        if let Some(login) = self.codes.get_mut(shown.code)
            && login.waits > 0
        {
            login.waits -= 1;
            return Err(Refusal::bad("authorization_pending: the user has not approved yet"));
        }
        let login = self.codes.remove(shown.code).filter(|login| login.until > shown.now);
        let login = login.ok_or_else(|| Refusal::bad("invalid_grant: no such code, or no longer"))?;
        if login.client != shown.client || login.redirect != shown.redirect {
            return Err(Refusal::bad("invalid_grant: the code is for another client or redirection"));
        }
        let proof = shown.verifier.map(|verifier| URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())));
        if login.challenge.is_some() && login.challenge != proof {
            return Err(Refusal::bad("invalid_grant: the code verifier does not fit the challenge"));
        }
        Ok(login)
    }
}

/// The challenge of a request, which must be S256 where there is one.
pub(crate) fn challenge(challenge: Option<String>, method: Option<&str>) -> Result<Option<String>, Refusal> {
    match (challenge, method) {
        (None, _) => Ok(None),
        (Some(challenge), Some("S256")) => Ok(Some(challenge)),
        (Some(_), _) => Err(Refusal::bad("invalid_request: only the challenge method S256 is taken")),
    }
}

/// Whether a redirection leads to a program on this machine, or nowhere: a lab sends nobody anywhere else.
pub(crate) fn is_redirect(uri: &str) -> bool {
    let parsed: Option<Uri> = uri.parse().ok();
    let is_local = |uri: Uri| {
        // A name in front of the host is not what it looks like.
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        uri.scheme_str() == Some("http") && plain && matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"))
    };
    uri == OUT_OF_BAND || parsed.is_some_and(is_local)
}

/// For clients that ask the user to type the code.
pub(crate) const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// Logins under way at once; the lab forgets one of them for each one more.
const MAX_LOGINS: usize = 1_000;
