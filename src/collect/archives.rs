//! The archives of a fleet's clusters: each is verified, and what its newest bundle says becomes a
//! document ([`fleet::Report`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::assessment::Status;
use crate::config::{FleetCluster, Parts};
use crate::evidence::instant;
use crate::evidence::layout;
use crate::evidence::statement::Listing;
use crate::member::State;
use crate::scanner::fleet::{self, Fault, Newest, Report};
use crate::sealed::{Bundle, Record, SealedError};
use crate::verify::pin::Pin;
use crate::verify::{self, Archive, FailureCode, Policy, ReadFailure, Verdict};

/// Archives that are read at once: most of the time goes into waiting for stores.
const AT_ONCE: usize = 16;

/// Faults of an archive that are written down; how many there are is written too.
const FAULTS: usize = 20;

/// What an archive lacks between a claim and its checkpoint.
const UNDER_WAY: [FailureCode; 3] =
    [FailureCode::UnsignedClaim, FailureCode::CheckpointMissing, FailureCode::HeadRolledBack];

/// How long that is waited for, each time.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];

/// Opens an archive for reading.
pub type Open<'a> = dyn Fn(&FleetCluster) -> Result<Box<dyn Archive>, String> + Sync + 'a;

/// What reading a fleet's archives takes.
pub struct Fleet<'a> {
    /// How to open an archive.
    pub open: &'a Open<'a>,
    /// Heads that are known from earlier, by cluster.
    pub known: BTreeMap<String, Pin>,
    /// Name and version of this program.
    pub tool: (&'a str, &'a str),
    /// Frameworks of the fleet: id and `id@version`.
    pub frameworks: Vec<(String, String)>,
    /// Which share of the clusters is read here, for a run elsewhere: number from 0, and of how many;
    /// `None`: all of them, or what shares have left.
    pub share: Option<(usize, usize)>,
}

/// Reads the archives of clusters, or what others left of them, and writes one document each. Gives them
/// in the order of the clusters.
///
/// # Errors
/// What could not be written, with its path.
pub(super) fn read(
    fleet: &Fleet<'_>,
    clusters: &[FleetCluster],
    parts: Option<&Parts>,
    max_age_seconds: i64,
    now: Timestamp,
    folder: &Path,
    step: &dyn Fn(&str),
) -> Result<super::Gathered, (PathBuf, std::io::Error)> {
    let (share, of) = fleet.share.unwrap_or((0, 1));
    let parts = parts.filter(|_| fleet.share.is_none());
    let mine: Vec<&FleetCluster> = clusters
        .iter()
        .enumerate()
        .filter(|(index, _)| index % of == share)
        .map(|(_, c)| c)
        .collect();
    step(&format!("reading the archives of {} clusters", mine.len()));
    let next = AtomicUsize::new(0);
    let fault: Mutex<Option<(PathBuf, std::io::Error)>> = Mutex::default();
    let path_of = |cluster: &FleetCluster| folder.join(format!("{}.json", cluster.name));
    let work = || {
        while let Some(cluster) = mine.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = path_of(cluster);
            let bytes = match parts {
                Some(parts) => left(fleet, cluster, parts, now),
                None => look(fleet, cluster, max_age_seconds, now).to_bytes(),
            };
            if let Err(error) = write_whole(&path, &bytes) {
                fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((path, error));
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(mine.len()) {
            scope.spawn(work);
        }
    });
    match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(fault) => Err(fault),
        None => Ok(super::Gathered {
            files: mine
                .into_iter()
                .map(|cluster| super::GatheredFile::made(path_of(cluster)))
                .collect(),
            ..super::Gathered::default()
        }),
    }
}

/// Nobody who reads the folder meanwhile sees a part of it.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, path)
}

/// A cluster of which nothing is believed yet.
fn nothing(fleet: &Fleet<'_>, cluster: &FleetCluster, now: Timestamp) -> Report {
    let known = fleet.known.get(&cluster.name).map(Pin::line).unwrap_or_default();
    let mut expects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, key) in &fleet.frameworks {
        if cluster.frameworks.as_ref().is_none_or(|only| only.contains(id)) {
            expects.entry(id).or_default().push(key.clone());
        }
    }
    let (name, version) = fleet.tool;
    Report {
        schema: fleet::SCHEMA.to_owned(),
        tool: (name.to_owned(), version.to_owned()),
        cluster: cluster.name.clone(),
        roots: cluster.roots.iter().map(ToString::to_string).collect(),
        expects: expects.into_values().collect(),
        checked: now,
        known,
        state: State::Ok,
        detail: String::new(),
        faults: Vec::new(),
        fault_count: 0,
        newest: None,
    }
}

/// What another process left of a cluster. What is not there, or is old, is a cluster that was not read.
fn left(fleet: &Fleet<'_>, cluster: &FleetCluster, parts: &Parts, now: Timestamp) -> Vec<u8> {
    let unread = |detail: String| {
        let report = Report { state: State::Unreadable, detail, ..nothing(fleet, cluster, now) };
        report.to_bytes()
    };
    let bytes = match fs::read(parts.folder.join(format!("{}.json", cluster.name))) {
        Ok(bytes) => bytes,
        Err(error) => return unread(format!("no part was left of it: {error}")),
    };
    let report: Report = match serde_json::from_slice(&bytes) {
        Ok(report) => report,
        Err(error) => return unread(format!("what was left of it cannot be read: {error}")),
    };
    let age = now.as_second() - report.checked.as_second();
    if report.cluster != cluster.name {
        return unread(format!("what was left of it is of {}", report.cluster));
    }
    if age > parts.max_age_seconds {
        return unread(format!("it was read last at {}", instant::format(report.checked)));
    }
    let trusted: Vec<String> = cluster.roots.iter().map(ToString::to_string).collect();
    if report.roots != trusted {
        return unread("it was judged by other root keys than the fleet's".to_owned());
    }
    // Who reads a share holds the log against the head that is known; who rolls up sees to it that what was
    // left is not older than that.
    let head = report.newest.as_ref().and_then(|newest| Pin::parse(&newest.checkpoint).ok());
    if let (Some(head), Some(known)) = (head, fleet.known.get(&cluster.name))
        && (head.size < known.size || (head.size == known.size && head != *known))
    {
        let detail = "what was left of it does not continue the head that was seen last".to_owned();
        let behind = Report { state: State::NotVerified, detail, ..nothing(fleet, cluster, now) };
        return behind.to_bytes();
    }
    bytes
}

/// Verifies a cluster's archive and reads its newest bundle.
fn look(fleet: &Fleet<'_>, cluster: &FleetCluster, max_age_seconds: i64, now: Timestamp) -> Report {
    let mut report = nothing(fleet, cluster, now);
    if let Err((state, detail)) = judge(fleet, cluster, max_age_seconds, &mut report) {
        report.state = state;
        report.detail = detail;
    }
    if !matches!(report.state, State::Ok | State::Stale) {
        report.newest = None;
    }
    report
}

/// Fills in what can be said of a cluster, or says why nothing can.
fn judge(
    fleet: &Fleet<'_>,
    cluster: &FleetCluster,
    max_age_seconds: i64,
    report: &mut Report,
) -> Result<(), (State, String)> {
    let now = report.checked;
    let unreadable = |reason: String| (State::Unreadable, reason);
    let uri = &cluster.archive.uri;
    if !uri.contains("://") && !Path::new(uri).exists() {
        return Err((State::Absent, "there is no archive".to_owned()));
    }
    let archive = (fleet.open)(cluster).map_err(unreadable)?;
    let policy = Policy {
        live: true,
        deep: false,
        pins: fleet.known.get(&cluster.name).cloned().into_iter().collect(),
        ..Policy::new(cluster.roots.clone(), now)
    };
    let verdict = settled(&*archive, &policy).map_err(|error| unreadable(error.to_string()))?;
    let errors = || verdict.findings.iter().filter(|finding| finding.is_fault());
    report.fault_count = errors().count() as u64;
    report.faults = errors()
        .take(FAULTS)
        .map(|finding| Fault {
            code: finding.code.to_string(),
            object: finding.object.clone(),
            expected: finding.expected.clone(),
            found: finding.found.clone(),
        })
        .collect();
    // A log that is empty was never begun, unless somebody has seen its head.
    if verdict.checked.statements == 0 && !fleet.known.contains_key(&cluster.name) {
        return Err((State::Absent, "its archive has no bundle".to_owned()));
    }
    if let Some(first) = errors().find(|finding| !finding.code.is_of_time()) {
        let state = match first.code {
            FailureCode::FileUnreadable => State::Unreadable,
            _ => State::NotVerified,
        };
        return Err((state, format!("{} at {}", first.code, first.object)));
    }
    // The one that was verified, whatever has been added since.
    let size = verdict.head.as_ref().map_or(0, |head| head.size);
    let newest = newest(&*archive, size.saturating_sub(1)).map_err(|error| {
        let state = match error {
            SealedError::Read(_) => State::Unreadable,
            _ => State::NotVerified,
        };
        (state, error.to_string())
    })?;
    let (created, newest) = newest;
    if let Some(late) = errors().find(|finding| finding.code.is_of_time()) {
        report.state = State::Stale;
        report.detail = format!("expected {}; {}", late.expected, late.found);
    }
    let limit = now.checked_sub(SignedDuration::from_secs(max_age_seconds)).unwrap_or(now);
    if report.state == State::Ok && instant::parse(&created).is_some_and(|created| created < limit)
    {
        report.state = State::Stale;
        report.detail = format!("its newest run is of {created}");
    }
    report.newest = Some(newest);
    Ok(())
}

/// Verifies an archive. A run that is under way has claimed its place and not signed it yet; it is waited
/// for a while.
fn settled(archive: &dyn Archive, policy: &Policy) -> Result<Verdict, ReadFailure> {
    let mut pauses = PAUSES.iter();
    loop {
        let verdict = verify::verify(archive, policy)?;
        let mut errors = verdict.findings.iter().filter(|finding| finding.is_fault());
        let is_under_way = verdict.findings.iter().any(|finding| UNDER_WAY.contains(&finding.code))
            && errors.all(|finding| finding.code.is_of_time() || UNDER_WAY.contains(&finding.code));
        match pauses.next() {
            Some(pause) if is_under_way => thread::sleep(*pause),
            _ => return Ok(verdict),
        }
    }
}

/// A bundle of an archive, with the time of its run.
fn newest(archive: &dyn Archive, seq: u64) -> Result<(String, Newest), SealedError> {
    #[derive(Deserialize)]
    struct Controls {
        frameworks: BTreeMap<String, Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        controls: Vec<Line>,
    }
    #[derive(Deserialize)]
    struct Line {
        control: String,
        status: Status,
    }
    let sealed = Record::read(archive, seq)?;
    let text = |path: String| -> Result<String, SealedError> {
        let bytes = archive.read(&path)?;
        String::from_utf8(bytes)
            .map_err(|_| SealedError::File { path, reason: "it is not text".to_owned() })
    };
    let file = sealed.file(archive, layout::CONTROLS)?;
    let listed: Controls = serde_json::from_slice(&file).map_err(|error| SealedError::File {
        path: layout::CONTROLS.to_owned(),
        reason: error.to_string(),
    })?;
    let mut controls: BTreeMap<String, BTreeMap<Status, Vec<String>>> = BTreeMap::new();
    for (key, listed) in listed.frameworks {
        let of = controls.entry(key).or_default();
        for line in listed.controls {
            of.entry(line.status).or_default().push(line.control);
        }
    }
    let predicate = &sealed.statement.predicate;
    let sources = match &predicate.sources {
        Listing::Here(list) => {
            list.iter().map(|source| (source.name.clone(), source.status.clone())).collect()
        }
        // They stand in the items alone.
        Listing::InRun(_) => {
            let bundle = Bundle::read_without_findings(archive, seq, &[])?;
            let sources = bundle.items.sources.into_values();
            sources.map(|source| (source.name, source.standing)).collect()
        }
    };
    let newest = Newest {
        checkpoint: text(layout::checkpoint(seq + 1))?,
        envelope: text(layout::envelope(seq))?,
        keyrings: (1..=predicate.keyring.version)
            .map(|version| text(layout::keyring(version)))
            .collect::<Result<_, _>>()?,
        sources,
        controls,
    };
    Ok((predicate.time.created.clone(), newest))
}
