//! Trivy JSON of an image, a filesystem, a repository or configuration files: schema 2, and the
//! bare array of `{Target, Type, Vulnerabilities}` that Trivy wrote before 0.20.

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, shown};
use super::trivy_result::{Entry, PREFIX, Reader, resource_of_target, without_system};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Trivy;

impl Scanner for Trivy {
    fn id(&self) -> &'static str {
        "trivy"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        if probe.is_array {
            return probe.has("Target") && probe.has("Vulnerabilities");
        }
        probe.has("SchemaVersion") && probe.has("ArtifactType") && probe.has("ArtifactName")
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "SchemaVersion",
            "Trivy",
            "ReportID",
            "CreatedAt",
            "ArtifactID",
            "ArtifactName",
            "ArtifactType",
            "Metadata",
            "Results",
            "Target",
            "Class",
            "Type",
            "Packages",
            "Vulnerabilities",
            "MisconfSummary",
            "Misconfigurations",
            "Secrets",
            "Licenses",
            "CustomResources",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        if document.probe().is_array {
            parsed.saw_tool(PREFIX, "");
            let entries: Vec<Entry<'_>> = document.read()?;
            let mut reader = Reader::new(document, parsed);
            for (index, entry) in entries.iter().enumerate() {
                reader.read(entry, resource_of_target(entry), &format!("/{index}"));
            }
            reader.finish();
            return Ok(());
        }
        let report: Report<'_> = document.read()?;
        if report.schema_version != Some(2) {
            let version = document.probe().text("SchemaVersion").map(|text| shown(text, 64));
            let version = version.map_or_else(|| "`null`".to_owned(), |text| format!("`{text}`"));
            let reason = format!("{version} is no schema version that is known, which is 2");
            return Err(document.error("/SchemaVersion", reason));
        }
        parsed.saw_tool(PREFIX, &report.trivy.version);
        if let Some(at) = document.time("/CreatedAt", &report.created_at) {
            parsed.saw_time(at);
        }
        if report.results.is_empty() {
            nothing_listed(document, &report, parsed);
        }
        let mut reader = Reader::new(document, parsed);
        for (index, entry) in report.results.iter().enumerate() {
            reader.read(entry, report.resource(entry), &format!("/Results/{index}"));
        }
        reader.finish();
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'a> {
    schema_version: Option<u64>,
    #[serde(default)]
    trivy: Tool,
    #[serde(borrow, default)]
    created_at: Text<'a>,
    #[serde(default)]
    artifact_name: Text<'a>,
    #[serde(default)]
    artifact_type: Text<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    results: Vec<Entry<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Tool {
    version: String,
}

impl Report<'_> {
    fn is_of_files(&self) -> bool {
        matches!(&*self.artifact_type, "filesystem" | "repository")
    }

    fn subject(&self) -> ResourceRef {
        let kind = if self.is_of_files() { "File" } else { "Image" };
        ResourceRef::cluster_scoped(kind, &*self.artifact_name)
    }

    fn resource(&self, entry: &Entry<'_>) -> ResourceRef {
        let target = entry.target.trim();
        let about_all = target.is_empty()
            || without_system(target) == &*self.artifact_name
            || &*entry.class == "os-pkgs";
        if about_all {
            return self.subject();
        }
        if self.is_of_files() {
            return resource_of_target(entry);
        }
        ResourceRef { part: target.to_owned(), ..self.subject() }
    }
}

/// An image without packages that Trivy knows gives no result at all. That is no proof of a scan.
fn nothing_listed(document: &Document<'_>, report: &Report<'_>, parsed: &mut Parsed) {
    parsed.shortfall(document.locator(""), "the report lists no result");
    parsed.findings.push(Finding {
        check: CheckId::new(PREFIX, "vulnerability-scan"),
        resource: report.subject().into(),
        outcome: Outcome::NotChecked,
        severity: Severity::Unknown,
        rule: "".into(),
        raw_check: "".into(),
        message: "the report lists no result: nothing was found to look at".into(),
        locator: document.locator(""),
    });
}

#[cfg(test)]
mod tests {
    use crate::finding::{Outcome, Parsed};
    use crate::scanner::read;

    fn image(results: &str) -> Parsed {
        let text = format!(
            r#"{{"SchemaVersion":2,"Trivy":{{"Version":"0.68.1"}},"CreatedAt":"2026-01-02T03:04:05.000000006Z","ArtifactName":"app:1","ArtifactType":"container_image","Results":[{results}]}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["trivy"]);
        reading.parsed
    }

    fn outcome(fields: &str) -> Outcome {
        let parsed = image(&format!(
            r#"{{"Target":"Dockerfile","Class":"config","Misconfigurations":[{{"ID":"DS002",{fields}}}]}}"#
        ));
        assert_eq!(parsed.findings[0].check.as_str(), "trivy:DS-0002");
        assert_eq!(&*parsed.findings[0].raw_check, "DS002");
        parsed.findings[0].outcome
    }

    #[test]
    fn states_of_misconfigurations() {
        assert_eq!(outcome(r#""Status":"PASS""#), Outcome::Pass);
        assert_eq!(outcome(r#""Status":"FAIL""#), Outcome::Fail);
        assert_eq!(outcome(r#""Status":"EXCEPTION""#), Outcome::Fail);
        assert_eq!(outcome(r#""Title":"legacy""#), Outcome::Fail);
        assert_eq!(outcome(r#""Status":"MAYBE""#), Outcome::Error);
    }

    #[test]
    fn a_clean_image_is_proof_of_a_scan_and_of_nothing_else() {
        let parsed = image(r#"{"Target":"app:1 (alpine 3.20)","Class":"os-pkgs","Type":"alpine"}"#);
        assert_eq!(parsed.findings.len(), 1);
        let finding = &parsed.findings[0];
        assert_eq!(finding.check.as_str(), "trivy:vulnerability-scan");
        assert_eq!(finding.resource.to_string(), "Image/app:1");
        assert_eq!(&*finding.message, "0 vulnerabilities listed");
        assert_eq!(parsed.tools["trivy"], "0.68.1");
        assert!(parsed.taken_at.is_some());
    }

    #[test]
    fn vulnerabilities_are_classed_by_severity() {
        let parsed = image(
            r#"{"Target":"usr/bin/app","Class":"lang-pkgs","Vulnerabilities":[
            {"VulnerabilityID":"CVE-1","PkgName":"a","InstalledVersion":"1","FixedVersion":"2","Status":"fixed","Severity":"HIGH"},
            {"VulnerabilityID":"CVE-2","PkgName":"b","InstalledVersion":"1","Status":"will_not_fix","Severity":"UNKNOWN"}]}"#,
        );
        let texts: Vec<_> = parsed
            .findings
            .iter()
            .map(|f| (f.check.local(), &*f.rule, &*f.message, &*f.locator))
            .collect();
        assert_eq!(
            texts,
            [
                ("vulnerability-scan", "", "2 vulnerabilities listed", "/Results/0"),
                ("vulnerability-high", "CVE-1", "a 1, fixed in 2", "/Results/0/Vulnerabilities/0"),
                (
                    "vulnerability-unknown",
                    "CVE-2",
                    "b 1, no fix published (will_not_fix)",
                    "/Results/0/Vulnerabilities/1"
                ),
            ]
        );
        assert_eq!(parsed.findings[1].resource.to_string(), "Image/app:1#usr/bin/app");
    }

    #[test]
    fn a_severity_that_is_not_known_leaves_every_class_undecided() {
        for (vulnerability, errors) in [
            (r#"{"Severity":"Severe"}"#, 4),
            (r#"{"Severity":null}"#, 4),
            (r#"{"Severity":7}"#, 4),
            ("{}", 4),
            ("null", 4),
            (r#"{"Severity":"UNKNOWN"}"#, 0),
        ] {
            for list in ["Vulnerabilities", "ExperimentalModifiedFindings"] {
                let item = match list {
                    "Vulnerabilities" => vulnerability.to_owned(),
                    _ => format!(r#"{{"Type":"vulnerability","Finding":{vulnerability}}}"#),
                };
                let parsed =
                    image(&format!(r#"{{"Target":"app:1","Class":"os-pkgs","{list}":[{item}]}}"#));
                assert_eq!(parsed.count(Outcome::Error), errors, "{item}");
                assert_eq!(parsed.notes.iter().any(|note| note.weakens), errors > 0, "{item}");
            }
        }
    }

    #[test]
    fn secrets_never_show_what_matched() {
        let parsed = image(
            r#"{"Target":"/root/.env","Class":"secret","Secrets":[{"RuleID":"aws-key","Severity":"CRITICAL","Title":"AWS key","Match":"KEY=abc***"}]}"#,
        );
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(parsed.findings[0].check.as_str(), "trivy:exposed-secret");
        assert_eq!(&*parsed.findings[0].rule, "aws-key");
        assert!(!format!("{parsed:?}").contains("abc"));
    }

    #[test]
    fn what_was_suppressed_still_failed() {
        let parsed = image(
            r#"{"Target":"app:1 (alpine 3.20)","Class":"os-pkgs","ExperimentalModifiedFindings":[
            {"Type":"vulnerability","Status":"ignored","Statement":"accepted","Source":".trivyignore","Finding":{"VulnerabilityID":"CVE-3","PkgName":"c","InstalledVersion":"1","Severity":"LOW"}}]}"#,
        );
        assert_eq!(parsed.findings[1].outcome, Outcome::Fail);
        assert_eq!(
            &*parsed.findings[1].message,
            "excepted in Trivy (ignored: accepted): c 1, no fix published"
        );
    }

    #[test]
    fn counted_passes_are_no_passes_and_missing_failures_weaken() {
        let parsed = image(
            r#"{"Target":"Dockerfile","Class":"config","MisconfSummary":{"Successes":26,"Failures":1}}"#,
        );
        assert!(parsed.findings.is_empty());
        assert!(parsed.notes.iter().any(|n| !n.weakens && n.text.starts_with("26 passes")));
        assert!(parsed.notes.iter().any(|n| n.weakens));
    }

    #[test]
    fn no_result_is_not_checked() {
        let parsed = image("");
        assert_eq!(parsed.findings[0].outcome, Outcome::NotChecked);
    }

    #[test]
    fn the_oldest_form_is_an_array() {
        let reading = read(
            br#"[{"Target":"alpine:3.9 (alpine 3.9.4)","Type":"alpine","Vulnerabilities":null},{"Target":"app/Gemfile.lock","Vulnerabilities":[{"VulnerabilityID":"CVE-4","Severity":"LOW"}]}]"#,
            "",
        )
        .unwrap();
        assert_eq!(reading.formats, ["trivy"]);
        let shown: Vec<_> = reading
            .parsed
            .findings
            .iter()
            .map(|f| format!("{} {}", f.resource, f.outcome))
            .collect();
        assert_eq!(
            shown,
            ["Image/alpine:3.9 pass", "File/app/Gemfile.lock pass", "File/app/Gemfile.lock fail"]
        );
    }

    #[test]
    fn targets_of_config_scans_are_resources_or_files() {
        let text = br#"{"SchemaVersion":2,"ArtifactName":"/src","ArtifactType":"filesystem","Results":[
            {"Target":"Deployment/api","Class":"config","Type":"kubernetes","Misconfigurations":[{"ID":"KSV-0001"}]},
            {"Target":"Charts/pod.yaml","Class":"config","Type":"kubernetes","Misconfigurations":[{"ID":"KSV-0001"}]},
            {"Target":"/src (ubuntu 24.04)","Class":"os-pkgs"}]}"#;
        let parsed = read(text, "").unwrap().parsed;
        let shown: Vec<_> = parsed.findings.iter().map(|f| f.resource.to_string()).collect();
        assert_eq!(shown, ["Deployment/api", "File/Charts/pod.yaml", "File//src"]);
    }

    #[test]
    fn another_schema_is_refused_with_its_place() {
        for (version, found) in [("3", "`3`"), ("null", "`null`"), (r#""two""#, "`two`")] {
            let text =
                format!(r#"{{"SchemaVersion":{version},"ArtifactName":"x","ArtifactType":"vm"}}"#);
            let error = read(text.as_bytes(), "").unwrap_err().to_string();
            assert!(error.contains(&format!("/SchemaVersion: {found} is no")), "{error}");
        }
    }

    #[test]
    fn look_alikes_do_not_match() {
        for text in [
            r#"{"SchemaVersion":"2018-10-08","Findings":[]}"#,
            r#"[{"target":"x","vulnerabilities":[]}]"#,
            r#"{"vulnerabilities":["CVE-1"],"misconfigurations":["KSV001"]}"#,
        ] {
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }
}
