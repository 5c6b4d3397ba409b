//! The attack table on Docker Content Trust, each rule with a case that passes because of it and one that fails.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod attacks;
mod images;
mod limits;
mod offline;
mod properties;
mod roots;
mod signers;
#[path = "../world/mod.rs"]
mod world;
