//! Ed25519 public keys (RFC 8032), their ids and strict signature checks.

use std::fmt;

use ed25519_dalek::pkcs8::spki::DecodePublicKey as _;
use ed25519_dalek::pkcs8::{EncodePublicKey as _, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::envelope::Envelope;

/// Id of a key: SHA-256 of its DER `SubjectPublicKeyInfo`, which is what
/// `openssl pkey -pubin -outform DER | sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl KeyId {
    /// Reads 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        Digest::from_hex(text).map(Self)
    }

    /// Reads a fingerprint as people write it: any case, with spaces or colons between groups.
    #[must_use]
    pub fn from_fingerprint(text: &str) -> Option<Self> {
        let plain: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != ':')
            .map(|c| c.to_ascii_lowercase())
            .collect();
        Self::from_hex(plain.strip_prefix("sha256").unwrap_or(&plain))
    }
}

impl From<Digest> for KeyId {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a public key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No Ed25519 `SubjectPublicKeyInfo` (RFC 8410), or not 32 bytes of a point.
    #[error("not an Ed25519 public key")]
    Malformed,
    /// Of small order, or not in its canonical encoding: signatures by it prove nothing.
    #[error("a weak Ed25519 key (small order or non-canonical encoding)")]
    Weak,
}

/// A public key that is not weak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: KeyId,
}

impl PublicKey {
    /// Reads a PEM `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::Malformed)?;
        Self::new(key)
    }

    /// Reads a DER `SubjectPublicKeyInfo` (RFC 8410).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::Malformed)?;
        Self::new(key)
    }

    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::new(VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?)
    }

    fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() || key.to_edwards().compress().as_bytes() != key.as_bytes() {
            return Err(KeyError::Weak);
        }
        let der = key.to_public_key_der().map_err(|_| KeyError::Malformed)?;
        Ok(Self { id: KeyId(Digest::of(der.as_bytes())), key })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// As PEM, with one trailing newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.key.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// Does one of the envelope's signatures hold for this key?
    #[must_use]
    pub fn signed(&self, envelope: &Envelope) -> bool {
        let mut own = envelope.signatures.iter().filter(|signature| signature.key == self.id);
        own.any(|signature| self.verifies(&envelope.signed_bytes(), &signature.bytes))
    }

    /// Is `signature` this key's over `message`? Strict: no malleable scalar, no small-order point.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_people_write_them() {
        let id = KeyId(Digest::of(b"k"));
        let upper = id.to_string().to_uppercase();
        let groups: Vec<_> = upper.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        let grouped = groups.join(" ");
        assert_eq!(KeyId::from_fingerprint(&grouped), Some(id));
        assert_eq!(KeyId::from_fingerprint("12"), None);
    }

    #[test]
    fn keys_of_small_order_and_other_encodings_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
        // y = 1 written as p + 1.
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xee;
        unreduced[31] = 0x7f;
        assert!(PublicKey::from_bytes(&unreduced).is_err());
    }
}
