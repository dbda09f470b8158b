//! From the model to what a template reads: `/data.json` is the [`Report`] with every text made
//! showable, long lists of failing findings shortened, and a few figures that a page needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::model::{Control, Count, Failing, Report};
use super::text::{self, Altered};
use crate::evidence::digest::Digest;

/// Failing findings listed below a control. A list that is only a little longer is not shortened.
const LISTED: usize = 8;
/// Longest list that is not shortened.
const LISTED_IN_FULL: usize = 12;
/// Checks in the summary's list of what fails.
const WORST: usize = 8;
/// Resources named for each of them.
const WHERE: usize = 2;

/// Severity words, worst first.
const SEVERITIES: [&str; 6] = ["critical", "high", "medium", "low", "info", "unknown"];

/// Fields that `/data.json` has beside those of [`Report`].
#[derive(Debug, Serialize)]
struct Extra {
    /// Failing findings that bear on a control of this report, each counted once.
    failing_findings: usize,
    /// Checks that they belong to.
    failing_checks: usize,
    /// Those of each severity, worst first; only those that occur.
    failing_severities: Vec<Count>,
    /// The worst of these checks.
    worst: Vec<Worst>,
    /// Hex SHA-256 of the attachment.
    attachment_sha256: String,
    /// Its size.
    attachment_bytes: usize,
}

/// A check that fails, over all its findings.
#[derive(Debug, Serialize)]
struct Worst {
    check: String,
    title: String,
    severity: String,
    findings: usize,
    waived: usize,
    resources: usize,
    examples: Vec<String>,
}

/// What a shortened list leaves out, by check.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Rest {
    check: String,
    severity: String,
    findings: usize,
    waived: usize,
}

/// Writes `/data.json`. `covers` says whether a character can be shown.
pub(super) fn data(
    report: &Report,
    attachment: &[u8],
    covers: &dyn Fn(char) -> bool,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut data = serde_json::to_value(report)?;
    shorten(&mut data, report)?;
    if let (Value::Object(fields), Value::Object(extra)) =
        (&mut data, serde_json::to_value(extra(report, attachment))?)
    {
        fields.extend(extra);
    }
    let Altered { replaced, cut } = text::make_showable(&mut data, covers);
    if let Value::Object(fields) = &mut data {
        fields.insert("texts_replaced".to_owned(), replaced.into());
        fields.insert("texts_cut".to_owned(), cut.into());
    }
    serde_json::to_vec(&data)
}

fn rank(severity: &str) -> usize {
    SEVERITIES.iter().position(|known| *known == severity).unwrap_or(SEVERITIES.len())
}

fn controls(report: &Report) -> impl Iterator<Item = &Control> {
    report.frameworks.iter().flat_map(|f| &f.groups).flat_map(|group| &group.controls)
}

fn extra(report: &Report, attachment: &[u8]) -> Extra {
    // The same finding stands below several controls: count it once.
    let failing: BTreeMap<&str, &Failing> =
        controls(report).flat_map(|c| &c.failing).map(|f| (f.item.as_str(), f)).collect();
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
        (open == 0, rank(&check.severity), std::cmp::Reverse(open))
    });
    worst.truncate(WORST);
    let mut severities = BTreeMap::<_, usize>::new();
    for finding in failing.values() {
        *severities.entry((rank(&finding.severity), &finding.severity)).or_default() += 1;
    }
    Extra {
        failing_findings: failing.len(),
        failing_checks: by_check.len(),
        failing_severities: severities
            .into_iter()
            .map(|((_, name), count)| Count { name: name.clone(), count })
            .collect(),
        worst,
        attachment_sha256: Digest::of(attachment).to_string(),
        attachment_bytes: attachment.len(),
    }
}

fn worst_severity(findings: &[&Failing]) -> String {
    let worst = findings.iter().map(|f| f.severity.as_str()).min_by_key(|word| rank(word));
    worst.unwrap_or_default().to_owned()
}

fn waived(findings: &[&Failing]) -> usize {
    findings.iter().filter(|finding| !finding.waiver.is_empty()).count()
}

/// Cuts each control's `failing` and puts `failing_total` and `failing_rest` beside it.
fn shorten(data: &mut Value, report: &Report) -> Result<(), serde_json::Error> {
    let shown = members(data, "frameworks")
        .flat_map(|framework| members(framework, "groups"))
        .flat_map(|group| members(group, "controls"));
    for (shown, control) in shown.zip(controls(report)) {
        let Value::Object(fields) = shown else { continue };
        let keep = if control.failing.len() <= LISTED_IN_FULL { LISTED_IN_FULL } else { LISTED };
        if let Some(Value::Array(failing)) = fields.get_mut("failing") {
            failing.truncate(keep);
        }
        fields.insert("failing_total".to_owned(), control.failing.len().into());
        let rest = rest(control.failing.get(keep..).unwrap_or_default());
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

fn rest(failing: &[Failing]) -> Vec<Rest> {
    let mut by_check: BTreeMap<&str, Vec<&Failing>> = BTreeMap::new();
    for finding in failing {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let mut rest: Vec<Rest> = by_check
        .into_iter()
        .map(|(check, findings)| Rest {
            check: check.to_owned(),
            severity: worst_severity(&findings),
            findings: findings.len(),
            waived: waived(&findings),
        })
        .collect();
    rest.sort_by_key(|check| (rank(&check.severity), std::cmp::Reverse(check.findings)));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(check: &str, severity: &str, waiver: &str) -> Failing {
        Failing {
            item: format!("finding/{check}/{severity}"),
            check: check.into(),
            rule: String::new(),
            resource: "ns/Pod/a".into(),
            severity: severity.into(),
            message: String::new(),
            source: "source".into(),
            waiver: waiver.into(),
        }
    }

    #[test]
    fn what_a_shortened_list_leaves_out_is_counted_worst_first() {
        let left_out =
            [failing("b", "low", ""), failing("a", "low", "W-1"), failing("b", "high", "")];
        let rest = rest(&left_out);
        assert_eq!(rest.iter().map(|r| r.findings).sum::<usize>(), left_out.len());
        assert_eq!(rest[0].check, "b");
        assert_eq!((rest[0].severity.as_str(), rest[0].findings, rest[0].waived), ("high", 2, 0));
        assert_eq!((rest[1].check.as_str(), rest[1].waived), ("a", 1));
    }

    #[test]
    fn severities_that_nobody_knows_come_last() {
        assert!(rank("critical") < rank("unknown") && rank("unknown") < rank("grave"));
    }
}
