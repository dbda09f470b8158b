//! OpenReports v1alpha1 (`openreports.io`, the successor of `wgpolicyk8s.io` policy reports): what each
//! source found, as objects for the cluster itself, one `Report` per namespace and source and a
//! `ClusterReport` for what has no namespace. Long ones are divided: an object must fit the server's store.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ExportFile, Format, json_file};
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::finding::{Outcome, Severity};
use crate::record::FindingItem;
use crate::sealed::Bundle;

/// Results of one object: with the longest messages some 700 KiB, half of what etcd takes by default.
const RESULTS: usize = 500;
/// Longest message, in characters.
const MESSAGE: usize = 1_000;

pub(super) struct OpenReports;

impl Format for OpenReports {
    fn id(&self) -> &'static str {
        "openreports"
    }

    fn files(&self, bundle: &Bundle) -> Vec<ExportFile> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": reports(bundle)});
        vec![json_file("openreports.json", &list)]
    }
}

fn reports(bundle: &Bundle) -> Vec<Value> {
    let mut places: BTreeMap<(&str, &str), Vec<&FindingItem>> = BTreeMap::new();
    for finding in &bundle.items.findings {
        let source = bundle.items.source_of(finding);
        places.entry((&finding.resource.namespace, source)).or_default().push(finding);
    }
    let mut reports = Vec::new();
    for ((namespace, source), findings) in places {
        let parts = findings.chunks(RESULTS);
        let of = parts.len();
        for (index, part) in parts.enumerate() {
            reports.push(report(bundle, namespace, source, part, (index + 1, of)));
        }
    }
    reports
}

fn report(
    bundle: &Bundle,
    namespace: &str,
    source: &str,
    findings: &[&FindingItem],
    (part, of): (usize, usize),
) -> Value {
    let mut summary: BTreeMap<&str, usize> =
        ["pass", "fail", "warn", "error", "skip"].map(|word| (word, 0)).into();
    for finding in findings {
        *summary.entry(word(bundle, finding)).or_default() += 1;
    }
    let chain = &bundle.statement.predicate.chain;
    let mut metadata = json!({
        "name": name(&chain.origin, namespace, source, part),
        "labels": {"app.kubernetes.io/managed-by": "affidavit"},
        "annotations": {
            "affidavit/origin": chain.origin,
            "affidavit/bundle": chain.seq.to_string(),
            "affidavit/statement-sha256": bundle.digest.to_string(),
            "affidavit/part": format!("{part} of {of}"),
        },
    });
    let mut report = json!({
        "apiVersion": "openreports.io/v1alpha1",
        "kind": if namespace.is_empty() { "ClusterReport" } else { "Report" },
        "source": source,
        "summary": summary,
        "results": findings.iter().map(|f| result(bundle, source, f)).collect::<Vec<_>>(),
    });
    if let (Value::Object(fields), false) = (&mut metadata, namespace.is_empty()) {
        fields.insert("namespace".to_owned(), namespace.into());
    }
    if let Value::Object(fields) = &mut report {
        fields.insert("metadata".to_owned(), metadata);
        if !namespace.is_empty() {
            let scope = json!({"apiVersion": "v1", "kind": "Namespace", "name": namespace});
            fields.insert("scope".to_owned(), scope);
        }
    }
    report
}

/// The same from run to run, so that a later one takes the place of an earlier (RFC 1123).
fn name(origin: &str, namespace: &str, source: &str, part: usize) -> String {
    let digest = Digest::of(format!("{origin}\n{namespace}\n{source}").as_bytes()).to_string();
    format!("affidavit-{}-{part}", digest.get(..16).unwrap_or_default())
}

/// Nothing is a pass that is not one: what could not tell is an error, or skipped.
fn word(bundle: &Bundle, finding: &FindingItem) -> &'static str {
    match finding.outcome {
        _ if !bundle.items.is_usable(finding) => "skip",
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Error => "error",
        _ => "skip",
    }
}

fn result(bundle: &Bundle, source: &str, finding: &FindingItem) -> Value {
    let seconds = instant::parse(&bundle.run.created).map_or(0, jiff::Timestamp::as_second);
    let message: String = finding.message.chars().take(MESSAGE).collect();
    let resource = &finding.resource;
    let mut subject = json!({"kind": resource.kind, "name": resource.name});
    if let Value::Object(fields) = &mut subject {
        for (name, value) in [
            ("namespace", &resource.namespace),
            ("uid", &resource.uid),
            ("fieldPath", &resource.part),
        ] {
            if !value.is_empty() {
                fields.insert(name.to_owned(), value.as_str().into());
            }
        }
    }
    let mut properties = json!({"item": finding.id, "outcome": finding.outcome.as_str()});
    if message.len() < finding.message.len()
        && let Value::Object(fields) = &mut properties
    {
        let said = format!("cut after {MESSAGE} characters; the sealed item has all of it");
        fields.insert("message".to_owned(), said.into());
    }
    let mut result = json!({
        "source": source,
        "policy": finding.check,
        "result": word(bundle, finding),
        "scored": true,
        "timestamp": {"seconds": seconds, "nanos": 0},
        "message": message,
        "resources": [subject],
        "properties": properties,
    });
    if let Value::Object(fields) = &mut result {
        if !finding.rule.is_empty() {
            fields.insert("rule".to_owned(), finding.rule.as_str().into());
        }
        if finding.severity != Severity::Unknown {
            fields.insert("severity".to_owned(), finding.severity.as_str().into());
        }
    }
    result
}
