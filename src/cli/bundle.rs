//! `affidavit bundle export ARCHIVE`

use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use super::Context;
use super::disclose::failure;
use super::trust::{Place, not_finished, usage};
use crate::archive::packed::{self, Format};
use crate::disclose;
use crate::evidence::statement::Statement;
use crate::evidence::{canonical, instant, layout};
use crate::exit::Exit;
use crate::output::Failure;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Write bundles, with the whole log and everything that proves it, as one file to hand over
    Export(Arguments),
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// A name that ends in .tar or .zip
    #[arg(short = 'f', long, value_name = "FILE")]
    file: PathBuf,

    /// This bundle only
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    bundle: Option<u64>,

    /// From this bundle on [default: the first]
    #[arg(long, value_name = "N")]
    from: Option<u64>,

    /// Up to this bundle [default: the newest]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
}

pub(super) fn bundle(command: &Command, context: &Context) -> Result<Exit, Failure> {
    let Command::Export(arguments) = command;
    let path = &arguments.file;
    let format = Format::of(path).ok_or_else(|| {
        usage(anyhow!("{}: the name ends in neither .tar nor .zip", path.display()))
    })?;
    let archive = arguments.place.open(context)?;
    let size = disclose::size(&*archive).map_err(|error| arguments.place.unreadable(error))?;
    let newest = size.saturating_sub(1);
    let from = arguments.bundle.or(arguments.from).unwrap_or(0);
    let to = arguments.bundle.or(arguments.to).unwrap_or(newest);
    let paths = disclose::export_paths(&*archive, from, to).map_err(failure)?;
    let mut own = Vec::new();
    if (from, to) != (0, newest) {
        let export = canonical::to_vec(&serde_json::json!({ "from": from, "to": to }));
        own.push((layout::EXPORT, export.map_err(not_finished)?));
    }
    let statement = archive.read(&layout::statement(newest));
    let statement = statement.map_err(|error| arguments.place.unreadable(error))?;
    let statement = Statement::parse(&statement).map_err(not_finished)?;
    let at = instant::parse(&statement.predicate.time.created).unwrap_or_default();

    // A file that is not whole must not lie under the name of one that is.
    let partial = path.with_extension("partial");
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&partial)
        .map_err(packed::PackError::from)
        .and_then(|file| {
            packed::write(format, &*archive, &paths, &own, at, BufWriter::new(&file))?;
            Ok(file.sync_all()?)
        })
        .and_then(|()| Ok(fs::hard_link(&partial, path)?));
    drop(fs::remove_file(&partial));
    written
        .with_context(|| format!("could not write {}", path.display()))
        .map_err(|error| not_finished(error).help("choose a name that is not taken"))?;
    let output = context.output;
    let files = paths.len() + own.len();
    if output.is_json() {
        output.json(&serde_json::json!({ "file": path, "from": from, "to": to, "files": files }));
    } else {
        let text = format!("{}: bundles {from} to {to} of {size}, {files} files", path.display());
        output.line(text);
        output.note("Give the root fingerprint and a receipt by another way than this file.");
    }
    Ok(Exit::Done)
}
