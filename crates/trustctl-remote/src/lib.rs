//! Everything that talks: registries, Notary servers, credentials; limits and retries.
//!
//! It never decides about trust. What it fetches is untrusted bytes, checked against digests and limits alone; an answer that does
//! not count is an error or a refusal with its reason, and never looks like "there is nothing". In reading order:
//!
//! - [`limits`], [`error`]: how much is read and waited for, and what can go wrong;
//! - [`http`]: the client; [`credentials`], [`token`]: who asks, and to whom that is told;
//! - [`registry`], [`referrers`]: the OCI distribution protocol; [`notary`]: Notary servers;
//! - [`oidc`]: identity tokens; [`sigstore`]: services that vouch for signatures; [`tuf`]: repositories of trusted roots;
//! - [`gather`]: all evidence at once; [`publish`]: changes that lose nothing of others;
//! - [`mod@file`], [`state`]: what is written to disk as a whole, and what is remembered there; [`anchors`]: what trust begins with;
//! - [`layout`], [`trust_dir`]: image layouts, and Docker's and Notary's own files.
//!
//! ```no_run
//! use trustctl_remote::credentials::Credentials;
//! use trustctl_remote::http::{Http, Network};
//! use trustctl_remote::limits::Deadline;
//! use trustctl_remote::registry::Registry;
//! use trustctl_remote::token::Session;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let variable = |name: &str| std::env::var_os(name);
//! let http = Http::new(Network::of_environment(variable));
//! let registry = Registry::new(Session::new(http, Credentials::of_environment(variable)));
//! match registry.resolve(&"alpine:3.20".parse()?, Deadline::default()).await {
//!     Ok(image) => println!("{}", image.subject.digest),
//!     Err(reason) => println!("{reason}"),
//! }
//! # Ok(())
//! # }
//! ```

pub mod anchors;
pub mod credentials;
pub mod error;
pub mod file;
mod folder;
pub mod gather;
pub mod http;
pub mod layout;
pub mod limits;
pub mod notary;
pub mod oidc;
pub mod publish;
pub mod random;
pub mod referrers;
pub mod registry;
pub mod sigstore;
pub mod state;
mod tls;
pub mod token;
pub mod trust_dir;
pub mod tuf;
