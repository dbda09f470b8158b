//! Section 4: cosignatures, looked at under a policy of the auditor's (C2SP tlog-policy).

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::checkpoint::{Checkpoint, NoteSignature, SignatureType};
use crate::evidence::cosignature::{NoteKey, NoteKeyError};
use crate::evidence::layout::{self, Place};

use super::keyring::Keyrings;
use super::log::{CLOCK_SKEW_SECONDS, Log};
use super::verdict::{PinnedAt, Witnessed};
use super::{FailureCode, Verification};

/// Which logs are known and whose cosignatures are asked for.
#[derive(Clone, Debug)]
pub struct WitnessPolicy {
    logs: Vec<NoteKey>,
    witnesses: BTreeMap<String, NoteKey>,
    groups: BTreeMap<String, Group>,
    /// Name of a witness or group; `None` for `quorum none`.
    quorum: Option<String>,
}

#[derive(Clone, Debug)]
struct Group {
    threshold: usize,
    members: Vec<String>,
}

/// Why a text is no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct WitnessPolicyError {
    /// Line from 1; one beyond the last for what is missing.
    pub line: usize,
    /// Why.
    pub reason: String,
}

impl WitnessPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`WitnessPolicyError`] names the line.
    pub fn parse(text: &str) -> Result<Self, WitnessPolicyError> {
        let mut reader = PolicyReader {
            policy: Self {
                logs: Vec::new(),
                witnesses: BTreeMap::new(),
                groups: BTreeMap::new(),
                quorum: None,
            },
            has_quorum: false,
            grouped: BTreeSet::new(),
        };
        let mut count = 0;
        for (line, words) in (1..).zip(text.split('\n')) {
            count = line;
            reader.line(words).map_err(|reason| WitnessPolicyError { line, reason })?;
        }
        if !reader.has_quorum {
            let reason = "there is no `quorum` line".to_owned();
            return Err(WitnessPolicyError { line: count + 1, reason });
        }
        Ok(reader.policy)
    }

    /// Is a quorum asked for at all?
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// Number of known witnesses.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        self.witnesses.len()
    }

    fn is_met(&self, name: &str, signed: &BTreeSet<&str>) -> bool {
        match self.groups.get(name) {
            None => signed.contains(name),
            Some(group) => {
                let met = group.members.iter().filter(|member| self.is_met(member, signed));
                met.count() >= group.threshold
            }
        }
    }

    /// The earliest time at which the quorum was met by cosignatures of these times.
    fn met_at(&self, signed: &BTreeMap<&str, u64>) -> Option<u64> {
        let quorum = self.quorum.as_deref()?;
        let mut times: Vec<u64> = signed.values().copied().collect();
        times.sort_unstable();
        times.into_iter().find(|until| {
            let by_then = signed.iter().filter(|(_, at)| *at <= until);
            self.is_met(quorum, &by_then.map(|(name, _)| *name).collect())
        })
    }
}

struct PolicyReader {
    policy: WitnessPolicy,
    has_quorum: bool,
    /// Names that are members of a group: each may be in one only.
    grouped: BTreeSet<String>,
}

impl PolicyReader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err("a control character".to_owned());
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => self.log(key),
            ["witness", name, key] | ["witness", name, key, _] => self.witness(name, key),
            ["group", name, threshold, members @ ..] => self.group(name, threshold, members),
            ["quorum", name] => self.quorum(name),
            [word, ..] => Err(format!("`{word}` with {} words after it", words.len() - 1)),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = parse_key(key, SignatureType::Ed25519)?;
        if self.policy.logs.iter().any(|known| known.key == key.key) {
            return Err("the same log key twice".to_owned());
        }
        self.policy.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        let key = parse_key(key, SignatureType::Cosignature)?;
        self.new_name(name)?;
        if self.policy.witnesses.values().any(|known| known.key == key.key) {
            return Err("the same witness key twice".to_owned());
        }
        self.policy.witnesses.insert(name.to_owned(), key);
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        self.new_name(name)?;
        for member in members {
            self.known_name(member)?;
            if !self.grouped.insert((*member).to_owned()) {
                return Err(format!("`{member}` is a member twice"));
            }
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => number.parse().map_err(|_| format!("`{number}` is no threshold"))?,
        };
        if threshold == 0 || threshold > members.len() {
            return Err(format!("a threshold of {threshold} among {}", members.len()));
        }
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.policy.groups.insert(name.to_owned(), Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.has_quorum {
            return Err("a second `quorum`".to_owned());
        }
        self.has_quorum = true;
        if name != "none" {
            self.known_name(name)?;
            self.policy.quorum = Some(name.to_owned());
        }
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.policy.witnesses.contains_key(name) || self.policy.groups.contains_key(name)
    }

    fn new_name(&self, name: &str) -> Result<(), String> {
        if name == "none" || self.is_known(name) {
            return Err(format!("the name `{name}` is taken"));
        }
        Ok(())
    }

    fn known_name(&self, name: &str) -> Result<(), String> {
        if self.is_known(name) { Ok(()) } else { Err(format!("`{name}` is not defined above")) }
    }
}

fn parse_key(text: &str, signature_type: SignatureType) -> Result<NoteKey, String> {
    let key = NoteKey::parse(text).map_err(|error: NoteKeyError| error.to_string())?;
    if key.signature_type == signature_type {
        Ok(key)
    } else {
        Err(format!("a key of type 0x{:02x} cannot be used here", key.signature_type as u8))
    }
}

impl Verification<'_> {
    /// Cosignatures under the auditor's policy; without one they say nothing.
    pub(super) fn check_cosignatures(&mut self, keyrings: Option<&Keyrings>, log: &Log) {
        let Some(policy) = self.policy.witnesses.as_ref() else { return };
        self.check_log_is_known(policy, keyrings, log);
        let mut signed: BTreeMap<u64, BTreeMap<&str, u64>> = BTreeMap::new();
        for path in std::mem::take(&mut self.cosignatures) {
            let Place::Cosignature(size) = layout::place(&path) else { continue };
            if let Some((name, at)) = self.check_cosignature(policy, &path, size, log) {
                let earliest = signed.entry(size).or_default().entry(name).or_insert(at);
                *earliest = at.min(*earliest);
            }
        }
        if !policy.has_quorum() {
            return;
        }
        let met = signed.iter().rev().find_map(|(size, by)| Some((*size, policy.met_at(by)?)));
        let Some((size, at)) = met else {
            // Those who are missing may be in what was not read.
            if self.verdict.has_unread() {
                self.verdict.checked.not_checked += 1;
                return;
            }
            let most = signed.values().map(BTreeMap::len).max().unwrap_or(0);
            self.verdict
                .report(FailureCode::QuorumNotMet, layout::checkpoint(log.size()))
                .expected("the quorum of the policy")
                .found(format!("{most} of {} witnesses", policy.witnesses()));
            return;
        };
        let known = self.verdict.pinned.as_ref().map_or(0, |pinned| pinned.size);
        self.verdict.pinned = Some(PinnedAt { size: size.max(known), of: log.size() });
        self.verdict.witnessed = Witnessed::new(size, at);
    }

    /// Does the policy know the key that signed the head?
    fn check_log_is_known(
        &mut self,
        policy: &WitnessPolicy,
        keyrings: Option<&Keyrings>,
        log: &Log,
    ) {
        let Some(keyring) = keyrings.and_then(Keyrings::newest) else { return };
        let Some(newest) = log.size().checked_sub(1).filter(|_| !policy.logs.is_empty()) else {
            return;
        };
        let Some((_, key)) = keyring.signer_at(newest) else { return };
        let origin = &keyring.keyring.origin;
        if !policy.logs.iter().any(|known| known.name == *origin && known.key == *key) {
            self.verdict
                .report(FailureCode::KeyUnknown, layout::checkpoint(log.size()))
                .expected("a log of the policy")
                .found(key.id());
        }
    }

    /// Whose cosignature it is and of when, if it is of a known witness and holds.
    fn check_cosignature<'a>(
        &mut self,
        policy: &'a WitnessPolicy,
        path: &str,
        size: u64,
        log: &Log,
    ) -> Option<(&'a str, u64)> {
        let bytes = self.read(path)?;
        let parsed = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| NoteSignature::parse(text.strip_suffix('\n')?).ok());
        let Some(line) = parsed else {
            self.verdict
                .report(FailureCode::CosignatureInvalid, path)
                .found("not one signature line");
            return None;
        };
        let (name, witness) =
            policy.witnesses.iter().find(|(_, witness)| witness.is_claimed_by(&line))?;
        if size > log.size() {
            self.report_truncated(size, &format!("{path} of {name}"), log);
            return None;
        }
        let Some(root) = log.root(size).filter(|_| size > 0 && log.is_sound(size)) else {
            self.verdict.checked.not_checked += 1;
            return None;
        };
        let checkpoint = Checkpoint { origin: self.verdict.origin.clone(), size, root };
        self.verdict.checked.signatures += 1;
        let Some(at) = witness.cosigned_at(&line, &checkpoint) else {
            self.verdict
                .report(FailureCode::CosignatureInvalid, path)
                .expected(format!("a signature of {name} over this log"))
                .found("another signature");
            return None;
        };
        let latest = self.policy.now.as_second().saturating_add(CLOCK_SKEW_SECONDS);
        if i64::try_from(at).is_ok_and(|at| at > latest) {
            self.verdict
                .report(FailureCode::CosignatureInvalid, path)
                .expected("a time before this verification")
                .found(format!("{at} s after 1970"));
            return None;
        }
        Some((name, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::key::PublicKey;
    use ed25519_dalek::SigningKey;

    fn key(seed: u8) -> PublicKey {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        PublicKey::from_bytes(signing.verifying_key().as_bytes()).unwrap()
    }

    fn witness(seed: u8) -> String {
        NoteKey::witness(&format!("w{seed}.example.com"), key(seed)).to_text()
    }

    /// The example of tlog-policy.md.
    fn two_levels() -> String {
        let mut text = format!("# two levels\n\tlog {}\n", NoteKey::log("o", key(99)).to_text());
        for (index, name) in (1..).zip(["X1", "X2", "X3", "Y1", "Y2"]) {
            let line = format!("witness {name} {} https://{name}.example\n", witness(index));
            text.push_str(&line);
        }
        text + "group X 2 X1 X2 X3\ngroup Y any Y1 Y2\ngroup both all X Y\nquorum both\n"
    }

    #[test]
    fn a_quorum_is_met_when_its_last_needed_witness_signs() {
        let policy = WitnessPolicy::parse(&two_levels()).unwrap();
        let met = |signed: &[(&str, u64)]| policy.met_at(&signed.iter().copied().collect());
        assert_eq!(met(&[("X1", 5), ("X3", 9), ("Y2", 7), ("X2", 20)]), Some(9));
        assert_eq!(met(&[("X1", 5), ("X3", 9), ("X2", 20)]), None);
        assert_eq!(met(&[("X1", 5), ("Y1", 9), ("Y2", 20)]), None);
        assert_eq!(met(&[]), None);
    }

    #[test]
    fn what_the_specification_forbids_is_refused_by_line() {
        let good = two_levels();
        for (from, to, line) in [
            ("quorum both\n", "", 12),
            ("quorum both\n", "quorum both\nquorum X\n", 12),
            ("quorum both", "quorum nobody", 11),
            ("group X 2 X1", "group X 4 X1", 8),
            ("group X 2 X1", "group X 0 X1", 8),
            ("group Y any Y1", "group Y any X1", 9),
            ("group Y any Y1", "group none any Y1", 9),
            ("witness X2", "witness X1", 4),
            ("witness Y1 ", "witness Y1 x", 6),
            ("# two levels", "what is this", 1),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(WitnessPolicy::parse(&bad).unwrap_err().line, line, "{to}");
        }
        let twice = good.replace(&witness(2), &witness(1));
        assert_eq!(WitnessPolicy::parse(&twice).unwrap_err().line, 4);
        // A log's key is no witness's.
        let wrong = good.replace(&witness(2), &NoteKey::log("w2", key(2)).to_text());
        assert_eq!(WitnessPolicy::parse(&wrong).unwrap_err().line, 4);
        assert!(!WitnessPolicy::parse("quorum none").unwrap().has_quorum());
    }
}
