//! Sections 2 and 3: statements and their signatures, one by one, then as a chain.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::canonical::CanonicalError;
use crate::evidence::digest::Digest;
use crate::evidence::envelope::{Envelope, STATEMENT_TYPE};
use crate::evidence::instant;
use crate::evidence::keyring::KeyStatus;
use crate::evidence::layout;
use crate::evidence::merkle::{RootBuilder, leaf_hash};
use crate::evidence::statement::{Statement, StatementError};

use super::keyring::Keyrings;
use super::{FailureCode, Verification};

/// How far ahead of the verifier's clock a statement may be dated, in seconds.
pub const CLOCK_SKEW_SECONDS: i64 = 300;

/// A statement as it could be established.
pub(super) struct LogEntry {
    /// Position by file name.
    pub(super) seq: u64,
    /// Its bytes: the signed ones if the signature holds, else those of the file.
    pub(super) bytes: Vec<u8>,
    /// Read from `bytes`.
    pub(super) statement: Option<Statement>,
    /// Has it a fault of its own? Then nothing is concluded from it.
    pub(super) faulty: bool,
}

/// All statements in order of position.
#[derive(Default)]
pub(super) struct Log {
    pub(super) entries: BTreeMap<u64, LogEntry>,
    /// Root after each position, as far as every statement up to it could be established.
    roots: BTreeMap<u64, Digest>,
    /// Positions whose statement and envelope could not be read.
    unread: BTreeSet<u64>,
    /// Are those roots made of statements without a fault only?
    sound_size: u64,
}

impl Log {
    /// Number of positions, counting holes.
    pub(super) fn size(&self) -> u64 {
        let known = self.entries.last_key_value().map(|(seq, _)| *seq);
        known.max(self.unread.last().copied()).map_or(0, |seq| seq + 1)
    }

    /// Could nothing be read of a position after this one?
    pub(super) fn is_unread_after(&self, seq: u64) -> bool {
        self.unread.last().is_some_and(|unread| *unread > seq)
    }

    /// Root of the first `size` statements; `None` when one of them could not be established.
    pub(super) fn root(&self, size: u64) -> Option<Digest> {
        if size == 0 { Some(Digest::of(b"")) } else { self.roots.get(&size).copied() }
    }

    /// Do the first `size` statements have no fault?
    pub(super) fn is_sound(&self, size: u64) -> bool {
        size <= self.sound_size
    }
}

impl Verification<'_> {
    /// One statement alone, as if the rest of the log were not there.
    pub(super) fn check_single(&mut self, seq: u64, keyrings: Option<&Keyrings>) -> Log {
        let mut log = Log::default();
        if let Some(entry) = self.check_statement(seq, keyrings) {
            log.entries.insert(seq, entry);
        }
        self.check_places(&mut log);
        self.check_chain(&mut log, keyrings);
        self.check_times(&log);
        log
    }

    /// A statement beside the one before it, and its bundle.
    pub(super) fn check_draft(&mut self, seq: u64, keyrings: Option<&Keyrings>) {
        let mut log = Log::default();
        for seq in seq.checked_sub(1).into_iter().chain([seq]) {
            let before = self.verdict.findings.len();
            if let Some(mut entry) = self.check_statement(seq, keyrings) {
                // That it is not signed yet is no fault of what it says.
                let found = self.verdict.findings.iter().skip(before);
                entry.faulty =
                    found.into_iter().any(|finding| finding.code != FailureCode::UnsignedClaim);
                log.entries.insert(seq, entry);
            }
        }
        self.check_places(&mut log);
        self.check_chain(&mut log, keyrings);
        self.check_times(&log);
        log.entries.retain(|place, _| *place == seq);
        self.check_bundles(&log);
    }

    pub(super) fn check_log(&mut self, keyrings: Option<&Keyrings>) -> Log {
        let places: BTreeSet<u64> = self.statements.union(&self.envelopes).copied().collect();
        let mut log = Log::default();
        let mut next = 0;
        for &seq in &places {
            // One finding for a run of holes, at its first position. It may be long: a file can have
            // any number in its name.
            if seq > next {
                self.verdict.report(FailureCode::BundleMissing, layout::statement(next));
            }
            next = seq + 1;
            if let Some(entry) = self.check_statement(seq, keyrings) {
                log.entries.insert(seq, entry);
            } else if self.is_unread(&layout::statement(seq))
                || self.is_unread(&layout::envelope(seq))
            {
                log.unread.insert(seq);
            }
        }
        if places.is_empty() {
            self.verdict
                .report(FailureCode::GenesisInvalid, layout::statement(0))
                .found("the archive has no statement");
        }
        self.check_places(&mut log);
        self.check_chain(&mut log, keyrings);
        self.check_times(&log);
        log.compute_roots();
        log
    }

    /// A statement and its signature, apart from all others.
    fn check_statement(&mut self, seq: u64, keyrings: Option<&Keyrings>) -> Option<LogEntry> {
        let path = layout::statement(seq);
        self.verdict.checked.statements += 1;
        let errors = self.verdict.findings.len();
        let file = if self.statements.contains(&seq) {
            self.read(&path)
        } else {
            self.verdict.report(FailureCode::FileMissing, &path);
            None
        };
        let signed = if self.envelopes.contains(&seq) {
            self.check_envelope(seq, keyrings)
        } else {
            self.verdict.report(FailureCode::UnsignedClaim, &path);
            None
        };
        let bytes = match (signed, file) {
            (Some(signed), Some(file)) => {
                if signed != file {
                    self.verdict
                        .report(FailureCode::PayloadCopyMismatch, &path)
                        .expected(Digest::of(&signed))
                        .found(Digest::of(&file));
                }
                signed
            }
            (Some(bytes), None) | (None, Some(bytes)) => bytes,
            (None, None) => return None,
        };
        let sound_so_far = self.verdict.findings.len() == errors;
        let statement = match Statement::parse(&bytes) {
            Ok(statement) => Some(statement),
            Err(error) => {
                // Bytes that already have a fault are not reported a second time.
                if sound_so_far {
                    self.verdict.report(code_of(&error), &path).found(error);
                }
                None
            }
        };
        let faulty = self.verdict.findings.len() > errors;
        Some(LogEntry { seq, bytes, statement, faulty })
    }

    /// The payload, if the envelope is in its form and its signature holds (or cannot be judged
    /// for want of a keyring).
    fn check_envelope(&mut self, seq: u64, keyrings: Option<&Keyrings>) -> Option<Vec<u8>> {
        let path = layout::envelope(seq);
        let bytes = self.read(&path)?;
        let envelope = match Envelope::parse(&bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.verdict.report(FailureCode::EnvelopeMalformed, path).found(error);
                return None;
            }
        };
        if envelope.payload_type != STATEMENT_TYPE {
            self.verdict
                .report(FailureCode::WrongPayloadType, path)
                .expected(STATEMENT_TYPE)
                .found(envelope.payload_type);
            return None;
        }
        let [signature] = envelope.signatures.as_slice() else {
            self.verdict
                .report(FailureCode::SignatureCount, path)
                .expected(1)
                .found(envelope.signatures.len());
            return None;
        };
        let Some(keyring) = keyrings.and_then(Keyrings::newest) else {
            self.verdict.checked.not_checked += 1;
            return Some(envelope.payload);
        };
        let Some((signer, key)) = keyring.signer(signature.key) else {
            self.verdict.report(FailureCode::KeyUnknown, path).found(signature.key);
            return None;
        };
        self.verdict.checked.signatures += 1;
        if !key.verifies(&envelope.signed_bytes(), &signature.bytes) {
            self.verdict.report(FailureCode::SignatureInvalid, path).found(signature.key);
            return None;
        }
        let after_revocation =
            signer.revocation.as_ref().filter(|revocation| seq >= revocation.last_good.size);
        if signer.status == KeyStatus::Revoked && after_revocation.is_some() {
            self.verdict.report(FailureCode::SignedAfterRevocation, path).found(signature.key);
            return None;
        }
        if seq < signer.from_seq || signer.until_seq.is_some_and(|until| seq > until) {
            let until = signer.until_seq.map_or("no end".to_owned(), |until| until.to_string());
            self.verdict
                .report(FailureCode::KeyOutOfWindow, path)
                .expected(format!("{} to {until}", signer.from_seq))
                .found(seq);
            return None;
        }
        Some(envelope.payload)
    }

    /// Does every statement stand where it says? A displaced one is named for what it is.
    fn check_places(&mut self, log: &mut Log) {
        let stated: BTreeMap<u64, u64> = log
            .entries
            .values()
            .filter_map(|entry| Some((entry.seq, entry.statement.as_ref()?.predicate.chain.seq)))
            .collect();
        // A run of statements moved by the same distance has one cause: its first one is named.
        let mut shift = None;
        for (&place, &says) in stated.iter().filter(|(place, says)| place != says) {
            let path = layout::statement(place);
            let same_bytes = |other: u64| {
                let bytes = |seq: u64| log.entries.get(&seq).map(|entry| &entry.bytes);
                bytes(other) == bytes(place)
            };
            let is_sound_at_its_place = |other: u64| {
                !same_bytes(other)
                    && stated.get(&other) == Some(&other)
                    && [other, place]
                        .iter()
                        .all(|seq| log.entries.get(seq).is_some_and(|entry| !entry.faulty))
            };
            let distance = (place.wrapping_sub(1), says.wrapping_sub(1));
            if stated.get(&says) == Some(&place) {
                if place < says {
                    self.verdict
                        .report(FailureCode::BundleReordered, path)
                        .expected(format!("statement {place}"))
                        .found(format!("statement {says}; {place} stands in its place"));
                }
            } else if is_sound_at_its_place(says) {
                self.verdict
                    .report(FailureCode::Fork, path)
                    .expected(format!("no other statement {says} than {}", layout::statement(says)))
                    .found("another one, signed by the key of that place");
            } else if same_bytes(says) {
                self.verdict
                    .report(FailureCode::BundleDuplicated, path)
                    .found(format!("the same as {}", layout::statement(says)));
            } else if shift == Some(distance) {
                self.verdict.checked.not_checked += 1;
                shift = Some((place, says));
            } else {
                shift = Some((place, says));
                self.verdict.report(FailureCode::SeqMismatch, path).expected(place).found(says);
            }
            if let Some(entry) = log.entries.get_mut(&place) {
                entry.faulty = true;
            }
        }
    }

    fn check_chain(&mut self, log: &mut Log, keyrings: Option<&Keyrings>) {
        let origin = keyrings
            .and_then(Keyrings::newest)
            .map(|keyring| keyring.keyring.origin.clone())
            .or_else(|| {
                let first = log.entries.values().find_map(|entry| entry.statement.as_ref())?;
                Some(first.predicate.chain.origin.clone())
            })
            .unwrap_or_default();
        self.verdict.origin.clone_from(&origin);
        let mut newly_faulty = Vec::new();
        for entry in log.entries.values().filter(|entry| !entry.faulty) {
            let Some(statement) = &entry.statement else { continue };
            let chain = &statement.predicate.chain;
            let path = layout::statement(entry.seq);
            if chain.origin != origin {
                self.verdict
                    .report(FailureCode::OriginMismatch, path)
                    .expected(&origin)
                    .found(&chain.origin);
                newly_faulty.push(entry.seq);
                continue;
            }
            let prev = chain.prev.map(|prev| prev.sha256);
            let Some(before) = entry.seq.checked_sub(1) else {
                if prev.is_some() {
                    self.verdict.report(FailureCode::GenesisInvalid, path).expected("prev: null");
                    newly_faulty.push(entry.seq);
                }
                continue;
            };
            match log.entries.get(&before) {
                Some(before) if !before.faulty => {
                    let expected = Digest::of(&before.bytes);
                    if prev != Some(expected) {
                        self.verdict
                            .report(FailureCode::PrevMismatch, path)
                            .expected(expected)
                            .found(prev.map_or("null".to_owned(), |digest| digest.to_string()));
                        newly_faulty.push(entry.seq);
                    }
                }
                _ => self.verdict.checked.not_checked += 1,
            }
            if let Some(keyrings) = keyrings {
                let named = statement.predicate.keyring;
                let known = keyrings.version(named.version).map(|keyring| keyring.digest);
                if known != Some(named.sha256) {
                    self.verdict
                        .report(FailureCode::KeyringRolledBack, layout::statement(entry.seq))
                        .expected(format!("keyring {} {}", named.version, named.sha256))
                        .found(known.map_or("none".to_owned(), |digest| digest.to_string()));
                }
            }
        }
        for seq in newly_faulty {
            if let Some(entry) = log.entries.get_mut(&seq) {
                entry.faulty = true;
            }
        }
    }

    fn check_times(&mut self, log: &Log) {
        let mut before: Option<(u64, &Statement)> = None;
        for entry in log.entries.values().filter(|entry| !entry.faulty) {
            let Some(statement) = &entry.statement else { continue };
            let time = &statement.predicate.time;
            let path = layout::statement(entry.seq);
            let created = instant::parse(&time.created);
            let ahead = created.is_some_and(|at| {
                at.as_second() > self.policy.now.as_second() + CLOCK_SKEW_SECONDS
            });
            if ahead {
                self.verdict
                    .report(FailureCode::TimeInFuture, &path)
                    .expected(format!("at most {}", instant::format(self.policy.now)))
                    .found(&time.created);
            }
            if let Some((seq, earlier)) = before
                && seq + 1 == entry.seq
            {
                self.check_period(&path, statement, earlier);
            }
            before = Some((entry.seq, statement));
        }
    }

    fn check_period(&mut self, path: &str, statement: &Statement, earlier: &Statement) {
        let (time, before) = (&statement.predicate.time, &earlier.predicate.time);
        // The one form in which instants are written sorts like time itself.
        if time.created < before.created {
            self.verdict
                .report(FailureCode::TimeNotMonotonic, path)
                .expected(format!("not before {}", before.created))
                .found(&time.created);
        }
        if time.period_start < before.period_end {
            self.verdict
                .report(FailureCode::PeriodOverlap, path)
                .expected(format!("not before {}", before.period_end))
                .found(&time.period_start);
        }
        let gap = statement.predicate.gap.as_ref();
        let declared = |until: &String| {
            gap.is_some_and(|gap| gap.from <= before.period_end && gap.to >= *until)
        };
        if time.period_start > before.period_end {
            let (from, to) = (&before.period_end, &time.period_start);
            if declared(to) {
                self.verdict
                    .report(FailureCode::PeriodGapDeclared, path)
                    .found(format!("no bundle from {from} to {to}"));
            } else {
                self.verdict
                    .report(FailureCode::PeriodGapUndeclared, path)
                    .expected(format!("a period that begins {from}"))
                    .found(to);
            }
        } else if let Some(next) = before.schedule.as_ref().map(|schedule| &schedule.next)
            && *next <= time.created
            && time.schedule.as_ref().and_then(|schedule| schedule.due.as_ref()) != Some(next)
            && !declared(next)
        {
            self.verdict
                .report(FailureCode::PeriodGapUndeclared, path)
                .expected(format!("a word on the run that was due {next}"))
                .found("none");
        }
    }
}

impl Log {
    fn compute_roots(&mut self) {
        let mut tree = RootBuilder::default();
        let mut sound = true;
        for seq in 0..self.size() {
            let Some(entry) = self.entries.get(&seq) else { break };
            tree.push(leaf_hash(&entry.bytes));
            self.roots.insert(seq + 1, tree.root());
            sound &= !entry.faulty;
            if sound {
                self.sound_size = seq + 1;
            }
        }
    }
}

fn code_of(error: &StatementError) -> FailureCode {
    match error {
        StatementError::TooLarge { .. } => FailureCode::StatementTooLarge,
        StatementError::Canonical(CanonicalError::DuplicateKey(_)) => FailureCode::DuplicateJsonKey,
        StatementError::Canonical(_) => FailureCode::NonCanonicalPayload,
        StatementError::WrongType { .. } => FailureCode::WrongPredicateType,
        StatementError::UnsupportedVersion { .. } => FailureCode::UnsupportedVersion,
        StatementError::Shape(_) => FailureCode::StatementMalformed,
    }
}
