//! Identity tokens: where they come from, and what is checked of them before anybody is asked for a certificate.
//!
//! - [`token`]: the token itself;
//! - [`ambient`]: tokens that the surroundings offer: CI systems, metadata servers, agents, files;
//! - [`discovery`], [`browser`], [`device`]: signing in at an issuer.
//!
//! A token lives for minutes. Whoever needs one fetches it right before it is used, and never stores it.

pub mod ambient;
pub mod browser;
pub mod device;
pub mod discovery;
mod machine;
mod spiffe;
pub mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, Step};
use zeroize::Zeroizing;

use crate::error::RemoteError;

/// The audience of tokens for Sigstore instances, and what clients call themselves to their issuers.
pub const SIGSTORE: &str = "sigstore";

/// Why there is no token that can be used. No variant holds one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is meant for somebody else.
    #[error("the identity token is not meant for {expected}")]
    Audience {
        /// The audience that is needed.
        expected: String,
        /// Its audiences.
        found: String,
    },
    /// It is not valid now.
    #[error("the identity token cannot be used: {words}")]
    Expired {
        /// Since or until when.
        words: String,
    },
    /// It is by another issuer than the one that was named.
    #[error("the identity token is by another issuer")]
    Issuer {
        /// The issuer that was named.
        expected: String,
        /// Its issuer.
        found: String,
    },
    /// It is not a token.
    #[error("the identity token is malformed: {words}")]
    Malformed {
        /// What is wrong with it.
        words: String,
    },
    /// The job may not have one.
    #[error("{words}")]
    Permission {
        /// Which CI system, and what is missing.
        words: String,
        /// What to write into the job's definition.
        step: &'static str,
    },
    /// Its issuer or agent could not be asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Signing in did not work.
    #[error("signing in failed: {words}")]
    SignIn {
        /// What happened.
        words: String,
    },
    /// A source was found, and gave none.
    #[error("{source_name}: {words}")]
    Source {
        /// The source, for people.
        source_name: &'static str,
        /// What it gave instead; never a token.
        words: String,
    },
    /// Its issuer has not verified the address.
    #[error("the issuer has not verified the address {email}")]
    Unverified {
        /// The address.
        email: String,
    },
}

impl TokenError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let of = |code| Reason::new(code, self.to_string());
        match self {
            Self::Audience { expected, found } => of(Code::TokenAudience).expected_found(expected, found),
            Self::Expired { .. } => of(Code::TokenExpired),
            Self::Issuer { expected, found } => of(Code::TokenIssuer).expected_found(expected, found),
            Self::Malformed { .. } => of(Code::TokenMalformed),
            Self::Permission { step, .. } => of(Code::TokenPermission).step(Step::words(step)),
            Self::Remote(error) => error.reason(),
            Self::SignIn { .. } => of(Code::SignInFailed),
            Self::Source { .. } => of(Code::TokenSource),
            Self::Unverified { .. } => of(Code::TokenUnverified),
        }
    }
}

impl From<TokenError> for Reason {
    fn from(error: TokenError) -> Self {
        error.reason()
    }
}

/// A secret in somebody's answer: erased from memory when dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// A secret of a sign-in: 32 random bytes, base64url.
fn secret() -> Result<Zeroizing<String>, TokenError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    crate::random::fill(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// The challenge for a verifier by the method S256 (RFC 7636, section 4.2).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::sha256_of(verifier.as_bytes()).as_bytes())
}

/// A body or query of `application/x-www-form-urlencoded` pairs.
fn form(pairs: &[(&str, &str)]) -> String {
    let mut url: reqwest::Url = match "http://localhost/".parse() {
        Ok(url) => url,
        Err(_) => return String::new(),
    };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_the_specification() {
        // RFC 7636, appendix B.
        assert_eq!(challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn secrets_differ_and_forms_are_encoded() {
        assert_ne!(*secret().unwrap(), *secret().unwrap());
        assert_eq!(secret().unwrap().len(), 43);
        assert_eq!(form(&[("a b", "c&d=é"), ("e", "")]), "a+b=c%26d%3D%C3%A9&e=");
    }
}
