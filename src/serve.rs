//! The same run on a schedule, as a long-lived process: one leader, runs that were missed caught up with,
//! health and metrics over HTTP and nothing else.
//!
//! Only the leader's metrics describe the chain. Those of a standby describe its own process: what it read of
//! the chain when it last led would be out of date, and counted twice.
//!
//! The order of bundles never depends on who leads: two processes that both believe to lead race for one
//! place in the chain, and one of them wins it. The lease only saves the work.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use kube::Api;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access::Way;
use crate::config::{CatchUp, Config, Lease};
use crate::evidence::instant;
use crate::notify::Ended;
use crate::notify::metrics::{self, Process};
use crate::pipeline::{self, Progress, RunOutcome};

/// Longest time that a waiting process looks at the clock again: clocks are set, and machines sleep.
const LOOK: Duration = Duration::from_secs(30);

/// Pause before a run that failed is tried again; doubled each time, up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_mins(1);
const MAX_PAUSE: Duration = Duration::from_mins(15);

/// Seconds for which a lease holds without being renewed, and before whose end it is renewed.
const LEASE_SECONDS: u64 = 30;
const LEASE_GRACE_SECONDS: u64 = 10;

/// How often a leader looks whether the lease is still its own, and how long it waits for the answer.
const CONFIRM: Duration = Duration::from_secs(5);

/// Time for a client to send its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is nothing to wait for.
    #[error("there is no schedule that comes again")]
    NoSchedule,
    /// The address cannot be listened at.
    #[error("could not listen at {address}: {reason}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The lease cannot be used.
    #[error("lease {name}: {reason}")]
    Lease {
        /// `namespace/name`.
        name: String,
        /// Why.
        reason: String,
    },
    /// The system refuses what a process needs.
    #[error("{0}")]
    System(String),
}

/// Is told what happens, in lines for a log.
pub type Log = dyn Fn(&str) + Send + Sync;

/// What the loop and the answers share.
#[derive(Default)]
struct State {
    /// Could the archive and the keys be used?
    is_ready: bool,
    running: bool,
    runs: u64,
    failures: u64,
    /// Metrics of the chain, since this process leads; `None` until it has read the chain.
    chain: Option<String>,
}

struct Service {
    config: Config,
    log: Box<Log>,
    state: Mutex<State>,
    /// Does this process lead?
    leads: watch::Receiver<bool>,
}

impl Service {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &str) {
        (self.log)(&format!("{} {text}", instant::format(Timestamp::now())));
    }
}

/// Serves until the process is told to end (SIGTERM or SIGINT). A run that is under way is finished; a
/// second signal does not wait for it.
///
/// # Errors
/// [`ServeError`].
pub fn serve(config: Config, log: Box<Log>) -> Result<(), ServeError> {
    let schedule = config.schedule.as_ref().ok_or(ServeError::NoSchedule)?;
    schedule.next(Timestamp::now()).ok_or(ServeError::NoSchedule)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| ServeError::System(error.to_string()))?;
    // Without a lease there is nobody else.
    let (lead, leads) = watch::channel(config.serve.lease.is_none());
    let service = Arc::new(Service { config, log, state: Mutex::default(), leads });
    let result = runtime.block_on(serve_until_told(&service, lead));
    // What still holds a connection is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve_until_told(
    service: &Arc<Service>,
    lead: watch::Sender<bool>,
) -> Result<(), ServeError> {
    let address = service.config.serve.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen { address, reason: error.to_string() })?;
    let at = listener.local_addr().unwrap_or(address);
    service.say(&format!("listening at http://{at}"));
    tokio::spawn(answer(listener, service.clone()));

    let system = |error: std::io::Error| ServeError::System(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let (stop, stopped) = watch::channel(false);
    let working = work(service.clone(), lead, stopped);
    tokio::pin!(working);
    let mut told = false;
    loop {
        tokio::select! {
            result = &mut working => return result,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if told || !service.state().running {
            service.say("told to end");
            // The lease is given back when the work ends; it waits for nothing else now.
            stop.send_replace(true);
            return if told { Ok(()) } else { working.await };
        }
        told = true;
        service.say("told to end: the run under way is finished first");
        stop.send_replace(true);
    }
}

/// Waits for due times and runs, while this process leads.
async fn work(
    service: Arc<Service>,
    lead: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let lead = Arc::new(lead);
    let part = match &service.config.serve.lease {
        Some(lease) => Some(take_part(&service, lease, lead.clone()).await?),
        None => None,
    };
    let Some(schedule) = service.config.schedule.clone() else {
        return Err(ServeError::NoSchedule);
    };
    let sentences = apart(&service, |service| pipeline::past_proxies(&service.config)).await;
    for sentence in sentences.unwrap_or_default() {
        service.say(&format!("warning: {sentence}"));
    }
    let mut leads = service.leads.clone();
    let (mut prepared, mut described) = (false, false);
    // Up to where due times are dealt with: what came before the newest bundle is.
    let mut dealt_with = match service.config.serve.catch_up {
        CatchUp::Skip => Timestamp::now(),
        CatchUp::Run => newest(&service).await.unwrap_or_else(Timestamp::now),
    };
    let mut pause = PAUSE;
    while !*stop.borrow() {
        // Another may have led since, if only for a moment.
        if leads.has_changed().unwrap_or(true) {
            service.state().chain = None;
            described = false;
        }
        let leading = *leads.borrow_and_update();
        if leading && !described {
            described = describe(&service).await;
        }
        // The next run of a leader says whether it is ready again; a standby has none.
        prepared &= leading || service.state().is_ready;
        if !prepared {
            prepared = prepare(&service).await;
        }
        let Some(due) = schedule.next(dealt_with) else { return Err(ServeError::NoSchedule) };
        let now = Timestamp::now();
        let from = due.checked_add(jitter(&service.config, due)).unwrap_or(due);
        if !leading {
            sleep(LOOK, &mut leads, &mut stop).await;
            continue;
        }
        if from <= now {
            // Another may have led and run meanwhile; then nothing is due any more.
            if let Some(newest) = newest(&service).await.filter(|newest| *newest >= due) {
                dealt_with = newest;
                described = false;
                continue;
            }
            let sealed = run(&service, due).await;
            // The run has said how the chain stands, and how it ended.
            described = true;
            if sealed {
                pause = PAUSE;
                dealt_with = now;
            } else {
                service.say(&format!("trying again in {} s", pause.as_secs()));
                sleep(pause, &mut leads, &mut stop).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            continue;
        }
        let left = Duration::try_from(from.duration_since(now)).unwrap_or_default();
        sleep(left.clamp(Duration::from_millis(100), LOOK), &mut leads, &mut stop).await;
    }
    if let Some((confirming, managing)) = part {
        // Without a listener the manager gives the lease back.
        confirming.abort();
        lead.send_replace(false);
        drop(tokio::time::timeout(Duration::from_secs(5), managing).await);
    }
    Ok(())
}

/// Sleeps until there is something to do: at the latest after this time.
async fn sleep(
    time: Duration,
    leads: &mut watch::Receiver<bool>,
    stop: &mut watch::Receiver<bool>,
) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = leads.changed() => {}
        _ = stop.changed() => {}
    }
}

/// A part of the configured jitter that depends on the chain and the due time alone: many clusters that
/// run at the same hour spread, and one of them is punctual in its own way.
fn jitter(config: &Config, due: Timestamp) -> jiff::SignedDuration {
    let seconds = config.serve.jitter_seconds;
    let text = format!("{} {}", config.origin, due.as_second());
    let digest = crate::evidence::digest::Digest::of(text.as_bytes());
    let number =
        digest.as_bytes().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let share = number.checked_rem(seconds + 1).unwrap_or(0);
    jiff::SignedDuration::from_secs(i64::try_from(share).unwrap_or(0))
}

/// What looks whether the lease is still held, and what takes and renews it.
type Part = (
    tokio::task::JoinHandle<()>,
    tokio::task::JoinHandle<kube_lease_manager::Result<kube_lease_manager::LeaseManager>>,
);

async fn take_part(
    service: &Service,
    lease: &Lease,
    lead: Arc<watch::Sender<bool>>,
) -> Result<Part, ServeError> {
    let name = format!("{}/{}", lease.namespace, lease.name);
    let failed = |reason: String| ServeError::Lease { name: name.clone(), reason };
    let way = Way::find(&service.config.access).map_err(|error| failed(error.to_string()))?;
    let client = way.client();
    let identity =
        std::env::var("POD_NAME").unwrap_or_else(|_| format!("process-{}", std::process::id()));
    let records = Api::namespaced(client.clone(), &lease.namespace);
    let manager = LeaseManagerBuilder::new(client, &lease.name)
        .with_namespace(&lease.namespace)
        .with_identity(&identity)
        .with_duration(LEASE_SECONDS)
        .with_grace(LEASE_GRACE_SECONDS)
        .build()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let (held, managing) = manager.watch().await;
    let confirming = tokio::spawn(confirm(held, records, lease.name.clone(), identity, lead));
    Ok((confirming, managing))
}

/// Says whether this process leads. The manager reports when the lease is taken and lost, but nothing while the
/// API server does not answer it; a lease that could not be renewed runs out all the same.
async fn confirm(
    mut held: watch::Receiver<bool>,
    records: Api<Record>,
    name: String,
    identity: String,
    lead: Arc<watch::Sender<bool>>,
) {
    let mut until: Option<SystemTime> = None;
    // Until the next look, but never longer than the lease holds.
    let pause = |until: Option<SystemTime>| {
        let left = until.and_then(|until| until.duration_since(SystemTime::now()).ok());
        left.map_or(CONFIRM, |left| left.min(CONFIRM))
    };
    loop {
        if *held.borrow_and_update() {
            if let Ok(Ok(record)) = tokio::time::timeout(pause(until), records.get(&name)).await {
                until = record.spec.and_then(|spec| end_of(&spec, &identity));
            }
        } else {
            until = None;
        }
        let leads = until.is_some_and(|until| SystemTime::now() < until);
        lead.send_if_modified(|before| std::mem::replace(before, leads) != leads);
        tokio::select! {
            () = tokio::time::sleep(pause(until)) => {}
            changed = held.changed() => if changed.is_err() { break },
        }
    }
    lead.send_replace(false);
}

/// When a lease of this holder runs out, by the clock that renewed it: its own.
fn end_of(spec: &LeaseSpec, holder: &str) -> Option<SystemTime> {
    let renewed =
        spec.renew_time.as_ref().filter(|_| spec.holder_identity.as_deref() == Some(holder))?;
    SystemTime::from(renewed.0).checked_add(Duration::from_secs(LEASE_SECONDS))
}

/// Work that blocks, apart from the answers.
async fn apart<T: Send + 'static>(
    service: &Arc<Service>,
    work: impl FnOnce(&Service) -> T + Send + 'static,
) -> Option<T> {
    let service = service.clone();
    tokio::task::spawn_blocking(move || work(&service)).await.ok()
}

/// Tries keys and archive as a run will use them; could they be used?
async fn prepare(service: &Arc<Service>) -> bool {
    let ready = apart(service, |service| {
        let now = Timestamp::now();
        let keys =
            pipeline::keyring(&service.config, now).map(drop).map_err(|error| error.to_string());
        let store = crate::archive::open(&service.config.archive, now);
        let store = store.and_then(|store| store.probe()).map_err(|error| error.to_string());
        keys.and(store)
    });
    match ready.await {
        Some(Ok(())) => {
            service.state().is_ready = true;
            return true;
        }
        Some(Err(error)) => service.say(&format!("not ready: {error}")),
        None => service.say("not ready"),
    }
    false
}

/// Reads the chain for the metrics of a leader; could it be read?
async fn describe(service: &Arc<Service>) -> bool {
    let read =
        apart(service, |service| pipeline::read_standing(&service.config, Timestamp::now())).await;
    match read.unwrap_or_else(|| Err("a fault of the program".to_owned())) {
        Ok(standing) => {
            let text = standing.map(|standing| metrics::exposition(&standing, None));
            service.state().chain = text;
            true
        }
        Err(reason) => {
            service.say(&format!("could not read the chain, so it has no metrics: {reason}"));
            false
        }
    }
}

/// End of the newest bundle's period.
async fn newest(service: &Arc<Service>) -> Option<Timestamp> {
    apart(service, |service| pipeline::newest_end(&service.config, Timestamp::now())).await?
}

struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
}

/// Runs once; did it seal a bundle?
async fn run(service: &Arc<Service>, due: Timestamp) -> bool {
    service.say(&format!("running: due {}", instant::format(due)));
    service.state().running = true;
    let at = Timestamp::now();
    let ran = apart(service, move |service| {
        let (result, not_traced) = pipeline::run_traced(&service.config, at, false, &Silent);
        let sealed = result.is_ok();
        let standing = pipeline::standing_after(&service.config, at, &result);
        {
            let mut state = service.state();
            state.chain = Some(metrics::exposition(&standing, Some(Ended { at, sealed })));
            state.runs += 1;
            state.failures += u64::from(!sealed);
            state.is_ready = sealed;
        }
        // Said after it can be asked for: who reads this line and then the metrics finds them agree.
        match &result {
            Ok(outcome) => service.say(&sentence(outcome)),
            Err(error) => service.say(&format!("sealed nothing: {error}")),
        }
        let untold = pipeline::tell(&service.config, at, &standing, sealed);
        for reason in not_traced.into_iter().chain(untold) {
            service.say(&format!("not told: {reason}"));
        }
        sealed
    });
    let sealed = ran.await.unwrap_or_else(|| {
        service.say("sealed nothing: the run ended in a fault of the program");
        false
    });
    service.state().running = false;
    sealed
}

fn sentence(outcome: &RunOutcome) -> String {
    format!(
        "sealed {}#{} with {} findings; {} of {} sources are not in order",
        outcome.origin,
        outcome.seq,
        outcome.findings,
        outcome.not_in_order(),
        outcome.sources.len()
    )
}

async fn answer(listener: TcpListener, service: Arc<Service>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, for one: it passes.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let respond = service_fn(move |request| {
                let response = response(&service, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that goes away or sends nonsense is its own affair.
            drop(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .serve_connection(TokioIo::new(stream), respond)
                    .await,
            );
        });
    }
}

fn response(service: &Service, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let state = service.state();
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") if state.is_ready => {
            (StatusCode::OK, PLAIN, "ok\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/readyz") => {
            (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not ready: see the log\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, OPENMETRICS, exposition(service, &state))
        }
        (_, "/healthz" | "/readyz" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, PLAIN, "not found\n".to_owned()),
    };
    drop(state);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// The chain's metrics, of a leader, and those of this process.
fn exposition(service: &Service, state: &State) -> String {
    let leads = *service.leads.borrow();
    let chain = state.chain.as_deref().filter(|_| leads).unwrap_or_default();
    let process = Process {
        leads,
        ready: state.is_ready,
        running: state.running,
        runs: state.runs,
        failures: state.failures,
    };
    let (cluster, origin) = (&service.config.cluster, &service.config.origin);
    chain.trim_end_matches("# EOF\n").to_owned() + &metrics::of_process(cluster, origin, process)
}
