//! The operating system's keyring: for passphrases, and for whole keys.
//!
//! On Linux the Secret Service over D-Bus (GNOME Keyring, KWallet, KeePassXC), or the kernel's session keyring, which forgets at logout. On other
//! systems there is none yet, and every call says so. A keyring is a convenience, never the only place for a key that must not be lost.

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::passphrase::SecretStore;

/// The name under which a keyring files what this program keeps.
pub const SERVICE: &str = "trustctl";

/// The keyring of the person who runs this program.
pub struct SystemKeyring(system::Keyring);

impl SystemKeyring {
    /// The Secret Service. It is not contacted before it is used; when there is none, its first use says so within milliseconds.
    #[must_use]
    pub fn new() -> Self {
        Self(system::Keyring::new(system::Backend::SecretService))
    }

    /// The kernel's session keyring: in memory only, gone at logout, and shared by everything in the session. For passphrases on machines without a
    /// Secret Service.
    #[must_use]
    pub fn kernel_session() -> Self {
        Self(system::Keyring::new(system::Backend::KernelSession))
    }
}

impl Default for SystemKeyring {
    fn default() -> Self {
        Self::new()
    }
}

impl SecretStore for SystemKeyring {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        self.0.load(name)
    }

    fn store(&self, name: &str, secret: &[u8]) -> Result<(), KeyError> {
        self.0.store(name, secret)
    }

    fn delete(&self, name: &str) -> Result<bool, KeyError> {
        self.0.delete(name)
    }

    fn names(&self) -> Result<Vec<String>, KeyError> {
        self.0.names()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use keyring_core::api::CredentialStore;
    use keyring_core::{Entry, Error};
    use zeroize::Zeroizing;

    use super::SERVICE;
    use crate::error::KeyError;

    /// How long one use may take: its owner may have to type a password to unlock it. Without anybody to ask, a locked keyring answers at once.
    const PATIENCE: Duration = Duration::from_secs(90);

    #[derive(Clone, Copy)]
    pub(super) enum Backend {
        KernelSession,
        SecretService,
    }

    /// A connection that is made at the first use; whether that failed is remembered, so that nobody waits for it twice.
    pub(super) struct Keyring {
        backend: Backend,
        connection: Arc<OnceLock<Result<Arc<CredentialStore>, String>>>,
    }

    impl Keyring {
        pub(super) fn new(backend: Backend) -> Self {
            Self { backend, connection: Arc::new(OnceLock::new()) }
        }

        pub(super) fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
            let found = self.with_entry(name, |entry| entry.get_secret().map(Zeroizing::new));
            optional(found)
        }

        pub(super) fn store(&self, name: &str, secret: &[u8]) -> Result<(), KeyError> {
            let secret = Zeroizing::new(secret.to_vec());
            self.with_entry(name, move |entry| entry.set_secret(&secret))?.map_err(|error| unavailable(&error))
        }

        pub(super) fn delete(&self, name: &str) -> Result<bool, KeyError> {
            let deleted = self.with_entry(name, Entry::delete_credential);
            Ok(optional(deleted)?.is_some())
        }

        pub(super) fn names(&self) -> Result<Vec<String>, KeyError> {
            if matches!(self.backend, Backend::KernelSession) {
                return Ok(Vec::new());
            }
            let entries = self.patiently(|store| store.search(&HashMap::from([("service", SERVICE)])))?;
            let entries = entries.map_err(|error| unavailable(&error))?;
            Ok(entries.iter().filter_map(Entry::get_specifiers).map(|(_, name)| name).collect())
        }

        fn with_entry<T: Send + 'static>(
            &self,
            name: &str,
            work: impl FnOnce(&Entry) -> Result<T, Error> + Send + 'static,
        ) -> Result<Result<T, Error>, KeyError> {
            let name = name.to_owned();
            self.patiently(move |store| work(&store.build(SERVICE, &name, None)?))
        }

        /// Does `work` on a thread of its own: the library has no time limits, and must not run on a thread of an asynchronous runtime.
        fn patiently<T: Send + 'static>(&self, work: impl FnOnce(&CredentialStore) -> T + Send + 'static) -> Result<T, KeyError> {
            let (backend, connection) = (self.backend, Arc::clone(&self.connection));
            let (sender, receiver) = channel();
            let in_the_background = move || {
                let store = connection.get_or_init(|| connect(backend));
                let done = store.as_ref().map(|store| work(store.as_ref())).map_err(String::clone);
                // Nobody listens any more when it took too long.
                let _ = sender.send(done);
            };
            let started = std::thread::Builder::new().name("keyring".to_owned()).spawn(in_the_background);
            started.map_err(|error| KeyError::KeyringUnavailable { why: error.to_string() })?;
            let why = match receiver.recv_timeout(PATIENCE) {
                Ok(done) => return done.map_err(|why| KeyError::KeyringUnavailable { why }),
                Err(RecvTimeoutError::Timeout) => format!("it did not answer within {} seconds", PATIENCE.as_secs()),
                Err(RecvTimeoutError::Disconnected) => "the connection broke".to_owned(),
            };
            Err(KeyError::KeyringUnavailable { why })
        }
    }

    fn connect(backend: Backend) -> Result<Arc<CredentialStore>, String> {
        let connected = || -> Result<Arc<CredentialStore>, Error> {
            match backend {
                Backend::KernelSession => Ok(linux_keyutils_keyring_store::Store::new()?),
                Backend::SecretService => Ok(zbus_secret_service_keyring_store::Store::new()?),
            }
        };
        connected().map_err(|error| words(&error))
    }

    fn optional<T>(found: Result<Result<T, Error>, KeyError>) -> Result<Option<T>, KeyError> {
        match found? {
            Ok(found) => Ok(Some(found)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn unavailable(error: &Error) -> KeyError {
        KeyError::KeyringUnavailable { why: words(error) }
    }

    /// What went wrong, without anything the keyring holds: some of the library's errors carry the secret.
    fn words(error: &Error) -> String {
        match error {
            Error::PlatformFailure(cause) => format!("no keyring service answers ({cause})"),
            Error::NoStorageAccess(cause) => format!("it is locked, or access was denied ({cause})"),
            Error::NoEntry => "it has no such entry".to_owned(),
            Error::Ambiguous(_) => "it has several entries of this name".to_owned(),
            Error::TooLong(..) => "the entry is too long for it".to_owned(),
            Error::Invalid(..) => "it does not accept such an entry".to_owned(),
            _ => "it does not work as expected".to_owned(),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use zeroize::Zeroizing;

    use crate::error::KeyError;

    #[derive(Clone, Copy)]
    pub(super) enum Backend {
        KernelSession,
        SecretService,
    }

    pub(super) struct Keyring;

    impl Keyring {
        pub(super) fn new(_: Backend) -> Self {
            Self
        }

        pub(super) fn load(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
            Err(none())
        }

        pub(super) fn store(&self, _: &str, _: &[u8]) -> Result<(), KeyError> {
            Err(none())
        }

        pub(super) fn delete(&self, _: &str) -> Result<bool, KeyError> {
            Err(none())
        }

        pub(super) fn names(&self) -> Result<Vec<String>, KeyError> {
            Err(none())
        }
    }

    fn none() -> KeyError {
        KeyError::KeyringUnavailable { why: "there is no support for this system's keyring yet".to_owned() }
    }
}
