//! The `PolicyReport` family: `policy.k8s.io`, `wgpolicyk8s.io`, `reports.x-k8s.io` and
//! `openreports.io`, as Kyverno and many adapters write them.
//!
//! `warn` is a failing result of a policy that is not scored. What a report leaves out is no pass:
//! Kyverno can be told to report failures only. Adapters of other scanners keep their results here
//! under `policy:` and not under the scanner's own ids: the adapter decided what passed.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::kube_object::{self, Metadata, Object, null_as_default};
use super::text::{Text, clean, is_benchmark_title, stated_time};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct PolicyReport;

const PREFIX: &str = "policy";
const GROUPS: [&str; 4] = ["policy.k8s.io", "wgpolicyk8s.io", "reports.x-k8s.io", "openreports.io"];

fn is_report(kind: &str) -> bool {
    matches!(kind, "PolicyReport" | "ClusterPolicyReport" | "Report" | "ClusterReport")
}

impl Scanner for PolicyReport {
    fn id(&self) -> &'static str {
        "policy-report"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        GROUPS.iter().any(|group| probe.has_object(group, is_report))
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["source", "scope", "scopeSelector", "configuration", "summary", "results"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        for (pointer, report) in kube_object::read::<Report<'_>>(document)? {
            report.read(document, &pointer, parsed);
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Metadata,
    scope: Option<Reference<'a>>,
    source: Text<'a>,
    summary: Option<Summary>,
    #[serde(deserialize_with = "null_as_default")]
    results: Vec<Item<'a>>,
}

impl<'a> Object<'a> for Report<'a> {
    fn is_ours(api: &str, kind: &str) -> bool {
        api.split_once('/').is_some_and(|(group, _)| GROUPS.contains(&group)) && is_report(kind)
    }

    fn identity(&mut self) -> [&mut Text<'a>; 2] {
        [&mut self.api_version, &mut self.kind]
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    name: Text<'a>,
    namespace: Text<'a>,
    uid: Text<'a>,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct Summary {
    pass: usize,
    fail: usize,
    /// The last one in alphabetical order, as every serializer writes them.
    warn: Option<usize>,
    error: usize,
    skip: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    source: Text<'a>,
    policy: Text<'a>,
    rule: Text<'a>,
    severity: Text<'a>,
    /// `status` in v1alpha1.
    #[serde(alias = "status")]
    result: Text<'a>,
    message: Text<'a>,
    timestamp: Option<Instant>,
    #[serde(deserialize_with = "null_as_default")]
    resources: Vec<Reference<'a>>,
    #[serde(deserialize_with = "null_as_default", alias = "data")]
    properties: Properties<'a>,
}

/// A protobuf timestamp, whose nanoseconds some writers make negative.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Instant {
    seconds: i64,
    nanos: i64,
}

impl Instant {
    fn timestamp(self) -> Option<Timestamp> {
        let whole = Timestamp::from_second(self.seconds).ok()?;
        stated_time(Some(whole))?;
        whole.checked_add(SignedDuration::from_nanos(self.nanos)).ok()
    }
}

/// The properties that say which rule or exception a result is about. Others may hold command
/// lines and stay in the input.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    #[serde(borrow, alias = "exception")]
    exceptions: Text<'a>,
    index: Text<'a>,
    #[serde(rename = "VulnerabilityID")]
    vulnerability_id: Text<'a>,
}

impl Report<'_> {
    fn read(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        let subject = Arc::new(self.subject());
        for (index, item) in self.results.iter().enumerate() {
            let source = if item.source.is_empty() { &self.source } else { &item.source };
            let (check, raw_check) = check_of(source, item);
            parsed.saw_tool(source_name(source).as_str(), "");
            if let Some(at) = item.timestamp.and_then(Instant::timestamp) {
                parsed.saw_time(at);
            }
            let (outcome, message) = judge(item);
            let names = [&item.properties.vulnerability_id, &item.properties.index, &item.rule];
            let rule = names.into_iter().find(|name| !name.is_empty()).unwrap_or(&item.rule);
            let finding = Finding {
                check,
                resource: Arc::clone(&subject),
                outcome,
                severity: Severity::from_word(&item.severity),
                rule: (**rule).into(),
                raw_check: raw_check.into(),
                message: message.into(),
                locator: document.locator(&format!("{pointer}/results/{index}")),
            };
            if item.resources.is_empty() {
                parsed.findings.push(finding);
                continue;
            }
            for reference in &item.resources {
                let resource = Arc::new(self.refer(reference));
                parsed.findings.push(Finding { resource, ..finding.clone() });
            }
        }
        self.check_summary(document, pointer, parsed);
    }

    fn refer(&self, reference: &Reference<'_>) -> ResourceRef {
        let namespace = match &*reference.kind {
            "Namespace" | "Node" | "ClusterRole" | "ClusterRoleBinding" => &*reference.namespace,
            _ if reference.namespace.is_empty() => self.metadata.namespace.as_str(),
            _ => &*reference.namespace,
        };
        ResourceRef {
            uid: reference.uid.to_string(),
            ..ResourceRef::namespaced(&*reference.kind, namespace, &*reference.name)
        }
    }

    /// What the results are about where they do not say so themselves.
    fn subject(&self) -> ResourceRef {
        if let Some(scope) = self.scope.as_ref().filter(|scope| !scope.kind.is_empty()) {
            return self.refer(scope);
        }
        let labels = &self.metadata.labels;
        let label = |end: &str| {
            labels.iter().find(|(key, _)| key.ends_with(end)).map(|(_, value)| value.clone())
        };
        let owner = self.metadata.owner_references.first();
        if let Some(kind) = label(".resource.kind") {
            let uid = owner.filter(|owner| owner.kind == kind).map(|owner| owner.uid.clone());
            return ResourceRef {
                kind,
                name: label(".resource.name").unwrap_or_default(),
                namespace: label(".resource.namespace")
                    .unwrap_or_else(|| self.metadata.namespace.clone()),
                part: label(".container.name").unwrap_or_default(),
                uid: uid.unwrap_or_default(),
            };
        }
        if let Some(owner) = owner {
            return ResourceRef {
                uid: owner.uid.clone(),
                ..ResourceRef::namespaced(
                    owner.kind.as_str(),
                    self.metadata.namespace.as_str(),
                    owner.name.as_str(),
                )
            };
        }
        if self.metadata.namespace.is_empty() {
            ResourceRef::cluster_scoped("Cluster", "")
        } else {
            ResourceRef::cluster_scoped("Namespace", self.metadata.namespace.as_str())
        }
    }

    /// A summary that counts more than the results hold: results were left out or cut off.
    fn check_summary(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        let Some(stated) = &self.summary else {
            if document.may_be_cut() {
                let text = format!(
                    "{} {}: there is no summary, and nothing else shows that this YAML is whole",
                    &*self.kind, self.metadata.name
                );
                parsed.shortfall(document.locator(pointer), text);
            }
            return;
        };
        let count = |word: &str| self.results.iter().filter(|item| &*item.result == word).count();
        let held = Summary {
            pass: count("pass"),
            fail: count("fail"),
            warn: Some(count("warn")),
            error: count("error"),
            skip: count("skip"),
        };
        if stated.warn.is_none() && document.may_be_cut() {
            let text = format!(
                "{} {}: the summary has no `warn`, with which this YAML would end",
                &*self.kind, self.metadata.name
            );
            parsed.shortfall(document.locator(&format!("{pointer}/summary")), text);
        }
        let (stated_warn, held_warn) =
            (stated.warn.unwrap_or_default(), held.warn.unwrap_or_default());
        if stated.pass > held.pass
            || stated.fail > held.fail
            || stated_warn > held_warn
            || stated.error > held.error
            || stated.skip > held.skip
        {
            parsed.shortfall(
                document.locator(&format!("{pointer}/summary")),
                format!(
                    "{} {}: the summary (pass {}, fail {}, warn {}, error {}, skip {}) counts more than the results (pass {}, fail {}, warn {}, error {}, skip {}): results are missing",
                    &*self.kind, self.metadata.name,
                    stated.pass, stated.fail, stated_warn, stated.error, stated.skip,
                    held.pass, held.fail, held_warn, held.error, held.skip,
                ),
            );
        }
    }
}

fn source_name(source: &str) -> String {
    let source = source.trim().to_lowercase();
    if source.is_empty() { "unknown".to_owned() } else { source }
}

/// `policy:kyverno/disallow-capabilities`, and the same as written if other. The id ends at the
/// policy: engines derive rules from one another (`autogen-…`), and a policy holds when all hold.
fn check_of(source: &str, item: &Item<'_>) -> (CheckId, String) {
    let policy = if item.policy.is_empty() { "unnamed" } else { &item.policy };
    let local = format!("{}/{policy}", source_name(source));
    let raw = format!("{source}/{}", &*item.policy);
    let raw = if source.is_empty() || raw == local { String::new() } else { raw };
    (CheckId::new(PREFIX, &local), raw)
}

fn judge(item: &Item<'_>) -> (Outcome, String) {
    let message = if is_benchmark_title(&item.message) { "".into() } else { clean(&item.message) };
    let marked = |mark: &str| {
        if message.is_empty() { mark.to_owned() } else { format!("{mark}: {message}") }
    };
    match &*item.result {
        "pass" => (Outcome::Pass, message.into_owned()),
        "fail" => (Outcome::Fail, message.into_owned()),
        "warn" => (Outcome::Fail, marked("warn")),
        "error" => (Outcome::Error, message.into_owned()),
        "skip" if !item.properties.exceptions.is_empty() => {
            let exceptions = clean(&item.properties.exceptions);
            (Outcome::Fail, marked(&format!("excepted in Kyverno ({exceptions})")))
        }
        "skip" => (Outcome::NotChecked, marked("skipped")),
        "" => (Outcome::Error, marked("no result stated")),
        other => (Outcome::Error, format!("unknown result `{}`", clean(other))),
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Finding, Outcome, Parsed};
    use crate::scanner::read;

    fn report(rest: &str) -> Parsed {
        let text = format!(
            r#"{{"apiVersion":"wgpolicyk8s.io/v1alpha2","kind":"PolicyReport","metadata":{{"name":"r","namespace":"a"}},{rest}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["policy-report"]);
        reading.parsed
    }

    fn result(fields: &str) -> Finding {
        report(&format!(r#""results":[{{"source":"Kyverno","policy":"p","rule":"r",{fields}}}]"#))
            .findings
            .remove(0)
    }

    #[test]
    fn results_are_read_as_the_api_means_them() {
        assert_eq!(result(r#""result":"pass""#).outcome, Outcome::Pass);
        assert_eq!(result(r#""result":"fail""#).outcome, Outcome::Fail);
        assert_eq!(result(r#""status":"fail""#).outcome, Outcome::Fail);
        let warn = result(r#""result":"warn","message":"m""#);
        assert_eq!((warn.outcome, &*warn.message), (Outcome::Fail, "warn: m"));
        assert_eq!(result(r#""result":"error""#).outcome, Outcome::Error);
        assert_eq!(result(r#""result":"skip""#).outcome, Outcome::NotChecked);
        let excepted = result(r#""result":"skip","properties":{"exceptions":"e1"}"#);
        assert_eq!(excepted.outcome, Outcome::Fail);
        assert_eq!(&*excepted.message, "excepted in Kyverno (e1)");
        assert_eq!(result(r#""scored":true"#).outcome, Outcome::Error);
        assert_eq!(result(r#""result":"PASSED""#).outcome, Outcome::Error);
    }

    #[test]
    fn ids_name_source_policy_and_rule() {
        let finding = result(r#""result":"pass""#);
        assert_eq!(finding.check.as_str(), "policy:kyverno/p");
        assert_eq!(&*finding.raw_check, "Kyverno/p");
        assert_eq!(&*finding.rule, "r");
        let parsed = report(
            r#""source":"vap","results":[{"policy":"p","result":"pass"},{"policy":"","source":"Trivy","properties":{"VulnerabilityID":"CVE-1"}}]"#,
        );
        assert_eq!(parsed.findings[0].check.as_str(), "policy:vap/p");
        assert_eq!(parsed.findings[1].check.as_str(), "policy:trivy/unnamed");
        assert_eq!(&*parsed.findings[1].rule, "CVE-1");
        let parsed = report(r#""results":[{"policy":"p","result":"pass"}]"#);
        assert_eq!(parsed.findings[0].check.as_str(), "policy:unknown/p");
        assert_eq!(parsed.findings[0].resource.to_string(), "Namespace/a");
    }

    #[test]
    fn the_subject_is_found_wherever_it_stands() {
        let one = r#""results":[{"policy":"p","result":"pass"}]"#;
        let parsed = report(&format!(r#""scope":{{"kind":"Pod","name":"x","uid":"u"}},{one}"#));
        assert_eq!(parsed.findings[0].resource.to_string(), "a/Pod/x");
        assert_eq!(parsed.findings[0].resource.uid, "u");
        let parsed = report(
            r#""results":[{"policy":"p","result":"pass","resources":[{"kind":"Pod","name":"x","namespace":"b"},{"kind":"Namespace","name":"c"}]}]"#,
        );
        let shown: Vec<_> = parsed.findings.iter().map(|f| f.resource.to_string()).collect();
        assert_eq!(shown, ["b/Pod/x", "Namespace/c"]);
        for metadata in [
            r#""labels":{"imgvuln.resource.kind":"Pod","imgvuln.resource.name":"x","imgvuln.resource.namespace":"a"}"#,
            r#""namespace":"a","ownerReferences":[{"kind":"Pod","name":"x","uid":"u"}]"#,
        ] {
            let text = format!(
                r#"{{"apiVersion":"openreports.io/v1alpha1","kind":"Report","metadata":{{{metadata}}},{one}}}"#
            );
            let parsed = read(text.as_bytes(), "").unwrap().parsed;
            assert_eq!(parsed.findings[0].resource.to_string(), "a/Pod/x");
        }
    }

    #[test]
    fn odd_times_do_no_harm() {
        let time = |text: &str| {
            report(&format!(r#""results":[{{"policy":"p","result":"pass","timestamp":{text}}}]"#))
                .taken_at
                .map(|at| at.to_string())
        };
        assert_eq!(
            time(r#"{"seconds":100,"nanos":-500000000}"#).unwrap(),
            "1970-01-01T00:01:39.5Z"
        );
        assert_eq!(time(r#"{"seconds":0,"nanos":0}"#), None);
        assert_eq!(time(r#"{"seconds":9223372036854775807,"nanos":9223372036854775807}"#), None);
        assert_eq!(time("null"), None);
    }

    #[test]
    fn a_summary_with_more_than_the_results_weakens() {
        let parsed = report(r#""summary":{"pass":2},"results":[{"policy":"p","result":"pass"}]"#);
        assert!(parsed.notes[0].weakens);
        assert!(
            report(r#""summary":{"pass":0},"results":[{"policy":"p","result":"pass"}]"#)
                .notes
                .is_empty()
        );
    }

    #[test]
    fn benchmark_titles_stay_in_the_input() {
        let finding = result(r#""result":"fail","message":"Ensure that x is set (Automated)""#);
        assert_eq!(&*finding.message, "");
    }

    #[test]
    fn every_group_and_kind_and_no_neighbour() {
        for (api, kind, expected) in [
            ("policy.k8s.io/v1alpha1", "PolicyReport", true),
            ("wgpolicyk8s.io/v1alpha1", "ClusterPolicyReport", true),
            ("wgpolicyk8s.io/v1beta1", "PolicyReport", true),
            ("reports.x-k8s.io/v1beta2", "ClusterPolicyReport", true),
            ("openreports.io/v1alpha1", "ClusterReport", true),
            ("kyverno.io/v1", "ClusterPolicy", false),
            ("reports.kyverno.io/v1", "EphemeralReport", false),
            ("example.com/v1", "PolicyReport", false),
        ] {
            let text = format!(r#"{{"apiVersion":"{api}","kind":"{kind}","results":[]}}"#);
            assert_eq!(read(text.as_bytes(), "").is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn other_kinds_in_a_list_are_left_to_their_readers() {
        let parsed = read(
            br#"{"apiVersion":"v1","kind":"List","items":[
            {"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"},"scope":"s","summary":"t"},
            {"apiVersion":"openreports.io/v1alpha1","kind":"Report","results":[{"policy":"p","result":"fail"}]}]}"#,
            "",
        )
        .unwrap()
        .parsed;
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(&*parsed.findings[0].locator, "/items/1/results/0");
    }
}
