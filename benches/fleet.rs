//! A fleet: `affidavit fleet` over 1 000 clusters with 90 daily bundles each, in directories: every log
//! verified, the newest bundle of each read, all rolled up, sealed and reported. Beside it, in the same
//! run, the bare Ed25519 checks that the logs ask for, and the first night's heads held the second night.
//!
//! `TMPDIR=/dev/shm cargo bench --bench fleet [-- CLUSTERS]`
//!
//! The archives have every file of a bundle in its place. What verifying a chain does not read is empty;
//! the newest bundle of each cluster has its list of files and its controls, over all three standards.
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

#[allow(dead_code, reason = "the other benchmarks have other peers")]
mod measure;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use affidavit::assessment::{Status, StatusCounts};
use affidavit::evidence::canonical;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::evidence::manifest::Manifest;
use affidavit::evidence::statement::Summary;
use affidavit::framework::{Framework, Kind, builtin};
use affidavit::verify::bundle::summary_of;
use ed25519_dalek::Signer as _;
use measure::chain::{Bundle, LISTED, LogWriter, written};
use measure::{program_in, time};
use serde_json::{Value, json};

const CLUSTERS: usize = 1_000;
const DAYS: u64 = 90;
const DAY: i64 = 86_400;

fn main() {
    let mut clusters = CLUSTERS;
    for argument in std::env::args().skip(1) {
        if argument == "--list" || argument == "--test" {
            return;
        }
        clusters = argument.parse().unwrap_or(clusters);
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let frameworks: Vec<Framework> = ["cis-kubernetes", "pci-dss", "hipaa-security-rule"]
        .iter()
        .map(|id| builtin::find(id, None).unwrap())
        .collect();
    let mut list = String::new();
    for number in 0..clusters {
        let name = format!("store-{number:05}");
        let root = write(&folder.join("bucket").join(&name), &name, number, &frameworks);
        writeln!(list, "- {{ name: {name}, uri: bucket/{name}, roots: ['{root}'] }}").unwrap();
    }
    fs::write(folder.join("clusters.yaml"), list).unwrap();
    let keys: Vec<String> = frameworks.iter().map(Framework::key).collect();
    fs::write(
        folder.join("affidavit.yaml"),
        format!(
            "cluster: {{ name: fleet }}\norigin: fleet.example.com/all\narchive: {{ uri: archive }}\n\
             keys: {{ signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }}\n\
             frameworks: [{}]\n\
             sources:\n  - {{ name: clusters, scanner: fleet, clusters_file: clusters.yaml, max_age: 36h }}\n",
            keys.join(", ")
        ),
    )
    .unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_affidavit"));
    let night = |hours: i64| written((i64::try_from(DAYS).unwrap() - 1) * DAY + hours * 3_600);
    let run = |arguments: &[&str]| program_in(folder, program, arguments, &[0]);
    run(&["init", ".", "--keys-only", "--origin", "fleet.example.com/all", "--now", &night(0)]);

    let log = LogWriter::new("x", DAY);
    let message = [7; 600];
    let signature = log.key.sign(&message).to_bytes();
    let signatures = 2 * DAYS * clusters as u64;
    let bare = time(|| {
        for _ in 0..signatures {
            assert!(log.public.verifies(std::hint::black_box(&message), &signature));
        }
    });
    println!(
        "{clusters} clusters, {DAYS} days: {signatures} signatures, whose bare checks are 1 of CPU time"
    );
    println!("| | CPU time, of the bare checks | wall, of theirs | peak MiB |");
    println!("| --- | --- | --- | --- |");
    let line = |what: &str, (taken, peak): (measure::Taken, f64)| {
        println!(
            "| {what} | {:.2} | {:.2} | {peak:.0} |",
            taken.cpu / bare.cpu,
            taken.wall / bare.wall
        );
    };
    line("`collect`: verify and read", run(&["collect", "read", "--now", &night(1)]));
    line(
        "`fleet`: the same, rolled up, sealed, reported",
        run(&["fleet", "--quiet", "--now", &night(2)]),
    );
    line("`fleet` again, heads held", run(&["fleet", "--quiet", "--now", &night(3)]));
    line("`fleet show`", run(&["fleet", "show", "archive", "--quiet"]));
    let shares = 10;
    let mut most = 0.0_f64;
    let mut cpu = 0.0;
    for share in 0..shares {
        let part = format!("{share}/{shares}");
        let (taken, peak) = run(&["collect", "parts", "--part", &part, "--now", &night(4)]);
        most = most.max(taken.cpu);
        cpu += taken.cpu;
        assert!(peak > 0.0);
    }
    println!(
        "| `collect --part`, {shares} shares: all, and the longest | {:.2}, {:.2} | | |",
        cpu / bare.cpu,
        most / bare.cpu
    );
    let sealed: u64 = files(&folder.join("archive"));
    println!("the fleet's archive after two nights: {:.0} MB", sealed as f64 / 1e6);
}

fn files(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                files(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

/// A cluster's archive; gives the fingerprint of its root key.
fn write(folder: &Path, name: &str, number: usize, frameworks: &[Framework]) -> String {
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let mut log = LogWriter::new(&format!("evidence.example.com/{name}"), DAY);
    put(&layout::keyring(1), &log.keyring);
    let (controls, summary) = controls(number, frameworks);
    for seq in 0..DAYS {
        let mut manifest = Manifest::default();
        for inner in LISTED.iter().filter(|inner| **inner != layout::SHA256SUMS) {
            let bytes: &[u8] =
                if *inner == layout::CONTROLS { &controls } else { &seq.to_be_bytes() };
            assert!(manifest.insert(inner, Digest::of(bytes)));
        }
        let sums = manifest.to_bytes();
        let digest = Digest::of(&sums);
        let newest = seq + 1 == DAYS;
        for inner in LISTED {
            let bytes: &[u8] = match inner {
                layout::SHA256SUMS if newest => &sums,
                layout::CONTROLS if newest => &controls,
                _ => &[],
            };
            put(&layout::bundle_file(&digest, inner), bytes);
        }
        let items = (2_500, Digest::of(b"items"));
        let files = LISTED.len() as u64 - 1;
        for (path, bytes) in
            log.append(&Bundle { sums: digest, files, items, summary: summary.clone() })
        {
            put(&path, &bytes);
        }
    }
    log.root.id().to_string()
}

/// `controls.json`, and what the statement says of it: three in a hundred not satisfied, others in each of
/// nine clusters in ten.
fn controls(cluster: usize, frameworks: &[Framework]) -> (Vec<u8>, Vec<Summary>) {
    let mut parts = serde_json::Map::new();
    let mut summaries = Vec::new();
    for framework in frameworks {
        let mut statuses = Vec::new();
        let mut lines: Vec<Value> = Vec::new();
        for (place, control) in framework.controls.iter().enumerate() {
            let drawn = (place * 37 + cluster * 11) % 100;
            let status = match control.kind {
                Kind::NotApplicable => Status::NotApplicable,
                Kind::Manual => Status::Manual,
                _ if drawn < 3 => Status::NotSatisfied,
                _ if drawn < 4 => Status::Waived,
                Kind::Automated => Status::Satisfied,
                Kind::Assisted => Status::Supported,
            };
            statuses.push(status);
            lines.push(json!({
                "basis": "automated", "control": control.id,
                "explanation": "All 42 passing findings support it; the mapped checks cover only part of it.",
                "failing": 0, "passing": 42, "reason": null, "status": status, "title": control.title,
                "undecided": 0,
            }));
        }
        let counts = StatusCounts::of(statuses);
        summaries.push(summary_of(&framework.key(), counts));
        parts.insert(framework.key(), json!({ "controls": lines, "counts": counts }));
    }
    (canonical::to_vec(&json!({ "frameworks": parts })).unwrap(), summaries)
}
