//! Section 5: keyring versions from the first one on, each authorised by the one before it, the
//! first one by what the caller trusts.

use std::collections::BTreeSet;

use crate::evidence::canonical::CanonicalError;
use crate::evidence::envelope::{Envelope, KEYRING_TYPE};
use crate::evidence::key::{KeyError, KeyId};
use crate::evidence::keyring::{CheckedKeyring, KeyringError, NotAuthorised};
use crate::evidence::layout;

use super::{FailureCode, Verification};

/// Keyring versions that are authorised, oldest first; never empty.
pub(super) struct Keyrings(Vec<CheckedKeyring>);

impl Keyrings {
    /// The newest version: it holds the rules for every position.
    pub(super) fn newest(&self) -> Option<&CheckedKeyring> {
        self.0.last()
    }

    pub(super) fn version(&self, version: u64) -> Option<&CheckedKeyring> {
        self.0.iter().find(|keyring| keyring.keyring.version == version)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CheckedKeyring> {
        self.0.iter()
    }
}

impl Verification<'_> {
    /// `None` when no keyring is authorised: then no signature can be judged.
    pub(super) fn check_keyrings(&mut self) -> Option<Keyrings> {
        let Some(&newest) = self.keyrings.last() else {
            self.verdict.report(FailureCode::KeyringMissing, "keyring/");
            return None;
        };
        let mut accepted: Vec<CheckedKeyring> = Vec::new();
        for version in 1..=newest {
            let path = layout::keyring(version);
            if !self.keyrings.contains(&version) {
                self.verdict.report(FailureCode::KeyringVersionGap, path).expected("the file");
                break;
            }
            let Some(next) = self.check_keyring(&path, version, accepted.last()) else {
                // By the versions before it, newer keys would be unknown and signatures wrong.
                if self.is_unread(&path) {
                    return None;
                }
                break;
            };
            accepted.push(next);
        }
        (!accepted.is_empty()).then_some(Keyrings(accepted))
    }

    fn check_keyring(
        &mut self,
        path: &str,
        version: u64,
        before: Option<&CheckedKeyring>,
    ) -> Option<CheckedKeyring> {
        let bytes = self.read(path)?;
        self.verdict.checked.keyrings += 1;
        let envelope = match Envelope::parse(&bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.verdict.report(FailureCode::EnvelopeMalformed, path).found(error);
                return None;
            }
        };
        if envelope.payload_type != KEYRING_TYPE {
            self.verdict
                .report(FailureCode::WrongPayloadType, path)
                .expected(KEYRING_TYPE)
                .found(envelope.payload_type);
            return None;
        }
        // The first version vouches for its own root keys, which is why the caller must know them;
        // reading it before that is decided cannot be avoided.
        let keyring = match CheckedKeyring::parse(&envelope.payload) {
            Ok(keyring) => keyring,
            Err(error) => {
                self.verdict.report(code_of(&error), path).found(error);
                return None;
            }
        };
        self.verdict.checked.signatures += envelope.signatures.len() as u64;
        let authorised = match before {
            // By its own keys, which is said below.
            None if self.policy.roots.is_empty() => {
                keyring.authorised_by_roots(&envelope, &[keyring.id()].into())
            }
            None => keyring.authorised_by_roots(&envelope, &self.policy.roots),
            Some(before) => keyring.authorised_by(&envelope, before),
        };
        if let Err(reason) = authorised {
            self.report_unauthorised(path, &keyring, reason);
            return None;
        }
        if keyring.keyring.version != version {
            self.verdict
                .report(FailureCode::KeyringVersionGap, path)
                .expected(version)
                .found(keyring.keyring.version);
            return None;
        }
        if before.is_none() && self.policy.roots.is_empty() {
            self.verdict.report(FailureCode::RootNotGiven, path).found(ids(&keyring.root_ids()));
        }
        Some(keyring)
    }

    fn report_unauthorised(&mut self, path: &str, keyring: &CheckedKeyring, reason: NotAuthorised) {
        let (code, expected, found) = match reason {
            NotAuthorised::Threshold { expected, found } => {
                (FailureCode::KeyringThresholdNotMet, expected, found)
            }
            NotAuthorised::UntrustedRoot => {
                let yours = ids(&self.policy.roots);
                (FailureCode::KeyringUntrustedRoot, yours, ids(&keyring.root_ids()))
            }
            NotAuthorised::Gap { expected, found } => {
                let found = found.map_or_else(|| "null".to_owned(), |digest| digest.to_string());
                (FailureCode::KeyringVersionGap, expected.to_string(), found)
            }
            NotAuthorised::Discontinued(reason) => {
                (FailureCode::KeyringMalformed, String::new(), reason)
            }
            NotAuthorised::Handover(key) => {
                let expected = format!("a signature of {key}");
                (FailureCode::HandoverMissing, expected, "none".to_owned())
            }
            NotAuthorised::Origin { expected, found } => {
                (FailureCode::OriginMismatch, expected, found)
            }
        };
        self.verdict.report(code, path).expected(expected).found(found);
    }
}

fn ids(ids: &BTreeSet<KeyId>) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn code_of(error: &KeyringError) -> FailureCode {
    match error {
        KeyringError::Canonical(CanonicalError::DuplicateKey(_)) => FailureCode::DuplicateJsonKey,
        KeyringError::Canonical(CanonicalError::NotCanonical) => FailureCode::NonCanonicalPayload,
        KeyringError::KeySwapped(_) => FailureCode::KeySwapped,
        KeyringError::Key { error: KeyError::Weak, .. } => FailureCode::KeyWeak,
        _ => FailureCode::KeyringMalformed,
    }
}
