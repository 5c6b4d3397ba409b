//! The judging core of trustctl: names, digests, evidence, claims, policy and verdicts.
//!
//! It never opens a file or socket, never reads a clock or a variable, and is not asynchronous. Time, trust anchors and memory are
//! arguments; the answer is a value. In reading order:
//!
//! - [`mod@reference`], [`digest`], [`subject`], [`json`]: what is asked about, read strictly;
//! - [`evidence`]: untrusted bytes, keyed by where they came from;
//! - [`scheme`]: what a trust scheme does with them; [`public_key`], [`signer`]: the one way to verify, and who signs;
//! - [`publish`]: what to send, as values;
//! - [`policy`], [`assess`], [`judge`], [`verdict`], [`report`]: who must sign, and the answer;
//! - [`claim`], [`reason`]: what evidence proves, and why not; [`memory`]: what was seen before; [`time`], [`toml_error`].
//!
//! ```
//! use trustctl_core::reference::Reference;
//! let image: Reference = "alpine:3.20".parse()?;
//! assert_eq!(image.repository.to_string(), "docker.io/library/alpine");
//! # Ok::<(), trustctl_core::reference::ReferenceError>(())
//! ```

pub mod assess;
pub mod claim;
pub mod digest;
pub mod evidence;
pub mod hashes;
pub mod json;
pub mod judge;
pub mod memory;
pub mod policy;
pub mod predicate;
pub mod public_key;
pub mod publish;
pub mod reason;
pub mod reference;
pub mod report;
pub mod scheme;
pub mod signer;
pub mod subject;
pub mod time;
pub mod toml_error;
pub mod verdict;
