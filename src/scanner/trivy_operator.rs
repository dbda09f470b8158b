//! trivy-operator's custom resources (`aquasecurity.github.io`), and those of Starboard before it.
//!
//! A `ClusterComplianceReport` counts a control as passed when no result stood for it: it then
//! holds one check with an empty id and `success: true`, or `totalFail: 0`. Neither is a pass.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::{self, Metadata, null_as_default};
use super::text::{Text, clean};
use super::trivy_compliance::{control_check, without_result};
use super::trivy_result::{Checks, PREFIX, Unrated, describe_vulnerability, scan_proof};
use super::trivy_scope::weigh_pass;
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct TrivyOperator;

const GROUP: &str = "aquasecurity.github.io";

/// What a kind reports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vulnerabilities,
    Checks,
    Secrets,
    Sbom,
    Compliance,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("Cluster").unwrap_or(name) {
            "VulnerabilityReport" => Self::Vulnerabilities,
            "ConfigAuditReport" | "RbacAssessmentReport" | "InfraAssessmentReport" => Self::Checks,
            "ExposedSecretReport" => Self::Secrets,
            "SbomReport" => Self::Sbom,
            "ComplianceReport" if name.starts_with("Cluster") => Self::Compliance,
            _ => return None,
        })
    }
}

impl Scanner for TrivyOperator {
    fn id(&self) -> &'static str {
        "trivy-operator"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has_object(GROUP, |kind| Kind::of(kind).is_some())
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["report", "spec", "status"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let mut reader = Reader { document, parsed, checks: Checks::default() };
        for (pointer, object) in kube_object::read::<Object<'_>>(document)? {
            if let Some(kind) = Kind::of(&object.kind) {
                reader.read(&object, kind, &pointer);
            }
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Metadata,
    report: Option<Body<'a>>,
    spec: Option<ComplianceSpec<'a>>,
    status: Option<ComplianceStatus<'a>>,
}

impl<'a> kube_object::Object<'a> for Object<'a> {
    fn is_ours(api: &str, kind: &str) -> bool {
        api.split_once('/').is_some_and(|(group, _)| group == GROUP) && Kind::of(kind).is_some()
    }

    fn identity(&mut self) -> [&mut Text<'a>; 2] {
        [&mut self.api_version, &mut self.kind]
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    scanner: Tool<'a>,
    update_timestamp: Text<'a>,
    summary: Option<Summary>,
    #[serde(deserialize_with = "null_as_default")]
    checks: Vec<Check<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    vulnerabilities: Vec<Vulnerability<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    secrets: Vec<Secret<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    version: Text<'a>,
}

/// Counts of what failed.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Summary {
    #[serde(rename = "criticalCount")]
    critical: usize,
    #[serde(rename = "highCount")]
    high: usize,
    #[serde(rename = "mediumCount")]
    medium: usize,
    #[serde(rename = "lowCount")]
    low: usize,
    #[serde(rename = "noneCount")]
    none: usize,
    #[serde(rename = "unknownCount")]
    unknown: usize,
}

impl Summary {
    fn counts(self) -> [usize; 6] {
        [self.critical, self.high, self.medium, self.low, self.none, self.unknown]
    }

    fn of(severities: impl Iterator<Item = Severity>) -> Self {
        let mut counts = Self::default();
        for severity in severities {
            match severity {
                Severity::Critical => counts.critical += 1,
                Severity::High => counts.high += 1,
                Severity::Medium => counts.medium += 1,
                Severity::Low => counts.low += 1,
                Severity::Info => counts.none += 1,
                Severity::Unknown => counts.unknown += 1,
            }
        }
        counts
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Check<'a> {
    #[serde(borrow, rename = "checkID", alias = "id")]
    id: Text<'a>,
    title: Text<'a>,
    severity: Text<'a>,
    /// Missing is no answer.
    success: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    messages: Vec<Text<'a>>,
    remediation: Text<'a>,
    /// Only in compliance reports.
    target: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vulnerability<'a> {
    #[serde(borrow, rename = "vulnerabilityID")]
    id: Text<'a>,
    resource: Text<'a>,
    installed_version: Text<'a>,
    fixed_version: Text<'a>,
    severity: Text<'a>,
}

/// `match` holds a piece of the secret, masked by Trivy, and is not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Secret<'a> {
    #[serde(borrow, rename = "ruleID")]
    rule_id: Text<'a>,
    severity: Text<'a>,
    title: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ComplianceSpec<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    compliance: SpecId<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecId<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ComplianceStatus<'a> {
    #[serde(borrow)]
    update_timestamp: Text<'a>,
    detail_report: Option<DetailReport<'a>>,
    summary_report: Option<SummaryReport<'a>>,
    /// Starboard.
    #[serde(deserialize_with = "null_as_default")]
    control_check: Vec<Control<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DetailReport<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    results: Vec<Control<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SummaryReport<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    control_check: Vec<Control<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Control<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    name: Text<'a>,
    severity: Text<'a>,
    #[serde(deserialize_with = "null_as_default")]
    checks: Vec<Check<'a>>,
    total_fail: Option<u64>,
    /// Starboard counts what it saw, so a pass is one there.
    pass_total: Option<u64>,
    fail_total: Option<u64>,
}

struct Reader<'r> {
    document: &'r Document<'r>,
    parsed: &'r mut Parsed,
    checks: Checks,
}

impl Reader<'_> {
    fn read(&mut self, object: &Object<'_>, kind: Kind, pointer: &str) {
        if kind == Kind::Compliance {
            self.compliance(object, pointer);
            return;
        }
        let Some(body) = &object.report else {
            let text = format!("{} {} has no report", &*object.kind, object.metadata.name);
            self.parsed.shortfall(self.document.locator(pointer), text);
            return;
        };
        // Starboard could have others (Polaris, Conftest, Aqua) write the same kinds.
        if !body.scanner.name.is_empty() && !body.scanner.name.eq_ignore_ascii_case(PREFIX) {
            let text = format!(
                "{} {} was written by {}, whose checks are not read",
                &*object.kind,
                object.metadata.name,
                clean(&body.scanner.name)
            );
            self.parsed
                .shortfall(self.document.locator(&format!("{pointer}/report/scanner")), text);
            return;
        }
        self.parsed.saw_tool(PREFIX, &body.scanner.version);
        if let Some(at) =
            self.document.time(&format!("{pointer}/report/updateTimestamp"), &body.update_timestamp)
        {
            self.parsed.saw_time(at);
        }
        let resource = Arc::new(subject(&object.metadata));
        let pointer = format!("{pointer}/report");
        if self.document.may_be_cut() && kind != Kind::Sbom {
            self.check_end(body, &resource, &pointer);
        }
        let listed = match kind {
            Kind::Vulnerabilities => self.vulnerabilities(body, &resource, &pointer),
            Kind::Checks => self.config_checks(body, &resource, &pointer),
            Kind::Secrets => self.secrets(body, &resource, &pointer),
            Kind::Sbom | Kind::Compliance => {
                self.parsed.without_verdict += 1;
                return;
            }
        };
        let Some(stated) = body.summary else { return };
        // By severity: a vulnerability whose end is cut off has none.
        let (stated, listed) = (stated.counts(), listed.counts());
        if stated.iter().zip(&listed).any(|(stated, listed)| stated > listed) {
            let text = format!(
                "{resource}: failures by severity are counted as {stated:?}, listed as {listed:?}: results are missing"
            );
            self.parsed.shortfall(self.document.locator(&format!("{pointer}/summary")), text);
        }
    }

    /// Written by the operator in alphabetical order: what a cut takes away first.
    fn check_end(&mut self, body: &Body<'_>, resource: &ResourceRef, pointer: &str) {
        let missing = match (&body.summary, &*body.update_timestamp) {
            (None, _) => "summary",
            (_, "") => "updateTimestamp",
            _ => return,
        };
        let text =
            format!("{resource}: no `{missing}`, and nothing else shows that this YAML is whole");
        self.parsed.shortfall(self.document.locator(pointer), text);
    }

    fn push(
        &mut self,
        check: CheckId,
        resource: &Arc<ResourceRef>,
        outcome: Outcome,
        severity: &str,
        pointer: &str,
    ) -> Option<&mut Finding> {
        self.parsed.findings.push(Finding {
            check,
            resource: Arc::clone(resource),
            outcome,
            severity: Severity::from_word(severity),
            rule: "".into(),
            raw_check: "".into(),
            message: "".into(),
            locator: self.document.locator(pointer),
        });
        self.parsed.findings.last_mut()
    }

    fn vulnerabilities(
        &mut self,
        body: &Body<'_>,
        resource: &Arc<ResourceRef>,
        pointer: &str,
    ) -> Summary {
        let count = body.vulnerabilities.len();
        let at = self.document.locator(pointer);
        let proof = scan_proof(&mut self.checks, resource, count, at);
        self.parsed.findings.push(proof);
        let mut unrated = Unrated::default();
        for (index, item) in body.vulnerabilities.iter().enumerate() {
            let check = self.checks.vulnerability(Severity::from_word(&item.severity));
            let at = format!("{pointer}/vulnerabilities/{index}");
            if let Some(finding) = self.push(check, resource, Outcome::Fail, &item.severity, &at) {
                finding.rule = (*item.id).into();
                finding.message = describe_vulnerability(
                    &item.resource,
                    &item.installed_version,
                    &item.fixed_version,
                    "",
                )
                .into();
            }
            let (field, locator) =
                ("/report/vulnerabilities/*/severity", self.document.locator(&at));
            unrated.look(self.document, &item.severity, field, &locator);
        }
        unrated.conclude(PREFIX, resource, &mut self.parsed.findings);
        Summary::of(body.vulnerabilities.iter().map(|item| Severity::from_word(&item.severity)))
    }

    fn secrets(&mut self, body: &Body<'_>, resource: &Arc<ResourceRef>, pointer: &str) -> Summary {
        for (index, item) in body.secrets.iter().enumerate() {
            let check = self.checks.of("exposed-secret").0;
            let at = format!("{pointer}/secrets/{index}");
            if let Some(finding) = self.push(check, resource, Outcome::Fail, &item.severity, &at) {
                finding.rule = (*item.rule_id).into();
                finding.message = clean(&item.title).into();
            }
        }
        Summary::of(body.secrets.iter().map(|item| Severity::from_word(&item.severity)))
    }

    /// Returns how many failed.
    fn config_checks(
        &mut self,
        body: &Body<'_>,
        resource: &Arc<ResourceRef>,
        pointer: &str,
    ) -> Summary {
        for (index, item) in body.checks.iter().enumerate() {
            self.config_check(item, resource, &format!("{pointer}/checks/{index}"));
        }
        let failed = body.checks.iter().filter(|item| item.success == Some(false));
        Summary::of(failed.map(|item| Severity::from_word(&item.severity)))
    }

    fn config_check(&mut self, item: &Check<'_>, resource: &Arc<ResourceRef>, pointer: &str) {
        let (check, raw_check) = self.checks.of(&item.id);
        Checks::describe(self.parsed, &check, &item.title, &item.remediation);
        let (outcome, message) = match item.success {
            Some(true) => weigh_pass(check.local(), resource),
            Some(false) => (Outcome::Fail, join_messages(&check, item)),
            None => (Outcome::Error, "the report does not say whether the check held".to_owned()),
        };
        if let Some(finding) = self.push(check, resource, outcome, &item.severity, pointer) {
            finding.raw_check = raw_check;
            finding.message = message.into();
        }
    }

    fn compliance(&mut self, object: &Object<'_>, pointer: &str) {
        let spec = object.spec.as_ref();
        let id = spec
            .map(
                |spec| if spec.compliance.id.is_empty() { &spec.name } else { &spec.compliance.id },
            )
            .filter(|id| !id.is_empty())
            .map_or(object.metadata.name.as_str(), |id| id);
        self.parsed.saw_rule_set(id);
        self.parsed.saw_tool(PREFIX, "");
        let nothing = ComplianceStatus::default();
        let status = object.status.as_ref().unwrap_or(&nothing);
        if let Some(at) = self
            .document
            .time(&format!("{pointer}/status/updateTimestamp"), &status.update_timestamp)
        {
            self.parsed.saw_time(at);
        }
        let lists = [
            ("detailReport/results", status.detail_report.as_ref().map(|report| &report.results)),
            (
                "summaryReport/controlCheck",
                status.summary_report.as_ref().map(|report| &report.control_check),
            ),
            ("controlCheck", Some(&status.control_check)),
        ];
        let mut controls = 0;
        for (path, list) in lists {
            for (index, control) in list.into_iter().flatten().enumerate() {
                controls += 1;
                self.control(id, control, &format!("{pointer}/status/{path}/{index}"));
            }
        }
        if status.update_timestamp.is_empty() && self.document.may_be_cut() {
            let text = format!(
                "ClusterComplianceReport {id}: there is no `updateTimestamp`, which is the end of this YAML"
            );
            self.parsed.shortfall(self.document.locator(&format!("{pointer}/status")), text);
        }
        if controls == 0 {
            let text = format!("ClusterComplianceReport {id} has no results yet");
            self.parsed.shortfall(self.document.locator(&format!("{pointer}/status")), text);
        }
    }

    fn control(&mut self, spec: &str, control: &Control<'_>, pointer: &str) {
        let mut real = 0;
        let mut failed_without_id = 0;
        for (index, item) in control.checks.iter().enumerate() {
            if !item.id.is_empty() {
                real += 1;
                let resource = Arc::new(resource_of_target(&item.target));
                self.config_check(item, &resource, &format!("{pointer}/checks/{index}"));
            } else if item.success != Some(true) {
                failed_without_id += 1;
            }
        }
        let failed = control.total_fail.or(control.fail_total).unwrap_or(failed_without_id);
        let (outcome, message) = match control.pass_total {
            _ if failed > 0 => {
                (Outcome::Fail, format!("{failed} failures, not named in a summary"))
            }
            _ if real > 0 => return,
            Some(passed) if passed > 0 && control.fail_total.is_none() => {
                (Outcome::Error, "no `failTotal` stated".to_owned())
            }
            Some(passed) if passed > 0 => (Outcome::Pass, format!("{passed} passes counted")),
            _ => without_result(&control.name),
        };
        let resource = Arc::new(ResourceRef::cluster_scoped("Cluster", ""));
        let check = control_check(spec, &control.id);
        if let Some(finding) = self.push(check, &resource, outcome, &control.severity, pointer) {
            finding.message = message.into();
        }
    }
}

fn join_messages(check: &CheckId, item: &Check<'_>) -> String {
    let messages: Vec<Cow<'_, str>> = item
        .messages
        .iter()
        .map(|text| clean(Checks::message(check, &item.title, text)))
        .filter(|text| !text.is_empty())
        .collect();
    messages.join("; ")
}

/// The subject stands in labels, or in annotations when the name is too long for a label.
fn subject(metadata: &Metadata) -> ResourceRef {
    let stated = |what: &str| {
        ["trivy-operator.", "starboard."].iter().find_map(|tool| {
            let key = format!("{tool}{what}");
            metadata.labels.get(&key).or_else(|| metadata.annotations.get(&key)).cloned()
        })
    };
    let owner = metadata.owner_references.first();
    let kind = stated("resource.kind")
        .or_else(|| owner.map(|owner| owner.kind.clone()))
        .unwrap_or_default();
    let name = stated("resource.name")
        .or_else(|| owner.map(|owner| owner.name.clone()))
        .unwrap_or_else(|| metadata.name.clone());
    let uid = owner.filter(|owner| owner.kind == kind).map(|owner| owner.uid.clone());
    ResourceRef {
        kind,
        name,
        namespace: stated("resource.namespace").unwrap_or_else(|| metadata.namespace.clone()),
        part: stated("container.name").unwrap_or_default(),
        uid: uid.unwrap_or_default(),
    }
}

/// `prod/replicaset-api-5d4`, `/clusterrole-admin`: namespace, kind in lower case, name (or its
/// hash when the name is too long).
fn resource_of_target(target: &str) -> ResourceRef {
    const KINDS: [&str; 20] = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Ingress",
        "Job",
        "LimitRange",
        "Namespace",
        "NetworkPolicy",
        "Node",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Service",
        "StatefulSet",
    ];
    if target.is_empty() {
        return ResourceRef::cluster_scoped("Cluster", "");
    }
    let (namespace, rest) = target.split_once('/').unwrap_or(("", target));
    let (kind, name) = rest.split_once('-').unwrap_or(("", rest));
    let known = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind));
    ResourceRef::namespaced(known.map_or(kind, |known| known), namespace, name)
}

#[cfg(test)]
mod tests {
    use crate::finding::{Finding, Parsed};
    use crate::scanner::read;

    fn shown(parsed: &Parsed) -> Vec<String> {
        let line = |f: &Finding| format!("{} {} {}", f.check, f.resource, f.outcome);
        parsed.findings.iter().map(line).collect()
    }

    fn object(kind: &str, rest: &str) -> Parsed {
        let text = format!(
            r#"{{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"{kind}","metadata":{{"name":"r","namespace":"a","labels":{{"trivy-operator.resource.kind":"ReplicaSet","trivy-operator.resource.name":"api","trivy-operator.resource.namespace":"a","trivy-operator.container.name":"web"}},"ownerReferences":[{{"kind":"ReplicaSet","name":"api","uid":"u1"}}]}},{rest}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["trivy-operator"]);
        reading.parsed
    }

    #[test]
    fn checks_pass_fail_or_say_nothing() {
        let parsed = object(
            "ConfigAuditReport",
            r#""report":{"scanner":{"name":"Trivy","version":"0.38.2"},"updateTimestamp":"2026-01-02T03:04:05Z","summary":{"lowCount":1},"checks":[
            {"checkID":"KSV014","severity":"LOW","success":false,"title":"t","messages":["m1","","m2"],"remediation":"r"},
            {"checkID":"AVD-KSV-0002","severity":"LOW","success":true},
            {"checkID":"AVD-KSV-0041","severity":"LOW","success":true},
            {"checkID":"KSV001","severity":"LOW"}]}"#,
        );
        assert_eq!(
            shown(&parsed),
            [
                "trivy:KSV-0014 a/ReplicaSet/api#web fail",
                "trivy:KSV-0002 a/ReplicaSet/api#web pass",
                "trivy:KSV-0041 a/ReplicaSet/api#web not-applicable",
                "trivy:KSV-0001 a/ReplicaSet/api#web error",
            ]
        );
        assert_eq!(&*parsed.findings[0].message, "m1; m2");
        assert_eq!(&*parsed.findings[0].raw_check, "KSV014");
        assert_eq!(&*parsed.findings[0].locator, "/report/checks/0");
        assert_eq!(parsed.findings[0].resource.uid, "u1");
        assert_eq!(parsed.tools["trivy"], "0.38.2");
        assert!(parsed.taken_at.is_some() && parsed.notes.is_empty());
    }

    #[test]
    fn vulnerabilities_secrets_and_sboms() {
        let parsed = object(
            "VulnerabilityReport",
            r#""report":{"summary":{"highCount":2},"vulnerabilities":[{"vulnerabilityID":"CVE-1","resource":"curl","installedVersion":"7","fixedVersion":"8","severity":"HIGH"}]}"#,
        );
        assert_eq!(
            shown(&parsed),
            [
                "trivy:vulnerability-scan a/ReplicaSet/api#web pass",
                "trivy:vulnerability-high a/ReplicaSet/api#web fail"
            ]
        );
        assert_eq!(&*parsed.findings[1].message, "curl 7, fixed in 8");
        assert!(parsed.notes[0].weakens, "two are counted, one is listed");

        let parsed = object(
            "ExposedSecretReport",
            r#""report":{"secrets":[{"ruleID":"aws","severity":"CRITICAL","title":"AWS","match":"k=abc"}]}"#,
        );
        assert_eq!(shown(&parsed), ["trivy:exposed-secret a/ReplicaSet/api#web fail"]);
        assert!(!format!("{parsed:?}").contains("abc"));

        let parsed = object("ClusterSbomReport", r#""report":{"components":{}}"#);
        assert_eq!((parsed.without_verdict, parsed.findings.len()), (1, 0));
    }

    #[test]
    fn a_placeholder_is_no_pass() {
        let parsed = object(
            "ClusterComplianceReport",
            r#""spec":{"compliance":{"id":"cis"}},"status":{"updateTimestamp":"2026-01-02T03:04:05Z","detailReport":{"results":[
            {"id":"1","name":"a","checks":[{"checkID":"","severity":"","success":true}]},
            {"id":"2","name":"b (Manual)","checks":[{"checkID":"","severity":"","success":true}]},
            {"id":"3","name":"c","checks":[{"checkID":"AVD-KSV-0041","target":"/clusterrole-admin","success":false},{"checkID":"KSV041","target":"a/role-r-1","success":true}]}]}}"#,
        );
        assert_eq!(
            shown(&parsed),
            [
                "trivy-compliance:cis/1 Cluster/ not-checked",
                "trivy-compliance:cis/2 Cluster/ manual",
                "trivy:KSV-0041 ClusterRole/admin fail",
                "trivy:KSV-0041 a/Role/r-1 pass",
            ]
        );
    }

    #[test]
    fn summaries_pass_only_what_was_counted() {
        let parsed = object(
            "ClusterComplianceReport",
            r#""spec":{"name":"nsa"},"status":{"controlCheck":[{"id":"1","failTotal":2,"passTotal":1},{"id":"2","failTotal":0,"passTotal":3},{"id":"3","failTotal":0,"passTotal":0}],"summaryReport":{"controlCheck":[{"id":"4","totalFail":0},{"id":"5","totalFail":1},{"id":"6","name":"x (Manual)"}]}}"#,
        );
        assert_eq!(
            shown(&parsed),
            [
                "trivy-compliance:nsa/4 Cluster/ not-checked",
                "trivy-compliance:nsa/5 Cluster/ fail",
                "trivy-compliance:nsa/6 Cluster/ manual",
                "trivy-compliance:nsa/1 Cluster/ fail",
                "trivy-compliance:nsa/2 Cluster/ pass",
                "trivy-compliance:nsa/3 Cluster/ not-checked",
            ]
        );
    }

    #[test]
    fn reports_without_content_weaken() {
        assert!(object("ConfigAuditReport", r#""data":1"#).notes[0].weakens);
        assert!(object("ClusterComplianceReport", r#""spec":{}"#).notes[0].weakens);
        let foreign = object(
            "ConfigAuditReport",
            r#""report":{"scanner":{"name":"Polaris"},"checks":[{"checkID":"x","success":true}]}"#,
        );
        assert!(foreign.findings.is_empty() && foreign.notes[0].weakens);
    }

    #[test]
    fn neighbours_do_not_match() {
        for (api, kind) in [
            ("aquasecurity.github.io/v1alpha1", "KubeHunterReport"),
            ("example.com/v1", "ConfigAuditReport"),
            ("aquasecurity.github.io/v1alpha1", "ComplianceReport"),
        ] {
            let text = format!(r#"{{"apiVersion":"{api}","kind":"{kind}","report":{{}}}}"#);
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }
}
