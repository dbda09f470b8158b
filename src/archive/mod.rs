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

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;

use crate::escape::visible;
#[cfg(feature = "aws")]
pub use crate::remote::aws::AwsSettingsError;
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
    /// With which digest an object store checks what it is sent.
    pub checksums: Checksums,
    /// How long a store that is busy or restarts is waited for, in all; [`PATIENCE`] unless it is given.
    pub patience: Option<Duration>,
}

/// [`Location::patience`] of a run: shorter than a CronJob's usual deadline, longer than a restart.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// The digest by which an object store checks what it is sent; what stores take differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// SHA-256 (`x-amz-checksum-sha256`).
    #[default]
    Sha256,
    /// `Content-MD5`, for stores that refuse the newer headers.
    Md5,
    /// None: only what is read back shows that it arrived.
    None,
}

impl std::fmt::Display for Checksums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::None => "none",
        })
    }
}

/// Says why a store is waited for, and for how much longer at most.
type Tell = Box<dyn Fn(&str, Duration) + Send + Sync>;

static TELL: OnceLock<Tell> = OnceLock::new();

/// Sets who says that a store is waited for; nobody does otherwise. The first call counts.
pub fn on_waiting(tell: Tell) {
    let _ = TELL.set(tell);
}

#[cfg(feature = "aws")]
fn tell_waiting(why: &str, left: Duration) {
    if let Some(tell) = TELL.get() {
        tell(why, left);
    }
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

impl Location {
    /// The options by which a reading command finds the same place, besides its path or URI.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            options.extend(value.map(|value| format!("--{name} {}", for_shell(&value))));
        };
        let endpoint = self.endpoint.clone();
        // Whoever reads it elsewhere has not the environment of this machine.
        #[cfg(feature = "aws")]
        let endpoint = endpoint.or_else(|| {
            self.uri.starts_with("s3://").then(crate::remote::aws::s3_endpoint_setting).flatten()
        });
        add("endpoint", endpoint);
        add("region", self.region.clone());
        options.extend(self.path_style.then(|| "--path-style".to_owned()));
        options.join(" ")
    }
}

/// The scheme of what is a URI and no path: `s3://bucket`, `https:/x`, `gs:bucket`. A drive's letter is none, and a
/// path with a colon in its first folder is written `./a:b`.
#[must_use]
pub fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && scheme.len() > 1).then_some(scheme)
}

/// A word as a shell takes it.
#[must_use]
pub fn for_shell(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
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
        None if scheme(uri).is_some() => fault("no such kind of store"),
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

    /// Which of these files below a folder is not there, or has another length than this? Asked after they were
    /// written, of a store that may answer for what it does not keep.
    ///
    /// # Errors
    /// [`StoreError`].
    fn first_lacking(
        &self,
        _folder: &str,
        _files: &[(String, Option<u64>)],
    ) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

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

    /// Was there a chain here that somebody removed? Stores that keep versions know.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    fn former(&self) -> Result<Former, StoreError> {
        Ok(Former::None)
    }

    /// How far the clock of its server is ahead of ours, in seconds, where it has one.
    fn clock_ahead_seconds(&self) -> Option<i64> {
        None
    }

    /// The store for people: a path or a URI.
    fn describe(&self) -> String;

    /// Where it is and how it is spoken to, for people; empty where the path says all.
    fn place(&self) -> String {
        String::new()
    }
}

/// What was in an archive before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// Nothing that is not there any more, as far as the store keeps versions.
    None,
    /// So many objects of the log, hidden by delete markers.
    Removed(usize),
    /// The store does not say.
    Unknown,
}

/// What a lock is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    /// No lock is configured.
    NotAsked,
    /// The store refused to remove the object, and removed it when the lock had ended.
    Enforced,
    /// The same, but the object is still there.
    EnforcedAndLeft,
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
    #[error("could not write `{}`: {}", visible(path), visible(reason))]
    Write {
        /// Path in the archive.
        path: String,
        /// Why.
        reason: String,
        /// What to do about it.
        help: &'static str,
    },
    /// The store does not remove it.
    #[error("could not remove `{}`: {}", visible(path), visible(reason))]
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
    #[error("{} does not keep put-if-absent at `{path}`: {how}", visible(store))]
    NotConditional {
        /// Path in the archive.
        path: String,
        /// The store.
        store: String,
        /// What it did.
        how: String,
    },
    /// The store took an object and did not protect it as it was asked.
    #[error("{} took `{path}` without the {missing} that was asked for", visible(store))]
    NotProtected {
        /// Path in the archive.
        path: String,
        /// The store.
        store: String,
        /// What is missing.
        missing: &'static str,
    },
    /// A chain was here, and somebody removed it.
    #[error(
        "{count} objects of the log in {} are hidden by delete markers: somebody removed a part of the chain, or all of it",
        visible(store)
    )]
    Removed {
        /// The store.
        store: String,
        /// How many.
        count: usize,
    },
    /// AWS's settings on this machine cannot be used.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Settings(#[from] AwsSettingsError),
    /// The program was built without S3.
    #[error("`{}`: this build of affidavit cannot reach S3", visible(uri))]
    WithoutS3 {
        /// As given.
        uri: String,
    },
    /// The URI does not name a store.
    #[error("`{}`: {reason}", visible(uri))]
    Uri {
        /// As given.
        uri: String,
        /// Why.
        reason: &'static str,
    },
}

impl StoreError {
    /// Is what was given at fault, and not the world?
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            #[cfg(feature = "aws")]
            Self::Settings(_) => true,
            Self::Uri { .. } | Self::WithoutS3 { .. } => true,
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Write { help, .. } => help,
            Self::Remove { .. } => {
                "check permissions, locks and legal holds; the next run tries again"
            }
            Self::Read(failure) => failure.help,
            Self::NotConditional { .. } => "use a store that docs/stores.md lists as tested",
            Self::NotProtected { .. } => {
                "make the bucket with Object Lock, let nothing between here and the store remove headers, and allow s3:GetObjectRetention and s3:GetObjectLegalHold, by which it is looked for"
            }
            Self::Removed { .. } => {
                "remove the delete markers to bring the chain back; a new chain takes another prefix in archive.uri"
            }
            #[cfg(feature = "aws")]
            Self::Settings(error) => error.help(),
            Self::Uri { .. } => "give a directory, or s3://bucket/prefix",
            Self::WithoutS3 { .. } => "`cargo build` without options makes one that can",
        }
    }
}
