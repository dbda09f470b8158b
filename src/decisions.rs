//! Waivers and attestations that decide nothing, and why: a name that is mistyped silently waives nothing.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::Attestation;
use crate::pattern::Pattern;
use crate::validity::State;
use crate::waiver::Waiver;

/// How alike a name without numbers must be to be offered in the place of another, from 0 to 1 (Damerau-Levenshtein).
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

/// The patterns of a waiver that match nothing.
#[must_use]
pub fn unmatched_by_waiver(waiver: &Waiver, known: &Known) -> Vec<Unmatched> {
    let scope = &waiver.scope;
    let mut all = unmatched("control", &scope.controls, &known.controls);
    all.extend(unmatched("check", &scope.checks, &known.checks));
    all.extend(unmatched("resource", &scope.resources, &known.resources));
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

/// The patterns that match nothing that is known.
fn unmatched(what: &str, patterns: &[Pattern], known: &BTreeSet<String>) -> Vec<Unmatched> {
    let mut all = Vec::new();
    for pattern in patterns {
        if known.iter().any(|name| pattern.matches(name)) {
            continue;
        }
        let text = pattern.as_str();
        let nearest = match what {
            "control" => nearest_id(text, known, |id| id.split_once('/')),
            "check" => nearest_id(text, known, |id| id.rsplit_once(':')),
            _ => nearest_name(text, known.iter().map(String::as_str)).map(str::to_owned),
        };
        all.push(Unmatched {
            nearest: nearest.unwrap_or_default(),
            pattern: text.to_owned(),
            what: what.to_owned(),
        });
    }
    all
}

/// What an id of two parts may mean: a framework and a control, a scanner and its check. A number close to
/// another one is another requirement, so that more than the family or its form is never guessed.
fn nearest_id(
    written: &str,
    known: &BTreeSet<String>,
    parts: fn(&str) -> Option<(&str, &str)>,
) -> Option<String> {
    let (family, id) = parts(written).unwrap_or(("", written));
    let ids = || known.iter().filter_map(|known| parts(known).map(|(f, id)| (f, id, known)));
    let mut own = ids().filter(|(known, ..)| *known == family).peekable();
    if own.peek().is_some() {
        let found = if id.contains('*') {
            None
        } else if id.contains(|c: char| c.is_ascii_digit()) {
            nearest_number(id, own.map(|(_, id, _)| id))
        } else {
            nearest_name(id, own.map(|(_, id, _)| id))
        };
        return ids()
            .find(|(f, known, _)| *f == family && Some(*known) == found)
            .map(|f| f.2.clone());
    }
    // The family is another one: the id must be right.
    let families: BTreeSet<&str> = ids().map(|(family, ..)| family).collect();
    let likeness = |known: &str| {
        let is_unversioned = |known: &str| known.split('@').next().is_some_and(|id| id == family);
        if family.is_empty() || form(known) == form(family) || is_unversioned(known) {
            1.0
        } else {
            strsim::normalized_damerau_levenshtein(known, family)
        }
    };
    let alike: Vec<(f64, &str)> = families.into_iter().map(|name| (likeness(name), name)).collect();
    let most = alike.iter().map(|(alike, _)| *alike).fold(ALIKE, f64::max);
    let pattern = Pattern::new(id.trim());
    let has_id = |family: &str| ids().any(|(f, id, _)| f == family && pattern.matches(id));
    let nearest = alike.into_iter().filter(|(alike, family)| *alike >= most && has_id(family));
    let family = only(nearest.map(|(_, family)| family))?;
    let (_, _, example) = ids().find(|(known, ..)| *known == family)?;
    // With the separator that stands between the two.
    let start = example.get(..=family.len())?;
    Some(format!("{start}{}", id.trim()))
}

/// The only number of the same form, or else the only one with one character more or less.
fn nearest_number<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.collect();
    let own = form(written);
    let mut same = known.iter().copied().filter(|id| form(id) == own).peekable();
    if same.peek().is_some() {
        return only(same);
    }
    let is_near = |id: &&str| {
        id.chars().count().abs_diff(written.chars().count()) == 1
            && strsim::levenshtein(id, written) == 1
    };
    only(known.iter().copied().filter(is_near))
}

/// The name that resembles it most. Its numbers and single letters tell it from its neighbours (`node-1`,
/// `node-b`), and must be the same.
fn nearest_name<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.contains('*') {
        return None;
    }
    let marks = |text: &str| -> Vec<String> {
        let is_mark = |word: &String| {
            word.chars().count() == 1 || word.starts_with(|c: char| c.is_ascii_digit())
        };
        words(text).into_iter().filter(is_mark).collect()
    };
    let own = marks(written);
    known
        .filter(|name| name.len().abs_diff(written.len()) * 2 <= name.len().max(written.len()))
        .filter(|name| marks(name) == own)
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// The words of a text, also where they only change from letters to digits, in small letters.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    for character in text.chars() {
        let kind = character.is_alphanumeric().then(|| character.is_ascii_digit());
        if kind.is_some() {
            match words.last_mut().filter(|_| before == Some(kind)) {
                Some(word) => word.extend(character.to_lowercase()),
                None => words.push(character.to_lowercase().collect()),
            }
        }
        before = Some(kind);
    }
    words
}

/// What is the same where only zeros, marks, capitals and look-alikes differ (`KSV012` and `KSV-0012`, `1.2.l` and
/// `1.2.1`). Numbers stay apart: `1.1.22` is not `11.2.2`.
fn form(text: &str) -> Vec<String> {
    let digits = |c: char| match c {
        'i' | 'I' | 'l' | 'L' | '|' => '1',
        'o' | 'O' => '0',
        c => c,
    };
    let text: String = text.chars().map(digits).collect();
    let without_zeros = |word: String| match word.trim_start_matches('0') {
        "" => "0".to_owned(),
        rest => rest.to_owned(),
    };
    words(&text).into_iter().map(without_zeros).collect()
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    all.next().filter(|_| all.next().is_none())
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
    #[test]
    fn no_suggestion_leads_to_another_requirement() {
        let owned = |names: &[&str]| -> BTreeSet<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let known = Known {
            controls: owned(&[
                "pci-dss@4.0.1/1.1.1",
                "pci-dss@4.0.1/1.1.2",
                "pci-dss@4.0.1/10.1.2",
                "pci-dss@4.0.1/11.2.2",
                "pci-dss@4.0.1/1.2.1",
                "pci-dss@4.0.1/1.2.8",
                "pci-dss@4.0.1/A3.5.1",
                "cis@1/1.2.8",
                "cis@2/1.2.8",
                "cis@2/5.1",
            ]),
            checks: owned(&[
                "kube-bench:cis-1.12:4.1.1",
                "kube-bench:cis-1.12:4.1.9",
                "kyverno:disallow-latest-tag",
                "trivy:KSV-0012",
                "kubescape:C-0012",
            ]),
            resources: owned(&["Node/node-a", "Node/worker-11", "payments/Deployment/api"]),
        };
        let pci = |number: &str| format!("pci-dss@4.0.1/{number}");
        for (what, written, meant) in [
            ("control", "pcidss@4.0.1/1.1.2", pci("1.1.2")),
            ("control", "PCI-DSS@4.0.1/1.1.2", pci("1.1.2")),
            ("control", " pci-dss@4.0.1/1.1.2", pci("1.1.2")),
            ("control", "pcidss@4.0.1/1.1.*", pci("1.1.*")),
            ("control", "pci-dss@4.0/9.9.9", String::new()),
            ("control", "pci-dss/1.1.2", pci("1.1.2")),
            ("control", "pci-dss@4.0.1/1.2.l", pci("1.2.1")),
            ("control", "pci-dss@4.0.1/1.2.08", pci("1.2.8")),
            ("control", "pci-dss@4.0.1/a3-5-1", pci("A3.5.1")),
            ("control", "pci-dss@4.0.1/1.1.22", pci("1.1.2")),
            ("control", "pci-dss@4.0.1/1.1.99", String::new()),
            ("control", "pci-dss@4.0.1/1.1.3", String::new()),
            ("control", "pci-dss@4.0.1/9.*.99", String::new()),
            // Two of one form, or two frameworks that may be meant.
            ("control", "pci-dss@4.0.1/1.1.", String::new()),
            ("control", "cis/1.2.8", String::new()),
            ("control", "cis/5.1", "cis@2/5.1".to_owned()),
            ("check", "kube-bench:cis-1.12:4.1.l", "kube-bench:cis-1.12:4.1.1".to_owned()),
            ("check", "Kube-bench:CIS-1.12:4.1.9", "kube-bench:cis-1.12:4.1.9".to_owned()),
            ("check", "kube-bench:cis-1.12:4.1.5", String::new()),
            ("check", "kubescape:KSV-0012", String::new()),
            ("check", "trivvy:KSV-0012", "trivy:KSV-0012".to_owned()),
            ("check", "kyverno:disalow-latest-tag", "kyverno:disallow-latest-tag".to_owned()),
            ("resource", "Node/node-b", String::new()),
            ("resource", "Node/worker-12", String::new()),
            ("resource", "payments/Deployment/apii", "payments/Deployment/api".to_owned()),
        ] {
            let names = match what {
                "control" => &known.controls,
                "check" => &known.checks,
                _ => &known.resources,
            };
            let found = unmatched(what, &[Pattern::new(written)], names);
            assert_eq!(found[0].nearest, meant, "{written}");
        }
    }

    #[test]
    fn each_resource_that_is_not_there_is_named() {
        let text = "waivers: [{ id: W, scope: { checks: ['trivy:KSV-0017'], resources: ['payments/*', 'shop/*', 'payments/Deployment/app'] }, reason: r, approver: a, ticket: t, expires: 2027-01-01 }]";
        let waivers = WaiverFile::parse(text).unwrap().waivers;
        let at = "2026-11-27T00:00:00Z".parse().unwrap();
        let idle = idle_waivers(&waivers, &[0].into(), &known(), at);
        let less = "waiver W covers less than it lists: there is no resource";
        assert_eq!(
            idle,
            [
                format!("{less} `shop/*`"),
                format!("{less} `payments/Deployment/app`; is `payments/Deployment/api` meant?")
            ]
        );
    }
}
