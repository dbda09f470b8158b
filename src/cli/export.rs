//! `affidavit export ARCHIVE --format sarif --out FILE`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::Context;
use super::trust::{Place, Trust, not_finished, open_verified, unsealed, usage};
use crate::exit::Exit;
use crate::export::{self, ExportFile};
use crate::output::Failure;
use crate::sealed::Bundle;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Format
    #[arg(long, value_parser = formats())]
    format: String,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// File to write, `-` for standard output; a folder for a format of several files
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

fn formats() -> clap::builder::PossibleValuesParser {
    export::FORMATS.iter().map(|format| format.id()).collect::<Vec<_>>().into()
}

pub(super) fn export(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = export::find(&arguments.format)
        .ok_or_else(|| usage(anyhow!("there is no format `{}`", arguments.format)))?;
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    let bundle = Bundle::read(&*archive, arguments.bundle).map_err(unsealed)?;
    let files = format.files(&bundle).map_err(not_finished)?;
    let out = &arguments.out;
    match files.as_slice() {
        [file] if out.as_os_str() == "-" => {
            let written = context.output.bytes(&file.bytes);
            written.context("standard output").map_err(not_finished)?;
        }
        [file] => write(out, file)?,
        several if out.as_os_str() == "-" => {
            let text =
                format!("{} has {} files: --out must name a folder", format.id(), several.len());
            return Err(usage(anyhow!(text)));
        }
        several => {
            std::fs::create_dir_all(out)
                .with_context(|| out.display().to_string())
                .map_err(not_finished)?;
            for file in several {
                write(&out.join(&file.name), file)?;
            }
        }
    }
    let chain = &bundle.statement.predicate.chain;
    context.output.note(format!(
        "{} of bundle {} of {}: {} findings, {} controls",
        format.id(),
        chain.seq,
        chain.origin,
        bundle.items.findings.len(),
        bundle.items.controls.len()
    ));
    Ok(Exit::Done)
}

fn write(path: &Path, file: &ExportFile) -> Result<(), Failure> {
    if file.name.contains('/')
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder)
            .with_context(|| folder.display().to_string())
            .map_err(not_finished)?;
    }
    std::fs::write(path, &file.bytes)
        .with_context(|| path.display().to_string())
        .map_err(not_finished)
}
