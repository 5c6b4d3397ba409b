//! A whole image-trust world on loopback, for demonstrations, tests and rehearsals. **Not for production.**
//!
//! Real wire protocols, in memory, on 127.0.0.1 only, on a thread of its own for each service; everything stops when its value is dropped and
//! nothing survives. Passwords here protect nothing. It never judges an image. Beside serving, every service can be made to fail
//! ([`faults`]), counts what it was asked ([`requests`]), and gives the powers of an attacker who owns it: older states brought back, tags
//! moved, bytes changed.
//!
//! In reading order:
//! - [`world`]: everything together
//! - [`registry`]: OCI distribution 1.1 with the referrers API
//! - [`notary`]: Notary v1, with its upload validation
//! - [`sigstore`]: an OpenID Connect issuer, Fulcio, Rekor v1 and v2, and a timestamp authority
//! - [`tuf`]: a TUF repository for a Sigstore instance's trusted root
//! - [`image`]: tiny images to push
//! - [`faults`], [`requests`]: what goes wrong, and what was asked
//! - [`access`], [`authority`]: logins and TLS; [`clock`]: its time
//!
//! ```
//! use trustctl_lab::image::Artifact;
//! use trustctl_lab::world::{World, WorldOptions};
//!
//! let world = World::start(WorldOptions::default())?;
//! let digest = world.push("shop/cart:1.4", &Artifact::image("hello"))?;
//! assert_eq!(world.registry().tag("shop/cart", "1.4"), Some(digest));
//! println!("{}", world.describe());
//! # Ok::<(), trustctl_lab::error::LabError>(())
//! ```

pub mod access;
mod answer;
pub mod authority;
pub mod clock;
pub mod error;
pub mod faults;
pub mod image;
pub mod notary;
mod push;
pub mod registry;
pub mod requests;
mod server;
pub mod sigstore;
pub mod tuf;
pub mod world;
