//! Reports in files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::CollectError;
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
    for path in paths {
        match look_at(&path, max_age_seconds, now) {
            Ok(time) => found.push((path, time)),
            Err(reason) => shortfalls.push(shortfall(&path, &reason)),
        }
    }
    Ok(super::Gathered { files: found, shortfalls })
}

/// A sentence on a file or folder, without where it lies: that has no place in a bundle.
pub(super) fn shortfall(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Files by patterns, and what could not be looked at.
///
/// # Errors
/// [`CollectError::Pattern`].
pub(super) fn matches(patterns: &[String]) -> Result<(Vec<PathBuf>, Vec<String>), CollectError> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut shortfalls = Vec::new();
    for pattern in patterns {
        let paths = glob::glob(pattern).map_err(|error| CollectError::Pattern {
            pattern: pattern.clone(),
            reason: error.to_string(),
        })?;
        let mut is_matched = false;
        for path in paths {
            is_matched = true;
            match path {
                Ok(path) if path.is_dir() || found.contains(&path) => {}
                Ok(path) => found.push(path),
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

/// The end of a pattern, without where the configuration lies.
fn without_place(pattern: &str) -> String {
    let segments: Vec<&str> = pattern.rsplit('/').take(2).collect();
    segments.into_iter().rev().collect::<Vec<_>>().join("/")
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
