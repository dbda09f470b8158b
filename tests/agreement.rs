//! Our counts against the tool's own, control by control, on real reports. What the tool says is
//! taken straight from the raw JSON here, not through the readers. Every difference stands in a
//! table with its reason; any other fails the test.

use std::collections::BTreeMap;
use std::fs;

use affidavit::assessment::Status;
use affidavit::finding::{Finding, Outcome};
use affidavit::scanner::read;
use serde_json::Value;

use crate::support::{Declared, MANY_YEARS, Said, judge, statuses};
use crate::tools;

/// Outcomes per check or control, by word.
type Table = BTreeMap<String, BTreeMap<&'static str, u64>>;

fn sample(name: &str) -> (Vec<u8>, Value) {
    let bytes = fs::read(tools::samples().join(name)).unwrap();
    let value = serde_json::from_slice(&bytes).unwrap();
    (bytes, value)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn ours(bytes: &[u8], key: impl Fn(&Finding) -> Option<String>) -> Table {
    let mut table = Table::new();
    for finding in read(bytes, "node-1").unwrap().parsed.findings {
        if let Some(key) = key(&finding) {
            *table.entry(key).or_default().entry(finding.outcome.as_str()).or_default() += 1;
        }
    }
    table
}

fn add(table: &mut Table, key: &str, word: &'static str, count: u64) {
    if count > 0 {
        *table.entry(key.to_owned()).or_default().entry(word).or_default() += count;
    }
}

fn differences(ours: &Table, theirs: &Table) -> Vec<String> {
    let nothing = BTreeMap::new();
    let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .map(|key| (key, ours.get(key).unwrap_or(&nothing), theirs.get(key).unwrap_or(&nothing)))
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(key, ours, theirs)| format!("{key}: ours {ours:?}, the tool's {theirs:?}"))
        .collect()
}

/// What a state of kube-bench becomes, per number; the only difference of words: `WARN` is `manual`
/// (it is a manual check, or an unscored one that did not hold, which the benchmark leaves to a
/// person).
#[apply(test)]
fn kube_bench_numbers_are_its_own() {
    let (bytes, raw) = sample("kube-bench/cis-1.12-k8s-1.35-full.json");
    let mut theirs = Table::new();
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for controls in list(&raw, "Controls") {
        for result in list(controls, "tests").flat_map(|group| list(group, "results")) {
            let word = match text(result, "status") {
                "PASS" => "pass",
                "FAIL" => "fail",
                "WARN" => "manual",
                other => panic!("{other}: a state that this report does not have"),
            };
            add(&mut theirs, text(result, "test_number"), word, 1);
            *sums.entry(word).or_default() += 1;
        }
    }
    assert_eq!(theirs.len(), 59);
    for (word, key) in [("pass", "total_pass"), ("fail", "total_fail"), ("manual", "total_warn")] {
        assert_eq!(raw["Totals"][key].as_u64(), sums.get(word).copied(), "{key}");
    }
    let ours = ours(&bytes, |f| f.check.local().strip_prefix("cis-1.12:").map(str::to_owned));
    assert_eq!(differences(&ours, &theirs), Vec::<String>::new());
}

/// Controls of CIS 1.12 whose status is not what kube-bench's state alone would give, with why.
const CIS_DIFFERENCES: &[(&str, &str, Status, &str)] = &[
    (
        "4.3.1",
        "PASS",
        Status::Supported,
        "kube-bench scores it; the benchmark calls it manual, so a pass supports it only",
    ),
    ("5.1.7", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.8", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.9", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.10", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.11", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.12", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.1.13", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.1", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.7", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.8", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.9", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.10", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.11", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.2.12", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.3.1", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.3.2", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.4.1", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.5.1", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.6.2", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.6.3", "WARN", Status::NotAssessed, OTHERS_LOOK),
    ("5.6.4", "WARN", Status::NotAssessed, OTHERS_LOOK),
];

/// kube-bench runs nothing here and only reminds a person. The control is mapped to scanners that do
/// look (Trivy, Kubescape, Kyverno), and none of them is declared in this run.
const OTHERS_LOOK: &str = "mapped to checks of other scanners, of which no source is declared";

/// What a state gives where nothing else has a say.
fn expected_status(result: &Value) -> Status {
    let scored = result["scored"].as_bool().unwrap_or_default();
    match text(result, "status") {
        "PASS" if scored => Status::Satisfied,
        // The benchmark calls it manual: a pass supports it and a person must look.
        "PASS" => Status::Supported,
        "FAIL" => Status::NotSatisfied,
        _ => Status::Manual,
    }
}

#[apply(test)]
fn cis_statuses_follow_kube_bench_number_by_number() {
    let (bytes, raw) = sample("kube-bench/cis-1.12-k8s-1.35-full.json");
    let source = Declared::new("kube-bench", &[&bytes]);
    let statuses = statuses(&judge(&[source], &Said::default(), MANY_YEARS));
    let mut unexplained = Vec::new();
    let mut explained = 0;
    let mut seen = 0;
    for controls in list(&raw, "Controls") {
        for result in list(controls, "tests").flat_map(|group| list(group, "results")) {
            seen += 1;
            let number = text(result, "test_number");
            let state = text(result, "status");
            let is = statuses[&format!("cis-kubernetes@1.12/{number}")];
            if is == expected_status(result) {
                continue;
            }
            let known = |(known, word, status, why): &&(&str, &str, Status, &str)| {
                *known == number && *word == state && *status == is && !why.is_empty()
            };
            if CIS_DIFFERENCES.iter().any(|row| known(&row)) {
                explained += 1;
            } else {
                unexplained.push(format!("{number} {state} scored {}: {is}", result["scored"]));
            }
        }
    }
    assert_eq!(seen, 59);
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert_eq!(explained, CIS_DIFFERENCES.len(), "a row of the table is no longer true");
}

/// Per control: passed is pass; failed and excluded (failed, with an exception) are fail; a control
/// of which no resource is counted is not checked, once.
fn kubescape(name: &str) {
    let (bytes, raw) = sample(name);
    let mut theirs = Table::new();
    for (id, control) in raw["summaryDetails"]["controls"].as_object().unwrap() {
        let counted = |key: &str| control["ResourceCounters"][key].as_u64().unwrap_or_default();
        let passed = counted("passedResources");
        let failed = counted("failedResources") + counted("excludedResources");
        let skipped = counted("skippedResources");
        add(&mut theirs, id, "pass", passed);
        add(&mut theirs, id, "fail", failed);
        add(&mut theirs, id, "not-checked", skipped);
        if passed + failed + skipped == 0 {
            add(&mut theirs, id, "not-checked", 1);
        }
    }
    let ours = ours(&bytes, |finding| Some(finding.check.local().to_owned()));
    assert_eq!(differences(&ours, &theirs), Vec::<String>::new(), "{name}");
}

#[apply(test)]
fn kubescape_2_counters_are_its_own() {
    kubescape("kubescape/v2-repo-scan-2022.json");
}

#[apply(test)]
fn kubescape_3_counters_are_its_own() {
    kubescape("kubescape/v3-scan.json");
}

/// Per resource: failures are counted in `MisconfSummary`, vulnerabilities by their lists, and each
/// target of packages is one proof of a scan. `Successes` is a bare number of passes that are not
/// named: none of them becomes a finding.
#[apply(test)]
fn trivy_counts_are_its_own() {
    let (bytes, raw) = sample("trivy/k8s-all-securecodebox-system.json");
    let mut theirs = Table::new();
    let mut unnamed = 0;
    for resource in list(&raw, "Resources") {
        let key = [text(resource, "Namespace"), text(resource, "Kind"), text(resource, "Name")];
        let key = key.join("/");
        for entry in list(resource, "Results") {
            let summary = &entry["MisconfSummary"];
            add(&mut theirs, &key, "fail", summary["Failures"].as_u64().unwrap_or_default());
            unnamed += summary["Successes"].as_u64().unwrap_or_default();
            add(&mut theirs, &key, "fail", list(entry, "Vulnerabilities").count() as u64);
            let is_packages = matches!(text(entry, "Class"), "os-pkgs" | "lang-pkgs");
            add(&mut theirs, &key, "pass", u64::from(is_packages));
        }
    }
    assert_eq!(unnamed, 33_936);
    let ours = ours(&bytes, |finding| {
        let resource = &finding.resource;
        Some([&*resource.namespace, &*resource.kind, &*resource.name].join("/"))
    });
    assert_eq!(differences(&ours, &theirs), Vec::<String>::new());
    let notes = read(&bytes, "").unwrap().parsed.notes;
    assert!(notes.iter().any(|note| note.text.starts_with("33936 passes")), "{notes:?}");
    let named = ours_by_check(&bytes);
    assert_eq!(named.get("trivy:vulnerability-scan"), Some(&21));
    assert_eq!(named.len(), 1, "only the proof of a scan passes: {named:?}");
}

fn ours_by_check(bytes: &[u8]) -> BTreeMap<String, usize> {
    let mut passes = BTreeMap::new();
    for finding in read(bytes, "").unwrap().parsed.findings {
        if finding.outcome == Outcome::Pass {
            *passes.entry(finding.check.to_string()).or_default() += 1;
        }
    }
    passes
}
