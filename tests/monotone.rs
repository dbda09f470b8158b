//! "Taking data away never improves a status": whatever is missing, emptied or cut off of a declared
//! source, no control moves into satisfied, supported, waived or not-applicable, none becomes
//! not-satisfied that was not, and no score rises.
//!
//! The one exception is named in [`is_cut_between_documents`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use affidavit::assessment::Status;
use affidavit::evidence::digest::{Digest, Hasher};
use affidavit::finding::Outcome;
use affidavit::scanner::read;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::{
    Declared, MANY_YEARS, Report, Said, all_passes, attest_all, fixtures, judge, samples, statuses,
    waive_all,
};
use crate::tools;

/// Line ends tried per report. Those of longer reports are thinned out evenly; JSON reports, which
/// cannot stay valid when cut, further.
const MAX_YAML_CUTS: usize = 1_400;
const MAX_JSON_CUTS: usize = 120;

/// Documents that say nothing, in every format's own way.
const EMPTY: &[&str] = &[
    "",
    " \n\t\n",
    "\u{feff}",
    "{}",
    "[]",
    "null",
    "---\n",
    "# nothing\n",
    "{\"Controls\":[]}",
    "{\"Controls\":null,\"Totals\":{}}",
    "{\"Controls\":[],\"Totals\":{\"total_pass\":0,\"total_fail\":0,\"total_warn\":0,\"total_info\":0}}",
    "{\"Controls\":[{\"version\":\"cis-1.12\",\"node_type\":\"node\",\"tests\":[]}]}",
    "{\"ClusterName\":\"c\",\"Resources\":[]}",
    "{\"ClusterName\":\"c\",\"Resources\":null}",
    "{\"ClusterName\":\"c\",\"Findings\":[{\"Namespace\":\"n\",\"Kind\":\"Pod\",\"Name\":\"p\",\"Results\":[]}]}",
    "{\"SchemaVersion\":2,\"ArtifactName\":\"a\",\"ArtifactType\":\"container_image\"}",
    "{\"SchemaVersion\":2,\"ArtifactName\":\"a\",\"ArtifactType\":\"container_image\",\"Results\":[]}",
    "{\"ID\":\"x\",\"Title\":\"t\",\"RelatedResources\":[],\"Results\":[]}",
    "{\"ID\":\"x\",\"Title\":\"t\",\"SummaryControls\":[]}",
    "{\"summaryDetails\":{\"controls\":{}},\"results\":[]}",
    "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}",
    "apiVersion: openreports.io/v1alpha1\nkind: ClusterReport\n",
    "apiVersion: openreports.io/v1alpha1\nkind: ClusterReport\nresults: []\nsummary: {pass: 0}\n",
    "apiVersion: aquasecurity.github.io/v1alpha1\nkind: ConfigAuditReport\nreport: {checks: [], summary: {}}\n",
    "apiVersion: aquasecurity.github.io/v1alpha1\nkind: SbomReport\nreport: {}\n",
    "apiVersion: aquasecurity.github.io/v1alpha1\nkind: ClusterComplianceReport\nstatus: {}\n",
    "apiVersion: aquasecurity.github.io/v1alpha1\nkind: CISKubeBenchReport\nreport: {sections: []}\n",
];

/// What people say beside the scanners.
static SAID: LazyLock<Vec<Said>> = LazyLock::new(|| {
    let waivers = waive_all("W-1", "2027-12-31");
    let attested = |outcome| attest_all("A-1", outcome, "2026-12-01", "2027-12-31");
    vec![
        Said::default(),
        Said { waivers: waivers.clone(), attestations: attested("implemented") },
        Said { waivers, attestations: attested("not-applicable") },
    ]
});

type Statuses = BTreeMap<String, Status>;

/// Declared sources around the report under test.
struct World {
    name: String,
    sources: Vec<Declared>,
    /// Which source and which of its files is the report under test.
    target: (usize, usize),
    max_age: i64,
    /// Statuses with the whole report, per entry of [`SAID`].
    before: Vec<Statuses>,
}

impl World {
    fn new(name: String, sources: Vec<Declared>, target: (usize, usize), max_age: i64) -> Self {
        let before = judge_all(&sources, max_age);
        Self { name, sources, target, max_age, before }
    }

    /// Controls that stand better, or in another bad way, with these bytes in place of the report.
    fn with_bytes(&self, bytes: &[u8]) -> Vec<String> {
        let sources = self.changed(|source, file| source.files[file] = bytes.to_vec());
        self.worse_claims(&judge_all(&sources, self.max_age))
    }

    /// The same with nothing of the report left. Many reports leave the same behind: it is judged once.
    fn without_report(&self, change: impl FnOnce(&mut Declared, usize)) -> Vec<String> {
        let sources = self.changed(change);
        let key = (digest(&sources), self.max_age);
        let known = WITHOUT_REPORT.lock().unwrap().get(&key).cloned();
        let after = known.unwrap_or_else(|| {
            let judged = Arc::new(judge_all(&sources, self.max_age));
            WITHOUT_REPORT.lock().unwrap().insert(key, Arc::clone(&judged));
            judged
        });
        self.worse_claims(&after)
    }

    fn changed(&self, change: impl FnOnce(&mut Declared, usize)) -> Vec<Declared> {
        let mut sources = self.sources.clone();
        change(&mut sources[self.target.0], self.target.1);
        sources
    }

    fn worse_claims(&self, after: &[Statuses]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (before, after) in self.before.iter().zip(after) {
            assert_eq!(before.len(), after.len());
            for (control, was) in before {
                let is = after[control];
                // A report that lost its date is as old as its file: failures may count again.
                let is_dated_anew = self.max_age != MANY_YEARS && is == Status::NotSatisfied;
                if is != *was
                    && !is_dated_anew
                    && !matches!(is, Status::NotAssessed | Status::Manual)
                {
                    wrong.push(format!("{control}: {was} → {is}"));
                }
            }
            assert!(score(after) <= score(before) || !wrong.is_empty(), "{}", self.name);
        }
        wrong
    }
}

/// Statuses, per entry of [`SAID`].
fn judge_all(sources: &[Declared], max_age: i64) -> Vec<Statuses> {
    SAID.iter().map(|said| statuses(&judge(sources, said, max_age))).collect()
}

/// By sources and age.
type Judged = HashMap<(Digest, i64), Arc<Vec<Statuses>>>;

/// What [`World::without_report`] judged.
static WITHOUT_REPORT: LazyLock<Mutex<Judged>> = LazyLock::new(Mutex::default);

fn digest(sources: &[Declared]) -> Digest {
    let mut hasher = Hasher::default();
    for source in sources {
        hasher.update(format!("{} {}", source.scanner, source.expect_files).as_bytes());
        for file in &source.files {
            hasher.update(format!(" {}\n", file.len()).as_bytes());
            hasher.update(file);
        }
        hasher.update(b"\n");
    }
    hasher.finish()
}

fn score(statuses: &Statuses) -> usize {
    statuses.values().filter(|s| matches!(s, Status::Satisfied | Status::Supported)).count()
}

/// A report with its worlds, which all tests of it share.
struct Tried {
    report: Report,
    worlds: OnceLock<Vec<World>>,
}

impl Tried {
    fn all(reports: Vec<Report>) -> Vec<Self> {
        reports.into_iter().map(|report| Self { report, worlds: OnceLock::new() }).collect()
    }

    fn worlds(&self) -> &[World] {
        self.worlds.get_or_init(|| worlds(&self.report))
    }
}

static FIXTURES: LazyLock<Vec<Tried>> = LazyLock::new(|| Tried::all(fixtures()));
static SAMPLES: OnceLock<Vec<Tried>> = OnceLock::new();

/// All samples. Ends the test as left out where there are none, before anything is shared.
fn tried_samples() -> &'static [Tried] {
    tools::samples();
    SAMPLES.get_or_init(|| Tried::all(samples()))
}

/// The worlds in which a report is tried: alone; beside another source of the same scanner that
/// passes everything; in one source with such a file; with other scanners that pass everything, so
/// that each failure that goes missing would show; and too old to be used.
fn worlds(report: &Report) -> Vec<World> {
    let others: Vec<Declared> = ["kube-bench", "trivy", "kubescape"]
        .into_iter()
        .filter(|scanner| *scanner != report.scanner)
        .take(2)
        .map(|scanner| Declared::new(scanner, &[&all_passes(scanner)]))
        .collect();
    let same = all_passes(&report.scanner);
    let own = Declared::new(&report.scanner, &[&report.bytes]);
    let beside = |sources: Vec<Declared>| -> Vec<Declared> {
        sources.into_iter().chain(others.iter().cloned()).collect()
    };
    let world = |name: &str, sources, target, max_age| {
        World::new(format!("{} {name}", report.name), sources, target, max_age)
    };
    vec![
        world("alone", vec![own.clone()], (0, 0), MANY_YEARS),
        world(
            "beside another source",
            beside(vec![own.clone(), Declared::new(&report.scanner, &[&same])]),
            (0, 0),
            MANY_YEARS,
        ),
        world(
            "beside another file",
            beside(vec![Declared::new(&report.scanner, &[&same, &report.bytes])]),
            (0, 1),
            MANY_YEARS,
        ),
        world("too old", beside(vec![own]), (0, 0), 60),
    ]
}

/// **The exception.** A file of several documents (concatenated JSON, a log of events, YAML with
/// `---`) that ends exactly where one of them ends is a whole file with fewer documents; nothing in
/// it says how many there were. Several files, with `expect_files`, or one `List` are the ways to be safe from that.
fn is_cut_between_documents(text: &str, cut: usize) -> bool {
    let (before, after) = text.split_at(cut);
    let is_value = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    let events = || before.lines().filter(|line| line.starts_with('{'));
    if text.lines().any(|line| line.starts_with("{\"hostname\"")) && !after.trim().is_empty() {
        return events().all(is_value);
    }
    if text.trim_start().starts_with(['{', '[']) {
        return !after.trim().is_empty()
            && serde_json::Deserializer::from_str(before).into_iter::<Value>().all(|v| v.is_ok());
    }
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let is_mark = |line: &str| line == "---" || line.starts_with("--- ");
    after.lines().find(is_content).is_some_and(is_mark)
        || before.lines().rfind(is_content).is_some_and(is_mark)
}

/// Tries prefixes of a report in all worlds. Prefixes that read alike are judged once.
struct Cutter<'r> {
    report: &'r Report,
    worlds: &'r [World],
    seen: HashSet<String>,
}

impl<'r> Cutter<'r> {
    fn new(report: &'r Tried) -> Self {
        Self { report: &report.report, worlds: report.worlds(), seen: HashSet::new() }
    }

    fn cut(&mut self, at: usize) -> Vec<String> {
        let bytes = &self.report.bytes[..at];
        let text = std::str::from_utf8(&self.report.bytes).unwrap();
        // Refused, or within a character: certainly not between documents.
        let is_between = || text.is_char_boundary(at) && is_cut_between_documents(text, at);
        let key = read(bytes, "node-0").map_or_else(
            |_| "refused".to_owned(),
            |reading| {
                let parsed = &reading.parsed;
                let findings = parsed.findings.iter().map(|f| (&f.check, f.outcome, &f.resource));
                // Without results or with a shortfall, only failures still matter.
                if parsed.findings.is_empty() {
                    return "empty".to_owned();
                }
                if parsed.notes.iter().any(|note| note.weakens) {
                    let failing = parsed.findings.iter().filter(|f| f.outcome == Outcome::Fail);
                    let checks: BTreeSet<_> = failing.map(|f| &f.check).collect();
                    return format!("weak, {} fail", checks.len().div_ceil(8));
                }
                let findings: Vec<_> = findings.collect();
                format!("{} {:?} {findings:?}", is_between(), parsed.taken_at)
            },
        );
        if !self.seen.insert(key) {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        for world in self.worlds {
            let claims = world.with_bytes(bytes);
            if !claims.is_empty() && !is_between() {
                let shown = claims.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
                let line = bytes.split(|byte| *byte == b'\n').count() - 1;
                wrong.push(format!("{}, byte {at} after line {line}: {shown}", world.name));
            }
        }
        wrong
    }
}

fn line_ends(report: &Report) -> Vec<usize> {
    let ends: Vec<usize> = (0..)
        .zip(&report.bytes)
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    let is_json = report.bytes.trim_ascii_start().starts_with(b"{")
        || report.bytes.trim_ascii_start().starts_with(b"[");
    let most = if is_json { MAX_JSON_CUTS } else { MAX_YAML_CUTS };
    let step = ends.len().div_ceil(most).max(1);
    let thinned = ends.iter().copied().step_by(step);
    let last = ends.iter().copied().rev().take(20);
    thinned.chain(last).collect()
}

fn tell(wrong: &[String]) {
    let shown = wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} improvements:\n{shown}", wrong.len());
}

#[apply(test)]
fn a_source_without_files_improves_nothing_of_fixtures() {
    a_source_without_files_improves_nothing(&FIXTURES);
}

#[apply(test)]
fn a_source_without_files_improves_nothing_of_samples() {
    a_source_without_files_improves_nothing(tried_samples());
}

fn a_source_without_files_improves_nothing(reports: &[Tried]) {
    let mut wrong = Vec::new();
    for report in reports {
        for world in report.worlds() {
            let claims = world.without_report(|source, file| {
                source.files.remove(file);
            });
            wrong.extend(claims.iter().map(|claim| format!("{}: {claim}", world.name)));
            let claims = world.without_report(|source, _| source.files.clear());
            wrong.extend(claims.iter().map(|claim| format!("{}: {claim}", world.name)));
        }
    }
    tell(&wrong);
}

#[apply(test)]
fn an_empty_file_or_document_improves_nothing_of_fixtures() {
    an_empty_file_or_document_improves_nothing(&FIXTURES);
}

#[apply(test)]
fn an_empty_file_or_document_improves_nothing_of_samples() {
    an_empty_file_or_document_improves_nothing(tried_samples());
}

fn an_empty_file_or_document_improves_nothing(reports: &[Tried]) {
    let mut wrong = Vec::new();
    for report in reports {
        // Refused documents are all alike, and so are those without findings.
        for world in report.worlds() {
            let mut seen = HashSet::new();
            for text in EMPTY {
                let kind = read(text.as_bytes(), "node-0").ok().map(|reading| {
                    format!("{:?} {:?}", reading.parsed.findings, reading.parsed.notes)
                });
                if seen.insert(kind) {
                    let claims = world.without_report(|source, file| {
                        source.files[file] = text.as_bytes().to_vec();
                    });
                    wrong.extend(claims.iter().map(|c| format!("{} as {text:?}: {c}", world.name)));
                }
            }
        }
    }
    tell(&wrong);
}

/// **The other exception.** These formats state no totals: a report with an empty list in it is one
/// that its scanner would write about a cluster with fewer objects. (A map from kinds to lists, one
/// of which is empty, is one about a cluster without such reports.) Nobody can tell them apart.
/// A `ClusterComplianceReport` counts failing controls, not their checks.
const WITHOUT_TOTALS: &[&str] = &[
    "trivy/",
    "trivy-k8s/",
    "trivy-compliance/",
    "compliance-operator/",
    "trivy-operator/clustercompliancereport",
    "trivy-operator/compliance",
    "trivy-operator/starboard-clustercompliancereport",
    "trivy-operator/all-reports-in-dict",
    "trivy-operator/dictionary",
    "grype/",
    "polaris/",
    "prowler/",
    "sarif/",
];

#[apply(test)]
fn an_emptied_list_improves_nothing_of_fixtures() {
    an_emptied_list_improves_nothing(&FIXTURES);
}

#[apply(test)]
fn an_emptied_list_improves_nothing_of_samples() {
    an_emptied_list_improves_nothing(tried_samples());
}

/// Each list of a JSON report emptied, wherever one of that name stands.
fn an_emptied_list_improves_nothing(reports: &[Tried]) {
    let mut wrong = Vec::new();
    for report in reports {
        let Ok(whole) = serde_json::from_slice::<Value>(&report.report.bytes) else { continue };
        if WITHOUT_TOTALS.iter().any(|name| report.report.name.starts_with(name)) {
            continue;
        }
        let mut seen = HashSet::new();
        for name in list_names(&whole) {
            let mut emptied = whole.clone();
            empty_lists(&mut emptied, &name);
            let bytes = serde_json::to_vec(&emptied).unwrap();
            let key = read(&bytes, "")
                .ok()
                .map(|r| format!("{:?} {:?}", r.parsed.findings, r.parsed.notes));
            if !seen.insert(key) {
                continue;
            }
            for world in report.worlds() {
                let claims = world.with_bytes(&bytes);
                wrong.extend(claims.iter().map(|c| format!("{} {name}: {c}", world.name)));
            }
        }
    }
    tell(&wrong);
}

fn list_names(value: &Value) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                for (key, value) in map {
                    if value.is_array() {
                        names.insert(key.clone());
                    }
                    open.push(value);
                }
            }
            _ => {}
        }
    }
    names
}

fn empty_lists(value: &mut Value, name: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| empty_lists(item, name)),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(items) if key == name => items.clear(),
                    value => empty_lists(value, name),
                }
            }
        }
        _ => {}
    }
}

#[apply(test)]
fn a_file_cut_off_after_any_line_improves_nothing_of_fixtures() {
    a_file_cut_off_after_any_line_improves_nothing(&FIXTURES);
}

#[apply(test)]
fn a_file_cut_off_after_any_line_improves_nothing_of_samples() {
    a_file_cut_off_after_any_line_improves_nothing(tried_samples());
}

fn a_file_cut_off_after_any_line_improves_nothing(reports: &[Tried]) {
    let mut wrong = Vec::new();
    for report in reports {
        let mut cutter = Cutter::new(report);
        for at in line_ends(&report.report) {
            wrong.extend(cutter.cut(at));
        }
    }
    tell(&wrong);
}

#[apply(test)]
fn a_file_cut_off_anywhere_improves_nothing_of_fixtures() {
    a_file_cut_off_anywhere_improves_nothing(&FIXTURES);
}

#[apply(test)]
fn a_file_cut_off_anywhere_improves_nothing_of_samples() {
    a_file_cut_off_anywhere_improves_nothing(tried_samples());
}

fn a_file_cut_off_anywhere_improves_nothing(reports: &[Tried]) {
    let mut wrong = Vec::new();
    for report in reports {
        let mut cutter = Cutter::new(report);
        // No case fails by itself, so there is none to be kept.
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let wrong_of_report = std::cell::RefCell::new(&mut wrong);
        let cutter = std::cell::RefCell::new(&mut cutter);
        runner
            .run(&(0..report.report.bytes.len()), |at| {
                wrong_of_report.borrow_mut().extend(cutter.borrow_mut().cut(at));
                Ok(())
            })
            .unwrap();
    }
    tell(&wrong);
}
