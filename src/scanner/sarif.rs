//! SARIF 2.1.0 (OASIS): results of any static analyser. The check is `sarif:<tool>/<rule>`.
//!
//! A result is a failure unless its `kind` says otherwise (section 3.27.9); a suppressed one stays a
//! failure (3.27.23). A missing `results` means that the tool did not look (3.14.23).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Scalar, Text, clean, own_words};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Sarif;

const PREFIX: &str = "sarif";

impl Scanner for Sarif {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && probe.has("runs") && probe.has("version")
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["$schema", "version", "runs", "properties"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let log: Log<'_> = document.read()?;
        if &*log.version != "2.1.0" {
            let reason = format!("SARIF version `{}` is not read, only 2.1.0", clean(&log.version));
            return Err(document.error("/version", reason));
        }
        for (index, run) in log.runs.iter().enumerate() {
            run.read(document, &format!("/runs/{index}"), parsed);
        }
        if log.runs.is_empty() {
            parsed.shortfall(document.locator("/runs"), "the log holds no run");
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    runs: Vec<Run<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    #[serde(borrow, default)]
    tool: Tool<'a>,
    results: Option<Vec<SarifResult<'a>>>,
    #[serde(default, deserialize_with = "null_as_default")]
    invocations: Vec<Invocation<'a>>,
}

#[derive(Default, Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default)]
    driver: Component<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    extensions: Vec<Component<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    version: Text<'a>,
    #[serde(default)]
    semantic_version: Text<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    rules: Vec<Rule<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(default)]
    short_description: Message<'a>,
    #[serde(default)]
    help: Message<'a>,
    #[serde(default)]
    default_configuration: Configuration<'a>,
    #[serde(default)]
    properties: Properties<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration<'a> {
    #[serde(borrow)]
    level: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    /// A CVSS-like number, as GitHub reads it.
    #[serde(borrow, rename = "security-severity")]
    security_severity: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult<'a> {
    #[serde(borrow, default)]
    rule_id: Text<'a>,
    #[serde(default)]
    rule: RuleReference<'a>,
    rule_index: Option<i64>,
    #[serde(default)]
    level: Text<'a>,
    #[serde(default)]
    kind: Text<'a>,
    #[serde(default)]
    message: Message<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    locations: Vec<Location<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    suppressions: Vec<Suppression<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuleReference<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    index: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Location<'a> {
    #[serde(borrow)]
    physical_location: Physical<'a>,
    #[serde(deserialize_with = "null_as_default")]
    logical_locations: Vec<Logical<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Physical<'a> {
    #[serde(borrow)]
    artifact_location: Artifact<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Artifact<'a> {
    #[serde(borrow)]
    uri: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Logical<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    fully_qualified_name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Suppression<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    status: Text<'a>,
    justification: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    execution_successful: Option<bool>,
    #[serde(borrow, default)]
    end_time_utc: Text<'a>,
}

impl Run<'_> {
    fn read(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        let tool = self.tool.driver.tool_name();
        let version = [&self.tool.driver.version, &self.tool.driver.semantic_version];
        parsed.saw_tool(&tool, version.into_iter().find(|v| !v.is_empty()).map_or("", |v| v));
        self.invocations(document, pointer, parsed);
        let check = |rule: &str| CheckId::new(PREFIX, &format!("{tool}/{rule}"));
        let Some(results) = &self.results else {
            let text = "the run has no `results`: the tool did not look, or failed before it could";
            parsed.shortfall(document.locator(pointer), text);
            return;
        };
        if results.is_empty() {
            let resource = ResourceRef::cluster_scoped("File", "");
            let locator = document.locator(&format!("{pointer}/results"));
            let mut finding = Finding::new(check("run"), resource, Outcome::Pass, locator);
            finding.message = "the run found nothing".into();
            parsed.findings.push(finding);
        }
        let rules = self.rules();
        for (index, result) in results.iter().enumerate() {
            let (id, rule) = self.rule_of(result, &rules);
            let check = check(if id.is_empty() { "unnamed" } else { id });
            if let Some(rule) = rule.filter(|_| !parsed.checks.contains_key(&check)) {
                let (title, help) =
                    (own_words(&rule.short_description.text), own_words(&rule.help.text));
                parsed.saw_check(&check, &title, &help);
            }
            let (outcome, message) = result.judge();
            let locator = document.locator(&format!("{pointer}/results/{index}"));
            let mut finding = Finding::new(check, result.resource(), outcome, locator);
            finding.severity = result.severity(rule);
            finding.message = message.into();
            parsed.findings.push(finding);
        }
    }

    fn invocations(&self, document: &Document<'_>, pointer: &str, parsed: &mut Parsed) {
        for (index, invocation) in self.invocations.iter().enumerate() {
            let field = format!("{pointer}/invocations/{index}/endTimeUtc");
            if let Some(at) = document.time(&field, &invocation.end_time_utc) {
                parsed.saw_time(at);
            }
            if invocation.execution_successful == Some(false) {
                let place = document.locator(&format!("{pointer}/invocations/{index}"));
                parsed.shortfall(place, "the tool says that its run was not successful");
            }
        }
    }

    fn rules(&self) -> BTreeMap<&str, &Rule<'_>> {
        let components = self.tool.extensions.iter().chain([&self.tool.driver]);
        components.flat_map(|part| &part.rules).map(|rule| (&*rule.id, rule)).collect()
    }

    /// A result names its rule by id, by index into the driver's rules, or both (3.27.5, 3.27.6).
    fn rule_of<'r>(
        &'r self,
        result: &'r SarifResult<'_>,
        rules: &BTreeMap<&'r str, &'r Rule<'r>>,
    ) -> (&'r str, Option<&'r Rule<'r>>) {
        let named: [&str; 2] = [&result.rule_id, &result.rule.id];
        if let Some(id) = named.into_iter().find(|id| !id.is_empty()) {
            return (id, rules.get(id).copied());
        }
        let index = result.rule_index.or(result.rule.index);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let rule = index.and_then(|index| self.tool.driver.rules.get(index));
        (rule.map_or("", |rule| &*rule.id), rule)
    }
}

impl Component<'_> {
    /// A name that can stand in a check id.
    fn tool_name(&self) -> String {
        let name = clean(&self.name);
        let name = name.split_whitespace().collect::<Vec<_>>().join("-");
        if name.is_empty() { "unnamed".to_owned() } else { name }
    }
}

impl SarifResult<'_> {
    fn judge(&self) -> (Outcome, String) {
        let said = clean(&self.message.text);
        let accepted = self.suppressions.iter().find(|s| &*s.status != "rejected");
        match (&*self.kind, &*self.level) {
            ("" | "fail", "none") => (Outcome::NotChecked, format!("no verdict: {said}")),
            ("" | "fail", _) => {
                let Some(suppression) = accepted else {
                    return (Outcome::Fail, said.into_owned());
                };
                let why = clean(&suppression.justification);
                let how = if why.is_empty() { clean(&suppression.kind) } else { why };
                (Outcome::Fail, format!("suppressed ({how}): {said}"))
            }
            ("pass", _) => (Outcome::Pass, said.into_owned()),
            ("notApplicable", _) => (Outcome::NotApplicable, said.into_owned()),
            ("review" | "open", _) => (Outcome::Manual, said.into_owned()),
            ("informational", _) => (Outcome::NotChecked, format!("informational: {said}")),
            (other, _) => (Outcome::Error, format!("unknown kind `{}`: {said}", clean(other))),
        }
    }

    fn resource(&self) -> Arc<ResourceRef> {
        let location = self.locations.first();
        let file = location.map_or("", |l| &*l.physical_location.artifact_location.uri);
        let logical = location.and_then(|l| l.logical_locations.first());
        let part = logical.map_or("", |l| {
            if l.fully_qualified_name.is_empty() { &*l.name } else { &*l.fully_qualified_name }
        });
        let part = clean(part).into_owned();
        ResourceRef { part, ..ResourceRef::cluster_scoped("File", clean(file)) }.into()
    }

    /// The rule's CVSS-like number where it has one, else the level; the default is `warning`
    /// (3.27.10).
    fn severity(&self, rule: Option<&Rule<'_>>) -> Severity {
        let score = rule.map_or("", |rule| &*rule.properties.security_severity);
        if let Ok(score) = score.trim().parse::<f64>() {
            return match score {
                score if score >= 9.0 => Severity::Critical,
                score if score >= 7.0 => Severity::High,
                score if score >= 4.0 => Severity::Medium,
                score if score > 0.0 => Severity::Low,
                _ => Severity::Info,
            };
        }
        let default = rule.map_or("", |rule| &*rule.default_configuration.level);
        match if self.level.is_empty() { default } else { &*self.level } {
            "error" => Severity::High,
            "warning" | "" => Severity::Medium,
            "note" => Severity::Low,
            "none" => Severity::Info,
            _ => Severity::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed, Severity};
    use crate::scanner::read;

    fn run(fields: &str) -> Parsed {
        let text = format!(
            r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"My Tool","version":"1.2","rules":[{{"id":"R1","shortDescription":{{"text":"short"}},"properties":{{"security-severity":"9.1"}}}}]}}}},{fields}}}]}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["sarif"]);
        assert_eq!(reading.parsed.tools["My-Tool"], "1.2");
        reading.parsed
    }

    fn outcome(fields: &str) -> Outcome {
        run(&format!(r#""results":[{{"ruleId":"R1",{fields}}}]"#)).findings[0].outcome
    }

    #[test]
    fn kinds_and_levels() {
        assert_eq!(outcome(r#""level":"error""#), Outcome::Fail);
        assert_eq!(outcome(r#""level":"note""#), Outcome::Fail);
        assert_eq!(outcome(r#""level":"none""#), Outcome::NotChecked);
        assert_eq!(outcome(r#""kind":"pass","level":"none""#), Outcome::Pass);
        assert_eq!(outcome(r#""kind":"open""#), Outcome::Manual);
        assert_eq!(outcome(r#""kind":"review""#), Outcome::Manual);
        assert_eq!(outcome(r#""kind":"notApplicable""#), Outcome::NotApplicable);
        assert_eq!(outcome(r#""kind":"informational""#), Outcome::NotChecked);
        assert_eq!(outcome(r#""kind":"strange""#), Outcome::Error);
    }

    #[test]
    fn what_is_suppressed_stays_a_failure_and_says_so() {
        let parsed = run(
            r#""results":[{"ruleId":"R1","message":{"text":"m"},"suppressions":[{"kind":"inSource","justification":"why"}]},{"ruleId":"R1","message":{"text":"m"},"suppressions":[{"kind":"external","status":"rejected"}]}]"#,
        );
        let said: Vec<_> = parsed.findings.iter().map(|f| (f.outcome, &*f.message)).collect();
        assert_eq!(said, [(Outcome::Fail, "suppressed (why): m"), (Outcome::Fail, "m")]);
    }

    #[test]
    fn rules_are_found_by_index_and_rank_by_their_score() {
        let parsed = run(
            r#""results":[{"ruleIndex":0,"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.yaml"}},"logicalLocations":[{"name":"web"}]}]}]"#,
        );
        let finding = &parsed.findings[0];
        assert_eq!(finding.check.as_str(), "sarif:My-Tool/R1");
        assert_eq!(finding.severity, Severity::Critical);
        assert_eq!(finding.resource.to_string(), "File/a.yaml#web");
        assert_eq!(parsed.checks[&finding.check].title, "short");
    }

    #[test]
    fn nothing_found_is_a_result_and_nothing_looked_at_is_none() {
        let clean = run(r#""results":[]"#);
        assert_eq!(clean.findings[0].check.as_str(), "sarif:My-Tool/run");
        assert_eq!(clean.findings[0].outcome, Outcome::Pass);
        let unrun = run(r#""results":null"#);
        assert!(unrun.findings.is_empty() && unrun.notes[0].weakens);
        let failed = run(
            r#""results":[],"invocations":[{"executionSuccessful":false,"endTimeUtc":"2026-01-02T03:04:05Z"}]"#,
        );
        assert!(failed.notes[0].weakens && failed.taken_at.is_some());
    }

    #[test]
    fn other_versions_are_refused() {
        let error = read(br#"{"version":"2.0.0","runs":[]}"#, "").unwrap_err().to_string();
        assert!(error.contains("/version: SARIF version `2.0.0`"), "{error}");
    }
}
