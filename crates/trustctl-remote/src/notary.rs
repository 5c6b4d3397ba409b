//! Notary v1 servers: the files of a collection are read, replaced together, and deleted.
//!
//! The protocol is that of notary-server 0.7, below `/v2/<GUN>/_trust/tuf/`. What the files say is not looked at here.
//!
//! - That a file does not exist is believed only in the server's own form: a 404 of anybody else is no answer.
//! - TLS is checked for every server, loopback included, where Docker does not check it. A private CA goes into a folder named
//!   after the server, `$DOCKER_CONFIG/tls/<host:port>/ca.crt`, as for Docker itself.
//! - Credentials are those for the registry in the GUN.

mod answer;
mod servers;
mod upload;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use serde::Deserialize;
use trustctl_core::evidence::{Entry, Locator, Origin as Way, Refusal, RefusalKind, Want};
use trustctl_core::reference::Repository;
use zeroize::Zeroizing;

use crate::credentials::{Credential, Credentials};
use crate::error::RemoteError;
use crate::gather::{Fetching, Source};
use crate::http::{Http, Method, Network, Request};
use crate::limits::Deadline;
use crate::token::{Access, Session};
pub use servers::NotaryServers;
pub use upload::RoleFile;

/// Most bytes of a server's public key; real ones have 150 (ECDSA) to 800 (RSA-4096).
const MAX_KEY: u64 = 16 * 1024;
/// Most bytes of one page of the change feed; a record has 300 bytes, a page [`PAGE`] records.
const MAX_FEED: u64 = 1024 * 1024;
/// Records of the change feed that are asked for at once.
const PAGE: usize = 1000;
/// Longest file name, in bytes: the longest role, a SHA-512 and the ending.
const MAX_NAME: usize = 400;

/// The settings of HTTP for Notary servers: those of `network`, and Docker's folders of certificates for them before all others,
/// `$DOCKER_CONFIG/tls` or `~/.docker/tls`.
///
/// `variable` looks up environment variables.
pub fn network_for_notary(mut network: Network, variable: impl Fn(&str) -> Option<OsString>) -> Network {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    network.certificates.splice(0..0, docker.map(|folder| folder.join("tls")));
    network
}

/// The credentials in a value of `NOTARY_AUTH`: base64 of `user:password`.
///
/// # Errors
/// [`RemoteError::Configuration`] when it is something else; the value is not quoted.
pub fn credential_of_notary_auth(value: &str) -> Result<Credential, RemoteError> {
    let wrong = || RemoteError::configuration("NOTARY_AUTH", "not base64 of user:password");
    let decoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(value.trim()).map_err(|_| wrong())?);
    let (user, password) = std::str::from_utf8(&decoded).ok().and_then(|pair| pair.split_once(':')).ok_or_else(wrong)?;
    Ok(Credential::password(user, password))
}

/// Roles whose key the server can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRole {
    /// The snapshot role, when its key is left to the server.
    Snapshot,
    /// The timestamp role, always the server's.
    Timestamp,
}

impl ServerRole {
    fn key_file(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot.key",
            Self::Timestamp => "timestamp.key",
        }
    }
}

/// One publishing or deletion, as the server remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The record's id; the feed continues behind it.
    #[serde(rename = "ID")]
    pub id: String,
    /// When, in RFC 3339.
    #[serde(rename = "CreatedAt")]
    pub created_at: String,
    /// The collection.
    #[serde(rename = "GUN")]
    pub gun: String,
    /// The version of the timestamp that was made; 0 for a deletion.
    #[serde(rename = "Version")]
    pub version: u64,
    /// `update` or `deletion`.
    #[serde(rename = "Category")]
    pub category: String,
}

#[derive(Deserialize)]
struct FeedForm {
    records: Option<Vec<Change>>,
}

/// A client for Notary servers. Cloning is cheap and shares connections and tokens.
#[derive(Clone)]
pub struct Notary(Arc<Inner>);

struct Inner {
    http: Http,
    credentials: Credentials,
    servers: NotaryServers,
    /// Credentials from `NOTARY_AUTH`, for whatever registry is asked about.
    everywhere: Option<Credential>,
    sessions: Mutex<HashMap<String, Session>>,
}

impl Notary {
    /// A client. `http` is best made with [`network_for_notary`].
    #[must_use]
    pub fn new(http: Http, credentials: Credentials, servers: NotaryServers) -> Self {
        Self(Arc::new(Inner { http, credentials, servers, everywhere: None, sessions: Mutex::default() }))
    }

    /// The same with `credential` used for every collection, before all others: what `NOTARY_AUTH` is for.
    #[must_use]
    pub fn with_credential(&self, credential: Credential) -> Self {
        self.made_anew(self.0.http.clone(), Some(credential))
    }

    /// A client with the same settings and nothing else in common: no connection, no token.
    #[must_use]
    pub fn fresh(&self) -> Self {
        self.made_anew(self.0.http.fresh(), self.0.everywhere.clone())
    }

    /// The HTTP client below.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.0.http
    }

    /// The host and port of the server that keeps `gun`.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when an address that was named cannot be used.
    pub fn server(&self, gun: &Repository) -> Result<String, RemoteError> {
        self.0.servers.base(gun.registry()).map(|base| base.origin.to_string())
    }

    /// The current bytes of one file, at most `max_bytes`; `None` when the server says that there is none. `file` is written as
    /// in [`Locator::Notary`].
    ///
    /// # Errors
    /// Those of [`Session::send`]; [`RemoteError::BadAnswer`] for an answer that is not a Notary server's.
    pub async fn file(
        &self,
        (gun, file): (&Repository, &str),
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        if !is_file_name(file) {
            return Err(RemoteError::bad_answer(gun.to_string(), format!("its metadata leads to a file \"{file}\"")));
        }
        let mut request = self.request(Method::GET, gun, file)?;
        request.max_bytes = max_bytes;
        answer::found(self.send(request, gun, "pull", deadline).await?)
    }

    /// The bytes of the public key that the server signs `role` of `gun` with.
    ///
    /// Until a root that names one is published, every asking makes another; the server keeps them all, so that any of them can be
    /// named (measured on notary-server 0.7).
    ///
    /// # Errors
    /// As [`Notary::file`].
    pub async fn server_key(&self, gun: &Repository, role: ServerRole, deadline: Deadline) -> Result<Vec<u8>, RemoteError> {
        self.key(Method::GET, (gun, role), "push,pull", deadline).await
    }

    /// Has the server make another key for `role`, and gives its public half; it counts once a root that names it is published.
    ///
    /// # Errors
    /// As [`Notary::file`].
    pub async fn rotate_server_key(
        &self,
        gun: &Repository,
        role: ServerRole,
        deadline: Deadline,
    ) -> Result<Vec<u8>, RemoteError> {
        self.key(Method::POST, (gun, role), "*", deadline).await
    }

    /// Replaces the given files of `gun` together: the server takes all of them or none, then signs a new timestamp.
    ///
    /// After [`RemoteError::Unavailable`] and [`RemoteError::OutOfTime`] it is not known whether the server took them: read again.
    ///
    /// # Errors
    /// [`RemoteError::OutdatedUpload`] when somebody else was faster; [`RemoteError::UploadRefused`] with the server's words;
    /// [`RemoteError::Denied`]; others of [`Session::send`].
    pub async fn publish(&self, gun: &Repository, files: &[RoleFile<'_>], deadline: Deadline) -> Result<(), RemoteError> {
        let form = upload::form(files)?;
        let request = self.request(Method::POST, gun, "")?.body(&form.media_type, form.body);
        answer::accepted(&self.send(request, gun, "push,pull", deadline).await?)
    }

    /// Deletes everything the server has of `gun`, its own keys included. Readers keep what they have seen.
    ///
    /// # Errors
    /// As [`Notary::publish`].
    pub async fn delete(&self, gun: &Repository, deadline: Deadline) -> Result<(), RemoteError> {
        let request = self.request(Method::DELETE, gun, "")?;
        answer::accepted(&self.send(request, gun, "*", deadline).await?)
    }

    /// The next changes of `gun` behind the record `after` (`0`: from the first), oldest first, at most a thousand.
    ///
    /// # Errors
    /// As [`Notary::file`].
    pub async fn changes(&self, gun: &Repository, after: &str, deadline: Deadline) -> Result<Vec<Change>, RemoteError> {
        let base = self.0.servers.base(gun.registry())?;
        let after = crate::token::encode(after);
        let path = format!("{}/v2/{gun}/_trust/changefeed?change_id={after}&records={PAGE}", base.path);
        let request = Request::get(base.origin, path, MAX_FEED);
        let response = self.send(request, gun, "pull", deadline).await?;
        let host = response.origin.to_string();
        let Some(body) = answer::found(response)? else { return Ok(Vec::new()) };
        let form: FeedForm = serde_json::from_slice(&body)
            .map_err(|error| RemoteError::bad_answer(host, format!("its change feed cannot be read ({error})")))?;
        Ok(form.records.unwrap_or_default())
    }

    /// What asking for `want` brings, as evidence. Locators of other kinds are refused.
    pub async fn answer(&self, want: &Want, deadline: Deadline) -> Entry {
        let Locator::Notary { gun, file } = &want.locator else {
            let detail = "it is not kept by a Notary server".to_owned();
            return Entry::Refused(Refusal { kind: RefusalKind::Unavailable, detail });
        };
        match self.file((gun, file), want.max_bytes, deadline).await {
            Ok(Some(bytes)) => Entry::Present { bytes, origin: Way::Notary },
            Ok(None) => Entry::Absent,
            Err(error) => Entry::Refused(error.refusal()),
        }
    }

    /// This client as a source of evidence until `deadline`.
    #[must_use]
    pub fn source(&self, deadline: Deadline) -> NotarySource<'_> {
        NotarySource { notary: self, deadline }
    }

    async fn key(
        &self,
        method: Method,
        (gun, role): (&Repository, ServerRole),
        actions: &'static str,
        deadline: Deadline,
    ) -> Result<Vec<u8>, RemoteError> {
        let mut request = self.request(method, gun, role.key_file())?;
        request.max_bytes = MAX_KEY;
        let response = self.send(request, gun, actions, deadline).await?;
        let host = response.origin.to_string();
        answer::found(response)?.ok_or_else(|| RemoteError::bad_answer(host, format!("it has no {}", role.key_file())))
    }

    fn request(&self, method: Method, gun: &Repository, file: &str) -> Result<Request, RemoteError> {
        let base = self.0.servers.base(gun.registry())?;
        Ok(Request::new(method, base.origin, format!("{}/v2/{gun}/_trust/tuf/{file}", base.path)))
    }

    async fn send(
        &self,
        request: Request,
        gun: &Repository,
        actions: &'static str,
        deadline: Deadline,
    ) -> Result<crate::http::Response, RemoteError> {
        let access = Access { account: gun.to_string(), resource: format!("repository:{gun}"), actions };
        let sent = self.session(gun.registry()).send(request, &access, deadline).await;
        sent.map_err(|error| self.with_advice(error))
    }

    /// The session for the collections of one registry.
    fn session(&self, registry: &str) -> Session {
        let mut sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let made = sessions.entry(registry.to_owned()).or_insert_with(|| {
            let credentials = match &self.0.everywhere {
                Some(credential) => self.0.credentials.clone().with(registry, credential.clone()),
                None => self.0.credentials.clone(),
            };
            Session::new(self.0.http.clone(), credentials)
        });
        made.clone()
    }

    fn made_anew(&self, http: Http, everywhere: Option<Credential>) -> Self {
        let (credentials, servers) = (self.0.credentials.clone(), self.0.servers.clone());
        Self(Arc::new(Inner { http, credentials, servers, everywhere, sessions: Mutex::default() }))
    }

    /// Docker does not check the certificates of servers on loopback, so that many private ones have none that is valid.
    fn with_advice(&self, error: RemoteError) -> RemoteError {
        match error {
            RemoteError::CertificateRefused { host, detail } => {
                let detail =
                    format!("{detail}; a CA of your own goes into the folder tls/{host} of Docker's configuration, as ca.crt");
                RemoteError::CertificateRefused { host, detail }
            }
            other => other,
        }
    }
}

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notary").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}

/// [`Notary`] as a source of evidence.
#[derive(Clone, Copy, Debug)]
pub struct NotarySource<'a> {
    notary: &'a Notary,
    deadline: Deadline,
}

impl Source for NotarySource<'_> {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        Box::pin(self.notary.answer(want, self.deadline))
    }
}

/// Whether `name` can be a file of a collection. Names of delegations come from signed files, and yet not everything belongs in a path.
fn is_file_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter);
    name.len() <= MAX_NAME && name.ends_with(".json") && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn only_names_of_files_become_paths() {
        let hash = "a".repeat(64);
        for good in ["root.json", "3.root.json", "targets/releases.json", &format!("targets/a/b-c_d.{hash}.json")] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in [
            "",
            "root",
            "../root.json",
            "targets/../../x.json",
            "/root.json",
            "a b.json",
            "a?b.json",
            "a%2f.json",
            "a//b.json",
            "timestamp.key",
        ] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }

    #[test]
    fn dockers_folder_of_certificates_comes_first() {
        let network = Network { certificates: vec![PathBuf::from("/etc/docker/certs.d")], ..Network::default() };
        let found = network_for_notary(network, |name| (name == "HOME").then(|| OsString::from("/h"))).certificates;
        assert_eq!(found, [PathBuf::from("/h/.docker/tls"), PathBuf::from("/etc/docker/certs.d")]);
    }

    #[test]
    fn notary_auth_is_read_and_never_quoted() {
        assert!(credential_of_notary_auth("dXNlcjpwdw==").unwrap().basic().is_some());
        for bad in ["", "user:pw", "dXNlcg=="] {
            let error = credential_of_notary_auth(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
