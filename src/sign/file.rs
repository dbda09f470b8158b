//! Keys in PKCS#8 PEM files (RFC 5958), plain or under a passphrase (PBES2, RFC 8018).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};

use super::{Passphrase, SignError, Signer};
use crate::evidence::key::PublicKey;

/// A key from a file.
pub struct FileSigner {
    key: SigningKey,
    public: PublicKey,
}

impl FileSigner {
    /// Reads a key. Others must not be able to read the file.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn open(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, SignError> {
        let key = load(path, passphrase)?;
        Self::new(key).ok_or_else(|| file_error(path, "a weak key"))
    }

    /// From a key in memory; `None` when it is weak.
    #[must_use]
    pub fn new(key: SigningKey) -> Option<Self> {
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes()).ok()?;
        Some(Self { key, public })
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.key.sign(message).to_bytes())
    }
}

/// Reads a private key.
///
/// # Errors
/// [`SignError`].
pub fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<SigningKey, SignError> {
    let pem = read_private(path)?;
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let Some(passphrase) = passphrase else {
            return Err(SignError::PassphraseMissing { path: path.to_owned() });
        };
        return SigningKey::from_pkcs8_encrypted_pem(&pem, passphrase.expose())
            .map_err(|_| SignError::PassphraseWrong { path: path.to_owned() });
    }
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|_| file_error(path, "not an Ed25519 private key in PKCS#8 PEM"))
}

/// Reads a file with a secret, which others must not be able to read.
///
/// # Errors
/// [`SignError::File`], [`SignError::Permissions`].
pub(super) fn read_private(path: &Path) -> Result<String, SignError> {
    let metadata = fs::metadata(path).map_err(|error| file_error(path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    // Kubernetes mounts secrets group-readable for fsGroup; "others" must never be able to read.
    if mode & 0o007 != 0 {
        return Err(SignError::Permissions { path: path.to_owned(), mode });
    }
    fs::read_to_string(path).map_err(|error| file_error(path, error))
}

/// Makes a new key from the system's randomness.
///
/// # Errors
/// A text when the system has none.
pub fn generate() -> Result<SigningKey, String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes a private key to a new file with mode 0600, under a passphrase if one is given.
///
/// # Errors
/// [`SignError::File`], also when the file exists: keys are never overwritten.
pub fn write_private(
    path: &Path,
    key: &SigningKey,
    passphrase: Option<&Passphrase>,
) -> Result<(), SignError> {
    let pem = match passphrase {
        None => key.to_pkcs8_pem(LineEnding::LF),
        Some(passphrase) => key.to_pkcs8_encrypted_pem(passphrase.expose(), LineEnding::LF),
    };
    let pem = pem.map_err(|error| file_error(path, error))?;
    write_secret(path, pem.as_bytes())
}

/// Writes a new file with mode 0600.
///
/// # Errors
/// [`SignError::File`], also when the file exists.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), SignError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file_error(path, error))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| file_error(path, error))
}

pub(super) fn file_error(path: &Path, reason: impl fmt::Display) -> SignError {
    SignError::File { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_file_plain_and_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_bytes(&[3; 32]);
        let plain = folder.path().join("plain.pem");
        write_private(&plain, &key, None).unwrap();
        assert_eq!(load(&plain, None).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(fs::metadata(&plain).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_private(&plain, &key, None).is_err(), "never overwritten");

        let locked = folder.path().join("locked.pem");
        let passphrase = Passphrase::new("correct horse\n");
        write_private(&locked, &key, Some(&passphrase)).unwrap();
        assert_eq!(load(&locked, Some(&passphrase)).unwrap().to_bytes(), key.to_bytes());
        assert!(matches!(load(&locked, None), Err(SignError::PassphraseMissing { .. })));
        let wrong = Passphrase::new("wrong");
        assert!(matches!(load(&locked, Some(&wrong)), Err(SignError::PassphraseWrong { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_private(&path, &SigningKey::from_bytes(&[3; 32]), None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load(&path, None), Err(SignError::Permissions { mode: 0o644, .. })));
    }
}
