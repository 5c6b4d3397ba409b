//! Everything that talks: registries, Notary servers, credentials; limits and retries.
//!
//! It never decides about trust. What it fetches is untrusted bytes, checked against digests and limits alone; an answer that does
//! not count is an error or a refusal with its reason, and never looks like "there is nothing". In reading order:
//!
//! - [`limits`], [`error`]: how much is read and waited for, and what can go wrong;
//! - [`http`]: the client; [`notary`]: Notary servers;
//! - [`state`]: what is remembered on disk; [`layout`], [`trust_dir`]: image layouts and Docker's and Notary's own files.

pub mod credentials;
pub mod error;
mod folder;
pub mod gather;
pub mod http;
pub mod layout;
pub mod limits;
pub mod notary;
pub mod publish;
pub mod referrers;
pub mod registry;
pub mod state;
mod tls;
pub mod token;
pub mod trust_dir;
