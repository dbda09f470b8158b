//! `affidavit timestamp`: from the request to an archive that holds the answer.

use std::fs;
use std::path::Path;

use affidavit::evidence::layout;
use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;

use crate::small_chain::{copy, copy_tree};
use crate::timestamps::Workshop;

fn timestamp(arguments: &[&str], archive: &Path) -> snapbox::cmd::OutputAssert {
    let folder = archive.parent().unwrap();
    Command::new(cargo_bin!("affidavit"))
        .current_dir(folder)
        .arg("timestamp")
        .args(arguments)
        .assert()
}

#[apply(test)]
fn a_timestamp_is_asked_for_and_attached() {
    let (folder, archive) = copy();
    let workshop = Workshop::with_tsa();
    let authority = workshop.path("root.pem");
    let authority = authority.to_str().unwrap();
    let request = ["request", "archive", "--file", "head.tsq"];
    timestamp(&request, &archive).success().stdout_eq(str![[r"
head      evidence.example.com/test 3 [..]
request   head.tsq

"]]);
    // What is there already is not written over.
    timestamp(&request, &archive).code(3);

    let query = fs::read(folder.path().join("head.tsq")).unwrap();
    let response = workshop.reply("tsa", &query, "accuracy = secs:1, millisecs:500");
    fs::write(folder.path().join("head.tsr"), &response).unwrap();
    let attach = ["attach", "archive", "head.tsr", "--authority", authority];

    // Another authority, another log, an altered answer: nothing is written.
    let other = Workshop::with_tsa();
    let other = other.path("root.pem");
    let refused = ["attach", "archive", "head.tsr", "--authority", other.to_str().unwrap()];
    timestamp(&refused, &archive).code(6).stderr_eq(str![[r"
error: the certificate of `CN=tsa`: a signature is wrong
help: give the CA certificate that the authority publishes, or ask another authority

"]]);
    let shorter = folder.path().join("shorter");
    copy_tree(&archive, &shorter);
    fs::remove_file(shorter.join(layout::checkpoint(3))).unwrap();
    let elsewhere = ["attach", "shorter", "head.tsr", "--authority", authority];
    timestamp(&elsewhere, &archive).code(6).stderr_eq(str![[r"
error: the timestamp is over something else
help: ask for a timestamp over this very checkpoint

"]]);
    let early = [&attach[..], &["--now", "2020-01-01T00:00:00Z"]].concat();
    timestamp(&early, &archive).code(6).stderr_eq(str![[r"
error: the timestamp is of [..]: the future
help: set the clock of this machine

"]]);
    assert!(!archive.join("timestamps").exists());

    let attached = str![[r"
head      evidence.example.com/test 3 [..]
time      [..]Z (accurate to 2 s)
authority CN=tsa
written   timestamps/0000000003.tsr

"]];
    timestamp(&attach, &archive).success().stdout_eq(attached.clone());
    assert_eq!(fs::read(archive.join(layout::timestamp(3))).unwrap(), response);
    // Again is no harm; another answer for the same head is not taken.
    timestamp(&attach, &archive).success().stdout_eq(attached);
    let second = workshop.reply("tsa", &query, "");
    fs::write(folder.path().join("head.tsr"), second).unwrap();
    timestamp(&attach, &archive).code(3).stderr_eq(str![[r"
error: timestamps/0000000003.tsr is there already, with another answer
help: nothing needs to be done: this head has a timestamp

"]]);
}

#[apply(test)]
fn an_answer_that_comes_late_is_attached_to_what_was_asked() {
    let (folder, archive) = copy();
    let workshop = Workshop::with_tsa();
    let authority = workshop.path("root.pem");
    let newest = archive.join(layout::checkpoint(3));
    let kept = fs::read(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    timestamp(&["request", "archive", "-f", "head.tsq"], &archive).success();
    fs::write(&newest, kept).unwrap();
    let query = fs::read(folder.path().join("head.tsq")).unwrap();
    let response = workshop.reply("tsa", &query, "");
    fs::write(folder.path().join("head.tsr"), response).unwrap();
    let attach =
        ["attach", "archive", "head.tsr", "--authority", authority.to_str().unwrap(), "-o", "json"];
    timestamp(&attach, &archive).success().stdout_eq(str![[r#"
{
  "accuracySeconds": 0,
  "authority": "CN=tsa",
  "head": "evidence.example.com/test 2 [..]",
  "time": "[..]Z",
  "timestamp": "timestamps/0000000002.tsr"
}

"#]]);
}
