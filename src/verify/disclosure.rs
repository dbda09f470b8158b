//! Section 7: single items, tied to a root key by one file and nothing else.

use std::collections::BTreeMap;

use crate::evidence::disclosure::{DisclosedItem, Disclosure};
use crate::evidence::envelope::Envelope;
use crate::evidence::items::{self, LineError};
use crate::evidence::layout;
use crate::evidence::merkle::{leaf_hash, verify_inclusion};
use crate::evidence::statement::Statement;
use crate::evidence::tlog_proof::TlogProof;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keyring::Keyrings;
use super::verdict::PinnedAt;
use super::{Archive, Entry, FailureCode, Policy, ReadFailure, Verdict, Verification};
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::digest::Digest;

/// Where faults of the file itself are reported.
const OBJECT: &str = "disclosure";

/// What a disclosure shows.
#[derive(Clone, Debug)]
pub struct DisclosureVerdict {
    /// What was checked and found.
    pub verdict: Verdict,
    /// The statement, if it could be read.
    pub statement: Option<Statement>,
    /// The lines of the items that were checked without a fault.
    pub items: Vec<String>,
}

/// Verifies a disclosure.
#[must_use]
pub fn verify_disclosure(bytes: &[u8], policy: &Policy) -> DisclosureVerdict {
    let parts = Parts::read(bytes);
    let empty = Files(BTreeMap::new());
    let files = parts.as_ref().map_or(&empty, |parts| &parts.files);
    let mut verification = Verification::new(files, policy);
    let (statement, items) = match &parts {
        Ok(parts) => verification.check_disclosure(parts),
        Err(reason) => {
            verification.verdict.report(FailureCode::DisclosureMalformed, OBJECT).found(reason);
            (None, Vec::new())
        }
    };
    DisclosureVerdict { verdict: verification.into_verdict(), statement, items }
}

/// The parts of a disclosure, those that are files of an archive as such.
struct Parts {
    files: Files,
    disclosure: Disclosure,
    proof: TlogProof,
    checkpoint: Checkpoint,
}

struct Files(BTreeMap<String, Vec<u8>>);

impl Parts {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let disclosure = Disclosure::parse(bytes).map_err(|error| error.to_string())?;
        let proof =
            TlogProof::parse(disclosure.proof.as_bytes()).map_err(|error| error.to_string())?;
        let checkpoint = proof.checkpoint().ok_or("its checkpoint cannot be read")?.checkpoint;
        let mut files = BTreeMap::new();
        for (version, keyring) in (1..).zip(&disclosure.keyrings) {
            files.insert(layout::keyring(version), keyring.clone().into_bytes());
        }
        // The statement's own file is a copy of the signed bytes; here there is but the original.
        if let Ok(envelope) = Envelope::parse(disclosure.envelope.as_bytes()) {
            files.insert(layout::statement(proof.index), envelope.payload);
        }
        files.insert(layout::envelope(proof.index), disclosure.envelope.clone().into_bytes());
        Ok(Self { files: Files(files), disclosure, proof, checkpoint })
    }
}

impl Archive for Files {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        Ok(self.0.keys().map(|path| Entry { path: path.clone(), is_file: true }).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        let reason = || ReadFailure::new(path, "not there");
        self.0.get(path).cloned().ok_or_else(reason)
    }
}

impl Verification<'_> {
    fn check_disclosure(&mut self, parts: &Parts) -> (Option<Statement>, Vec<String>) {
        self.index(parts.files.list().unwrap_or_default());
        // Where the envelope cannot be read, its fault is named, and not that its copy is missing.
        self.statements.insert(parts.proof.index);
        let keyrings = self.check_keyrings();
        let errors = self.verdict.findings.len();
        let log = self.check_single(parts.proof.index, keyrings.as_ref());
        let entry = log.entries.get(&parts.proof.index).filter(|entry| !entry.faulty);
        let is_sound = self.verdict.findings.len() == errors;
        let Some((entry, statement)) =
            entry.and_then(|entry| Some((entry, entry.statement.as_ref()?))).filter(|_| is_sound)
        else {
            self.verdict.checked.not_checked += parts.disclosure.items.len() as u64 + 1;
            return (None, Vec::new());
        };
        self.check_place(parts, &entry.bytes, keyrings.as_ref());
        let items = parts.disclosure.items.iter().enumerate();
        let items = items.filter_map(|(number, item)| self.check_item(number, item, statement));
        let items = items.collect();
        self.check_disclosure_pins(&parts.checkpoint);
        (Some(statement.clone()), items)
    }

    /// The statement's place in the log of the proof's checkpoint.
    fn check_place(&mut self, parts: &Parts, statement: &[u8], keyrings: Option<&Keyrings>) {
        let Parts { proof, checkpoint, .. } = parts;
        let path = layout::checkpoint(checkpoint.size);
        let keyring = keyrings.and_then(Keyrings::newest);
        if self.check_note(&path, checkpoint.size, &proof.note, keyring).is_none() {
            return;
        }
        let leaf = leaf_hash(statement);
        let Checkpoint { size, root, .. } = checkpoint;
        if let Err(error) = verify_inclusion(leaf, proof.index, *size, &proof.hashes, root) {
            self.verdict
                .report(FailureCode::InclusionProofInvalid, layout::statement(proof.index))
                .found(error);
            return;
        }
        self.verdict.head = Some(checkpoint.clone());
        for keyring in keyrings.into_iter().flat_map(Keyrings::iter) {
            let anchors = keyring.keyring.anchors();
            let contradicts = |anchor: &&crate::evidence::keyring::Anchor| {
                anchor.size == *size && anchor.root != STANDARD.encode(root.as_bytes())
            };
            if let Some(anchor) = anchors.into_iter().find(contradicts) {
                self.verdict
                    .report(FailureCode::HistoryRewritten, layout::keyring(keyring.keyring.version))
                    .expected(&anchor.root)
                    .found(STANDARD.encode(root.as_bytes()));
            }
        }
    }

    /// The item's line, if it is in its form and stands in the bundle.
    fn check_item(
        &mut self,
        number: usize,
        disclosed: &DisclosedItem,
        statement: &Statement,
    ) -> Option<String> {
        let mut id = None;
        let line = format!("{}\n", disclosed.item);
        let read = items::read(line.as_bytes(), |found, _, _| id = Some(found.to_owned()));
        let object = format!("item {}", id.unwrap_or_else(|| number.to_string()));
        if let Err(error) = read {
            let (LineError::Malformed { reason, .. }
            | LineError::Order { id: reason, .. }
            | LineError::Duplicate { id: reason, .. }) = error;
            self.verdict.report(FailureCode::ItemMalformed, object).found(reason);
            return None;
        }
        self.verdict.checked.items += 1;
        let stated = &statement.predicate.items;
        let leaf = leaf_hash(disclosed.item.as_bytes());
        let root = STANDARD.decode(&stated.root).ok().and_then(|root| root.try_into().ok());
        let root = Digest::from_bytes(root.unwrap_or_default());
        let hashes = disclosed.hashes().unwrap_or_default();
        match verify_inclusion(leaf, disclosed.index, stated.size, &hashes, &root) {
            Ok(()) => Some(disclosed.item.clone()),
            Err(error) => {
                self.verdict.report(FailureCode::InclusionProofInvalid, object).found(error);
                None
            }
        }
    }

    /// Only a pin of the proof's own size can be compared: there is no log to recompute another.
    fn check_disclosure_pins(&mut self, checkpoint: &Checkpoint) {
        let mut is_compared = false;
        for pin in &self.policy.pins {
            is_compared |= pin.origin != checkpoint.origin || pin.size == checkpoint.size;
            if pin.origin != checkpoint.origin {
                self.verdict
                    .report(FailureCode::OriginMismatch, "--pin")
                    .expected(&pin.origin)
                    .found(&checkpoint.origin);
            } else if pin.size == checkpoint.size && pin.root != checkpoint.root {
                let base64 = |digest: &Digest| STANDARD.encode(digest.as_bytes());
                self.verdict
                    .report(
                        FailureCode::CheckpointInconsistent,
                        layout::checkpoint(checkpoint.size),
                    )
                    .expected(base64(&pin.root))
                    .found(base64(&checkpoint.root));
            } else if pin.size == checkpoint.size {
                self.verdict.pinned = Some(PinnedAt { size: pin.size, of: checkpoint.size });
            }
        }
        if !is_compared {
            self.verdict
                .report(FailureCode::HeadUnpinned, layout::checkpoint(checkpoint.size))
                .expected("a pin of this size");
        }
    }
}
