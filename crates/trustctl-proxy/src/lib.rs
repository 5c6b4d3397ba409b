//! The pull-through proxy of trustctl: it serves what the policy trusts, and nothing else.
//!
//! It never holds a private key, and never serves a digest that it has not judged in the repository it is asked from. In reading order,
//! which is also the way of a request:
//!
//! - [`config`]: what the proxy is told; [`server`]: connections and their limits;
//! - [`request`]: from the request line and headers to what is asked for; [`upstreams`]: which registry and repository that means;
//! - [`serve`]: who asks, and the steps to an answer; [`world`]: the upstream's servers, as the proxy or as a caller sees them;
//! - [`decide`]: whether it may be served, under the policy in force ([`trust`]), by what was found out before ([`store`]), or by an
//!   operator's word ([`break_glass`]);
//! - [`cache`]: blobs and manifests on disk, by digest; [`observe`]: who is told of every decision; [`audit`]: the log of them that shows
//!   when it is altered;
//! - [`answer`], [`body`], [`file_part`]: what goes back; `jobs`: what waits for the disk meanwhile;
//! - [`metrics`], [`recent`], [`admin`]: what operators see of it; [`clients`]: how those who pull are set up to get nothing past it, and
//!   [`doctor`]: whether they do.

pub mod admin;
pub mod answer;
pub mod audit;
pub mod body;
pub mod break_glass;
pub mod cache;
pub mod clients;
pub mod config;
pub mod decide;
pub mod doctor;
pub mod file_part;
mod jobs;
pub mod metrics;
pub mod observe;
pub mod recent;
pub mod request;
pub mod serve;
pub mod server;
pub mod store;
pub mod trust;
pub mod upstreams;
pub mod world;
