//! Logins: basic, tokens, TLS.

use trustctl_lab::access::{Access, Account, Rights, TokenAccess};
use trustctl_lab::authority::Authority;
use trustctl_lab::image::Artifact;
use trustctl_lab::registry::{LabRegistry, RegistryOptions};

use crate::support::Ask;

// "alice:secret-1" and "alice:wrong" in base64.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0LTE=";
const WRONG: &str = "Basic YWxpY2U6d3Jvbmc=";

fn alice() -> Account {
    Account::admin("alice", "secret-1")
}

fn start(access: Access) -> LabRegistry {
    LabRegistry::start(RegistryOptions { access, ..RegistryOptions::default() }).unwrap()
}

#[tokio::test]
async fn basic_access_asks_everybody() {
    let reader = Account { name: "bob".to_owned(), password: "secret-2".to_owned(), rights: Rights::Pull };
    let registry = start(Access::Basic(vec![alice(), reader.clone()]));
    let ping = format!("{}/v2/", registry.url());
    let nobody = Ask::get(&ping).send().await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Basic realm=\"trustctl-lab\""));
    assert_eq!(Ask::get(&ping).header("authorization", WRONG).send().await.code(), "UNAUTHORIZED");
    assert_eq!(Ask::get(&ping).header("authorization", ALICE).send().await.status, 200);
    let image = Artifact::image("hello");
    assert!(registry.push("demo/app", Some("1.0"), &image, None).is_err());
    registry.push("demo/app", Some("1.0"), &image, Some(&alice())).unwrap();
    let refused = registry.push("demo/app", Some("2.0"), &image, Some(&reader)).unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    let logged = registry.requests().all();
    assert!(logged.iter().any(|request| request.authorization.as_deref() == Some("Basic")));
    assert!(!format!("{logged:?}").contains("YWxpY2U"), "credentials are not kept");
}

#[tokio::test]
async fn anybody_pulls_with_a_token_but_only_accounts_push() {
    let registry = start(Access::token(vec![alice()]));
    let image = Artifact::image("hello");
    let refused = registry.push("demo/app", Some("1.0"), &image, None).unwrap_err().to_string();
    assert!(refused.contains("401"), "{refused}");
    registry.push("demo/app", Some("1.0"), &image, Some(&alice())).unwrap();

    let manifest = format!("{}/v2/demo/app/manifests/1.0", registry.url());
    let challenged = Ask::get(&manifest).send().await;
    let expected =
        format!("Bearer realm=\"{}/token\",service=\"trustctl-lab\",scope=\"repository:demo/app:pull\"", registry.url());
    assert_eq!((challenged.status, challenged.header("www-authenticate")), (401, expected.as_str()));
    let token_url = format!("{}/token?service=trustctl-lab&scope=repository:demo/app:pull,push", registry.url());
    let token = Ask::get(&token_url).send().await.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(Ask::get(&manifest).header("authorization", &bearer).send().await.status, 200);
    let put = Ask::new("PUT", &manifest).header("authorization", &bearer).body(image.manifest.clone()).send().await;
    assert_eq!(put.status, 401, "anonymous tokens are for pulling");
    assert!(put.header("www-authenticate").contains("error=\"insufficient_scope\""));
    let other = format!("{}/v2/other/tags/list", registry.url());
    assert_eq!(Ask::get(&other).header("authorization", &bearer).send().await.status, 401, "for one repository only");
    assert_eq!(Ask::get(&token_url).header("authorization", WRONG).send().await.status, 401);
}

#[tokio::test]
async fn a_refresh_token_gets_tokens_and_nothing_else() {
    let registry = start(Access::token(vec![alice()]));
    let token_url = format!("{}/token", registry.url());
    let post = |form: String| Ask::new("POST", &token_url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let scope = "service=trustctl-lab&scope=repository:demo/app:push,pull";
    let login = format!("grant_type=password&username=alice&password=secret-1&access_type=offline&{scope}");
    let answer = post(login.clone()).send().await.json();
    let refresh = answer["refresh_token"].as_str().unwrap();
    let again = post(format!("grant_type=refresh_token&refresh_token={refresh}&{scope}")).send().await.json();
    let tags = format!("{}/v2/demo/app/tags/list", registry.url());
    let status = |token: &str| Ask::get(&tags).header("authorization", format!("Bearer {token}")).send();
    assert_eq!(status(again["access_token"].as_str().unwrap()).await.code(), "NAME_UNKNOWN");
    assert_eq!(status(refresh).await.status, 401);
    assert_eq!(post(login.replace("secret-1", "x")).send().await.status, 401);
    assert_eq!(post(format!("grant_type=refresh_token&refresh_token=x&{scope}")).send().await.status, 401);
}

#[tokio::test]
async fn the_realm_follows_the_name_in_use_or_is_somebody_elses() {
    let registry = start(Access::token(vec![]));
    let port = registry.host().split(':').nth(1).unwrap().to_owned();
    let asked = Ask::get(format!("http://localhost:{port}/v2/")).send().await;
    assert!(asked.header("www-authenticate").contains(&format!("realm=\"http://localhost:{port}/token\"")));
    let rules = TokenAccess { accounts: vec![], anonymous_pull: true, realm: Some("http://stranger.example/token".to_owned()) };
    let registry = start(Access::Token(rules));
    let asked = Ask::get(format!("{}/v2/", registry.url())).send().await;
    assert!(asked.header("www-authenticate").contains("realm=\"http://stranger.example/token\""));
}

#[tokio::test]
async fn tls_is_trusted_through_the_labs_authority_only() {
    let authority = Authority::create().unwrap();
    let options = RegistryOptions { tls: Some(authority.clone()), ..RegistryOptions::default() };
    let registry = LabRegistry::start(options).unwrap();
    assert!(registry.url().starts_with("https://127.0.0.1:"));
    registry.push("demo/app", Some("1.0"), &Artifact::image("hello"), None).unwrap();
    assert!(Ask::get(format!("{}/v2/", registry.url())).try_send().await.is_err(), "no other client trusts it");
    assert!(authority.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
}
