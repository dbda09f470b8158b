//! Makes any text showable: what the fonts cannot show is replaced visibly, and long words get
//! places where a line may break. The sealed originals are untouched.

use serde_json::Value;

/// Zero width space: a line may break here.
const BREAK: char = '\u{200b}';
/// Stands for what cannot be shown.
const REPLACEMENT: char = '\u{fffd}';
/// Words longer than this get break opportunities.
const LONG_WORD: usize = 14;
/// Longest piece of a long word without one.
const PIECE: usize = 12;
/// Shortest piece that a break after a separator leaves.
const SHORT_PIECE: usize = 4;
/// Longest text that is printed, in characters.
const MAX_TEXT: usize = 600;
/// Ends a text that was cut.
const CUT: &str = " … (cut; the sealed evidence has all of it)";

/// Values that a reader copies out: not broken. They are hex, base64 or short words of ours.
const EXACT: [&str; 12] = [
    "attachment_sha256",
    "checkpoint_root",
    "created",
    "items_root",
    "mapping_sha256",
    "origin",
    "period_end",
    "period_start",
    "root_fingerprints",
    "sha256",
    "signer",
    "statement_sha256",
];

/// Texts that are not printed as they are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Altered {
    /// In which a character was replaced.
    pub(super) replaced: usize,
    /// That were cut.
    pub(super) cut: usize,
}

/// Makes every string below `value` showable.
pub(super) fn make_showable(value: &mut Value, covers: &dyn Fn(char) -> bool) -> Altered {
    let mut altered = Altered::default();
    walk(value, false, covers, &mut altered);
    altered
}

fn walk(value: &mut Value, exact: bool, covers: &dyn Fn(char) -> bool, altered: &mut Altered) {
    match value {
        Value::String(text) => {
            let shown = showable(text, exact, covers);
            altered.replaced += usize::from(shown.replaced);
            altered.cut += usize::from(shown.cut);
            *text = shown.text;
        }
        Value::Array(values) => {
            for value in values {
                walk(value, exact, covers, altered);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(value, EXACT.contains(&key.as_str()), covers, altered);
            }
        }
        _ => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Shown {
    text: String,
    replaced: bool,
    cut: bool,
}

fn showable(text: &str, exact: bool, covers: &dyn Fn(char) -> bool) -> Shown {
    let mut shown = Shown { text: String::with_capacity(text.len()), replaced: false, cut: false };
    let mut left = MAX_TEXT;
    for piece in text.split_inclusive(char::is_whitespace) {
        // Of a text that is one word of many kilobytes, no more than what is printed is looked at.
        let mut length = piece.chars().take(MAX_TEXT).count();
        // A value to copy is not broken, unless it is not what it should be.
        let long = length > if exact { 2 * 64 } else { LONG_WORD };
        let mut unbroken = 0;
        for c in piece.chars() {
            if left == 0 {
                shown.cut = true;
                shown.text.push_str(CUT);
                return shown;
            }
            left -= 1;
            length = length.saturating_sub(1);
            let space = matches!(c, '\n' | '\r' | '\t' | ' ');
            if space {
                shown.text.push(' ');
            } else if c.is_control() || is_unseen(c) || !covers(c) {
                shown.replaced = true;
                shown.text.push(REPLACEMENT);
            } else {
                shown.text.push(c);
            }
            unbroken += 1;
            let separator = matches!(c, '/' | ':' | '-' | '_' | '.' | '=' | ',' | '@' | '#' | '|');
            let enough = separator && unbroken >= SHORT_PIECE || unbroken >= PIECE;
            if long && enough && length >= SHORT_PIECE && !space {
                shown.text.push(BREAK);
                unbroken = 0;
            }
        }
    }
    shown
}

/// Characters that show nothing, reorder what stands around them, or mean what only their sender
/// knows.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascii(text: &str) -> Shown {
        showable(text, false, &|c| c.is_ascii())
    }

    #[test]
    fn what_cannot_be_shown_is_replaced_and_said() {
        for (text, shown) in [
            ("a\u{1b}[31mb", "a\u{fffd}[31mb"),
            ("漢", "\u{fffd}"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("\u{e000}\0", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(ascii(text), Shown { text: shown.into(), replaced: true, cut: false });
        }
        let plain = Shown { text: "plain  text".into(), replaced: false, cut: false };
        assert_eq!(ascii("plain\n\ttext"), plain);
    }

    #[test]
    fn long_words_can_break_and_lose_nothing() {
        let arn = "arn:aws:iam::123456789012:role/some-role";
        let shown = ascii(arn);
        assert!(shown.text.contains(BREAK) && !shown.replaced && !shown.cut);
        assert_eq!(shown.text.replace(BREAK, ""), arn);
        assert_eq!(ascii("kube-system").text, "kube-system");
        let hex = ascii(&"a".repeat(64)).text;
        assert!(hex.split(BREAK).all(|piece| (SHORT_PIECE..=PIECE).contains(&piece.len())));
    }

    #[test]
    fn long_texts_are_cut_with_a_word() {
        let shown = ascii(&"word ".repeat(1000));
        assert!(shown.text.ends_with(CUT) && shown.cut && !shown.replaced);
        assert!(ascii(&"a".repeat(4096)).cut);
        assert!(!ascii(&"a".repeat(MAX_TEXT)).cut);
    }

    #[test]
    fn values_to_copy_stay_whole() {
        let mut value = serde_json::json!({ "items_root": "a".repeat(44), "x": "a".repeat(44) });
        assert_eq!(make_showable(&mut value, &|_| true), Altered::default());
        assert_eq!(value["items_root"], "a".repeat(44));
        assert_ne!(value["x"], "a".repeat(44));
    }

    #[test]
    fn altered_texts_are_counted_once_each() {
        let mut value = serde_json::json!({ "a": ["漢漢", "b"], "c": { "d": "\u{7}" } });
        let altered = make_showable(&mut value, &|c| c.is_ascii());
        assert_eq!(altered, Altered { replaced: 2, cut: 0 });
    }
}
