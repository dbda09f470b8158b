//! Checkpoints: C2SP signed notes (signed-note.md) with a tlog-checkpoint body (tlog-checkpoint.md).
//!
//! Key name and origin are the same text. The log's signature is of type 0x01; those of witnesses
//! ([`cosignature`](super::cosignature)) may follow and are kept apart in `cosignatures/`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest::{Digest, Hasher};
use super::key::PublicKey;

/// Head of a log of statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Origin of the log.
    pub origin: String,
    /// Number of statements.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
}

/// A checkpoint with its signature lines, decoded but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// `(key name, 4-byte key hash, signature)` per line.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// First four bytes of SHA-256(name || 0x0A || type || key).
    pub key_hash: [u8; 4],
    /// Type-specific signature bytes.
    pub bytes: Vec<u8>,
}

/// Why bytes are not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

/// Longest note that is read: a hundred witnesses fit.
const MAX_NOTE: usize = 64 << 10;
/// Most signature lines (golang.org/x/mod/sumdb/note has the same bound).
const MAX_SIGNATURES: usize = 100;

/// May this text be an origin (and key name)? No space, no `+`, no control character
/// (signed-note.md, "Format").
#[must_use]
pub fn valid_origin(origin: &str) -> bool {
    !origin.is_empty()
        && origin.len() <= 256
        && !origin.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// What a note signature is over (signed-note.md, "Signature types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the note's text. The log's own.
    Ed25519 = 0x01,
    /// 0x04: Ed25519 over a time and the note's text. A witness's.
    Cosignature = 0x04,
}

/// First four bytes of SHA-256(name || 0x0A || type || key).
#[must_use]
pub fn key_hash(name: &str, signature_type: SignatureType, key: &PublicKey) -> [u8; 4] {
    let mut hasher = Hasher::default();
    hasher.update(name.as_bytes());
    hasher.update(&[b'\n', signature_type as u8]);
    hasher.update(key.as_bytes());
    let [a, b, c, d, ..] = *hasher.finish().as_bytes();
    [a, b, c, d]
}

impl Checkpoint {
    /// The signed text: origin, size and root, one line each.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// The note with one signature.
    #[must_use]
    pub fn to_note(&self, key: &PublicKey, signature: &[u8; 64]) -> Vec<u8> {
        let line = NoteSignature {
            name: self.origin.clone(),
            key_hash: key_hash(&self.origin, SignatureType::Ed25519, key),
            bytes: signature.to_vec(),
        };
        format!("{}\n{}\n", self.body(), line.line()).into_bytes()
    }
}

impl NoteSignature {
    /// The line, without its newline.
    #[must_use]
    pub fn line(&self) -> String {
        let bytes = [self.key_hash.as_slice(), &self.bytes].concat();
        format!("— {} {}", self.name, STANDARD.encode(bytes))
    }

    /// Reads a line without its newline.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(line: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError("a signature line is not `— name base64`");
        let (name, encoded) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed)?;
        let Some((key_hash, bytes)) = bytes.split_first_chunk::<4>() else {
            return Err(malformed);
        };
        if !valid_origin(name) || bytes.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name: name.to_owned(), key_hash: *key_hash, bytes: bytes.to_vec() })
    }
}

impl SignedCheckpoint {
    /// Reads a note whose body is origin, size and root without extension lines.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if bytes.len() > MAX_NOTE {
            return Err(CheckpointError("the note is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError("not UTF-8"))?;
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(CheckpointError("the note has control characters"));
        }
        let (body, lines) = text
            .rsplit_once("\n\n")
            .ok_or(CheckpointError("no blank line before the signatures"))?;
        let checkpoint = parse_body(body)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(CheckpointError("no newline at the end of the signatures"))?;
        let signatures =
            lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(CheckpointError("too many signature lines"));
        }
        Ok(Self { checkpoint, signatures })
    }

    /// Is there a signature line of this key, and is every such line right? A line that claims the
    /// key and is wrong spoils the note (signed-note.md, "Verification").
    #[must_use]
    pub fn verifies(&self, key: &PublicKey) -> bool {
        let name = &self.checkpoint.origin;
        let hash = key_hash(name, SignatureType::Ed25519, key);
        let body = self.checkpoint.body();
        let mut own = self
            .signatures
            .iter()
            .filter(|line| line.name == *name && line.key_hash == hash)
            .peekable();
        own.peek().is_some()
            && own.all(|line| {
                line.bytes
                    .as_slice()
                    .try_into()
                    .is_ok_and(|signature| key.verifies(body.as_bytes(), signature))
            })
    }
}

fn parse_body(body: &str) -> Result<Checkpoint, CheckpointError> {
    let mut lines = body.split('\n');
    let (Some(origin), Some(size), Some(root), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(CheckpointError("the body is not origin, size and root"));
    };
    if !valid_origin(origin) {
        return Err(CheckpointError("the origin has a space, a plus or a control character"));
    }
    let decimal = !size.is_empty()
        && size.bytes().all(|byte| byte.is_ascii_digit())
        && (size == "0" || !size.starts_with('0'));
    let size = size
        .parse()
        .ok()
        .filter(|_| decimal)
        .ok_or(CheckpointError("the size is not a decimal number without leading zeros"))?;
    let root = STANDARD
        .decode(root)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Digest::from_bytes)
        .ok_or(CheckpointError("the root is not base64 of 32 bytes"))?;
    Ok(Checkpoint { origin: origin.to_owned(), size, root })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn signed() -> (Vec<u8>, PublicKey) {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::from_bytes(signing.verifying_key().as_bytes()).unwrap();
        let checkpoint =
            Checkpoint { origin: "example.com/a".into(), size: 42, root: Digest::of(b"root") };
        let signature = signing.sign(checkpoint.body().as_bytes()).to_bytes();
        (checkpoint.to_note(&key, &signature), key)
    }

    #[test]
    fn a_note_is_read_and_verified() {
        let (note, key) = signed();
        let read = SignedCheckpoint::parse(&note).unwrap();
        assert_eq!(read.checkpoint.size, 42);
        assert!(read.verifies(&key));
    }

    #[test]
    fn a_bad_line_of_a_known_key_spoils_the_note() {
        let (note, key) = signed();
        let text = String::from_utf8(note).unwrap();
        let line = text.lines().last().unwrap().to_owned();
        let (head, encoded) = line.rsplit_once(' ').unwrap();
        let mut bytes = STANDARD.decode(encoded).unwrap();
        bytes[10] ^= 1;
        let bad = format!("{text}{head} {}\n", STANDARD.encode(bytes));
        assert!(!SignedCheckpoint::parse(bad.as_bytes()).unwrap().verifies(&key));
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = String::from_utf8(signed().0).unwrap();
        for other in [
            text.replace("\n\n", "\n"),
            text.trim_end().to_owned(),
            text.replace('—', "-"),
            text.replace("\n42\n", "\n042\n"),
            text.replace("example.com/a", "example.com/ a"),
            text.replace("\n42\n", "\n42\nextension\n"),
            text.replace("\n42\n", "\n42\t\n"),
        ] {
            assert_ne!(other, text);
            assert!(SignedCheckpoint::parse(other.as_bytes()).is_err(), "{other}");
        }
    }
}
