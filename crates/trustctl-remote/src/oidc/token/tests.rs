#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use trustctl_core::reason::Code;

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> i64 {
    now().unix_seconds() + seconds
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": "CiQ", "aud": "sigstore", "exp": at(300), "nbf": at(-1), "email": "dev@example.test",
        "email_verified": true
    })
}

fn written(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn token(claims: &Value) -> String {
    written(&json!({"alg": "RS256", "kid": "k"}), claims, "c2lnbmF0dXJl")
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().insert(name.to_owned(), value.into());
    all
}

fn demands() -> Demands<'static> {
    Demands { audience: "sigstore", ..Demands::default() }
}

fn checked(claims: &Value, demands: Demands<'_>) -> Option<Code> {
    let token = IdentityToken::parse(&token(claims)).unwrap();
    token.check(demands, now()).err().map(|error| error.reason().code)
}

#[test]
fn a_token_says_whom_it_names_and_shows_nothing_of_itself() {
    let text = token(&claims());
    let token = IdentityToken::parse(&format!(" {text}\n")).unwrap();
    assert_eq!((token.identity(), token.claims().issuer.as_str()), ("dev@example.test", "https://issuer.example"));
    assert_eq!(token.claims().expires.unix_seconds(), at(300));
    let shown = format!("{token:?}");
    assert!(text.split('.').all(|part| !shown.contains(part)), "{shown}");
    let without = with("email", "");
    assert_eq!(IdentityToken::parse(&self::token(&without)).unwrap().identity(), "CiQ");
}

#[test]
fn only_what_can_be_used_now_for_this_passes() {
    assert_eq!(checked(&claims(), demands()), None);
    assert_eq!(checked(&with("exp", at(0)), demands()), Some(Code::TokenExpired));
    assert_eq!(checked(&with("exp", at(1)), demands()), None);
    assert_eq!(checked(&with("nbf", at(61)), demands()), Some(Code::TokenExpired));
    assert_eq!(checked(&with("nbf", at(60)), demands()), None, "clocks differ");
    assert_eq!(checked(&with("aud", json!(["a", "sigstore"])), demands()), None);
    for other in [json!("Sigstore"), json!([]), json!(["a", "b"]), json!("sigstore.example")] {
        assert_eq!(checked(&with("aud", other), demands()), Some(Code::TokenAudience));
    }
    let issuer = |url| Demands { issuer: Some(url), ..demands() };
    assert_eq!(checked(&claims(), issuer("https://issuer.example/")), None);
    assert_eq!(checked(&claims(), issuer("https://issuer.example.evil")), Some(Code::TokenIssuer));
    let nonce = |text| Demands { nonce: Some(text), ..demands() };
    assert_eq!(checked(&with("nonce", "n"), nonce("n")), None);
    assert_eq!(checked(&with("nonce", "m"), nonce("n")), Some(Code::SignInFailed));
    assert_eq!(checked(&claims(), nonce("n")), Some(Code::SignInFailed));
    for unverified in [json!(false), json!("false")] {
        assert_eq!(checked(&with("email_verified", unverified), demands()), Some(Code::TokenUnverified));
    }
    assert_eq!(checked(&with("email_verified", "true"), demands()), None);
}

#[test]
fn what_is_no_signed_token_is_refused_without_being_quoted() {
    let good = token(&claims());
    let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
    let mut bad = vec![
        String::new(),
        "a.b".to_owned(),
        format!("{good}.c"),
        good.replace('.', "=."),
        written(&json!({"alg": "none"}), &claims(), "c2lnbmF0dXJl"),
        written(&json!({"alg": "NONE"}), &claims(), "c2lnbmF0dXJl"),
        written(&json!({}), &claims(), "c2lnbmF0dXJl"),
        written(&json!({"alg": "RS256"}), &claims(), ""),
        "a".repeat(MAX_TOKEN + 1),
    ];
    for (name, value) in [
        ("iss", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{1b}[31mb")),
        ("email", json!("x".repeat(MAX_CLAIM + 1))),
        ("exp", json!("soon")),
        ("exp", json!(1e300)),
        ("aud", json!(many)),
        ("aud", json!({})),
        ("email_verified", json!("perhaps")),
    ] {
        bad.push(token(&with(name, value)));
    }
    let twice = URL_SAFE_NO_PAD.encode(claims().to_string().replace("\"aud\"", "\"aud\":\"x\",\"aud\""));
    bad.push(format!("{}.{twice}.c2lnbmF0dXJl", good.split('.').next().unwrap()));
    for text in bad {
        let error = IdentityToken::parse(&text).unwrap_err();
        assert_eq!(error.reason().code, Code::TokenMalformed, "{text}");
        let said = error.to_string();
        assert!(text.split('.').filter(|part| part.len() > 8).all(|part| !said.contains(part)), "{said}");
    }
}

#[test]
fn times_may_have_a_fraction() {
    let token = IdentityToken::parse(&token(&with("exp", json!(1_795_867_500.75)))).unwrap();
    assert_eq!(token.claims().expires.unix_seconds(), 1_795_867_500);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = IdentityToken::parse(&text);
    }

    #[test]
    fn no_claims_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), header in proptest::collection::vec(any::<u8>(), 0..40)) {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let _ = IdentityToken::parse(&format!("{}.{}.c2ln", part(&header), part(&bytes)));
        let fixed = part(br#"{"alg":"RS256"}"#);
        if let Ok(token) = IdentityToken::parse(&format!("{fixed}.{}.c2ln", part(&bytes))) {
            let _ = token.check(demands(), now());
        }
    }
}
