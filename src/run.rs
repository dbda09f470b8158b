//! The record of a run (`run.json` in a bundle): what was declared, what was collected, and by
//! which rules it was judged. With the files it names, it is all that [`crate::evaluate`] needs, so
//! that a verifier can judge again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::canonical::{self, CanonicalError};
use crate::evidence::instant;
use crate::risk::Criticality;

/// `schema` of this version.
pub const SCHEMA: &str = "urn:affidavit:run:v1";

/// Stands in an input where a secret was.
pub const REDACTED: &str = "(redacted before sealing)";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: String,
    /// When the run took place; every age is counted from here.
    pub created: String,
    /// Program.
    pub tool: Tool,
    /// Organisation, as configured; may be empty.
    pub organisation: String,
    /// Cluster, as configured.
    pub cluster: Cluster,
    /// Paths of the frameworks in the bundle.
    pub frameworks: Vec<String>,
    /// Paths of the waiver files in the bundle.
    pub waivers: Vec<String>,
    /// Paths of the attestation files in the bundle.
    pub attestations: Vec<String>,
    /// Criticality of namespaces, as configured; those that are not named are normal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Criticality>,
    /// Paths of lists of known exploited vulnerabilities in the bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_exploited: Vec<String>,
    /// Declared sources.
    pub sources: Vec<Source>,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// The cluster, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// Name.
    pub name: String,
    /// What scanners call it besides its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<String>,
    /// UID of its `kube-system` namespace; may be empty.
    pub uid: String,
}

/// A declared source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Source {
    /// Name, unique in the run.
    pub name: String,
    /// Prefix of the check ids that it yields.
    pub scanner: String,
    /// How old its data may be, in seconds.
    pub max_age_seconds: i64,
    /// How many files there must be at least.
    pub expect_files: u64,
    /// Names of the nodes of which there must be results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_nodes: Vec<String>,
    /// What was collected, in order.
    pub files: Vec<File>,
    /// What could not be had when it was collected, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortfalls: Vec<String>,
}

/// A collected file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct File {
    /// Path in the bundle.
    pub path: String,
    /// Its name where it was collected, without folders.
    pub original: String,
    /// What it is about where its format does not say (a node's name); may be empty.
    pub subject: String,
    /// When its data was taken, as configured; `null` when the configuration does not say.
    pub taken_at: Option<String>,
    /// What its modification time said at collection. The time itself is not recorded: a copy of
    /// the same evidence must give the same bundle.
    pub file_time: FileTime,
}

/// What the modification time of a file said about its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileTime {
    /// Not older than the source's `max_age`.
    Fresh,
    /// Older.
    Stale,
    /// There is none.
    Unknown,
}

/// Why bytes are not a run record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Breaks a rule of the canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A field is missing, unknown or of the wrong form.
    #[error("{0}")]
    Shape(String),
}

impl Run {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`RunError::Canonical`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, RunError> {
        Ok(canonical::to_vec(self)?)
    }

    /// Reads exactly what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RunError> {
        canonical::check(bytes)?;
        let run: Self =
            serde_json::from_slice(bytes).map_err(|error| RunError::Shape(error.to_string()))?;
        if run.schema != SCHEMA {
            return Err(RunError::Shape(format!("unknown schema `{}`", run.schema)));
        }
        if run.at().is_none() {
            return Err(RunError::Shape("`created` is not an instant".to_owned()));
        }
        Ok(run)
    }

    /// When the run took place; `None` only for a record that [`parse`](Self::parse) refuses.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        instant::parse(&self.created)
    }
}
