//! Every scanner format over whole files: the fixtures of this repository and, where
//! `AFFIDAVIT_SAMPLES` names a folder of them, real reports that may not be copied here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use affidavit::finding::{Outcome, Parsed};
use affidavit::scanner::{Reading, SCANNERS, aqua_id, read};
use serde::Deserialize;

use crate::tools;

/// `<name>.counts.json`.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Counts {
    pass: usize,
    fail: usize,
    error: usize,
    manual: usize,
    not_checked: usize,
    not_applicable: usize,
    notes: usize,
    weakening: usize,
    without_verdict: usize,
    /// Only where it is not the folder's name.
    formats: Vec<String>,
}

fn counts(reading: &Reading) -> Counts {
    let parsed = &reading.parsed;
    Counts {
        pass: parsed.count(Outcome::Pass),
        fail: parsed.count(Outcome::Fail),
        error: parsed.count(Outcome::Error),
        manual: parsed.count(Outcome::Manual),
        not_checked: parsed.count(Outcome::NotChecked),
        not_applicable: parsed.count(Outcome::NotApplicable),
        notes: parsed.notes.len(),
        weakening: parsed.notes.iter().filter(|note| note.weakens).count(),
        without_verdict: parsed.without_verdict,
        formats: Vec::new(),
    }
}

/// All fixtures: folder and file.
fn fixtures() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let ids: Vec<&str> = SCANNERS.iter().map(|scanner| scanner.id()).chain(["mixed"]).collect();
    let mut found = Vec::new();
    for id in ids {
        let folder = root.join(id);
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for file in files {
            let path = file.unwrap().path();
            if !path.to_str().unwrap().ends_with(".counts.json") {
                found.push((id.to_owned(), path));
            }
        }
    }
    found.sort();
    found
}

/// `Reading::formats` names every scanner that recognised a document, so one name is one scanner.
#[apply(test)]
fn fixtures_are_recognised_and_counted() {
    let mut wrong = Vec::new();
    for (id, path) in fixtures() {
        let bytes = fs::read(&path).unwrap();
        let snapshot = fs::read(format!("{}.counts.json", path.display()))
            .unwrap_or_else(|e| panic!("{}.counts.json: {e}", path.display()));
        let mut expected: Counts = serde_json::from_slice(&snapshot).unwrap();
        let formats = std::mem::take(&mut expected.formats);
        let formats = if formats.is_empty() { vec![id.clone()] } else { formats };
        let reading = read(&bytes, "node-1").unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if reading.formats != formats || counts(&reading) != expected {
            wrong.push(format!(
                "{}: {:?} {:?} {:?}",
                path.display(),
                reading.formats,
                counts(&reading),
                reading.parsed.notes
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(test)]
fn every_format_has_a_fixture() {
    for scanner in SCANNERS {
        assert!(fixtures().iter().any(|(id, _)| id == scanner.id()), "{}", scanner.id());
    }
}

#[apply(test)]
fn a_cut_off_fixture_never_panics_and_never_passes_more() {
    for (_, path) in fixtures() {
        let bytes = fs::read(&path).unwrap();
        let whole = read(&bytes, "").unwrap().parsed.count(Outcome::Pass);
        for step in 0..20 {
            let cut = bytes.len() * step / 20;
            let passes =
                read(&bytes[..cut], "").map_or(0, |reading| reading.parsed.count(Outcome::Pass));
            assert!(passes <= whole, "{} cut at byte {cut}", path.display());
        }
    }
}

/// What holds for every finding of every input.
fn check_findings(parsed: &Parsed, formats: &[&str], what: &Path) {
    let mut prefixes: Vec<&str> = SCANNERS
        .iter()
        .filter(|scanner| formats.contains(&scanner.id()))
        .map(|scanner| scanner.prefix())
        .collect();
    if prefixes.contains(&"trivy") || prefixes.contains(&"trivy-compliance") {
        prefixes.extend(["trivy", "trivy-compliance"]);
    }
    for finding in &parsed.findings {
        let at = format!("{}, {}", what.display(), finding.locator);
        assert!(prefixes.contains(&finding.check.scanner()), "{at}: {}", finding.check);
        assert!(!finding.check.local().is_empty(), "{at}");
        if finding.check.scanner() == "trivy" {
            let local = finding.check.local();
            assert_eq!(aqua_id(local), local, "{at}");
            assert!(!local.starts_with("AVD-"), "{at}: {local}");
        }
        assert_ne!(&*finding.raw_check, finding.check.local(), "{at}");
        assert!(!finding.message.chars().any(|c| c == '\u{1b}'), "{at}: colour codes");
        assert!(!finding.message.contains("not-to-be-seen"), "{at}: {}", finding.message);
        let pointer = finding.locator.split_once('#').map_or(&*finding.locator, |(_, rest)| rest);
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{at}");
    }
    for note in &parsed.notes {
        assert!(!note.text.contains("not-to-be-seen"), "{}: {}", what.display(), note.text);
    }
}

#[apply(test)]
fn ids_are_normal_and_secrets_stay_in_the_input() {
    for (_, path) in fixtures() {
        let reading = read(&fs::read(&path).unwrap(), "").unwrap();
        check_findings(&reading.parsed, &reading.formats, &path);
    }
}

/// A locator is an RFC 6901 pointer to something that is there.
#[apply(test)]
fn locators_point_into_the_input() {
    for (_, path) in fixtures() {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let parsed = read(&bytes, "").unwrap().parsed;
        let locators = parsed.findings.iter().map(|finding| &finding.locator);
        for locator in locators.chain(parsed.notes.iter().map(|note| &note.locator)) {
            assert!(value.pointer(locator).is_some(), "{}: {locator}", path.display());
        }
    }
}

/// What a sample must give. Derived from the samples with another program, not with this one.
enum Expected {
    /// Format, then pass, fail, error, not-checked, manual, not-applicable, without verdict.
    Read(&'static str, [usize; 7]),
    /// Refused; the message holds these words.
    Refused(&'static str),
}

const SAMPLES: &[(&str, Expected)] = &[
    ("checkov/kubernetes-2.json", Expected::Read("checkov", [69, 21, 0, 0, 0, 0, 0])),
    ("checkov/severity.json", Expected::Read("checkov", [0, 4, 0, 0, 0, 0, 0])),
    ("checkov/with-skips.json", Expected::Read("checkov", [8, 12, 0, 2, 0, 0, 0])),
    ("checkov/zero.json", Expected::Read("checkov", [0, 0, 0, 0, 0, 0, 0])),
    (
        "compliance-operator/result-configmap-bzip2.yaml",
        Expected::Read("openscap", [12, 64, 0, 47, 0, 0, 0]),
    ),
    (
        "compliance-operator/result-configmap.yaml",
        Expected::Read("openscap", [12, 64, 0, 47, 0, 0, 0]),
    ),
    (
        "compliance-operator/xccdf-testresult-moderate.xml",
        Expected::Read("openscap", [32, 193, 4, 5, 0, 1, 0]),
    ),
    (
        "compliance-operator/xccdf-testresult-ocp4-roks.xml",
        Expected::Read("openscap", [24, 3, 0, 0, 0, 1, 0]),
    ),
    ("dockle/dockle-0.3.15.sarif", Expected::Read("sarif", [0, 4, 0, 0, 0, 0, 0])),
    ("dockle/many.json", Expected::Read("dockle", [1, 1, 0, 1, 2, 0, 0])),
    ("falco/k8s-audit-alerts.jsonl", Expected::Read("falco", [1, 0, 0, 0, 4, 0, 0])),
    ("falco/syscall-alerts.jsonl", Expected::Read("falco", [2, 0, 0, 0, 5, 0, 0])),
    ("grype/all-fields.json", Expected::Read("grype", [1, 6, 0, 0, 0, 0, 0])),
    ("grype/epss.json", Expected::Read("grype", [1, 15, 0, 0, 0, 0, 0])),
    ("kube-linter/many.json", Expected::Read("kube-linter", [1, 7, 0, 0, 0, 0, 0])),
    ("kubeaudit/kubeaudit.jsonl", Expected::Read("kubeaudit", [0, 70, 0, 0, 0, 0, 0])),
    ("neuvector/compliance-many.json", Expected::Refused("docker_cis_version")),
    ("polaris/audit-2026.json", Expected::Read("polaris", [10, 21, 0, 0, 0, 0, 0])),
    ("polaris/example-deploy.json", Expected::Read("polaris", [76, 0, 0, 0, 0, 0, 0])),
    ("prowler/aws.ocsf.json", Expected::Read("prowler", [0, 2, 0, 0, 3, 0, 0])),
    ("prowler/kubernetes.csv", Expected::Refused("CSV")),
    ("prowler/kubernetes.ocsf.json", Expected::Read("prowler", [1, 5, 0, 0, 0, 0, 0])),
    ("prowler/v3-native.json", Expected::Refused("Prowler 3")),
    ("prowler/v4-many.ocsf.json", Expected::Read("prowler", [0, 3, 0, 0, 0, 0, 0])),
    ("sarif/chainloop-report.sarif", Expected::Read("sarif", [0, 9, 0, 0, 0, 0, 0])),
    ("sarif/suppressions.sarif", Expected::Read("sarif", [0, 5, 0, 0, 0, 0, 0])),
    ("trivy/image-alpine-310.sarif", Expected::Read("sarif", [0, 4, 0, 0, 0, 0, 0])),
    (
        "compliance-operator/compliancecheckresult.yaml",
        Expected::Read("compliance-operator", [0, 1, 0, 0, 0, 0, 0]),
    ),
    (
        "kube-bench/cis-1.12-k8s-1.35-full.json",
        Expected::Read("kube-bench", [14, 2, 0, 0, 43, 0, 0]),
    ),
    ("kube-bench/cis-1.5-array.json", Expected::Read("kube-bench", [20, 4, 0, 0, 0, 0, 0])),
    (
        "kube-bench/cis-1.6-controls-object-4groups.json",
        Expected::Read("kube-bench", [33, 9, 40, 0, 40, 0, 0]),
    ),
    (
        "kube-bench/ciskubebenchreport-list.json",
        Expected::Read("kube-bench", [10, 5, 0, 0, 34, 0, 0]),
    ),
    ("kube-bench/concatenated-documents.json", Expected::Read("kube-bench", [2, 0, 0, 0, 0, 0, 0])),
    (
        "kube-bench/controls-collection-array.json",
        Expected::Read("kube-bench", [2, 0, 0, 0, 1, 0, 0]),
    ),
    ("kube-bench/result-no-totals-array.json", Expected::Read("kube-bench", [2, 0, 0, 0, 1, 0, 0])),
    ("kube-bench/result-with-totals.json", Expected::Read("kube-bench", [2, 0, 0, 0, 1, 0, 0])),
    ("kubescape/junit.xml", Expected::Refused("XML")),
    ("kubescape/posture-exceptions.json", Expected::Refused("keys")),
    ("kubescape/summaryDetails-only.json", Expected::Refused("keys")),
    ("kubescape/v2-repo-scan-2022.json", Expected::Read("kubescape", [421, 289, 0, 113, 0, 0, 0])),
    ("kubescape/v3-scan.json", Expected::Read("kubescape", [20, 0, 0, 15, 0, 0, 0])),
    ("openreports/report-list.json", Expected::Read("policy-report", [0, 3, 0, 0, 0, 0, 0])),
    ("openreports/sample-cis-k8s.yaml", Expected::Read("policy-report", [0, 3, 0, 0, 0, 0, 0])),
    (
        "openreports/sample-falco-policy.yaml",
        Expected::Read("policy-report", [0, 2, 0, 0, 0, 0, 0]),
    ),
    (
        "openreports/sample-v1beta1-kyverno.yaml",
        Expected::Read("policy-report", [1, 0, 0, 0, 0, 0, 0]),
    ),
    (
        "policy-report/kube-bench-adapter-polr-list.yaml",
        Expected::Read("policy-report", [37, 85, 0, 0, 0, 0, 0]),
    ),
    ("policy-report/kyverno-polr-pod.yaml", Expected::Read("policy-report", [1, 1, 0, 0, 0, 0, 0])),
    ("policy-report/sample-cis-k8s.yaml", Expected::Read("policy-report", [0, 3, 0, 0, 0, 0, 0])),
    ("policy-report/sample-co.yaml", Expected::Read("policy-report", [0, 2, 0, 0, 0, 0, 0])),
    (
        "policy-report/sample-falco-policy.yaml",
        Expected::Read("policy-report", [0, 2, 0, 0, 0, 0, 0]),
    ),
    (
        "policy-report/sample-v1beta1-kyverno.yaml",
        Expected::Read("policy-report", [1, 0, 0, 0, 0, 0, 0]),
    ),
    (
        "policy-report/trivy-adapter-polr.json",
        Expected::Read("policy-report", [0, 0, 14, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/all-reports-in-dict.json",
        Expected::Read("trivy-operator", [1, 43, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/clustercompliancereport-cis-detail.json",
        Expected::Read("trivy-operator", [0, 795, 0, 94, 8, 0, 0]),
    ),
    (
        "trivy-operator/clustercompliancereport-nsa.yaml",
        Expected::Read("trivy-operator", [0, 12, 0, 11, 4, 0, 0]),
    ),
    (
        "trivy-operator/clustervulnerabilityreport.yaml",
        Expected::Read("trivy-operator", [1, 15, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/configauditreport-many.json",
        Expected::Read("trivy-operator", [0, 13, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/exposedsecretreport-many.json",
        Expected::Read("trivy-operator", [0, 2, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/findings-in-list.json",
        Expected::Read("trivy-operator", [1, 18, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/infraassessmentreport.yaml",
        Expected::Read("trivy-operator", [17, 11, 0, 0, 0, 15, 0]),
    ),
    (
        "trivy-operator/rbacassessmentreport.yaml",
        Expected::Read("trivy-operator", [15, 1, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy-operator/starboard-clustercompliancereport.json",
        Expected::Read("trivy-operator", [3, 2, 0, 22, 0, 0, 0]),
    ),
    (
        "trivy-operator/vulnerabilityreport-many.json",
        Expected::Read("trivy-operator", [1, 41, 0, 0, 0, 0, 0]),
    ),
    ("trivy/compliance-all.unit.json", Expected::Read("trivy-compliance", [0, 2, 0, 0, 0, 0, 0])),
    (
        "trivy/compliance-summary.unit.json",
        Expected::Read("trivy-compliance", [0, 2, 0, 0, 0, 0, 0]),
    ),
    ("trivy/config-dockerfile.json", Expected::Read("trivy", [0, 1, 0, 0, 0, 0, 0])),
    ("trivy/config-helm.json", Expected::Read("trivy", [0, 18, 0, 0, 0, 0, 0])),
    ("trivy/image-alpine-310-junit.xml", Expected::Refused("XML")),
    ("trivy/image-alpine-310.asff.json", Expected::Refused("ASFF")),
    ("trivy/image-alpine-310.json", Expected::Read("trivy", [1, 4, 0, 0, 0, 0, 0])),
    (
        "trivy/k8s-all-securecodebox-system.json",
        Expected::Read("trivy-k8s", [21, 672, 0, 0, 0, 0, 0]),
    ),
    (
        "trivy/k8s-legacy-eks-vulns-misconf-split.json",
        Expected::Read("trivy-k8s", [2, 20, 0, 0, 0, 0, 0]),
    ),
    ("trivy/k8s-summary-ids.json", Expected::Refused("keys")),
    ("trivy/k8s-unexpected-attribute.json", Expected::Read("trivy-k8s", [2, 2, 0, 0, 0, 0, 0])),
];

#[apply(test)]
fn samples_are_read_or_refused() {
    let root = tools::samples();
    let expected: BTreeMap<&str, &Expected> = SAMPLES.iter().map(|(n, e)| (*n, e)).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    let folders = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        let tool = folder.file_name().unwrap().to_str().unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = format!("{tool}/{}", path.file_name().unwrap().to_str().unwrap());
            seen += 1;
            let result = read(&fs::read(&path).unwrap(), "node-1");
            match (expected.get(name.as_str()), result) {
                (Some(Expected::Read(format, numbers)), Ok(reading)) => {
                    check_findings(&reading.parsed, &reading.formats, &path);
                    let counts = counts(&reading);
                    let found = [
                        counts.pass,
                        counts.fail,
                        counts.error,
                        counts.not_checked,
                        counts.manual,
                        counts.not_applicable,
                        counts.without_verdict,
                    ];
                    // Scanners of today write nothing that is not known.
                    let unknown = reading
                        .parsed
                        .notes
                        .iter()
                        .filter(|note| note.text.contains("is not known to have"));
                    wrong.extend(unknown.map(|note| format!("{name}: {}", note.text)));
                    let is_silent = found.iter().sum::<usize>() == 0 && counts.weakening == 0;
                    if reading.formats != [*format] || found != *numbers || is_silent {
                        wrong.push(format!(
                            "{name}: {:?} {found:?} {:?}",
                            reading.formats, reading.parsed.notes
                        ));
                    }
                }
                (Some(Expected::Refused(words)), Err(error))
                    if error.to_string().contains(words)
                        && error.to_string().starts_with("line ") => {}
                (Some(_), Ok(reading)) => {
                    wrong.push(format!("{name}: {:?} {:?}", reading.formats, counts(&reading)));
                }
                (Some(_), Err(error)) => wrong.push(format!("{name}: {error}")),
                (None, _) => wrong.push(format!("{name}: not in the table")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, SAMPLES.len());
}

/// Without its secrets a report is still that report.
#[cfg(feature = "pipeline")]
#[apply(test)]
fn what_is_taken_out_of_a_report_changes_no_verdict() {
    let mut folders = vec![tools::samples()];
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
    let mut seen = 0;
    let mut changed = Vec::new();
    let tools = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    for tool in tools.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(tool).unwrap() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let without = affidavit::redaction::redacted(&bytes);
            seen += 1;
            if *without == *bytes {
                continue;
            }
            changed.push(path.file_name().unwrap().to_string_lossy().into_owned());
            let verdicts = |bytes: &[u8]| {
                let reading = read(bytes, "node-1").ok()?;
                let findings = reading.parsed.findings.into_iter();
                let of = findings.map(|finding| (finding.locator, finding.check, finding.outcome));
                Some((reading.formats, of.collect::<Vec<_>>()))
            };
            assert_eq!(verdicts(&bytes), verdicts(&without), "{}", path.display());
        }
    }
    println!("{seen} reports, secrets in {changed:?}");
    // Most reports hold none.
    assert!(seen > 100 && changed.len() * 4 < seen, "{changed:?}");
}
