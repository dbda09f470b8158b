//! Makes any text showable: what the fonts cannot show is replaced visibly, and long words get
//! places where a line may break. The sealed originals are untouched.

use serde_json::Value;

/// Zero width space: a line may break here.
const BREAK: char = '\u{200b}';
/// Stands for what cannot be shown.
const REPLACEMENT: char = '\u{fffd}';
/// Longest run without a place to break that every column has room for.
const RUN: usize = 30;
/// The same in the columns of [`NARROW`].
const NARROW_RUN: usize = 12;
/// Longest piece that a longer run is broken into.
const PIECE: usize = 12;
/// Shortest piece that a break after a separator leaves.
const SHORT_PIECE: usize = 4;
/// Longest text that is printed, in characters.
const MAX_TEXT: usize = 600;
/// Ends a text that was cut.
const CUT: &str = " … (cut; the sealed evidence has all of it)";

/// Values that a reader copies out or a template reads: not broken. Hex, base64, instants, ids.
const EXACT: [&str; 19] = [
    "checkpoint_root",
    "closed",
    "created",
    "date",
    "expires",
    "from",
    "items_root",
    "mapping_sha256",
    "opened",
    "origin",
    "period_end",
    "period_start",
    "root_fingerprints",
    "sha256",
    "signer",
    "statement_sha256",
    "taken_at",
    "to",
    "until",
];

/// No such value is longer, unless it is not what it should be.
const EXACT_RUN: usize = 128;

/// Lists whose texts stand in narrow columns.
const NARROW: [&str; 2] = ["attestations", "waivers"];

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
    walk(value, RUN, covers, &mut altered);
    altered
}

fn walk(value: &mut Value, run: usize, covers: &dyn Fn(char) -> bool, altered: &mut Altered) {
    match value {
        Value::String(text) => {
            let shown = showable(text, run, covers);
            altered.replaced += usize::from(shown.replaced);
            altered.cut += usize::from(shown.cut);
            *text = shown.text;
        }
        Value::Array(values) => {
            for value in values {
                walk(value, run, covers, altered);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let run = match key.as_str() {
                    key if EXACT.contains(&key) => EXACT_RUN,
                    key if NARROW.contains(&key) => NARROW_RUN,
                    _ => run,
                };
                walk(value, run, covers, altered);
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

/// Shows `text`; runs longer than `run` get places to break, and no others: with them, text that
/// is searched for in the report would not be found.
fn showable(text: &str, run: usize, covers: &dyn Fn(char) -> bool) -> Shown {
    let mut shown = Shown { text: String::with_capacity(text.len()), replaced: false, cut: false };
    let mut current = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_TEXT) {
        if matches!(c, '\n' | '\r' | '\t' | ' ') {
            push_run(&mut shown.text, &current, run);
            current.clear();
            shown.text.push(' ');
            continue;
        }
        // Layout breaks lines after these by itself, before a letter.
        if current.ends_with(['-', '/']) && c.is_alphabetic() {
            push_run(&mut shown.text, &current, run);
            current.clear();
        }
        if c.is_control() || is_unseen(c) || !covers(c) {
            shown.replaced = true;
            current.push(REPLACEMENT);
        } else {
            current.push(c);
        }
    }
    push_run(&mut shown.text, &current, run);
    if chars.next().is_some() {
        shown.cut = true;
        shown.text.push_str(CUT);
    }
    shown
}

fn push_run(text: &mut String, current: &str, run: usize) {
    let mut left = current.chars().count();
    if left <= run {
        return text.push_str(current);
    }
    let mut piece = 0;
    for c in current.chars() {
        text.push(c);
        piece += 1;
        left -= 1;
        let separator = matches!(c, '/' | ':' | '-' | '_' | '.' | '=' | ',' | '@' | '#' | '|');
        if left >= SHORT_PIECE && (piece >= PIECE || separator && piece >= SHORT_PIECE) {
            text.push(BREAK);
            piece = 0;
        }
    }
}

/// The characters of a text as a page shows them whose fonts are the reader's: what shows nothing or
/// reorders what stands around it is replaced visibly.
pub(super) fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_unseen(c) => REPLACEMENT,
        c => c,
    })
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
        showable(text, RUN, &|c| c.is_ascii())
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
        let arn = "arn:aws:iam::123456789012:user.of.something";
        let shown = ascii(arn);
        assert!(shown.text.contains(BREAK) && !shown.replaced && !shown.cut);
        assert_eq!(shown.text.replace(BREAK, ""), arn);
        for findable in
            ["kube-bench:cis-1.12:1.1.1", "ingress-nginx/Deployment/ingress-nginx-controller"]
        {
            assert_eq!(ascii(findable).text, findable);
        }
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
    fn values_to_copy_stay_whole_and_narrow_columns_hold() {
        let long = "a".repeat(44);
        let mut value = serde_json::json!({
            "items_root": long, "x": long, "y": "a".repeat(RUN),
            "waivers": [{ "id": "a".repeat(RUN), "until": "2026-11-23T02:00:00Z" }],
        });
        assert_eq!(make_showable(&mut value, &|_| true), Altered::default());
        assert_eq!(value["items_root"], long);
        assert_ne!(value["x"], long);
        assert_eq!(value["y"], "a".repeat(RUN));
        assert_ne!(value["waivers"][0]["id"], "a".repeat(RUN));
        assert_eq!(value["waivers"][0]["until"], "2026-11-23T02:00:00Z");
    }

    #[test]
    fn altered_texts_are_counted_once_each() {
        let mut value = serde_json::json!({ "a": ["漢漢", "b"], "c": { "d": "\u{7}" } });
        let altered = make_showable(&mut value, &|c| c.is_ascii());
        assert_eq!(altered, Altered { replaced: 2, cut: 0 });
    }
}
