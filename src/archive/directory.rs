//! An archive in a directory.
//!
//! An object is written to a temporary file, flushed to disk, and then hard-linked to its name: a
//! link is made whole or not at all, and fails when the name exists, whoever made it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Put, Store, StoreError};
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::layout;
use crate::verify::{Archive, Entry, ReadFailure};

/// Temporary files; never part of the archive.
const TEMPORARY: &str = ".tmp";

/// No write takes that long.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A directory with the tree of an archive.
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn full(&self, path: &str) -> PathBuf {
        path.split('/').fold(self.root.clone(), |full, segment| full.join(segment))
    }

    fn failure(path: &str, error: &std::io::Error) -> ReadFailure {
        ReadFailure::new(path, error.to_string())
    }

    fn write_error(path: &str, error: &std::io::Error) -> StoreError {
        StoreError::Write {
            path: path.to_owned(),
            reason: error.to_string(),
            help: "nothing was lost: run again when the disk has room and the folder can be written to",
        }
    }

    /// Writes and flushes a temporary file in the same file system.
    fn write_temporary(&self, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let folder = self.root.join(TEMPORARY);
        fs::create_dir_all(&folder)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", std::process::id()));
        let mut file = File::create(&path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // A full disk must not be kept full by what did not fit.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        Ok(path)
    }

    /// What killed writers left long ago, which only takes room. A writer that is still at work is younger.
    fn remove_leftovers(&self) {
        let is_old = |entry: &fs::DirEntry| {
            let modified = entry.metadata().and_then(|data| data.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFTOVER_AGE))
        };
        let Ok(listing) = fs::read_dir(self.root.join(TEMPORARY)) else { return };
        for entry in listing.flatten().filter(is_old) {
            drop(fs::remove_file(entry.path()));
        }
    }

    fn link(&self, temporary: &Path, path: &str) -> std::io::Result<bool> {
        let target = self.full(path);
        let parent = target.parent().unwrap_or(&self.root);
        let mut tries = 3;
        let created = loop {
            fs::create_dir_all(parent)?;
            match fs::hard_link(temporary, &target) {
                Ok(()) => break true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => break false,
                // Another writer has just removed the empty folder.
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => tries -= 1,
                Err(error) => return Err(error),
            }
        };
        // The name is durable only when its directory is.
        File::open(parent)?.sync_all()?;
        Ok(created)
    }
}

impl Archive for Directory {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let mut entries = Vec::new();
        let mut pending = VecDeque::from([(String::new(), self.root.clone())]);
        while let Some((prefix, folder)) = pending.pop_front() {
            let root = self.root.to_string_lossy();
            let shown = if prefix.is_empty() { &*root } else { &prefix };
            let listing = match fs::read_dir(&folder) {
                Ok(listing) => listing,
                // Another writer has just removed what it had written for a place that it lost.
                Err(error) if error.kind() == ErrorKind::NotFound && !prefix.is_empty() => continue,
                Err(error) => return Err(Self::failure(shown, &error)),
            };
            for entry in listing {
                let entry = entry.map_err(|error| Self::failure(shown, &error))?;
                // A name that is no UTF-8 cannot be ours; it is reported in its lossy form.
                let name = entry.file_name().to_string_lossy().into_owned();
                if prefix.is_empty() && name == TEMPORARY {
                    continue;
                }
                let path = format!("{prefix}{name}");
                let kind = entry.file_type().map_err(|error| Self::failure(&path, &error))?;
                if kind.is_dir() {
                    pending.push_back((format!("{path}/"), entry.path()));
                } else {
                    entries.push(Entry { path, is_file: kind.is_file() });
                }
            }
        }
        Ok(entries)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        fs::read(self.full(path)).map_err(|error| Self::failure(path, &error))
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        let failure = |error: &std::io::Error| Self::failure(path, error);
        let mut file = File::open(self.full(path)).map_err(|error| failure(&error))?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            let count = file.read(&mut buffer).map_err(|error| failure(&error))?;
            if count == 0 {
                return Ok((hasher.finish(), length));
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            length += count as u64;
        }
    }
}

impl Store for Directory {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        let failed = |error: std::io::Error| Self::write_error(path, &error);
        if !self.full(path).exists() {
            let temporary = self.write_temporary(bytes).map_err(failed)?;
            let linked = self.link(&temporary, path);
            drop(fs::remove_file(&temporary));
            if linked.map_err(failed)? {
                return Ok(Put::Created);
            }
        }
        let (there, _) = self.digest(path)?;
        Ok(if there == Digest::of(bytes) { Put::Same } else { Put::Other })
    }

    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| Self::write_error(layout::HEAD, &error);
        let temporary = self.write_temporary(bytes).map_err(failed)?;
        fs::rename(&temporary, self.full(layout::HEAD)).map_err(failed)?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(failed)
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        let full = self.full(path);
        match fs::remove_file(&full) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let (path, reason) = (path.to_owned(), error.to_string());
                return Err(StoreError::Remove { path, reason });
            }
        }
        // Folders that are empty now go too; one with something in it stays by itself.
        for folder in full.ancestors().skip(1).take_while(|folder| *folder != self.root) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.remove_leftovers();
        // The same steps as a real write, on a name of its own.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let probe = format!("{TEMPORARY}/probe-{}-{number}", std::process::id());
        let failed = |error: std::io::Error| Self::write_error(&probe, &error);
        let first = self.write_temporary(b"first").map_err(failed)?;
        let second = self.write_temporary(b"second").map_err(failed)?;
        let created = self.link(&first, &probe).map_err(failed)?;
        let overwritten = self.link(&second, &probe).map_err(failed)?;
        for path in [&first, &second, &self.full(&probe)] {
            drop(fs::remove_file(path));
        }
        if created && !overwritten {
            Ok(())
        } else {
            let how = "a second write was accepted".to_owned();
            Err(StoreError::NotConditional { path: probe, store: self.describe(), how })
        }
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}
