//! Sealed evidence in the formats of other programs. One file per format.
//!
//! To add a format: one file here that implements [`Format`], one line in [`FORMATS`]. A format says
//! no more than the evidence: what was not assessed is never written as passed.

pub(crate) mod csv;
mod hdf;
mod junit;
mod openreports;
mod oscal;
mod oscal_ap;
mod oscal_poam;
#[cfg(feature = "pipeline")]
mod parquet;
mod sarif;
#[cfg(feature = "pipeline")]
mod xlsx;

use crate::assessment::Status;
use crate::escape;
use crate::framework::{Control, Framework};
use crate::record::{ControlItem, FindingItem};
use crate::sealed::{Bundle, WaiversByFinding};

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its name, maybe with folders; the files of one export have different ones.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A format that evidence can be written in.
pub trait Format: Sync {
    /// Name (`sarif`).
    fn id(&self) -> &'static str;

    /// The files of a bundle's export. Equal bundles give equal bytes.
    ///
    /// # Errors
    /// [`ExportError`], of formats with limits. Nothing is left out in silence.
    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError>;
}

/// Why a bundle cannot be written in a format.
#[derive(Debug, thiserror::Error)]
#[error("the bundle cannot be written as {format}")]
pub struct ExportError {
    /// Name of the format.
    pub format: &'static str,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Every format, in alphabetical order of id.
pub const FORMATS: &[&dyn Format] = &[
    &csv::Csv,
    &hdf::Hdf,
    &junit::Junit,
    &openreports::OpenReports,
    &oscal::Oscal,
    &oscal_ap::OscalAp,
    &oscal_poam::OscalPoam,
    #[cfg(feature = "pipeline")]
    &parquet::Parquet,
    &sarif::Sarif,
    #[cfg(feature = "pipeline")]
    &xlsx::Xlsx,
];

/// The format of that name.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.id() == id)
}

/// The controls of a framework as assessed, in the standard's own order.
fn controls<'b>(
    bundle: &'b Bundle,
    framework: &'b Framework,
) -> impl Iterator<Item = (&'b Control, &'b ControlItem)> {
    let key = framework.key();
    framework.controls.iter().filter_map(move |control| {
        let id = format!("{key}/{}", control.id);
        Some((control, bundle.items.controls.get(&id)?))
    })
}

/// Ids of the waivers of a finding, in one text; empty when there is none.
fn waivers_text(waivers: &WaiversByFinding<'_>, finding: &FindingItem) -> String {
    let ids = waivers.get(finding.id.as_str()).into_iter().flatten().copied();
    ids.collect::<Vec<_>>().join(", ")
}

/// A file of JSON. A [`Value`](serde_json::Value) can always be written.
fn json_file(name: &str, value: &serde_json::Value) -> ExportFile {
    let text = escape::json(format!("{value:#}\n"));
    ExportFile { name: name.to_owned(), bytes: text.into_bytes() }
}

/// Status and, for what was not assessed, its reason: `not-assessed (stale)`.
fn status_text(item: &ControlItem) -> String {
    match item.reason {
        Some(reason) if item.status == Status::NotAssessed => {
            format!("{} ({})", item.status.as_str(), reason.as_str())
        }
        _ => item.status.as_str().to_owned(),
    }
}

/// `evidence.example.com/prod#41`: which bundle an export is of.
fn name_of(bundle: &Bundle) -> String {
    format!("{}#{}", bundle.statement.predicate.chain.origin, bundle.seq())
}
