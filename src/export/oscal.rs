//! OSCAL assessment results 1.2 (NIST): a result per framework, an observation per check and a finding
//! per control that was decided.
//!
//! OSCAL knows two states of a finding's target, satisfied and not satisfied. A control that is
//! supported, waits for a person or was not assessed is neither: it gets no finding and is named in the
//! result's properties. What is waived is not satisfied, and its risk says that the deviation is
//! approved. Identifiers are derived from the bundle, so equal bundles give equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ExportError, ExportFile, Format, controls, json_file, name_of, status_text};
use crate::assessment::Status;
use crate::evidence::digest::Digest;
use crate::finding::Outcome;
use crate::framework::{Control, Framework};
use crate::record::{ControlItem, FindingItem};
use crate::sealed::Bundle;

pub(super) struct Oscal;

const VERSION: &str = "1.2.2";
/// Of our own properties (OSCAL asks for a namespace).
const NS: &str = "urn:affidavit:oscal";

impl Format for Oscal {
    fn id(&self) -> &'static str {
        "oscal"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![json_file("assessment-results.json", &document(bundle))])
    }
}

/// A version 5 UUID (RFC 9562, section 5.5) in form, from SHA-256 and not SHA-1.
pub(super) fn uuid(bundle: &Bundle, what: &str) -> String {
    let digest = Digest::of(format!("{} {what}", bundle.digest).as_bytes());
    let mut bytes: [u8; 16] = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    let number = u128::from_be_bytes(bytes);
    let number = (number & !(0xf << 76) | (0x5 << 76)) & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// A token (no leading digit, no parentheses): `_4.1.1`, `_164.308.a.1.ii.D`.
pub(super) fn token(id: &str) -> String {
    let mut token = String::from("_");
    for c in id.chars() {
        match c {
            ')' => {}
            c if c.is_alphanumeric() || "._-".contains(c) => token.push(c),
            _ => token.push('.'),
        }
    }
    token
}

pub(super) fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "ns": NS, "value": value})
}

/// A line that is there even when there is nothing to say.
pub(super) fn line(text: &str, otherwise: &str) -> String {
    let text = text.trim();
    if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
}

/// What every OSCAL document says of itself.
pub(super) fn metadata(bundle: &Bundle, what: &str) -> Value {
    json!({
        "title": format!("{what} {}", bundle.run.cluster.name),
        "last-modified": bundle.statement.predicate.time.created,
        "version": name_of(bundle),
        "oscal-version": VERSION,
        "props": [
            property("statement-sha256", &bundle.digest.to_string()),
            property("tool", &format!("{} {}", bundle.run.tool.name, bundle.run.tool.version)),
        ],
    })
}

fn document(bundle: &Bundle) -> Value {
    let plan = uuid(bundle, "plan");
    let run = bundle.statement.sums().map(|sums| format!("bundles/{sums}/run.json"));
    let results: Vec<Value> =
        bundle.frameworks.iter().map(|(framework, _)| result(bundle, framework)).collect();
    json!({"assessment-results": {
        "uuid": uuid(bundle, "assessment-results"),
        "metadata": metadata(bundle, "Assessment of"),
        "import-ap": {
            "href": format!("#{plan}"),
            "remarks": "The plan as OSCAL is the export `oscal-ap` of the same bundle.",
        },
        "results": results,
        "back-matter": {"resources": [{
            "uuid": plan,
            "title": "What the run was: sources, rules, waivers, attestations",
            "rlinks": [
                {"href": "assessment-plan.json"},
                {"href": run.unwrap_or_else(|| "run.json".to_owned())},
            ],
        }]},
    }})
}

fn result(bundle: &Bundle, framework: &Framework) -> Value {
    let key = framework.key();
    let predicate = &bundle.statement.predicate;
    let assessed: Vec<_> = controls(bundle, framework).collect();
    let include: Vec<Value> =
        assessed.iter().map(|(control, _)| json!({"control-id": token(&control.id)})).collect();
    let observations = Observations::of(bundle, framework);
    let findings: Vec<Value> = assessed
        .iter()
        .filter_map(|(control, item)| finding(bundle, &key, control, item, &observations))
        .collect();
    let risks: Vec<Value> = assessed
        .iter()
        .filter(|(_, item)| is_failing(item))
        .map(|(control, item)| risk(bundle, &key, control, item))
        .collect();
    let undecided = assessed.iter().filter(|(_, item)| state(item).is_none());
    let mut props: Vec<Value> = undecided
        .map(|(control, item)| property(&token(&control.id), &status_text(item)))
        .collect();
    props.insert(0, property("framework", &key));
    let mut result = json!({
        "uuid": uuid(bundle, &format!("result {key}")),
        "title": framework.title,
        "description": format!(
            "{} of {} controls are decided here; the others are named in the properties, with why.",
            findings.len(),
            assessed.len()
        ),
        "start": predicate.time.period_start,
        "end": predicate.time.period_end,
        "props": props,
        "reviewed-controls": {"control-selections": [{"include-controls": include}]},
    });
    let lists = [("observations", observations.all), ("risks", risks), ("findings", findings)];
    add_lists(&mut result, lists);
    result
}

/// Adds lists to an object; those that are empty OSCAL does not know.
pub(super) fn add_lists<const N: usize>(to: &mut Value, lists: [(&str, Vec<Value>); N]) {
    if let Value::Object(fields) = to {
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            fields.insert(name.to_owned(), list.into());
        }
    }
}

/// Identifier of the finding, risk or item (`what`) of a control.
pub(super) fn control_uuid(bundle: &Bundle, what: &str, key: &str, control: &Control) -> String {
    uuid(bundle, &format!("{what} {key}/{}", control.id))
}

pub(super) fn is_failing(item: &ControlItem) -> bool {
    matches!(item.status, Status::NotSatisfied | Status::Waived)
}

fn state(item: &ControlItem) -> Option<(&'static str, &'static str)> {
    match item.status {
        Status::Satisfied => Some(("satisfied", "pass")),
        Status::NotSatisfied | Status::Waived => Some(("not-satisfied", "fail")),
        _ => None,
    }
}

pub(super) fn finding(
    bundle: &Bundle,
    key: &str,
    control: &Control,
    item: &ControlItem,
    observations: &Observations,
) -> Option<Value> {
    let (state, reason) = state(item)?;
    let checks = item.facts.iter().flat_map(|fact| fact.checks.keys());
    let mut related: Vec<&String> = checks.filter_map(|c| observations.by_check.get(c)).collect();
    related.sort_unstable();
    related.dedup();
    let mut finding = json!({
        "uuid": control_uuid(bundle, "finding", key, control),
        "title": format!("{} {}", control.id, control.title),
        "description": line(&item.explanation, "No explanation."),
        "props": [
            property("status", item.status.as_str()),
            property("basis", item.basis.as_str()),
        ],
        "target": {
            "type": "objective-id",
            "target-id": token(&control.id),
            "status": {"state": state, "reason": reason},
        },
    });
    let related = related.iter().map(|uuid| json!({"observation-uuid": uuid})).collect();
    let risk = || json!({"risk-uuid": control_uuid(bundle, "risk", key, control)});
    let risks = is_failing(item).then(risk).into_iter().collect();
    add_lists(&mut finding, [("related-observations", related), ("related-risks", risks)]);
    Some(finding)
}

pub(super) fn risk(bundle: &Bundle, key: &str, control: &Control, item: &ControlItem) -> Value {
    let waived = item.status == Status::Waived;
    json!({
        "uuid": control_uuid(bundle, "risk", key, control),
        "title": format!("{} {}", control.id, control.title),
        "description": line(&item.explanation, "No explanation."),
        "statement": line(&control.remediation, "No advice."),
        "status": if waived { "deviation-approved" } else { "open" },
    })
}

/// An observation for each check that bears on a framework.
pub(super) struct Observations {
    by_check: BTreeMap<String, String>,
    pub(super) all: Vec<Value>,
}

impl Observations {
    pub(super) fn of(bundle: &Bundle, framework: &Framework) -> Self {
        let key = framework.key();
        let mapped = framework.controls_by_check();
        let mapped: BTreeSet<&str> = mapped.keys().map(|check| check.as_str()).collect();
        let mut by_check: BTreeMap<&str, Vec<&FindingItem>> = BTreeMap::new();
        for finding in &bundle.items.findings {
            if mapped.contains(finding.check.as_str()) {
                by_check.entry(&finding.check).or_default().push(finding);
            }
        }
        let mut observations = Self { by_check: BTreeMap::new(), all: Vec::new() };
        for (check, findings) in by_check {
            let id = uuid(bundle, &format!("observation {key} {check}"));
            observations.all.push(observation(bundle, &id, check, &findings));
            observations.by_check.insert(check.to_owned(), id);
        }
        observations
    }
}

fn observation(bundle: &Bundle, id: &str, check: &str, findings: &[&FindingItem]) -> Value {
    let title = bundle.items.checks.get(check).map_or("", |info| info.title.as_str());
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.outcome).or_default() += 1;
    }
    let props: Vec<Value> = counts
        .iter()
        .map(|(outcome, count)| property(outcome.as_str(), &count.to_string()))
        .collect();
    let failing = findings.iter().filter(|finding| finding.outcome == Outcome::Fail);
    let evidence: Vec<Value> = failing
        .map(|finding| {
            let what = format!("{} {} {}", finding.resource, finding.rule, finding.message);
            json!({"description": line(&what, "A failure."), "props": [property("item", &finding.id)]})
        })
        .collect();
    let mut observation = json!({
        "uuid": id,
        "title": check,
        "description": line(title, check),
        "methods": ["TEST"],
        "props": props,
        "collected": bundle.run.created,
    });
    add_lists(&mut observation, [("relevant-evidence", evidence)]);
    observation
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn numbers_of_controls_become_tokens() {
        assert_eq!(token("4.1.1"), "_4.1.1");
        assert_eq!(token("164.308(a)(1)(ii)(D)"), "_164.308.a.1.ii.D");
        assert_eq!(token("A1.1.2"), "_A1.1.2");
    }
}
