//! Programs of others accept what we write. `.ci/stock-tools` installs them; what they said, by
//! version, stands in `docs/stock-tools.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::evidence::merkle;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::small_chain::{DAYS, ORIGIN, copy, files};
use crate::tools;

/// Validates PDFs as PDF/A-3a and PDF/UA-1 by veraPDF (the industry's own validator).
pub fn validate(folder: &Path, pdfs: &[&str]) {
    let jars = tools::VERAPDF.path();
    for flavour in ["3a", "ua1"] {
        let output = tools::JAVA
            .command()
            .args([
                "-cp",
                &format!("{}/*", jars.display()),
                "org.verapdf.apps.GreenfieldCliWrapper",
            ])
            .args(["--flavour", flavour, "--format", "text"])
            .args(pdfs)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = stdout_of(&output);
        let passed = said.lines().filter(|line| line.starts_with("PASS ")).count();
        assert_eq!(passed, pdfs.len(), "{flavour}: {said}");
    }
}

fn stdout_of(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    format!("{}{error}", String::from_utf8_lossy(&output.stdout))
}

/// The script of axe-core (Deque), which looks for what keeps people out of a page.
pub fn axe() -> PathBuf {
    let mut versions = fs::read_dir(tools::PYTHON_PACKAGES.path()).unwrap();
    let version = versions.next().unwrap().unwrap().file_name().into_string().unwrap();
    let script = format!("{version}/site-packages/axe_core_python/axe.min.js");
    tools::within(&tools::PYTHON_PACKAGES, &script)
}

/// A copy of the small chain with the public keys that its keyring names.
struct Copy {
    _folder: TempDir,
    archive: PathBuf,
    root: PathBuf,
    signer: PathBuf,
}

fn copy_with_keys() -> Copy {
    let (folder, archive) = copy();
    let envelope = read_json(&archive.join(layout::keyring(1)));
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let keyring: Value = serde_json::from_slice(&payload).unwrap();
    let write = |name: &str, pem: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, pem.as_str().unwrap()).unwrap();
        path
    };
    let root = write("root.pem", &keyring["root"]["keys"][0]["pem"]);
    let signer = write("signer.pem", &keyring["signers"][0]["pem"]);
    Copy { _folder: folder, archive, root, signer }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn stdout(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[apply(test)]
fn securesystemslib_verifies_every_envelope() {
    tools::PYTHON.demand();
    let copy = copy_with_keys();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock/dsse.py");
    let verify = |key: &Path, envelopes: &[String]| {
        let mut command = tools::PYTHON.command();
        command.arg(&script).arg(key).args(envelopes).current_dir(&copy.archive);
        command.output().unwrap()
    };
    let payload_of = |statement: &str| Digest::of(&fs::read(copy.archive.join(statement)).unwrap());

    let statements: Vec<String> = (0..3).map(layout::envelope).collect();
    let expected: Vec<String> = (0..3)
        .map(|seq| format!("{}  {}", payload_of(&layout::statement(seq)), layout::envelope(seq)))
        .collect();
    let accepted = stdout(&verify(&copy.signer, &statements));
    assert_eq!(accepted.lines().collect::<Vec<_>>(), expected);
    let keyring = [layout::keyring(1)];
    assert!(stdout(&verify(&copy.root, &keyring)).ends_with(&format!("  {}\n", keyring[0])));

    // The other key signed neither, and an altered payload is noticed.
    assert!(!verify(&copy.root, &statements).status.success());
    assert!(!verify(&copy.signer, &keyring).status.success());
    let path = copy.archive.join(&statements[1]);
    let mut envelope = read_json(&path);
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let altered = String::from_utf8(payload).unwrap().replacen("\"seq\":1", "\"seq\":2", 1);
    envelope["payload"] = STANDARD.encode(altered).into();
    fs::write(&path, envelope.to_string()).unwrap();
    let refused = verify(&copy.signer, &statements);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("Accepted signatures do not match threshold"), "{error}");
}

#[apply(test)]
fn a_reader_of_other_logs_accepts_checkpoints_and_proofs() {
    tools::NOTES.demand();
    let copy = copy_with_keys();
    let read = || {
        let mut command = tools::NOTES.command();
        command.arg(ORIGIN).arg(&copy.signer).arg(&copy.archive).output().unwrap()
    };
    let size = DAYS.len() as u64;
    let mut expected: Vec<String> =
        (1..=size).map(|size| format!("{} size {size}", layout::checkpoint(size))).collect();
    expected.push(format!("{} size {size}", layout::HEAD));

    // The archive's own proofs, and one of a statement that is not the last.
    let leaves: Vec<Digest> = (0..size)
        .map(|seq| fs::read(copy.archive.join(layout::statement(seq))).unwrap())
        .map(|statement| merkle::leaf_hash(&statement))
        .collect();
    let checkpoint = fs::read_to_string(copy.archive.join(layout::checkpoint(size))).unwrap();
    let proof = |index: usize, hashes: &[Digest]| {
        let mut lines = vec!["c2sp.org/tlog-proof@v1".to_owned(), format!("index {index}")];
        lines.extend(hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())));
        let text = format!("{}\n\n{checkpoint}", lines.join("\n"));
        fs::write(copy.archive.join("receipts/made-here.tlog-proof"), text).unwrap();
    };
    let hashes = merkle::inclusion_proof(&leaves, 1).unwrap();
    proof(1, &hashes);
    let proofs = files(&copy.archive).into_iter().filter(|path| path.ends_with(".tlog-proof"));
    for path in proofs {
        let own = path.strip_prefix("receipts/").unwrap().strip_suffix(".tlog-proof").unwrap();
        let (index, size) = own.parse::<u64>().map_or((1, size), |index: u64| (index, index + 1));
        expected.push(format!("{path} index {index} size {size}"));
    }
    let lines: Vec<String> = stdout(&read()).lines().map(ToOwned::to_owned).collect();
    assert_eq!(lines, expected);

    let refused = |text: &str| {
        let output = read();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(text), "{text}: {error}");
    };
    proof(0, &hashes);
    refused("made-here.tlog-proof");
    proof(1, &hashes[1..]);
    refused("made-here.tlog-proof");
    proof(1, &hashes);
    fs::write(copy.archive.join(layout::statement(2)), "another statement").unwrap();
    refused("and the log's is");
    let path = copy.archive.join(layout::checkpoint(2));
    let altered = fs::read_to_string(&path).unwrap().replacen("\n2\n", "\n3\n", 1);
    fs::write(&path, altered).unwrap();
    refused("invalid signature");
}

#[apply(test)]
fn cosign_verifies_a_statement_as_an_attestation_of_its_sums() {
    tools::COSIGN.demand();
    let copy = copy_with_keys();
    let folder = copy.archive.parent().unwrap();
    let statement = read_json(&copy.archive.join(layout::statement(1)));
    let subject = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
    let sums = copy.archive.join("bundles").join(subject).join(layout::SHA256SUMS);

    // A sigstore bundle, version 0.3, around our envelope.
    let bundle = |envelope: &Value| {
        let hint = &read_json(&copy.archive.join(layout::envelope(1)))["signatures"][0]["keyid"];
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": { "publicKey": { "hint": hint } },
            "dsseEnvelope": envelope,
        });
        fs::write(folder.join("bundle.json"), bundle.to_string()).unwrap();
    };
    let verify = |key: &Path, predicate: &str, blob: &Path| {
        let mut command = tools::COSIGN.command();
        command.args(["verify-blob-attestation", "--insecure-ignore-tlog", "--bundle"]);
        command.arg("bundle.json").arg("--key").arg(key).args(["--type", predicate]).arg(blob);
        // It keeps files in its user's home.
        let output = command.env("HOME", folder).current_dir(folder).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let refused = |(success, said): (bool, String), text: &str| {
        assert!(!success && said.contains(text), "{text}: {said}");
    };
    let predicate = statement["predicateType"].as_str().unwrap();

    // As it stands it is refused: cosign takes a `keyid` for the key's SSH fingerprint.
    let mut envelope = read_json(&copy.archive.join(layout::envelope(1)));
    bundle(&envelope);
    refused(verify(&copy.signer, predicate, &sums), "signatures do not match threshold");

    // `keyid` is a hint that nobody signs (DSSE, "envelope"); without it all is well.
    envelope["signatures"][0].as_object_mut().unwrap().remove("keyid");
    bundle(&envelope);
    let (success, said) = verify(&copy.signer, predicate, &sums);
    assert!(success && said.contains("Verified OK"), "{said}");

    refused(verify(&copy.root, predicate, &sums), "signatures do not match threshold");
    refused(verify(&copy.signer, "another", &sums), "invalid predicate type");
    let other = copy.archive.join(layout::VERIFY_MD);
    refused(verify(&copy.signer, predicate, &other), "artifact digests do not match");
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let altered = String::from_utf8(payload).unwrap().replacen("\"seq\":1", "\"seq\":2", 1);
    envelope["payload"] = STANDARD.encode(altered).into();
    bundle(&envelope);
    refused(verify(&copy.signer, predicate, &sums), "signatures do not match threshold");
}
