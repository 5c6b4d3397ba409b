//! Listing tags, page by page.

use serde::Deserialize;
use trustctl_core::reference::{Repository, Tag};

use super::{Registry, answer, link};
use crate::error::RemoteError;
use crate::limits::{Deadline, MAX_MANIFEST, MAX_PAGES, MAX_TAGS};
use crate::token::Access;

/// Tags asked for on one page; registries may give fewer.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct Page {
    // docker-registry writes null when the last tag was deleted.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// All tags of a repository in the registry's order; `None` when the registry says that there is no such repository.
    ///
    /// Names that are no tags are left out.
    ///
    /// # Errors
    /// [`RemoteError::TooLarge`] beyond [`MAX_TAGS`] tags or [`MAX_PAGES`] pages: a part is never passed off as the whole. See
    /// [`crate::token::Session::send`].
    pub async fn tags(&self, repository: &Repository, deadline: Deadline) -> Result<Option<Vec<Tag>>, RemoteError> {
        let mut request = self.get(repository, &format!("tags/list?n={PAGE}"), MAX_MANIFEST)?;
        let mut tags: Vec<Tag> = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.session().send(request.clone(), &Access::pull(repository), deadline).await?;
            match response.status {
                200 => {}
                404 => return answer::absent(&response).map(|()| None),
                _ => return Err(answer::unexpected(&response)),
            }
            let page: Page = serde_json::from_slice(&response.body)
                .map_err(|_| RemoteError::bad_answer(response.origin.to_string(), "its tag list is not the JSON of one"))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter_map(|tag| tag.parse().ok()));
            if tags.len() > MAX_TAGS {
                break;
            }
            match link::next_page(&response)? {
                Some(path) => request.path = path,
                None => return Ok(Some(tags)),
            }
        }
        let limit = u64::try_from(MAX_TAGS).unwrap_or(u64::MAX);
        Err(RemoteError::bad_answer(
            repository.registry(),
            format!("its tag list does not end within {limit} tags and {MAX_PAGES} pages"),
        ))
    }
}
