//! One scanner's verdict on one check at one resource.
//!
//! A [`Finding`] is what XCCDF calls a rule-result and OSCAL an observation. It says what a scanner
//! said and nothing more: what it *means* for a control is decided in [`crate::assess`] alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::population::Population;

/// Identity of a check, always with its scanner's prefix: `trivy:KSV-0001`,
/// `kube-bench:cis-1.12:1.2.16`.
///
/// kube-bench ids carry the benchmark and its version because CIS numbers move between versions:
/// `1.2.16` alone names different recommendations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(Arc<str>);

impl CheckId {
    /// Joins a scanner's prefix and the scanner's own (normalised) id.
    #[must_use]
    pub fn new(scanner: &str, local: &str) -> Self {
        let mut text = String::with_capacity(scanner.len() + 1 + local.len());
        text.push_str(scanner);
        text.push(':');
        text.push_str(local);
        Self(text.into())
    }

    /// Reads `scanner:local`; `None` when either half is empty or there is no colon.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scanner, local) = text.split_once(':')?;
        (!scanner.is_empty() && !local.is_empty()).then(|| Self(text.into()))
    }

    /// The prefix before the first colon.
    #[must_use]
    pub fn scanner(&self) -> &str {
        self.0.split_once(':').map_or("", |(scanner, _)| scanner)
    }

    /// What follows the first colon.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, local)| local)
    }

    /// The benchmark and its version (`cis-1.12`), which the ids of kube-bench carry.
    #[must_use]
    pub fn edition(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("kube-bench:")?;
        rest.split_once(':').map(|(edition, _)| edition)
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a check said about a resource, worst first in order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The scanner looked and found the requirement not met. A scanner's own exception
    /// (Kubescape `w/exceptions`, Trivy `EXCEPTION`, Kyverno `PolicyException`) stays a `Fail`:
    /// accepting a risk is a waiver with an approver and an expiry, not a scanner's setting.
    Fail,
    /// The scanner tried and could not tell.
    Error,
    /// The scanner did not look at this resource, or did not say what it found.
    NotChecked,
    /// The scanner leaves the answer to a person.
    Manual,
    /// The scanner looked and found the requirement met.
    Pass,
    /// The scanner says that the check has no object here.
    NotApplicable,
}

impl Outcome {
    /// All outcomes, in order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Fail, Self::Error, Self::NotChecked, Self::Manual, Self::Pass, Self::NotApplicable];

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Error => "error",
            Self::NotChecked => "not-checked",
            Self::Manual => "manual",
            Self::Pass => "pass",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad a failure would be, in the scanner's words; worst first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Critical.
    Critical,
    /// High.
    High,
    /// Medium.
    Medium,
    /// Low.
    Low,
    /// Informational.
    Info,
    /// The scanner gives none (kube-bench) or a word we do not know.
    #[default]
    Unknown,
}

impl Severity {
    /// Reads the words scanners use, in any case; anything else is [`Severity::Unknown`].
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        const WORDS: [(&str, Severity); 10] = [
            ("critical", Severity::Critical),
            ("high", Severity::High),
            ("medium", Severity::Medium),
            ("moderate", Severity::Medium),
            ("low", Severity::Low),
            ("negligible", Severity::Info),
            ("info", Severity::Info),
            ("informational", Severity::Info),
            ("none", Severity::Info),
            ("unknown", Severity::Unknown),
        ];
        WORDS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
            .map_or(Self::Unknown, |(_, severity)| *severity)
    }

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was looked at. `kind` is a Kubernetes kind, or one of `Node`, `Cluster`, `Image`, `File`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// Kind, as the scanner wrote it.
    pub kind: String,
    /// Name; empty when the scanner gives none.
    pub name: String,
    /// Namespace; empty for what has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Container or image inside the resource; empty when the finding is about the whole resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// The API server's UID where the scanner passes it on; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl ResourceRef {
    /// A resource without namespace.
    #[must_use]
    pub fn cluster_scoped(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into(), ..Self::default() }
    }

    /// A resource in a namespace (which may be empty).
    #[must_use]
    pub fn namespaced(
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            namespace: namespace.into(),
            ..Self::default()
        }
    }
}

impl fmt::Display for ResourceRef {
    /// `payments/Deployment/api`, `Node/worker-1`, `payments/Deployment/api#web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}/{}", self.kind, self.name)?;
        if !self.part.is_empty() {
            write!(f, "#{}", self.part)?;
        }
        Ok(())
    }
}

/// One scanner's verdict on one check at one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Which check.
    pub check: CheckId,
    /// At what.
    pub resource: Arc<ResourceRef>,
    /// Said what.
    pub outcome: Outcome,
    /// How bad, in the scanner's words.
    pub severity: Severity,
    /// What the check found inside its class, where one check stands for many rules:
    /// a CVE id for `trivy:vulnerability-critical`. Empty otherwise.
    pub rule: Box<str>,
    /// The id as the scanner wrote it; empty when it equals the local part of `check`.
    pub raw_check: Box<str>,
    /// The scanner's explanation for this resource. May be empty.
    pub message: Box<str>,
    /// Where in the input this stands: an RFC 6901 JSON pointer, after `N#` for document N
    /// (from 0) of a file with several; in XML an `XPath`.
    pub locator: Box<str>,
}

impl Finding {
    /// A finding of which only the verdict is known so far; the fields left empty may be filled in.
    #[must_use]
    pub fn new(
        check: CheckId,
        resource: impl Into<Arc<ResourceRef>>,
        outcome: Outcome,
        locator: Box<str>,
    ) -> Self {
        Self {
            check,
            resource: resource.into(),
            outcome,
            severity: Severity::Unknown,
            rule: "".into(),
            raw_check: "".into(),
            message: "".into(),
            locator,
        }
    }
}

/// What a scanner says about a check itself, once per check and not once per finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckInfo {
    /// The scanner's title. Left empty for scanners whose titles are a standard's licensed text.
    pub title: String,
    /// The scanner's advice. Left empty for the same reason.
    pub remediation: String,
}

/// Something a parser must say about an input besides its findings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Does it take away from the evidence? Then every control that the scanner's checks map to is
    /// at best not-assessed (partial-coverage).
    pub weakens: bool,
    /// Where in the input, as [`Finding::locator`].
    pub locator: Box<str>,
    /// What, in a sentence.
    pub text: String,
}

/// Everything one input holds, as one or more scanners read it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Findings in the order of the input.
    pub findings: Vec<Finding>,
    /// What the scanner says about its checks.
    pub checks: BTreeMap<CheckId, CheckInfo>,
    /// Tool name and version as the input states them; `version` may be empty.
    pub tools: BTreeMap<String, String>,
    /// When the scanner says it looked: the *oldest* of all times in the input, so that one fresh
    /// report cannot hide a stale one. `None` when the input carries no time.
    pub taken_at: Option<Timestamp>,
    /// Locators of reports without a time, of formats whose scanners always write one.
    pub undated: Vec<Box<str>>,
    /// Names of the cluster as the input states them; empty when it states none.
    pub clusters: BTreeSet<String>,
    /// Benchmarks, policies or rule sets the scanner says it applied (`cis-1.12`).
    pub rule_sets: Vec<String>,
    /// What else must be said.
    pub notes: Vec<Note>,
    /// Objects of the input that this reader understands but that hold no verdicts (SBOM reports).
    pub without_verdict: usize,
    /// What was in scope, where the input says so.
    pub populations: Vec<Population>,
    /// Clusters of a fleet.
    pub members: Vec<Member>,
}

impl Parsed {
    /// Records a time stated by the scanner; the oldest one is kept.
    pub fn saw_time(&mut self, at: Timestamp) {
        self.taken_at = Some(self.taken_at.map_or(at, |known| known.min(at)));
    }

    /// Records a tool and the version it states; a version is never replaced by an empty one.
    pub fn saw_tool(&mut self, name: &str, version: &str) {
        let known = self.tools.entry(name.to_owned()).or_default();
        if known.is_empty() {
            version.clone_into(known);
        }
    }

    /// Records what the scanner calls the cluster.
    pub fn saw_cluster(&mut self, name: &str) {
        if !name.is_empty() {
            self.clusters.insert(name.to_owned());
        }
    }

    /// Records a rule set once.
    pub fn saw_rule_set(&mut self, name: &str) {
        if !name.is_empty() && !self.rule_sets.iter().any(|known| known == name) {
            self.rule_sets.push(name.to_owned());
        }
    }

    /// Records what a scanner says about a check; the first non-empty text wins.
    pub fn saw_check(&mut self, id: &CheckId, title: &str, remediation: &str) {
        let info = self.checks.entry(id.clone()).or_default();
        if info.title.is_empty() {
            title.clone_into(&mut info.title);
        }
        if info.remediation.is_empty() {
            remediation.clone_into(&mut info.remediation);
        }
    }

    /// Says something that takes nothing away.
    pub fn note(&mut self, locator: impl Into<Box<str>>, text: impl Into<String>) {
        self.notes.push(Note { weakens: false, locator: locator.into(), text: text.into() });
    }

    /// Says something that takes away from the evidence.
    pub fn shortfall(&mut self, locator: impl Into<Box<str>>, text: impl Into<String>) {
        self.notes.push(Note { weakens: true, locator: locator.into(), text: text.into() });
    }

    /// Number of findings of one outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_ids_split_at_the_first_colon() {
        let id = CheckId::new("kube-bench", "cis-1.12:1.2.16");
        assert_eq!((id.scanner(), id.local()), ("kube-bench", "cis-1.12:1.2.16"));
        assert_eq!(CheckId::parse("kube-bench:cis-1.12:1.2.16"), Some(id));
        assert_eq!(CheckId::parse("no-colon"), None);
        assert_eq!(CheckId::parse(":x"), None);
    }

    #[test]
    fn the_oldest_time_is_kept() {
        let mut parsed = Parsed::default();
        let old: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let new: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        parsed.saw_time(new);
        parsed.saw_time(old);
        parsed.saw_time(new);
        assert_eq!(parsed.taken_at, Some(old));
    }
}
