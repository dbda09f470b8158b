//! Do scanners of others say the same of the same objects? Check by check, with a reason for every
//! difference.
//!
//! `agreement.yaml` says which checks ask the same and why some answer otherwise; the table is
//! `docs/agreement.md`. `AFFIDAVIT_WRITE_AGREEMENT=1` writes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use affidavit::checks;
use affidavit::finding::Outcome;
use affidavit::scanner::read;
use serde::Deserialize;

use super::cluster::Cluster;
use super::scanners::Scanners;
use super::{Placed, collect, list, populate};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    equal: BTreeMap<String, Vec<String>>,
    disagreements: Vec<Disagreement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disagreement {
    checks: Vec<String>,
    ours: Verdict,
    theirs: Verdict,
    why: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Pass,
    Fail,
}

/// What was said of each object (kind, namespace, name), check by check; of an object in several
/// parts, the worst.
type Said = BTreeMap<String, BTreeMap<(String, String, String), Verdict>>;

/// Reads a report with the reader for its format. Objects of a cluster are compared by name, so what
/// has no name is left out.
fn said(report: &[u8]) -> Said {
    let mut said = Said::new();
    for finding in read(report, "").unwrap().parsed.findings {
        let verdict = match finding.outcome {
            Outcome::Pass => Verdict::Pass,
            Outcome::Fail => Verdict::Fail,
            _ => continue,
        };
        let resource = &finding.resource;
        let key = (resource.kind.clone(), resource.namespace.clone(), resource.name.clone());
        let of_check = said.entry(finding.check.to_string()).or_default();
        let worst = of_check.get(&key).copied().unwrap_or(verdict).max(verdict);
        of_check.insert(key, worst);
    }
    said
}

/// How two checks compare: agreeing objects, and the differing ones by what both said.
#[derive(Default)]
struct Comparison {
    agreeing: usize,
    differing: BTreeMap<(Verdict, Verdict), Vec<String>>,
}

fn compare(ours: &Said, theirs: &Said, built_in: &str, other: &str) -> Comparison {
    let mut comparison = Comparison::default();
    let (Some(ours), Some(theirs)) =
        (ours.get(&format!("affidavit:{built_in}")), theirs.get(other))
    else {
        return comparison;
    };
    for (key, verdict) in ours {
        match theirs.get(key) {
            None => {}
            Some(other) if other == verdict => comparison.agreeing += 1,
            Some(other) => {
                let name = format!("{}/{}/{}", key.1, key.0, key.2);
                comparison.differing.entry((*verdict, *other)).or_default().push(name);
            }
        }
    }
    comparison
}

/// Manifests for those that read files: each check's two objects in a file of their own.
fn write_manifests(folder: &Path, placed: &[Placed]) {
    for (index, one) in placed.iter().enumerate() {
        fs::write(folder.join(format!("{index:03}.json")), list(&one.objects)).unwrap();
    }
}

fn table(known: &Known, compared: &BTreeMap<(&str, &str), Comparison>) -> String {
    let scanners = ["trivy", "kubescape", "prowler", "checkov"];
    let mut text = String::from(
        "# Agreement with other scanners\n\n\
         What the built-in checks say of more than 300 objects on a real API server, beside what others say of\n\
         the same objects: Trivy 0.74.0, Kubescape 3.0.48 and Prowler 5.46.0 on the cluster, Checkov 3.3.30 on\n\
         the manifests. `170/171` means that both said the same of 170 of the 171 objects of which both said\n\
         something; a pass that its scanner also gives where it saw nothing counts as silence (Trivy's of the\n\
         control plane). Every difference is explained below the table. `tests/kubernetes/agreement.rs` makes\n\
         this file and fails where a difference has no explanation, or an explanation no difference.\n\n\
         | built-in check | Trivy | Kubescape | Prowler | Checkov |\n| --- | --- | --- | --- | --- |\n",
    );
    for (built_in, others) in &known.equal {
        let _ = write!(text, "| `{built_in}` |");
        for scanner in scanners {
            let cells: Vec<String> = others
                .iter()
                .filter(|other| other.starts_with(&format!("{scanner}:")))
                .map(|other| {
                    let comparison = &compared[&(built_in.as_str(), other.as_str())];
                    let differing: usize = comparison.differing.values().map(Vec::len).sum();
                    let (_, local) = other.split_once(':').unwrap();
                    let all = comparison.agreeing + differing;
                    format!("`{local}` {}/{all}", comparison.agreeing)
                })
                .collect();
            let _ = write!(text, " {} |", cells.join(", "));
        }
        text.push('\n');
    }
    text.push_str(
        "\n## Differences\n\n| check | it says | the built-in check says | why |\n| --- | --- | --- | --- |\n",
    );
    let word = |verdict: Verdict| if verdict == Verdict::Pass { "pass" } else { "fail" };
    for difference in &known.disagreements {
        let checks: Vec<_> = difference.checks.iter().map(|check| format!("`{check}`")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            checks.join(", "),
            word(difference.theirs),
            word(difference.ours),
            difference.why.trim()
        );
    }
    text
}

#[apply(test)]
fn other_scanners_agree_or_differ_for_a_known_reason() {
    let scanners = Scanners::find();
    let mut cluster = Cluster::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = fs::read_to_string(root.join("tests/kubernetes/agreement.yaml")).unwrap();
    let known: Known = serde_saphyr::from_str(&known).unwrap();
    let placed = populate(&mut cluster, &checks::load_all().unwrap());
    let kubeconfig = cluster.kubeconfig();
    let (report, _, _folder) = collect(&kubeconfig, "");
    let ours = said(&report);
    let mut theirs = said(&scanners.trivy(&kubeconfig));
    theirs.extend(said(&scanners.kubescape(&kubeconfig)));
    theirs.extend(said(&scanners.prowler(&kubeconfig)));
    // Checkov passes over folders whose name begins with a dot.
    let manifests = tempfile::Builder::new().prefix("manifests").tempdir().unwrap();
    write_manifests(manifests.path(), &placed);
    theirs.extend(said(&scanners.checkov_of_files(manifests.path())));

    let mut compared = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<(usize, &str)> = BTreeSet::new();
    for (index, difference) in known.disagreements.iter().enumerate() {
        unused.extend(difference.checks.iter().map(|check| (index, check.as_str())));
    }
    for (built_in, others) in &known.equal {
        for other in others {
            let comparison = compare(&ours, &theirs, built_in, other);
            if comparison.agreeing == 0 && comparison.differing.is_empty() {
                wrong.push(format!("{built_in} and {other} have no object in common"));
            }
            for ((said, they), objects) in &comparison.differing {
                let found = known.disagreements.iter().position(|known| {
                    known.checks.contains(other) && (known.ours, known.theirs) == (*said, *they)
                });
                match found {
                    Some(index) => {
                        unused.remove(&(index, other.as_str()));
                    }
                    None => wrong.push(format!(
                        "{built_in} says {said:?}, {other} {they:?}, of {} objects: {:?}",
                        objects.len(),
                        &objects[..objects.len().min(4)]
                    )),
                }
            }
            compared.insert((built_in.as_str(), other.as_str()), comparison);
        }
    }
    wrong
        .extend(unused.iter().map(|(_, check)| format!("{check}: explained, but does not differ")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let path = root.join("docs/agreement.md");
    let text = table(&known, &compared);
    if std::env::var_os("AFFIDAVIT_WRITE_AGREEMENT").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "docs/agreement.md is of another run");
}
