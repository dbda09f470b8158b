//! `affidavit disclose ARCHIVE --item ID`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::Context;
use super::trust::{Place, not_finished, usage};
use crate::disclose::{DiscloseError, Source};
use crate::exit::Exit;
use crate::output::Failure;
use crate::verify::{Policy, verify_disclosure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// Id of an item, as in `items.jsonl`: `finding/0000012`, `control/pci-dss@4.0.1/2.2.1`
    #[arg(long, value_name = "ID", required = true)]
    item: Vec<String>,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// Where to write it
    #[arg(short = 'f', long, value_name = "FILE", default_value = "disclosure.json")]
    file: PathBuf,
}

pub(super) fn disclose(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = arguments.place.open(context)?;
    let source = Source::read(&*archive, arguments.bundle).map_err(failure)?;
    let bytes = disclosure(&source, &arguments.item.iter().cloned().collect(), context)?;
    write_new(&arguments.file, &bytes)?;
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({ "file": arguments.file, "items": arguments.item }));
        return Ok(Exit::Done);
    }
    output.line(format!(
        "{} shows {} of {} items of bundle {}",
        arguments.file.display(),
        arguments.item.len(),
        source.statement.predicate.items.size,
        source.statement.predicate.chain.seq
    ));
    output.note("Check it with `affidavit verify-proof`, or with the web page (`affidavit page`).");
    Ok(Exit::Done)
}

/// A disclosure that was found to verify before it is given to anybody.
pub(super) fn disclosure(
    source: &Source,
    ids: &BTreeSet<String>,
    context: &Context,
) -> Result<Vec<u8>, Failure> {
    let bytes = source.disclose(ids).map_err(failure)?;
    // Whether the receiver trusts these root keys is for the receiver to say.
    let roots = source.first_keyring().into_iter().collect();
    let result = verify_disclosure(&bytes, &Policy::new(roots, context.now));
    match result.verdict.first_fault() {
        None => Ok(bytes),
        Some(finding) => {
            let text = format!("the archive does not verify: {} {}", finding.code, finding.object);
            Err(not_finished(anyhow!(text)).help("run `affidavit verify` on the archive"))
        }
    }
}

pub(super) fn failure(error: DiscloseError) -> Failure {
    match error {
        DiscloseError::NoBundle { .. } | DiscloseError::NoItem { .. } => usage(error.into()),
        other => not_finished(other),
    }
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("could not write {}", path.display()))
        .map_err(|error| not_finished(error).help("choose a name that is not taken"))
}
