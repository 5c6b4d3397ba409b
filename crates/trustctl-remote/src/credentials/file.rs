//! Docker's `config.json` and Podman's `auth.json`, as far as they hold credentials.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Credential, DOCKER_HUB};
use crate::error::RemoteError;

/// Most bytes of a configuration file; with hundreds of registries it has a few hundred KiB.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The members that matter; others belong to Docker.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl ConfigFile {
    /// The file at `path`; `None` when there is none and it is not `required`.
    pub(super) fn read(path: &Path, required: bool) -> Result<Option<Self>, RemoteError> {
        let unusable = |why: &str| RemoteError::configuration(path.to_string_lossy(), why);
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(None),
            opened => opened.map_err(|error| unusable(&error.to_string()))?,
        };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| unusable(&error.to_string()))?;
        // The parser's own message may quote a secret.
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            unusable(&format!("not JSON of the expected form (line {}, column {})", error.line(), error.column()))
        })
    }

    /// The helper programs to ask for `registry`, in order, by the name behind `docker-credential-`.
    pub(super) fn helpers(&self, registry: &str) -> impl Iterator<Item = &str> {
        let own = self.cred_helpers.iter().find(|(key, _)| names(key, registry)).map(|(_, helper)| helper.as_str());
        // As Docker does it: a helper for this registry takes the place of the general one.
        own.or(Some(self.creds_store.as_str())).into_iter().filter(|helper| !helper.is_empty())
    }

    /// The entry for `account`, the most specific one if several fit.
    pub(super) fn entry(&self, account: &str, path: &Path) -> Result<Option<Credential>, RemoteError> {
        let mut scope = account;
        loop {
            let fitting = self.auths.iter().filter(|(key, _)| names(key, scope));
            if let Some(found) = fitting.filter_map(|(_, entry)| entry.credential(path).transpose()).next() {
                return found.map(Some);
            }
            match scope.rsplit_once('/') {
                Some((shorter, _)) => scope = shorter,
                None => return Ok(None),
            }
        }
    }
}

impl Entry {
    /// What it says; `None` for the empty entries that Docker leaves beside a helper.
    fn credential(&self, path: &Path) -> Result<Option<Credential>, RemoteError> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(Zeroizing::new(self.identitytoken.clone()))));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(Zeroizing::new(self.registrytoken.clone()))));
        }
        if !self.username.is_empty() && !self.password.is_empty() {
            return Ok(Some(Credential::password(self.username.clone(), self.password.clone())));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let broken = || RemoteError::configuration(path.to_string_lossy(), "an \"auth\" value is not base64 of user:password");
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).map_err(|_| broken())?;
        let decoded = Zeroizing::new(decoded);
        let pair = std::str::from_utf8(&decoded).map_err(|_| broken())?;
        // Docker ends the value with a zero byte in old versions.
        let (user, password) = pair.trim_end_matches('\0').split_once(':').ok_or_else(broken)?;
        Ok(Some(Credential::password(user, password)))
    }
}

/// Whether a key of the file stands for `account`: written plain, with a scheme, or with the path of the registry's API.
fn names(key: &str, account: &str) -> bool {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key_host = match bare {
        Some(bare) => bare.split('/').next().unwrap_or(bare),
        None => key.strip_suffix("/v1/").or_else(|| key.strip_suffix("/v2/")).unwrap_or(key).trim_end_matches('/'),
    };
    match account {
        "docker.io" => key == DOCKER_HUB || matches!(key_host, "docker.io" | "index.docker.io" | "registry-1.docker.io"),
        _ => key_host == account,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn user(config: &ConfigFile, account: &str) -> Option<String> {
        match config.entry(account, Path::new("config.json")).unwrap()? {
            Credential::Password { user, .. } => Some(user.to_string()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn keys_are_matched_as_docker_and_podman_write_them() {
        // dXNlcjpwYXNz is user:pass, aHViOnA= is hub:p, bnM6cDpx is ns:p:q
        let config: ConfigFile = serde_json::from_str(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnA="},
                "https://plain.example/v2/": {"auth": "dXNlcjpwYXNz"},
                "podman.example/ns": {"auth": "bnM6cDpx"},
                "podman.example": {"username": "all", "password": "p"},
                "token.example": {"auth": "dXNlcjpwYXNz", "identitytoken": "secret"},
                "empty.example": {}
            }, "HttpHeaders": {"x": "y"}}"#,
        )
        .unwrap();
        assert_eq!(user(&config, "docker.io/library/alpine").as_deref(), Some("hub"));
        assert_eq!(user(&config, "plain.example/app").as_deref(), Some("user"));
        assert_eq!(user(&config, "podman.example/ns/app").as_deref(), Some("ns"));
        assert_eq!(user(&config, "podman.example/other").as_deref(), Some("all"));
        assert_eq!(user(&config, "token.example").as_deref(), Some("IdentityToken(…)"));
        for none in ["empty.example", "evil-plain.example", "plain.example.evil", "example"] {
            assert_eq!(user(&config, none), None, "{none}");
        }
    }

    #[test]
    fn a_helper_for_the_registry_takes_the_place_of_the_general_one() {
        let config: ConfigFile =
            serde_json::from_str(r#"{"credsStore": "general", "credHelpers": {"one.example": "own"}}"#).unwrap();
        assert_eq!(config.helpers("one.example").collect::<Vec<_>>(), ["own"]);
        assert_eq!(config.helpers("two.example").collect::<Vec<_>>(), ["general"]);
    }

    #[test]
    fn a_broken_file_is_an_error_that_does_not_quote_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"auths": {"a.example": {"auth": ["s3cret"]}}}"#).unwrap();
        let error = ConfigFile::read(&path, false).err().unwrap().to_string();
        assert!(error.contains("line 1") && !error.contains("s3cret"), "{error}");
        assert!(ConfigFile::read(&folder.path().join("none"), false).unwrap().is_none());
        assert!(ConfigFile::read(&folder.path().join("none"), true).is_err());
    }
}
