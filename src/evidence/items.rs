//! Items: one canonical JSON object per line of `items.jsonl`, sorted by `id`; each line without
//! its newline is a Merkle leaf. What the objects mean is the business of the modules above.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::canonical::{self, CanonicalError};
use super::digest::{Digest, Hasher};
use super::merkle::{RootBuilder, leaf_hash};

/// Derives the salts of one bundle: the secret, origin and sequence number are hashed in once.
#[derive(Clone)]
pub struct Salter(Option<Hmac<sha2::Sha256>>);

impl Salter {
    /// Salt of an item, base64 of 16 bytes.
    #[must_use]
    pub fn salt(&self, id: &str) -> String {
        let Some(mut mac) = self.0.clone() else { return String::new() };
        mac.update(id.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes().get(..16).unwrap_or_default())
    }
}

/// Secret of a chain from which salts are derived. Whoever knows it can guess undisclosed items.
#[derive(Clone)]
pub struct DisclosureSecret([u8; 32]);

impl DisclosureSecret {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Section 7: the first 16 bytes of HMAC-SHA256(secret, origin || 0 || seq || 0 || id), so that
    /// the hash of an item cannot be guessed from its likely content.
    #[must_use]
    pub fn salter(&self, origin: &str, seq: u64) -> Salter {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(&self.0).ok().map(|mut mac| {
            mac.update(origin.as_bytes());
            mac.update(b"\0");
            mac.update(seq.to_string().as_bytes());
            mac.update(b"\0");
            mac
        });
        Salter(mac)
    }
}

/// Lines of `items.jsonl` in the making.
#[derive(Default)]
pub struct ItemWriter {
    lines: Vec<u8>,
    hasher: Hasher,
    tree: RootBuilder,
    last_id: String,
}

/// Some lines in a row. Segments can be made apart from each other, on several threads.
#[derive(Default)]
pub struct Segment {
    lines: Vec<u8>,
    leaves: Vec<Digest>,
    first_id: String,
    last_id: String,
}

/// What has been written.
pub struct WrittenItems {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its SHA-256.
    pub digest: Digest,
    /// Number of items.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Digest,
}

/// Why an item cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Items must come in ascending order of id.
    #[error("item `{id}` comes after `{last}`")]
    Order {
        /// The item.
        id: String,
        /// The one before.
        last: String,
    },
    /// It cannot be written as JSON.
    #[error("could not write item: {0}")]
    Json(#[from] serde_json::Error),
    /// It cannot be written in canonical form.
    #[error("could not write item: {0}")]
    Canonical(#[from] CanonicalError),
}

impl Segment {
    /// With room for so many bytes of lines.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { lines: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends an item of a type whose fields stand in alphabetical order and hold no floats and no
    /// maps: then plain serialisation is canonical, at a fraction of the cost of sorting. (The
    /// verifier checks every line, so a type that breaks this cannot pass a test.)
    ///
    /// # Errors
    /// [`ItemError`].
    pub fn push_sorted<T: Serialize>(&mut self, id: &str, item: &T) -> Result<(), ItemError> {
        self.append(id, |lines| Ok(serde_json::to_writer(lines, item)?))
    }

    fn append(
        &mut self,
        id: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ItemError>,
    ) -> Result<(), ItemError> {
        if self.leaves.is_empty() {
            id.clone_into(&mut self.first_id);
        } else {
            check_order(id, &self.last_id)?;
        }
        id.clone_into(&mut self.last_id);
        let start = self.lines.len();
        write(&mut self.lines)?;
        self.leaves.push(leaf_hash(self.lines.get(start..).unwrap_or_default()));
        self.lines.push(b'\n');
        Ok(())
    }
}

fn check_order(id: &str, last: &str) -> Result<(), ItemError> {
    if id > last {
        return Ok(());
    }
    Err(ItemError::Order { id: id.to_owned(), last: last.to_owned() })
}

impl ItemWriter {
    /// Appends an item.
    ///
    /// # Errors
    /// [`ItemError`].
    pub fn push<T: Serialize>(&mut self, id: &str, item: &T) -> Result<(), ItemError> {
        let line = canonical::to_vec(item)?;
        let mut segment = Segment::default();
        segment.append(id, |lines| {
            lines.extend_from_slice(&line);
            Ok(())
        })?;
        self.append(&segment)
    }

    /// Appends a segment.
    ///
    /// # Errors
    /// [`ItemError::Order`].
    pub fn append(&mut self, segment: &Segment) -> Result<(), ItemError> {
        if segment.leaves.is_empty() {
            return Ok(());
        }
        if self.tree.size() > 0 {
            check_order(&segment.first_id, &self.last_id)?;
        }
        self.last_id.clone_from(&segment.last_id);
        self.lines.extend_from_slice(&segment.lines);
        self.hasher.update(&segment.lines);
        for leaf in &segment.leaves {
            self.tree.push(*leaf);
        }
        Ok(())
    }

    /// Ends the file.
    #[must_use]
    pub fn finish(self) -> WrittenItems {
        WrittenItems {
            bytes: self.lines,
            digest: self.hasher.finish(),
            size: self.tree.size(),
            root: self.tree.root(),
        }
    }
}

/// What every item has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    salt: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

impl<'a> Head<'a> {
    /// Of one canonical object; otherwise why it is none.
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (mut id, mut salt, mut kind) = (None, None, None);
        let walked = canonical::members(bytes, |key, value| match key {
            b"id" => id = plain_text(value),
            b"salt" => salt = plain_text(value),
            b"type" => kind = plain_text(value),
            _ => {}
        });
        if let (Some(()), Some(id), Some(salt), Some(kind)) = (walked, id, salt, kind) {
            return Ok(Self { id: id.into(), salt: salt.into(), kind: kind.into() });
        }
        canonical::check(bytes).map_err(|error| error.to_string())?;
        // serde reads an object's fields from a list too, which is a second spelling.
        if !bytes.starts_with(b"{") {
            return Err("not an object".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// The text of a JSON string without escapes.
fn plain_text(value: &[u8]) -> Option<&str> {
    let text = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(text).ok().filter(|text| !text.contains('\\'))
}

/// Is it base64 of 16 bytes?
fn is_salt(text: &str) -> bool {
    STANDARD.decode_slice(text, &mut [0; 18]) == Ok(16)
}

/// A line of `items.jsonl`, checked for form.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Line number from 1.
    pub number: usize,
    /// The line without its newline.
    pub bytes: &'a [u8],
}

/// Fault of a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not canonical JSON, or without id, type and salt.
    #[error("line {line}: {reason}")]
    Malformed {
        /// Line.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Not above the line before.
    #[error("line {line}: `{id}` is out of order")]
    Order {
        /// Line.
        line: usize,
        /// Its id.
        id: String,
    },
    /// The same as in the line before.
    #[error("line {line}: `{id}` stands twice")]
    Duplicate {
        /// Line.
        line: usize,
        /// Its id.
        id: String,
    },
}

/// Splits `items.jsonl` into lines; the last one must end in a newline.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = bytes;
    (1..).map_while(move |number| {
        let end = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let (bytes, after) = rest.split_at_checked(end).filter(|(line, _)| !line.is_empty())?;
        rest = after;
        Some(Line { number, bytes })
    })
}

/// Checks the form of all lines and computes their number and root. `each` is called with id, type
/// and bytes of every line.
///
/// # Errors
/// The first [`LineError`].
pub fn read(
    bytes: &[u8],
    mut each: impl FnMut(&str, &str, &[u8]),
) -> Result<(u64, Digest), LineError> {
    let mut tree = RootBuilder::default();
    let mut last: Cow<'_, str> = Cow::default();
    for Line { number: line, bytes } in lines(bytes) {
        let malformed = |reason: String| LineError::Malformed { line, reason };
        let bytes = bytes
            .strip_suffix(b"\n")
            .ok_or_else(|| malformed("no newline at the end".to_owned()))?;
        let head = Head::read(bytes).map_err(malformed)?;
        if !is_salt(&head.salt) {
            return Err(malformed("the salt is not base64 of 16 bytes".to_owned()));
        }
        if line > 1 && head.id <= last {
            let id = head.id.into_owned();
            let is_same = id == last;
            return Err(if is_same {
                LineError::Duplicate { line, id }
            } else {
                LineError::Order { line, id }
            });
        }
        each(&head.id, &head.kind, bytes);
        tree.push(leaf_hash(bytes));
        last = head.id;
    }
    Ok((tree.size(), tree.root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Thing<'a> {
        id: &'a str,
        salt: String,
        #[serde(rename = "type")]
        kind: &'a str,
    }

    fn thing(id: &str) -> Thing<'_> {
        let secret = DisclosureSecret::new([1; 32]);
        Thing { id, salt: secret.salter("example.com/a", 0).salt(id), kind: "thing" }
    }

    #[test]
    fn what_is_written_is_read_with_the_same_root() {
        let mut writer = ItemWriter::default();
        for id in ["a", "b", "c"] {
            writer.push(id, &thing(id)).unwrap();
        }
        assert!(writer.push("b", &thing("b")).is_err());
        let written = writer.finish();
        let mut ids = Vec::new();
        let read = read(&written.bytes, |id, _, _| ids.push(id.to_owned()));
        assert_eq!(read, Ok((3, written.root)));
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(Digest::of(&written.bytes), written.digest);
    }

    #[test]
    fn salts_differ_by_everything_that_goes_in() {
        let secret = DisclosureSecret::new([1; 32]);
        let salt = secret.salter("o", 1).salt("x");
        for other in [
            secret.salter("p", 1).salt("x"),
            secret.salter("o", 2).salt("x"),
            secret.salter("o", 1).salt("y"),
            DisclosureSecret::new([2; 32]).salter("o", 1).salt("x"),
        ] {
            assert_ne!(salt, other);
        }
    }
}
