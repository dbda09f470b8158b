//! What a report on a period holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::assessment::{Status, StatusCounts};
use crate::diff::Transition;
use crate::member::State;

/// A period as the archive shows it.
#[derive(Clone, Debug, Serialize)]
pub struct OverTime {
    /// As it was asked for.
    pub label: String,
    /// Why it is that long; may be empty.
    pub basis: String,
    /// First instant (RFC 3339).
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// `to`, or now when the period is not over.
    pub until: String,
    /// Is it over?
    pub is_over: bool,
    /// Runs that were due, as far as the schedule is known.
    pub expected: u64,
    /// Runs that were due and are not there.
    pub missed: u64,
    /// Runs with a source that was not in order.
    pub incomplete: u64,
    /// Length until `until`, in seconds.
    pub seconds: u64,
    /// Seconds of it that runs speak for.
    pub covered: u64,
    /// Runs in the period, oldest first.
    pub runs: Vec<Run>,
    /// Runs that did not take place.
    pub gaps: Vec<Missed>,
    /// One for each day.
    pub days: Vec<Day>,
    /// Frameworks, in the order of the newest run that has each.
    pub frameworks: Vec<Framework>,
    /// Waivers of any run, in order of id.
    pub waivers: Vec<Waiver>,
    /// Attestations of any run, in order of id.
    pub attestations: Vec<Attestation>,
    /// Runs at which the rules changed.
    pub rules: Vec<RuleChange>,
    /// Clusters of a fleet, those first that were in order least often; left out where the chain is of one
    /// cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Member>,
}

/// A cluster of a fleet over the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// As the fleet calls it.
    pub name: String,
    /// Runs of the fleet that had it.
    pub runs: usize,
    /// Those in which it was in order.
    pub ok: usize,
    /// Those in each other state, the worst first; only states that occur.
    pub others: Vec<(State, usize)>,
    /// Its state at the last run that had it.
    pub last: State,
    /// When that was, and why it stood so.
    pub last_seen: (String, String),
}

/// A run in the period.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Number of its bundle.
    pub seq: u64,
    /// When it took place.
    pub created: String,
    /// Hex SHA-256 of its statement.
    pub statement_sha256: String,
    /// `source: standing` of those not in order.
    pub not_in_order: Vec<String>,
    /// Declared sources.
    pub sources: usize,
    /// Findings.
    pub findings: usize,
    /// Controls of each status by `id@version`.
    pub counts: BTreeMap<String, StatusCounts>,
}

/// Runs that were due and did not take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// End of the last run before.
    pub from: String,
    /// From when on a run speaks again, or the end of the period.
    pub to: String,
    /// How many, in this period.
    pub runs: u64,
    /// What the next bundle declares; empty when no bundle came after them.
    pub declared: String,
}

/// A day of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// `2026-10-05`.
    pub date: String,
    /// Weekday from Monday = 0.
    pub weekday: i8,
    /// `complete`, `incomplete`, `missed`, `before` (the archive begins later) or `none` (no run was due).
    pub state: &'static str,
}

/// A framework over the period.
#[derive(Clone, Debug, Serialize)]
pub struct Framework {
    /// `id@version`.
    pub key: String,
    /// Id.
    pub id: String,
    /// Version of the standard.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// Publisher.
    pub authority: String,
    /// Licence and origin of the data.
    pub notice: String,
    /// Hex SHA-256 of the newest mapping.
    pub mapping_sha256: String,
    /// Runs that assessed it.
    pub runs: usize,
    /// Controls of each status at the first of them.
    pub first: StatusCounts,
    /// The same at the last.
    pub last: StatusCounts,
    /// All controls.
    pub total: usize,
    /// Controls that apply, at the last.
    pub applicable: usize,
    /// Controls that evidence says something about, at the last.
    pub assessed: usize,
    /// Failing intervals that began in the period.
    pub opened: usize,
    /// Failing intervals that ended because the evidence then supported the control.
    pub fixed: usize,
    /// Failing intervals that ended otherwise: by a waiver, or because nothing was known any more.
    pub ended_otherwise: usize,
    /// Failing intervals that had not ended with the last run.
    pub open: usize,
    /// Median seconds from the first failing run to the first run that found it fixed.
    pub median_to_fix: Option<u64>,
    /// Groups in the standard's order, each with its controls.
    pub groups: Vec<Group>,
}

/// A heading with the controls directly below it.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Number.
    pub id: String,
    /// Own words.
    pub title: String,
    /// Controls.
    pub controls: Vec<Control>,
}

/// A control over the period.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    /// Number.
    pub id: String,
    /// Own words.
    pub title: String,
    /// At the last run that assessed it.
    pub status: Status,
    /// Seconds by status word.
    pub seconds: BTreeMap<&'static str, u64>,
    /// Seconds for which no run speaks.
    pub uncovered: u64,
    /// Status words and seconds, in order of time; an empty word where no run speaks.
    pub strip: Vec<(&'static str, u64)>,
    /// Were parts of the strip put together?
    pub is_condensed: bool,
    /// When it failed.
    pub intervals: Vec<Interval>,
}

/// From the first run that found a control not satisfied to the first that did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Run that first found it; the last run before the period if it was so already.
    pub opened: String,
    /// Its bundle.
    pub opened_seq: u64,
    /// Did it fail before the period began?
    pub already: bool,
    /// Run that first found it otherwise; empty while it is open.
    pub closed: String,
    /// Its bundle.
    pub closed_seq: Option<u64>,
    /// Status that ended it; empty while it is open.
    pub closed_as: String,
    /// Seconds between the two runs, or to the last run.
    pub seconds: u64,
    /// Most failing findings of a run.
    pub most_failing: u64,
    /// Checks that failed.
    pub checks: BTreeSet<String>,
    /// Did its mapping or a tool change with the run that ended it?
    pub rules_changed: bool,
    /// Was a run missed in between?
    pub missed_between: bool,
}

/// A waiver over the period.
#[derive(Clone, Debug, Serialize)]
pub struct Waiver {
    /// Id.
    pub id: String,
    /// State at the last run that has it.
    pub state: String,
    /// What it covers.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approver: String,
    /// Where the decision is recorded.
    pub ticket: String,
    /// First day; may be empty.
    pub from: String,
    /// Last day.
    pub expires: String,
    /// Bundle that first has it.
    pub first_seq: u64,
    /// Bundle that last has it.
    pub last_seq: u64,
    /// Runs in which it was in force.
    pub runs_in_force: usize,
    /// Most findings that it covered in a run.
    pub most_findings: u64,
}

/// An attestation over the period.
#[derive(Clone, Debug, Serialize)]
pub struct Attestation {
    /// Id.
    pub id: String,
    /// State at the last run that has it.
    pub state: String,
    /// Controls.
    pub scope: String,
    /// What is said.
    pub outcome: String,
    /// Who says it.
    pub by: String,
    /// In which role.
    pub role: String,
    /// When it was said.
    pub date: String,
    /// Last day.
    pub until: String,
    /// Bundle that first has it.
    pub first_seq: u64,
    /// Bundle that last has it.
    pub last_seq: u64,
    /// Runs in which it was in force.
    pub runs_in_force: usize,
}

/// A run at which mappings or tools changed.
#[derive(Clone, Debug, Serialize)]
pub struct RuleChange {
    /// Its bundle.
    pub seq: u64,
    /// When it took place.
    pub created: String,
    /// What changed.
    pub rules: Vec<String>,
    /// Controls whose status is another one since the run before: the rules, the cluster or both.
    pub moved: Vec<Transition>,
}
