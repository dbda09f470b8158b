//! Waivers and attestations that decide nothing, and why: a name that is mistyped silently waives nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

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

/// One sentence for each waiver that has no effect. `used` says which of them cover a finding.
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
            State::InForce if used.contains(&index) => {}
            State::InForce => {
                let scope = &waiver.scope;
                let why = unmatched("control", &scope.controls, &known.controls)
                    .or_else(|| unmatched("check", &scope.checks, &known.checks))
                    .or_else(|| unmatched("resource", &scope.resources, &known.resources))
                    .unwrap_or_else(|| "no failing finding is in its scope".to_owned());
                idle.push(format!("waiver {id} covers nothing: {why}"));
            }
        }
    }
    idle
}

/// One sentence for each attestation that has no effect.
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
                let why = unmatched("control", &attestation.controls, &known.controls);
                if let Some(why) = why {
                    idle.push(format!("attestation {id} is about nothing: {why}"));
                }
            }
        }
    }
    idle
}

/// Why patterns match nothing; `None` when there are none, or one of them matches.
fn unmatched(what: &str, patterns: &[Pattern], known: &BTreeSet<String>) -> Option<String> {
    let first = patterns.first()?;
    if patterns.iter().any(|pattern| known.iter().any(|name| pattern.matches(name))) {
        return None;
    }
    let alike = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(first.as_str(), name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    let nearest = alike.map_or_else(String::new, |(_, name)| format!("; is `{name}` meant?"));
    Some(format!("there is no {what} `{first}`{nearest}"))
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
            checks: owned(&["trivy:KSV-0017", "trivy:KSV-0012"]),
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
    }
}
