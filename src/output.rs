//! The only file that prints. Results go to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::exit::Exit;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    quiet: bool,
    color: bool,
}

/// A colour that never carries meaning alone.
#[derive(Clone, Copy, Debug)]
pub enum Paint {
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Look here.
    Yellow,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

/// A failure with what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// What happened, with its causes.
    pub error: anyhow::Error,
    /// What to do; may be empty.
    pub help: &'static str,
}

impl Output {
    /// `NO_COLOR` and a stdout that is no terminal turn colour off (no-color.org).
    #[must_use]
    pub fn new(format: Format, quiet: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { format, quiet, color: std::io::stdout().is_terminal() && !no_color }
    }

    /// Are results JSON?
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Is only the result wanted?
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Text in a colour, if colours are wanted.
    #[must_use]
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Green => "32",
            Paint::Red => "31",
            Paint::Yellow => "33",
            Paint::Dim => "2",
            Paint::Bold => "1",
        };
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A line of the result. A reader that went away is no error.
    pub fn line(&self, text: impl AsRef<str>) {
        drop(writeln!(std::io::stdout().lock(), "{}", text.as_ref()));
    }

    /// The result as it is.
    ///
    /// # Errors
    /// What writing gives; a reader that went away too, since the result is not whole then.
    pub fn bytes(&self, bytes: &[u8]) -> std::io::Result<()> {
        std::io::stdout().lock().write_all(bytes)
    }

    /// The result as JSON.
    pub fn json<T: Serialize>(&self, value: &T) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.line(text);
    }

    /// A line for the person who waits.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            drop(writeln!(std::io::stderr().lock(), "{}", text.as_ref()));
        }
    }

    /// A failure, with its causes and what to do about it.
    pub fn failure(&self, failure: &Failure) {
        let mut stderr = std::io::stderr().lock();
        drop(writeln!(stderr, "error: {:#}", failure.error));
        if !failure.help.is_empty() {
            drop(writeln!(stderr, "help: {}", failure.help));
        }
    }

    /// May a progress display be shown?
    #[must_use]
    pub fn may_show_progress(&self) -> bool {
        !self.quiet && !self.is_json() && std::io::stderr().is_terminal()
    }
}

impl Failure {
    /// A failure without advice.
    #[must_use]
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), help: "" }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }
}

/// Columns of equal width, two spaces between them; the last one is not padded.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}
