//! New versions of a keyring (section 5 of the format): rotation, revocation, other root keys, a
//! later expiry. Root keys may lie on different machines that are offline: a version goes from one
//! to the next as a draft until enough of them have signed.

use std::collections::BTreeSet;

use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;

use super::{SignError, Signer};
use crate::evidence::digest::Digest;
use crate::evidence::envelope::{Envelope, EnvelopeSignature, KEYRING_TYPE, pae};
use crate::evidence::instant;
use crate::evidence::key::{KeyId, PublicKey};
use crate::evidence::keyring::{
    Anchor, CheckedKeyring, KeyEntry, KeyStatus, Keyring, KeyringError, Revocation, Root,
    Signer as LogKey,
};
use crate::evidence::statement::DigestSet;
use crate::verify::pin::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the next version changes.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing but the expiry.
    Renew,
    /// Another log key from the next position on.
    Rotate {
        /// The new key.
        to: PublicKey,
    },
    /// A log key is no longer trusted.
    Revoke {
        /// Which.
        key: KeyId,
        /// Why.
        reason: String,
        /// Since when it may have been in other hands.
        compromised_since: Option<Timestamp>,
        /// The key that takes over from the last good log on, if the revoked one was active.
        to: Option<PublicKey>,
    },
    /// Other root keys.
    Roots {
        /// New ones.
        add: Vec<PublicKey>,
        /// Old ones that go.
        remove: BTreeSet<KeyId>,
        /// How many must sign from now on.
        threshold: u64,
    },
}

/// Why there is no next version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The change does not fit the version before.
    #[error("{0}")]
    Change(String),
    /// The result would not be a valid keyring.
    #[error("the next keyring would not be valid: {0}")]
    Keyring(#[from] KeyringError),
    /// A key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A version in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The version.
    pub keyring: CheckedKeyring,
    /// With the signatures so far, ascending by key id.
    pub envelope: Envelope,
}

/// The version after `before`. `log` is the log that the root keys vouch for by signing: its head
/// now, or for a revocation the last good one.
///
/// # Errors
/// [`CeremonyError`].
pub fn next(
    before: &CheckedKeyring,
    change: &Change,
    log: &Pin,
    created: Timestamp,
    expires: Timestamp,
) -> Result<Draft, CeremonyError> {
    let anchor = Anchor { size: log.size, root: STANDARD.encode(log.root.as_bytes()) };
    let old = &before.keyring;
    let mut keyring = Keyring {
        version: old.version + 1,
        prev: Some(DigestSet { sha256: before.digest }),
        created: instant::format(created),
        expires: instant::format(expires),
        anchor: anchor.clone(),
        ..old.clone()
    };
    match change {
        Change::Renew => {}
        Change::Rotate { to } => {
            let active = active(&keyring)?;
            close(&mut keyring.signers, active, log.size, KeyStatus::Retired, None);
            keyring.signers.push(log_key(to, log.size));
        }
        Change::Revoke { key, reason, compromised_since, to } => {
            revoke(&mut keyring, *key, reason, *compromised_since, to.as_ref(), anchor)?;
        }
        Change::Roots { add, remove, threshold } => {
            keyring.root = roots(&old.root, add, remove, *threshold)?;
        }
    }
    let payload = keyring.to_bytes()?;
    let keyring = CheckedKeyring::parse(&payload)?;
    keyring.keyring.continues(old).map_err(CeremonyError::Change)?;
    let envelope =
        Envelope { payload_type: KEYRING_TYPE.to_owned(), payload, signatures: Vec::new() };
    Ok(Draft { keyring, envelope })
}

fn active(keyring: &Keyring) -> Result<KeyId, CeremonyError> {
    let active = keyring.signers.iter().find(|signer| signer.status == KeyStatus::Active);
    let none = || CeremonyError::Change("no log key is active: there is nothing to replace".into());
    active.map(|signer| signer.keyid).ok_or_else(none)
}

fn log_key(key: &PublicKey, from_seq: u64) -> LogKey {
    LogKey {
        keyid: key.id(),
        pem: key.to_pem(),
        role: "log".to_owned(),
        from_seq,
        until_seq: None,
        status: KeyStatus::Active,
        revocation: None,
    }
}

/// Ends a key before position `size`. One that may have signed nothing by then leaves no trace:
/// there is no window that it could have.
fn close(
    signers: &mut Vec<LogKey>,
    key: KeyId,
    size: u64,
    status: KeyStatus,
    revocation: Option<&Revocation>,
) {
    signers.retain_mut(|signer| {
        if signer.keyid != key {
            return true;
        }
        let Some(last) = size.checked_sub(1).filter(|last| *last >= signer.from_seq) else {
            return false;
        };
        signer.until_seq = Some(signer.until_seq.map_or(last, |until| until.min(last)));
        signer.status = status;
        signer.revocation = revocation.cloned();
        true
    });
}

fn revoke(
    keyring: &mut Keyring,
    key: KeyId,
    reason: &str,
    compromised_since: Option<Timestamp>,
    to: Option<&PublicKey>,
    last_good: Anchor,
) -> Result<(), CeremonyError> {
    let change = |text: String| Err(CeremonyError::Change(text));
    let Some(signer) = keyring.signers.iter().find(|signer| signer.keyid == key) else {
        return change(format!("the keyring has no log key {key}"));
    };
    let size = last_good.size;
    match (signer.status, to) {
        (KeyStatus::Revoked, _) => return change(format!("{key} is revoked already")),
        (KeyStatus::Active, None) => {
            return change("the active key needs one that takes over".to_owned());
        }
        (KeyStatus::Retired, Some(_)) => {
            return change("a retired key has been replaced already".to_owned());
        }
        _ => {}
    }
    let revocation = Revocation {
        at: keyring.created.clone(),
        compromised_since: compromised_since.map(instant::format),
        reason: reason.to_owned(),
        last_good,
    };
    close(&mut keyring.signers, key, size, KeyStatus::Revoked, Some(&revocation));
    if let Some(to) = to {
        keyring.signers.push(log_key(to, size));
    }
    Ok(())
}

fn roots(
    old: &Root,
    add: &[PublicKey],
    remove: &BTreeSet<KeyId>,
    threshold: u64,
) -> Result<Root, CeremonyError> {
    if let Some(unknown) = remove.iter().find(|id| !old.keys.iter().any(|key| key.keyid == **id)) {
        return Err(CeremonyError::Change(format!("the keyring has no root key {unknown}")));
    }
    let mut keys = old.keys.clone();
    keys.retain(|key| !remove.contains(&key.keyid));
    keys.extend(add.iter().map(|key| KeyEntry { keyid: key.id(), pem: key.to_pem() }));
    Ok(Root { threshold, keys })
}

impl Draft {
    /// Reads a draft, or a finished version.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let envelope =
            Envelope::parse(bytes).map_err(|error| CeremonyError::Change(error.to_string()))?;
        if envelope.payload_type != KEYRING_TYPE {
            return Err(CeremonyError::Change("it is not a keyring".to_owned()));
        }
        let keyring = CheckedKeyring::parse(&envelope.payload)?;
        Ok(Self { keyring, envelope })
    }

    /// Adds a root key's signature.
    ///
    /// # Errors
    /// [`CeremonyError`], also when no keyring that counts knows the key.
    pub fn sign_as_root(
        &mut self,
        before: &CheckedKeyring,
        key: &SigningKey,
    ) -> Result<KeyId, CeremonyError> {
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes())
            .map_err(|error| CeremonyError::Change(error.to_string()))?;
        let id = public.id();
        if !self.keyring.root_ids().contains(&id) && !before.root_ids().contains(&id) {
            return Err(CeremonyError::Change(format!("{id} is not a root key of this chain")));
        }
        let message = pae(KEYRING_TYPE, &self.envelope.payload);
        self.add(EnvelopeSignature { key: id, bytes: key.sign(&message).to_bytes() });
        Ok(id)
    }

    /// Adds the signature by which the log key that retires hands over.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn hand_over(&mut self, old: &dyn Signer) -> Result<(), CeremonyError> {
        let bytes = old.sign(&pae(KEYRING_TYPE, &self.envelope.payload))?;
        self.add(EnvelopeSignature { key: old.public_key().id(), bytes });
        Ok(())
    }

    fn add(&mut self, signature: EnvelopeSignature) {
        self.envelope.signatures.retain(|known| known.key != signature.key);
        self.envelope.signatures.push(signature);
        self.envelope.signatures.sort_by_key(|signature| signature.key);
    }

    /// What is still missing, in words; empty when the version is complete.
    #[must_use]
    pub fn missing(&self, before: &CheckedKeyring) -> Vec<String> {
        let mut missing = Vec::new();
        for (which, keyring) in [("old", before), ("new", &self.keyring)] {
            let signed = keyring.signed_by(&self.envelope).len() as u64;
            let threshold = keyring.keyring.root.threshold;
            if signed < threshold {
                missing.push(format!("{} more of the {which} root keys", threshold - signed));
            }
        }
        for key in self.keyring.handed_over_from(before) {
            if !key.signed(&self.envelope) {
                missing.push(format!("the log key {} that hands over", key.id()));
            }
        }
        missing
    }

    /// Digest of the payload, for comparing drafts by telephone.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.keyring.digest
    }
}
