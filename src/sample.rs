//! Audit samples (section 12 of the format): which units of a population an auditor looks at,
//! decided by a seed, so that anybody can draw the same ones again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::statement::Statement;
use crate::finding::ResourceRef;

/// What the units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Items of type `finding`, by id.
    Findings,
    /// Different resources of findings.
    Resources,
}

/// A unit that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Id of a finding, or `namespace/kind/name`.
    pub name: String,
    /// What decided its place in the draw.
    pub key: Digest,
    /// Ids of the items that it stands for.
    pub items: BTreeSet<String>,
}

/// A sample and what it was drawn from.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Units in the population.
    pub population: usize,
    /// The units drawn, in order.
    pub units: Vec<Unit>,
}

/// An item could not be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the items: {reason}")]
pub struct SampleError {
    /// Line from 1.
    pub line: usize,
    /// Why.
    pub reason: serde_json::Error,
}

/// Draws `n` units (all, if there are fewer) from a bundle's items.
///
/// # Errors
/// [`SampleError`].
pub fn draw(
    statement: &Statement,
    items: &[u8],
    population: Population,
    n: usize,
    seed: &str,
) -> Result<Sample, SampleError> {
    let chain = &statement.predicate.chain;
    let mut units: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let lines = items.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for (line, bytes) in (1..).zip(lines) {
        let failed = |reason| SampleError { line, reason };
        let head: Head = serde_json::from_slice(bytes).map_err(failed)?;
        if head.kind != "finding" {
            continue;
        }
        let unit = match population {
            Population::Findings => head.id.clone(),
            Population::Resources => {
                let finding: Finding = serde_json::from_slice(bytes).map_err(failed)?;
                resource_name(&finding.resource)
            }
        };
        units.entry(unit).or_default().insert(head.id);
    }
    let count = units.len();
    let mut units: Vec<Unit> = units
        .into_iter()
        .map(|(name, items)| Unit { key: key(seed, &chain.origin, chain.seq, &name), name, items })
        .collect();
    units.sort_by_key(|unit| unit.key);
    units.truncate(n);
    Ok(Sample { population: count, units })
}

#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Finding {
    resource: ResourceRef,
}

fn resource_name(resource: &ResourceRef) -> String {
    let ResourceRef { kind, name, namespace, .. } = resource;
    if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{namespace}/{kind}/{name}")
    }
}

fn key(seed: &str, origin: &str, seq: u64, unit: &str) -> Digest {
    let mut hasher = Hasher::default();
    for part in [seed, origin, &seq.to_string()] {
        hasher.update(part.as_bytes());
        hasher.update(b"\0");
    }
    hasher.update(unit.as_bytes());
    hasher.finish()
}
