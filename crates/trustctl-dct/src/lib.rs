//! Docker Content Trust: read, judge and edit Notary v1 metadata.
//!
//! It never talks to a server, reads a clock or a file, or knows a private key: bytes and time come in, values go out. In reading
//! order:
//!
//! - [`canonical_json`]: what exactly is signed;
//! - [`key`], [`certificate`], [`role`]: who may sign;
//! - [`metadata`]: the files of a collection, read and written;
//! - [`reading`], [`collection`]: a collection as evidence proves it, from its root down;
//! - [`scheme`]: what it says about one image;
//! - [`edit`]: from what is wanted to the files to upload;
//! - [`error`]: what can be wrong.

pub mod canonical_json;
pub mod certificate;
pub mod collection;
pub mod edit;
pub mod error;
mod files;
pub mod key;
pub mod metadata;
pub mod reading;
pub mod role;
mod root_chain;
pub mod scheme;
