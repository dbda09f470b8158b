//! Sealed items → PDF, through typst in this program: embedded fonts and templates, a fixed date,
//! no network. Equal input gives equal bytes.
//!
//! To add a template: a folder under `report-templates/` with a `main.typ`.

pub mod annex;
pub mod build;
mod decisions;
mod figures;
pub mod history;
pub mod html;
pub mod model;
pub mod printed;
mod template;
mod text;
mod world;

use serde_json::Value;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

pub use template::{SEALED, Template, TemplateError};

use crate::evidence::instant;
use annex::Volume;
use model::{PeriodReport, Report};
use world::World;

/// Name of the controls embedded in every report of a bundle.
pub const ATTACHMENT: &str = "evidence.json";

/// A file embedded in a report (PDF/A-3, associated file).
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Name, without folders.
    pub name: &'static str,
    /// Media type.
    pub mime: &'static str,
    /// What it is, in a sentence.
    pub description: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What is printed.
#[derive(Clone, Copy, Debug)]
pub enum Document<'a> {
    /// A report on a bundle.
    Bundle(&'a Report),
    /// A volume of a bundle's annex.
    Annex(&'a Volume),
    /// A report on a period.
    Period(&'a PeriodReport),
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

/// What every document says of itself.
struct Identity<'a> {
    /// RFC 3339: its date.
    created: &'a str,
    /// Bytes of different documents have different identifiers.
    ident: String,
    tool: &'a model::Tool,
}

impl Document<'_> {
    fn identity(&self) -> Identity<'_> {
        match self {
            Self::Bundle(report) => Identity {
                created: &report.created,
                ident: format!("{}#{}", report.chain.origin, report.chain.seq),
                tool: &report.tool,
            },
            Self::Annex(volume) => Identity {
                created: &volume.head.created,
                ident: format!(
                    "{}#{}/annex/{}",
                    volume.head.chain.origin, volume.head.chain.seq, volume.number
                ),
                tool: &volume.head.tool,
            },
            Self::Period(report) => Identity {
                created: &report.created,
                ident: format!(
                    "{}/period/{}/{}",
                    report.chain.origin, report.over_time.from, report.over_time.until
                ),
                tool: &report.tool,
            },
        }
    }

    fn data(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Bundle(report) => figures::bundle(report),
            Self::Annex(volume) => serde_json::to_value(volume),
            Self::Period(report) => serde_json::to_value(report),
        }
    }
}

/// Renders a document as PDF/A-3a and PDF/UA-1.
///
/// # Errors
/// [`RenderError`]. Text that the fonts cannot show is no error: it is replaced and counted.
pub fn pdf(
    document: Document<'_>,
    template: &Template,
    attachments: &[Attachment],
) -> Result<Vec<u8>, RenderError> {
    let identity = document.identity();
    let created = instant::parse(identity.created)
        .and_then(world::date_time)
        .ok_or_else(|| RenderError::Time(identity.created.to_owned()))?;
    let data = figures::data(document.data()?, attachments, &world::covers)?;
    let world = World::new(template, data, attachments, created)
        .ok_or_else(|| RenderError::Typst("a file of the template has no valid name".to_owned()))?;
    let result = render(&world, &identity, created);
    // What the compiler remembers of this report is of no use for the next one.
    typst::comemo::evict(0);
    result
}

/// Goes into the metadata, which is XML.
fn creator(tool: &model::Tool) -> String {
    let mut text = format!("{} {}", tool.name, tool.version);
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text
}

fn render(
    world: &World,
    identity: &Identity<'_>,
    created: Datetime,
) -> Result<Vec<u8>, RenderError> {
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
        ident: Smart::Custom(identity.ident.clone()),
        creator: Smart::Custom(Some(creator(identity.tool))),
        timestamp: Some(Timestamp::new_utc(created)),
        page_ranges: None,
        standards,
        tagged: true,
        pretty: false,
    };
    typst_pdf::pdf(&document, &options).map_err(describe)
}
