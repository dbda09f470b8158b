//! `affidavit diff ARCHIVE A B`

use super::Context;
use super::trust::{Place, Trust, open_verified, unsealed};
use crate::assessment::Status;
use crate::diff::{Difference, Failure as Failing};
use crate::exit::Exit;
use crate::output::{Failure, table};
use crate::sealed::Bundle;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// Number of the earlier bundle
    before: u64,

    /// Number of the later bundle [default: the newest]
    after: Option<u64>,

    #[command(flatten)]
    trust: Trust,
}

pub(super) fn diff(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    let before = Bundle::read(&*archive, Some(arguments.before)).map_err(unsealed)?;
    let after = Bundle::read(&*archive, arguments.after).map_err(unsealed)?;
    let difference = Difference::between(&before, &after);
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "origin": after.statement.predicate.chain.origin,
            "before": {"bundle": before.seq(), "created": before.run.created},
            "after": {"bundle": after.seq(), "created": after.run.created},
            "difference": difference,
        }));
        return Ok(Exit::Done);
    }
    output.line(format!(
        "Bundle {} ({}) to bundle {} ({})",
        before.seq(),
        before.run.created,
        after.seq(),
        after.run.created
    ));
    if difference.is_empty() {
        output.line("");
        output.line("Nothing changed.");
        return Ok(Exit::Done);
    }
    for (title, lines) in sections(&difference) {
        output.line("");
        output.line(format!("{title}: {}", lines.len()));
        for line in table(&lines) {
            output.line(format!("  {line}"));
        }
    }
    Ok(Exit::Done)
}

/// Every part with a title, whether or not there is something in it: an empty one says so.
fn sections(difference: &Difference) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let word = |status: Option<Status>| status.map_or("-", Status::as_str).to_owned();
    let controls = difference.controls.iter().map(|change| {
        let why = if change.mapping_changed { "its mapping changed too" } else { "" };
        vec![
            change.control.clone(),
            format!("{} → {}", word(change.before), word(change.after)),
            why.to_owned(),
        ]
    });
    let failures = |list: &[Failing]| -> Vec<Vec<String>> {
        let row = |failure: &Failing| {
            vec![failure.check.clone(), failure.rule.clone(), failure.resource.clone()]
        };
        list.iter().map(row).collect()
    };
    let words = |list: &[String]| list.iter().map(|line| vec![line.clone()]).collect();
    vec![
        ("Controls with another status", controls.collect()),
        ("Cluster: failures opened", failures(&difference.opened)),
        ("Cluster: failures closed", failures(&difference.closed)),
        ("Failures of which nothing is said any more", failures(&difference.vanished)),
        ("Rules and tools", words(&difference.rules)),
        ("Sources", words(&difference.sources)),
        ("Waivers and attestations", words(&difference.decisions)),
    ]
}
