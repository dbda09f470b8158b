//! Grype JSON: vulnerabilities of one image, directory or SBOM. Matches are classed by severity, as
//! Trivy's are; what `.grype.yaml` ignores stays a failure where the report shows it. Where nothing was found,
//! Grype writes an empty list: `null` for `matches` does not say that.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::kube_object::null_as_default;
use super::text::{Text, clean};
use super::trivy_result::{Unrated, describe_vulnerability, vulnerability_class};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Grype;

const PREFIX: &str = "grype";

impl Scanner for Grype {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && probe.has("matches") && probe.has("descriptor")
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["matches", "ignoredMatches", "source", "distro", "descriptor"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read()?;
        parsed.saw_tool(PREFIX, &report.descriptor.version);
        if let Some(at) = document.time("/descriptor/timestamp", &report.descriptor.timestamp) {
            parsed.saw_time(at);
        }
        let resource = Arc::new(report.source.resource());
        let mut proof = Finding::new(
            CheckId::new(PREFIX, "vulnerability-scan"),
            Arc::clone(&resource),
            if report.matches.is_some() { Outcome::Pass } else { Outcome::Error },
            document.locator("/matches"),
        );
        proof.message = report.proof().into();
        parsed.findings.push(proof);
        if report.matches.is_none() {
            let text = "`matches` is no list: the report does not say what was found";
            parsed.shortfall(document.locator("/matches"), text);
        }
        let mut unrated = Unrated::default();
        for (key, found, why) in [
            ("matches", report.matches(), ""),
            ("ignoredMatches", &*report.ignored_matches, "ignored in Grype: "),
        ] {
            let field = format!("/{key}/*/vulnerability/severity");
            for (index, found) in found.iter().enumerate() {
                let locator = document.locator(&format!("/{key}/{index}"));
                unrated.look(document, &found.vulnerability.severity, &field, &locator);
                parsed.findings.push(found.read(&resource, locator, why));
            }
        }
        unrated.conclude(PREFIX, &resource, &mut parsed.findings);
        report.name_what_is_left_out(document, parsed);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow, default)]
    matches: Option<Vec<Match<'a>>>,
    #[serde(default, deserialize_with = "null_as_default")]
    ignored_matches: Vec<Match<'a>>,
    #[serde(default)]
    source: Source<'a>,
    #[serde(default)]
    descriptor: Descriptor<'a>,
}

#[derive(Deserialize)]
struct Match<'a> {
    #[serde(borrow, default)]
    vulnerability: Vulnerability<'a>,
    #[serde(default)]
    artifact: Artifact<'a>,
}

#[derive(Default, Deserialize)]
struct Vulnerability<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(default)]
    severity: Text<'a>,
    #[serde(default)]
    fix: Fix<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    versions: Vec<Text<'a>>,
    state: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Artifact<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    version: Text<'a>,
}

/// `target` is an object for images and a path for everything else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    target: Target<'a>,
}

#[derive(Default)]
enum Target<'a> {
    Image(Text<'a>),
    Path(String),
    #[default]
    None,
}

impl<'de: 'a, 'a> Deserialize<'de> for Target<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Image<'a> {
            #[serde(borrow)]
            user_input: Text<'a>,
        }

        struct TargetVisitor;
        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = Target<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image or a path")
            }

            fn visit_unit<E>(self) -> Result<Target<'de>, E> {
                Ok(Target::None)
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Target<'de>, E> {
                Ok(Target::Path(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target<'de>, A::Error> {
                let image = Image::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Target::Image(image.user_input))
            }
        }
        deserializer.deserialize_any(TargetVisitor)
    }
}

#[derive(Default, Deserialize)]
struct Descriptor<'a> {
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(default)]
    timestamp: Text<'a>,
    #[serde(default)]
    configuration: Configuration,
    #[serde(default)]
    db: Database,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Configuration {
    only_fixed: bool,
    only_notfixed: bool,
    #[serde(deserialize_with = "null_as_default")]
    ignore: Vec<serde_json::Value>,
}

/// Where the time of building stands has changed: at first directly, now below `status`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Database {
    built: String,
    status: DatabaseStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DatabaseStatus {
    built: String,
}

impl Source<'_> {
    fn resource(&self) -> ResourceRef {
        let (kind, name) = match &self.target {
            Target::Image(name) => ("Image", &**name),
            Target::Path(path) if &*self.r#type == "image" => ("Image", &**path),
            Target::Path(path) => ("File", &**path),
            Target::None => ("Image", ""),
        };
        ResourceRef::cluster_scoped(kind, clean(name))
    }
}

impl Report<'_> {
    fn matches(&self) -> &[Match<'_>] {
        self.matches.as_deref().unwrap_or_default()
    }

    fn proof(&self) -> String {
        if self.matches.is_none() {
            return "no list of vulnerabilities".to_owned();
        }
        let db = &self.descriptor.db;
        let built = if db.status.built.is_empty() { &db.built } else { &db.status.built };
        let mut text = format!("{} vulnerabilities listed", self.matches().len());
        if !built.is_empty() {
            text.push_str("; database of ");
            text.push_str(&clean(built));
        }
        text
    }

    fn name_what_is_left_out(&self, document: &Document<'_>, parsed: &mut Parsed) {
        let configuration = &self.descriptor.configuration;
        let at = || document.locator("/descriptor");
        if configuration.only_fixed {
            parsed.shortfall(at(), "vulnerabilities without a fix are left out (only-fixed)");
        }
        if configuration.only_notfixed {
            parsed.shortfall(at(), "vulnerabilities with a fix are left out (only-notfixed)");
        }
        // Grype has rules of its own for kernel headers; those name no vulnerability.
        let by_id = configuration.ignore.iter().filter(|rule| {
            rule.get("vulnerability").and_then(|id| id.as_str()).is_some_and(|id| !id.is_empty())
        });
        let count = by_id.count();
        if count > 0 && self.ignored_matches.is_empty() {
            let text = format!(
                "{count} rules ignore vulnerabilities by id, and what they ignored is not shown (grype --show-suppressed)"
            );
            parsed.shortfall(at(), text);
        }
    }
}

impl Match<'_> {
    fn read(&self, resource: &Arc<ResourceRef>, locator: Box<str>, why: &str) -> Finding {
        let severity = Severity::from_word(&self.vulnerability.severity);
        let class = match severity {
            // A class of its own in Grype.
            Severity::Info => "vulnerability-negligible",
            severity => vulnerability_class(severity),
        };
        let fix = &self.vulnerability.fix;
        let versions: Vec<&str> = fix.versions.iter().map(|version| &**version).collect();
        let state = match &*fix.state {
            "unknown" => "",
            state => state,
        };
        let said = describe_vulnerability(
            &clean(&self.artifact.name),
            &clean(&self.artifact.version),
            &clean(&versions.join(", ")),
            &clean(state),
        );
        let resource = Arc::clone(resource);
        let mut finding =
            Finding::new(CheckId::new(PREFIX, class), resource, Outcome::Fail, locator);
        finding.severity = severity;
        finding.rule = (*self.vulnerability.id).into();
        finding.message = format!("{why}{said}").into();
        finding
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed};
    use crate::scanner::read;

    fn report(matches: &str, configuration: &str) -> Parsed {
        let text = format!(
            r#"{{"matches":{matches},"source":{{"type":"image","target":{{"userInput":"app:1"}}}},"descriptor":{{"name":"grype","version":"0.94.0","timestamp":"2026-01-02T03:04:05.6Z","configuration":{{{configuration}}},"db":{{"status":{{"built":"2026-01-01T00:00:00Z"}}}}}}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["grype"]);
        assert_eq!(reading.parsed.tools["grype"], "0.94.0");
        reading.parsed
    }

    #[test]
    fn matches_are_classed_and_a_scan_is_proven() {
        let parsed = report(
            r#"[{"vulnerability":{"id":"CVE-1","severity":"High","fix":{"versions":["2"],"state":"fixed"}},"artifact":{"name":"a","version":"1"}},{"vulnerability":{"id":"CVE-2","severity":"Negligible","fix":{"versions":[],"state":"wont-fix"}},"artifact":{"name":"b","version":"1"}}]"#,
            "",
        );
        let said: Vec<_> = parsed
            .findings
            .iter()
            .map(|f| format!("{} {} {} {} {}", f.check, f.resource, f.outcome, f.rule, f.message))
            .collect();
        assert_eq!(
            said,
            [
                "grype:vulnerability-scan Image/app:1 pass  2 vulnerabilities listed; database of 2026-01-01T00:00:00Z",
                "grype:vulnerability-high Image/app:1 fail CVE-1 a 1, fixed in 2",
                "grype:vulnerability-negligible Image/app:1 fail CVE-2 b 1, no fix published (wont-fix)",
            ]
        );
    }

    #[test]
    fn what_a_setting_leaves_out_weakens_the_evidence() {
        assert!(report("[]", "").notes.is_empty());
        assert!(report("[]", r#""only-fixed":true"#).notes[0].weakens);
        assert!(report("[]", r#""ignore":[{"vulnerability":"CVE-9"}]"#).notes[0].weakens);
        assert!(report("[]", r#""ignore":[{"vulnerability":"","package":{}}]"#).notes.is_empty());
    }

    #[test]
    fn a_severity_that_is_not_known_leaves_every_class_undecided() {
        let severities = [r#""severity":null"#, r#""severity":7"#, r#""severity":"Severe""#, ""];
        for severity in severities {
            let parsed = report(&format!(r#"[{{"vulnerability":{{{severity}}}}}]"#), "");
            assert!(parsed.notes.iter().any(|note| note.weakens), "{severity}");
            let errors = parsed.findings.iter().filter(|f| f.outcome == Outcome::Error);
            let errors: Vec<_> = errors.map(|finding| finding.check.local()).collect();
            let classes = ["critical", "high", "medium", "low"];
            assert_eq!(errors, classes.map(|class| format!("vulnerability-{class}")), "{severity}");
        }
        // Grype's own word for what nobody has rated, and an element without any.
        let unrated = report(r#"[{"vulnerability":{"severity":"Unknown"}}]"#, "");
        assert_eq!((unrated.findings.len(), unrated.notes.len()), (2, 0));
        assert_eq!(report("[null]", "").count(Outcome::Error), 4);
        let parsed = report("null", "");
        assert!(parsed.notes[0].weakens);
        assert_eq!((parsed.count(Outcome::Pass), parsed.count(Outcome::Error)), (0, 1));
    }

    #[test]
    fn directories_are_files() {
        let text = br#"{"matches":[],"source":{"type":"directory","target":"./app"},"descriptor":{"version":"1"}}"#;
        let parsed = read(text, "").unwrap().parsed;
        assert_eq!(parsed.findings[0].resource.to_string(), "File/./app");
    }
}
