//! A workbook (Office Open XML, ECMA-376): summary, controls, findings, waivers, attestations, gaps, sources.
//! Cells are typed; text is never read as a formula; what does not fit a cell says so.

use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format as CellFormat, Workbook, Worksheet, XlsxError,
};

use super::{ExportError, ExportFile, Format, controls, waivers_text};
use crate::assessment::{Status, StatusCounts};
use crate::evidence::instant;
use crate::sealed::Bundle;

/// Rows of a sheet, without its head.
const ROWS: usize = 1_048_575;
/// Characters of a cell.
const CELL: usize = 32_767;
const CUT: &str = " … (cut; the sealed evidence has all of it)";

pub(super) struct Xlsx;

impl Format for Xlsx {
    fn id(&self) -> &'static str {
        "xlsx"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        let bytes = workbook(bundle)
            .map_err(|error| ExportError { format: self.id(), source: error.into() })?;
        Ok(vec![ExportFile { name: "evidence.xlsx".to_owned(), bytes }])
    }
}

/// What stands in a cell.
enum Cell {
    Text(String),
    Number(f64),
    /// RFC 3339; text where it is no instant.
    Instant(String),
    /// `2026-12-01`; text where it is no day.
    Day(String),
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts stay far below 2^53, where doubles are whole"
)]
fn number(value: usize) -> Cell {
    Cell::Number(value as f64)
}

fn workbook(bundle: &Bundle) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let chain = &bundle.statement.predicate.chain;
    let created = date(&bundle.run.created).unwrap_or_default();
    let properties = DocProperties::new()
        .set_title(format!("Evidence of {}", bundle.run.cluster.name))
        .set_comment(format!("Bundle {}#{}, statement {}", chain.origin, chain.seq, bundle.digest))
        .set_creation_datetime(&created);
    book.set_properties(&properties);
    let statuses = Status::ALL.iter().rev().map(|status| (status.as_str(), 13));
    let heads: Vec<(&str, u16)> =
        [("framework", 28), ("controls", 10)].into_iter().chain(statuses).collect();
    add(&mut book, "Summary", &heads, summary(bundle))?;
    add(
        &mut book,
        "Controls",
        &[
            ("framework", 24),
            ("control", 14),
            ("title", 50),
            ("status", 14),
            ("reason", 16),
            ("basis", 12),
            ("failing", 9),
            ("passing", 9),
            ("undecided", 10),
            ("explanation", 70),
            ("still needed", 60),
        ],
        control_rows(bundle),
    )?;
    add(
        &mut book,
        "Findings",
        &[
            ("item", 18),
            ("source", 16),
            ("check", 34),
            ("rule", 20),
            ("outcome", 13),
            ("severity", 10),
            ("kind", 18),
            ("namespace", 20),
            ("name", 34),
            ("part", 18),
            ("waivers", 18),
            ("usable", 8),
            ("message", 80),
            ("input", 34),
        ],
        finding_rows(bundle),
    )?;
    people(&mut book, bundle)?;
    add(
        &mut book,
        "Gaps",
        &[("kind", 14), ("what is missing", 90)],
        bundle.items.gaps.iter().map(|gap| vec![text(&gap.gap), text(&gap.text)]),
    )?;
    add(
        &mut book,
        "Sources",
        &[("source", 18), ("scanner", 16), ("standing", 13), ("detail", 60), ("inputs", 9)],
        bundle.items.sources.values().map(|source| {
            vec![
                text(&source.name),
                text(&source.scanner),
                text(&source.standing),
                text(&source.detail),
                number(source.inputs.len()),
            ]
        }),
    )?;
    book.save_to_buffer()
}

fn people(book: &mut Workbook, bundle: &Bundle) -> Result<(), XlsxError> {
    add(
        book,
        "Waivers",
        &[
            ("waiver", 18),
            ("state", 14),
            ("covers", 50),
            ("reason", 60),
            ("approver", 28),
            ("ticket", 14),
            ("from", 12),
            ("expires", 12),
            ("findings", 10),
        ],
        bundle.items.waivers.iter().map(|waiver| {
            vec![
                text(waiver.id.trim_start_matches("waiver/")),
                text(&waiver.state),
                text(&waiver.scope),
                text(&waiver.reason),
                text(&waiver.approver),
                text(&waiver.ticket),
                Cell::Day(waiver.from.clone()),
                Cell::Day(waiver.expires.clone()),
                number(usize::try_from(waiver.findings).unwrap_or(usize::MAX)),
            ]
        }),
    )?;
    add(
        book,
        "Attestations",
        &[
            ("attestation", 18),
            ("state", 14),
            ("outcome", 16),
            ("controls", 40),
            ("statement", 60),
            ("by", 24),
            ("role", 24),
            ("date", 12),
            ("until", 12),
            ("evidence", 40),
        ],
        bundle.items.attestations.iter().map(|stated| {
            vec![
                text(stated.id.trim_start_matches("attestation/")),
                text(&stated.state),
                text(stated.outcome.as_str()),
                text(stated.controls.join(", ")),
                text(&stated.statement),
                text(&stated.by),
                text(&stated.role),
                Cell::Day(stated.date.clone()),
                Cell::Day(stated.until.clone()),
                text(&stated.evidence),
            ]
        }),
    )
}

fn summary(bundle: &Bundle) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = bundle
        .frameworks
        .iter()
        .map(|(framework, _)| {
            let statuses = controls(bundle, framework).map(|(_, item)| item.status);
            let counts = StatusCounts::of(statuses);
            let mut row = vec![text(framework.key()), number(counts.total())];
            row.extend(Status::ALL.iter().rev().map(|status| number(counts.get(*status))));
            row
        })
        .collect();
    let chain = &bundle.statement.predicate.chain;
    rows.push(Vec::new());
    for (name, value) in [
        ("cluster", text(&bundle.run.cluster.name)),
        ("run of", Cell::Instant(bundle.run.created.clone())),
        ("bundle", text(format!("{}#{}", chain.origin, chain.seq))),
        ("statement SHA-256", text(bundle.digest.to_string())),
    ] {
        rows.push(vec![text(name), value]);
    }
    rows
}

fn control_rows(bundle: &Bundle) -> Vec<Vec<Cell>> {
    let count = |count: u64| number(usize::try_from(count).unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    for (framework, _) in &bundle.frameworks {
        for (control, item) in controls(bundle, framework) {
            rows.push(vec![
                text(framework.key()),
                text(&control.id),
                text(&control.title),
                text(item.status.as_str()),
                text(item.reason.map_or("", |reason| reason.as_str())),
                text(item.basis.as_str()),
                count(item.failing),
                count(item.passing),
                count(item.undecided),
                text(&item.explanation),
                text(&control.remaining_evidence),
            ]);
        }
    }
    rows
}

fn finding_rows(bundle: &Bundle) -> impl Iterator<Item = Vec<Cell>> {
    let waivers = bundle.items.waivers_by_finding();
    bundle.items.findings.iter().map(move |finding| {
        let resource = &finding.resource;
        vec![
            text(&finding.id),
            text(bundle.items.source_of(finding)),
            text(&finding.check),
            text(&finding.rule),
            text(finding.outcome.as_str()),
            text(finding.severity.as_str()),
            text(&resource.kind),
            text(&resource.namespace),
            text(&resource.name),
            text(&resource.part),
            text(waivers_text(&waivers, finding)),
            // What a stale or unreadable input says counts for nothing.
            text(if bundle.items.is_usable(finding) { "yes" } else { "no" }),
            text(&finding.message),
            text(&finding.input),
        ]
    })
}

/// Adds a sheet; what does not fit one goes on in the next.
fn add(
    book: &mut Workbook,
    name: &str,
    heads: &[(&str, u16)],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) -> Result<(), XlsxError> {
    add_sheets(book, name, heads, rows, ROWS)
}

fn add_sheets(
    book: &mut Workbook,
    name: &str,
    heads: &[(&str, u16)],
    rows: impl IntoIterator<Item = Vec<Cell>>,
    most: usize,
) -> Result<(), XlsxError> {
    let mut rows = rows.into_iter().peekable();
    for number in 1.. {
        let sheet = book.add_worksheet();
        sheet.set_name(if number == 1 { name.to_owned() } else { format!("{name} {number}") })?;
        let bold = CellFormat::new().set_bold();
        let last = u16::try_from(heads.len()).unwrap_or(u16::MAX).saturating_sub(1);
        for (column, (head, width)) in (0..).zip(heads) {
            sheet.write_string_with_format(0, column, *head, &bold)?;
            sheet.set_column_width(column, *width)?;
        }
        sheet.set_freeze_panes(1, 0)?;
        let mut written = 0;
        for (line, row) in (1..).zip(rows.by_ref().take(most)) {
            for (column, cell) in (0..).zip(&row) {
                write(sheet, line, column, cell)?;
            }
            written = line;
        }
        sheet.autofilter(0, 0, written, last)?;
        if rows.peek().is_none() {
            break;
        }
    }
    Ok(())
}

fn write(sheet: &mut Worksheet, row: u32, column: u16, cell: &Cell) -> Result<(), XlsxError> {
    match cell {
        Cell::Number(number) => sheet.write_number(row, column, *number)?,
        Cell::Instant(instant) => dated(sheet, (row, column), instant, date(instant))?,
        Cell::Day(day) => {
            dated(sheet, (row, column), day, ExcelDateTime::parse_from_str(day).ok())?
        }
        Cell::Text(text) if text.is_empty() => sheet,
        Cell::Text(text) if text.encode_utf16().count() > CELL => {
            // A character takes at most two of the units that are counted.
            let kept = text.chars().take((CELL - CUT.len()) / 2).collect::<String>() + CUT;
            sheet.write_string(row, column, kept)?
        }
        Cell::Text(text) => sheet.write_string(row, column, text)?,
    };
    Ok(())
}

/// A date as one, and as it is written where it is none.
fn dated<'s>(
    sheet: &'s mut Worksheet,
    (row, column): (u32, u16),
    said: &str,
    date: Option<ExcelDateTime>,
) -> Result<&'s mut Worksheet, XlsxError> {
    let Some(date) = date.filter(|_| !said.is_empty()) else {
        return sheet.write_string(row, column, said);
    };
    let format = if said.contains('T') { "yyyy-mm-dd hh:mm:ss" } else { "yyyy-mm-dd" };
    sheet.write_datetime_with_format(row, column, &date, &CellFormat::new().set_num_format(format))
}

fn date(at: &str) -> Option<ExcelDateTime> {
    ExcelDateTime::from_timestamp(instant::parse(at)?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};
    use rust_xlsxwriter::Workbook;

    use super::{CELL, CUT, Cell, ROWS, add_sheets, text};

    fn read(heads: usize, rows: Vec<Vec<Cell>>, most: usize) -> Xlsx<Cursor<Vec<u8>>> {
        let mut book = Workbook::new();
        let heads = vec![("head", 10); heads];
        add_sheets(&mut book, "Findings", &heads, rows, most).unwrap();
        Xlsx::new(Cursor::new(book.save_to_buffer().unwrap())).unwrap()
    }

    #[test]
    fn what_does_not_fit_a_sheet_goes_on_in_the_next() {
        let rows = (0..25).map(|row| vec![text(format!("row {row}"))]).collect();
        let mut book = read(1, rows, 10);
        assert_eq!(book.sheet_names(), ["Findings", "Findings 2", "Findings 3"]);
        let mut all = Vec::new();
        for name in book.sheet_names() {
            let sheet = book.worksheet_range(&name).unwrap();
            assert_eq!(sheet[(0, 0)], Data::String("head".into()));
            all.extend(sheet.rows().skip(1).map(|row| row[0].to_string()));
        }
        assert_eq!(all, (0..25).map(|row| format!("row {row}")).collect::<Vec<_>>());
        // A full last sheet has none after it, and an empty table has its heads.
        let full = (0..10).map(|_| vec![text("x")]).collect();
        assert_eq!(read(1, full, 10).sheet_names(), ["Findings"]);
        assert_eq!(read(1, Vec::new(), ROWS).worksheet_range("Findings").unwrap().height(), 1);
    }

    #[test]
    fn texts_that_do_not_fit_a_cell_say_so_and_others_stay_as_they_are() {
        let texts = ["x".repeat(CELL), "x".repeat(CELL + 1), "\u{1f600}".repeat(CELL)];
        let odd = ["=1+1", "_x0041_", "a\u{1b}[1m\r\n", " <&\"> ", "2026-13-40"];
        let mut row: Vec<Cell> = texts.iter().chain(&odd.map(str::to_owned)).map(text).collect();
        row.push(Cell::Day("2026-13-40".into()));
        row.push(Cell::Day(String::new()));
        let mut book = read(row.len(), vec![row], ROWS);
        let sheet = book.worksheet_range("Findings").unwrap();
        let cell = |column| sheet[(1, column)].to_string();
        assert_eq!(cell(0), texts[0]);
        for column in [1, 2] {
            assert!(cell(column).ends_with(CUT));
            assert!(cell(column).encode_utf16().count() <= CELL);
        }
        for (column, odd) in (3..).zip(odd) {
            assert_eq!(sheet[(1, column)], Data::String(odd.into()));
        }
        assert_eq!(sheet[(1, 8)], Data::String("2026-13-40".into()));
        assert!(sheet.get((1, 9)).is_none_or(|cell| *cell == Data::Empty));
    }
}
