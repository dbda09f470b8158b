//! Proofs that a statement stands in a log (C2SP tlog-proof): its index, the hashes that lead to
//! the root, and a checkpoint. Whoever keeps one has pinned the log of that size.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::SignedCheckpoint;
use super::digest::Digest;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof, decoded but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Index of the leaf from 0.
    pub index: u64,
    /// From the leaf's sibling up (RFC 6962 section 2.1.1).
    pub hashes: Vec<Digest>,
    /// The checkpoint as a note.
    pub note: Vec<u8>,
}

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tlog-proof: {0}")]
pub struct TlogProofError(&'static str);

impl TlogProof {
    /// Its text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.note);
        bytes
    }

    /// Reads a proof. A line `extra` is refused: ours have none, and nothing would vouch for it.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError("not UTF-8"))?;
        let rest = text
            .strip_prefix(FIRST_LINE)
            .and_then(|rest| rest.strip_prefix("\nindex "))
            .ok_or(TlogProofError("it does not begin with the format's name and an index"))?;
        let (head, note) =
            rest.split_once("\n\n").ok_or(TlogProofError("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let index = lines.next().unwrap_or_default();
        let decimal = index.bytes().all(|byte| byte.is_ascii_digit())
            && (index == "0" || !index.starts_with('0'));
        let index = index
            .parse()
            .ok()
            .filter(|_| decimal)
            .ok_or(TlogProofError("the index is not a decimal number without leading zeros"))?;
        let hashes = lines
            .map(|line| STANDARD.decode(line).ok()?.try_into().ok().map(Digest::from_bytes))
            .collect::<Option<Vec<_>>>()
            .ok_or(TlogProofError("a hash is not base64 of 32 bytes"))?;
        Ok(Self { index, hashes, note: note.as_bytes().to_vec() })
    }

    /// The checkpoint, if it can be read.
    #[must_use]
    pub fn checkpoint(&self) -> Option<SignedCheckpoint> {
        SignedCheckpoint::parse(&self.note).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_as_it_is_written() {
        for hashes in [vec![], vec![Digest::of(b"a"), Digest::of(b"b")]] {
            let proof =
                TlogProof { index: 40, hashes, note: b"o\n41\nr\n\n\xe2\x80\x94 o x\n".into() };
            assert_eq!(TlogProof::parse(&proof.to_bytes()), Ok(proof));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let proof = TlogProof { index: 40, hashes: vec![Digest::of(b"a")], note: b"o\n".into() };
        let text = String::from_utf8(proof.to_bytes()).unwrap();
        for other in [
            text.replace("@v1", "@v2"),
            text.replace("index 40", "index 040"),
            text.replace("index 40", "extra AAAA\nindex 40"),
            text.replace("\n\n", "\n"),
            text.replace("\n\n", "\nAAAA\n\n"),
        ] {
            assert_ne!(other, text);
            assert!(TlogProof::parse(other.as_bytes()).is_err(), "{other}");
        }
    }
}
