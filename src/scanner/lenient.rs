//! Fields of another shape than their reader expects: read where they have one plain meaning, left out
//! and named where they have none. One rule for every reader.
//!
//! | written | wanted | read as |
//! | --- | --- | --- |
//! | `null` | anything | absent |
//! | a number, a boolean | text | what is written: `1.10` is `1.10` |
//! | `"true"`, in any case | a boolean | that boolean |
//! | `"3"`, `3.0` | a whole number | 3 |
//! | `"3.5"` | a number | 3.5 |
//! | anything else | | left out, which weakens the evidence; an element of a list becomes an empty one |
//!
//! This costs a pass over the text for every field that is left out, so a document is read this way only
//! after it could not be read as it should be. Values borrow from the text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::text::{RAW, Text, WORD, shown};
use crate::finding::Parsed;

/// Fields of one document that may be left out before it is refused.
const MAX_LEFT_OUT: usize = 64;
/// Levels of nesting, as `serde_json` limits them.
const MAX_DEPTH: usize = 128;
/// Characters of a path in a note.
const MAX_SHOWN: usize = 200;

/// What was odd about an input, by field.
#[derive(Clone, Debug, Default)]
pub struct Oddities(BTreeMap<(String, String), Odd>);

#[derive(Clone, Debug)]
struct Odd {
    count: usize,
    first: String,
    weakens: bool,
}

impl Oddities {
    /// Notes a value of `field` (a JSON pointer with `*` for indices and keys of maps) that stands at
    /// `locator`.
    pub(super) fn add(&mut self, field: &str, says: String, locator: String, weakens: bool) {
        let new = Odd { count: 0, first: locator, weakens };
        self.0.entry((field.to_owned(), says)).or_insert(new).count += 1;
    }

    /// Adds what is odd about another part of the same input.
    fn absorb(&mut self, other: Self) {
        for (key, odd) in other.0 {
            let count = odd.count;
            self.0.entry(key).or_insert(Odd { count: 0, ..odd }).count += count;
        }
    }

    /// Takes in what another reader says of the same document: nothing counts twice.
    pub(super) fn unite(&mut self, other: Self) {
        for (key, odd) in other.0 {
            let count = odd.count;
            let known = self.0.entry(key).or_insert(odd);
            known.count = known.count.max(count);
        }
    }

    /// Says all of it, once for every field.
    pub(super) fn tell(self, parsed: &mut Parsed) {
        for ((field, says), odd) in self.0 {
            let values = if odd.count == 1 { "value" } else { "values" };
            let field = shown(&field, MAX_SHOWN);
            let text = format!("`{field}`: {says} ({} {values})", odd.count);
            if odd.weakens {
                parsed.shortfall(odd.first, text);
            } else {
                parsed.note(odd.first, text);
            }
        }
    }
}

/// A text to read, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Input<'t, 'de> {
    /// JSON.
    pub text: &'de str,
    /// Locator of the value.
    pub locator: &'t str,
    /// The same with `*` for what varies.
    pub field: &'t str,
    /// Was it converted from YAML, where `1.10` without quotes is text where text is wanted?
    pub is_yaml: bool,
}

/// Why a text could not be read either.
#[derive(Debug)]
pub(super) struct Refused<'de> {
    /// Locator of the value.
    pub locator: String,
    /// The value, a piece of the text, unless it is all of it.
    pub value: Option<&'de str>,
    /// What is wrong with it.
    pub reason: String,
    /// Is the text no JSON at all?
    pub is_syntax: bool,
}

/// Reads a text by the rule of this module.
///
/// # Errors
/// [`Refused`] when a field is odd that the reader cannot do without, or too many are.
pub(super) fn read<'de, T: Deserialize<'de>>(
    input: Input<'_, 'de>,
    oddities: &mut Oddities,
) -> Result<T, Refused<'de>> {
    let mut left_out: Vec<LeftOut> = Vec::new();
    loop {
        let state = State { input, left_out, found: RefCell::default() };
        let top = Lenient {
            raw: input.text.trim(),
            path: Path { parent: None, step: Step::Top, depth: 0 },
            state: &state,
        };
        let error = match T::deserialize(top) {
            Ok(value) => {
                oddities.absorb(state.found.into_inner());
                return Ok(value);
            }
            Err(error) => error,
        };
        left_out = state.left_out;
        let place = error.place;
        let value = place.as_ref().map(|place| place.raw);
        let locator = place.as_ref().map_or(input.locator, |place| &place.locator).to_owned();
        let refused = |reason, is_syntax| Refused { locator, value, reason, is_syntax };
        let (reason, want) = match error.fault {
            Fault::Refused(reason) => return Err(refused(reason, false)),
            Fault::Syntax(reason) => return Err(refused(reason, true)),
            Fault::Unfit(want) => {
                let shape = Shape::of(value.unwrap_or(input.text.trim()));
                (format!("{} where {} is expected", shape.one(), want.name()), want)
            }
            Fault::Odd(reason) => {
                let raw = value.unwrap_or_default().to_owned();
                (reason.clone(), Want::Another { raw, reason })
            }
        };
        let Some(place) = place.filter(|_| left_out.len() < MAX_LEFT_OUT) else {
            return Err(refused(reason, false));
        };
        let new = LeftOut { field: place.field, want };
        if left_out.contains(&new) {
            return Err(refused(reason, false));
        }
        left_out.push(new);
    }
}

/// What a reader asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    Text,
    Boolean,
    Count,
    Integer,
    Number,
    List,
    Object,
    /// Anything but this, which it does not take.
    Another {
        raw: String,
        reason: String,
    },
}

impl Want {
    fn name(&self) -> &str {
        match self {
            Self::Text => "text",
            Self::Boolean => "a boolean",
            Self::Count => "a count",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Another { reason, .. } => reason,
        }
    }

    fn fits(&self, raw: &str) -> bool {
        let shape = Shape::of(raw);
        match self {
            Self::Text => matches!(shape, Shape::Text | Shape::Number | Shape::Boolean),
            Self::Boolean => boolean(raw).is_some(),
            Self::Count => integer(raw).is_some_and(|number| u64::try_from(number).is_ok()),
            Self::Integer => integer(raw).is_some_and(|number| i64::try_from(number).is_ok()),
            Self::Number => number(raw).is_some(),
            Self::List => shape == Shape::List,
            Self::Object => shape == Shape::Object,
            // Of lists and objects one is as good as another, and no two are alike.
            Self::Another { raw: refused, .. } => match shape {
                Shape::List | Shape::Object => shape != Shape::of(refused),
                _ => raw != refused,
            },
        }
    }

    /// What stands in for an element of a list that is left out, so that the others keep their places.
    fn nothing(&self) -> &'static str {
        match self {
            Self::Text => "\"\"",
            Self::List => "[]",
            Self::Object => "{}",
            _ => "null",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    field: String,
    want: Want,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl Shape {
    fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::Text,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            _ => Self::Number,
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Null => "`null`",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// The content of a string.
fn content(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

/// A scalar's characters, without quotes.
fn characters(raw: &str) -> Option<Cow<'_, str>> {
    match Shape::of(raw) {
        Shape::Text => content(raw).map(|text| Cow::Owned(text.trim().to_owned())),
        Shape::Number => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

fn boolean(raw: &str) -> Option<bool> {
    match Shape::of(raw) {
        Shape::Boolean => Some(raw == "true"),
        Shape::Text => {
            let text = content(raw)?;
            let text = text.trim();
            let is = |word: &str| text.eq_ignore_ascii_case(word);
            (is("true") || is("false")).then(|| is("true"))
        }
        _ => None,
    }
}

fn number(raw: &str) -> Option<f64> {
    let text = characters(raw)?;
    let is_number =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
}

fn integer(raw: &str) -> Option<i128> {
    /// Above this, a float does not hold every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(whole) = characters(raw)?.parse() {
        return Some(whole);
    }
    let float = number(raw).filter(|float| float.fract() == 0.0 && float.abs() < EXACT)?;
    format!("{float:.0}").parse().ok()
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Top,
    Field(&'p str),
    /// Of a map, whose keys vary.
    Key(&'p str),
    Index(usize),
}

impl Path<'_> {
    fn write(&self, top: &str, is_field: bool) -> String {
        let mut path = self.parent.map_or_else(String::new, |parent| parent.write(top, is_field));
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match self.step {
            Step::Top => path.push_str(top),
            Step::Key(_) | Step::Index(_) if is_field => path.push_str("/*"),
            Step::Field(key) | Step::Key(key) => {
                path.push('/');
                path.push_str(&escaped(key));
            }
            Step::Index(index) => {
                path.push('/');
                path.push_str(&index.to_string());
            }
        }
        path
    }
}

struct State<'t, 'de> {
    input: Input<'t, 'de>,
    left_out: Vec<LeftOut>,
    found: RefCell<Oddities>,
}

impl State<'_, '_> {
    fn field(&self, path: &Path<'_>) -> String {
        path.write(self.input.field, true)
    }

    fn note(&self, path: &Path<'_>, says: String, weakens: bool) {
        let locator = path.write(self.input.locator, false);
        self.found.borrow_mut().add(&self.field(path), says, locator, weakens);
    }

    fn note_left_out(&self, path: &Path<'_>, raw: &str, want: &Want) {
        let shape = Shape::of(raw);
        if shape == Shape::Null {
            self.note(path, "`null`, read as absent".to_owned(), false);
            return;
        }
        let says = match want {
            Want::Another { reason, .. } => format!("left out ({})", shown(reason, MAX_SHOWN)),
            _ if shape == Shape::Number => {
                format!("left out: a number that is not {}", want.name())
            }
            _ => format!("left out: {} where {} is expected", shape.one(), want.name()),
        };
        self.note(path, says, true);
    }
}

#[derive(Debug)]
enum Fault {
    /// The value has no meaning where this is wanted.
    Unfit(Want),
    /// The reader does not take this value.
    Odd(String),
    /// What leaving out does not help against.
    Refused(String),
    Syntax(String),
}

#[derive(Debug)]
struct Place<'de> {
    locator: String,
    field: String,
    raw: &'de str,
}

#[derive(Debug)]
struct Error<'de> {
    fault: Fault,
    place: Option<Place<'de>>,
}

impl From<Fault> for Error<'_> {
    fn from(fault: Fault) -> Self {
        Self { fault, place: None }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Unfit(want) => f.write_str(want.name()),
            Fault::Odd(text) | Fault::Refused(text) | Fault::Syntax(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error<'_> {}

impl de::Error for Error<'_> {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Fault::Odd(text.to_string()).into()
    }

    fn duplicate_field(field: &'static str) -> Self {
        Fault::Refused(format!("duplicate field `{field}`")).into()
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::Refused(format!("missing field `{field}`")).into()
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Fault::Refused(format!("unknown field `{}`", shown(field, MAX_SHOWN))).into()
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Odd(format!("{found} where {expected} is expected")).into()
    }
}

/// A value that is still text.
struct Lenient<'p, 'de> {
    raw: &'de str,
    path: Path<'p>,
    state: &'p State<'p, 'de>,
}

impl<'p, 'de> Lenient<'p, 'de> {
    fn unfit<T>(want: Want) -> Result<T, Error<'de>> {
        Err(Fault::Unfit(want).into())
    }

    fn note(&self, read_as: &str) {
        // Without quotes, YAML writes every scalar alike.
        if self.state.input.is_yaml && read_as == "text" {
            return;
        }
        let shape = Shape::of(self.raw).one();
        self.state.note(&self.path, format!("{shape}, read as {read_as}"), false);
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        match Shape::of(self.raw) {
            Shape::Text => match content(self.raw) {
                Some(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
                Some(Cow::Owned(text)) => visitor.visit_string(text),
                None => Err(Fault::Odd("text with an escape that means nothing".to_owned()).into()),
            },
            Shape::Number | Shape::Boolean => {
                self.note("text");
                visitor.visit_borrowed_str(self.raw)
            }
            _ => Self::unfit(Want::Text),
        }
    }

    fn whole<V: Visitor<'de>>(self, visitor: V, want: Want) -> Result<V::Value, Error<'de>> {
        let Some(number) = integer(self.raw).filter(|_| want.fits(self.raw)) else {
            return Self::unfit(want);
        };
        if self.raw.parse::<i128>().is_err() {
            self.note("an integer");
        }
        match (u64::try_from(number), i64::try_from(number)) {
            (Ok(count), _) => visitor.visit_u64(count),
            (_, Ok(integer)) => visitor.visit_i64(integer),
            _ => Self::unfit(want),
        }
    }

    fn float<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        let Some(number) = number(self.raw) else { return Self::unfit(Want::Number) };
        if Shape::of(self.raw) == Shape::Text {
            self.note("a number");
        }
        visitor.visit_f64(number)
    }

    /// The fields left out of this list or object: their last step, and what was wanted.
    fn left_out(&self) -> Vec<(&'p str, &'p Want)> {
        if self.state.left_out.is_empty() {
            return Vec::new();
        }
        let here = self.state.field(&self.path);
        let last_step = |field: &'p str| {
            let rest = field.strip_prefix(&*here)?.strip_prefix('/')?;
            (!rest.contains('/')).then_some(rest)
        };
        let left_out = self.state.left_out.iter();
        left_out.filter_map(|out| Some((last_step(&out.field)?, &out.want))).collect()
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        if Shape::of(self.raw) != Shape::List {
            return Self::unfit(Want::List);
        }
        let values: Vec<&'de RawValue> = parse(self.raw)?;
        let left_out = self.left_out();
        visitor.visit_seq(List { of: self, values: values.into_iter(), index: 0, left_out })
    }

    fn object<V: Visitor<'de>>(self, visitor: V, has_fields: bool) -> Result<V::Value, Error<'de>> {
        if Shape::of(self.raw) != Shape::Object {
            return Self::unfit(Want::Object);
        }
        let Entries(entries) = parse(self.raw)?;
        let left_out = self.left_out();
        let entries = entries.into_iter();
        visitor.visit_map(Object { of: self, entries, value: None, left_out, has_fields })
    }

    /// Reads a value inside of this one.
    fn child<S: DeserializeSeed<'de>>(
        &self,
        step: Step<'_>,
        raw: &'de str,
        seed: S,
    ) -> Result<S::Value, Error<'de>> {
        let path = Path { parent: Some(&self.path), step, depth: self.path.depth + 1 };
        if path.depth > MAX_DEPTH {
            let reason = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Fault::Refused(reason).into());
        }
        let state = self.state;
        seed.deserialize(Lenient { raw, path, state }).map_err(|error| {
            let place = error.place.unwrap_or_else(|| Place {
                locator: path.write(state.input.locator, false),
                field: state.field(&path),
                raw,
            });
            Error { place: Some(place), ..error }
        })
    }
}

fn parse<'de, T: Deserialize<'de>>(raw: &'de str) -> Result<T, Error<'de>> {
    serde_json::from_str(raw).map_err(|error| Fault::Syntax(error.to_string()).into())
}

struct List<'p, 'de> {
    of: Lenient<'p, 'de>,
    values: std::vec::IntoIter<&'de RawValue>,
    index: usize,
    left_out: Vec<(&'p str, &'p Want)>,
}

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = Error<'de>;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error<'de>> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        let mut raw = value.get();
        if let Some((_, want)) = self.left_out.iter().rfind(|(_, want)| !want.fits(raw)) {
            let path = Path { parent: Some(&self.of.path), step, depth: 0 };
            self.of.state.note_left_out(&path, raw, want);
            raw = want.nothing();
        }
        self.of.child(step, raw, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

/// The entries of an object, in order; a key may stand there twice.
struct Entries<'de>(Vec<(Cow<'de, str>, &'de RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfEntries;
        impl<'de> Visitor<'de> for OfEntries {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    entries.push((key.into_cow(), value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(OfEntries)
    }
}

struct Object<'p, 'de> {
    of: Lenient<'p, 'de>,
    entries: std::vec::IntoIter<(Cow<'de, str>, &'de RawValue)>,
    value: Option<(Cow<'de, str>, &'de str)>,
    left_out: Vec<(&'p str, &'p Want)>,
    /// Are the keys names that the reader knows, or do they vary?
    has_fields: bool,
}

impl Object<'_, '_> {
    fn step<'k>(&self, key: &'k str) -> Step<'k> {
        if self.has_fields { Step::Field(key) } else { Step::Key(key) }
    }
}

impl<'de> MapAccess<'de> for Object<'_, 'de> {
    type Error = Error<'de>;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error<'de>> {
        while let Some((key, value)) = self.entries.next() {
            let mut raw = value.get();
            let name = if self.has_fields {
                key.replace('~', "~0").replace('/', "~1")
            } else {
                "*".to_owned()
            };
            let unfit = self.left_out.iter().rfind(|(out, want)| *out == name && !want.fits(raw));
            if let Some((_, want)) = unfit {
                let path = Path { parent: Some(&self.of.path), step: self.step(&key), depth: 0 };
                self.of.state.note_left_out(&path, raw, want);
                if self.has_fields {
                    continue;
                }
                raw = want.nothing();
            }
            let read = match &key {
                Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key.clone())),
            };
            self.value = Some((key, raw));
            return read.map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, Error<'de>> {
        let Some((key, raw)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        self.of.child(self.step(&key), raw, seed)
    }
}

macro_rules! ask {
    ($($ask:ident => $how:ident($($want:expr)?);)*) => {
        $(fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
            self.$how(visitor $(, $want)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Lenient<'_, 'de> {
    type Error = Error<'de>;

    ask! {
        deserialize_i8 => whole(Want::Integer);
        deserialize_i16 => whole(Want::Integer);
        deserialize_i32 => whole(Want::Integer);
        deserialize_i64 => whole(Want::Integer);
        deserialize_u8 => whole(Want::Count);
        deserialize_u16 => whole(Want::Count);
        deserialize_u32 => whole(Want::Count);
        deserialize_u64 => whole(Want::Count);
        deserialize_f32 => float();
        deserialize_f64 => float();
        deserialize_char => text();
        deserialize_str => text();
        deserialize_string => text();
        deserialize_bytes => text();
        deserialize_byte_buf => text();
        deserialize_identifier => text();
        deserialize_seq => list();
        deserialize_map => object(false);
    }

    /// What a reader takes in any shape: it knows what it wants.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        match Shape::of(self.raw) {
            Shape::Null => visitor.visit_unit(),
            Shape::Boolean => visitor.visit_bool(self.raw == "true"),
            Shape::Text => self.text(visitor),
            Shape::List => self.list(visitor),
            Shape::Object => self.object(visitor, true),
            Shape::Number => match (self.raw.parse(), self.raw.parse(), number(self.raw)) {
                (Ok(count), _, _) => visitor.visit_u64(count),
                (_, Ok(integer), _) => visitor.visit_i64(integer),
                (_, _, Some(float)) => visitor.visit_f64(float),
                _ => visitor.visit_borrowed_str(self.raw),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        let Some(value) = boolean(self.raw) else { return Self::unfit(Want::Boolean) };
        if Shape::of(self.raw) == Shape::Text {
            self.note("a boolean");
        }
        visitor.visit_bool(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        match Shape::of(self.raw) {
            Shape::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        match (name, Shape::of(self.raw)) {
            (RAW, _) => visitor.visit_borrowed_str(self.raw),
            // Where a reader must tell what is left out from what is absent.
            (WORD, shape @ (Shape::List | Shape::Object)) => {
                self.state.note_left_out(&self.path, self.raw, &Want::Text);
                visitor.visit_borrowed_str(shape.one())
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        self.object(visitor, true)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error<'de>> {
        match content(self.raw) {
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => Self::unfit(Want::Text),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error<'de>> {
        visitor.visit_unit()
    }
}
