//! `affidavit verify-proof DISCLOSURE`

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::Context;
use super::trust::{Trust, usage};
use super::verify::{exit_of, print_findings, print_verdict};
use crate::exit::Exit;
use crate::output::Failure;
use crate::verify::{DisclosureVerdict, Verdict, verify_disclosure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A file that `affidavit disclose` wrote
    disclosure: PathBuf,

    #[command(flatten)]
    trust: Trust,

    /// Exit with 7 when there are warnings
    #[arg(long)]
    strict: bool,
}

pub(super) fn verify_proof(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let policy = arguments.trust.policy(context)?;
    let path = &arguments.disclosure;
    let bytes = std::fs::read(path).with_context(|| path.display().to_string()).map_err(usage)?;
    let result = verify_disclosure(&bytes, &policy);
    let exit = exit_of(&result.verdict, arguments.strict);
    if context.output.is_json() {
        print_json(&result, exit, context);
    } else {
        print_text(&result, exit, context);
    }
    Ok(exit)
}

fn print_json(result: &DisclosureVerdict, exit: Exit, context: &Context) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Report<'a> {
        verified: bool,
        exit_code: u8,
        items: Vec<serde_json::Value>,
        #[serde(flatten)]
        verdict: &'a Verdict,
    }
    let items = result.items.iter().filter_map(|line| serde_json::from_str(line).ok());
    context.output.json(&Report {
        verified: result.verdict.is_verified(),
        exit_code: exit as u8,
        items: items.collect(),
        verdict: &result.verdict,
    });
}

fn print_text(result: &DisclosureVerdict, exit: Exit, context: &Context) {
    let output = context.output;
    print_findings(&result.verdict, output);
    output.line(format!("chain     {}", result.verdict.origin));
    if let Some(statement) = &result.statement {
        let predicate = &statement.predicate;
        output.line(format!(
            "bundle    {}, sealed {}, with {} items",
            predicate.chain.seq, predicate.time.created, predicate.items.size
        ));
    }
    for line in &result.items {
        output.line(format!("item      {line}"));
    }
    output.line(format!(
        "checked   {} items; nothing is said of the others, or of the bundle's files",
        result.items.len()
    ));
    print_verdict(&result.verdict, exit, output);
}
