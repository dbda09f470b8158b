//! Sealed bundles → how each control stood over a period: share of time, failing intervals, missed
//! runs, what the rules moved.
//!
//! A run speaks for the time from the run before it to itself; after runs that were missed, from
//! the last of them only. Time for which no run speaks is nobody's success and stands apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _};

use super::model::{
    Attestation, Control, Day, Framework, Group, Interval, Member, Missed, OverTime, RuleChange,
    Run, Waiver,
};
use super::{Period, day};
use crate::assessment::{Status, StatusCounts};
use crate::diff;
use crate::disclose;
use crate::evidence::statement::{Gap, Predicate, Statement, Time};
use crate::evidence::{instant, layout};
use crate::finding::Outcome;
use crate::framework;
use crate::member::State;
use crate::record::ControlItem;
use crate::schedule::Schedule;
use crate::sealed::{Bundle, SealedError};
use crate::verify::Archive;

/// Longest row of statuses that is drawn; a longer one is put together, the worst of each part first.
const STRIP: usize = 60;

/// Why there is no report on a period.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeriodError {
    /// A bundle could not be read.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// A bundle of the period no longer has its payload.
    #[error("bundle {seq} is of this period, and its payload was removed after its retention")]
    Pruned {
        /// Number of the bundle.
        seq: u64,
    },
    /// No run took place.
    #[error("no bundle speaks for {label}: the archive has {held}")]
    NoRuns {
        /// The period.
        label: String,
        /// What it has instead.
        held: String,
    },
}

/// What bundles of an archive say of a period; the archive has been verified. Bundles are read one at a
/// time, so memory does not grow with their number. `progress` is told how many of how many are done.
///
/// # Errors
/// [`PeriodError`].
pub fn over_time(
    archive: &dyn Archive,
    period: &Period,
    now: Timestamp,
    progress: &dyn Fn(usize, usize),
) -> Result<OverTime, PeriodError> {
    let places = Places::find(archive, period)?;
    let mut track = Track::new(period, now);
    let seqs: Vec<u64> = places.seqs();
    for (done, seq) in seqs.iter().enumerate() {
        progress(done, seqs.len());
        let known = track.previous.as_ref().map(|bundle| bundle.frameworks.clone());
        let bundle = Bundle::read_without_findings(archive, *seq, &known.unwrap_or_default());
        let bundle = match bundle {
            // What stood before the period is then not known; what stood within it is asked for.
            Err(SealedError::Read(_)) if *seq < places.pruned => {
                if Some(*seq) == places.before {
                    continue;
                }
                return Err(PeriodError::Pruned { seq: *seq });
            }
            read => read?,
        };
        let place = if Some(*seq) == places.before {
            Place::Before
        } else if Some(*seq) == places.after {
            Place::After
        } else {
            Place::Within
        };
        track.add(bundle, place);
    }
    Ok(track.finish())
}

/// Where a bundle stands to the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    After,
}

/// Bundles that matter for a period.
struct Places {
    /// The last before it: what then failed failed already.
    before: Option<u64>,
    within: Vec<u64>,
    /// The first after it, when it speaks for the period's end.
    after: Option<u64>,
    /// Payloads of bundles before this number may be gone.
    pruned: u64,
}

impl Places {
    fn find(archive: &dyn Archive, period: &Period) -> Result<Self, PeriodError> {
        let size = disclose::size(archive).map_err(SealedError::from)?;
        let mut places = Self { before: None, within: Vec::new(), after: None, pruned: 0 };
        let mut held = (String::new(), String::new());
        let read = |seq: u64| -> Result<Predicate, SealedError> {
            let bytes = archive.read(&layout::statement(seq))?;
            let parsed = Statement::parse(&bytes);
            Ok(parsed.map_err(|source| SealedError::Statement { seq, source })?.predicate)
        };
        // Every statement repeats what earlier ones said of pruning.
        if let Some(newest) = size.checked_sub(1) {
            places.pruned = read(newest)?.pruned.map_or(0, |pruned| pruned.before);
        }
        for seq in 0..size {
            let time = read(seq)?.time;
            if seq == 0 {
                held.0.clone_from(&time.created);
            }
            held.1.clone_from(&time.created);
            let (start, end) = span(&time);
            if end <= period.from {
                places.before = Some(seq);
            } else if end <= period.to {
                places.within.push(seq);
            } else {
                places.after = (start < period.to).then_some(seq);
                break;
            }
        }
        if places.within.is_empty() && places.after.is_none() {
            let held = match size {
                0 => "none".to_owned(),
                1 => format!("one, of {}", held.0),
                more => format!("{more}, from {} to {} and later", held.0, held.1),
            };
            return Err(PeriodError::NoRuns { label: period.label.clone(), held });
        }
        Ok(places)
    }

    fn seqs(&self) -> Vec<u64> {
        self.before.iter().chain(&self.within).chain(&self.after).copied().collect()
    }
}

/// The time that a statement speaks for.
fn span(time: &Time) -> (Timestamp, Timestamp) {
    (at(&time.period_start), at(&time.period_end))
}

/// An instant of a statement, which was checked when it was read.
fn at(text: &str) -> Timestamp {
    instant::parse(text).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second() - from.as_second()).unwrap_or(0)
}

/// A control in the making.
struct Course {
    /// Up to where it is known.
    cursor: Timestamp,
    status: Status,
    pieces: Vec<(&'static str, u64)>,
    intervals: Vec<Interval>,
}

impl Course {
    fn push(&mut self, word: &'static str, seconds: u64) {
        match self.pieces.last_mut() {
            _ if seconds == 0 => {}
            Some((last, sum)) if *last == word => *sum += seconds,
            _ => self.pieces.push((word, seconds)),
        }
    }

    fn open(&mut self) -> Option<&mut Interval> {
        self.intervals.last_mut().filter(|interval| interval.closed_seq.is_none())
    }
}

/// What is known after the bundles read so far.
struct Track<'p> {
    period: &'p Period,
    until: Timestamp,
    previous: Option<Bundle>,
    /// Up to where runs speak.
    cursor: Timestamp,
    covered: u64,
    /// By which runs were due, the newest that was sealed.
    schedule: Option<Schedule>,
    runs: Vec<Run>,
    gaps: Vec<Missed>,
    /// Days of runs that were missed.
    missed_days: BTreeSet<jiff::civil::Date>,
    /// Controls by `framework@version/number`.
    courses: BTreeMap<String, Course>,
    frameworks: BTreeMap<String, (Arc<framework::Framework>, String)>,
    order: Vec<String>,
    waivers: BTreeMap<String, Waiver>,
    attestations: BTreeMap<String, Attestation>,
    rules: Vec<RuleChange>,
    /// Clusters of a fleet, with how often each was in which state.
    members: BTreeMap<String, (BTreeMap<State, usize>, Member)>,
}

impl<'p> Track<'p> {
    fn new(period: &'p Period, now: Timestamp) -> Self {
        Self {
            period,
            until: period.to.min(now).max(period.from),
            previous: None,
            cursor: period.from,
            covered: 0,
            schedule: None,
            runs: Vec::new(),
            gaps: Vec::new(),
            missed_days: BTreeSet::new(),
            courses: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            order: Vec::new(),
            waivers: BTreeMap::new(),
            attestations: BTreeMap::new(),
            rules: Vec::new(),
            members: BTreeMap::new(),
        }
    }

    fn add(&mut self, bundle: Bundle, place: Place) {
        let time = &bundle.statement.predicate.time;
        let (start, end) = span(time);
        if let Some(sealed) = &time.schedule {
            self.schedule = Schedule::parse(&sealed.cron, &sealed.time_zone).ok();
        }
        let declared = bundle.statement.predicate.gap.clone();
        let missed = declared.is_some_and(|gap| place != Place::Before && self.gap(&gap));
        let rules = self.previous.as_ref().map(|previous| diff::rules(previous, &bundle));
        let rules = rules.unwrap_or_default();
        for framework in &bundle.frameworks {
            let key = framework.0.key();
            self.frameworks.insert(key, (framework.0.clone(), framework.1.to_string()));
        }
        if place != Place::After {
            self.order = bundle.frameworks.iter().map(|(framework, _)| framework.key()).collect();
        }
        let from = start.max(self.cursor).max(self.period.from);
        let to = end.min(self.until);
        if place != Place::Before {
            self.covered += seconds(from, to);
            self.cursor = self.cursor.max(to);
        }
        for (id, item) in &bundle.items.controls {
            self.control(id, item, &bundle, (from, to), place, (missed, !rules.is_empty()));
        }
        if place == Place::Within {
            self.runs.push(run(&bundle));
            self.people(&bundle);
            self.members(&bundle);
            if let Some(previous) = self.previous.as_ref().filter(|_| !rules.is_empty()) {
                self.rules.push(RuleChange {
                    seq: bundle.seq(),
                    created: bundle.run.created.clone(),
                    rules,
                    moved: diff::transitions(previous, &bundle),
                });
            }
        }
        self.previous = Some(bundle);
    }

    /// Runs that a bundle declares as missed; were there any in this period?
    fn gap(&mut self, gap: &Gap) -> bool {
        self.missed(at(&gap.from), at(&gap.to), &gap.reason)
    }

    fn missed(&mut self, from: Timestamp, to: Timestamp, declared: &str) -> bool {
        let Some(schedule) = &self.schedule else { return false };
        let due = schedule.due(from.max(self.period.from), to.min(self.until));
        let runs = due.len() as u64;
        self.missed_days.extend(due.into_iter().map(day));
        if runs > 0 {
            self.gaps.push(Missed {
                from: instant::format(from.max(self.period.from)),
                to: instant::format(to.min(self.until)),
                runs,
                declared: declared.to_owned(),
            });
        }
        runs > 0
    }

    fn control(
        &mut self,
        id: &str,
        item: &ControlItem,
        bundle: &Bundle,
        (from, to): (Timestamp, Timestamp),
        place: Place,
        (missed, rules_changed): (bool, bool),
    ) {
        let course = self.courses.entry(id.to_owned()).or_insert_with(|| Course {
            cursor: self.period.from,
            status: item.status,
            pieces: Vec::new(),
            intervals: Vec::new(),
        });
        if place != Place::Before {
            course.push("", seconds(course.cursor, from));
            course.push(item.status.as_str(), seconds(from, to));
            course.cursor = course.cursor.max(to);
        }
        if place == Place::After {
            return;
        }
        course.status = item.status;
        let created = &bundle.run.created;
        let fails = item.status == Status::NotSatisfied;
        if let Some(interval) = course.open() {
            let opened = instant::parse(&interval.opened);
            let at = instant::parse(created);
            interval.seconds = opened.zip(at).map_or(0, |(opened, at)| seconds(opened, at));
            interval.missed_between |= missed;
            if !fails {
                interval.closed.clone_from(created);
                interval.closed_seq = Some(bundle.seq());
                item.status.as_str().clone_into(&mut interval.closed_as);
                interval.rules_changed = rules_changed;
            }
        } else if fails {
            course.intervals.push(Interval {
                opened: created.clone(),
                opened_seq: bundle.seq(),
                already: place == Place::Before,
                closed: String::new(),
                closed_seq: None,
                closed_as: String::new(),
                seconds: 0,
                most_failing: 0,
                checks: BTreeSet::new(),
                rules_changed: false,
                missed_between: false,
            });
        }
        if let Some(interval) = course.open().filter(|_| fails) {
            interval.most_failing = interval.most_failing.max(item.failing);
            let checks = item.facts.iter().flat_map(|fact| &fact.checks);
            let failing =
                checks.filter(|(_, counts)| counts.get(&Outcome::Fail).is_some_and(|n| *n > 0));
            interval.checks.extend(failing.map(|(check, _)| check.clone()));
        }
    }

    fn people(&mut self, bundle: &Bundle) {
        let seq = bundle.seq();
        for item in &bundle.items.waivers {
            let id = item.id.trim_start_matches("waiver/").to_owned();
            let before = self.waivers.remove(&id);
            let in_force = usize::from(item.state == "in-force");
            let waiver = Waiver {
                id: id.clone(),
                state: item.state.clone(),
                scope: item.scope.clone(),
                reason: item.reason.clone(),
                approver: item.approver.clone(),
                ticket: item.ticket.clone(),
                from: item.from.clone(),
                expires: item.expires.clone(),
                first_seq: before.as_ref().map_or(seq, |before| before.first_seq),
                last_seq: seq,
                runs_in_force: before.as_ref().map_or(0, |b| b.runs_in_force) + in_force,
                most_findings: before.map_or(0, |b| b.most_findings).max(item.findings),
            };
            self.waivers.insert(id, waiver);
        }
        for item in &bundle.items.attestations {
            let id = item.id.trim_start_matches("attestation/").to_owned();
            let before = self.attestations.remove(&id);
            let in_force = usize::from(item.state == "in-force");
            let attestation = Attestation {
                id: id.clone(),
                state: item.state.clone(),
                scope: item.controls.join(", "),
                outcome: item.outcome.as_str().to_owned(),
                by: item.by.clone(),
                role: item.role.clone(),
                date: item.date.clone(),
                until: item.until.clone(),
                first_seq: before.as_ref().map_or(seq, |before| before.first_seq),
                last_seq: seq,
                runs_in_force: before.map_or(0, |b| b.runs_in_force) + in_force,
            };
            self.attestations.insert(id, attestation);
        }
    }

    fn members(&mut self, bundle: &Bundle) {
        for item in &bundle.items.members {
            let new = || Member {
                name: item.cluster.clone(),
                runs: 0,
                ok: 0,
                others: Vec::new(),
                last: item.state,
                last_seen: (String::new(), String::new()),
            };
            let (states, member) = self
                .members
                .entry(item.cluster.clone())
                .or_insert_with(|| (BTreeMap::new(), new()));
            *states.entry(item.state).or_default() += 1;
            member.runs += 1;
            member.last = item.state;
            member.last_seen = (bundle.run.created.clone(), item.detail.clone());
        }
    }

    fn finish(mut self) -> OverTime {
        // Runs that were due after the last one, and of which no later bundle says anything.
        if self.cursor < self.until {
            self.missed(self.cursor, self.until, "");
        }
        let until = self.until;
        for course in self.courses.values_mut() {
            course.push("", seconds(course.cursor, until));
        }
        let days = self.days();
        // Those of the newest run first, then what earlier runs had.
        let mut keys = std::mem::take(&mut self.order);
        keys.extend(
            self.frameworks.keys().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>(),
        );
        let frameworks = keys
            .iter()
            .filter_map(|key| self.frameworks.get(key).map(|found| (key, found)))
            .filter_map(|(key, (framework, digest))| self.framework(key, framework, digest))
            .collect();
        let mut clusters: Vec<Member> = std::mem::take(&mut self.members)
            .into_values()
            .map(|(mut states, member)| {
                let ok = states.remove(&State::Ok).unwrap_or_default();
                Member { ok, others: states.into_iter().collect(), ..member }
            })
            .collect();
        // A cluster that a run does not have was in order in none that it should have had.
        clusters.sort_by(|one, other| (one.ok, &one.name).cmp(&(other.ok, &other.name)));
        let (from, to) = (self.period.from, self.period.to);
        let missed = self.gaps.iter().map(|gap| gap.runs).sum();
        OverTime {
            label: self.period.label.clone(),
            basis: self.period.basis.to_owned(),
            from: instant::format(from),
            to: instant::format(to),
            until: instant::format(until),
            is_over: until == to,
            expected: missed + u64::try_from(self.runs.len()).unwrap_or(u64::MAX),
            missed,
            incomplete: self.runs.iter().map(|run| u64::from(!run.not_in_order.is_empty())).sum(),
            seconds: seconds(from, until),
            covered: self.covered,
            runs: self.runs,
            gaps: self.gaps,
            days,
            frameworks,
            waivers: self.waivers.into_values().collect(),
            attestations: self.attestations.into_values().collect(),
            rules: self.rules,
            clusters,
        }
    }

    fn days(&self) -> Vec<Day> {
        let mut runs: BTreeMap<jiff::civil::Date, bool> = BTreeMap::new();
        for run in &self.runs {
            if let Some(at) = instant::parse(&run.created) {
                *runs.entry(day(at)).or_insert(true) &= run.not_in_order.is_empty();
            }
        }
        let first_run = runs.keys().next().copied();
        let begins_here = self.runs.first().is_some_and(|run| run.seq == 0);
        let last = self.until.checked_sub(1.second()).unwrap_or(self.until);
        let mut days = Vec::new();
        let mut date = day(self.period.from);
        while date <= day(last) {
            let state = match runs.get(&date) {
                _ if self.missed_days.contains(&date) => "missed",
                Some(true) => "complete",
                Some(false) => "incomplete",
                None if begins_here && first_run.is_some_and(|first| date < first) => "before",
                None => "none",
            };
            let weekday = date.weekday().to_monday_zero_offset();
            days.push(Day { date: date.to_string(), weekday, state });
            let Ok(next) = date.checked_add(1.day()) else { break };
            date = next;
        }
        days
    }

    fn framework(
        &self,
        key: &str,
        framework: &framework::Framework,
        digest: &str,
    ) -> Option<Framework> {
        let counts: Vec<StatusCounts> =
            self.runs.iter().filter_map(|run| run.counts.get(key)).copied().collect();
        let (first, last) = (*counts.first()?, *counts.last()?);
        let mut groups: Vec<Group> = Vec::new();
        for group in &framework.groups {
            let controls = framework.controls.iter().filter(|c| c.group == group.id);
            let controls: Vec<Control> = controls
                .filter_map(|control| {
                    let course = self.courses.get(&format!("{key}/{}", control.id))?;
                    Some(finished(course, control))
                })
                .collect();
            groups.push(Group { id: group.id.clone(), title: group.title.clone(), controls });
        }
        let intervals: Vec<&Interval> =
            groups.iter().flat_map(|g| &g.controls).flat_map(|c| &c.intervals).collect();
        let is_fixed = |interval: &&&Interval| {
            matches!(interval.closed_as.as_str(), "satisfied" | "supported")
        };
        let mut to_fix: Vec<u64> =
            intervals.iter().filter(is_fixed).map(|interval| interval.seconds).collect();
        to_fix.sort_unstable();
        let ended = intervals.iter().filter(|interval| interval.closed_seq.is_some()).count();
        Some(Framework {
            key: key.to_owned(),
            id: framework.id.clone(),
            version: framework.version.clone(),
            title: framework.title.clone(),
            authority: framework.authority.clone(),
            notice: framework.notice.clone(),
            mapping_sha256: digest.to_owned(),
            runs: counts.len(),
            first,
            last,
            total: last.total(),
            applicable: last.applicable(),
            assessed: last.assessed(),
            opened: intervals.iter().filter(|interval| !interval.already).count(),
            fixed: to_fix.len(),
            ended_otherwise: ended - to_fix.len(),
            open: intervals.len() - ended,
            median_to_fix: to_fix.get(to_fix.len() / 2).copied(),
            groups,
        })
    }
}

fn run(bundle: &Bundle) -> Run {
    let sources = &bundle.items.sources;
    let mut statuses: BTreeMap<String, Vec<Status>> = BTreeMap::new();
    for control in bundle.items.controls.values() {
        statuses.entry(control.framework.clone()).or_default().push(control.status);
    }
    Run {
        seq: bundle.seq(),
        created: bundle.run.created.clone(),
        statement_sha256: bundle.digest.to_string(),
        not_in_order: sources
            .values()
            .filter(|source| source.standing != "ok")
            .map(|source| format!("{}: {}", source.name, source.standing))
            .collect(),
        sources: sources.len(),
        findings: bundle.items.counts.get("finding").copied().unwrap_or_default(),
        counts: statuses.into_iter().map(|(key, all)| (key, StatusCounts::of(all))).collect(),
    }
}

fn finished(course: &Course, control: &framework::Control) -> Control {
    let mut seconds: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut uncovered = 0;
    for (word, length) in &course.pieces {
        if word.is_empty() {
            uncovered += length;
        } else {
            *seconds.entry(word).or_default() += length;
        }
    }
    Control {
        id: control.id.clone(),
        title: control.title.clone(),
        status: course.status,
        seconds,
        uncovered,
        strip: condensed(&course.pieces),
        is_condensed: course.pieces.len() > STRIP,
        intervals: course.intervals.clone(),
    }
}

/// At most [`STRIP`] pieces. Each part of a condensed row shows the worst that it holds.
fn condensed(pieces: &[(&'static str, u64)]) -> Vec<(&'static str, u64)> {
    if pieces.len() <= STRIP {
        return pieces.to_vec();
    }
    let total: u64 = pieces.iter().map(|(_, length)| length).sum();
    let part = total.div_ceil(STRIP as u64).max(1);
    let badness = |word: &str| {
        // What nobody looked at is worse than what was found to be good.
        Status::ALL.iter().position(|status| status.as_str() == word).unwrap_or(2)
    };
    let mut slots: Vec<(&'static str, u64)> = Vec::new();
    let mut at = 0;
    for (word, length) in pieces {
        let mut left = *length;
        while left > 0 {
            let slot = usize::try_from(at / part).unwrap_or(usize::MAX);
            let take = left.min(part - at % part);
            match slots.get_mut(slot) {
                Some((worst, sum)) => {
                    *sum += take;
                    if badness(word) < badness(worst) {
                        *worst = word;
                    }
                }
                None => slots.push((word, take)),
            }
            at += take;
            left -= take;
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_row_is_condensed_to_its_worst_and_loses_no_time() {
        let pieces: Vec<_> = (0..500)
            .map(|index| {
                (
                    if index == 321 {
                        "not-satisfied"
                    } else if index % 2 == 0 {
                        "satisfied"
                    } else {
                        ""
                    },
                    100,
                )
            })
            .collect();
        let strip = condensed(&pieces);
        assert!(strip.len() <= STRIP);
        assert_eq!(strip.iter().map(|(_, length)| length).sum::<u64>(), 50_000);
        assert_eq!(strip.iter().filter(|(word, _)| *word == "not-satisfied").count(), 1);
        assert_eq!(condensed(&pieces[..60]), pieces[..60]);
    }
}
