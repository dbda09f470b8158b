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
use std::fs;

use affidavit::archive::Directory;
use affidavit::evidence::canonical;
use affidavit::evidence::checkpoint::Checkpoint;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::envelope::{
    Envelope, EnvelopeSignature, KEYRING_TYPE, STATEMENT_TYPE, pae,
};
use affidavit::evidence::instant;
use affidavit::evidence::items::{DisclosureSecret, ItemWriter};
use affidavit::evidence::key::PublicKey;
use affidavit::evidence::keyring::{
    Anchor, CheckedKeyring, KeyEntry, KeyStatus, Keyring, Root, Signer,
};
use affidavit::evidence::layout;
use affidavit::evidence::manifest::Manifest;
use affidavit::evidence::merkle::{RootBuilder, leaf_hash};
use affidavit::evidence::statement::{
    Chain, DigestSet, FrameworkRef, Items, KeyringRef, Listing, PREDICATE_TYPE, Predicate,
    Schedule, SourceRef, Statement, Subject, Summary, TYPE, Time, Tool,
};
use affidavit::verify::{self, Archive, Entry, Policy, ReadFailure, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use measure::{Taken, median, peer, time};
use serde_json::json;

const ROUNDS: usize = 7;
const ORIGIN: &str = "evidence.example.com/bench";
const START: i64 = 1_700_000_000;
/// Files of a bundle that a chain-only verification lists and does not read.
const LISTED: [&str; 7] = [
    "SHA256SUMS",
    "controls.json",
    "inputs/kube-bench/0001-node.json",
    "items.jsonl",
    "mapping/cis-kubernetes-1.12.json",
    "report.pdf",
    "run.json",
];

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
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| ReadFailure { path: path.to_owned(), reason: "not found".to_owned() })
    }
}

/// Verifies statements, signatures and checkpoints.
fn chain_alone(what: &str, statements: u64, interval: i64, aim: f64) {
    let mut log = LogWriter::new(interval);
    let mut archive = Memory(BTreeMap::new());
    archive.0.insert(layout::keyring(1), log.keyring.clone());
    for seq in 0..statements {
        let sums = Digest::of(&seq.to_be_bytes());
        for inner in LISTED {
            archive.0.insert(layout::bundle_file(&sums, inner), Vec::new());
        }
        let bundle = Bundle { sums, files: 12, items: (2_500, Digest::of(b"items")) };
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
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let mut log = LogWriter::new(86_400);
    write(&layout::keyring(1), &log.keyring);
    for seq in 0..BUNDLES {
        let (items, size, root) = items(seq, FINDINGS);
        let files: [(&str, Vec<u8>); 5] = [
            ("controls.json", controls()),
            ("inputs/trivy/0001-a.json", noise(seq, INPUT)),
            ("inputs/trivy/0002-b.json", noise(seq + 1_000, INPUT)),
            (layout::ITEMS, items),
            ("report.pdf", noise(seq + 2_000, REPORT)),
        ];
        let mut manifest = Manifest::default();
        for (path, bytes) in &files {
            assert!(manifest.insert(path, Digest::of(bytes)));
        }
        let sums = Digest::of(&manifest.to_bytes());
        for (path, bytes) in &files {
            write(&layout::bundle_file(&sums, path), bytes);
        }
        write(&layout::bundle_file(&sums, layout::SHA256SUMS), &manifest.to_bytes());
        let bundle = Bundle { sums, files: files.len() as u64, items: (size, root) };
        for (path, bytes) in log.append(&bundle) {
            write(&path, &bytes);
        }
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

/// What a statement says of its bundle.
struct Bundle {
    sums: Digest,
    files: u64,
    items: (u64, Digest),
}

/// Writes a chain.
struct LogWriter {
    key: SigningKey,
    public: PublicKey,
    root: PublicKey,
    keyring: Vec<u8>,
    keyring_digest: Digest,
    interval: i64,
    seq: u64,
    prev: Option<Digest>,
    tree: RootBuilder,
}

impl LogWriter {
    fn new(interval: i64) -> Self {
        let (root_key, key) =
            (SigningKey::from_bytes(&[11; 32]), SigningKey::from_bytes(&[22; 32]));
        let public =
            |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap();
        let (root, log) = (public(&root_key), public(&key));
        let keyring = Keyring {
            version: 1,
            prev: None,
            origin: ORIGIN.to_owned(),
            created: written(0),
            expires: "2100-01-01T00:00:00Z".to_owned(),
            root: Root {
                threshold: 1,
                keys: vec![KeyEntry { keyid: root.id(), pem: root.to_pem() }],
            },
            signers: vec![Signer {
                keyid: log.id(),
                pem: log.to_pem(),
                role: "log".to_owned(),
                from_seq: 0,
                until_seq: None,
                status: KeyStatus::Active,
                revocation: None,
            }],
            anchor: Anchor { size: 0, root: STANDARD.encode(Digest::of(b"").as_bytes()) },
        };
        let payload = keyring.to_bytes().unwrap();
        let bytes = root_key.sign(&pae(KEYRING_TYPE, &payload)).to_bytes();
        let envelope = Envelope {
            payload_type: KEYRING_TYPE.to_owned(),
            payload: payload.clone(),
            signatures: vec![EnvelopeSignature { key: root.id(), bytes }],
        };
        Self {
            key,
            public: log,
            root,
            keyring: envelope.to_bytes(),
            keyring_digest: CheckedKeyring::parse(&payload).unwrap().digest,
            interval,
            seq: 0,
            prev: None,
            tree: RootBuilder::default(),
        }
    }

    /// Verifies right after the newest bundle, without a pin.
    fn policy(&self, deep: bool) -> Policy {
        let newest = written(i64::try_from(self.seq).unwrap() * self.interval);
        let now = instant::parse(&newest).unwrap();
        Policy { deep, ..Policy::new([self.root.id()].into(), now) }
    }

    /// The files of the next place.
    fn append(&mut self, bundle: &Bundle) -> Vec<(String, Vec<u8>)> {
        let statement = self.statement(bundle);
        let bytes = statement.to_bytes().unwrap();
        let envelope = Envelope {
            payload_type: STATEMENT_TYPE.to_owned(),
            payload: bytes.clone(),
            signatures: vec![EnvelopeSignature {
                key: self.public.id(),
                bytes: self.key.sign(&pae(STATEMENT_TYPE, &bytes)).to_bytes(),
            }],
        };
        self.tree.push(leaf_hash(&bytes));
        self.prev = Some(Digest::of(&bytes));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: self.tree.size(),
            root: self.tree.root(),
        };
        let signature = self.key.sign(checkpoint.body().as_bytes()).to_bytes();
        let note = checkpoint.to_note(&self.public, &signature);
        let seq = self.seq;
        self.seq += 1;
        vec![
            (layout::statement(seq), bytes),
            (layout::envelope(seq), envelope.to_bytes()),
            (layout::checkpoint(seq + 1), note.clone()),
            (layout::receipt(seq), Vec::new()),
            (layout::HEAD.to_owned(), note),
        ]
    }

    /// Of the usual length.
    fn statement(&self, bundle: &Bundle) -> Statement {
        let at = i64::try_from(self.seq).unwrap() * self.interval;
        let file = |name: &str| Digest::of(name.as_bytes());
        Statement {
            statement_type: TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![Subject {
                name: layout::SHA256SUMS.to_owned(),
                digest: DigestSet { sha256: bundle.sums },
            }],
            predicate: Predicate {
                chain: Chain {
                    origin: ORIGIN.to_owned(),
                    seq: self.seq,
                    prev: self.prev.map(|sha256| DigestSet { sha256 }),
                },
                time: Time {
                    created: written(at),
                    period_start: written(at - self.interval),
                    period_end: written(at),
                    schedule: Some(Schedule {
                        cron: if self.interval == 86_400 { "0 0 * * *" } else { "0 * * * *" }
                            .to_owned(),
                        time_zone: "UTC".to_owned(),
                        due: Some(written(at)),
                        next: written(at + self.interval),
                    }),
                },
                items: Items {
                    file: layout::ITEMS.to_owned(),
                    size: bundle.items.0,
                    root: STANDARD.encode(bundle.items.1.as_bytes()),
                },
                files: bundle.files,
                keyring: KeyringRef { version: 1, sha256: self.keyring_digest },
                frameworks: Listing::Here(vec![FrameworkRef {
                    id: "cis-kubernetes".to_owned(),
                    version: "1.12".to_owned(),
                    sha256: file("mapping"),
                }]),
                sources: Listing::Here(
                    ["kube-bench", "trivy", "kubescape"]
                        .map(|name| SourceRef {
                            name: name.to_owned(),
                            status: "ok".to_owned(),
                            sha256: Some(file(name)),
                        })
                        .into(),
                ),
                summary: Listing::Here(vec![Summary {
                    framework: "cis-kubernetes@1.12".to_owned(),
                    pass: 1,
                    fail: 0,
                    not_assessed: 0,
                    supported: 0,
                    waived: 0,
                    manual: 0,
                    not_applicable: 0,
                }]),
                gap: None,
                pruned: None,
                tool: Tool { name: "affidavit".to_owned(), version: "0.1.0".to_owned() },
            },
        }
    }
}

fn written(seconds: i64) -> String {
    instant::format(Timestamp::from_second(START + seconds).unwrap())
}

/// One satisfied control, and findings of the usual length.
fn items(seq: u64, findings: usize) -> (Vec<u8>, u64, Digest) {
    let salter = DisclosureSecret::new([7; 32]).salter(ORIGIN, seq);
    let mut out = ItemWriter::default();
    let id = "control/cis-kubernetes@1.12/1";
    let control = json!({
        "framework": "cis-kubernetes@1.12", "id": id, "salt": salter.salt(id),
        "status": "satisfied", "type": "control",
    });
    out.push(id, &control).unwrap();
    for number in 1..=findings {
        let id = format!("finding/{number:07}");
        let finding = json!({
            "check": format!("trivy:KSV-{:04}", number % 100), "id": id,
            "input": "inputs/trivy/0001-a.json",
            "locator": format!("/Resources/{number}/Results/0/Misconfigurations/3"),
            "message": "Container 'api' of Deployment 'api' should set 'securityContext.runAsNonRoot' to true",
            "outcome": "fail", "rawCheck": "AVD-KSV-0012",
            "resource": {"kind": "Deployment", "name": format!("api-{number}"), "namespace": "payments"},
            "rule": "", "salt": salter.salt(&id), "severity": "medium", "type": "finding",
        });
        out.push(&id, &finding).unwrap();
    }
    let written = out.finish();
    (written.bytes, written.size, written.root)
}

fn controls() -> Vec<u8> {
    let counts = json!({
        "manual": 0, "notApplicable": 0, "notAssessed": 0, "notSatisfied": 0, "satisfied": 1,
        "supported": 0, "waived": 0,
    });
    let frameworks = json!({"cis-kubernetes@1.12": {"controls": [], "counts": counts}});
    canonical::to_vec(&json!({ "frameworks": frameworks })).unwrap()
}

/// Bytes that differ everywhere.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
