//! `affidavit completions SHELL`, `affidavit man FOLDER`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Context;
use super::trust::not_finished;
use crate::exit::Exit;
use crate::output::Failure;

/// Print completions for a shell.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// For which shell
    shell: clap_complete::Shell,
}

/// Write the manual pages, one for each command.
#[derive(clap::Args)]
pub(super) struct Man {
    /// Where to, for instance /usr/local/share/man/man1
    folder: PathBuf,
}

pub(super) fn completions(arguments: &Completions, context: &Context) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "affidavit", &mut text);
    context.output.bytes(&text).map_err(not_finished)?;
    Ok(Exit::Done)
}

pub(super) fn man(arguments: &Man) -> Result<Exit, Failure> {
    let name = || arguments.folder.display().to_string();
    std::fs::create_dir_all(&arguments.folder).with_context(name).map_err(not_finished)?;
    // `--help` of a command says the same as its page; a page for each `help` says nothing.
    let command = super::Arguments::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &arguments.folder)
        .with_context(name)
        .map_err(not_finished)?;
    Ok(Exit::Done)
}
