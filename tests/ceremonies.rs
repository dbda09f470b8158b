//! Keys over time, by the commands that people type: root keys on two machines, rotation,
//! revocation, other root keys, witnesses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use affidavit::evidence::layout;

use crate::small_chain::{DAYS, ORIGIN, files, run, workspace};

const NOW: &str = "2026-11-22T03:00:00Z";

struct Chain {
    _folder: tempfile::TempDir,
    root: PathBuf,
    config: PathBuf,
}

fn program(folder: &Path, now: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(arguments)
        .args(["--now", now])
        .current_dir(folder)
        .output()
        .unwrap()
}

impl Chain {
    /// With two root keys of which both must sign.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let init = [
            "init",
            ".",
            "--keys-only",
            "--origin",
            ORIGIN,
            "--root-keys",
            "2",
            "--threshold",
            "2",
        ];
        assert!(program(&root, "2026-11-01T00:00:00Z", &init).status.success());
        let config = workspace(&root);
        Self { _folder: folder, root, config }
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = program(&self.root, NOW, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{error}");
        text
    }

    fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let output = program(&self.root, NOW, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    }

    fn use_signer(&self, file: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        let (before, rest) = text.split_once("signer: ").unwrap();
        let (_, after) = rest.split_once(',').unwrap();
        fs::write(&self.config, format!("{before}signer: {file},{after}")).unwrap();
    }

    fn verdict(&self) -> serde_json::Value {
        let arguments = ["verify", "archive", "--root", "keys/root.fingerprint", "-o", "json"];
        let output = program(&self.root, NOW, &arguments);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[apply(test)]
fn a_rotation_goes_from_one_offline_machine_to_the_next() {
    let chain = Chain::new();
    run(&chain.config, DAYS[0]);
    chain.does(&["keys", "generate", "keys/log-2.pem"]);
    let rotate = ["keys", "rotate", "--to", "keys/log-2.pem", "--root-key", "keys/root-1.pem"];
    let draft = chain.does(&rotate);
    assert!(draft.contains("1 more of the old root keys"), "{draft}");
    assert!(!chain.root.join("keys/keyring/0000000002.dsse.json").exists());
    // A key that is no root key of the chain signs nothing.
    let stranger = ["keys", "sign", "keyring.draft.json", "--root-key", "keys/log-2.pem"];
    assert!(chain.refuses(&stranger, 2).contains("is not a root key of this chain"));
    let done = chain.does(&["keys", "sign", "keyring.draft.json", "--root-key", "keys/root-2.pem"]);
    assert!(done.contains("keyring 2 is complete"), "{done}");
    assert!(!chain.root.join("keyring.draft.json").exists());

    // The old key may sign no more; the new one goes on.
    assert!(chain.refuses(&["run"], 2).contains("it is retired or revoked"));
    chain.use_signer("keys/log-2.pem");
    run(&chain.config, DAYS[1]);
    let verdict = chain.verdict();
    assert_eq!(verdict["verified"], true, "{verdict}");
    assert_eq!(verdict["checked"]["keyrings"], 2);
    let shown = chain.does(&["keys", "show"]);
    assert!(shown.contains("retired  statements 0 to 0"), "{shown}");
    assert!(shown.contains("active   statements 1 on"), "{shown}");
}

#[apply(test)]
fn a_revoked_key_is_worth_nothing_from_then_on() {
    let chain = Chain::new();
    let good = run(&chain.config, DAYS[0]);
    fs::write(chain.root.join("good.txt"), good.pin.unwrap().line()).unwrap();
    // The thief's bundle.
    run(&chain.config, DAYS[1]);
    let shown = chain.does(&["keys", "fingerprint", "keys/log.pem"]);
    let stolen = shown.split_whitespace().next().unwrap();
    chain.does(&["keys", "generate", "keys/log-2.pem"]);
    let roots = ["--root-key", "keys/root-1.pem", "--root-key", "keys/root-2.pem"];
    let revoke = [
        &["keys", "revoke", "--key", stolen, "--reason", "stolen", "--last-good", "good.txt"][..],
        &["--compromised-since", "2026-11-20T12:00:00Z"][..],
        &roots,
    ]
    .concat();
    assert!(chain.refuses(&revoke, 2).contains("needs one that takes over"));
    chain.does(&[&revoke[..], &["--to", "keys/log-2.pem"]].concat());
    let published = layout::keyring(2);
    fs::copy(chain.root.join("keys").join(&published), chain.root.join("archive").join(&published))
        .unwrap();
    let verdict = chain.verdict();
    let errors: Vec<_> = verdict["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["level"] == "error")
        .map(|finding| format!("{} {}", finding["code"], finding["object"]))
        .collect();
    assert_eq!(errors, [r#""SIGNED_AFTER_REVOCATION" "log/0000000001.dsse.json""#]);
    assert!(chain.does(&["keys", "show"]).contains("stolen; good to 1"));
}

#[apply(test)]
fn root_keys_are_replaced_and_the_keyring_renewed() {
    let chain = Chain::new();
    run(&chain.config, DAYS[0]);
    chain.does(&["keys", "generate", "keys/root-3.pem"]);
    let shown = chain.does(&["keys", "fingerprint", "keys/root-1.pem"]);
    let old = shown.split_whitespace().next().unwrap();
    let change = [
        &["keys", "rotate", "--add-root", "keys/root-3.pem", "--remove-root", old][..],
        &["--root-key", "keys/root-1.pem", "--root-key", "keys/root-2.pem"],
    ]
    .concat();
    assert!(chain.does(&change).contains("1 more of the new root keys"));
    chain.does(&["keys", "sign", "keyring.draft.json", "--root-key", "keys/root-3.pem"]);
    let renew = [
        "keys",
        "rotate",
        "--renew",
        "--valid-days",
        "3650",
        "--root-key",
        "keys/root-2.pem",
        "--root-key",
        "keys/root-3.pem",
    ];
    assert!(chain.does(&renew).contains("keyring 3 is complete"));
    run(&chain.config, DAYS[1]);
    // The auditor still holds nothing but the first fingerprints.
    let verdict = chain.verdict();
    assert_eq!((&verdict["verified"], &verdict["checked"]["keyrings"]), (&true.into(), &3.into()));
    assert!(chain.refuses(&["keys", "rotate"], 2).contains("nothing to change"));
}

#[apply(test)]
fn a_witness_signs_what_goes_on_and_nothing_else() {
    let chain = Chain::new();
    run(&chain.config, DAYS[0]);
    let short = chain.root.join("short");
    crate::small_chain::copy_tree(&chain.root.join("archive"), &short);
    run(&chain.config, DAYS[1]);
    run(&chain.config, DAYS[2]);
    chain.does(&["keys", "generate", "witness.pem"]);
    let cosign = |archive: &'static str| {
        [
            "cosign",
            archive,
            "--key",
            "witness.pem",
            "--name",
            "w1.example.com",
            "--state",
            "seen.txt",
            "--root",
            "keys/root.fingerprint",
        ]
    };
    let output = program(&chain.root, NOW, &cosign("archive"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("witness ")).unwrap();
    let policy = format!("{line}\nquorum w1.example.com\n");
    fs::write(chain.root.join("policy.txt"), policy).unwrap();
    assert!(
        files(&chain.root.join("archive")).iter().any(|path| path.starts_with("cosignatures/"))
    );
    // The quorum pins the head.
    let verify = |policy: &'static str| {
        let start = ["verify", "archive", "--root", "keys/root.fingerprint", "--policy", policy];
        chain.does(&[&start[..], &["-o", "json"]].concat())
    };
    let verdict: serde_json::Value = serde_json::from_str(&verify("policy.txt")).unwrap();
    assert_eq!(verdict["findings"], serde_json::json!([]), "{verdict}");
    assert_eq!(verdict["witnessed"]["size"], 3);

    // A log that is shorter than what the witness has seen, or another one, it does not sign.
    let text = chain.refuses(&cosign("short"), 6);
    assert!(text.contains("TAIL_TRUNCATED") && text.contains("nothing was signed"), "{text}");
    let other = Chain::new();
    run(&other.config, DAYS[0]);
    fs::write(other.root.join("seen.txt"), fs::read(chain.root.join("seen.txt")).unwrap()).unwrap();
    other.does(&["keys", "generate", "witness.pem"]);
    assert!(other.refuses(&cosign("archive"), 6).contains("nothing was signed"));
}

#[apply(test)]
fn a_report_pins_what_came_before_it() {
    let chain = Chain::new();
    run(&chain.config, DAYS[0]);
    let second = run(&chain.config, DAYS[1]);
    // A report that was kept elsewhere.
    let report = "kept.pdf".to_owned();
    let sealed = format!("archive/{}/report.pdf", second.bundle);
    fs::copy(chain.root.join(sealed), chain.root.join(&report)).unwrap();
    let start = ["verify", "archive", "--root", "keys/root.fingerprint", "--pin"];
    let text = chain.does(&[&start[..], &[report.as_str()]].concat());
    assert!(text.contains("pinned    1 of 2 statements"), "{text}");
}
