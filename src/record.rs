//! What the sealed items say: one type per kind of item, as it stands in `items.jsonl`.
//!
//! Fields stand in alphabetical order, so that plain serialisation is canonical JSON. Wire types:
//! they change only with the version of the format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assessment::{Basis, OutcomeCounts, Reason, Status, StatusCounts};
use crate::attestation::Said;
use crate::decisions::Unmatched;
use crate::evidence::digest::Digest;
use crate::finding::{Outcome, ResourceRef, Severity};
use crate::framework::Strength;
use crate::member::State;
use crate::population::Listing;

/// A person's statement and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AttestationItem {
    /// Who says it.
    pub by: String,
    /// `framework@version/control` patterns.
    pub controls: Vec<String>,
    /// When it was said.
    pub date: String,
    /// Where evidence is kept.
    pub evidence: String,
    /// `attestation/<id>`.
    pub id: String,
    /// What is said.
    pub outcome: Said,
    /// In which role.
    pub role: String,
    /// Section 7.
    pub salt: String,
    /// `in-force`, `not-yet-valid`, `expired` or `unused` (in force, but no control is there for it).
    pub state: String,
    /// In their words.
    pub statement: String,
    /// `attestation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its patterns that match no control of the run; empty unless it is in force.
    pub unmatched: Vec<Unmatched>,
    /// Last day.
    pub until: String,
}

/// What a scanner says about one of its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CheckItem {
    /// Check id.
    pub check: String,
    /// `check/<check id>`.
    pub id: String,
    /// Advice; may be empty.
    pub remediation: String,
    /// Section 7.
    pub salt: String,
    /// Title; may be empty.
    pub title: String,
    /// `check`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The cluster that was asked, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterItem {
    /// What gave access: `kubeconfig` or `in-cluster`.
    pub access: String,
    /// SHA-256 of the certificate authorities configured for it; empty where those of the system were believed.
    pub authorities: String,
    /// Seconds by which its clock is ahead of the collector's.
    pub clock_ahead_seconds: i64,
    /// Context of the kubeconfig; empty in a pod.
    pub context: String,
    /// SHA-256 of the certificate with which it answered; empty without TLS.
    pub endpoint_certificate: String,
    /// Groups of the asking user.
    pub groups: Vec<String>,
    /// `cluster/<path of the input>`.
    pub id: String,
    /// Path of the input that says so.
    pub input: String,
    /// Kinds that the asking user may not list.
    pub may_not_list: Vec<String>,
    /// Kinds of which the API server did not say whether they may be listed.
    pub not_known: Vec<String>,
    /// Section 7.
    pub salt: String,
    /// Address of the API server.
    pub server: String,
    /// Was the server's certificate verified?
    pub tls_verified: bool,
    /// `cluster`.
    #[serde(rename = "type")]
    pub kind: String,
    /// UID of its namespace `kube-system`; empty when that may not be read.
    pub uid: String,
    /// The asking user.
    pub user: String,
    /// Version of its API server.
    pub version: String,
}

/// Two checks that contradict each other about one fact at one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConflictItem {
    /// `framework@version/control` of the first fact in which they meet.
    pub control: String,
    /// `conflict/0000001`.
    pub id: String,
    /// As reports print it.
    pub resource: String,
    /// Section 7.
    pub salt: String,
    /// Outcome by check.
    pub sides: BTreeMap<String, Outcome>,
    /// `conflict`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A control with its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ControlItem {
    /// Ids of attestations in force.
    pub attestations: Vec<String>,
    /// What it rests on.
    pub basis: Basis,
    /// Number in the standard.
    pub control: String,
    /// One sentence: why this status.
    pub explanation: String,
    /// Its facts, in the order of the framework's mappings.
    pub facts: Vec<FactRecord>,
    /// Failing findings.
    pub failing: u64,
    /// `id@version`.
    pub framework: String,
    /// `control/<framework>/<number>`.
    pub id: String,
    /// Passing findings.
    pub passing: u64,
    /// Why not assessed.
    pub reason: Option<Reason>,
    /// Section 7.
    pub salt: String,
    /// Status.
    pub status: Status,
    /// `control`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Findings that could not tell.
    pub undecided: u64,
    /// Failing findings that waivers in force cover: waiver id by finding id.
    pub waived: BTreeMap<String, String>,
}

/// A fact with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FactRecord {
    /// Findings of each outcome by check; checks without findings are left out.
    pub checks: BTreeMap<String, OutcomeCounts>,
    /// What it can claim.
    pub strength: Strength,
    /// `contradicted`, `error`, `partial`, `manual`, `waived`, `established` or `silent`.
    pub verdict: String,
}

/// One scanner's verdict on one check at one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FindingItem {
    /// Check id.
    pub check: String,
    /// `finding/0000001`.
    pub id: String,
    /// Path of its input in the bundle.
    pub input: String,
    /// Where in the input.
    pub locator: String,
    /// Explanation; may be empty.
    pub message: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Id as the scanner wrote it; empty when it equals the local part of `check`.
    pub raw_check: String,
    /// At what.
    pub resource: ResourceRef,
    /// CVE or rule inside a class; may be empty.
    pub rule: String,
    /// Section 7.
    pub salt: String,
    /// How bad.
    pub severity: Severity,
    /// `finding`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// [`FindingItem`] for writing, without copies.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingLine<'a> {
    pub check: &'a str,
    pub id: &'a str,
    pub input: &'a str,
    pub locator: &'a str,
    pub message: &'a str,
    pub outcome: Outcome,
    pub raw_check: &'a str,
    pub resource: ResourceLine<'a>,
    pub rule: &'a str,
    pub salt: &'a str,
    pub severity: Severity,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// [`ResourceRef`] in alphabetical order.
#[derive(Serialize)]
pub(crate) struct ResourceLine<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub part: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: &'a str,
}

/// Something missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GapItem {
    /// `source`, `population`, `member` or `run`.
    pub gap: String,
    /// `gap/0000001`.
    pub id: String,
    /// Section 7.
    pub salt: String,
    /// What, in a sentence.
    pub text: String,
    /// `gap`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An input as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InputItem {
    /// Size.
    pub bytes: u64,
    /// What it calls the cluster; empty when it does not name it.
    pub clusters: Vec<String>,
    /// Why it could not be read; empty when it could.
    pub error: String,
    /// Findings in it.
    pub findings: u64,
    /// Formats found.
    pub formats: Vec<String>,
    /// `input/<path>`.
    pub id: String,
    /// What its reader had to say.
    pub notes: Vec<String>,
    /// Its name where it was collected.
    pub original: String,
    /// Findings of each outcome.
    pub outcomes: OutcomeCounts,
    /// Path in the bundle.
    pub path: String,
    /// Benchmarks and rule sets that it names.
    pub rule_sets: Vec<String>,
    /// Section 7.
    pub salt: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Name of its source.
    pub source: String,
    /// `ok`, `incomplete`, `stale`, `empty`, `unmapped`, `other-cluster` or `unreadable`.
    pub standing: String,
    /// What it is about, as configured; may be empty.
    pub subject: String,
    /// When its data was taken; empty when nobody says.
    pub taken_at: String,
    /// Who says so: `configuration`, `scanner`, or `file-time` when only its age was looked at.
    pub taken_at_basis: String,
    /// Version by tool.
    pub tools: BTreeMap<String, String>,
    /// `input`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A cluster of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MemberItem {
    /// As the fleet calls it.
    pub cluster: String,
    /// When the run of its newest bundle took place; empty where nothing can be believed.
    pub created: String,
    /// Why it stands so; empty when it is ok.
    pub detail: String,
    /// Controls of each status by `id@version`; statuses that do not occur are left out.
    pub frameworks: BTreeMap<String, BTreeMap<String, u64>>,
    /// Head of its log (`origin size root`); empty where nothing can be believed.
    pub head: String,
    /// `member/<path of the input>`.
    pub id: String,
    /// Path of the input that says so.
    pub input: String,
    /// The head that an earlier bundle of the fleet pinned and that its log was held against; empty when
    /// there was none.
    pub known: String,
    /// When its next run is due; may be empty.
    pub next: String,
    /// Section 7.
    pub salt: String,
    /// Number of its newest bundle.
    pub seq: Option<u64>,
    /// Standing of each of its sources.
    pub sources: BTreeMap<String, String>,
    /// `ok`, `stale`, `absent`, `unreadable` or `not-verified`.
    pub state: State,
    /// Hex SHA-256 of its newest statement; empty where nothing can be believed.
    pub statement_sha256: String,
    /// `member`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl MemberItem {
    /// Its controls by a framework (`id@version`); `None` where it is not assessed by it.
    #[must_use]
    pub fn counts(&self, framework: &str) -> Option<StatusCounts> {
        let counted = self.frameworks.get(framework)?.iter().filter_map(|(word, count)| {
            Some((Status::from_word(word)?, usize::try_from(*count).ok()?))
        });
        Some(StatusCounts::sum(counted))
    }

    /// The head to hold its archive against the next time; empty when none was ever seen.
    #[must_use]
    pub fn pin(&self) -> &str {
        if self.head.is_empty() { &self.known } else { &self.head }
    }
}

/// A kind of object and how many of it were in scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PopulationItem {
    /// `group/version`.
    pub api_version: String,
    /// How many there were.
    pub count: u64,
    /// Of how many of them each source says something, by its name; sources that say nothing of any
    /// are left out.
    pub covered: BTreeMap<String, u64>,
    /// Why the list is not complete; empty when it is.
    pub detail: String,
    /// `population/<path of the input>/<api version>/<kind>`.
    pub id: String,
    /// Path of the input that says so.
    pub input: String,
    /// `complete`, `absent`, `excluded`, `failed` or `forbidden`.
    pub listing: Listing,
    /// Kind of object.
    pub resource_kind: String,
    /// Resource version of the list; empty in manifests.
    pub resource_version: String,
    /// Section 7.
    pub salt: String,
    /// `population`.
    #[serde(rename = "type")]
    pub kind: String,
    /// SHA-256 over the UIDs in ascending order, each with a newline after it; over `namespace/name`
    /// in manifests.
    pub uids_sha256: String,
}

/// A resource in the rank of what fails ([`crate::risk`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RiskItem {
    /// Score of each check that it fails.
    pub checks: BTreeMap<String, u64>,
    /// What raised or lowered its score, in words.
    pub factors: Vec<String>,
    /// `risk/0001`.
    pub id: String,
    /// How many resources fail anything.
    pub of: u64,
    /// As reports print it.
    pub resource: String,
    /// Section 7.
    pub salt: String,
    /// Its score: the sum over `checks`.
    pub score: u64,
    /// `risk`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A declared source and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SourceItem {
    /// Why it stands so; empty when it is ok.
    pub detail: String,
    /// How many files there must be at least.
    pub expect_files: u64,
    /// Names of the nodes of which there must be results.
    pub expect_nodes: Vec<String>,
    /// Findings in its inputs.
    pub findings: u64,
    /// `source/<name>`.
    pub id: String,
    /// Paths of its inputs.
    pub inputs: Vec<String>,
    /// How many of its findings bear on a control of the run.
    pub mapped: u64,
    /// How old its data may be, in seconds.
    pub max_age_seconds: i64,
    /// Name.
    pub name: String,
    /// Section 7.
    pub salt: String,
    /// Prefix of its check ids.
    pub scanner: String,
    /// `ok`, `incomplete`, `stale`, `empty`, `unmapped`, `other-cluster`, `unreadable` or `missing`.
    pub standing: String,
    /// `source`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The checks that bear on no control of the run.
    pub unmapped_checks: Vec<String>,
}

/// An approved exception and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WaiverItem {
    /// Who approved it.
    pub approver: String,
    /// Last day.
    pub expires: String,
    /// Findings that it covers.
    pub findings: u64,
    /// First day; may be empty.
    pub from: String,
    /// `waiver/<id>`.
    pub id: String,
    /// Why.
    pub reason: String,
    /// Section 7.
    pub salt: String,
    /// What it covers, in one line.
    pub scope: String,
    /// `in-force`, `not-yet-valid`, `expired` or `unused` (in force, but nothing is there for it).
    pub state: String,
    /// Where the decision is recorded.
    pub ticket: String,
    /// `waiver`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its patterns that match nothing in the run; empty unless it is in force.
    pub unmatched: Vec<Unmatched>,
}
