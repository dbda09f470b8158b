//! Writes chains as a run writes them, without what a run does besides.

use std::fs;
use std::path::Path;

use affidavit::assessment::StatusCounts;
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
use affidavit::verify::Policy;
use affidavit::verify::bundle::summary_of;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use serde_json::json;

const START: i64 = 1_700_000_000;

/// Files of a bundle that a verification of the chain alone lists and does not read.
pub const LISTED: [&str; 7] = [
    "SHA256SUMS",
    "controls.json",
    "inputs/kube-bench/0001-node.json",
    "items.jsonl",
    "mapping/cis-kubernetes-1.12.json",
    "report.pdf",
    "run.json",
];

/// What a statement says of its bundle.
pub struct Bundle {
    pub sums: Digest,
    pub files: u64,
    pub items: (u64, Digest),
    /// Of each framework, `id@version`.
    pub summary: Vec<Summary>,
}

/// Writes a chain.
pub struct LogWriter {
    origin: String,
    pub key: SigningKey,
    pub public: PublicKey,
    pub root: PublicKey,
    pub keyring: Vec<u8>,
    keyring_digest: Digest,
    interval: i64,
    seq: u64,
    prev: Option<Digest>,
    tree: RootBuilder,
}

impl LogWriter {
    /// A chain whose keys depend on its origin alone, and whose runs are so many seconds apart.
    pub fn new(origin: &str, interval: i64) -> Self {
        let key = |what: &str| {
            SigningKey::from_bytes(Digest::of(format!("{what} {origin}").as_bytes()).as_bytes())
        };
        let (root_key, key) = (key("root"), key("log"));
        let public =
            |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap();
        let (root, log) = (public(&root_key), public(&key));
        let keyring = Keyring {
            version: 1,
            prev: None,
            origin: origin.to_owned(),
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
            origin: origin.to_owned(),
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
    pub fn policy(&self, deep: bool) -> Policy {
        let newest = written(i64::try_from(self.seq).unwrap() * self.interval);
        let now = instant::parse(&newest).unwrap();
        Policy { deep, ..Policy::new([self.root.id()].into(), now) }
    }

    /// The files of the next place.
    pub fn append(&mut self, bundle: &Bundle) -> Vec<(String, Vec<u8>)> {
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
            origin: self.origin.clone(),
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
                    origin: self.origin.clone(),
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
                frameworks: Listing::Here(
                    bundle
                        .summary
                        .iter()
                        .map(|summary| {
                            let (id, version) = summary.framework.split_once('@').unwrap();
                            let (id, version) = (id.to_owned(), version.to_owned());
                            FrameworkRef { id, version, sha256: file("mapping") }
                        })
                        .collect(),
                ),
                sources: Listing::Here(
                    ["kube-bench", "trivy", "kubescape"]
                        .map(|name| SourceRef {
                            name: name.to_owned(),
                            status: "ok".to_owned(),
                            sha256: Some(file(name)),
                        })
                        .into(),
                ),
                summary: Listing::Here(bundle.summary.clone()),
                gap: None,
                pruned: None,
                tool: Tool { name: "affidavit".to_owned(), version: "0.1.0".to_owned() },
            },
        }
    }
}

/// An instant so many seconds after the first run of a chain.
pub fn written(seconds: i64) -> String {
    instant::format(Timestamp::from_second(START + seconds).unwrap())
}

/// Writes a bundle whole into the folder of an archive, with these files besides its items and its controls, and
/// appends it to the log.
pub fn write_bundle(log: &mut LogWriter, folder: &Path, findings: usize, more: &[(&str, Vec<u8>)]) {
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    if log.seq == 0 {
        write(&layout::keyring(1), &log.keyring);
    }
    let (items, size, root) = items(&log.origin, log.seq, findings);
    let own = [("controls.json", controls()), (layout::ITEMS, items)];
    let files = || own.iter().chain(more);
    let mut manifest = Manifest::default();
    for (path, bytes) in files() {
        assert!(manifest.insert(path, Digest::of(bytes)));
    }
    let sums = Digest::of(&manifest.to_bytes());
    for (path, bytes) in files() {
        write(&layout::bundle_file(&sums, path), bytes);
    }
    write(&layout::bundle_file(&sums, layout::SHA256SUMS), &manifest.to_bytes());
    let bundle =
        Bundle { sums, files: files().count() as u64, items: (size, root), summary: summary() };
    for (path, bytes) in log.append(&bundle) {
        write(&path, &bytes);
    }
}

/// One control, and it is satisfied.
pub fn summary() -> Vec<Summary> {
    let framework = "cis-kubernetes@1.12";
    vec![summary_of(framework, StatusCounts { satisfied: 1, ..StatusCounts::default() })]
}

/// One satisfied control, and findings of the usual length.
fn items(origin: &str, seq: u64, findings: usize) -> (Vec<u8>, u64, Digest) {
    let salter = DisclosureSecret::new([7; 32]).salter(origin, seq);
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
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
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
