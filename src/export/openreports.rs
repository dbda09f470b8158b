//! OpenReports v1alpha1 (`openreports.io`, the successor of `wgpolicyk8s.io` policy reports): what each
//! source found, as objects for the cluster itself, one `Report` per namespace and source and a
//! `ClusterReport` for what has no namespace. Long ones are divided: an object must fit the server's store.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ExportError, ExportFile, Format, json_file, waivers_text};
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::finding::{Outcome, Severity};
use crate::record::FindingItem;
use crate::sealed::Bundle;

/// Most results of one object.
const RESULTS: usize = 500;
/// Most bytes of an object's results, as the API server stores them: half of what etcd takes by default.
/// A single result that is longer has an object of its own.
const BYTES: usize = 750_000;
/// Longest message, in characters: at most 300 000 bytes.
const MESSAGE: usize = 50_000;

pub(super) struct OpenReports;

impl Format for OpenReports {
    fn id(&self) -> &'static str {
        "openreports"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": reports(bundle)});
        Ok(vec![json_file("openreports.json", &list)])
    }
}

fn reports(bundle: &Bundle) -> Vec<Value> {
    let waivers = bundle.items.waivers_by_finding();
    let mut places: BTreeMap<(&str, &str), Vec<&FindingItem>> = BTreeMap::new();
    for finding in &bundle.items.findings {
        let source = bundle.items.source_of(finding);
        places.entry((&finding.resource.namespace, source)).or_default().push(finding);
    }
    let mut reports = Vec::new();
    for ((namespace, source), findings) in places {
        let results = findings
            .iter()
            .map(|finding| result(bundle, source, finding, &waivers_text(&waivers, finding)));
        let parts = divided(results);
        let of = parts.len();
        for (index, part) in (1..).zip(parts) {
            reports.push(report(bundle, namespace, source, &part, (index, of)));
        }
    }
    reports
}

/// In parts that fit an object.
fn divided(results: impl Iterator<Item = Value>) -> Vec<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for result in results {
        let size = stored(&result);
        match parts.last_mut() {
            Some(part) if part.len() < RESULTS && bytes + size <= BYTES => {
                part.push(result);
                bytes += size;
            }
            _ => {
                parts.push(vec![result]);
                bytes = size;
            }
        }
    }
    parts
}

/// Bytes in the server's store. Go writes `<`, `>`, `&` and two separators of lines as `\u003c`.
fn stored(result: &Value) -> usize {
    let text = result.to_string();
    let longer = |c: char| match c {
        '<' | '>' | '&' => 5,
        '\u{2028}' | '\u{2029}' => 3,
        _ => 0,
    };
    text.len() + text.chars().map(longer).sum::<usize>() + 1
}

/// Can it be the name of a namespace (RFC 1123)? One that cannot would have the whole list refused.
fn is_namespace(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn report(
    bundle: &Bundle,
    namespace: &str,
    source: &str,
    results: &[Value],
    (part, of): (usize, usize),
) -> Value {
    let mut summary: BTreeMap<&str, usize> =
        ["pass", "fail", "warn", "error", "skip"].map(|word| (word, 0)).into();
    for word in results.iter().filter_map(|result| result["result"].as_str()) {
        if let Some(count) = summary.get_mut(word) {
            *count += 1;
        }
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
    let namespaced = is_namespace(namespace);
    let mut report = json!({
        "apiVersion": "openreports.io/v1alpha1",
        "kind": if namespaced { "Report" } else { "ClusterReport" },
        "source": source,
        "summary": summary,
        "results": results,
    });
    if let (Value::Object(fields), true) = (&mut metadata, namespaced) {
        fields.insert("namespace".to_owned(), namespace.into());
    }
    if let Value::Object(fields) = &mut report {
        fields.insert("metadata".to_owned(), metadata);
        if namespaced {
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

fn result(bundle: &Bundle, source: &str, finding: &FindingItem, waivers: &str) -> Value {
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
    if let Value::Object(fields) = &mut properties {
        if message.len() < finding.message.len() {
            let said = format!("cut after {MESSAGE} characters; the sealed item has all of it");
            fields.insert("message".to_owned(), said.into());
        }
        if !bundle.items.is_usable(finding) {
            fields.insert("usable".to_owned(), "no: its input is stale or unreadable".into());
        }
        // What it covers stays a failure.
        if !waivers.is_empty() {
            fields.insert("waivers".to_owned(), waivers.into());
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{BYTES, MESSAGE, divided, is_namespace, stored};

    #[test]
    fn the_longest_messages_are_divided_by_what_the_server_stores() {
        for long in ["<", "\u{1}", "界", "\u{1f600}", "\"", "x"] {
            let result = json!({"message": long.repeat(MESSAGE), "result": "fail"});
            let parts = divided(std::iter::repeat_n(result.clone(), 40));
            assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 40);
            for part in &parts {
                assert!(part.iter().map(stored).sum::<usize>() <= BYTES, "{long}");
            }
        }
        // Three bytes each in a text, and six as Go writes them.
        assert_eq!(stored(&json!("<\u{2028}")), 2 + 6 + 6 + 1);
        assert!(divided(std::iter::empty()).is_empty());
    }

    #[test]
    fn only_what_can_be_a_namespace_is_one() {
        assert!(is_namespace("payments-2"));
        let not = ["", "-a", "a-", "A", "a.b", "a/b", "é", &"a".repeat(64)];
        assert!(not.iter().all(|text| !is_namespace(text)));
    }
}
