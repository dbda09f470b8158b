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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;
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
    /// Checks whose failure contradicts the fact and whose pass says nothing, because their scanner
    /// also passes where there is nothing to see (Trivy's checks of node files pass on empty node
    /// data), or never passes at all (a vulnerability).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradicting_checks: Vec<CheckId>,
}

impl Mapping {
    /// Every check, with the most that its pass can claim; `None` when its pass says nothing.
    pub fn all_checks(&self) -> impl Iterator<Item = (&CheckId, Option<Strength>)> {
        let weaker = self.strength.max(Strength::Partial);
        let own = self.checks.iter().map(|check| (check, Some(self.strength)));
        let partial = self.partial_checks.iter().map(move |check| (check, Some(weaker)));
        let contradicting = self.contradicting_checks.iter().map(|check| (check, None));
        own.chain(partial).chain(contradicting)
    }

    /// Is evidence needed for this fact?
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.strength != Strength::Supporting
    }
}

impl Framework {
    /// Parses a framework file and checks that its ids are unambiguous: no group or control twice,
    /// every group known, no group above itself, every check of the form `scanner:id`.
    ///
    /// # Errors
    /// [`FrameworkError`] with the place in the file.
    pub fn parse(yaml: &str) -> Result<Self, FrameworkError> {
        from_yaml::<Self>(yaml)?.structured()
    }

    /// Reads the canonical JSON form, as it is sealed in bundles, and checks it as [`Self::parse`]
    /// does.
    ///
    /// # Errors
    /// [`FrameworkError`] with the place in the file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FrameworkError> {
        serde_json::from_slice::<Self>(bytes)
            .map_err(|error| FrameworkError::Syntax(error.to_string()))?
            .structured()
    }

    fn structured(self) -> Result<Self, FrameworkError> {
        match lint::structure(&self).into_iter().next() {
            Some(error) => Err(FrameworkError::Structure(Box::new(error))),
            None => Ok(self),
        }
    }

    /// The same framework over a fleet: what bears on a control is its status in every cluster, under
    /// the check that `check` gives for a control. How statuses add up is decided in [`crate::assess`].
    #[must_use]
    pub fn rolled_up(mut self, check: impl Fn(&str, &str) -> CheckId) -> Self {
        let key = self.key();
        for control in &mut self.controls {
            if control.kind == Kind::NotApplicable {
                continue;
            }
            control.mappings = vec![Mapping {
                strength: Strength::Full,
                responsibility: Responsibility::Organisation,
                rationale: "The worst status that it has in a cluster of the fleet.".to_owned(),
                checks: vec![check(&key, &control.id)],
                partial_checks: Vec::new(),
                contradicting_checks: Vec::new(),
            }];
        }
        self
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

    /// The group of that id.
    #[must_use]
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id)
    }

    /// The group of that id and those above it, nearest first.
    pub fn path_of(&self, id: &str) -> impl Iterator<Item = &Group> {
        let above = |group: &&Group| group.parent.as_deref().and_then(|id| self.group(id));
        // `parse` refuses cycles; a framework made by hand must not hang a report.
        std::iter::successors(self.group(id), above).take(self.groups.len())
    }

    /// Which controls each check bears on, in the order of the framework.
    #[must_use]
    pub fn controls_by_check(&self) -> BTreeMap<&CheckId, Vec<&Control>> {
        let mut index: BTreeMap<&CheckId, Vec<&Control>> = BTreeMap::new();
        for control in &self.controls {
            for check in control.checks() {
                index.entry(check).or_default().push(control);
            }
        }
        index
    }

    /// What checks can answer here, before any evidence.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let mut total = Counts::default();
        let mut by_group: BTreeMap<&str, Counts> = BTreeMap::new();
        for control in &self.controls {
            total.add(control);
            for group in self.path_of(&control.group) {
                by_group.entry(&group.id).or_default().add(control);
            }
        }
        let groups = self
            .groups
            .iter()
            .map(|group| (group.id.clone(), by_group.remove(group.id.as_str()).unwrap_or_default()))
            .collect();
        Coverage { total, groups }
    }
}

impl Control {
    /// Every check of its mappings, each once, in order of id.
    #[must_use]
    pub fn checks(&self) -> BTreeSet<&CheckId> {
        self.mappings.iter().flat_map(Mapping::all_checks).map(|(check, _)| check).collect()
    }
}

/// What checks can answer of a framework: its kinds and mappings counted, never a score.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Of all controls.
    pub total: Counts,
    /// Of each group with the groups below it, in the framework's order.
    pub groups: Vec<(String, Counts)>,
}

/// Controls and mappings counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Controls of every kind: the denominator.
    pub controls: usize,
    /// Controls of each kind that occurs.
    pub kinds: BTreeMap<Kind, usize>,
    /// Mappings of each strength that occurs.
    pub strengths: BTreeMap<Strength, usize>,
}

impl Counts {
    /// Controls of a kind.
    #[must_use]
    pub fn kind(&self, kind: Kind) -> usize {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }

    /// Mappings of a strength.
    #[must_use]
    pub fn strength(&self, strength: Strength) -> usize {
        self.strengths.get(&strength).copied().unwrap_or_default()
    }

    fn add(&mut self, control: &Control) {
        self.controls += 1;
        *self.kinds.entry(control.kind).or_default() += 1;
        for mapping in &control.mappings {
            *self.strengths.entry(mapping.strength).or_default() += 1;
        }
    }
}

/// The words of a unit enum as the files spell them.
macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word used in files and output.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(Kind {
    Automated => "automated",
    Assisted => "assisted",
    Manual => "manual",
    NotApplicable => "not-applicable",
});

words!(Strength { Full => "full", Partial => "partial", Supporting => "supporting" });

words!(Responsibility {
    ControlPlane => "control-plane",
    NodeOperator => "node-operator",
    ClusterAdministrator => "cluster-administrator",
    WorkloadOwner => "workload-owner",
    Organisation => "organisation",
});

fn from_yaml<T: DeserializeOwned>(yaml: &str) -> Result<T, FrameworkError> {
    serde_saphyr::from_str(yaml)
        .map_err(|error| FrameworkError::Syntax(error.without_snippet().to_string()))
}

/// A framework file that does not hold what it must.
#[derive(Debug, thiserror::Error)]
pub enum FrameworkError {
    /// Not YAML, or not the fields of a framework; the text names line and column.
    #[error("the framework file is not valid: {0}")]
    Syntax(String),
    /// The fields are there, but ids are ambiguous or lead nowhere.
    #[error("the framework file is not valid: {0}")]
    Structure(Box<lint::LintError>),
}
