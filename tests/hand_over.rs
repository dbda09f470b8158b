//! What is handed to an auditor: exports as one file, disclosures, samples; and that the verifier
//! needs neither a network nor a writable medium.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::command::{self, done};
use crate::forge::{Files, Forge, root_id};
use crate::harness::{Missing, leave_out};
use crate::tools;

const NOW: &str = "2026-11-22T03:00:00Z";

/// Writes an archive of three bundles.
fn archive(folder: &Path) -> (PathBuf, Forge) {
    let forge = Forge::three();
    let path = folder.join("archive");
    write(&path, &forge.files);
    fs::write(folder.join("pin.txt"), forge.pin().line()).unwrap();
    (path, forge)
}

fn write(folder: &Path, files: &Files) {
    for (path, bytes) in files {
        let full = folder.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, bytes).unwrap();
    }
}

fn affidavit(folder: &Path, arguments: &[&str]) -> Output {
    command::affidavit(folder, &[arguments, &["--now", NOW]].concat())
}

fn root() -> String {
    root_id().to_string()
}

#[apply(test)]
fn an_export_is_the_same_each_time_and_verifies_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    for kind in ["tar", "zip"] {
        let (one, two) = (format!("one.{kind}"), format!("two.{kind}"));
        for name in [&one, &two] {
            done(&affidavit(folder.path(), &["bundle", "export", "archive", "--file", name]));
        }
        let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert!(bytes(&one) == bytes(&two), "{kind}");
        let verify = ["verify", &one, "--root", &root(), "--pin", "pin.txt", "--replay"];
        let text = done(&affidavit(folder.path(), &verify));
        assert!(text.contains("3 bundles assessed again: same items"), "{text}");
        assert!(text.ends_with("verdict   VERIFIED\n"), "{text}");
        // Cut off, it is refused or not verified, never less.
        let cut = bytes(&one)[..bytes(&one).len() / 2].to_vec();
        fs::write(folder.path().join(&two), cut).unwrap();
        let code = affidavit(folder.path(), &["verify", &two, "--root", &root()]).status.code();
        assert!(matches!(code, Some(3 | 6)), "{kind}: {code:?}");
        // What is there already is left as it is.
        let again = affidavit(folder.path(), &["bundle", "export", "archive", "--file", &one]);
        assert_eq!(again.status.code(), Some(3));
    }
    assert!(!folder.path().join("one.partial").exists());
}

#[apply(test)]
fn a_partial_export_says_so_and_misses_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let export = ["bundle", "export", "archive", "--file", "part.zip", "--bundle", "1"];
    done(&affidavit(folder.path(), &export));
    let verify = ["verify", "part.zip", "--root", &root(), "--pin", "pin.txt", "--strict"];
    let output = affidavit(folder.path(), &verify);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("WARNING PARTIAL_EXPORT  export.json"), "{text}");
    assert!(text.contains("bundles 1 to 1") && text.contains("1 bundle: "), "{text}");
    assert_eq!(text.matches("WARNING").count(), 1, "{text}");
    let beyond = ["bundle", "export", "archive", "--file", "x.tar", "--bundle", "3"];
    assert_eq!(affidavit(folder.path(), &beyond).status.code(), Some(2));
}

#[apply(test)]
fn one_finding_is_shown_and_the_others_stay_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (_, forge) = archive(folder.path());
    let disclose = ["disclose", "archive", "--item", "finding/0000002", "--file", "one.json"];
    done(&affidavit(folder.path(), &disclose));
    let text = fs::read_to_string(folder.path().join("one.json")).unwrap();
    assert!(text.contains("4.1.2") && !text.contains("4.1.1"), "{text}");
    let proof = ["verify-proof", "one.json", "--root", &root(), "--pin", "pin.txt"];
    let text = done(&affidavit(folder.path(), &proof));
    assert!(text.contains("checked   1 items; nothing is said of the others"), "{text}");
    assert!(text.ends_with("verdict   VERIFIED\n"), "{text}");
    // Every receipt of the archive is a pin, and every disclosure of it is whole.
    for seq in 0..3 {
        let receipt = folder.path().join(format!("archive/receipts/{seq:010}.tlog-proof"));
        let pin = affidavit::verify::pin::Pin::parse(&fs::read_to_string(receipt).unwrap());
        assert_eq!(pin.unwrap().size, seq + 1);
    }
    assert_eq!(forge.pin().size, 3);
    let no_item = ["disclose", "archive", "--item", "finding/9", "--file", "none.json"];
    let output = affidavit(folder.path(), &no_item);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("bundle 2 has no item `finding/9`"), "{text}");
    assert!(!folder.path().join("none.json").exists());
}

#[apply(test)]
fn a_sample_is_drawn_again_with_sha256sum() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let sample = |seed: &str, extra: &[&str]| {
        let start = ["sample", "archive", "--n", "1", "--seed", seed, "-o", "json"];
        let output = affidavit(folder.path(), &[&start, extra].concat());
        serde_json::from_str::<serde_json::Value>(&done(&output)).unwrap()
    };
    let mut drawn = BTreeSet::new();
    for seed in ["a", "b", "c", "d", "e", "f"] {
        let found = sample(seed, &[]);
        assert_eq!(found, sample(seed, &[]));
        assert_eq!(found["population"], 2);
        // The recipe of section 12, with a tool that everybody has.
        let mut keys: Vec<(String, String)> = ["finding/0000001", "finding/0000002"]
            .into_iter()
            .map(|id| {
                let text = format!("{seed}\0evidence.example.com/vectors\x002\0{id}");
                (sha256sum(text.as_bytes()), id.to_owned())
            })
            .collect();
        keys.sort();
        assert_eq!(found["units"][0]["key"], keys[0].0);
        assert_eq!(found["units"][0]["unit"], keys[0].1);
        drawn.insert(keys[0].1.clone());
    }
    assert_eq!(drawn.len(), 2, "another seed draws another unit");
    let resources = sample("a", &["--population", "resources", "--slips", "slips"]);
    assert_eq!(resources["units"][0]["unit"], "Node/node-1");
    let slip = ["verify-proof", "slips/slip-001.json", "--root", &root(), "--pin", "pin.txt"];
    assert!(done(&affidavit(folder.path(), &slip)).contains("checked   2 items"));
    let list = fs::read_to_string(folder.path().join("slips/sample.md")).unwrap();
    assert!(list.contains("## 1. Node/node-1"), "{list}");
}

fn sha256sum(bytes: &[u8]) -> String {
    let mut command = tools::SHA256SUM.command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

/// On a medium that cannot be written, in a network namespace without any interface.
#[apply(test)]
fn the_verifier_needs_no_network_and_writes_nothing() {
    tools::SH.demand();
    tools::MOUNT.demand();
    let may = tools::UNSHARE.command().args(["-n", "-m", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        leave_out(Missing {
            what: "the right to make namespaces (unshare -n -m)".to_owned(),
            remedy: "run as root".to_owned(),
        });
    }
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let inside = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && ! touch \"$1/x\" 2>/dev/null && \
                  exec \"$2\" verify \"$1/archive\" --root \"$3\" --pin \"$1/pin.txt\" --now \"$4\"";
    let output = tools::UNSHARE
        .command()
        .args(["-n", "-m", "sh", "-c", inside, "sh"])
        .arg(folder.path())
        .args([env!("CARGO_BIN_EXE_affidavit"), &root(), NOW])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(done(&output).ends_with("verdict   VERIFIED\n"));
}
