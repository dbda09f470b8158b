//! kube-bench JSON: `{"Controls": […], "Totals": …}`, a bare array of controls (`--nototals`), one
//! object per target, several in a row, or wrapped in Starboard's `CISKubeBenchReport`.
//!
//! kube-bench's titles and remediations are the benchmark's licensed text: they stay in the sealed
//! input and never reach a finding. Its states (check/check.go in its source): `WARN` is a manual
//! check, an unscored failure, or an unscored check that could not run; `FAIL` is also a scored
//! check whose audit command failed, in which case `reason` is filled. A pass because of `File not found`, and a
//! failure whose audit printed nothing, show that kube-bench saw nothing, as in a pod without the host's mounts:
//! both are errors.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::{self, Metadata, Object, null_as_default};
use super::text::Text;
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct KubeBench;

const PREFIX: &str = "kube-bench";
const GROUP: &str = "aquasecurity.github.io";
const REPORT_KIND: &str = "CISKubeBenchReport";

impl Scanner for KubeBench {
    fn id(&self) -> &'static str {
        "kube-bench"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        let has_controls = probe.child_has("Controls", "tests")
            || probe.child_has("Controls", "node_type")
            || (probe.has("Controls") && probe.has("Totals"));
        (!probe.is_array && has_controls)
            || (probe.has("node_type") && probe.has("tests"))
            || probe.has_object(GROUP, |kind| kind == REPORT_KIND)
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "Controls",
            "Totals",
            "id",
            "version",
            "detected_version",
            "text",
            "node_type",
            "tests",
            "total_pass",
            "total_fail",
            "total_warn",
            "total_info",
            "report",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let probe = document.probe();
        if !probe.objects.is_empty() {
            return parse_reports(document, parsed);
        }
        parsed.saw_tool(PREFIX, "");
        let node = Node { name: document.subject(), uid: "" };
        if probe.has("Controls") {
            let file: Overall<'_> = document.read()?;
            for (index, controls) in file.controls.iter().enumerate() {
                read_controls(document, controls, &format!("/Controls/{index}"), &node, parsed);
            }
            if let Some(totals) = &file.totals {
                check_totals(document, &file.controls, totals, parsed);
            }
        } else if probe.is_array {
            let list: Vec<Controls<'_>> = document.read()?;
            for (index, controls) in list.iter().enumerate() {
                read_controls(document, controls, &format!("/{index}"), &node, parsed);
            }
        } else {
            read_controls(document, &document.read()?, "", &node, parsed);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Overall<'a> {
    #[serde(borrow, default, rename = "Controls", deserialize_with = "null_as_default")]
    controls: Vec<Controls<'a>>,
    #[serde(rename = "Totals")]
    totals: Option<Totals>,
}

#[derive(Default, Deserialize, PartialEq, Eq, Debug)]
#[serde(default)]
struct Totals {
    #[serde(rename = "total_pass")]
    pass: usize,
    #[serde(rename = "total_fail")]
    fail: usize,
    #[serde(rename = "total_warn")]
    warn: usize,
    #[serde(rename = "total_info")]
    info: usize,
}

#[derive(Deserialize)]
struct Controls<'a> {
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    detected_version: Cow<'a, str>,
    #[serde(borrow, default)]
    node_type: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    tests: Vec<Group<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    results: Vec<TestResult<'a>>,
}

#[derive(Deserialize)]
struct TestResult<'a> {
    #[serde(borrow, default)]
    test_number: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    expected_result: Cow<'a, str>,
    /// `None` where the writer leaves it out, as Starboard does.
    #[serde(borrow, default)]
    actual_value: Option<Cow<'a, str>>,
    #[serde(default)]
    scored: bool,
}

/// The custom resource.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(default)]
    kind: Text<'a>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(borrow, default, rename = "report")]
    body: Option<ReportBody<'a>>,
}

impl<'a> Object<'a> for Report<'a> {
    fn is_ours(api: &str, kind: &str) -> bool {
        kind == REPORT_KIND && api.split_once('/').is_some_and(|(group, _)| group == GROUP)
    }

    fn identity(&mut self) -> [&mut Text<'a>; 2] {
        [&mut self.api_version, &mut self.kind]
    }
}

#[derive(Deserialize)]
struct ReportBody<'a> {
    #[serde(default)]
    scanner: ReportScanner,
    #[serde(borrow, default, rename = "updateTimestamp")]
    update_timestamp: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    sections: Vec<Controls<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportScanner {
    name: String,
    version: String,
}

struct Node<'a> {
    name: &'a str,
    uid: &'a str,
}

fn parse_reports(document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
    for (pointer, report) in kube_object::read::<Report<'_>>(document)? {
        let Some(body) = report.body else {
            parsed.shortfall(document.locator(&pointer), "the report has no `report` field");
            continue;
        };
        let name = if body.scanner.name.is_empty() { PREFIX } else { &body.scanner.name };
        parsed.saw_tool(name, &body.scanner.version);
        let field = format!("{pointer}/report/updateTimestamp");
        if let Some(at) = document.time(&field, &body.update_timestamp) {
            parsed.saw_time(at);
        } else if document.may_be_cut() {
            let text = "there is no `updateTimestamp`, which is the end of this YAML";
            parsed.shortfall(document.locator(&pointer), text);
        }
        let owner = report.metadata.owner_references.first();
        let node = Node {
            name: owner.map_or(report.metadata.name.as_str(), |owner| owner.name.as_str()),
            uid: owner.map_or("", |owner| owner.uid.as_str()),
        };
        for (index, controls) in body.sections.iter().enumerate() {
            let pointer = format!("{pointer}/report/sections/{index}");
            read_controls(document, controls, &pointer, &node, parsed);
        }
    }
    Ok(())
}

fn read_controls(
    document: &Document<'_>,
    controls: &Controls<'_>,
    pointer: &str,
    node: &Node<'_>,
    parsed: &mut Parsed,
) {
    let benchmark = benchmark_id(&controls.version);
    parsed.saw_rule_set(&benchmark);
    if !controls.detected_version.is_empty() {
        parsed.saw_rule_set(&format!("kubernetes-{}", controls.detected_version));
    }
    // Policies are about the cluster; everything else is about the machine kube-bench ran on.
    let resource = if matches!(&*controls.node_type, "policies" | "managedservices") {
        ResourceRef::cluster_scoped("Cluster", "")
    } else {
        ResourceRef { uid: node.uid.to_owned(), ..ResourceRef::cluster_scoped("Node", node.name) }
    };
    let resource = Arc::new(resource);
    let mut text = String::new();
    for (group_index, group) in controls.tests.iter().enumerate() {
        for (index, result) in group.results.iter().enumerate() {
            let (outcome, message) = judge(result);
            text.clear();
            let number =
                if result.test_number.is_empty() { "unnamed" } else { &result.test_number };
            let _ = write!(text, "{benchmark}:{number}");
            let check = CheckId::new(PREFIX, &text);
            text.clear();
            let _ = write!(text, "{pointer}/tests/{group_index}/results/{index}");
            parsed.findings.push(Finding {
                check,
                resource: Arc::clone(&resource),
                outcome,
                severity: Severity::Unknown,
                rule: "".into(),
                raw_check: result.test_number.as_ref().into(),
                message: message.into(),
                locator: document.locator(&text),
            });
        }
    }
}

/// `cis-1.12` stays, the older `1.6` becomes `cis-1.6`, as kube-bench itself calls the folder.
fn benchmark_id(version: &str) -> String {
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        format!("cis-{version}")
    } else if version.is_empty() {
        "unknown".to_owned()
    } else {
        version.to_owned()
    }
}

fn judge(result: &TestResult<'_>) -> (Outcome, String) {
    let reason = result.reason.trim();
    let saw = result.actual_value.as_deref().map(str::trim);
    match &*result.status {
        // A benchmark lets many of its files be absent. A file that is not there, and one that cannot be seen
        // from a pod without the host's mounts, look the same.
        "PASS" if saw.is_some_and(|saw| saw.contains("File not found")) => (
            Outcome::Error,
            "the file was not found: it may be out of kube-bench's sight".to_owned(),
        ),
        "FAIL" if saw == Some("") && result.expected_result.contains("is present") => (
            Outcome::Error,
            "the audit printed nothing: neither the file nor the process was seen".to_owned(),
        ),
        "PASS" => (Outcome::Pass, String::new()),
        "FAIL" if !reason.is_empty() => (Outcome::Error, format!("could not be tested: {reason}")),
        "FAIL" => (Outcome::Fail, expectation(result)),
        "WARN" if result.kind == "manual" => (Outcome::Manual, String::new()),
        "WARN" if !reason.is_empty() => (Outcome::Error, format!("could not be tested: {reason}")),
        // An unscored test that ran and did not hold. The benchmark leaves the judgement to a
        // person, so it is no failure; it is not a pass either.
        "WARN" if !result.scored => (Outcome::Manual, expectation(result)),
        "WARN" => (Outcome::Error, "a scored check ended in WARN".to_owned()),
        "" => (Outcome::Error, "no status stated".to_owned()),
        "INFO" => (Outcome::NotChecked, "skipped in kube-bench".to_owned()),
        other => (Outcome::Error, format!("unknown status `{other}`")),
    }
}

/// `expected_result` is kube-bench's own sentence about the test, not the benchmark's text.
/// `actual_value` can hold whole command lines with secrets in them and is left in the input.
fn expectation(result: &TestResult<'_>) -> String {
    let expected = result.expected_result.trim();
    if expected.is_empty() { String::new() } else { format!("expected: {expected}") }
}

fn check_totals(
    document: &Document<'_>,
    controls: &[Controls<'_>],
    stated: &Totals,
    parsed: &mut Parsed,
) {
    let mut counted = Totals::default();
    for result in controls.iter().flat_map(|c| &c.tests).flat_map(|group| &group.results) {
        match &*result.status {
            "PASS" => counted.pass += 1,
            "FAIL" => counted.fail += 1,
            "WARN" => counted.warn += 1,
            _ => counted.info += 1,
        }
    }
    if counted != *stated {
        parsed.shortfall(
            document.locator("/Totals"),
            format!(
                "stated totals (pass {}, fail {}, warn {}, info {}) are not those of the results (pass {}, fail {}, warn {}, info {}): results are missing",
                stated.pass, stated.fail, stated.warn, stated.info,
                counted.pass, counted.fail, counted.warn, counted.info,
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Outcome;
    use crate::scanner::read;

    fn outcome_of(fields: &str) -> Outcome {
        let text = format!(
            r#"{{"Controls":[{{"version":"cis-1.12","node_type":"node","tests":[{{"results":[{{"test_number":"4.1.1",{fields}}}]}}]}}]}}"#
        );
        read(text.as_bytes(), "n1").unwrap().parsed.findings[0].outcome
    }

    #[test]
    fn states_are_read_as_kube_bench_means_them() {
        assert_eq!(outcome_of(r#""status":"PASS""#), Outcome::Pass);
        assert_eq!(outcome_of(r#""status":"FAIL","scored":true"#), Outcome::Fail);
        assert_eq!(
            outcome_of(r#""status":"FAIL","scored":true,"reason":"exit status 127""#),
            Outcome::Error
        );
        assert_eq!(outcome_of(r#""status":"WARN","type":"manual""#), Outcome::Manual);
        assert_eq!(outcome_of(r#""status":"WARN","scored":false"#), Outcome::Manual);
        assert_eq!(
            outcome_of(r#""status":"WARN","scored":false,"reason":"no such file""#),
            Outcome::Error
        );
        assert_eq!(outcome_of(r#""status":"INFO","type":"skip""#), Outcome::NotChecked);
        assert_eq!(outcome_of(r#""status":"MAYBE""#), Outcome::Error);
    }

    #[test]
    fn what_was_not_seen_neither_passes_nor_fails() {
        let absent = r#""actual_value":"File not found""#;
        assert_eq!(outcome_of(&format!(r#""status":"PASS",{absent}"#)), Outcome::Error);
        let looked = r#""expected_result":"'permissions' is present","scored":true"#;
        let with = |value: &str| format!(r#""status":"FAIL",{looked},"actual_value":"{value}""#);
        assert_eq!(outcome_of(&with("")), Outcome::Error);
        assert_eq!(outcome_of(&with("permissions=777")), Outcome::Fail);
        // Writers that leave the value out say nothing about what was seen.
        assert_eq!(outcome_of(&format!(r#""status":"FAIL",{looked}"#)), Outcome::Fail);
        assert_eq!(outcome_of(r#""status":"PASS","actual_value":"""#), Outcome::Pass);
    }

    #[test]
    fn ids_carry_the_benchmark() {
        let reading = read(
            br#"[{"version":"1.6","node_type":"master","tests":[{"results":[{"test_number":"1.2.16","status":"PASS"}]}]}]"#,
            "cp-1",
        )
        .unwrap();
        let finding = &reading.parsed.findings[0];
        assert_eq!(finding.check.as_str(), "kube-bench:cis-1.6:1.2.16");
        assert_eq!(finding.resource.to_string(), "Node/cp-1");
        assert_eq!(&*finding.locator, "/0/tests/0/results/0");
    }

    #[test]
    fn totals_that_do_not_add_up_weaken_the_evidence() {
        let reading = read(
            br#"{"Controls":[],"Totals":{"total_pass":3,"total_fail":0,"total_warn":0,"total_info":0}}"#,
            "",
        )
        .unwrap();
        assert!(reading.parsed.findings.is_empty());
        assert!(reading.parsed.notes[0].weakens);
    }
}
