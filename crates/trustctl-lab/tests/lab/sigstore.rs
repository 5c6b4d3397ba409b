//! The Sigstore services over HTTP, judged by the verifier that real bundles are judged with.

mod certificates;
mod client;
mod logins;
mod logs;
mod stamps;
