//! What opens a key. Never shown.

use std::fmt;
use std::path::Path;

use super::SignError;
use super::file::read_private;

/// A passphrase, PIN or token.
#[derive(Clone)]
pub struct Secret(String);

/// A secret that opens a key file.
pub type Passphrase = Secret;

impl Secret {
    /// From text; a newline at its end is not part of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// From a file that others cannot read.
    ///
    /// # Errors
    /// [`SignError::File`], also when it is empty; [`SignError::Permissions`].
    pub fn read(path: &Path) -> Result<Self, SignError> {
        let secret = Self::new(&read_private(path)?);
        if secret.0.is_empty() {
            return Err(SignError::File { path: path.to_owned(), reason: "empty".to_owned() });
        }
        Ok(secret)
    }

    /// The text itself.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    fn from_environment(name: &str) -> Option<Self> {
        std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| Self::new(&text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What there is to open keys with. Of a secret here and one in a file that the signer's URI
/// names, the one here is taken.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Passphrase of a key file.
    pub passphrase: Option<Passphrase>,
    /// PIN of a PKCS#11 token.
    pub pin: Option<Secret>,
    /// Token of Vault.
    pub vault_token: Option<Secret>,
}

impl Secrets {
    /// `AFFIDAVIT_KEY_PASSPHRASE`, `AFFIDAVIT_PKCS11_PIN` and `VAULT_TOKEN`. An empty variable is
    /// none.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            passphrase: Secret::from_environment("AFFIDAVIT_KEY_PASSPHRASE"),
            pin: Secret::from_environment("AFFIDAVIT_PKCS11_PIN"),
            vault_token: Secret::from_environment("VAULT_TOKEN"),
        }
    }
}
