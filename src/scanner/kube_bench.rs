//! kube-bench JSON: `{"Controls": […], "Totals": …}`, a bare array of controls (`--nototals`), one
//! object per target, several in a row, or wrapped in Starboard's `CISKubeBenchReport`.
//!
//! kube-bench's titles and remediations are the benchmark's licensed text: they stay in the sealed
//! input and never reach a finding. Its states (check/check.go in its source): `WARN` is a manual
//! check, an unscored failure, or an unscored check that could not run; `FAIL` is also a scored
//! check whose audit command failed, in which case `reason` is filled.
//!
//! `actual_value` is all that the audit printed: a process's command line, a file's mode, a configuration. Where
//! that is nothing, or a message that something could not be read or is not there, kube-bench saw
//! neither the process nor the file, as in a pod without the host's mounts. "Not present" then passes and
//! "present" fails by itself; both are errors. Older versions of kube-bench and Starboard do not write `actual_value`:
//! such a report shows passes that no empty output gives, and is taken at its word.

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
const NOTHING_SEEN: &str = "the audit printed nothing: neither the file nor the process was seen";

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
            if let Some(stated) = &file.totals {
                let counted = Counts::of(file.controls.iter().flat_map(Controls::results));
                counted.compare(stated.counts(), document.locator("/Totals"), parsed);
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct Totals {
    #[serde(rename = "total_pass")]
    pass: Option<usize>,
    #[serde(rename = "total_fail")]
    fail: Option<usize>,
    #[serde(rename = "total_warn")]
    warn: Option<usize>,
    #[serde(rename = "total_info")]
    info: Option<usize>,
}

impl Totals {
    fn counts(&self) -> [Option<usize>; 4] {
        [self.pass, self.fail, self.warn, self.info]
    }
}

/// How many results have each state: PASS, FAIL, WARN, anything else.
struct Counts([usize; 4]);

impl Counts {
    fn of<'r>(results: impl Iterator<Item = &'r TestResult<'r>>) -> Self {
        let (mut pass, mut fail, mut warn, mut info) = (0, 0, 0, 0);
        for result in results {
            *(match &*result.status {
                "PASS" => &mut pass,
                "FAIL" => &mut fail,
                "WARN" => &mut warn,
                _ => &mut info,
            }) += 1;
        }
        Self([pass, fail, warn, info])
    }

    /// Compares with what kube-bench counted, where it says so: are they all there?
    fn compare(&self, stated: [Option<usize>; 4], locator: Box<str>, parsed: &mut Parsed) -> bool {
        let pairs = self.0.into_iter().zip(stated);
        let pairs: Vec<_> =
            pairs.map(|(counted, stated)| (counted, stated.unwrap_or(counted))).collect();
        let (counted, all) = pairs.iter().fold((0_usize, 0_usize), |(counted, all), pair| {
            (counted.saturating_add(pair.0), all.saturating_add(pair.1))
        });
        // More failures than counted claim less than the report does; fewer claim more.
        let is_milder = pairs.iter().skip(1).any(|(counted, stated)| stated > counted);
        if all <= counted && !is_milder {
            return true;
        }
        let written = |counts: [usize; 4]| {
            let [pass, fail, warn, info] = counts;
            format!("pass {pass}, fail {fail}, warn {warn}, info {info}")
        };
        let stated = stated.map(Option::unwrap_or_default);
        let text = format!(
            "stated totals ({}) are not those of the results ({}): {}",
            written(stated),
            written(self.0),
            if all > counted { "results are missing" } else { "results were changed" }
        );
        parsed.shortfall(locator, text);
        false
    }
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
    total_pass: Option<usize>,
    total_fail: Option<usize>,
    total_warn: Option<usize>,
    total_info: Option<usize>,
}

impl Controls<'_> {
    fn results(&self) -> impl Iterator<Item = &TestResult<'_>> {
        self.tests.iter().flat_map(|group| &group.results)
    }

    /// Does the writer put what the audit printed into `actual_value`? It does not, where that is empty
    /// throughout, and a check passed that nothing printed cannot pass.
    fn keeps_output(&self) -> bool {
        let mut passes = self.results().filter(|result| &*result.status == "PASS");
        self.results().any(|result| !result.output().is_empty())
            || !passes.any(|pass| !pass.expected_result.is_empty() && !pass.wants_absence())
    }
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    results: Vec<TestResult<'a>>,
    pass: Option<usize>,
    fail: Option<usize>,
    warn: Option<usize>,
    info: Option<usize>,
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

impl TestResult<'_> {
    /// What the audit printed.
    fn output(&self) -> &str {
        self.actual_value.as_deref().unwrap_or_default().trim()
    }

    fn wants_absence(&self) -> bool {
        self.expected_result.contains("is not present")
    }
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
    summary: Option<Summary>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    sections: Vec<Controls<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    #[serde(rename = "passCount")]
    pass: Option<usize>,
    #[serde(rename = "failCount")]
    fail: Option<usize>,
    #[serde(rename = "warnCount")]
    warn: Option<usize>,
    #[serde(rename = "infoCount")]
    info: Option<usize>,
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
        if let Some(stated) = &body.summary {
            let counted = Counts::of(body.sections.iter().flat_map(Controls::results));
            let stated = [stated.pass, stated.fail, stated.warn, stated.info];
            let locator = document.locator(&format!("{pointer}/report/summary"));
            counted.compare(stated, locator, parsed);
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
    let totals =
        [controls.total_pass, controls.total_fail, controls.total_warn, controls.total_info];
    if Counts::of(controls.results()).compare(totals, document.locator(pointer), parsed) {
        for (index, group) in controls.tests.iter().enumerate() {
            let stated = [group.pass, group.fail, group.warn, group.info];
            let locator = document.locator(&format!("{pointer}/tests/{index}"));
            Counts::of(group.results.iter()).compare(stated, locator, parsed);
        }
    }
    let keeps_output = controls.keeps_output();
    let mut text = String::new();
    for (group_index, group) in controls.tests.iter().enumerate() {
        for (index, result) in group.results.iter().enumerate() {
            let (outcome, message) = judge(result, keeps_output);
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

/// Is this the message of a shell or a program that could not read what it looks for?
fn could_not_read(output: &str) -> bool {
    output.lines().map(|line| line.trim().to_ascii_lowercase()).any(|line| {
        ["permission denied", "no such file or directory", "cannot stat", "file not found"]
            .iter()
            .any(|words| line.contains(words))
            || ["cat: ", "stat: ", "ls: ", "find: ", "grep: ", "error from server"]
                .iter()
                .any(|start| line.starts_with(start))
            || line.ends_with(": not found")
            || line.ends_with("command not found")
    })
}

fn judge(result: &TestResult<'_>, keeps_output: bool) -> (Outcome, String) {
    let reason = result.reason.trim();
    let saw_nothing = keeps_output && result.output().is_empty();
    match &*result.status {
        // A benchmark lets many of its files be absent. A file that is not there, and one that cannot be seen
        // from a pod without the host's mounts, look the same.
        "PASS" if could_not_read(result.output()) => (
            Outcome::Error,
            "the audit could not read what it looks for: it may be out of kube-bench's sight"
                .to_owned(),
        ),
        "PASS" if saw_nothing && !result.expected_result.is_empty() => {
            (Outcome::Error, NOTHING_SEEN.to_owned())
        }
        "FAIL" if saw_nothing && result.expected_result.contains("is present") => {
            (Outcome::Error, NOTHING_SEEN.to_owned())
        }
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
        assert_eq!(outcome_of(r#""status":"PASS","actual_value":"""#), Outcome::Pass);
        // "Not present" is what an audit shows that sees nothing, or has no right to read.
        let absence = r#""status":"PASS","expected_result":"'--token-auth-file' is not present""#;
        for value in ["", r#","actual_value":"""#, r#","actual_value":null"#] {
            assert_eq!(outcome_of(&format!("{absence}{value}")), Outcome::Error, "{value}");
            let failed = format!(r#""status":"FAIL",{looked}{value}"#);
            assert_eq!(outcome_of(&failed), Outcome::Error, "{value}");
        }
        for (value, outcome) in [
            ("root 1 kube-apiserver --secure-port=6443", Outcome::Pass),
            ("cat: /proc/1/environ: Permission denied", Outcome::Error),
            ("stat: can't open", Outcome::Error),
            ("a\\nbash: line 1: kubectl: command not found", Outcome::Error),
            ("FILE NOT FOUND", Outcome::Error),
        ] {
            let fields = format!(r#"{absence},"actual_value":"{value}""#);
            assert_eq!(outcome_of(&fields), outcome, "{value}");
        }
    }

    #[test]
    fn a_writer_that_keeps_no_output_is_taken_at_its_word() {
        let text = |value: &str| {
            let result = |expected: &str, value: &str| {
                format!(
                    r#"{{"test_number":"1","status":"PASS","expected_result":"{expected}","actual_value":"{value}"}}"#
                )
            };
            let results = format!(
                "{},{}",
                result("'644' is equal to '644'", value),
                result("'--read-only-port' is not present", "")
            );
            let text = format!(
                r#"[{{"version":"1.5","node_type":"node","tests":[{{"results":[{results}]}}]}}]"#
            );
            read(text.as_bytes(), "").unwrap().parsed
        };
        assert_eq!(text("").count(Outcome::Pass), 2);
        assert_eq!(text("permissions=644").count(Outcome::Pass), 1);
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
        let group = |totals: &str| {
            format!(
                r#"{{"version":"cis-1.12","node_type":"node","tests":[{{"results":[{{"test_number":"4.1.1","status":"PASS"}}]}}]{totals}}}"#
            )
        };
        let resource = |summary: &str, totals: &str| {
            format!(
                r#"{{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"CISKubeBenchReport","report":{{{summary}"sections":[{}]}}}}"#,
                group(totals)
            )
        };
        let (good, bad) =
            (r#","total_pass":1,"total_fail":0"#, r#","total_pass":1,"total_fail":2"#);
        let totals = |totals: &str| {
            format!(r#"{{"Controls":[{}],"Totals":{{{}}}}}"#, group(""), &totals[1..])
        };
        for (text, weakens) in [
            (totals(good), false),
            (totals(bad), true),
            (format!("[{}]", group(good)), false),
            (format!("[{}]", group(bad)), true),
            (group(good), false),
            (group(bad), true),
            (resource(r#""summary":{"passCount":1,"failCount":0},"#, good), false),
            (resource(r#""summary":{"passCount":1,"failCount":2},"#, ""), true),
            (resource("", bad), true),
            (group("").replace("\"tests\":[{", "\"tests\":[{\"pass\":1,"), false),
            (group("").replace("\"tests\":[{", "\"tests\":[{\"pass\":1,\"fail\":1,"), true),
        ] {
            let notes = read(text.as_bytes(), "").unwrap().parsed.notes;
            assert_eq!(notes.iter().any(|note| note.weakens), weakens, "{text} {notes:?}");
        }
    }
}
