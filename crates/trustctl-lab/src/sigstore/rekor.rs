//! Transparency logs: Rekor v1 ([`first`]) and Rekor v2 ([`tiles`]).

mod entry;
pub(crate) mod first;
pub(crate) mod tiles;
