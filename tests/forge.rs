//! Makes small chains with fixed keys out of the evidence format's own parts, honest ones and, by
//! changing a part before it is signed, dishonest ones.

use std::collections::BTreeMap;

use affidavit::assessment::StatusCounts;
use affidavit::evaluate::{Evaluation, evaluate};
use affidavit::evidence::canonical;
use affidavit::evidence::checkpoint::{Checkpoint, SignatureType, key_hash};
use affidavit::evidence::cosignature::{NoteKey, message};
use affidavit::evidence::digest::Digest;
use affidavit::evidence::envelope::{
    Envelope, EnvelopeSignature, KEYRING_TYPE, STATEMENT_TYPE, pae,
};
use affidavit::evidence::items::DisclosureSecret;
use affidavit::evidence::key::{KeyId, PublicKey};
use affidavit::evidence::keyring::{Anchor, KeyEntry, KeyStatus, Keyring, Root, Signer as LogKey};
use affidavit::evidence::layout;
use affidavit::evidence::manifest::Manifest;
use affidavit::evidence::merkle::{RootBuilder, leaf_hash};
use affidavit::evidence::statement::{
    Chain, DigestSet, FrameworkRef, Items, KeyringRef, Listing, PREDICATE_TYPE, Predicate,
    Schedule, SourceRef, Statement, Subject, TYPE, Time, Tool,
};
use affidavit::evidence::tlog_proof::TlogProof;
use affidavit::framework::Framework;
use affidavit::run::{self, File, FileTime, Run, Source};
use affidavit::verify::bundle::summary_of;
use affidavit::verify::pin::Pin;
use affidavit::verify::{Archive, Entry, ReadFailure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};

/// Origin of the forged chains.
pub const ORIGIN: &str = "evidence.example.com/vectors";

/// Seeds of the keys.
pub const ROOT: u8 = 1;
pub const SECOND_ROOT: u8 = 2;
pub const LOG: u8 = 3;
pub const NEXT_LOG: u8 = 4;
pub const STRANGER: u8 = 9;

/// Files of an archive by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An archive in memory.
pub struct InMemory<'a>(pub &'a Files);

impl Archive for InMemory<'_> {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        Ok(self.0.keys().map(|path| Entry { path: path.clone(), is_file: true }).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        let reason = || ReadFailure::new(path, "not there");
        self.0.get(path).cloned().ok_or_else(reason)
    }
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().as_bytes()).unwrap()
}

pub fn root_id() -> KeyId {
    public(ROOT).id()
}

/// `2026-11-DDT02:00:00Z`, from the 20th on; the months are of thirty days.
pub fn day(number: u64) -> String {
    let day = 19 + number;
    format!("2026-{:02}-{:02}T02:00:00Z", 11 + day / 30, day % 30 + 1)
}

/// An envelope by the keys of these seeds.
pub fn envelope(payload_type: &str, payload: &[u8], seeds: &[u8]) -> Envelope {
    let message = pae(payload_type, payload);
    let signature = |seed: &u8| EnvelopeSignature {
        key: public(*seed).id(),
        bytes: key(*seed).sign(&message).to_bytes(),
    };
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        signatures: seeds.iter().map(signature).collect(),
    }
}

pub fn log_key(seed: u8, from_seq: u64) -> LogKey {
    LogKey {
        keyid: public(seed).id(),
        pem: public(seed).to_pem(),
        role: "log".to_owned(),
        from_seq,
        until_seq: None,
        status: KeyStatus::Active,
        revocation: None,
    }
}

pub fn root_entry(seed: u8) -> KeyEntry {
    KeyEntry { keyid: public(seed).id(), pem: public(seed).to_pem() }
}

pub fn anchor(size: u64, root: &Digest) -> Anchor {
    Anchor { size, root: STANDARD.encode(root.as_bytes()) }
}

/// A bundle before it is signed.
pub struct Draft {
    /// Everything under the list, but not the list itself.
    pub payload: Files,
    /// The list; made from `payload` when empty.
    pub sums: Vec<u8>,
    /// Made from the above; changes made to it are kept.
    pub statement: Statement,
}

/// A chain in the making.
#[derive(Clone)]
pub struct Forge {
    pub files: Files,
    pub origin: String,
    /// Seed of the key that signs.
    pub signer: u8,
    pub keyring: Keyring,
    keyring_digest: Digest,
    pub tree: RootBuilder,
    previous: Option<Digest>,
    /// Number of the next day.
    pub today: u64,
    /// As the chain has it; without it no run is due.
    pub cron: Option<&'static str>,
}

impl Forge {
    /// With one root key and one log key.
    pub fn new() -> Self {
        Self::with_roots(1, &[ROOT])
    }

    pub fn with_roots(threshold: u64, roots: &[u8]) -> Self {
        let keyring = Keyring {
            version: 1,
            prev: None,
            origin: ORIGIN.to_owned(),
            created: "2026-11-01T00:00:00Z".to_owned(),
            expires: "2027-11-01T00:00:00Z".to_owned(),
            root: Root { threshold, keys: roots.iter().map(|seed| root_entry(*seed)).collect() },
            signers: vec![log_key(LOG, 0)],
            anchor: anchor(0, &Digest::of(b"")),
        };
        let mut forge = Self {
            files: Files::new(),
            origin: ORIGIN.to_owned(),
            signer: LOG,
            keyring: keyring.clone(),
            keyring_digest: Digest::of(b""),
            tree: RootBuilder::default(),
            previous: None,
            today: 0,
            cron: Some("0 2 * * *"),
        };
        forge.publish(keyring, roots);
        forge
    }

    /// Three honest bundles.
    pub fn three() -> Self {
        let mut forge = Self::new();
        (0..3).for_each(|_| forge.bundle());
        forge
    }

    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    pub fn pin(&self) -> Pin {
        Pin { origin: self.origin.clone(), size: self.size(), root: self.tree.root() }
    }

    /// Publishes a keyring version signed by the keys of these seeds.
    pub fn publish(&mut self, keyring: Keyring, seeds: &[u8]) {
        let payload = keyring.to_bytes().unwrap();
        let path = layout::keyring(keyring.version);
        self.files.insert(path, envelope(KEYRING_TYPE, &payload, seeds).to_bytes());
        self.keyring_digest = Digest::of(&payload);
        self.keyring = keyring;
    }

    /// The version after the newest one, unchanged but for its number and anchor.
    pub fn next_keyring(&self) -> Keyring {
        Keyring {
            version: self.keyring.version + 1,
            prev: Some(DigestSet { sha256: self.keyring_digest }),
            anchor: anchor(self.size(), &self.tree.root()),
            ..self.keyring.clone()
        }
    }

    /// A next version in which `to` takes over from the active log key.
    pub fn rotated(&self, to: u8) -> Keyring {
        let mut keyring = self.next_keyring();
        let size = self.size();
        keyring.signers.retain_mut(|signer| {
            if signer.until_seq.is_none() {
                signer.until_seq = size.checked_sub(1);
                signer.status = KeyStatus::Retired;
            }
            signer.until_seq.is_some_and(|until| until >= signer.from_seq)
        });
        keyring.signers.push(log_key(to, size));
        keyring
    }

    pub fn keyring_ref(&self) -> KeyringRef {
        KeyringRef { version: self.keyring.version, sha256: self.keyring_digest }
    }

    /// Adds an honest bundle.
    pub fn bundle(&mut self) {
        self.bundle_with(&|_| {}, &|_| {});
    }

    /// Adds a bundle whose payload, and then whose statement, was changed before it was signed.
    pub fn bundle_with(
        &mut self,
        change_payload: &dyn Fn(&mut Draft),
        change_statement: &dyn Fn(&mut Statement),
    ) {
        let bytes = self.draft(change_payload, change_statement);
        self.seal(&bytes);
    }

    /// Writes the bundle's files and gives the statement's bytes.
    pub fn draft(
        &mut self,
        change_payload: &dyn Fn(&mut Draft),
        change_statement: &dyn Fn(&mut Statement),
    ) -> Vec<u8> {
        let seq = self.size();
        let (payload, statement) = self.honest(seq);
        let mut draft = Draft { payload, sums: Vec::new(), statement };
        change_payload(&mut draft);
        let Draft { payload, mut sums, mut statement } = draft;
        if sums.is_empty() {
            let mut manifest = Manifest::default();
            for (path, bytes) in &payload {
                assert!(manifest.insert(path, Digest::of(bytes)), "{path}");
            }
            sums = manifest.to_bytes();
            statement.predicate.files = manifest.len() as u64;
        }
        let digest = Digest::of(&sums);
        statement.subject[0].digest.sha256 = digest;
        for (path, bytes) in payload {
            self.files.insert(layout::bundle_file(&digest, &path), bytes);
        }
        self.files.insert(layout::bundle_file(&digest, layout::SHA256SUMS), sums);
        change_statement(&mut statement);
        self.today += 1;
        canonical::to_vec(&statement).unwrap()
    }

    /// Signs a statement at the next place, and everything after it.
    pub fn seal(&mut self, bytes: &[u8]) {
        let seq = self.size();
        let signed = envelope(STATEMENT_TYPE, bytes, &[self.signer]);
        self.files.insert(layout::statement(seq), bytes.to_vec());
        self.files.insert(layout::envelope(seq), signed.to_bytes());
        let hashes = self.tree.proof_of_next();
        self.tree.push(leaf_hash(bytes));
        self.previous = Some(Digest::of(bytes));
        let note = self.note(&self.checkpoint());
        let proof = TlogProof { index: seq, hashes, note: note.clone() };
        self.files.insert(layout::checkpoint(seq + 1), note.clone());
        self.files.insert(layout::tlog_proof(seq), proof.to_bytes());
        self.files.insert(layout::receipt(seq), format!("{}\n", self.pin().line()).into_bytes());
        self.files.insert(layout::HEAD.to_owned(), note);
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: self.origin.clone(), size: self.size(), root: self.tree.root() }
    }

    pub fn note(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        let signature = key(self.signer).sign(checkpoint.body().as_bytes()).to_bytes();
        checkpoint.to_note(&public(self.signer), &signature)
    }

    /// An honest bundle for a place whose statement before has this digest. It speaks for no time.
    #[cfg(feature = "pipeline")]
    pub fn bundle_after(&self, previous: Option<Digest>, seq: u64) -> (Files, Statement) {
        let (payload, mut statement) = Self { previous, ..self.clone() }.honest(seq);
        let time = &mut statement.predicate.time;
        time.period_start.clone_from(&time.period_end);
        (payload, statement)
    }

    fn honest(&self, seq: u64) -> (Files, Statement) {
        let created = day(self.today);
        let due = created.clone();
        let mut payload = rules_and_inputs();
        let run = run(&created);
        payload.insert(layout::RUN.to_owned(), run.to_bytes().unwrap());
        let load = &mut |path: &str| {
            payload.get(path).cloned().ok_or_else(|| std::io::Error::other(path.to_owned()))
        };
        let evaluation = evaluate(&run, load).unwrap();
        let salter = DisclosureSecret::new([7; 32]).salter(&self.origin, seq);
        let items = evaluation.write_items(None, &|id| salter.salt(id)).unwrap();
        payload.insert(layout::ITEMS.to_owned(), items.bytes);
        let (framework, results) = &evaluation.frameworks[0];
        let counts = Evaluation::counts(results);
        payload.insert(layout::CONTROLS.to_owned(), controls(&framework.key(), counts));
        payload.insert(layout::REPORT_PDF.to_owned(), b"%PDF-1.7 stands for a report\n".to_vec());
        let mapping = Digest::of(&payload["mapping/demo-1.json"]);
        let input = Digest::of(&payload["inputs/kube-bench/0001-node-1.json"]);
        let before = self.today.checked_sub(1).map_or("2026-11-19T02:00:00Z".to_owned(), day);
        let statement = Statement {
            statement_type: TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![Subject {
                name: layout::SHA256SUMS.to_owned(),
                digest: DigestSet { sha256: Digest::of(b"") },
            }],
            predicate: Predicate {
                chain: Chain {
                    origin: self.origin.clone(),
                    seq,
                    prev: self.previous.map(|sha256| DigestSet { sha256 }),
                },
                time: Time {
                    created: created.clone(),
                    period_start: before,
                    period_end: created,
                    schedule: self.cron.map(|cron| Schedule {
                        cron: cron.to_owned(),
                        time_zone: "UTC".to_owned(),
                        due: Some(due),
                        next: day(self.today + 1),
                    }),
                },
                items: Items {
                    file: layout::ITEMS.to_owned(),
                    size: items.size,
                    root: STANDARD.encode(items.root.as_bytes()),
                },
                files: 0,
                keyring: self.keyring_ref(),
                frameworks: Listing::Here(vec![FrameworkRef {
                    id: framework.id.clone(),
                    version: framework.version.clone(),
                    sha256: mapping,
                }]),
                sources: Listing::Here(vec![SourceRef {
                    name: "kube-bench".to_owned(),
                    status: "ok".to_owned(),
                    sha256: Some(Digest::of(input.to_string().as_bytes())),
                }]),
                summary: Listing::Here(vec![summary_of(&framework.key(), counts)]),
                gap: None,
                pruned: None,
                tool: Tool { name: "affidavit".to_owned(), version: "1.0.0".to_owned() },
            },
        };
        (payload, statement)
    }
}

/// A witness's line over a checkpoint.
pub fn cosignature(seed: u8, checkpoint: &Checkpoint, seconds: u64) -> Vec<u8> {
    let signature = key(seed).sign(message(seconds, checkpoint).as_bytes()).to_bytes();
    format!("{}\n", witness(seed).cosignature(seconds, &signature).line()).into_bytes()
}

/// A witness's key.
pub fn witness(seed: u8) -> NoteKey {
    NoteKey::witness(&format!("w{seed}.example.com"), public(seed))
}

/// A policy that asks for `threshold` of these witnesses.
pub fn witness_policy(threshold: usize, seeds: &[u8]) -> String {
    let lines = seeds.iter().map(|seed| format!("witness w{seed} {}\n", witness(*seed).to_text()));
    let text = lines.collect::<Vec<_>>().concat();
    let members = seeds.iter().map(|seed| format!(" w{seed}")).collect::<Vec<_>>().concat();
    format!("{text}group all-of-them {threshold}{members}\nquorum all-of-them\n")
}

/// The hash of a log key in a note, for lines that claim it.
pub fn log_hash(seed: u8) -> [u8; 4] {
    key_hash(ORIGIN, SignatureType::Ed25519, &public(seed))
}

/// The newest keyring of an archive.
#[cfg(feature = "pipeline")]
pub fn newest_keyring(files: &Files) -> affidavit::evidence::keyring::CheckedKeyring {
    let (_, bytes) = files.iter().rfind(|(path, _)| path.starts_with("keyring/")).unwrap();
    let envelope = Envelope::parse(bytes).unwrap();
    affidavit::evidence::keyring::CheckedKeyring::parse(&envelope.payload).unwrap()
}

fn run(created: &str) -> Run {
    Run {
        schema: run::SCHEMA.to_owned(),
        created: created.to_owned(),
        tool: run::Tool { name: "affidavit".to_owned(), version: "1.0.0".to_owned() },
        organisation: "Example".to_owned(),
        cluster: run::Cluster {
            name: "vectors".to_owned(),
            also_known_as: Vec::new(),
            uid: String::new(),
        },
        frameworks: vec!["mapping/demo-1.json".to_owned()],
        waivers: Vec::new(),
        attestations: Vec::new(),
        namespaces: std::collections::BTreeMap::new(),
        known_exploited: Vec::new(),
        sources: vec![Source {
            name: "kube-bench".to_owned(),
            scanner: "kube-bench".to_owned(),
            max_age_seconds: 86_400,
            expect_files: 1,
            expect_nodes: Vec::new(),
            shortfalls: Vec::new(),
            files: vec![File {
                path: "inputs/kube-bench/0001-node-1.json".to_owned(),
                original: "node-1.json".to_owned(),
                subject: "node-1".to_owned(),
                taken_at: None,
                file_time: FileTime::Fresh,
            }],
        }],
    }
}

fn rules_and_inputs() -> Files {
    const FRAMEWORK: &str = "
id: demo
version: '1'
title: A framework of two controls
authority: Affidavit's tests
notice: It stands for a standard.
groups: [{id: '1', title: Nodes}]
controls:
- id: '1.1'
  group: '1'
  title: Node files are closed
  kind: automated
  mappings:
  - {strength: full, responsibility: node-operator, rationale: It is the same setting., checks: ['kube-bench:cis-1.12:4.1.1']}
- id: '1.2'
  group: '1'
  title: Node files have an owner
  kind: automated
  mappings:
  - {strength: full, responsibility: node-operator, rationale: It is the same setting., checks: ['kube-bench:cis-1.12:4.1.2']}
";
    const INPUT: &str = r#"{"Controls":[{"id":"4","version":"cis-1.12","node_type":"node","tests":[{"section":"4.1","results":[
{"test_number":"4.1.1","status":"PASS","scored":true},
{"test_number":"4.1.2","status":"FAIL","scored":true}]}]}],
"Totals":{"total_pass":1,"total_fail":1,"total_warn":0,"total_info":0}}
"#;
    let framework = canonical::to_vec(&Framework::parse(FRAMEWORK).unwrap()).unwrap();
    Files::from([
        ("mapping/demo-1.json".to_owned(), framework),
        ("inputs/kube-bench/0001-node-1.json".to_owned(), INPUT.as_bytes().to_vec()),
    ])
}

fn controls(framework: &str, counts: StatusCounts) -> Vec<u8> {
    let value = serde_json::json!({ "frameworks": { framework: { "counts": counts } } });
    canonical::to_vec(&value).unwrap()
}
