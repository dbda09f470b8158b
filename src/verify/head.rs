//! Section 4: checkpoints, the mutable head, what the root keys anchored, and the caller's pins.

use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::evidence::keyring::{Anchor, CheckedKeyring, KeyStatus};
use crate::evidence::layout;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keyring::Keyrings;
use super::log::Log;
use super::verdict::PinnedAt;
use super::{FailureCode, Policy, Verification};
use crate::evidence::checkpoint::Checkpoint;

impl Verification<'_> {
    pub(super) fn check_heads(&mut self, keyrings: Option<&Keyrings>, log: &Log) {
        let keyring = keyrings.and_then(Keyrings::newest);
        self.check_checkpoints(keyring, log);
        self.check_mutable_head(log);
        if let Some(keyrings) = keyrings {
            self.check_anchors(keyrings, log);
        }
        self.check_cosignatures(keyrings, log);
        self.check_timestamps(log);
        self.check_pins(log);
        self.check_freshness(keyring, log);
        self.verdict.head = log.root(log.size()).map(|root| Checkpoint {
            origin: self.verdict.origin.clone(),
            size: log.size(),
            root,
        });
    }

    fn check_checkpoints(&mut self, keyring: Option<&CheckedKeyring>, log: &Log) {
        let sizes: Vec<u64> = self.checkpoints.iter().copied().collect();
        // A tail that only checkpoints still know of is one finding.
        let newest = sizes.last().copied().unwrap_or(0);
        if newest > log.size() {
            self.report_truncated(newest, &layout::checkpoint(newest), log);
        }
        for size in sizes {
            self.check_checkpoint(size, keyring, log);
        }
        for entry in log.entries.values().filter(|entry| !entry.faulty) {
            let size = entry.seq + 1;
            if !self.checkpoints.contains(&size) {
                self.verdict.report(FailureCode::CheckpointMissing, layout::checkpoint(size));
            }
        }
    }

    fn check_checkpoint(&mut self, size: u64, keyring: Option<&CheckedKeyring>, log: &Log) {
        let path = layout::checkpoint(size);
        let Some(bytes) = self.read(&path) else { return };
        if let Some(stated) = self.check_note(&path, size, &bytes, keyring) {
            self.compare_root(FailureCode::CheckpointRootMismatch, &path, size, &stated.root, log);
        }
    }

    /// A checkpoint apart from all statements: its form, its origin and its signature.
    pub(super) fn check_note(
        &mut self,
        path: &str,
        size: u64,
        bytes: &[u8],
        keyring: Option<&CheckedKeyring>,
    ) -> Option<Checkpoint> {
        self.verdict.checked.checkpoints += 1;
        let note = match SignedCheckpoint::parse(bytes) {
            Ok(note) => note,
            Err(error) => {
                self.verdict.report(FailureCode::CheckpointMalformed, path).found(error);
                return None;
            }
        };
        let Some(keyring) = keyring else {
            self.verdict.checked.not_checked += 1;
            return None;
        };
        let stated = &note.checkpoint;
        if stated.origin != keyring.keyring.origin {
            self.verdict
                .report(FailureCode::OriginMismatch, path)
                .expected(&keyring.keyring.origin)
                .found(&stated.origin);
            return None;
        }
        self.verdict.checked.signatures += 1;
        let signer = size.checked_sub(1).and_then(|seq| keyring.signer_at(seq));
        if !signer.is_some_and(|(_, key)| note.verifies(key)) {
            // The key that may not sign the statement signed its checkpoint too: one fault.
            if size.checked_sub(1).is_some_and(|seq| self.has_key_fault(&layout::envelope(seq)))
                && keyring.log_keys().any(|key| note.verifies(key))
            {
                self.verdict.checked.not_checked += 1;
                return None;
            }
            self.verdict.report(FailureCode::CheckpointSignatureInvalid, path);
            return None;
        }
        if stated.size != size {
            self.verdict
                .report(FailureCode::CheckpointMalformed, path)
                .expected(format!("size {size}"))
                .found(stated.size);
            return None;
        }
        Some(note.checkpoint)
    }

    fn has_key_fault(&self, envelope: &str) -> bool {
        self.verdict.findings.iter().any(|finding| {
            matches!(finding.code, FailureCode::SignedAfterRevocation | FailureCode::KeyOutOfWindow)
                && finding.object == envelope
        })
    }

    /// Compares a stated root with the recomputed one, where the latter rests on sound statements.
    fn compare_root(
        &mut self,
        code: FailureCode,
        path: &str,
        size: u64,
        stated: &Digest,
        log: &Log,
    ) -> bool {
        match log.root(size) {
            Some(root) if root == *stated => true,
            Some(root) if log.is_sound(size) => {
                let base64 = |digest: &Digest| STANDARD.encode(digest.as_bytes());
                self.verdict.report(code, path).expected(base64(&root)).found(base64(stated));
                false
            }
            _ => {
                self.verdict.checked.not_checked += 1;
                false
            }
        }
    }

    /// `checkpoint` is a copy of one of `checkpoints/`, best of the newest.
    fn check_mutable_head(&mut self, log: &Log) {
        if !self.has_head {
            return;
        }
        let Some(head) = self.read(layout::HEAD) else { return };
        let mut sizes = self.checkpoints.clone();
        let Some(newest) = sizes.pop_last() else { return };
        let Some(is_newest) = self.is_copy_of(&head, newest) else { return };
        if is_newest {
            return;
        }
        let note = SignedCheckpoint::parse(&head);
        let older = note.as_ref().ok().map(|note| note.checkpoint.size);
        let older = older.filter(|size| *size < newest && self.checkpoints.contains(size));
        let is_older = match older {
            Some(size) => match self.is_copy_of(&head, size) {
                Some(is_older) => is_older,
                None => return,
            },
            None => false,
        };
        match note {
            Ok(note) if is_older => {
                self.verdict
                    .report(FailureCode::HeadRolledBack, layout::HEAD)
                    .expected(newest)
                    .found(note.checkpoint.size);
            }
            // The checkpoint of which it is a copy is broken or missing, and that has been said.
            Ok(note) if self.is_reported(note.checkpoint.size) => {}
            Ok(note) if note.checkpoint.size > log.size() => {
                self.report_truncated(note.checkpoint.size, layout::HEAD, log);
            }
            Ok(_) => {
                self.verdict
                    .report(FailureCode::CheckpointMalformed, layout::HEAD)
                    .expected(format!("a copy of {}", layout::checkpoint(newest)));
            }
            Err(error) => {
                self.verdict.report(FailureCode::CheckpointMalformed, layout::HEAD).found(error);
            }
        }
    }

    /// Has a checkpoint these bytes? `None` when it cannot be read, which is then said.
    fn is_copy_of(&mut self, head: &[u8], size: u64) -> Option<bool> {
        let path = layout::checkpoint(size);
        if self.is_reported(size) {
            return Some(self.archive.read(&path).is_ok_and(|bytes| bytes == head));
        }
        self.read(&path).map(|bytes| bytes == head)
    }

    fn is_reported(&self, size: u64) -> bool {
        let path = layout::checkpoint(size);
        self.verdict.findings.iter().any(|finding| finding.object == path)
    }

    /// Section 5: what the root keys saw of the log when they signed.
    fn check_anchors(&mut self, keyrings: &Keyrings, log: &Log) {
        for keyring in keyrings.iter() {
            let path = layout::keyring(keyring.keyring.version);
            for anchor in keyring.keyring.anchors() {
                self.check_anchor(&path, anchor, log);
            }
        }
        let Some(newest) = keyrings.newest() else { return };
        for signer in newest.keyring.signers.iter().filter(|s| s.status == KeyStatus::Revoked) {
            let Some(revocation) = &signer.revocation else { continue };
            let Some(since) = &revocation.compromised_since else { continue };
            for entry in log.entries.values() {
                let Some(statement) = &entry.statement else { continue };
                let seq = entry.seq;
                let by_signer = signer.from_seq <= seq && seq < revocation.last_good.size;
                if by_signer && statement.predicate.time.created >= *since {
                    self.verdict
                        .report(FailureCode::SuspectWindow, layout::statement(seq))
                        .found(format!("key {} suspect since {since}", signer.keyid));
                }
            }
        }
    }

    fn check_anchor(&mut self, path: &str, anchor: &Anchor, log: &Log) {
        let root = STANDARD.decode(&anchor.root).ok().and_then(|bytes| bytes.try_into().ok());
        let Some(root) = root.map(Digest::from_bytes) else {
            self.verdict.report(FailureCode::KeyringMalformed, path).found("an anchor's root");
            return;
        };
        if anchor.size > log.size() {
            self.report_truncated(anchor.size, path, log);
            return;
        }
        self.compare_root(FailureCode::HistoryRewritten, path, anchor.size, &root, log);
    }

    fn check_pins(&mut self, log: &Log) {
        let Policy { pins, own_heads, .. } = self.policy;
        if pins.is_empty() && self.verdict.pinned.is_none() {
            let finding = self.verdict.report(FailureCode::HeadUnpinned, layout::HEAD);
            if !own_heads.is_empty() {
                finding.expected("a pin that was kept elsewhere").found(
                    "a pin that lies in the archive itself, which proves nothing about the archive",
                );
            }
        }
        // Nothing was read that names the chain.
        if self.verdict.origin.is_empty() && self.verdict.has_unread() {
            self.verdict.checked.not_checked += (pins.len() + own_heads.len()) as u64;
            return;
        }
        for (pin, is_own) in
            pins.iter().map(|pin| (pin, false)).chain(own_heads.iter().map(|pin| (pin, true)))
        {
            if pin.origin != self.verdict.origin {
                let found = self.verdict.origin.clone();
                self.verdict
                    .report(FailureCode::OriginMismatch, "--pin")
                    .expected(&pin.origin)
                    .found(found);
                continue;
            }
            if pin.size > log.size() {
                self.report_truncated(pin.size, "the pin", log);
                continue;
            }
            let code = FailureCode::CheckpointInconsistent;
            let object = layout::checkpoint(pin.size);
            if self.compare_root(code, &object, pin.size, &pin.root, log) && !is_own {
                let known = self.verdict.pinned.as_ref().map_or(0, |pinned| pinned.size);
                self.verdict.pinned = Some(PinnedAt { size: pin.size.max(known), of: log.size() });
            }
        }
    }

    /// What has come to its end: the keyring, before the newest bundle or since; and the archive, before a run that
    /// the newest bundle says is due next.
    fn check_freshness(&mut self, keyring: Option<&CheckedKeyring>, log: &Log) {
        // A displaced statement at the end is a fault of its own and makes nothing older.
        let dated =
            log.entries.values().filter_map(|entry| Some((entry, entry.statement.as_ref()?)));
        let newest = dated.max_by_key(|(_, statement)| &statement.predicate.time.period_end);
        self.check_expiry(keyring, newest.map(|(_, statement)| &*statement.predicate.time.created));
        let Some((entry, statement)) = newest else { return };
        if log.is_unread_after(entry.seq) {
            return;
        }
        // Whoever gave the head of the whole log says where the archive ends.
        let is_closed = self.verdict.pinned.as_ref().is_some_and(|pinned| pinned.size == pinned.of);
        if is_closed && !self.policy.live {
            return;
        }
        let time = &statement.predicate.time;
        let Some(schedule) = &time.schedule else { return };
        let Some(next) = instant::parse(&schedule.next) else { return };
        let late = self.policy.now.as_second() - next.as_second();
        if late > i64::try_from(self.policy.grace_seconds).unwrap_or(i64::MAX) {
            self.verdict
                .report(FailureCode::StaleHead, layout::statement(entry.seq))
                .expected(format!("a bundle of the run that was due {}", schedule.next))
                .found(format!("it ends {}", time.period_end));
        }
    }

    fn check_expiry(&mut self, keyring: Option<&CheckedKeyring>, newest: Option<&str>) {
        let Some(keyring) = keyring else { return };
        let Some(expires) = instant::parse(&keyring.keyring.expires) else { return };
        // A date in the future is a fault of its own, and says nothing of the keyring.
        let made = newest
            .and_then(instant::parse)
            .filter(|made| expires < *made && *made <= self.policy.now);
        let (code, at) = match made {
            Some(made) => (FailureCode::KeyringExpired, made),
            None if expires < self.policy.now => (FailureCode::StaleKeyring, self.policy.now),
            None => return,
        };
        self.verdict
            .report(code, layout::keyring(keyring.keyring.version))
            .expected(format!("valid at {}", instant::format(at)))
            .found(format!("expired {}", instant::format(expires)));
    }
}
