//! Every program that pulls images, through the proxy: what is trusted arrives bit-identical, and of what is not nothing stays on it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod cases;
mod mirrors;
mod only;
