//! CSV (RFC 4180): `controls.csv`, `findings.csv` and `sources.csv`, each with a header.
//!
//! Texts of scanners may begin like a formula; a spreadsheet would run it. Such a cell gets an
//! apostrophe in front (OWASP, CSV injection). What a terminal would obey, line breaks too, is written as an escape
//! (`\u{1b}`, `\n`): a line of the file is always a row.

use super::{ExportError, ExportFile, Format, controls};
use crate::escape;
use crate::sealed::{Bundle, Items};

pub(super) struct Csv;

impl Format for Csv {
    fn id(&self) -> &'static str {
        "csv"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        let file = |name: &str, table: Table| ExportFile {
            name: name.to_owned(),
            bytes: table.0.into_bytes(),
        };
        Ok(vec![
            file("controls.csv", controls_table(bundle)),
            ExportFile { name: "findings.csv".to_owned(), bytes: findings(&bundle.items) },
            file("sources.csv", sources_table(bundle)),
        ])
    }
}

/// Lines in the making.
struct Table(String);

impl Table {
    fn new(header: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(header);
        table
    }

    fn row(&mut self, cells: &[&str]) {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.cell(cell);
        }
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        let text = escape::visible(text);
        let is_formula = text.starts_with(['=', '+', '-', '@']);
        let is_quoted = is_formula || text.contains([',', '"']);
        if !is_quoted {
            self.0.push_str(&text);
            return;
        }
        self.0.push('"');
        if is_formula {
            self.0.push('\'');
        }
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }
}

fn controls_table(bundle: &Bundle) -> Table {
    let mut table = Table::new(&[
        "framework",
        "control",
        "title",
        "status",
        "reason",
        "basis",
        "failing",
        "passing",
        "undecided",
        "explanation",
    ]);
    let frameworks = bundle.frameworks.iter().map(|(framework, _)| framework);
    let all = frameworks.flat_map(|f| controls(bundle, f).map(move |(c, item)| (f.key(), c, item)));
    for (key, control, item) in all {
        table.row(&[
            &key,
            &control.id,
            &control.title,
            item.status.as_str(),
            item.reason.map_or("", |reason| reason.as_str()),
            item.basis.as_str(),
            &item.failing.to_string(),
            &item.passing.to_string(),
            &item.undecided.to_string(),
            &item.explanation,
        ]);
    }
    table
}

/// Every finding, one in a line.
pub(crate) fn findings(items: &Items) -> Vec<u8> {
    let mut table = Table::new(&[
        "item",
        "source",
        "check",
        "rule",
        "outcome",
        "severity",
        "kind",
        "namespace",
        "name",
        "part",
        "message",
        "input",
        "locator",
    ]);
    for finding in &items.findings {
        table.row(&[
            &finding.id,
            items.source_of(finding),
            &finding.check,
            &finding.rule,
            finding.outcome.as_str(),
            finding.severity.as_str(),
            &finding.resource.kind,
            &finding.resource.namespace,
            &finding.resource.name,
            &finding.resource.part,
            &finding.message,
            &finding.input,
            &finding.locator,
        ]);
    }
    table.0.into_bytes()
}

fn sources_table(bundle: &Bundle) -> Table {
    let mut table = Table::new(&["source", "scanner", "standing", "detail", "inputs"]);
    for source in bundle.items.sources.values() {
        let inputs = source.inputs.len().to_string();
        table.row(&[&source.name, &source.scanner, &source.standing, &source.detail, &inputs]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn cells_are_quoted_and_formulas_are_defused() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["x,\"y\"", "=HYPERLINK(1)"]);
        table.row(&["plain", ""]);
        assert_eq!(table.0, "a,b\r\n\"x,\"\"y\"\"\",\"'=HYPERLINK(1)\"\r\nplain,\r\n");
    }

    #[test]
    fn no_cell_clears_a_screen_or_forges_a_row() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["a\u{1b}[2J\r\nFORGED,x", "\u{9b}31m\u{202e}\u{200b}\u{7}"]);
        let cells = r#""a\u{1b}[2J\r\nFORGED,x",\u{9b}31m\u{202e}\u{200b}\u{7}"#;
        assert_eq!(table.0, format!("a,b\r\n{cells}\r\n"));
    }
}
