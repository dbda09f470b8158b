//! Checkov JSON: one object, or an array with one object for each framework that had files; with
//! nothing to look at, a flat object of zeroes.

use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, clean, own_words};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Checkov;

const PREFIX: &str = "checkov";

/// Checkov writes the namespace `default` for these too, which have none.
const CLUSTER_SCOPED: [&str; 8] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "StorageClass",
];

impl Scanner for Checkov {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has("check_type") && probe.has("results") || is_zero(probe)
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "check_type",
            "results",
            "summary",
            "url",
            "support_path",
            "passed",
            "failed",
            "skipped",
            "parsing_errors",
            "parsingerrors",
            "resource_count",
            "resourcecount",
            "checkov_version",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        if is_zero(document.probe()) {
            let zero: Summary<'_> = document.read()?;
            parsed.saw_tool(PREFIX, &zero.checkov_version);
            let text = "Checkov found nothing that it knows how to look at";
            parsed.shortfall(document.locator(""), text);
            return Ok(());
        }
        if document.probe().is_array {
            for (index, report) in document.read::<Vec<Report<'_>>>()?.iter().enumerate() {
                report.read(document, &format!("/{index}"), parsed);
            }
        } else {
            document.read::<Report<'_>>()?.read(document, "", parsed);
        }
        Ok(())
    }
}

fn is_zero(probe: &Probe) -> bool {
    !probe.is_array && probe.has("checkov_version") && probe.has("failed") && probe.has("passed")
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow, default)]
    check_type: Text<'a>,
    #[serde(default)]
    results: Results<'a>,
    #[serde(default)]
    summary: Summary<'a>,
}

#[derive(Default, Deserialize)]
struct Results<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    passed_checks: Vec<Record<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    failed_checks: Vec<Record<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    skipped_checks: Vec<Record<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    parsing_errors: Vec<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary<'a> {
    passed: usize,
    failed: usize,
    skipped: usize,
    parsing_errors: usize,
    #[serde(borrow)]
    checkov_version: Text<'a>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    check_id: Text<'a>,
    #[serde(default)]
    check_name: Text<'a>,
    #[serde(default)]
    check_result: CheckResult<'a>,
    #[serde(default)]
    file_path: Text<'a>,
    #[serde(default)]
    resource: Text<'a>,
    #[serde(default)]
    severity: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CheckResult<'a> {
    #[serde(borrow)]
    result: Text<'a>,
    suppress_comment: Text<'a>,
}

impl Report<'_> {
    fn read(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        parsed.saw_tool(PREFIX, &self.summary.checkov_version);
        let results = &self.results;
        for (list, records) in [
            ("passed_checks", &results.passed_checks),
            ("failed_checks", &results.failed_checks),
            ("skipped_checks", &results.skipped_checks),
        ] {
            for (index, record) in records.iter().enumerate() {
                let locator = document.locator(&format!("{pointer}/results/{list}/{index}"));
                let is_kubernetes =
                    matches!(&*self.check_type, "kubernetes" | "helm" | "kustomize");
                record.read(is_kubernetes, locator, parsed);
            }
        }
        for (index, file) in results.parsing_errors.iter().enumerate() {
            let place = document.locator(&format!("{pointer}/results/parsing_errors/{index}"));
            parsed.shortfall(place, format!("Checkov could not parse {}", clean(file)));
        }
        let stated = &self.summary;
        let stated = [stated.passed, stated.failed, stated.skipped, stated.parsing_errors];
        let found = [
            results.passed_checks.len(),
            results.failed_checks.len(),
            results.skipped_checks.len(),
            results.parsing_errors.len(),
        ];
        if stated != found {
            let text = format!(
                "the summary {stated:?} is not that of the results {found:?} (passed, failed, skipped, not parsed): results are missing"
            );
            parsed.shortfall(document.locator(pointer), text);
        }
    }
}

impl Record<'_> {
    fn read(&self, is_kubernetes: bool, locator: Box<str>, parsed: &mut Parsed) {
        let id = if self.check_id.is_empty() { "unnamed" } else { &*self.check_id };
        let check = CheckId::new(PREFIX, id);
        if !parsed.checks.contains_key(&check) {
            parsed.saw_check(&check, &own_words(&self.check_name), "");
        }
        let comment = clean(&self.check_result.suppress_comment);
        let (outcome, message) = match &*self.check_result.result {
            "PASSED" => (Outcome::Pass, String::new()),
            "FAILED" => (Outcome::Fail, String::new()),
            // A comment in the file leaves a check out: nobody looked, and nobody approved.
            "SKIPPED" => (Outcome::NotChecked, format!("skipped in Checkov: {comment}")),
            "UNKNOWN" => (Outcome::Error, "Checkov could not tell".to_owned()),
            "" => (Outcome::Error, "no result stated".to_owned()),
            other => (Outcome::Error, format!("unknown result `{}`", clean(other))),
        };
        let resource = Arc::new(self.subject(is_kubernetes));
        let mut finding = Finding::new(check, resource, outcome, locator);
        finding.severity = Severity::from_word(&self.severity);
        finding.message = message.into();
        parsed.findings.push(finding);
    }

    /// `Deployment.shop.web`, in a file. The pod of a template is `Pod.shop.web.<labels>`.
    fn subject(&self, is_kubernetes: bool) -> ResourceRef {
        let resource = clean(&self.resource);
        let mut parts = resource.splitn(3, '.');
        if let (true, Some(kind), Some(namespace), Some(name)) =
            (is_kubernetes, parts.next(), parts.next(), parts.next())
        {
            let namespace = if CLUSTER_SCOPED.contains(&kind) { "" } else { namespace };
            return ResourceRef::namespaced(kind, namespace, name);
        }
        let part = resource.into_owned();
        ResourceRef { part, ..ResourceRef::cluster_scoped("File", clean(&self.file_path)) }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed};
    use crate::scanner::read;

    fn record(result: &str) -> String {
        format!(
            r#"{{"check_id":"CKV_K8S_16","check_name":"Container should not be privileged","check_result":{{"result":"{result}","suppress_comment":"why"}},"file_path":"/a.yaml","resource":"Deployment.shop.web","severity":null}}"#
        )
    }

    fn report(passed: &str, failed: &str, skipped: &str, counts: (u8, u8, u8)) -> Parsed {
        let (p, f, s) = counts;
        let text = format!(
            r#"{{"check_type":"kubernetes","results":{{"passed_checks":[{passed}],"failed_checks":[{failed}],"skipped_checks":[{skipped}],"parsing_errors":[]}},"summary":{{"passed":{p},"failed":{f},"skipped":{s},"checkov_version":"3.3.30"}}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["checkov"]);
        assert_eq!(reading.parsed.tools["checkov"], "3.3.30");
        reading.parsed
    }

    #[test]
    fn results_are_as_checkov_means_them() {
        let parsed = report(&record("PASSED"), &record("FAILED"), &record("SKIPPED"), (1, 1, 1));
        let outcomes: Vec<_> = parsed.findings.iter().map(|f| f.outcome).collect();
        assert_eq!(outcomes, [Outcome::Pass, Outcome::Fail, Outcome::NotChecked]);
        assert_eq!(parsed.findings[0].resource.to_string(), "shop/Deployment/web");
        assert_eq!(&*parsed.findings[2].message, "skipped in Checkov: why");
        assert!(parsed.notes.is_empty());
        assert_eq!(
            report("", &record("UNKNOWN"), "", (0, 1, 0)).findings[0].outcome,
            Outcome::Error
        );
    }

    #[test]
    fn missing_results_and_unparsed_files_weaken_the_evidence() {
        assert!(report("", "", "", (1, 0, 0)).notes[0].weakens);
        let text = br#"[{"check_type":"terraform","results":{"passed_checks":[],"failed_checks":[],"skipped_checks":[],"parsing_errors":["/b.tf"]},"summary":{"parsing_errors":1,"checkov_version":"3"}}]"#;
        let parsed = read(text, "").unwrap().parsed;
        assert!(parsed.notes[0].weakens && parsed.notes[0].text.ends_with("/b.tf"));
        assert_eq!(&*parsed.notes[0].locator, "/0/results/parsing_errors/0");
    }

    #[test]
    fn nothing_to_look_at_is_no_pass() {
        let text = br#"{"passed":0,"failed":0,"skipped":0,"parsing_errors":0,"resource_count":0,"checkov_version":"3.3.30"}"#;
        let parsed = read(text, "").unwrap().parsed;
        assert!(parsed.findings.is_empty() && parsed.notes[0].weakens);
    }

    #[test]
    fn what_is_no_kubernetes_object_is_a_part_of_a_file() {
        let text = br#"{"check_type":"terraform","results":{"failed_checks":[{"check_id":"CKV_AWS_1","check_result":{"result":"FAILED"},"file_path":"/m.tf","resource":"aws_s3_bucket.logs"}]},"summary":{"failed":1}}"#;
        let parsed = read(text, "").unwrap().parsed;
        assert_eq!(parsed.findings[0].resource.to_string(), "File//m.tf#aws_s3_bucket.logs");
    }
}
