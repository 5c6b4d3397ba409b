//! What refers to a manifest: the referrers API, and the index under the fallback tag where a registry has no such API
//! (distribution specification 1.1, "Listing Referrers" and "Referrers Tag Schema").

mod absence;
mod index;

use reqwest::header::ACCEPT;
use serde_json::value::RawValue;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Origin;
use trustctl_core::reference::{Repository, Tag};

use crate::error::RemoteError;
use crate::http::{Request, Response};
use crate::limits::{Deadline, MAX_MANIFEST, MAX_PAGES};
use crate::registry::{ManifestName, Registry, next_page};
use crate::token::Access;
use absence::Word;
use index::Index;
pub(crate) use index::OCI_INDEX;
pub use index::{Descriptor, with_entry};

/// What asking the referrers API brought.
enum Asked {
    /// Its list.
    Listing(Vec<u8>),
    /// That there is none, and what speaks against it.
    NoApi { doubt: Option<Doubt> },
}

/// That the words of a router may be somebody else's.
struct Doubt {
    /// Whether the answer had the header by which registries introduce themselves.
    introduced: bool,
    /// What is wrong if they are.
    error: RemoteError,
}

impl Registry {
    /// The list of what refers to `digest`, as one OCI index; `None` when there is none.
    ///
    /// Only a 200 with an OCI index is an answer of the API. That there is no API is believed only in the forms in which registries
    /// without it say so (`referrers/absence.rs`): then the fallback tag is read, and the repository is remembered for it. The bare
    /// words of a router are believed of a host whose other answers look like that one. Several pages are merged, each entry as it
    /// was received.
    ///
    /// # Errors
    /// See [`crate::token::Session::send`]; [`RemoteError::BadAnswer`] for what is neither, such as a web page, and for pages that
    /// cannot be read, lead to another server or do not end. A denied or unavailable fallback tag is an error, never an empty list.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Option<(Vec<u8>, Origin)>, RemoteError> {
        if self.known_referrers_api(repository)? != Some(false) {
            match self.ask_referrers_api(repository, digest, max_bytes, deadline).await? {
                Asked::Listing(bytes) => {
                    self.learn_referrers_api(repository, true)?;
                    return Ok(Some((bytes, Origin::ReferrersApi)));
                }
                Asked::NoApi { doubt } => {
                    // An API that was there does not go away: what says so is trouble, and must not hide what it lists.
                    if self.known_referrers_api(repository)? == Some(true) {
                        return Err(RemoteError::bad_answer(
                            repository.registry(),
                            "its referrers API answered before, and now says that it is not there",
                        ));
                    }
                    let listing = self.fallback(repository, digest, max_bytes, deadline).await?;
                    self.dispel(repository, doubt)?;
                    self.learn_referrers_api(repository, false)?;
                    return Ok(listing);
                }
            }
        }
        self.fallback(repository, digest, max_bytes, deadline).await
    }

    /// What is under the fallback tag.
    async fn fallback(
        &self,
        repository: &Repository,
        digest: &Digest,
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Option<(Vec<u8>, Origin)>, RemoteError> {
        let name = ManifestName::Tag(fallback_tag(digest)?);
        let found = self.manifest(repository, &name, max_bytes, deadline).await?;
        // GitLab takes the tag for the digest that it spells and serves the manifest itself, which cannot list what refers to it.
        let listing = found.filter(|manifest| !digest.matches(&manifest.bytes));
        Ok(listing.map(|manifest| (manifest.bytes, Origin::FallbackTag)))
    }

    /// Accepts the bare words of a router as the registry's, when its other answers are introduced as they are.
    fn dispel(&self, repository: &Repository, doubt: Option<Doubt>) -> Result<(), RemoteError> {
        match doubt {
            Some(doubt) if self.introduces_itself(repository)? != Some(doubt.introduced) => Err(doubt.error),
            _ => Ok(()),
        }
    }

    /// Whether the registry has the referrers API for this repository; asks only when that is not known yet.
    pub(crate) async fn has_referrers_api(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Deadline,
    ) -> Result<bool, RemoteError> {
        if let Some(known) = self.known_referrers_api(repository)? {
            return Ok(known);
        }
        let has = match self.ask_referrers_api(repository, digest, MAX_MANIFEST, deadline).await? {
            Asked::Listing(_) => true,
            Asked::NoApi { doubt } => {
                if doubt.is_some() && self.introduces_itself(repository)?.is_none() {
                    self.fallback(repository, digest, MAX_MANIFEST, deadline).await?;
                }
                self.dispel(repository, doubt)?;
                false
            }
        };
        self.learn_referrers_api(repository, has)?;
        Ok(has)
    }

    /// The API's answer, all pages.
    async fn ask_referrers_api(
        &self,
        repository: &Repository,
        digest: &Digest,
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Asked, RemoteError> {
        let mut request = self.get(repository, &format!("referrers/{digest}"), max_bytes)?.header(ACCEPT, OCI_INDEX);
        let mut entries: Vec<Box<RawValue>> = Vec::new();
        let mut left = max_bytes;
        for page in 0..MAX_PAGES {
            let response =
                self.session().send(Request { max_bytes: left, ..request.clone() }, &Access::pull(repository), deadline).await;
            let response = match response {
                Err(RemoteError::TooLarge { host, .. }) => return Err(RemoteError::TooLarge { host, limit: max_bytes }),
                answered => answered?,
            };
            if page == 0 {
                match absence::said(&response, repository)? {
                    Word::Nothing => {}
                    Word::Registrys => return Ok(Asked::NoApi { doubt: None }),
                    Word::Routers { introduced } => {
                        let doubt = Some(Doubt { introduced, error: absence::strangers(&response) });
                        return Ok(Asked::NoApi { doubt });
                    }
                }
            }
            let index = page_of(&response)?;
            left = left.saturating_sub(u64::try_from(response.body.len()).unwrap_or(u64::MAX));
            match next_page(&response)? {
                Some(path) => request.path = path,
                None if page == 0 => return Ok(Asked::Listing(response.body.into())),
                None => {
                    entries.extend(index.manifests);
                    return index::of_entries(&entries).map(Asked::Listing);
                }
            }
            entries.extend(index.manifests);
        }
        Err(RemoteError::bad_answer(
            repository.registry(),
            format!("its list of referrers does not end within {MAX_PAGES} pages"),
        ))
    }
}

/// The tag under which clients keep the list for a registry without the API: `<algorithm>-<hex>`, cut to a tag's length.
///
/// # Errors
/// [`RemoteError::BadAnswer`] never happens for digests this program knows; it stands for a tag that cannot be written.
pub fn fallback_tag(digest: &Digest) -> Result<Tag, RemoteError> {
    let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
    // Specification: algorithm up to 32 characters, encoded part up to 64.
    let text = format!("{algorithm}-{}", hex.get(..64).unwrap_or(&hex));
    text.parse().map_err(|_| RemoteError::bad_answer("", "a digest without fallback tag"))
}

fn page_of(response: &Response) -> Result<Index, RemoteError> {
    let wrong = |why: String| RemoteError::bad_answer(response.origin.to_string(), why);
    if response.status != 200 {
        return Err(wrong(format!("it answered {} to a listing of referrers", response.status)));
    }
    match response.media_type() {
        Some(media_type) if media_type == OCI_INDEX => {}
        other => return Err(wrong(format!("it lists referrers as \"{}\"", other.unwrap_or_default()))),
    }
    Index::parse(&response.body).map_err(|why| wrong(format!("its list of referrers is not an OCI index ({why})")))
}
