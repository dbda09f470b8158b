//! Heimdall Data Format (MITRE SAF; the `exec-json` form of InSpec): a profile per framework, its controls
//! with a result for each finding that bears on them.
//!
//! Heimdall derives a control's status from its results, in this order: any `error` is a profile error, an
//! impact of 0 is not applicable, any `failed` has failed, any `passed` has passed, else any `skipped` is not
//! reviewed. So one passed result would show a control as passed that is supported, waits for a person
//! or is not assessed: results are `passed` only where the control is satisfied or has a failed one as well,
//! and what a skipped one has found is in its message. Every control carries its own status as a tag. What a
//! waiver covers stays failed, and names the waiver.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ExportError, ExportFile, Format, controls, json_file, status_text};
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

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![json_file("evidence.hdf.json", &document(bundle))])
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
    let results = results(bundle, item, &findings);
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

/// The results of a control. What Heimdall makes of them is never better than the status of the control.
fn results(bundle: &Bundle, item: &ControlItem, findings: &[&FindingItem]) -> Vec<Value> {
    let failed = |finding: &&FindingItem| {
        finding.outcome == Outcome::Fail && bundle.items.is_usable(finding)
    };
    let has_failed = item.status == Status::NotSatisfied || findings.iter().any(failed);
    let may_pass = item.status == Status::Satisfied || has_failed;
    // An error would hide what has failed, or that the control does not apply.
    let may_err = !has_failed && item.status != Status::NotApplicable;
    let mut results: Vec<Value> =
        findings.iter().map(|finding| result(bundle, finding, may_pass, may_err)).collect();
    let has = |status: &str| results.iter().any(|result| result["status"] == status);
    let of_control = match item.status {
        // A person's statement stands in for results, or against them.
        Status::NotSatisfied if !has("failed") => Some("failed"),
        Status::Satisfied if !has("passed") => Some("passed"),
        Status::Satisfied | Status::NotSatisfied | Status::Waived => None,
        _ => Some("skipped"),
    };
    if let Some(status) = of_control {
        let mut code = format!("status {}", status_text(item));
        if !item.attestations.is_empty() {
            code = format!("{code}, attested by {}", item.attestations.join(", "));
        }
        results.push(json!({
            "status": status,
            "code_desc": code,
            (message_field(status)): item.explanation,
            "start_time": bundle.run.created,
        }));
    }
    results
}

fn result(bundle: &Bundle, finding: &FindingItem, may_pass: bool, may_err: bool) -> Value {
    let usable = bundle.items.is_usable(finding);
    let status = match finding.outcome {
        Outcome::Pass if usable && may_pass => "passed",
        Outcome::Fail if usable => "failed",
        Outcome::Error if may_err => "error",
        _ => "skipped",
    };
    let mut said = finding.message.clone();
    if !usable {
        said = format!("{}, but its input is not usable. {said}", finding.outcome.as_str());
    } else if status == "skipped" {
        said = format!("{}. {said}", finding.outcome.as_str());
    }
    let what = format!("{} {} at {}", finding.check, finding.rule, finding.resource);
    json!({
        "status": status,
        "code_desc": what.split_whitespace().collect::<Vec<_>>().join(" "),
        "start_time": bundle.run.created,
        "resource": finding.resource.kind,
        "resource_id": finding.id,
        (message_field(status)): said.trim_end(),
    })
}

/// Where a result of that status has its text.
fn message_field(status: &str) -> &'static str {
    if status == "skipped" { "skip_message" } else { "message" }
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
