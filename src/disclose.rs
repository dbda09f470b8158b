//! What is shown of an archive without the rest: disclosures of single items (section 7 of the
//! format), and which bundles' files an export holds (section 11).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::evidence::digest::Digest;
use crate::evidence::disclosure::{DisclosedItem, Disclosure, DisclosureError, FORMAT};
use crate::evidence::envelope::Envelope;
use crate::evidence::key::KeyId;
use crate::evidence::layout::{self, Place};
use crate::evidence::merkle::{inclusion_proof, leaf_hash};
use crate::evidence::statement::{Statement, StatementError};
use crate::evidence::tlog_proof::TlogProof;
use crate::verify::{Archive, ReadFailure};

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscloseError {
    /// The archive could not be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// There is no such bundle.
    #[error("there is no bundle {seq}; the archive has {size}")]
    NoBundle {
        /// The number asked for.
        seq: u64,
        /// Bundles in the archive.
        size: u64,
    },
    /// There is no such item in the bundle.
    #[error("bundle {seq} has no item `{id}`")]
    NoItem {
        /// The bundle.
        seq: u64,
        /// The id asked for.
        id: String,
    },
    /// The statement is not in its form.
    #[error("statement {seq}: {source}")]
    Statement {
        /// The bundle.
        seq: u64,
        /// Why.
        source: StatementError,
    },
    /// The disclosure cannot be written.
    #[error(transparent)]
    Disclosure(#[from] DisclosureError),
}

/// A bundle whose items can be shown.
pub struct Source {
    /// Its statement.
    pub statement: Statement,
    /// `items.jsonl`.
    pub items: Vec<u8>,
    keyrings: Vec<String>,
    envelope: String,
    proof: String,
    leaves: Vec<Digest>,
    ids: BTreeMap<String, usize>,
}

/// Number of statements in an archive.
///
/// # Errors
/// [`ReadFailure`].
pub fn size(archive: &dyn Archive) -> Result<u64, ReadFailure> {
    let places = archive.list()?.into_iter().map(|entry| layout::place(&entry.path));
    let next = places.filter_map(|place| match place {
        Place::Statement(seq) => Some(seq + 1),
        _ => None,
    });
    Ok(next.max().unwrap_or(0))
}

impl Source {
    /// Reads a bundle and the log up to the newest checkpoint. Nothing is verified here: the
    /// disclosure that comes out of it can be.
    ///
    /// # Errors
    /// [`DiscloseError`].
    pub fn read(archive: &dyn Archive, seq: Option<u64>) -> Result<Self, DiscloseError> {
        let size = size(archive)?;
        let seq = seq.or_else(|| size.checked_sub(1)).unwrap_or(0);
        if seq >= size {
            return Err(DiscloseError::NoBundle { seq, size });
        }
        let text = |path: String| -> Result<String, ReadFailure> {
            Ok(String::from_utf8_lossy(&archive.read(&path)?).into_owned())
        };
        let statements = (0..size).map(|seq| archive.read(&layout::statement(seq)));
        let statements = statements.collect::<Result<Vec<_>, _>>()?;
        let log: Vec<Digest> = statements.iter().map(|bytes| leaf_hash(bytes)).collect();
        let index = usize::try_from(seq).unwrap_or(usize::MAX);
        let bytes = statements.get(index).map(Vec::as_slice).unwrap_or_default();
        let statement =
            Statement::parse(bytes).map_err(|source| DiscloseError::Statement { seq, source })?;
        let proof = TlogProof {
            index: seq,
            hashes: inclusion_proof(&log, index).unwrap_or_default(),
            note: archive.read(&layout::checkpoint(size))?,
        };
        let mut keyrings = Vec::new();
        let versions = archive.list()?.into_iter().filter_map(|entry| {
            let is_keyring = matches!(layout::place(&entry.path), Place::Keyring(_));
            is_keyring.then_some(entry.path)
        });
        for path in versions.collect::<BTreeSet<_>>() {
            keyrings.push(text(path)?);
        }
        let sums = statement.sums().unwrap_or_else(|| Digest::of(b""));
        let items = archive.read(&layout::bundle_file(&sums, layout::ITEMS))?;
        let lines = || items.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Self {
            keyrings,
            envelope: text(layout::envelope(seq))?,
            proof: String::from_utf8_lossy(&proof.to_bytes()).into_owned(),
            leaves: lines().map(leaf_hash).collect(),
            ids: lines().enumerate().filter_map(|(index, line)| Some((id(line)?, index))).collect(),
            statement,
            items,
        })
    }

    /// Digest of the first keyring's payload, as the archive has it: what a check of one's own
    /// disclosures may trust.
    #[must_use]
    pub fn first_keyring(&self) -> Option<KeyId> {
        let envelope = Envelope::parse(self.keyrings.first()?.as_bytes()).ok()?;
        Some(envelope.payload_id())
    }

    /// A disclosure of these items.
    ///
    /// # Errors
    /// [`DiscloseError::NoItem`], [`DiscloseError::Disclosure`].
    pub fn disclose(&self, ids: &BTreeSet<String>) -> Result<Vec<u8>, DiscloseError> {
        let lines: Vec<&[u8]> = self.items.split(|byte| *byte == b'\n').collect();
        let mut items = Vec::new();
        for id in ids {
            let found = self.ids.get(id).and_then(|index| Some((*index, *lines.get(*index)?)));
            let Some((index, line)) = found else {
                let seq = self.statement.predicate.chain.seq;
                return Err(DiscloseError::NoItem { seq, id: id.clone() });
            };
            let hashes = inclusion_proof(&self.leaves, index).unwrap_or_default();
            let line = String::from_utf8_lossy(line).into_owned();
            items.push(DisclosedItem::new(line, index as u64, &hashes));
        }
        items.sort_by_key(|item| item.index);
        let disclosure = Disclosure {
            format: FORMAT.to_owned(),
            keyrings: self.keyrings.clone(),
            envelope: self.envelope.clone(),
            proof: self.proof.clone(),
            items,
        };
        Ok(disclosure.to_bytes()?)
    }
}

fn id(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    Some(serde_json::from_slice::<Id>(line).ok()?.id)
}

/// Paths of an export of the bundles `from` to `to`; all paths when these are all bundles. What
/// lies in an archive without belonging there is not handed on.
///
/// # Errors
/// [`DiscloseError`].
pub fn export_paths(
    archive: &dyn Archive,
    from: u64,
    to: u64,
) -> Result<Vec<String>, DiscloseError> {
    let size = size(archive)?;
    if from > to || to >= size {
        return Err(DiscloseError::NoBundle { seq: to.max(from), size });
    }
    let mut bundles = BTreeSet::new();
    for seq in from..=to {
        let statement = Statement::parse(&archive.read(&layout::statement(seq))?)
            .map_err(|source| DiscloseError::Statement { seq, source })?;
        bundles.extend(statement.sums());
    }
    let belongs = |path: &String| match layout::place(path) {
        Place::BundleFile(sums, _) => bundles.contains(&sums),
        Place::Export | Place::Unknown | Place::Unrelated => false,
        _ => true,
    };
    let paths = archive.list()?.into_iter().filter(|entry| entry.is_file).map(|entry| entry.path);
    Ok(paths.filter(belongs).collect())
}
