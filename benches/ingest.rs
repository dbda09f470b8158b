//! Throughput of the line from scanner files to a sealed bundle (the PDF apart): read, assess,
//! write items, hash, sign and archive 100 000 findings, beside `jq empty` and
//! `openssl dgst -sha256` over the same bytes in the same run.
//!
//! `cargo bench --no-default-features --features cli --bench ingest`
//!
//! Prints medians of wall time, and ratios of wall and CPU time; absolute times belong to the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a benchmark that cannot go on should stop, and it counts in floating point"
)]

mod measure;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affidavit::archive::{Directory, Put, Store};
use affidavit::evaluate::evaluate;
use affidavit::evidence::canonical;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::envelope::{STATEMENT_TYPE, pae};
use affidavit::evidence::items::DisclosureSecret;
use affidavit::evidence::manifest::Manifest;
use affidavit::framework::builtin;
use affidavit::parallel;
use affidavit::run::{self, FileTime, Run};
use ed25519_dalek::{Signer as _, SigningKey};
use measure::{median, peer, time};

const FINDINGS: usize = 100_000;
const FILES: usize = 50;
const ROUNDS: usize = 9;
/// As in `src/pipeline.rs`.
const KEPT: usize = 96 << 20;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` call this too.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths = write_inputs(folder.path());
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let bytes: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let megabytes = bytes as f64 / 1e6;
    println!("{FINDINGS} findings in {FILES} kube-bench files, {megabytes:.0} MB");

    let before = peak_memory();
    let (mut line, mut jq, mut openssl) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let times = [
            time(|| seal(&paths, &folder.path().join(format!("archive-{round}")))),
            peer("jq", &["empty"], folder.path(), &names),
            peer("openssl", &["dgst", "-sha256"], folder.path(), &names),
        ];
        // The first round warms the caches.
        if round > 0 {
            line.push(times[0]);
            jq.push(times[1]);
            openssl.push(times[2]);
        }
        fs::remove_dir_all(folder.path().join(format!("archive-{round}"))).unwrap();
    }
    let line = median(&line);
    println!("ingest + assess + seal   {:8.0} MB/s", megabytes / line.wall);
    for (name, times) in [("jq empty", jq), ("openssl dgst -sha256", openssl)] {
        let peer = median(&times);
        println!(
            "{name:24} {:8.0} MB/s   the line is {:.2} x as fast and takes {:.2} x its CPU time",
            megabytes / peer.wall,
            peer.wall / line.wall,
            line.cpu / peer.cpu,
        );
    }
    println!(
        "peak memory              {:8.0} MiB   ({before:.0} MiB before the first round)",
        peak_memory()
    );
}

/// High-water mark of resident memory, in MiB.
fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// kube-bench's shape with texts of its usual lengths (not its texts).
fn write_inputs(folder: &Path) -> Vec<PathBuf> {
    let sentence = "Text of the usual length about a file, its permissions and its owner. ";
    let numbers: Vec<String> = builtin::find("cis-kubernetes", Some("1.12"))
        .unwrap()
        .controls
        .into_iter()
        .map(|control| control.id)
        .collect();
    (0..FILES)
        .map(|file| {
            let mut text =
                String::from(r#"{"Controls":[{"id":"4","version":"cis-1.12","detected_version":"1.34","text":"Worker","node_type":"node","tests":[{"section":"4.1","type":"","desc":"Files","results":["#);
            let per_file = FINDINGS / FILES;
            let (mut pass, mut fail) = (0, 0);
            for index in 0..per_file {
                let status = if index % 7 == 0 { "FAIL" } else { "PASS" };
                *(if status == "FAIL" { &mut fail } else { &mut pass }) += 1;
                let comma = if index == 0 { "" } else { "," };
                write!(
                    text,
                    r#"{comma}{{"test_number":"{}","test_desc":"{sentence}(Automated)","audit":"/bin/sh -c 'if test -e /etc/kubernetes/x.conf; then stat -c permissions=%a /etc/kubernetes/x.conf; fi' ","AuditEnv":"","AuditConfig":"","type":"","remediation":"{sentence}{sentence}\nchmod 600 /etc/kubernetes/x.conf\n","test_info":["{sentence}{sentence}\nchmod 600 /etc/kubernetes/x.conf\n"],"status":"{status}","actual_value":"permissions=644","scored":true,"IsMultiple":false,"expected_result":"permissions has permissions 644, expected 600 or more restrictive"}}"#,
                    numbers[index % numbers.len()],
                )
                .unwrap();
            }
            write!(
                text,
                r#"]}}]}}],"Totals":{{"total_pass":{pass},"total_fail":{fail},"total_warn":0,"total_info":0}}}}"#
            )
            .unwrap();
            let path = folder.join(format!("node-{file:03}.json"));
            fs::write(&path, text).unwrap();
            path
        })
        .collect()
}

/// What a run does between collecting and the PDF, and after it.
fn seal(paths: &[PathBuf], archive: &Path) {
    let framework = builtin::find("cis-kubernetes", Some("1.12")).unwrap();
    let mapping = canonical::to_vec(&framework).unwrap();
    let files = paths.iter().enumerate().map(|(index, _)| run::File {
        path: format!("inputs/kube-bench/{index:04}.json"),
        original: format!("node-{index:03}.json"),
        subject: format!("node-{index:03}"),
        taken_at: None,
        file_time: FileTime::Fresh,
    });
    let run = Run {
        schema: run::SCHEMA.to_owned(),
        created: "2026-11-23T02:00:00Z".to_owned(),
        tool: run::Tool { name: "affidavit".to_owned(), version: "0".to_owned() },
        organisation: String::new(),
        cluster: run::Cluster {
            name: "bench".to_owned(),
            also_known_as: Vec::new(),
            uid: String::new(),
        },
        frameworks: vec!["mapping/cis.json".to_owned()],
        waivers: Vec::new(),
        attestations: Vec::new(),
        namespaces: std::collections::BTreeMap::new(),
        known_exploited: Vec::new(),
        sources: vec![run::Source {
            name: "kube-bench".to_owned(),
            scanner: "kube-bench".to_owned(),
            max_age_seconds: 86_400,
            expect_files: 1,
            expect_nodes: Vec::new(),
            shortfalls: Vec::new(),
            files: files.collect(),
        }],
    };
    let input = |path: &str| -> Option<usize> {
        path.strip_prefix("inputs/kube-bench/")?.strip_suffix(".json")?.parse().ok()
    };
    // As the pipeline does: inputs are kept as far as there is room, and read again beyond.
    let mut kept: Vec<Arc<Vec<u8>>> = Vec::new();
    let mut room = KEPT;
    let evaluation = evaluate(&run, &mut |path| -> std::io::Result<_> {
        let Some(index) = input(path) else { return Ok(Arc::new(mapping.clone())) };
        let bytes = Arc::new(fs::read(&paths[index])?);
        if kept.len() == index && room >= bytes.len() {
            room -= bytes.len();
            kept.push(Arc::clone(&bytes));
        }
        Ok(bytes)
    })
    .unwrap();
    assert_eq!(evaluation.findings(), FINDINGS);
    let salter = DisclosureSecret::new([7; 32]).salter("bench", 0);
    let items = evaluation.write_items(None, &|id| salter.salt(id)).unwrap();

    let store = Directory::new(archive);
    let mut manifest = Manifest::default();
    for file in evaluation.inputs() {
        assert!(manifest.insert(&file.path, file.sha256));
    }
    assert!(manifest.insert("items.jsonl", items.digest));
    let sums = manifest.to_bytes();
    let bundle = format!("bundles/{}", Digest::of(&sums));
    let put = |path: &str, bytes: &[u8]| {
        assert_eq!(store.put_new(&format!("{bundle}/{path}"), bytes).unwrap(), Put::Created);
    };
    let again = evaluation.inputs().iter().map(|file| {
        let index = input(&file.path).unwrap();
        let bytes = kept.get(index).map_or_else(
            || {
                let bytes = fs::read(&paths[index]).unwrap();
                assert_eq!(Digest::of(&bytes), file.sha256);
                Arc::new(bytes)
            },
            Arc::clone,
        );
        Ok::<_, Infallible>((&file.path, bytes))
    });
    let write = |(path, bytes): (&String, Arc<Vec<u8>>)| put(path, &bytes);
    parallel::map_in_order(again, |(_, bytes)| bytes.len(), 64 << 20, write, |()| Ok(())).unwrap();
    put("items.jsonl", &items.bytes);
    put("SHA256SUMS", &sums);
    let key = SigningKey::from_bytes(&[1; 32]);
    let signature = key.sign(&pae(STATEMENT_TYPE, &sums));
    put("signature", &signature.to_bytes());
}
