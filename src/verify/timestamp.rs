//! Section 4: RFC 3161 timestamps, looked at when the auditor names authorities.

use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::instant;
use crate::evidence::layout;
use crate::evidence::timestamp;

use super::log::{CLOCK_SKEW_SECONDS, Log};
use super::verdict::Stamped;
use super::{FailureCode, Verification};

impl Verification<'_> {
    pub(super) fn check_timestamps(&mut self, log: &Log) {
        for size in std::mem::take(&mut self.timestamps) {
            self.check_timestamp(size, log);
        }
    }

    fn check_timestamp(&mut self, size: u64, log: &Log) {
        let Some(authorities) = self.policy.authorities.as_ref() else { return };
        let path = layout::timestamp(size);
        if size > log.size() {
            self.report_truncated(size, &path, log);
            return;
        }
        let Some(bytes) = self.read(&path) else { return };
        let Some(root) = log.root(size).filter(|_| log.is_sound(size)) else {
            self.verdict.checked.not_checked += 1;
            return;
        };
        let checkpoint = Checkpoint { origin: self.verdict.origin.clone(), size, root };
        self.verdict.checked.signatures += 1;
        let token = match timestamp::verify(&bytes, checkpoint.body().as_bytes(), authorities) {
            Ok(token) => token,
            Err(error) => {
                self.verdict.report(FailureCode::TimestampInvalid, path).found(error);
                return;
            }
        };
        let at = token.time.as_second();
        if at > self.policy.now.as_second().saturating_add(CLOCK_SKEW_SECONDS) {
            self.verdict
                .report(FailureCode::TimestampInvalid, path)
                .expected("a time before this verification")
                .found(instant::format(token.time));
            return;
        }
        let newest = size.checked_sub(1).and_then(|seq| log.entries.get(&seq)?.statement.as_ref());
        let created = newest.and_then(|s| instant::parse(&s.predicate.time.created));
        let accuracy = i64::try_from(token.accuracy_seconds).unwrap_or(i64::MAX);
        let latest = at.saturating_add(accuracy).saturating_add(CLOCK_SKEW_SECONDS);
        if let Some(created) = created.filter(|created| created.as_second() > latest) {
            self.verdict
                .report(FailureCode::TimestampContradicts, path)
                .expected(format!("not before {}", instant::format(created)))
                .found(instant::format(token.time));
            return;
        }
        self.verdict.stamped =
            Some(Stamped { size, at: instant::format(token.time), authority: token.authority });
    }
}
