//! `affidavit watch ARCHIVE`

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Context;
use super::trust::{Place, Trust, not_finished, usage};
use crate::alert::{Alert, Kind, Standing};
use crate::config::{self, Notify};
use crate::exit::Exit;
use crate::notify;
use crate::output::{Failure, Paint};
use crate::pipeline;
use crate::verify::pin::Pin;
use crate::verify::{self, Policy};

/// Fails when the archive does not verify, when a run that was due has left no bundle, or when the head
/// is not a continuation of the one seen last time. To be run elsewhere than the schedule.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// How late a run may be: 90m, 2h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    grace: u64,

    /// How many days before the end of a waiver, an attestation or the keyring to warn
    #[arg(long, value_name = "DAYS", default_value_t = crate::alert::SOON_DAYS)]
    soon: u32,

    /// Keep the head here, and demand the next time that the log still holds it
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Whom to tell: a YAML file with what `notify` of a configuration holds
    #[arg(long, value_name = "FILE")]
    notify: Option<PathBuf>,

    /// Exit with 7 when there is anything else to be told
    #[arg(long)]
    strict: bool,
}

fn duration(text: &str) -> Result<u64, String> {
    let seconds = config::parse_duration(text).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or_else(|| "a number with s, m, h or d, like 90m".to_owned())
}

/// For commands whose answer means nothing without a root.
pub(super) fn policy_with_root(
    place: &Place,
    trust: &Trust,
    context: &Context,
) -> Result<Policy, Failure> {
    let policy = trust.policy(Some(place), context)?;
    if policy.roots.is_empty() {
        let text = "--root is missing: anybody can make an archive that agrees with its own keys";
        let help = "give the fingerprint of the root key, which `affidavit init` printed";
        return Err(usage(anyhow::anyhow!(text)).help(help));
    }
    Ok(policy)
}

pub(super) fn watch(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let notify = match &arguments.notify {
        Some(path) => config::load_notify(path).map_err(|error| usage(error.into()))?,
        None => Notify::default(),
    };
    for sentence in pipeline::past_proxies_to_tell(&notify) {
        context.output.note(format!("warning: {sentence}"));
    }
    let mut policy = Policy {
        deep: false,
        live: true,
        grace_seconds: arguments.grace,
        ..policy_with_root(&arguments.place, &arguments.trust, context)?
    };
    if let Some(pin) = arguments.state.as_deref().map(seen).transpose()?.flatten() {
        policy.pins.push(pin);
    }
    let standing = standing(arguments, &policy, context);
    let untold = notify::tell(&notify, &config::Access::default(), &standing.told, None);
    for reason in &untold {
        context.output.note(format!("not told: {reason}"));
    }
    print(&standing.told, context);
    if let Some(error) = standing.unreachable {
        return Err(error);
    }
    let critical = || standing.told.alerts.iter().filter(|alert| alert.kind.is_critical());
    if critical().next().is_some() {
        // What could not be read refutes nothing.
        let all_unread = critical().all(|alert| alert.kind == Kind::Unreadable);
        return Ok(if all_unread { Exit::NotFinished } else { Exit::NotVerified });
    }
    // A head that does not verify is not kept: the last good one stays the measure.
    if let (Some(path), Some(pin)) = (&arguments.state, &standing.head) {
        let kept = std::fs::write(path, format!("{}\n", pin.line()));
        kept.with_context(|| path.display().to_string()).map_err(not_finished)?;
    }
    let others = !standing.told.alerts.is_empty();
    Ok(if arguments.strict && others { Exit::Warnings } else { Exit::Done })
}

/// The head seen last time; `None` the first time.
fn seen(path: &Path) -> Result<Option<Pin>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let name = || format!("--state {}", path.display());
    let text = std::fs::read_to_string(path).with_context(name).map_err(usage)?;
    Pin::parse(&text).with_context(name).map(Some).map_err(usage)
}

struct Watched {
    told: Standing,
    head: Option<Pin>,
    /// The archive could not be read.
    unreachable: Option<Failure>,
}

/// What cannot be read is told too: a store that is gone is what a watch is for.
fn standing(arguments: &Arguments, policy: &Policy, context: &Context) -> Watched {
    let archive = match arguments.place.open(context) {
        Ok(archive) => archive,
        Err(failure) => return unreachable(failure),
    };
    let verdict = match verify::verify(&*archive, policy) {
        Ok(verdict) => verdict,
        Err(error) => return unreachable(arguments.place.unreadable(error)),
    };
    let head = verdict.head.as_ref().filter(|head| head.size > 0);
    let head =
        head.map(|head| Pin { origin: head.origin.clone(), size: head.size, root: head.root });
    let newest = head.as_ref().and_then(|head| {
        Standing::read(&*archive, head.size - 1, context.now, arguments.soon).ok()
    });
    let mut told = newest.unwrap_or_default();
    told.judge(&verdict);
    if head.is_none() && told.alerts.is_empty() {
        told.add(Kind::Stale, 1, "The archive holds no bundle.".to_owned());
    }
    Watched { told, head, unreachable: None }
}

fn unreachable(failure: Failure) -> Watched {
    let mut told = Standing::default();
    told.add(Kind::Unreadable, 1, format!("{:#}.", failure.error));
    Watched { told, head: None, unreachable: Some(failure) }
}

fn print(standing: &Standing, context: &Context) {
    let output = context.output;
    if output.is_json() {
        output.json(standing);
        return;
    }
    if let Some(seq) = standing.seq {
        let next = match standing.next.as_str() {
            "" => "no schedule".to_owned(),
            next => format!("next due {next}"),
        };
        output.line(format!("{}#{seq}  {}  {next}", standing.origin, standing.created));
    }
    for Alert { kind, text, .. } in &standing.alerts {
        let paint = if kind.is_critical() { Paint::Red } else { Paint::Yellow };
        output.line(format!("{}  {text}", output.paint(paint, &format!("{:<13}", kind.as_str()))));
    }
    if standing.alerts.is_empty() {
        output.line(output.paint(Paint::Green, "nothing to tell"));
    }
}
