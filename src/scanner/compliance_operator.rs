//! `OpenShift`'s Compliance Operator: `ComplianceCheckResult`, whose fields stand at the top level.
//!
//! Nothing in it names a node: a result is about all nodes (or the API) that one scan covers, and
//! `INCONSISTENT` says that they differ. Its texts are `ComplianceAsCode`'s and often the standard's;
//! they stay in the input.

use serde::Deserialize;

use super::kube_object::{self, Metadata, Object};
use super::text::{Text, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct ComplianceOperator;

pub(super) const PREFIX: &str = "compliance-operator";
const GROUP: &str = "compliance.openshift.io";
const KIND: &str = "ComplianceCheckResult";
pub(super) const RULE_PREFIX: &str = "xccdf_org.ssgproject.content_rule_";

impl Scanner for ComplianceOperator {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has_object(GROUP, |kind| kind == KIND)
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "id",
            "status",
            "severity",
            "description",
            "instructions",
            "rationale",
            "warnings",
            "valuesUsed",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        for (pointer, result) in kube_object::read::<CheckResult<'_>>(document)? {
            result.read(document, &pointer, parsed);
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CheckResult<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Metadata,
    id: Text<'a>,
    severity: Text<'a>,
    status: Text<'a>,
}

impl<'a> Object<'a> for CheckResult<'a> {
    fn is_ours(api: &str, kind: &str) -> bool {
        kind == KIND && api.split_once('/').is_some_and(|(group, _)| group == GROUP)
    }

    fn identity(&mut self) -> [&mut Text<'a>; 2] {
        [&mut self.api_version, &mut self.kind]
    }
}

impl CheckResult<'_> {
    fn label(&self, name: &str) -> &str {
        self.metadata.labels.get(&format!("{GROUP}/{name}")).map_or("", String::as_str)
    }

    fn annotation(&self, name: &str) -> &str {
        self.metadata.annotations.get(&format!("{GROUP}/{name}")).map_or("", String::as_str)
    }

    fn read(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        parsed.saw_tool(PREFIX, "");
        parsed.saw_rule_set(self.label("suite"));
        let field = format!("{pointer}/metadata/annotations/{GROUP}~1last-scanned-timestamp");
        if let Some(at) = document.time(&field, self.annotation("last-scanned-timestamp")) {
            parsed.saw_time(at);
        }
        let raw = &*self.id;
        let rule = match raw.strip_prefix(RULE_PREFIX).unwrap_or(raw) {
            "" => self.metadata.name.as_str(),
            rule => rule,
        };
        let (outcome, message) = self.judge();
        parsed.findings.push(Finding {
            check: CheckId::new(PREFIX, if rule.is_empty() { "unnamed" } else { rule }),
            resource: self.resource().into(),
            outcome,
            severity: Severity::from_word(&self.severity),
            rule: "".into(),
            raw_check: if raw == rule { "" } else { raw }.into(),
            message: message.into(),
            locator: document.locator(pointer),
        });
    }

    /// The cluster, and in it what one scan covers: `workers-scan`.
    fn resource(&self) -> ResourceRef {
        let owner = self.metadata.owner_references.first();
        let scan = match (self.label("scan-name"), owner) {
            ("", Some(owner)) if owner.kind == "ComplianceScan" => owner.name.as_str(),
            (label, _) => label,
        };
        ResourceRef { part: scan.to_owned(), ..ResourceRef::cluster_scoped("Cluster", "") }
    }

    fn judge(&self) -> (Outcome, String) {
        let stated = |text: &str| text.to_owned();
        match &*self.status {
            "PASS" => (Outcome::Pass, String::new()),
            "FAIL" => (Outcome::Fail, String::new()),
            "INFO" => (Outcome::NotChecked, stated("informational: no verdict")),
            "MANUAL" => (Outcome::Manual, String::new()),
            "ERROR" => (Outcome::Error, stated("the check could not run")),
            "NOT-APPLICABLE" | "NOTAPPLICABLE" => (Outcome::NotApplicable, String::new()),
            "INCONSISTENT" => (self.worst_of_nodes(), self.inconsistency()),
            "" => (Outcome::Error, stated("no status stated")),
            other => (Outcome::Error, format!("unknown status `{}`", clean(other))),
        }
    }

    /// What nodes that differ say together. The operator names the most common status and the nodes with
    /// another one (`node-9:NOT-APPLICABLE,node-7:PASS`). A failure anywhere is one. Where a check passes on
    /// some nodes and has no object on the others, it passes; where no node has one, it is not applicable. Any
    /// other status, and any that is not named, is an error.
    fn worst_of_nodes(&self) -> Outcome {
        let others = self.annotation("inconsistent-source");
        let others = others.split(',').map(|node| node.rsplit_once(':').map(|(_, status)| status));
        let mut statuses: Vec<Option<&str>> = others.collect();
        // Without a most common one, the operator names every node.
        match self.annotation("most-common-status") {
            "" => {}
            common => statuses.push(Some(common)),
        }
        let named = || statuses.iter().map(|status| status.map(str::trim));
        let is_without = |status| matches!(status, Some("NOT-APPLICABLE" | "NOTAPPLICABLE"));
        match () {
            () if named().any(|status| status == Some("FAIL")) => Outcome::Fail,
            () if named().all(is_without) => Outcome::NotApplicable,
            () if named().all(|status| status == Some("PASS") || is_without(status)) => {
                Outcome::Pass
            }
            () => Outcome::Error,
        }
    }

    fn inconsistency(&self) -> String {
        let mut message = "nodes differ".to_owned();
        for (title, name) in
            [("most common", "most-common-status"), ("others", "inconsistent-source")]
        {
            let value = clean(self.annotation(name));
            if !value.is_empty() {
                message.push_str(if message.len() > 12 { "; " } else { ": " });
                message.push_str(title);
                message.push(' ');
                message.push_str(&value);
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Finding, Outcome};
    use crate::scanner::read;

    fn result(status: &str) -> Finding {
        let text = format!(
            r#"{{"apiVersion":"compliance.openshift.io/v1alpha1","kind":"ComplianceCheckResult","metadata":{{"name":"workers-scan-x","labels":{{"compliance.openshift.io/scan-name":"workers-scan","compliance.openshift.io/suite":"cis"}},"annotations":{{"compliance.openshift.io/last-scanned-timestamp":"2026-01-02T03:04:05Z","compliance.openshift.io/inconsistent-source":"node-2:FAIL","compliance.openshift.io/most-common-status":"PASS"}}}},"id":"xccdf_org.ssgproject.content_rule_no_root","instructions":"standard text","severity":"medium","status":{status}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["compliance-operator"]);
        assert_eq!(reading.parsed.rule_sets, ["cis"]);
        assert!(reading.parsed.taken_at.is_some() && reading.parsed.checks.is_empty());
        reading.parsed.findings[0].clone()
    }

    #[test]
    fn states() {
        for (status, outcome) in [
            ("\"PASS\"", Outcome::Pass),
            ("\"FAIL\"", Outcome::Fail),
            ("\"INFO\"", Outcome::NotChecked),
            ("\"MANUAL\"", Outcome::Manual),
            ("\"ERROR\"", Outcome::Error),
            ("\"NOT-APPLICABLE\"", Outcome::NotApplicable),
            ("\"INCONSISTENT\"", Outcome::Fail),
            ("\"\"", Outcome::Error),
            ("{}", Outcome::Error),
            ("\"pass\"", Outcome::Error),
        ] {
            assert_eq!(result(status).outcome, outcome, "{status}");
        }
    }

    #[test]
    fn nodes_without_the_object_of_a_check_are_no_failure() {
        let outcome = |common: &str, others: &str| {
            let text = format!(
                r#"{{"apiVersion":"compliance.openshift.io/v1alpha1","kind":"ComplianceCheckResult","metadata":{{"name":"x","annotations":{{"compliance.openshift.io/inconsistent-source":"{others}","compliance.openshift.io/most-common-status":"{common}"}}}},"id":"x","status":"INCONSISTENT"}}"#
            );
            read(text.as_bytes(), "").unwrap().parsed.findings[0].outcome
        };
        for (common, others, expected) in [
            ("PASS", "node-9:NOT-APPLICABLE", Outcome::Pass),
            ("NOT-APPLICABLE", "node-1:PASS,node-2:PASS", Outcome::Pass),
            ("", "node-1:PASS,node-2:NOT-APPLICABLE", Outcome::Pass),
            ("PASS", "node-9:NOT-APPLICABLE,node-8:FAIL", Outcome::Fail),
            ("NOT-APPLICABLE", "node-1:NOT-APPLICABLE", Outcome::NotApplicable),
            ("PASS", "node-9:ERROR", Outcome::Error),
            ("PASS", "node-9:MANUAL", Outcome::Error),
            ("PASS", "node-9:SKIP,node-8:FAIL", Outcome::Fail),
            ("FAIL", "", Outcome::Fail),
            ("PASS", "node-9", Outcome::Error),
            ("PASS", "", Outcome::Error),
            ("", "", Outcome::Error),
            ("NOT-APPLICABLE", "", Outcome::Error),
        ] {
            assert_eq!(outcome(common, others), expected, "{common} {others}");
        }
    }

    #[test]
    fn the_rule_is_the_check_and_the_scan_is_the_part() {
        let finding = result("\"INCONSISTENT\"");
        assert_eq!(finding.check.as_str(), "compliance-operator:no_root");
        assert_eq!(&*finding.raw_check, "xccdf_org.ssgproject.content_rule_no_root");
        assert_eq!(finding.resource.to_string(), "Cluster/#workers-scan");
        assert_eq!(&*finding.message, "nodes differ: most common PASS; others node-2:FAIL");
    }

    #[test]
    fn a_list_may_mix_kinds() {
        let parsed = read(
            br#"{"apiVersion":"v1","kind":"List","items":[
            {"apiVersion":"compliance.openshift.io/v1alpha1","kind":"ComplianceCheckResult","id":"x","status":"PASS"},
            {"apiVersion":"compliance.openshift.io/v1alpha1","kind":"ComplianceScan","id":7,"status":{"phase":"DONE"}}]}"#,
            "",
        )
        .unwrap()
        .parsed;
        assert_eq!(parsed.findings.len(), 1);
    }

    #[test]
    fn neighbours_do_not_match() {
        for (api, kind) in [
            ("compliance.openshift.io/v1alpha1", "ComplianceScan"),
            ("example.com/v1", "ComplianceCheckResult"),
        ] {
            let text = format!(r#"{{"apiVersion":"{api}","kind":"{kind}","status":"PASS"}}"#);
            assert!(read(text.as_bytes(), "").is_err());
        }
    }
}
