//! The first hours of three people, as scripts in `tests/journeys/` with what they saw beside them.
//!
//! `SNAPSHOTS=overwrite` writes the transcripts anew: read them aloud before they are committed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use snapbox::{Assert, Data, Redactions};

use crate::small_chain::{root, small_chain};
use crate::tools::BASH;

/// What differs from run to run.
fn redactions() -> Redactions {
    let mut redactions = Redactions::new();
    let regex = |text: &str| regex::Regex::new(text).unwrap();
    for (name, pattern) in [
        ("[TIME]", r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"),
        ("[DIGEST]", r"[0-9a-f]{64}"),
        ("[ROOT_HASH]", r"[A-Za-z0-9+/]{43}="),
        ("[FINGERPRINT]", r"([0-9a-f]{4} ){15}[0-9a-f]{4}"),
        ("[FOLDER]", r"/[^ `']*/\.tmp[A-Za-z0-9]+"),
    ] {
        redactions.insert(name, regex(pattern)).unwrap();
    }
    redactions
}

/// Runs a journey in a folder of its own, and compares what a person sees with the transcript.
fn travel(name: &str, more: &[(&str, PathBuf)]) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let journeys = project.join("tests/journeys");
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_affidavit")).parent().unwrap();
    let mut path = OsString::from(program);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let output = BASH
        .command()
        .arg(journeys.join(format!("{name}.sh")))
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .env("JOURNEYS", &journeys)
        .env("EXAMPLES", project.join("examples"))
        .envs(more.iter().map(|(name, path)| (*name, path)))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let transcript = Data::read_from(&journeys.join(format!("{name}.txt")), None);
    Assert::new()
        .action_env("SNAPSHOTS")
        .redact_with(redactions())
        .normalize_paths(false)
        .eq(told, transcript);
}

#[apply(test)]
fn an_analyst_makes_the_first_report() {
    travel("analyst", &[]);
}

#[apply(test)]
fn an_auditor_opens_what_was_handed_over() {
    let (folder, pins) = small_chain();
    let given = tempfile::tempdir().unwrap();
    let (root_file, head) = (given.path().join("root"), given.path().join("head"));
    std::fs::write(&root_file, root().to_string()).unwrap();
    std::fs::write(&head, pins[2].line()).unwrap();
    let archive = folder.path().join("archive");
    travel("auditor", &[("ARCHIVE", archive), ("ROOT", root_file), ("HEAD", head)]);
}

#[apply(test)]
fn an_engineer_sets_up_the_nightly_run() {
    travel("platform", &[]);
}
