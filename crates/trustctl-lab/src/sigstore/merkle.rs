//! The hash tree of a transparency log (RFC 6962, section 2.1). Every complete subtree is kept, so that proofs cost little in a long log.

use super::keys::sha256;

/// A hash of a leaf, a node or the whole tree.
pub(crate) type Hash = [u8; 32];

/// A tree that only grows.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The hashes of complete subtrees: of one leaf, of two, of four, and so on.
    levels: Vec<Vec<Hash>>,
}

/// The hash of an entry (RFC 6962, section 2.1).
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry].concat())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_slice(), right.as_slice()].concat())
}

impl Tree {
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            let [.., left, right] = row.as_slice() else { return };
            if row.len() % 2 == 1 {
                return;
            }
            hash = node(left, right);
        }
    }

    /// How many leaves there are.
    pub(crate) fn size(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// The complete subtrees of `2^level` leaves.
    pub(crate) fn level(&self, level: usize) -> &[Hash] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// The root over the first `size` leaves.
    pub(crate) fn root(&self, size: usize) -> Hash {
        self.over(0, size)
    }

    /// The audit path of a leaf in the tree of the first `size` (section 2.1.1).
    pub(crate) fn inclusion(&self, index: usize, size: usize) -> Vec<Hash> {
        let (mut from, mut to) = (0, size);
        let mut path = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(self.over(middle, to));
                to = middle;
            } else {
                path.push(self.over(from, middle));
                from = middle;
            }
        }
        path.reverse();
        path
    }

    /// The proof that the tree of the first `old` leaves is the beginning of the one of `new` (section 2.1.2).
    pub(crate) fn consistency(&self, old: usize, new: usize) -> Vec<Hash> {
        let (mut from, mut to) = (0, new);
        let mut path = Vec::new();
        if old == 0 || old >= new {
            return path;
        }
        while old != to {
            let middle = from + split(to - from);
            if old <= middle {
                path.push(self.over(middle, to));
                to = middle;
            } else {
                path.push(self.over(from, middle));
                from = middle;
            }
        }
        if from > 0 {
            path.push(self.over(from, to));
        }
        path.reverse();
        path
    }

    /// The hash over the leaves `from..to`, which lie side by side below one node of the tree.
    fn over(&self, from: usize, to: usize) -> Hash {
        let count = to.saturating_sub(from);
        if count == 0 {
            return sha256(&[]);
        }
        if count.is_power_of_two() {
            let level = usize::try_from(count.ilog2()).unwrap_or_default();
            return self.level(level).get(from / count).copied().unwrap_or_default();
        }
        let middle = from + split(count);
        node(&self.over(from, middle), &self.over(middle, to))
    }
}

/// The largest power of two below `count`, which is at least two.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use sigstore_merkle::{verify_consistency_proof, verify_inclusion_proof};
    use sigstore_types::Sha256Hash;

    fn tree(size: usize) -> Tree {
        let mut tree = Tree::default();
        (0..size).for_each(|index| tree.push(leaf(&index.to_be_bytes())));
        tree
    }

    #[test]
    fn the_root_is_the_one_of_the_definition() {
        fn root(leaves: &[Hash]) -> Hash {
            match leaves {
                [] => sha256(&[]),
                [one] => *one,
                more => {
                    let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                    node(&root(left), &root(right))
                }
            }
        }
        for size in 0..40 {
            let tree = tree(40);
            assert_eq!(tree.root(size), root(tree.level(0).get(..size).unwrap()), "{size}");
        }
    }

    fn theirs(hash: &Hash) -> Sha256Hash {
        Sha256Hash::new(*hash)
    }

    fn number(size: usize) -> u64 {
        u64::try_from(size).unwrap()
    }

    #[test]
    fn every_leaf_is_proven_in_every_tree_and_no_other_is() {
        let tree = tree(33);
        for size in 1..=33 {
            let root = theirs(&tree.root(size));
            for index in 0..size {
                let path: Vec<_> = tree.inclusion(index, size).iter().map(theirs).collect();
                let proves =
                    |leaf: &Hash| verify_inclusion_proof(&theirs(leaf), number(index), number(size), &path, &root).is_ok();
                assert!(proves(tree.level(0).get(index).unwrap()), "{index} of {size}");
                assert!(!proves(&leaf(b"another")), "{index} of {size}");
            }
        }
    }

    #[test]
    fn every_tree_is_the_beginning_of_every_later_one_and_of_no_other() {
        let tree = tree(33);
        for new in 1..=33 {
            for old in 1..=new {
                let path: Vec<_> = tree.consistency(old, new).iter().map(theirs).collect();
                let (first, last) = (theirs(&tree.root(old)), theirs(&tree.root(new)));
                let proves = |first: &Sha256Hash| verify_consistency_proof(number(old), number(new), &path, first, &last).is_ok();
                assert!(proves(&first), "{old} of {new}");
                assert!(!proves(&theirs(&leaf(b"another"))), "{old} of {new}");
            }
        }
    }
}
