//! Signing in with a browser on this machine: the issuer sends it back to a server that listens on loopback for this one answer.
//!
//! Source: RFC 8252 (native applications), RFC 7636 (PKCE, S256), OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7. An answer counts
//! only with the state of this sign-in, and the token only with its nonce.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use trustctl_core::time::Timestamp;
use zeroize::Zeroizing;

use super::discovery::{Granted, Issuer, post};
use super::token::{Demands, IdentityToken};
use super::{TokenError, challenge, form, secret};
use crate::http::Http;
use crate::limits::Deadline;

/// Where the browser is sent back to. The name, because issuers allow any port for it and not for the address.
const CALLBACK: &str = "/auth/callback";
/// Most bytes of the head of a browser's request; browsers send about 1,000.
const MAX_HEAD: usize = 16 * 1024;
/// Most connections that are answered before giving up: browsers also ask for icons.
const MAX_CONNECTIONS: usize = 64;
const DONE: &str = "You are signed in. This page can be closed.";
const NOT_DONE: &str = "This is not the answer that was waited for.";

/// A sign-in that waits for the browser.
pub struct Waiting {
    issuer: Issuer,
    client: String,
    listener: TcpListener,
    redirect: String,
    verifier: Zeroizing<String>,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    /// What the browser has to open.
    pub address: String,
}

/// What came back with the browser.
enum Came {
    Code(Zeroizing<String>),
    Refused(String),
    Other,
}

impl Waiting {
    /// Begins a sign-in at `issuer` as the client `client`: a port of loopback is open from now on.
    ///
    /// # Errors
    /// [`TokenError::SignIn`] when the issuer has no such sign-in, or no port can be had.
    pub async fn begin(issuer: Issuer, client: &str) -> Result<Self, TokenError> {
        let endpoint = issuer.authorization_endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| failed("the issuer has no sign-in by browser"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed(&error.to_string()))?;
        let port = listener.local_addr().map_err(|error| failed(&error.to_string()))?.port();
        let redirect = format!("http://localhost:{port}{CALLBACK}");
        let (verifier, state, nonce) = (secret()?, secret()?, secret()?);
        let query = form(&[
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", &redirect),
            ("scope", "openid email"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ]);
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        let address = format!("{endpoint}{joint}{query}");
        Ok(Self { issuer, client: client.to_owned(), listener, redirect, verifier, state, nonce, address })
    }

    /// The token, once somebody has signed in; checked for client, issuer and nonce. `now` is asked for the time when it is there.
    ///
    /// # Errors
    /// [`TokenError::SignIn`] when it was refused, or what came back is not of this sign-in; what [`IdentityToken::check`] says.
    pub async fn finish(self, http: &Http, now: impl Fn() -> Timestamp, deadline: Deadline) -> Result<IdentityToken, TokenError> {
        let code = deadline.limit("the browser", self.code()).await??;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &self.redirect),
            ("client_id", &self.client),
            ("code_verifier", &self.verifier),
        ];
        match post::<Granted>(http, &self.issuer.token_endpoint, &pairs, deadline).await? {
            Err(refusal) => Err(failed(&refusal.words())),
            Ok(granted) => {
                let token = IdentityToken::parse(&granted.id_token.0)?;
                let demands = Demands { audience: &self.client, issuer: Some(&self.issuer.issuer), nonce: Some(&self.nonce) };
                token.check(demands, now())?;
                Ok(token)
            }
        }
    }

    /// The code that the browser brings.
    async fn code(&self) -> Result<Zeroizing<String>, TokenError> {
        for _ in 0..MAX_CONNECTIONS {
            let (mut stream, _) = self.listener.accept().await.map_err(|error| failed(&error.to_string()))?;
            // A browser that opens a connection ahead and says nothing must not stand in the way.
            let came =
                tokio::time::timeout(std::time::Duration::from_secs(2), self.read(&mut stream)).await.unwrap_or(Came::Other);
            let (status, words) = match &came {
                Came::Code(_) => ("200 OK", DONE),
                Came::Refused(_) => ("200 OK", "Signing in was refused. This page can be closed."),
                Came::Other => ("404 Not Found", NOT_DONE),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}\n",
                words.len() + 1
            );
            // Whether the browser shows the page does not matter.
            let _ = stream.write_all(answer.as_bytes()).await;
            match came {
                Came::Code(code) => return Ok(code),
                Came::Refused(words) => return Err(failed(&words)),
                Came::Other => {}
            }
        }
        Err(failed("the browser asked for everything but the sign-in"))
    }

    async fn read(&self, stream: &mut TcpStream) -> Came {
        let mut head = Zeroizing::new(Vec::new());
        let mut piece = Zeroizing::new([0_u8; 1024]);
        while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD {
            match stream.read(piece.as_mut_slice()).await {
                Ok(count) if count > 0 => head.extend_from_slice(piece.get(..count).unwrap_or_default()),
                _ => break,
            }
        }
        came(&head, &self.state)
    }
}

/// What the head of a request brings for the sign-in with this state. A request with another state is somebody else's (RFC 6749,
/// section 10.12), and is passed over.
fn came(head: &[u8], state: &str) -> Came {
    let line = std::str::from_utf8(head).ok().and_then(|text| text.lines().next()).unwrap_or_default();
    let Some(target) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) else { return Came::Other };
    let Some(Ok(url)) = target.starts_with('/').then(|| reqwest::Url::parse(&format!("http://localhost{target}"))) else {
        return Came::Other;
    };
    let pairs: Vec<(String, Zeroizing<String>)> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect();
    let one = |name: &str| {
        let mut found = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        found.next().filter(|_| found.next().is_none())
    };
    if url.path() != CALLBACK || one("state").is_none_or(|found| found.as_str() != state) {
        return Came::Other;
    }
    match (one("code"), one("error")) {
        (Some(code), None) if !code.is_empty() => Came::Code(code.clone()),
        (_, Some(error)) => {
            let described = one("error_description").map_or(error.as_str(), |words| words.as_str());
            Came::Refused(trustctl_core::reason::clean(described))
        }
        _ => Came::Other,
    }
}

fn failed(words: &str) -> TokenError {
    TokenError::SignIn { words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_an_answer_with_this_state_counts() {
        let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        assert!(matches!(came(&head("/auth/callback?code=c&state=s"), "s"), Came::Code(code) if code.as_str() == "c"));
        assert!(
            matches!(came(&head("/auth/callback?error=access_denied&state=s"), "s"), Came::Refused(words) if words == "access_denied")
        );
        for other in [
            "/auth/callback?code=c",
            "/auth/callback?code=c&state=x",
            "/auth/callback?code=c&state=x&state=s",
            "/auth/callback?code=&state=s",
            "/auth/callback?state=s",
            "/favicon.ico?code=c&state=s",
            "//elsewhere/auth/callback?code=c&state=s",
        ] {
            assert!(matches!(came(&head(other), "s"), Came::Other), "{other}");
        }
        assert!(matches!(came(b"POST /auth/callback?code=c&state=s HTTP/1.1\r\n\r\n", "s"), Came::Other));
    }

    proptest! {
        #[test]
        fn no_request_panics(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = came(&head, "s");
        }
    }
}
