//! The report by size: CPU time and peak memory of `affidavit run` (which seals one), of
//! `affidavit report` and of its annex, at 100 to 50 000 findings, beside the limits that they must
//! keep: 2 s of CPU time for 1 000 findings, 512 MiB for 50 000.
//!
//! `cargo bench --bench report [-- 1000]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on should stop, and it counts in floating point"
)]

#[allow(dead_code, reason = "the other benchmarks have peers")]
mod measure;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use affidavit::framework::{Mapping, builtin};
use measure::{Taken, median, program_in};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 50_000];
const ROUNDS: usize = 3;
/// Seconds of CPU time for 1 000 findings.
const CPU_LIMIT: f64 = 2.0;
/// MiB for 50 000.
const MEMORY_LIMIT: f64 = 512.0;
const NOW: &str = "2026-11-25T02:00:00Z";

fn main() {
    let mut sizes: Vec<usize> = Vec::new();
    for argument in std::env::args().skip(1) {
        if argument == "--list" || argument == "--test" {
            return;
        }
        sizes.extend(argument.parse::<usize>());
    }
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    println!("| findings | failing | | CPU s | of 2 s | peak MiB | of 512 MiB | pages | MB |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for findings in sizes {
        of_size(findings);
    }
}

fn of_size(findings: usize) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let failing = write(folder, findings);
    let line = |what: &str, (taken, peak): (Taken, f64), pdfs: &[Vec<u8>]| {
        let pages: usize = pdfs.iter().map(|pdf| pages(pdf)).sum();
        let bytes: usize = pdfs.iter().map(Vec::len).sum();
        println!(
            "| {findings} | {failing} | {what} | {:.2} | {:.2} | {peak:.0} | {:.2} | {pages} | {:.1} |",
            taken.cpu,
            taken.cpu / CPU_LIMIT,
            peak / MEMORY_LIMIT,
            bytes as f64 / 1e6,
        );
    };
    let run = several(|| {
        drop(fs::remove_dir_all(folder.join("archive")));
        affidavit(folder, &["run", "--config", "affidavit.yaml"])
    });
    line("`run`", run, &[]);
    let report = several(|| affidavit(folder, &["report", "archive", "--out", "report.pdf"]));
    line("`report`", report, &[fs::read(folder.join("report.pdf")).unwrap()]);
    let annex = several(|| affidavit(folder, &["report", "archive", "--annex", "annex"]));
    let volumes: Vec<_> = fs::read_dir(folder.join("annex")).unwrap().collect();
    let what = format!("`report --annex`, {} volumes", volumes.len());
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.unwrap().path()).unwrap();
    line(&what, annex, &volumes.into_iter().map(read).collect::<Vec<_>>());
}

/// Medians, and the highest peak.
fn several(mut work: impl FnMut() -> (Taken, f64)) -> (Taken, f64) {
    let all: Vec<(Taken, f64)> = (0..ROUNDS).map(|_| work()).collect();
    let taken: Vec<Taken> = all.iter().map(|(taken, _)| *taken).collect();
    (median(&taken), all.iter().map(|(_, peak)| *peak).fold(0.0, f64::max))
}

/// At the time of the benchmark.
fn affidavit(folder: &Path, arguments: &[&str]) -> (Taken, f64) {
    let program = Path::new(env!("CARGO_BIN_EXE_affidavit"));
    program_in(folder, program, &[arguments, &["--now", NOW]].concat(), &[0])
}

fn pages(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.matches("/Type/Page").count() - text.matches("/Type/Pages").count()
}

/// A policy report of Kyverno's shape over a cluster of as many findings, 30 of 100 of which fail, and a
/// configuration with all three standards. Gives how many fail.
fn write(folder: &Path, findings: usize) -> usize {
    let mut policies = BTreeSet::new();
    for id in ["cis-kubernetes", "pci-dss", "hipaa-security-rule"] {
        let framework = builtin::find(id, None).unwrap();
        let checks = framework.controls.iter().flat_map(|control| &control.mappings);
        let checks = checks.flat_map(Mapping::all_checks).map(|(check, _)| check.to_string());
        policies
            .extend(checks.filter_map(|c| c.strip_prefix("policy:kyverno/").map(str::to_owned)));
    }
    let policies: Vec<String> = policies.into_iter().collect();
    let mut text = String::from(
        r#"{"apiVersion":"wgpolicyk8s.io/v1alpha2","kind":"ClusterPolicyReport","metadata":{"name":"bench"},"results":["#,
    );
    let mut failing = 0;
    for index in 0..findings {
        let policy = &policies[index % policies.len()];
        let resource = index / policies.len();
        let fails = index % 10 < 3;
        failing += usize::from(fails);
        let comma = if index == 0 { "" } else { "," };
        let (result, severity) =
            (if fails { "fail" } else { "pass" }, ["high", "medium", "low"][index % 3]);
        write!(
            text,
            r#"{comma}{{"source":"kyverno","policy":"{policy}","rule":"{policy}","result":"{result}","severity":"{severity}","scored":true,"timestamp":{{"seconds":1795564800,"nanos":0}},"message":"validation error: the field spec.template.spec.containers[0].securityContext of this workload does not hold what the policy asks for. rule {policy} failed at path /spec/template/spec/containers/0/securityContext/","resources":[{{"apiVersion":"apps/v1","kind":"Deployment","namespace":"team-{:02}","name":"service-{resource:05}","uid":"00000000-0000-4000-8000-{resource:012}"}}]}}"#,
            resource % 40,
        )
        .unwrap();
    }
    text.push_str("]}");
    fs::create_dir(folder.join("inputs")).unwrap();
    fs::write(folder.join("inputs/kyverno.json"), text).unwrap();
    fs::write(
        folder.join("affidavit.yaml"),
        "organisation: Example Payments Ltd\ncluster: { name: bench }\norigin: evidence.example.com/bench\n\
         archive: { uri: archive }\n\
         keys: { signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }\n\
         frameworks: [cis-kubernetes@1.12, pci-dss@4.0.1, hipaa-security-rule]\n\
         sources:\n  - { name: kyverno, scanner: policy, files: ['inputs/*.json'], max_age: 3650d }\n",
    )
    .unwrap();
    let origin = ["init", ".", "--keys-only", "--origin", "evidence.example.com/bench"];
    affidavit(folder, &origin);
    failing
}
