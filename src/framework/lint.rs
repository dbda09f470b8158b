//! What a framework file must not do.
//!
//! The rules guard against the ways in which mappings come to claim more than they can: checks that
//! do not exist, one check that stands for half a standard, controls that weak evidence alone would
//! satisfy. Each rule is one variant of [`LintError`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Control, Framework, FrameworkError, Group, Kind, Mapping, Strength};
use crate::finding::CheckId;

/// How many controls of one framework a single check may bear on.
///
/// The check that stands behind most controls in the built-in data (the audit log of the API
/// server) bears on eight honestly: standards ask about logging row by row. What bears on more than
/// a dozen distinguishes nothing.
pub const MAX_CONTROLS_PER_CHECK: usize = 12;

/// How many facts one control may require. A requirement such as "hardened by a benchmark" is not
/// the sum of 131 checks: beyond a dozen, the benchmark's own assessment is the evidence.
pub const MAX_REQUIRED_MAPPINGS: usize = 12;

/// A defect of a framework's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LintError {
    /// Two groups with one id.
    #[error("{framework}: group {group}: the id is used twice")]
    DuplicateGroup {
        /// Framework and version.
        framework: String,
        /// Id of the group.
        group: String,
    },
    /// Two controls with one id.
    #[error("{framework}: control {control}: the id is used twice")]
    DuplicateControl {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control in a group that is not there.
    #[error("{framework}: control {control}: there is no group {group}")]
    UnknownGroup {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// The group that it names.
        group: String,
    },
    /// A group under a group that is not there.
    #[error("{framework}: group {group}: there is no parent group {parent}")]
    UnknownParent {
        /// Framework and version.
        framework: String,
        /// Id of the group.
        group: String,
        /// The parent that it names.
        parent: String,
    },
    /// A group that is its own ancestor.
    #[error("{framework}: group {group}: it is among its own parents")]
    GroupCycle {
        /// Framework and version.
        framework: String,
        /// Id of the group.
        group: String,
    },
    /// An id that is not `scanner:id`.
    #[error("{framework}: control {control}: check {check} is not of the form scanner:id")]
    MalformedCheck {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// The id as written.
        check: CheckId,
    },
    /// A group or control without a title.
    #[error("{framework}: {place}: the title is empty")]
    EmptyTitle {
        /// Framework and version.
        framework: String,
        /// `control 1.2.3` or `group 1.2`.
        place: String,
    },
    /// A check that no supported scanner has.
    #[error("{framework}: control {control}: no supported scanner has the check {check}")]
    UnknownCheck {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// The check.
        check: CheckId,
    },
    /// A check that bears on so many controls that it distinguishes nothing.
    #[error(
        "{framework}: check {check} bears on {} controls ({}), more than {MAX_CONTROLS_PER_CHECK}",
        controls.len(), controls.join(", ")
    )]
    CheckTooWidespread {
        /// Framework and version.
        framework: String,
        /// The check.
        check: CheckId,
        /// The controls that it is mapped to.
        controls: Vec<String>,
    },
    /// A check that stands twice in one control.
    #[error("{framework}: control {control}: check {check} is mapped twice")]
    RepeatedCheck {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// The check.
        check: CheckId,
    },
    /// A control that is made of too many facts.
    #[error(
        "{framework}: control {control}: it requires {count} facts, more than \
         {MAX_REQUIRED_MAPPINGS}"
    )]
    TooManyFacts {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// How many.
        count: usize,
    },
    /// A control that weak evidence alone would satisfy.
    #[error("{framework}: control {control}: it is automated, but no mapping answers it in full")]
    AutomatedWithoutFull {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control whose kind promises what one of its mappings rules out.
    #[error(
        "{framework}: control {control}: it is automated, but a partial mapping keeps it from ever \
         being satisfied"
    )]
    AutomatedWithPartial {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control that checks are to answer in part, without checks.
    #[error("{framework}: control {control}: it is assisted, but has no mapping")]
    AssistedWithoutMapping {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control that only a person can answer, but that needs the evidence of checks.
    #[error("{framework}: control {control}: it is manual, but has a mapping that needs evidence")]
    ManualWithRequiredMapping {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control set aside by its standard, with mappings.
    #[error("{framework}: control {control}: it is not applicable, but has mappings")]
    NotApplicableWithMapping {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control set aside without a word.
    #[error("{framework}: control {control}: it is not applicable, but no reason is given")]
    NotApplicableWithoutReason {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control that gives a reason for being set aside, but is not.
    #[error(
        "{framework}: control {control}: a reason says that it is not applicable, its kind not"
    )]
    ReasonWithoutNotApplicable {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A fact that nothing can establish.
    #[error("{framework}: control {control}: mapping {mapping} has no checks")]
    MappingWithoutChecks {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// Which mapping, from 1.
        mapping: usize,
    },
    /// A fact that needs evidence, but that no check can establish.
    #[error("{framework}: control {control}: mapping {mapping} needs a check whose pass counts")]
    RequiredWithoutPass {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// Which mapping, from 1.
        mapping: usize,
    },
    /// A full mapping that only weaker checks back.
    #[error(
        "{framework}: control {control}: mapping {mapping} is full, but has partial checks only"
    )]
    FullWithPartialChecksOnly {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// Which mapping, from 1.
        mapping: usize,
    },
    /// A mapping that does not say why.
    #[error("{framework}: control {control}: mapping {mapping} has no rationale")]
    MappingWithoutRationale {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
        /// Which mapping, from 1.
        mapping: usize,
    },
    /// A control that checks cannot answer alone, without a word on what a person must add.
    #[error("{framework}: control {control}: it does not say which evidence a person must add")]
    RemainingEvidenceMissing {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
    /// A control without advice.
    #[error("{framework}: control {control}: it has no remediation")]
    RemediationMissing {
        /// Framework and version.
        framework: String,
        /// Number of the control.
        control: String,
    },
}

/// The checks that exist, as `frameworks/known-checks.yaml` lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownChecks {
    by_scanner: BTreeMap<String, BTreeSet<String>>,
}

impl KnownChecks {
    /// The list in this binary.
    ///
    /// # Errors
    /// [`FrameworkError`] if the list cannot be read; a test reads it.
    pub fn builtin() -> Result<Self, FrameworkError> {
        Self::parse(include_str!("../../frameworks/known-checks.yaml"))
    }

    /// Reads a list: for each scanner's prefix, lists of ids without the prefix.
    ///
    /// # Errors
    /// [`FrameworkError`] with the place in the file.
    pub fn parse(yaml: &str) -> Result<Self, FrameworkError> {
        let lists: BTreeMap<String, Vec<BTreeSet<String>>> = super::from_yaml(yaml)?;
        let by_scanner = lists
            .into_iter()
            .map(|(scanner, lists)| (scanner, lists.into_iter().flatten().collect()))
            .collect();
        Ok(Self { by_scanner })
    }

    /// Does a supported scanner have this check?
    #[must_use]
    pub fn contains(&self, check: &CheckId) -> bool {
        self.by_scanner.get(check.scanner()).is_some_and(|ids| ids.contains(check.local()))
    }

    /// How many checks each scanner has here.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_scanner.iter().map(|(scanner, ids)| (scanner.as_str(), ids.len()))
    }
}

/// Everything that is wrong with a framework, structure first, then in the order of its controls.
#[must_use]
pub fn lint(framework: &Framework, known: &KnownChecks) -> Vec<LintError> {
    let mut errors = structure(framework);
    let name = framework.key();
    for group in &framework.groups {
        if group.title.trim().is_empty() {
            let place = format!("group {}", group.id);
            errors.push(LintError::EmptyTitle { framework: name.clone(), place });
        }
    }
    for control in &framework.controls {
        let mut linter = Linter { name: &name, control, errors: &mut errors };
        linter.texts();
        linter.kind();
        linter.mappings(known);
    }
    errors.extend(spread(framework));
    errors
}

/// What [`Framework::parse`] refuses: the defects that make a framework's ids ambiguous.
pub(super) fn structure(framework: &Framework) -> Vec<LintError> {
    let mut errors = Vec::new();
    let name = framework.key();
    let mut groups: HashMap<&str, &Group> = HashMap::new();
    for group in &framework.groups {
        if groups.insert(&group.id, group).is_some() {
            errors.push(LintError::DuplicateGroup {
                framework: name.clone(),
                group: group.id.clone(),
            });
        }
    }
    for group in &framework.groups {
        if let Some(parent) = &group.parent
            && !groups.contains_key(parent.as_str())
        {
            errors.push(LintError::UnknownParent {
                framework: name.clone(),
                group: group.id.clone(),
                parent: parent.clone(),
            });
        }
        if is_own_ancestor(group, &groups) {
            errors.push(LintError::GroupCycle { framework: name.clone(), group: group.id.clone() });
        }
    }
    let mut controls = HashSet::new();
    for control in &framework.controls {
        let id = || control.id.clone();
        if !controls.insert(control.id.as_str()) {
            errors.push(LintError::DuplicateControl { framework: name.clone(), control: id() });
        }
        if !groups.contains_key(control.group.as_str()) {
            errors.push(LintError::UnknownGroup {
                framework: name.clone(),
                control: id(),
                group: control.group.clone(),
            });
        }
        for (check, _) in control.mappings.iter().flat_map(Mapping::all_checks) {
            if CheckId::parse(check.as_str()).is_none() {
                errors.push(LintError::MalformedCheck {
                    framework: name.clone(),
                    control: id(),
                    check: check.clone(),
                });
            }
        }
    }
    errors
}

fn is_own_ancestor(group: &Group, groups: &HashMap<&str, &Group>) -> bool {
    let mut above = group.parent.as_deref();
    // A chain of parents without a cycle is shorter than the list of groups.
    for _ in 0..groups.len() {
        match above {
            None => return false,
            Some(id) if id == group.id => return true,
            Some(id) => above = groups.get(id).and_then(|group| group.parent.as_deref()),
        }
    }
    false
}

fn spread(framework: &Framework) -> impl Iterator<Item = LintError> {
    let name = framework.key();
    framework
        .controls_by_check()
        .into_iter()
        .filter(|(_, controls)| controls.len() > MAX_CONTROLS_PER_CHECK)
        .map(move |(check, controls)| LintError::CheckTooWidespread {
            framework: name.clone(),
            check: check.clone(),
            controls: controls.iter().map(|control| control.id.clone()).collect(),
        })
}

/// The rules about one control.
struct Linter<'a> {
    name: &'a str,
    control: &'a Control,
    errors: &'a mut Vec<LintError>,
}

impl Linter<'_> {
    /// Framework and control, as most variants name them.
    fn place(&self) -> (String, String) {
        (self.name.to_owned(), self.control.id.clone())
    }

    fn texts(&mut self) {
        let control = self.control;
        let (framework, id) = self.place();
        if control.title.trim().is_empty() {
            let place = format!("control {id}");
            self.errors.push(LintError::EmptyTitle { framework, place });
        }
        let (framework, id) = self.place();
        if control.kind != Kind::Automated && control.remaining_evidence.trim().is_empty() {
            self.errors.push(LintError::RemainingEvidenceMissing { framework, control: id });
        }
        let (framework, id) = self.place();
        if control.kind != Kind::NotApplicable && control.remediation.trim().is_empty() {
            self.errors.push(LintError::RemediationMissing { framework, control: id });
        }
    }

    fn kind(&mut self) {
        let (framework, id) = self.place();
        let control = self.control;
        let set_aside = control.not_applicable.as_ref().is_some_and(|text| !text.trim().is_empty());
        let full = |mapping: &Mapping| mapping.strength == Strength::Full;
        let partial = |mapping: &Mapping| mapping.strength == Strength::Partial;
        match control.kind {
            Kind::Automated if !control.mappings.iter().any(full) => {
                self.errors.push(LintError::AutomatedWithoutFull { framework, control: id });
            }
            Kind::Automated if control.mappings.iter().any(partial) => {
                self.errors.push(LintError::AutomatedWithPartial { framework, control: id });
            }
            Kind::Assisted if control.mappings.is_empty() => {
                self.errors.push(LintError::AssistedWithoutMapping { framework, control: id });
            }
            Kind::Manual if control.mappings.iter().any(Mapping::is_required) => {
                self.errors.push(LintError::ManualWithRequiredMapping { framework, control: id });
            }
            Kind::NotApplicable if !control.mappings.is_empty() => {
                self.errors.push(LintError::NotApplicableWithMapping { framework, control: id });
            }
            _ => {}
        }
        let (framework, id) = self.place();
        match (control.kind, set_aside) {
            (Kind::NotApplicable, false) => {
                self.errors.push(LintError::NotApplicableWithoutReason { framework, control: id });
            }
            (Kind::Automated | Kind::Assisted | Kind::Manual, true) => {
                self.errors.push(LintError::ReasonWithoutNotApplicable { framework, control: id });
            }
            _ => {}
        }
    }

    fn mappings(&mut self, known: &KnownChecks) {
        let mut seen = HashSet::new();
        for (index, mapping) in self.control.mappings.iter().enumerate() {
            let (framework, control) = self.place();
            let number = index + 1;
            let establishes = !mapping.checks.is_empty() || !mapping.partial_checks.is_empty();
            let error = if mapping.all_checks().next().is_none() {
                Some(LintError::MappingWithoutChecks { framework, control, mapping: number })
            } else if mapping.is_required() && !establishes {
                Some(LintError::RequiredWithoutPass { framework, control, mapping: number })
            } else if mapping.strength == Strength::Full && mapping.checks.is_empty() {
                Some(LintError::FullWithPartialChecksOnly { framework, control, mapping: number })
            } else {
                None
            };
            self.errors.extend(error);
            if mapping.rationale.trim().is_empty() {
                let (framework, control) = self.place();
                self.errors.push(LintError::MappingWithoutRationale {
                    framework,
                    control,
                    mapping: number,
                });
            }
            for (check, _) in mapping.all_checks() {
                let (framework, control) = self.place();
                let check = check.clone();
                if !seen.insert(check.clone()) {
                    self.errors.push(LintError::RepeatedCheck { framework, control, check });
                } else if !known.contains(&check) {
                    self.errors.push(LintError::UnknownCheck { framework, control, check });
                }
            }
        }
        let required = self.control.mappings.iter().filter(|mapping| mapping.is_required()).count();
        if required > MAX_REQUIRED_MAPPINGS {
            let (framework, control) = self.place();
            self.errors.push(LintError::TooManyFacts { framework, control, count: required });
        }
    }
}
