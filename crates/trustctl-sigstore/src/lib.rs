//! Cosign and Sigstore: read, judge and build signatures, bundles and attestations.
//!
//! Signatures by key are judged. Certificates and transparency log entries that come with them are read and shown as claimed;
//! they prove nothing yet. This crate opens no file and no socket, reads no clock, and is not asynchronous: evidence, anchors,
//! memory and time are arguments. In reading order:
//!
//! - [`scheme`]: [`Cosign`](scheme::Cosign), what is asked for and what it proves; [`artifact`]: the same for `inspect`, artifact
//!   by artifact;
//! - [`layout`]: how signatures lie in a registry; [`simple_signing`], [`bundle`], [`dsse`], [`statement`], [`log`]: what they
//!   consist of;
//! - [`revocation`]: withdrawing an image; [`make`]: signing, revoking and removing, as plans;
//! - [`keys`]: which algorithms a key may have signed with; [`limits`]: against hostile input; [`mod@format`]: errors of all readers.
//!
//! Two annotations are signed by this program and understood everywhere: [`ANNOTATION_REPOSITORY`] and [`ANNOTATION_TAG`].
//! Bundles carry both in the annotations of the in-toto subject, where cosign puts those of `-a`; legacy payloads name the
//! repository in `docker-reference` already, and carry the tag in
//! `optional`.

pub mod artifact;
pub mod bundle;
pub mod dsse;
pub mod format;
pub mod keys;
pub mod layout;
pub mod limits;
pub mod log;
pub mod make;
pub mod revocation;
pub mod scheme;
pub mod simple_signing;
pub mod statement;
mod survey;
#[cfg(test)]
mod testing;

/// The signed annotation that names the repository a signature is for, without tag: `docker.io/library/alpine`.
pub const ANNOTATION_REPOSITORY: &str = "dev.trustctl.repository";
/// The signed annotation that names the tag a signature is for.
pub const ANNOTATION_TAG: &str = "dev.trustctl.tag";
