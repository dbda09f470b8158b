//! Canonical JSON (RFC 8785, JCS), restricted to integers: no rounding can enter evidence.
//!
//! Producers write through [`to_vec`]; verifiers check with [`check`] that what was signed is what
//! any other reader of JSON would read: one spelling, no duplicate key.

use std::cmp::Ordering;
use std::fmt;

use memchr::memchr2;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Largest integer that every JSON reader keeps exactly: 2^53 - 1 (RFC 7493 section 2.2).
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Why bytes are not canonical JSON of this format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Not JSON at all, or with a number that is no safe integer.
    #[error("not JSON of this format: {0}")]
    Malformed(String),
    /// One object has a key twice.
    #[error("key `{0}` stands twice in one object")]
    DuplicateKey(String),
    /// The same value has another, canonical spelling.
    #[error("not in canonical form (RFC 8785)")]
    NotCanonical,
}

#[derive(Debug)]
enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Writes a value in canonical form.
///
/// # Errors
/// [`CanonicalError::Malformed`] when the value has a float, an unsafe integer, or keys that are
/// not strings.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let text =
        serde_json::to_vec(value).map_err(|error| CanonicalError::Malformed(error.to_string()))?;
    let json = parse(&text)?;
    let mut out = Vec::with_capacity(text.len());
    write(json, &mut out);
    Ok(out)
}

/// Checks that `bytes` are one canonical JSON value.
///
/// # Errors
/// [`CanonicalError`] says which rule is broken.
pub fn check(bytes: &[u8]) -> Result<(), CanonicalError> {
    let is_canonical = || {
        let mut walk = Walk::over(bytes)?;
        walk.value(MAX_DEPTH)?;
        walk.rest.is_empty().then_some(())
    };
    match is_canonical() {
        Some(()) => Ok(()),
        None => check_by_writing(bytes),
    }
}

/// Calls `each` with key and value, as they are spelt, of every member of a canonical object. When
/// this is `None`, the bytes are something else, or of a spelling so rare that only [`check`] knows.
pub(super) fn members<'a>(bytes: &'a [u8], each: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut walk = Walk::over(bytes)?;
    walk.object(MAX_DEPTH, each)?;
    walk.rest.is_empty().then_some(())
}

/// The definition: canonical is what is written again as it stands.
fn check_by_writing(bytes: &[u8]) -> Result<(), CanonicalError> {
    let mut out = Vec::with_capacity(bytes.len());
    write(parse(bytes)?, &mut out);
    if out == bytes { Ok(()) } else { Err(CanonicalError::NotCanonical) }
}

/// Reads a field that may be `null` but must be there: by default serde lets an absent one pass, and
/// a second spelling with it.
///
/// # Errors
/// Those of `T`.
pub fn or_null<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer)
}

/// Deeper values are left to [`check_by_writing`].
const MAX_DEPTH: usize = 64;

/// One pass over canonical JSON, without a copy. `None` says: not canonical, or too rare to be judged
/// here. What it accepts, [`check_by_writing`] accepts too (a test compares them).
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn over(bytes: &'a [u8]) -> Option<Self> {
        // Control characters stand nowhere in canonical JSON, not even between values.
        let lowest = bytes.iter().fold(u8::MAX, |lowest, byte| lowest.min(*byte));
        let is_text = lowest >= 0x20 && std::str::from_utf8(bytes).is_ok();
        is_text.then_some(Self { rest: bytes })
    }

    fn eat(&mut self, token: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(depth, |_, _| ()),
            b'[' => self.array(depth),
            b't' => self.eat(b"true"),
            b'f' => self.eat(b"false"),
            b'n' => self.eat(b"null"),
            _ => self.integer(),
        }
    }

    /// What stands between the quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.eat(b"\"")?;
        let mut end = 0;
        loop {
            let rest = self.rest.get(end..)?;
            let plain = memchr2(b'"', b'\\', rest)?;
            end += plain;
            match rest.get(plain..)? {
                [b'"', after @ ..] => {
                    let text = self.rest.get(..end)?;
                    self.rest = after;
                    return Some(text);
                }
                // RFC 8785 section 3.2.2.2.
                [_, b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => end += 2,
                [_, b'u', b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f', ..]
                | [_, b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => end += 6,
                _ => return None,
            }
        }
    }

    fn integer(&mut self) -> Option<()> {
        let digits = self.rest.strip_prefix(b"-").unwrap_or(self.rest);
        let is_negative = digits.len() < self.rest.len();
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = digits.split_at_checked(count)?;
        let is_spelt_well = match digits {
            [] => false,
            [b'0', more @ ..] => more.is_empty() && !is_negative,
            _ => count <= 16,
        };
        let value = digits.iter().fold(0, |value: i64, digit| {
            value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'))
        });
        self.rest = rest;
        (is_spelt_well && value <= MAX_INTEGER).then_some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.eat(b"[")?;
        if self.eat(b"]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.eat(b",").is_none() {
                return self.eat(b"]");
            }
        }
    }

    fn object(&mut self, depth: usize, mut each: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.eat(b"{")?;
        if self.eat(b"}").is_some() {
            return Some(());
        }
        let mut last: Option<&[u8]> = None;
        loop {
            let key = self.string()?;
            // Without escapes and below U+E000, UTF-8 sorts as UTF-16 does.
            if key.iter().any(|byte| *byte == b'\\' || *byte >= 0xEE)
                || last.is_some_and(|last| last >= key)
            {
                return None;
            }
            last = Some(key);
            self.eat(b":")?;
            let start = self.rest;
            self.value(depth)?;
            each(key, start.get(..start.len() - self.rest.len())?);
            if self.eat(b",").is_none() {
                return self.eat(b"}");
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Json, CanonicalError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix(DUPLICATE).and_then(|rest| rest.rsplit_once(" at line ")) {
            Some((key, _)) => CanonicalError::DuplicateKey(key.to_owned()),
            None => CanonicalError::Malformed(text),
        }
    })
}

const DUPLICATE: &str = "duplicate key: ";

fn write(json: Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Json::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Json::Text(text) => write_text(&text, out),
        Json::Array(values) => {
            out.push(b'[');
            for (index, value) in values.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(value, out);
            }
            out.push(b']');
        }
        Json::Object(mut entries) => {
            entries.sort_by(|(left, _), (right, _)| by_utf16(left, right));
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(&key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// RFC 8785 section 3.2.2.2; `serde_json` escapes exactly the same characters in the same way.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// RFC 8785 section 3.2.3: by UTF-16 code units.
fn by_utf16(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with integers between -(2^53-1) and 2^53-1")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Json, E> {
        if value.abs() <= MAX_INTEGER {
            Ok(Json::Integer(value))
        } else {
            Err(E::custom("an integer beyond 2^53-1"))
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value)
            .map_err(|_| E::custom("an integer beyond 2^53-1"))
            .and_then(|value| self.visit_i64(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("{DUPLICATE}{key}")));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_by_utf16_and_space_is_gone() {
        // U+1F600 is the surrogate pair D83D DE00, which sorts before U+FB33.
        let text = "{ \"\u{fb33}\": 1, \"\u{1f600}\": [ true, null ], \"a\": \"\\u20ac\\/\" }";
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let canonical = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        assert_eq!(canonical, "{\"a\":\"€/\",\"\u{1f600}\":[true,null],\"\u{fb33}\":1}");
        check(canonical.as_bytes()).unwrap();
        assert_eq!(check(text.as_bytes()), Err(CanonicalError::NotCanonical));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        assert_eq!(check(b"{\"a\":1,\"a\":2}"), Err(CanonicalError::DuplicateKey("a".into())));
        for text in ["1.5", "1e400", "9007199254740993", "NaN", "-0", "{\"a\":1} ", "\u{feff}1"] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
    }

    /// Whatever the walk accepts must be canonical; of what is canonical it may leave to the
    /// definition only what the comment at `Walk` calls rare.
    fn compare(bytes: &[u8]) -> bool {
        let walk = |bytes| {
            let mut walk = Walk::over(bytes)?;
            walk.value(MAX_DEPTH)?;
            walk.rest.is_empty().then_some(())
        };
        let accepted = walk(bytes).is_some();
        let defined = check_by_writing(bytes);
        assert!(!accepted || defined.is_ok(), "{}", String::from_utf8_lossy(bytes));
        assert_eq!(check(bytes), defined);
        assert_eq!(
            members(bytes, |_, _| ()).is_some(),
            accepted && bytes.first() == Some(&b'{'),
            "{}",
            String::from_utf8_lossy(bytes)
        );
        accepted
    }

    #[test]
    fn the_walk_knows_every_common_spelling() {
        for text in [
            "{}",
            "[]",
            "0",
            "-1",
            "9007199254740991",
            "-9007199254740991",
            "true",
            "null",
            "\"\"",
            "{\"\":{}}",
            "{\"a\":[1,-2,{\"b\":\"é\u{ff}€\u{1f600}\"}],\"b\":false}",
            "[\"\\\"\\\\\\b\\t\\n\\f\\r\"]",
            "\"\\u0000\\u0007\\u000b\\u000e\\u000f\\u0010\\u0019\\u001a\\u001f/\u{7f}\"",
            "{\"é\":1,\"\u{d7ff}\":2}",
        ] {
            assert!(compare(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_short_change_is_judged_as_defined() {
        let good = "{\"a\":[10,-2,{\"b\":\"é\\u001f\\n\"}],\"c\":false,\"d\":null}".as_bytes();
        assert!(compare(good));
        for at in 0..=good.len() {
            for byte in 0..=255 {
                let (head, tail) = good.split_at(at);
                let with = |tail: &[u8]| [head, &[byte], tail].concat();
                compare(&with(tail));
                compare(&with(tail.get(1..).unwrap_or_default()));
            }
            compare(&good[..at]);
            compare(&[&good[..at], good.get(at + 1..).unwrap_or_default()].concat());
        }
        for text in [
            "00",
            "-0",
            "01",
            "9007199254740992",
            "-9007199254740992",
            "99999999999999999999",
            "1e1",
            "1.0",
            "\"\\u001F\"",
            "\"\\u0008\"",
            "\"\\u0020\"",
            "\"\\/\"",
            "\"\\ud83d\\ude00\"",
            "\"\t\"",
            "\"",
            "\"\\",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,}",
            "[1,]",
            "{\"a\"}",
            " 1",
            "1 ",
            "",
            "{\"\\n\":1}",
            "{\"\u{fb33}\":1}",
            "{\"\u{1f600}\":1,\"\u{fb33}\":2}",
            "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
        ] {
            compare(text.as_bytes());
        }
        for depth in [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 127, 128, 129, 1000] {
            compare(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_value_is_judged_as_defined(value in any_json(), at: usize, byte: u8) {
            let canonical = to_vec(&value).unwrap();
            compare(&canonical);
            compare(&serde_json::to_vec_pretty(&value).unwrap());
            let mut damaged = canonical;
            let at = at % damaged.len();
            damaged[at] = byte;
            compare(&damaged);
        }

        #[test]
        fn anything_like_json_is_judged_as_defined(text in "[\\[\\]{}:,\"\\\\a0-9untf é\u{fb33}-]{0,24}") {
            compare(text.as_bytes());
        }
    }

    fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-MAX_INTEGER..=MAX_INTEGER).prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    #[test]
    fn control_characters_are_escaped_as_the_standard_says() {
        let canonical = to_vec("\u{8}\t\n\u{c}\r\u{1f}\"\\/\u{7f}").unwrap();
        assert_eq!(canonical, b"\"\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\x7f\"");
    }
}
