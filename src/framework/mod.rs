//! Frameworks: the controls of a standard and how scanner checks bear on them.
//!
//! A framework is data (`frameworks/<id>.yaml`), holds *every* control of its standard, and says
//! for each what a cluster can answer. Identity is `(id, version, control number)`: numbers move
//! between versions. To add one: the YAML file, one line in [`builtin`].
//!
//! A mapping never claims more than its strength allows; what the strengths mean for a status is
//! decided in [`crate::assess`].

pub mod builtin;
pub mod lint;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::CheckId;

/// A standard, in the version that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Short id, kebab case: `pci-dss`, `cis-kubernetes`, `hipaa-security-rule`.
    pub id: String,
    /// Version of the standard: `4.0.1`.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// Who publishes the standard.
    pub authority: String,
    /// What a reader must know about this data: licence, origin of titles, whose judgement.
    pub notice: String,
    /// Groups in the standard's order; a group may have a parent group.
    pub groups: Vec<Group>,
    /// Controls in the standard's order.
    pub controls: Vec<Control>,
}

/// A heading of the standard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Number of the heading: `1`, `1.2`, `164.308(a)`.
    pub id: String,
    /// In our own words.
    pub title: String,
    /// The heading above, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// What a cluster can answer about a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Checks can answer all of it.
    Automated,
    /// Checks can answer part of it; a person answers the rest.
    Assisted,
    /// Only a person can answer it.
    Manual,
    /// The standard itself has set it aside; `not_applicable` says why.
    NotApplicable,
}

/// One control, requirement or implementation specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Number in the standard: `1.2.16`, `164.312(b)`.
    pub id: String,
    /// Id of its group.
    pub group: String,
    /// In our own words, at most a line.
    pub title: String,
    /// What a cluster can answer.
    pub kind: Kind,
    /// Why it does not apply, for [`Kind::NotApplicable`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
    /// Facts of the standard about it: `level: "1"`, `applies-to: service-provider`,
    /// `cadence: 6m`, `specification: addressable`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What to do when it is not satisfied, in our own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remediation: String,
    /// Which evidence a person must add, in our own words. For every kind but `automated`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remaining_evidence: String,
    /// How checks bear on it. Each mapping is one fact; all of them are needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<Mapping>,
}

/// How much of a control a mapping can answer (compare NIST IR 8477, set-theory relationships).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// The check is the requirement (equal or superset): may satisfy it.
    Full,
    /// The check is a part of the requirement (intersects or subset): at most `supported`.
    Partial,
    /// The check makes the requirement more credible: at most `supported`, and its absence alone
    /// leaves nothing open.
    Supporting,
}

/// Who must act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Responsibility {
    /// Whoever runs the control plane: on a managed service, the provider.
    ControlPlane,
    /// Whoever runs the nodes.
    NodeOperator,
    /// Whoever administers the cluster through its API.
    ClusterAdministrator,
    /// Whoever owns the workload.
    WorkloadOwner,
    /// The organisation around the cluster.
    Organisation,
}

/// One fact that bears on a control, and the checks that can establish it.
///
/// A check belongs here only if its failure contradicts the control: a check that can fail while
/// the control holds (another threshold, another polarity, a wider question) is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What the fact can claim.
    pub strength: Strength,
    /// Who must act when it fails.
    pub responsibility: Responsibility,
    /// Why these checks bear on this control, in one sentence of our own.
    pub rationale: String,
    /// Checks of different scanners for the *same* fact: any of them establishes it, and a failure
    /// of any of them contradicts it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckId>,
    /// Checks that look at a part of the fact, or at a neighbour of it: an older benchmark, one of
    /// several rules that are one check elsewhere. Passing without any of `checks`, they lower a
    /// `full` mapping to `partial`; failing, they contradict it like the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial_checks: Vec<CheckId>,
}

impl Mapping {
    /// Every check, with the most that it can claim when it passes alone.
    pub fn all_checks(&self) -> impl Iterator<Item = (&CheckId, Strength)> {
        let weaker = self.strength.max(Strength::Partial);
        let own = self.checks.iter().map(|check| (check, self.strength));
        own.chain(self.partial_checks.iter().map(move |check| (check, weaker)))
    }

    /// Is evidence needed for this fact?
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.strength != Strength::Supporting
    }
}

impl Framework {
    /// Parses a framework file.
    ///
    /// # Errors
    /// [`FrameworkError`] with the place in the file.
    pub fn parse(yaml: &str) -> Result<Self, FrameworkError> {
        let framework: Self = serde_saphyr::from_str(yaml)
            .map_err(|error| FrameworkError(error.without_snippet().to_string()))?;
        Ok(framework)
    }

    /// Reads the canonical JSON form, as it is sealed in bundles.
    ///
    /// # Errors
    /// [`FrameworkError`] with the place in the file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FrameworkError> {
        serde_json::from_slice(bytes).map_err(|error| FrameworkError(error.to_string()))
    }

    /// `pci-dss@4.0.1`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// The control of that number.
    #[must_use]
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|control| control.id == id)
    }
}

/// A framework file that does not hold what it must.
#[derive(Debug, thiserror::Error)]
#[error("the framework file is not valid: {0}")]
pub struct FrameworkError(String);
