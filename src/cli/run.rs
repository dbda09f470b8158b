//! `affidavit run`

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::Context;
use crate::archive::for_shell;
use crate::assessment::{Status, StatusCounts};
use crate::config::{Config, ConfigError};
use crate::evidence::instant;
use crate::exit::Exit;
use crate::output::{Failure, Output, Paint, table};
use crate::pipeline::{self, Progress, RunFailure, RunOutcome};
use crate::record::SourceItem;
use crate::verify::CLOCK_SKEW_SECONDS;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) assess: AssessArguments,

    /// Do everything but seal: say what would be sealed, which decisions would have no effect, and whether keys and
    /// archive are in order
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct AssessArguments {
    /// Configuration file
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    pub(super) config: PathBuf,

    /// Exit with 5 when a control has one of these statuses
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = parse_status)]
    fail_on: Vec<Status>,

    /// Stop and seal nothing when a source is not in order (missing, empty, unreadable, of another
    /// cluster, stale, incomplete or unmapped)
    #[arg(long)]
    strict: bool,
}

fn parse_status(text: &str) -> Result<Status, String> {
    Status::from_word(text).ok_or_else(|| {
        let all: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("one of {}", all.join(", "))
    })
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = load(&arguments.assess.config)?;
    let is_dry = arguments.dry_run;
    let arguments = &arguments.assess;
    if is_dry {
        return dry_run(&config, arguments, context);
    }
    let (outcome, exit) = once(&config, arguments, context)?;
    if context.output.is_json() {
        context.output.json(&json(&outcome));
    } else {
        print_text(&outcome, context.output);
    }
    Ok(exit)
}

/// Collects and assesses, says what came of it, and writes nothing: for a pull request, where there are neither
/// keys nor an archive.
pub(super) fn check(arguments: &AssessArguments, context: &Context) -> Result<Exit, Failure> {
    let config = load(&arguments.config)?;
    assess(&config, arguments, context)
}

/// Does all of that and tries keys and archive as well.
fn dry_run(
    config: &Config,
    arguments: &AssessArguments,
    context: &Context,
) -> Result<Exit, Failure> {
    let exit = assess(config, arguments, context)?;
    pipeline::rehearse_sealing(config, context.now).map_err(|error| {
        let Failure { exit, error, help } = failed(error);
        Failure { exit, error: error.context("a run could not seal this"), help }
    })?;
    Ok(exit)
}

fn assess(
    config: &Config,
    arguments: &AssessArguments,
    context: &Context,
) -> Result<Exit, Failure> {
    let display = Display::new(context.progress);
    let rehearsal = pipeline::rehearse(config, context.now, &display);
    display.finish();
    let found = rehearsal.map_err(failed)?;
    if arguments.strict
        && let Some(source) = found.sources.iter().find(|source| source.standing != "ok")
    {
        return Err(failed(RunFailure::Strict {
            name: source.name.clone(),
            standing: source.standing.clone(),
            detail: source.detail.clone(),
        }));
    }
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "dryRun": true,
            "incomplete": found.incomplete,
            "sources": json_sources(&found.sources),
            "frameworks": json_frameworks(&found.frameworks),
            "notices": found.notices,
        }));
    } else {
        print_found(&found.sources, &found.frameworks, &found.notices, output);
        output.line("");
        output.line("nothing was sealed");
    }
    Ok(exit_of(&found.frameworks, found.incomplete, arguments))
}

fn failed(error: RunFailure) -> Failure {
    let exit = if error.is_configuration() { Exit::Usage } else { Exit::NotFinished };
    let help = error.help();
    Failure::new(exit, error).help(help)
}

fn exit_of(
    frameworks: &[(String, String, StatusCounts)],
    incomplete: bool,
    arguments: &AssessArguments,
) -> Exit {
    let gated = frameworks
        .iter()
        .any(|(_, _, counts)| arguments.fail_on.iter().any(|status| counts.get(*status) > 0));
    if gated {
        Exit::Gate
    } else if incomplete {
        Exit::Incomplete
    } else {
        Exit::Done
    }
}

/// Reads a configuration, for every command that has one.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| {
        let help = match error {
            ConfigError::Read { .. } => "`affidavit init` writes one",
            _ => "correct the file; docs/configuration.md lists every key",
        };
        Failure::new(Exit::Usage, error).help(help)
    })
}

/// Runs once; gives what it sealed and how the program is to end.
pub(super) fn once(
    config: &Config,
    arguments: &AssessArguments,
    context: &Context,
) -> Result<(RunOutcome, Exit), Failure> {
    for sentence in pipeline::past_proxies(config) {
        context.output.note(format!("warning: {sentence}"));
    }
    if let Some(sentence) = ahead(context.now, Timestamp::now()) {
        context.output.note(format!("warning: {sentence}"));
    }
    let display = Display::new(context.progress);
    let (result, untold) = pipeline::run_and_tell(config, context.now, arguments.strict, &display);
    display.finish();
    for reason in &untold {
        context.output.note(format!("not told: {reason}"));
    }
    let outcome = result.map_err(failed)?;
    let exit = exit_of(&outcome.frameworks, outcome.incomplete, arguments);
    Ok((outcome, exit))
}

/// A bundle that is dated in the future does not verify before its time has come.
fn ahead(now: Timestamp, clock: Timestamp) -> Option<String> {
    (now.as_second() > clock.as_second() + CLOCK_SKEW_SECONDS).then(|| {
        let (now, clock) = (instant::format(now), instant::format(clock));
        format!(
            "this run is dated {now}, and the clock of this machine is at {clock}: until then the archive does not verify (TIME_IN_FUTURE)"
        )
    })
}

/// A spinner with the current step, on a terminal only.
pub(super) struct Display(Option<ProgressBar>);

impl Display {
    pub(super) fn new(shown: bool) -> Self {
        let bar = shown.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self(bar)
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Display {
    fn step(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }
}

fn print_found(
    sources: &[SourceItem],
    frameworks: &[(String, String, StatusCounts)],
    notices: &[String],
    output: Output,
) {
    let head = ["source", "findings", "mapped", "standing", ""];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    for source in sources {
        let (findings, mapped) = (source.findings.to_string(), source.mapped.to_string());
        let (standing, detail) = (source.standing.clone(), source.detail.clone());
        rows.push(vec![source.name.clone(), findings, mapped, standing, detail]);
    }
    print_rows(&rows, output);
    output.line("");
    let mut rows = vec![vec!["framework".to_owned(), "assessed".to_owned()]];
    if let Some(head) = rows.first_mut() {
        head.extend(Status::ALL.iter().rev().map(ToString::to_string));
    }
    for (key, _, counts) in frameworks {
        let assessed = format!("{} of {}", counts.assessed(), counts.applicable());
        let mut row = vec![key.clone(), assessed];
        row.extend(Status::ALL.iter().rev().map(|status| counts.get(*status).to_string()));
        rows.push(row);
    }
    print_rows(&rows, output);
    output.line("");
    for (_, title, counts) in frameworks {
        output.line(in_words(title, *counts));
    }
    for notice in notices {
        output.line(format!("{} {notice}", output.paint(Paint::Yellow, "notice:")));
    }
}

/// What came of a framework, in one sentence.
fn in_words(title: &str, counts: StatusCounts) -> String {
    let of = |status: Status| counts.get(status);
    let (fail, manual) = (of(Status::NotSatisfied), of(Status::Manual));
    let open = of(Status::NotAssessed);
    let verb = |number: usize, one: &str, more: &str| {
        format!("{number} {}", if number == 1 { one } else { more })
    };
    let mut parts = vec![match fail {
        0 if counts.assessed() == 0 => "no control could be assessed".to_owned(),
        0 => "no control fails".to_owned(),
        _ => verb(fail, "control fails", "controls fail"),
    }];
    if manual > 0 {
        parts.push(verb(manual, "waits for a person", "wait for a person"));
    }
    if open > 0 && counts.assessed() > 0 {
        parts.push(verb(open, "could not be assessed", "could not be assessed"));
    }
    format!("{title}: {}", parts.join(", "))
}

pub(super) fn print_text(outcome: &RunOutcome, output: Output) {
    print_found(&outcome.sources, &outcome.frameworks, &outcome.notices, output);
    output.line("");
    if outcome.already_recorded {
        output.line("already recorded: the same run is in the archive");
    }
    output.line(format!("archive   {}", outcome.archive));
    output.line(format!("bundle    {}#{}  {}", outcome.origin, outcome.seq, outcome.bundle));
    output.line(format!("report    {}/report.pdf", outcome.bundle));
    if let Some(reason) = &outcome.without_timestamp {
        output.line(format!("          its signature has no timestamp: {reason}"));
    }
    if outcome.past_unknown {
        output.note(
            "warning: this begins the chain, and the store does not say whether one was removed here (s3:ListBucketVersions)",
        );
    }
    match (&outcome.not_pruned, outcome.pruned) {
        (Some(reason), _) => {
            output.line(format!("pruned    not all that is past retention: {reason}"));
        }
        (None, 0) => {}
        (None, 1) => output.line("pruned    the payload of 1 bundle, after its retention"),
        (None, more) => {
            output.line(format!("pruned    the payloads of {more} bundles, after their retention"));
        }
    }
    if let Some(pin) = &outcome.pin {
        output.line(format!("head      {}", output.paint(Paint::Bold, &pin.line())));
        output.note("");
        output.note("Keep the head outside the archive: it pins everything up to here.");
    }
    let roots: Vec<String> = outcome.roots.iter().map(|root| format!("--root {root}")).collect();
    let place = format!("{} {}", for_shell(&outcome.archive), outcome.archive_options);
    output.note(format!("Verify: affidavit verify {} {}", place.trim_end(), roots.join(" ")));
}

fn print_rows(rows: &[Vec<String>], output: Output) {
    for (index, line) in table(rows).iter().enumerate() {
        let line = if index == 0 { output.paint(Paint::Dim, line) } else { line.to_owned() };
        output.line(line);
    }
}

fn json_frameworks(frameworks: &[(String, String, StatusCounts)]) -> serde_json::Value {
    let frameworks = frameworks.iter().map(|(key, title, counts)| {
        serde_json::json!({
            "framework": key,
            "title": title,
            "counts": counts,
            "assessed": counts.assessed(),
            "applicable": counts.applicable(),
        })
    });
    frameworks.collect()
}

fn json_sources(sources: &[SourceItem]) -> serde_json::Value {
    let sources = sources.iter().map(|source| {
        serde_json::json!({
            "name": source.name,
            "standing": source.standing,
            "detail": source.detail,
            "findings": source.findings,
            "mapped": source.mapped,
            "unmappedChecks": source.unmapped_checks,
        })
    });
    sources.collect()
}

pub(super) fn json(outcome: &RunOutcome) -> serde_json::Value {
    serde_json::json!({
        "archive": outcome.archive,
        "origin": outcome.origin,
        "seq": outcome.seq,
        "statement": outcome.statement,
        "bundle": outcome.bundle,
        "head": outcome.pin.as_ref().map(crate::verify::pin::Pin::line),
        "alreadyRecorded": outcome.already_recorded,
        "incomplete": outcome.incomplete,
        "findings": outcome.findings,
        "sources": json_sources(&outcome.sources),
        "frameworks": json_frameworks(&outcome.frameworks),
        "notices": outcome.notices,
        "rootFingerprints": outcome.roots,
        "reportWithoutTimestamp": outcome.without_timestamp,
        "pruned": outcome.pruned,
        "notPruned": outcome.not_pruned,
        "pastUnknown": outcome.past_unknown,
    })
}
