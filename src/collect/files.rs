//! Reports in files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::CollectError;
use crate::run::FileTime;
use crate::scanner::MAX_INPUT_BYTES;

/// What a file that was found says about its age; its size is looked at too.
///
/// # Errors
/// [`CollectError`].
pub(super) fn find(
    patterns: &[String],
    max_age_seconds: i64,
    now: Timestamp,
) -> Result<Vec<(PathBuf, FileTime)>, CollectError> {
    matches(patterns)?
        .into_iter()
        .map(|path| {
            let time = look_at(&path, max_age_seconds, now)?;
            Ok((path, time))
        })
        .collect()
}

pub(super) fn matches(patterns: &[String]) -> Result<Vec<PathBuf>, CollectError> {
    let mut found: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let paths = glob::glob(pattern).map_err(|error| CollectError::Pattern {
            pattern: pattern.clone(),
            reason: error.to_string(),
        })?;
        for path in paths {
            let path = path.map_err(|error| CollectError::Read {
                path: error.path().to_owned(),
                reason: error.error().to_string(),
            })?;
            if !path.is_dir() && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn look_at(path: &Path, max_age_seconds: i64, now: Timestamp) -> Result<FileTime, CollectError> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| CollectError::Read { path: path.to_owned(), reason: error.to_string() })?;
    if metadata.len() > MAX_INPUT_BYTES as u64 {
        return Err(CollectError::TooLarge { path: path.to_owned(), bytes: metadata.len() });
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
