//! Where bundles go: a directory or an S3 bucket, with the same tree in both.
//!
//! To add a store: one file here that implements [`Store`], one arm in [`open`], and the contract
//! suite in `tests/contract.rs` run over it.

mod directory;
pub mod packed;
#[cfg(feature = "aws")]
mod s3;

pub use directory::Directory;
#[cfg(feature = "aws")]
pub use s3::S3;

use jiff::Timestamp;

use crate::verify::{Archive, ReadFailure};

/// Where an archive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// A directory, or `s3://bucket/prefix`.
    pub uri: String,
    /// Endpoint of an S3-compatible store.
    pub endpoint: Option<String>,
    /// Bucket in the path instead of the host name.
    pub path_style: bool,
    /// Region.
    pub region: Option<String>,
    /// Object Lock retention of everything that is written once: mode, and days from the run's
    /// time.
    pub lock: Option<(LockMode, u32)>,
    /// Put everything that is written once under a legal hold (S3 Object Lock).
    pub legal_hold: bool,
    /// How the store is told to encrypt.
    pub encryption: Option<Encryption>,
}

/// Encryption at rest, by the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// By keys of the store (SSE-S3).
    Aes256,
    /// By a key in AWS KMS: its id or ARN; without it, the account's own for S3.
    Kms(Option<String>),
}

/// Object Lock mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Can be lifted by who has the special permission.
    Governance,
    /// Cannot be lifted by anybody, for as long as it holds.
    Compliance,
}

/// Opens the archive at a location. `now` is the time from which locks count.
///
/// # Errors
/// [`StoreError`].
pub fn open(location: &Location, now: Timestamp) -> Result<Box<dyn Store>, StoreError> {
    let uri = location.uri.as_str();
    let fault = |reason| Err(StoreError::Uri { uri: uri.to_owned(), reason });
    match uri.split_once("://") {
        None if uri.is_empty() => fault("empty"),
        None => Ok(Box::new(Directory::new(uri))),
        #[cfg(feature = "aws")]
        Some(("s3", _)) => Ok(Box::new(S3::open(location, now)?)),
        #[cfg(not(feature = "aws"))]
        Some(("s3", _)) => {
            let _ = now;
            Err(StoreError::WithoutS3 { uri: uri.to_owned() })
        }
        Some(_) => fault("no such kind of store"),
    }
}

/// Opens an archive for reading: what [`open`] opens, or a `.tar` or `.zip` file.
///
/// # Errors
/// [`StoreError`].
pub fn open_to_read(location: &Location, now: Timestamp) -> Result<Box<dyn Archive>, StoreError> {
    if std::path::Path::new(&location.uri).is_file() {
        return Ok(Box::new(packed::Packed::open(location.uri.as_ref())?));
    }
    let store: Box<dyn Archive> = open(location, now)?;
    Ok(store)
}

/// Opens many archives for reading; those in one object store share its connections and credentials.
#[cfg(feature = "pipeline")]
#[derive(Default)]
pub struct Readers {
    #[cfg(feature = "aws")]
    stores: std::sync::Mutex<Vec<(Location, S3)>>,
}

#[cfg(feature = "pipeline")]
impl Readers {
    /// Opens what [`open_to_read`] opens.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(&self, location: &Location) -> Result<Box<dyn Archive>, StoreError> {
        #[cfg(feature = "aws")]
        if location.uri.starts_with("s3://") {
            return self.open_s3(location);
        }
        open_to_read(location, Timestamp::UNIX_EPOCH)
    }

    #[cfg(feature = "aws")]
    fn open_s3(&self, location: &Location) -> Result<Box<dyn Archive>, StoreError> {
        // Whatever is the same but the place.
        let store = Location { uri: String::new(), ..location.clone() };
        let mut stores = self.stores.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, known)) = stores.iter().find(|(known, _)| *known == store) {
            return Ok(Box::new(known.beside(location)?));
        }
        let opened = S3::open(location, Timestamp::UNIX_EPOCH)?;
        let archive = opened.beside(location)?;
        stores.push((store, opened));
        Ok(Box::new(archive))
    }
}

/// Write access to an archive, from several threads. Reading is [`Archive`].
///
/// Every object but `checkpoint` is written once and never changed.
pub trait Store: Archive + Sync {
    /// Writes an object unless one is there. When this returns [`Put::Created`] the object is
    /// durable and complete; nobody ever sees a part of it. Of several writers exactly one gets
    /// `Created`. A lost reply is resolved inside: if the object that is there has exactly these
    /// bytes, the answer is [`Put::Same`], whoever wrote it.
    ///
    /// # Errors
    /// [`StoreError`]; then the object may or may not be there, and the call may be repeated.
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<Put, StoreError>;

    /// Writes the mutable head. A convenience copy: losing or reordering it harms nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes an object, all its versions if the store keeps several; one that is not there is no
    /// error. Only for payloads whose retention is over and sealed to be so.
    ///
    /// # Errors
    /// [`StoreError::Remove`]; a lock or a legal hold forbids it, for one.
    fn remove(&self, path: &str) -> Result<(), StoreError>;

    /// Checks that the store keeps the promise of [`put_new`](Self::put_new), before anything is
    /// entrusted to it.
    ///
    /// # Errors
    /// [`StoreError::NotConditional`] when it does not.
    fn probe(&self) -> Result<(), StoreError>;

    /// Puts an object under a lock that ends soon, as locks are configured, and tries to remove it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be put under a lock at all.
    fn probe_lock(&self) -> Result<LockProbe, StoreError> {
        Ok(LockProbe::NotAsked)
    }

    /// How far the clock of its server is ahead of ours, in seconds, where it has one.
    fn clock_ahead_seconds(&self) -> Option<i64> {
        None
    }

    /// The store for people: a path or a URI.
    fn describe(&self) -> String;
}

/// What a lock is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    /// No lock is configured.
    NotAsked,
    /// The store refused to remove the object.
    Enforced,
    /// It removed it.
    NotEnforced,
}

/// What became of a [`Store::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is there now.
    Created,
    /// It was there before, with exactly these bytes.
    Same,
    /// Another object is there.
    Other,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not be reached, refused, or is full.
    #[error("could not write `{path}`: {reason}")]
    Write {
        /// Path in the archive.
        path: String,
        /// Why.
        reason: String,
    },
    /// The store does not remove it.
    #[error("could not remove `{path}`: {reason}")]
    Remove {
        /// Path in the archive.
        path: String,
        /// Why.
        reason: String,
    },
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// The store overwrites objects that it was asked not to.
    #[error("the store ignores put-if-absent: a second write to `{path}` was accepted")]
    NotConditional {
        /// Path in the archive.
        path: String,
    },
    /// The program was built without S3.
    #[error("`{uri}`: this build of affidavit cannot reach S3")]
    WithoutS3 {
        /// As given.
        uri: String,
    },
    /// The URI does not name a store.
    #[error("`{uri}`: {reason}")]
    Uri {
        /// As given.
        uri: String,
        /// Why.
        reason: &'static str,
    },
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Write { .. } => {
                "nothing was lost: run again when the store has room and accepts writes"
            }
            Self::Remove { .. } => {
                "check permissions, locks and legal holds; the next run tries again"
            }
            Self::Read(_) => "check the path and the permissions",
            Self::NotConditional { .. } => {
                "use a store that honours If-None-Match (AWS S3, SeaweedFS, MinIO, Ceph)"
            }
            Self::Uri { .. } => "give a directory, or s3://bucket/prefix",
            Self::WithoutS3 { .. } => "`cargo build` without options makes one that can",
        }
    }
}
