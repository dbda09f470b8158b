//! What a verification says: failure codes, findings and the verdict.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::instant;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not verified.
    Error,
    /// Neither verified nor refuted: it could not be read, or nothing was given to judge it by.
    Inconclusive,
    /// Verified, but something could not be known.
    Warning,
    /// Worth knowing.
    Info,
}

/// Declares the codes with their level and a plain sentence, in one place.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $level:ident, $sentence:literal;)*) => {
        /// What can be wrong with an archive (section 10 of the format).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FailureCode { $($(#[$doc])* #[doc = $sentence] $variant,)* }

        impl FailureCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How much it matters.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

codes! {
    // Files
    FileModified = "FILE_MODIFIED", Error, "The file has other bytes than the ones that were sealed.";
    FileMissing = "FILE_MISSING", Error, "A file that was sealed is not there.";
    FileExtra = "FILE_EXTRA", Error, "A file is there that was not sealed.";
    FileUnrelated = "FILE_UNRELATED", Warning, "This is no part of the archive: no signature covers it, and it was not opened.";
    FileUnreadable = "FILE_UNREADABLE", Inconclusive, "The file could not be read.";
    PathUnsafe = "PATH_UNSAFE", Error, "The path could reach outside the archive or reads differently elsewhere.";
    PathCollision = "PATH_COLLISION", Error, "Two paths are one on some systems.";
    NotRegularFile = "NOT_REGULAR_FILE", Error, "A link, device or pipe stands where a file must be.";
    SumsMalformed = "SUMS_MALFORMED", Error, "The list of sealed files is not in its form.";
    SumsModified = "SUMS_MODIFIED", Error, "The list of sealed files is not the one that was signed.";
    // Items
    ItemMalformed = "ITEM_MALFORMED", Error, "An item is not in its form.";
    ItemRootMismatch = "ITEM_ROOT_MISMATCH", Error, "The items do not have the root that was signed.";
    ItemCountMismatch = "ITEM_COUNT_MISMATCH", Error, "The number of items is not the one that was signed.";
    ItemOrder = "ITEM_ORDER", Error, "The items are not in order.";
    ItemDuplicateId = "ITEM_DUPLICATE_ID", Error, "Two items have one id.";
    InclusionProofInvalid = "INCLUSION_PROOF_INVALID", Error, "The proof does not lead from the item to the signed root.";
    SummaryMismatch = "SUMMARY_MISMATCH", Error, "The signed summary is not what the items add up to.";
    ReportMismatch = "REPORT_MISMATCH", Error, "The report's figures are not what the items add up to.";
    ReplayMismatch = "REPLAY_MISMATCH", Error, "Assessing the sealed inputs again gives other items.";
    // Statement
    EnvelopeMalformed = "ENVELOPE_MALFORMED", Error, "The signature file is not in its form.";
    PayloadCopyMismatch = "PAYLOAD_COPY_MISMATCH", Error, "The statement is not the one that was signed.";
    WrongPayloadType = "WRONG_PAYLOAD_TYPE", Error, "The signature is over something else than it stands for here.";
    WrongPredicateType = "WRONG_PREDICATE_TYPE", Error, "The statement is not about an evidence bundle.";
    NonCanonicalPayload = "NON_CANONICAL_PAYLOAD", Error, "The signed JSON has more than one reading or spelling.";
    DuplicateJsonKey = "DUPLICATE_JSON_KEY", Error, "The signed JSON has one key twice.";
    StatementTooLarge = "STATEMENT_TOO_LARGE", Error, "The statement is longer than the format allows.";
    StatementMalformed = "STATEMENT_MALFORMED", Error, "The statement lacks a field, has an unknown one, or one of the wrong form.";
    UnsupportedVersion = "UNSUPPORTED_VERSION", Error, "The statement is of a version that this program does not know.";
    SignatureInvalid = "SIGNATURE_INVALID", Error, "The signature is not the key's over these bytes.";
    SignatureCount = "SIGNATURE_COUNT", Error, "A statement has exactly one signature.";
    // Chain
    GenesisInvalid = "GENESIS_INVALID", Error, "The first statement does not begin the chain.";
    SeqMismatch = "SEQ_MISMATCH", Error, "The statement stands at another place than it says.";
    BundleMissing = "BUNDLE_MISSING", Error, "A bundle is missing from the middle of the chain.";
    BundleReordered = "BUNDLE_REORDERED", Error, "Two bundles stand in each other's place.";
    BundleDuplicated = "BUNDLE_DUPLICATED", Error, "A bundle stands in the chain a second time.";
    PrevMismatch = "PREV_MISMATCH", Error, "The statement does not follow the one before it.";
    OriginMismatch = "ORIGIN_MISMATCH", Error, "The statement belongs to another chain.";
    Fork = "FORK", Error, "Two signed statements exist for one place in the chain.";
    UnsignedClaim = "UNSIGNED_CLAIM", Error, "A statement has no signature; a run was cut off, and the next one finishes it.";
    OrphanBundle = "ORPHAN_BUNDLE", Info, "Files of a run that lost its place or was cut off; no statement names them.";
    TimeNotMonotonic = "TIME_NOT_MONOTONIC", Error, "The statement is dated before the one before it.";
    PeriodGapUndeclared = "PERIOD_GAP_UNDECLARED", Error, "Time passed that no bundle speaks for, and nobody said so.";
    PeriodGapDeclared = "PERIOD_GAP_DECLARED", Info, "Time passed that no bundle speaks for; the next bundle says so.";
    PayloadPruned = "PAYLOAD_PRUNED", Info, "Payloads were removed after their retention; a signed statement says so.";
    PeriodOverlap = "PERIOD_OVERLAP", Error, "Two bundles speak for the same time.";
    TimeInFuture = "TIME_IN_FUTURE", Error, "The statement is dated in the future.";
    // Head
    CheckpointMalformed = "CHECKPOINT_MALFORMED", Error, "The checkpoint is not in its form.";
    CheckpointSignatureInvalid = "CHECKPOINT_SIGNATURE_INVALID", Error, "The checkpoint is not signed by the key in force.";
    CheckpointRootMismatch = "CHECKPOINT_ROOT_MISMATCH", Error, "The checkpoint does not fit the statements.";
    CheckpointMissing = "CHECKPOINT_MISSING", Error, "A bundle has no checkpoint.";
    CheckpointInconsistent = "CHECKPOINT_INCONSISTENT", Error, "The archive is not the one that was pinned.";
    TailTruncated = "TAIL_TRUNCATED", Error, "The newest bundles are missing.";
    HeadRolledBack = "HEAD_ROLLED_BACK", Error, "The head stands before the newest checkpoint.";
    HeadUnpinned = "HEAD_UNPINNED", Warning, "No head from outside the archive was given: bundles that are missing at its end would go unnoticed.";
    CosignatureInvalid = "COSIGNATURE_INVALID", Error, "A witness's signature does not hold for this log.";
    QuorumNotMet = "QUORUM_NOT_MET", Error, "Too few of the witnesses that you asked for have signed.";
    TimestampInvalid = "TIMESTAMP_INVALID", Error, "The timestamp does not hold for this log, or is of no authority that you trust.";
    TimestampContradicts = "TIMESTAMP_CONTRADICTS", Error, "The timestamp is older than what it is over.";
    StaleHead = "STALE_HEAD", Warning, "The archive ends before a run that was due by its schedule: it says nothing about the time after that.";
    // Keys
    KeyringMissing = "KEYRING_MISSING", Error, "The archive has no keyring.";
    KeyringMalformed = "KEYRING_MALFORMED", Error, "The keyring is not in its form.";
    RootNotGiven = "ROOT_NOT_GIVEN", Inconclusive, "No root fingerprint was given: the archive was checked against its own keys, and anybody can make such keys. Ask its owner for the fingerprint, by another way than the archive.";
    KeyringUntrustedRoot = "KEYRING_UNTRUSTED_ROOT", Error, "The archive's root keys are not the ones that you trust.";
    KeyringThresholdNotMet = "KEYRING_THRESHOLD_NOT_MET", Error, "Too few root keys signed the keyring.";
    KeyringVersionGap = "KEYRING_VERSION_GAP", Error, "A keyring version is missing or does not follow the one before it.";
    KeyringRolledBack = "KEYRING_ROLLED_BACK", Error, "The archive lacks a keyring that its statements name.";
    KeyringExpired = "KEYRING_EXPIRED", Error, "The keyring had expired when the newest bundle was made.";
    StaleKeyring = "STALE_KEYRING", Warning, "The keyring has expired since the newest bundle: a newer one may say more about its keys.";
    HandoverMissing = "HANDOVER_MISSING", Error, "The key that was replaced did not sign its replacement.";
    KeyUnknown = "KEY_UNKNOWN", Error, "The keyring does not know the key.";
    KeySwapped = "KEY_SWAPPED", Error, "The key is not the one that its id names.";
    KeyOutOfWindow = "KEY_OUT_OF_WINDOW", Error, "The key may not sign at this place.";
    KeyWeak = "KEY_WEAK", Error, "The key is weak: signatures by it prove nothing.";
    SignedAfterRevocation = "SIGNED_AFTER_REVOCATION", Error, "The key was revoked before this place.";
    HistoryRewritten = "HISTORY_REWRITTEN", Error, "The history is not the one that the root keys anchored.";
    SuspectWindow = "SUSPECT_WINDOW", Warning, "The key may have been in other hands when this was signed.";
    // Hand-over
    DisclosureMalformed = "DISCLOSURE_MALFORMED", Error, "The disclosure is not in its form.";
    PartialExport = "PARTIAL_EXPORT", Warning, "Only some bundles were handed over: the files of the others were not looked at.";
}

impl FailureCode {
    /// Is it what time does to an archive that is whole?
    #[must_use]
    pub fn is_of_time(self) -> bool {
        matches!(self, Self::StaleHead | Self::StaleKeyring)
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for FailureCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub code: FailureCode,
    /// How much it matters.
    pub level: Level,
    /// At which file, as a path in the archive.
    pub object: String,
    /// What should be there; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What is there; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub found: String,
}

/// What was checked, in numbers: a verdict never says more than this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Keyring versions.
    pub keyrings: u64,
    /// Statements read.
    pub statements: u64,
    /// Ed25519 signatures checked.
    pub signatures: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Bundles whose files were checked.
    pub bundles: u64,
    /// Files hashed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Items read.
    pub items: u64,
    /// Bundles assessed again from their inputs.
    pub replayed: u64,
    /// Things that could not be checked because something they depend on is broken.
    pub not_checked: u64,
}

/// What the auditor was told by other means about the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedAt {
    /// Size of the log that is pinned.
    pub size: u64,
    /// Statements in the archive.
    pub of: u64,
}

/// What witnesses say of the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// The largest log for which a quorum signed.
    pub size: u64,
    /// When the quorum was met.
    pub at: String,
}

impl Witnessed {
    pub(super) fn new(size: u64, seconds: u64) -> Option<Self> {
        let at = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(Self { size, at: instant::format(at) })
    }
}

/// What an authority says of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stamped {
    /// The largest log that was stamped.
    pub size: u64,
    /// When: the log was at least that long by then.
    pub at: String,
    /// By whom.
    pub authority: String,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// Origin of the chain, if one could be read.
    pub origin: String,
    /// What was found, errors first, otherwise in the order of the steps: root causes come first.
    pub findings: Vec<Finding>,
    /// What was checked.
    pub checked: Checked,
    /// Size and root of the log as recomputed; `None` when there is none.
    #[serde(skip)]
    pub head: Option<Checkpoint>,
    /// How far the head is pinned.
    pub pinned: Option<PinnedAt>,
    /// How far witnesses vouch for the head, under the caller's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<Witnessed>,
    /// The newest timestamp, of an authority that the caller trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamped: Option<Stamped>,
    /// Were the bundles' files checked, or the chain alone?
    pub deep: bool,
}

impl Verdict {
    /// Is there no error, and was everything read?
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.first_fault().is_none()
    }

    /// The first finding that keeps the archive from being verified.
    #[must_use]
    pub fn first_fault(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.is_fault())
    }

    /// Could something not be read?
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.findings.iter().any(|finding| finding.code == FailureCode::FileUnreadable)
    }

    /// Is there a finding of this level?
    #[must_use]
    pub fn has(&self, level: Level) -> bool {
        self.findings.iter().any(|finding| finding.level == level)
    }

    pub(super) fn report(&mut self, code: FailureCode, object: impl Into<String>) -> &mut Finding {
        self.findings.push(Finding {
            code,
            level: code.level(),
            object: object.into(),
            expected: String::new(),
            found: String::new(),
        });
        let last = self.findings.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the finding was pushed on the line above")]
        &mut self.findings[last]
    }
}

impl Finding {
    /// Does it keep the archive from being verified: is it an error, or inconclusive?
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self.level, Level::Error | Level::Inconclusive)
    }

    pub(super) fn expected(&mut self, text: impl fmt::Display) -> &mut Self {
        self.expected = text.to_string();
        self
    }

    pub(super) fn found(&mut self, text: impl fmt::Display) -> &mut Self {
        self.found = text.to_string();
        self
    }
}
