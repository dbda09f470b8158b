//! Tries what a run relies on, before anything is entrusted to the store.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat, SdkBody};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fault::Fault;
use super::read::{Bounded, MAX_TOKEN};
use super::write::{Protection, usable};
use super::{PROBE, S3};
use crate::archive::{Former, LockProbe, Put, StoreError};

/// How many write one name at once.
const WRITERS: usize = 16;

/// The most rounds of them: a store that looks first and writes then is not caught each time.
const ROUNDS: usize = 8;

/// No round but the first begins later than this: some stores let racing writers wait for each other.
const ROUNDS_TIME: Duration = Duration::from_secs(3);

/// Most pages of versions that are looked through for delete markers, of up to a thousand each.
const MAX_VERSION_PAGES: usize = 1_000;

/// How long each of their objects is: the longer, the more of the time in which such a store goes wrong.
const LENGTH: usize = 16 << 10;

/// The longest that a writer waits for the others before it sends its last byte: a store may serve one at a time.
const HELD: Duration = Duration::from_secs(1);

/// The longest that is waited until probes are removed.
const REMOVAL: Duration = Duration::from_secs(10);

/// So long the lock of a probe holds, in seconds.
const LOCK_SECONDS: i64 = 5;

/// So long what a probe has shown of a bucket counts for all that this process writes to it: what a store is
/// does not change from one run to the next, and a probe is some hundreds of requests.
const KEPT: Duration = Duration::from_mins(10);

/// When which bucket, by its place and name, was last found in order.
static PROBED: LazyLock<Mutex<HashMap<(String, String), Instant>>> = LazyLock::new(Mutex::default);

impl S3 {
    /// [`Self::check_conditional`], unless that was done a moment ago.
    pub(super) async fn check_conditional_once(&self) -> Result<(), StoreError> {
        let key = (self.place.clone(), self.bucket.clone());
        let known = PROBED.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if known.is_some_and(|at| at.elapsed() < KEPT) {
            return Ok(());
        }
        self.check_conditional().await?;
        PROBED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Instant::now());
        Ok(())
    }

    /// Of several writers of one name exactly one must win: at one moment, one after the other, and with an
    /// object in parts.
    pub(super) async fn check_conditional(&self) -> Result<(), StoreError> {
        let mut probes = Vec::new();
        let checked = self.check_rounds(&mut probes).await;
        // Each as the version that it is: a deletion without one only hides it, in a bucket with versions. A writer
        // need not be allowed to delete.
        let mut removals = JoinSet::new();
        for (path, version) in probes {
            let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(&path));
            let delete = delete.set_version_id(version);
            removals.spawn(async move { drop(delete.send().await) });
        }
        // What is left stays below `.probe/`, where nobody looks.
        drop(timeout(REMOVAL, removals.join_all()).await);
        checked
    }

    async fn check_rounds(&self, probes: &mut Vec<Probe>) -> Result<(), StoreError> {
        // The first request also finds the credentials and whether anything answers at all.
        self.first_contact().await?;
        let mut winner = None;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            winner = Some(self.race(probes).await?);
            if start.elapsed() > ROUNDS_TIME {
                break;
            }
        }
        let Some((path, bytes)) = winner else { return Ok(()) };
        let (late, version) = self.write(&path, b"late", &Protection::default()).await?;
        if late != Put::Other {
            probes.push((path.clone(), version));
            return Err(self.not_conditional(&path, "a second write was accepted"));
        }
        self.check_parts(&path, &bytes, probes).await
    }

    /// Has many write one name at once, and gives the name and what the winner wrote.
    async fn race(&self, probes: &mut Vec<Probe>) -> Result<(String, Vec<u8>), StoreError> {
        let path = probe_path()?;
        let mut writers = JoinSet::new();
        let gate = Arc::new(Gate::default());
        for writer in 0..WRITERS {
            let bytes = body_of(writer);
            let put = self.put(&path, &bytes).if_none_match("*").customize();
            let put = put.interceptor(LastByteTogether(gate.clone()));
            writers.spawn(async move { (put.send().await.map_err(Fault::from), bytes) });
        }
        let mut winners = Vec::new();
        let mut refused = None;
        while let Some(done) = writers.join_next().await {
            match done {
                Ok((Ok(answer), bytes)) => winners.push((usable(answer.version_id), bytes)),
                Ok((Err(fault), _)) if fault.is(412) || fault.is(409) || fault.is_passing => {
                    refused.get_or_insert(fault);
                }
                Ok((Err(fault), _)) => refused = Some(fault),
                Err(_) => {}
            }
        }
        probes.extend(winners.iter().map(|(version, _)| (path.clone(), version.clone())));
        match winners.as_slice() {
            [(_, bytes)] => match self.stored(&path, bytes).await? {
                Some(true) => Ok((path, bytes.clone())),
                _ => Err(self.not_conditional(&path, "what the only winner wrote is not there")),
            },
            // All stood in each other's way, the store was busy, or the winner's answer was lost: what is there decides, or
            // what one writer gets.
            [] => {
                let there = self.get::<Vec<u8>>(&path, LENGTH as u64).await;
                if let Some((there, _)) = there.map_err(|fault| self.unread(&path, &fault))?
                    && (0..WRITERS).any(|writer| body_of(writer) == there)
                {
                    probes.push((path.clone(), None));
                    return Ok((path, there));
                }
                let bytes = b"written alone".to_vec();
                match self.write(&path, &bytes, &Protection::default()).await? {
                    (Put::Created | Put::Same, version) => {
                        probes.push((path.clone(), version));
                        Ok((path, bytes))
                    }
                    (Put::Other, _) => {
                        let fault = refused.unwrap_or_else(|| Fault::unproven("no answer"));
                        Err(self.unwritten(&path, &fault))
                    }
                }
            }
            several => {
                let how = format!("{} of {WRITERS} writers at one moment won", several.len());
                Err(self.not_conditional(&path, &how))
            }
        }
    }

    async fn first_contact(&self) -> Result<(), StoreError> {
        let list = async || {
            let list = self.client.list_objects_v2().bucket(&self.bucket);
            Ok(list.prefix(self.key(PROBE)).max_keys(1).send().await?)
        };
        match self.patience.send(list).await {
            Ok(_) => Ok(()),
            // Who may write need not be allowed to list; the writes tell.
            Err(fault) if fault.is(403) => Ok(()),
            Err(fault) => Err(self.unlisted(&fault).into()),
        }
    }

    /// An object in parts must not replace what is there either.
    async fn check_parts(
        &self,
        path: &str,
        there: &[u8],
        probes: &mut Vec<Probe>,
    ) -> Result<(), StoreError> {
        let upload = self.begin_upload(path, &Protection::default()).await;
        let upload = upload.map_err(|fault| self.unwritten(path, &fault))?;
        let bytes = b"in one part";
        let completed = self.complete(path, bytes, bytes.len(), &upload).await;
        match completed {
            Ok(written) => {
                probes.push((path.to_owned(), written.version));
                if self.stored(path, there).await? == Some(true) {
                    return Ok(());
                }
                Err(self.not_conditional(path, "an upload in parts replaced what was there"))
            }
            Err(fault) => {
                self.abort(path, &upload).await;
                if fault.is(412) || fault.is(409) {
                    Ok(())
                } else {
                    Err(self.unwritten(path, &fault))
                }
            }
        }
    }

    fn not_conditional(&self, path: &str, how: &str) -> StoreError {
        StoreError::NotConditional {
            path: path.to_owned(),
            store: self.whole_name(),
            how: how.to_owned(),
        }
    }

    /// Puts an object under a lock that ends soon, and tries to remove it.
    pub(super) async fn check_lock(&self) -> Result<LockProbe, StoreError> {
        let Some((mode, _)) = self.lock.clone() else { return Ok(LockProbe::NotAsked) };
        let path = probe_path()?;
        // By the store's clock: it refuses a lock that has ended.
        let ahead = self.clock_ahead().await.unwrap_or(0);
        let until = Timestamp::now().as_second() + ahead + LOCK_SECONDS;
        let lock = Some((mode, DateTime::from_secs(until)));
        let protection = Protection { lock, legal_hold: false };
        let (_, version) = self.write(&path, b"locked", &protection).await?;
        let delete = async || {
            // Without the version only a marker would be put before it.
            let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(&path));
            Ok::<_, Fault>(delete.set_version_id(version.clone()).send().await?)
        };
        if delete().await.is_ok() {
            return Ok(LockProbe::NotEnforced);
        }
        tokio::time::sleep(Duration::from_secs(LOCK_SECONDS.unsigned_abs() + 1)).await;
        Ok(if delete().await.is_ok() { LockProbe::Enforced } else { LockProbe::EnforcedAndLeft })
    }

    /// How far the clock of the server is ahead of ours, in seconds; any answer tells.
    pub(super) async fn clock_ahead(&self) -> Option<i64> {
        let head = self.client.head_bucket().bucket(&self.bucket).customize();
        let date = Arc::new(Mutex::new(None));
        let seen = SeenDate(date.clone());
        drop(head.interceptor(seen).send().await);
        let date = date.lock().ok()?.take()?;
        Some(date - Timestamp::now().as_second())
    }

    /// What was there before and was removed, in a bucket that keeps versions.
    pub(super) async fn look_for_former(&self) -> Result<Former, StoreError> {
        let mut hidden = 0;
        // Nothing below these is ever removed by a run.
        for folder in ["log/", "checkpoints/"] {
            let mut after: (Option<String>, Option<String>) = (None, None);
            for _ in 0..MAX_VERSION_PAGES {
                let list = async || {
                    let list = self.client.list_object_versions().bucket(&self.bucket);
                    let list = list.prefix(self.key(folder));
                    let list =
                        list.set_key_marker(after.0.clone()).set_version_id_marker(after.1.clone());
                    match list.customize().interceptor(Bounded).send().await.map_err(Fault::from) {
                        Ok(page) => Ok(Some(page)),
                        // Stores that do not know this request answer another one.
                        Err(fault) if fault.is_unreached && fault.status == Some(200) => Ok(None),
                        Err(fault) => Err(fault),
                    }
                };
                let page = match self.patience.send(list).await {
                    Ok(Some(page)) => page,
                    Ok(None) => return Ok(Former::Unknown),
                    Err(fault)
                        if [400, 403, 404, 405, 501].iter().any(|status| fault.is(*status)) =>
                    {
                        return Ok(Former::Unknown);
                    }
                    Err(fault) => return Err(self.unread(folder, &fault).into()),
                };
                let markers = page.delete_markers.unwrap_or_default();
                hidden += markers.iter().filter(|marker| marker.is_latest() == Some(true)).count();
                let next = (page.next_key_marker, page.next_version_id_marker);
                let is_long = |marker: &Option<String>| {
                    marker.as_ref().is_some_and(|marker| marker.len() > MAX_TOKEN)
                };
                if page.is_truncated != Some(true)
                    || next.0.is_none()
                    || next == after
                    || is_long(&next.0)
                    || is_long(&next.1)
                {
                    break;
                }
                after = next;
            }
        }
        Ok(if hidden == 0 { Former::None } else { Former::Removed(hidden) })
    }
}

/// What one of the racing writers writes.
fn body_of(writer: usize) -> Vec<u8> {
    let mut bytes = format!("written by {writer}").into_bytes();
    bytes.resize(LENGTH, b' ');
    bytes
}

/// An object of a probe, and its version.
type Probe = (String, Option<String>);

/// The name of an object that nobody else has.
fn probe_path() -> Result<String, StoreError> {
    let mut unique = [0; 16];
    getrandom::fill(&mut unique).map_err(|error| StoreError::Write {
        path: PROBE.to_owned(),
        reason: error.to_string(),
        help: "this machine has no source of random bytes",
    })?;
    Ok(format!("{PROBE}{:032x}", u128::from_be_bytes(unique)))
}

/// Opens when all writers of a round have sent all but their last byte.
struct Gate {
    arrived: AtomicUsize,
    /// Without permits; closed when the gate opens.
    closed: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: AtomicUsize::new(0), closed: Semaphore::new(0) }
    }
}

impl Gate {
    async fn pass(&self) {
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 >= WRITERS {
            self.closed.close();
        }
        // Whoever has waited long enough goes on alone.
        drop(timeout(HELD, self.closed.acquire()).await);
    }
}

/// Holds back the last byte of a body until the other writers have come as far. Connections, signatures and slow
/// bodies take unlike times; a store that looks first and writes then is caught when the last bytes come together.
struct LastByteTogether(Arc<Gate>);

impl std::fmt::Debug for LastByteTogether {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LastByteTogether")
    }
}

impl Intercept for LastByteTogether {
    fn name(&self) -> &'static str {
        "last byte together"
    }

    // After the signature, which is over the same bytes.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        let Some(bytes) = body.bytes() else { return Ok(()) };
        let mut first = Bytes::copy_from_slice(bytes);
        let last = first.split_off(first.len().saturating_sub(1));
        let gate = self.0.clone();
        let held = HeldBody {
            first: Some(first),
            gate: Box::pin(async move { gate.pass().await }),
            last: Some(last),
        };
        *body = SdkBody::from_body_1_x(held);
        Ok(())
    }
}

/// A body that stops before its last byte until the gate opens.
struct HeldBody {
    first: Option<Bytes>,
    gate: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    last: Option<Bytes>,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.last.is_some() && self.gate.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(self.last.take().map(|last| Ok(Frame::data(last))))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact((length(&self.first) + length(&self.last)) as u64)
    }
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
