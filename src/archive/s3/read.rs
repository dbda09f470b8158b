//! Reading: objects whole, their digests, and listings that are believed only when they fit together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use tokio::task::JoinHandle;

use super::fault::Fault;
use super::{PROBE, S3};
use crate::evidence::digest::Hasher;
use crate::evidence::layout::{self, Place};
use crate::remote::deepest;
use crate::verify::{Entry, ReadFailure};

/// How many of a kind are fetched ahead.
const AHEAD: u64 = 24;

/// Largest object that is fetched ahead.
const MAX_AHEAD: u64 = 64 << 10;

/// Most pages of a listing, of up to a thousand keys each.
const MAX_PAGES: usize = 20_000;

/// Most pages without a key, one after the other.
const MAX_EMPTY_PAGES: usize = 50;

/// Longest listing.
const MAX_LISTING: Duration = Duration::from_mins(30);

/// How many times an object is asked for that was listed and is not there: some stores list before they have.
const ASKED: u32 = 3;

/// Small objects that are written once and read in order (statements, envelopes, checkpoints), fetched
/// before they are asked for: a log of years is as many round trips as it has objects otherwise.
#[derive(Default)]
pub(super) struct Ahead {
    /// What the last listing had, without the prefix.
    listed: HashSet<String>,
    /// Those that are on their way.
    coming: HashMap<String, JoinHandle<Option<Vec<u8>>>>,
    /// Those that were fetched ahead, and are not again.
    fetched: HashSet<String>,
}

/// Where the bytes of an object go.
pub(super) trait Sink: Default {
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

impl S3 {
    /// Streams an object into a sink; returns it with the length. `None` when nothing is there.
    pub(super) async fn get<S: Sink>(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<(S, u64)>, Fault> {
        let get = async || {
            let get = self.client.get_object().bucket(&self.bucket).key(self.key(path));
            match get.send().await.map_err(Fault::from) {
                Ok(output) if output.e_tag.is_none() => Err(no_object()),
                Ok(output) => drain(output.body, limit).await.map(Some),
                Err(fault) if fault.code.as_deref() == Some("NoSuchKey") => Ok(None),
                Err(fault) => Err(fault),
            }
        };
        self.patience.send(get).await
    }

    /// Reads what must be there.
    pub(super) fn fetch<S: Sink>(&self, path: &str, limit: u64) -> Result<(S, u64), ReadFailure> {
        let is_listed =
            self.ahead.lock().unwrap_or_else(PoisonError::into_inner).listed.contains(path);
        self.runtime.block_on(async {
            let mut pause = Duration::from_millis(100);
            for tried in 1.. {
                match self.get(path, limit).await {
                    Ok(Some(read)) => return Ok(read),
                    Ok(None) if is_listed && tried < ASKED => tokio::time::sleep(pause).await,
                    Ok(None) => break,
                    Err(fault) => return Err(self.unread(path, &fault)),
                }
                pause *= 2;
            }
            let (reason, help) = if is_listed {
                (
                    "NoSuchKey: the store lists it and does not have it",
                    "run again; if it stays like this, check the store's own log and its lifecycle rules",
                )
            } else {
                (
                    "NoSuchKey: it is not there",
                    "check the bucket, the prefix and the endpoint: this archive has no such object",
                )
            };
            Err(self.unread(path, &Fault { help, ..Fault::unproven(reason) }))
        })
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
            if ahead.listed.contains(&next) && ahead.fetched.insert(next.clone()) {
                let (client, bucket, key) =
                    (self.client.clone(), self.bucket.clone(), self.key(&next));
                let task = self.runtime.spawn(fetch_small(client, bucket, key));
                ahead.coming.insert(next, task);
            }
        }
        drop(ahead);
        self.runtime.block_on(here?).ok()?
    }

    /// Everything below the prefix. A listing that contradicts itself is asked for once more.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>, Fault> {
        let listed = match self.list_once().await? {
            Ok(paths) => paths,
            Err(_) => self.list_once().await?.map_err(|reason| Fault::unproven(&reason))?,
        };
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        // What was fetched before belongs to an older listing.
        *ahead = Ahead::default();
        ahead.listed.extend(listed.iter().cloned());
        Ok(listed.into_iter().map(|path| Entry { path, is_file: true }).collect())
    }

    /// The inner error says how the listing contradicts itself.
    async fn list_once(&self) -> Result<Result<BTreeSet<String>, String>, Fault> {
        let start = Instant::now();
        let mut paths = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut token: Option<String> = None;
        let mut empty = 0;
        for _ in 0..MAX_PAGES {
            let list = || {
                let list = self.client.list_objects_v2().bucket(&self.bucket);
                list.prefix(&self.prefix).set_continuation_token(token.clone())
            };
            let page = self.patience.send(async || Ok(list().send().await?)).await?;
            let contents = page.contents.unwrap_or_default();
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
                if !paths.insert(path.to_owned()) {
                    return Ok(Err(format!("it lists {path:?} twice")));
                }
            }
            if page.is_truncated != Some(true) {
                return Ok(Ok(paths));
            }
            match page.next_continuation_token {
                None => return Ok(Err("it says that more follows, and not where".to_owned())),
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

/// Takes in a body.
async fn drain<S: Sink>(mut body: ByteStream, limit: u64) -> Result<(S, u64), Fault> {
    let mut sink = S::default();
    let mut length = 0;
    loop {
        match body.try_next().await {
            Ok(None) => return Ok((sink, length)),
            Ok(Some(bytes)) => {
                length += bytes.len() as u64;
                if length > limit {
                    return Err(Fault::unproven(&format!("larger than {limit} bytes")));
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
async fn fetch_small(client: Client, bucket: String, key: String) -> Option<Vec<u8>> {
    let output = client.get_object().bucket(bucket).key(key).send().await.ok()?;
    output.e_tag.as_ref()?;
    let fetched = drain::<Vec<u8>>(output.body, MAX_AHEAD).await.ok()?;
    Some(fetched.0)
}
