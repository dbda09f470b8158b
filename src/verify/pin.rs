//! Pins: what somebody was told about the head, outside the archive (section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::digest::Digest;

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
    /// Reads a pin from a checkpoint, or from any text that has a line `origin size root`: a
    /// receipt, or the text of a report's verification page. The last such line counts.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn parse(text: &str) -> Result<Self, PinError> {
        if let Ok(note) = SignedCheckpoint::parse(text.as_bytes()) {
            let checkpoint = note.checkpoint;
            return Ok(Self {
                origin: checkpoint.origin,
                size: checkpoint.size,
                root: checkpoint.root,
            });
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        words.windows(3).filter_map(Self::from_words).next_back().ok_or(PinError)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_found_in_running_text() {
        let pin = Pin { origin: "example.com/a".into(), size: 7, root: Digest::of(b"r") };
        let text =
            format!("Head before this bundle\n{}\nPage 9 of 9", pin.line().replace(' ', "\n"));
        assert_eq!(Pin::parse(&text), Ok(pin));
        assert_eq!(Pin::parse("nothing here"), Err(PinError));
    }
}
