//! A chain over a connection that goes wrong: after every fault at every request, and after a kill at
//! every request, the next run leaves one chain that verifies.

use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use affidavit::archive::Store;
use affidavit::seal::SealError;
use affidavit::verify::{Policy, verify};

use super::super::super::chains;
use super::super::super::proxy::{FAULTS, Fault, Proxy};
use super::super::{ENDPOINT, store};
use super::{PLAIN, endpoint};
use crate::forge::root_id;
use crate::harness::part_of;
use crate::tools;

/// More requests than a run makes.
const MOST: usize = 200;

/// Tells a killed writer where to write.
const PREFIX: &str = "AFFIDAVIT_TEST_PREFIX";

/// Of one kind of fault, at every request.
#[derive(Default)]
struct Table {
    tried: u32,
    /// Runs that came to their end all the same.
    weathered: u32,
}

/// One bundle; then another through the proxy, where something goes wrong; then the next run, without.
fn one(
    proxy: &Proxy,
    prefix: &str,
    plan: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static,
) -> bool {
    let direct: Box<dyn Store> = store(&endpoint(), prefix);
    chains::seal(&*direct, "first", 1).unwrap();
    proxy.plan(plan);
    let result = chains::seal(&*store(&proxy.endpoint, prefix), "at fault", 1);
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(matches!(error, SealError::Store(_) | SealError::Read(_)), "{prefix}: {text}");
    }
    let places = chains::seal(&*direct, "next", 1).unwrap();
    let size = places[0] + 1;
    // What was said to be sealed is there; what was not leaves no hole.
    let least = if result.is_ok() { 3 } else { 2 };
    assert!((least..=3).contains(&size), "{prefix}: {size}");
    assert_eq!(chains::errors(&*direct, size), Vec::<String>::new(), "{prefix}");
    result.is_ok()
}

#[apply(part)]
fn every_fault_at_every_request_leaves_one_chain() {
    let next = AtomicU32::new(0);
    let tables = Mutex::new(Vec::new());
    let kinds: Vec<Fault> = FAULTS.to_vec();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let proxy = Proxy::before(&endpoint());
                loop {
                    let kind = next.fetch_add(1, Ordering::SeqCst) as usize;
                    let Some(&fault) = kinds.get(kind) else { break };
                    let mut table = Table::default();
                    for position in 0..MOST {
                        let prefix = format!("s3://{PLAIN}/fault-{kind}-{position}");
                        let ended =
                            one(&proxy, &prefix, move |at| (at == position).then_some(fault));
                        if proxy.seen().len() <= position {
                            break;
                        }
                        table.tried += 1;
                        table.weathered += u32::from(ended);
                    }
                    assert!(table.tried > 20, "{fault:?}: {}", table.tried);
                    tables.lock().unwrap().push(table);
                }
            });
        }
    });
    let tables = tables.into_inner().unwrap();
    assert_eq!(tables.len(), FAULTS.len());
    let (tried, weathered) =
        tables.iter().fold((0, 0), |sum, table| (sum.0 + table.tried, sum.1 + table.weathered));
    // A single fault is what retries are for.
    assert!(weathered * 10 > tried * 9, "{weathered} of {tried}");
}

#[apply(part)]
fn a_store_that_goes_away_at_any_request_leaves_one_chain() {
    let next = AtomicU32::new(0);
    let tried = AtomicU32::new(0);
    let faults = [Fault::DropRequest, Fault::DropReply, Fault::Answer(503)];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let proxy = Proxy::before(&endpoint());
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst) as usize;
                    let fault = faults[number % faults.len()];
                    let position = number / faults.len();
                    let prefix = format!("s3://{PLAIN}/gone-{number}");
                    let ended = one(&proxy, &prefix, move |at| (at >= position).then_some(fault));
                    if ended && proxy.seen().len() <= position {
                        break;
                    }
                    tried.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let tried = tried.into_inner();
    assert!(tried > 60, "{tried}");
}

#[apply(part)]
fn a_writer_killed_at_any_request_is_finished() {
    let mut killed = 0;
    let proxy = Proxy::before(&endpoint());
    for done in [false, true] {
        for position in 0..MOST {
            let prefix = format!("s3://{PLAIN}/killed-{position}-{done}");
            let direct = store(&endpoint(), &prefix);
            chains::seal(&*direct, "first", 1).unwrap();
            let pid = std::sync::Arc::new(Mutex::new(None::<u32>));
            let victim = pid.clone();
            // The writer waits at its request, which the server has seen or not, until it is dead.
            proxy.plan(move |at| {
                if at != position {
                    return None;
                }
                kill(victim.lock().unwrap().unwrap());
                Some(if done { Fault::DropReply } else { Fault::DropRequest })
            });
            let mut held = pid.lock().unwrap();
            let mut writer = part_of("contract::s3::granted::faults::writes_once")
                .env(ENDPOINT, &proxy.endpoint)
                .env(PREFIX, &prefix)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            *held = Some(writer.id());
            drop(held);
            let ended = writer.wait().unwrap();
            let places = chains::seal(&*direct, "next", 1).unwrap();
            let size = places[0] + 1;
            assert!(matches!(size, 2 | 3), "{prefix}: {size}");
            assert_eq!(chains::errors(&*direct, size), Vec::<String>::new(), "{prefix}");
            if ended.success() {
                assert_eq!(size, 3, "{prefix}");
                break;
            }
            killed += 1;
        }
    }
    assert!(killed > 40, "{killed}");
}

/// What is killed.
#[apply(part)]
fn writes_once() {
    // Among the other parts there is nothing for it to do.
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    chains::seal(&*store(&endpoint(), &prefix), "killed", 1).unwrap();
}

fn kill(pid: u32) {
    let output = tools::KILL.command().args(["-9", &pid.to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Writing what is there already asks the store for its digest and fetches nothing. That something else is there
/// is believed only of its bytes: a digest that one answer gives may be wrong, and the run would end.
#[apply(part)]
fn what_is_there_is_compared_by_its_digest() {
    let proxy = Proxy::before(&endpoint());
    let through = store(&proxy.endpoint, &format!("s3://{PLAIN}/digest"));
    let large: Vec<u8> = (0..(32_u32 << 20) / 4 + 3).flat_map(u32::to_le_bytes).collect();
    let other: Vec<u8> = large.iter().map(|byte| byte ^ 1).collect();
    for (path, bytes, other) in [
        ("VERIFY.md", &b"text"[..], &b"tent"[..]),
        ("receipts/0000000000.txt", &large, &other),
        ("receipts/0000000001.txt", &large[..], b"short"),
    ] {
        use affidavit::archive::Put;
        assert_eq!(through.put_new(path, bytes).unwrap(), Put::Created);
        proxy.plan(|_| None);
        assert_eq!(through.put_new(path, bytes).unwrap(), Put::Same);
        let gets = || proxy.seen().iter().filter(|line| line.starts_with("GET")).count();
        assert_eq!(gets(), 0, "{path}");
        assert_eq!(through.put_new(path, other).unwrap(), Put::Other);
        assert_eq!(gets(), 1, "{path}");
        assert!(through.read(path).unwrap() == bytes, "{path}");
    }
}

/// A log is read with many requests under way: a slow store makes a verification late once, not at every
/// object.
#[apply(part)]
fn a_log_is_read_ahead() {
    const BUNDLES: usize = 60;
    let prefix = format!("s3://{PLAIN}/ahead");
    chains::seal(&*store(&endpoint(), &prefix), "writer", BUNDLES).unwrap();
    let proxy = Proxy::before(&endpoint());
    proxy.plan(|_| Some(Fault::Delay));
    let start = std::time::Instant::now();
    let policy = Policy { deep: false, ..Policy::new([root_id()].into(), chains::now()) };
    let verdict = verify(&*store(&proxy.endpoint, &prefix), &policy).unwrap();
    let took = start.elapsed();
    assert!(verdict.is_verified() && verdict.checked.statements == BUNDLES as u64, "{verdict:?}");
    let log = proxy
        .seen()
        .iter()
        .filter(|line| line.contains("/ahead/log/") || line.contains("/checkpoints/"))
        .count();
    // Each object once, but for the checkpoint that the head is compared with.
    assert!((3 * BUNDLES..=3 * BUNDLES + 2).contains(&log), "{log}");
    let others = proxy.seen().len() - log;
    let one_by_one = Fault::DELAY * u32::try_from(log).unwrap();
    let apart = took.saturating_sub(Fault::DELAY * u32::try_from(others).unwrap());
    assert!(apart < one_by_one / 6, "{log} objects: {apart:?} of {one_by_one:?} one by one");
}
