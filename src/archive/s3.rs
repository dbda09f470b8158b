//! An archive in an S3 bucket.
//!
//! Put-if-absent is `If-None-Match: *` (412 when something is there). Every object is sent with
//! its SHA-256, which the store checks on arrival. Probe objects lie under `.probe/` and are not
//! part of the archive.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ObjectLockMode};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _};
use tokio::runtime::Runtime;

use super::{Location, LockMode, Put, Store, StoreError};
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::layout;
use crate::verify::{Archive, Entry, ReadFailure};

/// Probe objects.
const PROBE: &str = ".probe/";
/// Longest object that is read into memory, in bytes.
const MAX_OBJECT: u64 = 1 << 30;
/// How often a write is repeated that met another one under way (409).
const MAX_CONFLICTS: u32 = 5;

/// A bucket, or a part of one.
pub struct S3 {
    runtime: Runtime,
    client: Client,
    bucket: String,
    prefix: String,
    lock: Option<(ObjectLockMode, DateTime)>,
}

/// What a conditional write met.
enum Written {
    Created,
    Exists,
}

impl S3 {
    /// Prepares a client. Credentials come from the environment, a profile, a web identity (IRSA),
    /// a container (EKS Pod Identity) or the instance, in this order. Nothing is sent yet.
    ///
    /// # Errors
    /// [`StoreError::Uri`] when the location names no bucket.
    pub fn open(location: &Location, now: Timestamp) -> Result<Self, StoreError> {
        Self::with(location, now, None)
    }

    /// [`open`](Self::open) with credentials of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with(
        location: &Location,
        now: Timestamp,
        credentials: Option<Credentials>,
    ) -> Result<Self, StoreError> {
        let fault = |reason| StoreError::Uri { uri: location.uri.clone(), reason };
        let rest = location.uri.strip_prefix("s3://").ok_or_else(|| fault("no s3:// URI"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(fault("no bucket"));
        }
        let mut normal = String::new();
        for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
            normal.push_str(segment);
            normal.push('/');
        }
        let lock = match location.lock {
            None => None,
            Some((mode, days)) => {
                let until = now
                    .checked_add((i64::from(days) * 24).hours())
                    .map_err(|_| fault("the lock's end is beyond the calendar"))?;
                let mode = match mode {
                    LockMode::Governance => ObjectLockMode::Governance,
                    LockMode::Compliance => ObjectLockMode::Compliance,
                };
                Some((mode, DateTime::from_secs(until.as_second())))
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|_| fault("no threads for the client"))?;
        let client = runtime.block_on(client(location, credentials));
        Ok(Self { runtime, client, bucket: bucket.to_owned(), prefix: normal, lock })
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// One conditional write; a 409 (another write is under way) is repeated a few times.
    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Written, StoreError> {
        let digest = Digest::of(bytes);
        for attempt in 0.. {
            let mut request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(self.key(path))
                .if_none_match("*")
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .checksum_sha256(STANDARD.encode(digest.as_bytes()))
                .content_type(content_type(path))
                .body(ByteStream::from(bytes.to_vec()));
            if let Some((mode, until)) = self.lock.as_ref().filter(|_| !path.starts_with(PROBE)) {
                request =
                    request.object_lock_mode(mode.clone()).object_lock_retain_until_date(*until);
            }
            match request.send().await {
                Ok(_) => return Ok(Written::Created),
                Err(error) => match status(&error) {
                    Some(412) => return Ok(Written::Exists),
                    Some(409) if attempt < MAX_CONFLICTS => {
                        tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                    }
                    _ => return Err(write_error(path, &error)),
                },
            }
        }
        Ok(Written::Exists)
    }

    /// Digest of what is there: the store's own if it keeps one, else of the bytes. Good enough to
    /// tell two writes apart; verification never relies on it.
    async fn digest_there(&self, path: &str) -> Result<Digest, StoreError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|error| read_failure(path, &error))?;
        let stated = head
            .checksum_sha256()
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Digest::from_bytes);
        match stated {
            Some(digest) => Ok(digest),
            None => Ok(self.stream(path, &mut |_| {}).await?.0),
        }
    }

    /// Reads an object piece by piece.
    async fn stream(
        &self,
        path: &str,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(Digest, u64), ReadFailure> {
        let object = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .send()
            .await
            .map_err(|error| read_failure(path, &error))?;
        let mut body = object.body;
        let mut hasher = Hasher::default();
        let mut length = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| ReadFailure {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
            hasher.update(&piece);
            length += piece.len() as u64;
            each(&piece);
        }
        Ok((hasher.finish(), length))
    }
}

async fn client(location: &Location, credentials: Option<Credentials>) -> Client {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_mins(1))
        .operation_timeout(Duration::from_mins(4))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(4));
    if let Some(region) = &location.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    let shared = loader.load().await;
    let mut config =
        aws_sdk_s3::config::Builder::from(&shared).force_path_style(location.path_style);
    if let Some(endpoint) = &location.endpoint {
        config = config.endpoint_url(endpoint);
        // S3-compatible stores rarely have regions, and the signature needs one.
        if shared.region().is_none() {
            config = config.region(Region::new("us-east-1"));
        }
    }
    Client::from_conf(config.build())
}

impl Archive for S3 {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        self.runtime.block_on(async {
            let mut entries = Vec::new();
            let mut pages = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(&self.prefix)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| read_failure(".", &error))?;
                for object in page.contents() {
                    let Some(path) = object.key().and_then(|key| key.strip_prefix(&self.prefix))
                    else {
                        continue;
                    };
                    // A key that ends in a slash is how consoles show an empty folder.
                    if !path.starts_with(PROBE) && !path.is_empty() && !path.ends_with('/') {
                        entries.push(Entry { path: path.to_owned(), is_file: true });
                    }
                }
            }
            Ok(entries)
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        self.runtime.block_on(async {
            let mut bytes = Vec::new();
            let (_, length) = self
                .stream(path, &mut |piece| {
                    if (bytes.len() + piece.len()) as u64 <= MAX_OBJECT {
                        bytes.extend_from_slice(piece);
                    }
                })
                .await?;
            if length == bytes.len() as u64 {
                Ok(bytes)
            } else {
                let reason = format!("{length} bytes; at most {MAX_OBJECT} are read");
                Err(ReadFailure { path: path.to_owned(), reason })
            }
        })
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        self.runtime.block_on(self.stream(path, &mut |_| {}))
    }
}

impl Store for S3 {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        self.runtime.block_on(async {
            if let Written::Created = self.put_if_absent(path, bytes).await? {
                return Ok(Put::Created);
            }
            // Also where an earlier attempt of ours succeeded and its reply was lost.
            let there = self.digest_there(path).await?;
            Ok(if there == Digest::of(bytes) { Put::Same } else { Put::Other })
        })
    }

    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            self.client
                .put_object()
                .bucket(&self.bucket)
                .key(self.key(layout::HEAD))
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .content_type(content_type(layout::HEAD))
                .body(ByteStream::from(bytes.to_vec()))
                .send()
                .await
                .map(|_| ())
                .map_err(|error| write_error(layout::HEAD, &error))
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            let mut name = [0; 8];
            getrandom::fill(&mut name).map_err(|error| StoreError::Write {
                path: PROBE.to_owned(),
                reason: error.to_string(),
            })?;
            let path = format!("{PROBE}{:016x}", u64::from_be_bytes(name));
            self.put_if_absent(&path, b"first").await?;
            let second = self.put_if_absent(&path, b"second").await?;
            // A bucket with default retention keeps it; it is in nobody's way.
            let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(&path));
            drop(delete.send().await);
            match second {
                Written::Exists => Ok(()),
                Written::Created => Err(StoreError::NotConditional { path }),
            }
        })
    }

    fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix.trim_end_matches('/'))
    }
}

fn content_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "json" => "application/json",
        "jsonl" => "application/x-ndjson",
        "pdf" => "application/pdf",
        "yaml" | "yml" => "application/yaml",
        _ => "text/plain; charset=utf-8",
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// `AccessDenied: …`, or what kept the request from being answered.
fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error.code(), status(error)) {
        (Some(code), _) => match error.message() {
            Some(message) => format!("{code}: {message}"),
            None => code.to_owned(),
        },
        (None, Some(status)) => format!("the store answered {status}"),
        (None, None) => DisplayErrorContext(error).to_string(),
    }
}

fn write_error<E>(path: &str, error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    StoreError::Write { path: path.to_owned(), reason: reason(error) }
}

fn read_failure<E>(path: &str, error: &SdkError<E>) -> ReadFailure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    ReadFailure { path: path.to_owned(), reason: reason(error) }
}
