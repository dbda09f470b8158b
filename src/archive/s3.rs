//! An archive in an S3 bucket.
//!
//! An object is written by one conditional PUT (`If-None-Match: *`) that carries its SHA-256: the
//! store checks the bytes, makes the object whole or not at all, and answers 412 when the name is
//! taken. A 412 also comes when a reply was lost and the client tried again, so what is there is
//! compared before it is called another object. A large one is written in parts, each with its SHA-256,
//! and the condition is on the call that puts them together.
//!
//! Credentials come from where AWS tools look for them: environment, profile, web identity,
//! container, instance. Keys below `.probe/` and the empty keys ending in `/` with which consoles
//! show folders are not part of the archive.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{
    Builder as ConfigBuilder, ConfigBag, Intercept, RequestChecksumCalculation,
    ResponseChecksumValidation, RuntimeComponents,
};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
    ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::task::JoinHandle;

use super::{Encryption, Location, LockMode, LockProbe, Put, Store, StoreError};
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::layout::{self, Place};
use crate::remote::{ATTEMPTS, aws, deepest};
use crate::verify::{Archive, Entry, ReadFailure};

/// Objects of [`Store::probe`]; never part of the archive.
const PROBE: &str = ".probe/";

/// So long the lock of a probe holds, in seconds.
const LOCK_PROBE_SECONDS: i64 = 60;

/// Largest object that is read into memory.
const MAX_READ: u64 = 1 << 30;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Time for one attempt, without the time to send a body.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Slowest upload that is waited for, in bytes per second.
const SLOWEST: u64 = 128 << 10;

/// Longest object that is written in one request, and the length of each part of a longer one. The digest
/// that a store keeps of an object in parts depends on it, so it never changes.
const PART: usize = 32 << 20;

/// How many times a conditional write is tried that collides with others.
const COLLISIONS: u32 = 8;

/// A bucket, or the part of it below a prefix.
pub struct S3 {
    runtime: Arc<Runtime>,
    client: Client,
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: String,
    lock: Option<(ObjectLockMode, DateTime)>,
    legal_hold: bool,
    encryption: Option<Encryption>,
    ahead: Mutex<Ahead>,
}

/// Small objects that are written once and read in order (statements, envelopes, checkpoints), fetched
/// before they are asked for: a log of years is as many round trips as it has objects otherwise.
#[derive(Default)]
struct Ahead {
    /// Those that the last listing had, without the prefix.
    listed: HashSet<String>,
    /// Those that are on their way.
    coming: HashMap<String, JoinHandle<Option<Vec<u8>>>>,
}

/// How many of a kind are fetched ahead.
const AHEAD: u64 = 24;

/// Largest object that is fetched ahead.
const MAX_AHEAD: u64 = 64 << 10;

/// What protects an object from being removed.
#[derive(Clone, Default)]
struct Protection {
    lock: Option<(ObjectLockMode, DateTime)>,
    legal_hold: bool,
}

impl Protection {
    fn mode(&self) -> Option<ObjectLockMode> {
        self.lock.as_ref().map(|(mode, _)| mode.clone())
    }

    fn until(&self) -> Option<DateTime> {
        self.lock.as_ref().map(|(_, until)| *until)
    }

    fn hold(&self) -> Option<ObjectLockLegalHoldStatus> {
        self.legal_hold.then_some(ObjectLockLegalHoldStatus::On)
    }
}

impl S3 {
    /// Opens the bucket at a location. Nothing is sent to it yet.
    ///
    /// # Errors
    /// [`StoreError::Uri`] when the location does not name a bucket.
    pub fn open(location: &Location, now: Timestamp) -> Result<Self, StoreError> {
        let uri = || location.uri.clone();
        let fault = |reason| StoreError::Uri { uri: uri(), reason };
        let (bucket, prefix) = split(&location.uri).map_err(fault)?;
        let lock = match location.lock {
            None => None,
            Some((mode, days)) => {
                let until = now
                    .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
                    .map_err(|_| fault("the lock ends later than can be written"))?;
                let mode = match mode {
                    LockMode::Governance => ObjectLockMode::Governance,
                    LockMode::Compliance => ObjectLockMode::Compliance,
                };
                Some((mode, DateTime::from_secs(until.as_second())))
            }
        };
        let runtime = RuntimeBuilder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| StoreError::Write { path: uri(), reason: error.to_string() })?;
        let client = runtime.block_on(client(location));
        Ok(Self {
            runtime: Arc::new(runtime),
            client,
            bucket,
            prefix,
            lock,
            legal_hold: location.legal_hold,
            encryption: location.encryption.clone(),
            ahead: Mutex::default(),
        })
    }

    /// Another place in the same store, to be read, with the connections and credentials of this one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn beside(&self, location: &Location) -> Result<Self, StoreError> {
        let uri = || location.uri.clone();
        let (bucket, prefix) =
            split(&location.uri).map_err(|reason| StoreError::Uri { uri: uri(), reason })?;
        Ok(Self {
            runtime: Arc::clone(&self.runtime),
            client: self.client.clone(),
            bucket,
            prefix,
            lock: None,
            legal_hold: false,
            encryption: None,
            ahead: Mutex::default(),
        })
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    fn protection(&self) -> Protection {
        Protection { lock: self.lock.clone(), legal_hold: self.legal_hold }
    }

    /// Header and key of the encryption that is asked for.
    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.encryption {
            None => (None, None),
            Some(Encryption::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    /// A PUT with everything but its condition and its protection.
    fn put(&self, path: &str, bytes: &[u8], digest: &Digest) -> PutObjectFluentBuilder {
        let (encryption, key) = self.encryption();
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .content_type(content_type(path))
            .checksum_sha256(STANDARD.encode(digest.as_bytes()))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .body(ByteStream::from(bytes.to_vec()))
    }

    /// Writes an object unless one is there.
    async fn write(
        &self,
        path: &str,
        bytes: &[u8],
        protection: &Protection,
    ) -> Result<(Put, Option<String>), StoreError> {
        let mut pause = Duration::from_millis(50);
        let mut last = String::new();
        for _ in 0..COLLISIONS {
            let written = if bytes.len() > PART {
                self.write_parts(path, bytes, protection).await
            } else {
                self.write_whole(path, bytes, protection).await
            };
            let refusal = match written {
                Ok(version) => return Ok((Put::Created, version)),
                Err(refusal) => refusal,
            };
            match refusal.status {
                Some(412) => match self.stored(path, bytes).await? {
                    Some(true) => return Ok((Put::Same, None)),
                    Some(false) => return Ok((Put::Other, None)),
                    // It was removed in between.
                    None => {}
                },
                // Another write to this name is under way.
                Some(409) => {}
                _ => {
                    let (path, reason) = (path.to_owned(), refusal.reason);
                    return Err(StoreError::Write { path, reason });
                }
            }
            last = refusal.reason;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let (path, reason) = (path.to_owned(), format!("others keep writing it: {last}"));
        Err(StoreError::Write { path, reason })
    }

    async fn write_whole(
        &self,
        path: &str,
        bytes: &[u8],
        protection: &Protection,
    ) -> Result<Option<String>, Refusal> {
        let put = self
            .put(path, bytes, &Digest::of(bytes))
            .if_none_match("*")
            .set_object_lock_mode(protection.mode())
            .set_object_lock_retain_until_date(protection.until())
            .set_object_lock_legal_hold_status(protection.hold());
        Ok(send(put, bytes.len()).await?.version_id)
    }

    async fn write_parts(
        &self,
        path: &str,
        bytes: &[u8],
        protection: &Protection,
    ) -> Result<Option<String>, Refusal> {
        let (encryption, encryption_key) = self.encryption();
        let upload = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key(path))
            .content_type(content_type(path))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(encryption_key)
            .set_object_lock_mode(protection.mode())
            .set_object_lock_retain_until_date(protection.until())
            .set_object_lock_legal_hold_status(protection.hold())
            .send()
            .await?;
        let Some(upload) = upload.upload_id else {
            let reason = "not an answer of S3: an upload without an id".to_owned();
            return Err(Refusal { status: None, reason });
        };
        let completed = self.complete(path, bytes, &upload).await;
        if completed.is_err() {
            // Its parts would be kept and paid for, and seen by nobody.
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
            drop(abort.key(self.key(path)).upload_id(&upload).send().await);
        }
        completed
    }

    /// Sends the parts of an upload and puts them together unless an object is there.
    async fn complete(
        &self,
        path: &str,
        bytes: &[u8],
        upload: &str,
    ) -> Result<Option<String>, Refusal> {
        let mut parts = CompletedMultipartUpload::builder();
        for (number, bytes) in (1..).zip(bytes.chunks(PART)) {
            let checksum = STANDARD.encode(Digest::of(bytes).as_bytes());
            let part = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(self.key(path))
                .upload_id(upload)
                .part_number(number)
                .checksum_sha256(&checksum)
                .body(ByteStream::from(bytes.to_vec()));
            let config = ConfigBuilder::new().timeout_config(timeouts(bytes.len() as u64));
            let sent = part.customize().config_override(config).send().await?;
            let part = CompletedPart::builder()
                .part_number(number)
                .checksum_sha256(checksum)
                .set_e_tag(sent.e_tag);
            parts = parts.parts(part.build());
        }
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key(path))
            .upload_id(upload)
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .multipart_upload(parts.build())
            .send()
            .await?;
        Ok(completed.version_id)
    }

    /// Does what is at a path consist of these bytes? `None` when nothing is there. It is fetched only
    /// when the store keeps no digest of it.
    async fn stored(&self, path: &str, bytes: &[u8]) -> Result<Option<bool>, ReadFailure> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        // What went wrong with HEAD is told by GET: an answer to HEAD has no body to tell it in.
        if let Ok(head) = head {
            if head
                .content_length
                .is_some_and(|length| u64::try_from(length) != Ok(bytes.len() as u64))
            {
                return Ok(Some(false));
            }
            let there = head.checksum_sha256.as_deref();
            if there.is_some_and(|there| there == in_parts(bytes)) {
                return Ok(Some(true));
            }
            if head.checksum_type != Some(ChecksumType::Composite)
                && let Some(there) = there.and_then(decode)
            {
                return Ok(Some(there == Digest::of(bytes)));
            }
        }
        match self.get::<Hasher>(path, u64::MAX).await {
            Ok((hasher, _)) => Ok(Some(hasher.finish() == Digest::of(bytes))),
            Err(Fault::Missing(_)) => Ok(None),
            Err(Fault::Other(reason)) => Err(ReadFailure { path: path.to_owned(), reason }),
        }
    }

    /// Removes every version of an object.
    async fn remove_versions(&self, path: &str) -> Result<(), String> {
        let key = self.key(path);
        let mut versions = Vec::new();
        let mut after = (None, None);
        loop {
            let page = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(&key)
                .set_key_marker(after.0)
                .set_version_id_marker(after.1)
                .send()
                .await
                .map_err(|error| reason(&error))?;
            let listed = page.versions.unwrap_or_default().into_iter();
            let listed = listed.map(|version| (version.key, version.version_id));
            let markers = page.delete_markers.unwrap_or_default().into_iter();
            let markers = markers.map(|marker| (marker.key, marker.version_id));
            // A prefix is also one of longer names.
            let same = listed.chain(markers).filter(|(name, _)| name.as_deref() == Some(&key));
            versions.extend(same.map(|(_, version)| version));
            after = (page.next_key_marker, page.next_version_id_marker);
            if page.is_truncated != Some(true) || after.0.is_none() {
                break;
            }
        }
        for version in versions {
            let delete = self.client.delete_object().bucket(&self.bucket).key(&key);
            let version = version.filter(|version| version != "null");
            delete.set_version_id(version).send().await.map_err(|error| reason(&error))?;
        }
        Ok(())
    }

    /// Makes the lock of an object last as long as that of one that is written now; never shorter.
    async fn extend_lock(&self, path: &str) -> Result<(), StoreError> {
        let Some((mode, until)) = self.lock.clone() else { return Ok(()) };
        let failed = |reason| StoreError::Write { path: path.to_owned(), reason };
        let head = self.client.head_object().bucket(&self.bucket).key(self.key(path));
        let head = head.send().await.map_err(|error| failed(reason(&error)))?;
        let locked_until = head.object_lock_retain_until_date;
        if locked_until.is_some_and(|locked| locked >= until) {
            return Ok(());
        }
        // From governance to compliance is a decision that a person takes, object by object.
        let mode = match head.object_lock_mode {
            Some(ObjectLockMode::Compliance) => ObjectLockRetentionMode::Compliance,
            _ if mode == ObjectLockMode::Compliance => ObjectLockRetentionMode::Compliance,
            _ => ObjectLockRetentionMode::Governance,
        };
        let retention = ObjectLockRetention::builder().mode(mode).retain_until_date(until).build();
        self.client
            .put_object_retention()
            .bucket(&self.bucket)
            .key(self.key(path))
            .retention(retention)
            .send()
            .await
            .map_err(|error| failed(reason(&error)))?;
        Ok(())
    }

    /// Streams an object into a sink; returns it with the length.
    async fn get<S: Sink>(&self, path: &str, limit: u64) -> Result<(S, u64), Fault> {
        let mut broken = String::new();
        for _ in 0..ATTEMPTS {
            let get = self.client.get_object().bucket(&self.bucket).key(self.key(path));
            let output = get.send().await.map_err(|error| match error.code() {
                Some("NoSuchKey") => Fault::Missing(reason(&error)),
                _ => Fault::Other(reason(&error)),
            })?;
            match drain(output.body, limit).await? {
                Ok(done) => return Ok(done),
                Err(reason) => broken = reason,
            }
        }
        Err(Fault::Other(broken))
    }

    /// Takes what was fetched ahead, and has the next ones fetched. `None` for what was not, or came to
    /// nothing: it is then fetched as everything else, and its fault is told.
    fn fetched_ahead(&self, path: &str) -> Option<Vec<u8>> {
        let (form, number): (fn(u64) -> String, u64) = match layout::place(path) {
            Place::Statement(number) => (layout::statement, number),
            Place::Envelope(number) => (layout::envelope, number),
            Place::Checkpoint(number) => (layout::checkpoint, number),
            _ => return None,
        };
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let here = ahead.coming.remove(path);
        for next in (1..=AHEAD).filter_map(|step| number.checked_add(step)).map(form) {
            // Each once: what was fetched and not asked for is not fetched again.
            if ahead.listed.remove(&next) {
                let (client, bucket, key) =
                    (self.client.clone(), self.bucket.clone(), self.key(&next));
                let task = self.runtime.spawn(fetch_small(client, bucket, key));
                ahead.coming.insert(next, task);
            }
        }
        drop(ahead);
        self.runtime.block_on(here?).ok()?
    }

    fn fetch<S: Sink>(&self, path: &str, limit: u64) -> Result<(S, u64), ReadFailure> {
        self.runtime.block_on(self.get(path, limit)).map_err(|fault| {
            let (Fault::Missing(reason) | Fault::Other(reason)) = fault;
            ReadFailure { path: path.to_owned(), reason }
        })
    }

    async fn list(&self) -> Result<Vec<Entry>, String> {
        let mut objects = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.prefix)
            .into_paginator()
            .send();
        let mut entries = Vec::new();
        while let Some(page) = objects.next().await {
            let page = page.map_err(|error| reason(&error))?;
            for object in page.contents.unwrap_or_default() {
                let key = object.key.ok_or("the store listed an object without a key")?;
                let path = key
                    .strip_prefix(&self.prefix)
                    .ok_or("the store listed a key that does not begin with the prefix")?;
                let folder = path.is_empty() || path.ends_with('/');
                if path.starts_with(PROBE) || (folder && object.size == Some(0)) {
                    continue;
                }
                entries.push(Entry { path: path.to_owned(), is_file: true });
            }
        }
        Ok(entries)
    }

    async fn check_conditional(&self, path: &str) -> Result<(), StoreError> {
        // Without a lock, or every run would leave an object that nobody can remove.
        let (first, first_version) = self.write(path, b"first", &Protection::default()).await?;
        let second = self.write(path, b"second", &Protection::default()).await;
        let second_version = match &second {
            Ok((Put::Created, version)) => Some(version.clone()),
            _ => None,
        };
        // Each as the version that it is: a deletion without one only hides it, in a bucket with
        // versions.
        for version in [second_version, Some(first_version)].into_iter().flatten() {
            let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(path));
            // A writer need not be allowed to delete.
            drop(delete.set_version_id(version).send().await);
        }
        match (first, second?.0) {
            (Put::Created | Put::Same, Put::Other) => Ok(()),
            _ => Err(StoreError::NotConditional { path: path.to_owned() }),
        }
    }
}

impl Archive for S3 {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let entries = self
            .runtime
            .block_on(S3::list(self))
            .map_err(|reason| ReadFailure { path: self.describe(), reason })?;
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        // What was fetched before belongs to an older listing.
        *ahead = Ahead::default();
        let small =
            |entry: &&Entry| ["log/", "checkpoints/"].iter().any(|at| entry.path.starts_with(at));
        ahead.listed.extend(entries.iter().filter(small).map(|entry| entry.path.clone()));
        Ok(entries)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        match self.fetched_ahead(path) {
            Some(bytes) => Ok(bytes),
            None => self.fetch(path, MAX_READ).map(|(bytes, _)| bytes),
        }
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        // Hashed here: what the store says about an object proves nothing.
        self.fetch::<Hasher>(path, u64::MAX).map(|(hasher, length)| (hasher.finish(), length))
    }
}

impl Store for S3 {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        self.runtime.block_on(async {
            let (put, _) = self.write(path, bytes, &self.protection()).await?;
            // Keyrings are needed for as long as the newest bundle; the other objects age with their run.
            if put == Put::Same && matches!(layout::place(path), Place::Keyring(_)) {
                self.extend_lock(path).await?;
            }
            Ok(put)
        })
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        let removed = self.runtime.block_on(self.remove_versions(path));
        removed.map_err(|reason| StoreError::Remove { path: path.to_owned(), reason })
    }

    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let put = self.put(layout::HEAD, bytes, &Digest::of(bytes));
        self.runtime.block_on(send(put, bytes.len())).map(drop).map_err(|error| StoreError::Write {
            path: layout::HEAD.to_owned(),
            reason: reason(&error),
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        let path = probe_path()?;
        self.runtime.block_on(self.check_conditional(&path))
    }

    fn probe_lock(&self) -> Result<LockProbe, StoreError> {
        let Some((mode, _)) = self.lock.clone() else { return Ok(LockProbe::NotAsked) };
        let path = probe_path()?;
        let until = Timestamp::now().as_second() + LOCK_PROBE_SECONDS;
        let lock = Some((mode, DateTime::from_secs(until)));
        let protection = Protection { lock, legal_hold: false };
        self.runtime.block_on(async {
            let (_, version) = self.write(&path, b"locked", &protection).await?;
            let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(&path));
            // Without the version only a marker would be put before it.
            Ok(match delete.set_version_id(version).send().await {
                Ok(_) => LockProbe::NotEnforced,
                Err(_) => LockProbe::Enforced,
            })
        })
    }

    fn clock_ahead_seconds(&self) -> Option<i64> {
        let head = self.client.head_bucket().bucket(&self.bucket).customize();
        let date = Arc::new(Mutex::new(None));
        let seen = SeenDate(date.clone());
        drop(self.runtime.block_on(head.interceptor(seen).send()));
        let date = date.lock().ok()?.take()?;
        Some(date - Timestamp::now().as_second())
    }

    fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix).trim_end_matches('/').to_owned()
    }
}

/// The name of an object that nobody else has.
fn probe_path() -> Result<String, StoreError> {
    let mut unique = [0; 16];
    getrandom::fill(&mut unique)
        .map_err(|error| StoreError::Write { path: PROBE.to_owned(), reason: error.to_string() })?;
    Ok(format!("{PROBE}{:032x}", u128::from_be_bytes(unique)))
}

/// Takes down the `Date` of an answer, whatever the answer is.
#[derive(Debug)]
struct SeenDate(Arc<Mutex<Option<i64>>>);

impl Intercept for SeenDate {
    fn name(&self) -> &'static str {
        "date of the answer"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        if let (Some(date), Ok(mut seen)) = (date, self.0.lock()) {
            *seen = Some(date.secs());
        }
        Ok(())
    }
}

/// Why an object was not written.
struct Refusal {
    status: Option<u16>,
    reason: String,
}

impl<E: ProvideErrorMetadata + Error + 'static> From<SdkError<E>> for Refusal {
    fn from(error: SdkError<E>) -> Self {
        Self { status: status(&error), reason: reason(&error) }
    }
}

/// Where the bytes of an object go.
trait Sink: Default {
    fn take(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn take(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Hasher {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// Why there are no bytes.
enum Fault {
    Missing(String),
    Other(String),
}

/// Takes in a body; the inner error is one after which it may be fetched again.
async fn drain<S: Sink>(
    mut body: ByteStream,
    limit: u64,
) -> Result<Result<(S, u64), String>, Fault> {
    let mut sink = S::default();
    let mut length = 0;
    loop {
        match body.try_next().await {
            Ok(None) => return Ok(Ok((sink, length))),
            Ok(Some(bytes)) => {
                length += bytes.len() as u64;
                if length > limit {
                    return Err(Fault::Other(format!("larger than {limit} bytes")));
                }
                sink.take(&bytes);
            }
            Err(error) => return Ok(Err(deepest(&error))),
        }
    }
}

/// A small object, or nothing when anything is wrong with it.
async fn fetch_small(client: Client, bucket: String, key: String) -> Option<Vec<u8>> {
    let output = client.get_object().bucket(bucket).key(key).send().await.ok()?;
    let fetched = drain::<Vec<u8>>(output.body, MAX_AHEAD).await.ok()?;
    fetched.ok().map(|(bytes, _)| bytes)
}

/// Sends a PUT with the time that its body needs.
async fn send(
    put: PutObjectFluentBuilder,
    length: usize,
) -> Result<PutObjectOutput, SdkError<aws_sdk_s3::operation::put_object::PutObjectError>> {
    let config = ConfigBuilder::new().timeout_config(timeouts(length as u64));
    put.customize().config_override(config).send().await
}

fn timeouts(length: u64) -> TimeoutConfig {
    let attempt = ATTEMPT + Duration::from_secs(length / SLOWEST);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * ATTEMPTS)
        .build()
}

async fn client(location: &Location) -> Client {
    let shared =
        aws::configuration(location.region.as_deref(), location.endpoint.as_deref(), timeouts(0))
            .await;
    let config = ConfigBuilder::from(&shared)
        .force_path_style(location.path_style)
        // SHA-256 is sent where it matters; some stores refuse the CRC that is the default.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // What is read is hashed here. A fault is then one of the evidence, not of the transport.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

/// Bucket and normalised prefix of `s3://bucket/prefix`.
fn split(uri: &str) -> Result<(String, String), &'static str> {
    let rest = uri.strip_prefix("s3://").ok_or("not s3://bucket/prefix")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if bucket.len() < 3 || bucket.len() > 255 || !bucket.bytes().all(allowed) {
        return Err("no valid name of a bucket");
    }
    let mut normal = String::new();
    for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
        if matches!(segment, "." | "..") || segment.contains(char::is_control) {
            return Err("a prefix has no `.` or `..` segment and no control character");
        }
        normal.push_str(segment);
        normal.push('/');
    }
    // Keys have at most 1024 bytes, and paths in an archive at most 255 below `bundles/<digest>/`.
    if normal.len() > 512 {
        return Err("the prefix is longer than 512 bytes");
    }
    Ok((bucket.to_owned(), normal))
}

fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        Some("yaml" | "yml") => "application/yaml",
        Some("pdf") => "application/pdf",
        Some("md") => "text/markdown; charset=utf-8",
        // No extension: SHA256SUMS, and the notes `checkpoint` and `checkpoints/N`.
        Some("txt") | None => "text/plain; charset=utf-8",
        Some(_) => "application/octet-stream",
    }
}

/// The SHA-256 that a store keeps of an object in parts: over those of the parts, and their number.
fn in_parts(bytes: &[u8]) -> String {
    let mut hasher = Hasher::default();
    let parts = bytes.chunks(PART);
    let count = parts.len();
    parts.for_each(|part| hasher.update(Digest::of(part).as_bytes()));
    format!("{}-{count}", STANDARD.encode(hasher.finish().as_bytes()))
}

fn decode(checksum: &str) -> Option<Digest> {
    let bytes = STANDARD.decode(checksum).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// What went wrong, for people.
fn reason<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> String {
    aws::reason("S3", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_normalised() {
        for (uri, prefix) in [
            ("s3://bucket", ""),
            ("s3://bucket/", ""),
            ("s3://bucket/a", "a/"),
            ("s3://bucket//a//b/", "a/b/"),
        ] {
            assert_eq!(split(uri), Ok(("bucket".to_owned(), prefix.to_owned())), "{uri}");
        }
        for uri in ["s3://", "s3:///a", "s3://a b/c", "s3://bucket/../x", "s3://bucket/a\nb"] {
            assert!(split(uri).is_err(), "{uri:?}");
        }
    }

    #[test]
    fn only_a_whole_sha256_is_taken_for_one() {
        let digest = Digest::of(b"x");
        let text = STANDARD.encode(digest.as_bytes());
        assert_eq!(decode(&text), Some(digest));
        assert_eq!(decode(&format!("{text}-2")), None);
        assert_eq!(decode("AAAA"), None);
    }

    #[test]
    fn the_type_follows_the_name() {
        assert_eq!(content_type("log/0000000001.dsse.json"), "application/json");
        assert_eq!(content_type("bundles/ab.cd/SHA256SUMS"), "text/plain; charset=utf-8");
        assert_eq!(content_type("bundles/x/inputs/a.bin"), "application/octet-stream");
    }
}
