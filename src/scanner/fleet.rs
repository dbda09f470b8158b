//! How a cluster of a fleet stands: one JSON document per cluster, written when its archive was read
//! and verified, and read here like any scanner's report.
//!
//! It carries the newest statement and checkpoint as they were signed, with the keyrings that authorise
//! them from the trusted root keys on, and nothing is taken from it that contradicts them: number, times and totals come from the statement,
//! the head from the checkpoint. Which control has which status is the one thing that it says itself;
//! the totals of that must be the signed ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Document, Probe, ReadError, Scanner};
use crate::assessment::Status;
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::digest::Digest;
use crate::evidence::envelope::{Envelope, KEYRING_TYPE, STATEMENT_TYPE};
use crate::evidence::instant;
use crate::evidence::key::KeyId;
use crate::evidence::keyring::CheckedKeyring;
use crate::evidence::statement::{Listing, Predicate, Statement};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};
use crate::member::{self, Member, State};

pub(super) struct Fleet;

/// Prefix of the check ids: of `fleet:pci-dss@4.0.1/1.2.1`, the status of that control in a cluster, and
/// of those on the archives themselves.
pub const PREFIX: &str = "fleet";
/// `schema` of this version.
pub const SCHEMA: &str = "urn:affidavit:fleet-member:v1";

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name and version of the program.
    pub tool: (String, String),
    /// The cluster, as the fleet calls it.
    pub cluster: String,
    /// Fingerprints of the root keys by which its archive was judged.
    pub roots: Vec<String>,
    /// Frameworks by which it should be assessed: for each, the `id@version`s of which any will do.
    pub expects: Vec<Vec<String>>,
    /// When its archive was read.
    pub checked: Timestamp,
    /// The head that it was held against (`origin size root`); empty when none was known.
    pub known: String,
    /// What can be believed of it.
    pub state: State,
    /// Why, in a sentence; empty when it is in order.
    pub detail: String,
    /// What is wrong with it, the first ones.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub fault_count: u64,
    /// Its newest bundle; `null` where nothing can be believed.
    pub newest: Option<Newest>,
}

impl Report {
    /// As it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and maps with text for keys: there is nothing in it that has no JSON.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Something that verification found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Failure code.
    pub code: String,
    /// At which file.
    pub object: String,
    /// What should be there; may be empty.
    pub expected: String,
    /// What is there; may be empty.
    pub found: String,
}

/// The newest bundle of a cluster's archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// The checkpoint with it, as signed (C2SP signed note).
    pub checkpoint: String,
    /// The statement, as signed (DSSE).
    pub envelope: String,
    /// The keyrings from the first one to the one in force, as signed (DSSE).
    pub keyrings: Vec<String>,
    /// Standing of each source.
    pub sources: BTreeMap<String, String>,
    /// Numbers of the controls of each status by framework.
    pub controls: BTreeMap<String, BTreeMap<Status, Vec<String>>>,
}

/// Checks on an archive itself: local id, how bad a failure is, title, remedy.
const CHECKS: [(&str, Severity, &str, &str); 5] = [
    (
        "archive/verified",
        Severity::Critical,
        "The cluster's archive verifies, and continues the head that was seen last",
        "Run `affidavit verify` over the archive and find out what happened to it.",
    ),
    (
        "archive/present",
        Severity::Critical,
        "The cluster's archive can be read and has a bundle",
        "Check that the cluster's runs take place, and that the archive may be read.",
    ),
    (
        "archive/on-time",
        Severity::High,
        "The cluster's newest run took place when it was due, and none before it was missed",
        "Find out why the run did not take place: `affidavit doctor` in the cluster.",
    ),
    (
        "evidence/complete",
        Severity::Medium,
        "Every declared source of the cluster is in order",
        "See the sources in the cluster's own report.",
    ),
    (
        "evidence/frameworks",
        Severity::High,
        "The cluster is assessed by every framework that the fleet asks of it",
        "Add the framework to the cluster's configuration.",
    ),
];

impl Scanner for Fleet {
    fn id(&self) -> &'static str {
        "fleet-member"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && probe.text("schema") == Some(SCHEMA)
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report = document.read_exactly()?;
        let (name, version) = &report.tool;
        parsed.saw_tool(name, version);
        let mut roots = BTreeSet::new();
        for root in &report.roots {
            let id = KeyId::from_hex(root);
            roots.insert(id.ok_or_else(|| document.error("/roots", "not a fingerprint"))?);
        }
        let signed = report.newest.as_ref().map(|newest| Signed::read(newest, &roots, document));
        let signed = signed.transpose()?;
        let believed = matches!(report.state, State::Ok | State::Stale);
        if believed != signed.is_some() {
            let state = report.state.as_str();
            return Err(document.error("/newest", format!("it cannot be so for `{state}`")));
        }
        // Evidence is as old as the run that it is of.
        let created = signed.as_ref().and_then(|s| instant::parse(&s.predicate().time.created));
        parsed.saw_time(created.unwrap_or(report.checked));
        let reader = Reader {
            document,
            report: &report,
            resource: Arc::new(ResourceRef::cluster_scoped("Cluster", &*report.cluster)),
        };
        reader.chain(signed.as_ref(), parsed);
        if let Some(newest) = &report.newest {
            reader.controls(newest, parsed);
        }
        let newest = report.newest.as_ref().zip(signed).map(|(newest, s)| s.newest(newest));
        parsed.members.push(Member {
            cluster: report.cluster,
            state: report.state,
            detail: report.detail,
            known: report.known,
            newest,
        });
        Ok(())
    }
}

/// The newest of these keyrings, when each is authorised by the one before it and the first by the roots.
fn authorised(keyrings: &[String], roots: &BTreeSet<KeyId>) -> Result<CheckedKeyring, String> {
    let mut newest: Option<CheckedKeyring> = None;
    for (version, text) in (1..).zip(keyrings) {
        let envelope = Envelope::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let keyring =
            CheckedKeyring::parse(&envelope.payload).map_err(|error| error.to_string())?;
        if envelope.payload_type != KEYRING_TYPE || keyring.keyring.version != version {
            return Err(format!("it is not version {version} of a keyring"));
        }
        let authorised = match &newest {
            None => keyring.authorised_by_roots(&envelope, roots),
            Some(before) => keyring.authorised_by(&envelope, before),
        };
        authorised.map_err(|reason| format!("version {version}: {reason}"))?;
        newest = Some(keyring);
    }
    newest.ok_or_else(|| "there is none".to_owned())
}

/// A statement and a checkpoint whose signatures hold, by keys that the roots authorise.
struct Signed {
    statement: Statement,
    digest: Digest,
    checkpoint: SignedCheckpoint,
}

impl Signed {
    fn read(
        newest: &Newest,
        roots: &BTreeSet<KeyId>,
        document: &Document<'_>,
    ) -> Result<Self, ReadError> {
        let fault = |part: &str, reason: String| document.error(&format!("/newest/{part}"), reason);
        let keyring =
            authorised(&newest.keyrings, roots).map_err(|reason| fault("keyrings", reason))?;
        let envelope = Envelope::parse(newest.envelope.as_bytes())
            .map_err(|error| fault("envelope", error.to_string()))?;
        let statement = Statement::parse(&envelope.payload)
            .map_err(|error| fault("envelope", error.to_string()))?;
        let checkpoint = SignedCheckpoint::parse(newest.checkpoint.as_bytes())
            .map_err(|error| fault("checkpoint", error.to_string()))?;
        let Predicate { chain, keyring: named, .. } = &statement.predicate;
        if envelope.payload_type != STATEMENT_TYPE {
            return Err(fault("envelope", "it holds no statement".to_owned()));
        }
        if named.sha256 != keyring.digest || keyring.keyring.origin != chain.origin {
            return Err(fault("keyrings", "it is not the one that the statement names".to_owned()));
        }
        let log_key = keyring.signer_at(chain.seq).map(|(_, key)| key);
        if !log_key.is_some_and(|key| key.signed(&envelope)) {
            return Err(fault("envelope", "its signature does not hold".to_owned()));
        }
        // A checkpoint after the end of a key's time is signed by the key that follows it.
        if !keyring.log_keys().any(|key| checkpoint.verifies(key)) {
            return Err(fault("checkpoint", "its signature does not hold".to_owned()));
        }
        let head = &checkpoint.checkpoint;
        if head.origin != chain.origin || head.size != chain.seq + 1 {
            return Err(fault("checkpoint", "it is not the one with this statement".to_owned()));
        }
        let signed = Self { digest: Digest::of(&envelope.payload), statement, checkpoint };
        if !signed.agrees(newest) {
            let reason = "its totals are not those of the signed statement".to_owned();
            return Err(fault("controls", reason));
        }
        Ok(signed)
    }

    fn predicate(&self) -> &Predicate {
        &self.statement.predicate
    }

    /// Are the totals of the controls, and the sources, as the statement says?
    fn agrees(&self, newest: &Newest) -> bool {
        let count = |key: &str, status: Status| {
            let numbers = newest.controls.get(key).and_then(|controls| controls.get(&status));
            numbers.map_or(0, Vec::len) as u64
        };
        let controls = match &self.predicate().summary {
            Listing::InRun(number) => newest.controls.len() as u64 == *number,
            Listing::Here(list) => {
                newest.controls.len() == list.len()
                    && list.iter().all(|stated| {
                        let of = |status| count(&stated.framework, status);
                        newest.controls.contains_key(&stated.framework)
                            && of(Status::Satisfied) == stated.pass
                            && of(Status::NotSatisfied) == stated.fail
                            && of(Status::NotAssessed) == stated.not_assessed
                            && of(Status::Supported) == stated.supported
                            && of(Status::Waived) == stated.waived
                            && of(Status::Manual) == stated.manual
                            && of(Status::NotApplicable) == stated.not_applicable
                    })
            }
        };
        let sources = match &self.predicate().sources {
            Listing::InRun(number) => newest.sources.len() as u64 == *number,
            Listing::Here(list) => {
                newest.sources.len() == list.len()
                    && list
                        .iter()
                        .all(|stated| newest.sources.get(&stated.name) == Some(&stated.status))
            }
        };
        controls && sources
    }

    fn newest(&self, newest: &Newest) -> member::Newest {
        let Predicate { chain, time, .. } = self.predicate();
        let counts = |controls: &BTreeMap<Status, Vec<String>>| {
            let counted = controls.iter().filter(|(_, numbers)| !numbers.is_empty());
            counted.map(|(status, numbers)| (status.to_string(), numbers.len() as u64)).collect()
        };
        member::Newest {
            head: self.checkpoint.checkpoint.body().trim_end().replace('\n', " "),
            seq: chain.seq,
            statement_sha256: self.digest.to_string(),
            created: time.created.clone(),
            next: time.schedule.as_ref().map_or_else(String::new, |s| s.next.clone()),
            frameworks: newest
                .controls
                .iter()
                .map(|(key, controls)| (key.clone(), counts(controls)))
                .collect(),
            sources: newest.sources.clone(),
        }
    }
}

struct Reader<'a> {
    document: &'a Document<'a>,
    report: &'a Report,
    resource: Arc<ResourceRef>,
}

impl Reader<'_> {
    /// What is to be said of the archive itself.
    fn chain(&self, signed: Option<&Signed>, parsed: &mut Parsed) {
        let report = self.report;
        let shortfall = |parsed: &mut Parsed, text: String| {
            parsed.shortfall("", text);
        };
        if report.state != State::Ok {
            let (cluster, state) = (&report.cluster, report.state.as_str());
            shortfall(parsed, format!("cluster {cluster} is {state}: {}", report.detail));
        }
        let missing: Vec<String> = match &report.newest {
            None => Vec::new(),
            Some(newest) => report
                .expects
                .iter()
                .filter(|any| !any.iter().any(|key| newest.controls.contains_key(key)))
                .map(|any| any.join(" or "))
                .collect(),
        };
        if !missing.is_empty() {
            let text =
                format!("cluster {} is not assessed by {}", report.cluster, missing.join(", "));
            shortfall(parsed, text);
        }
        let not_ok: Vec<String> = report
            .newest
            .iter()
            .flat_map(|newest| &newest.sources)
            .filter(|(_, standing)| *standing != "ok")
            .map(|(name, standing)| format!("{name} is {standing}"))
            .collect();
        let gap = signed.and_then(|signed| signed.predicate().gap.as_ref());
        let why_if = |fails: bool| fails.then(|| report.detail.clone());
        for (local, severity, title, remedy) in CHECKS {
            let check = CheckId::new(PREFIX, local);
            parsed.saw_check(&check, title, remedy);
            let failure = match local {
                "archive/verified" => why_if(report.state == State::NotVerified),
                "archive/present" => {
                    why_if(matches!(report.state, State::Absent | State::Unreadable))
                }
                "archive/on-time" => why_if(report.state == State::Stale).or_else(|| {
                    gap.map(|gap| format!("{} to {}: {}", gap.from, gap.to, gap.reason))
                }),
                "evidence/complete" => (!not_ok.is_empty()).then(|| not_ok.join(", ")),
                _ => {
                    (!missing.is_empty()).then(|| format!("not assessed by {}", missing.join(", ")))
                }
            };
            let could_tell = report.newest.is_some()
                || (local == "archive/present" && report.state == State::NotVerified);
            let outcome = match &failure {
                Some(_) => Outcome::Fail,
                None if could_tell => Outcome::Pass,
                None => Outcome::NotChecked,
            };
            let place = self.document.locator("/state");
            parsed.findings.push(Finding {
                severity,
                message: failure.unwrap_or_default().into(),
                ..Finding::new(check, self.resource.clone(), outcome, place)
            });
        }
    }

    /// Each control of the cluster, as its own bundle says.
    fn controls(&self, newest: &Newest, parsed: &mut Parsed) {
        for (key, controls) in &newest.controls {
            for (status, numbers) in controls {
                let pointer = format!("/newest/controls/{}/{status}", escaped(key));
                let place = self.document.locator(&pointer);
                for number in numbers {
                    parsed.findings.push(Finding {
                        message: status.as_str().into(),
                        ..Finding::new(
                            control_check(key, number),
                            self.resource.clone(),
                            outcome(*status),
                            place.clone(),
                        )
                    });
                }
            }
        }
    }
}

/// The check that stands for a control's status in a cluster.
#[must_use]
pub fn control_check(framework: &str, control: &str) -> CheckId {
    CheckId::new(PREFIX, &format!("{framework}/{control}"))
}

/// What a status is as a finding; the status itself is its `message`.
fn outcome(status: Status) -> Outcome {
    match status {
        Status::NotSatisfied | Status::Waived => Outcome::Fail,
        Status::NotAssessed => Outcome::NotChecked,
        Status::Manual => Outcome::Manual,
        Status::Supported | Status::Satisfied => Outcome::Pass,
        Status::NotApplicable => Outcome::NotApplicable,
    }
}

/// A segment of a JSON pointer (RFC 6901, section 3).
fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}
