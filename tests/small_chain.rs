//! A small chain of real bundles, made once with fixed keys, and ways to damage copies of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use affidavit::archive::Directory;
use affidavit::config::Config;
use affidavit::evidence::key::KeyId;
use affidavit::pipeline::{self, Progress, RunOutcome};
use affidavit::sign::chain::{self, NewChain};
use affidavit::verify::pin::Pin;
use affidavit::verify::{self, Policy, Verdict};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;

/// Days on which the bundles of the small chain were made.
pub const DAYS: [&str; 3] =
    ["2026-11-20T02:00:00Z", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"];
/// When the tests verify.
pub const NOW: &str = "2026-11-22T03:00:00Z";
/// Origin of the small chain.
pub const ORIGIN: &str = "evidence.example.com/test";

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
}

/// An instant.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Writes inputs, keys with fixed seeds and a configuration into `folder`.
pub fn workspace(folder: &Path) -> PathBuf {
    let inputs = folder.join("inputs");
    fs::create_dir_all(&inputs).unwrap();
    fs::write(
        inputs.join("node-1.json"),
        r#"{"Controls":[{"id":"4","version":"cis-1.12","node_type":"node","tests":[{"section":"4.1","results":[
            {"test_number":"4.1.1","status":"PASS","scored":true},
            {"test_number":"4.1.2","status":"FAIL","scored":true,"expected_result":"'root:root' is equal to 'root:root'"},
            {"test_number":"4.2.1","status":"PASS","scored":true}]}]}],
            "Totals":{"total_pass":2,"total_fail":1,"total_warn":0,"total_info":0}}"#,
    )
    .unwrap();
    let keys = folder.join("keys");
    if !keys.exists() {
        let new_chain = NewChain {
            origin: ORIGIN,
            root_keys: 1,
            threshold: 1,
            created: at("2026-11-01T00:00:00Z"),
            valid_days: 365,
            passphrase: None,
        };
        let (root, log) = (SigningKey::from_bytes(&[11; 32]), SigningKey::from_bytes(&[22; 32]));
        chain::write(&keys, &new_chain, &[root], &log, &[33; 32]).unwrap();
    }
    let config = folder.join("affidavit.yaml");
    fs::write(
        &config,
        format!(
            "cluster: {{ name: test }}\norigin: {ORIGIN}\narchive: {{ uri: archive }}\n\
             schedule: '0 2 * * *'\n\
             keys: {{ signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }}\n\
             frameworks: [cis-kubernetes@1.12]\n\
             sources:\n  - {{ name: kube-bench, scanner: kube-bench, files: ['inputs/*.json'], expect_files: 1, max_age: 3650d, taken_at: '2026-11-19T00:00:00Z' }}\n"
        ),
    )
    .unwrap();
    config
}

/// Runs once.
pub fn run(config: &Path, now: &str) -> RunOutcome {
    pipeline::run(&Config::load(config).unwrap(), at(now), false, &Silent).unwrap()
}

/// The small chain: a folder with the archive, and the heads after each bundle.
pub fn small_chain() -> &'static (tempfile::TempDir, Vec<Pin>) {
    static CHAIN: OnceLock<(tempfile::TempDir, Vec<Pin>)> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let config = workspace(folder.path());
        let pins = DAYS.iter().map(|day| run(&config, day).pin.unwrap()).collect();
        (folder, pins)
    })
}

/// A copy of the small chain's archive that may be damaged.
pub fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    copy_tree(&small_chain().0.path().join("archive"), &archive);
    (folder, archive)
}

/// Copies a folder.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files below a folder, as paths from it, sorted.
pub fn files(root: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

/// Fingerprint of the test chain's root key.
pub fn root() -> KeyId {
    let text = fs::read_to_string(small_chain().0.path().join("keys/root.fingerprint")).unwrap();
    KeyId::from_fingerprint(text.trim()).unwrap()
}

/// The policy of an auditor who has the root fingerprint and nothing else.
pub fn policy() -> Policy {
    Policy::new([root()].into(), at(NOW))
}

/// Verifies an archive by a policy.
pub fn verify_with(archive: &Path, policy: &Policy) -> Verdict {
    verify::verify(&Directory::new(archive), policy).unwrap()
}

/// Verifies an archive.
pub fn verdict(archive: &Path) -> Verdict {
    verify_with(archive, &policy())
}

/// `CODE object` of every error.
pub fn errors(verdict: &Verdict) -> Vec<String> {
    verdict
        .findings
        .iter()
        .filter(|finding| finding.is_fault())
        .map(|finding| format!("{} {}", finding.code, finding.object))
        .collect()
}
