//! The straight line: collect → evaluate → report → seal. The only module that knows all edges.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::alert::Standing;
use crate::archive::{self, Store, StoreError};
use crate::assessment::{Basis, Reason, Status, StatusCounts};
use crate::collect::{self, CollectError};
use crate::config::{Config, FleetCluster, ReportSignature, Retention};
use crate::disclose;
use crate::evaluate::{EvaluateError, Evaluation, evaluate};
use crate::evidence::canonical;
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::envelope::Envelope;
use crate::evidence::instant;
use crate::evidence::items::{DisclosureSecret, ItemError, WrittenItems};
use crate::evidence::key::KeyId;
use crate::evidence::keyring::{CheckedKeyring, KeyringError};
use crate::evidence::layout;
use crate::evidence::statement::{
    self, Chain, DigestSet, FrameworkRef, Gap, Items, KeyringRef, Listing, PREDICATE_TYPE,
    Predicate, Pruned, SourceRef, Statement, Subject, TYPE, Time, Tool,
};
use crate::framework::Framework;
use crate::framework::builtin::{self, FindError};
use crate::notify::trace::{self, Trace};
use crate::notify::{self, Ended};
use crate::population::ClusterIdentity;
use crate::render::build::{self, BuildError};
use crate::render::{self, Document, RenderError, Template};
use crate::run::{self, Run, RunError};
use crate::scanner::fleet;
use crate::seal::{Log, Past, Payload, SealError, Sealed, Sealer};
use crate::sealed::{self, Bundle, SealedError};
use crate::sign::report::ReportSigner;
use crate::sign::{self, Secret, Secrets, SignError, Signer};
use crate::verify::Archive;
use crate::verify::bundle::summary_of;
use crate::verify::pin::Pin;

/// How often a run starts again because another writer won its place.
const MAX_ATTEMPTS: u32 = 8;

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
    /// A file named by the configuration could not be read or is not valid.
    #[error("{path}: {reason}")]
    File {
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
            _ => "this is a fault of the program: report it",
        }
    }

    /// Is the configuration at fault, and not the world?
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        if let Self::Sign(error) = self {
            return error.is_configuration();
        }
        matches!(
            self,
            Self::Framework(_)
                | Self::File { .. }
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
    /// Declared sources: name, standing, detail, findings.
    pub sources: Vec<(String, String, String, u64)>,
    /// Findings in all.
    pub findings: usize,
    /// Was something declared missing or broken?
    pub incomplete: bool,
    /// Fingerprints of the root keys.
    pub roots: Vec<KeyId>,
    /// Why the report's signature has no timestamp though one was wanted.
    pub without_timestamp: Option<String>,
    /// Bundles whose payloads were removed after their retention.
    pub pruned: u64,
    /// Why payloads that should go could not be removed.
    pub not_pruned: Option<String>,
}

impl RunOutcome {
    /// How many sources are not in order.
    #[must_use]
    pub fn not_in_order(&self) -> usize {
        self.sources.iter().filter(|(_, standing, ..)| standing != "ok").count()
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
    let store = archive::open(&config.archive, now).ok()?;
    let seq = disclose::size(&*store).ok()?.checked_sub(1)?;
    Standing::read(&*store, seq, now, config.notify.soon_days).ok()
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
    let sealer = Sealer::open(store, signer, &keys.keyring, &keys.envelopes, now)?;

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
        for _ in 0..MAX_ATTEMPTS {
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
                prune(config, sealer, &log, place.pruned.as_ref(), &mut outcome);
                return Ok(outcome);
            }
        }
        Err(RunFailure::Contended)
    }
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
    /// Declared sources: name, standing, detail, findings.
    pub sources: Vec<(String, String, String, u64)>,
    /// The clusters that were asked.
    pub clusters: Vec<ClusterIdentity>,
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
        sources: source_lines(&evaluation),
        clusters: evaluation.clusters().cloned().collect(),
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

/// Keyrings and the secret of a chain.
struct Keys {
    keyring: CheckedKeyring,
    /// Root keys of the first version: the ones that auditors were told.
    roots: Vec<KeyId>,
    envelopes: Vec<Vec<u8>>,
    secret: DisclosureSecret,
    /// Who signs the report PDF.
    report: Option<ReportSigner>,
}

impl Keys {
    fn load(config: &Config, now: Timestamp) -> Result<Self, RunFailure> {
        let mut envelopes = Vec::new();
        let mut keyring = None;
        let mut roots = Vec::new();
        for version in 1.. {
            let name = layout::keyring(version);
            let name = name.strip_prefix("keyring/").unwrap_or(&name);
            let path = config.keys.keyring.join(name);
            if !path.exists() && keyring.is_some() {
                break;
            }
            let failed = |reason: String| RunFailure::File { path: path.clone(), reason };
            let bytes = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
            let envelope = Envelope::parse(&bytes).map_err(|error| failed(error.to_string()))?;
            let checked = CheckedKeyring::parse(&envelope.payload)
                .map_err(|source| RunFailure::Keyring { path: path.clone(), source })?;
            if version == 1 {
                roots.extend(checked.root_ids());
            }
            keyring = Some(checked);
            envelopes.push(bytes);
        }
        let Some(keyring) = keyring else {
            let reason = "there is no keyring".to_owned();
            return Err(RunFailure::File { path: config.keys.keyring.clone(), reason });
        };
        if keyring.keyring.origin != config.origin {
            return Err(RunFailure::Origin {
                keyring: keyring.keyring.origin.clone(),
                configured: config.origin.clone(),
            });
        }
        let path = &config.keys.disclosure_secret;
        let text = read_text(path)?;
        let secret = Digest::from_hex(text.trim()).ok_or_else(|| RunFailure::File {
            path: path.clone(),
            reason: "not 64 lower-case hex digits".to_owned(),
        })?;
        let report = match &config.report_signature {
            None => None,
            Some(ReportSignature { key, certificate, timestamp_authority }) => {
                let passphrase = secrets(config)?.passphrase;
                let authority = timestamp_authority.as_deref();
                Some(ReportSigner::open(key, certificate, passphrase.as_ref(), authority, now)?)
            }
        };
        let secret = DisclosureSecret::new(*secret.as_bytes());
        Ok(Self { keyring, roots, envelopes, secret, report })
    }
}

/// Everything that goes into an evaluation.
struct Prepared {
    run: Run,
    /// Frameworks, waivers and attestations, by path in the bundle.
    rules: BTreeMap<String, Vec<u8>>,
    /// Where each input lies.
    origins: BTreeMap<String, PathBuf>,
    /// Where each rule file lies, for errors.
    rule_origins: BTreeMap<String, PathBuf>,
}

impl Prepared {
    fn new(
        config: &Config,
        now: Timestamp,
        collected: collect::Collected,
    ) -> Result<Self, RunFailure> {
        let mut rules = BTreeMap::new();
        let mut rule_origins = BTreeMap::new();
        let mut frameworks = Vec::new();
        for (id, version) in &config.frameworks {
            let mut framework = builtin::find(id, version.as_deref())?;
            if config.is_fleet() {
                framework = framework.rolled_up(fleet::control_check);
            }
            let path = format!("mapping/{}-{}.json", framework.id, framework.version);
            rules.insert(path.clone(), canonical::to_vec(&framework).map_err(ItemError::from)?);
            frameworks.push(path);
        }
        let mut policy = |kind: &str, files: &[PathBuf]| -> Result<Vec<String>, RunFailure> {
            let mut paths = Vec::new();
            for (number, file) in (1..).zip(files) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let path = format!("policy/{kind}/{number:04}-{}", layout::safe_segment(&name));
                rules.insert(path.clone(), read_text(file)?.into_bytes());
                rule_origins.insert(path.clone(), file.clone());
                paths.push(path);
            }
            Ok(paths)
        };
        let waivers = policy("waivers", &config.waivers)?;
        let attestations = policy("attestations", &config.attestations)?;
        let known_exploited = policy("known-exploited", &config.known_exploited)?;
        let (name, version) = TOOL;
        let run = Run {
            schema: run::SCHEMA.to_owned(),
            created: instant::format(now),
            tool: run::Tool { name: name.to_owned(), version: version.to_owned() },
            organisation: config.organisation.clone(),
            cluster: run::Cluster { name: config.cluster.clone(), uid: config.cluster_uid.clone() },
            frameworks,
            waivers,
            attestations,
            namespaces: config.namespaces.clone(),
            known_exploited,
            sources: collected.sources,
        };
        Ok(Self { run, rules, origins: collected.origins, rule_origins })
    }

    fn evaluate(&self, reader: &mut InputReader<'_>) -> Result<Evaluation, RunFailure> {
        evaluate(&self.run, &mut |path| match self.rules.get(path) {
            Some(bytes) => Ok(Arc::new(bytes.clone())),
            None => reader.first(path),
        })
        .map_err(|error| evaluate_failure(error, self))
    }

    /// The input because of which an attempt failed, and why.
    fn lost(&self, error: &RunFailure) -> Option<(String, String)> {
        let (path, reason) = match error {
            RunFailure::Input { path, reason, .. } => (path, reason.clone()),
            RunFailure::Seal(SealError::Path { path, reason }) => (path, (*reason).to_owned()),
            _ => return None,
        };
        self.origins.contains_key(path).then(|| (path.clone(), reason))
    }

    /// Takes an input out of the run and says so in its source.
    fn leave_out(&mut self, path: &str, reason: &str) {
        self.origins.remove(path);
        for source in &mut self.run.sources {
            let (lost, kept) = source.files.drain(..).partition(|file| file.path == path);
            source.files = kept;
            let lost: Vec<run::File> = lost;
            source
                .shortfalls
                .extend(lost.iter().map(|file| format!("{}: {reason}", file.original)));
        }
    }
}

/// Reads inputs, and makes sure that a second reading gives the same bytes.
struct InputReader<'a> {
    origins: &'a BTreeMap<String, PathBuf>,
    /// As many as there was room for: those are not read a second time.
    kept: BTreeMap<String, Arc<Vec<u8>>>,
    /// Bytes that may still be kept.
    room: usize,
}

/// Why an input was not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InputError(String);

impl InputReader<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, InputError> {
        let origin = self.origins.get(path).map_or(Path::new(path), PathBuf::as_path);
        std::fs::read(origin).map_err(|error| InputError(error.to_string()))
    }

    fn first(&mut self, path: &str) -> Result<Arc<Vec<u8>>, InputError> {
        let bytes = Arc::new(self.read(path)?);
        if let Some(room) = self.room.checked_sub(bytes.len()) {
            self.room = room;
            self.kept.insert(path.to_owned(), Arc::clone(&bytes));
        }
        Ok(bytes)
    }

    /// The same bytes as the first time, which had this digest.
    fn again(&self, path: &str, digest: Option<&Digest>) -> Result<Arc<Vec<u8>>, SealError> {
        if let Some(bytes) = self.kept.get(path) {
            return Ok(Arc::clone(bytes));
        }
        let failed = |reason| SealError::Path { path: path.to_owned(), reason };
        let bytes = self.read(path).map_err(|_| failed("it can no longer be read"))?;
        if digest == Some(&Digest::of(&bytes)) {
            Ok(Arc::new(bytes))
        } else {
            Err(failed("it changed while it was being read"))
        }
    }
}

fn evaluate_failure(error: EvaluateError<InputError>, prepared: &Prepared) -> RunFailure {
    match error {
        EvaluateError::Load { path, source: InputError(reason) } => {
            let origin = prepared.origins.get(&path).cloned().unwrap_or_default();
            RunFailure::Input { path, origin, reason }
        }
        EvaluateError::Invalid { path, reason } => {
            let path = prepared.rule_origins.get(&path).cloned().unwrap_or_else(|| path.into());
            RunFailure::File { path, reason }
        }
        EvaluateError::Time => {
            RunFailure::File { path: PathBuf::from("--now"), reason: "not a valid time".to_owned() }
        }
    }
}

/// Where a bundle stands in its chain and in time.
struct Place {
    seq: u64,
    previous: Option<(DigestSet, Pin)>,
    period_start: String,
    period_end: String,
    schedule: Option<statement::Schedule>,
    gap: Option<Gap>,
    pruned: Option<Pruned>,
}

impl Place {
    fn next(config: &Config, now: Timestamp, log: &Log) -> Self {
        let schedule = config.schedule.as_ref();
        let end = instant::format(now);
        let before = log.newest.as_ref().map(|newest| &newest.statement.predicate.time);
        let mut due = Vec::new();
        let mut missed = Vec::new();
        let start = if let Some(before) = before {
            let expected = before.schedule.as_ref().and_then(|s| instant::parse(&s.next));
            let from = instant::parse(&before.period_end).unwrap_or(now);
            due = schedule.map(|schedule| schedule.due(from, now)).unwrap_or_default();
            missed.extend(due.split_last().map_or(&[][..], |(_, earlier)| earlier));
            // What the schedule of that time expected, if it was another one.
            missed.extend(expected.filter(|at| *at <= now && !due.contains(at)));
            before.period_end.clone()
        } else {
            let length = schedule.map_or(0, |schedule| schedule.interval_seconds(now));
            let length = i64::try_from(length).unwrap_or(0);
            instant::format(Timestamp::from_second(now.as_second() - length).unwrap_or(now))
        };
        // More due times than one since the last run are runs that did not happen.
        let gap = missed.iter().max().map(|last| Gap {
            from: start.clone(),
            to: instant::format(*last),
            reason: match missed.len() {
                1 => "1 scheduled run did not take place".to_owned(),
                more => format!("{more} scheduled runs did not take place"),
            },
        });
        let period_start = gap.as_ref().map_or(start, |gap| gap.to.clone());
        let schedule = schedule.and_then(|schedule| {
            Some(statement::Schedule {
                cron: schedule.cron.clone(),
                time_zone: schedule.time_zone.clone(),
                due: due.last().copied().map(instant::format),
                next: instant::format(schedule.next(now)?),
            })
        });
        Self {
            seq: log.next_seq(),
            previous: log
                .newest
                .as_ref()
                .map(|newest| (DigestSet { sha256: newest.digest }, log.pin(&config.origin))),
            period_start: period_start.min(end.clone()),
            period_end: end,
            schedule,
            gap,
            pruned: pruned(config, now, log),
        }
    }
}

/// By which retention payloads are removed. A legal hold wins over every retention.
fn pruning(config: &Config) -> Option<&Retention> {
    config.retention.as_ref().filter(|retention| retention.prune && !config.archive.legal_hold)
}

/// The tombstone of the next statement: that of the one before it, or one that reaches further.
fn pruned(config: &Config, now: Timestamp, log: &Log) -> Option<Pruned> {
    let newest = log.newest.as_ref()?;
    let known = newest.statement.predicate.pruned.clone();
    let Some(retention) = pruning(config) else { return known };
    let known_before = known.as_ref().map_or(0, |known| known.before);
    let kept = SignedDuration::from_hours(24 * i64::from(retention.days));
    let is_over = |past: &Past| {
        past.period_end.and_then(|end| end.checked_add(kept).ok()).is_some_and(|end| end <= now)
    };
    let from = usize::try_from(known_before).unwrap_or(usize::MAX);
    let over = log.past.iter().skip(from).take_while(|past| is_over(past)).count() as u64;
    if over == 0 {
        return known;
    }
    Some(Pruned {
        before: known_before + over,
        days: retention.days.into(),
        rule: retention.rule.clone(),
    })
}

/// A bundle about to be sealed.
struct Draft<'a> {
    config: &'a Config,
    evaluation: &'a Evaluation,
    prepared: &'a Prepared,
    keys: &'a Keys,
    place: &'a Place,
    payload: Payload,
    input_digests: BTreeMap<String, Digest>,
    items: ItemFacts,
    without_timestamp: Option<String>,
}

struct ItemFacts {
    size: u64,
    root: String,
}

impl<'a> Draft<'a> {
    fn new(
        config: &'a Config,
        prepared: &'a Prepared,
        evaluation: &'a Evaluation,
        keys: &'a Keys,
        place: &'a Place,
        signer: &dyn Signer,
    ) -> Result<Self, RunFailure> {
        let salter = keys.secret.salter(&config.origin, place.seq);
        let missed_runs = place
            .gap
            .as_ref()
            .map(|gap| format!("From {} to {}: {}.", gap.from, gap.to, gap.reason));
        let WrittenItems { bytes, size, root, .. } =
            evaluation.write_items(missed_runs.as_deref(), &|id| salter.salt(id))?;
        let items = ItemFacts { size, root: STANDARD.encode(root.as_bytes()) };
        let controls = controls_json(evaluation)?;
        let facts = build::ChainFacts {
            origin: config.origin.clone(),
            seq: place.seq,
            previous: place.previous.as_ref().map(|(prev, pin)| (prev.sha256, pin.clone())),
            period_start: place.period_start.clone(),
            period_end: place.period_end.clone(),
            items_size: size,
            items_root: items.root.clone(),
            keyring_version: keys.keyring.keyring.version,
            signer: signer.public_key().id(),
            roots: keys.roots.clone(),
        };
        let mappings: Vec<(&Framework, Digest)> = evaluation
            .frameworks
            .iter()
            .zip(&prepared.run.frameworks)
            .map(|((framework, _), path)| (framework, digest_of(prepared.rules.get(path))))
            .collect();
        let sealed = sealed::Items::read(&bytes)?;
        let report = build::report(&sealed, &prepared.run, &mappings, &facts)?;
        let attachments = build::attachments(controls.clone(), &sealed);
        drop(sealed);
        let pdf = render::pdf(Document::Bundle(&report), &Template::sealed(), &attachments)?;
        let (pdf, without_timestamp) = match &keys.report {
            Some(by) => {
                let report = by.sign(&pdf, prepared.run.at().unwrap_or_default())?;
                (report.pdf, report.without_timestamp)
            }
            None => (pdf, None),
        };

        let mut payload: Payload = prepared.rules.clone();
        payload.insert(layout::ITEMS.to_owned(), bytes);
        payload.insert(layout::RUN.to_owned(), prepared.run.to_bytes()?);
        payload.insert(layout::CONTROLS.to_owned(), controls);
        payload.insert(layout::REPORT_PDF.to_owned(), pdf);
        let input_digests =
            evaluation.inputs().iter().map(|input| (input.path.clone(), input.sha256)).collect();
        Ok(Self {
            config,
            evaluation,
            prepared,
            keys,
            place,
            payload,
            input_digests,
            items,
            without_timestamp,
        })
    }

    fn statement(&self, sums: Digest, files: u64) -> Statement {
        let keyring = &self.keys.keyring;
        let frameworks = self.evaluation.frameworks.iter().zip(&self.prepared.run.frameworks);
        let (name, version) = TOOL;
        Statement {
            statement_type: TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![Subject {
                name: layout::SHA256SUMS.to_owned(),
                digest: DigestSet { sha256: sums },
            }],
            predicate: Predicate {
                chain: Chain {
                    origin: self.config.origin.clone(),
                    seq: self.place.seq,
                    prev: self.place.previous.as_ref().map(|(prev, _)| *prev),
                },
                time: Time {
                    created: self.prepared.run.created.clone(),
                    period_start: self.place.period_start.clone(),
                    period_end: self.place.period_end.clone(),
                    schedule: self.place.schedule.clone(),
                },
                items: Items {
                    file: layout::ITEMS.to_owned(),
                    size: self.items.size,
                    root: self.items.root.clone(),
                },
                files,
                keyring: KeyringRef { version: keyring.keyring.version, sha256: keyring.digest },
                frameworks: Listing::Here(
                    frameworks
                        .map(|((framework, _), path)| FrameworkRef {
                            id: framework.id.clone(),
                            version: framework.version.clone(),
                            sha256: digest_of(self.prepared.rules.get(path)),
                        })
                        .collect(),
                ),
                sources: Listing::Here(source_refs(self.evaluation)),
                summary: Listing::Here(
                    self.evaluation
                        .frameworks
                        .iter()
                        .map(|(framework, results)| {
                            summary_of(&framework.key(), Evaluation::counts(results))
                        })
                        .collect(),
                ),
                gap: self.place.gap.clone(),
                pruned: self.place.pruned.clone(),
                tool: Tool { name: name.to_owned(), version: version.to_owned() },
            },
        }
    }
}

fn digest_of(bytes: Option<&Vec<u8>>) -> Digest {
    Digest::of(bytes.map_or(&[], Vec::as_slice))
}

/// One entry per source: its standing, and one digest over the digests of its inputs.
fn source_refs(evaluation: &Evaluation) -> Vec<SourceRef> {
    evaluation
        .sources()
        .iter()
        .map(|source| {
            let mut hasher = Hasher::default();
            for input in evaluation.inputs().iter().filter(|input| input.source == source.name) {
                hasher.update(input.sha256.to_string().as_bytes());
            }
            SourceRef {
                name: source.name.clone(),
                status: source.standing.clone(),
                sha256: (!source.inputs.is_empty()).then(|| hasher.finish()),
            }
        })
        .collect()
}

/// `controls.json`: what the report attaches.
fn controls_json(evaluation: &Evaluation) -> Result<Vec<u8>, RunFailure> {
    #[derive(Serialize)]
    struct Controls<'a> {
        frameworks: BTreeMap<String, Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        counts: StatusCounts,
        controls: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        control: &'a str,
        title: &'a str,
        status: Status,
        reason: Option<Reason>,
        basis: Basis,
        explanation: &'a str,
        failing: usize,
        passing: usize,
        undecided: usize,
    }
    let frameworks = evaluation
        .frameworks
        .iter()
        .map(|(framework, results)| {
            let controls = framework
                .controls
                .iter()
                .zip(results)
                .map(|(control, result)| Line {
                    control: &result.control,
                    title: &control.title,
                    status: result.status,
                    reason: result.reason,
                    basis: result.basis,
                    explanation: &result.explanation,
                    failing: result.failing.len(),
                    passing: result.passing,
                    undecided: result.undecided,
                })
                .collect();
            (framework.key(), Entry { counts: Evaluation::counts(results), controls })
        })
        .collect();
    Ok(canonical::to_vec(&Controls { frameworks }).map_err(ItemError::from)?)
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
        origin: config.origin.clone(),
        seq: 0,
        statement: Digest::of(b""),
        bundle: String::new(),
        pin: None,
        already_recorded: false,
        frameworks: evaluation
            .frameworks
            .iter()
            .map(|(framework, results)| {
                (framework.key(), framework.title.clone(), Evaluation::counts(results))
            })
            .collect(),
        sources: source_lines(evaluation),
        findings: evaluation.findings(),
        incomplete: evaluation.is_incomplete(),
        roots: keys.roots.clone(),
        without_timestamp: None,
        pruned: 0,
        not_pruned: None,
    }
}

/// Name, standing, detail and findings of each declared source.
fn source_lines(evaluation: &Evaluation) -> Vec<(String, String, String, u64)> {
    let mut lines = Vec::new();
    for source in evaluation.sources() {
        let inputs = evaluation.inputs().iter().filter(|input| input.source == source.name);
        let findings = inputs.map(|input| input.findings).sum();
        lines.push((source.name.clone(), source.standing.clone(), source.detail.clone(), findings));
    }
    lines
}
