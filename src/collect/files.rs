//! Reports in files.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::{CollectError, GatheredFile};
use crate::config::NODE;
use crate::evidence::layout::is_litter;
use crate::run::FileTime;
use crate::scanner::MAX_INPUT_BYTES;

/// Files that can be read, with what each says about its age; and what cannot be had, in sentences.
///
/// # Errors
/// [`CollectError::Pattern`].
pub(super) fn find(
    patterns: &[String],
    max_age_seconds: i64,
    now: Timestamp,
) -> Result<super::Gathered, CollectError> {
    let (paths, mut shortfalls) = matches(patterns)?;
    let mut found = Vec::new();
    for Match { path, name, node } in paths {
        match look_at(&path, max_age_seconds, now) {
            Ok(file_time) => found.push(GatheredFile { path, name, file_time, node }),
            Err(reason) => shortfalls.push(shortfall(&path, &reason)),
        }
    }
    Ok(super::Gathered { files: found, shortfalls, ..super::Gathered::default() })
}

/// A sentence on a file or folder, without where it lies: that has no place in a bundle.
pub(super) fn shortfall(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// A file that a pattern matches.
pub(super) struct Match {
    pub(super) path: PathBuf,
    /// Its path below the folders that the pattern names without a wildcard: where those lie has no place in a
    /// bundle.
    pub(super) name: String,
    /// The node that its path names, if the pattern has a place for that.
    pub(super) node: Option<String>,
}

/// Files by patterns, and what could not be looked at.
///
/// # Errors
/// [`CollectError::Pattern`].
pub(super) fn matches(patterns: &[String]) -> Result<(Vec<Match>, Vec<String>), CollectError> {
    let mut found: Vec<Match> = Vec::new();
    let mut shortfalls = Vec::new();
    for pattern in patterns {
        let wrong = |error: glob::PatternError| CollectError::Pattern {
            pattern: pattern.clone(),
            reason: error.to_string(),
        };
        let place = NodePlace::of(pattern)?;
        let paths = glob::glob(&pattern.replace(NODE, "*")).map_err(wrong)?;
        let mut is_matched = false;
        for path in paths {
            is_matched = true;
            match path {
                Ok(path) if path.is_dir() || found.iter().any(|known| known.path == path) => {}
                Ok(path)
                    if path.file_name().is_some_and(|name| is_litter(&name.to_string_lossy())) => {}
                Ok(path) => {
                    let node = place.as_ref().and_then(|place| place.name_in(&path));
                    let name = below(pattern, &path);
                    found.push(Match { path, name, node });
                }
                Err(error) => {
                    shortfalls.push(shortfall(error.path(), &error.error().to_string()));
                }
            }
        }
        // Whoever lists two folders means both.
        if !is_matched {
            shortfalls.push(format!("no file matches `{}`", without_place(pattern)));
        }
    }
    if found.is_empty() {
        // The source is missing, and says so.
        shortfalls.retain(|text| !text.starts_with("no file matches "));
    }
    Ok((found, shortfalls))
}

/// Where a pattern has the name of a node: one component of a path, counted from one of its ends, and what the
/// name is between.
struct NodePlace {
    from_start: bool,
    skipped: usize,
    before: glob::Pattern,
    after: glob::Pattern,
}

impl NodePlace {
    fn of(pattern: &str) -> Result<Option<Self>, CollectError> {
        let wrong = |reason: String| CollectError::Pattern { pattern: pattern.to_owned(), reason };
        let parts = components(Path::new(pattern));
        let Some(at) = parts.iter().position(|part| part.contains(NODE)) else { return Ok(None) };
        let (head, tail) = parts.split_at(at);
        let is_open = |parts: &[String]| parts.iter().any(|part| part == "**");
        let (from_start, skipped) = match (is_open(head), is_open(tail)) {
            (false, _) => (true, head.len()),
            (true, false) => (false, tail.len() - 1),
            (true, true) => return Err(wrong(format!("`**` on both sides of {NODE}"))),
        };
        let (before, after) =
            tail.first().and_then(|part| part.split_once(NODE)).unwrap_or_default();
        let pattern_of =
            |text: &str| glob::Pattern::new(text).map_err(|error| wrong(error.to_string()));
        let (before, after) = (pattern_of(before)?, pattern_of(after)?);
        Ok(Some(Self { from_start, skipped, before, after }))
    }

    /// What is there in a path that the pattern matches: the longest that can be.
    fn name_in(&self, path: &Path) -> Option<String> {
        let parts = components(path);
        let mut forwards = parts.iter();
        let part = if self.from_start {
            forwards.nth(self.skipped)
        } else {
            forwards.rev().nth(self.skipped)
        }?;
        let cuts = || (0..=part.len()).filter(|at| part.is_char_boundary(*at));
        let starts =
            cuts().filter(|at| part.get(..*at).is_some_and(|head| self.before.matches(head)));
        for start in starts {
            let mut ends = cuts().rev().take_while(|end| *end > start);
            let end =
                ends.find(|end| part.get(*end..).is_some_and(|tail| self.after.matches(tail)));
            if let Some(name) = end.and_then(|end| part.get(start..end)) {
                return Some(name.to_owned());
            }
        }
        None
    }
}

/// The components of a path; `.` is none.
fn components(path: &Path) -> Vec<String> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// How many components of a pattern have no wildcard, nor are its last.
fn fixed(parts: &[String]) -> usize {
    let is_open = |part: &String| part.contains(['*', '?', '[']) || part.contains(NODE);
    parts.iter().position(is_open).unwrap_or(usize::MAX).min(parts.len().saturating_sub(1))
}

/// A path below what its pattern names without a wildcard.
fn below(pattern: &str, path: &Path) -> String {
    let (parts, found) = (components(Path::new(pattern)), components(path));
    found.get(fixed(&parts)..).unwrap_or_default().join("/")
}

/// The end of a pattern, from the last folder before its first wildcard on: where that lies has no place in a
/// bundle.
fn without_place(pattern: &str) -> String {
    let parts = components(Path::new(pattern));
    parts.get(fixed(&parts).saturating_sub(1)..).unwrap_or_default().join("/")
}

fn look_at(path: &Path, max_age_seconds: i64, now: Timestamp) -> Result<FileTime, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    // What may be looked at may not be readable.
    File::open(path).map_err(|error| error.to_string())?;
    if metadata.len() > MAX_INPUT_BYTES as u64 {
        return Err(format!("{} bytes; at most {MAX_INPUT_BYTES} are read", metadata.len()));
    }
    let modified = metadata.modified().ok().map(|time| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or(0)
    });
    Ok(match modified {
        None => FileTime::Unknown,
        Some(modified) if now.as_second() - modified > max_age_seconds => FileTime::Stale,
        Some(_) => FileTime::Fresh,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_says_which_part_of_a_path_names_the_node() {
        let name = |pattern: &str, path: &str| {
            NodePlace::of(pattern).unwrap().unwrap().name_in(Path::new(path))
        };
        for (pattern, path, node) in [
            ("/in/{node}.json", "/in/ip-10-0-0-1.ec2.internal.json", "ip-10-0-0-1.ec2.internal"),
            ("/in/{node}/kube-bench.json", "/in/a/kube-bench.json", "a"),
            ("/in/**/{node}/*.json", "/in/x/y/node-b/kb.json", "node-b"),
            ("./in/{node}/**/*.json", "in/node-c/2026/kb.json", "node-c"),
            ("/in/kb-{node}-*.json", "/in/kb-w1-2026.json", "w1"),
            ("/in/*/kb_{node}.json", "/in/eu/kb_w1.json", "w1"),
        ] {
            assert_eq!(name(pattern, path).as_deref(), Some(node), "{pattern}");
        }
        assert!(NodePlace::of("/in/**/{node}/**/kb.json").is_err());
    }
}
