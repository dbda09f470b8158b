//! Section 5: keyring versions from the first one on, each authorised by the one before it, the
//! first one by what the caller trusts.

use crate::evidence::canonical::CanonicalError;
use crate::evidence::envelope::{Envelope, KEYRING_TYPE};
use crate::evidence::instant;
use crate::evidence::key::KeyError;
use crate::evidence::keyring::{CheckedKeyring, KeyringError};
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
            let Some(next) = self.check_keyring(&path, version, accepted.last()) else { break };
            accepted.push(next);
        }
        let last = accepted.last()?;
        if let Some(expires) = instant::parse(&last.keyring.expires)
            && expires < self.policy.now
        {
            let path = layout::keyring(last.keyring.version);
            self.verdict
                .report(FailureCode::KeyringExpired, path)
                .expected(format!("valid at {}", instant::format(self.policy.now)))
                .found(format!("expired {}", instant::format(expires)));
        }
        Some(Keyrings(accepted))
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
        match before {
            None => self.check_first(path, &envelope, &keyring)?,
            Some(before) => self.check_next(path, &envelope, before, &keyring)?,
        }
        if keyring.keyring.version != version {
            self.verdict
                .report(FailureCode::KeyringVersionGap, path)
                .expected(version)
                .found(keyring.keyring.version);
            return None;
        }
        Some(keyring)
    }

    fn check_first(
        &mut self,
        path: &str,
        envelope: &Envelope,
        keyring: &CheckedKeyring,
    ) -> Option<()> {
        let signed_by = keyring.signed_by(envelope);
        let threshold = keyring.keyring.root.threshold;
        if (signed_by.len() as u64) < threshold {
            self.verdict
                .report(FailureCode::KeyringThresholdNotMet, path)
                .expected(threshold)
                .found(signed_by.len());
            return None;
        }
        let roots = &self.policy.roots;
        let trusted = signed_by.intersection(roots).count() as u64;
        if trusted >= threshold || roots.contains(&keyring.id()) {
            return Some(());
        }
        let theirs: Vec<String> = keyring.root_ids().iter().map(ToString::to_string).collect();
        let yours: Vec<String> = roots.iter().map(ToString::to_string).collect();
        let yours = if yours.is_empty() { "none was given".to_owned() } else { yours.join(" ") };
        self.verdict
            .report(FailureCode::KeyringUntrustedRoot, path)
            .expected(yours)
            .found(theirs.join(" "));
        None
    }

    /// TUF 1.0.34 section 5.3.4: a threshold of the old and a threshold of the new root keys.
    fn check_next(
        &mut self,
        path: &str,
        envelope: &Envelope,
        before: &CheckedKeyring,
        keyring: &CheckedKeyring,
    ) -> Option<()> {
        if !before.meets_threshold(envelope) || !keyring.meets_threshold(envelope) {
            self.verdict
                .report(FailureCode::KeyringThresholdNotMet, path)
                .expected(format!(
                    "{} of the old and {} of the new root keys",
                    before.keyring.root.threshold, keyring.keyring.root.threshold
                ))
                .found(format!(
                    "{} and {}",
                    before.signed_by(envelope).len(),
                    keyring.signed_by(envelope).len()
                ));
            return None;
        }
        let prev = keyring.keyring.prev.map(|prev| prev.sha256);
        if prev != Some(before.digest) {
            self.verdict
                .report(FailureCode::KeyringVersionGap, path)
                .expected(before.digest)
                .found(prev.map_or_else(|| "null".to_owned(), |digest| digest.to_string()));
            return None;
        }
        if let Err(reason) = keyring.keyring.continues(&before.keyring) {
            self.verdict.report(FailureCode::KeyringMalformed, path).found(reason);
            return None;
        }
        if let Some(retired) = keyring.handed_over_from(before).find(|key| !key.signed(envelope)) {
            self.verdict
                .report(FailureCode::HandoverMissing, path)
                .expected(format!("a signature of {}", retired.id()))
                .found("none");
            return None;
        }
        if keyring.keyring.origin != before.keyring.origin {
            self.verdict
                .report(FailureCode::OriginMismatch, path)
                .expected(&before.keyring.origin)
                .found(&keyring.keyring.origin);
            return None;
        }
        Some(())
    }
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
