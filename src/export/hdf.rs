//! Heimdall Data Format (MITRE SAF; the `exec-json` form of InSpec): a profile per framework, its controls
//! with a result for each finding that bears on them.
//!
//! HDF derives a control's status from its results, so a control without one that failed must not look
//! passed: what is not assessed, or waits for a person, has a skipped result that says so. Every control
//! carries its own status as a tag. What a waiver covers stays failed, and names the waiver.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ExportFile, Format, controls, json_file, status_text};
use crate::assessment::Status;
use crate::evidence::digest::Digest;
use crate::finding::{Outcome, Severity};
use crate::framework::{Control, Framework, Mapping};
use crate::record::{ControlItem, FindingItem};
use crate::sealed::Bundle;

pub(super) struct Hdf;

impl Format for Hdf {
    fn id(&self) -> &'static str {
        "hdf"
    }

    fn files(&self, bundle: &Bundle) -> Vec<ExportFile> {
        vec![json_file("evidence.hdf.json", &document(bundle))]
    }
}

fn document(bundle: &Bundle) -> Value {
    let mut by_check: BTreeMap<&str, Vec<&FindingItem>> = BTreeMap::new();
    for finding in &bundle.items.findings {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let profiles: Vec<Value> = bundle
        .frameworks
        .iter()
        .map(|(framework, digest)| profile(bundle, framework, digest, &by_check))
        .collect();
    let tool = &bundle.run.tool;
    json!({
        "platform": {
            "name": tool.name, "release": tool.version, "target_id": bundle.run.cluster.name,
        },
        "profiles": profiles,
        "statistics": {},
        "version": tool.version,
    })
}

fn profile(
    bundle: &Bundle,
    framework: &Framework,
    digest: &Digest,
    by_check: &BTreeMap<&str, Vec<&FindingItem>>,
) -> Value {
    let groups: Vec<Value> = framework
        .groups
        .iter()
        .map(|group| {
            let controls = framework.controls.iter().filter(|control| control.group == group.id);
            let ids: Vec<&str> = controls.map(|control| control.id.as_str()).collect();
            json!({"id": group.id, "title": group.title, "controls": ids})
        })
        .collect();
    let all: Vec<Value> = controls(bundle, framework)
        .map(|(found, item)| control(bundle, found, item, by_check))
        .collect();
    json!({
        "name": framework.key(),
        "version": framework.version,
        "title": framework.title,
        "summary": framework.notice,
        "sha256": digest.to_string(),
        "status": "loaded",
        "supports": [{"platform": "kubernetes"}],
        "attributes": [],
        "groups": groups,
        "controls": all,
    })
}

fn control(
    bundle: &Bundle,
    control: &Control,
    item: &ControlItem,
    by_check: &BTreeMap<&str, Vec<&FindingItem>>,
) -> Value {
    let checks: BTreeSet<&str> = control
        .mappings
        .iter()
        .flat_map(Mapping::all_checks)
        .map(|(check, _)| check.as_str())
        .collect();
    let findings: Vec<&FindingItem> =
        checks.iter().filter_map(|check| by_check.get(check)).flatten().copied().collect();
    let mut results: Vec<Value> = findings.iter().map(|finding| result(bundle, finding)).collect();
    let created = &bundle.run.created;
    if !matches!(item.status, Status::NotSatisfied | Status::Waived | Status::Satisfied) {
        results.push(json!({
            "status": "skipped", "code_desc": format!("status {}", status_text(item)),
            "skip_message": item.explanation, "start_time": created,
        }));
    } else if results.is_empty() {
        // A person's statement stands in for results.
        results.push(json!({
            "status": if item.status == Status::Satisfied { "passed" } else { "failed" },
            "code_desc": format!("attested by {}", item.attestations.join(", ")),
            "message": item.explanation, "start_time": created,
        }));
    }
    let mut tags = json!({
        "status": item.status.as_str(),
        "basis": item.basis.as_str(),
        "failing": item.failing,
        "passing": item.passing,
        "undecided": item.undecided,
    });
    if let (Some(reason), Value::Object(fields)) = (item.reason, &mut tags) {
        fields.insert("reason".to_owned(), reason.as_str().into());
    }
    json!({
        "id": control.id,
        "title": control.title,
        "desc": item.explanation,
        "descriptions": [
            {"label": "fix", "data": control.remediation},
            {"label": "still needed", "data": control.remaining_evidence},
        ],
        "impact": impact(item, &findings),
        "refs": [],
        "tags": tags,
        "code": null,
        "source_location": {},
        "waiver_data": waiver(bundle, item),
        "results": results,
    })
}

/// From 0 to 1, as severities are turned into impacts there: the worst that fails, and 0 where the control
/// does not apply.
fn impact(item: &ControlItem, findings: &[&FindingItem]) -> f64 {
    if item.status == Status::NotApplicable {
        return 0.0;
    }
    let failing = findings.iter().filter(|finding| finding.outcome == Outcome::Fail);
    match failing.map(|finding| finding.severity).min() {
        Some(Severity::Critical) => 0.9,
        Some(Severity::High) => 0.7,
        Some(Severity::Low) => 0.3,
        Some(Severity::Info) => 0.1,
        _ => 0.5,
    }
}

fn result(bundle: &Bundle, finding: &FindingItem) -> Value {
    let usable = bundle.items.is_usable(finding);
    let status = match finding.outcome {
        Outcome::Pass if usable => "passed",
        Outcome::Fail if usable => "failed",
        Outcome::Error => "error",
        _ => "skipped",
    };
    let mut said = finding.message.clone();
    if !usable {
        said = format!("{}, but its input is not usable. {said}", finding.outcome.as_str());
    }
    let what = format!("{} {} at {}", finding.check, finding.rule, finding.resource);
    let mut result = json!({
        "status": status,
        "code_desc": what.split_whitespace().collect::<Vec<_>>().join(" "),
        "start_time": bundle.run.created,
        "resource": finding.resource.kind,
        "resource_id": finding.id,
    });
    if let Value::Object(fields) = &mut result {
        let name = if status == "skipped" { "skip_message" } else { "message" };
        fields.insert(name.to_owned(), said.into());
    }
    result
}

fn waiver(bundle: &Bundle, item: &ControlItem) -> Value {
    let ids: BTreeSet<&String> = item.waived.values().collect();
    let waivers = bundle.items.waivers.iter();
    let used: Vec<_> = waivers
        .filter(|waiver| ids.iter().any(|id| waiver.id.trim_start_matches("waiver/") == **id))
        .collect();
    let Some(first) = used.iter().min_by_key(|waiver| &waiver.expires) else { return Value::Null };
    let said: Vec<String> = used
        .iter()
        .map(|waiver| format!("{}: {} ({})", waiver.id, waiver.reason, waiver.approver))
        .collect();
    json!({
        "expiration_date": first.expires,
        "justification": said.join("; "),
        "message": format!("{} failing findings are waived", item.waived.len()),
        "run": true,
        "skipped_due_to_waiver": false,
    })
}
