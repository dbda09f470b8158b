//! Parquet (Apache), partitioned as Hive does it: `findings/cluster=…/date=…/bundle-N.parquet` and
//! `controls/…`. The exports of many clusters and days lie beside each other, and one query reads them all.

use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};

use super::{ExportError, ExportFile, Format, controls, waivers_text};
use crate::evidence::instant;
use crate::sealed::Bundle;

/// Rows of a row group.
const GROUP: usize = 100_000;

pub(super) struct Parquet;

impl Format for Parquet {
    fn id(&self) -> &'static str {
        "parquet"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        let day = bundle.run.created.get(..10).unwrap_or("unknown");
        let cluster = partition(&bundle.run.cluster.name);
        let file = |table: &str, columns: Vec<Column>| {
            let bytes = write(table, bundle, &columns)
                .map_err(|error| ExportError { format: self.id(), source: error.into() })?;
            let folder = format!("{table}/cluster={cluster}/date={day}");
            Ok(ExportFile { name: format!("{folder}/bundle-{}.parquet", bundle.seq()), bytes })
        };
        Ok(vec![
            file("controls", control_columns(bundle))?,
            file("findings", finding_columns(bundle))?,
        ])
    }
}

/// A value in a path, as Hive escapes it: `%2F` for what means something there.
fn partition(value: &str) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    let text: String = value.bytes().map(escaped).collect();
    if text.is_empty() { "__HIVE_DEFAULT_PARTITION__".to_owned() } else { text }
}

/// A column with its values.
struct Column {
    name: &'static str,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Count(Vec<i64>),
    Flag(Vec<bool>),
    /// Microseconds since 1970, UTC.
    Instant(Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::Count(values) | Self::Instant(values) => values.len(),
        }
    }
}

fn text<'t>(name: &'static str, values: impl Iterator<Item = &'t str>) -> Column {
    Column { name, values: Values::Text(values.map(ByteArray::from).collect()) }
}

fn count(name: &'static str, values: impl Iterator<Item = u64>) -> Column {
    let values = values.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    Column { name, values: Values::Count(values.collect()) }
}

/// Which bundle a row is of, in every row: files can be moved.
fn of_bundle(bundle: &Bundle, rows: usize) -> Vec<Column> {
    let chain = &bundle.statement.predicate.chain;
    let same = |name, value: &str| Column {
        name,
        values: Values::Text(vec![ByteArray::from(value); rows]),
    };
    let run_at = instant::parse(&bundle.run.created).map_or(0, jiff::Timestamp::as_microsecond);
    vec![
        same("origin", &chain.origin),
        count("bundle", std::iter::repeat_n(chain.seq, rows)),
        same("statement_sha256", &bundle.digest.to_string()),
        Column { name: "run_at", values: Values::Instant(vec![run_at; rows]) },
    ]
}

fn control_columns(bundle: &Bundle) -> Vec<Column> {
    let rows: Vec<_> = bundle
        .frameworks
        .iter()
        .flat_map(|(framework, _)| {
            let key = framework.key();
            controls(bundle, framework).map(move |(control, item)| (key.clone(), control, item))
        })
        .collect();
    let mut columns = of_bundle(bundle, rows.len());
    columns.extend([
        text("framework", rows.iter().map(|(key, _, _)| key.as_str())),
        text("control", rows.iter().map(|(_, control, _)| control.id.as_str())),
        text("title", rows.iter().map(|(_, control, _)| control.title.as_str())),
        text("status", rows.iter().map(|(_, _, item)| item.status.as_str())),
        text("reason", rows.iter().map(|(_, _, item)| item.reason.map_or("", |r| r.as_str()))),
        text("basis", rows.iter().map(|(_, _, item)| item.basis.as_str())),
        count("failing", rows.iter().map(|(_, _, item)| item.failing)),
        count("passing", rows.iter().map(|(_, _, item)| item.passing)),
        count("undecided", rows.iter().map(|(_, _, item)| item.undecided)),
        text("explanation", rows.iter().map(|(_, _, item)| item.explanation.as_str())),
    ]);
    columns
}

fn finding_columns(bundle: &Bundle) -> Vec<Column> {
    let rows = &bundle.items.findings;
    let waivers = bundle.items.waivers_by_finding();
    let waivers: Vec<String> = rows.iter().map(|finding| waivers_text(&waivers, finding)).collect();
    let usable = rows.iter().map(|finding| bundle.items.is_usable(finding)).collect();
    let mut columns = of_bundle(bundle, rows.len());
    columns.extend([
        text("item", rows.iter().map(|finding| finding.id.as_str())),
        text("source", rows.iter().map(|finding| bundle.items.source_of(finding))),
        text("check_id", rows.iter().map(|finding| finding.check.as_str())),
        text("rule", rows.iter().map(|finding| finding.rule.as_str())),
        text("outcome", rows.iter().map(|finding| finding.outcome.as_str())),
        text("severity", rows.iter().map(|finding| finding.severity.as_str())),
        text("kind", rows.iter().map(|finding| finding.resource.kind.as_str())),
        text("namespace", rows.iter().map(|finding| finding.resource.namespace.as_str())),
        text("name", rows.iter().map(|finding| finding.resource.name.as_str())),
        text("part", rows.iter().map(|finding| finding.resource.part.as_str())),
        text("waivers", waivers.iter().map(String::as_str)),
        Column { name: "usable", values: Values::Flag(usable) },
        text("message", rows.iter().map(|finding| finding.message.as_str())),
    ]);
    columns
}

fn write(table: &str, bundle: &Bundle, columns: &[Column]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(field).collect::<Result<Vec<TypePtr>, _>>()?;
    let schema = Arc::new(Type::group_type_builder(table).with_fields(fields).build()?);
    let predicate = &bundle.statement.predicate;
    let fact = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("{} {}", bundle.run.tool.name, bundle.run.tool.version))
        .set_key_value_metadata(Some(vec![
            fact("affidavit.origin", &predicate.chain.origin),
            fact("affidavit.bundle", &predicate.chain.seq.to_string()),
            fact("affidavit.statement-sha256", &bundle.digest.to_string()),
            fact("affidavit.items-root", &predicate.items.root),
        ]));
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties.build()))?;
    let rows = columns.first().map_or(0, |column| column.values.len());
    for from in (0..rows).step_by(GROUP) {
        let range = from..(from + GROUP).min(rows);
        let mut group = writer.next_row_group()?;
        for column in columns {
            let Some(mut to) = group.next_column()? else { break };
            match &column.values {
                Values::Text(values) => {
                    let values = values.get(range.clone()).unwrap_or_default();
                    to.typed::<ByteArrayType>().write_batch(values, None, None)?;
                }
                Values::Flag(values) => {
                    let values = values.get(range.clone()).unwrap_or_default();
                    to.typed::<BoolType>().write_batch(values, None, None)?;
                }
                Values::Count(values) | Values::Instant(values) => {
                    let values = values.get(range.clone()).unwrap_or_default();
                    to.typed::<Int64Type>().write_batch(values, None, None)?;
                }
            }
            to.close()?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(bytes)
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.values {
        Values::Text(_) => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        Values::Count(_) => (PhysicalType::INT64, None),
        Values::Flag(_) => (PhysicalType::BOOLEAN, None),
        Values::Instant(_) => {
            (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
        }
    };
    let builder = Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical);
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn names_of_clusters_cannot_leave_their_folder() {
        assert_eq!(partition("prod-eu1"), "prod-eu1");
        assert_eq!(partition("../x=y/z"), "..%2Fx%3Dy%2Fz");
        assert_eq!(partition("arn:aws:eks"), "arn%3Aaws%3Aeks");
        assert_eq!(partition("é"), "%C3%A9");
        assert_eq!(partition(""), "__HIVE_DEFAULT_PARTITION__");
    }
}
