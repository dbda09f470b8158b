//! How long it takes to collect and check a large cluster, and how much memory: beside what
//! kubectl takes to get the same kinds from the same server.
//!
//! `cargo bench --bench collect [-- OBJECTS]`; `.ci/kubernetes` builds the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on should stop, and it counts in floating point"
)]

#[path = "../tests/kubernetes/cluster.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod cluster;
#[path = "../tests/tools.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod tools;
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod measure;

/// What `tools.rs` has of the tests' harness.
mod harness {
    pub struct Missing {
        pub what: String,
        pub remedy: String,
    }

    pub fn leave_out(missing: Missing) -> ! {
        let Missing { what, remedy } = missing;
        eprintln!("{what} is missing: {remedy}");
        std::process::exit(1)
    }
}

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use affidavit::checks::{KINDS, KUBELET};
use cluster::Cluster;
use measure::{Taken, measure, median};

const ROUNDS: usize = 3;

/// Creates about as many objects as that, in proportions of a large cluster.
fn populate(cluster: &Cluster, objects: usize) {
    let status = tools::KUBERNETES
        .command()
        .args(["populate", cluster.kubeconfig().to_str().unwrap(), &objects.to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn main() {
    let objects = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(50_000);
    let cluster = Cluster::start();
    populate(&cluster, objects);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "cluster: {{ name: bench }}\norigin: evidence.example.com/bench\n\
         kubernetes: {{ kubeconfig: '{}' }}\narchive: {{ uri: a }}\n\
         keys: {{ signer: k, keyring: k, disclosure_secret: k }}\nframeworks: [pci-dss]\n\
         sources: [{{ name: cluster, scanner: affidavit, from: cluster, max_age: 1h }}]\n",
        cluster.kubeconfig().display()
    );
    fs::write(folder.path().join("affidavit.yaml"), config).unwrap();
    let kinds: Vec<String> = KINDS
        .iter()
        .filter(|kind| kind.kind != KUBELET)
        .map(|kind| format!("{}.{}", kind.plural, kind.group).trim_end_matches('.').to_owned())
        .collect();
    let kinds = kinds.join(",");
    let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let kubectl = tools::KUBERNETES
            .command()
            .args(["kubectl", "get", &kinds, "-A", "-o", "json", "--chunk-size=500"])
            .arg(format!("--kubeconfig={}", cluster.kubeconfig().display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let theirs_now = child(kubectl).0;
        let collect = Command::new(env!("CARGO_BIN_EXE_affidavit"))
            .args(["collect", "out", "--quiet"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (ours_now, peak) = child(collect);
        // The first round warms up.
        if round > 0 {
            ours.push(ours_now);
            theirs.push(theirs_now);
            memory = memory.max(peak);
        }
    }
    let report = folder.path().join("out/cluster/affidavit-checks.json");
    let bytes = fs::read(&report).unwrap();
    let report: affidavit::scanner::affidavit::Report<'_> = serde_json::from_slice(&bytes).unwrap();
    print(&report, bytes.len(), &median(&ours), &median(&theirs), memory);
}

/// What a child process takes until it ends, and its peak memory in KiB. It must succeed.
fn child(mut child: Child) -> (Taken, u64) {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let taken = measure(13, || {
        // The peak is gone with the process, so it is looked at while that runs.
        let status = loop {
            let status = fs::read_to_string(&path).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success());
    });
    (taken, peak)
}

fn print(
    report: &affidavit::scanner::affidavit::Report<'_>,
    bytes: usize,
    ours: &Taken,
    theirs: &Taken,
    memory: u64,
) {
    let totals = report.totals;
    println!(
        "{} objects, {} checks, {} verdicts, report of {} kB",
        totals.objects,
        report.checks.len(),
        totals.pass + totals.fail + totals.error,
        bytes / 1000
    );
    println!("kubectl get        wall {:.2} s  CPU {:.2} s", theirs.wall, theirs.cpu);
    println!(
        "affidavit collect  wall {:.2} s  CPU {:.2} s  peak memory {} MiB",
        ours.wall,
        ours.cpu,
        memory / 1024
    );
    println!(
        "ratio              wall {:.2}    CPU {:.2}",
        ours.wall / theirs.wall,
        ours.cpu / theirs.cpu
    );
}
