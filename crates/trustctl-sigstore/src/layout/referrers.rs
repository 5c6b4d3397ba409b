//! Listings of what refers to an image: the answer of the referrers API, or the index under the fallback tag.
//!
//! The entries of a fallback index are written by clients. Go libraries of 2025 (cosign 2.6 to 3.1.1) write
//! `application/vnd.oci.empty.v1+json` as the artifact type of bundles, and no annotations. An entry is therefore only left aside
//! when it says what it is, and that is nothing of ours; anything less clear is fetched.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bundle::Annotations;
use super::signatures::REFERRER_TYPE;
use super::{Descriptor, DescriptorForm, OCI_EMPTY};
use crate::bundle::is_bundle_type;
use crate::format::{FormatError, RawObject, Text, list, part, read};
use crate::revocation::{is_revocation, is_revocation_type, mentions_revocation};
use crate::statement::SIGN;

const WHAT: &str = "the listing of referrers";

/// A listing of referrers, nothing checked.
#[derive(Clone, Debug)]
pub struct Referrers<'a> {
    object: RawObject<'a>,
    entries: Vec<&'a RawValue>,
}

/// One entry of a listing.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    raw: &'a str,
    /// What it points to; an error when it cannot be read.
    pub referrer: Result<Referrer, FormatError>,
}

/// One manifest that refers to the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub manifest: Descriptor,
    /// What the listing says it is.
    pub promise: Promise,
}

/// What a listing says a referrer is, in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A revocation.
    Revocation,
    /// A signature.
    Signature,
    /// Not said clearly: it has to be fetched to know.
    Unclear,
    /// An attestation of this predicate type.
    Attestation(String),
    /// Nothing of ours.
    Foreign,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryForm<'a> {
    #[serde(borrow, default)]
    artifact_type: Option<Text<'a>>,
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
}

impl<'a> Referrers<'a> {
    /// Reads a listing.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are no index; an entry that cannot be read is an error of that entry only.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let object: RawObject<'a> = read(bytes, WHAT)?;
        let lacking = || FormatError::Json { what: WHAT, detail: "it has no manifests".to_owned() };
        let manifests: Option<Vec<&'a RawValue>> = part(object.member("manifests").ok_or_else(lacking)?, WHAT)?;
        Ok(Self { object, entries: manifests.unwrap_or_default() })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, in order, each read when it is its turn: there may be very many.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        self.entries.iter().map(|raw| Entry { raw: raw.get(), referrer: Referrer::parse(raw) })
    }

    /// The index without some entries; everything else is kept as it was written.
    #[must_use]
    pub fn without(&self, is_removed: impl Fn(&Referrer) -> bool) -> Vec<u8> {
        let kept = self.entries().filter(|entry| !entry.referrer.as_ref().is_ok_and(&is_removed)).map(|entry| entry.raw);
        self.object.with(&[("manifests", &list(kept))]).into_bytes()
    }
}

impl Entry<'_> {
    /// Whether the entry says that it points to a revocation, be it readable otherwise or not.
    #[must_use]
    pub fn says_revocation(&self) -> bool {
        match serde_json::from_str::<EntryForm<'_>>(self.raw) {
            Ok(form) => form.promise() == Promise::Revocation,
            Err(_) => mentions_revocation(self.raw),
        }
    }
}

impl EntryForm<'_> {
    fn promise(&self) -> Promise {
        let predicate_type = self.annotations.as_ref().and_then(|annotations| annotations.predicate_type.as_ref());
        promise(self.artifact_type.as_ref().map_or("", Text::as_str), predicate_type.map(Text::as_str))
    }
}

impl Referrer {
    fn parse(raw: &RawValue) -> Result<Self, FormatError> {
        let manifest = Descriptor::from(part::<DescriptorForm<'_>>(raw, "an entry of the listing")?);
        let form: EntryForm<'_> = part(raw, "an entry of the listing")?;
        Ok(Self { manifest, promise: form.promise() })
    }
}

fn promise(artifact_type: &str, predicate_type: Option<&str>) -> Promise {
    if is_revocation_type(artifact_type) || predicate_type.is_some_and(is_revocation) {
        return Promise::Revocation;
    }
    let ours = is_bundle_type(artifact_type) || ["", OCI_EMPTY].contains(&artifact_type);
    match predicate_type {
        _ if artifact_type == REFERRER_TYPE => Promise::Signature,
        _ if !ours => Promise::Foreign,
        Some(SIGN) => Promise::Signature,
        None | Some("") => Promise::Unclear,
        Some(other) => Promise::Attestation(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::bundle::MEDIA_TYPE;
    use proptest::prelude::*;

    /// A fallback index as cosign 3.1.1 writes it.
    const FALLBACK: &str = concat!(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#,
        r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":887,"digest":"sha256:44a132e4532a0ea13138e3912d4397ed85db3ade951d3883a85302f8f931552a","artifactType":"application/vnd.oci.empty.v1+json"},"#,
        r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":887,"digest":"sha256:68fe3d253efcea4812e34cc7a78f39532cef7f5e326731713f6213eecccdff01","artifactType":"application/vnd.oci.empty.v1+json"}]}"#,
    );

    #[test]
    fn entries_of_fallback_indexes_are_fetched_though_they_say_empty() {
        let listing = Referrers::parse(FALLBACK.as_bytes()).unwrap();
        let promises: Vec<Promise> = listing.entries().map(|entry| entry.referrer.unwrap().promise).collect();
        assert_eq!(promises, [Promise::Unclear, Promise::Unclear]);
    }

    #[test]
    fn only_what_clearly_is_something_else_is_left_aside() {
        let attestation = Promise::Attestation("https://slsa.dev/provenance/v1".to_owned());
        let slsa = Some("https://slsa.dev/provenance/v1");
        let cases = [
            (MEDIA_TYPE, Some(SIGN), Promise::Signature),
            (MEDIA_TYPE, None, Promise::Unclear),
            (MEDIA_TYPE, slsa, attestation.clone()),
            (OCI_EMPTY, slsa, attestation),
            ("", None, Promise::Unclear),
            ("application/vnd.dev.sigstore.bundle.v0.9+json", Some(""), Promise::Unclear),
            (REFERRER_TYPE, None, Promise::Signature),
            (crate::revocation::MEDIA_TYPE, None, Promise::Revocation),
            (MEDIA_TYPE, Some(crate::revocation::PREDICATE_TYPE), Promise::Revocation),
            ("application/vnd.cncf.notary.signature", None, Promise::Foreign),
            ("application/vnd.cncf.notary.signature", Some(SIGN), Promise::Foreign),
        ];
        for (artifact_type, predicate_type, expected) in cases {
            assert_eq!(promise(artifact_type, predicate_type), expected, "{artifact_type} {predicate_type:?}");
        }
    }

    #[test]
    fn removing_an_entry_keeps_the_others_as_they_were() {
        let listing = Referrers::parse(FALLBACK.as_bytes()).unwrap();
        let removed = "sha256:44a132e4532a0ea13138e3912d4397ed85db3ade951d3883a85302f8f931552a".parse().unwrap();
        let left = String::from_utf8(listing.without(|referrer| referrer.manifest.digest == removed)).unwrap();
        let start = FALLBACK
            .find(r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":887,"digest":"sha256:68fe"#)
            .unwrap();
        let entry = FALLBACK.get(start..).unwrap();
        assert_eq!(
            left,
            format!(r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{entry}"#)
        );
    }

    #[test]
    fn a_broken_entry_hides_no_other() {
        let broken = FALLBACK.replace(r#""size":887,"digest":"sha256:44a1"#, r#""size":-1,"digest":"sha256:44a1"#);
        let listing = Referrers::parse(broken.as_bytes()).unwrap();
        let readable: Vec<bool> = listing.entries().map(|entry| entry.referrer.is_ok()).collect();
        assert_eq!(readable, [false, true]);
        assert!(Referrers::parse(b"{}").is_err());
        assert!(Referrers::parse(br#"{"manifests":null}"#).unwrap().entries().next().is_none());
    }

    proptest! {
        #[test]
        fn a_damaged_listing_never_panics(at in 0..FALLBACK.len(), byte in any::<u8>()) {
            let mut bytes = FALLBACK.as_bytes().to_vec();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let _ = Referrers::parse(&bytes);
        }
    }
}
