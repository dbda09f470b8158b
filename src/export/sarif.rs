//! SARIF 2.1.0 (OASIS): one run, a rule per check, a result per failing finding, and a result of
//! kind `pass` per passing one. What waivers cover is suppressed with their reason (section 3.27.23).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ExportError, ExportFile, Format, json_file, name_of};
use crate::finding::{Outcome, Severity};
use crate::record::FindingItem;
use crate::sealed::Bundle;

pub(super) struct Sarif;

impl Format for Sarif {
    fn id(&self) -> &'static str {
        "sarif"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![json_file("evidence.sarif", &log(bundle))])
    }
}

fn log(bundle: &Bundle) -> Value {
    let items = &bundle.items;
    let checks: BTreeSet<&str> = items.findings.iter().map(|f| f.check.as_str()).collect();
    let places: BTreeMap<&str, usize> =
        checks.iter().enumerate().map(|(place, check)| (*check, place)).collect();
    let rules: Vec<Value> = checks.iter().map(|check| rule(bundle, check)).collect();
    let waived: BTreeMap<&str, &str> = items
        .controls
        .values()
        .flat_map(|control| &control.waived)
        .map(|(finding, waiver)| (finding.as_str(), waiver.as_str()))
        .collect();
    let results: Vec<Value> = items
        .findings
        .iter()
        .map(|finding| {
            let place = places.get(finding.check.as_str()).copied().unwrap_or_default();
            result(bundle, finding, place, waived.get(finding.id.as_str()).copied())
        })
        .collect();
    let sources: Vec<Value> = items
        .sources
        .values()
        .filter(|source| source.standing != "ok")
        .map(|source| {
            let text = format!("source {}: {}: {}", source.name, source.standing, source.detail);
            json!({"level": "warning", "message": {"text": text}})
        })
        .collect();
    let tool = &bundle.run.tool;
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": tool.name, "version": tool.version, "rules": rules}},
            "automationDetails": {"id": name_of(bundle)},
            "invocations": [{
                "executionSuccessful": sources.is_empty(),
                "endTimeUtc": bundle.run.created,
                "toolExecutionNotifications": sources,
            }],
            "results": results,
        }],
    })
}

fn rule(bundle: &Bundle, check: &str) -> Value {
    let info = bundle.items.checks.get(check);
    let title = info.map_or("", |info| info.title.as_str());
    let help = info.map_or("", |info| info.remediation.as_str());
    let mut rule = serde_json::Map::from_iter([("id".to_owned(), json!(check))]);
    for (key, text) in [("shortDescription", title), ("help", help)] {
        if !text.is_empty() {
            rule.insert(key.to_owned(), json!({"text": text}));
        }
    }
    rule.into()
}

fn result(bundle: &Bundle, finding: &FindingItem, place: usize, waiver: Option<&str>) -> Value {
    let (kind, level) = match finding.outcome {
        Outcome::Fail => ("fail", level(finding.severity)),
        Outcome::Pass => ("pass", "none"),
        Outcome::NotApplicable => ("notApplicable", "none"),
        Outcome::Manual => ("review", "none"),
        // Somebody looked and could not tell, or nobody looked.
        Outcome::Error | Outcome::NotChecked => ("open", "none"),
    };
    let mut message = finding.message.clone();
    if !finding.rule.is_empty() {
        message = format!("{}: {message}", finding.rule);
    }
    if message.is_empty() {
        message = format!("{} at {}", finding.outcome, finding.resource);
    }
    let mut result = json!({
        "ruleId": finding.check,
        "ruleIndex": place,
        "kind": kind,
        "level": level,
        "message": {"text": message},
        "locations": [{"logicalLocations": [{
            "fullyQualifiedName": finding.resource.to_string(),
            "kind": "resource",
        }]}],
        // The item in the bundle, and where its input says so.
        "properties": {
            "item": finding.id,
            "outcome": finding.outcome.as_str(),
            "severity": finding.severity.as_str(),
            "source": bundle.items.source_of(finding),
            "input": finding.input,
            "locator": finding.locator,
        },
    });
    if let (Some(id), Value::Object(fields)) = (waiver, &mut result) {
        let item = bundle.items.waivers.iter().find(|item| item.id == format!("waiver/{id}"));
        let why = format!("{id}: {}", item.map_or("", |item| item.reason.as_str()));
        let suppression = json!({"kind": "external", "status": "accepted", "justification": why});
        fields.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low | Severity::Info => "note",
    }
}
