//! Section 1: where things lie. The same tree on disk, in a tar and as object keys.

use super::digest::Digest;

/// Instructions for people; not trusted.
pub const VERIFY_MD: &str = "VERIFY.md";
/// Copy of the newest checkpoint; never trusted alone.
pub const HEAD: &str = "checkpoint";
/// Which bundles a partial export holds (section 11).
pub const EXPORT: &str = "export.json";
/// List of a bundle's files.
pub const SHA256SUMS: &str = "SHA256SUMS";
/// The Merkle leaves of a bundle.
pub const ITEMS: &str = "items.jsonl";
/// What the run was: sources, inputs, rules, program.
pub const RUN: &str = "run.json";
/// Controls as assessed.
pub const CONTROLS: &str = "controls.json";
/// The report.
pub const REPORT_PDF: &str = "report.pdf";

/// Longest path inside a bundle, in bytes.
pub const MAX_PATH: usize = 255;

/// `log/0000000041.json`: the claim.
#[must_use]
pub fn statement(seq: u64) -> String {
    format!("log/{seq:010}.json")
}

/// `log/0000000041.dsse.json`: the envelope over the claim.
#[must_use]
pub fn envelope(seq: u64) -> String {
    format!("log/{seq:010}.dsse.json")
}

/// `checkpoints/0000000042`: the checkpoint for a log of that size.
#[must_use]
pub fn checkpoint(size: u64) -> String {
    format!("checkpoints/{size:010}")
}

/// `keyring/0000000001.dsse.json`.
#[must_use]
pub fn keyring(version: u64) -> String {
    format!("keyring/{version:010}.dsse.json")
}

/// `bundles/<digest of SHA256SUMS>/<path>`.
#[must_use]
pub fn bundle_file(sums: &Digest, path: &str) -> String {
    format!("bundles/{sums}/{path}")
}

/// The receipt, outside the bundle: `receipts/0000000041.txt`.
#[must_use]
pub fn receipt(seq: u64) -> String {
    format!("receipts/{seq:010}.txt")
}

/// The C2SP proof of a statement: `receipts/0000000041.tlog-proof`.
#[must_use]
pub fn tlog_proof(seq: u64) -> String {
    format!("receipts/{seq:010}.tlog-proof")
}

/// A witness's line over the checkpoint of that size: `cosignatures/0000000042.<name>`.
#[must_use]
pub fn cosignature(size: u64, name: &str) -> String {
    format!("cosignatures/{size:010}.{}", safe_segment(name))
}

/// An authority's response over the checkpoint body of that size: `timestamps/0000000042.tsr`.
#[must_use]
pub fn timestamp(size: u64) -> String {
    format!("timestamps/{size:010}.tsr")
}

/// What a path of an archive is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `log/N.json`.
    Statement(u64),
    /// `log/N.dsse.json`.
    Envelope(u64),
    /// `checkpoints/N`.
    Checkpoint(u64),
    /// `keyring/N.dsse.json`.
    Keyring(u64),
    /// `bundles/<digest>/<path>`.
    BundleFile(Digest, String),
    /// `cosignatures/N.<name>`.
    Cosignature(u64),
    /// `timestamps/N.tsr`.
    Timestamp(u64),
    /// `checkpoint`.
    Head,
    /// `export.json`.
    Export,
    /// Declared untrusted: `VERIFY.md` and `receipts/`.
    Untrusted,
    /// In a folder of the archive, and nothing that belongs there.
    Unknown,
    /// Beside the archive's own files, or what a file manager leaves in every folder: no part of it.
    Unrelated,
}

/// Files that file managers and systems leave in folders that somebody opens or copies, in any capitals.
const LITTER_FILES: [&str; 7] =
    [".DS_Store", ".directory", ".localized", "Icon\r", "Thumbs.db", "desktop.ini", "ehthumbs.db"];

/// Folders of the same kind.
const LITTER_FOLDERS: [&str; 9] = [
    "$RECYCLE.BIN",
    ".AppleDouble",
    ".Spotlight-V100",
    ".TemporaryItems",
    ".Trashes",
    ".fseventsd",
    "@eaDir",
    "System Volume Information",
    "__MACOSX",
];

/// Does a file manager or a system leave this? No file of an archive has such a name.
#[must_use]
pub fn is_litter(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    LITTER_FILES.iter().any(|litter| litter.eq_ignore_ascii_case(name))
        || name.starts_with("._")
        || folders.split('/').any(|folder| LITTER_FOLDERS.contains(&folder))
}

/// Tells what a path is.
#[must_use]
pub fn place(path: &str) -> Place {
    let number = |text: &str| -> Option<u64> {
        (text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    };
    if is_litter(path) {
        return Place::Unrelated;
    }
    let Some((folder, name)) = path.split_once('/') else {
        return match path {
            HEAD => Place::Head,
            EXPORT => Place::Export,
            VERIFY_MD => Place::Untrusted,
            _ => Place::Unrelated,
        };
    };
    let found = match folder {
        "log" => match name.strip_suffix(".dsse.json") {
            Some(stem) => number(stem).map(Place::Envelope),
            None => name.strip_suffix(".json").and_then(number).map(Place::Statement),
        },
        "checkpoints" => number(name).map(Place::Checkpoint),
        "keyring" => name.strip_suffix(".dsse.json").and_then(number).map(Place::Keyring),
        "bundles" => name.split_once('/').and_then(|(digest, rest)| {
            Some(Place::BundleFile(Digest::from_hex(digest)?, rest.to_owned()))
        }),
        "cosignatures" => name.split_once('.').and_then(|(size, name)| {
            let fits = name.len() <= 80 && path_fault(name).is_none() && !name.contains('/');
            number(size).filter(|_| fits).map(Place::Cosignature)
        }),
        "timestamps" => name.strip_suffix(".tsr").and_then(number).map(Place::Timestamp),
        "receipts" => Some(Place::Untrusted),
        _ => None,
    };
    let is_own = matches!(folder, "log" | "checkpoints" | "keyring");
    found.unwrap_or(if is_own { Place::Unknown } else { Place::Unrelated })
}

/// Is a thing at this path, whatever it is and however it is called, neither covered by a signature nor in the place
/// of what is? A link in the place of a folder of the archive stands for all that is in it.
#[must_use]
pub fn is_beside(path: &str) -> bool {
    let is_folder =
        matches!(
            path,
            "log" | "checkpoints" | "keyring" | "bundles" | "cosignatures" | "timestamps"
        ) || path.strip_prefix("bundles/").is_some_and(|name| Digest::from_hex(name).is_some());
    !is_folder && matches!(place(path), Place::Unrelated | Place::Untrusted)
}

/// Why a path inside a bundle is not allowed; `None` when it is.
#[must_use]
pub fn path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > MAX_PATH {
        return Some("a path has 1 to 255 bytes");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if !path.bytes().all(allowed) {
        return Some("a path consists of A-Z a-z 0-9 . _ / -");
    }
    path.split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
        .then_some("a path has no empty, `.` or `..` segment")
}

/// Could a path of an archive reach outside of it, or mean another place on another system?
#[must_use]
pub fn is_unsafe(path: &str) -> bool {
    path.contains(['\\', '\0']) || path.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

/// Was a path not UTF-8? It is told in its lossy form, in which two paths can be one.
#[must_use]
pub fn is_lossy(path: &str) -> bool {
    path.contains(char::REPLACEMENT_CHARACTER)
}

/// Makes a path segment out of any name: what is not allowed becomes `-`, long names are cut and
/// told apart by their digest. Not injective for short names; the caller numbers its files.
#[must_use]
pub fn safe_segment(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    if safe.len() > 80 {
        let digest = Digest::of(name.as_bytes()).to_string();
        safe.truncate(60);
        safe.push('-');
        safe.extend(digest.chars().take(16));
    }
    if safe.trim_matches('.').is_empty() { "file".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_is_written_is_known_again() {
        let digest = Digest::of(b"");
        assert_eq!(place(&statement(41)), Place::Statement(41));
        assert_eq!(place(&envelope(41)), Place::Envelope(41));
        assert_eq!(place(&checkpoint(42)), Place::Checkpoint(42));
        assert_eq!(place(&keyring(1)), Place::Keyring(1));
        assert_eq!(
            place(&bundle_file(&digest, "inputs/a/b.json")),
            Place::BundleFile(digest, "inputs/a/b.json".into())
        );
        assert_eq!(place(HEAD), Place::Head);
        assert_eq!(place(&tlog_proof(41)), Place::Untrusted);
        assert_eq!(place(&cosignature(42, "w.example/1")), Place::Cosignature(42));
        assert_eq!(place(&timestamp(42)), Place::Timestamp(42));
        assert_eq!(place(EXPORT), Place::Export);
        for unknown in ["log/41.json", "log/00000000411.json", "log/", "keyring/x", "checkpoints/1"]
        {
            assert_eq!(place(unknown), Place::Unknown, "{unknown}");
        }
        for name in ["Desktop.ini", "THUMBS.DB", "ehThumbs.db"] {
            assert_eq!(place(&format!("log/{name}")), Place::Unrelated, "{name}");
        }
        assert_eq!(place("log/thumbs.dbx"), Place::Unknown);
        let litter = bundle_file(&digest, "inputs/.DS_Store");
        for unrelated in ["x", "bundles/abc/x", "log/._0000000041.json", "__MACOSX/log/x", &litter]
        {
            assert_eq!(place(unrelated), Place::Unrelated, "{unrelated}");
            assert!(is_beside(unrelated), "{unrelated}");
        }
        for own in ["log", "bundles", &format!("bundles/{digest}"), "checkpoint", "keyring/x"] {
            assert!(!is_beside(own), "{own}");
        }
    }

    #[test]
    fn unsafe_paths_are_refused() {
        for path in ["", "/etc", "a//b", "../x", "a/./b", "a\\b", "a\nb", "é", &"a".repeat(256)] {
            assert!(path_fault(path).is_some(), "{path:?}");
        }
        assert_eq!(path_fault("inputs/kube-bench/node_1.json"), None);
    }

    #[test]
    fn any_name_becomes_a_safe_segment() {
        for name in ["../../etc/passwd", "a b", "", "..", &"é".repeat(300), "con:1"] {
            assert_eq!(path_fault(&safe_segment(name)), None, "{name}");
        }
    }
}
