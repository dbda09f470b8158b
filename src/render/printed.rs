//! What a PDF prints, read back from its pages: are its totals those of the data?
//!
//! Text is compared without white space, since that is a matter of layout.

use hayro_interpret::font::Glyph;
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, GlyphDrawMode, Image, InterpreterCache,
    InterpreterSettings, Paint, PathDrawMode, SoftMask, interpret_page,
};
use kurbo::{Affine, BezPath, Rect};

use super::decisions::named;
use super::model::Report;
use crate::assessment::StatusCounts;

/// A total that every report on a bundle prints, in the words of `report-templates/common/`. Whoever
/// changes these words keeps the old form here: sealed reports keep theirs.
#[must_use]
pub fn totals(report: &Report) -> Vec<String> {
    let mut totals = Vec::new();
    for framework in &report.frameworks {
        let StatusCounts {
            not_applicable,
            not_assessed,
            not_satisfied,
            manual,
            satisfied,
            supported,
            waived,
        } = framework.counts;
        totals.push(format!(
            "Evidence bears on {} of {} controls that apply; it contradicts {} of them",
            number(framework.assessed),
            number(framework.applicable),
            number(not_satisfied),
        ));
        totals.push(format!(
            "satisfied {} supported {} not-satisfied {} waived {} manual {} not-assessed {} not-applicable {}",
            number(satisfied),
            number(supported),
            number(not_satisfied),
            number(waived),
            number(manual),
            number(not_assessed),
            number(not_applicable),
        ));
        totals.push(format!(
            "{} of {}",
            number(framework.total),
            named(&framework.title, &framework.version)
        ));
    }
    totals.push(format!("Findings read {}", number(report.totals.findings)));
    totals.push(format!("Sealed items {}", number(report.chain.items)));
    totals.push(format!("Input files {}", number(report.totals.inputs)));
    totals
}

/// The totals that a PDF does not print; `None` when it cannot be read.
#[must_use]
pub fn missing(pdf: &[u8], totals: &[String]) -> Option<Vec<String>> {
    let printed = text(pdf)?;
    Some(totals.iter().filter(|total| !printed.contains(&plain(total))).cloned().collect())
}

/// `12,345`, as reports write it.
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
}

/// Every glyph's text, page by page, without white space.
fn text(pdf: &[u8]) -> Option<String> {
    let pdf = Pdf::new(pdf.to_vec()).ok()?;
    let mut text = Text(String::new());
    for page in pdf.pages().iter() {
        let cache = InterpreterCache::new();
        let area = Rect::new(0.0, 0.0, 1.0, 1.0);
        let settings = InterpreterSettings { render_annotations: false, ..Default::default() };
        let mut context = Context::new(Affine::IDENTITY, area, &cache, page.xref(), settings);
        interpret_page(page, &mut context, &mut text);
    }
    Some(plain(&text.0))
}

/// Keeps the characters that are drawn, and nothing else.
struct Text(String);

impl<'a> Device<'a> for Text {
    fn set_soft_mask(&mut self, _: Option<SoftMask<'a>>) {}
    fn set_blend_mode(&mut self, _: BlendMode) {}
    fn draw_path(&mut self, _: &BezPath, _: Affine, _: &Paint<'a>, _: &PathDrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_glyph(
        &mut self,
        glyph: &Glyph<'a>,
        _: Affine,
        _: Affine,
        _: &Paint<'a>,
        _: &GlyphDrawMode,
    ) {
        match glyph.as_unicode() {
            Some(BfString::Char(c)) => self.0.push(c),
            Some(BfString::String(text)) => self.0.push_str(&text),
            None => {}
        }
    }
    fn draw_image(&mut self, _: Image<'a, '_>, _: Affine) {}
    fn pop_clip_path(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}
