//! Bytes → text → documents (JSON, concatenated JSON, lines of a log, XML, YAML), each read with the
//! place of an error.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::exact::Exact;
use super::lenient::{self, Input, Oddities, Refused};
use super::text::{Instant, instant, shown, stated_time};
use super::{MAX_INPUT_BYTES, Probe, detect, yaml};
use crate::finding::Parsed;

/// Characters of a path or reason, which repeat pieces of the input, in an error.
const MAX_SHOWN: usize = 300;
/// Arrays in one another in which reports are looked for.
const MAX_ARRAYS: usize = 4;
/// Lines in which the first event of a log is looked for: Falco writes what it loads before that.
const MAX_PREFACE: usize = 1000;

/// Why an input could not be read. Every variant names the place and the reason; the caller adds
/// the file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// No byte other than white space.
    #[error("the file is empty")]
    Empty,
    /// Over [`MAX_INPUT_BYTES`].
    #[error("the file has {found} bytes; at most {limit} are read")]
    TooLarge {
        /// Size in bytes.
        found: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Another kind of file, by its first bytes.
    #[error("the file is {what}, not a report")]
    Foreign {
        /// What it is: `compressed (gzip)`.
        what: &'static str,
        /// What to do with it.
        help: &'static str,
    },
    /// Neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("byte {offset} is not valid {encoding}")]
    Encoding {
        /// Offset in bytes from the start.
        offset: usize,
        /// What it should have been.
        encoding: &'static str,
    },
    /// Not parseable, or not of the shape that the format has.
    #[error("{place}: {reason}")]
    Malformed {
        /// Line, column and path inside the file.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// Parseable, but no scanner's.
    #[error("{place}: no known scanner format ({looks_like})")]
    Unrecognised {
        /// Line and document number.
        place: String,
        /// Its keys.
        looks_like: String,
    },
}

impl ReadError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Empty => "run the scanner again: an empty file proves nothing",
            Self::TooLarge { .. } => "split the scan by namespace or node",
            Self::Foreign { help, .. } => help,
            Self::Encoding { .. } => "write the report as UTF-8",
            Self::Malformed { .. } => {
                "the file is cut off or not what its format says: export it again"
            }
            Self::Unrecognised { .. } => {
                "`affidavit inspect` lists the formats that are read; JSON output of the scanner is usually the right one"
            }
        }
    }
}

/// How a document is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 8259.
    Json,
    /// One JSON object in each line; other lines are a program's words in between.
    JsonLines,
    /// XML 1.0 without a document type.
    Xml,
    /// YAML 1.2.
    Yaml,
}

/// Lines of a log that are no events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OtherLines {
    /// Before the first event, or the writer's own.
    harmless: usize,
    /// After the first event, or with a key of an object in them: each may be what is left of an event.
    lost: usize,
}

impl OtherLines {
    /// Says how many there are.
    pub(super) fn tell(self, locator: Box<str>, parsed: &mut Parsed) {
        let lines = |count| {
            if count == 1 { "line that is no event is" } else { "lines that are no events are" }
        };
        if self.lost > 0 {
            let (lines, noun) = (lines(self.lost), if self.lost == 1 { "it" } else { "each" });
            let text = format!("{} {lines} not read: {noun} may be a damaged event", self.lost);
            parsed.shortfall(locator.clone(), text);
        }
        if self.harmless > 0 {
            parsed.note(locator, format!("{} {} not read", self.harmless, lines(self.harmless)));
        }
    }
}

/// One document of an input.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    text: &'a str,
    syntax: Syntax,
    index: usize,
    several: bool,
    last: bool,
    first_line: usize,
    /// Bytes before the text in its first line.
    indent: usize,
    /// Where the text stands in the document that it is an element of: `/3`.
    base: String,
    subject: &'a str,
    probe: Probe,
    /// The text as JSON, once a YAML document has an odd field.
    json: OnceCell<Option<String>>,
    oddities: RefCell<Oddities>,
}

/// Decodes UTF-8 (with or without byte order mark) and UTF-16 (with one: PowerShell redirections).
///
/// # Errors
/// [`ReadError::Empty`], [`ReadError::TooLarge`] or [`ReadError::Encoding`].
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, ReadError> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(ReadError::TooLarge { found: bytes.len(), limit: MAX_INPUT_BYTES });
    }
    let text: Cow<'_, str> = match bytes {
        [0xFF, 0xFE, 0, 0, ..]
        | [0, 0, 0xFE, 0xFF, ..]
        | [b'!'..=b'~', 0, 0, 0, ..]
        | [0, 0, 0, b'!'..=b'~', ..] => {
            return Err(ReadError::Foreign {
                what: "text in UTF-32",
                help: "write the report as UTF-8",
            });
        }
        [0, 0, ..] => {
            let help = "it was not written or copied to its end: export it again";
            return Err(ReadError::Foreign { what: "damaged (it begins with NUL bytes)", help });
        }
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, 2, u16::from_le_bytes)?.into(),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, 2, u16::from_be_bytes)?.into(),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest, 3)?.into(),
        // Without a mark: every report begins with characters of ASCII.
        [b'!'..=b'~', 0, 1..=0xFF, ..] => decode_utf16(bytes, 0, u16::from_le_bytes)?.into(),
        [0, b'!'..=b'~', ..] => decode_utf16(bytes, 0, u16::from_be_bytes)?.into(),
        _ => match foreign(bytes) {
            Some((what, help)) => return Err(ReadError::Foreign { what, help }),
            None => utf8(bytes, 0)?.into(),
        },
    };
    // Some writers pad files with NUL at their end.
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('\0')),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches('\0').to_owned()),
    };
    if text.trim().is_empty() { Err(ReadError::Empty) } else { Ok(text) }
}

/// Blanks the lines that a program prints before its report, so that every line keeps its number, and
/// says how many they are. None, where one of them could be part of a report.
pub(super) fn without_preface(text: Cow<'_, str>) -> (Cow<'_, str>, usize) {
    let begins = |line: &str| {
        line.starts_with('{')
            || (line.starts_with('[') && !is_log_line(line))
            || line.starts_with("apiVersion:")
            || line.starts_with("--- ")
    };
    let is_plain = |line: &str| {
        if is_log_line(line) {
            return true;
        }
        let inner = line.trim_start();
        let is_key = |line: &str| {
            let key =
                line.split_once(':').map(|(key, rest)| (key, rest.starts_with([' ', '\n', '\r'])));
            key.is_some_and(|(key, is_apart)| {
                is_apart
                    && !key.is_empty()
                    && !key.contains(char::is_whitespace)
                    && key != "Warning"
            })
        };
        !inner.starts_with(['}', ']', '"', '<', '#', '%', '{', '['])
            && !line.contains("\":")
            && !line.starts_with("- ")
            && line.trim_end() != "---"
            && !is_key(line)
    };
    let lines = || text.split_inclusive('\n').take(MAX_PREFACE);
    let Some(count) = lines().position(|line| begins(line) || !is_plain(line)) else {
        return (text, 0);
    };
    let is_told = lines().take(count).any(|line| !line.trim().is_empty());
    let is_report = lines().nth(count).is_some_and(begins);
    if !is_told || !is_report || first_event(&text).is_some() {
        return (text, 0);
    }
    let kept: usize = lines().take(count).map(str::len).sum();
    let blank = "\n".repeat(count);
    (format!("{blank}{}", text.get(kept..).unwrap_or_default()).into(), count)
}

/// Does a program's logger write this, and no report: `[INFO] …`, `[2026-11-25 10:00:00] …`, or klog's
/// `I1125 10:00:01.566933 1 x.go:1] …`, which may quote JSON?
fn is_log_line(line: &str) -> bool {
    if let Some((tag, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || " -:.,+/_".contains(c);
        return !tag.is_empty()
            && tag.chars().all(is_word)
            && rest.trim_start().starts_with(|c: char| c.is_alphanumeric())
            && !rest.contains(['{', '[', '"']);
    }
    let Some((head, rest)) = line.split_once(' ') else { return false };
    let is_head = head.len() == 5
        && head.starts_with(['I', 'W', 'E', 'F'])
        && head.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    is_head
        && rest.contains("] ")
        && rest.split('.').next().is_some_and(|time| time.matches(':').count() == 2)
}

/// What a text is that holds no report, or one with other text around it, and what to do about it.
pub(super) fn misplaced(text: &str) -> Option<ReadError> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty()).take(MAX_PREFACE);
    let first = lines().next()?;
    let begins = |line: &str| line.starts_with(['{', '[', '<']) || line.starts_with("apiVersion:");
    let result = |line: &str| {
        let (status, number) = line.strip_prefix('[')?.split_once("] ")?;
        let is_status = matches!(status, "PASS" | "FAIL" | "WARN" | "INFO");
        let number = number.split(' ').next()?;
        let is_number =
            number.contains('.') && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        (is_status && is_number).then_some(())
    };
    let kubectl =
        ["Error from server", "error: ", "The connection to the server", "Unable to connect to"];
    let (what, help) = if lines().any(|line| result(line).is_some()) {
        ("kube-bench's text output", "run kube-bench with --json")
    } else if first.starts_with("```") {
        ("a Markdown code block", "save what is between its ``` lines as a file of its own")
    } else if kubectl.iter().any(|start| first.starts_with(start)) && !lines().any(begins) {
        ("an error message of kubectl", "mend what it says, and fetch the report again")
    } else if lines().all(|line| without_prefix(line).is_some())
        && lines().filter_map(without_prefix).any(|line| line.starts_with(['{', '[', '<']))
    {
        (
            "a log with a prefix on every line, as `kubectl logs --timestamps` or `--prefix` writes it",
            "fetch the log without --timestamps and --prefix",
        )
    } else if !first.starts_with(['<', '{', '[']) && lines().any(|line| line.starts_with("<?xml")) {
        ("XML with other lines before it", "save it from the line on that begins with `<?xml`")
    } else {
        return None;
    };
    Some(ReadError::Foreign { what, help })
}

/// A line without what `kubectl logs --timestamps` or `--prefix` puts before it.
fn without_prefix(line: &str) -> Option<&str> {
    let (prefix, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_time =
        || prefix.ends_with('Z') && prefix.contains('T') && prefix.parse::<Timestamp>().is_ok();
    let is_pod = || prefix.starts_with("[pod/") && prefix.ends_with(']');
    (is_time() || is_pod()).then_some(rest)
}

/// What files are that are no text, by how they begin, and what to do with them.
fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it, and name the reports in it";
    const KINDS: [(&[u8], &str, &str); 12] = [
        (&[0x1F, 0x8B], "compressed (gzip)", "unpack it first: gunzip FILE"),
        (b"PK\x03\x04", "a zip archive", UNPACK),
        (b"BZh", "compressed (bzip2)", "unpack it first: bunzip2 FILE"),
        (&[0xFD, b'7', b'z', b'X', b'Z', 0], "compressed (xz)", "unpack it first: unxz FILE"),
        (&[0x28, 0xB5, 0x2F, 0xFD], "compressed (zstd)", "unpack it first: unzstd FILE"),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive", UNPACK),
        (&[0x5D, 0, 0], "compressed (lzma)", "unpack it first: unlzma FILE"),
        (b"\x89PNG", "a picture (PNG)", "have the scanner write JSON"),
        (&[0xFF, 0xD8, 0xFF], "a picture (JPEG)", "have the scanner write JSON"),
        (b"%PDF-", "a PDF", "have the scanner write JSON"),
        (b"SQLite format 3\0", "an SQLite database", "have the scanner write JSON"),
        (b"PAR1", "a Parquet file", "have the scanner write JSON"),
    ];
    // The magic of a tar archive comes after its first name.
    if bytes.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    let found = KINDS.iter().find(|(start, ..)| bytes.starts_with(start));
    found.map(|(_, what, help)| (*what, *help))
}

fn utf8(bytes: &[u8], skipped: usize) -> Result<&str, ReadError> {
    std::str::from_utf8(bytes).map_err(|error| ReadError::Encoding {
        offset: error.valid_up_to() + skipped,
        encoding: "UTF-8",
    })
}

fn decode_utf16(
    bytes: &[u8],
    skipped: usize,
    unit: fn([u8; 2]) -> u16,
) -> Result<String, ReadError> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    let mut offset = skipped;
    for decoded in char::decode_utf16(pairs.iter().copied().map(unit)) {
        let character = decoded.map_err(|_| ReadError::Encoding { offset, encoding: "UTF-16" })?;
        offset += character.len_utf16() * 2;
        text.push(character);
    }
    if odd.is_empty() { Ok(text) } else { Err(ReadError::Encoding { offset, encoding: "UTF-16" }) }
}

impl<'a> Document<'a> {
    /// Splits a text into its documents: one JSON value, several JSON values in a row, or YAML
    /// documents separated by `---`. A log of events and an XML file are one document each.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] when the text breaks off or goes wrong.
    pub fn split(text: &'a str, subject: &'a str) -> Result<Vec<Self>, ReadError> {
        let start = text.trim_start();
        let documents = if start.starts_with('<') {
            vec![Self::of_xml(text, subject)?]
        } else if let Some(probe) = first_event(text) {
            vec![Self::whole(text, Syntax::JsonLines, subject, probe)]
        } else if start.starts_with(['{', '[']) {
            Self::split_json(text, subject)?
        } else {
            Self::split_yaml(text, subject)?
        };
        if documents.is_empty() { Err(ReadError::Empty) } else { Ok(documents) }
    }

    /// A text that is one document.
    fn whole(text: &'a str, syntax: Syntax, subject: &'a str, probe: Probe) -> Self {
        let several = syntax == Syntax::JsonLines;
        let (json, oddities) = Default::default();
        Self {
            text,
            syntax,
            index: 0,
            several,
            last: true,
            first_line: 1,
            indent: 0,
            base: String::new(),
            subject,
            probe,
            json,
            oddities,
        }
    }

    fn of_xml(text: &'a str, subject: &'a str) -> Result<Self, ReadError> {
        let mut document = Self::whole(text, Syntax::Xml, subject, Probe::default());
        let tree = document.xml()?;
        let root = tree.root_element().tag_name();
        let namespace = root.namespace().unwrap_or_default().to_owned();
        document.probe.root_element = Some((namespace, root.name().to_owned()));
        Ok(document)
    }

    fn split_json(text: &'a str, subject: &'a str) -> Result<Vec<Self>, ReadError> {
        let mut documents: Vec<Self> = Vec::new();
        let (mut start, mut line) = (0, 1);
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            let gap = gap(rest, !documents.is_empty());
            let begin = start + gap.len();
            let first_line = line + newlines(gap);
            let rest = text.get(begin..).unwrap_or_default();
            if !documents.is_empty() && !rest.is_empty() && !rest.starts_with(['{', '[']) {
                let words = shown(rest.lines().next().unwrap_or_default(), 60);
                let reason = format!("text follows the report: `{words}`");
                return Err(ReadError::Malformed { place: format!("line {first_line}"), reason });
            }
            // Several values may share a line.
            let indent = last_line(text.get(..begin).unwrap_or_default()).len();
            let Some((probe, end)) = first_value(rest).transpose().map_err(|error| {
                let line = first_line + error.line() - 1;
                let column = error.column() + if error.line() == 1 { indent } else { 0 };
                ReadError::Malformed {
                    place: format!("line {line}, column {column}"),
                    reason: json_reason(&error),
                }
            })?
            else {
                break;
            };
            let value = rest.get(..end).unwrap_or_default();
            let document = Self::whole(value, Syntax::Json, subject, probe);
            let index = documents.len();
            documents.push(Self { index, first_line, indent, last: false, ..document });
            start = begin + end;
            line = first_line + newlines(value);
        }
        Ok(Self::counted(documents))
    }

    /// The elements of a JSON array as documents of their own: `jq -s` writes such an array of reports.
    /// None, where the document is something else.
    pub(super) fn elements(&self) -> Vec<Self> {
        let is_array = self.syntax == Syntax::Json && self.probe.is_array;
        if !is_array || self.base.matches('/').count() >= MAX_ARRAYS {
            return Vec::new();
        }
        let elements: Vec<&'a RawValue> = serde_json::from_str(self.text).unwrap_or_default();
        let (mut seen, mut first_line) = (0, self.first_line);
        let of_element = |(index, element): (usize, &'a RawValue)| {
            let text = element.get();
            let start = text.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
            first_line += newlines(self.text.get(seen..start).unwrap_or_default());
            seen = start;
            let before = self.text.get(..start).unwrap_or_default();
            let shared = if before.contains('\n') { 0 } else { self.indent };
            let probe = first_value(text).and_then(Result::ok).unwrap_or_default().0;
            Self {
                text,
                first_line,
                indent: last_line(before).len() + shared,
                base: format!("{}/{index}", self.base),
                probe,
                oddities: RefCell::default(),
                ..self.clone()
            }
        };
        elements.into_iter().enumerate().map(of_element).collect()
    }

    fn counted(mut documents: Vec<Self>) -> Vec<Self> {
        let several = documents.len() > 1;
        for document in &mut documents {
            document.several = several;
        }
        if let Some(document) = documents.last_mut() {
            document.last = true;
        }
        documents
    }

    /// YAML forbids `---` at the start of a line anywhere but between documents (YAML 1.2.2
    /// section 9.1.2, c-forbidden), so a split by lines is exact.
    fn split_yaml(text: &'a str, subject: &'a str) -> Result<Vec<Self>, ReadError> {
        let mut cuts = vec![0];
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let marker = line.strip_prefix("---");
            if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
                cuts.push(offset);
            }
            offset += line.len();
        }
        cuts.push(text.len());
        let mut documents: Vec<Self> = Vec::new();
        let mut next_line = 1;
        for pair in cuts.windows(2) {
            let [start, end] = *pair else { continue };
            let Some(piece) = text.get(start..end) else { continue };
            let first_line = next_line;
            next_line += newlines(piece);
            if !has_yaml_content(piece) {
                continue;
            }
            let document = Self::whole(piece, Syntax::Yaml, subject, Probe::default());
            let index = documents.len();
            let mut document = Self { index, first_line, last: false, ..document };
            document.probe = document.read_exactly().or_else(|error| {
                let json = yaml::to_json(piece).ok_or_else(|| error.clone())?;
                Self::look_at(&json).ok_or(error)
            })?;
            documents.push(document);
        }
        Ok(Self::counted(documents))
    }

    /// What the document looks like from outside.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// What the collector says this input is about (a node's name); may be empty.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.subject
    }

    /// `line 1`, `document 2 at line 40`, or `line 40, /1` for an element of an array.
    #[must_use]
    pub fn place(&self) -> String {
        self.place_of("")
    }

    fn place_of(&self, pointer: &str) -> String {
        let line = self.first_line;
        let document = if self.several {
            format!("document {} at line {line}", self.index + 1)
        } else {
            format!("line {line}")
        };
        match format!("{}{pointer}", self.base) {
            pointer if pointer.is_empty() => document,
            pointer => format!("{document}, {pointer}"),
        }
    }

    /// Could this document go on where it ends? JSON says where it ends. YAML does not, unless `...`
    /// or another document follows: cut off after a line, it is often still valid.
    #[must_use]
    pub fn may_be_cut(&self) -> bool {
        let is_closed = || self.text.trim_end().lines().last().is_some_and(|line| line == "...");
        self.syntax == Syntax::Yaml && self.last && !is_closed()
    }

    /// Does the list at this key of the top object end with a bracket, so that nothing can follow?
    fn is_flow(&self, key: &str) -> bool {
        let value = |line: &'a str| line.strip_prefix(key)?.strip_prefix(':');
        self.text.lines().filter_map(value).any(|value| value.trim_start().starts_with('['))
    }

    /// Why the end of the document may be missing, if nothing but a list stands there.
    #[must_use]
    pub fn open_end(&self) -> Option<String> {
        if !self.may_be_cut() || self.text.trim_start().starts_with("--- [") {
            return None;
        }
        if self.probe.is_array {
            return Some("it is a bare list".to_owned());
        }
        let key = self.probe.last_list.as_ref().filter(|key| !self.is_flow(key))?;
        Some(format!("it ends with the list `{key}`"))
    }

    /// A pointer into this document as [`Finding::locator`](crate::finding::Finding::locator)
    /// writes it: `3#/items/0` in a file of several documents, `/items/0` otherwise.
    #[must_use]
    pub fn locator(&self, pointer: &str) -> Box<str> {
        let base = &self.base;
        let document = if self.several { format!("{}#", self.index) } else { String::new() };
        format!("{document}{base}{pointer}").into()
    }

    /// An error at a pointer, for what parses but cannot be meant.
    #[must_use]
    pub fn error(&self, pointer: &str, reason: impl Into<String>) -> ReadError {
        ReadError::Malformed { place: self.place_of(pointer), reason: reason.into() }
    }

    /// Reads the document as `T`; what is not of `T`'s shape by the one rule for odd values. Duplicate keys
    /// that `T` knows, `NaN`, and nesting deeper than 128 levels are errors.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] with line, column and path.
    pub fn read<T: Deserialize<'a>>(&'a self) -> Result<T, ReadError> {
        self.read_exactly().or_else(|error| self.read_leniently(error))
    }

    /// Reads the document as `T`, and nothing that is not of `T`'s shape.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read_exactly<T: Deserialize<'a>>(&self) -> Result<T, ReadError> {
        match self.syntax {
            Syntax::Json | Syntax::JsonLines | Syntax::Xml => {
                let mut deserializer = serde_json::Deserializer::from_str(self.text);
                let value = T::deserialize(Exact(&mut deserializer));
                value
                    .and_then(|value| deserializer.end().map(|()| value))
                    .map_err(|error| self.locate_json::<T>(&error))
            }
            Syntax::Yaml => serde_saphyr::with_deserializer_from_str(self.text, |deserializer| {
                T::deserialize(Exact(deserializer))
            })
            .map_err(|error| self.locate_yaml(&error)),
        }
    }

    /// Reads what [`Document::read_exactly`] could not.
    ///
    /// # Errors
    /// `error` when this is no JSON and cannot be made it, or [`ReadError::Malformed`] with the field
    /// that it cannot be read without.
    pub(super) fn read_leniently<T: Deserialize<'a>>(
        &'a self,
        error: ReadError,
    ) -> Result<T, ReadError> {
        let Some(text) = self.as_json() else { return Err(error) };
        self.read_part(text, "", "", error)
    }

    /// Reads a value of the document, of which `text` is the JSON, by the rule of [`lenient`]. `pointer`
    /// is where it stands, `field` the same with `*` for what varies.
    ///
    /// # Errors
    /// As [`Document::read_leniently`].
    pub(super) fn read_part<'t, T: Deserialize<'t>>(
        &self,
        text: &'t str,
        pointer: &str,
        field: &str,
        error: ReadError,
    ) -> Result<T, ReadError> {
        let is_yaml = self.syntax == Syntax::Yaml;
        let input = Input { text, locator: &self.locator(pointer), field, is_yaml };
        lenient::read(input, &mut self.oddities.borrow_mut())
            .map_err(|refused| if refused.is_syntax { error } else { self.locate(&refused) })
    }

    /// A piece of JSON as far as it can be read, without a word about the rest.
    pub(super) fn look_at<'t, T: Deserialize<'t>>(text: &'t str) -> Option<T> {
        let input = Input { text, locator: "", field: "", is_yaml: true };
        lenient::read(input, &mut Oddities::default()).ok()
    }

    /// The text as JSON, if it can be one.
    fn as_json(&self) -> Option<&str> {
        match self.syntax {
            Syntax::Json | Syntax::JsonLines => Some(self.text),
            Syntax::Yaml => self.json.get_or_init(|| yaml::to_json(self.text)).as_deref(),
            Syntax::Xml => None,
        }
    }

    /// Notes something odd about `field` (a JSON pointer with `*` for what varies), once for every value
    /// at which it is so.
    pub(super) fn odd(&self, field: &str, says: &str, locator: &str, weakens: bool) {
        let (says, locator) = (says.to_owned(), locator.to_owned());
        self.oddities.borrow_mut().add(field, says, locator, weakens);
    }

    /// Takes out what was odd so far.
    pub(super) fn take_oddities(&self) -> Oddities {
        self.oddities.take()
    }

    /// The time that stands at a pointer; `None` where none does. A time without a zone is the
    /// earliest that it can mean, and what is no time weakens the evidence.
    pub(super) fn time(&self, pointer: &str, text: &str) -> Option<Timestamp> {
        self.time_at(&|| self.locator(pointer), pointer, text)
    }

    /// The same for a field of an object that [`Document::read_lines`] numbered.
    pub(super) fn line_time(&self, index: usize, field: &str, text: &str) -> Option<Timestamp> {
        let locator = || format!("{}{field}", self.line_locator(index)).into();
        self.time_at(&locator, field, text)
    }

    pub(super) fn time_at(
        &self,
        locator: &dyn Fn() -> Box<str>,
        pointer: &str,
        text: &str,
    ) -> Option<Timestamp> {
        let (at, says, weakens) = match instant(text) {
            Instant::Exact(at) => return stated_time(Some(at)),
            Instant::None => return None,
            Instant::Earliest(at) => {
                let says = "without a zone, taken as the earliest time that it can mean";
                (stated_time(Some(at)), says, false)
            }
            Instant::Seconds(at) => (stated_time(Some(at)), "a number, read as seconds", false),
            Instant::Unknown => (None, "left out: no time", true),
        };
        let steps = pointer.split('/').map(|step| {
            let varies = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
            if varies { "*" } else { step }
        });
        self.odd(&steps.collect::<Vec<_>>().join("/"), says, &locator(), weakens);
        at
    }

    /// Reads every object of a log, with its number from 0, and returns what other lines there are.
    /// `is_own` knows the lines that the writer of the log itself puts between its events. A document that is
    /// one JSON object is a log of one event.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] when a line that begins like an object is none.
    pub(super) fn read_lines<T: Deserialize<'a>>(
        &'a self,
        mut each: impl FnMut(usize, T),
        is_own: fn(&str) -> bool,
    ) -> Result<OtherLines, ReadError> {
        let mut others = OtherLines::default();
        if self.syntax != Syntax::JsonLines {
            each(0, self.read()?);
            return Ok(others);
        }
        let mut index = 0;
        for (number, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('{') {
                let object = Self::whole(line, Syntax::Json, self.subject, Probe::default());
                let object = Self { first_line: number + 1, ..object };
                let read = object.read_exactly::<T>().or_else(|error| {
                    let locator = &*self.line_locator(index);
                    let input = Input { text: line, locator, field: "", is_yaml: false };
                    lenient::read(input, &mut self.oddities.borrow_mut()).map_err(|refused| {
                        if refused.is_syntax { error } else { object.locate(&refused) }
                    })
                });
                each(index, read?);
                index += 1;
            } else if line.contains("\":") || (index > 0 && !line.is_empty() && !is_own(line)) {
                others.lost += 1;
            } else if !line.is_empty() {
                others.harmless += 1;
            }
        }
        Ok(others)
    }

    /// The place of an object that `Document::read_lines` numbered.
    #[must_use]
    pub fn line_locator(&self, index: usize) -> Box<str> {
        if self.syntax == Syntax::JsonLines { format!("{index}#").into() } else { self.locator("") }
    }

    /// The tree of an XML document.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] with line and column.
    pub fn xml(&self) -> Result<roxmltree::Document<'a>, ReadError> {
        parse_xml(self.text)
    }

    /// The path of an error costs time on every value, so it is looked for only when there is one.
    fn locate_json<T: Deserialize<'a>>(&self, error: &serde_json::Error) -> ReadError {
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let path = serde_path_to_error::deserialize::<_, T>(Exact(&mut deserializer))
            .err()
            .map(|located| located.path().to_string())
            .filter(|path| path != ".");
        let line = self.first_line + error.line().max(1) - 1;
        let column = error.column() + if error.line() <= 1 { self.indent } else { 0 };
        let mut place = format!("line {line}, column {column}");
        if let Some(path) = path {
            place.push_str(", ");
            place.push_str(&shown(&format!("{}{path}", self.base), MAX_SHOWN));
        }
        ReadError::Malformed { place, reason: json_reason(error) }
    }

    /// Where what was refused stands: in the text, or by its pointer when it was converted.
    fn locate(&self, refused: &Refused<'_>) -> ReadError {
        let start = self.text.as_ptr().addr();
        let offset = refused.value.map(|value| value.as_ptr().addr().wrapping_sub(start));
        let before = offset.and_then(|offset| self.text.get(..offset));
        let mut place = match before {
            Some(before) => {
                let line = self.first_line + newlines(before);
                let shared = if before.contains('\n') { 0 } else { self.indent };
                format!("line {line}, column {}", last_line(before).len() + shared + 1)
            }
            None => self.place(),
        };
        if !refused.locator.is_empty() {
            place.push_str(", ");
            place.push_str(&shown(&refused.locator, MAX_SHOWN));
        }
        ReadError::Malformed { place, reason: shown(&refused.reason, MAX_SHOWN) }
    }

    fn locate_yaml(&self, error: &serde_saphyr::Error) -> ReadError {
        let place = error.location().map_or_else(
            || self.place(),
            |location| {
                let line = usize::try_from(location.line()).unwrap_or(usize::MAX);
                format!("line {}, column {}", self.first_line + line.max(1) - 1, location.column())
            },
        );
        let reason = error.without_snippet().to_string();
        let reason = shown(reason.lines().next().unwrap_or_default(), MAX_SHOWN);
        ReadError::Malformed { place, reason }
    }
}

/// The tree of an XML text. A document type is refused, and with it every entity.
///
/// # Errors
/// [`ReadError::Malformed`] with line and column.
pub(super) fn parse_xml(text: &str) -> Result<roxmltree::Document<'_>, ReadError> {
    roxmltree::Document::parse(text).map_err(|error| {
        let at = error.pos();
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at ").map_or(&*reason, |(reason, _)| reason);
        ReadError::Malformed {
            place: format!("line {}, column {}", at.row, at.col),
            reason: format!("not XML that is read: {}", shown(reason, MAX_SHOWN)),
        }
    })
}

/// The first event of a log: a line of several that is an event by itself. Before it there may be other objects,
/// each in a line of its own, but no report.
fn first_event(text: &str) -> Option<Probe> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.clone().nth(1)?;
    for line in lines.take(MAX_PREFACE).filter(|line| line.starts_with(['{', '['])) {
        let (probe, end) = first_value(line)?.ok()?;
        if probe.is_event() {
            return Some(probe);
        }
        if probe.is_array || end < line.len() || !detect(&probe).is_empty() {
            return None;
        }
    }
    None
}

/// What the first value of a text looks like, and where it ends.
fn first_value(text: &str) -> Option<Result<(Probe, usize), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Probe>();
    let error = match values.next()? {
        Ok(probe) => return Some(Ok((probe, values.byte_offset()))),
        Err(error) => error,
    };
    // A number too large for any type is no reason to refuse the text.
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let Some(Ok(value)) = values.next() else { return Some(Err(error)) };
    let input = Input { text: value.get(), locator: "", field: "", is_yaml: false };
    let probe = lenient::read(input, &mut Oddities::default()).map_err(|_| error);
    Some(probe.map(|probe| (probe, values.byte_offset())))
}

/// What stands after the last line break.
fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or_default()
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// What stands before the next JSON value: white space, marks of byte order where files were concatenated, and
/// between documents the separators of YAML, of which JSON is a part.
fn gap(text: &str, is_between: bool) -> &str {
    let mut rest = text;
    loop {
        let next = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let is_line = text.len() > next.len()
            && text.get(..text.len() - next.len()).is_some_and(|t| t.ends_with('\n'));
        let after = next
            .strip_prefix("---")
            .filter(|after| after.is_empty() || after.starts_with(char::is_whitespace));
        match after.filter(|_| is_between && is_line) {
            Some(after) => rest = after,
            None => return text.get(..text.len() - next.len()).unwrap_or_default(),
        }
    }
}

fn has_yaml_content(piece: &str) -> bool {
    piece
        .trim_start_matches("---")
        .lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#') && line != "..." && line != "---")
}

/// `serde_json` appends the place to its text; we print it ourselves, from the start of the file.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    shown(text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason), MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn split(text: &str) -> Vec<Document<'_>> {
        Document::split(text, "").unwrap()
    }

    #[test]
    fn utf16_with_a_mark_and_utf8_with_a_mark_are_read() {
        let utf16: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain("{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(decode(&utf16).unwrap(), "{\"a\":1}");
        assert_eq!(decode(b"\xEF\xBB\xBF{}").unwrap(), "{}");
    }

    #[test]
    fn bad_bytes_are_named_by_their_offset() {
        let error = decode(b"{\"a\":\"\xFF\"}").unwrap_err();
        assert_eq!(error, ReadError::Encoding { offset: 6, encoding: "UTF-8" });
        assert_eq!(decode(b" \n ").unwrap_err(), ReadError::Empty);
    }

    #[test]
    fn concatenated_json_is_split_and_counted() {
        let documents = split("{\"a\":1}\n\n{\"a\":2}\n");
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].place(), "document 2 at line 3");
        assert_eq!(&*documents[1].locator("/a"), "1#/a");
    }

    #[test]
    fn json_may_be_a_stream_of_yaml_or_of_files_with_marks() {
        for text in [
            "{\"a\":1}\n---\n{\"a\":2}\n",
            "{\"a\":1}\n\n\u{feff}{\"a\":2}\n",
            "{\"a\":1}\n--- \n[2]\n---\n",
        ] {
            let documents = split(text);
            assert_eq!(documents.len(), 2, "{text}");
            assert_eq!(documents[1].place(), "document 2 at line 3", "{text}");
        }
        for (text, place) in [
            ("{\"a\":1}\nI1125 done\n", "line 2: text follows the report: `I1125 done`"),
            ("{\"a\":1}\n---\nkind: x\n", "line 3: text follows the report: `kind: x`"),
            ("{\"a\":1}\n\n {\"b\" 1}", "line 3, column 7: expected `:`"),
        ] {
            let error = Document::split(text, "").unwrap_err().to_string();
            assert_eq!(error, place);
        }
    }

    #[test]
    fn cut_off_json_names_its_place() {
        let error = Document::split("{\"a\":\n[1,2", "").unwrap_err();
        assert!(error.to_string().starts_with("line 2, column 4: EOF"), "{error}");
    }

    #[test]
    fn yaml_documents_keep_their_lines() {
        let documents = split("# only a comment\n---\na: 1\n---\nb: 2\n");
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].place(), "document 2 at line 4");
        assert!(documents[0].read::<BTreeMap<String, i32>>().is_ok());
        let error = Document::split("---\na: 1\n---\nb: [\n", "").unwrap_err();
        assert!(matches!(error, ReadError::Malformed { .. }), "{error}");
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        // Without defaults, so that nothing can be left out.
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[expect(dead_code, reason = "only its path in the error matters")]
            items: Vec<Inner>,
        }
        #[derive(Debug, Deserialize)]
        struct Inner {
            #[expect(dead_code, reason = "only its path in the error matters")]
            name: String,
        }
        let documents = split("{\"items\":[{\"name\":\"a\"},{\"name\":[]}]}");
        let error = documents[0].read::<Outer>().unwrap_err();
        assert!(error.to_string().contains("/items/1: missing field `name`"), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(Document::split(&deep, "").is_err());
    }
}
