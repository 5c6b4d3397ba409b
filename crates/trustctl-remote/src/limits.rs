//! How much is read, waited for and tried. Every number that a server could choose has its limit here, with the reason.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::RemoteError;

/// Most bytes of a manifest or index; registries refuse larger ones on push (distribution: 4 MiB).
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Most bytes that are read of an answer that is not a success: enough for any message, too little to hurt.
pub const MAX_ERROR_BODY: u64 = 64 * 1024;
/// Most bytes of a token server's answer; real tokens have a few KiB, those with many groups up to 100.
pub const MAX_TOKEN_BODY: u64 = 256 * 1024;
/// Most redirects of one request: registries need one (to their storage), some two.
pub const MAX_REDIRECTS: usize = 5;
/// Most pages of a tag or referrer listing.
pub const MAX_PAGES: usize = 64;
/// Most tags of one repository that are listed.
pub const MAX_TAGS: usize = 100_000;
/// Most bytes of one verification, all evidence together.
pub const MAX_EVIDENCE: u64 = 64 * 1024 * 1024;
/// Most bytes of a file with saved evidence: [`MAX_EVIDENCE`] in base64, with as much again for names and answers.
pub const MAX_EVIDENCE_FILE: u64 = 128 * 1024 * 1024;
/// Most pieces of evidence of one verification: 64 signatures and 256 referrers with manifest and blob, twice, and room.
pub const MAX_PIECES: usize = 2048;
/// Most dependent rounds of one gathering: index, referrers, manifests and blobs are four; delegations below delegations need more.
pub const MAX_ROUNDS: usize = 8;
/// Most requests in flight at once; more makes registries answer 429.
pub const MAX_CONCURRENT: usize = 16;
/// How often a request is tried in all.
pub const TRIES: u32 = 3;
/// How often a request to a signing service is tried: with doubling pauses that is most of a minute, so that a restart is outlasted.
pub const SERVICE_TRIES: u32 = 9;
/// Most bytes of an answer of a signing service: a certificate chain, a log entry or a timestamp has about 10,000.
pub const MAX_SERVICE_ANSWER: u64 = 1024 * 1024;
/// Time to establish a connection, name resolution and TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a byte after which a connection is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for one whole operation unless the user says otherwise.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause before the second try; doubled for each one after it. A server's `Retry-After` counts instead when it is longer.
pub const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that is waited for; with a longer one the request has failed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The moment at which a whole operation is given up, however many requests, pauses and tries it consists of.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// `span` from now; at most a day, so that adding cannot overflow.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span.min(Duration::from_secs(24 * 3600)))
    }

    /// The time that is left.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// What `work` gives, if it is done in time.
    ///
    /// # Errors
    /// [`RemoteError::OutOfTime`], naming `host`, when it is not.
    pub async fn limit<T>(&self, host: &str, work: impl Future<Output = T>) -> Result<T, RemoteError> {
        tokio::time::timeout_at(self.0, work).await.map_err(|_| RemoteError::OutOfTime { host: host.to_owned() })
    }
}

impl Default for Deadline {
    /// [`OPERATION_TIMEOUT`] from now.
    fn default() -> Self {
        Self::after(OPERATION_TIMEOUT)
    }
}
