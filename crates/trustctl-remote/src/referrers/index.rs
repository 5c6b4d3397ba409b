//! An OCI index as a list that several publishers write: everything of others stays byte for byte as it was.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use trustctl_core::digest::Digest;

use crate::error::RemoteError;

/// The media type of an OCI index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What an index says about a manifest that refers to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's digest.
    pub digest: Digest,
    /// The manifest's size in bytes.
    pub size: u64,
    /// The manifest's own artifact type: not its config's media type, which some clients write here (cosign up to 3.0.6).
    pub artifact_type: String,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a Digest,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    artifact_type: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    digest: Digest,
    artifact_type: Option<String>,
}

/// An index: its members in their order, and the list apart.
pub(super) struct Index {
    /// All members but `manifests`, as they were.
    members: Vec<(String, Box<RawValue>)>,
    /// The entries, as they were.
    pub(super) manifests: Vec<Box<RawValue>>,
}

impl Index {
    /// Reads an index; the text says why it is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let members: Members = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut index = Self { members: Vec::new(), manifests: Vec::new() };
        let mut listed = false;
        for (name, value) in members.0 {
            if index.members.iter().any(|(seen, _)| *seen == name) || (listed && name == "manifests") {
                return Err(format!("\"{name}\" is there twice"));
            }
            match name.as_str() {
                "manifests" => {
                    index.manifests = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
                    listed = true;
                }
                "mediaType" if value.get() != format!("\"{OCI_INDEX}\"") => return Err("it has another media type".to_owned()),
                _ => index.members.push((name, value)),
            }
        }
        if listed { Ok(index) } else { Err("it has no list of manifests".to_owned()) }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, RemoteError> {
        serde_json::to_vec(self).map_err(|error| RemoteError::bad_answer("index", error.to_string()))
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemaVersion", &2)?;
        map.serialize_entry("mediaType", OCI_INDEX)?;
        map.serialize_entry("manifests", &self.manifests)?;
        for (name, value) in self.members.iter().filter(|(name, _)| name != "schemaVersion" && name != "mediaType") {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// One index of these entries.
pub(super) fn of_entries(entries: &[Box<RawValue>]) -> Result<Vec<u8>, RemoteError> {
    Index { members: Vec::new(), manifests: entries.to_vec() }.to_bytes()
}

/// The index under a fallback tag with `entry` in it; `None` when it is there already.
///
/// Every entry of others, and every other member, stays as it is. An entry for the same digest with another artifact type is
/// replaced: it describes the same manifest wrongly.
///
/// # Errors
/// The reason, in words, why `current` is not an index that can be added to.
pub fn with_entry(current: Option<&[u8]>, entry: &Descriptor) -> Result<Option<Vec<u8>>, String> {
    let mut index = match current {
        Some(bytes) => Index::parse(bytes)?,
        None => Index { members: Vec::new(), manifests: Vec::new() },
    };
    let mut describes_wrongly = Vec::new();
    for (at, raw) in index.manifests.iter().enumerate() {
        let Ok(read) = serde_json::from_str::<Read>(raw.get()) else { continue };
        if read.digest == entry.digest {
            if read.artifact_type.as_deref() == Some(entry.artifact_type.as_str()) {
                return Ok(None);
            }
            describes_wrongly.push(at);
        }
    }
    for at in describes_wrongly.into_iter().rev() {
        index.manifests.remove(at);
    }
    let written = Written {
        media_type: &entry.media_type,
        size: entry.size,
        digest: &entry.digest,
        annotations: &entry.annotations,
        artifact_type: &entry.artifact_type,
    };
    index.manifests.push(serde_json::value::to_raw_value(&written).map_err(|error| error.to_string())?);
    index.to_bytes().map(Some).map_err(|error| error.to_string())
}

/// The members of an object in their order, doubles included.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn descriptor(text: &str) -> Descriptor {
        Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: Digest::sha256_of(text.as_bytes()),
            size: 3,
            artifact_type: "application/vnd.dev.sigstore.bundle.v0.3+json".to_owned(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn entries_of_others_stay_byte_for_byte() {
        let theirs = r#"{ "digest":"sha256:00", "size": 1.0e2,"x":"\u003ca\u003e", "mediaType":"m" }"#;
        let current = format!(r#"{{"manifests":[{theirs}],"schemaVersion":2,"annotations":{{"a": "\u0062"}}}}"#);
        let merged = with_entry(Some(current.as_bytes()), &descriptor("a")).unwrap().unwrap();
        let text = String::from_utf8(merged.clone()).unwrap();
        assert!(text.contains(theirs) && text.contains(r#""annotations":{"a": "\u0062"}"#), "{text}");
        assert!(text.starts_with(&format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":["#)), "{text}");
        assert_eq!(with_entry(Some(&merged), &descriptor("a")).unwrap(), None);
        let both = with_entry(Some(&merged), &descriptor("b")).unwrap().unwrap();
        assert_eq!(Index::parse(&both).unwrap().manifests.len(), 3);
    }

    #[test]
    fn an_own_entry_with_the_wrong_artifact_type_is_replaced() {
        let wrong = Descriptor { artifact_type: "application/vnd.oci.empty.v1+json".to_owned(), ..descriptor("a") };
        let before = with_entry(None, &wrong).unwrap().unwrap();
        let after = with_entry(Some(&before), &descriptor("a")).unwrap().unwrap();
        assert_eq!(after, with_entry(None, &descriptor("a")).unwrap().unwrap());
    }

    #[test]
    fn what_is_no_index_is_not_overwritten() {
        for other in [
            "x",
            "[]",
            "{}",
            r#"{"manifests":{}}"#,
            r#"{"manifests":[],"manifests":[]}"#,
            r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
        ] {
            assert!(with_entry(Some(other.as_bytes()), &descriptor("a")).is_err(), "{other}");
        }
    }
}
