//! Inputs from files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::config::Source;
use crate::evidence::instant;
use crate::evidence::layout::safe_segment;
use crate::run::{self, FileTime};
use crate::scanner::MAX_INPUT_BYTES;

/// What was found for all sources.
#[derive(Debug, Default)]
pub struct Collected {
    /// Sources for the run record.
    pub sources: Vec<run::Source>,
    /// Where each input lies, by its path in the bundle.
    pub origins: BTreeMap<String, PathBuf>,
}

/// Why inputs could not be collected. A source without files is no error: that it is missing is
/// itself recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A file or folder could not be looked at.
    #[error("could not read {path}: {reason}")]
    Read {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not a glob pattern.
    #[error("`{pattern}` is no file pattern: {reason}")]
    Pattern {
        /// As configured.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// Too large to be a report.
    #[error("{path} has {bytes} bytes; at most {MAX_INPUT_BYTES} are read")]
    TooLarge {
        /// Path.
        path: PathBuf,
        /// Size.
        bytes: u64,
    },
}

/// Finds the files of all sources, in order of pattern and then of path. `now` is the run's time,
/// against which the age of files is judged.
///
/// # Errors
/// [`CollectError`].
pub fn files(sources: &[Source], now: Timestamp) -> Result<Collected, CollectError> {
    let mut collected = Collected::default();
    for source in sources {
        let mut files = Vec::new();
        for path in matches(&source.files)? {
            let file_time = look_at(&path, source.max_age_seconds, now)?;
            let original = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let number = files.len() + 1;
            let in_bundle =
                format!("inputs/{}/{number:04}-{}", source.name, safe_segment(&original));
            collected.origins.insert(in_bundle.clone(), path);
            files.push(run::File {
                path: in_bundle,
                original,
                subject: source.subject.clone(),
                taken_at: source.taken_at.map(instant::format),
                file_time,
            });
        }
        collected.sources.push(run::Source {
            name: source.name.clone(),
            scanner: source.scanner.clone(),
            max_age_seconds: source.max_age_seconds,
            expect_files: source.expect_files,
            files,
        });
    }
    Ok(collected)
}

fn matches(patterns: &[String]) -> Result<Vec<PathBuf>, CollectError> {
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
