//! Section 6: writing without forks.
//!
//! The order is decided by one conditional write of the claim, and only what won is signed, so that
//! a key never signs two statements for one place. Whatever step a run is cut off at, the next one
//! finishes or repeats it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::archive::{Former, Put, Store, StoreError};
use crate::escape::visible;
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::digest::Digest;
use crate::evidence::envelope::{Envelope, EnvelopeSignature, STATEMENT_TYPE, pae};
use crate::evidence::instant;
use crate::evidence::key::KeyId;
use crate::evidence::keyring::{CheckedKeyring, KeyStatus};
use crate::evidence::layout;
use crate::evidence::manifest::Manifest;
use crate::evidence::merkle::{RootBuilder, leaf_hash};
use crate::evidence::statement::{Statement, StatementError};
use crate::evidence::tlog_proof::TlogProof;
use crate::parallel;
use crate::sign::{SignError, Signer};
use crate::verify::pin::Pin;
use crate::verify::{self, Archive, Entry, FailureCode, Finding, Policy, ReadFailure};

/// Instructions for an auditor without our program.
const VERIFY_MD: &str = include_str!("verify.md");

/// Bytes of inputs that are being written at once, apart from a single larger one.
const WRITE_BUDGET: usize = 64 << 20;

/// Why nothing was sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// There is no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The statement cannot be written.
    #[error("could not write the statement: {0}")]
    Statement(#[from] StatementError),
    /// The archive is not what it must be; nothing is added to it.
    #[error("the archive does not verify: {code} at {}", visible(object))]
    NotVerified {
        /// The first fault.
        code: FailureCode,
        /// Where.
        object: String,
    },
    /// The program has made what its own verifier refuses; it is not sealed.
    #[error("what was prepared would not verify: {code} at {}{}", visible(object), visible(detail))]
    Refused {
        /// What.
        code: FailureCode,
        /// Where.
        object: String,
        /// Expected and found, as the end of a sentence; may be empty.
        detail: String,
    },
    /// The key may not sign at this place.
    #[error("key {key} may not sign statement {seq}: {reason}")]
    KeyNotAllowed {
        /// Its id.
        key: String,
        /// Place.
        seq: u64,
        /// Why.
        reason: &'static str,
    },
    /// The keyring has expired.
    #[error("keyring {version} expired {expires}")]
    KeyringExpired {
        /// Version.
        version: u64,
        /// When.
        expires: String,
    },
    /// The signer returned something that is no signature by its key.
    #[error("the signer's signature does not verify under key {key}")]
    BadSignature {
        /// Id of the key.
        key: String,
    },
    /// The run's clock stands before the newest bundle's.
    #[error("the time {now} is before the newest bundle's, {newest}")]
    ClockBack {
        /// The run's time.
        now: String,
        /// The newest bundle's.
        newest: String,
    },
    /// The store does not give back what it said that it had written.
    #[error("`{path}` was written, and the archive gives back something else")]
    NotKept {
        /// Path.
        path: String,
    },
    /// Other bytes are there under a name that is written once.
    #[error("the archive has another `{path}`")]
    Taken {
        /// Path.
        path: String,
    },
    /// A path that the format does not allow.
    #[error("`{path}` cannot be written: {reason}")]
    Path {
        /// Path.
        path: String,
        /// Why.
        reason: &'static str,
    },
}

impl SealError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Store(error) => error.help(),
            Self::Sign(error) => error.help(),
            Self::Read(failure) => failure.help,
            Self::NotVerified { .. } => "run `affidavit verify` and find out what happened to it",
            Self::KeyNotAllowed { .. } | Self::KeyringExpired { .. } => {
                "make a new keyring version with the root keys"
            }
            Self::BadSignature { .. } => "check the signer",
            Self::NotKept { .. } => {
                "something else than the store answers under its address, or it loses data: nothing that was signed rests on it; check archive.endpoint"
            }
            Self::ClockBack { .. } => "set the clock, or give a later --now",
            Self::Taken { path } if path.starts_with("keyring/") => {
                "the archive was begun with other keys: use those, or give this chain another archive.uri"
            }
            Self::Taken { .. } => {
                "something else writes to this archive: run `affidavit verify` on it"
            }
            Self::Statement(_) | Self::Path { .. } | Self::Refused { .. } => {
                "this is a fault of the program, and nothing was sealed: report it with this message"
            }
        }
    }
}

/// The newest statement of a log.
#[derive(Clone, Debug)]
pub struct Newest {
    /// Its place.
    pub seq: u64,
    /// It.
    pub statement: Statement,
    /// Digest of its bytes.
    pub digest: Digest,
}

/// What a statement says that pruning needs.
#[derive(Clone, Debug)]
pub struct Past {
    /// Digest of its bundle's `SHA256SUMS`.
    pub sums: Option<Digest>,
    /// End of its period; `None` when it cannot be read.
    pub period_end: Option<Timestamp>,
}

/// A log as it stands.
pub struct Log {
    tree: RootBuilder,
    /// One for each statement, in order.
    pub past: Vec<Past>,
    /// The newest statement; `None` in an empty log.
    pub newest: Option<Newest>,
}

impl Log {
    /// Place of the next statement.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.tree.size()
    }

    /// Head as a pin.
    #[must_use]
    pub fn pin(&self, origin: &str) -> Pin {
        Pin { origin: origin.to_owned(), size: self.tree.size(), root: self.tree.root() }
    }
}

/// Files of a bundle, by path.
pub type Payload = BTreeMap<String, Vec<u8>>;

/// Gives the bytes of an input by its path in the bundle.
pub type Inputs<'a> = dyn FnMut(&str) -> Result<Arc<Vec<u8>>, SealError> + 'a;

/// What became of a claim.
#[derive(Debug)]
pub enum Sealed {
    /// The bundle is in the archive, signed and with its checkpoint.
    Done {
        /// Place.
        seq: u64,
        /// Digest of the statement.
        statement: Digest,
        /// Digest of `SHA256SUMS`, which names the bundle's folder.
        sums: Digest,
        /// The head to pin.
        pin: Pin,
    },
    /// Another writer won the place: read the log again and build on that.
    Lost,
}

/// A bundle about to be sealed, with what stands before it, as an archive.
struct Drafted<'a> {
    files: BTreeMap<String, Cow<'a, [u8]>>,
    /// Inputs were hashed when they were read, and are not held.
    inputs: BTreeMap<String, Digest>,
}

impl Archive for Drafted<'_> {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let paths = self.files.keys().chain(self.inputs.keys());
        Ok(paths.map(|path| Entry { path: path.clone(), is_file: true }).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        let bytes =
            self.files.get(path).ok_or_else(|| ReadFailure::new(path, "not in the draft"))?;
        Ok(bytes.to_vec())
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        match self.inputs.get(path) {
            Some(digest) => Ok((*digest, 0)),
            None => self.read(path).map(|bytes| (Digest::of(&bytes), bytes.len() as u64)),
        }
    }
}

/// Is a finding in a log of so many statements what a cut-off run leaves, or what is there before the first one? The
/// next run puts it right.
#[must_use]
pub fn is_left_over(finding: &Finding, statements: u64) -> bool {
    match finding.code {
        FailureCode::HeadRolledBack => true,
        FailureCode::UnsignedClaim => {
            finding.object == layout::statement(statements.saturating_sub(1))
        }
        FailureCode::CheckpointMissing => finding.object == layout::checkpoint(statements),
        // Keyrings are published before the first bundle.
        FailureCode::GenesisInvalid | FailureCode::KeyringMissing => statements == 0,
        _ => false,
    }
}

/// Writes to one chain.
pub struct Sealer<'a> {
    store: &'a dyn Store,
    signer: &'a dyn Signer,
    keyring: &'a CheckedKeyring,
    /// All versions as envelope bytes, oldest first.
    keyrings: &'a [Vec<u8>],
    former: Former,
}

impl<'a> Sealer<'a> {
    /// Does the store not say whether a chain was here before and was removed?
    #[must_use]
    pub fn is_past_unknown(&self) -> bool {
        self.former == Former::Unknown
    }

    /// Prepares a chain for writing: probes the store and verifies what is there. Nothing stays written
    /// before [`Sealer::seal`], but what a cut-off run left is finished by [`Sealer::log`].
    ///
    /// `keyrings` are all versions as envelope bytes, oldest first; `keyring` is the newest.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(
        store: &'a dyn Store,
        signer: &'a dyn Signer,
        keyring: &'a CheckedKeyring,
        keyrings: &'a [Vec<u8>],
        now: Timestamp,
    ) -> Result<Self, SealError> {
        store.probe()?;
        Self::look(store, signer, keyring, keyrings, now)
    }

    /// As [`Sealer::open`], without writing anything at all.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn look(
        store: &'a dyn Store,
        signer: &'a dyn Signer,
        keyring: &'a CheckedKeyring,
        keyrings: &'a [Vec<u8>],
        now: Timestamp,
    ) -> Result<Self, SealError> {
        if instant::parse(&keyring.keyring.expires).is_none_or(|expires| expires < now) {
            return Err(SealError::KeyringExpired {
                version: keyring.keyring.version,
                expires: keyring.keyring.expires.clone(),
            });
        }
        let former = store.former()?;
        if let Former::Removed(count) = former {
            return Err(StoreError::Removed { store: store.describe(), count }.into());
        }
        let sealer = Self { store, signer, keyring, keyrings, former };
        // What auditors trust is the first version, whoever holds the root keys by now.
        let first = keyrings.first().and_then(|bytes| Envelope::parse(bytes).ok());
        let trusted = first.map(|envelope| envelope.payload_id());
        sealer.refuse_broken(trusted, now)?;
        Ok(sealer)
    }

    /// Nothing is added to an archive that does not verify, apart from what a cut-off run leaves.
    fn refuse_broken(&self, trusted: Option<KeyId>, now: Timestamp) -> Result<(), SealError> {
        let policy = Policy { deep: false, ..Policy::new(trusted.into_iter().collect(), now) };
        let verdict = verify::verify(self.store, &policy)?;
        let statements = verdict.checked.statements;
        let is_fault =
            |finding: &&Finding| finding.is_fault() && !is_left_over(finding, statements);
        match verdict.findings.iter().find(is_fault) {
            // The store's fault, and not the archive's.
            Some(fault) if fault.code == FailureCode::FileUnreadable => {
                Err(ReadFailure::new(fault.object.clone(), fault.found.clone()).into())
            }
            Some(fault) => {
                Err(SealError::NotVerified { code: fault.code, object: fault.object.clone() })
            }
            None => Ok(()),
        }
    }

    /// Reads the log, and signs and checkpoints its newest statement if that was left undone.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn log(&self) -> Result<Log, SealError> {
        let mut log = Log { tree: RootBuilder::default(), past: Vec::new(), newest: None };
        let mut newest_bytes = None;
        let mut before_newest = RootBuilder::default();
        let mut has_envelope = false;
        let mut has_checkpoint = false;
        let entries = self.store.list()?;
        let size = entries
            .iter()
            .filter_map(|entry| match layout::place(&entry.path) {
                layout::Place::Statement(seq) => Some(seq + 1),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        for seq in 0..size {
            let statement = self.store.read(&layout::statement(seq))?;
            before_newest.clone_from(&log.tree);
            log.tree.push(leaf_hash(&statement));
            let parsed = Statement::parse(&statement).ok();
            log.past.push(Past {
                sums: parsed.as_ref().and_then(Statement::sums),
                period_end: parsed.and_then(|s| instant::parse(&s.predicate.time.period_end)),
            });
            newest_bytes = Some(statement);
        }
        for entry in &entries {
            has_envelope |= size > 0 && entry.path == layout::envelope(size - 1);
            has_checkpoint |= entry.path == layout::checkpoint(size);
        }
        let Some(bytes) = newest_bytes else { return Ok(log) };
        let statement = Statement::parse(&bytes)?;
        // The head is written last: where it is the newest checkpoint, everything is there.
        let newest =
            has_checkpoint.then(|| self.store.read(&layout::checkpoint(size))).transpose()?;
        let has_head = newest
            .is_some_and(|newest| self.store.read(layout::HEAD).is_ok_and(|head| head == newest));
        if !has_envelope || !has_head {
            // The claim was written after the whole bundle, so the bundle is there.
            self.finish(size - 1, &bytes, &before_newest)?;
        }
        log.newest = Some(Newest { seq: size - 1, digest: Digest::of(&bytes), statement });
        Ok(log)
    }

    /// Seals a bundle at the next place of `log`. `statement` makes the statement from the digest
    /// of `SHA256SUMS` and the number of files.
    ///
    /// # Errors
    /// [`SealError`]; then the archive holds at most an orphan, or a claim that the next run
    /// finishes.
    pub fn seal(
        &self,
        log: &Log,
        payload: &Payload,
        inputs: &mut Inputs<'_>,
        input_digests: &BTreeMap<String, Digest>,
        statement: impl FnOnce(Digest, u64) -> Statement,
    ) -> Result<Sealed, SealError> {
        let seq = log.next_seq();
        self.check_key(seq)?;
        let manifest = manifest(payload, input_digests)?;
        let sums_bytes = manifest.to_bytes();
        let sums = Digest::of(&sums_bytes);
        let statement = statement(sums, manifest.len() as u64);
        if let Some(newest) = &log.newest
            && statement.predicate.time.created < newest.statement.predicate.time.created
        {
            return Err(SealError::ClockBack {
                now: statement.predicate.time.created,
                newest: newest.statement.predicate.time.created.clone(),
            });
        }
        let (statement, bytes) = statement.into_fitting_bytes()?;
        self.refuse_invalid(seq, &statement, &bytes, (&sums_bytes, sums), payload, input_digests)?;

        for (version, bytes) in (1..).zip(self.keyrings) {
            put(self.store, &layout::keyring(version), bytes)?;
        }
        put(self.store, layout::VERIFY_MD, VERIFY_MD.as_bytes()).or_else(ignore_other)?;
        // Each write waits for the disk or the network, so several are under way.
        parallel::map_in_order(
            input_digests.keys().map(|path| Ok((path, inputs(path)?))),
            |(_, bytes)| bytes.len(),
            WRITE_BUDGET,
            |(path, bytes)| put(self.store, &layout::bundle_file(&sums, path), &bytes),
            |written| written,
        )?;
        parallel::map_in_order(
            payload.iter().map(Ok),
            |(_, bytes)| bytes.len(),
            usize::MAX,
            |(path, bytes)| put(self.store, &layout::bundle_file(&sums, path), bytes),
            |written| written,
        )?;
        // The list comes last: a folder with a list is a whole bundle.
        put(self.store, &layout::bundle_file(&sums, layout::SHA256SUMS), &sums_bytes)?;
        self.demand_written(&sums, &sums_bytes, payload, input_digests)?;

        if self.store.put_new(&layout::statement(seq), &bytes)? == Put::Other {
            let files = payload.keys().chain(input_digests.keys());
            self.clear_lost(seq, &sums, files);
            return Ok(Sealed::Lost);
        }
        let pin = self.finish(seq, &bytes, &log.tree)?;
        Ok(Sealed::Done { seq, statement: Digest::of(&bytes), sums, pin })
    }

    /// Nothing is claimed of which a part is not there, whatever was answered when it was written.
    fn demand_written(
        &self,
        sums: &Digest,
        sums_bytes: &[u8],
        payload: &Payload,
        input_digests: &BTreeMap<String, Digest>,
    ) -> Result<(), SealError> {
        let inside = |path: &str| layout::bundle_file(sums, path);
        let mut files = vec![(inside(layout::SHA256SUMS), Some(sums_bytes.len() as u64))];
        files.extend(payload.iter().map(|(path, bytes)| (inside(path), Some(bytes.len() as u64))));
        files.extend(input_digests.keys().map(|path| (inside(path), None)));
        match self.store.first_lacking(&inside(""), &files)? {
            None => Ok(()),
            Some(path) => Err(SealError::NotKept { path }),
        }
    }

    /// Writes the mutable head, and makes sure that it is there, or a newer one.
    fn publish_head(&self, note: &[u8], size: u64) -> Result<(), SealError> {
        for _ in 0..2 {
            self.store.put_head(note)?;
            let there = self.store.read(layout::HEAD)?;
            let is_newer =
                || SignedCheckpoint::parse(&there).is_ok_and(|note| note.checkpoint.size > size);
            if there == note || is_newer() {
                return Ok(());
            }
        }
        Err(SealError::NotKept { path: layout::HEAD.to_owned() })
    }

    /// Nothing is written that our own verifier would refuse.
    fn refuse_invalid(
        &self,
        seq: u64,
        statement: &Statement,
        bytes: &[u8],
        (sums_bytes, sums): (&[u8], Digest),
        payload: &Payload,
        input_digests: &BTreeMap<String, Digest>,
    ) -> Result<(), SealError> {
        let mut files = BTreeMap::new();
        for (version, bytes) in (1..).zip(self.keyrings) {
            files.insert(layout::keyring(version), Cow::Borrowed(bytes.as_slice()));
        }
        if let Some(before) = seq.checked_sub(1) {
            let path = layout::statement(before);
            files.insert(path.clone(), Cow::Owned(self.store.read(&path)?));
        }
        files.insert(layout::statement(seq), Cow::Borrowed(bytes));
        files.insert(layout::bundle_file(&sums, layout::SHA256SUMS), Cow::Borrowed(sums_bytes));
        for (path, bytes) in payload {
            files.insert(layout::bundle_file(&sums, path), Cow::Borrowed(bytes));
        }
        let inputs = input_digests
            .iter()
            .map(|(path, digest)| (layout::bundle_file(&sums, path), *digest))
            .collect();
        let now = instant::parse(&statement.predicate.time.created).unwrap_or_default();
        let roots = files
            .get(&layout::keyring(1))
            .and_then(|bytes| Envelope::parse(bytes).ok())
            .map(|envelope| envelope.payload_id());
        let policy = Policy::new(roots.into_iter().collect(), now);
        match verify::verify_draft(&Drafted { files, inputs }, seq, &policy)? {
            None => Ok(()),
            Some(finding) => {
                let mut detail = String::new();
                for (name, text) in [("expected", finding.expected), ("found", finding.found)] {
                    if !text.is_empty() {
                        let _ = write!(detail, ", {name} {text}");
                    }
                }
                Err(SealError::Refused { code: finding.code, object: finding.object, detail })
            }
        }
    }

    /// Removes the payloads of the bundles before a number, as the newest statement says. Each bundle's
    /// `SHA256SUMS` goes last: what is still there can be checked. Gives how many bundles went.
    ///
    /// # Errors
    /// [`StoreError`]; then the next call goes on.
    pub fn prune(&self, log: &Log, before: u64) -> Result<u64, StoreError> {
        let split = usize::try_from(before).unwrap_or(usize::MAX).min(log.past.len());
        let (old, kept) = log.past.split_at(split);
        let kept: BTreeSet<Digest> = kept.iter().filter_map(|past| past.sums).collect();
        let mut files: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for entry in self.store.list()? {
            if let layout::Place::BundleFile(sums, _) = layout::place(&entry.path) {
                files.entry(sums).or_default().push(entry.path);
            }
        }
        let mut removed = 0;
        for sums in old.iter().filter_map(|past| past.sums).filter(|sums| !kept.contains(sums)) {
            let Some(paths) = files.remove(&sums) else { continue };
            let sums_path = layout::bundle_file(&sums, layout::SHA256SUMS);
            let (last, first): (Vec<_>, Vec<_>) =
                paths.iter().partition(|path| **path == sums_path);
            for path in first.into_iter().chain(last) {
                self.store.remove(path)?;
            }
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes what was written for a place that another writer won: nothing will ever name it. What cannot be
    /// removed stays as an orphan, which harms nothing.
    fn clear_lost<'p>(&self, seq: u64, sums: &Digest, files: impl Iterator<Item = &'p String>) {
        let winner = self.store.read(&layout::statement(seq)).ok();
        let winner = winner.and_then(|bytes| Statement::parse(&bytes).ok()?.sums());
        // The same files under another statement are the winner's now.
        if winner.is_none_or(|winner| winner == *sums) {
            return;
        }
        // The list first: a folder without one is no bundle.
        drop(self.store.remove(&layout::bundle_file(sums, layout::SHA256SUMS)));
        for path in files {
            drop(self.store.remove(&layout::bundle_file(sums, path)));
        }
    }

    /// Reads back what everything after it rests on: a store may say that it wrote what it did not.
    fn read_back(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        if self.store.read(path)? == bytes {
            Ok(())
        } else {
            Err(SealError::NotKept { path: path.to_owned() })
        }
    }

    fn check_key(&self, seq: u64) -> Result<(), SealError> {
        let key = self.signer.public_key().id();
        let refuse = |reason| Err(SealError::KeyNotAllowed { key: key.to_string(), seq, reason });
        let Some((rules, _)) = self.keyring.signer(key) else {
            return refuse("the keyring does not know it");
        };
        if rules.status != KeyStatus::Active {
            return refuse("it is retired or revoked");
        }
        if seq < rules.from_seq {
            return refuse("it is not valid yet");
        }
        Ok(())
    }

    /// Signs a claim that is in the archive, and everything after that; `before` is the log without
    /// it. Ed25519 is deterministic: two writers who finish the same claim write the same bytes.
    fn finish(&self, seq: u64, bytes: &[u8], before: &RootBuilder) -> Result<Pin, SealError> {
        let mut tree = before.clone();
        tree.push(leaf_hash(bytes));
        self.check_key(seq)?;
        self.read_back(&layout::statement(seq), bytes)?;
        let key = self.signer.public_key();
        let envelope = Envelope {
            payload_type: STATEMENT_TYPE.to_owned(),
            payload: bytes.to_vec(),
            signatures: vec![EnvelopeSignature {
                key: key.id(),
                bytes: self.sign(&pae(STATEMENT_TYPE, bytes))?,
            }],
        };
        let envelope = envelope.to_bytes();
        put(self.store, &layout::envelope(seq), &envelope)?;
        self.read_back(&layout::envelope(seq), &envelope)?;
        let checkpoint = Checkpoint {
            origin: self.keyring.keyring.origin.clone(),
            size: tree.size(),
            root: tree.root(),
        };
        let note = checkpoint.to_note(key, &self.sign(checkpoint.body().as_bytes())?);
        let pin = Pin::from(checkpoint);
        let receipt = receipt(seq, &Digest::of(bytes), &pin);
        put(self.store, &layout::receipt(seq), receipt.as_bytes()).or_else(ignore_other)?;
        let proof = TlogProof { index: seq, hashes: before.proof_of_next(), note: note.clone() };
        put(self.store, &layout::tlog_proof(seq), &proof.to_bytes()).or_else(ignore_other)?;
        put(self.store, &layout::checkpoint(pin.size), &note)?;
        self.read_back(&layout::checkpoint(pin.size), &note)?;
        self.publish_head(&note, pin.size)?;
        Ok(pin)
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SealError> {
        let signature = self.signer.sign(message)?;
        let key = self.signer.public_key();
        if key.verifies(message, &signature) {
            Ok(signature)
        } else {
            Err(SealError::BadSignature { key: key.id().to_string() })
        }
    }
}

/// For files that nothing depends on: another version of them does no harm.
fn ignore_other(error: SealError) -> Result<(), SealError> {
    match error {
        SealError::Taken { .. } => Ok(()),
        other => Err(other),
    }
}

fn put(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<(), SealError> {
    match store.put_new(path, bytes)? {
        Put::Created | Put::Same => Ok(()),
        Put::Other => Err(SealError::Taken { path: path.to_owned() }),
    }
}

fn manifest(
    payload: &Payload,
    input_digests: &BTreeMap<String, Digest>,
) -> Result<Manifest, SealError> {
    let mut manifest = Manifest::default();
    let own = payload.iter().map(|(path, bytes)| (path, Digest::of(bytes)));
    let inputs = input_digests.iter().map(|(path, digest)| (path, *digest));
    for (path, digest) in own.chain(inputs) {
        if !manifest.insert(path, digest) {
            let reason = "the format does not allow this path, or two paths collide";
            return Err(SealError::Path { path: path.clone(), reason });
        }
    }
    Ok(manifest)
}

/// A text to keep outside the archive.
fn receipt(seq: u64, statement: &Digest, pin: &Pin) -> String {
    format!(
        "Affidavit receipt. Keep it where the archive's owner cannot change it.\n\
         Statement {seq} of {}: sha256 {statement}\n\
         Head after it (origin size root), for `affidavit verify --pin`:\n\
         {} {} {}\n",
        pin.origin,
        pin.origin,
        pin.size,
        STANDARD.encode(pin.root.as_bytes()),
    )
}
