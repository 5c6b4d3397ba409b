//! Tokens: where they come from, and which are refused before a certificate is asked for.

use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::program::User;

use super::stage::{DEVELOPER, Stage};

/// Signs with a token file of this text; refused before Fulcio is asked, and the token is never shown.
#[track_caller]
fn refuses_text(stage: &Stage, text: &str, more: &[&str], ends: (i32, &str)) -> String {
    std::fs::write(stage.user.home().join("token"), text).unwrap();
    let words = stage.words(LogVersion::V1, &[&["--identity-token", "token", "-v"][..], more].concat());
    let said = stage.refused(&stage.user, &words, ends);
    assert_eq!(stage.certificates(), 0, "the certificate authority was asked: {said}");
    for part in text.split('.').filter(|part| part.len() > 20) {
        assert!(!said.contains(part), "the token is shown: {said}");
    }
    said
}

#[track_caller]
fn refuses(stage: &Stage, claims: &Claims, more: &[&str], ends: (i32, &str)) -> String {
    refuses_text(stage, &stage.world.sigstore().token(claims).unwrap(), more, ends)
}

#[test]
fn a_token_that_has_expired_is_refused() {
    let stage = Stage::new();
    refuses(&stage, &Claims::email(DEVELOPER).expired(), &[], (5, "TC0962"));
    stage.sign(LogVersion::V1, &[]);
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let stage = Stage::new();
    let said = refuses(&stage, &Claims::email(DEVELOPER).audience("registry"), &[], (5, "TC0963"));
    assert!(said.contains("registry") && said.contains("sigstore"), "{said}");
    refuses(&stage, &Claims::email(DEVELOPER), &["--oidc-client-id", "other"], (5, "TC0963"));
}

#[test]
fn a_token_of_another_issuer_than_the_named_one_is_refused() {
    let stage = Stage::new();
    refuses(&stage, &Claims::email(DEVELOPER), &["--oidc-issuer", "https://issuer.invalid"], (5, "TC0964"));
    let issuer = stage.issuer();
    stage.sign(LogVersion::V1, &["--oidc-issuer", &issuer]);
}

#[test]
fn an_address_that_nobody_has_verified_is_refused() {
    let stage = Stage::new();
    refuses(&stage, &Claims::email(DEVELOPER).with("email_verified", false), &[], (5, "TC0969"));
}

#[test]
fn what_is_no_token_is_refused_and_never_quoted() {
    let stage = Stage::new();
    let good = stage.world.sigstore().token(&Claims::email(DEVELOPER)).unwrap();
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    for text in ["", "secret-secret-secret-secret", "a.b.c", &unsigned, &good.replace('.', "!"), &format!("{good}.{good}")] {
        refuses_text(&stage, text, &[], (5, "TC0961"));
    }
}

#[test]
fn a_token_comes_from_a_file_or_a_variable_and_never_from_an_argument() {
    let stage = Stage::new();
    let token = stage.world.sigstore().token(&Claims::email(DEVELOPER)).unwrap();
    let said = stage.refused(&stage.user, &stage.words(LogVersion::V1, &["--identity-token", &token]), (2, "TC0802"));
    assert!(!said.contains(&token));
    let words = stage.words(LogVersion::V1, &["--identity-token", "env:MY_TOKEN"]);
    stage.refused(&stage.user, &words, (5, "TC0960"));
    stage.refused(&stage.user, &stage.words(LogVersion::V1, &["--identity-token", "no-such-file"]), (5, "TC0967"));
    let user = stage.user.clone().with("MY_TOKEN", token);
    let ran = user.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.output());
}

#[test]
fn the_token_of_a_variable_or_a_workflow_is_taken_without_a_flag() {
    let stage = Stage::new();
    let words = stage.words(LogVersion::V1, &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let gitlab = stage.user.clone().with("SIGSTORE_ID_TOKEN", stage.world.sigstore().token(&Claims::email(DEVELOPER)).unwrap());
    assert_eq!(gitlab.run(&words).unwrap().code, Some(0));
    stage.is_signed_by(DEVELOPER);

    let workflow = Claims::github("acme/shop", "refs/heads/main");
    stage.world.sigstore().set_workload(workflow.clone());
    let variables = stage.world.sigstore().workload_environment();
    let github = variables.into_iter().fold(stage.user.clone(), |user, (name, value)| user.with(name, value));
    let ran = github.run(&words).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.output());
    stage.is_signed_by(&workflow.identity());
}

#[test]
fn the_permission_that_a_job_lacks_is_named() {
    let stage = Stage::new();
    let with = |name: &str| -> User { stage.user.clone().with(name, "true") };
    let words = stage.words(LogVersion::V1, &[]);
    let said = stage.refused(&with("GITHUB_ACTIONS"), &words, (5, "TC0965"));
    assert!(said.contains("permissions: id-token: write"), "{said}");
    let said = stage.refused(&with("GITLAB_CI"), &words, (5, "TC0965"));
    assert!(said.contains("id_tokens"), "{said}");
    assert_eq!(stage.certificates(), 0);
    let image = stage.image();
    let said = stage.refused(&with("GITHUB_ACTIONS"), &["sign", &image].map(str::to_owned), (5, "TC0965"));
    assert!(said.contains("id-token: write"), "also where nothing says with what to sign: {said}");
}

#[test]
fn nobody_is_asked_to_sign_in_where_nobody_is() {
    let stage = Stage::new();
    stage.refused(&stage.user, &stage.words(LogVersion::V1, &["--device"]), (5, "TC0960"));
    assert_eq!((stage.certificates(), stage.world.sigstore().issuer().requests().count()), (0, 0));
}
