//! `affidavit collect`: what a run would read, without judging it. For clusters whose evidence is
//! sealed elsewhere.

use std::path::PathBuf;

use super::Context;
use super::run;
use crate::exit::Exit;
use crate::output::{Failure, table};
use crate::pipeline::{self, Progress};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    config: PathBuf,

    /// Folder for what is taken from the cluster or made of manifests, one folder per source
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Of a fleet, read the clusters of one share only: its number from 0, and of how many [default: all]
    #[arg(long, value_name = "I/N", value_parser = parse_part)]
    part: Option<(usize, usize)>,
}

fn parse_part(text: &str) -> Result<(usize, usize), String> {
    let (part, of) = text.split_once('/').unwrap_or((text, ""));
    match (part.parse(), of.parse()) {
        (Ok(part), Ok(of)) if part < of => Ok((part, of)),
        _ => Err("a number from 0 and of how many, like 0/10".to_owned()),
    }
}

/// Steps go to the notes.
struct Notes<'a>(&'a Context);

impl Progress for Notes<'_> {
    fn step(&self, text: &str) {
        self.0.output.note(text);
    }
}

pub(super) fn collect(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = run::load(&arguments.config)?;
    let progress = Notes(context);
    let share = Some(arguments.part.unwrap_or((0, 1)));
    let collected = pipeline::gather(&config, context.now, share, &arguments.folder, &progress)
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
        if source.files.is_empty() && source.shortfalls.is_empty() {
            rows.push(vec![source.name.clone(), "-".to_owned(), "no file was found".to_owned()]);
        }
        incomplete |= !source.shortfalls.is_empty() || source.files.is_empty();
    }
    for (source, text) in &collected.unseen {
        rows.push(vec![source.clone(), "-".to_owned(), text.clone()]);
    }
    incomplete |= !collected.unseen.is_empty();
    for line in table(&rows) {
        context.output.line(line);
    }
    Ok(if incomplete { Exit::Incomplete } else { Exit::Done })
}
