//! Text as scanners write it: borrowed where possible, `null` where Go has an empty value, colour
//! codes where a terminal was meant to read it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A string of the input; `null` counts as empty. Borrows unless the text holds escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(super) fn owned(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(value)))
    }
}

impl<'a> Text<'a> {
    pub(super) fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

/// Name of [`Raw`] as a newtype, by which a deserializer knows it.
pub(super) const RAW: &str = "affidavit::Raw";
/// Name of [`Word`] as a newtype.
pub(super) const WORD: &str = "affidavit::Word";

/// A value as it is written, JSON; only for [`lenient`](super::lenient).
pub(super) struct Raw<'a>(pub(super) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Raw<'de>, E> {
                Ok(Raw(value))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, RawVisitor)
    }
}

/// A word that decides, where a reader takes its absence for an answer: what is left out is not absent
/// but the words for its shape, which no reader knows (`an object`).
#[derive(Clone, Debug, Default)]
pub(super) struct Word<'a>(Text<'a>);

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Word<'de>, D::Error> {
                Text::deserialize(deserializer).map(Word)
            }

            fn visit_borrowed_str<E>(self, shape: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Text(Cow::Borrowed(shape))))
            }
        }
        deserializer.deserialize_newtype_struct(WORD, WordVisitor)
    }
}

/// Written as text by some programs and as a number by others.
#[derive(Clone, Debug, Default)]
pub(super) struct Scalar<'a>(Cow<'a, str>);

impl Deref for Scalar<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::default())
            }

            fn visit_none<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::default())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(value.to_string().into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(value.to_string().into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(value.to_string().into()))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(value.to_owned().into()))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A scanner's sentence without colour codes and other control characters, and without white space
/// at its ends. Line breaks and tabs inside stay.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let unwanted = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(unwanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // ECMA-48 control sequence: parameters, then one final byte from @ to ~.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\u{1b}' if chars.next_if_eq(&']').is_some() => {
                while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {}
                chars.next_if_eq(&'\\');
            }
            c if unwanted(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out.trim().to_owned())
}

/// A piece of the input as an error may repeat it: short, and nothing that a terminal would obey.
pub(super) fn shown(text: &str, most: usize) -> String {
    let mut out: String =
        text.chars().take(most).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// The CIS benchmarks' recommendation titles end like this, and their wording is licensed: what
/// ends so is not taken into findings, whichever scanner copied it.
pub(super) fn is_benchmark_title(text: &str) -> bool {
    ["(Automated)", "(Manual)", "(Scored)", "(Not Scored)"]
        .iter()
        .any(|mark| text.trim_end().ends_with(mark))
}

/// Titles of checks that copy a benchmark's recommendation word for word begin as those do, whoever
/// repeats them. Such a title stays in the input, whatever its ending.
fn copies_benchmark(text: &str) -> bool {
    let text = text.trim();
    is_benchmark_title(text) || text.starts_with("Ensure ") || text.starts_with("Minimize ")
}

/// A scanner's own words about a check, cleaned; nothing where they are a benchmark's.
pub(super) fn own_words(text: &str) -> String {
    if copies_benchmark(text) { String::new() } else { clean(text).into_owned() }
}

/// What a text says of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instant {
    /// With a zone.
    Exact(jiff::Timestamp),
    /// Without one: the earliest that it can mean.
    Earliest(jiff::Timestamp),
    /// As whole seconds since 1970.
    Seconds(jiff::Timestamp),
    /// Nothing stands there.
    None,
    /// No time.
    Unknown,
}

/// Reads a time. Without a zone it is the earliest instant that it can mean (UTC+14 is the foremost
/// zone): of two readings, the one that makes the evidence older.
pub(super) fn instant(text: &str) -> Instant {
    let text = text.trim();
    if text.is_empty() {
        return Instant::None;
    }
    if let Ok(at) = text.parse() {
        return Instant::Exact(at);
    }
    let local = text.parse().ok().and_then(|local: jiff::civil::DateTime| {
        jiff::tz::Offset::from_hours(14).ok()?.to_timestamp(local).ok()
    });
    let seconds =
        || text.parse().ok().and_then(|n: u32| jiff::Timestamp::from_second(n.into()).ok());
    match local {
        Some(at) => Instant::Earliest(at),
        // From 1973 on: a smaller number is none of these.
        None if text.len() >= 9 => seconds().map_or(Instant::Unknown, Instant::Seconds),
        None => Instant::Unknown,
    }
}

/// The instant that a time means, if it means one; see [`instant`].
pub(super) fn earliest_instant(text: &str) -> Option<jiff::Timestamp> {
    match instant(text) {
        Instant::Exact(at) | Instant::Earliest(at) | Instant::Seconds(at) => stated_time(Some(at)),
        Instant::None | Instant::Unknown => None,
    }
}

/// Go writes its zero time where there is none.
pub(super) fn stated_time(at: Option<jiff::Timestamp>) -> Option<jiff::Timestamp> {
    at.filter(|at| at.as_second() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_borrows_and_null_is_empty() {
        let list: Vec<Text<'_>> =
            serde_json::from_str(r#"["plain", null, "es\u0063aped"]"#).unwrap();
        assert!(matches!(&list[0].0, Cow::Borrowed("plain")));
        assert_eq!(&*list[1], "");
        assert_eq!(&*list[2], "escaped");
        assert!(serde_json::from_str::<Text<'_>>("7").is_err());
    }

    #[test]
    fn yaml_scalars_are_text() {
        let list: Vec<Text<'_>> =
            serde_saphyr::from_str("- 1.10\n- null\n- 'x'\n- true\n").unwrap();
        let list: Vec<&str> = list.iter().map(|text| &**text).collect();
        assert_eq!(list, ["1.10", "", "x", "true"]);
    }

    #[test]
    fn colour_codes_go() {
        assert_eq!(clean("\u{1b}[38;5;33mname\u{1b}[0m: nginx\r\n"), "name: nginx");
        assert_eq!(clean("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7}"), "link");
        assert_eq!(clean(" a\nb "), "a\nb");
        assert_eq!(clean("cut \u{1b}[3"), "cut");
    }

    #[test]
    fn a_time_without_a_zone_is_as_old_as_it_can_be() {
        let at = |text| earliest_instant(text).map(|at| at.to_string());
        assert_eq!(at("2026-01-02T14:00:00").unwrap(), "2026-01-02T00:00:00Z");
        assert_eq!(at("2026-01-02T14:00:00+02:00").unwrap(), "2026-01-02T12:00:00Z");
        assert_eq!(at("2026-01-02T14:00:00.5Z").unwrap(), "2026-01-02T14:00:00.5Z");
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn zero_times_are_none() {
        assert_eq!(stated_time("0001-01-01T00:00:00Z".parse().ok()), None);
        assert!(stated_time("2026-01-01T00:00:00Z".parse().ok()).is_some());
    }
}
