//! Programs run as a user would, this one and others.

use std::path::Path;
use std::process::{Command, Output};

/// This program in a folder.
pub fn affidavit(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What a program printed that succeeded.
#[track_caller]
pub fn done(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What a program complained of that ended with this code.
#[track_caller]
#[cfg(feature = "pipeline")]
pub fn error(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// The text of a PDF by poppler, white space reduced.
#[cfg(feature = "pipeline")]
pub fn pdf_text(path: &Path) -> String {
    let mut command = crate::tools::PDFTOTEXT.command();
    let output = command.arg("-layout").arg(path).arg("-").output().unwrap();
    let text = done(&output).replace('\u{200b}', "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
