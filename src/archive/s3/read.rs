//! Reading: objects whole, their digests, and listings that are believed only when they fit together.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::ServerSideEncryption;
use http_body_util::Limited;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fault::Fault;
use super::write::{is_digest, is_tag_of};
use super::{ATTEMPT, PROBE, S3, SLOWEST};
use crate::archive::StoreError;
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::digest::Hasher;
use crate::evidence::layout::{self, Place};
use crate::remote::deepest;
use crate::verify::{Entry, ReadFailure};

/// How many of a kind are fetched ahead.
const AHEAD: u64 = 24;

/// Largest object that is fetched ahead.
const MAX_AHEAD: u64 = 64 << 10;

/// Most pages of a listing, of up to a thousand keys each.
const MAX_PAGES: usize = 4_000;

/// Longest token of a listing that is sent back: a request cannot carry more than some kilobytes of it.
pub(super) const MAX_TOKEN: usize = 4 << 10;

/// Longest answer that is no object, in bytes: a page of a listing has some hundred thousand.
const MAX_ANSWER: usize = 8 << 20;

/// Most pages without a key, one after the other.
const MAX_EMPTY_PAGES: usize = 50;

/// Longest listing.
const MAX_LISTING: Duration = Duration::from_mins(30);

/// How many times an object is asked for that is not there as it was listed: some stores list before they have, and
/// something else may have answered once.
const ASKED: u32 = 3;

/// How many times the archive is listed when the listing lacks what the head says is there.
const LISTED: u32 = 3;

/// Small objects that are written once and read in order (statements, envelopes, checkpoints), fetched
/// before they are asked for: a log of years is as many round trips as it has objects otherwise.
#[derive(Default)]
pub(super) struct Ahead {
    /// What the last listing had, without the prefix, and how many bytes each has.
    listed: HashMap<String, Option<u64>>,
    /// Those that are on their way.
    coming: HashMap<String, JoinHandle<Option<Vec<u8>>>>,
    /// Those that were fetched ahead, and are not again.
    fetched: HashSet<String>,
}

/// Where the bytes of an object go.
pub(super) trait Sink: Default {
    fn take(&mut self, bytes: &[u8]);

    /// What was taken, where it is held.
    fn held(&self) -> Option<&[u8]> {
        None
    }
}

impl Sink for Vec<u8> {
    fn take(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn held(&self) -> Option<&[u8]> {
        Some(self)
    }
}

/// An object as it came.
pub(super) struct Fetched<S> {
    sink: S,
    length: u64,
    /// Is its entity tag the digest of other bytes? Not every store makes its tags of digests.
    is_doubtful: bool,
}

impl Sink for Hasher {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl S3 {
    /// Streams an object into a sink; returns it with the length. `None` when nothing is there.
    pub(super) async fn get<S: Sink>(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<(S, u64)>, Fault> {
        let fetched = self.get_whole(path, limit).await?;
        Ok(fetched.map(|Fetched { sink, length, .. }| (sink, length)))
    }

    async fn get_whole<S: Sink>(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<Fetched<S>>, Fault> {
        let get = async || {
            let get = self.client.get_object().bucket(&self.bucket).key(self.key(path));
            match get.send().await.map_err(Fault::from) {
                Ok(output) => whole(output, limit, self.attempt).await.map(Some),
                Err(fault) if fault.code.as_deref() == Some("NoSuchKey") => Ok(None),
                Err(fault) => Err(fault),
            }
        };
        self.patience.send(get).await
    }

    /// Reads what must be there.
    pub(super) fn fetch<S: Sink>(&self, path: &str, limit: u64) -> Result<(S, u64), ReadFailure> {
        let listed = {
            let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            ahead.listed.get(path).copied()
        };
        let is_head = layout::place(path) == Place::Head;
        // The head is overwritten, and may have grown since it was listed.
        let limit = match listed.flatten() {
            Some(size) if !is_head => size.min(limit),
            _ => limit,
        };
        self.runtime.block_on(async {
            let mut pause = Duration::from_millis(100);
            let mut last = None;
            for tried in 1.. {
                let fault = match self.get_whole::<S>(path, limit).await {
                    Ok(Some(fetched)) => {
                        let Fetched { ref sink, length, is_doubtful } = fetched;
                        let is_as_listed = listed.flatten().is_none_or(|size| size == length);
                        let head = sink.held().filter(|_| is_head);
                        let head = head.and_then(|bytes| SignedCheckpoint::parse(bytes).ok());
                        // A head that the listing has outgrown is an older one.
                        let is_old = head.as_ref().is_some_and(|note| self.is_outgrown(note));
                        let is_believed = !is_doubtful || !self.tags_are_digests.load(Relaxed);
                        if (is_as_listed || head.is_some())
                            && ((is_believed && !is_old) || tried == ASKED)
                        {
                            if is_doubtful {
                                // The same each time: it is how this store makes its tags.
                                self.tags_are_digests.store(false, Relaxed);
                            }
                            return Ok((fetched.sink, length));
                        }
                        let reason = match listed.flatten() {
                            Some(size) if size != length => {
                                format!("it is listed with {size} bytes, and {length} came")
                            }
                            _ => "other bytes came than its entity tag is of".to_owned(),
                        };
                        Fault { is_foreign: true, help: CONTRADICTS, ..Fault::unproven(&reason) }
                    }
                    Ok(None) if listed.is_some() => {
                        let reason = "NoSuchKey: the store lists it and does not have it";
                        Fault { help: CONTRADICTS, ..Fault::unproven(reason) }
                    }
                    Ok(None) => Fault {
                        help: "check the bucket, the prefix and the endpoint: this archive has no such object",
                        ..Fault::unproven("NoSuchKey: it is not there")
                    },
                    Err(fault) if fault.is_foreign => fault,
                    Err(fault) => return Err(self.unread(path, &fault)),
                };
                let is_asked_again = listed.is_some() || fault.is_foreign;
                last = Some(fault);
                if tried == ASKED || !is_asked_again {
                    break;
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let fault = last.unwrap_or_else(no_object);
            Err(self.unread(path, &fault))
        })
    }

    /// Does the last listing have the checkpoint after this one?
    fn is_outgrown(&self, note: &SignedCheckpoint) -> bool {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let next = note.checkpoint.size.checked_add(1).map(layout::checkpoint);
        next.is_some_and(|next| ahead.listed.contains_key(&next))
    }

    /// Takes what was fetched ahead, and has the next ones fetched. `None` for what was not, or came to
    /// nothing: it is then fetched as everything else, and fails with a reason.
    pub(super) fn fetched_ahead(&self, path: &str) -> Option<Vec<u8>> {
        let (form, number): (fn(u64) -> String, u64) = match layout::place(path) {
            Place::Statement(number) => (layout::statement, number),
            Place::Envelope(number) => (layout::envelope, number),
            Place::Checkpoint(number) => (layout::checkpoint, number),
            _ => return None,
        };
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let here = ahead.coming.remove(path);
        for next in (1..=AHEAD).filter_map(|step| number.checked_add(step)).map(form) {
            if let Some(size) = ahead.listed.get(&next).copied()
                && ahead.fetched.insert(next.clone())
            {
                let (client, bucket, key) =
                    (self.client.clone(), self.bucket.clone(), self.key(&next));
                let task = self.runtime.spawn(fetch_small(client, bucket, key, size));
                ahead.coming.insert(next, task);
            }
        }
        drop(ahead);
        self.runtime.block_on(here?).ok()?
    }

    /// Everything below the prefix. A listing that contradicts itself is asked for once more, and so is one that lacks
    /// what the head says is there: it may be older than that.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>, Fault> {
        let mut listed = HashMap::new();
        let mut pause = Duration::from_millis(200);
        for tried in 1..=LISTED {
            listed = match self.list_once("").await? {
                Ok(paths) => paths,
                Err(_) => self.list_once("").await?.map_err(|reason| Fault::unproven(&reason))?,
            };
            if tried == LISTED || self.has_head_of(&listed).await {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        // What was fetched before belongs to an older listing.
        *ahead = Ahead::default();
        ahead.listed.clone_from(&listed);
        Ok(listed.into_keys().map(|path| Entry { path, is_file: true }).collect())
    }

    /// Does a listing hold the newest statement and checkpoint that the mutable head names? One without a head, or with one
    /// that cannot be read, is for the verification to judge.
    async fn has_head_of(&self, listed: &HashMap<String, Option<u64>>) -> bool {
        let Ok(Some((head, _))) = self.get::<Vec<u8>>(layout::HEAD, MAX_AHEAD).await else {
            return true;
        };
        let Ok(note) = SignedCheckpoint::parse(&head) else { return true };
        let size = note.checkpoint.size;
        let Some(newest) = size.checked_sub(1) else { return true };
        let named = [layout::statement(newest), layout::envelope(newest), layout::checkpoint(size)];
        named.iter().all(|path| listed.contains_key(path))
    }

    /// Which of these files of a folder is not there with its length, as far as that is known. A listing may be older
    /// than what was just written: what it lacks is asked for by name.
    pub(super) async fn first_lacking(
        &self,
        folder: &str,
        files: &[(String, Option<u64>)],
    ) -> Result<Option<String>, StoreError> {
        let listed = self.list_once(folder).await.map_err(|fault| self.unlisted(&fault))?;
        let listed = listed.unwrap_or_default();
        for (path, length) in files {
            let there = listed.get(path).copied().flatten();
            if there.is_some() && (length.is_none() || there == *length) {
                continue;
            }
            let found = self.get::<Hasher>(path, u64::MAX).await;
            match found.map_err(|fault| self.unread(path, &fault))? {
                Some((_, found)) if length.is_none_or(|length| length == found) => {}
                _ => return Ok(Some(path.clone())),
            }
        }
        Ok(None)
    }

    /// Everything below a folder of the archive, with its length. The inner error says how the listing contradicts
    /// itself.
    pub(super) async fn list_once(
        &self,
        folder: &str,
    ) -> Result<Result<HashMap<String, Option<u64>>, String>, Fault> {
        let start = Instant::now();
        let mut paths = HashMap::new();
        let prefix = self.key(folder);
        let mut seen = HashSet::new();
        let mut token: Option<String> = None;
        let mut empty = 0;
        for _ in 0..MAX_PAGES {
            let list = || {
                let list = self.client.list_objects_v2().bucket(&self.bucket);
                let list = list.prefix(&prefix).set_continuation_token(token.clone());
                list.customize().interceptor(Bounded)
            };
            let page = self.patience.send(async || Ok(list().send().await?)).await?;
            let contents = page.contents.unwrap_or_default();
            let says = page.key_count.and_then(|count| usize::try_from(count).ok());
            if says.is_some_and(|says| says > contents.len()) {
                return Ok(Err("it has fewer objects than it says".to_owned()));
            }
            if contents.is_empty() && says.is_none() && page.is_truncated.is_none() {
                return Ok(Err(
                    "it says neither what there is nor that there is nothing".to_owned()
                ));
            }
            if page.is_truncated != Some(true) && page.next_continuation_token.is_some() {
                return Ok(Err("it says that it is whole, and where more follows".to_owned()));
            }
            empty = if contents.is_empty() { empty + 1 } else { 0 };
            for object in contents {
                let Some(key) = object.key else {
                    return Ok(Err("it lists an object without a key".to_owned()));
                };
                let Some(path) = key.strip_prefix(&self.prefix) else {
                    return Ok(Err(format!(
                        "it lists {key:?}, which does not begin with the prefix"
                    )));
                };
                let is_folder = path.is_empty() || path.ends_with('/');
                if path.starts_with(PROBE) || (is_folder && object.size == Some(0)) {
                    continue;
                }
                let size = object.size.and_then(|size| u64::try_from(size).ok());
                if paths.insert(path.to_owned(), size).is_some() {
                    return Ok(Err(format!("it lists {path:?} twice")));
                }
            }
            if page.is_truncated != Some(true) {
                return Ok(Ok(paths));
            }
            match page.next_continuation_token {
                None => return Ok(Err("it says that more follows, and not where".to_owned())),
                Some(next) if next.len() > MAX_TOKEN => {
                    return Ok(Err(
                        "it says where more follows in more words than it takes".to_owned()
                    ));
                }
                Some(next) if !seen.insert(next.clone()) => {
                    return Ok(Err("it leads in a circle".to_owned()));
                }
                next => token = next,
            }
            if empty > MAX_EMPTY_PAGES || start.elapsed() > MAX_LISTING {
                break;
            }
        }
        Ok(Err(format!(
            "it does not end: {} objects in {} s",
            paths.len(),
            start.elapsed().as_secs()
        )))
    }
}

/// Every store gives an object its entity tag; a page of a proxy has none, and is not to be taken for a forged
/// object.
fn no_object() -> Fault {
    let reason = "not an answer of S3: an object without an entity tag";
    Fault { is_passing: true, is_unreached: true, ..Fault::unproven(reason) }
}

/// What to do about a store that says one thing and gives another.
const CONTRADICTS: &str = "run again; if it stays like this, check what stands between here and the store, its own log, and its lifecycle rules";

/// Takes in an object that was asked for whole, and nothing else that may have been answered.
async fn whole<S: Sink>(
    output: GetObjectOutput,
    limit: u64,
    attempt: Duration,
) -> Result<Fetched<S>, Fault> {
    let Some(tag) = output.e_tag else { return Err(no_object()) };
    let is_by_kms = matches!(
        output.server_side_encryption,
        Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
    );
    let foreign =
        |what: &str| Fault { is_foreign: true, help: CONTRADICTS, ..Fault::unproven(what) };
    if output.content_range.is_some() {
        return Err(foreign("a part was answered, and nobody asked for one"));
    }
    if output
        .content_encoding
        .as_deref()
        .is_some_and(|coding| !matches!(coding, "" | "identity" | "aws-chunked"))
    {
        return Err(foreign("the answer was encoded on its way (Content-Encoding)"));
    }
    let stated = output.content_length.and_then(|length| u64::try_from(length).ok());
    let (sink, length) = drain::<S>(output.body, limit, attempt).await?;
    if stated.is_some_and(|stated| stated != length) {
        let broken = foreign("the answer has another length than it says");
        return Err(Fault { is_passing: true, ..broken });
    }
    let is_doubtful = !is_by_kms
        && sink.held().is_some_and(|bytes| is_digest(&tag) && !is_tag_of(Some(&tag), bytes));
    Ok(Fetched { sink, length, is_doubtful })
}

/// Takes in a body, which must not come slower than any store sends.
async fn drain<S: Sink>(
    mut body: ByteStream,
    limit: u64,
    attempt: Duration,
) -> Result<(S, u64), Fault> {
    let start = Instant::now();
    let mut sink = S::default();
    let mut length = 0;
    loop {
        let allowed = attempt + Duration::from_secs(length / SLOWEST);
        let left = allowed.saturating_sub(start.elapsed());
        let Ok(next) = timeout(left, body.try_next()).await else {
            let slow = Fault::unproven(&format!("{length} bytes came in {} s", allowed.as_secs()));
            return Err(Fault {
                is_passing: true,
                help: "the store or the network is too slow: try again later",
                ..slow
            });
        };
        match next {
            Ok(None) => return Ok((sink, length)),
            Ok(Some(bytes)) => {
                length += bytes.len() as u64;
                if length > limit {
                    let larger = Fault::unproven(&format!("larger than {limit} bytes"));
                    return Err(Fault { is_foreign: true, help: CONTRADICTS, ..larger });
                }
                sink.take(&bytes);
            }
            // Fetched again from its beginning.
            Err(error) => {
                let broken = Fault::unproven(&format!("the answer broke off: {}", deepest(&error)));
                return Err(Fault { is_passing: true, ..broken });
            }
        }
    }
}

/// A small object, or nothing when anything is wrong with it.
async fn fetch_small(
    client: Client,
    bucket: String,
    key: String,
    size: Option<u64>,
) -> Option<Vec<u8>> {
    let output = client.get_object().bucket(bucket).key(key).send().await.ok()?;
    let Fetched { sink, length, is_doubtful } =
        whole::<Vec<u8>>(output, MAX_AHEAD, ATTEMPT).await.ok()?;
    (!is_doubtful && size.is_none_or(|size| size == length)).then_some(sink)
}

/// Bounds an answer that is taken in whole before it is understood.
#[derive(Debug)]
pub(super) struct Bounded;

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "bounded answer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = std::mem::replace(context.response_mut().body_mut(), SdkBody::taken());
        let bounded = Limited::new(body, MAX_ANSWER);
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(bounded);
        Ok(())
    }
}
