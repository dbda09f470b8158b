//! From the model to what a template reads: `/data.json` is the document with every text made
//! showable, the attachments named, and for a [`Report`] with long lists of failing findings shortened
//! and a few figures that a page needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Attachment;
use super::annex;
use super::decisions::{Decision, decisions};
use super::model::{Control, Count, Failing, Report};
use super::text::{self, Altered};
use crate::evidence::digest::Digest;
use crate::finding::Severity;

/// Failing findings listed below a control. The first number that keeps the report within
/// [`LISTED_IN_ALL`] is taken: a report on one framework of a small cluster lists more of each.
const LISTED: [usize; 9] = [100, 50, 25, 12, 8, 5, 3, 2, 1];
/// Rows of failing findings in a whole report. A row costs about 0.15 MB of memory while it is made.
const LISTED_IN_ALL: usize = 800;
/// Most that the report on several frameworks lists below a control.
const LISTED_OF_SEVERAL: usize = 12;
/// Checks in the summary's list of what fails.
const WORST: usize = 8;
/// Resources named for each of them.
const WHERE: usize = 2;
/// Namespaces named for what a list leaves out.
const NAMESPACES: usize = 3;

/// Fields that `/data.json` has beside those of [`Report`].
#[derive(Debug, Serialize)]
pub(super) struct Extra {
    /// Failing findings that bear on a control of this report, each counted once.
    pub(super) failing_findings: usize,
    /// Checks that they belong to.
    pub(super) failing_checks: usize,
    /// Those of each severity, worst first; only those that occur.
    pub(super) failing_severities: Vec<Count>,
    /// The worst of these checks.
    pub(super) worst: Vec<Worst>,
    /// Rows of a volume of the annex.
    pub(super) annex_rows: usize,
    /// In place of `Report::conflicts`: those in which the same checks say the same, together.
    pub(super) conflicts: Vec<Disagreement>,
    /// Conflicts in all.
    pub(super) conflicts_total: usize,
    /// What people must decide, most urgent first.
    pub(super) decisions: Vec<Decision>,
}

/// Checks of one fact that contradict each other.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Disagreement {
    /// `cis-kubernetes@1.12/5.2.2`.
    pub(super) control: String,
    /// `check: outcome` of each side.
    pub(super) sides: Vec<String>,
    /// At how many resources.
    pub(super) resources: usize,
    /// The first of them.
    pub(super) examples: Vec<String>,
}

/// A check that fails, over all its findings.
#[derive(Debug, Serialize)]
pub(super) struct Worst {
    pub(super) check: String,
    pub(super) title: String,
    pub(super) severity: Severity,
    pub(super) findings: usize,
    pub(super) waived: usize,
    pub(super) resources: usize,
    pub(super) examples: Vec<String>,
}

/// What a shortened list leaves out, by check.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Rest {
    pub(super) check: String,
    pub(super) severity: Severity,
    pub(super) findings: usize,
    pub(super) waived: usize,
    /// First and last row in the annex.
    pub(super) rows: (usize, usize),
    /// Findings in the namespaces that have most of them.
    pub(super) namespaces: Vec<Count>,
    /// Findings elsewhere.
    pub(super) elsewhere: usize,
}

/// An embedded file, as a page names it.
#[derive(Debug, Serialize)]
struct Embedded {
    name: &'static str,
    mime: &'static str,
    description: &'static str,
    bytes: usize,
    sha256: String,
}

/// Writes `/data.json`. `covers` says whether a character can be shown.
pub(super) fn data(
    mut data: Value,
    attachments: &[Attachment],
    covers: &dyn Fn(char) -> bool,
) -> Result<Vec<u8>, serde_json::Error> {
    let code = code(&data);
    let Altered { replaced, cut } = text::make_showable(&mut data, covers);
    let embedded = attachments.iter().map(|attachment| Embedded {
        name: attachment.name,
        mime: attachment.mime,
        description: attachment.description,
        bytes: attachment.bytes.len(),
        sha256: Digest::of(&attachment.bytes).to_string(),
    });
    if let Value::Object(fields) = &mut data {
        fields.insert("texts_replaced".to_owned(), replaced.into());
        fields.insert("texts_cut".to_owned(), cut.into());
        let embedded = serde_json::to_value(embedded.collect::<Vec<_>>())?;
        fields.insert("attachments".to_owned(), embedded);
        let (text, svg) = code.unwrap_or_default();
        fields.insert("qr".to_owned(), svg.into());
        fields.insert("qr_text".to_owned(), text.into());
    }
    serde_json::to_vec(&data)
}

/// A QR code (ISO/IEC 18004) as SVG, with its text: the head that the document pins, as
/// `verify --pin` reads it, and the root of the items. `None` when nothing is pinned, or when a name
/// is too long for a code or has characters that would not be printed.
fn code(data: &Value) -> Option<(String, String)> {
    let chain = data.get("chain")?;
    let origin = chain.get("origin")?.as_str()?;
    let pinned = data.get("pin").or_else(|| chain.get("previous"))?;
    let (size, root) =
        (pinned.get("checkpoint_size")?.as_u64()?, pinned.get("checkpoint_root")?.as_str()?);
    let (seq, items) = (chain.get("seq")?.as_u64()?, chain.get("items_root")?.as_str()?);
    let text = format!("{origin} {size} {root}\nitems {origin}#{seq} {items}");
    if text.chars().any(|c| !c.is_ascii_graphic() && !matches!(c, ' ' | '\n')) {
        return None;
    }
    let code = qrcode::QrCode::with_error_correction_level(&text, qrcode::EcLevel::M).ok()?;
    let svg = code.render::<qrcode::render::svg::Color<'_>>().quiet_zone(false).build();
    Some((text, svg))
}

/// The data of a report on a bundle.
pub(super) fn bundle(report: &Report) -> Result<Value, serde_json::Error> {
    let listed = listed(report);
    // Shortened before it is copied into JSON: complete, it would not fit a small memory.
    let mut shown = report.clone();
    for control in controls_mut(&mut shown) {
        control.failing.truncate(listed);
    }
    shown.conflicts.clear();
    let mut data = serde_json::to_value(shown)?;
    add_rest(&mut data, report, listed)?;
    if let (Value::Object(fields), Value::Object(extra)) =
        (&mut data, serde_json::to_value(extra(report))?)
    {
        fields.extend(extra);
    }
    Ok(data)
}

/// How many failing findings stand below a control.
pub(super) fn listed(report: &Report) -> usize {
    let most = if report.frameworks.len() > 1 { LISTED_OF_SEVERAL } else { usize::MAX };
    let rows = |listed: usize| controls(report).map(|c| c.failing.len().min(listed)).sum::<usize>();
    let fitting = LISTED.into_iter().filter(|listed| *listed <= most);
    fitting.clone().find(|listed| rows(*listed) <= LISTED_IN_ALL).unwrap_or(1)
}

fn controls(report: &Report) -> impl Iterator<Item = &Control> {
    report.frameworks.iter().flat_map(|f| &f.groups).flat_map(|group| &group.controls)
}

fn controls_mut(report: &mut Report) -> impl Iterator<Item = &mut Control> {
    report
        .frameworks
        .iter_mut()
        .flat_map(|framework| &mut framework.groups)
        .flat_map(|group| &mut group.controls)
}

pub(super) fn extra(report: &Report) -> Extra {
    // The same finding stands below several controls: count it once.
    let failing: BTreeMap<&str, &Failing> =
        controls(report).flat_map(|c| &c.failing).map(|f| (f.item.as_str(), &**f)).collect();
    let titles: BTreeMap<&str, &str> = controls(report)
        .flat_map(|control| &control.mappings)
        .flat_map(|mapping| &mapping.checks)
        .filter(|check| !check.title.is_empty())
        .map(|check| (check.id.as_str(), check.title.as_str()))
        .collect();
    let mut by_check: BTreeMap<&str, Vec<&Failing>> = BTreeMap::new();
    for finding in failing.values() {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let mut worst: Vec<Worst> = by_check
        .iter()
        .map(|(check, findings)| {
            let resources: BTreeSet<&str> = findings.iter().map(|f| f.resource.as_str()).collect();
            Worst {
                check: (*check).to_owned(),
                title: titles.get(check).copied().unwrap_or_default().to_owned(),
                severity: worst_severity(findings),
                findings: findings.len(),
                waived: waived(findings),
                resources: resources.len(),
                examples: resources
                    .into_iter()
                    .filter(|resource| !resource.trim().is_empty())
                    .take(WHERE)
                    .map(str::to_owned)
                    .collect(),
            }
        })
        .collect();
    // Stable: equals stay in the order of their check.
    worst.sort_by_key(|check| {
        // What waivers cover needs nobody's attention first.
        let open = check.findings - check.waived;
        (open == 0, check.severity, std::cmp::Reverse(open))
    });
    worst.truncate(WORST);
    let mut severities = BTreeMap::<Severity, usize>::new();
    for finding in failing.values() {
        *severities.entry(finding.severity).or_default() += 1;
    }
    let conflicts = disagreements(report);
    Extra {
        failing_findings: failing.len(),
        failing_checks: by_check.len(),
        failing_severities: severities
            .into_iter()
            .map(|(name, count)| Count { name: name.as_str().to_owned(), count })
            .collect(),
        worst,
        annex_rows: annex::ROWS,
        decisions: decisions(report, &conflicts),
        conflicts,
        conflicts_total: report.conflicts.len(),
    }
}

/// Most resources first.
fn disagreements(report: &Report) -> Vec<Disagreement> {
    let mut all: Vec<Disagreement> = annex::disagreements(&report.conflicts)
        .into_iter()
        .map(|all| Disagreement {
            resources: all.resources.len(),
            examples: all.resources.into_iter().take(WHERE).collect(),
            control: all.control,
            sides: all.sides,
        })
        .collect();
    all.sort_by_key(|disagreement| std::cmp::Reverse(disagreement.resources));
    all
}

fn worst_severity(findings: &[&Failing]) -> Severity {
    findings.iter().map(|finding| finding.severity).min().unwrap_or_default()
}

fn waived(findings: &[&Failing]) -> usize {
    findings.iter().filter(|finding| !finding.waiver.is_empty()).count()
}

/// Puts `failing_total` and `failing_rest` beside each control's `failing`.
fn add_rest(data: &mut Value, report: &Report, listed: usize) -> Result<(), serde_json::Error> {
    let shown = members(data, "frameworks")
        .flat_map(|framework| members(framework, "groups"))
        .flat_map(|group| members(group, "controls"));
    for (shown, control) in shown.zip(controls(report)) {
        let Value::Object(fields) = shown else { continue };
        fields.insert("failing_total".to_owned(), control.failing.len().into());
        let rest = rest(control.failing.get(listed..).unwrap_or_default());
        fields.insert("failing_rest".to_owned(), serde_json::to_value(rest)?);
    }
    Ok(())
}

fn members<'a>(value: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = match value.get_mut(field) {
        Some(Value::Array(list)) => list.as_mut_slice(),
        _ => Default::default(),
    };
    list.iter_mut()
}

pub(super) fn rest(failing: &[Arc<Failing>]) -> Vec<Rest> {
    let mut by_check: BTreeMap<&str, Vec<&Failing>> = BTreeMap::new();
    for finding in failing {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let mut rest: Vec<Rest> = by_check
        .into_iter()
        .map(|(check, findings)| {
            let rows = findings.iter().map(|finding| finding.row);
            let namespaces = namespaces(&findings);
            let named: usize = namespaces.iter().map(|namespace| namespace.count).sum();
            Rest {
                check: check.to_owned(),
                severity: worst_severity(&findings),
                findings: findings.len(),
                waived: waived(&findings),
                rows: (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0)),
                elsewhere: findings.len() - named,
                namespaces,
            }
        })
        .collect();
    rest.sort_by_key(|check| (check.severity, std::cmp::Reverse(check.findings)));
    rest
}

/// Those with most findings, most first.
fn namespaces(findings: &[&Failing]) -> Vec<Count> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for finding in findings.iter().filter(|finding| !finding.namespace.is_empty()) {
        *counts.entry(&finding.namespace).or_default() += 1;
    }
    let mut counts: Vec<Count> =
        counts.into_iter().map(|(name, count)| Count { name: name.to_owned(), count }).collect();
    counts.sort_by_key(|namespace| std::cmp::Reverse(namespace.count));
    counts.truncate(NAMESPACES);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(row: usize, check: &str, severity: Severity, waiver: &str) -> Arc<Failing> {
        Arc::new(Failing {
            item: format!("finding/{row}"),
            row,
            check: check.into(),
            rule: String::new(),
            resource: "ns/Pod/a".into(),
            namespace: if row == 9 { String::new() } else { "ns".into() },
            severity,
            message: String::new(),
            source: "source".into(),
            waiver: waiver.into(),
        })
    }

    #[test]
    fn what_a_shortened_list_leaves_out_is_counted_worst_first() {
        let left_out = [
            failing(7, "b", Severity::Low, ""),
            failing(2, "a", Severity::Low, "W-1"),
            failing(9, "b", Severity::High, ""),
        ];
        let rest = rest(&left_out);
        assert_eq!(rest.iter().map(|r| r.findings).sum::<usize>(), left_out.len());
        assert_eq!(rest[0].check, "b");
        assert_eq!((rest[0].severity, rest[0].findings, rest[0].waived), (Severity::High, 2, 0));
        assert_eq!((rest[0].rows, rest[0].elsewhere), ((7, 9), 1));
        assert_eq!((rest[0].namespaces[0].name.as_str(), rest[0].namespaces[0].count), ("ns", 1));
        assert_eq!((rest[1].check.as_str(), rest[1].waived), ("a", 1));
    }
}
