//! The only file that prints. Results go to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::escape;
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

/// Back to the terminal's own.
const RESET: &str = "\u{1b}[0m";

/// All that a line may hold of a terminal's codes.
const COLORS: [&str; 6] = [
    RESET,
    Paint::Green.code(),
    Paint::Red.code(),
    Paint::Yellow.code(),
    Paint::Dim.code(),
    Paint::Bold.code(),
];

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Green => "\u{1b}[32m",
            Self::Red => "\u{1b}[31m",
            Self::Yellow => "\u{1b}[33m",
            Self::Dim => "\u{1b}[2m",
            Self::Bold => "\u{1b}[1m",
        }
    }
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
        if self.color { format!("{}{text}{RESET}", paint.code()) } else { text.to_owned() }
    }

    /// A line of the result. Whatever is in it, it stays one line, and a terminal shows it as it is written. A reader
    /// that went away is no error.
    pub fn line(&self, text: impl AsRef<str>) {
        self.document(self.visible(text.as_ref()));
    }

    /// A text of our own, of several lines, as it is.
    pub fn document(&self, text: impl AsRef<str>) {
        drop(writeln!(std::io::stdout().lock(), "{}", text.as_ref()));
    }

    /// With everything escaped that could be taken for something else; our own colours stay.
    fn visible(self, text: &str) -> String {
        let mut visible = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let color = COLORS.iter().find(|color| self.color && rest.starts_with(**color));
            let length = if let Some(color) = color {
                visible.push_str(color);
                color.len()
            } else {
                escape::push_visible(&mut visible, next);
                next.len_utf8()
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        visible
    }

    /// The result as it is.
    ///
    /// # Errors
    /// What writing gives; a reader that went away too, since the result is not whole then.
    pub fn bytes(&self, bytes: &[u8]) -> std::io::Result<()> {
        std::io::stdout().lock().write_all(bytes)
    }

    /// The result as JSON, in which a terminal finds nothing to obey.
    pub fn json<T: Serialize>(&self, value: &T) {
        self.document(escape::json(serde_json::to_string_pretty(value).unwrap_or_default()));
    }

    /// A line for the person who waits.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            drop(writeln!(std::io::stderr().lock(), "{}", self.visible(text.as_ref())));
        }
    }

    /// A failure, with its causes and what to do about it.
    pub fn failure(&self, failure: &Failure) {
        let mut stderr = std::io::stderr().lock();
        // A cause may quote lines of a file: they do not begin a line of ours.
        let error = format!("{:#}", failure.error);
        let lines: Vec<String> = error.lines().map(|line| self.visible(line)).collect();
        drop(writeln!(stderr, "error: {}", lines.join("\n  ")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_obeyed_or_hidden() {
        let plain = Output { format: Format::Text, quiet: false, color: false };
        for (hostile, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("x\nverdict   VERIFIED", "x\\nverdict   VERIFIED"),
            ("a\rb\tc\u{7f}\u{9b}d", "a\\rb\\tc\\u{7f}\\u{9b}d"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("ad\u{200b}min\u{feff}\u{2028}", "ad\\u{200b}min\\u{feff}\\u{2028}"),
            ("größer, 日本語 ✓", "größer, 日本語 ✓"),
            ("C:\\x", "C:\\x"),
        ] {
            assert_eq!(plain.visible(hostile), shown);
        }
        // Colours of ours, and nothing else that begins like them.
        let colored = Output { color: true, ..plain };
        let text = colored.paint(Paint::Red, "ERROR");
        assert_eq!(colored.visible(&text), text);
        assert_eq!(colored.visible("\u{1b}[31;1m"), "\\u{1b}[31;1m");
    }
}
