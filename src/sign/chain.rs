//! The keys of a new chain: root keys that go offline, a log key, the first keyring, and the secret
//! from which salts are derived.

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use jiff::{Timestamp, ToSpan as _};

use super::file::write_secret;
use super::{Passphrase, SignError, generate, write_private};
use crate::evidence::digest::Digest;
use crate::evidence::envelope::{Envelope, EnvelopeSignature, KEYRING_TYPE, pae};
use crate::evidence::instant;
use crate::evidence::key::{KeyId, PublicKey};
use crate::evidence::keyring::{Anchor, KeyEntry, KeyStatus, Keyring, Root, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a new chain is to be.
#[derive(Clone, Debug)]
pub struct NewChain<'a> {
    /// Its origin.
    pub origin: &'a str,
    /// How many root keys to make.
    pub root_keys: u8,
    /// How many of them must sign a keyring.
    pub threshold: u8,
    /// When the keys are made.
    pub created: Timestamp,
    /// For how many days the keyring is valid.
    pub valid_days: u16,
    /// Passphrase of all private keys.
    pub passphrase: Option<&'a Passphrase>,
}

/// What was written.
#[derive(Debug)]
pub struct WrittenChain {
    /// Private root keys, to be taken offline.
    pub root_keys: Vec<PathBuf>,
    /// Fingerprints of the root keys, to be given to auditors.
    pub fingerprints: Vec<KeyId>,
    /// Public file with them.
    pub fingerprint_file: PathBuf,
    /// Id of the log key.
    pub signer: KeyId,
}

/// Writes the keys of a new chain into a folder. Nothing that exists is overwritten. The log key
/// is a new one in `log.pem`, unless there is one elsewhere, of which `log` is the public half.
///
/// # Errors
/// [`SignError::File`].
pub fn create(
    folder: &Path,
    chain: &NewChain<'_>,
    log: Option<&PublicKey>,
) -> Result<WrittenChain, SignError> {
    let failed = |path: &Path, reason: String| SignError::File { path: path.to_owned(), reason };
    let new_key = || generate().map_err(|reason| failed(folder, reason));
    let roots = (0..chain.root_keys).map(|_| new_key()).collect::<Result<Vec<_>, _>>()?;
    let secret = new_key()?.to_bytes();
    match log {
        Some(log) => write_for(folder, chain, &roots, log, &secret),
        None => write(folder, chain, &roots, &new_key()?, &secret),
    }
}

/// The same with given keys, for tests and for keys from elsewhere.
///
/// # Errors
/// [`SignError::File`].
pub fn write(
    folder: &Path,
    chain: &NewChain<'_>,
    roots: &[SigningKey],
    log: &SigningKey,
    secret: &[u8; 32],
) -> Result<WrittenChain, SignError> {
    let failed = |reason: String| SignError::File { path: folder.to_owned(), reason };
    let public = PublicKey::from_bytes(log.verifying_key().as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    write_private(&folder.join("log.pem"), log, chain.passphrase)?;
    write_for(folder, chain, roots, &public, secret)
}

/// The same for a log key that is kept elsewhere.
///
/// # Errors
/// [`SignError::File`].
pub fn write_for(
    folder: &Path,
    chain: &NewChain<'_>,
    roots: &[SigningKey],
    log_key: &PublicKey,
    secret: &[u8; 32],
) -> Result<WrittenChain, SignError> {
    let failed = |path: &Path, reason: String| SignError::File { path: path.to_owned(), reason };
    let keyrings = folder.join("keyring");
    fs::create_dir_all(&keyrings).map_err(|error| failed(&keyrings, error.to_string()))?;
    let public = |key: &SigningKey| {
        PublicKey::from_bytes(key.verifying_key().as_bytes())
            .map_err(|error| failed(folder, error.to_string()))
    };
    let mut entries = Vec::new();
    let mut root_paths = Vec::new();
    for (number, root) in (1..).zip(roots) {
        let path = folder.join(format!("root-{number}.pem"));
        write_private(&path, root, chain.passphrase)?;
        root_paths.push(path);
        let key = public(root)?;
        entries.push(KeyEntry { keyid: key.id(), pem: key.to_pem() });
    }
    let secret_path = folder.join("disclosure.secret");
    let secret = format!("{}\n", Digest::from_bytes(*secret));
    write_secret(&secret_path, secret.as_bytes())?;

    let expires = chain
        .created
        .checked_add((i64::from(chain.valid_days) * 24).hours())
        .map_err(|error| failed(folder, error.to_string()))?;
    let keyring = Keyring {
        version: 1,
        prev: None,
        origin: chain.origin.to_owned(),
        created: instant::format(chain.created),
        expires: instant::format(expires),
        root: Root { threshold: u64::from(chain.threshold), keys: entries },
        signers: vec![Signer {
            keyid: log_key.id(),
            pem: log_key.to_pem(),
            role: "log".to_owned(),
            from_seq: 0,
            until_seq: None,
            status: KeyStatus::Active,
            revocation: None,
        }],
        anchor: Anchor { size: 0, root: STANDARD.encode(Digest::of(b"").as_bytes()) },
    };
    let payload = keyring.to_bytes().map_err(|error| failed(folder, error.to_string()))?;
    let message = pae(KEYRING_TYPE, &payload);
    let signatures = roots
        .iter()
        .map(|root| {
            let bytes = root.sign(&message).to_bytes();
            Ok(EnvelopeSignature { key: public(root)?.id(), bytes })
        })
        .collect::<Result<_, SignError>>()?;
    let envelope = Envelope { payload_type: KEYRING_TYPE.to_owned(), payload, signatures };
    let path = keyrings.join("0000000001.dsse.json");
    write_new(&path, &envelope.to_bytes())?;

    let fingerprints: Vec<KeyId> = keyring.root.keys.iter().map(|key| key.keyid).collect();
    let fingerprint_file = folder.join("root.fingerprint");
    let lines: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
    let text = format!("{}\n", lines.join("\n"));
    write_new(&fingerprint_file, text.as_bytes())?;
    Ok(WrittenChain { root_keys: root_paths, fingerprints, fingerprint_file, signer: log_key.id() })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), SignError> {
    use std::io::Write as _;
    let failed = |error: std::io::Error| SignError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
