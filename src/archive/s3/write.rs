//! Writing: a write counts when the store has proved that it has the bytes, and keeps them as it was asked.

use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_s3::config::Builder as ConfigBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
    ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::fault::Fault;
use super::{S3, timeouts};
use crate::archive::{Checksums, Encryption, Put, StoreError};
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::layout::{self, Place};
use crate::verify::ReadFailure;

/// Longest object that is written in one request, and the length of each part of a longer one. The digest
/// that a store keeps of an object in parts depends on it, so it never changes.
const PART: usize = 32 << 20;

/// How many times a conditional write is tried that collides with others.
const COLLISIONS: u32 = 12;

/// The longest pause between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// Longest id of an upload or a version that is sent back, in bytes.
const MAX_ID: usize = 2 << 10;

/// An id of a version that a request can carry.
pub(super) fn usable(version: Option<String>) -> Option<String> {
    version.filter(|id| id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// What protects an object from being removed.
#[derive(Clone, Default)]
pub(super) struct Protection {
    pub lock: Option<(ObjectLockMode, DateTime)>,
    pub legal_hold: bool,
}

impl Protection {
    fn is_none(&self) -> bool {
        self.lock.is_none() && !self.legal_hold
    }

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

/// What the store answered to a write.
pub(super) struct Written {
    pub version: Option<String>,
    is_proved: bool,
}

impl S3 {
    /// A PUT with everything but its condition and its protection.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> PutObjectFluentBuilder {
        let (encryption, key) = self.encryption();
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .content_type(content_type(path))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .body(ByteStream::from(bytes.to_vec()));
        match self.checksums {
            // Some stores read the digest only when its algorithm is named as well.
            Checksums::Sha256 => {
                put.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_sha256(sha256(bytes))
            }
            Checksums::Md5 => put.content_md5(STANDARD.encode(md5(bytes))),
            Checksums::None => put,
        }
    }

    /// Writes an object unless one is there.
    pub(super) async fn write(
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
            let fault = match written {
                Ok(written) => {
                    if !written.is_proved {
                        self.confirm(path, bytes).await?;
                    }
                    self.check_protection(path, protection).await?;
                    return Ok((Put::Created, written.version));
                }
                Err(fault) => fault,
            };
            if fault.is(412) {
                match self.stored(path, bytes).await? {
                    Some(true) => return Ok((Put::Same, None)),
                    Some(false) => return Ok((Put::Other, None)),
                    // It was removed in between.
                    None => {}
                }
            } else if !fault.is(409) {
                return Err(self.unwritten(path, &fault));
            }
            // Another write to this name is under way.
            last = fault.reason;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
        let fault = Fault::unproven(&format!("others keep writing it: {last}"));
        let help = "run again when fewer write to this archive at once";
        Err(self.unwritten(path, &Fault { help, ..fault }))
    }

    async fn write_whole(
        &self,
        path: &str,
        bytes: &[u8],
        protection: &Protection,
    ) -> Result<Written, Fault> {
        let put = || {
            self.put(path, bytes)
                .if_none_match("*")
                .set_object_lock_mode(protection.mode())
                .set_object_lock_retain_until_date(protection.until())
                .set_object_lock_legal_hold_status(protection.hold())
        };
        self.send(put, bytes).await
    }

    /// Writes an object, whatever is there.
    pub(super) async fn overwrite(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let put = || self.put(path, bytes);
        let mut written = self.send(put, bytes).await;
        // There is no condition that could have failed: something else answered, or mixed requests up.
        if written.as_ref().is_err_and(|fault| fault.is(412) || fault.is(409)) {
            written = self.send(put, bytes).await;
        }
        let written = written.map_err(|fault| self.unwritten(path, &fault))?;
        if written.is_proved { Ok(()) } else { self.confirm(path, bytes).await }
    }

    /// Sends a PUT with the time that its body needs.
    async fn send(
        &self,
        put: impl Fn() -> PutObjectFluentBuilder,
        bytes: &[u8],
    ) -> Result<Written, Fault> {
        let send = async || {
            let config =
                ConfigBuilder::new().timeout_config(timeouts(self.attempt, bytes.len() as u64));
            Ok(put().customize().config_override(config).send().await?)
        };
        let answer = self.patience.send(send).await?;
        let is_proved = answer.checksum_sha256.is_some_and(|there| there == sha256(bytes))
            || is_tag_of(answer.e_tag.as_deref(), bytes);
        Ok(Written { version: usable(answer.version_id), is_proved })
    }

    async fn write_parts(
        &self,
        path: &str,
        bytes: &[u8],
        protection: &Protection,
    ) -> Result<Written, Fault> {
        let upload = self.begin_upload(path, protection).await?;
        let completed = self.complete(path, bytes, PART, &upload).await;
        if completed.is_err() {
            self.abort(path, &upload).await;
        }
        completed
    }

    /// Begins an upload in parts, and gives its id.
    pub(super) async fn begin_upload(
        &self,
        path: &str,
        protection: &Protection,
    ) -> Result<String, Fault> {
        let create = async || Ok(self.new_upload(path, protection).send().await?);
        let upload = self.patience.send(create).await?.upload_id;
        // A request cannot carry more than some kilobytes of it.
        let upload = upload.filter(|id| !id.is_empty() && id.len() <= MAX_ID);
        upload.ok_or_else(|| Fault::unproven("not an answer of S3: an upload without a usable id"))
    }

    /// The first request of an upload in parts.
    fn new_upload(
        &self,
        path: &str,
        protection: &Protection,
    ) -> CreateMultipartUploadFluentBuilder {
        let (encryption, key) = self.encryption();
        let upload = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key(path))
            .content_type(content_type(path))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .set_object_lock_mode(protection.mode())
            .set_object_lock_retain_until_date(protection.until())
            .set_object_lock_legal_hold_status(protection.hold());
        match self.checksums {
            Checksums::Sha256 => upload
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .checksum_type(ChecksumType::Composite),
            Checksums::Md5 | Checksums::None => upload,
        }
    }

    /// Parts of an upload that comes to nothing would be kept and paid for, and seen by nobody.
    pub(super) async fn abort(&self, path: &str, upload: &str) {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
        drop(abort.key(self.key(path)).upload_id(upload).send().await);
    }

    /// Sends the parts of an upload and puts them together unless an object is there.
    pub(super) async fn complete(
        &self,
        path: &str,
        bytes: &[u8],
        part_length: usize,
        upload: &str,
    ) -> Result<Written, Fault> {
        let with_sha256 = self.checksums == Checksums::Sha256;
        let mut parts = CompletedMultipartUpload::builder();
        for (number, bytes) in (1..).zip(bytes.chunks(part_length)) {
            let checksum = with_sha256.then(|| sha256(bytes));
            let md5 = (self.checksums == Checksums::Md5).then(|| STANDARD.encode(md5(bytes)));
            let part = async || {
                let part = self
                    .client
                    .upload_part()
                    .bucket(&self.bucket)
                    .key(self.key(path))
                    .upload_id(upload)
                    .part_number(number)
                    .set_checksum_algorithm(with_sha256.then_some(ChecksumAlgorithm::Sha256))
                    .set_checksum_sha256(checksum.clone())
                    .set_content_md5(md5.clone())
                    .body(ByteStream::from(bytes.to_vec()));
                let config =
                    ConfigBuilder::new().timeout_config(timeouts(self.attempt, bytes.len() as u64));
                Ok(part.customize().config_override(config).send().await?)
            };
            let sent = self.patience.send(part).await?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_checksum_sha256(checksum)
                .set_e_tag(sent.e_tag);
            parts = parts.parts(part.build());
        }
        let parts = parts.build();
        let complete = async || {
            let complete = self
                .client
                .complete_multipart_upload()
                .bucket(&self.bucket)
                .key(self.key(path))
                .upload_id(upload)
                .if_none_match("*")
                .set_checksum_type(with_sha256.then_some(ChecksumType::Composite))
                .multipart_upload(parts.clone());
            let config =
                ConfigBuilder::new().timeout_config(timeouts(self.attempt, bytes.len() as u64));
            Ok(complete.customize().config_override(config).send().await?)
        };
        let answer = match self.patience.send(complete).await {
            // An earlier try was done, and its answer lost.
            Err(fault) if fault.code.as_deref() == Some("NoSuchUpload") => {
                return Ok(Written { version: None, is_proved: false });
            }
            answer => answer?,
        };
        let is_proved = answer.checksum_sha256.is_some_and(|there| there == in_parts(bytes));
        Ok(Written { version: usable(answer.version_id), is_proved })
    }

    /// Looks whether what the store says that it has written is there.
    async fn confirm(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let reason = match self.stored(path, bytes).await? {
            Some(true) => return Ok(()),
            Some(false) => "the store answered that it was written, and has something else there",
            None => "the store answered that it was written, and has nothing there",
        };
        Err(self.unwritten(path, &Fault::unproven(reason)))
    }

    /// Does what is at a path consist of these bytes? `None` when nothing is there. It is fetched only
    /// when the store keeps no digest of it.
    pub(super) async fn stored(
        &self,
        path: &str,
        bytes: &[u8],
    ) -> Result<Option<bool>, ReadFailure> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.key(path))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        // An answer to HEAD has no body that could say what went wrong: GET says it.
        if let Ok(head) = head {
            // That it is there is believed; that it is not, or is something else, only when it was fetched.
            let there = head.checksum_sha256.as_deref();
            if there.is_some_and(|there| there == in_parts(bytes)) {
                return Ok(Some(true));
            }
            if head.checksum_type != Some(ChecksumType::Composite)
                && there.and_then(decode) == Some(Digest::of(bytes))
            {
                return Ok(Some(true));
            }
            if is_tag_of(head.e_tag.as_deref(), bytes) {
                return Ok(Some(true));
            }
        }
        match self.get::<Hasher>(path, u64::MAX).await {
            Ok(Some((hasher, _))) => Ok(Some(hasher.finish() == Digest::of(bytes))),
            Ok(None) => Ok(None),
            Err(fault) => Err(self.unread(path, &fault)),
        }
    }

    /// A lock that was asked for and not given is found on the first object of each kind, before anything is signed, and
    /// looked for on each statement.
    async fn check_protection(
        &self,
        path: &str,
        protection: &Protection,
    ) -> Result<(), StoreError> {
        let place = layout::place(path);
        let is_statement = matches!(place, Place::Statement(_));
        let kind = kind(&place, path);
        let is_known =
            || self.protected.lock().unwrap_or_else(PoisonError::into_inner).contains(&kind);
        let is_asked = !protection.is_none() || self.encryption.is_some();
        if !is_asked || (!is_statement && is_known()) {
            return Ok(());
        }
        let head = async || {
            let head = self.client.head_object().bucket(&self.bucket).key(self.key(path));
            Ok(head.send().await?)
        };
        let head = self.patience.send(head).await.map_err(|fault| self.unread(path, &fault))?;
        let is_locked = match &protection.lock {
            None => true,
            Some((mode, until)) => {
                head.object_lock_mode.as_ref() == Some(mode)
                    && head
                        .object_lock_retain_until_date
                        .is_some_and(|there| there.secs() >= until.secs())
            }
        };
        let is_encrypted = match &self.encryption {
            None => true,
            Some(Encryption::Aes256) => head.server_side_encryption.is_some(),
            Some(Encryption::Kms(_)) => matches!(
                head.server_side_encryption,
                Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
            ),
        };
        let is_held = !protection.legal_hold
            || head.object_lock_legal_hold_status == Some(ObjectLockLegalHoldStatus::On);
        let missing = match (is_locked, is_held, is_encrypted) {
            (true, true, true) => {
                self.protected.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
                return Ok(());
            }
            (false, ..) => "lock",
            (true, false, _) => "legal hold",
            (true, true, false) => "encryption",
        };
        Err(StoreError::NotProtected { path: path.to_owned(), store: self.whole_name(), missing })
    }

    /// Makes the lock of an object last as long as that of one that is written now; never shorter.
    pub(super) async fn extend_lock(&self, path: &str) -> Result<(), StoreError> {
        let Some((mode, until)) = self.lock.clone() else { return Ok(()) };
        let head = async || {
            let head = self.client.head_object().bucket(&self.bucket).key(self.key(path));
            Ok(head.send().await?)
        };
        let head = self.patience.send(head).await.map_err(|fault| self.unwritten(path, &fault))?;
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
        let put = async || {
            let put = self.client.put_object_retention().bucket(&self.bucket).key(self.key(path));
            Ok(put.retention(retention.clone()).send().await?)
        };
        self.patience.send(put).await.map_err(|fault| self.unwritten(path, &fault))?;
        Ok(())
    }
}

/// What is written in one way: what stands between here and the store may treat kinds unlike.
fn kind(place: &Place, path: &str) -> String {
    match place {
        Place::BundleFile(_, inner) => {
            let folder = inner.split_once('/').map_or(inner.as_str(), |(folder, _)| folder);
            format!("bundles/{folder}")
        }
        Place::Envelope(_) => "envelope".to_owned(),
        _ => path.split('/').next().unwrap_or_default().to_owned(),
    }
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

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Digest::of(bytes).as_bytes())
}

/// What older stores know; it tells bytes that arrived from others, and proves nothing to an auditor.
fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Is it the entity tag that a store gives these bytes when it writes them whole and in the clear?
pub(super) fn is_tag_of(tag: Option<&str>, bytes: &[u8]) -> bool {
    let Some(tag) = tag.map(|tag| tag.trim_matches('"')) else { return false };
    hex(tag).is_some_and(|tag| tag == md5(bytes))
}

/// Has it the form of one?
pub(super) fn is_digest(tag: &str) -> bool {
    hex(tag.trim_matches('"')).is_some()
}

/// The 16 bytes that 32 hex digits stand for.
fn hex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_sha256_is_taken_for_one() {
        let digest = Digest::of(b"x");
        let text = STANDARD.encode(digest.as_bytes());
        assert_eq!(decode(&text), Some(digest));
        assert_eq!(decode(&format!("{text}-2")), None);
        assert_eq!(decode("AAAA"), None);
    }

    #[test]
    fn an_entity_tag_is_proof_when_it_is_the_digest() {
        // RFC 1321, A.5.
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        assert!(is_tag_of(Some(&format!("\"{abc}\"")), b"abc") && is_tag_of(Some(abc), b"abc"));
        assert!(!is_tag_of(Some(abc), b"abd") && !is_tag_of(None, b"abc"));
        assert!(!is_tag_of(Some(&format!("\"{abc}-1\"")), b"abc") && !is_tag_of(Some("\"\""), b""));
    }

    #[test]
    fn the_type_follows_the_name() {
        assert_eq!(content_type("log/0000000001.dsse.json"), "application/json");
        assert_eq!(content_type("bundles/ab.cd/SHA256SUMS"), "text/plain; charset=utf-8");
        assert_eq!(content_type("bundles/x/inputs/a.bin"), "application/octet-stream");
    }
}
