//! `affidavit page`

use std::path::PathBuf;

use anyhow::Context as _;

use super::Context;
use crate::exit::Exit;
use crate::output::Failure;

/// The web verifier. It comes out of the program and never out of an archive: a page that travels
/// with what it verifies could say anything.
const PAGE: &str = include_str!("../verify/page.html");

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to write it [default: standard output]
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn page(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Some(file) = &arguments.file else {
        context.output.document(PAGE.trim_end());
        return Ok(Exit::Done);
    };
    std::fs::write(file, PAGE)
        .with_context(|| format!("could not write {}", file.display()))
        .map_err(|error| Failure::new(Exit::NotFinished, error).help("check the path"))?;
    context.output.note(format!("Open {} in a browser; it connects to nothing.", file.display()));
    Ok(Exit::Done)
}
