//! `affidavit timestamp`: a time from an authority (RFC 3161) for the head of a log.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;

use super::Context;
use super::disclose::write_new;
use super::trust::{Place, not_finished, read_authorities, usage};
use crate::archive::{self, Put};
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::timestamp::{self, Authorities, TimestampError, Token};
use crate::evidence::{instant, layout};
use crate::exit::Exit;
use crate::output::Failure;
use crate::verify::Archive;
use crate::verify::pin::Pin;

/// How far the clocks of an authority and of this machine may be apart (FORMAT section 4).
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(300);

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Write the request for a timestamp over the newest checkpoint
    #[command(after_help = "\
Give the file to your timestamp authority, and keep the answer as it is:

  curl -H 'Content-Type: application/timestamp-query' --data-binary @FILE.tsq URL > FILE.tsr")]
    Request(RequestArguments),
    /// Verify an authority's answer and add it to the archive
    Attach(AttachArguments),
}

#[derive(clap::Args)]
pub(super) struct RequestArguments {
    #[command(flatten)]
    place: Place,

    /// Where to write the request, like `head.tsq`
    #[arg(short = 'f', long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct AttachArguments {
    #[command(flatten)]
    place: Place,

    /// The authority's answer
    #[arg(value_name = "RESPONSE")]
    response: PathBuf,

    /// Certificates of the authority, or of its CA, in PEM
    #[arg(long, value_name = "FILE", required = true)]
    authority: Vec<PathBuf>,
}

pub(super) fn timestamp(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Request(arguments) => request(arguments, context),
        Command::Attach(arguments) => attach(arguments, context),
    }
}

fn request(arguments: &RequestArguments, context: &Context) -> Result<Exit, Failure> {
    let archive = arguments.place.open(context)?;
    let newest = sizes(&*archive, &arguments.place)?
        .pop()
        .ok_or_else(|| not_finished(anyhow!("{} has no checkpoint", arguments.place.archive)))?;
    let head = checkpoint(&*archive, &arguments.place, newest)?;
    write_new(&arguments.file, &timestamp::request(head.body().as_bytes(), None))?;
    let (file, head) = (arguments.file.display().to_string(), Pin::from(head).line());
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({ "request": file, "head": head }));
        return Ok(Exit::Done);
    }
    output.line(format!("head      {head}"));
    output.line(format!("request   {file}"));
    output.note("Give it to your authority, and the answer to `affidavit timestamp attach`:");
    output.note(format!(
        "curl -H 'Content-Type: application/timestamp-query' --data-binary @{file} URL"
    ));
    Ok(Exit::Done)
}

fn attach(arguments: &AttachArguments, context: &Context) -> Result<Exit, Failure> {
    let place = &arguments.place;
    let authorities = read_authorities(&arguments.authority)?
        .ok_or_else(|| usage(anyhow!("--authority is needed")))?;
    let name = || format!("could not read {}", arguments.response.display());
    let response = std::fs::read(&arguments.response).with_context(name).map_err(usage)?;
    let store = archive::open(&place.location(), context.now)
        .map_err(|error| Failure { help: error.help(), ..not_finished(error) })?;
    let (token, head) = find(&response, &*store, place, &authorities)?;
    if token.time > context.now.saturating_add(CLOCK_SKEW).map_err(not_finished)? {
        let error = anyhow!("the timestamp is of {}: the future", instant::format(token.time));
        return Err(not_verified(error).help("set the clock of this machine"));
    }
    let path = layout::timestamp(head.size);
    match store.put_new(&path, &response) {
        Ok(Put::Created | Put::Same) => {}
        Ok(Put::Other) => {
            return Err(not_finished(anyhow!("{path} is there already, with another answer"))
                .help("nothing needs to be done: this head has a timestamp"));
        }
        Err(error) => return Err(Failure { help: error.help(), ..not_finished(error) }),
    }
    let head = Pin::from(head).line();
    let time = instant::format(token.time);
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "timestamp": path, "head": head, "time": time,
            "accuracySeconds": token.accuracy_seconds, "authority": token.authority,
        }));
        return Ok(Exit::Done);
    }
    let accuracy = match token.accuracy_seconds {
        0 => String::new(),
        seconds => format!(" (accurate to {seconds} s)"),
    };
    output.line(format!("head      {head}"));
    output.line(format!("time      {time}{accuracy}"));
    output.line(format!("authority {}", token.authority));
    output.line(format!("written   {path}"));
    Ok(Exit::Done)
}

/// The checkpoint that the response is over: runs may have added others since the request.
fn find(
    response: &[u8],
    archive: &dyn Archive,
    place: &Place,
    authorities: &Authorities,
) -> Result<(Token, Checkpoint), Failure> {
    let refused = |error: TimestampError| not_verified(error.clone()).help(error.help());
    for size in sizes(archive, place)?.into_iter().rev() {
        let head = checkpoint(archive, place, size)?;
        match timestamp::verify(response, head.body().as_bytes(), authorities) {
            Ok(token) => return Ok((token, head)),
            Err(TimestampError::OtherMessage) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(refused(TimestampError::OtherMessage))
}

/// Sizes of which there is a checkpoint, ascending.
fn sizes(archive: &dyn Archive, place: &Place) -> Result<Vec<u64>, Failure> {
    let entries = archive.list().map_err(|error| place.unreadable(error))?;
    let size = |path: &str| match layout::place(path) {
        layout::Place::Checkpoint(size) => Some(size),
        _ => None,
    };
    let mut sizes: Vec<u64> = entries.iter().filter_map(|entry| size(&entry.path)).collect();
    sizes.sort_unstable();
    Ok(sizes)
}

fn checkpoint(archive: &dyn Archive, place: &Place, size: u64) -> Result<Checkpoint, Failure> {
    let path = layout::checkpoint(size);
    let note = archive.read(&path).map_err(|error| place.unreadable(error))?;
    let parsed = SignedCheckpoint::parse(&note).with_context(|| path);
    Ok(parsed.map_err(|error| not_verified(error).help("verify the archive"))?.checkpoint)
}

fn not_verified(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::NotVerified, error)
}
