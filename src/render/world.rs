//! The closed world that a template is compiled in: its own files, the data, our fonts, the run's
//! date.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, WorldExt};

/// Fonts in the order in which they are tried.
const FONT_FILES: [&[u8]; 5] = [
    include_bytes!("../../report-templates/fonts/Inter-Regular.otf"),
    include_bytes!("../../report-templates/fonts/Inter-Italic.otf"),
    include_bytes!("../../report-templates/fonts/Inter-SemiBold.otf"),
    include_bytes!("../../report-templates/fonts/Inter-Bold.otf"),
    include_bytes!("../../report-templates/fonts/JetBrainsMono-Regular.ttf"),
];

static FONTS: LazyLock<Vec<Font>> =
    LazyLock::new(|| FONT_FILES.iter().flat_map(|file| Font::iter(Bytes::new(*file))).collect());

static LIBRARY: LazyLock<LazyHash<Library>> =
    LazyLock::new(|| LazyHash::new(Library::builder().build()));

static BOOK: LazyLock<LazyHash<FontBook>> =
    LazyLock::new(|| LazyHash::new(FontBook::from_fonts(FONTS.iter())));

/// Can any of the fonts show this character? PDF/A refuses what none can.
pub(super) fn covers(c: char) -> bool {
    FONTS.iter().any(|font| font.info().coverage.contains(u32::from(c)))
}

pub(super) struct World {
    /// The first is compiled.
    sources: Vec<Source>,
    files: [(FileId, Bytes); 2],
    today: Datetime,
}

impl World {
    pub(super) fn new(
        template: super::Sources,
        data: Vec<u8>,
        attachment: &[u8],
        today: Datetime,
    ) -> Self {
        // File ids are interned for the life of the process, so names are the same for every report.
        let source = |(path, text): &(&str, &str)| Source::new(file_id(path), (*text).to_owned());
        Self {
            sources: template.iter().map(source).collect(),
            files: [
                (file_id("/data.json"), Bytes::new(data)),
                (file_id("/evidence.json"), Bytes::new(attachment.to_vec())),
            ],
            today,
        }
    }

    /// `/main.typ:3:1: message`.
    pub(super) fn describe(&self, diagnostic: &SourceDiagnostic) -> String {
        let place = || {
            let id = diagnostic.span.id()?;
            let start = WorldExt::range(self, diagnostic.span)?.start;
            let source = typst::World::source(self, id).ok()?;
            let (line, column) = source.lines().byte_to_line_column(start)?;
            let path = id.vpath().get_with_slash();
            Some(format!("{path}:{}:{}: ", line + 1, column + 1))
        };
        let mut text = place().unwrap_or_default();
        text.push_str(&diagnostic.message);
        for hint in &diagnostic.hints {
            text.push_str("; ");
            text.push_str(&hint.v);
        }
        text
    }
}

#[allow(clippy::expect_used, reason = "the names are constants of this module")]
fn file_id(path: &str) -> FileId {
    let path = VirtualPath::new(path).expect("a constant, valid path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

pub(super) fn date_time(at: jiff::Timestamp) -> Option<Datetime> {
    let at = TimeZone::UTC.to_datetime(at);
    let part = |value: i8| u8::try_from(value).ok();
    Datetime::from_ymd_hms(
        i32::from(at.year()),
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
    )
}

impl typst::World for World {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &BOOK
    }

    fn main(&self) -> FileId {
        self.sources.first().map_or_else(|| file_id("/main.typ"), Source::id)
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        let found = self.sources.iter().find(|source| source.id() == id);
        found.cloned().ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let found = self.files.iter().find(|(known, _)| *known == id);
        found.map(|(_, bytes)| bytes.clone()).ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        Some(self.today)
    }
}
