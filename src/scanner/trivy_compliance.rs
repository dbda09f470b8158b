//! `trivy k8s --compliance … --format json`, `--report all` and `--report summary`.
//!
//! Both list failures only. A control without results is one of: every check passed, no check ran,
//! nothing matched. Trivy counts all three as passed; here it is not checked. `TotalFail` is left
//! out where the control's name says "Manual" (pkg/compliance/report/summary.go).

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::Text;
use super::trivy_result::{Entry, PREFIX as TRIVY, Reader, resource_of_target};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct TrivyCompliance;

/// Prefix of the controls of a compliance specification.
pub(super) const PREFIX: &str = "trivy-compliance";

/// What is said of a control that no result stands for.
pub(super) const NO_RESULT: &str = "no result: Trivy does not say whether the control was checked";

impl Scanner for TrivyCompliance {
    fn id(&self) -> &'static str {
        "trivy-compliance"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        let is_report = !probe.is_array && probe.has("ID") && probe.has("Title");
        let is_control = |list: &str| {
            let keys = probe.child_keys.get(list);
            keys.is_none_or(|keys| keys.contains("ID") && keys.contains("Severity"))
        };
        is_report
            && ((probe.has("SummaryControls") && is_control("SummaryControls"))
                || (probe.has("RelatedResources") && probe.has("Results") && is_control("Results")))
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "ID",
            "Title",
            "Description",
            "Version",
            "RelatedResources",
            "Results",
            "SummaryControls",
            "SchemaVersion",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read()?;
        parsed.saw_tool(TRIVY, "");
        parsed.saw_rule_set(&report.id);
        if report.results.is_empty() && report.summary_controls.is_empty() {
            parsed.shortfall(document.locator(""), "the report lists no control");
        }
        let mut reader = Reader::new(document, parsed);
        for (index, control) in report.results.iter().enumerate() {
            let pointer = format!("/Results/{index}");
            let before = reader.parsed().findings.len();
            for (index, entry) in control.results.iter().enumerate() {
                let pointer = format!("{pointer}/Results/{index}");
                reader.read(entry, resource_of_target(entry), &pointer);
            }
            if reader.parsed().findings.len() == before {
                let (outcome, message) = without_result(&control.name);
                let at = document.locator(&pointer);
                let finding = of_control(&report.id, control, outcome, message, at);
                reader.parsed().findings.push(finding);
            }
        }
        for (index, control) in report.summary_controls.iter().enumerate() {
            let at = document.locator(&format!("/SummaryControls/{index}"));
            let (outcome, message) = match control.total_fail {
                Some(0) => (Outcome::NotChecked, NO_RESULT.to_owned()),
                Some(count) => (Outcome::Fail, format!("{count} failures, not named in a summary")),
                None if control.name.contains("Manual") => without_result(&control.name),
                None => (Outcome::Error, "no `TotalFail` stated".to_owned()),
            };
            let finding = of_control(&report.id, control, outcome, message, at);
            reader.parsed().findings.push(finding);
        }
        reader.finish();
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Report<'a> {
    #[serde(borrow, rename = "ID")]
    id: Text<'a>,
    #[serde(deserialize_with = "null_as_default")]
    results: Vec<Control<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    summary_controls: Vec<Control<'a>>,
}

/// Names and descriptions are mostly a benchmark's licensed text: a name is looked at, never kept.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Control<'a> {
    #[serde(borrow, rename = "ID")]
    id: Text<'a>,
    name: Text<'a>,
    severity: Text<'a>,
    total_fail: Option<u64>,
    #[serde(deserialize_with = "null_as_default")]
    results: Vec<Entry<'a>>,
}

/// Trivy's own rule for what it leaves to a person.
pub(super) fn without_result(name: &str) -> (Outcome, String) {
    if name.contains("Manual") {
        (Outcome::Manual, "Trivy leaves this control to a person".to_owned())
    } else {
        (Outcome::NotChecked, NO_RESULT.to_owned())
    }
}

pub(super) fn control_check(spec: &str, control: &str) -> CheckId {
    let named = |text: &str| if text.is_empty() { "unnamed" } else { text }.to_owned();
    CheckId::new(PREFIX, &format!("{}/{}", named(spec), named(control)))
}

fn of_control(
    spec: &str,
    control: &Control<'_>,
    outcome: Outcome,
    message: String,
    locator: Box<str>,
) -> Finding {
    Finding {
        check: control_check(spec, &control.id),
        resource: ResourceRef::cluster_scoped("Cluster", "").into(),
        outcome,
        severity: Severity::from_word(&control.severity),
        rule: "".into(),
        raw_check: "".into(),
        message: message.into(),
        locator,
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Parsed;
    use crate::scanner::read;

    fn shown(parsed: &Parsed) -> Vec<String> {
        let line =
            |f: &crate::finding::Finding| format!("{} {} {}", f.check, f.resource, f.outcome);
        parsed.findings.iter().map(line).collect()
    }

    #[test]
    fn all_yields_the_checks_and_names_what_has_no_result() {
        let text = br#"{"ID":"k8s-nsa-1.0","Title":"n","Description":"","Version":"1","RelatedResources":[],"Results":[
            {"ID":"1.0","Name":"a","Severity":"HIGH","Results":[{"Target":"Deployment/api","Class":"config","Type":"kubernetes","Misconfigurations":[{"AVDID":"AVD-KSV012","Status":"FAIL"}]}]},
            {"ID":"1.1","Name":"b","Severity":"LOW","Results":null},
            {"ID":"1.2","Name":"c","Severity":"LOW","Results":[{"Target":"Deployment/api","Class":"config"}]},
            {"ID":"1.3","Name":"d (Manual)","Severity":"LOW","Results":[]}]}"#;
        let reading = read(text, "").unwrap();
        assert_eq!(reading.formats, ["trivy-compliance"]);
        assert_eq!(
            shown(&reading.parsed),
            [
                "trivy:KSV-0012 Deployment/api fail",
                "trivy-compliance:k8s-nsa-1.0/1.1 Cluster/ not-checked",
                "trivy-compliance:k8s-nsa-1.0/1.2 Cluster/ not-checked",
                "trivy-compliance:k8s-nsa-1.0/1.3 Cluster/ manual",
            ]
        );
        assert_eq!(reading.parsed.rule_sets, ["k8s-nsa-1.0"]);
    }

    #[test]
    fn a_summary_never_passes() {
        let text = br#"{"ID":"s","Title":"n","SummaryControls":[
            {"ID":"1","Name":"a","Severity":"HIGH","TotalFail":2},
            {"ID":"2","Name":"b","Severity":"HIGH","TotalFail":0},
            {"ID":"3","Name":"c (Manual)","Severity":"HIGH"}]}"#;
        assert_eq!(
            shown(&read(text, "").unwrap().parsed),
            [
                "trivy-compliance:s/1 Cluster/ fail",
                "trivy-compliance:s/2 Cluster/ not-checked",
                "trivy-compliance:s/3 Cluster/ manual",
            ]
        );
    }

    #[test]
    fn a_report_without_controls_weakens() {
        let parsed = read(br#"{"ID":"s","Title":"n","SummaryControls":[]}"#, "").unwrap().parsed;
        assert!(parsed.notes[0].weakens);
    }

    #[test]
    fn look_alikes_do_not_match() {
        for text in [
            r#"{"ID":"s","Title":"n","Results":[{"ID":"1","Severity":"LOW"}]}"#,
            r#"{"Title":"n","RelatedResources":[],"Results":[]}"#,
            r#"{"ID":"s","Title":"n","SummaryControls":[{"id":"1"}]}"#,
        ] {
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }
}
