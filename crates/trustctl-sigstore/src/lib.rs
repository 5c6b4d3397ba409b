//! Cosign and Sigstore: read, judge and build signatures, bundles and attestations.
//!
//! Signatures by key are judged, and those by certificate with the trusted root of a Sigstore instance; so are transparency log entries.
//! This crate opens no file and no socket, and is not asynchronous: evidence, anchors, memory and time are arguments. In reading
//! order:
//!
//! - [`scheme`]: [`Cosign`](scheme::Cosign), what is asked for and what it proves; [`artifact`]: the same for `inspect`, artifact
//!   by artifact;
//! - [`layout`]: how signatures lie in a registry; [`simple_signing`], [`bundle`], [`dsse`], [`statement`], [`log`]: what they
//!   consist of;
//! - [`keyless`]: what a Sigstore instance vouches for: certificates, log entries, times; [`tuf`]: how its trusted root is kept up
//!   to date;
//! - what is proven of files: [`blob`];
//! - [`revocation`]: withdrawing an image; [`make`]: signing, revoking and removing, as plans;
//! - [`signing_config`], [`seal`]: which services vouch for a signature, what they are asked, and the finished bundle;
//! - [`keys`]: which algorithms a key may have signed with; [`limits`]: against hostile input; [`mod@format`]: errors of all readers.
//!
//! Two annotations are signed by this program and understood everywhere: [`ANNOTATION_REPOSITORY`] and [`ANNOTATION_TAG`].
//! Bundles carry both in the annotations of the in-toto subject, where cosign puts those of `-a`; legacy payloads name the
//! repository in `docker-reference` already, and carry the tag in
//! `optional`.
//!
//! What is asked for before anything is known, and that evidence which was never gathered proves nothing:
//! ```
//! use trustctl_core::evidence::Evidence;
//! use trustctl_core::memory::Memory;
//! use trustctl_core::scheme::{Anchors, Context, Scheme};
//! use trustctl_core::subject::{ManifestBytes, Subject};
//! use trustctl_sigstore::scheme::Cosign;
//!
//! let bytes = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
//! let manifest = ManifestBytes { bytes, announced: None };
//! let image = Subject::from_manifest("registry.example/shop/cart".parse()?, None, manifest).map_err(|reason| reason.to_string())?;
//! let (anchors, memory) = (Anchors::default(), Memory::new());
//! let context = Context { anchors: &anchors, memory: &memory, now: "2026-12-08".parse()? };
//!
//! let wants = Cosign::default().wants(&image, &Evidence::new(), &context);
//! assert_eq!(wants.len(), 2, "the .sig tag and the referrers, at once");
//! let findings = Cosign::default().examine(&image, &Evidence::new(), &context);
//! assert!(findings.claims.is_empty() && findings.missing.len() == 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod artifact;
pub mod attestation;
pub mod blob;
pub mod bundle;
pub mod dsse;
pub mod format;
mod grounds;
pub mod keyless;
pub mod keys;
pub mod layout;
pub mod limits;
pub mod log;
pub mod make;
pub mod revocation;
pub mod scheme;
pub mod seal;
pub mod signing_config;
pub mod simple_signing;
pub mod statement;
mod survey;
#[cfg(test)]
mod testing;
pub mod tuf;
mod withdrawal;

/// The signed annotation that names the repository a signature is for, without tag: `docker.io/library/alpine`.
pub const ANNOTATION_REPOSITORY: &str = "dev.trustctl.repository";
/// The signed annotation that names the tag a signature is for.
pub const ANNOTATION_TAG: &str = "dev.trustctl.tag";
