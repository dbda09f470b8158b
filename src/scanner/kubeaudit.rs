//! kubeaudit's JSON log: one result in each line. Only what was found is written, so a log proves
//! no pass; an override by label is a result ending in `Allowed` and stays a failure.

use std::sync::Arc;

use serde::Deserialize;

use super::text::{Text, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Kubeaudit;

const PREFIX: &str = "kubeaudit";

impl Scanner for Kubeaudit {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && probe.has("AuditResultName")
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        parsed.saw_tool(PREFIX, "");
        let mut findings = Vec::new();
        let mut oldest = None;
        let each = |index, line: Line<'_>| {
            oldest = oldest.into_iter().chain(document.line_time(index, "/time", &line.time)).min();
            findings.push(line.read(document.line_locator(index)));
        };
        let others = document.read_lines(each, |_| false)?;
        parsed.findings.append(&mut findings);
        if let Some(at) = oldest {
            parsed.saw_time(at);
        }
        others.tell(document.line_locator(0), parsed);
        let text = "kubeaudit names only what it finds: what it does not name is not proven";
        parsed.note(document.line_locator(0), text);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "AuditResultName")]
    name: Text<'a>,
    #[serde(default)]
    level: Text<'a>,
    #[serde(default)]
    msg: Text<'a>,
    #[serde(default)]
    time: Text<'a>,
    #[serde(default, rename = "ResourceKind")]
    kind: Text<'a>,
    #[serde(default, rename = "ResourceName")]
    resource: Text<'a>,
    #[serde(default, rename = "ResourceNamespace")]
    namespace: Text<'a>,
    #[serde(default, rename = "Container")]
    container: Text<'a>,
}

impl Line<'_> {
    fn read(&self, locator: Box<str>) -> Finding {
        let said = clean(&self.msg);
        let excepted = self.name.strip_suffix("Allowed");
        let (outcome, severity, message) = match (&*self.level, excepted) {
            (_, Some(_)) => {
                (Outcome::Fail, Severity::Unknown, format!("excepted in kubeaudit: {said}"))
            }
            ("error", None) => (Outcome::Fail, Severity::High, said.into_owned()),
            ("warning" | "warn", None) => (Outcome::Fail, Severity::Medium, said.into_owned()),
            ("info", None) => {
                (Outcome::NotChecked, Severity::Info, format!("informational: {said}"))
            }
            (other, None) => {
                let text = format!("unknown level `{}`: {said}", clean(other));
                (Outcome::Error, Severity::Unknown, text)
            }
        };
        let local = match excepted.unwrap_or(&self.name) {
            "" => "unnamed",
            name => name,
        };
        let resource = Arc::new(ResourceRef {
            part: clean(&self.container).into_owned(),
            ..ResourceRef::namespaced(
                clean(&self.kind),
                clean(&self.namespace),
                clean(&self.resource),
            )
        });
        let mut finding = Finding::new(CheckId::new(PREFIX, local), resource, outcome, locator);
        finding.severity = severity;
        finding.message = message.into();
        if excepted.is_some() {
            finding.raw_check = (*self.name).into();
        }
        finding
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Outcome;
    use crate::scanner::read;

    #[test]
    fn every_line_is_a_result_of_its_own() {
        let text = br#"{"AuditResultName":"PrivilegedTrue","level":"error","msg":"m","ResourceKind":"Deployment","ResourceNamespace":"a","ResourceName":"web","Container":"c","time":"2026-01-02T03:04:05+01:00"}
{"AuditResultName":"PrivilegedTrueAllowed","level":"warning","msg":"m","ResourceKind":"Pod","ResourceName":"p","time":"2026-01-02T03:04:06+01:00"}
{"AuditResultName":"LimitsNotSet","level":"warning"}
{"AuditResultName":"X","level":"info"}
{"AuditResultName":"Y","level":"loud"}
"#;
        let reading = read(text, "").unwrap();
        assert_eq!(reading.formats, ["kubeaudit"]);
        let said: Vec<_> = reading
            .parsed
            .findings
            .iter()
            .map(|f| format!("{} {} {} {}", f.check, f.resource, f.outcome, f.locator))
            .collect();
        assert_eq!(
            said,
            [
                "kubeaudit:PrivilegedTrue a/Deployment/web#c fail 0#",
                "kubeaudit:PrivilegedTrue Pod/p fail 1#",
                "kubeaudit:LimitsNotSet / fail 2#",
                "kubeaudit:X / not-checked 3#",
                "kubeaudit:Y / error 4#",
            ]
        );
        assert_eq!(&*reading.parsed.findings[1].message, "excepted in kubeaudit: m");
        assert_eq!(reading.parsed.taken_at.unwrap().to_string(), "2026-01-02T02:04:05Z");
    }

    #[test]
    fn a_single_result_is_a_log_of_one() {
        let parsed = read(br#"{"AuditResultName":"X","level":"error"}"#, "").unwrap().parsed;
        assert_eq!(parsed.findings[0].outcome, Outcome::Fail);
        assert_eq!(&*parsed.findings[0].locator, "");
    }

    #[test]
    fn lines_between_results_weaken() {
        let result = r#"{"AuditResultName":"X","level":"error"}"#;
        for (text, expected) in [
            (format!("loading\n{result}\n{result}\n"), false),
            (format!("{result}\nelse\n{result}\n"), true),
            (format!("itResultName\":\"X\"}}\n{result}\n{result}\n"), true),
        ] {
            let notes = read(text.as_bytes(), "").unwrap().parsed.notes;
            assert_eq!(notes.iter().any(|note| note.weakens), expected, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_cut_off_is_named() {
        let text = b"{\"AuditResultName\":\"X\",\"level\":\"error\"}\n{\"AuditResultName\":\"Y\"";
        let error = read(text, "").unwrap_err().to_string();
        assert!(error.starts_with("line 2, column "), "{error}");
    }
}
