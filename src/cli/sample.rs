//! `affidavit sample ARCHIVE --n 25 --seed S`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::Context;
use super::disclose::{disclosure, failure, write_new};
use super::trust::{Place, not_finished};
use crate::disclose::Source;
use crate::exit::Exit;
use crate::output::{Failure, table};
use crate::sample::{self, Sample, Unit};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// How many units to draw
    #[arg(long, default_value_t = 25)]
    n: usize,

    /// Any text; the same text draws the same units. An auditor chooses it, not the audited
    #[arg(long)]
    seed: String,

    /// What the units are
    #[arg(long, value_enum, default_value_t)]
    population: Population,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// Write an evidence slip for each unit, and a list, into a new folder
    #[arg(long, value_name = "DIR")]
    slips: Option<PathBuf>,
}

/// Units of a sample.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Population {
    /// Single findings
    #[default]
    Findings,
    /// The resources that findings are about
    Resources,
}

pub(super) fn sample(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = arguments.place.open(context)?;
    let source = Source::read(&*archive, arguments.bundle).map_err(failure)?;
    let population = match arguments.population {
        Population::Findings => sample::Population::Findings,
        Population::Resources => sample::Population::Resources,
    };
    let drawn =
        sample::draw(&source.statement, &source.items, population, arguments.n, &arguments.seed)
            .map_err(not_finished)?;
    if drawn.units.is_empty() {
        return Err(not_finished(anyhow!("the bundle has no findings to draw from")));
    }
    if let Some(folder) = &arguments.slips {
        write_slips(folder, &source, &drawn, arguments, context)?;
    }
    print(&source, &drawn, arguments, context);
    Ok(Exit::Done)
}

fn print(source: &Source, drawn: &Sample, arguments: &Arguments, context: &Context) {
    #[derive(Serialize)]
    struct Drawn<'a> {
        unit: &'a str,
        key: String,
        items: Vec<&'a String>,
    }
    let output = context.output;
    let chain = &source.statement.predicate.chain;
    if output.is_json() {
        let units: Vec<Drawn<'_>> = drawn
            .units
            .iter()
            .map(|unit| Drawn {
                unit: &unit.name,
                key: unit.key.to_string(),
                items: unit.items.iter().collect(),
            })
            .collect();
        output.json(&serde_json::json!({
            "origin": chain.origin, "bundle": chain.seq, "seed": arguments.seed,
            "population": drawn.population, "units": units,
        }));
        return;
    }
    for line in table(&rows(drawn)) {
        output.line(line);
    }
    output.line("");
    output.line(summary(source, drawn, arguments));
}

fn rows(drawn: &Sample) -> Vec<Vec<String>> {
    let row = |(number, unit): (usize, &Unit)| {
        let key: String = unit.key.to_string().chars().take(12).collect();
        let findings = match unit.items.len() {
            1 => "1 finding".to_owned(),
            more => format!("{more} findings"),
        };
        vec![number.to_string(), key, unit.name.clone(), findings]
    };
    (1..).zip(&drawn.units).map(row).collect()
}

fn summary(source: &Source, drawn: &Sample, arguments: &Arguments) -> String {
    let chain = &source.statement.predicate.chain;
    format!(
        "{} of {} units of bundle {} of {}, drawn with the seed `{}`",
        drawn.units.len(),
        drawn.population,
        chain.seq,
        chain.origin,
        arguments.seed
    )
}

/// One disclosure for each unit, and a list of them in words.
fn write_slips(
    folder: &Path,
    source: &Source,
    drawn: &Sample,
    arguments: &Arguments,
    context: &Context,
) -> Result<(), Failure> {
    std::fs::create_dir(folder)
        .with_context(|| format!("could not make {}", folder.display()))
        .map_err(|error| not_finished(error).help("choose a folder that is not there yet"))?;
    let mut list = format!("# Audit sample\n\n{}.\n", summary(source, drawn, arguments));
    list.push_str(
        "\nEach slip is checked by `affidavit verify-proof SLIP --root FINGERPRINT`, or with the \
         web page. How the units were drawn: section 12 of the evidence format.\n",
    );
    for (number, unit) in (1..).zip(&drawn.units) {
        let bytes = disclosure(source, &unit.items, context)?;
        let name = format!("slip-{number:03}.json");
        write_new(&folder.join(&name), &bytes)?;
        // Writing to a String cannot fail.
        let _ = write!(list, "\n## {number}. {}\n\n{name}, key {}\n\n", unit.name, unit.key);
        for line in disclosed_lines(&bytes) {
            let _ = writeln!(list, "    {line}");
        }
    }
    write_new(&folder.join("sample.md"), list.as_bytes())
}

fn disclosed_lines(bytes: &[u8]) -> Vec<String> {
    let disclosure = crate::evidence::disclosure::Disclosure::parse(bytes);
    disclosure
        .map(|found| found.items.into_iter().map(|item| item.item).collect())
        .unwrap_or_default()
}
