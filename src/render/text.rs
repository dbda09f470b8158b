//! Makes any text showable: what the fonts cannot show is replaced visibly, and long words get
//! places where a line may break. The sealed originals are untouched.

use serde_json::Value;

/// Zero width space: a line may break here.
const BREAK: char = '\u{200b}';
/// Stands for what cannot be shown.
const REPLACEMENT: char = '\u{fffd}';
/// Words longer than this get break opportunities.
const LONG_WORD: usize = 18;
/// Longest text that is printed, in characters.
const MAX_TEXT: usize = 600;

/// Values that a reader copies out: never broken, never cut. They are short and of known form.
const EXACT: [&str; 12] = [
    "origin",
    "statement_sha256",
    "checkpoint_root",
    "items_root",
    "signer",
    "root_fingerprints",
    "sha256",
    "mapping_sha256",
    "created",
    "period_start",
    "period_end",
    "status",
];

/// Makes every string below `value` showable; returns how many lost something.
pub(super) fn make_showable(value: &mut Value, covers: &dyn Fn(char) -> bool) -> usize {
    walk(value, false, covers)
}

fn walk(value: &mut Value, exact: bool, covers: &dyn Fn(char) -> bool) -> usize {
    match value {
        Value::String(text) => {
            let (shown, changed) = showable(text, exact, covers);
            *text = shown;
            usize::from(changed)
        }
        Value::Array(values) => values.iter_mut().map(|value| walk(value, exact, covers)).sum(),
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(key, value)| walk(value, EXACT.contains(&key.as_str()), covers))
            .sum(),
        _ => 0,
    }
}

fn showable(text: &str, exact: bool, covers: &dyn Fn(char) -> bool) -> (String, bool) {
    let mut shown = String::with_capacity(text.len());
    let mut changed = false;
    let mut word = 0;
    let long: Vec<bool> = long_words(text);
    for (index, (c, in_long_word)) in text.chars().zip(long).enumerate() {
        if index == MAX_TEXT && !exact {
            shown.push_str(" … (cut; the whole text is in the evidence)");
            return (shown, true);
        }
        let space = matches!(c, '\n' | '\r' | '\t' | ' ');
        let visible = if space {
            ' '
        } else if c.is_control() || is_invisible(c) || !covers(c) {
            changed = true;
            REPLACEMENT
        } else {
            c
        };
        shown.push(visible);
        word = if space { 0 } else { word + 1 };
        let after_separator = matches!(c, '/' | ':' | '-' | '_' | '.' | '=' | ',' | '@' | '#');
        if in_long_word && !exact && (after_separator || word % 12 == 0) {
            shown.push(BREAK);
        }
    }
    (shown, changed)
}

/// Characters that show nothing or reorder what stands around them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{ad}' | '\u{e000}'..='\u{f8ff}' | '\u{fff9}'..='\u{fffb}')
}

/// For each character: does it stand in a long word?
fn long_words(text: &str) -> Vec<bool> {
    let mut long = Vec::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let length = piece.chars().count();
        long.extend(std::iter::repeat_n(length > LONG_WORD, length));
    }
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latin(text: &str) -> (String, bool) {
        showable(text, false, &|c| c.is_ascii())
    }

    #[test]
    fn what_cannot_be_shown_is_replaced_and_said() {
        assert_eq!(latin("a\u{1b}[31mb"), ("a\u{fffd}[31mb".into(), true));
        assert_eq!(latin("漢"), ("\u{fffd}".into(), true));
        assert_eq!(latin("a\u{202e}b"), ("a\u{fffd}b".into(), true));
        assert_eq!(latin("plain text"), ("plain text".into(), false));
    }

    #[test]
    fn long_words_can_break_and_long_texts_are_cut_with_a_word() {
        let (shown, changed) = latin("arn:aws:iam::123456789012:role/some-role");
        assert!(shown.contains(BREAK) && !changed);
        assert_eq!(shown.replace(BREAK, ""), "arn:aws:iam::123456789012:role/some-role");
        let (shown, changed) = latin(&"word ".repeat(1000));
        assert!(shown.ends_with("(cut; the whole text is in the evidence)") && changed);
    }

    #[test]
    fn values_to_copy_stay_whole() {
        let mut value = serde_json::json!({ "items_root": "a".repeat(44), "x": "a".repeat(44) });
        make_showable(&mut value, &|_| true);
        assert_eq!(value["items_root"], "a".repeat(44));
        assert_ne!(value["x"], "a".repeat(44));
    }
}
