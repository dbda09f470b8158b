//! `affidavit fleet`

use super::Context;
use super::run;
use super::trust::{Place, Trust, open_verified, unsealed, usage};
use crate::archive;
use crate::config::Config;
use crate::exit::Exit;
use crate::member::State;
use crate::output::{Failure, Output, Paint, table};
use crate::record::MemberItem;
use crate::sealed::Bundle;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: run::Arguments,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show how the clusters stood in a bundle of a fleet
    Show(Show),
}

#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// This cluster only
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Print the head of its log that the bundle pins, for `verify --pin`
    #[arg(long, requires = "cluster")]
    head: bool,
}

pub(super) fn fleet(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    match &arguments.command {
        Some(Command::Show(arguments)) => show(arguments, context),
        None => roll_up(&arguments.run, context),
    }
}

/// Runs as `affidavit run` does, and shows the clusters.
fn roll_up(arguments: &run::Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = run::load(&arguments.assess.config)?;
    if !config.is_fleet() {
        let text = "the configuration has no source with `scanner: fleet` and its clusters";
        return Err(usage(anyhow::anyhow!(text)));
    }
    let (outcome, exit) = run::once(&config, &arguments.assess, context)?;
    let bundle = read(&config, outcome.seq, context)?;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "run": run::json(&outcome),
            "clusters": clusters(&bundle.items.members),
        }));
        return Ok(exit);
    }
    print(&bundle, &bundle.items.members, context.output);
    context.output.line("");
    run::print_text(&outcome, context.output);
    Ok(exit)
}

fn read(config: &Config, seq: u64, context: &Context) -> Result<Bundle, Failure> {
    let archive = archive::open(&config.archive, context.now)
        .map_err(|error| Failure::new(Exit::NotFinished, error))?;
    Bundle::read_without_findings(&*archive, seq, &[]).map_err(unsealed)
}

fn show(arguments: &Show, context: &Context) -> Result<Exit, Failure> {
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    let newest = crate::disclose::size(&*archive)
        .map_err(|error| arguments.place.unreadable(error))?
        .saturating_sub(1);
    let seq = arguments.bundle.unwrap_or(newest);
    let bundle = Bundle::read_without_findings(&*archive, seq, &[]).map_err(unsealed)?;
    let members: Vec<MemberItem> = bundle
        .items
        .members
        .iter()
        .filter(|member| arguments.cluster.as_ref().is_none_or(|name| *name == member.cluster))
        .cloned()
        .collect();
    if members.is_empty() {
        let text = match &arguments.cluster {
            Some(name) => format!("bundle {seq} has no cluster `{name}`"),
            None => format!("bundle {seq} is not of a fleet"),
        };
        return Err(usage(anyhow::anyhow!(text)));
    }
    if arguments.head {
        let pin = members.first().map(MemberItem::pin).unwrap_or_default();
        if pin.is_empty() {
            return Err(usage(anyhow::anyhow!("no head of that cluster was ever seen")));
        }
        context.output.line(pin);
    } else if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "origin": bundle.statement.predicate.chain.origin,
            "bundle": bundle.seq(),
            "created": bundle.run.created,
            "clusters": clusters(&members),
        }));
    } else {
        print(&bundle, &members, context.output);
    }
    let all_ok = members.iter().all(|member| member.state == State::Ok);
    Ok(if all_ok { Exit::Done } else { Exit::Incomplete })
}

/// Clusters of which least can be said first.
fn ranked(members: &[MemberItem]) -> Vec<&MemberItem> {
    let mut ranked: Vec<_> = members.iter().collect();
    ranked.sort_by(|left, right| (left.state, &left.cluster).cmp(&(right.state, &right.cluster)));
    ranked
}

fn print(bundle: &Bundle, members: &[MemberItem], output: Output) {
    let keys: Vec<String> =
        bundle.frameworks.iter().map(|(framework, _)| framework.key()).collect();
    let mut head = vec!["cluster".to_owned(), "state".to_owned(), "newest run".to_owned()];
    head.extend(keys.iter().cloned());
    head.push(String::new());
    let mut rows = vec![head];
    for member in ranked(members) {
        let newest = match member.seq {
            Some(seq) => format!("{} #{seq}", member.created),
            None => "-".to_owned(),
        };
        let mut row = vec![member.cluster.clone(), member.state.as_str().to_owned(), newest];
        row.extend(keys.iter().map(|key| match member.counts(key) {
            Some(counts) => {
                let (assessed, of) = (counts.assessed(), counts.applicable());
                format!("{}, {assessed} of {of}", counts.not_satisfied)
            }
            None => "-".to_owned(),
        }));
        row.push(member.detail.clone());
        rows.push(row);
    }
    output.note("By framework: controls that evidence contradicts, assessed of those that apply.");
    let states = ranked(members).into_iter().map(|member| member.state);
    for (line, state) in table(&rows).iter().zip(std::iter::once(None).chain(states.map(Some))) {
        output.line(match state {
            None => output.paint(Paint::Dim, line),
            Some(State::Ok) => line.clone(),
            Some(_) => output.paint(Paint::Red, line),
        });
    }
}

fn clusters(members: &[MemberItem]) -> Vec<serde_json::Value> {
    let mut list = Vec::new();
    for member in ranked(members) {
        list.push(serde_json::json!({
            "cluster": member.cluster,
            "state": member.state,
            "detail": member.detail,
            "created": member.created,
            "seq": member.seq,
            "next": member.next,
            "head": member.pin(),
            "sources": member.sources,
            "frameworks": member.frameworks,
        }));
    }
    list
}
