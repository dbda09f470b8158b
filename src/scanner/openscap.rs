//! XCCDF results (NIST IR 7275, XCCDF 1.1 and 1.2): a `TestResult`, a `Benchmark` with one inside, an
//! ARF collection, or the `ConfigMap` in which the Compliance Operator keeps a node's, plain or
//! as base64 of bzip2.
//!
//! The rules are `ComplianceAsCode`'s, the same that `ComplianceCheckResult`s are about, so checks
//! carry the same prefix. Texts of rules stay in the input.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use roxmltree::Node;
use serde::Deserialize;

use super::compliance_operator::{PREFIX, RULE_PREFIX};
use super::document::parse_xml;
use super::kube_object::{self, Metadata, Object, null_as_default};
use super::text::{Text, clean, earliest_instant};
use super::{Document, MAX_INPUT_BYTES, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct OpenScap;

const XCCDF: [&str; 2] =
    ["http://checklists.nist.gov/xccdf/1.2", "http://checklists.nist.gov/xccdf/1.1"];
const ARF: &str = "http://scap.nist.gov/schema/asset-reporting-format/1.1";
const NODE: &str = "openscap-scan-result/node";
/// The label that names the scan, and what it was called at first.
const SCAN: [&str; 2] = ["compliance.openshift.io/scan-name", "compliance-scan"];

impl Scanner for OpenScap {
    fn id(&self) -> &'static str {
        "openscap"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        let is_result = |(namespace, name): &(String, String)| match name.as_str() {
            "TestResult" | "Benchmark" => XCCDF.contains(&namespace.as_str()),
            "asset-report-collection" => namespace == ARF,
            _ => false,
        };
        probe.root_element.as_ref().is_some_and(is_result)
            || probe.objects.keys().any(|(api, kind)| api == "v1" && kind == "ConfigMap")
                && (probe.child_has("data", "results")
                    || probe.child_has("data", "exit-code")
                    || probe.has("items")
                    || probe.is_array)
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&["data", "binaryData", "immutable"])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        if document.probe().root_element.is_none() {
            return parse_config_maps(document, parsed);
        }
        let tree = document.xml()?;
        let found = read_tree(tree.root_element(), None, &|path| document.locator(path), parsed);
        if found == 0 {
            return Err(document.error("", "it holds no TestResult: a benchmark, not a scan"));
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigMap<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Metadata,
    #[serde(deserialize_with = "null_as_default")]
    data: Data<'a>,
}

impl<'a> Object<'a> for ConfigMap<'a> {
    fn is_ours(api: &str, kind: &str) -> bool {
        api == "v1" && kind == "ConfigMap"
    }

    fn identity(&mut self) -> [&mut Text<'a>; 2] {
        [&mut self.api_version, &mut self.kind]
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Data<'a> {
    #[serde(borrow)]
    results: Text<'a>,
    exit_code: Text<'a>,
    error_msg: Text<'a>,
}

fn parse_config_maps(document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
    let (mut read, mut others) = (0, 0);
    for (pointer, map) in kube_object::read::<ConfigMap<'_>>(document)? {
        if map.data.results.is_empty() && map.data.exit_code.is_empty() {
            others += 1;
            continue;
        }
        map.read(document, &pointer, parsed)?;
        read += 1;
    }
    if read == 0 && document.probe().objects.len() == 1 {
        return Err(
            document.error("", "no object of kind ConfigMap holds a scan result in its `data`")
        );
    }
    if others > 0 {
        let text =
            format!("{others} objects of kind ConfigMap hold no scan result and are not read");
        parsed.note(document.locator(""), text);
    }
    Ok(())
}

impl ConfigMap<'_> {
    fn read(
        &self,
        document: &Document<'_>,
        pointer: &str,
        parsed: &mut Parsed,
    ) -> Result<(), ReadError> {
        let place = format!("{pointer}/data/results");
        let raw = self.data.results.trim();
        if raw.is_empty() {
            let why = clean(&self.data.error_msg);
            let text =
                format!("the scan ended with code {} and no result: {why}", &*self.data.exit_code);
            parsed.shortfall(document.locator(&format!("{pointer}/data")), text);
            return Ok(());
        }
        let inside = |error: &str| document.error(&place, error);
        // An annotation says which it is, but not in every version of the operator.
        let text: Cow<'_, str> = if raw.starts_with('<') {
            raw.into()
        } else {
            decompress(raw).map_err(|error| inside(&error))?.into()
        };
        let tree = parse_xml(&text).map_err(|error| inside(&error.to_string()))?;
        let about = self.about();
        let found =
            read_tree(tree.root_element(), Some(&about), &|_| document.locator(&place), parsed);
        if found == 0 {
            return Err(inside("it holds no TestResult"));
        }
        Ok(())
    }

    /// A scan of a node names it; a scan of the API is about the cluster.
    fn about(&self) -> ResourceRef {
        if let Some(node) = self.metadata.annotations.get(NODE).filter(|node| !node.is_empty()) {
            return ResourceRef::cluster_scoped("Node", node);
        }
        let scan = SCAN.iter().find_map(|label| self.metadata.labels.get(*label));
        let part = scan.cloned().unwrap_or_default();
        ResourceRef { part, ..ResourceRef::cluster_scoped("Cluster", "") }
    }
}

/// base64 of bzip2, as the operator writes it; never more than an input may have.
fn decompress(text: &str) -> Result<String, String> {
    let packed: String = text.split_whitespace().collect();
    let packed = BASE64_STANDARD.decode(packed).map_err(|error| format!("not base64: {error}"))?;
    let mut plain = String::new();
    let limit = u64::try_from(MAX_INPUT_BYTES).unwrap_or(u64::MAX);
    let mut unpacked = bzip2::read::BzDecoder::new(&*packed).take(limit + 1);
    unpacked.read_to_string(&mut plain).map_err(|error| format!("not bzip2 of text: {error}"))?;
    if plain.len() > MAX_INPUT_BYTES {
        return Err(format!("unpacked it has more than {MAX_INPUT_BYTES} bytes"));
    }
    Ok(plain)
}

fn is_xccdf(node: Node<'_, '_>, name: &str) -> bool {
    let tag = node.tag_name();
    tag.name() == name && tag.namespace().is_some_and(|namespace| XCCDF.contains(&namespace))
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let child = node.children().find(|child| is_xccdf(*child, name));
    child.and_then(|child| child.text()).unwrap_or_default().trim()
}

/// Reads every `TestResult` below `root` and returns how many there are.
fn read_tree(
    root: Node<'_, '_>,
    about: Option<&ResourceRef>,
    locator: &dyn Fn(&str) -> Box<str>,
    parsed: &mut Parsed,
) -> usize {
    let results = root.descendants().filter(|node| is_xccdf(*node, "TestResult"));
    let mut found = 0;
    for (index, result) in results.enumerate() {
        found += 1;
        let path = format!("//TestResult[{}]", index + 1);
        let place = |below: &str| locator(&format!("{path}{below}"));
        read_result(result, about, &place, parsed);
    }
    found
}

fn read_result(
    result: Node<'_, '_>,
    about: Option<&ResourceRef>,
    place: &dyn Fn(&str) -> Box<str>,
    parsed: &mut Parsed,
) {
    let fact = |name: &str| {
        let mut facts = result.descendants().filter(|node| is_xccdf(*node, "fact"));
        let found = facts.find(|node| node.attribute("name") == Some(name));
        found.and_then(|node| node.text()).unwrap_or_default().trim()
    };
    parsed.saw_tool("openscap", fact("urn:xccdf:fact:scanner:version"));
    let profile = result.children().find(|node| is_xccdf(*node, "profile"));
    let profile = profile.and_then(|node| node.attribute("idref")).unwrap_or_default();
    parsed.saw_rule_set(profile.rsplit("content_profile_").next().unwrap_or(profile));
    match result.attribute("end-time").map(|text| (text, earliest_instant(text))) {
        Some((text, Some(at))) => {
            parsed.saw_time(at);
            if text.parse::<jiff::Timestamp>().is_err() {
                let text = "its time names no zone and is taken as the earliest that it can mean";
                parsed.note(place(""), text);
            }
        }
        Some((text, None)) if !text.trim().is_empty() => {
            let text = format!("its `end-time` is no time: {}", clean(text));
            parsed.shortfall(place(""), text);
        }
        _ => parsed.shortfall(place(""), "the result states no end: the scan may have broken off"),
    }
    let target = child_text(result, "target");
    let node = if target.contains("://") { "" } else { target };
    let own = ResourceRef::cluster_scoped("Node", clean(node));
    let resource = Arc::new(about.cloned().unwrap_or(own));
    let mut unselected = 0;
    let rules = result.children().filter(|node| is_xccdf(*node, "rule-result"));
    for (index, rule) in rules.enumerate() {
        let count = rule.children().filter(|node| is_xccdf(*node, "result")).count();
        if count > 1 {
            let text = format!("the rule-result states {count} results");
            parsed.shortfall(place(&format!("/rule-result[{}]", index + 1)), text);
        }
        let Some((outcome, message)) = judge(rule) else {
            unselected += 1;
            continue;
        };
        let raw = rule.attribute("idref").unwrap_or_default();
        let local = match raw.strip_prefix(RULE_PREFIX).unwrap_or(raw) {
            "" => "unnamed",
            local => local,
        };
        let locator = place(&format!("/rule-result[{}]", index + 1));
        let check = CheckId::new(PREFIX, local);
        let mut finding = Finding::new(check, Arc::clone(&resource), outcome, locator);
        finding.severity = Severity::from_word(rule.attribute("severity").unwrap_or_default());
        finding.raw_check = if raw == local { "" } else { raw }.into();
        finding.message = message.into();
        parsed.findings.push(finding);
    }
    if unselected > 0 {
        let text = format!("{unselected} rules are not selected by the profile");
        parsed.note(place(""), text);
    }
}

/// The result types of NIST IR 7275, table 26; `None` for a rule that is no part of the scan.
fn judge(rule: Node<'_, '_>) -> Option<(Outcome, String)> {
    let overridden = rule.children().filter(|node| is_xccdf(*node, "override")).find_map(|node| {
        let by = node.attribute("authority").unwrap_or("nobody named");
        (child_text(node, "old-result") == "fail")
            .then(|| format!("overridden in the result by {}", clean(by)))
    });
    if let Some(message) = overridden {
        return Some((Outcome::Fail, message));
    }
    let results = rule.children().filter(|node| is_xccdf(*node, "result"));
    let results = results.map(|node| node.text().unwrap_or_default().trim());
    let judged = results.map(judge_word);
    // Of several, the worst.
    let worst = judged.reduce(|one, other| match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    });
    worst.unwrap_or_else(|| judge_word(""))
}

fn judge_word(word: &str) -> Option<(Outcome, String)> {
    let said = |text: &str| text.to_owned();
    Some(match word {
        "pass" => (Outcome::Pass, String::new()),
        "fail" => (Outcome::Fail, String::new()),
        "fixed" => (Outcome::Pass, said("it failed, and the scanner mended it")),
        "error" => (Outcome::Error, said("the check could not run")),
        "unknown" => (Outcome::Error, said("the scanner could not tell")),
        "notapplicable" => (Outcome::NotApplicable, String::new()),
        "notchecked" => (Outcome::NotChecked, said("no check engine looked")),
        "informational" => (Outcome::NotChecked, said("informational: no verdict")),
        "notselected" => return None,
        other => (Outcome::Error, format!("unknown result `{}`", clean(other))),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use crate::finding::{Finding, Outcome};
    use crate::scanner::read;

    fn result(rules: &str) -> String {
        format!(
            r#"<TestResult xmlns="http://checklists.nist.gov/xccdf/1.2" end-time="2026-01-02T03:04:05+00:00"><profile idref="xccdf_org.ssgproject.content_profile_cis"/><target>worker-1</target><target-facts><fact name="urn:xccdf:fact:scanner:version">1.3.10</fact></target-facts>{rules}</TestResult>"#
        )
    }

    fn rule(result: &str) -> String {
        format!(
            r#"<rule-result idref="xccdf_org.ssgproject.content_rule_no_root" severity="high"><result>{result}</result></rule-result>"#
        )
    }

    fn only(text: &str) -> Finding {
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["openscap"]);
        assert_eq!(reading.parsed.rule_sets, ["cis"]);
        assert!(reading.parsed.taken_at.is_some());
        reading.parsed.findings[0].clone()
    }

    #[test]
    fn result_types() {
        for (word, outcome) in [
            ("pass", Outcome::Pass),
            ("fixed", Outcome::Pass),
            ("fail", Outcome::Fail),
            ("error", Outcome::Error),
            ("unknown", Outcome::Error),
            ("notapplicable", Outcome::NotApplicable),
            ("notchecked", Outcome::NotChecked),
            ("informational", Outcome::NotChecked),
            ("strange", Outcome::Error),
        ] {
            assert_eq!(only(&result(&rule(word))).outcome, outcome, "{word}");
        }
        let parsed = read(result(&rule("notselected")).as_bytes(), "").unwrap().parsed;
        assert!(parsed.findings.is_empty() && parsed.notes[0].text.starts_with("1 rules"));
    }

    #[test]
    fn of_two_results_the_worst_counts() {
        for words in ["pass</result><result>fail", "fail</result><result>pass"] {
            let text = result(&rule(words));
            assert_eq!(only(&text).outcome, Outcome::Fail, "{words}");
            assert!(read(text.as_bytes(), "").unwrap().parsed.notes[0].weakens);
        }
    }

    #[test]
    fn odd_times_are_named() {
        let at = |end: &str| {
            let text = result(&rule("pass")).replace("2026-01-02T03:04:05+00:00", end);
            let parsed = read(text.as_bytes(), "").unwrap().parsed;
            let note = parsed.notes[0].clone();
            (parsed.taken_at.map(|at| at.to_string()), note.weakens, note.text)
        };
        let (time, weakens, _) = at("2026-01-02T14:00:00");
        assert_eq!((time.as_deref(), weakens), (Some("2026-01-02T00:00:00Z"), false));
        let (time, weakens, text) = at("yesterday");
        assert!(time.is_none() && weakens && text.contains("end-time"), "{text}");
        assert!(at("").1);
    }

    #[test]
    fn rules_are_those_of_the_compliance_operator() {
        let finding = only(&result(&rule("fail")));
        assert_eq!(finding.check.as_str(), "compliance-operator:no_root");
        assert_eq!(finding.resource.to_string(), "Node/worker-1");
        assert_eq!(&*finding.locator, "//TestResult[1]/rule-result[1]");
    }

    #[test]
    fn an_override_does_not_turn_a_failure_into_a_pass() {
        let text = result(
            r#"<rule-result idref="x"><result>pass</result><override time="2026-01-01T00:00:00Z" authority="Ann"><old-result>fail</old-result><new-result>pass</new-result><remark>r</remark></override></rule-result>"#,
        );
        let finding = only(&text);
        assert_eq!(finding.outcome, Outcome::Fail);
        assert_eq!(&*finding.message, "overridden in the result by Ann");
    }

    #[test]
    fn results_inside_benchmarks_and_collections_are_found() {
        let inner = result(&rule("pass"));
        let benchmark = format!(
            r#"<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">{inner}</Benchmark>"#
        );
        let arf = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><a:asset-report-collection xmlns:a="http://scap.nist.gov/schema/asset-reporting-format/1.1"><a:reports><a:report id="r"><a:content>{inner}</a:content></a:report></a:reports></a:asset-report-collection>"#
        );
        for text in [benchmark, arf] {
            assert_eq!(only(&text).outcome, Outcome::Pass);
        }
        let empty = r#"<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"/>"#;
        let error = read(empty.as_bytes(), "").unwrap_err().to_string();
        assert!(error.contains("no TestResult"), "{error}");
    }

    fn config_map(annotations: &str, results: &str) -> String {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "m",
                "labels": {"compliance.openshift.io/scan-name": "workers"},
                "annotations": serde_json::from_str::<serde_json::Value>(annotations).unwrap(),
            },
            "data": {"exit-code": "2", "results": results},
        })
        .to_string()
    }

    #[test]
    fn config_maps_hold_results_plain_and_packed() {
        let inner = result(&rule("fail"));
        let plain = only(&config_map("{}", &inner));
        assert_eq!(plain.resource.to_string(), "Cluster/#workers");
        assert_eq!(&*plain.locator, "/data/results");

        let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        packer.write_all(inner.as_bytes()).unwrap();
        let base64 = BASE64_STANDARD.encode(packer.finish().unwrap());
        let annotations =
            r#"{"openscap-scan-result/compressed":"","openscap-scan-result/node":"worker-1"}"#;
        let finding = only(&config_map(annotations, &base64));
        assert_eq!(finding.resource.to_string(), "Node/worker-1");

        let cut = config_map(annotations, &base64[..base64.len() / 2 / 4 * 4]);
        let error = read(cut.as_bytes(), "").unwrap_err().to_string();
        assert!(error.contains("/data/results: not bzip2"), "{error}");
    }

    #[test]
    fn a_scan_without_result_weakens_and_other_maps_are_named() {
        let text = r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","data":{"exit-code":"1","error-msg":"no content"}},{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"b"}}]}"#;
        let parsed = read(text.as_bytes(), "").unwrap().parsed;
        assert!(parsed.notes[0].weakens && parsed.notes[0].text.ends_with("no content"));
        assert!(parsed.notes[1].text.starts_with("1 objects"));
    }

    #[test]
    fn broken_xml_and_document_types_are_refused_with_their_place() {
        let whole = result(&rule("pass"));
        let error = read(&whole.as_bytes()[..whole.len() - 20], "").unwrap_err().to_string();
        assert!(error.starts_with("line 1, column "), "{error}");
        let bomb = format!(r#"<!DOCTYPE a [<!ENTITY x "y">]>{whole}"#);
        assert!(read(bomb.as_bytes(), "").is_err());
        let deep = "<a>".repeat(200_000);
        assert!(read(deep.as_bytes(), "").is_err());
    }
}
