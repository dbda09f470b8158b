//! Waivers and attestations that decide nothing, and why: a name that is mistyped silently waives nothing.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::Attestation;
use crate::pattern::Pattern;
use crate::validity::State;
use crate::waiver::Waiver;

/// How alike a name must be to be offered in the place of another, from 0 to 1 (Damerau-Levenshtein).
const ALIKE: f64 = 0.6;

/// What decisions can be about.
#[derive(Default)]
pub struct Known {
    /// Controls, as `framework@version/number`.
    pub controls: BTreeSet<String>,
    /// Checks that map to a control or that a scanner reported.
    pub checks: BTreeSet<String>,
    /// Resources that a finding is about, as reports print them.
    pub resources: BTreeSet<String>,
}

/// A pattern of a decision that matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmatched {
    /// What resembles it most; empty where nothing does.
    pub nearest: String,
    /// As written.
    pub pattern: String,
    /// `control`, `check` or `resource`.
    pub what: String,
}

impl fmt::Display for Unmatched {
    /// One clause: what there is not, and what may be meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} `{}`", self.what, self.pattern)?;
        if self.nearest.is_empty() { Ok(()) } else { write!(f, "; is `{}` meant?", self.nearest) }
    }
}

/// The patterns of a waiver that match nothing. A resource may be gone; only where all are is that told.
#[must_use]
pub fn unmatched_by_waiver(waiver: &Waiver, known: &Known) -> Vec<Unmatched> {
    let scope = &waiver.scope;
    let mut all = unmatched("control", &scope.controls, &known.controls);
    all.extend(unmatched("check", &scope.checks, &known.checks));
    let resources = unmatched("resource", &scope.resources, &known.resources);
    if resources.len() == scope.resources.len() {
        all.extend(resources);
    }
    all
}

/// The patterns of an attestation that match nothing.
#[must_use]
pub fn unmatched_by_attestation(attestation: &Attestation, known: &Known) -> Vec<Unmatched> {
    unmatched("control", &attestation.controls, &known.controls)
}

/// A sentence for each waiver that has no effect, or less than it seems. `used` says which of them cover
/// a finding.
#[must_use]
pub fn idle_waivers(
    waivers: &[Waiver],
    used: &BTreeSet<u32>,
    known: &Known,
    at: Timestamp,
) -> Vec<String> {
    let mut idle = Vec::new();
    for (index, waiver) in (0..).zip(waivers) {
        let id = &waiver.id;
        match waiver.state(at) {
            State::Expired => {
                idle.push(format!("waiver {id} has no effect: it expired {}", waiver.expires));
            }
            State::NotYetValid => {
                let from = waiver.from.map_or_else(String::new, |from| format!(" {from}"));
                idle.push(format!("waiver {id} has no effect yet: it begins{from}"));
            }
            State::InForce => {
                let unmatched = unmatched_by_waiver(waiver, known);
                if unmatched.is_empty() && !used.contains(&index) {
                    idle.push(format!(
                        "waiver {id} covers nothing: no failing finding is in its scope"
                    ));
                }
                let does = if used.contains(&index) {
                    "covers less than it lists"
                } else {
                    "covers nothing"
                };
                idle.extend(unmatched.iter().map(|why| format!("waiver {id} {does}: {why}")));
            }
        }
    }
    idle
}

/// A sentence for each attestation that has no effect, or less than it seems.
#[must_use]
pub fn idle_attestations(
    attestations: &[Attestation],
    known: &Known,
    at: Timestamp,
) -> Vec<String> {
    let mut idle = Vec::new();
    for attestation in attestations {
        let id = &attestation.id;
        match attestation.state(at) {
            State::Expired => {
                let until = attestation.until;
                idle.push(format!("attestation {id} has no effect: it ended {until}"));
            }
            State::NotYetValid => {
                let date = attestation.date;
                idle.push(format!("attestation {id} has no effect yet: it is dated {date}"));
            }
            State::InForce => {
                let unmatched = unmatched_by_attestation(attestation, known);
                let all = unmatched.len() == attestation.controls.len();
                let does = if all { "is about nothing" } else { "covers less than it lists" };
                idle.extend(unmatched.iter().map(|why| format!("attestation {id} {does}: {why}")));
            }
        }
    }
    idle
}

/// From 0 to 1. Names that differ in zeros and marks alone (`KSV012`, `KSV-0012`) are one name.
fn likeness(left: &str, right: &str) -> f64 {
    let core = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric() && *c != '0').collect()
    };
    if core(left) == core(right) {
        1.0
    } else {
        strsim::normalized_damerau_levenshtein(left, right)
    }
}

/// The patterns that match nothing that is known.
fn unmatched(what: &str, patterns: &[Pattern], known: &BTreeSet<String>) -> Vec<Unmatched> {
    let mut all = Vec::new();
    for pattern in patterns {
        if known.iter().any(|name| pattern.matches(name)) {
            continue;
        }
        let alike = known
            .iter()
            .map(|name| (likeness(pattern.as_str(), name), name))
            .filter(|(alike, _)| *alike >= ALIKE)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        all.push(Unmatched {
            nearest: alike.map_or_else(String::new, |(_, name)| name.clone()),
            pattern: pattern.as_str().to_owned(),
            what: what.to_owned(),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::AttestationFile;
    use crate::waiver::WaiverFile;

    fn known() -> Known {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Known {
            controls: owned(&["pci-dss@4.0.1/8.3.1", "pci-dss@4.0.1/9.1.1"]),
            checks: owned(&["trivy:KSV-0017", "trivy:KSV-0012", "trivy:KSV-0125"]),
            resources: owned(&["payments/Deployment/api"]),
        }
    }

    #[test]
    fn a_waiver_that_covers_nothing_says_which_name_is_unknown() {
        let at = "2026-11-27T00:00:00Z".parse().unwrap();
        let waiver = |scope: &str, expires: &str| {
            let text = format!(
                "waivers: [{{ id: W, scope: {scope}, reason: r, approver: a, ticket: t, expires: {expires} }}]"
            );
            let waivers = WaiverFile::parse(&text).unwrap().waivers;
            idle_waivers(&waivers, &BTreeSet::new(), &known(), at).join("")
        };
        for (scope, said) in [
            (
                "{ controls: ['pci-dss/8.3.1'], resources: ['*'] }",
                "is `pci-dss@4.0.1/8.3.1` meant?",
            ),
            ("{ checks: ['trivy:KSV017'], resources: ['*'] }", "is `trivy:KSV-0017` meant?"),
            ("{ checks: ['trivy:KSV012'], resources: ['*'] }", "is `trivy:KSV-0012` meant?"),
            ("{ checks: ['trivy:KSV-0017'], resources: ['payment/*'] }", "no resource `payment/*`"),
            ("{ checks: ['trivy:KSV-0017'], resources: ['*'] }", "no failing finding"),
        ] {
            let text = waiver(scope, "2027-01-01");
            assert!(text.contains(said), "{text}");
        }
        assert!(waiver("{ checks: ['x'], resources: ['*'] }", "2026-01-01").contains("expired"));
    }

    #[test]
    fn an_attestation_without_the_version_of_its_framework_is_about_nothing() {
        let at = "2026-11-27T00:00:00Z".parse().unwrap();
        let about = |control: &str| {
            let text = format!(
                "attestations: [{{ id: A, controls: ['{control}'], outcome: implemented, by: b, role: r, statement: s, date: 2026-01-01, until: 2027-01-01 }}]"
            );
            let attestations = AttestationFile::parse(&text).unwrap().attestations;
            idle_attestations(&attestations, &known(), at).join("")
        };
        assert!(about("pci-dss/9.1.1").contains("is `pci-dss@4.0.1/9.1.1` meant?"));
        assert_eq!(about("pci-dss@4.0.1/9.*"), "");
        // One of two names is mistyped: the other one does not hide it.
        let one = about("pci-dss@4.0.1/9.1.1', 'pci-dss@4.0/8.3.1");
        assert!(one.contains("covers less") && one.contains("`pci-dss@4.0.1/8.3.1`"), "{one}");
    }
}
