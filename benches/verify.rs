//! How long verification takes: chains of ten years in memory, and all files of a directory beside
//! `openssl dgst -sha256` over the same files in the same run.
//!
//! `cargo bench --no-default-features --features cli --bench verify [-- daily|hourly|deep]`
//!
//! Prints medians of CPU time and wall time, and ratios.
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

mod measure;

use std::collections::{BTreeMap, BTreeSet};

use affidavit::archive::Directory;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::verify::{self, Archive, Entry, ReadFailure, Verdict};
use ed25519_dalek::Signer as _;
use measure::chain::{Bundle, LISTED, LogWriter, noise, summary, write_bundle};
use measure::{Taken, median, peer, time};

const ROUNDS: usize = 7;
const ORIGIN: &str = "evidence.example.com/bench";

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` call this too.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    if is_wanted("daily") {
        chain_alone("10 years of daily bundles", 3_653, 86_400, 0.5);
    }
    if is_wanted("hourly") {
        chain_alone("10 years of hourly bundles", 87_600, 3_600, 10.0);
    }
    if is_wanted("deep") {
        all_files();
    }
}

/// An archive in memory.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Archive for Memory {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        Ok(self.0.keys().map(|path| Entry { path: path.clone(), is_file: true }).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        self.0.get(path).cloned().ok_or_else(|| ReadFailure::new(path, "not found"))
    }
}

/// Verifies statements, signatures and checkpoints.
fn chain_alone(what: &str, statements: u64, interval: i64, aim: f64) {
    let mut log = LogWriter::new(ORIGIN, interval);
    let mut archive = Memory(BTreeMap::new());
    archive.0.insert(layout::keyring(1), log.keyring.clone());
    for seq in 0..statements {
        let sums = Digest::of(&seq.to_be_bytes());
        for inner in LISTED {
            archive.0.insert(layout::bundle_file(&sums, inner), Vec::new());
        }
        let bundle =
            Bundle { sums, files: 12, items: (2_500, Digest::of(b"items")), summary: summary() };
        archive.0.extend(log.append(&bundle));
    }
    let policy = log.policy(false);
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let taken = time(|| check(&verify::verify(&archive, &policy).unwrap(), statements));
        // The first round warms the caches.
        if round > 0 {
            times.push(taken);
        }
    }
    let Taken { cpu, wall } = median(&times);
    let message = [7; 600];
    let signature = log.key.sign(&message).to_bytes();
    let signatures = time(|| {
        for _ in 0..2 * statements {
            assert!(log.public.verifies(std::hint::black_box(&message), &signature));
        }
    });
    println!(
        "{what} ({statements} statements, checkpoints, {} files listed): {:.2} of the aim of {aim} s CPU (wall {:.2}), {:.2} x the CPU time of its signatures alone",
        archive.0.len(),
        cpu / aim,
        wall / aim,
        cpu / signatures.cpu,
    );
}

/// Verifies a directory with every file of every bundle.
fn all_files() {
    const BUNDLES: u64 = 60;
    const INPUT: usize = 4 << 20;
    // A whole-cluster report of Trivy has about as many in 8 MB.
    const FINDINGS: usize = 2_500;
    const REPORT: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(ORIGIN, 86_400);
    for seq in 0..BUNDLES {
        let more = [
            ("inputs/trivy/0001-a.json", noise(seq, INPUT)),
            ("inputs/trivy/0002-b.json", noise(seq + 1_000, INPUT)),
            ("report.pdf", noise(seq + 2_000, REPORT)),
        ];
        write_bundle(&mut log, folder.path(), FINDINGS, &more);
    }
    let archive = Directory::new(folder.path());
    let policy = log.policy(true);
    let paths: Vec<String> = archive.list().unwrap().into_iter().map(|entry| entry.path).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for round in 0..=ROUNDS {
        let taken = time(|| {
            let verdict = verify::verify(&archive, &policy).unwrap();
            check(&verdict, BUNDLES);
            assert_eq!(verdict.checked.bundles, BUNDLES);
            bytes = verdict.checked.bytes;
        });
        let openssl = peer("openssl", &["dgst", "-sha256"], folder.path(), &paths);
        if round > 0 {
            ours.push(taken);
            theirs.push(openssl);
        }
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    println!(
        "--deep over {BUNDLES} bundles in a directory, {} MB ({FINDINGS} findings in each): {:.2} x the CPU time of openssl dgst -sha256 over the same files, {:.2} x its wall time",
        bytes / 1_000_000,
        ours.cpu / theirs.cpu,
        ours.wall / theirs.wall,
    );
}

fn check(verdict: &Verdict, statements: u64) {
    let codes: BTreeSet<&str> = verdict.findings.iter().map(|f| f.code.name()).collect();
    assert_eq!(codes, BTreeSet::from(["HEAD_UNPINNED"]), "{:?}", verdict.findings.first());
    assert_eq!(verdict.checked.statements, statements);
    assert_eq!(verdict.checked.not_checked, 0);
}
