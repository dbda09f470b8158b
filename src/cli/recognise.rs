//! What lies at a place that holds no archive, and where one seems to lie.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::trust::{Place, usage};
use super::verify_proof;
use crate::escape::visible;
use crate::evidence::layout;
use crate::output::Failure;
use crate::verify::{Archive, Level, Policy, Verdict};

const HELP: &str = "give the folder that holds `log/`, `keyring/` and `bundles/`, a .tar or .zip of it, or s3://bucket/prefix";

/// How many of the places where an archive seems to lie are named.
const NAMED: usize = 3;

/// How many folders above a place are looked at.
const ABOVE: usize = 4;

/// Refuses a place at which nothing of an archive was found, unless somebody knows that one was there.
pub(super) fn refuse_other(
    place: &Place,
    archive: &dyn Archive,
    verdict: &Verdict,
    policy: &Policy,
) -> Result<(), Failure> {
    let checked = verdict.checked;
    if checked.statements + checked.checkpoints > 0 || !policy.pins.is_empty() {
        return Ok(());
    }
    let paths: Vec<String> = archive
        .list()
        .map_err(|error| place.unreadable(error))?
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    let given = &place.archive;
    let is_own = |path: &String| {
        !matches!(layout::place(path), layout::Place::Unrelated | layout::Place::Untrusted)
    };
    let is_keyring = |path: &String| matches!(layout::place(path), layout::Place::Keyring(_));
    // A folder of keys has a keyring too. An archive, even one that lost its log, has no keys.
    let is_keys = paths.iter().any(|path| !path.contains('/') && is_key(path));
    if is_keys && paths.iter().filter(|path| is_own(path)).all(is_keyring) {
        let text = format!("there is no archive in `{given}`: these are the keys of a chain");
        return Err(usage(anyhow!(text)).help(HELP));
    }
    let is_something = checked.keyrings > 0 || verdict.has(Level::Inconclusive);
    if is_something || paths.iter().any(is_own) {
        return Ok(());
    }
    let given = place.archive.as_str();
    let holds = match paths.len() {
        0 => "it is empty".to_owned(),
        1 => "it holds one other file".to_owned(),
        more => format!("it holds {more} other files"),
    };
    let elsewhere = elsewhere(given, &paths);
    Err(usage(anyhow!("there is no archive in `{}`: {holds}{elsewhere}", visible(given)))
        .help(HELP))
}

/// Is this a file of the folder of keys that `affidavit init` makes?
fn is_key(name: &str) -> bool {
    name == "disclosure.secret" || Path::new(name).extension().is_some_and(|end| end == "pem")
}

/// Where an archive seems to lie, as the end of a sentence; may be empty.
fn elsewhere(given: &str, paths: &[String]) -> String {
    // Keyrings lie beside keys too, before there is an archive.
    let mark = layout::statement(0);
    let below: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| path.strip_suffix(mark.as_str()))
        .map(|folder| folder.trim_end_matches('/'))
        .filter(|folder| !folder.is_empty())
        .collect();
    if !below.is_empty() {
        let is_packed = Path::new(given).is_file();
        let named = |folder: &&str| {
            if is_packed {
                format!("`{}/`", visible(folder))
            } else {
                format!("`{}`", visible(&format!("{}/{folder}", given.trim_end_matches('/'))))
            }
        };
        let mut list = below.iter().take(NAMED).map(named).collect::<Vec<_>>().join(", ");
        if below.len() > NAMED {
            let _ = write!(list, " and {} more", below.len() - NAMED);
        }
        return if is_packed {
            format!("; an archive seems to lie in its folder {list}: unpack it first")
        } else {
            format!("; an archive seems to lie in {list}")
        };
    }
    match above(Path::new(given)) {
        Some(folder) => {
            format!("; it belongs to the archive in `{}`", visible(&folder.to_string_lossy()))
        }
        None => String::new(),
    }
}

/// The folder above a place that holds an archive.
fn above(given: &Path) -> Option<PathBuf> {
    let path = given.canonicalize().ok()?;
    let is_archive =
        |folder: &&Path| folder.join("keyring").is_dir() && folder.join("log").is_dir();
    path.ancestors().skip(1).take(ABOVE).find(is_archive).map(Path::to_owned)
}

/// What a file is that is no packed archive, by its first bytes; `None` when nothing is known.
pub(super) fn other_file(path: &Path) -> Option<Failure> {
    if let Some((kind, help)) = verify_proof::json_kind(path) {
        let path = visible(&path.to_string_lossy());
        return Some(usage(anyhow!("`{path}` is {kind}, not an archive")).help(help));
    }
    let mut start = [0; 512];
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.read(&mut start).ok()?;
    let start = start.get(..length)?;
    let (what, help) = if start.starts_with(b"%PDF") {
        (
            "a PDF, not an archive",
            "verify the archive that it comes from, or compare it with that: affidavit report ARCHIVE --check FILE",
        )
    } else if start.starts_with(&[0x1f, 0x8b]) {
        ("compressed (gzip)", "unpack it first")
    } else if start.is_empty() {
        ("empty, not an archive", HELP)
    } else if is_text(start) {
        ("a text file, not an archive", HELP)
    } else {
        return None;
    };
    Some(usage(anyhow!("`{}` is {what}", visible(&path.to_string_lossy()))).help(help))
}

/// Is this the beginning of a text? A character may be cut off at the end.
fn is_text(start: &[u8]) -> bool {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = start.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}
