//! `SHA256SUMS`: every file of a bundle, sorted bytewise by path, one `hex  path` line each, in the
//! form that `sha256sum --strict -c` reads.

use std::collections::BTreeMap;

use super::digest::Digest;
use super::layout::path_fault;

/// Why a `SHA256SUMS` file is not valid. Lines count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not `64 lower-case hex digits, two spaces, path, newline`.
    #[error("line {line} is not `<sha256>  <path>`")]
    Malformed {
        /// Line.
        line: usize,
    },
    /// A path that could reach outside the bundle or reads differently on another system.
    #[error("line {line}: {fault}")]
    UnsafePath {
        /// Line.
        line: usize,
        /// The path.
        path: String,
        /// Which rule it breaks.
        fault: &'static str,
    },
    /// Two paths are one under case folding, or the same twice.
    #[error("line {line}: `{path}` collides with another path")]
    Collision {
        /// Line.
        line: usize,
        /// The path.
        path: String,
    },
    /// Lines are not in order.
    #[error("line {line} is out of order")]
    Unsorted {
        /// Line.
        line: usize,
    },
}

/// The files of a bundle and their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, Digest>);

impl Manifest {
    /// Adds a file. `false` when the path is not allowed or collides with another one.
    #[must_use]
    pub fn insert(&mut self, path: &str, digest: Digest) -> bool {
        let collides = self.0.keys().any(|known| known.eq_ignore_ascii_case(path));
        if collides || path_fault(path).is_some() {
            return false;
        }
        self.0.insert(path.to_owned(), digest);
        true
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = |(path, digest): (&String, &Digest)| format!("{digest}  {path}\n");
        self.0.iter().map(line).collect::<String>().into_bytes()
    }

    /// Reads exactly what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// [`ManifestError`] for the first line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut files: BTreeMap<String, Digest> = BTreeMap::new();
        let mut folded = std::collections::BTreeSet::new();
        let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::Malformed {
            line: 1 + bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count(),
        })?;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let line_number = index + 1;
            let malformed = ManifestError::Malformed { line: line_number };
            let Some((hex, path)) = line.strip_suffix('\n').and_then(|line| line.split_once("  "))
            else {
                return Err(malformed);
            };
            let Some(digest) = Digest::from_hex(hex) else { return Err(malformed) };
            if let Some(fault) = path_fault(path) {
                let path = path.to_owned();
                return Err(ManifestError::UnsafePath { line: line_number, path, fault });
            }
            if !folded.insert(path.to_ascii_lowercase()) {
                return Err(ManifestError::Collision { line: line_number, path: path.to_owned() });
            }
            if files.last_key_value().is_some_and(|(last, _)| last.as_str() > path) {
                return Err(ManifestError::Unsorted { line: line_number });
            }
            files.insert(path.to_owned(), digest);
        }
        Ok(Self(files))
    }

    /// Files in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.0.iter().map(|(path, digest)| (path.as_str(), digest))
    }

    /// Digest of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Digest> {
        self.0.get(path)
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Has it no file?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut manifest = Manifest::default();
        assert!(manifest.insert("b", Digest::of(b"b")));
        assert!(manifest.insert("a/c", Digest::of(b"c")));
        assert!(!manifest.insert("B", Digest::of(b"x")));
        assert!(!manifest.insert("../x", Digest::of(b"x")));
        assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
    }

    #[test]
    fn each_deviation_is_named() {
        let good = format!("{}  a\n", Digest::of(b""));
        let cases = [
            (good.replace("  ", " *"), ManifestError::Malformed { line: 1 }),
            (
                good.replace('\n', "\r\n"),
                ManifestError::UnsafePath {
                    line: 1,
                    path: "a\r".into(),
                    fault: "a path consists of A-Z a-z 0-9 . _ / -",
                },
            ),
            (good.to_uppercase(), ManifestError::Malformed { line: 1 }),
            (good.trim_end().to_owned(), ManifestError::Malformed { line: 1 }),
            (good.repeat(2), ManifestError::Collision { line: 2, path: "a".into() }),
            (format!("{}{good}", good.replace("  a", "  b")), ManifestError::Unsorted { line: 2 }),
        ];
        for (text, error) in cases {
            assert_eq!(Manifest::parse(text.as_bytes()), Err(error), "{text:?}");
        }
    }
}
