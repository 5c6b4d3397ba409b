//! Blobs that are read while they arrive, from any place on.

use bytes::{Buf as _, Bytes};
use reqwest::header::RANGE;
use trustctl_core::digest::Digest;
use trustctl_core::reference::Repository;

use super::{Registry, answer};
use crate::error::RemoteError;
use crate::http::{Incoming, Method, Opened, Response};
use crate::limits::Deadline;
use crate::token::Access;

/// The bytes of a blob, as they arrive. Not checked against its digest: that is its reader's work, who alone sees the end.
#[derive(Debug)]
pub struct BlobStream {
    body: Incoming,
    total: Option<u64>,
    /// Bytes before the place that was asked for, from a server that begins at the beginning.
    skip: u64,
    /// Where the next byte belongs.
    at: u64,
    /// Where the bytes that were promised end.
    end: Option<u64>,
}

impl BlobStream {
    /// The length of the whole blob, as far as the server said one.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next piece; `None` at the end of what the server sends, which can be before the end of the blob.
    ///
    /// # Errors
    /// [`RemoteError::Unavailable`] when the transfer breaks off or stalls; [`RemoteError::BadAnswer`] when more comes than was
    /// declared.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            let Some(mut chunk) = self.body.chunk().await? else { return Ok(None) };
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let skipped = length.min(self.skip);
            self.skip -= skipped;
            self.at = self.at.saturating_add(length - skipped);
            if self.end.is_some_and(|end| self.at > end) {
                return Err(RemoteError::bad_answer(self.body.server(), "it sends more bytes than it declared"));
            }
            chunk.advance(usize::try_from(skipped).unwrap_or(usize::MAX).min(chunk.len()));
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }
}

impl Registry {
    /// A blob from byte `offset` on, to be read while it arrives; `None` when the registry says that there is none.
    ///
    /// `deadline` is for the head of the answer; after it, the transfer may take any time, as long as something comes within
    /// [`crate::http::Network::idle`]. A server that does not know ranges is read past.
    ///
    /// # Errors
    /// See [`crate::token::Session::send`]; [`RemoteError::BadAnswer`] when another part is sent than was asked for.
    pub async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        offset: u64,
        deadline: Deadline,
    ) -> Result<Option<BlobStream>, RemoteError> {
        let mut request = self.request(Method::GET, repository, &format!("blobs/{digest}"))?;
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let Opened { response, body } = self.session().open(request, &Access::pull(repository), deadline).await?;
        let wrong = |why: &str| RemoteError::bad_answer(response.origin.to_string(), why);
        match (response.status, body) {
            (200, Some(body)) => {
                let total = length(&response);
                Ok(Some(BlobStream { body, total, skip: offset, at: offset, end: total }))
            }
            (206, Some(body)) if offset > 0 => {
                let part = Part::read(&response).ok_or_else(|| wrong("it does not say which part of the blob it sends"))?;
                if part.first != offset {
                    return Err(wrong("it sends another part of the blob than was asked for"));
                }
                Ok(Some(BlobStream { body, total: part.total, skip: 0, at: offset, end: Some(part.end) }))
            }
            (404, _) => answer::absent(&response).map(|()| None),
            _ => Err(answer::unexpected(&response)),
        }
    }
}

fn length(response: &Response) -> Option<u64> {
    response.header("content-length")?.parse().ok()
}

/// `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4).
#[derive(Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    /// The byte after the last.
    end: u64,
    total: Option<u64>,
}

impl Part {
    fn read(response: &Response) -> Option<Self> {
        Self::parse(response.header("content-range")?, length(response))
    }

    /// A part that its own numbers, and the declared length of the answer, agree on.
    fn parse(text: &str, length: Option<u64>) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let fits = first < end && total.is_none_or(|total| end <= total) && length.is_none_or(|length| length == end - first);
        (fits && unit.eq_ignore_ascii_case("bytes")).then_some(Self { first, end, total })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_says_where_it_begins_and_ends() {
        let part = |first, end, total| Some(Part { first, end, total });
        assert_eq!(Part::parse("bytes 5-9/10", Some(5)), part(5, 10, Some(10)));
        assert_eq!(Part::parse("Bytes 5-9/*", None), part(5, 10, None));
        for bad in [
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 5-9",
            "5-9/10",
            "pages 5-9/10",
            "bytes +5-9/10",
            "bytes 5-18446744073709551615/*",
            "bytes 5-9/99999999999999999999",
            "",
        ] {
            assert_eq!(Part::parse(bad, None), None, "{bad}");
        }
        assert_eq!(Part::parse("bytes 5-9/10", Some(4)), None, "the declared length is another");
    }

    proptest! {
        #[test]
        fn no_content_range_panics(text in "[bytes 0-9/*-]{0,40}", length in any::<Option<u64>>()) {
            prop_assert!(Part::parse(&text, length).is_none_or(|part| part.first < part.end));
        }

        #[test]
        fn written_parts_are_read(first in 0..1000_u64, more in 1..1000_u64, rest in 0..1000_u64) {
            let (end, total) = (first + more, first + more + rest);
            let read = Part::parse(&format!("bytes {first}-{}/{total}", end - 1), Some(more)).unwrap();
            prop_assert_eq!(read, Part { first, end, total: Some(total) });
        }
    }
}
