//! Secret bytes that are overwritten when they are no longer used.

use zeroize::Zeroizing;

/// Longest passphrase, in bytes. Nobody types this much; a file of the wrong kind is longer.
pub const MAX_PASSPHRASE: usize = 1024;

/// A passphrase. It has no `Debug`, `Display` or `Clone`, and is overwritten when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase of these bytes, UTF-8 by convention; `None` when it is longer than [`MAX_PASSPHRASE`].
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes.into());
        (bytes.len() <= MAX_PASSPHRASE).then_some(Self(bytes))
    }

    /// The passphrase of no characters, which Cosign allows and Notary takes as "not encrypted".
    #[must_use]
    pub fn empty() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    /// Whether it has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same, for asking twice.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}
