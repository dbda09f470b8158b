//! Sections 1 and 2: the files of each bundle against its signed list, and the items against what
//! the statement says of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::assessment::{Status, StatusCounts};
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::evidence::items::{self, LineError};
use crate::evidence::layout;
use crate::evidence::manifest::{Manifest, ManifestError};
use crate::evidence::pades;
use crate::evidence::statement::{Listing, Pruned, Statement, Summary};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::log::Log;
use super::{FailureCode, Verification};

/// The tombstone that reaches furthest, and the number of its statement. One counts when the time that
/// it states had passed for the newest bundle that it is about.
fn tombstone(log: &Log) -> Option<(u64, Pruned)> {
    let mut furthest: Option<(u64, Pruned)> = None;
    for entry in log.entries.values().filter(|entry| !entry.faulty) {
        let Some(statement) = &entry.statement else { continue };
        let Some(pruned) = &statement.predicate.pruned else { continue };
        if furthest.as_ref().is_some_and(|(_, known)| known.before >= pruned.before) {
            continue;
        }
        let last = pruned.before.checked_sub(1).and_then(|seq| log.entries.get(&seq));
        let end = last
            .filter(|entry| !entry.faulty)
            .and_then(|entry| instant::parse(&entry.statement.as_ref()?.predicate.time.period_end));
        let created = instant::parse(&statement.predicate.time.created);
        let kept = end.zip(created).map(|(end, created)| created.as_second() - end.as_second());
        let wanted = i64::try_from(pruned.days.saturating_mul(86_400)).unwrap_or(i64::MAX);
        if kept.is_some_and(|kept| kept >= wanted) {
            furthest = Some((entry.seq, pruned.clone()));
        }
    }
    furthest
}

impl Verification<'_> {
    pub(super) fn check_bundles(&mut self, log: &Log) {
        let mut named = BTreeSet::new();
        let tombstone = tombstone(log);
        let mut gone = 0;
        // A statement that could not be read may say that payloads were removed, and may name any bundle.
        let is_unread = self.is_log_unread();
        for entry in log.entries.values() {
            let Some(sums) = entry.statement.as_ref().and_then(Statement::sums) else { continue };
            let first_time = named.insert(sums);
            let exported = self.exported.as_ref().is_none_or(|range| range.contains(&entry.seq));
            if !self.policy.deep || !first_time || !exported {
                continue;
            }
            let is_pruned = tombstone.as_ref().is_some_and(|(_, rule)| entry.seq < rule.before);
            if is_pruned && !self.bundles.contains_key(&sums) {
                gone += 1;
            } else if is_unread && !self.bundles.contains_key(&sums) {
                self.verdict.checked.not_checked += 1;
            } else if let Some(statement) = &entry.statement {
                self.check_bundle(statement, sums, is_pruned || is_unread);
            }
        }
        if let Some((seq, Pruned { before, days, rule })) = tombstone.filter(|_| gone > 0) {
            let rule = if rule.is_empty() { rule } else { format!(" ({rule})") };
            self.verdict
                .report(FailureCode::PayloadPruned, layout::statement(seq))
                .expected(format!("the bundles before {before}, after {days} days{rule}"))
                .found(format!("{gone} are not there"));
        }
        let bundles = std::mem::take(&mut self.bundles);
        if !is_unread && log.entries.values().all(|entry| entry.statement.is_some()) {
            for sums in bundles.keys().filter(|sums| !named.contains(*sums)) {
                self.verdict.report(FailureCode::OrphanBundle, format!("bundles/{sums}/"));
            }
        }
    }

    /// Of a bundle that is pruned, or may be, what is still there.
    fn check_bundle(&mut self, statement: &Statement, sums: Digest, is_pruned: bool) {
        let Some(present) = self.bundles.get(&sums).cloned() else {
            self.verdict
                .report(FailureCode::FileMissing, format!("bundles/{sums}/"))
                .expected(format!("{} files", statement.predicate.files + 1));
            return;
        };
        self.verdict.checked.bundles += 1;
        let path = layout::bundle_file(&sums, layout::SHA256SUMS);
        if !present.contains(layout::SHA256SUMS) {
            if is_pruned {
                self.verdict.checked.not_checked += present.len() as u64;
            } else {
                self.verdict.report(FailureCode::FileMissing, path);
            }
            return;
        }
        let Some(bytes) = self.read(&path) else { return };
        let found = Digest::of(&bytes);
        if found != sums {
            self.verdict.report(FailureCode::SumsModified, path).expected(sums).found(found);
            self.verdict.checked.not_checked += statement.predicate.files;
            return;
        }
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                let code = match error {
                    ManifestError::UnsafePath { .. } => FailureCode::PathUnsafe,
                    ManifestError::Collision { .. } => FailureCode::PathCollision,
                    _ => FailureCode::SumsMalformed,
                };
                self.verdict.report(code, path).found(error);
                return;
            }
        };
        if manifest.len() as u64 != statement.predicate.files {
            self.verdict
                .report(FailureCode::SumsMalformed, path)
                .expected(format!("{} files", statement.predicate.files))
                .found(manifest.len());
        }
        let (intact, items) = self.check_files(&manifest, &present, &sums, is_pruned);
        if let Some(items) = items {
            self.check_items(statement, &sums, &items, intact.contains(layout::CONTROLS));
        } else if manifest.get(layout::ITEMS).is_none() {
            self.verdict
                .report(FailureCode::ItemMalformed, layout::bundle_file(&sums, layout::ITEMS))
                .found("the bundle lists no items");
        } else {
            self.verdict.checked.not_checked += 1;
        }
        if self.policy.replay {
            if intact.len() == manifest.len() {
                self.replay(&sums);
            } else {
                self.verdict.checked.not_checked += 1;
            }
        }
    }

    /// Paths of the files that are there with the right bytes, and the bytes of the items if they
    /// are among them.
    fn check_files(
        &mut self,
        manifest: &Manifest,
        present: &BTreeSet<String>,
        sums: &Digest,
        is_pruned: bool,
    ) -> (BTreeSet<String>, Option<Vec<u8>>) {
        let mut intact = BTreeSet::new();
        let mut items = None;
        for (inner, expected) in manifest.iter() {
            let path = layout::bundle_file(sums, inner);
            if !present.contains(inner) {
                if is_pruned {
                    self.verdict.checked.not_checked += 1;
                } else {
                    self.verdict.report(FailureCode::FileMissing, path);
                }
                continue;
            }
            let mut report = None;
            let digest = if matches!(inner, layout::ITEMS | layout::REPORT_PDF) {
                self.archive.read(&path).map(|bytes| {
                    let digest = (Digest::of(&bytes), bytes.len() as u64);
                    let kept = if inner == layout::ITEMS { &mut items } else { &mut report };
                    *kept = Some(bytes);
                    digest
                })
            } else {
                self.archive.digest(&path)
            };
            // What is called modified was read twice: a store, a disk or the way to it may have erred once.
            let digest = match digest {
                Ok((found, _))
                    if found != *expected
                        && !matches!(inner, layout::ITEMS | layout::REPORT_PDF) =>
                {
                    self.archive.digest(&path)
                }
                digest => digest,
            };
            match digest {
                Ok((found, length)) => {
                    self.verdict.checked.files += 1;
                    self.verdict.checked.bytes += length;
                    if found == *expected {
                        intact.insert(inner.to_owned());
                        // A signature that does not cover all of the file would lend it false weight.
                        if let Some(Err(fault)) = report.as_deref().map(pades::check) {
                            self.verdict.report(FailureCode::ReportMismatch, path).found(fault);
                        }
                    } else {
                        self.verdict
                            .report(FailureCode::FileModified, path)
                            .expected(expected)
                            .found(found);
                    }
                }
                Err(failure) => {
                    self.verdict.report(FailureCode::FileUnreadable, path).found(failure.reason);
                }
            }
        }
        for inner in present
            .iter()
            .filter(|inner| inner.as_str() != layout::SHA256SUMS && manifest.get(inner).is_none())
        {
            self.verdict.report(FailureCode::FileExtra, layout::bundle_file(sums, inner));
        }
        let items = items.filter(|_| intact.contains(layout::ITEMS));
        (intact, items)
    }

    fn check_items(
        &mut self,
        statement: &Statement,
        sums: &Digest,
        bytes: &[u8],
        check_controls: bool,
    ) {
        /// Of a control item, what the summary counts.
        #[derive(Deserialize)]
        struct ControlLine {
            framework: String,
            status: Status,
        }
        let path = layout::bundle_file(sums, layout::ITEMS);
        let mut statuses: BTreeMap<String, Vec<Status>> = BTreeMap::new();
        let mut malformed = None;
        let read = items::read(bytes, |id, kind, line| {
            if kind == "control" {
                match serde_json::from_slice::<ControlLine>(line) {
                    Ok(control) => {
                        statuses.entry(control.framework).or_default().push(control.status);
                    }
                    Err(error) => malformed = Some(format!("{id}: {error}")),
                }
            }
        });
        let (size, root) = match read {
            Ok(read) => read,
            Err(error) => {
                let code = match error {
                    LineError::Order { .. } => FailureCode::ItemOrder,
                    LineError::Duplicate { .. } => FailureCode::ItemDuplicateId,
                    LineError::Malformed { .. } => FailureCode::ItemMalformed,
                };
                self.verdict.report(code, path).found(error);
                return;
            }
        };
        self.verdict.checked.items += size;
        if let Some(error) = malformed {
            self.verdict.report(FailureCode::ItemMalformed, path).found(error);
            return;
        }
        let stated = &statement.predicate.items;
        if size != stated.size {
            self.verdict
                .report(FailureCode::ItemCountMismatch, path)
                .expected(stated.size)
                .found(size);
            return;
        }
        let root = STANDARD.encode(root.as_bytes());
        if root != stated.root {
            self.verdict
                .report(FailureCode::ItemRootMismatch, path)
                .expected(&stated.root)
                .found(root);
            return;
        }
        let counted: BTreeMap<String, StatusCounts> = statuses
            .into_iter()
            .map(|(framework, statuses)| (framework, StatusCounts::of(statuses)))
            .collect();
        self.check_summary(statement, &counted);
        if check_controls {
            self.check_controls_file(sums, &counted);
        }
    }

    fn check_summary(&mut self, statement: &Statement, counted: &BTreeMap<String, StatusCounts>) {
        let object = layout::statement(statement.predicate.chain.seq);
        let agrees = match &statement.predicate.summary {
            Listing::InRun(count) => *count == counted.len() as u64,
            Listing::Here(list) => {
                let stated: BTreeMap<&str, &Summary> =
                    list.iter().map(|summary| (summary.framework.as_str(), summary)).collect();
                stated.len() == list.len()
                    && stated.len() == counted.len()
                    && counted.iter().all(|(framework, counts)| {
                        stated.get(framework.as_str()) == Some(&&summary_of(framework, *counts))
                    })
            }
        };
        if !agrees {
            self.verdict.report(FailureCode::SummaryMismatch, object);
        }
    }

    fn check_controls_file(&mut self, sums: &Digest, counted: &BTreeMap<String, StatusCounts>) {
        #[derive(Deserialize)]
        struct Controls {
            frameworks: BTreeMap<String, FrameworkTotals>,
        }
        #[derive(Deserialize)]
        struct FrameworkTotals {
            counts: StatusCounts,
        }
        let path = layout::bundle_file(sums, layout::CONTROLS);
        let Some(bytes) = self.read(&path) else { return };
        let found = serde_json::from_slice::<Controls>(&bytes).map(|controls| {
            let totals = controls.frameworks.into_iter();
            totals.map(|(key, totals)| (key, totals.counts)).collect::<BTreeMap<_, _>>()
        });
        match found {
            Ok(totals) if totals == *counted => {}
            Ok(_) => drop(self.verdict.report(FailureCode::ReportMismatch, path)),
            Err(error) => {
                self.verdict.report(FailureCode::ReportMismatch, path).found(error);
            }
        }
    }
}

/// The signed form of a framework's counts.
#[must_use]
pub fn summary_of(framework: &str, counts: StatusCounts) -> Summary {
    Summary {
        framework: framework.to_owned(),
        pass: counts.satisfied as u64,
        fail: counts.not_satisfied as u64,
        not_assessed: counts.not_assessed as u64,
        supported: counts.supported as u64,
        waived: counts.waived as u64,
        manual: counts.manual as u64,
        not_applicable: counts.not_applicable as u64,
    }
}
