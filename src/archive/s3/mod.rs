//! An archive in an S3 bucket.
//!
//! An object is written by one conditional PUT (`If-None-Match: *`) that carries its SHA-256: the
//! store checks the bytes, makes the object whole or not at all, and answers 412 when the name is
//! taken. A 412 also comes when a reply was lost and the client tried again, so what is there is
//! compared before it is called another object. A large one is written in parts, each with its SHA-256,
//! and the condition is on the call that puts them together.
//!
//! An answer of 200 proves nothing: a write counts when the answer carries the digest of what was sent, or a
//! look at the object shows it.
//!
//! Credentials come from where AWS tools look for them: environment, profile, web identity,
//! container, instance. Keys below `.probe/` and the empty keys ending in `/` with which consoles
//! show folders are not part of the archive.
//!
//! `write`, `read` and `probe` are what their names say; `fault` knows what the store's answers mean and which
//! of them may pass, `patience` waits for those.

mod fault;
mod patience;
mod probe;
mod read;
mod write;

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder as ConfigBuilder, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockMode, ServerSideEncryption};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use self::fault::Fault;
use self::patience::Patience;
use self::read::Ahead;
use self::write::Protection;
use super::{
    Checksums, Encryption, Former, Location, LockMode, LockProbe, PATIENCE, Put, Store, StoreError,
};
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::layout::{self, Place};
use crate::remote::aws::{self, AwsSettingsError};
use crate::verify::{Archive, Entry, ReadFailure};

/// Objects of [`Store::probe`]; never part of the archive.
const PROBE: &str = ".probe/";

/// Largest object that is read into memory.
const MAX_READ: u64 = 1 << 30;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest time for one attempt, without the time to send a body.
const ATTEMPT: Duration = Duration::from_secs(30);

/// However little patience was asked for, an attempt has so long: some stores let racing writers wait for each
/// other, seconds each.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(15);

/// Slowest upload that is waited for, in bytes per second.
const SLOWEST: u64 = 128 << 10;

/// A bucket, or the part of it below a prefix.
pub struct S3 {
    runtime: Arc<Runtime>,
    client: Client,
    patience: Arc<Patience>,
    /// The time for one attempt, without the time to send a body.
    attempt: Duration,
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: String,
    /// Where the bucket is, for people.
    place: String,
    lock: Option<(ObjectLockMode, DateTime)>,
    legal_hold: bool,
    encryption: Option<Encryption>,
    checksums: Checksums,
    /// Kinds of objects of which one has been seen with the protection that was asked for.
    protected: Mutex<HashSet<String>>,
    ahead: Mutex<Ahead>,
    /// Are entity tags digests, as far as was seen? Where they are not, they tell nothing of what came.
    tags_are_digests: AtomicBool,
}

impl S3 {
    /// Opens the bucket at a location. Nothing is sent to it yet.
    ///
    /// # Errors
    /// [`StoreError::Uri`] when the location does not name a bucket, [`StoreError::Settings`] when the settings
    /// of this machine cannot be used.
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
        let runtime =
            RuntimeBuilder::new_multi_thread().worker_threads(1).enable_all().build().map_err(
                |error| StoreError::Write {
                    path: uri(),
                    reason: error.to_string(),
                    help: "this machine starts no thread",
                },
            )?;
        let (client, place) = runtime.block_on(client(location))?;
        Ok(Self {
            runtime: Arc::new(runtime),
            client,
            attempt: attempt(location),
            patience: Arc::new(Patience::new(
                location.patience.unwrap_or(PATIENCE),
                super::tell_waiting,
            )),
            bucket,
            prefix,
            place,
            lock,
            legal_hold: location.legal_hold,
            encryption: location.encryption.clone(),
            checksums: location.checksums,
            protected: Mutex::default(),
            ahead: Mutex::default(),
            tags_are_digests: AtomicBool::new(true),
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
            attempt: self.attempt,
            patience: Arc::clone(&self.patience),
            bucket,
            prefix,
            place: self.place.clone(),
            lock: None,
            legal_hold: false,
            encryption: None,
            checksums: self.checksums,
            protected: Mutex::default(),
            ahead: Mutex::default(),
            tags_are_digests: AtomicBool::new(true),
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

    /// Removes every version of an object.
    async fn remove_versions(&self, path: &str) -> Result<(), Fault> {
        let key = self.key(path);
        let mut versions = Vec::new();
        let mut after: (Option<String>, Option<String>) = (None, None);
        loop {
            let list = || {
                let list = self.client.list_object_versions().bucket(&self.bucket).prefix(&key);
                list.set_key_marker(after.0.clone()).set_version_id_marker(after.1.clone())
            };
            let page = self.patience.send(async || Ok(list().send().await?)).await?;
            let listed = page.versions.unwrap_or_default().into_iter();
            let listed = listed.map(|version| (version.key, version.version_id));
            let markers = page.delete_markers.unwrap_or_default().into_iter();
            let markers = markers.map(|marker| (marker.key, marker.version_id));
            // A prefix is also one of longer names.
            let same = listed.chain(markers).filter(|(name, _)| name.as_deref() == Some(&key));
            versions.extend(same.map(|(_, version)| version));
            let next = (page.next_key_marker, page.next_version_id_marker);
            if page.is_truncated != Some(true) || next.0.is_none() || next == after {
                break;
            }
            after = next;
        }
        for version in versions {
            let version = version.filter(|version| version != "null");
            let delete = async || {
                let delete = self.client.delete_object().bucket(&self.bucket).key(&key);
                Ok(delete.set_version_id(version.clone()).send().await?)
            };
            self.patience.send(delete).await?;
        }
        Ok(())
    }

    /// The archive with its place, for messages.
    fn whole_name(&self) -> String {
        format!("{} at {}", self.describe(), self.place)
    }

    fn unwritten(&self, path: &str, fault: &Fault) -> StoreError {
        let reason = format!("{} ({})", fault.reason, self.whole_name());
        StoreError::Write { path: path.to_owned(), reason, help: fault.help }
    }

    fn unread(&self, path: &str, fault: &Fault) -> ReadFailure {
        let reason = format!("{} ({})", fault.reason, self.whole_name());
        ReadFailure { path: path.to_owned(), reason, help: fault.help }
    }

    fn unlisted(&self, fault: &Fault) -> ReadFailure {
        let reason = format!("listing it failed: {} ({})", fault.reason, self.place);
        ReadFailure { path: self.describe(), reason, help: fault.help }
    }
}

impl Archive for S3 {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let listed = self.runtime.block_on(self.entries());
        listed.map_err(|fault| self.unlisted(&fault))
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

    fn first_lacking(
        &self,
        folder: &str,
        files: &[(String, Option<u64>)],
    ) -> Result<Option<String>, StoreError> {
        self.runtime.block_on(self.first_lacking(folder, files))
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.remove_versions(path)).map_err(|fault| {
            let reason = format!("{} ({})", fault.reason, self.whole_name());
            StoreError::Remove { path: path.to_owned(), reason }
        })
    }

    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.runtime.block_on(self.overwrite(layout::HEAD, bytes))
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.runtime.block_on(self.check_conditional_once())
    }

    fn probe_lock(&self) -> Result<LockProbe, StoreError> {
        self.runtime.block_on(self.check_lock())
    }

    fn former(&self) -> Result<Former, StoreError> {
        self.runtime.block_on(self.look_for_former())
    }

    fn clock_ahead_seconds(&self) -> Option<i64> {
        self.runtime.block_on(self.clock_ahead())
    }

    fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix).trim_end_matches('/').to_owned()
    }

    fn place(&self) -> String {
        format!("{}, checksums {}", self.place, self.checksums)
    }
}

/// How long one attempt may take at this place.
fn attempt(location: &Location) -> Duration {
    location.patience.unwrap_or(PATIENCE).clamp(SHORTEST_ATTEMPT, ATTEMPT)
}

fn timeouts(attempt: Duration, length: u64) -> TimeoutConfig {
    let attempt = attempt + Duration::from_secs(length / SLOWEST);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build()
}

/// The client, and where its bucket is in words.
async fn client(location: &Location) -> Result<(Client, String), AwsSettingsError> {
    let endpoint = location.endpoint.clone().or_else(aws::s3_endpoint_setting);
    let region = location.region.as_deref();
    let shared =
        aws::configuration(region, endpoint.as_deref(), timeouts(attempt(location), 0)).await?;
    let region = shared.region().map(ToString::to_string).unwrap_or_default();
    let place = endpoint.unwrap_or_else(|| format!("AWS S3 in {region}"));
    let config = ConfigBuilder::from(&shared)
        .force_path_style(location.path_style)
        // What may pass is repeated by `patience`, which knows what it has waited already.
        .retry_config(RetryConfig::disabled())
        // SHA-256 is sent where it matters; some stores refuse the CRC that is the default.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // What is read is hashed here. A fault is then one of the evidence, not of the transport.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok((Client::from_conf(config), place))
}

/// Bucket and normalised prefix of `s3://bucket/prefix`, or of `s3://` and the ARN of an access point.
fn split(uri: &str) -> Result<(String, String), &'static str> {
    let rest = uri.strip_prefix("s3://").ok_or("not s3://bucket/prefix")?;
    let (bucket, prefix) = if rest.starts_with("arn:") {
        split_arn(rest)?
    } else {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if bucket.len() < 3 || bucket.len() > 255 || !bucket.bytes().all(allowed) {
            return Err("not a valid bucket name");
        }
        (bucket, prefix)
    };
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

/// `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`, and what follows it.
fn split_arn(rest: &str) -> Result<(&str, &str), &'static str> {
    let fields: Vec<&str> = rest.splitn(6, ':').collect();
    let &[_, _, service, region, _, resource] = fields.as_slice() else {
        return Err("not the ARN of an access point");
    };
    match service {
        "s3" => {}
        "s3-outposts" => {
            return Err(
                "S3 on Outposts has no Object Lock and no conditional writes: use a bucket in a region",
            );
        }
        "s3-object-lambda" => {
            return Err(
                "what an Object Lambda access point returns is not what was stored: use the bucket",
            );
        }
        _ => return Err("not the ARN of an access point"),
    }
    if region.is_empty() && resource.starts_with("accesspoint") {
        return Err("a multi-region access point may answer with an older object: use the bucket");
    }
    let name =
        resource.strip_prefix("accesspoint/").or_else(|| resource.strip_prefix("accesspoint:"));
    let name = name.ok_or("not the ARN of an access point")?;
    let length = name.find('/').unwrap_or(name.len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if length == 0 || !name.bytes().take(length).all(allowed) {
        return Err("not the ARN of an access point");
    }
    let end = rest.len() - name.len() + length;
    Ok((&rest[..end], rest[end..].trim_start_matches('/')))
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
    fn an_access_point_is_a_bucket_and_other_arns_are_refused_by_name() {
        let point = "arn:aws:s3:eu-central-1:111122223333:accesspoint/evidence";
        for (uri, prefix) in [
            (format!("s3://{point}"), ""),
            (format!("s3://{point}/prod/a"), "prod/a/"),
            (format!("s3://{point}/"), ""),
        ] {
            assert_eq!(split(&uri), Ok((point.to_owned(), prefix.to_owned())), "{uri}");
        }
        for (arn, said) in [
            ("arn:aws:s3-outposts:us-west-2:1:outpost/op-1/accesspoint/x", "Outposts"),
            ("arn:aws:s3-object-lambda:us-west-2:1:accesspoint/x", "Object Lambda"),
            ("arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap", "multi-region"),
            ("arn:aws:s3:us-west-2:1:accesspoint/", "not the ARN"),
            ("arn:aws:s3:::bucket", "not the ARN"),
            ("arn:aws:kms:us-west-2:1:key/x", "not the ARN"),
            ("arn:", "not the ARN"),
        ] {
            let error = split(&format!("s3://{arn}")).unwrap_err();
            assert!(error.contains(said), "{arn}: {error}");
        }
    }
}
