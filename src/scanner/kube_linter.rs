//! kube-linter JSON: `{"Checks", "Reports", "Summary"}`. `Reports` holds failures only; `Checks`
//! says which checks ran. An object that is in no report passed or was not there: nothing tells.

use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, clean, own_words};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef};

pub(super) struct KubeLinter;

const PREFIX: &str = "kube-linter";

impl Scanner for KubeLinter {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        // A summary that is `null` weakens.
        let has_summary = probe.child_has("Summary", "KubeLinterVersion")
            || probe.has("Summary")
                && probe.has("Reports")
                && !probe.child_keys.contains_key("Summary");
        !probe.is_array && probe.has("Checks") && has_summary
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["Checks", "Reports", "Summary"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let file: File<'_> = document.read()?;
        parsed.saw_tool(PREFIX, &file.summary.version);
        if let Some(at) = document.time("/Summary/CheckEndTime", &file.summary.end) {
            parsed.saw_time(at);
        }
        for check in &file.checks {
            let id = CheckId::new(PREFIX, &check.name);
            parsed.saw_check(&id, &own_words(&check.description), &own_words(&check.remediation));
        }
        for (index, report) in file.reports.iter().enumerate() {
            let name = if report.check.is_empty() { "unnamed" } else { &*report.check };
            let locator = document.locator(&format!("/Reports/{index}"));
            let resource = Arc::new(report.object.resource());
            let mut finding =
                Finding::new(CheckId::new(PREFIX, name), resource, Outcome::Fail, locator);
            finding.message = clean(&report.diagnostic.message).into();
            parsed.findings.push(finding);
        }
        file.conclude(document, parsed);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    checks: Vec<Check<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    reports: Vec<Report<'a>>,
    #[serde(default)]
    summary: Summary<'a>,
}

#[derive(Deserialize)]
struct Check<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    description: Text<'a>,
    #[serde(default)]
    remediation: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Summary<'a> {
    #[serde(borrow, default, rename = "ChecksStatus")]
    status: Text<'a>,
    #[serde(default, rename = "CheckEndTime")]
    end: Text<'a>,
    #[serde(default, rename = "KubeLinterVersion")]
    version: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'a> {
    #[serde(borrow, default)]
    diagnostic: Diagnostic<'a>,
    #[serde(default)]
    check: Text<'a>,
    #[serde(default)]
    object: Object<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Diagnostic<'a> {
    #[serde(borrow, rename = "Message")]
    message: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow, rename = "Metadata")]
    metadata: Origin<'a>,
    #[serde(rename = "K8sObject")]
    object: K8sObject<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Origin<'a> {
    #[serde(borrow)]
    file_path: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct K8sObject<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    name: Text<'a>,
    group_version_kind: GroupVersionKind<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct GroupVersionKind<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
}

impl Object<'_> {
    fn resource(&self) -> ResourceRef {
        let object = &self.object;
        if object.group_version_kind.kind.is_empty() {
            return ResourceRef::cluster_scoped("File", clean(&self.metadata.file_path));
        }
        ResourceRef::namespaced(
            clean(&object.group_version_kind.kind),
            clean(&object.namespace),
            clean(&object.name),
        )
    }
}

impl File<'_> {
    fn conclude(&self, document: &Document<'_>, parsed: &mut Parsed) {
        let at = document.locator("/Summary");
        let failed = !self.reports.is_empty();
        match &*self.summary.status {
            "Failed" if failed => {}
            "Passed" if !failed => {}
            status => {
                let text = format!(
                    "the summary says `{}`, and {} failures are listed",
                    clean(status),
                    self.reports.len()
                );
                parsed.shortfall(at.clone(), text);
            }
        }
        if self.checks.is_empty() {
            parsed.shortfall(at, "no check ran");
            return;
        }
        let text = format!(
            "{} checks ran; which objects passed them is not in the report",
            self.checks.len()
        );
        parsed.note(at.clone(), text);
        let resource = ResourceRef::cluster_scoped("File", "");
        let mut proof = Finding::new(CheckId::new(PREFIX, "run"), resource, Outcome::Pass, at);
        proof.message =
            format!("{} checks ran, {} failures", self.checks.len(), self.reports.len()).into();
        parsed.findings.push(proof);
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Parsed;
    use crate::scanner::read;

    fn report(status: &str, reports: &str) -> Parsed {
        let text = format!(
            r#"{{"Checks":[{{"name":"run-as-non-root","description":"d","remediation":"r"}}],"Reports":{reports},"Summary":{{"ChecksStatus":"{status}","CheckEndTime":"2026-01-02T03:04:05Z","KubeLinterVersion":"0.8.3"}}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["kube-linter"]);
        assert_eq!(reading.parsed.tools["kube-linter"], "0.8.3");
        assert!(reading.parsed.taken_at.is_some());
        reading.parsed
    }

    const FAILURE: &str = r#"[{"Diagnostic":{"Message":"m"},"Check":"run-as-non-root","Object":{"Metadata":{"FilePath":"a.yaml"},"K8sObject":{"Namespace":"shop","Name":"web","GroupVersionKind":{"Kind":"Deployment"}}}}]"#;

    #[test]
    fn failures_are_read_and_passes_are_not_invented() {
        let parsed = report("Failed", FAILURE);
        let said: Vec<_> = parsed
            .findings
            .iter()
            .map(|f| format!("{} {} {}", f.check, f.resource, f.outcome))
            .collect();
        assert_eq!(
            said,
            ["kube-linter:run-as-non-root shop/Deployment/web fail", "kube-linter:run File/ pass"]
        );
        assert!(!parsed.notes.iter().any(|note| note.weakens));
    }

    #[test]
    fn a_clean_run_proves_itself_and_no_check() {
        let parsed = report("Passed", "null");
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(&*parsed.findings[0].message, "1 checks ran, 0 failures");
    }

    #[test]
    fn a_summary_that_does_not_fit_weakens_the_evidence() {
        assert!(report("Failed", "[]").notes[0].weakens);
        assert!(report("Passed", FAILURE).notes[0].weakens);
    }
}
