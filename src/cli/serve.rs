//! `affidavit serve`

use std::path::PathBuf;

use super::Context;
use super::run;
use crate::exit::Exit;
use crate::output::Failure;
use crate::serve::{self, ServeError};

/// Run on the configured schedule until told to end.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; a changed one takes effect with the next start
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn serve(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = run::load(&arguments.config)?;
    let output = context.output;
    serve::serve(config, Box::new(move |line| output.note(line))).map_err(|error| match error {
        ServeError::NoSchedule => {
            Failure::new(Exit::Usage, error).help("set `schedule` in the configuration")
        }
        error => Failure::new(Exit::NotFinished, error),
    })?;
    Ok(Exit::Done)
}
