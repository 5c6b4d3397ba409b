//! For how long what was decided is good.

use std::time::Duration;

/// For how long answers are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// What a tag names; zero asks the upstream each time.
    pub tag: Duration,
    /// That something is trusted: the time within which a revocation takes effect.
    pub revocation: Duration,
    /// That something is refused.
    pub refusal: Duration,
    /// How long, after it was last seen to be trusted, something is served while the upstream cannot be asked.
    pub max_stale: Duration,
    /// The time for all that is asked for about one image.
    pub verify: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            tag: Duration::from_secs(30),
            revocation: Duration::from_secs(60),
            refusal: Duration::from_secs(10),
            max_stale: Duration::from_secs(24 * 3600),
            verify: Duration::from_secs(8),
        }
    }
}
