//! `affidavit doctor`: each thing that a run depends on is tried, and what is wrong is named.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::command::{affidavit, done, error};
use crate::small_chain::{files, run, workspace};

const NOW: &str = "2026-11-20T02:00:00Z";

/// Exit code, and `health subject: text` of each line.
fn examined(folder: &Path, now: &str) -> (i32, Vec<String>) {
    let output = affidavit(folder, &["doctor", "--now", now, "-o", "json", "--no-progress"]);
    let lines: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let lines = lines.iter().map(|line| {
        assert_eq!(line["health"] == "ok", line["help"] == "", "{line}");
        format!("{} {}: {}", of(line, "health"), of(line, "subject"), of(line, "text"))
    });
    (output.status.code().unwrap(), lines.collect())
}

#[track_caller]
fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|found| found.contains(line)), "no `{line}` in {lines:#?}");
}

/// A workspace with nothing to find fault with.
fn healthy(folder: &Path) -> std::path::PathBuf {
    let config = workspace(folder);
    fs::remove_file(folder.join("keys/root.pem"))
        .or_else(|_| fs::remove_file(folder.join("keys/root-1.pem")))
        .unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}notify: {{ textfile: affidavit.prom }}\n")).unwrap();
    config
}

#[apply(test)]
fn a_healthy_chain_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = healthy(folder.path());
    let (code, lines) = examined(folder.path(), NOW);
    assert_eq!(code, 0, "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{lines:#?}");
    has(&lines, "chain: empty: the first run begins it");
    has(&lines, "schedule: 0 2 * * * (UTC), next due 2026-11-21T02:00:00Z");
    has(&lines, "source kube-bench: 3 findings");
    run(&config, NOW);
    let before = files(folder.path());
    let (code, lines) = examined(folder.path(), "2026-11-20T12:00:00Z");
    assert_eq!((code, files(folder.path())), (0, before));
    has(&lines, "chain: 1 bundle verifies");
    let text = done(&affidavit(folder.path(), &["doctor", "--now", NOW, "--strict"]));
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
}

#[apply(test)]
fn what_is_wrong_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    run(&config, NOW);
    let text = fs::read_to_string(&config).unwrap();
    let changed = text
        .replace("schedule: '0 2 * * *'\n", "")
        .replace("frameworks: [cis-kubernetes@1.12]", "frameworks: [hipaa-security-rule]")
        .replace("uri: archive", "uri: archive, retention: { days: 30, prune: true }")
        .replace(
            "sources:\n",
            "sources:\n  - { name: gone, scanner: trivy, files: ['gone/*'], max_age: 1d }\n",
        );
    fs::write(&config, changed).unwrap();
    let statement = folder.path().join("archive/log/0000000000.json");
    let honest = fs::read_to_string(&statement).unwrap();
    fs::write(&statement, honest.replace("test", "tent")).unwrap();
    let (code, lines) = examined(folder.path(), "2027-10-20T02:00:00Z");
    assert_eq!(code, 3);
    for line in [
        "failing retention: payloads are removed after 30 days, and hipaa asks for 2192",
        "warning schedule: none",
        "ok signer: key ",
        "warning keyring: version 1, expires 2027-11-01T00:00:00Z",
        "warning root keys: beside the keyring lies root",
        "failing chain: PAYLOAD_COPY_MISMATCH at log/0000000000.json",
        "warning source gone: missing: no file was found",
        "warning notify: nobody is told",
    ] {
        has(&lines, line);
    }

    fs::write(&statement, honest).unwrap();
    fs::write(&config, text).unwrap();
    fs::set_permissions(folder.path().join("keys/log.pem"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let (code, lines) = examined(folder.path(), "2027-12-01T00:00:00Z");
    assert_eq!(code, 3);
    has(&lines, "failing signer: ");
    has(&lines, "failing keyring: version 1, expires 2027-11-01T00:00:00Z");
    has(&lines, "warning chain: STALE_HEAD");

    fs::write(&config, "cluster: { name: x }\n").unwrap();
    error(&affidavit(folder.path(), &["doctor"]), 2);
}

#[apply(test)]
fn a_chain_that_a_run_would_refuse_is_failing() {
    let folder = tempfile::tempdir().unwrap();
    let config = healthy(folder.path());
    run(&config, NOW);
    run(&config, "2026-11-21T02:00:00Z");
    let archive = folder.path().join("archive");
    let log: Vec<_> =
        fs::read_dir(archive.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let refused = |said: &str| {
        let (code, lines) = examined(folder.path(), "2026-11-21T12:00:00Z");
        assert_eq!(code, 3, "{lines:#?}");
        has(&lines, &format!("failing chain: {said}"));
        let run = affidavit(folder.path(), &["run", "--now", "2026-11-21T12:00:00Z"]);
        assert!(error(&run, 3).contains(said), "{run:?}");
    };
    fs::remove_file(archive.join("checkpoints/0000000001")).unwrap();
    refused("CHECKPOINT_MISSING at checkpoints/0000000001");
    for file in log {
        fs::remove_file(file).unwrap();
    }
    refused("TAIL_TRUNCATED at log/0000000000.json");
}

#[apply(test)]
fn a_run_that_is_dated_in_the_future_says_so() {
    let folder = tempfile::tempdir().unwrap();
    healthy(folder.path());
    let said = |hours: i64| {
        let now = jiff::Timestamp::now() + jiff::Span::new().hours(hours);
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let output = affidavit(folder.path(), &["run", "--now", &now]);
        String::from_utf8(output.stderr).unwrap().contains("TIME_IN_FUTURE")
    };
    assert!(!said(-2) && said(2));
}

#[apply(test)]
fn a_store_that_is_no_store_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = healthy(folder.path());
    fs::write(folder.path().join("archive"), "a file").unwrap();
    let (code, lines) = examined(folder.path(), NOW);
    assert_eq!(code, 3);
    has(&lines, "failing archive: could not write");
    let text = fs::read_to_string(&config).unwrap();
    let overwriting = crate::contract::server::overwriting();
    let s3 = format!("uri: 's3://bucket/a', endpoint: '{overwriting}', path_style: true");
    fs::write(&config, text.replace("uri: archive", &s3)).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(["doctor", "--now", NOW])
        .current_dir(folder.path())
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("does not keep put-if-absent"), "{said}");
    assert!(said.contains("16 of 16 writers at one moment won"), "{said}");
    assert!(said.contains("→ use a store that docs/stores.md lists as tested"), "{said}");
}
