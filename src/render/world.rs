//! The closed world that a template is compiled in: three files, our fonts, the run's date.

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

/// The embedded fonts.
pub(super) fn fonts() -> &'static [Font] {
    &FONTS
}

/// Can any of the fonts show this character? PDF/A refuses what none can.
pub(super) fn covers(fonts: &[Font], c: char) -> bool {
    fonts.iter().any(|font| font.info().coverage.contains(u32::from(c)))
}

pub(super) struct World {
    book: LazyHash<FontBook>,
    template: Source,
    data: (FileId, Bytes),
    attachment: (FileId, Bytes),
    today: Datetime,
}

impl World {
    pub(super) fn new(template: &str, data: Vec<u8>, attachment: &[u8], today: Datetime) -> Self {
        // File ids are interned for the life of the process, so names are the same for every report.
        Self {
            book: LazyHash::new(FontBook::from_fonts(fonts())),
            template: Source::new(file_id("/main.typ"), template.to_owned()),
            data: (file_id("/data.json"), Bytes::new(data)),
            attachment: (file_id("/evidence.json"), Bytes::new(attachment.to_vec())),
            today,
        }
    }

    /// `/main.typ:3:1: message`.
    pub(super) fn describe(&self, diagnostic: &SourceDiagnostic) -> String {
        let place = typst::World::source(self, self.template.id())
            .ok()
            .and_then(|source| {
                let start = WorldExt::range(self, diagnostic.span)?.start;
                let (line, column) = source.lines().byte_to_line_column(start)?;
                Some(format!("main.typ:{}:{}: ", line + 1, column + 1))
            })
            .unwrap_or_default();
        let hints: Vec<String> = diagnostic.hints.iter().map(|hint| format!("{hint:?}")).collect();
        format!("{place}{} {}", diagnostic.message, hints.join(" ")).trim_end().to_owned()
    }
}

#[expect(clippy::expect_used, reason = "the three paths are constants that are valid")]
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
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() {
            Ok(self.template.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        [&self.data, &self.attachment]
            .into_iter()
            .find(|(known, _)| *known == id)
            .map(|(_, bytes)| bytes.clone())
            .ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        fonts().get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        Some(self.today)
    }
}
