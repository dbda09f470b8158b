//! What is assessed: the sources of a cluster, or the clusters of a fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Fault, parse_duration};
use crate::archive::{Location, scheme};
use crate::evidence::key::KeyId;
use crate::scanner::{SCANNERS, fleet};

/// Prefixes of check ids that a source may be declared to yield, in alphabetical order: those of the
/// formats that are read. Trivy's compliance reports are Trivy's.
#[must_use]
pub fn scanners() -> Vec<&'static str> {
    let prefixes = SCANNERS.iter().map(|scanner| scanner.prefix());
    let known: BTreeSet<_> = prefixes.filter(|prefix| *prefix != "trivy-compliance").collect();
    known.into_iter().collect()
}

/// Those that can be taken from the cluster itself: the built-in checks, and the reports that
/// scanners leave there.
pub const IN_CLUSTER: [&str; 5] =
    ["affidavit", "compliance-operator", "kube-bench", "policy", "trivy"];

/// In a pattern of files: the place of a node's name.
pub const NODE: &str = "{node}";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSource {
    pub(super) name: String,
    scanner: String,
    #[serde(default)]
    files: Option<Vec<String>>,
    #[serde(default)]
    manifests: Option<Vec<String>>,
    #[serde(default)]
    from: Option<WrittenFrom>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    clusters: Option<Vec<WrittenMember>>,
    #[serde(default)]
    clusters_file: Option<PathBuf>,
    #[serde(default)]
    parts: Option<WrittenParts>,
    max_age: String,
    #[serde(default)]
    expect_files: Option<u64>,
    #[serde(default)]
    expect_nodes: Vec<String>,
    #[serde(default)]
    taken_at: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// A cluster of a fleet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    name: String,
    uri: String,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    path_style: Option<bool>,
    #[serde(default)]
    region: Option<String>,
    roots: Vec<String>,
    #[serde(default)]
    frameworks: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenParts {
    folder: PathBuf,
    max_age: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenFrom {
    Cluster,
}

/// A declared source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Prefix of its check ids.
    pub scanner: String,
    /// Where its data comes from.
    pub from: From,
    /// How old its data may be, in seconds.
    pub max_age_seconds: i64,
    /// How many files there must be at least, if it says so.
    pub expect_files: Option<u64>,
    /// Names of the nodes of which there must be results.
    pub expect_nodes: Vec<String>,
    /// When its data was taken, for formats that do not say.
    pub taken_at: Option<Timestamp>,
    /// What it is about, for formats that do not say.
    pub subject: String,
}

impl Source {
    /// How many files there must be at least: as configured, or else one, and of a fleet one per
    /// cluster.
    #[must_use]
    pub fn expected_files(&self) -> u64 {
        self.expect_files.unwrap_or(match &self.from {
            From::Archives { clusters, .. } => clusters.len() as u64,
            _ => 1,
        })
    }

    /// Could one of its files be missing without a trace? A pattern that names one file must match; one
    /// that matches any number says nothing of how many there should be.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let From::Files(patterns) = &self.from else { return false };
        let is_open =
            |pattern: &String| pattern.contains(['*', '?', '[']) || pattern.contains(NODE);
        self.expect_files.is_none() && self.expect_nodes.is_empty() && patterns.iter().any(is_open)
    }

    /// Is this kind of object not asked for?
    #[must_use]
    pub fn is_without(&self, kind: &str) -> bool {
        matches!(&self.from, From::Cluster { without } if without.iter().any(|left| left == kind))
    }
}

/// Where a source's data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Reports in files: globs, resolved.
    Files(Vec<String>),
    /// Manifests that the built-in checks look at: globs, resolved.
    Manifests(Vec<String>),
    /// The cluster.
    Cluster {
        /// Kinds of objects that are not asked for.
        without: Vec<String>,
    },
    /// The archives of a fleet's clusters.
    Archives {
        /// Its clusters, by name.
        clusters: Vec<FleetCluster>,
        /// Where others left what they read of them, if it is not read here.
        parts: Option<Parts>,
    },
}

/// A cluster of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetCluster {
    /// As the fleet calls it.
    pub name: String,
    /// Its archive.
    pub archive: Location,
    /// Root keys by which it is judged.
    pub roots: BTreeSet<KeyId>,
    /// Ids of the frameworks, of the fleet's, by which it must be assessed; all of them where none is
    /// named.
    pub frameworks: Option<Vec<String>>,
}

/// What others read of a fleet's clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Where it lies: one document per cluster, `<name>.json`.
    pub folder: PathBuf,
    /// How old it may be, in seconds.
    pub max_age_seconds: i64,
}

impl WrittenMember {
    /// What is not said is as in the fleet's own archive.
    fn mean(self, folder: &Path, own: &Location) -> Result<FleetCluster, Fault> {
        if !is_plain(&self.name) {
            return Err(("name".into(), PLAIN.into()));
        }
        let at = |field: &str| format!("{}.{field}", self.name);
        if self.roots.is_empty() {
            return Err((at("roots"), "without a root key nothing can be believed".into()));
        }
        let mut roots = BTreeSet::new();
        for text in &self.roots {
            let id = KeyId::from_fingerprint(text)
                .ok_or_else(|| (at("roots"), format!("`{text}` is no fingerprint")))?;
            roots.insert(id);
        }
        if scheme(&self.uri).is_some() && !self.uri.starts_with("s3://") {
            let reason = "neither a folder nor s3://bucket/prefix".to_owned();
            return Err((at("uri"), reason));
        }
        let remote = self.uri.contains("://");
        let archive = Location {
            uri: if remote { self.uri } else { folder.join(&self.uri).display().to_string() },
            endpoint: self.endpoint.or_else(|| own.endpoint.clone()),
            path_style: self.path_style.unwrap_or(own.path_style),
            region: self.region.or_else(|| own.region.clone()),
            patience: own.patience,
            ..Location::default()
        };
        Ok(FleetCluster { name: self.name, archive, roots, frameworks: self.frameworks })
    }
}

/// Can it be a name of a folder or file?
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('.')
}

/// What [`is_plain`] asks for.
const PLAIN: &str = "letters, digits, `.`, `_` and `-` only";

/// The clusters of a fleet, from the configuration or a file of their own.
fn members(
    listed: Option<Vec<WrittenMember>>,
    file: Option<PathBuf>,
    folder: &Path,
    own: &Location,
) -> Result<Vec<FleetCluster>, Fault> {
    let (written, folder) = match (listed, file) {
        (Some(list), None) => (list, folder.to_owned()),
        (None, Some(path)) => {
            let path = folder.join(path);
            let fault = |reason: String| ("clusters_file".to_owned(), reason);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| fault(format!("could not read {}: {error}", path.display())))?;
            let list = serde_saphyr::from_str(&text).map_err(|error| {
                fault(format!("{} is not valid\n{}", path.display(), error.render()))
            })?;
            (list, path.parent().unwrap_or(Path::new(".")).to_owned())
        }
        _ => return Err(("clusters".into(), "one of `clusters` and `clusters_file`".into())),
    };
    let mut clusters: BTreeMap<String, FleetCluster> = BTreeMap::new();
    for member in written {
        let cluster = member.mean(&folder, own)?;
        if clusters.contains_key(&cluster.name) {
            return Err(("clusters".into(), format!("`{}` is listed twice", cluster.name)));
        }
        clusters.insert(cluster.name.clone(), cluster);
    }
    if clusters.is_empty() {
        return Err(("clusters".into(), "empty".into()));
    }
    Ok(clusters.into_values().collect())
}

impl WrittenParts {
    fn mean(self, folder: &Path) -> Result<Parts, Fault> {
        let max_age_seconds = parse_duration(&self.max_age).ok_or_else(|| {
            ("parts.max_age".to_owned(), "a number with s, m, h or d, like 2h".to_owned())
        })?;
        Ok(Parts { folder: folder.join(self.folder), max_age_seconds })
    }
}

impl WrittenSource {
    pub(super) fn mean(self, folder: &Path, own: &Location) -> Result<Source, Fault> {
        let at = |field: &str| format!("sources.{}.{field}", self.name);
        if !is_plain(&self.name) {
            return Err((at("name"), PLAIN.into()));
        }
        if !scanners().contains(&self.scanner.as_str()) {
            return Err((at("scanner"), format!("one of {}", scanners().join(", "))));
        }
        for (field, patterns) in [("files", &self.files), ("manifests", &self.manifests)] {
            let uri = patterns.iter().flatten().find(|pattern| scheme(pattern).is_some());
            if let Some(uri) = uri {
                let reason = format!("`{uri}` is no path: fetch it first, and name the files");
                return Err((at(field), reason));
            }
        }
        if let Some(pattern) = self.files.iter().flatten().find(|p| p.matches(NODE).count() > 1) {
            return Err((at("files"), format!("`{pattern}` has several places for {NODE}")));
        }
        let with_node = |pattern: &String| pattern.contains(NODE);
        if self.manifests.iter().flatten().any(with_node) {
            return Err((at("manifests"), format!("{NODE} is only for `files`")));
        }
        if self.subject.is_some() && self.files.iter().flatten().any(with_node) {
            let reason = format!("`files` name what each is about with {NODE}: leave this out");
            return Err((at("subject"), reason));
        }
        // What lies in the name of the folder is no pattern.
        let start = PathBuf::from(glob::Pattern::escape(&folder.display().to_string()));
        let globs = |patterns: Vec<String>| {
            patterns.iter().map(|pattern| start.join(pattern).display().to_string()).collect()
        };
        if !self.without.is_empty() && (self.from.is_none() || self.scanner != "affidavit") {
            let reason = "only for the built-in checks of a cluster";
            return Err((at("without"), reason.into()));
        }
        let is_fleet = self.clusters.is_some() || self.clusters_file.is_some();
        if is_fleet && self.scanner != fleet::PREFIX {
            return Err((at("clusters"), "only of a fleet: `scanner: fleet`".into()));
        }
        if self.parts.is_some() && !is_fleet {
            return Err((at("parts"), "only with `clusters` or `clusters_file`".into()));
        }
        let from = match (self.files, self.manifests, self.from) {
            (None, None, None) if is_fleet => {
                let inside = |(field, reason): Fault| (at(&field), reason);
                let clusters = members(self.clusters, self.clusters_file, folder, own);
                From::Archives {
                    clusters: clusters.map_err(inside)?,
                    parts: self
                        .parts
                        .map(|parts| parts.mean(folder))
                        .transpose()
                        .map_err(inside)?,
                }
            }
            _ if is_fleet => {
                return Err((at("clusters"), "without `files`, `manifests` and `from`".into()));
            }
            (Some(list), None, None) if list.is_empty() => {
                return Err((at("files"), "empty".into()));
            }
            (None, Some(list), None) if list.is_empty() => {
                return Err((at("manifests"), "empty".into()));
            }
            (None, Some(_), None) if self.scanner != "affidavit" => {
                let reason = "only the built-in checks look at manifests: `scanner: affidavit`";
                return Err((at("manifests"), reason.into()));
            }
            (None, None, Some(WrittenFrom::Cluster))
                if !IN_CLUSTER.contains(&self.scanner.as_str()) =>
            {
                let reason = format!("a cluster gives {} only", IN_CLUSTER.join(", "));
                return Err((at("from"), reason));
            }
            (Some(list), None, None) => From::Files(globs(list)),
            (None, Some(list), None) => From::Manifests(globs(list)),
            (None, None, Some(WrittenFrom::Cluster)) => From::Cluster { without: self.without },
            _ => {
                let reason = "exactly one of `files`, `manifests` and `from: cluster`";
                return Err((at("files"), reason.into()));
            }
        };
        let max_age_seconds = parse_duration(&self.max_age)
            .ok_or_else(|| (at("max_age"), "a number with s, m, h or d, like 36h".to_owned()))?;
        let taken_at = match &self.taken_at {
            None => None,
            Some(text) => Some(
                text.parse().map_err(|_| (at("taken_at"), "not an RFC 3339 instant".to_owned()))?,
            ),
        };
        Ok(Source {
            name: self.name,
            scanner: self.scanner,
            max_age_seconds,
            expect_files: self.expect_files,
            expect_nodes: self.expect_nodes,
            from,
            taken_at,
            subject: self.subject.unwrap_or_default(),
        })
    }
}
