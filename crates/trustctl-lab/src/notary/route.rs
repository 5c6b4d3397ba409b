//! The paths of a Notary v1 server, taken apart (Notary, `server/server.go`).

use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_dct::role::RoleName;

/// What a path of a Notary server names. A GUN holds slashes and a port, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Changefeed { gun: Option<&'a str> },
    Collection { gun: &'a str },
    File { gun: &'a str, role: RoleName, which: Which },
    Health,
    Key { gun: &'a str, role: RoleName },
    Metrics,
    Ping,
    Token,
}

/// Which version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Current,
    /// With this SHA-256. The server knows no file by a longer hash: such paths are read, and nothing is found.
    Hash(Option<Digest>),
    Version(u64),
}

impl<'a> Route<'a> {
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        match path {
            "/v2/" => return Some(Self::Ping),
            "/token" => return Some(Self::Token),
            "/_notary_server/health" => return Some(Self::Health),
            "/metrics" => return Some(Self::Metrics),
            "/v2/_trust/changefeed" => return Some(Self::Changefeed { gun: None }),
            _ => {}
        }
        let path = path.strip_prefix("/v2/")?;
        if let Some(gun) = path.strip_suffix("/_trust/changefeed") {
            return Some(Self::Changefeed { gun: Some(gun) });
        }
        let (gun, file) = path.rsplit_once("/_trust/tuf/")?;
        if gun.is_empty() || gun.contains('*') {
            return None;
        }
        if file.is_empty() {
            return Some(Self::Collection { gun });
        }
        if let Some(role) = file.strip_suffix(".key") {
            let role = role.parse().ok().filter(|role| matches!(RoleName::as_str(role), "snapshot" | "timestamp"))?;
            return Some(Self::Key { gun, role });
        }
        let (role, which) = parse_file(file.strip_suffix(".json")?)?;
        Some(Self::File { gun, role, which })
    }
}

/// `targets/a`, `targets/a.<hash>` or `3.root`.
fn parse_file(file: &str) -> Option<(RoleName, Which)> {
    if let Ok(role) = file.parse() {
        return Some((role, Which::Current));
    }
    if let Some((role, hash)) = file.rsplit_once('.').filter(|(_, hash)| matches!(hash.len(), 64 | 96 | 128))
        && let Ok(bytes) = hex::decode(hash)
    {
        return Some((role.parse().ok()?, Which::Hash(Digest::from_slice(DigestAlgorithm::Sha256, &bytes))));
    }
    let (version, role) = file.split_once('.')?;
    Some((role.parse().ok()?, Which::Version(version.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_are_named_by_role_hash_or_version() {
        let gun = "localhost:5000/demo/app";
        let parse = |file: &str| match Route::parse(Box::leak(format!("/v2/{gun}/_trust/tuf/{file}").into_boxed_str())) {
            Some(Route::File { gun: parsed, role, which }) if parsed == gun => Some((role.to_string(), which)),
            _ => None,
        };
        let hash = Digest::sha256_of(b"x");
        assert_eq!(parse("root.json").unwrap(), ("root".to_owned(), Which::Current));
        assert_eq!(parse("targets/releases.json").unwrap(), ("targets/releases".to_owned(), Which::Current));
        assert_eq!(parse("3.root.json").unwrap(), ("root".to_owned(), Which::Version(3)));
        assert_eq!(parse(&format!("targets/a.{}.json", hash.hex())).unwrap(), ("targets/a".to_owned(), Which::Hash(Some(hash))));
        assert_eq!(parse(&format!("root.{}.json", "ab".repeat(64))).unwrap(), ("root".to_owned(), Which::Hash(None)));
        for bad in ["other.json", "root", "x.root.json", "root.abcd.json", ".json"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_other_paths_are_read() {
        assert_eq!(Route::parse("/v2/a/b/_trust/tuf/"), Some(Route::Collection { gun: "a/b" }));
        assert_eq!(Route::parse("/v2/a/_trust/tuf/timestamp.key"), Some(Route::Key { gun: "a", role: RoleName::timestamp() }));
        assert_eq!(Route::parse("/v2/a/_trust/tuf/targets.key"), None);
        assert_eq!(Route::parse("/v2/a/_trust/changefeed"), Some(Route::Changefeed { gun: Some("a") }));
        assert_eq!(Route::parse("/v2/_trust/changefeed"), Some(Route::Changefeed { gun: None }));
        assert_eq!(Route::parse("/v2/a/_trust/tuf"), None);
    }
}
