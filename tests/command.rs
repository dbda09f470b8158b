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

/// The text of a PDF by poppler, white space reduced; `None` where it is not installed.
#[cfg(feature = "pipeline")]
pub fn pdf_text(path: &Path) -> Option<String> {
    let output = match Command::new("pdftotext").arg("-layout").arg(path).arg("-").output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "pdftotext: {error}");
            eprintln!("pdftotext is not installed ({error}); nothing was tested with it");
            return None;
        }
    };
    let text = done(&output).replace('\u{200b}', "");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A program that `.ci/production` installs; `None` where it is not installed. In CI it must be.
#[cfg(feature = "pipeline")]
pub fn production(name: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("AFFIDAVIT_PRODUCTION").map(Into::into).or_else(|| {
        Some(Path::new(&std::env::var_os("HOME")?).join(".cache/affidavit/production"))
    });
    let program = folder?.join("bin").join(name);
    if !program.is_file() {
        assert!(std::env::var_os("CI").is_none(), "run .ci/production");
        eprintln!("SKIPPED: {name} is not installed (.ci/production installs it)");
        return None;
    }
    Some(program)
}
