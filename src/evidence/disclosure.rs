//! Section 7: one file that shows single items of a bundle, with everything that ties them to a
//! root key, and nothing of the other items but hashes that their salts make unguessable.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::canonical::{self, CanonicalError};
use super::digest::Digest;

/// `format` of every disclosure of this version.
pub const FORMAT: &str = "urn:affidavit:disclosure:v1";

/// What `format` begins with, in every version.
pub const MARK: &str = "urn:affidavit:disclosure:";

/// A disclosure, read but not verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// [`FORMAT`].
    pub format: String,
    /// Keyring envelopes, verbatim, from version 1 on.
    pub keyrings: Vec<String>,
    /// The statement's envelope, verbatim.
    pub envelope: String,
    /// The statement's `.tlog-proof`.
    pub proof: String,
    /// The items, ascending by index.
    pub items: Vec<DisclosedItem>,
}

/// An item with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedItem {
    /// The line of `items.jsonl` without its newline.
    pub item: String,
    /// Its place from 0.
    pub index: u64,
    /// From the leaf's sibling up, base64.
    pub hashes: Vec<String>,
}

/// Why bytes are not a disclosure.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// Breaks a rule of the canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A field is missing, unknown or of the wrong form.
    #[error("{0}")]
    Shape(String),
}

impl DisclosedItem {
    /// With hashes written down.
    #[must_use]
    pub fn new(item: String, index: u64, hashes: &[Digest]) -> Self {
        let hashes = hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        Self { item, index, hashes }
    }

    /// The hashes; `None` when one is not base64 of 32 bytes.
    #[must_use]
    pub fn hashes(&self) -> Option<Vec<Digest>> {
        let decode =
            |text: &String| STANDARD.decode(text).ok()?.try_into().ok().map(Digest::from_bytes);
        self.hashes.iter().map(decode).collect()
    }
}

impl Disclosure {
    /// Its bytes.
    ///
    /// # Errors
    /// [`DisclosureError::Canonical`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DisclosureError> {
        let mut bytes = canonical::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads exactly what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// [`DisclosureError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DisclosureError> {
        let shape = |text: &str| DisclosureError::Shape(text.to_owned());
        let line = bytes.strip_suffix(b"\n").ok_or_else(|| shape("no newline at the end"))?;
        canonical::check(line)?;
        let disclosure: Self = serde_json::from_slice(line)
            .map_err(|error| DisclosureError::Shape(error.to_string()))?;
        // serde reads an object's fields from a list too, which is a second spelling.
        if disclosure.to_bytes()? != bytes {
            return Err(shape("a list stands where an object must"));
        }
        if disclosure.format != FORMAT {
            return Err(DisclosureError::Shape(format!("format `{}`", disclosure.format)));
        }
        if disclosure.items.is_empty() || disclosure.keyrings.is_empty() {
            return Err(shape("it has no item or no keyring"));
        }
        if !disclosure.items.is_sorted_by(|left, right| left.index < right.index) {
            return Err(shape("the items are not in ascending order"));
        }
        if disclosure.items.iter().any(|item| item.hashes().is_none()) {
            return Err(shape("a hash is not base64 of 32 bytes"));
        }
        Ok(disclosure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_is_read() {
        let item = |index| DisclosedItem::new("{}".into(), index, &[Digest::of(b"a")]);
        let disclosure = Disclosure {
            format: FORMAT.into(),
            keyrings: vec!["k".into()],
            envelope: "e".into(),
            proof: "p".into(),
            items: vec![item(1), item(2)],
        };
        let bytes = disclosure.to_bytes().unwrap();
        assert_eq!(Disclosure::parse(&bytes), Ok(disclosure.clone()));
        assert!(Disclosure::parse(bytes.trim_ascii_end()).is_err());
        for other in [
            Disclosure { items: vec![], ..disclosure.clone() },
            Disclosure { items: vec![item(2), item(1)], ..disclosure.clone() },
            Disclosure { format: "urn:affidavit:disclosure:v2".into(), ..disclosure.clone() },
            Disclosure { keyrings: vec![], ..disclosure },
        ] {
            assert!(Disclosure::parse(&other.to_bytes().unwrap()).is_err());
        }
    }
}
