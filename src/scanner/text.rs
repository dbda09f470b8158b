//! Text as scanners write it: borrowed where possible, `null` where Go has an empty value, colour
//! codes where a terminal was meant to read it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string of the input; `null` counts as empty. Borrows unless the text holds escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text<'a>(Cow<'a, str>);

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

/// A field that is a string in the kind a reader wants and something else in other kinds of a
/// mixed list (`status`); what is no string counts as empty.
#[derive(Clone, Debug, Default)]
pub(super) struct TextIfAny(pub(super) String);

impl<'de> Deserialize<'de> for TextIfAny {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextIfAnyVisitor)
    }
}

struct TextIfAnyVisitor;

impl<'de> Visitor<'de> for TextIfAnyVisitor {
    type Value = TextIfAny;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, value: &str) -> Result<TextIfAny, E> {
        Ok(TextIfAny(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<TextIfAny, E> {
        Ok(TextIfAny::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<TextIfAny, E> {
        Ok(TextIfAny::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<TextIfAny, E> {
        Ok(TextIfAny::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<TextIfAny, E> {
        Ok(TextIfAny::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<TextIfAny, E> {
        Ok(TextIfAny::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextIfAny, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(TextIfAny::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextIfAny, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(TextIfAny::default())
    }
}

/// The counterpart of [`TextIfAny`]: an object in the wanted kind, a string in others.
#[derive(Clone, Debug)]
pub(super) struct MapIfAny<T>(pub(super) Option<T>);

impl<T> Default for MapIfAny<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for MapIfAny<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MapIfAnyVisitor(std::marker::PhantomData))
    }
}

struct MapIfAnyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MapIfAnyVisitor<T> {
    type Value = MapIfAny<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MapIfAny<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            .map(|value| MapIfAny(Some(value)))
    }

    fn visit_str<E>(self, _: &str) -> Result<MapIfAny<T>, E> {
        Ok(MapIfAny(None))
    }

    fn visit_unit<E>(self) -> Result<MapIfAny<T>, E> {
        Ok(MapIfAny(None))
    }

    fn visit_none<E>(self) -> Result<MapIfAny<T>, E> {
        Ok(MapIfAny(None))
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

/// The earliest instant that a time without a zone can mean (UTC+14 is the foremost zone): of two
/// readings, the one that makes the evidence older. With a zone, that instant.
pub(super) fn earliest_instant(text: &str) -> Option<jiff::Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return stated_time(Some(at));
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    let foremost = jiff::tz::Offset::from_hours(14).ok()?;
    stated_time(foremost.to_timestamp(local).ok())
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
