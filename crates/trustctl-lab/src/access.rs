//! Who may do what: HTTP basic authentication, or bearer tokens from a token endpoint on the same server.
//!
//! The token protocol is the one of the Docker registry ("Token Authentication Specification"), in its GET and its OAuth2 POST form.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::answer::{self, Answer};

/// What an account may do in every repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rights {
    /// Nothing: it is known, and may not read.
    Nothing,
    /// Read.
    Pull,
    /// Read and write.
    Push,
    /// Everything, also delete and rotate.
    All,
}

/// A name and password that a service of the lab knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub name: String,
    /// The password. It protects nothing: a lab is reachable from this machine only.
    pub password: String,
    /// What it may do.
    pub rights: Rights,
}

impl Account {
    /// An account that may do everything.
    #[must_use]
    pub fn admin(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), rights: Rights::All }
    }
}

/// Who may do what in a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Only these accounts, by HTTP basic authentication.
    Basic(Vec<Account>),
    /// Everybody may do everything.
    #[default]
    Open,
    /// By bearer tokens from the service's own `/token`.
    Token(TokenAccess),
}

/// The rules of [`Access::Token`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAccess {
    /// Who gets tokens that allow more than anonymous ones.
    pub accounts: Vec<Account>,
    /// Whether a token for pulling is given to anybody.
    pub anonymous_pull: bool,
    /// The realm to announce instead of the service's own `/token`: for clients that must not follow it.
    pub realm: Option<String>,
}

impl Access {
    /// Everybody may pull; these accounts get tokens for more.
    #[must_use]
    pub fn token(accounts: Vec<Account>) -> Self {
        Self::Token(TokenAccess { accounts, anonymous_pull: true, realm: None })
    }
}

/// What a request needs, as in a token's scope: `repository:NAME:pull,push`.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) scope: String,
    pub(crate) rights: Rights,
    /// The repository, empty for what belongs to none.
    pub(crate) name: String,
}

impl Need {
    pub(crate) fn repository(name: &str, rights: Rights) -> Self {
        let actions = match rights {
            Rights::Nothing => "",
            Rights::Pull => "pull",
            Rights::Push => "push,pull",
            Rights::All => "*",
        };
        Self { scope: format!("repository:{name}:{actions}"), rights, name: name.to_owned() }
    }

    /// The ping and the catalogue; any token will do.
    pub(crate) fn catalog() -> Self {
        Self { scope: "registry:catalog:*".to_owned(), rights: Rights::Pull, name: String::new() }
    }
}

/// Lets requests pass or challenges them.
#[derive(Debug)]
pub(crate) struct Guard {
    access: Access,
    own_url: String,
    grants: Mutex<BTreeMap<String, Grant>>,
}

#[derive(Clone, Debug)]
struct Grant {
    /// The repositories it is for, with what it allows there.
    allows: Vec<(String, Rights)>,
    /// Set for refresh tokens: they are good for getting tokens only.
    refreshes: Option<Account>,
    until: Instant,
}

impl Guard {
    pub(crate) fn new(access: Access, own_url: String) -> Self {
        Self { access, own_url, grants: Mutex::default() }
    }

    /// # Errors
    /// The 401 to send instead.
    pub(crate) fn check(&self, request: &Request<Bytes>, need: &Need) -> Result<(), Box<Answer>> {
        match &self.access {
            Access::Open => Ok(()),
            Access::Basic(accounts) => match self.account(accounts, request) {
                Some(account) if account.rights >= need.rights => Ok(()),
                Some(_) => {
                    Err(Box::new(answer::error(StatusCode::FORBIDDEN, "DENIED", "requested access is denied", Value::Null)))
                }
                None => Err(Box::new(unauthorized(need, "Basic realm=\"trustctl-lab\"".to_owned()))),
            },
            Access::Token(rules) => match authorization(request, "Bearer ") {
                Some(token) if self.allows(token, need) => Ok(()),
                Some(_) => {
                    Err(Box::new(unauthorized(need, self.challenge(rules, request, need, ",error=\"insufficient_scope\""))))
                }
                None => Err(Box::new(unauthorized(need, self.challenge(rules, request, need, "")))),
            },
        }
    }

    /// The answer of `/token`; `None` when there are no tokens here.
    pub(crate) fn token(&self, request: &Request<Bytes>) -> Option<Answer> {
        let Access::Token(rules) = &self.access else { return None };
        let form = std::str::from_utf8(request.body()).ok();
        let is_post = request.method() == Method::POST;
        let fields = if is_post { form } else { request.uri().query() };
        let account = if is_post { self.account_of_form(rules, fields) } else { self.account_of_header(rules, request) };
        let Ok(account) = account else {
            return Some(answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong user name or password", Value::Null));
        };
        let scopes = answer::queries(fields, "scope");
        let allows = scopes.iter().flat_map(|scope| scope.split(' ')).filter_map(|scope| granted(rules, account.as_ref(), scope));
        let grant = Grant { allows: allows.take(MAX_SCOPES).collect(), refreshes: None, until: Instant::now() + TOKEN_LIFE };
        let token = self.remember(grant);
        let mut body = json!({"token": token, "access_token": token, "expires_in": TOKEN_LIFE.as_secs()});
        let offline = answer::query(fields, "offline_token").as_deref() == Some("true")
            || answer::query(fields, "access_type").as_deref() == Some("offline");
        if let (true, Some(account)) = (offline, account) {
            let grant = Grant { allows: Vec::new(), refreshes: Some(account), until: Instant::now() + REFRESH_LIFE };
            if let Some(fields) = body.as_object_mut() {
                fields.insert("refresh_token".to_owned(), self.remember(grant).into());
            }
        }
        Some(answer::json_value(StatusCode::OK, &body))
    }

    /// The account that a GET names by basic authentication, `None` for nobody.
    fn account_of_header(&self, rules: &TokenAccess, request: &Request<Bytes>) -> Result<Option<Account>, WrongPassword> {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        self.account(&rules.accounts, request).cloned().map(Some).ok_or(WrongPassword)
    }

    /// The account that an OAuth2 form names, by password or by refresh token.
    fn account_of_form(&self, rules: &TokenAccess, form: Option<&str>) -> Result<Option<Account>, WrongPassword> {
        let field = |name| answer::query(form, name).unwrap_or_default();
        if field("grant_type") == "refresh_token" {
            let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
            let grant = grants.get(&field("refresh_token")).filter(|grant| grant.until > Instant::now());
            return grant.and_then(|grant| grant.refreshes.clone()).map(Some).ok_or(WrongPassword);
        }
        let (name, password) = (field("username"), field("password"));
        let found = rules.accounts.iter().find(|account| account.name == name && account.password == password);
        found.cloned().map(Some).ok_or(WrongPassword)
    }

    fn account<'a>(&self, accounts: &'a [Account], request: &Request<Bytes>) -> Option<&'a Account> {
        let encoded = authorization(request, "Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        accounts.iter().find(|account| account.name == name && account.password == password)
    }

    fn allows(&self, token: &str, need: &Need) -> bool {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(grant) = grants.get(token).filter(|grant| grant.until > Instant::now() && grant.refreshes.is_none()) else {
            return false;
        };
        need.name.is_empty() || grant.allows.iter().any(|(name, rights)| *name == need.name && *rights >= need.rights)
    }

    fn remember(&self, grant: Grant) -> String {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.until > Instant::now());
        if grants.len() >= MAX_GRANTS {
            grants.pop_first();
        }
        let token = random_name();
        grants.insert(token.clone(), grant);
        token
    }

    fn challenge(&self, rules: &TokenAccess, request: &Request<Bytes>, need: &Need, error: &str) -> String {
        let realm = rules.realm.clone().unwrap_or_else(|| format!("{}/token", self.url_as_asked(request)));
        format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\",scope=\"{}\"{error}", need.scope)
    }

    /// The service's own URL under the name that the client used: one that talks to `localhost` is not sent to `127.0.0.1`.
    fn url_as_asked(&self, request: &Request<Bytes>) -> String {
        let asked = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        match asked.strip_prefix("localhost:") {
            Some(_) => self.own_url.replace("127.0.0.1", "localhost"),
            None => self.own_url.clone(),
        }
    }
}

/// 32 hexadecimal digits that nobody guesses.
pub(crate) fn random_name() -> String {
    let mut bytes = [0_u8; 16];
    // A failing system generator would make names collide; tests would see that, and a lab protects nothing.
    let _ = SystemRandom::new().fill(&mut bytes);
    hex::encode(bytes)
}

struct WrongPassword;

fn authorization<'a>(request: &'a Request<Bytes>, kind: &str) -> Option<&'a str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(kind)
}

/// What of `scope` (`repository:NAME:ACTIONS`) this account gets; names may hold colons.
fn granted(rules: &TokenAccess, account: Option<&Account>, scope: &str) -> Option<(String, Rights)> {
    let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let wanted = actions.split(',').filter_map(|action| match action {
        "pull" => Some(Rights::Pull),
        "push" => Some(Rights::Push),
        "*" | "delete" => Some(Rights::All),
        _ => None,
    });
    let allowed = match account {
        Some(account) => account.rights,
        None if rules.anonymous_pull => Rights::Pull,
        None => return None,
    };
    Some((name.to_owned(), wanted.max()?.min(allowed)))
}

fn unauthorized(need: &Need, challenge: String) -> Answer {
    let actions = need.scope.rsplit(':').next().unwrap_or_default().split(',');
    let detail: Vec<Value> =
        actions.map(|action| json!({"Type": "repository", "Class": "", "Name": need.name, "Action": action})).collect();
    let mut answer = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required", detail.into());
    answer::set(&mut answer, WWW_AUTHENTICATE, challenge);
    answer
}

const SERVICE: &str = "trustctl-lab";
const TOKEN_LIFE: Duration = Duration::from_secs(300);
const REFRESH_LIFE: Duration = Duration::from_secs(86_400);
/// Tokens that are good at once; the lab forgets one of them for each one more.
const MAX_GRANTS: usize = 10_000;
const MAX_SCOPES: usize = 64;
