//! Where inputs come from: files, manifests, the cluster. One file per kind of source.
//!
//! What comes from a cluster or from manifests becomes files first: whatever is judged was written
//! down before, and is what a verifier judges again.

mod api;
mod archives;
mod cluster;
mod files;
mod manifests;
mod reports;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

pub use api::{Api, ApiError};
pub use archives::{Fleet, Open};
pub use cluster::ClusterError;

use crate::checks::{self, CheckError, Engine};
use crate::config::{Access, Config, From, Source};
use crate::evidence::instant;
use crate::evidence::layout::safe_segment;
use crate::population::ClusterIdentity;
use crate::run::{self, FileTime};

/// What was found for all sources.
#[derive(Debug, Default)]
pub struct Collected {
    /// Sources for the run record.
    pub sources: Vec<run::Source>,
    /// Where each input lies, by its path in the bundle.
    pub origins: BTreeMap<String, PathBuf>,
    /// UID of the cluster that was asked; empty where none was, or where it may not be known.
    pub cluster_uid: String,
    /// What a cluster did not show, in sentences, by name of the source. Its report says the same.
    pub unseen: Vec<(String, String)>,
}

/// Why inputs could not be collected. A source without files is no error: that it is missing is
/// itself recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Not a glob pattern.
    #[error("`{pattern}` is no file pattern: {reason}")]
    Pattern {
        /// As configured.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// A report could not be kept until it is archived.
    #[error("could not write {path}: {reason}")]
    Write {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is another cluster than the configured one.
    #[error("{0}")]
    OtherCluster(ClusterError),
    /// `without` names what is no kind that is asked for.
    #[error("source {source_name}: `without`: there is no kind `{kind}` that checks ask for")]
    UnknownKind {
        /// Name of the source.
        source_name: String,
        /// As configured.
        kind: String,
    },
    /// The built-in checks cannot be used.
    #[error(transparent)]
    Checks(#[from] CheckError),
}

/// Collects all sources. Reports that are made here are written into `folder`, which must stay
/// until they are archived. `now` is the run's time, against which ages are judged; `fleet` says how the
/// archives of clusters are read, where a source is made of them.
///
/// # Errors
/// [`CollectError`].
pub fn collect(
    config: &Config,
    now: Timestamp,
    folder: &Path,
    fleet: &Fleet<'_>,
    step: &dyn Fn(&str),
) -> Result<Collected, CollectError> {
    let collector = Collector {
        fleet,
        access: &config.access,
        cluster_uid: &config.cluster_uid,
        now,
        begun: Instant::now(),
        folder,
        step,
        cluster: OnceCell::new(),
        engine: OnceCell::new(),
    };
    let mut collected = Collected::default();
    for source in &config.sources {
        let Gathered { files, shortfalls, unseen } = collector.gather(source)?;
        collected.unseen.extend(unseen.into_iter().map(|text| (source.name.clone(), text)));
        let mut inputs = Vec::new();
        for (number, GatheredFile { path, name: original, file_time, node }) in (1..).zip(files) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let in_bundle = format!("inputs/{}/{number:04}-{}", source.name, safe_segment(&name));
            collected.origins.insert(in_bundle.clone(), path);
            inputs.push(run::File {
                path: in_bundle,
                original,
                subject: node.unwrap_or_else(|| source.subject.clone()),
                taken_at: source.taken_at.map(instant::format),
                file_time,
            });
        }
        collected.sources.push(run::Source {
            name: source.name.clone(),
            scanner: source.scanner.clone(),
            max_age_seconds: source.max_age_seconds,
            expect_files: source.expected_files(),
            expect_nodes: source.expect_nodes.clone(),
            files: inputs,
            shortfalls,
        });
    }
    if let Some(Ok((_, identity))) = collector.cluster.get() {
        collected.cluster_uid.clone_from(&identity.uid);
    }
    Ok(collected)
}

#[derive(Default)]
struct Gathered {
    files: Vec<GatheredFile>,
    shortfalls: Vec<String>,
    /// What the files say that they do not hold.
    unseen: Vec<String>,
}

struct GatheredFile {
    path: PathBuf,
    /// What it is called in the bundle and to people.
    name: String,
    file_time: FileTime,
    /// The node that its path names, where the pattern says which part of it does.
    node: Option<String>,
}

impl GatheredFile {
    /// What this run made.
    fn made(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { path, name, file_time: FileTime::Fresh, node: None }
    }
}

struct Collector<'a> {
    fleet: &'a Fleet<'a>,
    access: &'a Access,
    cluster_uid: &'a str,
    now: Timestamp,
    begun: Instant,
    folder: &'a Path,
    step: &'a dyn Fn(&str),
    /// Opened and identified when the first source asks for it.
    cluster: OnceCell<Result<(Api, ClusterIdentity), String>>,
    engine: OnceCell<Engine>,
}

impl Collector<'_> {
    fn gather(&self, source: &Source) -> Result<Gathered, CollectError> {
        match &source.from {
            From::Files(patterns) => files::find(patterns, source.max_age_seconds, self.now),
            From::Manifests(patterns) => self.manifests(source, patterns),
            From::Cluster { without } => self.in_cluster(source, without),
            From::Archives { clusters, parts } => {
                let (folder, parts) = (self.folder_of(source)?, parts.as_ref());
                let (age, step) = (source.max_age_seconds, self.step);
                archives::read(self.fleet, clusters, parts, age, self.now, &folder, step)
                    .map_err(|(path, error)| written(&path)(error))
            }
        }
    }

    fn manifests(&self, source: &Source, patterns: &[String]) -> Result<Gathered, CollectError> {
        let (found, shortfalls) = files::matches(patterns)?;
        let paths: Vec<PathBuf> = found.into_iter().map(|found| found.path).collect();
        if paths.is_empty() {
            return Ok(Gathered { shortfalls, ..Gathered::default() });
        }
        (self.step)("checking manifests");
        let (path, out) = self.create(source, "affidavit-checks.json")?;
        manifests::examine(self.engine()?, &paths, self.now, out).map_err(written(&path))?;
        let files = vec![GatheredFile::made(path)];
        Ok(Gathered { files, shortfalls, ..Gathered::default() })
    }

    fn in_cluster(&self, source: &Source, without: &[String]) -> Result<Gathered, CollectError> {
        if let Some(kind) = without.iter().find(|kind| checks::find_kind(kind).is_none()) {
            return Err(CollectError::UnknownKind {
                source_name: source.name.clone(),
                kind: kind.clone(),
            });
        }
        let (api, identity) = match self.cluster()? {
            Ok(cluster) => cluster,
            Err(reason) => {
                let shortfalls = vec![reason.clone()];
                return Ok(Gathered { shortfalls, ..Gathered::default() });
            }
        };
        let mut shortfalls = Vec::new();
        if !self.cluster_uid.is_empty() && identity.uid.is_empty() {
            shortfalls.push(
                "the cluster could not be told from others: its kube-system may not be read"
                    .to_owned(),
            );
        }
        if source.scanner != checks::PREFIX {
            (self.step)(&format!("reading what {} left in the cluster", source.scanner));
            let folder = self.folder_of(source)?;
            let found = match reports::fetch(api, &source.scanner, &folder) {
                Ok(found) => found,
                Err(error) => {
                    return Err(CollectError::Write { path: folder, reason: error.to_string() });
                }
            };
            shortfalls.extend(found.shortfalls);
            let files = found.files.iter().map(|name| GatheredFile::made(folder.join(name)));
            let files = files.collect();
            return Ok(Gathered { files, shortfalls, ..Gathered::default() });
        }
        let (path, out) = self.create(source, "affidavit-checks.json")?;
        let finished = &|| {
            let elapsed =
                jiff::SignedDuration::from_secs(self.begun.elapsed().as_secs().cast_signed());
            self.now.checked_add(elapsed).unwrap_or(self.now)
        };
        let step = |kind: &str| (self.step)(&format!("checking the cluster: {kind}"));
        let examining =
            cluster::Examining { identity, without, started: self.now, finished, step: &step };
        let (_, unseen) =
            cluster::examine(api, self.engine()?, &examining, out).map_err(|error| {
                CollectError::Write { path: path.clone(), reason: error.to_string() }
            })?;
        Ok(Gathered { files: vec![GatheredFile::made(path)], shortfalls, unseen })
    }

    /// The cluster, or why there is none. Another cluster than the configured one is an error.
    fn cluster(&self) -> Result<&Result<(Api, ClusterIdentity), String>, CollectError> {
        once(&self.cluster, || {
            (self.step)("asking the cluster");
            let opened = Api::open(self.access).map_err(ClusterError::from).and_then(|api| {
                let identity = cluster::identify(&api, self.cluster_uid).inspect_err(|_| {
                    if !api.install_hint().is_empty() {
                        (self.step)(api.install_hint());
                    }
                })?;
                Ok((api, identity))
            });
            match opened {
                Err(error @ ClusterError::Other { .. }) => Err(CollectError::OtherCluster(error)),
                other => Ok(other.map_err(|error| error.to_string())),
            }
        })
    }

    fn engine(&self) -> Result<&Engine, CollectError> {
        once(&self.engine, || Ok(Engine::new(checks::load_all()?)?))
    }

    fn folder_of(&self, source: &Source) -> Result<PathBuf, CollectError> {
        let folder = self.folder.join(&source.name);
        fs::create_dir_all(&folder).map_err(written(&folder))?;
        Ok(folder)
    }

    fn create(
        &self,
        source: &Source,
        name: &str,
    ) -> Result<(PathBuf, BufWriter<File>), CollectError> {
        let path = self.folder_of(source)?.join(name);
        let file = File::create(&path).map_err(written(&path))?;
        Ok((path, BufWriter::new(file)))
    }
}

/// The value of a cell, made when it is asked for the first time.
fn once<T, E>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

fn written(path: &Path) -> impl Fn(std::io::Error) -> CollectError + use<> {
    let path = path.to_owned();
    move |error| CollectError::Write { path: path.clone(), reason: error.to_string() }
}
