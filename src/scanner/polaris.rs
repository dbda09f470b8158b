//! Fairwinds Polaris audit JSON: results of each controller, its pod and its containers. What an
//! annotation exempts is left out by Polaris without a word.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Polaris;

const PREFIX: &str = "polaris";

impl Scanner for Polaris {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && (probe.has("PolarisOutputVersion") || probe.has("polarisOutputVersion"))
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "PolarisOutputVersion",
            "AuditTime",
            "SourceType",
            "SourceName",
            "DisplayName",
            "ClusterInfo",
            "Results",
            "Score",
            "polarisOutputVersion",
            "auditTime",
            "sourceType",
            "sourceName",
            "displayName",
            "clusterInfo",
            "results",
            "score",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let audit: Audit<'_> = document.read()?;
        if audit.version.split('.').next() != Some("1") {
            let reason = format!("output version `{}` is not known", clean(&audit.version));
            return Err(document.error("/PolarisOutputVersion", reason));
        }
        parsed.saw_tool(PREFIX, "");
        if let Some(at) = document.time("/AuditTime", &audit.time) {
            parsed.saw_time(at);
        }
        let lower = document.probe().has("polarisOutputVersion");
        let mut reader = Reader { document, parsed, lower };
        for (index, result) in audit.results.iter().enumerate() {
            reader.read(result, &format!("/{}/{index}", reader.key("Results")));
        }
        if audit.results.is_empty() {
            let text = "the audit lists no object: nothing was looked at";
            parsed.shortfall(document.locator(""), text);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Audit<'a> {
    #[serde(borrow, default, rename = "PolarisOutputVersion", alias = "polarisOutputVersion")]
    version: Text<'a>,
    #[serde(default, rename = "AuditTime", alias = "auditTime")]
    time: Text<'a>,
    #[serde(default, rename = "Results", alias = "results", deserialize_with = "null_as_default")]
    results: Vec<Controller<'a>>,
}

type Results<'a> = BTreeMap<String, Check<'a>>;

#[derive(Deserialize)]
struct Controller<'a> {
    #[serde(borrow, default, rename = "Name", alias = "name")]
    name: Text<'a>,
    #[serde(default, rename = "Namespace", alias = "namespace")]
    namespace: Text<'a>,
    #[serde(default, rename = "Kind", alias = "kind")]
    kind: Text<'a>,
    #[serde(default, rename = "Results", alias = "results", deserialize_with = "null_as_default")]
    results: Results<'a>,
    #[serde(default, rename = "PodResult", alias = "podResult")]
    pod: Option<Pod<'a>>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(
        borrow,
        default,
        rename = "Results",
        alias = "results",
        deserialize_with = "null_as_default"
    )]
    results: Results<'a>,
    #[serde(
        default,
        rename = "ContainerResults",
        alias = "containerResults",
        deserialize_with = "null_as_default"
    )]
    containers: Vec<Container<'a>>,
}

#[derive(Deserialize)]
struct Container<'a> {
    #[serde(borrow, default, rename = "Name", alias = "name")]
    name: Text<'a>,
    #[serde(default, rename = "Results", alias = "results", deserialize_with = "null_as_default")]
    results: Results<'a>,
}

#[derive(Deserialize)]
struct Check<'a> {
    #[serde(borrow, default, rename = "ID", alias = "id")]
    id: Text<'a>,
    #[serde(default, rename = "Message", alias = "message")]
    message: Text<'a>,
    #[serde(rename = "Success", alias = "success")]
    success: Option<bool>,
    #[serde(default, rename = "Severity", alias = "severity")]
    severity: Text<'a>,
}

struct Reader<'r, 'd> {
    document: &'r Document<'d>,
    parsed: &'r mut Parsed,
    /// Some programs write the keys again in lower camel case.
    lower: bool,
}

impl Reader<'_, '_> {
    fn key(&self, name: &str) -> String {
        let mut letters = name.chars();
        match letters.next() {
            Some(first) if self.lower => first.to_lowercase().chain(letters).collect(),
            _ => name.to_owned(),
        }
    }

    fn read(&mut self, object: &Controller<'_>, pointer: &str) {
        let resource = ResourceRef::namespaced(
            clean(&object.kind),
            clean(&object.namespace),
            clean(&object.name),
        );
        let (results, pod) = (self.key("Results"), self.key("PodResult"));
        self.checks(&object.results, &resource, &format!("{pointer}/{results}"));
        let Some(found) = &object.pod else { return };
        self.checks(&found.results, &resource, &format!("{pointer}/{pod}/{results}"));
        let containers = format!("{pointer}/{pod}/{}", self.key("ContainerResults"));
        for (index, container) in found.containers.iter().enumerate() {
            let part = clean(&container.name).into_owned();
            let resource = ResourceRef { part, ..resource.clone() };
            let pointer = format!("{containers}/{index}/{results}");
            self.checks(&container.results, &resource, &pointer);
        }
    }

    fn checks(&mut self, checks: &Results<'_>, resource: &ResourceRef, pointer: &str) {
        let resource = Arc::new(resource.clone());
        for (name, check) in checks {
            let id = if check.id.is_empty() { name.as_str() } else { &*check.id };
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let locator = self.document.locator(&format!("{pointer}/{escaped}"));
            let (outcome, message) = match check.success {
                Some(true) => (Outcome::Pass, clean(&check.message)),
                Some(false) => (Outcome::Fail, clean(&check.message)),
                None => (Outcome::Error, "no verdict stated".into()),
            };
            let id = CheckId::new(PREFIX, if id.is_empty() { "unnamed" } else { id });
            let mut finding = Finding::new(id, Arc::clone(&resource), outcome, locator);
            finding.message = message.into();
            finding.severity = match &*check.severity {
                "danger" => Severity::High,
                "warning" => Severity::Medium,
                "ignore" => Severity::Info,
                _ => Severity::Unknown,
            };
            self.parsed.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scanner::read;

    #[test]
    fn controllers_pods_and_containers_are_read() {
        let upper = r#"{"PolarisOutputVersion":"1.0","AuditTime":"0001-01-01T00:00:00Z","Results":[{"Name":"web","Namespace":"shop","Kind":"Deployment","Results":{"a":{"ID":"a","Message":"m","Success":false,"Severity":"warning"}},"PodResult":{"Results":{"b":{"ID":"b","Success":true,"Severity":"danger"}},"ContainerResults":[{"Name":"c","Results":{"d":{"ID":"d","Severity":"ignore"}}}]}}]}"#;
        let mut lower = upper.to_owned();
        for key in [
            "PolarisOutputVersion",
            "AuditTime",
            "Results",
            "Name",
            "Namespace",
            "Kind",
            "PodResult",
            "ContainerResults",
            "Message",
            "Success",
            "Severity",
        ] {
            let small = format!("\"{}{}\"", key[..1].to_lowercase(), &key[1..]);
            lower = lower.replace(&format!("\"{key}\""), &small);
        }
        let lower = lower.replace("\"ID\"", "\"id\"");
        for text in [upper, &lower] {
            let reading = read(text.as_bytes(), "").unwrap();
            assert_eq!(reading.formats, ["polaris"]);
            assert_eq!(reading.parsed.taken_at, None);
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let said: Vec<_> = reading
                .parsed
                .findings
                .iter()
                .map(|f| {
                    assert!(value.pointer(&f.locator).is_some(), "{}", f.locator);
                    format!("{} {} {} {}", f.check, f.resource, f.outcome, f.severity)
                })
                .collect();
            assert_eq!(
                said,
                [
                    "polaris:a shop/Deployment/web fail medium",
                    "polaris:b shop/Deployment/web pass high",
                    "polaris:d shop/Deployment/web#c error info",
                ]
            );
        }
    }

    #[test]
    fn an_audit_of_nothing_weakens_and_another_version_is_refused() {
        let parsed = read(br#"{"PolarisOutputVersion":"1.0","Results":null}"#, "").unwrap().parsed;
        assert!(parsed.findings.is_empty() && parsed.notes[0].weakens);
        let error = read(br#"{"PolarisOutputVersion":"2.0"}"#, "").unwrap_err().to_string();
        assert!(error.contains("`2.0` is not known"), "{error}");
    }
}
