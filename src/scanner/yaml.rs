//! YAML → JSON, with scalars as they are written: `1.10` stays `1.10`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::value::RawValue;

/// A list or a mapping that is being written.
#[derive(Default)]
struct Open {
    is_mapping: bool,
    is_begun: bool,
    /// Does a value follow, to the key that was written?
    has_key: bool,
    keys: BTreeSet<String>,
}

/// One document as JSON; `None` for what JSON does not have (aliases, tags, keys that are no scalars or
/// stand there twice) and for what is no YAML.
pub(super) fn to_json(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        match event.ok()?.0 {
            Event::Scalar(scalar, style, _, tag) => {
                let plain = is_plain(style, tag.as_deref())?;
                if let Some(Open { is_mapping: true, has_key: false, keys, .. }) = open.last_mut()
                    && !keys.insert(scalar.clone().into_owned())
                {
                    return None;
                }
                separate(&mut out, &mut open);
                let is_key = open.last().is_some_and(|open| open.is_mapping && open.has_key);
                let value = if plain && !is_key { resolved(&scalar) } else { None };
                out.push_str(&match value {
                    Some(value) => value,
                    None => Cow::Owned(serde_json::to_string(&*scalar).ok()?),
                });
            }
            Event::SequenceStart(_, _, None) => begin(&mut out, &mut open, false)?,
            Event::MappingStart(_, _, None) => begin(&mut out, &mut open, true)?,
            Event::SequenceEnd | Event::MappingEnd => {
                out.push(if open.pop()?.is_mapping { '}' } else { ']' });
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            event if event.is_node() => return None,
            _ => {}
        }
    }
    (open.is_empty() && !out.is_empty()).then_some(out)
}

/// Writes what stands between the last value and the next one, which is a key when a mapping has none.
fn separate(out: &mut String, open: &mut [Open]) {
    let Some(open) = open.last_mut() else { return };
    if open.is_mapping && open.has_key {
        out.push(':');
        open.has_key = false;
        return;
    }
    if open.is_begun {
        out.push(',');
    }
    open.is_begun = true;
    open.has_key = open.is_mapping;
}

fn begin(out: &mut String, open: &mut Vec<Open>, is_mapping: bool) -> Option<()> {
    let is_key = open.last().is_some_and(|open| open.is_mapping && !open.has_key);
    separate(out, open);
    out.push(if is_mapping { '{' } else { '[' });
    open.push(Open { is_mapping, ..Open::default() });
    (!is_key).then_some(())
}

/// Is its type to be told from its characters? `None` when a tag says something else.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>) -> Option<bool> {
    tag.is_none().then_some(style == ScalarStyle::Plain)
}

/// YAML's core schema, as far as JSON has the same numbers (YAML 1.2.2 section 10.3.2).
fn resolved(scalar: &str) -> Option<Cow<'_, str>> {
    let is_number = scalar.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    match scalar {
        "" | "~" | "null" | "Null" | "NULL" => Some("null".into()),
        "true" | "True" | "TRUE" => Some("true".into()),
        "false" | "False" | "FALSE" => Some("false".into()),
        _ => {
            (is_number && serde_json::from_str::<&RawValue>(scalar).is_ok()).then(|| scalar.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_stay_as_they_are_written() {
        let text = "--- # head\na: 1.10\n'b': [~, 'true', True, x, 007]\nc:\n- d: |\n    l\n  e: {}\n- -1\n1: 2026-01-02\n";
        let expected = r#"{"a":1.10,"b":[null,"true",true,"x","007"],"c":[{"d":"l\n","e":{}},-1],"1":"2026-01-02"}"#;
        assert_eq!(to_json(text).unwrap(), expected);
    }

    #[test]
    fn what_json_does_not_have_is_left_alone() {
        for text in ["a: &x 1\nb: *x\n", "a: 1\na: 2\n", "a: !!str 1\n", "? [a]\n: b\n", "a: [\n"] {
            assert_eq!(to_json(text), None, "{text}");
        }
    }
}
