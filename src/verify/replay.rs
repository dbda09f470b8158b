//! `--replay`: assess the sealed inputs again, by the sealed rules, and compare every item.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::evaluate::evaluate;
use crate::evidence::digest::Digest;
use crate::evidence::layout;
use crate::run::Run;

use super::{FailureCode, Verification};

impl Verification<'_> {
    /// Only called for bundles whose files are all intact.
    pub(super) fn replay(&mut self, sums: &Digest) {
        let path = layout::bundle_file(sums, layout::RUN);
        match self.replayed(sums) {
            Ok(None) => self.verdict.checked.replayed += 1,
            Ok(Some(difference)) => {
                let items = layout::bundle_file(sums, layout::ITEMS);
                self.verdict.report(FailureCode::ReplayMismatch, items).found(difference);
            }
            Err(reason) => {
                self.verdict.report(FailureCode::ReplayMismatch, path).found(reason);
            }
        }
    }

    /// The first difference, in words.
    fn replayed(&self, sums: &Digest) -> Result<Option<String>, String> {
        /// Items differ in their salts, which only the holder of the chain's secret can derive;
        /// the sealed ones are taken.
        #[derive(Deserialize)]
        struct Salted {
            id: String,
            salt: String,
        }
        let read = |inner: &str| self.archive.read(&layout::bundle_file(sums, inner));
        let sealed = read(layout::ITEMS).map_err(|error| error.to_string())?;
        let run = read(layout::RUN).map_err(|error| error.to_string())?;
        let run = Run::parse(&run).map_err(|error| error.to_string())?;
        let evaluation =
            evaluate(&run, &mut |inner| read(inner)).map_err(|error| error.to_string())?;
        let mut salts = BTreeMap::new();
        let mut missed_runs = None;
        for line in sealed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let item: Salted = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            // Gaps between runs are known to the chain, not to the run.
            if item.id.starts_with("gap/") {
                missed_runs = missed_runs.or_else(|| run_gap(line));
            }
            salts.insert(item.id, item.salt);
        }
        let again = evaluation
            .write_items(missed_runs.as_deref(), &|id| salts.get(id).cloned().unwrap_or_default())
            .map_err(|error| error.to_string())?;
        if again.bytes == sealed {
            return Ok(None);
        }
        let mut pairs = sealed.split(|byte| *byte == b'\n').zip(again.bytes.split(|b| *b == b'\n'));
        let (line, (old, new)) = pairs
            .by_ref()
            .enumerate()
            .find(|(_, (old, new))| old != new)
            .unwrap_or((0, (&[], &[])));
        let head =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(200).collect::<String>();
        Ok(Some(format!("line {}: sealed {}, now {}", line + 1, head(old), head(new))))
    }
}

fn run_gap(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Gap {
        gap: String,
        text: String,
    }
    let gap: Gap = serde_json::from_slice(line).ok()?;
    (gap.gap == "run").then_some(gap.text)
}
