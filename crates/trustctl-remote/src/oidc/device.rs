//! Signing in on another device: a code is shown, and the issuer is asked until somebody has entered it (RFC 8628).

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::discovery::{Granted, Issuer, post};
use super::token::{Demands, IdentityToken};
use super::{Secret, TokenError, challenge, secret};
use crate::http::Http;
use crate::limits::Deadline;
use trustctl_core::time::Timestamp;

/// The pause between two questions when the issuer names none (RFC 8628, section 3.2).
const INTERVAL: u64 = 5;
/// The longest pause: an issuer that asks for more would outlast every code.
const MAX_INTERVAL: u64 = 60;
/// What a pause grows by when the issuer says that it is asked too often (section 3.5).
const SLOWER: u64 = 5;

/// A sign-in that waits for somebody to enter its code.
pub struct Waiting {
    issuer: Issuer,
    client: String,
    device_code: Zeroizing<String>,
    verifier: Zeroizing<String>,
    interval: Duration,
    /// The code to enter.
    pub user_code: String,
    /// Where to enter it.
    pub address: String,
    /// The address with the code in it, where the issuer gives one.
    pub whole_address: Option<String>,
}

#[derive(Deserialize)]
struct Started {
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    #[serde(default)]
    interval: Option<u64>,
}

impl Waiting {
    /// Begins a sign-in at `issuer` as the client `client`.
    ///
    /// # Errors
    /// [`TokenError::SignIn`] when the issuer has no such sign-in or refuses; [`TokenError::Remote`].
    pub async fn begin(http: &Http, issuer: Issuer, client: &str, deadline: Deadline) -> Result<Self, TokenError> {
        let endpoint = issuer.device_authorization_endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| failed("the issuer has no sign-in by device"))?;
        let verifier = secret()?;
        let pairs = [
            ("client_id", client),
            ("scope", "openid email"),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ];
        let started: Started = match post(http, &endpoint, &pairs, deadline).await? {
            Ok(started) => started,
            Err(refusal) => return Err(failed(&refusal.words())),
        };
        let clean = |text: &str| trustctl_core::reason::clean(text);
        Ok(Self {
            issuer,
            client: client.to_owned(),
            device_code: started.device_code.0,
            verifier,
            interval: Duration::from_secs(started.interval.unwrap_or(INTERVAL).clamp(1, MAX_INTERVAL)),
            user_code: clean(&started.user_code),
            address: clean(&started.verification_uri),
            whole_address: started.verification_uri_complete.as_deref().map(clean),
        })
    }

    /// The token, once somebody has signed in; checked for client and issuer. `now` is asked for the time when it is there.
    ///
    /// # Errors
    /// [`TokenError::SignIn`] when it was refused or took too long; what [`IdentityToken::check`] says.
    pub async fn finish(
        mut self,
        http: &Http,
        now: impl Fn() -> Timestamp,
        deadline: Deadline,
    ) -> Result<IdentityToken, TokenError> {
        loop {
            deadline.limit("the sign-in", tokio::time::sleep(self.interval)).await?;
            let pairs = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", &self.device_code),
                ("client_id", &self.client),
                ("scope", "openid email"),
                ("code_verifier", &self.verifier),
            ];
            let refusal = match post::<Granted>(http, &self.issuer.token_endpoint, &pairs, deadline).await? {
                Ok(granted) => {
                    let token = IdentityToken::parse(&granted.id_token.0)?;
                    let demands = Demands { audience: &self.client, issuer: Some(&self.issuer.issuer), nonce: None };
                    token.check(demands, now())?;
                    return Ok(token);
                }
                Err(refusal) => refusal,
            };
            match refusal.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => self.interval += Duration::from_secs(SLOWER),
                "expired_token" => return Err(failed("nobody entered the code in time")),
                "access_denied" => return Err(failed("it was refused")),
                _ => return Err(failed(&refusal.words())),
            }
        }
    }
}

fn failed(words: &str) -> TokenError {
    TokenError::SignIn { words: words.to_owned() }
}
