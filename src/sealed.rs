//! A sealed bundle, read back for people: what the run was, by which rules, and every item. Each file is
//! compared with the digest that the statement claims for it; whether the statement itself can be
//! trusted is for [`crate::verify`] to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::escape::visible;
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::digest::Digest;
use crate::evidence::envelope::Envelope;
use crate::evidence::key::KeyId;
use crate::evidence::keyring::CheckedKeyring;
use crate::evidence::manifest::Manifest;
use crate::evidence::statement::{Statement, StatementError};
use crate::evidence::{items, layout};
use crate::framework::Framework;
use crate::record::{
    AttestationItem, CheckItem, ClusterItem, ConflictItem, ControlItem, FindingItem, GapItem,
    InputItem, MemberItem, PopulationItem, RiskItem, SourceItem, WaiverItem,
};
use crate::run::Run;
use crate::verify::pin::Pin;
use crate::verify::{Archive, ReadFailure};

/// Why a bundle cannot be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The archive could not be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// There is no such bundle.
    #[error("there is no bundle {seq}; the archive has {size}")]
    NoBundle {
        /// The number asked for.
        seq: u64,
        /// Bundles in the archive.
        size: u64,
    },
    /// The statement is not in its form.
    #[error("statement {seq}: {source}")]
    Statement {
        /// The bundle.
        seq: u64,
        /// Why.
        source: StatementError,
    },
    /// A file is not the one that was sealed.
    #[error("{}: {}", visible(path), visible(reason))]
    File {
        /// Its path in the archive.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// An item is not of its form.
    #[error("line {line} of the items: {reason}")]
    Item {
        /// Line from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// All items of a bundle, by type.
#[derive(Debug, Default)]
pub struct Items {
    /// Attestations, in order of id.
    pub attestations: Vec<AttestationItem>,
    /// Checks by check id.
    pub checks: BTreeMap<String, CheckItem>,
    /// Clusters by path of the input.
    pub clusters: BTreeMap<String, ClusterItem>,
    /// Conflicts, in order of id.
    pub conflicts: Vec<ConflictItem>,
    /// Controls by `framework@version/number`.
    pub controls: BTreeMap<String, ControlItem>,
    /// Findings, in order of id.
    pub findings: Vec<FindingItem>,
    /// Gaps, in order of id.
    pub gaps: Vec<GapItem>,
    /// Inputs by path.
    pub inputs: BTreeMap<String, InputItem>,
    /// Clusters of a fleet, in order of their inputs.
    pub members: Vec<MemberItem>,
    /// Populations by path of the input.
    pub populations: BTreeMap<String, Vec<PopulationItem>>,
    /// Risks, highest first.
    pub risks: Vec<RiskItem>,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceItem>,
    /// Waivers, in order of id.
    pub waivers: Vec<WaiverItem>,
    /// How many of each type.
    pub counts: BTreeMap<String, usize>,
}

/// Ids of the waivers in force by the finding that they cover, for one control at least.
pub type WaiversByFinding<'i> = BTreeMap<&'i str, BTreeSet<&'i str>>;

impl Items {
    /// Reads `items.jsonl`.
    ///
    /// # Errors
    /// [`SealedError::Item`].
    pub fn read(bytes: &[u8]) -> Result<Self, SealedError> {
        Self::read_kinds(bytes, |_| true)
    }

    /// Waivers in force by the finding that they cover.
    #[must_use]
    pub fn waivers_by_finding(&self) -> WaiversByFinding<'_> {
        let mut waivers = WaiversByFinding::new();
        for (finding, waiver) in self.controls.values().flat_map(|control| &control.waived) {
            waivers.entry(finding).or_default().insert(waiver);
        }
        waivers
    }

    /// Reads the items of some kinds; `counts` has all of them.
    fn read_kinds(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Self, SealedError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: String,
        }
        let mut all = Self::default();
        for line in items::lines(bytes) {
            let Kind { kind } = parse(&line)?;
            *all.counts.entry(kind.clone()).or_default() += 1;
            if !wanted(&kind) {
                continue;
            }
            match kind.as_str() {
                "attestation" => all.attestations.push(parse(&line)?),
                "check" => {
                    let item: CheckItem = parse(&line)?;
                    all.checks.insert(item.check.clone(), item);
                }
                "cluster" => {
                    let item: ClusterItem = parse(&line)?;
                    all.clusters.insert(item.input.clone(), item);
                }
                "conflict" => all.conflicts.push(parse(&line)?),
                "control" => {
                    let item: ControlItem = parse(&line)?;
                    all.controls.insert(format!("{}/{}", item.framework, item.control), item);
                }
                "finding" => all.findings.push(parse(&line)?),
                "gap" => all.gaps.push(parse(&line)?),
                "input" => {
                    let item: InputItem = parse(&line)?;
                    all.inputs.insert(item.path.clone(), item);
                }
                "member" => all.members.push(parse(&line)?),
                "population" => {
                    let item: PopulationItem = parse(&line)?;
                    all.populations.entry(item.input.clone()).or_default().push(item);
                }
                "risk" => all.risks.push(parse(&line)?),
                "source" => {
                    let item: SourceItem = parse(&line)?;
                    all.sources.insert(item.name.clone(), item);
                }
                "waiver" => all.waivers.push(parse(&line)?),
                other => {
                    let reason = format!("unknown type `{other}`");
                    return Err(SealedError::Item { line: line.number, reason });
                }
            }
        }
        Ok(all)
    }

    /// Is what this finding says usable? Findings of stale and unreadable inputs are not.
    #[must_use]
    pub fn is_usable(&self, finding: &FindingItem) -> bool {
        self.inputs
            .get(&finding.input)
            .is_some_and(|input| matches!(input.standing.as_str(), "ok" | "incomplete"))
    }

    /// Name of the source of a finding; empty when its input is not there.
    #[must_use]
    pub fn source_of(&self, finding: &FindingItem) -> &str {
        self.inputs.get(&finding.input).map_or("", |input| input.source.as_str())
    }
}

fn parse<T: DeserializeOwned>(line: &items::Line<'_>) -> Result<T, SealedError> {
    serde_json::from_slice(line.bytes)
        .map_err(|error| SealedError::Item { line: line.number, reason: error.to_string() })
}

/// A bundle as it was sealed.
#[derive(Debug)]
pub struct Bundle {
    /// Its statement.
    pub statement: Statement,
    /// Digest of the statement, which the next one names.
    pub digest: Digest,
    /// What the run was.
    pub run: Run,
    /// The frameworks of the run, in its order, with the digests of their files.
    pub frameworks: Vec<(Arc<Framework>, Digest)>,
    /// Its items.
    pub items: Items,
    /// Digest of its list of files, which names its folder.
    sums: Digest,
    manifest: Manifest,
}

/// The head of the log at a size.
fn head(archive: &dyn Archive, size: u64) -> Result<Pin, SealedError> {
    let path = layout::checkpoint(size);
    let note = SignedCheckpoint::parse(&archive.read(&path)?)
        .map_err(|error| SealedError::File { path, reason: error.to_string() })?;
    Ok(Pin::from(note.checkpoint))
}

/// The number of the newest bundle that is meant: the one asked for, or the last there is.
fn number(archive: &dyn Archive, seq: Option<u64>) -> Result<u64, SealedError> {
    let size = crate::disclose::size(archive)?;
    let seq = seq.or_else(|| size.checked_sub(1)).unwrap_or(0);
    if seq >= size { Err(SealedError::NoBundle { seq, size }) } else { Ok(seq) }
}

impl Bundle {
    /// Reads a bundle; the newest when no number is given.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn read(archive: &dyn Archive, seq: Option<u64>) -> Result<Self, SealedError> {
        Self::read_parts(archive, number(archive, seq)?, &[], Items::read)
    }

    /// Reads a bundle without its findings and risks, which are most of it. Frameworks that `known`
    /// has with the same digest are shared with it.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn read_without_findings(
        archive: &dyn Archive,
        seq: u64,
        known: &[(Arc<Framework>, Digest)],
    ) -> Result<Self, SealedError> {
        Self::read_parts(archive, number(archive, Some(seq))?, known, |bytes| {
            Items::read_kinds(bytes, |kind| !matches!(kind, "finding" | "risk"))
        })
    }

    fn read_parts(
        archive: &dyn Archive,
        seq: u64,
        known: &[(Arc<Framework>, Digest)],
        read_items: impl Fn(&[u8]) -> Result<Items, SealedError>,
    ) -> Result<Self, SealedError> {
        let Record { statement, digest, sums, manifest } = Record::read(archive, seq)?;
        let file = |inner: &str| sealed_file(archive, &manifest, &sums, inner);
        let malformed = |inner: &str, reason: String| SealedError::File {
            path: layout::bundle_file(&sums, inner),
            reason,
        };
        let run = Run::parse(&file(layout::RUN)?)
            .map_err(|error| malformed(layout::RUN, error.to_string()))?;
        let mut frameworks = Vec::new();
        for path in &run.frameworks {
            let bytes = file(path)?;
            let digest = Digest::of(&bytes);
            if let Some(same) = known.iter().find(|(_, known)| *known == digest) {
                frameworks.push(same.clone());
                continue;
            }
            let framework =
                Framework::from_json(&bytes).map_err(|error| malformed(path, error.to_string()))?;
            frameworks.push((Arc::new(framework), digest));
        }
        let items = read_items(&file(layout::ITEMS)?)?;
        Ok(Self { statement, digest, run, frameworks, items, sums, manifest })
    }

    /// Number of the bundle in its chain.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.statement.predicate.chain.seq
    }

    /// Reads one of its files and compares it with what was sealed.
    ///
    /// # Errors
    /// [`SealedError::Read`], [`SealedError::File`].
    pub fn file(&self, archive: &dyn Archive, path: &str) -> Result<Vec<u8>, SealedError> {
        sealed_file(archive, &self.manifest, &self.sums, path)
    }

    /// The head of the log before this bundle; `None` for the first.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn head_before(&self, archive: &dyn Archive) -> Result<Option<Pin>, SealedError> {
        let size = self.seq();
        if size == 0 { Ok(None) } else { head(archive, size).map(Some) }
    }

    /// The head of the log with this bundle.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn head(&self, archive: &dyn Archive) -> Result<Pin, SealedError> {
        head(archive, self.seq() + 1)
    }

    /// The keyring that was in force.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn keyring(&self, archive: &dyn Archive) -> Result<CheckedKeyring, SealedError> {
        let path = layout::keyring(self.statement.predicate.keyring.version);
        let fault = |reason: String| SealedError::File { path: path.clone(), reason };
        let envelope =
            Envelope::parse(&archive.read(&path)?).map_err(|error| fault(error.to_string()))?;
        CheckedKeyring::parse(&envelope.payload).map_err(|error| fault(error.to_string()))
    }

    /// Who signed the statement, and the root keys of the keyring that was in force.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn keys(&self, archive: &dyn Archive) -> Result<(KeyId, Vec<KeyId>), SealedError> {
        let keyring = self.keyring(archive)?;
        let signer = keyring.signer_at(self.seq()).map(|(_, key)| key.id()).ok_or_else(|| {
            let path = layout::keyring(self.statement.predicate.keyring.version);
            let reason = format!("it has no key for statement {}", self.seq());
            SealedError::File { path, reason }
        })?;
        Ok((signer, keyring.root_ids().into_iter().collect()))
    }
}

/// A bundle's statement and its list of files.
#[derive(Debug)]
pub struct Record {
    /// Its statement.
    pub statement: Statement,
    digest: Digest,
    sums: Digest,
    manifest: Manifest,
}

impl Record {
    /// That of a bundle.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn read(archive: &dyn Archive, seq: u64) -> Result<Self, SealedError> {
        let bytes = archive.read(&layout::statement(seq))?;
        let statement =
            Statement::parse(&bytes).map_err(|source| SealedError::Statement { seq, source })?;
        let sums = statement.sums().unwrap_or_else(|| Digest::of(b""));
        let path = layout::bundle_file(&sums, layout::SHA256SUMS);
        let list = archive.read(&path)?;
        let fault = |reason: String| SealedError::File { path: path.clone(), reason };
        if Digest::of(&list) != sums {
            return Err(fault("it is not the list of files that was sealed".to_owned()));
        }
        let manifest = Manifest::parse(&list).map_err(|error| fault(error.to_string()))?;
        Ok(Self { digest: Digest::of(&bytes), statement, sums, manifest })
    }

    /// Reads one of its files and compares it with what was sealed.
    ///
    /// # Errors
    /// [`SealedError::Read`], [`SealedError::File`].
    pub fn file(&self, archive: &dyn Archive, path: &str) -> Result<Vec<u8>, SealedError> {
        sealed_file(archive, &self.manifest, &self.sums, path)
    }
}

fn sealed_file(
    archive: &dyn Archive,
    manifest: &Manifest,
    sums: &Digest,
    path: &str,
) -> Result<Vec<u8>, SealedError> {
    let whole = layout::bundle_file(sums, path);
    let fault = |reason: &str| SealedError::File { path: whole.clone(), reason: reason.to_owned() };
    let Some(expected) = manifest.get(path) else {
        return Err(fault("the bundle has no such file"));
    };
    let bytes = archive.read(&whole)?;
    if Digest::of(&bytes) == *expected { Ok(bytes) } else { Err(fault("it was changed")) }
}
