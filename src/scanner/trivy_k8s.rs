//! `trivy k8s --format json`: `Resources` (`--report all`), `Findings` (`--report summary`), and
//! the split `Vulnerabilities` and `Misconfigurations` of Trivy before 0.30.
//!
//! A resource appears once for its configuration and once for each image; all of them are findings
//! about one resource, told apart by `part`. The report says neither when nor by which version.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::kube_object::null_as_default;
use super::text::{Text, clean};
use super::trivy_result::{Entry, PREFIX, Reader, without_system};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{Parsed, ResourceRef};

pub(super) struct TrivyK8s;

const LISTS: [&str; 4] = ["Resources", "Findings", "Vulnerabilities", "Misconfigurations"];

impl Scanner for TrivyK8s {
    fn id(&self) -> &'static str {
        "trivy-k8s"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        let mut lists = LISTS.iter().filter(|list| probe.has(list)).peekable();
        let is_list_of_resources = |list: &&str| {
            // A resource in which nothing was found has no `Results`.
            let keys = probe.child_keys.get(*list);
            keys.is_none_or(|keys| keys.contains("Kind") && keys.contains("Name"))
        };
        // Trivy leaves an empty list out.
        let is_alone =
            || probe.keys.iter().all(|key| key == "ClusterName" || key == "SchemaVersion");
        !probe.is_array
            && probe.has("ClusterName")
            && (lists.peek().is_some() || is_alone())
            && lists.all(is_list_of_resources)
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "SchemaVersion",
            "ClusterName",
            "Resources",
            "Findings",
            "Vulnerabilities",
            "Misconfigurations",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read()?;
        parsed.saw_tool(PREFIX, "");
        parsed.saw_cluster(&clean(&report.cluster_name));
        let lists =
            [report.resources, report.findings, report.vulnerabilities, report.misconfigurations];
        if lists.iter().all(Vec::is_empty) {
            parsed.shortfall(document.locator(""), "the report lists no resource");
        }
        let mut reader = Reader::new(document, parsed);
        for (key, resources) in LISTS.iter().zip(&lists) {
            for (index, resource) in resources.iter().enumerate() {
                resource.read(document, &mut reader, &format!("/{key}/{index}"));
            }
        }
        reader.finish();
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Report<'a> {
    #[serde(borrow)]
    cluster_name: Text<'a>,
    #[serde(deserialize_with = "null_as_default")]
    resources: Vec<Resource<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    findings: Vec<Resource<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    vulnerabilities: Vec<Resource<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    misconfigurations: Vec<Resource<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Resource<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    kind: Text<'a>,
    name: Text<'a>,
    #[serde(deserialize_with = "one_or_many")]
    metadata: Vec<ImageMetadata<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    results: Vec<Entry<'a>>,
    error: Text<'a>,
}

/// Older Trivy writes one object, newer Trivy a list.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or a list of objects")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

/// One per image of the resource.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ImageMetadata<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    repo_tags: Vec<Text<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    repo_digests: Vec<Text<'a>>,
}

impl Resource<'_> {
    fn read(&self, document: &Document<'_>, reader: &mut Reader<'_>, pointer: &str) {
        let whole = ResourceRef::namespaced(&*self.kind, &*self.namespace, &*self.name);
        if !self.error.is_empty() {
            // Only the first line: Trivy appends every container runtime it tried.
            let error = clean(&self.error);
            let first = error.lines().next().unwrap_or_default();
            let text = format!("{whole} could not be scanned: {first}");
            reader.parsed().shortfall(document.locator(&format!("{pointer}/Error")), text);
        }
        let image = self.image();
        for (index, entry) in self.results.iter().enumerate() {
            let part = part_of(entry, image, &whole);
            let resource = ResourceRef { part, ..whole.clone() };
            reader.read(entry, resource, &format!("{pointer}/Results/{index}"));
        }
    }

    /// The one image that this entry is about; empty when it names none or several.
    fn image(&self) -> &str {
        if let Some(entry) = self.results.iter().find(|entry| &*entry.class == "os-pkgs") {
            return without_system(entry.target.trim());
        }
        match self.metadata.as_slice() {
            [one] => {
                one.repo_tags.first().or_else(|| one.repo_digests.first()).map_or("", |text| text)
            }
            _ => "",
        }
    }
}

/// Configuration is about the whole resource; packages and secrets are about an image, or a file in
/// it: `nginx:1.25`, `nginx:1.25, usr/bin/app`.
fn part_of(entry: &Entry<'_>, image: &str, whole: &ResourceRef) -> String {
    let target = entry.target.trim();
    let is_whole =
        target.split_once('/').is_some_and(|(kind, name)| kind == whole.kind && name == whole.name);
    match &*entry.class {
        "config" if is_whole || target.is_empty() => String::new(),
        "os-pkgs" => without_system(target).to_owned(),
        _ if is_whole => String::new(),
        _ if target.is_empty() || target == image => image.to_owned(),
        _ if image.is_empty() => target.to_owned(),
        _ => format!("{image}, {target}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Outcome;
    use crate::scanner::read;

    #[test]
    fn configuration_and_images_of_one_resource_meet() {
        let text = br#"{"ClusterName":"prod","Resources":[
            {"Namespace":"a","Kind":"Deployment","Name":"api","Metadata":[{"RepoTags":["api:1"]}],"Results":[
                {"Target":"api:1 (alpine 3.20)","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"LOW"}]},
                {"Target":"usr/bin/api","Class":"lang-pkgs","Type":"gobinary"}]},
            {"Namespace":"a","Kind":"Deployment","Name":"api","Results":[
                {"Target":"Deployment/api","Class":"config","Type":"kubernetes","Misconfigurations":[{"ID":"KSV020","AVDID":"AVD-KSV-0020","Status":"FAIL","Severity":"LOW","Message":"m"}]}]}]}"#;
        let reading = read(text, "").unwrap();
        assert_eq!(reading.formats, ["trivy-k8s"]);
        let shown: Vec<_> = reading
            .parsed
            .findings
            .iter()
            .map(|f| format!("{} {} {}", f.check, f.resource, f.outcome))
            .collect();
        assert_eq!(
            shown,
            [
                "trivy:vulnerability-scan a/Deployment/api#api:1 pass",
                "trivy:vulnerability-low a/Deployment/api#api:1 fail",
                "trivy:vulnerability-scan a/Deployment/api#api:1, usr/bin/api pass",
                "trivy:KSV-0020 a/Deployment/api fail",
            ]
        );
        assert_eq!(reading.parsed.clusters.first().unwrap(), "prod");
        assert_eq!(&*reading.parsed.findings[3].raw_check, "KSV020");
        assert_eq!(
            &*reading.parsed.findings[3].locator,
            "/Resources/1/Results/0/Misconfigurations/0"
        );
    }

    #[test]
    fn a_resource_that_could_not_be_scanned_weakens_and_is_named() {
        let parsed = read(
            br#"{"ClusterName":"","Resources":[{"Namespace":"a","Kind":"Pod","Name":"p","Error":"scan error: no access\n\t* and more"}]}"#,
            "",
        )
        .unwrap()
        .parsed;
        assert!(parsed.notes[0].weakens);
        assert_eq!(parsed.notes[0].text, "a/Pod/p could not be scanned: scan error: no access");
        assert_eq!(&*parsed.notes[0].locator, "/Resources/0/Error");
    }

    #[test]
    fn the_summary_and_the_split_form_are_read() {
        for text in [
            r#"{"SchemaVersion":0,"ClusterName":"c","Findings":[{"Kind":"Pod","Name":"p","Results":[{"Class":"config","Misconfigurations":[{"AVDID":"AVD-KSV-0001","Status":"FAIL"}]}]}]}"#,
            r#"{"ClusterName":"c","Vulnerabilities":[],"Misconfigurations":[{"Kind":"Pod","Name":"p","Results":[{"Target":"Pod/p","Class":"config","Misconfigurations":[{"ID":"KSV001"}]}]}]}"#,
        ] {
            let reading = read(text.as_bytes(), "").unwrap();
            assert_eq!(reading.formats, ["trivy-k8s"]);
            let finding = &reading.parsed.findings[0];
            assert_eq!(finding.check.as_str(), "trivy:KSV-0001");
            assert_eq!(finding.outcome, Outcome::Fail);
            assert_eq!(finding.resource.to_string(), "Pod/p");
        }
    }

    #[test]
    fn an_empty_report_is_no_evidence() {
        let parsed = read(br#"{"ClusterName":"c","Resources":null}"#, "").unwrap().parsed;
        assert!(parsed.findings.is_empty() && parsed.notes[0].weakens);
    }

    #[test]
    fn look_alikes_do_not_match() {
        for text in [
            r#"{"ClusterName":"c","Resources":[{"kind":"Pod"}]}"#,
            r#"{"ClusterName":"c","Findings":[{"Id":"1"}]}"#,
            r#"{"Resources":[{"Kind":"Pod","Name":"p","Results":[]}]}"#,
        ] {
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }

    #[test]
    fn metadata_is_a_list_or_one_object() {
        let text = |metadata: &str| {
            format!(
                r#"{{"ClusterName":"c","Resources":[{{"Kind":"Pod","Name":"p","Metadata":{metadata},"Results":[{{"Target":"usr/bin/app","Class":"lang-pkgs"}}]}}]}}"#
            )
        };
        for metadata in [r#"{"RepoTags":["app:1"]}"#, r#"[{"RepoTags":["app:1"]}]"#] {
            let parsed = crate::scanner::read(text(metadata).as_bytes(), "").unwrap().parsed;
            assert_eq!(parsed.findings[0].resource.to_string(), "Pod/p#app:1, usr/bin/app");
            assert!(parsed.notes.is_empty(), "{:?}", parsed.notes);
        }
    }

    #[test]
    fn a_cluster_without_resources_weakens() {
        let parsed = crate::scanner::read(br#"{"ClusterName":"c"}"#, "").unwrap().parsed;
        assert!(parsed.findings.is_empty() && parsed.notes[0].weakens);
    }
}
