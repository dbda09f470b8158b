//! What somebody should be told of: a run that failed or is missing, evidence that is incomplete, controls
//! that are not satisfied, decisions and keys that end. Counts and names, never what a scanner found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::assessment::{Status, StatusCounts};
use crate::diff;
use crate::evidence::instant;
use crate::evidence::keyring::CheckedKeyring;
use crate::member::State;
use crate::sealed::{Bundle, SealedError};
use crate::validity::{Day, ends_within};
use crate::verify::{Archive, FailureCode, Verdict};

/// So many days before its end, a decision or a key is told of.
pub const SOON_DAYS: u32 = 30;

/// Kinds of alerts, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The archive does not verify.
    NotVerified,
    /// The archive, or a part of it, could not be read.
    Unreadable,
    /// A run came to no end: nothing was sealed.
    Failed,
    /// A run that was due has not sealed a bundle.
    Stale,
    /// Runs before the newest bundle did not take place.
    Missed,
    /// Sources of the newest bundle are not in order.
    Incomplete,
    /// Controls that were not contradicted by the bundle before are now.
    Worsened,
    /// Controls that evidence contradicts.
    NotSatisfied,
    /// Waivers or attestations that have ended.
    Expired,
    /// Waivers, attestations or the keyring that end soon.
    Expiring,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::NotVerified,
        Self::Unreadable,
        Self::Failed,
        Self::Stale,
        Self::Missed,
        Self::Incomplete,
        Self::Worsened,
        Self::NotSatisfied,
        Self::Expired,
        Self::Expiring,
    ];

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotVerified => "not-verified",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Missed => "missed",
            Self::Incomplete => "incomplete",
            Self::Worsened => "worsened",
            Self::NotSatisfied => "not-satisfied",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
        }
    }

    /// Is the evidence itself in danger, or only what it says?
    #[must_use]
    pub fn is_critical(self) -> bool {
        matches!(self, Self::NotVerified | Self::Unreadable | Self::Failed | Self::Stale)
    }
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its kind; there is one alert of each at most.
    pub kind: Kind,
    /// Of how many things.
    pub count: u64,
    /// One sentence.
    pub text: String,
}

/// How a chain stands.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Organisation; may be empty.
    pub organisation: String,
    /// Cluster.
    pub cluster: String,
    /// Origin of the chain.
    pub origin: String,
    /// Number of the newest bundle; `None` when there is none.
    pub seq: Option<u64>,
    /// When it was made; empty when there is none.
    pub created: String,
    /// When the next run is due; empty without a schedule.
    pub next: String,
    /// When the keyring expires; empty when it is not known.
    pub keyring_expires: String,
    /// Sources with their standing.
    pub sources: Vec<(String, String)>,
    /// Clusters of a fleet in each state; empty where the chain is of one cluster.
    pub clusters: BTreeMap<State, u64>,
    /// Findings.
    pub findings: usize,
    /// Frameworks with their counts.
    pub frameworks: Vec<(String, StatusCounts)>,
    /// What to tell, the most urgent first.
    pub alerts: Vec<Alert>,
}

/// Clusters that are named in a message.
const NAMED: usize = 10;

fn clusters(bundle: &Bundle) -> BTreeMap<State, u64> {
    if bundle.items.members.is_empty() {
        return BTreeMap::new();
    }
    // A state that no cluster is in is told too: a metric that goes away is no zero.
    let mut counts: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    for member in &bundle.items.members {
        *counts.entry(member.state).or_default() += 1;
    }
    counts
}

impl Standing {
    /// That of an archive's bundle at a place, read without its findings.
    ///
    /// # Errors
    /// [`SealedError`], of the bundle itself; what else cannot be read is left out.
    pub fn read(
        archive: &dyn Archive,
        seq: u64,
        now: Timestamp,
        soon_days: u32,
    ) -> Result<Self, SealedError> {
        let bundle = Bundle::read_without_findings(archive, seq, &[])?;
        let before = seq.checked_sub(1).and_then(|before| {
            Bundle::read_without_findings(archive, before, &bundle.frameworks).ok()
        });
        let keyring = bundle.keyring(archive).ok();
        Ok(Self::of(&bundle, before.as_ref(), keyring.as_ref(), now, soon_days))
    }

    /// That of a bundle, against the one before it where there is one.
    fn of(
        bundle: &Bundle,
        before: Option<&Bundle>,
        keyring: Option<&CheckedKeyring>,
        now: Timestamp,
        soon_days: u32,
    ) -> Self {
        let predicate = &bundle.statement.predicate;
        let sources = bundle.items.sources.values();
        let sources: Vec<(String, String)> =
            sources.map(|source| (source.name.clone(), source.standing.clone())).collect();
        let statuses = |key: &str| {
            let controls = bundle.items.controls.values().filter(|item| item.framework == key);
            StatusCounts::of(controls.map(|item| item.status))
        };
        let frameworks = bundle.frameworks.iter().map(|(framework, _)| framework.key());
        let mut standing = Self {
            organisation: bundle.run.organisation.clone(),
            cluster: bundle.run.cluster.name.clone(),
            origin: predicate.chain.origin.clone(),
            seq: Some(bundle.seq()),
            created: predicate.time.created.clone(),
            next: predicate.time.schedule.as_ref().map_or_else(String::new, |s| s.next.clone()),
            keyring_expires: keyring.map_or_else(String::new, |k| k.keyring.expires.clone()),
            sources,
            clusters: clusters(bundle),
            findings: bundle.items.counts.get("finding").copied().unwrap_or_default(),
            frameworks: frameworks
                .map(|key| {
                    let counts = statuses(&key);
                    (key, counts)
                })
                .collect(),
            alerts: Vec::new(),
        };
        standing.of_evidence(bundle, before);
        standing.of_people(bundle, keyring, now, soon_days);
        standing
    }

    /// Adds what verification says of the whole archive.
    pub fn judge(&mut self, verdict: &Verdict) {
        if self.origin.is_empty() {
            self.origin.clone_from(&verdict.origin);
        }
        let errors = || verdict.findings.iter().filter(|finding| finding.is_fault());
        if let Some(late) = errors().find(|finding| finding.code == FailureCode::StaleHead) {
            self.add(Kind::Stale, 1, format!("Expected {}; {}.", late.expected, late.found));
        }
        // That the keyring has expired is an alert of its own.
        let others = || errors().filter(|finding| !finding.code.is_of_time());
        if let Some(first) = others().next() {
            let count = others().count() as u64;
            // Errors come first: then this one is none.
            let (kind, text) = if first.code == FailureCode::FileUnreadable {
                let text = format!("{} could not be read: {}.", first.object, first.found);
                (Kind::Unreadable, text)
            } else {
                let text =
                    format!("The archive does not verify: {} at {}.", first.code, first.object);
                (Kind::NotVerified, text)
            };
            self.add(kind, count, text);
        }
    }

    /// Adds an alert.
    pub fn add(&mut self, kind: Kind, count: u64, text: String) {
        self.alerts.push(Alert { kind, count, text });
        self.alerts.sort_by_key(|alert| alert.kind);
    }

    fn of_evidence(&mut self, bundle: &Bundle, before: Option<&Bundle>) {
        if let Some(gap) = &bundle.statement.predicate.gap {
            let text = format!("From {} to {}: {}.", gap.from, gap.to, gap.reason);
            self.add(Kind::Missed, 1, text);
        }
        let not_ok: Vec<String> = self
            .sources
            .iter()
            .filter(|(_, standing)| standing != "ok")
            .map(|(name, standing)| format!("{name} is {standing}"))
            .collect();
        let members = || bundle.items.members.iter();
        let absent: Vec<String> = members()
            .filter(|member| member.state != State::Ok)
            .map(|member| format!("{} is {}", member.cluster, member.state.as_str()))
            .collect();
        if !absent.is_empty() {
            let (count, of) = (absent.len(), members().count());
            let more = count.saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            let named: Vec<String> = absent.into_iter().take(NAMED).collect();
            let text =
                format!("{count} of {of} clusters are not in order: {}{more}.", named.join(", "));
            self.add(Kind::Incomplete, count as u64, text);
        } else if !not_ok.is_empty() {
            let count = not_ok.len() as u64;
            let of = self.sources.len();
            let text = format!("{count} of {of} sources are not in order: {}.", not_ok.join(", "));
            self.add(Kind::Incomplete, count, text);
        }
        let fails = |status: Option<Status>| status == Some(Status::NotSatisfied);
        let moved = before.map(|before| diff::transitions(before, bundle)).unwrap_or_default();
        let worse = moved.iter().filter(|moved| fails(moved.after) && !fails(moved.before));
        let worse = worse.count() as u64;
        if worse > 0 {
            let text = format!("{worse} controls became not-satisfied since the bundle before.");
            self.add(Kind::Worsened, worse, text);
        }
        let failing: Vec<String> = self
            .frameworks
            .iter()
            .filter(|(_, counts)| counts.not_satisfied > 0)
            .map(|(key, counts)| {
                format!("{} of {} in {key}", counts.not_satisfied, counts.applicable())
            })
            .collect();
        if !failing.is_empty() {
            let count = self.frameworks.iter().map(|(_, counts)| counts.not_satisfied as u64).sum();
            let text = format!("Controls that evidence contradicts: {}.", failing.join(", "));
            self.add(Kind::NotSatisfied, count, text);
        }
    }

    fn of_people(
        &mut self,
        bundle: &Bundle,
        keyring: Option<&CheckedKeyring>,
        now: Timestamp,
        soon_days: u32,
    ) {
        let is_soon = |until: &str| {
            let day = until.get(..10).and_then(|day| day.parse::<Day>().ok());
            day.is_some_and(|day| ends_within(now, day, soon_days.into()))
        };
        let waivers = bundle.items.waivers.iter().map(|w| (&w.id, &w.state, &w.expires));
        let stated = bundle.items.attestations.iter().map(|a| (&a.id, &a.state, &a.until));
        let people: Vec<_> = waivers.chain(stated).collect();
        let expired: Vec<&str> = people
            .iter()
            .filter(|(_, state, _)| *state == "expired")
            .map(|(id, ..)| id.as_str())
            .collect();
        if !expired.is_empty() {
            let text = format!("Ended: {}.", expired.join(", "));
            self.add(Kind::Expired, expired.len() as u64, text);
        }
        let mut ending: Vec<String> = people
            .iter()
            .filter(|(_, state, until)| {
                matches!(state.as_str(), "in-force" | "unused") && is_soon(until)
            })
            .map(|(id, _, until)| format!("{id} on {until}"))
            .collect();
        if let Some(keyring) = keyring.map(|keyring| &keyring.keyring)
            && is_soon(&keyring.expires)
        {
            let day = keyring.expires.get(..10).unwrap_or_default();
            ending.push(format!("keyring version {} on {day}", keyring.version));
        }
        if !ending.is_empty() {
            let text = format!("End within {soon_days} days: {}.", ending.join(", "));
            self.add(Kind::Expiring, ending.len() as u64, text);
        }
    }

    /// The same after a run that came to no end: what its newest bundle said still stands.
    #[must_use]
    pub fn failed(mut self, cluster: &str, origin: &str, now: Timestamp, reason: &str) -> Self {
        cluster.clone_into(&mut self.cluster);
        origin.clone_into(&mut self.origin);
        let text = format!("The run at {} sealed nothing: {reason}.", instant::format(now));
        self.add(Kind::Failed, 1, text);
        self
    }
}
