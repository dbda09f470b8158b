//! The vectors of `tests/vectors`: each a subject, what an auditor was told, and every finding that
//! a verifier must come to. Both verifiers are tested with them (the page in `page.rs`).
//!
//! [`cases()`] makes all of them with fixed keys; `AFFIDAVIT_WRITE_VECTORS=1 cargo test vectors`
//! writes them. Without it the test fails where a file differs from what is made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use affidavit::archive::packed::Packed;
use affidavit::evidence::key::KeyId;
use affidavit::evidence::timestamp::Authorities;
use affidavit::verify::pin::Pin;
use affidavit::verify::{FailureCode, Policy, Verdict, WitnessPolicy, verify, verify_disclosure};
use serde::{Deserialize, Serialize};

mod cases;

use cases::cases;

/// A vector without its subject's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    pub title: String,
    /// Numbers of the attacks that it stands for (tests/vectors/README.md).
    pub attacks: Vec<u32>,
    pub subject: String,
    pub roots: Vec<String>,
    pub pins: Vec<String>,
    pub policy: String,
    pub tsa: String,
    pub now: String,
    pub replay: bool,
    /// `CODE object`, sorted.
    pub findings: Vec<String>,
    /// What the page says where that is different.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page_findings: Option<Vec<String>>,
}

/// A case with its subject.
struct Made {
    name: String,
    case: Case,
    subject: Vec<u8>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Every vector on disk with its folder.
pub fn on_disk() -> Vec<(PathBuf, Case)> {
    let mut found = Vec::new();
    for kind in ["valid", "invalid"] {
        for entry in fs::read_dir(root().join(kind)).unwrap() {
            let folder = entry.unwrap().path();
            let case = fs::read(folder.join("case.json")).unwrap();
            found.push((folder, serde_json::from_slice(&case).unwrap()));
        }
    }
    found.sort_by(|left: &(PathBuf, Case), right| left.0.cmp(&right.0));
    found
}

/// `CODE object` of every finding, sorted.
pub fn lines(verdict: &Verdict) -> Vec<String> {
    let line =
        |finding: &affidavit::verify::Finding| format!("{} {}", finding.code, finding.object);
    let mut lines: Vec<String> = verdict.findings.iter().map(line).collect();
    lines.sort();
    lines
}

/// The policy that a case gives its auditor.
pub fn policy_of(case: &Case) -> Policy {
    let roots = case.roots.iter().map(|root| KeyId::from_hex(root).unwrap()).collect();
    Policy {
        pins: case.pins.iter().map(|pin| Pin::parse(pin).unwrap()).collect(),
        replay: case.replay,
        witnesses: (!case.policy.is_empty()).then(|| WitnessPolicy::parse(&case.policy).unwrap()),
        authorities: (!case.tsa.is_empty()).then(|| Authorities::from_pem(&case.tsa).unwrap()),
        ..Policy::new(roots, case.now.parse().unwrap())
    }
}

fn judge(folder: &Path, case: &Case) -> Verdict {
    let policy = policy_of(case);
    let subject = folder.join(&case.subject);
    if case.subject == "disclosure.json" {
        return verify_disclosure(&fs::read(subject).unwrap(), &policy).verdict;
    }
    verify(&Packed::open(&subject).unwrap(), &policy).unwrap()
}

#[apply(test)]
fn the_vectors_are_what_the_generator_makes() {
    let write = std::env::var_os("AFFIDAVIT_WRITE_VECTORS").is_some();
    let mut differ = Vec::new();
    let made = cases();
    for Made { name, case, subject } in &made {
        let folder = root().join(name);
        let mut text = serde_json::to_string_pretty(case).unwrap();
        text.push('\n');
        if write {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("case.json"), &text).unwrap();
            fs::write(folder.join(&case.subject), subject).unwrap();
        }
        let same = fs::read_to_string(folder.join("case.json")).is_ok_and(|found| found == text)
            && fs::read(folder.join(&case.subject)).is_ok_and(|found| found == *subject);
        if !same {
            differ.push(name);
        }
    }
    assert!(differ.is_empty(), "{differ:?}");
    let names: BTreeSet<PathBuf> = made.iter().map(|made| root().join(&made.name)).collect();
    let there: BTreeSet<PathBuf> = on_disk().into_iter().map(|(folder, _)| folder).collect();
    assert_eq!(there, names, "a vector that nothing makes");
}

#[apply(test)]
fn every_vector_gives_its_findings_and_no_others() {
    let mut faults = Vec::new();
    for (folder, case) in on_disk() {
        let found = lines(&judge(&folder, &case));
        if found != case.findings {
            let (name, expected) = (folder.display(), &case.findings);
            faults.push(format!("{name}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// For whoever adds a vector: says which stand for each attack.
/// `AFFIDAVIT_TEST_PARTS=vectors::attacks_and_their_vectors cargo test --test main` runs it.
#[apply(part)]
fn attacks_and_their_vectors() {
    let mut attacks: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (folder, case) in on_disk() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        for attack in &case.attacks {
            attacks.entry(*attack).or_default().push(name.to_owned());
        }
    }
    for (attack, names) in attacks {
        println!("attack {attack:2}: {}", names.join(", "));
    }
}

/// Each code has a vector that yields it and nothing else.
#[apply(test)]
fn every_code_has_a_vector_of_its_own() {
    let alone: BTreeSet<String> = on_disk()
        .into_iter()
        .filter_map(|(_, case)| match case.findings.as_slice() {
            [one] => one.split_once(' ').map(|(code, _)| code.to_owned()),
            _ => None,
        })
        .collect();
    let missing: Vec<&str> = FailureCode::ALL
        .iter()
        .map(|code| code.name())
        .filter(|name| !alone.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
