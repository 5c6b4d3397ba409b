//! What can go wrong while a test world is set up.

use std::io;
use std::time::Duration;

/// A test world could not be set up, or a program in it did not do what a test relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A program ended with another status than zero.
    #[error("{command}: ended with {status}\nstdout: {stdout}\nstderr: {stderr}")]
    Ended {
        /// The program and its arguments.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it wrote to standard output.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A message is not HTTP/1.1 as far as this library understands it.
    #[error("not understood as HTTP/1.1: {0}")]
    Http(String),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it was refused.
        source: io::Error,
    },
    /// A server did not answer in time, or ended before it did.
    #[error("{name} is not ready: {why}\nits log:\n{log}")]
    NotReady {
        /// The server.
        name: String,
        /// What happened instead.
        why: String,
        /// Everything it wrote.
        log: String,
    },
    /// A program printed something else than it should.
    #[error("{0}")]
    Output(String),
    /// A signing operation of the crypto library failed.
    #[error("signing failed")]
    Signing,
    /// A program ran longer than it was given.
    #[error("{command}: still running after {limit:?}")]
    Slow {
        /// The program and its arguments.
        command: String,
        /// The time it was given.
        limit: Duration,
    },
    /// A server answered with a status that the caller cannot go on with.
    #[error("{method} {target}: status {status}: {body}")]
    Status {
        /// The request's method.
        method: String,
        /// The request's path and query.
        target: String,
        /// The status of the answer.
        status: u16,
        /// The body of the answer.
        body: String,
    },
}

/// Turns an [`io::Error`] into a [`Failure`] that says what was attempted.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |source| Failure::Io { what, source }
}
