//! Who signs. Signing is apart from the format: it is given bytes and gives a signature back, and
//! the sealer checks that signature before anything is written.
//!
//! To add a signer: one file here that implements [`Signer`], one arm in [`open`].

pub mod ceremony;
pub mod chain;
mod file;

pub use file::{FileSigner, Passphrase, generate, load, write_private};

use std::path::PathBuf;

use crate::evidence::key::PublicKey;

/// An Ed25519 key that can sign.
pub trait Signer {
    /// Its public half.
    fn public_key(&self) -> &PublicKey;

    /// Ed25519 (RFC 8032, pure) over `message`.
    ///
    /// # Errors
    /// [`SignError`].
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key file could not be read or written.
    #[error("key file {path}: {reason}")]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Others may read the private key.
    #[error("key file {path} can be read by others (mode {mode:o})")]
    Permissions {
        /// Path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("key file {path} needs a passphrase")]
    PassphraseMissing {
        /// Path.
        path: PathBuf,
    },
    /// The passphrase does not fit.
    #[error("key file {path}: wrong passphrase")]
    PassphraseWrong {
        /// Path.
        path: PathBuf,
    },
    /// The URI names no kind of signer.
    #[error("`{uri}` names no signer")]
    Uri {
        /// As given.
        uri: String,
    },
}

impl SignError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::File { .. } => "`affidavit init` makes keys; check the path in the configuration",
            Self::Permissions { .. } => "chmod 600 the file",
            Self::PassphraseMissing { .. } | Self::PassphraseWrong { .. } => {
                "set AFFIDAVIT_KEY_PASSPHRASE, or keys.passphrase_file in the configuration"
            }
            Self::Uri { .. } => "give the path of a PKCS#8 PEM file",
        }
    }
}

/// Opens a signer by URI: a path, or `file:path`.
///
/// # Errors
/// [`SignError`].
pub fn open(uri: &str, passphrase: Option<&Passphrase>) -> Result<Box<dyn Signer>, SignError> {
    let path = uri.strip_prefix("file:").unwrap_or(uri);
    if path.contains("://") || path.is_empty() {
        return Err(SignError::Uri { uri: uri.to_owned() });
    }
    Ok(Box::new(FileSigner::open(path.as_ref(), passphrase)?))
}
