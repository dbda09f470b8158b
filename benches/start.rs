//! How long the program takes to start, and what it holds in memory while it does everything that a run does
//! but the report: beside the limits that it must keep, 50 ms and 128 MiB.
//!
//! `cargo bench --bench start`
//!
//! The start is also measured with the program's file out of the page cache (`dd`, `iflag=nocache`). The
//! evidence is that of `examples/quickstart`: real outputs of real scanners.
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

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use measure::program_in;

const ROUNDS: usize = 41;
const START_LIMIT_MS: f64 = 50.0;
const MEMORY_LIMIT_MIB: f64 = 128.0;
const NOW: &str = "2026-11-25T06:00:00Z";

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_affidavit"));
    println!("| | median | of the limit |");
    println!("| --- | --- | --- |");
    for (what, cold) in [("start", false), ("start, its file not in memory", true)] {
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| start(program, cold)).collect();
        times.sort_by(f64::total_cmp);
        let median = times[ROUNDS / 2];
        println!(
            "| {what} | {median:.1} ms | {:.2} of {START_LIMIT_MS} ms |",
            median / START_LIMIT_MS
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    copy(&quickstart, folder);
    let init = ["init", ".", "--keys-only", "--origin", "evidence.example.com/payments-shop"];
    program_in(folder, program, &[&init[..], &["--now", NOW]].concat(), &[0]);
    // `doctor` collects, assesses, signs, and writes to the archive, and makes no report.
    for (what, command) in
        [("all but the report (`doctor`)", "doctor"), ("`run`, report included", "run")]
    {
        let (_, peak) = program_in(folder, program, &[command, "--now", NOW], &[0, 7]);
        println!(
            "| {what} | {peak:.0} MiB | {:.2} of {MEMORY_LIMIT_MIB} MiB |",
            peak / MEMORY_LIMIT_MIB
        );
    }
}

/// Milliseconds from starting the program to its end, when it says its version and nothing else.
fn start(program: &Path, cold: bool) -> f64 {
    if cold {
        let file = format!("if={}", program.display());
        let evicted = Command::new("dd")
            .args([file.as_str(), "iflag=nocache", "count=0"])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(evicted.success());
    }
    let begun = Instant::now();
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    begun.elapsed().as_secs_f64() * 1e3
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // Not what running the example there has left.
        if ["archive", "keys", "receipts-kept"].iter().any(|left| entry.file_name() == *left) {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
