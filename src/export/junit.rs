//! `JUnit` XML, as continuous integration reads it: a suite per framework, a case per control.
//!
//! Only what is satisfied or supported is a case without a mark. A failure that is waived, a control
//! that waits for a person and one that was not assessed are `skipped`, with the reason; a control
//! that was not assessed because something went wrong is an `error`.

use std::fmt::Write as _;

use super::{ExportError, ExportFile, Format, controls, name_of, status_text};
use crate::assessment::{Reason, Status};
use crate::escape::is_deceptive;
use crate::record::ControlItem;
use crate::sealed::Bundle;

pub(super) struct Junit;

impl Format for Junit {
    fn id(&self) -> &'static str {
        "junit"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![ExportFile { name: "junit.xml".to_owned(), bytes: document(bundle).into_bytes() }])
    }
}

/// What a case is marked with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Failure,
    Error,
    Skipped,
}

impl Mark {
    fn of(item: &ControlItem) -> Self {
        match (item.status, item.reason) {
            (Status::Satisfied | Status::Supported, _) => Self::None,
            (Status::NotSatisfied, _) => Self::Failure,
            (Status::NotAssessed, Some(Reason::Error | Reason::Unreadable)) => Self::Error,
            _ => Self::Skipped,
        }
    }

    fn element(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

fn document(bundle: &Bundle) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuites name=\"{}\">", escape(&name_of(bundle)));
    for (framework, _) in &bundle.frameworks {
        let key = framework.key();
        let assessed: Vec<_> = controls(bundle, framework).collect();
        let count = |mark| assessed.iter().filter(|(_, item)| Mark::of(item) == mark).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" timestamp=\"{}\">",
            escape(&key),
            assessed.len(),
            count(Mark::Failure),
            count(Mark::Error),
            count(Mark::Skipped),
            escape(&bundle.run.created),
        );
        for (control, item) in &assessed {
            let name = escape(&format!("{} {}", control.id, control.title));
            let _ = write!(text, "    <testcase classname=\"{}\" name=\"{name}\"", escape(&key));
            let element = Mark::of(item).element();
            if element.is_empty() {
                text.push_str("/>\n");
                continue;
            }
            let message = escape(&format!("{}: {}", status_text(item), item.explanation));
            let _ = writeln!(text, ">\n      <{element} message=\"{message}\"/>\n    </testcase>");
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text for an attribute. What XML 1.0 cannot hold at all (section 2.2) becomes U+FFFD; what a terminal obeys or
/// does not show becomes a reference.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_ascii_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            c if is_deceptive(c) => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn attributes_hold_any_text() {
        assert_eq!(escape("\u{9b}31m\u{202e}é"), "&#155;31m&#8238;é");
        assert_eq!(escape("a<b>&\"c\"\n\u{1b}[1m"), "a&lt;b&gt;&amp;&quot;c&quot;&#10;\u{fffd}[1m");
    }
}
