//! Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519) and the form in which keys of notes
//! are written (C2SP signed-note, "Verifier keys").
//!
//! A witness says: at this time, the largest log of this origin that I saw had this size and root,
//! and continued everything that I saw before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, NoteSignature, SignatureType, key_hash, valid_origin};
use super::key::PublicKey;

/// A key of a log or a witness, with the name that goes into its key hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// Name: an origin, or a witness's.
    pub name: String,
    /// What it signs.
    pub signature_type: SignatureType,
    /// The key.
    pub key: PublicKey,
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteKeyError {
    /// Not `name+hash+base64`.
    #[error("not of the form name+hash+key")]
    Form,
    /// The hash is not the one of name and key.
    #[error("the key's hash does not fit its name and bytes")]
    Hash,
    /// Neither Ed25519 (0x01) nor an Ed25519 cosignature (0x04).
    #[error("signature type 0x{0:02x} is not known here")]
    Type(u8),
    /// Not a good Ed25519 key.
    #[error("not a usable Ed25519 key")]
    Key,
}

impl NoteKey {
    /// A log's key; the origin is its name.
    #[must_use]
    pub fn log(origin: &str, key: PublicKey) -> Self {
        Self { name: origin.to_owned(), signature_type: SignatureType::Ed25519, key }
    }

    /// A witness's key.
    #[must_use]
    pub fn witness(name: &str, key: PublicKey) -> Self {
        Self { name: name.to_owned(), signature_type: SignatureType::Cosignature, key }
    }

    /// Reads `name+hash+base64(type || key)`.
    ///
    /// # Errors
    /// [`NoteKeyError`].
    pub fn parse(text: &str) -> Result<Self, NoteKeyError> {
        // The key's base64 may hold a plus; name and hash may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteKeyError::Form);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteKeyError::Form)?;
        let Some((&[number], key)) = bytes.split_first_chunk::<1>() else {
            return Err(NoteKeyError::Form);
        };
        let signature_type = match number {
            0x01 => SignatureType::Ed25519,
            0x04 => SignatureType::Cosignature,
            other => return Err(NoteKeyError::Type(other)),
        };
        let key = key.try_into().map_err(|_| NoteKeyError::Key)?;
        let key = PublicKey::from_bytes(key).map_err(|_| NoteKeyError::Key)?;
        if !valid_origin(name) {
            return Err(NoteKeyError::Form);
        }
        let parsed = Self { name: name.to_owned(), signature_type, key };
        if parsed.hash_text() == hash { Ok(parsed) } else { Err(NoteKeyError::Hash) }
    }

    /// The form that [`parse`](Self::parse) reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bytes = [&[self.signature_type as u8], self.key.as_bytes().as_slice()].concat();
        format!("{}+{}+{}", self.name, self.hash_text(), STANDARD.encode(bytes))
    }

    fn hash_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.hash()))
    }

    fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, self.signature_type, &self.key)
    }

    /// Does a signature line claim to be by this key?
    #[must_use]
    pub fn is_claimed_by(&self, line: &NoteSignature) -> bool {
        line.name == self.name && line.key_hash == self.hash()
    }

    /// A witness's line over a checkpoint, given its signature over [`message`].
    #[must_use]
    pub fn cosignature(&self, seconds: u64, signature: &[u8; 64]) -> NoteSignature {
        let bytes = [seconds.to_be_bytes().as_slice(), signature].concat();
        NoteSignature { name: self.name.clone(), key_hash: self.hash(), bytes }
    }

    /// The time at which a line that claims this key cosigned `checkpoint`, in seconds since 1970;
    /// `None` when it did not.
    #[must_use]
    pub fn cosigned_at(&self, line: &NoteSignature, checkpoint: &Checkpoint) -> Option<u64> {
        let (seconds, signature) = line.bytes.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let signature = signature.try_into().ok()?;
        // "It MUST NOT exceed 2^63 - 1."
        i64::try_from(seconds).ok()?;
        self.key.verifies(message(seconds, checkpoint).as_bytes(), signature).then_some(seconds)
    }
}

/// What a witness signs ("Ed25519 signed message").
#[must_use]
pub fn message(seconds: u64, checkpoint: &Checkpoint) -> String {
    format!("cosignature/v1\ntime {seconds}\n{}", checkpoint.body())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::evidence::digest::Digest;

    fn witness() -> (SigningKey, NoteKey) {
        let signing = SigningKey::from_bytes(&[9; 32]);
        let key = PublicKey::from_bytes(signing.verifying_key().as_bytes()).unwrap();
        (signing, NoteKey::witness("witness.example.com/w1", key))
    }

    #[test]
    fn verifier_keys_are_read_as_they_are_written() {
        let (_, key) = witness();
        let text = key.to_text();
        assert_eq!(NoteKey::parse(&text), Ok(key.clone()));
        let log = NoteKey::log("example.com/a", key.key);
        assert_eq!(NoteKey::parse(&log.to_text()), Ok(log.clone()));
        // The hash binds the name and the type.
        let renamed = log.to_text().replace("example.com/a", "example.com/b");
        assert_eq!(NoteKey::parse(&renamed), Err(NoteKeyError::Hash));
        for bad in ["", "a+b", "a b+00000000+AQ==", "a+00000000+Ag=="] {
            assert!(NoteKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cosignature_is_over_time_and_checkpoint() {
        let (signing, key) = witness();
        let checkpoint =
            Checkpoint { origin: "example.com/a".into(), size: 3, root: Digest::of(b"r") };
        let signature = signing.sign(message(1_700_000_000, &checkpoint).as_bytes()).to_bytes();
        let line = key.cosignature(1_700_000_000, &signature);
        let read = NoteSignature::parse(&line.line()).unwrap();
        assert!(key.is_claimed_by(&read));
        assert_eq!(key.cosigned_at(&read, &checkpoint), Some(1_700_000_000));
        let other = Checkpoint { size: 4, ..checkpoint.clone() };
        assert_eq!(key.cosigned_at(&read, &other), None);
        let later = key.cosignature(1_700_000_001, &signature);
        assert_eq!(key.cosigned_at(&later, &checkpoint), None);
        // The log's own type of signature is no cosignature.
        let as_log = NoteKey { signature_type: SignatureType::Ed25519, ..key };
        assert!(!as_log.is_claimed_by(&read));
    }
}
