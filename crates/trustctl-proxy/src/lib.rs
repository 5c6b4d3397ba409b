//! The pull-through proxy of trustctl: it serves what the policy trusts, and nothing else.
//!
//! It never holds a private key, and never serves a digest that it has not judged in the repository it is asked from. In reading order,
//! which is also the way of a request:
//!
//! - [`config`]: what the proxy is told; [`server`]: connections and their limits;
//! - [`request`]: from the request line and headers to what is asked for; [`upstreams`]: which registry and repository that means;
//! - [`answer`], [`body`]: what goes back.

pub mod answer;
pub mod body;
pub mod config;
pub mod request;
pub mod server;
pub mod upstreams;
//! - [`cache`]: blobs and manifests on disk, by digest.
pub mod cache;
