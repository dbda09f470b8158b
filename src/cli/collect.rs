//! `affidavit collect`: what a run would read, without judging it. For clusters whose evidence is
//! sealed elsewhere.

use std::path::PathBuf;

use super::Context;
use crate::collect;
use crate::config::Config;
use crate::exit::Exit;
use crate::output::{Failure, table};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    config: PathBuf,

    /// Folder for what is taken from the cluster or made of manifests, one folder per source
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn collect(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = Config::load(&arguments.config)
        .map_err(|error| Failure::new(Exit::Usage, error).help("`affidavit init` writes one"))?;
    let collected = collect::collect(&config, context.now, &arguments.folder, &|text| {
        context.output.note(text);
    })
    .map_err(|error| Failure::new(Exit::NotFinished, error))?;
    let mut rows = vec![["source", "file", "where"].map(ToOwned::to_owned).to_vec()];
    let mut incomplete = false;
    for source in &collected.sources {
        for file in &source.files {
            let origin = collected.origins.get(&file.path);
            let place = origin.map(|path| path.display().to_string()).unwrap_or_default();
            rows.push(vec![source.name.clone(), file.original.clone(), place]);
        }
        for shortfall in &source.shortfalls {
            rows.push(vec![source.name.clone(), "-".to_owned(), shortfall.clone()]);
        }
        incomplete |= !source.shortfalls.is_empty() || source.files.is_empty();
    }
    for line in table(&rows) {
        context.output.line(line);
    }
    Ok(if incomplete { Exit::Incomplete } else { Exit::Done })
}
