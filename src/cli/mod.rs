//! The command line: one file per subcommand.

mod bundle;
#[cfg(feature = "pipeline")]
mod collect;
#[cfg(feature = "pipeline")]
mod cosign;
mod diff;
mod disclose;
#[cfg(feature = "pipeline")]
mod doctor;
mod export;
#[cfg(feature = "pipeline")]
mod fleet;
mod frameworks;
mod generate;
mod inspect;
#[cfg(feature = "pipeline")]
mod init;
mod page;
#[cfg(feature = "pipeline")]
mod keys;
#[cfg(feature = "pipeline")]
mod policy;
#[cfg(feature = "pipeline")]
mod remediate;
#[cfg(feature = "pipeline")]
mod report;
#[cfg(feature = "pipeline")]
mod run;
mod sample;
#[cfg(feature = "pipeline")]
mod serve;
mod timestamp;
mod recognise;
mod trust;
mod verify;
mod verify_proof;
#[cfg(feature = "pipeline")]
mod watch;

use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use jiff::Timestamp;

use crate::archive;
use crate::exit::Exit;
use crate::output::{Failure, Format, Output};

/// Turn Kubernetes scan results into signed, hash-chained evidence that an auditor can verify
/// offline.
#[derive(Parser)]
#[command(name = "affidavit", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    global: Global,
}

#[derive(clap::Args)]
struct Global {
    /// The time to work at, RFC 3339; also `SOURCE_DATE_EPOCH` [default: the system's clock]
    #[arg(long, global = true, value_name = "TIME")]
    now: Option<Timestamp>,

    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,

    /// Print the result only
    #[arg(short, long, global = true)]
    quiet: bool,

    /// No progress display
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Write a commented affidavit.yaml, make keys and a keyring, print the root fingerprint
    #[cfg(feature = "pipeline")]
    Init(init::Arguments),
    /// Collect, assess, seal, report and archive
    #[cfg(feature = "pipeline")]
    Run(run::Arguments),
    /// Collect and assess without keys or an archive, and seal nothing: for a pull request
    #[cfg(feature = "pipeline")]
    Check(run::AssessArguments),
    /// Roll up the archives of many clusters into one report and bundle
    #[cfg(feature = "pipeline")]
    Fleet(fleet::Arguments),
    /// Collect what a run would read, without judging or sealing it
    #[cfg(feature = "pipeline")]
    Collect(collect::Arguments),
    /// Say which format a file has, which tool wrote it, and what it holds
    Inspect(inspect::Arguments),
    /// Verify an archive, offline
    Verify(verify::Arguments),
    /// Write the report of a bundle again from its sealed data, or check one that you were given
    #[cfg(feature = "pipeline")]
    Report(report::Arguments),
    /// Write a bundle's evidence in another program's format
    Export(export::Arguments),
    /// Say what changed between two bundles: the cluster, the rules, and what people decided
    Diff(diff::Arguments),
    /// Show single items of a bundle, provably, without the rest
    Disclose(disclose::Arguments),
    /// Verify what `disclose` wrote
    VerifyProof(verify_proof::Arguments),
    /// Draw a reproducible audit sample
    Sample(sample::Arguments),
    /// Make, replace, revoke and show keys
    #[cfg(feature = "pipeline")]
    #[command(subcommand)]
    Keys(keys::Command),
    /// Sign the head of a log as a witness
    #[cfg(feature = "pipeline")]
    Cosign(cosign::Arguments),
    /// Have the head of a log timestamped by an authority
    #[command(subcommand)]
    Timestamp(timestamp::Command),
    /// Bundles as one file
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Write the web verifier: one HTML file that verifies an archive in a browser, offline
    Page(page::Arguments),
    /// The controls of the standards and how checks map to them
    #[command(subcommand)]
    Frameworks(frameworks::Command),
    /// The built-in checks as admission policies
    #[cfg(feature = "pipeline")]
    #[command(subcommand)]
    Policy(policy::Command),
    /// Write what to do about what fails: words, patches, and a script that tries them
    #[cfg(feature = "pipeline")]
    Remediate(remediate::Arguments),
    /// Run on the configured schedule until told to end
    #[cfg(feature = "pipeline")]
    Serve(serve::Arguments),
    /// Try everything that a run depends on, and seal nothing
    #[cfg(feature = "pipeline")]
    Doctor(doctor::Arguments),
    /// Fail when a run that was due is missing, or the archive does not verify; to be run elsewhere
    #[cfg(feature = "pipeline")]
    Watch(watch::Arguments),
    /// Print completions for a shell
    Completions(generate::Completions),
    /// Write the manual pages
    Man(generate::Man),
}

/// What a subcommand gets besides its own arguments.
struct Context {
    output: Output,
    now: Timestamp,
    #[cfg_attr(not(feature = "pipeline"), expect(dead_code, reason = "only runs show progress"))]
    progress: bool,
}

/// Reads the command line, runs the subcommand, and says how it ended.
#[must_use]
pub fn main() -> Exit {
    let parsed = Arguments::command().try_get_matches().and_then(|matches| {
        refuse_uris(&matches)?;
        Arguments::from_arg_matches(&matches)
    });
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let global = arguments.global;
    let output = Output::new(global.output, global.quiet);
    archive::on_waiting(Box::new(move |why, left| {
        output.note(format!("waiting for the store, {} s at most: {why}", left.as_secs()));
    }));
    let result = now(global.now).and_then(|now| {
        let progress = !global.no_progress && output.may_show_progress();
        dispatch(arguments.command, &Context { output, now, progress })
    });
    result.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    })
}

/// A URI where a path belongs would become a folder of that name, or be looked for and not found.
fn refuse_uris(matches: &ArgMatches) -> Result<(), clap::Error> {
    for id in matches.ids() {
        let paths = matches.try_get_many::<PathBuf>(id.as_str()).ok().flatten();
        let uri = paths
            .into_iter()
            .flatten()
            .find(|path| path.to_str().is_some_and(|text| archive::scheme(text).is_some()));
        if let Some(uri) = uri {
            let uri = uri.display();
            let named = if uri.to_string().contains(":/") {
                String::new()
            } else {
                format!("; if it is named so, write `./{uri}`")
            };
            let text =
                format!("`{uri}` is no path: this takes a file or folder on this machine{named}\n");
            return Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, text));
        }
    }
    matches.subcommand().map_or(Ok(()), |(_, matches)| refuse_uris(matches))
}

fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        #[cfg(feature = "pipeline")]
        Command::Init(arguments) => init::init(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Run(arguments) => run::run(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Check(arguments) => run::check(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Fleet(arguments) => fleet::fleet(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Collect(arguments) => collect::collect(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Keys(command) => keys::keys(&command, context),
        #[cfg(feature = "pipeline")]
        Command::Cosign(arguments) => cosign::cosign(&arguments, context),
        Command::Inspect(arguments) => Ok(inspect::inspect(&arguments, context)),
        Command::Verify(arguments) => verify::verify(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Report(arguments) => report::report(&arguments, context),
        Command::Export(arguments) => export::export(&arguments, context),
        Command::Diff(arguments) => diff::diff(&arguments, context),
        Command::Disclose(arguments) => disclose::disclose(&arguments, context),
        Command::VerifyProof(arguments) => verify_proof::verify_proof(&arguments, context),
        Command::Sample(arguments) => sample::sample(&arguments, context),
        Command::Timestamp(command) => timestamp::timestamp(&command, context),
        Command::Bundle(command) => bundle::bundle(&command, context),
        Command::Page(arguments) => page::page(&arguments, context),
        Command::Frameworks(command) => frameworks::frameworks(&command, context),
        #[cfg(feature = "pipeline")]
        Command::Policy(command) => policy::policy(&command, context),
        #[cfg(feature = "pipeline")]
        Command::Remediate(arguments) => remediate::remediate(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Serve(arguments) => serve::serve(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Doctor(arguments) => doctor::doctor(&arguments, context),
        #[cfg(feature = "pipeline")]
        Command::Watch(arguments) => watch::watch(&arguments, context),
        Command::Completions(arguments) => generate::completions(&arguments, context),
        Command::Man(arguments) => generate::man(&arguments),
    }
}

/// `--now`, else `SOURCE_DATE_EPOCH` (reproducible-builds.org), else the clock.
fn now(given: Option<Timestamp>) -> Result<Timestamp, Failure> {
    if let Some(now) = given {
        return Ok(now);
    }
    let Some(epoch) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(Timestamp::now()) };
    epoch
        .to_str()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                anyhow::anyhow!("SOURCE_DATE_EPOCH is not a number of seconds"),
            )
        })
}
