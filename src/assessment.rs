//! What an assessment says, and the only place that counts it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a control stands. Declared in roll-up order, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Evidence contradicts it.
    NotSatisfied,
    /// There is no sufficient evidence; [`Reason`] says why.
    NotAssessed,
    /// It needs an attestation that is not there.
    Manual,
    /// It would be not-satisfied; unexpired, approved waivers cover every failing item.
    Waived,
    /// Every mapped check passed, but the mapping covers only part: a person must still look.
    Supported,
    /// The evidence covers all of it.
    Satisfied,
    /// It does not apply, with a reason.
    NotApplicable,
}

impl Status {
    /// All, in roll-up order.
    pub const ALL: [Self; 7] = [
        Self::NotSatisfied,
        Self::NotAssessed,
        Self::Manual,
        Self::Waived,
        Self::Supported,
        Self::Satisfied,
        Self::NotApplicable,
    ];

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSatisfied => "not-satisfied",
            Self::NotAssessed => "not-assessed",
            Self::Manual => "manual",
            Self::Waived => "waived",
            Self::Supported => "supported",
            Self::Satisfied => "satisfied",
            Self::NotApplicable => "not-applicable",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a control is not assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A declared source could not be read.
    Unreadable,
    /// A check could not tell.
    Error,
    /// A declared source is older than it may be, or dated in the future.
    Stale,
    /// Some of the facts it needs have evidence, others have none, or a source is incomplete.
    PartialCoverage,
    /// A declared source is missing or empty, or no source looked.
    NoEvidence,
    /// Every resource it could be judged by is out of scope.
    OutOfScope,
}

impl Reason {
    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Error => "error",
            Self::Stale => "stale",
            Self::PartialCoverage => "partial-coverage",
            Self::NoEvidence => "no-evidence",
            Self::OutOfScope => "out-of-scope",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a result rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Scanner results.
    Automated,
    /// A person's statement.
    Attested,
    /// Both.
    Mixed,
    /// Neither: nothing was found that bears on it.
    None,
}

impl Basis {
    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::Attested => "attested",
            Self::Mixed => "mixed",
            Self::None => "none",
        }
    }
}

/// Controls of each status. The sum is always the number of controls: the denominator never moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusCounts {
    /// not-applicable.
    pub not_applicable: usize,
    /// not-assessed.
    pub not_assessed: usize,
    /// not-satisfied.
    pub not_satisfied: usize,
    /// manual.
    pub manual: usize,
    /// satisfied.
    pub satisfied: usize,
    /// supported.
    pub supported: usize,
    /// waived.
    pub waived: usize,
}

impl StatusCounts {
    /// Counts statuses.
    #[must_use]
    pub fn of(statuses: impl IntoIterator<Item = Status>) -> Self {
        Self::sum(statuses.into_iter().map(|status| (status, 1)))
    }

    /// Adds up how many controls have each status.
    #[must_use]
    pub fn sum(counted: impl IntoIterator<Item = (Status, usize)>) -> Self {
        let mut counts = Self::default();
        for (status, count) in counted {
            *counts.slot(status) += count;
        }
        counts
    }

    fn slot(&mut self, status: Status) -> &mut usize {
        match status {
            Status::NotSatisfied => &mut self.not_satisfied,
            Status::NotAssessed => &mut self.not_assessed,
            Status::Manual => &mut self.manual,
            Status::Waived => &mut self.waived,
            Status::Supported => &mut self.supported,
            Status::Satisfied => &mut self.satisfied,
            Status::NotApplicable => &mut self.not_applicable,
        }
    }

    /// Controls of one status.
    #[must_use]
    pub fn get(mut self, status: Status) -> usize {
        *self.slot(status)
    }

    /// All controls.
    #[must_use]
    pub fn total(self) -> usize {
        Status::ALL.iter().map(|status| self.get(*status)).sum()
    }

    /// Controls that apply: the denominator of coverage.
    #[must_use]
    pub fn applicable(self) -> usize {
        self.total() - self.not_applicable
    }

    /// Controls that evidence says something about: satisfied, supported, waived or not-satisfied.
    #[must_use]
    pub fn assessed(self) -> usize {
        self.satisfied + self.supported + self.waived + self.not_satisfied
    }
}

/// Findings of each outcome, in a control, a check or an input.
pub type OutcomeCounts = BTreeMap<crate::finding::Outcome, usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_statuses_is_the_number_of_controls() {
        let counts = StatusCounts::of(Status::ALL);
        assert_eq!(counts.total(), 7);
        assert_eq!(counts.applicable(), 6);
        assert_eq!(counts.assessed(), 4);
        for status in Status::ALL {
            assert_eq!(counts.get(status), 1);
        }
    }

    #[test]
    fn roll_up_is_worst_first() {
        assert_eq!(Status::ALL.iter().min(), Some(&Status::NotSatisfied));
        assert!(Status::Supported < Status::Satisfied && Status::Manual < Status::Waived);
    }
}
