//! The CI step: re-runs that cost nothing, outages, the queue, kill -9, and many images with one log entry. Never a silent duplicate, never
//! a false "unsigned", never a run that ends well without a verified signature.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod journal;
mod kills;
mod many;
mod matrix;
mod outages;
mod reruns;
mod stage;
