//! Raw scanner output → [`Finding`]s. One file per format.
//!
//! To add a format: one file here that implements [`Scanner`], one line in [`SCANNERS`], fixtures
//! under `tests/fixtures/<id>/`. Detection goes by content, never by file name.
//!
//! A parser reports what the scanner said. It never turns the absence of a result into a pass.

pub mod affidavit;
mod audit_log;
mod checkov;
mod compliance_operator;
mod dockle;
mod document;
mod events;
mod exact;
mod falco;
pub mod fleet;
mod grype;
mod ids;
mod kube_bench;
mod kube_linter;
mod kube_object;
mod kubeaudit;
mod kubescape;
mod lenient;
mod openscap;
mod polaris;
mod policy_report;
mod probe;
mod prowler;
mod sarif;
mod text;
mod trivy;
mod trivy_compliance;
mod trivy_k8s;
mod trivy_operator;
mod trivy_result;
mod trivy_scope;
mod yaml;

pub use document::{Document, ReadError, Syntax, decode};
use document::{misplaced, without_preface};
pub use ids::aqua_id;
pub use probe::Probe;

use text::shown;

use std::collections::BTreeSet;

use crate::finding::{Finding, Outcome, Parsed};
use lenient::Oddities;

/// A reader of one scanner's output format.
pub trait Scanner: Sync {
    /// Name of the format (`trivy-k8s`), and name of its fixture folder.
    fn id(&self) -> &'static str;

    /// Prefix of the [`CheckId`](crate::finding::CheckId)s this reader yields (`trivy`).
    /// Several formats may share one.
    fn prefix(&self) -> &'static str;

    /// Is this document in this format? Decided from keys and `apiVersion`/`kind` only.
    fn recognizes(&self, probe: &Probe) -> bool;

    /// Keys that the top object of a report has, or a Kubernetes object besides `apiVersion`, `kind` and
    /// `metadata`, whether they are read or not: any other is named in a note, since what a scanner
    /// adds may say that it saw less. `None` where reports have keys of their own, or the reader
    /// refuses what it does not know.
    fn top_keys(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Does this scanner write into every report when it looked?
    fn is_dated(&self) -> bool {
        false
    }

    /// Reads the document into `parsed`. An unknown status word becomes [`Outcome::Error`] with the
    /// word in the message; it is never dropped.
    ///
    /// # Errors
    /// [`ReadError`] when the document has another shape than the format's.
    ///
    /// [`Outcome::Error`]: crate::finding::Outcome::Error
    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError>;
}

/// Every format, in alphabetical order of id.
pub const SCANNERS: &[&dyn Scanner] = &[
    &affidavit::Affidavit,
    &audit_log::AuditLog,
    &checkov::Checkov,
    &compliance_operator::ComplianceOperator,
    &dockle::Dockle,
    &falco::Falco,
    &fleet::Fleet,
    &grype::Grype,
    &kube_bench::KubeBench,
    &kube_linter::KubeLinter,
    &kubeaudit::Kubeaudit,
    &kubescape::Kubescape,
    &openscap::OpenScap,
    &polaris::Polaris,
    &policy_report::PolicyReport,
    &prowler::Prowler,
    &sarif::Sarif,
    &trivy::Trivy,
    &trivy_compliance::TrivyCompliance,
    &trivy_k8s::TrivyK8s,
    &trivy_operator::TrivyOperator,
];

/// Keys that every Kubernetes object has.
const OBJECT_KEYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Largest input that is read, in bytes: far above any single scanner report, far below what would
/// endanger the machine.
pub const MAX_INPUT_BYTES: usize = 512 << 20;

/// What [`read`] found in one input.
#[derive(Debug)]
pub struct Reading {
    /// Ids of the formats found, in order of first appearance.
    pub formats: Vec<&'static str>,
    /// The content.
    pub parsed: Parsed,
}

/// The scanners that recognise a document. More than one only for a list of Kubernetes objects of
/// several kinds; each then reads its own kinds.
#[must_use]
pub fn detect(probe: &Probe) -> Vec<&'static dyn Scanner> {
    SCANNERS.iter().copied().filter(|scanner| scanner.recognizes(probe)).collect()
}

/// Does the scanner of a format write into every report when it looked?
#[must_use]
pub fn is_dated(format: &str) -> bool {
    SCANNERS.iter().any(|scanner| scanner.id() == format && scanner.is_dated())
}

/// Reads one input: decodes, splits into documents, detects each one's format and parses it.
/// `subject` names what the file is about where the format itself does not (the node of a
/// kube-bench file).
///
/// # Errors
/// [`ReadError`]: empty, too large, not text, not parseable, or of no known format. The whole input
/// fails: half an input is not evidence of anything.
pub fn read(bytes: &[u8], subject: &str) -> Result<Reading, ReadError> {
    let text = decode(bytes)?;
    if let Some(syntax) = foreign_syntax(&text) {
        let (place, looks_like) = ("line 1".to_owned(), syntax.to_owned());
        return Err(ReadError::Unrecognised { place, looks_like });
    }
    if let Some(error) = misplaced(&text) {
        return Err(error);
    }
    let (text, preface) = without_preface(text);
    let mut reading = Reading { formats: Vec::new(), parsed: Parsed::default() };
    for document in Document::split(&text, subject)? {
        reading.read(&document)?;
    }
    if preface > 0 {
        let noun = if preface == 1 { "line" } else { "lines" };
        let text =
            format!("{preface} {noun} before the report, as a program prints them, are not read");
        reading.parsed.note("", text);
    }
    Ok(reading)
}

impl Reading {
    /// Reads an element of an array of reports. An empty list beside others is a cluster's answer.
    fn read_element(&mut self, report: &Document<'_>) -> Result<(), ReadError> {
        if report.probe().list.is_some_and(|list| list.is_empty) {
            let text = "an empty list of Kubernetes objects";
            self.parsed.note(report.locator(""), text);
            return Ok(());
        }
        self.read(report)
    }

    fn read(&mut self, document: &Document<'_>) -> Result<(), ReadError> {
        let scanners = detect(document.probe());
        if let Some(reports) = reports_in_array(document, &scanners) {
            return reports.iter().try_for_each(|report| self.read_element(report));
        }
        if scanners.is_empty() {
            return Err(ReadError::Unrecognised {
                place: document.place(),
                looks_like: document.probe().describe(),
            });
        }
        let before = self.parsed.findings.len();
        let mut oddities = Oddities::default();
        for scanner in &scanners {
            if !self.formats.contains(&scanner.id()) {
                self.formats.push(scanner.id());
            }
            let known = self.parsed.taken_at.take();
            scanner.parse(document, &mut self.parsed)?;
            if self.parsed.taken_at.is_none() && scanner.is_dated() {
                self.parsed.undated.push(document.locator(""));
            }
            if let Some(known) = known {
                self.parsed.saw_time(known);
            }
            oddities.unite(document.take_oddities());
        }
        oddities.tell(&mut self.parsed);
        doubt_unnamed(&mut self.parsed, before);
        note_unread(document, &mut self.parsed);
        note_unknown_keys(document, &scanners, &mut self.parsed);
        if let Some(why) = document.open_end() {
            let text = format!(
                "nothing shows that this YAML is whole: {why} (JSON, or a line `...` at the end, does)"
            );
            self.parsed.shortfall(document.locator(""), text);
        }
        Ok(())
    }
}

/// The reports in an array of reports, such as `jq -s` writes; `None` for an array that is one report by
/// itself, whose `scanners` know all of it.
fn reports_in_array<'a>(
    document: &Document<'a>,
    scanners: &[&'static dyn Scanner],
) -> Option<Vec<Document<'a>>> {
    let reports = document.elements();
    let mut is_array_of_reports = false;
    for report in &reports {
        let alone = detect(report.probe());
        let is_known = |scanner: &&dyn Scanner| scanners.iter().any(|s| s.id() == scanner.id());
        let is_known_list = !alone.is_empty() || !scanners.is_empty();
        let is_list = report.probe().list.is_some() && is_known_list;
        is_array_of_reports |= report.probe().is_array || is_list || !alone.iter().all(is_known);
    }
    is_array_of_reports.then_some(reports)
}

/// Syntaxes of reports that no format here is written in.
fn foreign_syntax(text: &str) -> Option<&'static str> {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let starts = |tag: &str| first.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag));
    let is_csv =
        |separator| first.matches(separator).count() > 3 && !first.contains([':', '{', '[']);
    if starts("<!doctype html") || starts("<html") {
        Some("HTML")
    } else if is_csv(';') || is_csv(',') {
        Some("CSV")
    } else {
        None
    }
}

/// Every reader calls a check `unnamed` of which a result does not name the id. Nothing passes by it.
fn doubt_unnamed(parsed: &mut Parsed, before: usize) {
    let new = parsed.findings.get_mut(before..).unwrap_or_default();
    let is_unnamed = |finding: &&mut Finding| {
        finding.check.local().rsplit([':', '/']).next().is_some_and(|id| id == "unnamed")
    };
    let (mut count, mut first) = (0, None);
    for finding in new.iter_mut().filter(is_unnamed) {
        count += 1;
        first.get_or_insert_with(|| finding.locator.clone());
        if finding.outcome == Outcome::Pass {
            finding.outcome = Outcome::Error;
            finding.message = "passed, but no check is named".into();
        }
    }
    if let Some(first) = first {
        let results = if count == 1 { "result names" } else { "results name" };
        let text = format!("{count} {results} no check, the first at `{first}`");
        parsed.shortfall(first, text);
    }
}

/// The scanners that read Kubernetes objects of a kind.
fn readers_of(identity: &(String, String)) -> Vec<&'static dyn Scanner> {
    let objects = [(identity.clone(), BTreeSet::new())].into();
    detect(&Probe { is_array: true, objects, ..Probe::default() })
}

/// Names the kinds of a list of Kubernetes objects that no scanner reads, so that they are not
/// passed over in silence.
fn note_unread(document: &Document<'_>, parsed: &mut Parsed) {
    let objects = document.probe().objects.keys();
    let unread: Vec<String> = objects
        .filter(|identity| readers_of(identity).is_empty())
        .map(|(api, kind)| format!("{api} {kind}"))
        .collect();
    if !unread.is_empty() {
        let text = format!("not read, since they are no scanner reports: {}", unread.join(", "));
        let may_hold_reports = unread.iter().any(|kind| kind.ends_with("List"));
        let locator = document.locator("");
        if may_hold_reports {
            parsed.shortfall(locator, text);
        } else {
            parsed.note(locator, text);
        }
    }
}

/// Names the keys at the top of a report, or of Kubernetes objects, that its format is not known to have.
fn note_unknown_keys(
    document: &Document<'_>,
    scanners: &[&'static dyn Scanner],
    parsed: &mut Parsed,
) {
    let probe = document.probe();
    let mut unknown: BTreeSet<&str> = BTreeSet::new();
    if probe.objects.is_empty() {
        unknown.extend(unknown_keys(&probe.keys, scanners, &[]));
    }
    if probe.list.is_some() {
        let known = |key: &str| OBJECT_KEYS.contains(&key) || key == "items";
        unknown.extend(probe.keys.iter().map(String::as_str).filter(|key| !known(key)));
    }
    for (identity, keys) in &probe.objects {
        unknown.extend(unknown_keys(keys, &readers_of(identity), &OBJECT_KEYS));
    }
    if unknown.is_empty() {
        return;
    }
    let named: Vec<_> = unknown.iter().take(8).map(|key| format!("`{}`", shown(key, 64))).collect();
    let more = match unknown.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let noun = if unknown.len() == 1 { "key" } else { "keys" };
    let text = format!(
        "not read, since this format is not known to have the {noun}: {}{more}",
        named.join(", ")
    );
    parsed.note(document.locator(""), text);
}

/// Of `keys`, those that no reader knows; none where there is no reader, or one whose reports have keys
/// of their own.
fn unknown_keys<'p>(
    keys: &'p BTreeSet<String>,
    readers: &[&'static dyn Scanner],
    also_known: &[&str],
) -> Vec<&'p str> {
    let lists: Option<Vec<_>> = readers.iter().map(|reader| reader.top_keys()).collect();
    let Some(lists) = lists.filter(|lists| !lists.is_empty()) else { return Vec::new() };
    let is_known =
        |key: &str| also_known.contains(&key) || lists.iter().any(|keys| keys.contains(&key));
    keys.iter().map(String::as_str).filter(|key| !is_known(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_stand_in_alphabetical_order() {
        let ids: Vec<_> = SCANNERS.iter().map(|scanner| scanner.id()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn other_report_syntaxes_are_called_by_their_names() {
        for (text, name) in [
            ("<?xml version=\"1.0\"?><testsuites/>", "(XML, root element `testsuites`)"),
            ("<!DOCTYPE html><html></html>", "(HTML)"),
            ("ID;STATUS;CHECK;RESOURCE;TIME\n1;PASS;a;b;c\n", "(CSV)"),
            (r#"{"Findings":[{"SchemaVersion":"2018-10-08","Id":"x"}]}"#, "(ASFF"),
            (r#"{"apiVersion":"v1","kind":"List","items":[]}"#, "(an empty list of Kubernetes"),
            ("apiVersion: v1\nkind: ConfigMap\ndata: {}\n", "v1 ConfigMap"),
        ] {
            let error = read(text.as_bytes(), "").unwrap_err().to_string();
            assert!(error.starts_with("line 1: ") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_a_program_prints_before_a_report_is_passed_over_and_counted() {
        let yaml = "apiVersion: openreports.io/v1alpha1\nkind: Report\nresults: []\n";
        let json = r#"{"Controls":[],"Totals":{}}"#;
        for (preface, report, lines) in [
            ("Warning: a: b\nWarning: c\n", yaml, "2 lines"),
            (
                "\nApplying 5 policy rule(s) to 8 resource(s)...\n-----\nPOLICY REPORT:\n-----\n",
                yaml,
                "5 lines",
            ),
            (
                "W1125 10:00:01.566933   17118 util.go:96] \nUnable to detect:\n\t- kube-apiserver\n\n",
                json,
                "4 lines",
            ),
            ("[INFO] starting\n[2026-11-25 10:00:00] could not read /etc\n", json, "2 lines"),
            ("I1125 10:00:00.000000       1 util.go:483] {\"a\":1}\n", json, "1 line"),
        ] {
            let notes = read(format!("{preface}{report}").as_bytes(), "").unwrap().parsed.notes;
            assert!(notes.iter().any(|note| note.text.starts_with(lines)), "{notes:?}");
        }
        let text = format!("Warning: a: b\nWarning: c\n{yaml}");
        let error = read(format!("{text}x: [\n").as_bytes(), "").unwrap_err().to_string();
        assert!(error.starts_with("line 7") || error.starts_with("line 6"), "{error}");
        // The end of another report is no preface.
        for cut in ["other: a: b\n", "  \"status\": \"FAIL\"}\n", "}\n", "]\n", "- kind: x\n"] {
            assert!(read(format!("{cut}{yaml}").as_bytes(), "").is_err(), "{cut}");
            assert!(read(format!("{cut}{json}").as_bytes(), "").is_err(), "{cut}");
        }
    }

    #[test]
    fn text_that_is_no_report_is_called_by_its_name() {
        let report = "{\n\"Controls\":[],\"Totals\":{}}\n";
        let prefixed = |prefix: &str| -> String {
            let lines: Vec<String> =
                report.lines().map(|line| format!("{prefix} {line}")).collect();
            lines.join("\n")
        };
        for (text, what) in [
            ("[INFO] 4 Worker Nodes\n[PASS] 4.1.1 x\n".to_owned(), "kube-bench's text output"),
            ("Error from server (Forbidden): x is forbidden\n".to_owned(), "an error message"),
            (format!("```json\n{report}```\n"), "a Markdown code block"),
            (prefixed("2026-11-25T10:00:00.123456789Z"), "a log with a prefix"),
            (prefixed("[pod/kube-bench-x/kube-bench]"), "a log with a prefix"),
            ("starting\n<?xml version=\"1.0\"?><a/>\n".to_owned(), "XML with other lines"),
        ] {
            let error = read(text.as_bytes(), "").unwrap_err();
            assert!(error.to_string().starts_with(&format!("the file is {what}")), "{error}");
            assert!(!error.help().is_empty());
        }
        // A part of a report is no line of a log.
        for text in [
            format!("[1] x {report}"),
            format!("[\"a\" {{}}]\n{report}"),
            format!("[]\nx\n{report}"),
        ] {
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }

    #[test]
    fn other_kinds_of_files_are_called_by_their_names() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, what) in [
            (&[0x1F, 0x8B, 8, 0][..], "the file is compressed (gzip)"),
            (b"PK\x03\x04x", "the file is a zip archive"),
            (b"%PDF-1.7", "the file is a PDF"),
            (b"\x89PNG\r\n", "the file is a picture (PNG)"),
            (&[0x5D, 0, 0, 0x80, 0], "the file is compressed (lzma)"),
            (b"{\0\0\0\"\0\0\0", "the file is text in UTF-32"),
            (b"\0\0\0\0\0{}", "the file is damaged (it begins with NUL bytes)"),
            (&tar, "the file is a tar archive"),
        ] {
            let error = read(bytes, "").unwrap_err();
            assert!(error.to_string().starts_with(what) && !error.help().is_empty(), "{error}");
        }
        let report = r#"{"Controls":[],"Totals":{}}"#;
        for unit in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = report.encode_utf16().flat_map(unit).collect();
            assert_eq!(read(&bytes, "").unwrap().formats, ["kube-bench"]);
        }
        assert!(read(format!("{report}\n\0\0").as_bytes(), "").is_ok());
        // The place is that of the file, also where several values share a line.
        let error =
            read(br#"[{"version":"x","node_type":"node","tests":[]}]{"a" 1}"#, "").unwrap_err();
        assert!(error.to_string().starts_with("line 1, column 5"), "{error}");
    }

    #[test]
    fn lists_of_objects_say_what_they_lack() {
        let report = r#"{"apiVersion":"openreports.io/v1alpha1","kind":"Report","results":[{"policy":"p","result":"pass"}]}"#;
        let untyped = r#"{"results":[{"policy":"p","result":"pass"}]}"#;
        let list = |fields: &str, items: &str| {
            format!(
                r#"{{"apiVersion":"openreports.io/v1alpha1","kind":"ReportList"{fields},"items":[{items}]}}"#
            )
        };
        for (text, says, weakens) in [
            (list("", report), "", false),
            (list(r#","metadata":{"resourceVersion":"","continue":""}"#, report), "", false),
            (list(r#","metadata":{"continue":"x"}"#, report), "one page", true),
            (list(r#","metadata":{"remainingItemCount":7}"#, report), "7 items", true),
            (list(r#","partial":true"#, report), "`partial`", false),
            (list("", &format!("{untyped},{{}}")), "an empty object", true),
            (list("", &format!("{report},null")), "no object", true),
            (list("", &format!(r#"{report},"x",7,[]"#)), "no object", true),
            (list("", report).replace(r#""ReportList""#, "null"), "", false),
            (list("", &format!("{report},{}", list("", report))), "ReportList", true),
            // As `jq -s` writes them.
            (format!("[{},{}]", list("", report), list("", "")), "an empty list", false),
            (format!("[{report},{}]", list("", "")), "", false),
        ] {
            let parsed = read(text.as_bytes(), "").unwrap_or_else(|e| panic!("{text}: {e}")).parsed;
            assert_eq!(parsed.count(Outcome::Pass), 1, "{text}");
            let notes = parsed.notes.iter();
            assert!(
                notes.clone().any(|note| note.text.contains(says)) || says.is_empty(),
                "{text} {notes:?}"
            );
            assert_eq!(notes.clone().any(|note| note.weakens), weakens, "{text} {notes:?}");
        }
        let plain =
            |items: &str| format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#);
        for (text, says) in [
            (plain(""), "an empty list of Kubernetes objects"),
            (plain(untyped), "that do not say their kind"),
            (plain(&plain(report)), "a list of lists"),
        ] {
            let error = read(text.as_bytes(), "").unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_summary_that_is_null_does_not_hide_what_the_report_is() {
        for (text, format) in [
            (
                r#"{"summary":null,"details":[{"code":"CIS-DI-0001","level":"WARN","alerts":["a"]}]}"#,
                "dockle",
            ),
            (
                r#"{"Checks":[{"name":"a"}],"Reports":[{"Check":"a"}],"Summary":null}"#,
                "kube-linter",
            ),
            (
                r#"{"summaryDetails":null,"results":[{"resourceID":"a","controls":[{"controlID":"C-0001","status":{"status":"failed"}}]}]}"#,
                "kubescape",
            ),
        ] {
            let reading = read(text.as_bytes(), "").unwrap();
            assert_eq!(reading.formats, [format]);
            let notes = &reading.parsed.notes;
            assert!(
                notes
                    .iter()
                    .any(|note| note.weakens && note.text.to_lowercase().contains("summary")),
                "{notes:?}"
            );
            assert_eq!(reading.parsed.count(Outcome::Fail), 1);
        }
    }

    #[test]
    fn an_array_of_reports_is_read_report_by_report() {
        let kube_bench = r#"{"Controls":[{"version":"cis-1.12","node_type":"node","tests":[{"section":"4.1","results":[{"test_number":"4.1.1","status":"FAIL"}]}]}],"Totals":{}}"#;
        let kubescape = r#"{"summaryDetails":{"controls":{}},"results":[],"resources":[]}"#;
        let polaris = r#"{"PolarisOutputVersion":"1.0","Results":[]}"#;
        let policy = r#"{"apiVersion":"openreports.io/v1alpha1","kind":"Report","results":[{"policy":"p","result":"fail"}]}"#;
        let read = |text: &str| super::read(text.as_bytes(), "n").unwrap();
        let alone = read(kube_bench).parsed.findings;
        for (text, formats, prefix) in [
            (format!("[{kube_bench}]"), &["kube-bench"][..], "/0"),
            (format!("[{kubescape},{kube_bench}]"), &["kubescape", "kube-bench"], "/1"),
            (format!("[\n{polaris},{kube_bench}]"), &["polaris", "kube-bench"], "/1"),
            (format!("[[{kube_bench}],{policy}]"), &["kube-bench", "policy-report"], "/0/0"),
            // Kubernetes objects beside another report.
            (format!("[{policy},{kube_bench}]"), &["policy-report", "kube-bench"], "/1"),
            (format!("{polaris}[{polaris},{kube_bench}]"), &["polaris", "kube-bench"], "1#/1"),
        ] {
            let reading = read(&text);
            assert_eq!(reading.formats, formats, "{text}");
            let is_of_kube_bench = |f: &&Finding| f.check.as_str().starts_with("kube-bench");
            let found: Vec<_> = reading.parsed.findings.iter().filter(is_of_kube_bench).collect();
            assert_eq!(found.len(), alone.len(), "{text}");
            for (found, alone) in found.iter().zip(&alone) {
                assert_eq!(*found.locator, format!("{prefix}{}", alone.locator));
                assert_eq!((found.outcome, &found.check), (alone.outcome, &alone.check));
            }
        }
        // Nothing in it is passed over.
        for other in [r#"{"x":1}"#, "null", "3", "[]"] {
            let text = format!("[\n{kubescape},\n{other}]");
            let error = super::read(text.as_bytes(), "").unwrap_err().to_string();
            assert!(error.starts_with("line 3, /1: no known scanner format"), "{error}");
        }
        // The place of an error is that of the file.
        let wrong = r#"{"PolarisOutputVersion":"2.0","Results":[]}"#;
        let text = format!("{polaris} [{polaris},{wrong}]");
        let error = super::read(text.as_bytes(), "").unwrap_err().to_string();
        assert!(error.starts_with("document 2 at line 1, /1/PolarisOutputVersion"), "{error}");
    }

    #[test]
    fn one_element_is_enough_to_know_a_format_by() {
        for (text, format) in [
            (
                r#"{"ClusterName":"c","Resources":[{"Namespace":"a","Kind":"Pod","Name":"a"},{"Kind":"Pod","Name":"b","Results":[]}]}"#,
                "trivy-k8s",
            ),
            (
                r#"{"ClusterName":"c","Resources":[{"Kind":"Pod","Name":"a","Metadata":{"ImageID":"x"}}]}"#,
                "trivy-k8s",
            ),
            (r#"{"clusterName":"c","summaryDetails":{"controls":{}}}"#, "kubescape"),
            (r#"{"Controls":[{"id":"1"},{"id":"2","node_type":"node"}]}"#, "kube-bench"),
            (
                r#"[{"class_uid":2004,"message":"x"},{"class_uid":2004,"metadata":{"event_code":"x"}}]"#,
                "prowler",
            ),
            (
                r#"{"apiVersion":"v1","kind":"List","items":[{},{"apiVersion":"wgpolicyk8s.io/v1alpha2","kind":"PolicyReport"}]}"#,
                "policy-report",
            ),
            (
                r#"{"apiVersion":"wgpolicyk8s.io/v1alpha2","kind":"PolicyReportList","items":[{"metadata":{}}]}"#,
                "policy-report",
            ),
            (
                r#"{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"ConfigAuditReportList","items":[{"report":{}}]}"#,
                "trivy-operator",
            ),
            (
                r#"{"apiVersion":"audit.k8s.io/v1","kind":"EventList","items":[{"auditID":"x"}]}"#,
                "audit-log",
            ),
        ] {
            match read(text.as_bytes(), "") {
                Ok(reading) => assert_eq!(reading.formats, [format], "{text}"),
                // Known, and refused for what it lacks.
                Err(ReadError::Unrecognised { .. }) => panic!("{text}"),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn yaml_without_an_end_is_no_whole_report() {
        let result = "results:\n- policy: p\n  result: pass\n";
        let head = "apiVersion: openreports.io/v1alpha1\nkind: Report\n";
        let is_weak = |text: String| {
            let notes = read(text.as_bytes(), "").unwrap().parsed.notes;
            notes.iter().any(|note| note.weakens)
        };
        assert!(is_weak(format!("{head}{result}")));
        assert!(is_weak(format!("{head}summary: {{pass: 1}}\n{result}")));
        assert!(is_weak(format!("{head}{result}source: x\n")));
        assert!(is_weak(format!("{head}{result}summary:\n  pass: 1\n")));
        assert!(!is_weak(format!("{head}{result}summary: {{pass: 1, warn: 0}}\n")));
        assert!(!is_weak(format!("{head}{result}...\n")));
        assert!(!is_weak(format!(
            "{head}summary: {{pass: 1, warn: 0}}\nresults: [{{policy: p, result: pass}}]\n"
        )));
    }

    #[test]
    fn kinds_that_nobody_reads_are_named() {
        let reading = read(
            br#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod"},{"apiVersion":"openreports.io/v1alpha1","kind":"Report","results":[]}]}"#,
            "",
        )
        .unwrap();
        assert!(reading.parsed.notes[0].text.ends_with("v1 Pod"), "{:?}", reading.parsed.notes);
    }

    #[test]
    fn what_nobody_knows_is_refused_with_its_keys() {
        let error = read(br#"{"scanID":"x","scannedAt":"y"}"#, "").unwrap_err();
        assert!(error.to_string().contains("scanID"), "{error}");
    }
}
