//! `affidavit watch`: what is missing is told by somebody who does not run on the same schedule.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::command::{affidavit, done, error};
use crate::small_chain::{copy_tree, root, run, small_chain, workspace};

fn watch(folder: &Path, now: &str, more: &[&str]) -> Output {
    let root = root().to_string();
    affidavit(folder, &[&["watch", "archive", "--root", &root, "--now", now], more].concat())
}

/// Exit code and kinds of alerts.
fn told(folder: &Path, now: &str, more: &[&str]) -> (i32, Vec<String>) {
    let output = watch(folder, now, &[&["-o", "json"], more].concat());
    let standing: Value = serde_json::from_slice(&output.stdout).unwrap();
    let alerts = standing["alerts"].as_array().unwrap().iter();
    let kinds = alerts.map(|alert| alert["kind"].as_str().unwrap().to_owned()).collect();
    (output.status.code().unwrap(), kinds)
}

#[apply(test)]
fn a_run_that_is_late_is_told_and_one_that_is_not_is_not() {
    let folder = small_chain().0.path();
    let on_time = ("2026-11-23T02:30:00Z", ["not-satisfied"]);
    assert_eq!(told(folder, on_time.0, &[]), (0, on_time.1.map(str::to_owned).to_vec()));
    assert_eq!(told(folder, "2026-11-23T03:00:00Z", &[]).0, 0);
    let late = told(folder, "2026-11-23T03:00:01Z", &[]);
    assert_eq!(late, (6, vec!["stale".to_owned(), "not-satisfied".to_owned()]));
    assert_eq!(told(folder, "2026-11-23T02:30:00Z", &["--grace", "10m"]).0, 6);
    assert_eq!(told(folder, "2026-11-23T08:00:00Z", &["--grace", "1d"]).0, 0);
    let said = done(&watch(folder, "2026-11-22T12:00:00Z", &[]));
    assert!(said.contains("#2  2026-11-22T02:00:00Z  next due 2026-11-23T02:00:00Z"), "{said}");
    let soon = told(folder, "2026-11-22T12:00:00Z", &["--soon", "365", "--strict"]);
    assert_eq!(soon, (7, vec!["not-satisfied".to_owned(), "expiring".to_owned()]));
    error(&watch(folder, "2026-11-22T12:00:00Z", &["--grace", "soon"]), 2);
}

#[apply(test)]
fn the_head_seen_last_time_must_still_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    run(&config, "2026-11-20T02:00:00Z");
    let archive = folder.path().join("archive");
    let before = folder.path().join("before");
    copy_tree(&archive, &before);
    let state = ["--state", "seen"];
    run(&config, "2026-11-21T02:00:00Z");
    assert_eq!(told(folder.path(), "2026-11-21T02:30:00Z", &state).0, 0);
    let first = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(first.starts_with("evidence.example.com/test 2 "), "{first}");
    run(&config, "2026-11-22T02:00:00Z");
    assert_eq!(told(folder.path(), "2026-11-22T02:30:00Z", &state).0, 0);
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(seen.starts_with("evidence.example.com/test 3 "), "{seen}");

    // An older archive is put back: by itself it is sound, and even its schedule says nothing yet.
    fs::remove_dir_all(&archive).unwrap();
    copy_tree(&before, &archive);
    assert_eq!(told(folder.path(), "2026-11-20T12:00:00Z", &[]).0, 0);
    let (code, kinds) = told(folder.path(), "2026-11-20T12:00:00Z", &state);
    assert_eq!((code, kinds[0].as_str()), (6, "not-verified"));
    assert_eq!(fs::read_to_string(folder.path().join("seen")).unwrap(), seen);

    fs::write(folder.path().join("seen"), "not a head\n").unwrap();
    error(&watch(folder.path(), "2026-11-20T12:00:00Z", &state), 2);
}

#[apply(test)]
fn an_archive_that_is_broken_empty_or_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    run(&config, "2026-11-20T02:00:00Z");
    let statement = folder.path().join("archive/log/0000000000.json");
    let text = fs::read_to_string(&statement).unwrap();
    fs::write(&statement, text.replace("test", "tent")).unwrap();
    let (code, kinds) = told(folder.path(), "2026-11-20T02:30:00Z", &[]);
    assert_eq!((code, kinds[0].as_str()), (6, "not-verified"));

    fs::remove_dir_all(folder.path().join("archive")).unwrap();
    let gone = error(&watch(folder.path(), "2026-11-20T02:30:00Z", &[]), 3);
    assert!(gone.contains("could not read `archive`"), "{gone}");
    // Whoever is named is told before the command ends.
    fs::write(folder.path().join("notify.yaml"), "textfile: gone.prom\n").unwrap();
    error(&watch(folder.path(), "2026-11-20T02:30:00Z", &["--notify", "notify.yaml"]), 3);
    let metrics = fs::read_to_string(folder.path().join("gone.prom")).unwrap();
    assert!(metrics.contains("kind=\"unreadable\"} 1"), "{metrics}");

    fs::create_dir(folder.path().join("archive")).unwrap();
    assert_eq!(told(folder.path(), "2026-11-20T02:30:00Z", &[]).0, 6);
}
