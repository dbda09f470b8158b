//! What a report puts before people as in need of a decision: one line for each kind of question, the
//! most urgent first.

use serde::Serialize;

use super::figures::Disagreement;
use super::model::Report;
use crate::evidence::instant;
use crate::validity::{Day, ends_within};

/// So many days before its end, a waiver or an attestation is asked about.
const SOON: i64 = 30;
/// Cases told of one question; the others are counted.
const TOLD: usize = 3;

/// A question with what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    /// `Waivers expired`.
    pub(super) question: &'static str,
    /// The first cases, and how many more.
    pub(super) about: String,
}

/// The questions of this report.
pub(super) fn decisions(report: &Report, disagreements: &[Disagreement]) -> Vec<Decision> {
    let now = instant::parse(&report.created);
    let soon = |state: &str, until: &str| {
        let until = until.get(..10).and_then(|day| day.parse::<Day>().ok());
        state == "in-force"
            && now.zip(until).is_some_and(|(now, until)| ends_within(now, until, SOON))
    };
    let mut all = Vec::new();
    let sources = report.sources.iter().filter(|source| source.status != "ok");
    ask(&mut all, "Sources not in order", sources, |source| {
        let detail = &source.detail;
        let why = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        format!("{} is {}{why}", source.name, source.status)
    });
    let members = report.gaps.iter().filter(|gap| gap.kind == "member");
    ask(&mut all, "Clusters not in order", members, |gap| {
        gap.text.trim_end_matches('.').to_owned()
    });
    let gaps = report.gaps.iter().filter(|gap| !matches!(gap.kind.as_str(), "source" | "member"));
    ask(&mut all, "Gaps", gaps, |gap| gap.text.trim_end_matches('.').to_owned());
    let expired = report.waivers.iter().filter(|waiver| waiver.state == "expired");
    ask(&mut all, "Waivers expired", expired, |waiver| {
        format!("{} on {}, approved by {}", waiver.id, waiver.expires, waiver.approver)
    });
    let expired = report.attestations.iter().filter(|stated| stated.state == "expired");
    ask(&mut all, "Attestations expired", expired, |stated| {
        format!("{} on {}, stated by {}", stated.id, stated.until, stated.by)
    });
    ask(&mut all, "Disagreements", disagreements.iter(), |disagreement| {
        let at = count(disagreement.resources, "resource", "resources");
        format!("{} at {at}", disagreement.control)
    });
    let manual = report.frameworks.iter().filter(|framework| framework.counts.manual > 0);
    ask(&mut all, "Attestations wanted", manual, |framework| {
        let controls = count(framework.counts.manual, "control", "controls");
        format!("{controls} of {}", named(&framework.title, &framework.version))
    });
    let ending = report.waivers.iter().filter(|waiver| soon(&waiver.state, &waiver.expires));
    ask(&mut all, "Waivers that end soon", ending, |waiver| {
        let findings = count(waiver.findings, "finding", "findings");
        format!("{} on {}, with {findings}", waiver.id, waiver.expires)
    });
    let ending = report.attestations.iter().filter(|stated| soon(&stated.state, &stated.until));
    ask(&mut all, "Attestations that end soon", ending, |stated| {
        format!("{} on {}, stated by {}", stated.id, stated.until, stated.by)
    });
    let unused = report.waivers.iter().filter(|waiver| waiver.state == "unused");
    ask(&mut all, "Waivers without use", unused, |waiver| waiver.id.clone());
    let unused = report.attestations.iter().filter(|stated| stated.state == "unused");
    ask(&mut all, "Attestations without use", unused, |stated| stated.id.clone());
    let waivers = report.waivers.iter().map(|waiver| (&waiver.id, &waiver.unmatched));
    let stated = report.attestations.iter().map(|stated| (&stated.id, &stated.unmatched));
    let misses: Vec<(&String, &String)> = waivers
        .chain(stated)
        .flat_map(|(id, unmatched)| unmatched.iter().map(move |clause| (id, clause)))
        .collect();
    ask(&mut all, "Decisions that name what is not there", misses.iter(), |(id, clause)| {
        format!("{id}: {clause}")
    });
    all
}

fn ask<'t, T: 't>(
    all: &mut Vec<Decision>,
    question: &'static str,
    cases: impl Iterator<Item = &'t T>,
    say: impl Fn(&T) -> String,
) {
    let cases: Vec<&T> = cases.collect();
    if cases.is_empty() {
        return;
    }
    let mut about: Vec<String> = cases.iter().take(TOLD).map(|case| say(case)).collect();
    if cases.len() > TOLD {
        about.push(format!("… and {} more", cases.len() - TOLD));
    }
    all.push(Decision { question, about: format!("{}.", about.join("; ")) });
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `PCI DSS v4.0.1`: the version once.
pub(super) fn named(title: &str, version: &str) -> String {
    if title.contains(version) { title.to_owned() } else { format!("{title}, {version}") }
}
