//! Section 5: the keyring. Which log keys may sign which positions, said by root keys that stay
//! offline (TUF 1.0.34 section 5.3, little else).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::canonical::{self, CanonicalError};
use super::digest::Digest;
use super::envelope::Envelope;
use super::instant;
use super::key::{KeyError, KeyId, PublicKey};
use super::statement::DigestSet;

/// A keyring version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// From 1.
    pub version: u64,
    /// Digest of the previous version's payload; `null` in the first.
    #[serde(deserialize_with = "canonical::or_null")]
    pub prev: Option<DigestSet>,
    /// Origin of the chain that it is for.
    pub origin: String,
    /// When it was made.
    pub created: String,
    /// When it ceases to be valid.
    pub expires: String,
    /// Root keys.
    pub root: Root,
    /// Log keys.
    pub signers: Vec<Signer>,
    /// The log when this version was made.
    pub anchor: Anchor,
}

/// Root keys and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// How many different ones must sign.
    pub threshold: u64,
    /// Them.
    pub keys: Vec<KeyEntry>,
}

/// A public key with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Id.
    pub keyid: KeyId,
    /// PEM.
    pub pem: String,
}

/// State of a log key. It only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// May sign.
    Active,
    /// Has signed up to `untilSeq` and signs no more.
    Retired,
    /// Must not be trusted beyond `revocation.lastGood`.
    Revoked,
}

/// A log key and the positions that it may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Signer {
    /// Id.
    pub keyid: KeyId,
    /// PEM.
    pub pem: String,
    /// `log`.
    pub role: String,
    /// First position.
    pub from_seq: u64,
    /// Last position; `null` while it is active.
    #[serde(deserialize_with = "canonical::or_null")]
    pub until_seq: Option<u64>,
    /// State.
    pub status: KeyStatus,
    /// For revoked keys.
    #[serde(deserialize_with = "canonical::or_null")]
    pub revocation: Option<Revocation>,
}

/// When and why a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Revocation {
    /// When.
    pub at: String,
    /// Since when it may have been in other hands; `null` when it was not.
    #[serde(deserialize_with = "canonical::or_null")]
    pub compromised_since: Option<String>,
    /// Why.
    pub reason: String,
    /// The last log that was seen to be good.
    pub last_good: Anchor,
}

/// A log by size and root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Number of statements.
    pub size: u64,
    /// RFC 6962 root, standard base64.
    pub root: String,
}

/// Why a keyring is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Breaks a rule of the canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A field is missing, unknown or of the wrong form, or the rules contradict each other.
    #[error("{0}")]
    Shape(String),
    /// A key that is not what its id says.
    #[error("the key under id {0} has another id")]
    KeySwapped(KeyId),
    /// A key that cannot be used.
    #[error("key {id}: {error}")]
    Key {
        /// Its id.
        id: KeyId,
        /// Why.
        error: KeyError,
    },
}

/// A keyring whose keys have been read and found to be what their ids say.
#[derive(Clone, Debug)]
pub struct CheckedKeyring {
    /// The keyring.
    pub keyring: Keyring,
    /// Digest of its payload.
    pub digest: Digest,
    roots: Vec<PublicKey>,
    signers: Vec<PublicKey>,
}

impl Keyring {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`KeyringError::Canonical`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyringError> {
        Ok(canonical::to_vec(self)?)
    }

    /// What the root keys saw of the log: the anchor, and the last good log of each revocation.
    #[must_use]
    pub fn anchors(&self) -> Vec<&Anchor> {
        let revocations = self.signers.iter().filter_map(|signer| signer.revocation.as_ref());
        let last_good = revocations.map(|revocation| &revocation.last_good);
        let mut anchors = vec![&self.anchor];
        anchors.extend(last_good.filter(|last_good| **last_good != self.anchor));
        anchors
    }

    /// Does this version keep what the one before said of the past?
    ///
    /// # Errors
    /// What it does not keep.
    pub fn continues(&self, before: &Self) -> Result<(), String> {
        for old in &before.signers {
            let Some(new) = self.signers.iter().find(|signer| signer.keyid == old.keyid) else {
                // It signed nothing of the log that the root keys saw, and may sign nothing now.
                if old.from_seq >= self.anchor.size {
                    continue;
                }
                return Err(format!("it no longer names the log key {}", old.keyid));
            };
            let is_same_key =
                (&new.pem, &new.role, new.from_seq) == (&old.pem, &old.role, old.from_seq);
            let is_raised =
                old.until_seq.is_some_and(|old| new.until_seq.is_none_or(|new| new > old));
            let is_undone = new.status < old.status;
            if !is_same_key || is_raised || is_undone {
                return Err(format!("it changes what was said of the log key {}", old.keyid));
            }
        }
        Ok(())
    }
}

/// Why nobody who may has authorised a keyring.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthorised {
    /// Too few root keys signed it.
    #[error("signed by {found}; {expected} must sign")]
    Threshold {
        /// Who must.
        expected: String,
        /// How many did.
        found: String,
    },
    /// It is the first one, and its root keys are none that are trusted.
    #[error("its root keys are not trusted")]
    UntrustedRoot,
    /// It does not name the version before it.
    #[error("it follows {}, and not {expected}", found.map_or_else(|| "none".to_owned(), |digest| digest.to_string()))]
    Gap {
        /// Digest of the version before it.
        expected: Digest,
        /// The one that it names.
        found: Option<Digest>,
    },
    /// It takes back what the version before it said of the past.
    #[error("{0}")]
    Discontinued(String),
    /// A log key that it retires has not signed it.
    #[error("the log key {0}, which it retires, has not signed it")]
    Handover(KeyId),
    /// It is for another chain than the version before it.
    #[error("it is for {found}, and the version before it for {expected}")]
    Origin {
        /// Of the version before it.
        expected: String,
        /// Its own.
        found: String,
    },
}

impl CheckedKeyring {
    /// Is it a first version, signed by root keys that are trusted (by id; its own digest will do)?
    ///
    /// # Errors
    /// [`NotAuthorised`].
    pub fn authorised_by_roots(
        &self,
        envelope: &Envelope,
        roots: &BTreeSet<KeyId>,
    ) -> Result<(), NotAuthorised> {
        let signed_by = self.signed_by(envelope);
        let threshold = self.keyring.root.threshold;
        if (signed_by.len() as u64) < threshold {
            let (expected, found) = (threshold.to_string(), signed_by.len().to_string());
            return Err(NotAuthorised::Threshold { expected, found });
        }
        let trusted = signed_by.intersection(roots).count() as u64;
        if trusted >= threshold || roots.contains(&self.id()) {
            Ok(())
        } else {
            Err(NotAuthorised::UntrustedRoot)
        }
    }

    /// Is it authorised by the version before it? TUF 1.0.34 section 5.3.4: a threshold of the old and a
    /// threshold of the new root keys.
    ///
    /// # Errors
    /// [`NotAuthorised`].
    pub fn authorised_by(&self, envelope: &Envelope, before: &Self) -> Result<(), NotAuthorised> {
        if !before.meets_threshold(envelope) || !self.meets_threshold(envelope) {
            let (old, new) = (before.keyring.root.threshold, self.keyring.root.threshold);
            return Err(NotAuthorised::Threshold {
                expected: format!("{old} of the old and {new} of the new root keys"),
                found: format!(
                    "{} and {}",
                    before.signed_by(envelope).len(),
                    self.signed_by(envelope).len()
                ),
            });
        }
        let prev = self.keyring.prev.map(|prev| prev.sha256);
        if prev != Some(before.digest) {
            return Err(NotAuthorised::Gap { expected: before.digest, found: prev });
        }
        self.keyring.continues(&before.keyring).map_err(NotAuthorised::Discontinued)?;
        if let Some(retired) = self.handed_over_from(before).find(|key| !key.signed(envelope)) {
            return Err(NotAuthorised::Handover(retired.id()));
        }
        if self.keyring.origin != before.keyring.origin {
            return Err(NotAuthorised::Origin {
                expected: before.keyring.origin.clone(),
                found: self.keyring.origin.clone(),
            });
        }
        Ok(())
    }

    /// Reads a payload. Signatures are a separate question: [`signed_by`](Self::signed_by).
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn parse(payload: &[u8]) -> Result<Self, KeyringError> {
        canonical::check(payload)?;
        let keyring: Keyring = serde_json::from_slice(payload)
            .map_err(|error| KeyringError::Shape(error.to_string()))?;
        let shape = |text: &str| Err(KeyringError::Shape(text.to_owned()));
        // serde reads an object's fields from a list too, which is a second spelling.
        if keyring.to_bytes()? != payload {
            return shape("a list stands where an object must");
        }
        if keyring.version == 0 || (keyring.version == 1) != keyring.prev.is_none() {
            return shape("the first keyring has version 1 and no `prev`, and only it");
        }
        if instant::parse(&keyring.created).is_none() || instant::parse(&keyring.expires).is_none()
        {
            return shape("a time is not of the form 2026-11-23T02:00:00Z");
        }
        let ids: BTreeSet<KeyId> = keyring.root.keys.iter().map(|key| key.keyid).collect();
        if keyring.root.threshold == 0
            || ids.len() != keyring.root.keys.len()
            || keyring.root.threshold > ids.len() as u64
        {
            return shape("the threshold is not between 1 and the number of different root keys");
        }
        for (index, signer) in keyring.signers.iter().enumerate() {
            let closed = signer.until_seq.is_some();
            if signer.role != "log" {
                return shape("a signer has another role than `log`");
            }
            if closed == (signer.status == KeyStatus::Active)
                || (signer.status == KeyStatus::Revoked) != signer.revocation.is_some()
            {
                return shape(
                    "a signer's status, `untilSeq` and `revocation` contradict each other",
                );
            }
            let overlaps = |other: &Signer| {
                signer.from_seq <= other.until_seq.unwrap_or(u64::MAX)
                    && other.from_seq <= signer.until_seq.unwrap_or(u64::MAX)
            };
            if keyring.signers.iter().take(index).any(overlaps) {
                return shape("two signers may sign the same position");
            }
        }
        let read = |keyid: &KeyId, pem: &str| -> Result<PublicKey, KeyringError> {
            let key = PublicKey::from_pem(pem)
                .map_err(|error| KeyringError::Key { id: *keyid, error })?;
            if key.id() == *keyid { Ok(key) } else { Err(KeyringError::KeySwapped(*keyid)) }
        };
        let roots = keyring.root.keys.iter().map(|key| read(&key.keyid, &key.pem));
        let roots = roots.collect::<Result<_, _>>()?;
        let signers = keyring.signers.iter().map(|key| read(&key.keyid, &key.pem));
        let signers = signers.collect::<Result<_, _>>()?;
        Ok(Self { digest: Digest::of(payload), keyring, roots, signers })
    }

    /// Ids of this keyring's root keys whose signature over the envelope is right. Each key counts
    /// once, however often it signed (TUF 1.0.34 section 5.3.4).
    #[must_use]
    pub fn signed_by(&self, envelope: &Envelope) -> BTreeSet<KeyId> {
        self.roots.iter().filter(|key| key.signed(envelope)).map(PublicKey::id).collect()
    }

    /// The log keys that `before` has as active and this version as retired: they must sign it.
    pub fn handed_over_from<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a PublicKey> {
        let status = |keyring: &Keyring, id: KeyId| {
            keyring.signers.iter().find(|signer| signer.keyid == id).map(|signer| signer.status)
        };
        before.signers.iter().filter(move |key| {
            status(&before.keyring, key.id()) == Some(KeyStatus::Active)
                && status(&self.keyring, key.id()) == Some(KeyStatus::Retired)
        })
    }

    /// Do enough of this keyring's root keys sign the envelope?
    #[must_use]
    pub fn meets_threshold(&self, envelope: &Envelope) -> bool {
        self.signed_by(envelope).len() as u64 >= self.keyring.root.threshold
    }

    /// Digest of its payload as an id: of the first version, it may be trusted in place of root keys.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::from(self.digest)
    }

    /// Ids of the root keys.
    #[must_use]
    pub fn root_ids(&self) -> BTreeSet<KeyId> {
        self.roots.iter().map(PublicKey::id).collect()
    }

    /// All log keys.
    pub fn log_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.signers.iter()
    }

    /// The log key of that id with its rules.
    #[must_use]
    pub fn signer(&self, id: KeyId) -> Option<(&Signer, &PublicKey)> {
        self.keyring.signers.iter().zip(&self.signers).find(|(signer, _)| signer.keyid == id)
    }

    /// The log key that may sign this position.
    #[must_use]
    pub fn signer_at(&self, seq: u64) -> Option<(&Signer, &PublicKey)> {
        self.keyring.signers.iter().zip(&self.signers).find(|(signer, _)| {
            signer.from_seq <= seq && signer.until_seq.is_none_or(|until| seq <= until)
        })
    }
}
