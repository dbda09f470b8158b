//! Canonical JSON (RFC 8785, JCS), restricted to integers: no rounding can enter evidence.
//!
//! Producers write through [`to_vec`]; verifiers check with [`check`] that what was signed is what
//! any other reader of JSON would read: one spelling, no duplicate key.

use std::cmp::Ordering;
use std::fmt;

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

    #[test]
    fn control_characters_are_escaped_as_the_standard_says() {
        let canonical = to_vec("\u{8}\t\n\u{c}\r\u{1f}\"\\/\u{7f}").unwrap();
        assert_eq!(canonical, b"\"\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\x7f\"");
    }
}
