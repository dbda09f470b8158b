//! What a report says of earlier bundles: their totals, from statements that were verified, and what
//! changed since one of them.

use std::collections::BTreeMap;

use super::model::{Changed, Changes, Past};
use crate::assessment::StatusCounts;
use crate::diff::{Difference, Failure};
use crate::evidence::layout;
use crate::evidence::statement::{Listing, Statement, Summary};
use crate::sealed::{Bundle, SealedError};
use crate::verify::Archive;

/// Bundles in a trend.
const MOST: u64 = 30;
/// Resources named for each check whose failures came or went.
const EXAMPLES: usize = 2;

/// The last bundles up to this one, oldest first.
///
/// # Errors
/// [`SealedError`].
pub fn up_to(bundle: &Bundle, archive: &dyn Archive) -> Result<Vec<Past>, SealedError> {
    let last = bundle.seq();
    (last.saturating_sub(MOST - 1)..=last)
        .map(|seq| {
            let bytes = archive.read(&layout::statement(seq))?;
            let statement = Statement::parse(&bytes)
                .map_err(|source| SealedError::Statement { seq, source })?;
            let summaries = match &statement.predicate.summary {
                Listing::Here(summaries) => summaries.as_slice(),
                // So long that they stand in a file of the bundle: no point of the trend.
                Listing::InRun(_) => &[],
            };
            Ok(Past {
                seq,
                created: statement.predicate.time.created.clone(),
                gap: statement.predicate.gap.as_ref().map_or(String::new(), |g| g.reason.clone()),
                frameworks: summaries.iter().map(counts).collect::<BTreeMap<_, _>>(),
            })
        })
        .collect()
}

/// Controls of each status, as a statement says.
pub(super) fn counts(summary: &Summary) -> (String, StatusCounts) {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let counts = StatusCounts {
        not_applicable: number(summary.not_applicable),
        not_assessed: number(summary.not_assessed),
        not_satisfied: number(summary.fail),
        manual: number(summary.manual),
        satisfied: number(summary.pass),
        supported: number(summary.supported),
        waived: number(summary.waived),
    };
    (summary.framework.clone(), counts)
}

/// What changed from one bundle to a later one.
#[must_use]
pub fn changes(before: &Bundle, after: &Bundle) -> Changes {
    let difference = Difference::between(before, after);
    Changes {
        since: before.seq(),
        since_created: before.run.created.clone(),
        opened: by_check(&difference.opened),
        closed: by_check(&difference.closed),
        vanished: by_check(&difference.vanished),
        controls: difference.controls,
        rules: difference.rules,
        sources: difference.sources,
        decisions: difference.decisions,
    }
}

/// Most first.
fn by_check(failures: &[Failure]) -> Vec<Changed> {
    let mut checks: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
    for failure in failures {
        checks.entry(&failure.check).or_default().push(failure);
    }
    let mut changed: Vec<Changed> = checks
        .into_iter()
        .map(|(check, failures)| Changed {
            check: check.to_owned(),
            failures: failures.len(),
            examples: failures.iter().take(EXAMPLES).map(|f| f.resource.clone()).collect(),
        })
        .collect();
    changed.sort_by_key(|changed| std::cmp::Reverse(changed.failures));
    changed
}
