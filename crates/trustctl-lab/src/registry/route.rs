//! The paths of OCI distribution 1.1, taken apart.

/// What a path of a registry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Blob { name: &'a str, digest: &'a str },
    Catalog,
    Manifest { name: &'a str, reference: &'a str },
    Ping,
    Referrers { name: &'a str, digest: &'a str },
    Tags { name: &'a str },
    Token,
    Upload { name: &'a str, id: &'a str },
    Uploads { name: &'a str },
}

impl<'a> Route<'a> {
    /// Names may hold slashes, so a path is read from its end.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        match path {
            "/v2" | "/v2/" => return Some(Self::Ping),
            "/v2/_catalog" => return Some(Self::Catalog),
            "/token" => return Some(Self::Token),
            _ => {}
        }
        let path = path.strip_prefix("/v2/")?;
        if let Some(name) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
            return Some(Self::Uploads { name });
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { name });
        }
        let (rest, last) = path.rsplit_once('/')?;
        if last.is_empty() {
            return None;
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload { name, id: last });
        }
        if let Some(name) = rest.strip_suffix("/blobs") {
            return Some(Self::Blob { name, digest: last });
        }
        if let Some(name) = rest.strip_suffix("/manifests") {
            return Some(Self::Manifest { name, reference: last });
        }
        rest.strip_suffix("/referrers").map(|name| Self::Referrers { name, digest: last })
    }

    /// The repository, when the path names one.
    pub(crate) fn name(&self) -> Option<&'a str> {
        match self {
            Self::Blob { name, .. }
            | Self::Manifest { name, .. }
            | Self::Referrers { name, .. }
            | Self::Tags { name }
            | Self::Upload { name, .. }
            | Self::Uploads { name } => Some(name),
            Self::Catalog | Self::Ping | Self::Token => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_are_kept_whole() {
        let name = "a/b";
        assert_eq!(Route::parse("/v2/a/b/manifests/1.0"), Some(Route::Manifest { name, reference: "1.0" }));
        assert_eq!(Route::parse("/v2/a/b/blobs/sha256:1"), Some(Route::Blob { name, digest: "sha256:1" }));
        assert_eq!(Route::parse("/v2/a/b/blobs/uploads/"), Some(Route::Uploads { name }));
        assert_eq!(Route::parse("/v2/a/b/blobs/uploads/7"), Some(Route::Upload { name, id: "7" }));
        assert_eq!(Route::parse("/v2/a/b/tags/list"), Some(Route::Tags { name }));
        assert_eq!(Route::parse("/v2/a/b/referrers/x"), Some(Route::Referrers { name, digest: "x" }));
        assert_eq!(Route::parse("/v2/manifests/x"), None, "there is no repository name");
        assert_eq!(Route::parse("/v2/a/b/manifests/"), None);
        assert_eq!(Route::parse("/v1/"), None);
    }
}
