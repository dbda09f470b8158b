//! Sealed items → PDF, through typst in this program: embedded fonts and templates, a fixed date,
//! no network. Equal input gives equal bytes.
//!
//! To add a template: a folder under `report-templates/`, one variant of [`Template`].

pub mod build;
pub mod model;
mod figures;
mod text;
mod world;

use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::evidence::instant;
use model::Report;
use world::World;

/// Name of the file embedded in every report.
pub const ATTACHMENT: &str = "evidence.json";

/// A report template in the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Everything: cover, summary, provenance, coverage maps, every control, verification.
    Full,
}

/// The files of a template as `(path, source)`; the first is compiled, the others are its imports.
type Sources = &'static [(&'static str, &'static str)];

impl Template {
    fn sources(self) -> Sources {
        macro_rules! template {
            ($folder:literal: $($file:literal),+) => {
                &[$((
                    concat!("/", $file),
                    include_str!(concat!("../../report-templates/", $folder, "/", $file)),
                )),+]
            };
        }
        match self {
            Self::Full => template!(
                "full": "main.typ", "style.typ", "summary.typ", "provenance.typ", "map.typ",
                "controls.typ", "registers.typ", "verify.typ"
            ),
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The model is not of its form.
    #[error("could not write the report data: {0}")]
    Model(#[from] serde_json::Error),
    /// The run's time is not valid.
    #[error("`{0}` is no instant")]
    Time(String),
    /// The template does not compile, or the result breaks PDF/A or PDF/UA.
    #[error("could not render the report: {0}")]
    Typst(String),
}

/// Renders a report as PDF/A-3a and PDF/UA-1. `attachment` is embedded as [`ATTACHMENT`].
///
/// # Errors
/// [`RenderError`]. Text that the fonts cannot show is no error: it is replaced and counted.
pub fn pdf(report: &Report, template: Template, attachment: &[u8]) -> Result<Vec<u8>, RenderError> {
    let created = instant::parse(&report.created)
        .and_then(world::date_time)
        .ok_or_else(|| RenderError::Time(report.created.clone()))?;
    let data = figures::data(report, attachment, &world::covers)?;
    let world = World::new(template.sources(), data, attachment, created);
    let result = render(&world, report, created);
    // What the compiler remembers of this report is of no use for the next one.
    typst::comemo::evict(0);
    result
}

/// Goes into the metadata, which is XML.
fn creator(report: &Report) -> String {
    let mut text = format!("{} {}", report.tool.name, report.tool.version);
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text
}

fn render(world: &World, report: &Report, created: Datetime) -> Result<Vec<u8>, RenderError> {
    let compiled = typst::compile::<PagedDocument>(world);
    let describe = |errors: ecow::EcoVec<typst::diag::SourceDiagnostic>| {
        let text: Vec<String> = errors.iter().map(|error| world.describe(error)).collect();
        RenderError::Typst(text.join("; "))
    };
    let document = compiled.output.map_err(describe)?;
    // A warning is a missing font or a layout that does not settle: not the page it should be.
    if !compiled.warnings.is_empty() {
        return Err(describe(compiled.warnings));
    }
    let standards = PdfStandards::new(&[PdfStandard::A_3a, PdfStandard::Ua_1])
        .map_err(|error| RenderError::Typst(error.message().to_string()))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!("{}#{}", report.chain.origin, report.chain.seq)),
        creator: Smart::Custom(Some(creator(report))),
        timestamp: Some(Timestamp::new_utc(created)),
        page_ranges: None,
        standards,
        tagged: true,
        pretty: false,
    };
    typst_pdf::pdf(&document, &options).map_err(describe)
}
