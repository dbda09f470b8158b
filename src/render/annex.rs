//! The annex of a report: every finding of a bundle, in one numbered list that is divided into volumes.
//! Rows have the same numbers in the report that refers to them and in the volume that has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Serialize;

use super::build::counts_of;
use super::model::{Chain, Cluster, Conflict, Count, Report, Tool};
use crate::assessment::OutcomeCounts;
use crate::finding::Outcome;
use crate::record::FindingItem;
use crate::sealed::{Items, WaiversByFinding};

/// Rows of a volume: so many that one stays below 512 MiB while it is made.
pub const ROWS: usize = 5_000;

/// The order of the annex: by check, what fails first, then by resource.
#[derive(Debug)]
pub struct Order {
    /// Places in `Items::findings`, by row.
    places: Vec<usize>,
    /// Row from 1, by place in `Items::findings`.
    rows: Vec<usize>,
}

impl Order {
    /// The order of these items' findings.
    #[must_use]
    pub fn of(items: &Items) -> Self {
        let mut places: Vec<usize> = (0..items.findings.len()).collect();
        places.sort_by_cached_key(|place| {
            let finding = items.findings.get(*place)?;
            let resource = finding.resource.to_string();
            Some((finding.check.as_str(), rank(finding.outcome), resource, &finding.rule, *place))
        });
        let mut rows = vec![0; places.len()];
        for (row, place) in places.iter().enumerate() {
            if let Some(slot) = rows.get_mut(*place) {
                *slot = row + 1;
            }
        }
        Self { places, rows }
    }

    /// Row of the finding at this place in `Items::findings`, from 1.
    #[must_use]
    pub fn row(&self, place: usize) -> usize {
        self.rows.get(place).copied().unwrap_or_default()
    }

    /// Volumes in all.
    #[must_use]
    pub fn volumes(&self) -> usize {
        self.places.len().div_ceil(ROWS)
    }

    /// First and last row of each check.
    #[must_use]
    pub fn checks<'i>(&self, items: &'i Items) -> BTreeMap<&'i str, (usize, usize)> {
        let mut checks: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (index, place) in self.places.iter().enumerate() {
            if let Some(finding) = items.findings.get(*place) {
                checks.entry(&finding.check).or_insert((index + 1, index + 1)).1 = index + 1;
            }
        }
        checks
    }
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Fail => 0,
        Outcome::Pass => 2,
        _ => 1,
    }
}

/// One volume, in the spelling of templates.
#[derive(Clone, Debug, Serialize)]
pub struct Volume {
    /// What it belongs to.
    #[serde(flatten)]
    pub head: Head,
    /// Number from 1.
    pub number: usize,
    /// All volumes of this annex.
    pub volumes: Vec<VolumeFacts>,
    /// Findings in all volumes.
    pub rows: usize,
    /// Findings of each outcome in all volumes.
    pub outcomes: Vec<Count>,
    /// Its checks, in order.
    pub checks: Vec<CheckPart>,
    /// Where checks of one fact contradict each other; in the last volume.
    pub disagreements: Vec<Disagreement>,
}

/// Resources at which the same checks contradict each other in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// `cis-kubernetes@1.12/5.2.2`.
    pub control: String,
    /// `check: outcome` of each side.
    pub sides: Vec<String>,
    /// All of them.
    pub resources: Vec<String>,
}

/// What the report and its annex say alike.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// [`Report::organisation`].
    pub organisation: String,
    /// [`Report::cluster`].
    pub cluster: Cluster,
    /// [`Report::created`].
    pub created: String,
    /// [`Report::chain`].
    pub chain: Chain,
    /// [`Report::tool`].
    pub tool: Tool,
}

/// What a volume holds.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeFacts {
    /// Number from 1.
    pub number: usize,
    /// Its first row.
    pub first: usize,
    /// Its last row.
    pub last: usize,
    /// First of its checks.
    pub from_check: String,
    /// Last of its checks.
    pub to_check: String,
    /// Findings of each outcome.
    pub outcomes: Vec<Count>,
}

/// The findings of a check in a volume.
#[derive(Clone, Debug, Serialize)]
pub struct CheckPart {
    /// Check id.
    pub id: String,
    /// The scanner's title; may be empty.
    pub title: String,
    /// Does it begin in an earlier volume?
    pub continued: bool,
    /// First row here.
    pub first: usize,
    /// Last row here.
    pub last: usize,
    /// Findings of each outcome, here.
    pub outcomes: Vec<Count>,
    /// `framework@version control` of the controls that it bears on.
    pub controls: Vec<String>,
    /// What fails, is an error, needs a person, does not apply or was not checked.
    pub told: Vec<Row>,
    /// Row of the first resource that passes.
    pub passing_first: usize,
    /// Resources that pass, one for each row.
    pub passing: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Number in the annex.
    pub row: usize,
    /// Item id without its type.
    pub item: String,
    /// As reports print it.
    pub resource: String,
    /// Outcome word.
    pub outcome: String,
    /// Severity word.
    pub severity: String,
    /// CVE or rule; may be empty.
    pub rule: String,
    /// The scanner's explanation.
    pub message: String,
    /// Name of its source.
    pub source: String,
    /// Standing of its input where that is not `ok`: what it says then counts for nothing, or not for all.
    pub standing: String,
    /// Waivers that cover it.
    pub waivers: Vec<String>,
}

/// By control and by what the checks say.
pub(super) fn disagreements(conflicts: &[Conflict]) -> Vec<Disagreement> {
    let mut alike: BTreeMap<(&str, &[String]), Vec<String>> = BTreeMap::new();
    for conflict in conflicts {
        let key = (conflict.control.as_str(), conflict.sides.as_slice());
        alike.entry(key).or_default().push(conflict.resource.clone());
    }
    let part = |((control, sides), resources): ((&str, &[String]), _)| Disagreement {
        control: control.to_owned(),
        sides: sides.to_vec(),
        resources,
    };
    alike.into_iter().map(part).collect()
}

/// The annex of a bundle. Volumes are made one at a time.
#[derive(Debug)]
pub struct Annex<'a> {
    items: &'a Items,
    head: Head,
    order: Order,
    volumes: Vec<VolumeFacts>,
    outcomes: Vec<Count>,
    conflicts: &'a [Conflict],
    /// Controls by check.
    controls: BTreeMap<&'a str, Vec<String>>,
    /// Waivers by item id.
    waivers: WaiversByFinding<'a>,
}

impl<'a> Annex<'a> {
    /// The annex of the report on these items.
    #[must_use]
    pub fn new(items: &'a Items, report: &'a Report) -> Self {
        let order = Order::of(items);
        let mut controls: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for framework in &report.frameworks {
            for control in framework.groups.iter().flat_map(|group| &group.controls) {
                let checks: BTreeSet<&str> = control
                    .mappings
                    .iter()
                    .flat_map(|mapping| &mapping.checks)
                    .map(|check| check.id.as_str())
                    .collect();
                for check in checks {
                    let name = format!("{} {}", framework.id, control.id);
                    controls.entry(check).or_default().push(name);
                }
            }
        }
        let mut annex = Self {
            items,
            head: Head {
                organisation: report.organisation.clone(),
                cluster: report.cluster.clone(),
                created: report.created.clone(),
                chain: report.chain.clone(),
                tool: report.tool.clone(),
            },
            volumes: Vec::new(),
            outcomes: Vec::new(),
            conflicts: &report.conflicts,
            order,
            controls,
            waivers: items.waivers_by_finding(),
        };
        annex.outcomes = annex.outcomes(1..=items.findings.len());
        annex.volumes = (1..=annex.order.volumes()).map(|number| annex.facts(number)).collect();
        annex
    }

    /// Volumes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.volumes.len()
    }

    /// Is there no finding?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }

    fn finding(&self, row: usize) -> Option<&'a FindingItem> {
        self.items.findings.get(*self.order.places.get(row.checked_sub(1)?)?)
    }

    fn rows(&self, number: usize) -> RangeInclusive<usize> {
        (number.saturating_sub(1) * ROWS + 1)..=(number * ROWS).min(self.order.places.len())
    }

    fn outcomes(&self, rows: RangeInclusive<usize>) -> Vec<Count> {
        let mut outcomes = OutcomeCounts::new();
        for finding in rows.filter_map(|row| self.finding(row)) {
            *outcomes.entry(finding.outcome).or_default() += 1;
        }
        counts_of(&outcomes)
    }

    fn facts(&self, number: usize) -> VolumeFacts {
        let rows = self.rows(number);
        let check =
            |row: usize| self.finding(row).map(|finding| finding.check.clone()).unwrap_or_default();
        VolumeFacts {
            number,
            first: *rows.start(),
            last: *rows.end(),
            from_check: check(*rows.start()),
            to_check: check(*rows.end()),
            outcomes: self.outcomes(rows),
        }
    }

    /// A volume by its number from 1; without rows when there is none of it.
    #[must_use]
    pub fn volume(&self, number: usize) -> Volume {
        let mut checks: Vec<CheckPart> = Vec::new();
        for row in self.rows(number) {
            let Some(finding) = self.finding(row) else { continue };
            if checks.last().is_none_or(|part| part.id != finding.check) {
                checks.push(self.part(finding, row));
            }
            let Some(part) = checks.last_mut() else { continue };
            part.last = row;
            if finding.outcome == Outcome::Pass && self.items.is_usable(finding) {
                if part.passing.is_empty() {
                    part.passing_first = row;
                }
                part.passing.push(finding.resource.to_string());
            } else {
                part.told.push(self.told(finding, row));
            }
        }
        for part in &mut checks {
            part.outcomes = self.outcomes(part.first..=part.last);
        }
        Volume {
            head: self.head.clone(),
            number,
            volumes: self.volumes.clone(),
            rows: self.order.places.len(),
            outcomes: self.outcomes.clone(),
            checks,
            disagreements: if number == self.len() {
                disagreements(self.conflicts)
            } else {
                Vec::new()
            },
        }
    }

    fn part(&self, finding: &FindingItem, row: usize) -> CheckPart {
        let before = row.checked_sub(1).and_then(|row| self.finding(row));
        CheckPart {
            id: finding.check.clone(),
            title: self
                .items
                .checks
                .get(&finding.check)
                .map(|check| check.title.clone())
                .unwrap_or_default(),
            continued: before.is_some_and(|before| before.check == finding.check),
            first: row,
            last: row,
            outcomes: Vec::new(),
            controls: self.controls.get(finding.check.as_str()).cloned().unwrap_or_default(),
            told: Vec::new(),
            passing_first: 0,
            passing: Vec::new(),
        }
    }

    fn told(&self, finding: &FindingItem, row: usize) -> Row {
        let waivers = self.waivers.get(finding.id.as_str()).into_iter().flatten();
        let standing =
            self.items.inputs.get(&finding.input).map_or("", |input| input.standing.as_str());
        Row {
            row,
            item: finding.id.trim_start_matches("finding/").to_owned(),
            resource: finding.resource.to_string(),
            outcome: finding.outcome.as_str().to_owned(),
            severity: finding.severity.as_str().to_owned(),
            rule: finding.rule.clone(),
            message: finding.message.clone(),
            source: self.items.source_of(finding).to_owned(),
            standing: if standing == "ok" { "" } else { standing }.to_owned(),
            waivers: waivers.map(|waiver| (*waiver).to_owned()).collect(),
        }
    }
}
