//! Identity tokens: JSON Web Tokens that an OpenID Connect issuer made.
//!
//! Source: RFC 7519 (claims), RFC 7515 (compact form), OpenID Connect Core 1.0, section 2. The issuer's signature is not checked here:
//! that is for the certificate authority, which knows the issuer's keys. What is checked saves a request that must fail, and tells who will
//! be named in the certificate.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use trustctl_core::reason::clean;
use trustctl_core::time::Timestamp;
use zeroize::Zeroizing;

use super::TokenError;
use super::machine::Machine;
use crate::http::Authorization;

/// Longest token, in bytes. GitHub's have about 2,000; headers of more than 16 KiB are refused by most servers.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longest claim that is kept, in bytes.
const MAX_CLAIM: usize = 2048;
/// Most audiences of one token.
const MAX_AUDIENCES: usize = 32;
/// How much later than this machine's clock a token's beginning may be: clocks differ.
const MAX_SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// A token. Erased from memory when dropped; never shown, neither by `Debug` nor in an error.
pub struct IdentityToken {
    raw: Zeroizing<String>,
    claims: Claims,
}

/// What a token says, as far as it is looked at. Nobody has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// Who made it: a URL.
    pub issuer: String,
    /// Whom it names.
    pub subject: String,
    /// The address of whom it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// When it ends.
    pub expires: Timestamp,
    #[serde(skip)]
    email_verified: Option<bool>,
    #[serde(skip)]
    begins: Option<Timestamp>,
    #[serde(skip)]
    nonce: Option<String>,
    #[serde(skip)]
    machine: Machine,
}

/// What a token has to say to be used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// One of its audiences.
    pub audience: &'a str,
    /// Its issuer, where one was named.
    pub issuer: Option<&'a str>,
    /// Its nonce, where it was asked for with one.
    pub nonce: Option<&'a str>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Form {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Audiences,
    exp: Seconds,
    #[serde(default)]
    nbf: Option<Seconds>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Flag>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(flatten)]
    machine: Machine,
}

impl IdentityToken {
    /// Reads a token; white space around it does not count.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] when it is no signed JSON Web Token with the claims that are needed, or goes beyond a limit.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TOKEN {
            return Err(malformed("it is longer than 16 KiB"));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(malformed("it does not have three parts"));
        };
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).map(Zeroizing::new).map_err(|_| malformed("a part is not base64url"));
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed("its header names no algorithm"))?;
        if header.alg.eq_ignore_ascii_case("none") || decode(signature)?.is_empty() {
            return Err(malformed("it is not signed"));
        }
        // The words of the parser could quote the token.
        let form: Form = serde_json::from_slice(&decode(payload)?).map_err(|error| {
            malformed(&format!("its claims cannot be read ({:?}, column {})", error.classify(), error.column()))
        })?;
        Ok(Self { raw: Zeroizing::new(text.to_owned()), claims: form.claims()? })
    }

    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whom it names to a certificate authority: the address, else the subject. This is what the proof of possession is over.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.claims.email.as_deref().unwrap_or(&self.claims.subject)
    }

    /// The identity and issuer that a certificate for it will name, by the rules of Fulcio: one of these, unless an instance has rules of
    /// its own.
    #[must_use]
    pub fn names(&self) -> Vec<(String, String)> {
        let claims = &self.claims;
        let identities = claims.machine.identities(claims.email.as_deref(), &claims.subject);
        let issuers = [Some(&claims.issuer), claims.machine.connector()];
        let pairs = identities.iter().flat_map(|identity| issuers.iter().flatten().map(move |issuer| (identity, issuer)));
        pairs.map(|(identity, issuer)| (identity.clone(), (*issuer).clone())).collect()
    }

    /// Checks that it can be used at `now`.
    ///
    /// # Errors
    /// [`TokenError::Expired`], [`TokenError::Audience`], [`TokenError::Issuer`], [`TokenError::Unverified`]; [`TokenError::SignIn`] for
    /// another nonce.
    pub fn check(&self, demands: Demands<'_>, now: Timestamp) -> Result<(), TokenError> {
        let claims = &self.claims;
        if claims.expires <= now {
            return Err(TokenError::Expired { words: format!("it expired at {}, and it is {now}", claims.expires) });
        }
        if let Some(begins) = claims.begins.filter(|begins| *begins > now.saturating_add(MAX_SKEW)) {
            return Err(TokenError::Expired { words: format!("it is valid from {begins} on, and it is {now}") });
        }
        if !claims.audiences.iter().any(|audience| audience == demands.audience) {
            let found = claims.audiences.iter().map(|audience| clean(audience)).collect::<Vec<_>>().join(", ");
            return Err(TokenError::Audience { expected: demands.audience.to_owned(), found });
        }
        if let Some(issuer) = demands.issuer.filter(|issuer| issuer.trim_end_matches('/') != claims.issuer.trim_end_matches('/'))
        {
            return Err(TokenError::Issuer { expected: issuer.to_owned(), found: clean(&claims.issuer) });
        }
        if demands.nonce.is_some_and(|nonce| claims.nonce.as_deref() != Some(nonce)) {
            return Err(TokenError::SignIn { words: "the token's nonce is not the one that was sent".to_owned() });
        }
        if let (Some(email), Some(false)) = (&claims.email, claims.email_verified) {
            return Err(TokenError::Unverified { email: clean(email) });
        }
        Ok(())
    }

    /// The header that shows the token to a certificate authority.
    pub(crate) fn authorization(&self) -> Authorization {
        Authorization::bearer(&self.raw)
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl Form {
    fn claims(self) -> Result<Claims, TokenError> {
        let texts = [Some(&self.iss), Some(&self.sub), self.email.as_ref(), self.nonce.as_ref()];
        for text in texts.into_iter().flatten().chain(&self.aud.0).chain(self.machine.texts()) {
            if text.len() > MAX_CLAIM || text.chars().any(char::is_control) {
                return Err(malformed("a claim is too long or holds control characters"));
            }
        }
        if self.iss.is_empty() || self.sub.is_empty() {
            return Err(malformed("it names no issuer or no subject"));
        }
        let time =
            |Seconds(seconds): Seconds| Timestamp::from_unix_seconds(seconds).map_err(|_| malformed("a time is out of range"));
        Ok(Claims {
            issuer: self.iss,
            subject: self.sub,
            email: self.email.filter(|email| !email.is_empty()),
            audiences: self.aud.0,
            expires: time(self.exp)?,
            email_verified: self.email_verified.map(|Flag(flag)| flag),
            begins: self.nbf.map(time).transpose()?,
            nonce: self.nonce,
            machine: self.machine,
        })
    }
}

fn malformed(words: &str) -> TokenError {
    TokenError::Malformed { words: words.to_owned() }
}

/// One audience, or a list of them.
#[derive(Default)]
struct Audiences(Vec<String>);

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudiencesVisitor;
        impl<'de> Visitor<'de> for AudiencesVisitor {
            type Value = Audiences;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Audiences(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    if list.len() >= MAX_AUDIENCES {
                        return Err(de::Error::custom("too many audiences"));
                    }
                    list.push(element);
                }
                Ok(Audiences(list))
            }
        }
        deserializer.deserialize_any(AudiencesVisitor)
    }
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction; in whole seconds.
#[derive(Clone, Copy)]
struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let text = number.to_string();
        // Without the fraction; what is written with an exponent is no time of a token.
        let whole = text.split('.').next().unwrap_or_default();
        whole.parse().map(Self).map_err(|_| de::Error::custom("not a time"))
    }
}

/// A truth that some issuers write as a string.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(flag) => Ok(Self(flag)),
            serde_json::Value::String(text) if text == "true" => Ok(Self(true)),
            serde_json::Value::String(text) if text == "false" => Ok(Self(false)),
            _ => Err(de::Error::custom("neither true nor false")),
        }
    }
}

#[cfg(test)]
mod tests;
