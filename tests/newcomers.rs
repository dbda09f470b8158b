//! What people do first, and what they see: a place that holds no archive, files beside the evidence, examples that
//! were not replaced, decisions that decide nothing, results that bear on nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{affidavit, done, error};
use crate::small_chain::{NOW, copy, copy_tree, files, root, small_chain, workspace};

/// Verifies what is at a place, as who trusts the small chain's root.
fn verify(folder: &Path, place: &str) -> std::process::Output {
    affidavit(folder, &["verify", place, "--root", &root().to_string(), "--now", NOW])
}

#[apply(test)]
fn a_place_without_an_archive_says_what_is_there_and_where_one_lies() {
    let (folder, archive) = copy();
    let folder = folder.path();
    for number in 0..50 {
        fs::write(folder.join(format!("{number}.txt")), "x").unwrap();
    }
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("x.pdf"), "%PDF-1.7\n").unwrap();
    fs::write(folder.join("x.json"), "{}").unwrap();
    fs::write(folder.join("x.yaml"), "secret: a\n").unwrap();
    fs::create_dir(folder.join("keys")).unwrap();
    fs::write(folder.join("keys/log.pem"), "-----BEGIN").unwrap();
    copy_tree(&archive.join("keyring"), &folder.join("keys/keyring"));
    let report = r#"{"Reports":[],"findings":[]}"#;
    fs::write(folder.join("list.json"), format!("\n[{report}]")).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kube-bench");
    let report = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
    let report = report.filter(|path| path.extension().is_some_and(|end| end == "json")).min();
    fs::copy(report.unwrap(), folder.join("report.json")).unwrap();
    fs::write(folder.join("x.tar.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let sums = files(&archive).into_iter().find(|path| path.ends_with("SHA256SUMS")).unwrap();
    let bundle = format!("archive/{}", sums.trim_end_matches("/SHA256SUMS"));
    for (place, said) in [
        (".", "an archive seems to lie in `./archive`"),
        ("empty", "it is empty"),
        (&bundle, "it belongs to the archive in `"),
        ("archive/bundles", "it belongs to the archive in `"),
        ("keys", "these are the keys of a chain"),
        ("x.yaml", "`x.yaml` is a text file, not an archive"),
        ("x.pdf", "a PDF, not an archive"),
        ("x.json", "`x.json` is a JSON file, not an archive"),
        ("list.json", "`list.json` is a JSON file, not an archive"),
        ("report.json", "is a scanner report (format kube-bench), not an archive"),
        ("archive/log/0000000000.json", "is a single statement of an archive, not an archive"),
        ("x.tar.gz", "unpack it first"),
    ] {
        let output = verify(folder, place);
        let told = error(&output, 2);
        assert!(told.contains(said) && told.lines().count() < 6, "{place}: {told}");
        assert!(output.stdout.is_empty(), "{place}");
    }
    // Only what says that it is a disclosure is judged as one.
    for (file, said) in [
        ("x.json", "`x.json` is not a disclosure: it is a JSON file"),
        ("report.json", "it is a scanner report (format kube-bench)"),
        ("archive/log/0000000000.json", "it is a single statement of an archive"),
        ("x.pdf", "`x.pdf` is not a disclosure"),
    ] {
        let output = affidavit(folder, &["verify-proof", file, "--root", &root().to_string()]);
        let told = error(&output, 2);
        assert!(told.contains(said) && output.stdout.is_empty(), "{file}: {told}");
    }
    fs::write(folder.join("cut.json"), r#"{"format":"urn:affidavit:disclosure:v1","ite"#).unwrap();
    let cut = ["verify-proof", "cut.json", "--root", &root().to_string()];
    assert_eq!(affidavit(folder, &cut).status.code(), Some(6));
    let gone = error(&verify(folder, "nowhere"), 3);
    assert!(gone.contains("`nowhere`"), "{gone}");
    // Whoever knows that a chain was here calls its absence a fault.
    let pin = small_chain().1[2].line();
    fs::write(folder.join("pin.txt"), pin).unwrap();
    let root = root().to_string();
    let pinned = ["verify", "empty", "--root", &root, "--pin", "pin.txt", "--now", NOW];
    assert_eq!(affidavit(folder, &pinned).status.code(), Some(6));
}

#[apply(test)]
fn a_pin_from_the_archive_itself_pins_nothing() {
    let (folder, archive) = copy();
    let folder = folder.path();
    let receipt = fs::read_dir(archive.join("receipts")).unwrap().map(|e| e.unwrap().path());
    let receipt = receipt.filter(|path| path.extension().is_some_and(|end| end == "txt")).max();
    let receipt = receipt.unwrap();
    let kept = folder.join("receipt.txt");
    fs::copy(&receipt, &kept).unwrap();
    std::os::unix::fs::symlink(&archive, folder.join("link")).unwrap();
    let root = root().to_string();
    let verify = |place: &str, pin: &Path| {
        let pin = pin.to_str().unwrap();
        affidavit(folder, &["verify", place, "--root", &root, "--now", NOW, "--pin", pin])
    };
    for place in ["archive", "link"] {
        let output = verify(place, &receipt);
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("WARNING HEAD_UNPINNED") && !told.contains("\npinned "), "{told}");
        let said = error(&output, 0);
        assert!(said.contains("lies in the archive itself"), "{said}");
    }
    assert!(done(&verify("archive", &kept)).contains("pinned    3 of 3"));
    // What it says must hold all the same.
    for path in ["log/0000000002.json", "log/0000000002.dsse.json", "checkpoints/0000000003"] {
        fs::remove_file(archive.join(path)).unwrap();
    }
    fs::remove_file(archive.join("checkpoint")).unwrap();
    let output = verify("archive", &receipt);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(6) && told.contains("TAIL_TRUNCATED"), "{told}");
}

#[apply(test)]
fn faults_of_one_kind_are_told_together() {
    let (folder, archive) = copy();
    for number in 0..300 {
        fs::write(archive.join(format!("log/{number}.txt")), "x").unwrap();
    }
    let output = verify(folder.path(), "archive");
    assert_eq!(output.status.code(), Some(6));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("and 290 more of FILE_EXTRA"), "{told}");
    assert!(told.lines().count() < 60, "{told}");
    let root = root().to_string();
    let json = ["verify", "archive", "--root", &root, "--now", NOW, "-o", "json"];
    let all: Value = serde_json::from_slice(&affidavit(folder.path(), &json).stdout).unwrap();
    assert!(all["findings"].as_array().unwrap().len() >= 300);
}

#[apply(test)]
fn names_in_an_archive_are_not_obeyed() {
    let (folder, archive) = copy();
    let names = ["a\nverdict   VERIFIED", "b\u{1b}[2J\u{1b}[1;1H", "c\r\u{202e}d", "e\u{200b}f"];
    for name in names {
        fs::write(archive.join("log").join(name), "x").unwrap();
    }
    let told = String::from_utf8(verify(folder.path(), "archive").stdout).unwrap();
    assert_eq!(told.lines().filter(|line| line.starts_with("verdict ")).count(), 1, "{told}");
    for raw in ['\u{1b}', '\r', '\u{202e}', '\u{200b}'] {
        assert!(!told.contains(raw), "{told:?}");
    }
    assert!(told.contains("a\\nverdict   VERIFIED") && told.contains("\\u{202e}"), "{told}");
    // Nor in errors: what a folder is called, that the archive is in, and what in it cannot be read.
    let folder = tempfile::tempdir().unwrap();
    for above in names {
        let log = folder.path().join(above).join("log");
        fs::create_dir_all(&log).unwrap();
        fs::write(log.join("0000000000.json"), "{}").unwrap();
    }
    for (place, code) in [(".", 2), (names[0], 3), ("x\nverdict   VERIFIED", 3)] {
        if code == 3 {
            fs::remove_dir_all(folder.path().join(place)).ok();
        }
        let told = error(&verify(folder.path(), place), code);
        assert!(!told.lines().any(|line| line.trim_start().starts_with("verdict ")), "{told}");
        assert!(told.contains("\\nverdict   VERIFIED"), "{told}");
    }
}

#[apply(test)]
fn what_init_wrote_as_an_example_is_not_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(&affidavit(folder, &["init"]));
    let told = error(&affidavit(folder, &["run"]), 2);
    assert!(told.contains("`my-cluster` is only an example"), "{told}");
    assert!(!folder.join("archive").exists());
    let ignored = fs::read_to_string(folder.join("keys/.gitignore")).unwrap();
    assert!(ignored.contains("*.pem") && ignored.contains("*.secret"), "{ignored}");
    // With names of one's own, it runs as it was written, decisions included.
    let other = folder.join("own");
    let names = ["--origin", "evidence.example.com/own", "--cluster", "own"];
    done(&affidavit(folder, &[&["init", "own"], &names[..]].concat()));
    let text = fs::read_to_string(other.join("affidavit.yaml")).unwrap();
    let text =
        text.replace("# waivers: [", "waivers: [").replace("# attestations: [", "attestations: [");
    fs::write(other.join("affidavit.yaml"), text).unwrap();
    let dry = affidavit(&other, &["run", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(4), "{}", String::from_utf8_lossy(&dry.stderr));
}

#[apply(test)]
fn a_dry_run_says_what_would_be_sealed_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let config = fs::read_to_string(folder.join("affidavit.yaml")).unwrap();
    let attested = |control: &str| {
        format!(
            "attestations: [{{ id: A-1, controls: ['{control}'], outcome: implemented, by: b, role: r, statement: s, date: 2026-11-01, until: 2027-11-01 }}]"
        )
    };
    fs::write(folder.join("a.yaml"), attested("cis-kubernetes/4.1.9")).unwrap();
    fs::write(folder.join("affidavit.yaml"), format!("{config}attestations: [a.yaml]\n")).unwrap();
    let before = files(folder);
    let dry = done(&affidavit(folder, &["run", "--dry-run", "--now", NOW]));
    assert_eq!(files(folder), before);
    assert!(dry.contains("nothing was sealed"), "{dry}");
    let nearest = "attestation A-1 is about nothing: there is no control `cis-kubernetes/4.1.9`; is `cis-kubernetes@1.12/4.1.9` meant?";
    assert!(dry.contains(nearest), "{dry}");
    assert!(dry.contains("1 control fails, "), "{dry}");
    // The run itself says the same, and so do its report and the doctor.
    assert!(done(&affidavit(folder, &["run", "--now", NOW])).contains(nearest));
    let html = ["report", "archive", "--format", "html", "--out", "r.html"];
    done(&affidavit(folder, &html));
    let html = fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(html.contains(
        "there is no control `cis-kubernetes/4.1.9`; is `cis-kubernetes@1.12/4.1.9` meant?"
    ));
    assert!(html.contains("Decisions that name what is not there"));
    let doctor = affidavit(folder, &["doctor", "--now", NOW]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("A-1 is about nothing"));
    // A decision that has an effect is not mentioned.
    fs::write(folder.join("a.yaml"), attested("cis-kubernetes@1.12/4.1.9")).unwrap();
    let dry = done(&affidavit(folder, &["run", "--dry-run", "--now", NOW]));
    assert!(!dry.contains("notice:"), "{dry}");
}

#[apply(test)]
fn results_that_bear_on_nothing_are_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let node = fs::read_to_string(folder.join("inputs/node-1.json")).unwrap();
    let failing = node.replace("PASS", "FAIL").replace("cis-1.12", "eks-9.9");
    let failing =
        failing.replace("\"total_pass\":2,\"total_fail\":1", "\"total_pass\":0,\"total_fail\":3");
    // One node of a benchmark that nobody maps: what it failed must not vanish beside one that passed.
    fs::write(folder.join("inputs/node-2.json"), &failing).unwrap();
    let dry = ["run", "--dry-run", "--now", NOW, "-o", "json"];
    let status = |output: &std::process::Output| -> Value {
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let output = affidavit(folder, &dry);
    assert_eq!(output.status.code(), Some(4));
    let source = status(&output)["sources"][0].clone();
    assert_eq!(source["standing"], "incomplete");
    let detail = source["detail"].as_str().unwrap();
    assert!(detail.contains("node-2.json: none of its 3 findings bears on a control"), "{detail}");
    assert_eq!(status(&output)["frameworks"][0]["counts"]["satisfied"], 0, "{output:?}");
    // Alone, the source is unmapped.
    fs::remove_file(folder.join("inputs/node-1.json")).unwrap();
    let output = affidavit(folder, &dry);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(status(&output)["sources"][0]["standing"], "unmapped");
    let strict = affidavit(folder, &["run", "--strict", "--now", NOW]);
    assert!(error(&strict, 3).contains("is unmapped"));
}

#[apply(test)]
fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let config = fs::read_to_string(folder.join("affidavit.yaml")).unwrap();
    for (part, replacement, said) in [
        ("[cis-kubernetes@1.12]", "[cis-kubernetes@1.12, cis-kubernetes@1.12]", "is listed twice"),
        ("[cis-kubernetes@1.12]", "[pci-dss, pci-dss@4.0.1]", "is listed twice"),
        ("uri: archive", "uri: 's3:/archive'", "is no kind of store"),
        ("uri: archive", "uri: 'gs://bucket/x'", "is no kind of store"),
        ("uri: archive", "uri: 's3:b'", "is no kind of store"),
        ("'inputs/*.json'", "'gs:b/*'", "is no path"),
        ("'inputs/*.json'", "'s3://bucket/*.json'", "is no path"),
        ("sources:", "waivers: ['https://example.com/w.yaml']\nsources:", "is no path"),
    ] {
        fs::write(folder.join("affidavit.yaml"), config.replace(part, replacement)).unwrap();
        let told = error(&affidavit(folder, &["run", "--now", NOW]), 2);
        assert!(told.contains(said), "{replacement}: {told}");
    }
    for arguments in [
        ["report", "archive", "--out", "s3://bucket/report.pdf"],
        ["report", "archive", "--out", "file:report.pdf"],
        ["bundle", "export", "archive", "--file=https://example.com/x.tar"],
        ["collect", "s3://bucket/x", "--config", "affidavit.yaml"],
    ] {
        let told = error(&affidavit(folder, &arguments), 2);
        assert!(told.contains("is no path"), "{told}");
    }
    let names: Vec<String> = files(folder).into_iter().filter(|path| path.contains(':')).collect();
    assert_eq!(names, [""; 0]);
    // Of two patterns that both must match, one matches nothing.
    let both = config.replace("['inputs/*.json']", "['inputs/*.json', 'workers/*.json']");
    fs::write(folder.join("affidavit.yaml"), both).unwrap();
    let output = affidavit(folder, &["run", "--dry-run", "--now", NOW]);
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("no file matches `workers/*.json`"), "{told}");
}

#[apply(test)]
fn a_dry_run_fails_where_a_run_would_and_a_check_needs_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let path = folder.join("affidavit.yaml");
    let good = fs::read_to_string(&path).unwrap();
    let dry = |text: &str| {
        fs::write(&path, text).unwrap();
        let output = affidavit(folder, &["run", "--dry-run", "--now", NOW]);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (exit, said) = dry(&good);
    assert!(matches!(exit, 0 | 4), "{said}");
    let origin = good.lines().find(|line| line.starts_with("origin:")).unwrap().to_owned();
    let signer = good.lines().find_map(|line| line.split("signer: ").nth(1)).unwrap();
    let signer = signer.split([',', ' ', '}']).next().unwrap().to_owned();
    for bad in [
        good.replace(&origin, "origin: other.test/chain"),
        good.replace(&signer, "no-such-key.pem"),
        good.replace(&signer, "gcpkms://x/y"),
    ] {
        assert_ne!(bad, good);
        let (exit, said) = dry(&bad);
        assert!(
            matches!(exit, 2 | 3) && said.contains("a run could not seal this"),
            "{exit} {said}"
        );
    }
    // A chain that lost its end.
    fs::write(&path, &good).unwrap();
    affidavit(folder, &["run", "--now", NOW]);
    assert!(folder.join("archive/log").exists());
    for file in fs::read_dir(folder.join("archive/log")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let (exit, said) = dry(&good);
    assert!(matches!(exit, 2 | 3), "{exit} {said}");
    // Without any key, the inputs can still be checked.
    fs::write(&path, good.replace(&signer, "no-such-key.pem")).unwrap();
    let output = affidavit(folder, &["check", "--now", NOW]);
    assert!(
        matches!(output.status.code(), Some(0 | 4)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[apply(test)]
fn a_run_that_cannot_read_its_decisions_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let path = folder.join("affidavit.yaml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}attestations: [a.yaml]\n")).unwrap();
    let template = "attestations:\n  - id: A-1\n    controls: ['pci-dss@4.0.1/9.1.1']\n    outcome: implemented\n    by: <name of who says it>\n    role: officer\n    statement: yes it is\n    date: 2026-11-01\n    until: 2027-10-31\n";
    for (text, said) in [(template, "the words of the template"), ("attestations: [{}]\n", "id")] {
        fs::write(folder.join("a.yaml"), text).unwrap();
        let output = affidavit(folder, &["run", "--now", NOW]);
        let told = error(&output, 2);
        assert!(told.contains(said), "{told}");
        assert!(!folder.join("archive/keyring").exists(), "{told}");
    }
}
