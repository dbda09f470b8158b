//! What changed between two bundles: what the cluster did, what people decided, and what the rules or
//! the tools did, each apart, so that a better score never hides who made it better.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::assessment::Status;
use crate::finding::Outcome;
use crate::framework::Mapping;
use crate::record::{ControlItem, FindingItem};
use crate::sealed::{Bundle, Items};

/// Differences from one bundle to a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Controls whose status is another one.
    pub controls: Vec<Transition>,
    /// Failures that are there now and were not.
    pub opened: Vec<Failure>,
    /// Failures that were there, where the same check now says something else of the same resource.
    pub closed: Vec<Failure>,
    /// Failures of which nothing is said any more: the resource is gone, or the check was not made.
    pub vanished: Vec<Failure>,
    /// Changed mappings and tools: what makes results differ though nothing in the cluster did.
    pub rules: Vec<String>,
    /// Sources that came, went, or stand otherwise.
    pub sources: Vec<String>,
    /// Waivers and attestations that appeared, went, or changed their state.
    pub decisions: Vec<String>,
}

/// A control whose status changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// `framework@version/control`.
    pub control: String,
    /// Before; `None` when the earlier bundle does not have the control.
    pub before: Option<Status>,
    /// After; `None` when the later bundle does not have it.
    pub after: Option<Status>,
    /// Did its mapping change between the two? Then the change may be the rules' doing.
    pub mapping_changed: bool,
}

/// A check that fails at a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// Check.
    pub check: String,
    /// Rule inside the check's class; may be empty.
    pub rule: String,
    /// As reports print it.
    pub resource: String,
}

impl Difference {
    /// Is everything the same?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Compares two bundles.
    #[must_use]
    pub fn between(before: &Bundle, after: &Bundle) -> Self {
        let mut difference = Self {
            controls: transitions(before, after),
            rules: rules(before, after),
            sources: sources(&before.items, &after.items),
            decisions: decisions(&before.items, &after.items),
            ..Self::default()
        };
        let (old, new) = (failures(&before.items), failures(&after.items));
        let said = Said::of(&after.items);
        difference.opened.extend(new.difference(&old).cloned());
        for failure in old.difference(&new) {
            let closed = said.covers(failure);
            let list = if closed { &mut difference.closed } else { &mut difference.vanished };
            list.push(failure.clone());
        }
        difference
    }
}

fn failures(items: &Items) -> BTreeSet<Failure> {
    let fails =
        |finding: &&FindingItem| finding.outcome == Outcome::Fail && items.is_usable(finding);
    items
        .findings
        .iter()
        .filter(fails)
        .map(|finding| Failure {
            check: finding.check.clone(),
            rule: finding.rule.clone(),
            resource: finding.resource.to_string(),
        })
        .collect()
}

/// Of what a bundle says something definite.
struct Said {
    /// Check and resource.
    checks: BTreeSet<(String, String)>,
    /// Scanner and resource.
    scanners: BTreeSet<(String, String)>,
}

impl Said {
    fn of(items: &Items) -> Self {
        let mut said = Self { checks: BTreeSet::new(), scanners: BTreeSet::new() };
        for finding in &items.findings {
            let definite = matches!(finding.outcome, Outcome::Pass | Outcome::Fail);
            if definite && items.is_usable(finding) {
                let resource = finding.resource.to_string();
                let scanner = scanner(&finding.check).to_owned();
                said.scanners.insert((scanner, resource.clone()));
                said.checks.insert((finding.check.clone(), resource));
            }
        }
        said
    }

    /// Was it looked for what failed before? A class of rules (vulnerabilities of one severity) names
    /// no rule that it did not find, so there it is enough that the scanner looked at the resource.
    fn covers(&self, failure: &Failure) -> bool {
        let at = |what: &str| (what.to_owned(), failure.resource.clone());
        self.checks.contains(&at(&failure.check))
            || (!failure.rule.is_empty() && self.scanners.contains(&at(scanner(&failure.check))))
    }
}

fn scanner(check: &str) -> &str {
    check.split_once(':').map_or(check, |(scanner, _)| scanner)
}

/// Controls whose status is another one.
#[must_use]
pub fn transitions(before: &Bundle, after: &Bundle) -> Vec<Transition> {
    let (old, new) = (&before.items.controls, &after.items.controls);
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let status = |items: &BTreeMap<String, ControlItem>, id| items.get(id).map(|item| item.status);
    ids.into_iter()
        .map(|id| (id, status(old, id), status(new, id)))
        .filter(|(_, was, is)| was != is)
        .map(|(id, was, is)| Transition {
            control: id.clone(),
            before: was,
            after: is,
            mapping_changed: mapping(before, id) != mapping(after, id),
        })
        .collect()
}

/// The mappings of a control, as they were sealed.
fn mapping<'b>(bundle: &'b Bundle, id: &str) -> Option<&'b [Mapping]> {
    let (key, control) = id.split_once('/')?;
    let (framework, _) = bundle.frameworks.iter().find(|(framework, _)| framework.key() == key)?;
    Some(&framework.control(control)?.mappings)
}

/// Everything but the cluster that results depend on: mappings, tools, their rules, this program.
#[must_use]
pub fn rules(before: &Bundle, after: &Bundle) -> Vec<String> {
    let mut said = Vec::new();
    let frameworks = |bundle: &Bundle| -> BTreeMap<String, String> {
        bundle.frameworks.iter().map(|(f, digest)| (f.key(), digest.to_string())).collect()
    };
    compare("mapping of", &frameworks(before), &frameworks(after), &mut said);
    compare("tool", &tools(&before.items), &tools(&after.items), &mut said);
    let (old, new) = (&before.run.tool, &after.run.tool);
    if old.version != new.version {
        said.push(format!("{} {} instead of {}", new.name, new.version, old.version));
    }
    said
}

fn sources(before: &Items, after: &Items) -> Vec<String> {
    let standings = |items: &Items| -> BTreeMap<String, String> {
        items.sources.values().map(|s| (s.name.clone(), s.standing.clone())).collect()
    };
    let mut said = Vec::new();
    compare("", &standings(before), &standings(after), &mut said);
    said
}

/// Versions of the tools that inputs name, and the rule sets that they applied.
fn tools(items: &Items) -> BTreeMap<String, String> {
    let mut tools: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for input in items.inputs.values() {
        for (tool, version) in &input.tools {
            tools.entry(tool.clone()).or_default().insert(version);
        }
        for rule_set in &input.rule_sets {
            tools.entry(format!("rules of {}", input.source)).or_default().insert(rule_set);
        }
    }
    let text = |versions: BTreeSet<&str>| versions.into_iter().collect::<Vec<_>>().join(", ");
    tools.into_iter().map(|(tool, versions)| (tool, text(versions))).collect()
}

/// Waivers and attestations that appeared, went, or changed their state.
#[must_use]
pub fn decisions(before: &Items, after: &Items) -> Vec<String> {
    let states = |items: &Items| -> BTreeMap<String, String> {
        let waivers = items.waivers.iter().map(|item| (item.id.clone(), item.state.clone()));
        let stated = items.attestations.iter().map(|item| (item.id.clone(), item.state.clone()));
        waivers.chain(stated).collect()
    };
    let mut said = Vec::new();
    compare("", &states(before), &states(after), &mut said);
    said
}

/// One line for each key that appeared, went, or has another value.
fn compare(
    what: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    said: &mut Vec<String>,
) {
    let short = |value: &str| {
        let is_digest = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        value.chars().take(if is_digest { 12 } else { usize::MAX }).collect::<String>()
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let name = format!("{what} {key}");
        let name = name.trim();
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old != new => {
                said.push(format!("{name}: {} instead of {}", short(new), short(old)));
            }
            (None, Some(new)) => said.push(format!("{name}: new ({})", short(new))),
            (Some(old), None) => said.push(format!("{name}: no longer there ({})", short(old))),
            _ => {}
        }
    }
}
