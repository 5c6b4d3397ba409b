//! Limits against hostile input, each with its reason, and the budget that bytes are spent from.
//!
//! What is beyond a limit was not looked at and is reported as missing; it never counts for or against anybody.

/// Most bytes of a manifest or a listing: what registries themselves accept for a manifest.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Most bytes of a payload, bundle or attestation: large software bills of materials fit.
pub const MAX_BLOB: u64 = 8 * 1024 * 1024;
/// Most bytes of a revocation, of its manifest, and of any manifest that could lead to one. Real ones have about one kilobyte, so
/// whatever is larger, and does not say that it is a revocation, cannot hide one.
pub const MAX_REVOCATION: u64 = 256 * 1024;
/// Most signatures that are read from one `.sig` tag.
pub const MAX_SIGNATURES: usize = 64;
/// Most referrers of one image that are read; those that are known to be of no interest do not count.
pub const MAX_REFERRERS: usize = 256;
/// Most entries of one listing of referrers, be they of interest or not. A listing has at most 4 MiB, and an entry that says what it
/// is some 250 bytes.
pub const MAX_ENTRIES: usize = 16_384;
/// Most entries of one listing that cannot be read. With more of them the listing is not a registry's.
pub const MAX_BROKEN: usize = 64;
/// Most referrers that are kept of listings already read: what the evidence of one image can hold, at 128 bytes each.
pub const MAX_KEPT: usize = 512 * 1024;
/// Most transparency log entries in one bundle, as in Sigstore's client specification.
pub const MAX_LOG_ENTRIES: usize = 32;
/// Most signed timestamps in one bundle, as in Sigstore's client specification.
pub const MAX_TIMESTAMPS: usize = 32;
/// Most signed annotations of one signature.
pub const MAX_ANNOTATIONS: usize = 256;
/// Most subjects of one in-toto statement.
pub const MAX_SUBJECTS: usize = 1024;
/// Deepest nesting of JSON that is read.
pub const MAX_DEPTH: usize = 64;

/// Bytes of referrers (manifests and bundles) that are read for one image.
pub const BUDGET_REFERRERS: u64 = 48 * 1024 * 1024;
/// Bytes of payloads below `.sig` and `.att` tags that are read for one image. Kept apart, so that neither place can starve the
/// other.
pub const BUDGET_TAGS: u64 = 16 * 1024 * 1024;

/// Bytes that may still be spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(u64);

impl Budget {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Spends `bytes`; false, and nothing is spent, when there are not enough left.
    pub(crate) fn spend(&mut self, bytes: u64) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}
