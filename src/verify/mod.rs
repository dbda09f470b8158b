//! The one way to verify an archive. Bytes are authenticated first and parsed afterwards; nothing
//! is believed that can be recomputed; trust comes from the caller alone.
//!
//! The steps run in the order of the format's document: `keyring`, `log`, `head`, `bundle`.
//! Every fault is reported once, at its cause: what depends on a broken object is counted in
//! [`Checked::not_checked`] and not reported again.

pub mod bundle;
mod disclosure;
mod head;
mod keyring;
mod log;
pub mod pin;
mod replay;
mod timestamp;
pub mod verdict;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use crate::escape::visible;
use crate::evidence::canonical;
use crate::evidence::digest::Digest;
use crate::evidence::key::KeyId;
use crate::evidence::layout::{self, Place};
use crate::evidence::timestamp::Authorities;
pub use disclosure::{DisclosureVerdict, verify_disclosure};
pub use log::CLOCK_SKEW_SECONDS;
use pin::Pin;
pub use verdict::{Checked, FailureCode, Finding, Level, Verdict};
pub use witness::{WitnessPolicy, WitnessPolicyError};

/// Read access to an archive, wherever it lies.
pub trait Archive {
    /// Everything below the root, in any order.
    ///
    /// # Errors
    /// [`ReadFailure`] when the archive cannot be listed.
    fn list(&self) -> Result<Vec<Entry>, ReadFailure>;

    /// The bytes at a path.
    ///
    /// # Errors
    /// [`ReadFailure`] when they cannot be read, also when nothing is there.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure>;

    /// SHA-256 and length of the bytes at a path, without holding them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        let bytes = self.read(path)?;
        Ok((Digest::of(&bytes), bytes.len() as u64))
    }
}

/// Something in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root, with `/`.
    pub path: String,
    /// Is it a regular file?
    pub is_file: bool,
}

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{}`: {}", visible(path), visible(reason))]
pub struct ReadFailure {
    /// Where.
    pub path: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub help: &'static str,
}

impl ReadFailure {
    /// A failure without advice of its own.
    #[must_use]
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        let help = "check the path and the permissions";
        Self { path: path.into(), reason: reason.into(), help }
    }
}

/// What the caller trusts and wants.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Fingerprints of root keys, or digests of the first keyring's payload, learnt by other means.
    pub roots: BTreeSet<KeyId>,
    /// Heads learnt by other means.
    pub pins: Vec<Pin>,
    /// Heads that were read from the archive itself: they must hold too, and pin nothing.
    pub own_heads: Vec<Pin>,
    /// The time to verify at.
    pub now: Timestamp,
    /// Check the bundles' files too, not the chain alone.
    pub deep: bool,
    /// Assess the sealed inputs again.
    pub replay: bool,
    /// Whose cosignatures are asked for.
    pub witnesses: Option<WitnessPolicy>,
    /// Whose timestamps are believed.
    pub authorities: Option<Authorities>,
    /// Is the archive in use, so that a run that was due and left no bundle is a fault? Evidence that was handed over
    /// ends where it ends.
    pub live: bool,
    /// Seconds after which a bundle that was due is late.
    pub grace_seconds: u64,
}

/// [`Policy::grace_seconds`], unless the caller says otherwise: a run takes its time.
pub const GRACE_SECONDS: u64 = 3600;

impl Policy {
    /// Everything but what costs extra: trust in these root keys, at this time, files included.
    #[must_use]
    pub fn new(roots: BTreeSet<KeyId>, now: Timestamp) -> Self {
        Self {
            roots,
            pins: Vec::new(),
            own_heads: Vec::new(),
            now,
            deep: true,
            replay: false,
            witnesses: None,
            authorities: None,
            live: false,
            grace_seconds: GRACE_SECONDS,
        }
    }
}

/// What the steps share.
struct Verification<'a> {
    archive: &'a dyn Archive,
    policy: &'a Policy,
    verdict: Verdict,
    statements: BTreeSet<u64>,
    envelopes: BTreeSet<u64>,
    checkpoints: BTreeSet<u64>,
    keyrings: BTreeSet<u64>,
    cosignatures: Vec<String>,
    timestamps: BTreeSet<u64>,
    /// The bundles whose files were handed over, where it is not all of them.
    exported: Option<RangeInclusive<u64>>,
    bundles: BTreeMap<Digest, BTreeSet<String>>,
    has_head: bool,
}

/// Verifies an archive.
///
/// # Errors
/// [`ReadFailure`] when the archive cannot be listed at all. Everything else is in the verdict.
pub fn verify(archive: &dyn Archive, policy: &Policy) -> Result<Verdict, ReadFailure> {
    let mut verification = Verification::new(archive, policy);
    verification.verdict.deep = policy.deep;
    verification.index(archive.list()?);
    let keyring = verification.check_keyrings();
    let log = verification.check_log(keyring.as_ref());
    verification.check_heads(keyring.as_ref(), &log);
    verification.check_bundles(&log);
    Ok(verification.into_verdict())
}

/// Verifies a bundle that is about to be sealed at a place, by the same steps: its statement beside the one before
/// it, and all its files. Gives what keeps it from being verified once it is signed.
///
/// # Errors
/// [`ReadFailure`] when the archive cannot be listed at all.
pub fn verify_draft(
    archive: &dyn Archive,
    seq: u64,
    policy: &Policy,
) -> Result<Option<Finding>, ReadFailure> {
    let mut verification = Verification::new(archive, policy);
    verification.index(archive.list()?);
    let keyrings = verification.check_keyrings();
    verification.check_draft(seq, keyrings.as_ref());
    let mut findings = verification.into_verdict().findings.into_iter();
    // It is signed when it has won its place.
    Ok(findings.find(|finding| finding.is_fault() && finding.code != FailureCode::UnsignedClaim))
}

impl<'a> Verification<'a> {
    fn new(archive: &'a dyn Archive, policy: &'a Policy) -> Self {
        Self {
            archive,
            policy,
            verdict: Verdict::default(),
            statements: BTreeSet::new(),
            envelopes: BTreeSet::new(),
            checkpoints: BTreeSet::new(),
            keyrings: BTreeSet::new(),
            cosignatures: Vec::new(),
            timestamps: BTreeSet::new(),
            exported: None,
            bundles: BTreeMap::new(),
            has_head: false,
        }
    }

    fn into_verdict(self) -> Verdict {
        let mut verdict = self.verdict;
        if self.policy.live {
            for finding in verdict.findings.iter_mut().filter(|f| f.code.is_of_time()) {
                finding.level = Level::Error;
            }
        }
        // A stable sort: errors first, and among equals the order of the steps.
        verdict.findings.sort_by_key(|finding| finding.level);
        verdict
    }

    /// Section 1: what lies where, and what does not belong.
    fn index(&mut self, mut entries: Vec<Entry>) {
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        for pair in entries.windows(2) {
            if let [one, other] = pair
                && one.path == other.path
                && !layout::is_lossy(&one.path)
            {
                self.verdict.report(FailureCode::PathCollision, &other.path);
            }
        }
        entries.dedup_by(|other, one| other.path == one.path && !layout::is_lossy(&one.path));
        for Entry { path, is_file } in entries {
            let fault = if layout::is_unsafe(&path) {
                Some(FailureCode::PathUnsafe)
            } else if (!is_file || layout::is_lossy(&path)) && layout::is_beside(&path) {
                Some(FailureCode::FileUnrelated)
            } else if !is_file {
                Some(FailureCode::NotRegularFile)
            } else {
                layout::is_lossy(&path).then_some(FailureCode::PathUnsafe)
            };
            if let Some(fault) = fault {
                self.verdict.report(fault, path);
                continue;
            }
            match layout::place(&path) {
                Place::Statement(seq) => drop(self.statements.insert(seq)),
                Place::Envelope(seq) => drop(self.envelopes.insert(seq)),
                Place::Checkpoint(size) => drop(self.checkpoints.insert(size)),
                Place::Keyring(version) => drop(self.keyrings.insert(version)),
                Place::Cosignature(_) => self.cosignatures.push(path),
                Place::Timestamp(size) => drop(self.timestamps.insert(size)),
                Place::Head => self.has_head = true,
                Place::Export => self.check_export(&path),
                Place::Untrusted => {}
                Place::BundleFile(sums, inner) => {
                    if let Some(fault) = layout::path_fault(&inner) {
                        self.verdict.report(FailureCode::PathUnsafe, path).found(fault);
                    } else {
                        self.bundles.entry(sums).or_default().insert(inner);
                    }
                }
                Place::Unknown => drop(self.verdict.report(FailureCode::FileExtra, path)),
                Place::Unrelated => drop(self.verdict.report(FailureCode::FileUnrelated, path)),
            }
        }
    }

    /// Section 11: does the archive say that it is an export of some bundles?
    fn check_export(&mut self, path: &str) {
        #[derive(serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields)]
        struct Export {
            from: u64,
            to: u64,
        }
        let Some(bytes) = self.read(path) else { return };
        let export = serde_json::from_slice::<Export>(&bytes)
            .ok()
            .filter(|export| export.from <= export.to)
            .filter(|export| canonical::to_vec(export).is_ok_and(|canonical| canonical == bytes));
        match export {
            Some(Export { from, to }) => {
                self.exported = Some(from..=to);
                self.verdict
                    .report(FailureCode::PartialExport, path)
                    .found(format!("bundles {from} to {to}"));
            }
            None => drop(self.verdict.report(FailureCode::FileExtra, path)),
        }
    }

    /// Reports once that the log is shorter than somebody says.
    fn report_truncated(&mut self, size: u64, who_says: &str, log: &log::Log) {
        if self.verdict.findings.iter().any(|f| f.code == FailureCode::TailTruncated) {
            return;
        }
        self.verdict
            .report(FailureCode::TailTruncated, layout::statement(log.size()))
            .expected(format!("{size} statements, as {who_says} says"))
            .found(log.size());
    }

    /// Was it found that this file cannot be read?
    fn is_unread(&self, path: &str) -> bool {
        let unread = |finding: &Finding| {
            finding.code == FailureCode::FileUnreadable && finding.object == path
        };
        self.verdict.findings.iter().any(unread)
    }

    /// Was it found that something cannot be read that says which bundles there are: a statement, an envelope,
    /// or what was handed over?
    fn is_log_unread(&self) -> bool {
        let of_log = |path: &str| {
            matches!(layout::place(path), Place::Statement(_) | Place::Envelope(_) | Place::Export)
        };
        let unread = |finding: &Finding| {
            finding.code == FailureCode::FileUnreadable && of_log(&finding.object)
        };
        self.verdict.findings.iter().any(unread)
    }

    /// Reads a file of the archive; a file that is listed and cannot be read is reported.
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        match self.archive.read(path) {
            Ok(bytes) => Some(bytes),
            Err(failure) => {
                self.verdict.report(FailureCode::FileUnreadable, path).found(failure.reason);
                None
            }
        }
    }
}
