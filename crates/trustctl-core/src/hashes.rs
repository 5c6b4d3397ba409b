//! Hashes of a message that is too large to be held, or of which only the digest is known.

use aws_lc_rs::digest::{self, Context};

use crate::digest::{Digest, DigestAlgorithm};
use crate::public_key::Hash;

/// Hashes a message that comes in pieces, by several algorithms at once.
#[derive(Clone)]
pub struct Hasher(Vec<(Hash, Context)>);

/// The hashes of one message, by algorithm.
#[derive(Clone, Debug)]
pub struct Hashes(Vec<(Hash, digest::Digest)>);

impl Hasher {
    /// Hashes by each of `wanted`, and by SHA-256 in any case.
    #[must_use]
    pub fn new(wanted: &[Hash]) -> Self {
        let mut contexts = vec![(Hash::Sha256, Context::new(&digest::SHA256))];
        for hash in wanted {
            if !contexts.iter().any(|(known, _)| known == hash) {
                contexts.push((*hash, Context::new(hash.algorithm())));
            }
        }
        Self(contexts)
    }

    /// Adds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        for (_, context) in &mut self.0 {
            context.update(piece);
        }
    }

    /// The hashes of all the pieces.
    #[must_use]
    pub fn finish(self) -> Hashes {
        Hashes(self.0.into_iter().map(|(hash, context)| (hash, context.finish())).collect())
    }
}

impl Hashes {
    /// The hashes of `message` by each of `wanted`, and by SHA-256.
    #[must_use]
    pub fn of(message: &[u8], wanted: &[Hash]) -> Self {
        let mut hasher = Hasher::new(wanted);
        hasher.update(message);
        hasher.finish()
    }

    /// What is known of a message by its digest alone.
    #[must_use]
    pub fn of_digest(known: &Digest) -> Self {
        let hash = match known.algorithm() {
            DigestAlgorithm::Sha256 => Hash::Sha256,
            DigestAlgorithm::Sha512 => Hash::Sha512,
        };
        let imported = digest::Digest::import_less_safe(known.as_bytes(), hash.algorithm());
        Self(imported.map(|imported| (hash, imported)).into_iter().collect())
    }

    /// The hash by one algorithm, where it is known.
    #[must_use]
    pub fn get(&self, hash: Hash) -> Option<&[u8]> {
        self.imported(hash).map(AsRef::as_ref)
    }

    /// The SHA-256 digest, where it is known.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        Digest::from_slice(DigestAlgorithm::Sha256, self.get(Hash::Sha256)?)
    }

    pub(crate) fn imported(&self, hash: Hash) -> Option<&digest::Digest> {
        self.0.iter().find(|(known, _)| *known == hash).map(|(_, digest)| digest)
    }
}

impl Hash {
    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_hash_as_the_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6)) {
            let mut hasher = Hasher::new(&[Hash::Sha384, Hash::Sha512, Hash::Sha384]);
            pieces.iter().for_each(|piece| hasher.update(piece));
            let (hashes, whole) = (hasher.finish(), pieces.concat());
            prop_assert_eq!(hashes.sha256().unwrap(), Digest::sha256_of(&whole));
            for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
                let expected = digest::digest(hash.algorithm(), &whole);
                prop_assert_eq!(hashes.get(hash).unwrap(), expected.as_ref());
            }
        }
    }

    #[test]
    fn a_digest_alone_is_one_hash() {
        let known = Hashes::of_digest(&Digest::sha256_of(b"file"));
        assert_eq!(known.sha256(), Some(Digest::sha256_of(b"file")));
        assert!(known.get(Hash::Sha384).is_none());
        assert!(Hashes::of(b"file", &[]).get(Hash::Sha512).is_none());
    }
}
