//! `affidavit frameworks list | show | coverage | lint`

use serde::Serialize;

use super::Context;
use crate::exit::Exit;
use crate::framework::lint::{self, KnownChecks};
use crate::framework::{Control, Counts, Framework, Kind, Strength, builtin};
use crate::output::{Failure, Paint, table};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Which frameworks there are
    List,
    /// A framework, or one of its controls, with its mappings
    Show {
        /// `pci-dss`, or `cis-kubernetes@2.0.1`
        id: String,
        /// Number of a control: `1.2.16`
        control: Option<String>,
    },
    /// What checks can answer of each framework, before any evidence
    Coverage {
        /// A framework [default: all]
        id: Option<String>,
    },
    /// Look for mappings that claim more than they can
    Lint,
}

pub(super) fn frameworks(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::List => list(context),
        Command::Show { id, control } => show(id, control.as_deref(), context),
        Command::Coverage { id } => coverage(id.as_deref(), context),
        Command::Lint => run_lint(context),
    }
}

fn internal(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Internal, error)
}

fn find(id: &str) -> Result<Framework, Failure> {
    let (id, version) = id.split_once('@').map_or((id, None), |(id, v)| (id, Some(v)));
    builtin::find(id, version).map_err(|error| Failure::new(Exit::Usage, error))
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let all = builtin::load_all().map_err(internal)?;
    if context.output.is_json() {
        #[derive(Serialize)]
        struct Line<'a> {
            id: &'a str,
            version: &'a str,
            title: &'a str,
            authority: &'a str,
            controls: usize,
        }
        let lines = all.iter().map(|framework| Line {
            id: &framework.id,
            version: &framework.version,
            title: &framework.title,
            authority: &framework.authority,
            controls: framework.controls.len(),
        });
        context.output.json(&lines.collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut rows = vec![row(["framework", "controls", "title", "publisher"])];
    rows.extend(all.iter().map(|framework| {
        row([
            &framework.key(),
            &framework.controls.len().to_string(),
            &framework.title,
            &framework.authority,
        ])
    }));
    print_table(&rows, context);
    Ok(Exit::Done)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(ToOwned::to_owned).to_vec()
}

fn print_table(rows: &[Vec<String>], context: &Context) {
    for (index, line) in table(rows).iter().enumerate() {
        let line =
            if index == 0 { context.output.paint(Paint::Dim, line) } else { line.to_owned() };
        context.output.line(line);
    }
}

fn show(id: &str, control: Option<&str>, context: &Context) -> Result<Exit, Failure> {
    let framework = find(id)?;
    let output = &context.output;
    if let Some(number) = control {
        let control = framework.control(number).ok_or_else(|| {
            let error = anyhow::anyhow!("{} has no control {number}", framework.key());
            Failure::new(Exit::Usage, error)
        })?;
        if output.is_json() {
            output.json(control);
        } else {
            show_control(control, context);
        }
        return Ok(Exit::Done);
    }
    if output.is_json() {
        output.json(&framework);
        return Ok(Exit::Done);
    }
    output.line(output.paint(Paint::Bold, &format!("{} {}", framework.title, framework.version)));
    output.line(&framework.notice);
    for group in &framework.groups {
        output.line("");
        output.line(output.paint(Paint::Bold, &format!("{} {}", group.id, group.title)));
        let controls = framework.controls.iter().filter(|control| control.group == group.id);
        let rows: Vec<_> = controls
            .map(|control| row([&control.id, control.kind.as_str(), &control.title]))
            .collect();
        for line in table(&rows) {
            output.line(format!("  {line}"));
        }
    }
    Ok(Exit::Done)
}

fn show_control(control: &Control, context: &Context) {
    let output = &context.output;
    output.line(output.paint(Paint::Bold, &format!("{} {}", control.id, control.title)));
    output.line(format!("  kind         {}", control.kind));
    for (name, value) in &control.attributes {
        output.line(format!("  {name:<12} {value}"));
    }
    let texts = [
        ("set aside", control.not_applicable.as_deref().unwrap_or_default()),
        ("what to do", &control.remediation),
        ("still needed", &control.remaining_evidence),
    ];
    for (name, text) in texts {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        for (name, line) in names.zip(text.lines()) {
            output.line(format!("  {name:<12} {line}"));
        }
    }
    for mapping in &control.mappings {
        output.line("");
        output.line(format!("  {} · {}", mapping.strength, mapping.responsibility));
        output.line(format!("    {}", mapping.rationale));
        for (check, strength) in mapping.all_checks() {
            let claim = strength.map_or("can only contradict", Strength::as_str);
            output.line(format!("    {check} ({claim})"));
        }
    }
}

fn coverage(id: Option<&str>, context: &Context) -> Result<Exit, Failure> {
    let all = match id {
        Some(id) => vec![find(id)?],
        None => builtin::load_all().map_err(internal)?,
    };
    if context.output.is_json() {
        let all: std::collections::BTreeMap<_, _> =
            all.iter().map(|framework| (framework.key(), framework.coverage())).collect();
        context.output.json(&all);
        return Ok(Exit::Done);
    }
    let mut rows = vec![row([
        "framework",
        "controls",
        "automated",
        "assisted",
        "manual",
        "n/a",
        "full",
        "partial",
        "supporting",
    ])];
    for framework in &all {
        let coverage = framework.coverage();
        rows.push(counts_row(&framework.key(), &coverage.total));
        if id.is_some() {
            rows.extend(coverage.groups.iter().map(|(group, counts)| counts_row(group, counts)));
        }
    }
    print_table(&rows, context);
    Ok(Exit::Done)
}

fn counts_row(name: &str, counts: &Counts) -> Vec<String> {
    let kinds = Kind::ALL.iter().map(|kind| counts.kind(*kind).to_string());
    let strengths = Strength::ALL.iter().map(|strength| counts.strength(*strength).to_string());
    [name.to_owned(), counts.controls.to_string()]
        .into_iter()
        .chain(kinds)
        .chain(strengths)
        .collect()
}

fn run_lint(context: &Context) -> Result<Exit, Failure> {
    let known = KnownChecks::builtin().map_err(internal)?;
    let all = builtin::load_all().map_err(internal)?;
    let errors: Vec<String> = all
        .iter()
        .flat_map(|framework| lint::lint(framework, &known))
        .map(|error| error.to_string())
        .collect();
    if context.output.is_json() {
        context.output.json(&errors);
    } else {
        for error in &errors {
            context.output.line(error);
        }
        context.output.note(format!("{} frameworks, {} defects", all.len(), errors.len()));
    }
    Ok(if errors.is_empty() { Exit::Done } else { Exit::Gate })
}
