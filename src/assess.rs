//! The only place that decides a status.
//!
//! The rules, in the words of the product's principles:
//!
//! 1. No evidence is never a pass. Each `full` or `partial` mapping of a control is a fact that
//!    needs evidence; a fact without any leaves the control not-assessed.
//! 2. Worst first: one failing finding of any mapped check makes the control not-satisfied, unless
//!    waivers in force cover *every* failing finding; then it is waived.
//! 3. A pass claims no more than its mapping: only a control that checks can answer completely, all
//!    of whose facts are fully established, is satisfied. Everything else that passes is supported.
//! 4. A declared source that is missing, empty, unreadable, stale or incomplete leaves every
//!    control that any of its scanner's checks map to at best not-assessed. Hence taking data away
//!    never improves a status.
//! 5. An attestation completes what checks leave to a person. It never outweighs a failing check
//!    or a missing source.
//! 6. Over a fleet, a control is as in the cluster where it is worst ([`Status`] is ordered so), and a
//!    cluster that says nothing is a gap like a missing source.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::assessment::{Basis, OutcomeCounts, Reason, Status};
use crate::attestation::{Attestation, Said};
use crate::finding::{CheckId, Finding, Outcome};
use crate::framework::{Control, Framework, Kind, Mapping, Strength};
use crate::scanner::fleet;
use crate::validity::State;
use crate::waiver::Waiver;

/// A finding with where it came from.
#[derive(Clone, Debug)]
pub struct Sourced {
    /// The finding.
    pub finding: Finding,
    /// Index of its source.
    pub source: u32,
    /// Index of its input.
    pub input: u32,
    /// May it be used? Findings of stale inputs may not.
    pub usable: bool,
}

/// How a declared source stands; worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It said what it had to say.
    Ok,
    /// Something in it is missing or does not add up.
    Incomplete,
    /// Some of it is older than it may be, or dated in the future.
    Stale,
    /// It holds no findings.
    Empty,
    /// None of its findings bears on a control of the run.
    Unmapped,
    /// Some of it names another cluster than the run's.
    OtherCluster,
    /// Some of it could not be read.
    Unreadable,
    /// Nothing of it is there.
    Missing,
}

impl Standing {
    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Incomplete => "incomplete",
            Self::Stale => "stale",
            Self::Empty => "empty",
            Self::Unmapped => "unmapped",
            Self::OtherCluster => "other-cluster",
            Self::Unreadable => "unreadable",
            Self::Missing => "missing",
        }
    }

    /// Why a control that this source's checks map to is not assessed; `None` when it is ok.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Ok => None,
            Self::Incomplete => Some(Reason::PartialCoverage),
            Self::Stale => Some(Reason::Stale),
            Self::Empty | Self::Unmapped | Self::OtherCluster | Self::Missing => {
                Some(Reason::NoEvidence)
            }
            Self::Unreadable => Some(Reason::Unreadable),
        }
    }
}

/// A declared source, as far as it matters here.
#[derive(Clone, Debug)]
pub struct SourceStanding {
    /// Name.
    pub name: String,
    /// Prefix of its check ids.
    pub scanner: String,
    /// How it stands.
    pub standing: Standing,
}

/// Everything that statuses are decided by.
pub struct Evidence<'a> {
    findings: &'a [Sourced],
    sources: &'a [SourceStanding],
    waivers: Vec<&'a Waiver>,
    attestations: Vec<&'a Attestation>,
    by_check: HashMap<&'a CheckId, Vec<u32>>,
}

/// What is known about one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A failing finding that no waiver covers.
    Contradicted,
    /// A check could not tell.
    Error,
    /// Passes for some resources, no answer for others.
    Partial,
    /// A check leaves the answer to a person.
    Manual,
    /// Failing findings, all covered by waivers.
    Waived,
    /// Passes, and nothing else.
    Established,
    /// No finding that says anything.
    Silent,
}

impl Verdict {
    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contradicted => "contradicted",
            Self::Error => "error",
            Self::Partial => "partial",
            Self::Manual => "manual",
            Self::Waived => "waived",
            Self::Established => "established",
            Self::Silent => "silent",
        }
    }
}

/// A fact with its verdict.
#[derive(Clone, Debug)]
pub struct FactResult {
    /// What is known.
    pub verdict: Verdict,
    /// What it can claim, given which checks answered.
    pub strength: Strength,
    /// Findings per check; checks without findings are left out.
    pub checks: BTreeMap<CheckId, OutcomeCounts>,
}

/// A control with its status.
#[derive(Clone, Debug)]
pub struct ControlResult {
    /// Number.
    pub control: String,
    /// Status.
    pub status: Status,
    /// Why not assessed.
    pub reason: Option<Reason>,
    /// What it rests on.
    pub basis: Basis,
    /// One sentence: why this status.
    pub explanation: String,
    /// Its facts, in the order of the framework's mappings.
    pub facts: Vec<FactResult>,
    /// Indices of failing findings, ascending, each with the index of the waiver that covers it.
    pub failing: Vec<(u32, Option<u32>)>,
    /// Findings that passed.
    pub passing: usize,
    /// Findings that could not tell.
    pub undecided: usize,
    /// Ids of attestations in force.
    pub attestations: Vec<String>,
}

/// Findings that bear on a control, by index.
#[derive(Default)]
struct Seen {
    failing: Vec<(u32, Option<u32>)>,
    passing: Vec<u32>,
    undecided: Vec<u32>,
}

impl Seen {
    /// A finding counts once, however many facts its check bears on; ascending.
    fn once_each(mut self) -> Self {
        self.failing.sort_unstable();
        self.failing.dedup();
        for indices in [&mut self.passing, &mut self.undecided] {
            indices.sort_unstable();
            indices.dedup();
        }
        self
    }
}

impl<'a> Evidence<'a> {
    /// Gathers evidence. Waivers and attestations that do not hold at `at` play no part.
    #[must_use]
    pub fn new(
        findings: &'a [Sourced],
        sources: &'a [SourceStanding],
        waivers: &'a [Waiver],
        attestations: &'a [Attestation],
        at: Timestamp,
    ) -> Self {
        let mut by_check: HashMap<&CheckId, Vec<u32>> = HashMap::new();
        for (index, sourced) in (0..).zip(findings) {
            if sourced.usable {
                by_check.entry(&sourced.finding.check).or_default().push(index);
            }
        }
        Self {
            findings,
            sources,
            waivers: waivers.iter().filter(|w| w.state(at) == State::InForce).collect(),
            attestations: attestations.iter().filter(|a| a.state(at) == State::InForce).collect(),
            by_check,
        }
    }

    /// Assesses every control of a framework, in its order.
    #[must_use]
    pub fn assess(&self, framework: &Framework) -> Vec<ControlResult> {
        let key = framework.key();
        framework
            .controls
            .iter()
            .map(|control| self.assess_control(control, &format!("{key}/{}", control.id)))
            .collect()
    }

    fn assess_control(&self, control: &Control, key: &str) -> ControlResult {
        if let [mapping] = control.mappings.as_slice()
            && let [check] = mapping.checks.as_slice()
            && check.scanner() == fleet::PREFIX
        {
            return self.roll_up(control, key, check);
        }
        let mut seen = Seen::default();
        let mut facts = Vec::with_capacity(control.mappings.len());
        for mapping in &control.mappings {
            facts.push(self.judge(mapping, key, &mut seen));
        }
        let Seen { failing, passing, undecided } = seen.once_each();
        let gaps = self.gaps(control);
        let attestations = self.attestations_of(key);
        let checked = by_checks(control, &facts, &gaps, self.is_looked_at(control));
        let decided = with_attestations(control.kind, checked, &attestations);

        let automated = facts.iter().any(|fact| !fact.checks.is_empty());
        let basis = basis(automated, decided.attested);
        let mut result = ControlResult {
            control: control.id.clone(),
            status: decided.status,
            reason: decided.reason,
            basis,
            explanation: String::new(),
            facts,
            failing,
            passing: passing.len(),
            undecided: undecided.len(),
            attestations: attestations.iter().map(|a| a.id.clone()).collect(),
        };
        result.explanation = explain(control, &result, &gaps, &attestations);
        result
    }

    /// A control over a fleet: its status is the worst that it has in a cluster where it applies.
    fn roll_up(&self, control: &Control, key: &str, check: &CheckId) -> ControlResult {
        let mut clusters: BTreeMap<Status, usize> = BTreeMap::new();
        let mut counts = OutcomeCounts::new();
        let mut failing = Vec::new();
        for &index in self.by_check.get(check).into_iter().flatten() {
            let Some(Sourced { finding, .. }) = self.findings.get(index as usize) else { continue };
            *counts.entry(finding.outcome).or_default() += 1;
            // A word that is not known is no status: the cluster says nothing.
            let mut status = Status::from_word(&finding.message).unwrap_or(Status::NotAssessed);
            if status == Status::NotSatisfied {
                let waiver = self.waiver_for(key, finding);
                failing.push((index, waiver));
                if waiver.is_some() {
                    status = Status::Waived;
                }
            }
            *clusters.entry(status).or_default() += 1;
        }
        let gaps = self.gaps(control);
        let mut reasons: BTreeSet<Reason> =
            gaps.iter().filter_map(|source| source.standing.reason()).collect();
        let worst = clusters.keys().next().copied();
        match worst {
            None => drop(reasons.insert(Reason::NoEvidence)),
            Some(Status::NotAssessed) => drop(reasons.insert(Reason::PartialCoverage)),
            Some(_) => {}
        }
        let checked = match (worst, reasons.first()) {
            (Some(Status::NotSatisfied), _) => Decided::closed(Status::NotSatisfied, None),
            (_, Some(reason)) => Decided::closed(Status::NotAssessed, Some(*reason)),
            (status, None) => {
                let status = status.unwrap_or(Status::NotAssessed);
                let open_to_people = matches!(status, Status::Manual | Status::Supported);
                Decided { open_to_people, ..Decided::closed(status, None) }
            }
        };
        let attestations = self.attestations_of(key);
        let decided = with_attestations(control.kind, checked, &attestations);
        let of = |status: Status| clusters.get(&status).copied().unwrap_or_default();
        let verdict = match worst {
            None | Some(Status::NotApplicable) => Verdict::Silent,
            Some(Status::NotSatisfied) => Verdict::Contradicted,
            Some(Status::NotAssessed) => Verdict::Partial,
            Some(Status::Manual) => Verdict::Manual,
            Some(Status::Waived) => Verdict::Waived,
            Some(Status::Supported | Status::Satisfied) => Verdict::Established,
        };
        let full = worst == Some(Status::Satisfied);
        ControlResult {
            control: control.id.clone(),
            status: decided.status,
            reason: decided.reason,
            basis: basis(worst.is_some(), decided.attested),
            explanation: explain_roll_up(&clusters, &gaps, decided.attested, &attestations),
            facts: vec![FactResult {
                verdict,
                strength: if full { Strength::Full } else { Strength::Partial },
                checks: worst.map(|_| (check.clone(), counts)).into_iter().collect(),
            }],
            failing,
            passing: of(Status::Satisfied) + of(Status::Supported),
            undecided: of(Status::NotAssessed),
            attestations: attestations.iter().map(|a| a.id.clone()).collect(),
        }
    }

    fn judge(&self, mapping: &Mapping, key: &str, seen: &mut Seen) -> FactResult {
        let mut checks = BTreeMap::new();
        let mut verdicts = BTreeSet::new();
        // The strongest claim among the checks that established the fact.
        let mut established: Option<Strength> = None;
        for (check, strength) in mapping.all_checks() {
            let Some(indices) = self.by_check.get(check) else { continue };
            let mut counts = OutcomeCounts::new();
            let mut uncovered = false;
            for &index in indices {
                let Some(sourced) = self.findings.get(index as usize) else { continue };
                let outcome = sourced.finding.outcome;
                *counts.entry(outcome).or_default() += 1;
                match outcome {
                    Outcome::Fail => {
                        let waiver = self.waiver_for(key, &sourced.finding);
                        uncovered |= waiver.is_none();
                        seen.failing.push((index, waiver));
                    }
                    Outcome::Error | Outcome::NotChecked => {
                        seen.undecided.push(index);
                    }
                    Outcome::Pass => {
                        seen.passing.push(index);
                    }
                    Outcome::Manual | Outcome::NotApplicable => {}
                }
            }
            let mut verdict = check_verdict(&counts, uncovered);
            match (strength, verdict) {
                (Some(strength), Verdict::Established) => {
                    established = Some(established.map_or(strength, |known| known.min(strength)));
                }
                // Its failure counts, its pass says nothing.
                (None, Verdict::Established | Verdict::Partial | Verdict::Manual) => {
                    verdict = Verdict::Silent;
                }
                _ => {}
            }
            verdicts.insert(verdict);
            // A failure that a waiver covers stays one, whatever else the check or an alternative
            // says.
            if counts.contains_key(&Outcome::Fail) && !uncovered {
                verdicts.insert(Verdict::Waived);
            }
            checks.insert(check.clone(), counts);
        }
        // An alternative that says nothing, or that has gaps, takes nothing from one that
        // establishes the fact on all its resources.
        if established.is_some() {
            verdicts.remove(&Verdict::Partial);
        }
        FactResult {
            verdict: verdicts.first().copied().unwrap_or(Verdict::Silent),
            strength: established.unwrap_or(mapping.strength),
            checks,
        }
    }

    fn waiver_for(&self, key: &str, finding: &Finding) -> Option<u32> {
        if self.waivers.is_empty() {
            return None;
        }
        let resource = finding.resource.to_string();
        (0..)
            .zip(&self.waivers)
            .find(|(_, waiver)| waiver.covers(key, finding.check.as_str(), &resource))
            .map(|(index, _)| index)
    }

    /// The waiver in force of that index, as [`ControlResult::failing`] names it.
    #[must_use]
    pub fn waiver(&self, index: u32) -> Option<&'a Waiver> {
        self.waivers.get(index as usize).copied()
    }

    /// Attestations in force over a control.
    fn attestations_of(&self, key: &str) -> Vec<&'a Attestation> {
        self.attestations.iter().copied().filter(|a| a.covers(key)).collect()
    }

    /// Declared sources that are not ok and whose scanner has checks among this control's.
    fn gaps(&self, control: &Control) -> Vec<&'a SourceStanding> {
        self.sources
            .iter()
            .filter(|source| source.standing != Standing::Ok && bears_on(source, control))
            .collect()
    }

    /// Does any declared source look at what this control needs?
    fn is_looked_at(&self, control: &Control) -> bool {
        self.sources.iter().any(|source| bears_on(source, control))
    }
}

fn bears_on(source: &SourceStanding, control: &Control) -> bool {
    control
        .mappings
        .iter()
        .flat_map(Mapping::all_checks)
        .any(|(check, _)| yields(&source.scanner, check))
}

/// Can this check come from a source declared as that scanner? Trivy's compliance specs are
/// Trivy's too.
#[must_use]
pub fn yields(declared: &str, check: &CheckId) -> bool {
    let prefix = check.scanner();
    prefix == declared || (declared == "trivy" && prefix == "trivy-compliance")
}

/// All findings of one check, as one verdict.
fn check_verdict(counts: &OutcomeCounts, uncovered: bool) -> Verdict {
    let has = |outcome: Outcome| counts.contains_key(&outcome);
    if uncovered {
        Verdict::Contradicted
    } else if has(Outcome::Error) {
        Verdict::Error
    } else if has(Outcome::NotChecked) {
        if has(Outcome::Pass) || has(Outcome::Fail) { Verdict::Partial } else { Verdict::Silent }
    } else if has(Outcome::Manual) {
        Verdict::Manual
    } else if has(Outcome::Fail) {
        Verdict::Waived
    } else if has(Outcome::Pass) {
        Verdict::Established
    } else {
        // A scanner's own "not applicable" has no reason and no approver: it establishes nothing.
        Verdict::Silent
    }
}

/// A status on its way.
#[derive(Clone, Copy)]
struct Decided {
    status: Status,
    reason: Option<Reason>,
    attested: bool,
    /// Nothing contradicts the control and nothing that was declared is lacking: a person's
    /// statement may complete it.
    open_to_people: bool,
}

impl Decided {
    /// What no person's statement completes.
    fn closed(status: Status, reason: Option<Reason>) -> Self {
        Self { status, reason, attested: false, open_to_people: false }
    }
}

fn by_checks(
    control: &Control,
    facts: &[FactResult],
    gaps: &[&SourceStanding],
    looked_at: bool,
) -> Decided {
    let decide = |status, reason, open_to_people| Decided {
        status,
        reason,
        attested: false,
        open_to_people,
    };
    if control.kind == Kind::NotApplicable {
        return decide(Status::NotApplicable, None, false);
    }
    let any = |verdict: Verdict| facts.iter().any(|fact| fact.verdict == verdict);
    if any(Verdict::Contradicted) {
        return decide(Status::NotSatisfied, None, false);
    }
    let required =
        || control.mappings.iter().zip(facts).filter(|(mapping, _)| mapping.is_required());
    let silent = required().filter(|(_, fact)| fact.verdict == Verdict::Silent).count();
    let answered = facts.iter().filter(|fact| fact.verdict != Verdict::Silent).count();

    let mut reasons: BTreeSet<Reason> =
        gaps.iter().filter_map(|source| source.standing.reason()).collect();
    if any(Verdict::Error) {
        reasons.insert(Reason::Error);
    }
    if any(Verdict::Partial) || (silent > 0 && answered > 0) {
        reasons.insert(Reason::PartialCoverage);
    }
    let lacking = !reasons.is_empty();
    if answered == 0 && control.kind != Kind::Manual {
        reasons.insert(Reason::NoEvidence);
    }
    if let Some(reason) = reasons.first() {
        // Where nobody was asked to look, a person's statement may stand for the whole.
        return decide(Status::NotAssessed, Some(*reason), !lacking && !looked_at);
    }
    if control.kind == Kind::Manual || any(Verdict::Manual) {
        return decide(Status::Manual, None, !any(Verdict::Waived));
    }
    if any(Verdict::Waived) {
        return decide(Status::Waived, None, false);
    }
    let full = required().count() > 0
        && required().all(|(_, fact)| fact.strength == Strength::Full)
        && control.kind == Kind::Automated;
    decide(if full { Status::Satisfied } else { Status::Supported }, None, true)
}

fn with_attestations(kind: Kind, checked: Decided, attestations: &[&Attestation]) -> Decided {
    if kind == Kind::NotApplicable {
        return checked;
    }
    let says = |said: Said| attestations.iter().any(|a| a.outcome == said);
    if says(Said::NotImplemented) {
        return Decided { status: Status::NotSatisfied, reason: None, attested: true, ..checked };
    }
    if !checked.open_to_people || checked.status == Status::Satisfied {
        return checked;
    }
    // Two people who disagree on whether it applies leave the more demanding answer standing.
    if says(Said::Implemented) || says(Said::Alternative) {
        return Decided { status: Status::Satisfied, reason: None, attested: true, ..checked };
    }
    if says(Said::NotApplicable) {
        return Decided { status: Status::NotApplicable, reason: None, attested: true, ..checked };
    }
    checked
}

/// What a result rests on.
fn basis(automated: bool, attested: bool) -> Basis {
    match (automated, attested) {
        (true, true) => Basis::Mixed,
        (true, false) => Basis::Automated,
        (false, true) => Basis::Attested,
        (false, false) => Basis::None,
    }
}

/// Who attests, and by which statement.
fn people(attestations: &[&Attestation]) -> String {
    let names: Vec<_> = attestations.iter().map(|a| format!("{} ({})", a.by, a.id)).collect();
    names.join(", ")
}

/// One sentence: why this status. Numbers before adjectives.
fn explain(
    control: &Control,
    result: &ControlResult,
    gaps: &[&SourceStanding],
    attestations: &[&Attestation],
) -> String {
    let people = || people(attestations);
    let count = |verdict: Verdict| result.facts.iter().filter(|f| f.verdict == verdict).count();
    let mut text = String::new();
    let _ = match (result.status, result.reason) {
        (Status::NotApplicable, _) if control.kind == Kind::NotApplicable => {
            write!(text, "{}", control.not_applicable.as_deref().unwrap_or_default())
        }
        (Status::NotApplicable, _) => write!(text, "Declared not applicable by {}.", people()),
        (Status::NotSatisfied, _) => {
            let uncovered = result.failing.iter().filter(|(_, waiver)| waiver.is_none()).count();
            if uncovered == 0 {
                write!(text, "Declared not implemented by {}.", people())
            } else {
                write!(
                    text,
                    "{uncovered} failing {}; {} passing.",
                    plural(uncovered, "finding"),
                    result.passing
                )
            }
        }
        (Status::NotAssessed, reason) => explain_gap(&mut text, reason, result, gaps),
        (Status::Manual, _) if count(Verdict::Manual) > 0 => {
            write!(text, "The scanner leaves this to a person; no attestation is in force.")
        }
        (Status::Manual, _) => {
            write!(text, "A cluster cannot answer this; no attestation is in force.")
        }
        (Status::Waived, _) => write!(
            text,
            "{} failing {}, all covered by waivers in force.",
            result.failing.len(),
            plural(result.failing.len(), "finding")
        ),
        (Status::Supported, _) => write!(
            text,
            "All {} passing {} support it; the mapped checks cover only part of it.",
            result.passing,
            plural(result.passing, "finding")
        ),
        (Status::Satisfied, _) if result.basis == Basis::Attested => {
            write!(text, "Attested by {}.", people())
        }
        (Status::Satisfied, _) if result.basis == Basis::Mixed => write!(
            text,
            "{} passing {}; the rest is attested by {}.",
            result.passing,
            plural(result.passing, "finding"),
            people()
        ),
        (Status::Satisfied, _) => write!(
            text,
            "All {} {} passed, and the mapped checks cover all of it.",
            result.passing,
            plural(result.passing, "finding")
        ),
    };
    text
}

/// One sentence on a control over a fleet: in how many clusters it stands how.
fn explain_roll_up(
    clusters: &BTreeMap<Status, usize>,
    gaps: &[&SourceStanding],
    is_attested: bool,
    attestations: &[&Attestation],
) -> String {
    let total: usize = clusters.values().sum();
    let parts: Vec<_> =
        clusters.iter().map(|(status, count)| format!("{status} in {count}")).collect();
    let mut text = match parts.as_slice() {
        [] => "No cluster says anything of it.".to_owned(),
        parts => format!("Of {total} {}: {}.", plural(total, "cluster"), parts.join(", ")),
    };
    for source in gaps {
        let _ = write!(text, " Source {} is {}.", source.name, source.standing.as_str());
    }
    if is_attested {
        let _ = write!(text, " Attested by {}.", people(attestations));
    }
    text
}

fn explain_gap(
    text: &mut String,
    reason: Option<Reason>,
    result: &ControlResult,
    gaps: &[&SourceStanding],
) -> std::fmt::Result {
    let blamed: Vec<_> = gaps
        .iter()
        .filter(|source| source.standing.reason() == reason)
        .map(|source| format!("{} is {}", source.name, source.standing.as_str()))
        .collect();
    if !blamed.is_empty() {
        return write!(text, "Source {}.", blamed.join(", "));
    }
    match reason {
        Some(Reason::Error) => write!(
            text,
            "{} {} could not tell.",
            result.undecided,
            plural(result.undecided, "finding")
        ),
        Some(Reason::PartialCoverage) => {
            let answered = result.facts.iter().filter(|f| f.verdict != Verdict::Silent).count();
            write!(
                text,
                "{answered} of {} facts have evidence; {} {} undecided.",
                result.facts.len(),
                result.undecided,
                plural(result.undecided, "finding")
            )
        }
        _ => write!(text, "No source reported any of the mapped checks."),
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::finding::{ResourceRef, Severity};
    use crate::framework::Responsibility;

    fn control(kind: Kind, mappings: &[(&[&str], Strength)]) -> Control {
        Control {
            id: "1".into(),
            group: "g".into(),
            title: "t".into(),
            kind,
            not_applicable: None,
            attributes: BTreeMap::new(),
            remediation: String::new(),
            remaining_evidence: String::new(),
            mappings: mappings
                .iter()
                .map(|(checks, strength)| Mapping {
                    checks: checks.iter().map(|id| CheckId::parse(id).unwrap()).collect(),
                    partial_checks: Vec::new(),
                    contradicting_checks: Vec::new(),
                    strength: *strength,
                    rationale: "r".into(),
                    responsibility: Responsibility::ClusterAdministrator,
                })
                .collect(),
        }
    }

    fn findings(list: &[(&str, &str, Outcome)]) -> Vec<Sourced> {
        list.iter()
            .map(|(check, resource, outcome)| Sourced {
                finding: Finding {
                    check: CheckId::parse(check).unwrap(),
                    resource: Arc::new(ResourceRef::namespaced("Pod", "ns", *resource)),
                    outcome: *outcome,
                    severity: Severity::High,
                    rule: "".into(),
                    raw_check: "".into(),
                    message: "".into(),
                    locator: "".into(),
                },
                source: 0,
                input: 0,
                usable: true,
            })
            .collect()
    }

    fn sources(list: &[(&str, Standing)]) -> Vec<SourceStanding> {
        list.iter()
            .map(|(scanner, standing)| SourceStanding {
                name: (*scanner).into(),
                scanner: (*scanner).into(),
                standing: *standing,
            })
            .collect()
    }

    struct Case {
        waivers: Vec<Waiver>,
        attestations: Vec<Attestation>,
        sources: Vec<SourceStanding>,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                waivers: Vec::new(),
                attestations: Vec::new(),
                sources: sources(&[("a", Standing::Ok), ("b", Standing::Ok)]),
            }
        }
    }

    impl Case {
        fn status(
            &self,
            control: &Control,
            list: &[(&str, &str, Outcome)],
        ) -> (Status, Option<Reason>) {
            let findings = findings(list);
            let at = "2026-06-01T00:00:00Z".parse().unwrap();
            let evidence =
                Evidence::new(&findings, &self.sources, &self.waivers, &self.attestations, at);
            let result = evidence.assess_control(control, "f@1/1");
            assert!(!result.explanation.is_empty());
            (result.status, result.reason)
        }
    }

    fn waiver(resource: &str, expires: &str) -> Waiver {
        crate::waiver::WaiverFile::parse(&format!(
            "waivers: [{{id: W, scope: {{checks: ['*'], resources: ['{resource}']}}, reason: r, approver: a, ticket: t, expires: {expires}}}]"
        ))
        .unwrap()
        .waivers
        .remove(0)
    }

    fn attestation(outcome: &str) -> Attestation {
        crate::attestation::AttestationFile::parse(&format!(
            "attestations: [{{id: A, controls: ['f@1/*'], outcome: {outcome}, by: b, role: r, statement: s, date: 2026-01-01, until: 2026-12-31}}]"
        ))
        .unwrap()
        .attestations
        .remove(0)
    }

    use Outcome::{Error, Fail, Manual, NotApplicable, NotChecked, Pass};
    use Strength::{Full, Partial, Supporting};

    #[test]
    fn silence_is_never_a_pass() {
        let control = control(Kind::Automated, &[(&["a:1"], Full)]);
        let case = Case::default();
        let none = (Status::NotAssessed, Some(Reason::NoEvidence));
        assert_eq!(case.status(&control, &[]), none);
        assert_eq!(case.status(&control, &[("a:1", "x", NotChecked)]), none);
        assert_eq!(case.status(&control, &[("a:1", "x", NotApplicable)]), none);
        assert_eq!(case.status(&control, &[("a:2", "x", Pass)]), none);
    }

    #[test]
    fn a_pass_claims_what_its_mapping_allows() {
        let case = Case::default();
        let pass = [("a:1", "x", Pass)];
        for (kind, strength, status) in [
            (Kind::Automated, Full, Status::Satisfied),
            (Kind::Automated, Partial, Status::Supported),
            (Kind::Assisted, Full, Status::Supported),
            (Kind::Assisted, Supporting, Status::Supported),
        ] {
            let control = control(kind, &[(&["a:1"], strength)]);
            assert_eq!(case.status(&control, &pass), (status, None), "{kind:?} {strength:?}");
        }
    }

    #[test]
    fn one_failure_outweighs_everything() {
        let control = control(Kind::Automated, &[(&["a:1", "b:1"], Full), (&["a:2"], Supporting)]);
        let case = Case { attestations: vec![attestation("implemented")], ..Case::default() };
        let failed = (Status::NotSatisfied, None);
        assert_eq!(case.status(&control, &[("a:1", "x", Pass), ("b:1", "x", Fail)]), failed);
        assert_eq!(case.status(&control, &[("a:1", "x", Pass), ("a:2", "x", Fail)]), failed);
        assert_eq!(case.status(&control, &[("a:1", "x", Error), ("b:1", "y", Fail)]), failed);
    }

    #[test]
    fn a_pass_that_says_nothing_establishes_nothing() {
        let mut control = control(Kind::Automated, &[(&["a:1"], Full)]);
        control.mappings[0].contradicting_checks = vec![CheckId::parse("b:1").unwrap()];
        let case = Case::default();
        let none = (Status::NotAssessed, Some(Reason::NoEvidence));
        assert_eq!(case.status(&control, &[("b:1", "x", Pass)]), none);
        assert_eq!(case.status(&control, &[("b:1", "x", Manual)]), none);
        let satisfied = (Status::Satisfied, None);
        assert_eq!(case.status(&control, &[("a:1", "x", Pass), ("b:1", "x", Pass)]), satisfied);
        let failed = (Status::NotSatisfied, None);
        assert_eq!(case.status(&control, &[("a:1", "x", Pass), ("b:1", "x", Fail)]), failed);
    }

    #[test]
    fn errors_and_gaps_leave_it_not_assessed() {
        let control = control(Kind::Automated, &[(&["a:1", "b:1"], Full), (&["a:2"], Partial)]);
        let case = Case::default();
        let both = [("a:1", "x", Pass), ("a:2", "x", Pass)];
        assert_eq!(case.status(&control, &both), (Status::Supported, None));
        let partial = (Status::NotAssessed, Some(Reason::PartialCoverage));
        assert_eq!(case.status(&control, &both[..1]), partial);
        let mixed = [("a:1", "x", Pass), ("a:1", "y", NotChecked), ("a:2", "x", Pass)];
        assert_eq!(case.status(&control, &mixed), partial);
        let error = [("a:1", "x", Pass), ("b:1", "x", Error), ("a:2", "x", Pass)];
        assert_eq!(case.status(&control, &error), (Status::NotAssessed, Some(Reason::Error)));
        // The alternative answers for every resource it saw.
        let covered = [("a:1", "x", NotChecked), ("b:1", "x", Pass), ("a:2", "x", Pass)];
        assert_eq!(case.status(&control, &covered), (Status::Supported, None));
    }

    #[test]
    fn a_declared_source_that_lacks_caps_its_controls() {
        let control = control(Kind::Automated, &[(&["a:1", "b:1"], Full)]);
        for (standing, reason) in [
            (Standing::Missing, Reason::NoEvidence),
            (Standing::Empty, Reason::NoEvidence),
            (Standing::Unreadable, Reason::Unreadable),
            (Standing::Stale, Reason::Stale),
            (Standing::Incomplete, Reason::PartialCoverage),
        ] {
            let case = Case {
                sources: sources(&[("a", Standing::Ok), ("b", standing)]),
                waivers: vec![waiver("*", "2026-12-31")],
                attestations: vec![attestation("implemented"), attestation("not-applicable")],
            };
            let capped = (Status::NotAssessed, Some(reason));
            assert_eq!(case.status(&control, &[("a:1", "x", Pass)]), capped);
            assert_eq!(
                case.status(&control, &[("a:1", "x", Fail)]),
                capped,
                "a waiver is no way out"
            );
            let unwaived = Case { waivers: Vec::new(), ..case };
            assert_eq!(unwaived.status(&control, &[("a:1", "x", Fail)]).0, Status::NotSatisfied);
        }
    }

    #[test]
    fn waivers_cover_all_or_nothing_and_end() {
        let control = control(Kind::Automated, &[(&["a:1"], Full)]);
        let failing = [("a:1", "x", Fail), ("a:1", "y", Fail), ("a:1", "z", Pass)];
        let with = |waivers: Vec<Waiver>| Case { waivers, ..Case::default() };
        let status = |case: Case| case.status(&control, &failing).0;
        assert_eq!(status(with(vec![waiver("*", "2026-12-31")])), Status::Waived);
        assert_eq!(status(with(vec![waiver("ns/Pod/x", "2026-12-31")])), Status::NotSatisfied);
        assert_eq!(status(with(vec![waiver("*", "2026-05-31")])), Status::NotSatisfied);
    }

    #[test]
    fn a_waived_failure_is_not_hidden_by_an_alternative() {
        let control = control(Kind::Automated, &[(&["a:1", "b:1"], Full)]);
        let list = [("a:1", "x", Fail), ("a:1", "y", NotChecked), ("b:1", "x", Pass)];
        let case = Case { waivers: vec![waiver("*", "2026-12-31")], ..Case::default() };
        assert_eq!(case.status(&control, &list), (Status::Waived, None));
        assert_eq!(Case::default().status(&control, &list), (Status::NotSatisfied, None));
    }

    #[test]
    fn attestations_complete_but_never_outweigh() {
        let implemented =
            Case { attestations: vec![attestation("implemented")], ..Case::default() };
        let absent = Case { attestations: vec![attestation("not-implemented")], ..Case::default() };
        let n_a = Case { attestations: vec![attestation("not-applicable")], ..Case::default() };
        let manual = control(Kind::Manual, &[]);
        assert_eq!(Case::default().status(&manual, &[]), (Status::Manual, None));
        assert_eq!(implemented.status(&manual, &[]), (Status::Satisfied, None));
        assert_eq!(absent.status(&manual, &[]), (Status::NotSatisfied, None));
        assert_eq!(n_a.status(&manual, &[]), (Status::NotApplicable, None));

        let assisted = control(Kind::Assisted, &[(&["a:1"], Partial)]);
        let pass = [("a:1", "x", Pass)];
        let fail = [("a:1", "x", Fail)];
        assert_eq!(implemented.status(&assisted, &pass), (Status::Satisfied, None));
        assert_eq!(implemented.status(&assisted, &fail), (Status::NotSatisfied, None));
        assert_eq!(n_a.status(&assisted, &fail), (Status::NotSatisfied, None));
        assert_eq!(implemented.status(&assisted, &[]).0, Status::NotAssessed, "a source looks");
        let nobody = Case { sources: Vec::new(), ..implemented };
        assert_eq!(nobody.status(&assisted, &[]), (Status::Satisfied, None));
    }

    #[test]
    fn a_pass_never_outranks_manual() {
        let control = control(Kind::Automated, &[(&["a:1", "b:1"], Full)]);
        let list = [("a:1", "x", Manual), ("b:1", "x", Pass)];
        assert_eq!(Case::default().status(&control, &list), (Status::Manual, None));
    }
}
