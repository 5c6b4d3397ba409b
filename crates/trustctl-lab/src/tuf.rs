//! A TUF repository as Sigstore publishes its trusted root in one, with the powers of an attacker who owns the server, and those of one
//! who stole keys.
//!
//! [`Repository`] writes and signs metadata (The Update Framework, specification 1.0.33); [`LabTuf`] serves what it has written, or
//! whatever else it is told to serve.

mod key;
mod repository;
mod site;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use key::{Key, KeyKind};
pub use repository::{Repository, Role, RoleState};

use crate::error::LabError;
use crate::faults::Faults;
use crate::requests::RequestLog;
use crate::server::{Listen, Server};
use site::FileSite;

/// The files of a repository by their path below its address.
pub type Files = BTreeMap<String, Bytes>;

/// A running server of a repository's files, over plain HTTP; it stops when this value is dropped.
#[derive(Debug)]
pub struct LabTuf {
    server: Server,
    files: Arc<Mutex<Files>>,
}

impl LabTuf {
    /// Serves `files` on a loopback port; 0 lets the system choose.
    ///
    /// # Errors
    /// [`LabError::Io`] when the port is taken or the thread cannot start.
    pub fn start(port: u16, files: Files) -> Result<Self, LabError> {
        let files = Arc::new(Mutex::new(files));
        let served = files.clone();
        let listen = Listen { name: "lab-tuf", port, tls: None };
        let server = Server::start(listen, |_| FileSite { files: served })?;
        Ok(Self { server, files })
    }

    /// The address of the metadata; targets are below it in `targets/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Serves these files from now on, and no others.
    pub fn serve(&self, files: Files) {
        *self.lock() = files;
    }

    /// What is being served.
    #[must_use]
    pub fn files(&self) -> Files {
        self.lock().clone()
    }

    /// The faults that the server commits.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// What was asked.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        self.server.requests()
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
