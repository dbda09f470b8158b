//! Who signs. Signing is apart from the format: it is given bytes and gives a signature back, and
//! the sealer checks that signature before anything is written.
//!
//! To add a signer: one file here that implements [`Signer`], one arm in [`open`], and the contract
//! suite in `tests/signers.rs` run over it.

pub mod ceremony;
pub mod chain;
#[cfg(feature = "aws")]
mod awskms;
mod file;
mod pkcs11;
pub mod report;
mod secret;
mod uri;
mod vault;

pub use file::{FileSigner, generate, load, write_private};
pub use secret::{Passphrase, Secret, Secrets};

use std::fmt;
use std::path::PathBuf;

use crate::evidence::envelope::pae;
use crate::evidence::key::PublicKey;

/// An Ed25519 key that can sign.
pub trait Signer {
    /// Its public half.
    fn public_key(&self) -> &PublicKey;

    /// Ed25519 (RFC 8032, pure) over `message`. Every signer takes 1 to 4096 bytes, which is what
    /// AWS KMS takes; the others take more.
    ///
    /// # Errors
    /// [`SignError`].
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// Where a key is kept that is in no file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStore {
    /// A token behind PKCS#11.
    Pkcs11,
    /// The transit engine of Vault or `OpenBao`.
    Vault,
    /// AWS Key Management Service.
    AwsKms,
}

impl fmt::Display for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pkcs11 => "the PKCS#11 token",
            Self::Vault => "Vault",
            Self::AwsKms => "AWS KMS",
        })
    }
}

/// Why there is no signature. URIs stand here without their query, where secrets could be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A file with a key or a secret could not be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Others may read a file with a key or a secret.
    #[error("{path} can be read by others (mode {mode:o})")]
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
    /// The URI names no signer.
    #[error("signer `{uri}`: {reason}")]
    Uri {
        /// As given, without its query.
        uri: String,
        /// Why not.
        reason: String,
    },
    /// AWS's settings on this machine cannot be used.
    #[cfg(feature = "aws")]
    #[error("signer `{uri}`: {source}")]
    Settings {
        /// As given, without its query.
        uri: String,
        /// What is wrong with them.
        source: crate::remote::aws::AwsSettingsError,
    },
    /// There is nothing to log in with.
    #[error("signer `{uri}`: {store} needs {what}")]
    SecretMissing {
        /// As given, without its query.
        uri: String,
        /// Where the key is.
        store: KeyStore,
        /// What is missing.
        what: String,
    },
    /// The key store gave no usable answer.
    #[error("signer `{uri}`: {store} gave no answer: {reason}")]
    Unreachable {
        /// As given, without its query.
        uri: String,
        /// Where the key is.
        store: KeyStore,
        /// Why.
        reason: String,
    },
    /// The key store does not let us in, or not do this.
    #[error("signer `{uri}`: {store} refused: {reason}")]
    Refused {
        /// As given, without its query.
        uri: String,
        /// Where the key is.
        store: KeyStore,
        /// Why.
        reason: String,
    },
    /// There is no such key, or it is not one that can sign here.
    #[error("signer `{uri}`: {reason}")]
    Key {
        /// As given, without its query.
        uri: String,
        /// Where the key is.
        store: KeyStore,
        /// Why.
        reason: String,
    },
    /// What came back is no signature by the signer's key.
    #[error("signer `{uri}`: its signature does not verify under its public key, {key}")]
    BadSignature {
        /// As given, without its query.
        uri: String,
        /// Id of the key.
        key: String,
    },
}

impl SignError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        use KeyStore::{AwsKms, Pkcs11, Vault};
        match self {
            Self::File { .. } => "`affidavit init` makes keys; check the path in the configuration",
            Self::Permissions { .. } => "chmod 600 the file",
            Self::PassphraseMissing { .. } | Self::PassphraseWrong { .. } => {
                "set AFFIDAVIT_KEY_PASSPHRASE, or keys.passphrase_file in the configuration"
            }
            Self::Uri { .. } => {
                "give a PKCS#8 PEM file, or a pkcs11:, vault: or awskms: URI as in keys/README.md"
            }
            #[cfg(feature = "aws")]
            Self::Settings { source, .. } => source.help(),
            Self::SecretMissing { store: Pkcs11, .. } => {
                "set AFFIDAVIT_PKCS11_PIN, or name a file with the PIN: ?pin-source=file:/path"
            }
            Self::SecretMissing { store: Vault, .. } => {
                "set VAULT_TOKEN, or name a file with a token (?token-file=/path) or a Kubernetes \
                 role (?role=NAME)"
            }
            Self::SecretMissing { store: AwsKms, .. } => {
                "give credentials where AWS tools look for them: environment, profile, web identity"
            }
            Self::Unreachable { store: Pkcs11, .. } => {
                "check module-path and the module's own configuration"
            }
            Self::Unreachable { store: Vault, .. } => {
                "check the address, its certificate (ca-file) and that Vault is unsealed; nothing \
                 is lost: run again"
            }
            Self::Unreachable { store: AwsKms, .. } => {
                "check region, endpoint and network; nothing is lost: run again"
            }
            Self::Refused { store: Pkcs11, .. } => {
                "check the PIN; it was tried once, because tokens lock themselves"
            }
            Self::Refused { store: Vault, .. } => {
                "the token's policy must allow `read` on keys/NAME and `update` on sign/NAME of the \
                 transit engine"
            }
            Self::Refused { store: AwsKms, .. } => {
                "allow kms:GetPublicKey and kms:Sign on the key to these credentials"
            }
            Self::Key { store: Pkcs11, .. } => {
                "token, object and id must name one Ed25519 key pair: `pkcs11-tool --list-objects`"
            }
            Self::Key { store: Vault, .. } => {
                "name one version of a transit key of type ed25519: ?version=1"
            }
            Self::Key { store: AwsKms, .. } => {
                "name an enabled key with key spec ECC_NIST_EDWARDS25519 and usage SIGN_VERIFY"
            }
            Self::BadSignature { .. } => "check that the signer's two halves belong together",
        }
    }

    /// Is the configuration at fault, and not the world?
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// Opens a signer by URI. Nothing is signed yet.
///
/// | URI | key |
/// | --- | --- |
/// | a path, or `file:path` | a PKCS#8 PEM file (RFC 5958) |
/// | `pkcs11:token=…;object=…?module-path=…` | in a token (RFC 7512) |
/// | `vault:https://host/transit/keys/NAME?version=1` | in Vault's or `OpenBao`'s transit engine |
/// | `awskms:///key-id?region=…` | in AWS KMS |
///
/// # Errors
/// [`SignError`].
pub fn open(uri: &str, secrets: &Secrets) -> Result<Box<dyn Signer>, SignError> {
    match uri::scheme(uri) {
        None if uri.is_empty() => {
            Err(SignError::Uri { uri: String::new(), reason: "empty".to_owned() })
        }
        None => Ok(Box::new(FileSigner::open(uri.as_ref(), secrets.passphrase.as_ref())?)),
        Some(("file", path)) if !path.is_empty() => {
            Ok(Box::new(FileSigner::open(path.as_ref(), secrets.passphrase.as_ref())?))
        }
        Some(("pkcs11", _)) => Ok(Box::new(pkcs11::Pkcs11Signer::open(uri, secrets.pin.as_ref())?)),
        Some(("vault", _)) => {
            Ok(Box::new(vault::VaultSigner::open(uri, secrets.vault_token.as_ref())?))
        }
        #[cfg(feature = "aws")]
        Some(("awskms", _)) => Ok(Box::new(awskms::AwsKmsSigner::open(uri)?)),
        #[cfg(not(feature = "aws"))]
        Some(("awskms", _)) => Err(SignError::Uri {
            uri: uri::shown(uri),
            reason:
                "this build cannot reach AWS KMS: `cargo build` without options makes one that can"
                    .to_owned(),
        }),
        Some(_) => Err(SignError::Uri {
            uri: uri::shown(uri),
            reason: "there is no such kind of signer".to_owned(),
        }),
    }
}

/// Address of the server that keeps the key of a URI, where it is reached past every proxy: Vault or `OpenBao`.
#[must_use]
pub fn address(uri: &str) -> Option<String> {
    uri::scheme(uri).filter(|(scheme, _)| *scheme == "vault").and_then(|_| vault::origin(uri))
}

/// Does a URI name a key file, and not a key kept elsewhere?
#[must_use]
pub fn is_file(uri: &str) -> bool {
    matches!(uri::scheme(uri), None | Some(("file", _)))
}

/// Signs something that means nothing, to see that a key can sign before anything depends on it.
///
/// # Errors
/// [`SignError`]; [`SignError::BadSignature`] when the two halves do not belong together.
pub fn probe(uri: &str, signer: &dyn Signer) -> Result<(), SignError> {
    let message = pae("application/vnd.affidavit.probe", b"");
    let key = signer.public_key();
    if key.verifies(&message, &signer.sign(&message)?) {
        Ok(())
    } else {
        Err(SignError::BadSignature { uri: uri::shown(uri), key: key.id().to_string() })
    }
}
