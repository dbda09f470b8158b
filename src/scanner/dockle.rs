//! Dockle JSON: `{"image"?, "summary", "details"}`. Failures are named, passes are only counted.
//!
//! Dockle's `CIS-DI-` titles are those of the CIS Docker Benchmark and stay in the input.

use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Dockle;

const PREFIX: &str = "dockle";

impl Scanner for Dockle {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        let has_summary = probe.child_has("summary", "fatal")
            || probe.has("summary")
                && !probe.child_keys.contains_key("summary")
                && probe.child_has("details", "alerts");
        !probe.is_array && probe.has("details") && has_summary
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["image", "summary", "details"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read()?;
        parsed.saw_tool(PREFIX, "");
        let name = if report.image.is_empty() { document.subject() } else { &*report.image };
        let image = Arc::new(ResourceRef::cluster_scoped("Image", clean(name)));
        let mut found = Summary::default();
        for (index, detail) in report.details.iter().enumerate() {
            let pointer = format!("/details/{index}");
            read_detail(document, detail, &image, &pointer, &mut found, parsed);
        }
        let stated = &report.summary;
        if (stated.fatal, stated.warn, stated.info) != (found.fatal, found.warn, found.info) {
            let text = format!(
                "the summary (fatal {}, warn {}, info {}) is not that of the details (fatal {}, warn {}, info {}): details are missing",
                stated.fatal, stated.warn, stated.info, found.fatal, found.warn, found.info,
            );
            parsed.shortfall(document.locator("/summary"), text);
        }
        for (count, listed, what) in
            [(stated.pass, found.pass, "passes"), (stated.skip, found.skip, "skipped checks")]
        {
            if count > listed {
                let text = format!(
                    "{} {what} are counted but not named: they prove nothing about any one check",
                    count - listed
                );
                parsed.note(document.locator("/summary"), text);
            }
        }
        let mut proof = Finding::new(
            CheckId::new(PREFIX, "run"),
            image,
            Outcome::Pass,
            document.locator("/summary"),
        );
        proof.message = format!("{} checks listed", report.details.len()).into();
        parsed.findings.push(proof);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow, default)]
    image: Text<'a>,
    #[serde(default)]
    summary: Summary,
    #[serde(default, deserialize_with = "null_as_default")]
    details: Vec<Detail<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    fatal: usize,
    warn: usize,
    info: usize,
    skip: usize,
    pass: usize,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    code: Text<'a>,
    #[serde(default)]
    title: Text<'a>,
    #[serde(default)]
    level: Text<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    alerts: Vec<Text<'a>>,
}

fn read_detail(
    document: &Document<'_>,
    detail: &Detail<'_>,
    image: &Arc<ResourceRef>,
    pointer: &str,
    found: &mut Summary,
    parsed: &mut Parsed,
) {
    let alerts: Vec<_> = detail.alerts.iter().map(|alert| clean(alert)).collect();
    let said = alerts.join("; ");
    let (outcome, severity, message) = match &*detail.level {
        "FATAL" => {
            found.fatal += 1;
            (Outcome::Fail, Severity::High, said)
        }
        "WARN" => {
            found.warn += 1;
            (Outcome::Fail, Severity::Medium, said)
        }
        // Advice that Dockle itself does not count as a failure of the image.
        "INFO" => {
            found.info += 1;
            (Outcome::Manual, Severity::Low, said)
        }
        "SKIP" | "IGNORE" => {
            found.skip += 1;
            (Outcome::NotChecked, Severity::Unknown, "left out in Dockle".to_owned())
        }
        "PASS" => {
            found.pass += 1;
            (Outcome::Pass, Severity::Unknown, said)
        }
        "" => (Outcome::Error, Severity::Unknown, "no level stated".to_owned()),
        other => {
            let text = format!("unknown level `{}`", clean(other));
            (Outcome::Error, Severity::Unknown, text)
        }
    };
    let code = if detail.code.is_empty() { "unnamed" } else { &*detail.code };
    let check = CheckId::new(PREFIX, code);
    if !code.starts_with("CIS-") {
        parsed.saw_check(&check, &clean(&detail.title), "");
    }
    let locator = document.locator(pointer);
    let mut finding = Finding::new(check, Arc::clone(image), outcome, locator);
    finding.severity = severity;
    finding.message = message.into();
    parsed.findings.push(finding);
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed};
    use crate::scanner::read;

    fn report(summary: &str, details: &str) -> Parsed {
        let text = format!(r#"{{"image":"app:1","summary":{{{summary}}},"details":[{details}]}}"#);
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["dockle"]);
        reading.parsed
    }

    #[test]
    fn levels() {
        for (level, outcome) in [
            ("FATAL", Outcome::Fail),
            ("WARN", Outcome::Fail),
            ("INFO", Outcome::Manual),
            ("SKIP", Outcome::NotChecked),
            ("PASS", Outcome::Pass),
            ("LOUD", Outcome::Error),
        ] {
            let detail = format!(r#"{{"code":"DKL-DI-0005","title":"t","level":"{level}"}}"#);
            let parsed = report("\"fatal\":0", &detail);
            assert_eq!(parsed.findings[0].outcome, outcome, "{level}");
            assert_eq!(parsed.findings[0].resource.to_string(), "Image/app:1");
        }
    }

    #[test]
    fn titles_of_the_benchmark_stay_in_the_input() {
        let parsed = report(
            "\"fatal\":0,\"warn\":2,\"pass\":3",
            r#"{"code":"CIS-DI-0001","title":"licensed","level":"WARN","alerts":["a","b"]},{"code":"DKL-DI-0005","title":"own","level":"WARN"}"#,
        );
        assert_eq!(parsed.checks.len(), 1);
        assert_eq!(&*parsed.findings[0].message, "a; b");
        assert!(parsed.notes.iter().all(|note| !note.weakens) && parsed.notes.len() == 1);
    }

    #[test]
    fn missing_details_weaken_the_evidence() {
        let parsed = report("\"fatal\":1", "");
        assert!(parsed.notes[0].weakens);
        assert_eq!(parsed.findings[0].check.as_str(), "dockle:run");
    }
}
