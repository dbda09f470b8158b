//! Merkle trees over byte strings (RFC 6962 section 2.1, RFC 9162 section 2.1).
//!
//! A leaf is hashed with prefix 0x00 and a node with 0x01, so that neither can stand for the other.

use super::digest::{Digest, Hasher};

/// Hash of a leaf: SHA-256(0x00 || bytes).
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finish()
}

/// Hash of a node: SHA-256(0x01 || left || right).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// A root in the making: holds one digest per complete subtree, O(log n).
#[derive(Clone, Debug, Default)]
pub struct RootBuilder {
    size: u64,
    subtrees: Vec<Digest>,
}

impl RootBuilder {
    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Each trailing one bit of the old size is a complete subtree that the new leaf completes
        // into a larger one.
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.subtrees.pop() {
                node = node_hash(&left, &node);
            }
            size >>= 1;
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// Inclusion proof of the next leaf in the tree that it will complete: every complete subtree
    /// so far is a left sibling on its way up, the smallest first.
    #[must_use]
    pub fn proof_of_next(&self) -> Vec<Digest> {
        self.subtrees.iter().rev().copied().collect()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the leaves so far; SHA-256 of nothing for none.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else { return Digest::of(b"") };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Root of a list of leaf hashes.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    let mut builder = RootBuilder::default();
    for leaf in leaves {
        builder.push(*leaf);
    }
    builder.root()
}

/// Largest power of two below `size` (for `size` > 1).
fn split_point(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// Inclusion proof (RFC 6962 section 2.1.1) of leaf `index`; `None` when there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    leaves.get(index)?;
    let mut proof = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split_point(leaves.len()));
        if index < left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Consistency proof (RFC 6962 section 2.1.2) between the first `old` leaves and all of them;
/// `None` unless `0 < old <= len`.
#[must_use]
pub fn consistency_proof(leaves: &[Digest], old: usize) -> Option<Vec<Digest>> {
    fn subproof(leaves: &[Digest], old: usize, whole: bool, proof: &mut Vec<Digest>) {
        if old == leaves.len() {
            if !whole {
                proof.push(root(leaves));
            }
            return;
        }
        let (left, right) = leaves.split_at(split_point(leaves.len()));
        if old <= left.len() {
            subproof(left, old, whole, proof);
            proof.push(root(right));
        } else {
            subproof(right, old - left.len(), false, proof);
            proof.push(root(left));
        }
    }
    if old == 0 || old > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    subproof(leaves, old, true, &mut proof);
    Some(proof)
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf lies beyond the tree, or the old tree is larger than the new one.
    #[error("the index or size lies beyond the tree")]
    OutOfRange,
    /// Too few or too many hashes for these sizes.
    #[error("the proof has {found} hashes and needs {expected}")]
    WrongLength {
        /// Hashes in the proof.
        found: usize,
        /// Hashes that a proof for these sizes has.
        expected: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
}

/// Root that an inclusion proof leads to.
///
/// # Errors
/// [`ProofError::OutOfRange`] and [`ProofError::WrongLength`].
pub fn root_from_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
) -> Result<Digest, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    // RFC 9162 section 2.1.3.2: `inner` levels have a sibling on either side, above them only
    // left siblings remain, one for each set bit.
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    let expected = (inner + border) as usize;
    if proof.len() != expected {
        return Err(ProofError::WrongLength { found: proof.len(), expected });
    }
    let mut node = leaf;
    for (level, sibling) in proof.iter().enumerate() {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let is_right = level >= inner || index.checked_shr(level).unwrap_or(0) & 1 == 1;
        node = if is_right { node_hash(sibling, &node) } else { node_hash(&node, sibling) };
    }
    Ok(node)
}

/// Checks an inclusion proof.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    let found = root_from_inclusion(leaf, index, size, proof)?;
    if found == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2) between two roots.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::OutOfRange);
    }
    if old_size == new_size || old_size == 0 {
        if !proof.is_empty() {
            return Err(ProofError::WrongLength { found: proof.len(), expected: 0 });
        }
        let same = old_size == 0 || old_root == new_root;
        return if same { Ok(()) } else { Err(ProofError::RootMismatch) };
    }
    let shift = old_size.trailing_zeros();
    let index = old_size - 1;
    let inner = (u64::BITS - (index ^ (new_size - 1)).leading_zeros()).saturating_sub(shift);
    let border = index.checked_shr(inner + shift).unwrap_or(0).count_ones();
    // A power of two is itself a node of the new tree and starts the proof unsaid.
    let seed_is_old_root = old_size.is_power_of_two();
    let expected = (inner + border) as usize + usize::from(!seed_is_old_root);
    if proof.len() != expected {
        return Err(ProofError::WrongLength { found: proof.len(), expected });
    }
    let (seed, rest) = match proof.split_first() {
        Some((first, rest)) if !seed_is_old_root => (*first, rest),
        _ => (*old_root, proof),
    };
    let mask = index.checked_shr(shift).unwrap_or(0);
    let (mut old_node, mut new_node) = (seed, seed);
    for (level, sibling) in rest.iter().enumerate() {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        if level >= inner || mask.checked_shr(level).unwrap_or(0) & 1 == 1 {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
        } else {
            new_node = node_hash(&new_node, sibling);
        }
    }
    if old_node == *old_root && new_node == *new_root {
        Ok(())
    } else {
        Err(ProofError::RootMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    /// RFC 6962 section 2.1, word for word and slow: the independent reference.
    fn reference_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&reference_root(&leaves[..k]), &reference_root(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_equal_the_definition() {
        for size in 0..70 {
            assert_eq!(root(&leaves(size)), reference_root(&leaves(size)), "size {size}");
        }
    }

    #[test]
    fn inclusion_proofs_hold_for_their_leaf_only() {
        for size in 1..40_usize {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..size {
                let proof = inclusion_proof(&leaves, index).unwrap();
                let check = |leaf: Digest, index: usize, size: usize, proof: &[Digest]| {
                    verify_inclusion(leaf, index as u64, size as u64, proof, &root)
                };
                assert_eq!(check(leaves[index], index, size, &proof), Ok(()));
                assert!(check(leaf_hash(b"other"), index, size, &proof).is_err());
                assert!(check(leaves[index], size, size, &proof).is_err());
                let mut longer = proof.clone();
                longer.push(root);
                assert!(check(leaves[index], index, size, &longer).is_err());
                if size > 1 {
                    assert!(check(leaves[index], (index + 1) % size, size, &proof).is_err());
                    assert!(check(leaves[index], index, size, &proof[1..]).is_err());
                }
            }
        }
    }

    #[test]
    fn consistency_proofs_hold_for_their_sizes_only() {
        let all = leaves(40);
        for new in 1..=40_usize {
            for old in 1..=new {
                let proof = consistency_proof(&all[..new], old).unwrap();
                let (old_root, new_root) = (root(&all[..old]), root(&all[..new]));
                let check = |proof: &[Digest], old_root: &Digest, new_root: &Digest| {
                    verify_consistency(old as u64, new as u64, proof, old_root, new_root)
                };
                assert_eq!(check(&proof, &old_root, &new_root), Ok(()), "{old} in {new}");
                if old < new {
                    assert!(check(&proof, &new_root, &old_root).is_err());
                    assert!(check(&proof[1..], &old_root, &new_root).is_err());
                }
                assert!(check(&proof, &old_root, &leaf_hash(b"x")).is_err());
            }
        }
        assert_eq!(consistency_proof(&all, 0), None);
        assert_eq!(consistency_proof(&all, 41), None);
    }
}
