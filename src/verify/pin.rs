//! Pins: what somebody was told about the head, outside the archive (section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::digest::Digest;
use crate::evidence::tlog_proof::TlogProof;

/// What stands before a head in a report's metadata.
pub const PDF_MARK: &str = "affidavit-head: ";

/// A pinned head: the log had this root when it had this size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Origin of the chain.
    pub origin: String,
    /// Number of statements.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
}

/// Why a text is no pin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no head to pin was found: a pin is a checkpoint, a receipt, or text with a line `origin size root`"
)]
pub struct PinError;

impl Pin {
    /// Reads a pin from a checkpoint, a `.tlog-proof`, or from any text that has a line
    /// `origin size root`: a receipt, or the text of a report's verification page. The last such
    /// line counts.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let note = SignedCheckpoint::parse(text.as_bytes()).ok();
        let proof = || TlogProof::parse(text.as_bytes()).ok()?.checkpoint();
        if let Some(note) = note.or_else(proof) {
            return Ok(Self::from(note.checkpoint));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        words.windows(3).filter_map(Self::from_words).next_back().ok_or(PinError)
    }

    /// Reads the head that a report's PDF states in its metadata, where it is not compressed.
    ///
    /// # Errors
    /// [`PinError`], also for the report of a chain's first bundle, before which there is no head.
    pub fn from_pdf(bytes: &[u8]) -> Result<Self, PinError> {
        let start = bytes.windows(PDF_MARK.len()).position(|window| window == PDF_MARK.as_bytes());
        let rest = start.and_then(|start| bytes.get(start + PDF_MARK.len()..)).ok_or(PinError)?;
        // Origin, number and base64 fit into this many bytes.
        let text = String::from_utf8_lossy(rest.get(..512).unwrap_or(rest)).into_owned();
        // It stands in the document information, in parentheses, and in XMP, before a tag.
        let text = text.split(['<', ')']).next().unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        Self::from_words(&words).ok_or(PinError)
    }

    fn from_words(words: &[&str]) -> Option<Self> {
        let [origin, size, root] = words else { return None };
        let size = size.parse().ok().filter(|_| size.bytes().all(|byte| byte.is_ascii_digit()))?;
        let root: [u8; 32] = STANDARD.decode(root).ok()?.try_into().ok()?;
        crate::evidence::checkpoint::valid_origin(origin).then(|| Self {
            origin: (*origin).to_owned(),
            size,
            root: Digest::from_bytes(root),
        })
    }

    /// The line that [`parse`](Self::parse) reads.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

impl From<Checkpoint> for Pin {
    fn from(checkpoint: Checkpoint) -> Self {
        Self { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_found_in_running_text() {
        let pin = Pin { origin: "example.com/a".into(), size: 7, root: Digest::of(b"r") };
        let text =
            format!("Head before this bundle\n{}\nPage 9 of 9", pin.line().replace(' ', "\n"));
        assert_eq!(Pin::parse(&text), Ok(pin.clone()));
        assert_eq!(Pin::parse("nothing here"), Err(PinError));
        let pdf = format!("%PDF-1.7 <pdf:Keywords>affidavit-head: {}</pdf:Keywords>", pin.line());
        assert_eq!(Pin::from_pdf(pdf.as_bytes()), Ok(pin.clone()));
        let pdf = format!("%PDF-1.7 /Keywords(affidavit-head: {})/Title(x)", pin.line());
        assert_eq!(Pin::from_pdf(pdf.as_bytes()), Ok(pin));
        assert_eq!(Pin::from_pdf(b"%PDF-1.7"), Err(PinError));
    }
}
