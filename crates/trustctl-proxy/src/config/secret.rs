//! Reading the secrets that a configuration names.

use trustctl_core::reason::{Code, Reason};
use zeroize::Zeroizing;

use super::read;
use crate::upstreams::SecretSource;

/// Longest secret, in bytes: tokens of registries have a tenth of that.
const MAX_SECRET: u64 = 64 * 1024;

impl SecretSource {
    /// The secret as it is now: of a file without the line end that closes it.
    ///
    /// # Errors
    /// A [`Reason`] of [`Code::ProxySecret`], which names where the secret should be and never what is there.
    pub fn read(&self) -> Result<Zeroizing<String>, Reason> {
        let missing = |why: &str| Reason::new(Code::ProxySecret, format!("the secret in {self} cannot be used: {why}"));
        let secret = match self {
            Self::Environment(name) => {
                Zeroizing::new(std::env::var(name).map_err(|_| missing("the variable is not set, or is no text"))?)
            }
            Self::File(path) => {
                let bytes = Zeroizing::new(read(path, MAX_SECRET).map_err(|error| missing(&error))?);
                let text = str::from_utf8(&bytes).map_err(|_| missing("it is not text"))?;
                let text = text.strip_suffix('\n').unwrap_or(text);
                Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        };
        if secret.is_empty() || secret.contains(char::is_control) {
            return Err(missing("it is empty, or has several lines"));
        }
        Ok(secret)
    }
}
