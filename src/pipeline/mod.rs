//! The straight line: collect → evaluate → report → seal. The only module that knows all edges.

mod draft;
mod prepared;
mod proxies;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use draft::{Draft, Place, pruning, source_refs};
use jiff::Timestamp;
use prepared::{InputReader, Keys, Prepared};
pub use proxies::{past_proxies, past_proxies_to_tell};

use crate::alert::Standing;
use crate::archive::{Store, StoreError};
use crate::assessment::StatusCounts;
use crate::collect::CollectError;
use crate::config::{Config, FleetCluster, From, Source};
use crate::evaluate::Evaluation;
use crate::evidence::digest::Digest;
use crate::evidence::items::ItemError;
use crate::evidence::key::KeyId;
use crate::evidence::keyring::{CheckedKeyring, KeyringError};
use crate::evidence::statement::{Listing, Pruned, Statement};
use crate::evidence::{instant, layout};
use crate::framework::builtin::FindError;
use crate::framework::{Framework, builtin};
use crate::notify::trace::Trace;
use crate::notify::{Ended, trace};
use crate::population::ClusterIdentity;
use crate::record::{InputItem, SourceItem};
use crate::remote::random_share;
use crate::render::RenderError;
use crate::render::build::BuildError;
use crate::run::{Run, RunError};
use crate::seal::{Log, SealError, Sealed, Sealer};
use crate::sealed::{Bundle, SealedError};
use crate::sign::{Secret, Secrets, SignError, Signer};
use crate::verify::Archive;
use crate::verify::pin::Pin;
use crate::{archive, collect, disclose, notify, scanner, sign};

/// How often a run starts again because another writer won its place.
const MAX_ATTEMPTS: u32 = 40;

/// Longest pause after the first of these times; longer after the next ones.
const LOST_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of inputs that are kept from reading them to archiving them; what is beyond is read twice.
const KEPT: usize = 96 << 20;

/// Name and version of this program, as sealed.
pub const TOOL: (&str, &str) = ("affidavit", env!("CARGO_PKG_VERSION"));

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFailure {
    /// Inputs could not be collected.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The archive could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A framework that this program does not have.
    #[error(transparent)]
    Framework(#[from] FindError),
    /// A file named by the configuration could not be read.
    #[error("{path}: {reason}")]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a file named by the configuration says is not valid.
    #[error("{path}: {reason}")]
    Content {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An input could not be read, or not twice the same. [`run_with`] seals that instead.
    #[error("{origin}: {reason}")]
    Input {
        /// Path in the bundle.
        path: String,
        /// Where it lies.
        origin: PathBuf,
        /// Why.
        reason: String,
    },
    /// The keyring is not valid.
    #[error("keyring {path}: {source}")]
    Keyring {
        /// Path.
        path: PathBuf,
        /// Why.
        source: KeyringError,
    },
    /// The keyring is for another chain.
    #[error("the keyring is for `{keyring}` and the configuration says `{configured}`")]
    Origin {
        /// The keyring's origin.
        keyring: String,
        /// The configuration's.
        configured: String,
    },
    /// Items could not be written.
    #[error(transparent)]
    Items(#[from] ItemError),
    /// The run record could not be written.
    #[error("could not write the run record: {0}")]
    Run(#[from] RunError),
    /// The items that were just written could not be read back.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The report model could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The report could not be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A source is not in order, and `--strict` was given.
    #[error("source {name} is {standing}: {detail}")]
    Strict {
        /// Its name.
        name: String,
        /// How it stands.
        standing: String,
        /// Why.
        detail: String,
    },
    /// Too many other writers.
    #[error("{MAX_ATTEMPTS} times another writer won the next place in the chain")]
    Contended,
}

impl RunFailure {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Sign(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Seal(error) => error.help(),
            Self::Framework(_) => "`affidavit frameworks list` shows what there is",
            Self::Keyring { .. } => "`affidavit init` makes a keyring",
            Self::Origin { .. } => "use the keyring of this chain, or correct `origin`",
            Self::Input { .. } => "let the scanner finish before the run starts",
            Self::Strict { .. } => "run the scanner again, or leave out --strict to seal the gap",
            Self::Contended => "let one writer at a time write to a chain",
            Self::Collect(_) | Self::File { .. } => "check the path and the permissions",
            Self::Content { .. } => "correct what the file says",
            _ => "this is a fault of the program: report it",
        }
    }

    /// Is the configuration at fault, and not the world?
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        if let Self::Sign(error) = self {
            return error.is_configuration();
        }
        if let Self::Store(error) | Self::Seal(SealError::Store(error)) = self {
            return error.is_usage();
        }
        matches!(
            self,
            Self::Framework(_)
                | Self::File { .. }
                | Self::Content { .. }
                | Self::Keyring { .. }
                | Self::Origin { .. }
                | Self::Seal(SealError::KeyringExpired { .. } | SealError::KeyNotAllowed { .. })
        )
    }
}

/// Is told what a run is doing.
pub trait Progress {
    /// The next step has begun.
    fn step(&self, text: &str);
}

/// What a run found and sealed.
#[derive(Debug)]
pub struct RunOutcome {
    /// The archive, for people.
    pub archive: String,
    /// Options by which reading commands find it.
    pub archive_options: String,
    /// Origin of the chain.
    pub origin: String,
    /// Place of the bundle.
    pub seq: u64,
    /// Digest of the statement.
    pub statement: Digest,
    /// Path of the bundle in the archive.
    pub bundle: String,
    /// The head to pin; `None` when nothing new was sealed.
    pub pin: Option<Pin>,
    /// Was the same run already in the archive?
    pub already_recorded: bool,
    /// `(id@version, title, counts)` per framework.
    pub frameworks: Vec<(String, String, StatusCounts)>,
    /// Declared sources and how they stand.
    pub sources: Vec<SourceItem>,
    /// Findings in all.
    pub findings: usize,
    /// Was something declared missing or broken?
    pub incomplete: bool,
    /// What a person should look at, in sentences: decisions that have no effect, sources that expect nothing.
    pub notices: Vec<String>,
    /// Fingerprints of the root keys.
    pub roots: Vec<KeyId>,
    /// Why the report's signature has no timestamp though one was wanted.
    pub without_timestamp: Option<String>,
    /// Was a chain begun in a store that does not say whether one was removed there?
    pub past_unknown: bool,
    /// Bundles whose payloads were removed after their retention.
    pub pruned: u64,
    /// Why payloads that should go could not be removed.
    pub not_pruned: Option<String>,
}

impl RunOutcome {
    /// How many sources are not in order.
    #[must_use]
    pub fn not_in_order(&self) -> usize {
        self.sources.iter().filter(|source| source.standing != "ok").count()
    }
}

/// Runs once: collects, assesses, reports, seals and archives. `strict` stops before anything is
/// sealed when a declared source is not in order.
///
/// # Errors
/// [`RunFailure`]. What is not satisfied or not assessed is no failure: it is the result.
pub fn run(
    config: &Config,
    now: Timestamp,
    strict: bool,
    progress: &dyn Progress,
) -> Result<RunOutcome, RunFailure> {
    let store = archive::open(&config.archive, now)?;
    let signer = sign::open(&config.keys.signer, &secrets(config)?)?;
    run_with(config, &*store, &*signer, now, strict, progress)
}

/// Keeps when each step began.
struct Recorder<'a> {
    progress: &'a dyn Progress,
    steps: RefCell<Vec<(String, SystemTime)>>,
}

impl Progress for Recorder<'_> {
    fn step(&self, text: &str) {
        self.steps.borrow_mut().push((text.to_owned(), SystemTime::now()));
        self.progress.step(text);
    }
}

/// [`run()`], with a trace of it where the configuration names a collector; gives why that could not be
/// sent.
pub fn run_traced(
    config: &Config,
    now: Timestamp,
    strict: bool,
    progress: &dyn Progress,
) -> (Result<RunOutcome, RunFailure>, Option<String>) {
    let Some(address) = &config.notify.traces else {
        return (run(config, now, strict, progress), None);
    };
    let recorder = Recorder { progress, steps: RefCell::default() };
    let begun = SystemTime::now();
    let result = run(config, now, strict, &recorder);
    let trace = Trace {
        begun,
        ended: SystemTime::now(),
        steps: recorder.steps.into_inner(),
        cluster: config.cluster.clone(),
        origin: config.origin.clone(),
        result: match &result {
            Ok(outcome) => Ok(trace::Sealed {
                seq: outcome.seq,
                findings: outcome.findings,
                not_in_order: outcome.not_in_order(),
            }),
            Err(error) => Err(error.to_string()),
        },
    };
    let untold = trace::send(address, &trace).err();
    (result, untold.map(|reason| format!("traces: {reason}")))
}

/// Runs once and tells whom the configuration names; gives the result and what could not be told.
pub fn run_and_tell(
    config: &Config,
    now: Timestamp,
    strict: bool,
    progress: &dyn Progress,
) -> (Result<RunOutcome, RunFailure>, Vec<String>) {
    let (result, not_traced) = run_traced(config, now, strict, progress);
    let mut untold = Vec::from_iter(not_traced);
    if !config.notify.is_empty() {
        progress.step("telling how it ended");
        untold.extend(tell(config, now, &standing_after(config, now, &result), result.is_ok()));
    }
    (result, untold)
}

/// How the chain stands after a run.
#[must_use]
pub fn standing_after(
    config: &Config,
    now: Timestamp,
    result: &Result<RunOutcome, RunFailure>,
) -> Standing {
    let standing = standing(config, now).unwrap_or_default();
    match result {
        Ok(_) => standing,
        Err(error) => standing.failed(&config.cluster, &config.origin, now, &error.to_string()),
    }
}

/// Tells whom the configuration names how a run at that time ended; gives what could not be told.
#[must_use]
pub fn tell(config: &Config, now: Timestamp, standing: &Standing, sealed: bool) -> Vec<String> {
    notify::tell(&config.notify, &config.access, standing, Some(Ended { at: now, sealed }))
}

/// End of the newest bundle's period in the configured archive; `None` where there is none.
#[must_use]
pub fn newest_end(config: &Config, now: Timestamp) -> Option<Timestamp> {
    let store = archive::open(&config.archive, now).ok()?;
    let seq = disclose::size(&*store).ok()?.checked_sub(1)?;
    let statement = Statement::parse(&store.read(&layout::statement(seq)).ok()?).ok()?;
    instant::parse(&statement.predicate.time.period_end)
}

/// How the chain in the configured archive stands; `None` where nothing can be read.
#[must_use]
pub fn standing(config: &Config, now: Timestamp) -> Option<Standing> {
    read_standing(config, now).ok().flatten()
}

/// The same, where nothing is sealed yet apart from what cannot be read.
///
/// # Errors
/// Why it cannot be read.
pub fn read_standing(config: &Config, now: Timestamp) -> Result<Option<Standing>, String> {
    let store = archive::open(&config.archive, now).map_err(|error| error.to_string())?;
    let size = disclose::size(&*store).map_err(|error| error.to_string())?;
    let Some(seq) = size.checked_sub(1) else { return Ok(None) };
    let standing = Standing::read(&*store, seq, now, config.notify.soon_days);
    standing.map(Some).map_err(|error| error.to_string())
}

/// [`run()`] with a store and a signer of the caller's.
///
/// # Errors
/// [`RunFailure`].
pub fn run_with(
    config: &Config,
    store: &dyn Store,
    signer: &dyn Signer,
    now: Timestamp,
    strict: bool,
    progress: &dyn Progress,
) -> Result<RunOutcome, RunFailure> {
    // Whole seconds: what is sealed is what was judged by.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    progress.step("opening keys and archive");
    let keys = Keys::load(config, now)?;
    // Decisions that cannot be read stop a run before it begins.
    let rules = Prepared::new(config, now, collect::Collected::default())?;
    let mut nothing = InputReader { origins: &rules.origins, kept: BTreeMap::new(), room: 0 };
    rules.evaluate(&mut nothing)?;
    let sealer = Sealer::open(store, signer, &keys.keyring, &keys.envelopes, now)?;

    let remembered = remembering(config, store)?;
    let config = remembered.as_ref().unwrap_or(config);

    progress.step("collecting inputs");
    let spool = spool()?;
    let known = known_heads(config, store)?;
    let collected = collected(config, now, known, None, spool.path(), progress)?;
    let mut prepared = Prepared::new(config, now, collected)?;
    loop {
        let run = Attempt {
            config,
            now,
            strict,
            progress,
            store,
            signer,
            keys: &keys,
            prepared: &prepared,
        };
        let result = run.seal(&sealer);
        match result.as_ref().err().and_then(|error| prepared.lost(error)) {
            // A run that cannot read something seals that it could not, once for each input at most.
            Some((path, reason)) => prepared.leave_out(&path, &reason),
            None => return result,
        }
    }
}

/// One attempt to seal what was collected.
struct Attempt<'a> {
    config: &'a Config,
    now: Timestamp,
    strict: bool,
    progress: &'a dyn Progress,
    store: &'a dyn Store,
    signer: &'a dyn Signer,
    keys: &'a Keys,
    prepared: &'a Prepared,
}

impl Attempt<'_> {
    fn seal(&self, sealer: &Sealer<'_>) -> Result<RunOutcome, RunFailure> {
        let &Self { config, now, strict, progress, store, signer, keys, prepared } = self;
        progress.step("reading and assessing");
        let mut reader =
            InputReader { origins: &prepared.origins, kept: BTreeMap::new(), room: KEPT };
        let evaluation = prepared.evaluate(&mut reader)?;
        if strict
            && let Some(source) = evaluation.sources().iter().find(|source| source.standing != "ok")
        {
            return Err(RunFailure::Strict {
                name: source.name.clone(),
                standing: source.standing.clone(),
                detail: source.detail.clone(),
            });
        }
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                progress.step("another run was faster: taking the next place");
                std::thread::sleep(pause_after(attempt));
            }
            let log = sealer.log()?;
            if let Some(outcome) =
                already_recorded(config, &log, &evaluation, prepared, keys, store)
            {
                return Ok(outcome);
            }
            progress.step("writing the report");
            let place = Place::next(config, now, &log);
            let draft = Draft::new(config, prepared, &evaluation, keys, &place, signer)?;
            progress.step("sealing and archiving");
            let mut input = |path: &str| reader.again(path, draft.input_digests.get(path));
            let result = sealer.seal(
                &log,
                &draft.payload,
                &mut input,
                &draft.input_digests,
                |sums, files| draft.statement(sums, files),
            )?;
            if let Sealed::Done { seq, statement, sums, pin } = result {
                let mut outcome = outcome(config, &evaluation, keys, store);
                outcome.seq = seq;
                outcome.statement = statement;
                outcome.bundle = format!("bundles/{sums}");
                outcome.pin = Some(pin);
                outcome.without_timestamp = draft.without_timestamp;
                outcome.past_unknown = seq == 0 && sealer.is_past_unknown();
                prune(config, sealer, &log, place.pruned.as_ref(), &mut outcome);
                return Ok(outcome);
            }
        }
        Err(RunFailure::Contended)
    }
}

/// Longer after each place that was lost, and for each writer another time, so that those who met once do not
/// meet again.
fn pause_after(attempt: u32) -> Duration {
    (LOST_PAUSE * attempt.min(8)).mul_f64(random_share())
}

/// Removes the payloads that the tombstone just sealed allows to remove. What cannot be removed is no
/// fault of the evidence: the run says so, and the next one tries again.
fn prune(
    config: &Config,
    sealer: &Sealer<'_>,
    log: &Log,
    pruned: Option<&Pruned>,
    outcome: &mut RunOutcome,
) {
    let Some(pruned) = pruned.filter(|_| pruning(config).is_some()) else { return };
    match sealer.prune(log, pruned.before) {
        Ok(removed) => outcome.pruned = removed,
        Err(error) => outcome.not_pruned = Some(error.to_string()),
    }
}

/// What a run would find, without judging the archive or writing to it.
#[derive(Debug)]
pub struct Rehearsal {
    /// Declared sources and how they stand.
    pub sources: Vec<SourceItem>,
    /// The clusters that were asked.
    pub clusters: Vec<ClusterIdentity>,
    /// `(id@version, title, counts)` per framework.
    pub frameworks: Vec<(String, String, StatusCounts)>,
    /// Would something declared be missing or broken?
    pub incomplete: bool,
    /// What a person should look at, in sentences.
    pub notices: Vec<String>,
}

/// Tries what sealing depends on, without writing anything: keys, keyring, and the chain in the archive.
///
/// # Errors
/// [`RunFailure`], as [`run()`] would end with.
pub fn rehearse_sealing(config: &Config, now: Timestamp) -> Result<(), RunFailure> {
    let keys = Keys::load(config, now)?;
    let signer = sign::open(&config.keys.signer, &secrets(config)?)?;
    sign::probe(&config.keys.signer, &*signer)?;
    let uri = &config.archive.uri;
    // Before the first run there is no folder yet.
    if uri.contains("://") || Path::new(uri).exists() {
        let store = archive::open(&config.archive, now)?;
        Sealer::look(&*store, &*signer, &keys.keyring, &keys.envelopes, now)?;
    }
    Ok(())
}

/// Collects and assesses as a run does, and seals nothing.
///
/// # Errors
/// [`RunFailure`].
pub fn rehearse(
    config: &Config,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<Rehearsal, RunFailure> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let spool = spool()?;
    let collected = gather(config, now, None, spool.path(), progress)?;
    let prepared = Prepared::new(config, now, collected)?;
    let mut reader = InputReader { origins: &prepared.origins, kept: BTreeMap::new(), room: 0 };
    let evaluation = prepared.evaluate(&mut reader)?;
    Ok(Rehearsal {
        sources: evaluation.sources().to_vec(),
        clusters: evaluation.clusters().cloned().collect(),
        frameworks: totals(&evaluation),
        incomplete: evaluation.is_incomplete(),
        notices: notices(config, &evaluation),
    })
}

/// Collects what a run would read into a folder, and neither judges nor seals it. Of a fleet's clusters a
/// share may be read for a run elsewhere: its number from 0, and of how many.
///
/// # Errors
/// [`RunFailure`].
pub fn gather(
    config: &Config,
    now: Timestamp,
    share: Option<(usize, usize)>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<collect::Collected, RunFailure> {
    let uri = &config.archive.uri;
    // Before the first run there is no folder yet.
    let begun = uri.contains("://") || Path::new(uri).exists();
    let known = if begun {
        known_heads(config, &*archive::open(&config.archive, now)?)?
    } else {
        BTreeMap::new()
    };
    collected(config, now, known, share, folder, progress)
}

/// Heads of a fleet's clusters, as its newest bundle pins them: their archives must continue them.
fn known_heads(
    config: &Config,
    archive: &dyn Archive,
) -> Result<BTreeMap<String, Pin>, RunFailure> {
    if !config.is_fleet() {
        return Ok(BTreeMap::new());
    }
    let size = disclose::size(archive).map_err(StoreError::from)?;
    let Some(newest) = size.checked_sub(1) else { return Ok(BTreeMap::new()) };
    let bundle = Bundle::read_without_findings(archive, newest, &[])?;
    let pins = bundle.items.members.iter().filter_map(|member| {
        // A cluster that was never seen has no head.
        let pin = Pin::parse(member.pin()).ok()?;
        Some((member.cluster.clone(), pin))
    });
    Ok(pins.collect())
}

/// The configuration with the UID of the cluster that the newest bundle is about, where it names none itself and
/// asks a cluster.
fn remembering(config: &Config, store: &dyn Store) -> Result<Option<Config>, RunFailure> {
    let asks = |source: &Source| matches!(source.from, From::Cluster { .. });
    if !config.cluster_uid.is_empty() || !config.sources.iter().any(asks) {
        return Ok(None);
    }
    let failed = |error: crate::verify::ReadFailure| RunFailure::from(SealError::from(error));
    let Some(seq) = disclose::size(store).map_err(failed)?.checked_sub(1) else {
        return Ok(None);
    };
    let statement = store.read(&layout::statement(seq)).map_err(failed)?;
    let sums = Statement::parse(&statement).ok().and_then(|statement| statement.sums());
    let Some(sums) = sums else { return Ok(None) };
    // A bundle whose payload was removed after its retention says nothing any more.
    let run = store.read(&layout::bundle_file(&sums, layout::RUN)).ok();
    let uid = run.and_then(|run| Run::parse(&run).ok()).map(|run| run.cluster.uid);
    Ok(uid.filter(|uid| !uid.is_empty()).map(|uid| Config { cluster_uid: uid, ..config.clone() }))
}

fn collected(
    config: &Config,
    now: Timestamp,
    known: BTreeMap<String, Pin>,
    share: Option<(usize, usize)>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<collect::Collected, RunFailure> {
    let readers = archive::Readers::default();
    let open =
        |cluster: &FleetCluster| readers.open(&cluster.archive).map_err(|error| error.to_string());
    let mut frameworks = Vec::new();
    for (id, version) in &config.frameworks {
        let framework = builtin::find(id, version.as_deref())?;
        frameworks.push((framework.id.clone(), framework.key()));
    }
    let fleet = collect::Fleet { open: &open, known, tool: TOOL, frameworks, share };
    Ok(collect::collect(config, now, folder, &fleet, &|text| progress.step(text))?)
}

fn spool() -> Result<tempfile::TempDir, RunFailure> {
    tempfile::tempdir()
        .map_err(|error| RunFailure::File { path: std::env::temp_dir(), reason: error.to_string() })
}

/// The newest keyring of a configuration, and the root keys that auditors were told: those of its first.
///
/// # Errors
/// [`RunFailure`].
pub fn keyring(
    config: &Config,
    now: Timestamp,
) -> Result<(CheckedKeyring, Vec<KeyId>), RunFailure> {
    Keys::load(config, now).map(|keys| (keys.keyring, keys.roots))
}

/// Secrets from where the environment and the configuration say.
///
/// # Errors
/// [`RunFailure::File`].
pub fn secrets(config: &Config) -> Result<Secrets, RunFailure> {
    let mut secrets = Secrets::from_environment();
    if secrets.passphrase.is_none()
        && let Some(path) = &config.keys.passphrase_file
    {
        secrets.passphrase = Some(Secret::new(&read_text(path)?));
    }
    Ok(secrets)
}

fn read_text(path: &Path) -> Result<String, RunFailure> {
    std::fs::read_to_string(path)
        .map_err(|error| RunFailure::File { path: path.to_owned(), reason: error.to_string() })
}

/// The same run twice (a retry of a job that had in fact come to its end) is recorded once.
fn already_recorded(
    config: &Config,
    log: &Log,
    evaluation: &Evaluation,
    prepared: &Prepared,
    keys: &Keys,
    store: &dyn Store,
) -> Option<RunOutcome> {
    let newest = log.newest.as_ref()?;
    let predicate = &newest.statement.predicate;
    let same = predicate.time.created == prepared.run.created
        && predicate.sources == Listing::Here(source_refs(evaluation));
    if !same {
        return None;
    }
    let mut outcome = outcome(config, evaluation, keys, store);
    outcome.seq = newest.seq;
    outcome.statement = newest.digest;
    outcome.bundle = newest.statement.sums().map(|s| format!("bundles/{s}")).unwrap_or_default();
    outcome.pin = Some(log.pin(&config.origin));
    outcome.already_recorded = true;
    Some(outcome)
}

fn outcome(config: &Config, evaluation: &Evaluation, keys: &Keys, store: &dyn Store) -> RunOutcome {
    RunOutcome {
        archive: store.describe(),
        archive_options: config.archive.options(),
        origin: config.origin.clone(),
        seq: 0,
        statement: Digest::of(b""),
        bundle: String::new(),
        pin: None,
        already_recorded: false,
        frameworks: totals(evaluation),
        sources: evaluation.sources().to_vec(),
        findings: evaluation.findings(),
        incomplete: evaluation.is_incomplete(),
        notices: notices(config, evaluation),
        roots: keys.roots.clone(),
        without_timestamp: None,
        past_unknown: false,
        pruned: 0,
        not_pruned: None,
    }
}

/// Id, title and counts of each framework.
fn totals(evaluation: &Evaluation) -> Vec<(String, String, StatusCounts)> {
    let frameworks = evaluation.frameworks.iter();
    let total = |(framework, results): &(Framework, Vec<_>)| {
        (framework.key(), framework.title.clone(), Evaluation::counts(results))
    };
    frameworks.map(total).collect()
}

/// What a person should look at, in sentences.
fn notices(config: &Config, evaluation: &Evaluation) -> Vec<String> {
    let mut notices = evaluation.idle_decisions();
    for source in evaluation.sources() {
        let by_file = |input: &&InputItem| {
            input.source == source.name
                && input.taken_at_basis == "file-time"
                && input.formats.iter().any(|format| scanner::is_dated(format))
        };
        match evaluation.inputs().iter().filter(by_file).count() {
            0 => {}
            count => {
                let what =
                    if count == 1 { "1 report carries" } else { &format!("{count} reports carry") };
                notices.push(format!(
                    "source {}: {what} no time, so the time of the file counts (`taken_at` states another)",
                    source.name
                ));
            }
        }
    }
    for namespace in config.namespaces.keys() {
        if !evaluation.has_namespace(namespace) {
            notices.push(format!("namespaces: nothing is about the namespace `{namespace}`"));
        }
    }
    for source in config.sources.iter().filter(|source| source.is_open()) {
        notices.push(format!(
            "source {} does not say how many files or which nodes it expects: a missing one would go unnoticed (set `expect_files` or `expect_nodes`)",
            source.name
        ));
    }
    notices
}
