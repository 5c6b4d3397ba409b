//! JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, signed with RS256: `cosign --identity-token` takes no other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};
use serde_json::{Map, Value, json};
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};
use trustctl_core::time::Timestamp;

use crate::error::LabError;
use crate::sigstore::keys::Key;

/// What a token must be to be taken.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) now: Timestamp,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("the identity token is not a JSON Web Token with RS256")]
    Form,
    #[error("the identity token is not signed by the issuer it names")]
    Signature,
    #[error("the identity token is of another issuer")]
    Issuer,
    #[error("the identity token is for another audience")]
    Audience,
    #[error("the identity token has expired")]
    Expired,
    #[error("the identity token is not valid yet")]
    Early,
}

/// A token with these claims.
pub(crate) fn sign(key: &Key, claims: &Map<String, Value>) -> Result<String, LabError> {
    let header = json!({"alg": "RS256", "kid": key_id(key.public()), "typ": "JWT"}).to_string();
    let claims = Value::Object(claims.clone()).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a token that is all that is expected of it.
pub(crate) fn verify(token: &str, expected: &Expected<'_>) -> Result<Map<String, Value>, BadToken> {
    let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(BadToken::Form)?;
    if object(header)?.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(BadToken::Form);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadToken::Form)?;
    let scheme = SignatureScheme::RsaPkcs1(Hash::Sha256);
    expected.key.verify(scheme, signed.as_bytes(), &signature).map_err(|_| BadToken::Signature)?;
    let claims = object(claims)?;
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(BadToken::Issuer);
    }
    let is_audience = |value: &Value| value.as_str() == Some(expected.audience);
    let for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_audience),
        Some(one) => is_audience(one),
        None => false,
    };
    if !for_us {
        return Err(BadToken::Audience);
    }
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
    let now = expected.now.unix_seconds();
    if seconds("exp").ok_or(BadToken::Form)? <= now {
        return Err(BadToken::Expired);
    }
    if seconds("nbf").is_some_and(|begin| begin > now.saturating_add(LEEWAY)) {
        return Err(BadToken::Early);
    }
    Ok(claims)
}

/// The set with the one key (RFC 7517, section 5; RFC 7518, section 6.3.1).
pub(crate) fn key_set(key: &PublicKey) -> Result<Value, LabError> {
    let mut reader = SliceReader::new(key.raw())?;
    let (modulus, exponent) = reader.sequence(|inner| Ok((UintRef::decode(inner)?, UintRef::decode(inner)?)))?;
    let encode = |number: UintRef<'_>| URL_SAFE_NO_PAD.encode(number.as_bytes());
    Ok(json!({"keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id(key), "n": encode(modulus), "e": encode(exponent),
    }]}))
}

fn key_id(key: &PublicKey) -> String {
    key.fingerprint().chars().take(16).collect()
}

fn object(part: &str) -> Result<Map<String, Value>, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| BadToken::Form)
}

/// Seconds by which the clocks of issuer and reader may differ.
const LEEWAY: i64 = 60;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::Claims;
    use super::*;

    #[test]
    fn a_token_is_taken_for_what_it_says_and_for_nothing_else() {
        let (key, other) = (Key::rsa().unwrap(), Key::rsa().unwrap());
        let now = Timestamp::from_unix_seconds(1_800_000_000).unwrap();
        let (issuer, audience) = ("http://127.0.0.1:1", "sigstore");
        let expected = Expected { key: key.public(), issuer, audience, now };
        let made = |claims: &Claims| sign(&key, &claims.complete(issuer, audience, now)).unwrap();
        let claims = Claims::email("dev@example.test");

        let token = made(&claims);
        assert_eq!(verify(&token, &expected).unwrap().get("email").unwrap(), "dev@example.test");
        assert_eq!(verify(&made(&claims.clone().expired()), &expected), Err(BadToken::Expired));
        assert_eq!(verify(&made(&claims.clone().audience("other")), &expected), Err(BadToken::Audience));
        assert_eq!(verify(&made(&claims.clone().with("iss", "http://127.0.0.1:2")), &expected), Err(BadToken::Issuer));
        let soon = now.unix_seconds() + LEEWAY + 1;
        assert_eq!(verify(&made(&claims.clone().with("nbf", soon)), &expected), Err(BadToken::Early));
        let stolen = sign(&other, &claims.complete(issuer, audience, now)).unwrap();
        assert_eq!(verify(&stolen, &expected), Err(BadToken::Signature));
        let (_, rest) = token.split_once('.').unwrap();
        let unsigned = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        assert_eq!(verify(&unsigned, &expected), Err(BadToken::Form));
    }
}
