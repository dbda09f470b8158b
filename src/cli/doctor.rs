//! `affidavit doctor`

use std::path::PathBuf;

use super::Context;
use super::run::{self, Display};
use crate::doctor::{self, Health};
use crate::exit::Exit;
use crate::output::{Failure, Paint};

/// Try everything that a run depends on, and seal nothing.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    config: PathBuf,

    /// Exit with 7 when there are warnings
    #[arg(long)]
    strict: bool,
}

pub(super) fn doctor(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let config = run::load(&arguments.config)?;
    let display = Display::new(context.progress);
    let lines = doctor::examine(&config, context.now, &display);
    display.finish();
    let output = context.output;
    if output.is_json() {
        output.json(&lines);
    } else {
        let width = lines.iter().map(|line| line.subject.chars().count()).max().unwrap_or(0);
        for line in &lines {
            let (word, paint) = match line.health {
                Health::Ok => ("ok", Paint::Green),
                Health::Warning => ("warning", Paint::Yellow),
                Health::Failing => ("failing", Paint::Red),
            };
            let word = output.paint(paint, &format!("{word:<7}"));
            output.line(format!("{word}  {:<width$}  {}", line.subject, line.text));
            if !line.help.is_empty() {
                output.line(format!("{:7}  {:width$}  → {}", "", "", line.help));
            }
        }
    }
    let worst = lines.iter().map(|line| line.health).max();
    Ok(match worst {
        Some(Health::Failing) => Exit::NotFinished,
        Some(Health::Warning) if arguments.strict => Exit::Warnings,
        _ => Exit::Done,
    })
}
