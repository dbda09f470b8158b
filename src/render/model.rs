//! The frozen report model: everything a report prints, computed from sealed items and the
//! bundle's own facts, and nothing else. Templates get it as `/data.json`, in this spelling.
//!
//! Lists are complete. A template that shortens one prints how many it left out and where the
//! whole list stands: rows of the annex ([`super::annex`]), `findings.csv` in the report itself.

use std::sync::Arc;

use serde::Serialize;

use crate::assessment::StatusCounts;
use crate::diff::Transition;
use crate::finding::Severity;
use crate::period::OverTime;

/// A report over one bundle.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Organisation that the cluster belongs to, as configured; may be empty.
    pub organisation: String,
    /// Cluster, as configured.
    pub cluster: Cluster,
    /// RFC 3339, UTC, seconds: when the run took place.
    pub created: String,
    /// First instant that the bundle speaks for.
    pub period_start: String,
    /// Last instant that the bundle speaks for.
    pub period_end: String,
    /// Where the bundle stands in its chain.
    pub chain: Chain,
    /// Program that made the bundle.
    pub tool: Tool,
    /// From inputs to controls, so that totals can be reconciled.
    pub totals: Totals,
    /// Sources in the order of the configuration.
    pub sources: Vec<Source>,
    /// What was in scope, where a source says so.
    pub populations: Vec<Population>,
    /// Clusters of a fleet, the worst first; left out where the bundle is of one cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Frameworks in the order of the configuration.
    pub frameworks: Vec<Framework>,
    /// Resources that fail, ranked; the first ones.
    pub risks: Vec<Risk>,
    /// How many resources fail anything.
    pub failing_resources: u64,
    /// All waivers, in force or not.
    pub waivers: Vec<Waiver>,
    /// All attestations, in force or not.
    pub attestations: Vec<Attestation>,
    /// What is missing: sources, runs, coverage.
    pub gaps: Vec<Gap>,
    /// Sources that contradict each other on one check and resource.
    pub conflicts: Vec<Conflict>,
    /// Volumes that the annex has.
    pub annex_volumes: usize,
    /// Earlier bundles up to this one, oldest first; empty in the report that a bundle seals, which
    /// is of one bundle only.
    pub history: Vec<Past>,
    /// What changed since an earlier bundle; `None` in the report that a bundle seals.
    pub changes: Option<Changes>,
}

/// A report over the bundles of a period. It is not sealed: whoever has the archive can make it again.
#[derive(Clone, Debug, Serialize)]
pub struct PeriodReport {
    /// Organisation, as the newest bundle says; may be empty.
    pub organisation: String,
    /// Cluster, as the newest bundle says.
    pub cluster: Cluster,
    /// RFC 3339, UTC, seconds: when this report was made.
    pub created: String,
    /// Program that made this report.
    pub tool: Tool,
    /// Where the newest bundle of the archive stands in its chain.
    pub chain: Chain,
    /// The head of the chain when this report was made.
    pub pin: Head,
    /// The period.
    #[serde(flatten)]
    pub over_time: OverTime,
}

/// A bundle in a row of them.
#[derive(Clone, Debug, Serialize)]
pub struct Past {
    /// Its number.
    pub seq: u64,
    /// When its run took place.
    pub created: String,
    /// Runs that were due before it and did not take place, as it declares.
    pub gap: String,
    /// Controls of each status by `id@version`.
    pub frameworks: std::collections::BTreeMap<String, StatusCounts>,
}

/// What changed between two bundles, by whose doing.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// Number of the earlier bundle.
    pub since: u64,
    /// When its run took place.
    pub since_created: String,
    /// Controls whose status is another one.
    pub controls: Vec<Transition>,
    /// Failures that are there now and were not, by check.
    pub opened: Vec<Changed>,
    /// Failures that were there, where the same check now says something else.
    pub closed: Vec<Changed>,
    /// Failures of which nothing is said any more.
    pub vanished: Vec<Changed>,
    /// Changed mappings and tools.
    pub rules: Vec<String>,
    /// Sources that came, went, or stand otherwise.
    pub sources: Vec<String>,
    /// Waivers and attestations that appeared, went, or changed their state.
    pub decisions: Vec<String>,
}

/// Failures of one check that came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Check id.
    pub check: String,
    /// How many.
    pub failures: usize,
    /// The first of their resources.
    pub examples: Vec<String>,
}

/// The cluster assessed.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// Name given in the configuration.
    pub name: String,
    /// UID of the `kube-system` namespace; empty when not known.
    pub uid: String,
    /// What inputs call the cluster, where they name one.
    pub named_by_inputs: Vec<String>,
}

/// Where the bundle stands in its chain, and how to check it.
#[derive(Clone, Debug, Serialize)]
pub struct Chain {
    /// Origin of the chain (C2SP tlog-checkpoint): `evidence.example.com/prod-eu1`.
    pub origin: String,
    /// Sequence number from 0.
    pub seq: u64,
    /// The head before this bundle; `None` in the first.
    pub previous: Option<Head>,
    /// Number of sealed items.
    pub items: usize,
    /// RFC 6962 root over them, base64.
    pub items_root: String,
    /// Version of the keyring in force.
    pub keyring_version: u64,
    /// Key id of the signer: lower-case hex SHA-256 of its `SubjectPublicKeyInfo`.
    pub signer: String,
    /// Fingerprints of the root keys, same form.
    pub root_fingerprints: Vec<String>,
}

/// A pin on everything before a bundle.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// Sequence number of the previous bundle.
    pub seq: u64,
    /// Hex SHA-256 of its statement.
    pub statement_sha256: String,
    /// Size of the log at that checkpoint (`seq + 1`).
    pub checkpoint_size: u64,
    /// Its RFC 6962 root, base64.
    pub checkpoint_root: String,
}

/// A program.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// From inputs to controls.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Input files.
    pub inputs: usize,
    /// Bytes of input.
    pub input_bytes: u64,
    /// Findings.
    pub findings: usize,
    /// Findings of each outcome, in the order of `Outcome`; only those that occur.
    pub outcomes: Vec<Count>,
    /// Findings whose check bears on no control of any framework of this report.
    pub unmapped_findings: usize,
    /// Sealed items of every type, only those that occur.
    pub items: Vec<Count>,
}

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: usize,
}

/// A resource in the rank of what fails.
#[derive(Clone, Debug, Serialize)]
pub struct Risk {
    /// As reports print it.
    pub resource: String,
    /// Its score.
    pub score: u64,
    /// Score by check, highest first.
    pub checks: Vec<(String, u64)>,
    /// What raised or lowered it.
    pub factors: Vec<String>,
}

/// A cluster of a fleet.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// As the fleet calls it.
    pub name: String,
    /// `ok`, `stale`, `absent`, `unreadable` or `not-verified`.
    pub state: String,
    /// Why, when it is not `ok`.
    pub detail: String,
    /// When the run of its newest bundle took place; empty where nothing can be believed.
    pub created: String,
    /// Number of its newest bundle.
    pub seq: Option<u64>,
    /// Head of its log (`origin size root`): what this bundle pins. Where nothing can be believed, the
    /// one that was seen last; may be empty.
    pub head: String,
    /// Sources that are not in order, with their standing.
    pub sources: Vec<String>,
    /// Its controls by each framework of the report, in that order; `None` where it is not assessed by it.
    pub frameworks: Vec<Option<MemberCounts>>,
}

/// How a cluster stands by one framework.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemberCounts {
    /// Controls of each status.
    pub counts: StatusCounts,
    /// Controls that evidence says something about.
    pub assessed: usize,
    /// Controls that apply.
    pub applicable: usize,
}

/// What was in scope, as one input says.
#[derive(Clone, Debug, Serialize)]
pub struct Population {
    /// Name of its source.
    pub source: String,
    /// Path of the input in the bundle.
    pub input: String,
    /// Who answered whom; `None` for manifests.
    pub answered: Option<Answered>,
    /// Objects in all.
    pub objects: u64,
    /// Kinds, those that are there or could not be listed.
    pub kinds: Vec<PopulationKind>,
    /// Kinds of which there is no object.
    pub without_objects: Vec<String>,
    /// Sources that say something of some object, in order of name: the columns of `covered`.
    pub covering: Vec<String>,
}

/// A cluster, and whom it answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// UID of its `kube-system`; empty when it may not be read.
    pub uid: String,
    /// Version of the API server.
    pub version: String,
    /// SHA-256 of the certificate with which it answered; empty without TLS.
    pub certificate: String,
    /// The asking user; empty when the server does not say.
    pub user: String,
    /// Groups of that user.
    pub groups: Vec<String>,
    /// Kinds that the user may not list.
    pub may_not_list: Vec<String>,
    /// Kinds of which the server did not say whether the user may list them.
    pub not_known: Vec<String>,
    /// Address of the API server.
    pub server: String,
    /// What gave access, with the context of the kubeconfig.
    pub access: String,
    /// SHA-256 of the certificate authorities configured for it; empty where those of the system were believed.
    pub authorities: String,
    /// Was the server's certificate verified?
    pub tls_verified: bool,
    /// Seconds by which its clock was ahead.
    pub clock_ahead_seconds: i64,
}

/// A kind of object in scope.
#[derive(Clone, Debug, Serialize)]
pub struct PopulationKind {
    /// Kind.
    pub kind: String,
    /// `group/version`.
    pub api_version: String,
    /// How many.
    pub count: u64,
    /// `complete`, `absent`, `excluded`, `failed` or `forbidden`.
    pub listing: String,
    /// Why the list is not complete.
    pub detail: String,
    /// Of how many each covering source says something.
    pub covered: Vec<u64>,
    /// Hex SHA-256 over the UIDs.
    pub uids_sha256: String,
}

/// A declared source.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// Name in the configuration.
    pub name: String,
    /// Prefix of its check ids.
    pub scanner: String,
    /// `ok`, `missing`, `empty`, `unreadable`, `stale` or `incomplete`.
    pub status: String,
    /// Why, when it is not `ok`.
    pub detail: String,
    /// How old it may be, as configured (`36h`).
    pub max_age: String,
    /// Its files.
    pub files: Vec<File>,
}

/// An input file.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// Path in the bundle.
    pub path: String,
    /// Hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Formats found (`trivy-k8s`).
    pub formats: Vec<String>,
    /// Tools and versions it names, `kube-bench 0.15.0`.
    pub tools: Vec<String>,
    /// Benchmarks and rule sets it names.
    pub rule_sets: Vec<String>,
    /// RFC 3339 time that the scanner or the configuration states; empty when none does.
    pub taken_at: String,
    /// Who states it: `scanner`, `configuration`, or `file-time` when only the file's age was looked at.
    pub taken_at_basis: String,
    /// Why it could not be read; empty when it could.
    pub error: String,
    /// What its reader had to say.
    pub notes: Vec<String>,
    /// Findings in all.
    pub findings: usize,
    /// Findings of each outcome; only those that occur.
    pub outcomes: Vec<Count>,
}

/// A framework as assessed.
#[derive(Clone, Debug, Serialize)]
pub struct Framework {
    /// Id.
    pub id: String,
    /// Version of the standard.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// Publisher.
    pub authority: String,
    /// Licence and origin of the data.
    pub notice: String,
    /// Hex SHA-256 of the mapping file in the bundle.
    pub mapping_sha256: String,
    /// Controls of each status.
    pub counts: StatusCounts,
    /// All controls.
    pub total: usize,
    /// Controls that apply.
    pub applicable: usize,
    /// Controls that evidence says something about.
    pub assessed: usize,
    /// Groups in the standard's order, each after its parent.
    pub groups: Vec<Group>,
}

/// A heading with the controls directly below it.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Number.
    pub id: String,
    /// Own words.
    pub title: String,
    /// Depth from 0.
    pub depth: usize,
    /// Controls of each status in this group and the groups below it.
    pub counts: StatusCounts,
    /// Controls directly in it.
    pub controls: Vec<Control>,
}

/// A control as assessed.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    /// Number.
    pub id: String,
    /// Own words.
    pub title: String,
    /// `automated`, `assisted`, `manual` or `not-applicable`.
    pub kind: String,
    /// Facts of the standard (`level`: `1`).
    pub attributes: Vec<(String, String)>,
    /// Status word.
    pub status: String,
    /// Reason word for not-assessed; empty otherwise.
    pub reason: String,
    /// One sentence: why this status.
    pub explanation: String,
    /// `automated`, `attested`, `mixed` or `none`.
    pub basis: String,
    /// Facts and their checks.
    pub mappings: Vec<Mapping>,
    /// Failing findings, worst severity first, complete.
    pub failing: Vec<Arc<Failing>>,
    /// Findings that could not tell (error, not-checked).
    pub undecided: usize,
    /// Findings that passed.
    pub passing: usize,
    /// What to do; own words.
    pub remediation: String,
    /// What a person must add; own words.
    pub remaining_evidence: String,
    /// Ids of waivers in force that cover findings of this control.
    pub waivers: Vec<String>,
    /// Ids of attestations in force for this control.
    pub attestations: Vec<String>,
}

/// One fact that bears on a control.
#[derive(Clone, Debug, Serialize)]
pub struct Mapping {
    /// `full`, `partial` or `supporting`.
    pub strength: String,
    /// One sentence.
    pub rationale: String,
    /// Who must act.
    pub responsibility: String,
    /// Checks that had findings.
    pub checks: Vec<CheckResult>,
    /// Checks without any finding in this run.
    pub silent_checks: Vec<String>,
}

/// One check's findings.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// Check id.
    pub id: String,
    /// The scanner's title; may be empty.
    pub title: String,
    /// Findings of each outcome; only those that occur.
    pub outcomes: Vec<Count>,
    /// First and last row of its findings in the annex, from 1.
    pub rows: (usize, usize),
}

/// One failing finding.
#[derive(Clone, Debug, Serialize)]
pub struct Failing {
    /// Item id.
    pub item: String,
    /// Row in the annex, from 1.
    pub row: usize,
    /// Check id.
    pub check: String,
    /// CVE or rule, if the check stands for a class.
    pub rule: String,
    /// `payments/Deployment/api`.
    pub resource: String,
    /// Namespace; empty for what has none.
    pub namespace: String,
    /// How bad.
    pub severity: Severity,
    /// The scanner's explanation.
    pub message: String,
    /// Source name.
    pub source: String,
    /// Id of the waiver that covers it; empty when none does.
    pub waiver: String,
}

/// An approved exception.
#[derive(Clone, Debug, Serialize)]
pub struct Waiver {
    /// Id.
    pub id: String,
    /// `in-force`, `expired`, `not-yet-valid` or `unused`.
    pub state: String,
    /// What it covers, as written.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approver: String,
    /// Ticket.
    pub ticket: String,
    /// From when; may be empty.
    pub from: String,
    /// Until when.
    pub expires: String,
    /// Findings it covers in this run.
    pub findings: usize,
    /// Patterns of it that match nothing, in clauses with what may be meant.
    pub unmatched: Vec<String>,
}

/// A person's statement.
#[derive(Clone, Debug, Serialize)]
pub struct Attestation {
    /// Id.
    pub id: String,
    /// `in-force`, `expired`, `not-yet-valid` or `unused`.
    pub state: String,
    /// `pci-dss@4.0.1 9.1.1, 9.1.2`.
    pub scope: String,
    /// `implemented`, `alternative`, `not-implemented` or `not-applicable`.
    pub outcome: String,
    /// Who says it.
    pub by: String,
    /// Their role.
    pub role: String,
    /// What they say.
    pub statement: String,
    /// When it was said.
    pub date: String,
    /// Until when it holds.
    pub until: String,
    /// Reference to evidence kept elsewhere; may be empty.
    pub evidence: String,
    /// Patterns of it that match no control, in clauses with what may be meant.
    pub unmatched: Vec<String>,
}

/// Something missing.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// `source`, `run` or `coverage`.
    pub kind: String,
    /// What, in a sentence.
    pub text: String,
}

/// Sources that contradict each other.
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    /// Framework and control, `cis-kubernetes@1.12 5.2.2`.
    pub control: String,
    /// Resource.
    pub resource: String,
    /// `check: outcome` of each side.
    pub sides: Vec<String>,
}
