//! Starts the real programs that trustctl has to agree with, on loopback, and stops them again.
//!
//! It never judges an image and never depends on trustctl's own crates: a mistake shared by both sides of an interoperability test would hide
//! itself. Everything is synchronous, listens on 127.0.0.1 only and is bounded in time; what a value started ends when the value is dropped.
//!
//! Modules in reading order:
//! - [`peers`]: which real programs are here, and the loud way to skip a test when one is not
//! - [`process`]: start a server and wait until it answers; run a program with a time limit
//! - [`tls`]: a throw-away certificate authority
//! - [`image`]: tiny images and indexes, and pushing them without any program
//! - [`registry`]: docker-registry (plain, TLS, basic and token access) and ferro-oci-server (referrers API)
//! - [`tokens`]: the token server for both registry and Notary
//! - [`notary`]: notary-server, with or without notary-signer, and the notary client
//! - [`engine`]: dockerd and a Docker client with Content Trust
//! - [`clients`]: every program that pulls images, set up to do so through a proxy
//! - [`counting`]: a proxy that records every request and can answer with faults
//! - [`latency`]: a proxy that makes the network far away
//! - [`program`], [`stage`]: the program under test, and a lab with a user of it
//! - [`distribution`]: the checks of the pull part of the distribution specification
//! - [`pages`]: the files that a page of the documentation shows
//! - [`http`]: the small blocking HTTP/1.1 that the above share
//!
//! ```no_run
//! use trustctl_tests::image::{Image, Repository};
//! use trustctl_tests::peers::Peer;
//! use trustctl_tests::registry::{DebianRegistry, Options};
//!
//! let Some(program) = Peer::DockerRegistry.or_skip() else { return Ok(()) };
//! let registry = DebianRegistry::start(&program, &Options::default())?;
//! let digest = Image::tiny("hello").push(&Repository::new(registry.address(), "demo/app"), "1.0")?;
//! assert!(digest.starts_with("sha256:"));
//! # Ok::<(), trustctl_tests::failure::Failure>(())
//! ```

pub mod clients;
pub mod counting;
pub mod distribution;
pub mod engine;
pub mod failure;
pub mod http;
pub mod image;
pub mod latency;
pub mod notary;
pub mod pages;
pub mod peers;
pub mod process;
pub mod program;
pub mod reference;
pub mod registry;
pub mod stage;
pub mod tls;
pub mod tokens;
