//! The closed world that a template is compiled in: its own files, the data, our fonts, the run's
//! date.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::tz::TimeZone;
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, WorldExt};

use super::Attachment;
use super::template::{FILES, Template};

/// Fonts in the order in which they are tried.
const FONT_FILES: [&str; 5] = [
    "fonts/Inter-Regular.otf",
    "fonts/Inter-Italic.otf",
    "fonts/Inter-SemiBold.otf",
    "fonts/Inter-Bold.otf",
    "fonts/JetBrainsMono-Regular.ttf",
];

static FONTS: LazyLock<Vec<Font>> = LazyLock::new(|| {
    let files = FONT_FILES.iter().filter_map(|path| FILES.get_file(path));
    files.flat_map(|file| Font::iter(Bytes::new(file.contents()))).collect()
});

static LIBRARY: LazyLock<LazyHash<Library>> =
    LazyLock::new(|| LazyHash::new(Library::builder().build()));

static BOOK: LazyLock<LazyHash<FontBook>> =
    LazyLock::new(|| LazyHash::new(FontBook::from_fonts(FONTS.iter())));

/// Can any of the fonts show this character? PDF/A refuses what none can.
pub(super) fn covers(c: char) -> bool {
    FONTS.iter().any(|font| font.info().coverage.contains(u32::from(c)))
}

pub(super) struct World {
    main: FileId,
    sources: HashMap<FileId, Source>,
    files: HashMap<FileId, Bytes>,
    today: Datetime,
}

impl World {
    /// `None` when a name in the template cannot be a path.
    pub(super) fn new(
        template: &Template,
        data: Vec<u8>,
        attachments: &[Attachment],
        today: Datetime,
    ) -> Option<Self> {
        // File ids are interned for the life of the process, so names are the same for every report.
        let mut world = Self {
            main: file_id("/main.typ")?,
            sources: HashMap::new(),
            files: HashMap::from([(file_id("/data.json")?, Bytes::new(data))]),
            today,
        };
        for (path, bytes) in template.files() {
            let id = file_id(path)?;
            match std::str::from_utf8(bytes) {
                Ok(text) if has_extension(path, "typ") => {
                    drop(world.sources.insert(id, Source::new(id, text.to_owned())));
                }
                _ => drop(world.files.insert(id, Bytes::new(bytes.clone()))),
            }
        }
        for attachment in attachments {
            let id = file_id(&format!("/{}", attachment.name))?;
            world.files.insert(id, Bytes::new(attachment.bytes.clone()));
        }
        Some(world)
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

fn has_extension(path: &str, extension: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|found| found == extension)
}

fn file_id(path: &str) -> Option<FileId> {
    Some(RootedPath::new(VirtualRoot::Project, VirtualPath::new(path).ok()?).intern())
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
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        self.sources.get(&id).cloned().ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.get(&id).cloned().ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        Some(self.today)
    }
}
