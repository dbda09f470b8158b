//! Prowler's OCSF output: an array, or one object in each line, of Detection Findings (class 2004 of the Open Cybersecurity
//! Schema Framework), from Prowler 4 on. A muted finding stays what it is.

use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Instant, Scalar, Text, clean, instant, own_words, stated_time};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Prowler;

const PREFIX: &str = "prowler";

impl Scanner for Prowler {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has_text("class_uid", "2004") && probe.child_has("metadata", "event_code")
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "activity_id",
            "activity_name",
            "category_name",
            "category_uid",
            "class_name",
            "class_uid",
            "cloud",
            "comment",
            "confidence",
            "confidence_id",
            "confidence_score",
            "count",
            "duration",
            "end_time",
            "end_time_dt",
            "event_time",
            "finding_info",
            "impact",
            "impact_id",
            "impact_score",
            "message",
            "metadata",
            "observables",
            "raw_data",
            "remediation",
            "resources",
            "risk_details",
            "risk_level",
            "risk_level_id",
            "risk_score",
            "severity",
            "severity_id",
            "start_time",
            "start_time_dt",
            "status",
            "status_code",
            "status_detail",
            "status_id",
            "time",
            "time_dt",
            "timezone_offset",
            "type_name",
            "type_uid",
            "unmapped",
            "vulnerabilities",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let is_array = document.probe().is_array;
        let events: Vec<Event<'_>> =
            if is_array { document.read()? } else { vec![document.read()?] };
        for (index, event) in events.iter().enumerate() {
            let pointer = if is_array { format!("/{index}") } else { String::new() };
            if !event.is_detection() {
                let says = "not 2004, the class of Prowler's findings";
                document.odd("/*/class_uid", says, &document.locator(&pointer), true);
            }
            let product = &*event.metadata.product.name;
            if product.is_empty() {
                let (field, says) = ("/*/metadata/product/name", "missing, taken for `Prowler`");
                document.odd(field, says, &document.locator(&pointer), true);
            } else if product != "Prowler" {
                let reason = format!("a finding of `{}`; only Prowler's are read", clean(product));
                return Err(document.error(&format!("{pointer}/metadata/product/name"), reason));
            }
            event.read(document, &pointer, parsed);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    class_uid: Scalar<'a>,
    #[serde(default)]
    metadata: EventMetadata<'a>,
    #[serde(default)]
    severity: Text<'a>,
    #[serde(default)]
    status: Text<'a>,
    #[serde(default)]
    status_code: Text<'a>,
    #[serde(default)]
    status_detail: Text<'a>,
    #[serde(default)]
    finding_info: FindingInfo<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    resources: Vec<Resource<'a>>,
    #[serde(default)]
    remediation: Remediation<'a>,
    /// Seconds since 1970, from Prowler 5 on.
    #[serde(default)]
    time: Scalar<'a>,
    /// Without a zone.
    #[serde(default)]
    time_dt: Text<'a>,
    /// What `time_dt` was called before Prowler 4.5.
    #[serde(default, rename = "event_time")]
    older_time: Text<'a>,
}

#[derive(Default, Deserialize)]
struct EventMetadata<'a> {
    #[serde(borrow, default)]
    event_code: Text<'a>,
    #[serde(default)]
    product: Product<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Product<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    version: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FindingInfo<'a> {
    #[serde(borrow)]
    title: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Remediation<'a> {
    #[serde(borrow)]
    desc: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    namespace: Text<'a>,
    r#type: Text<'a>,
    uid: Text<'a>,
}

impl Event<'_> {
    fn is_detection(&self) -> bool {
        &*self.class_uid == "2004"
    }

    fn read(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        parsed.saw_tool(PREFIX, &self.metadata.product.version);
        if let Some(at) = self.time(document, pointer) {
            parsed.saw_time(at);
        }
        let id = if self.metadata.event_code.is_empty() {
            "unnamed"
        } else {
            &*self.metadata.event_code
        };
        let check = CheckId::new(PREFIX, id);
        if !parsed.checks.contains_key(&check) {
            let (title, remedy) =
                (own_words(&self.finding_info.title), own_words(&self.remediation.desc));
            parsed.saw_check(&check, &title, &remedy);
        }
        let (outcome, message) = self.judge();
        let none = [Resource::default()];
        let resources = if self.resources.is_empty() { &none[..] } else { &self.resources };
        for resource in resources {
            let place = document.locator(pointer);
            let mut finding =
                Finding::new(check.clone(), Arc::new(resource.meant()), outcome, place);
            finding.severity = Severity::from_word(&self.severity);
            finding.message = message.as_str().into();
            parsed.findings.push(finding);
        }
    }

    fn time(&self, document: &Document<'_>, pointer: &str) -> Option<jiff::Timestamp> {
        let time = |key, text| document.time(&format!("{pointer}/{key}"), text);
        match instant(&self.time) {
            Instant::Seconds(at) => stated_time(Some(at)),
            _ => time("time", &self.time),
        }
        .or_else(|| time("time_dt", &self.time_dt))
        .or_else(|| time("event_time", &self.older_time))
    }

    fn judge(&self) -> (Outcome, String) {
        let said = clean(&self.status_detail);
        let outcome = match &*self.status_code {
            "PASS" => Outcome::Pass,
            "FAIL" => Outcome::Fail,
            "MANUAL" => Outcome::Manual,
            "" => return (Outcome::Error, format!("no status code stated: {said}")),
            other => {
                let text = format!("unknown status code `{}`: {said}", clean(other));
                return (Outcome::Error, text);
            }
        };
        if &*self.status == "Suppressed" {
            return (outcome, format!("muted in Prowler: {said}"));
        }
        (outcome, said.into_owned())
    }
}

impl Resource<'_> {
    /// Kubernetes resources have a namespace (`cluster-wide` for those without one); Prowler's own
    /// kinds `KubernetesAPIServer` and the like are the pods of the control plane.
    fn meant(&self) -> ResourceRef {
        let kind = match &*self.r#type {
            "KubernetesAPIServer"
            | "KubernetesControllerManager"
            | "KubernetesEtcd"
            | "KubernetesPod"
            | "KubernetesScheduler" => "Pod",
            kind => kind,
        };
        let namespace = match &*self.namespace {
            "cluster-wide" => "",
            namespace => namespace,
        };
        // In a cloud the name is not unique and the identifier is.
        let name = if self.uid.starts_with("arn:") || self.name.is_empty() {
            &self.uid
        } else {
            &self.name
        };
        ResourceRef::namespaced(clean(kind), clean(namespace), clean(name))
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed};
    use crate::scanner::read;

    fn event(fields: &str) -> Parsed {
        let text = format!(
            r#"[{{"class_uid":2004,"metadata":{{"event_code":"core_no_secrets_envs","product":{{"name":"Prowler","version":"5.46.0"}}}},"finding_info":{{"title":"own words"}},"resources":[{{"name":"web","namespace":"shop","type":"Pod"}}],{fields}}}]"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["prowler"]);
        reading.parsed
    }

    #[test]
    fn status_codes_decide() {
        for (code, outcome) in [
            ("PASS", Outcome::Pass),
            ("FAIL", Outcome::Fail),
            ("MANUAL", Outcome::Manual),
            ("Pass", Outcome::Error),
        ] {
            let parsed = event(&format!(r#""status_code":"{code}","status":"New""#));
            assert_eq!(parsed.findings[0].outcome, outcome, "{code}");
            assert_eq!(parsed.findings[0].resource.to_string(), "shop/Pod/web");
        }
    }

    #[test]
    fn what_is_muted_stays_a_failure() {
        let parsed = event(
            r#""status_code":"FAIL","status":"Suppressed","status_detail":"d","time":1767323045"#,
        );
        assert_eq!(&*parsed.findings[0].message, "muted in Prowler: d");
        assert_eq!(parsed.findings[0].outcome, Outcome::Fail);
        assert_eq!(parsed.taken_at.unwrap().as_second(), 1_767_323_045);
    }

    #[test]
    fn other_products_and_the_native_form_are_refused_by_name() {
        let text =
            br#"[{"class_uid":2004,"metadata":{"event_code":"x","product":{"name":"Other"}}}]"#;
        let error = read(text, "").unwrap_err().to_string();
        assert!(error.contains("a finding of `Other`"), "{error}");
        let error = read(br#"[{"FindingUniqueId":"x","CheckID":"y"}]"#, "").unwrap_err();
        assert!(error.to_string().contains("Prowler 3"), "{error}");
    }

    #[test]
    fn findings_of_any_order_and_in_lines_are_read() {
        let finding = |class: &str| {
            format!(
                r#"{{"class_uid":{class},"status_code":"PASS","metadata":{{"event_code":"c","product":{{"name":"Prowler"}}}}}}"#
            )
        };
        let good = finding("2004");
        for (text, count, weakens) in [
            (format!("[{good},{good}]"), 2, false),
            (format!("[{},{good}]", finding("7")), 2, true),
            (format!("[{},{good}]", finding("null")), 2, true),
            (format!("{good}\n{good}\n"), 2, false),
            (good.clone(), 1, false),
        ] {
            let reading = crate::scanner::read(text.as_bytes(), "").unwrap();
            assert_eq!(reading.formats, ["prowler"]);
            assert_eq!(reading.parsed.findings.len(), count, "{text}");
            let notes = &reading.parsed.notes;
            assert_eq!(notes.iter().any(|note| note.weakens), weakens, "{text} {notes:?}");
        }
    }
}
