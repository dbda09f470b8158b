//! Characters that a terminal obeys or that change how the text around them reads, written so that they are seen.

use std::fmt::Write as _;

/// Does a terminal obey it, or does it change how the text around it reads? Control characters, line and paragraph
/// separators, direction marks, and what has no width.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Appends a character to a text for people: `\u{1b}`, `\n`, or itself.
pub fn push_visible(text: &mut String, character: char) {
    if is_deceptive(character) {
        text.extend(character.escape_default());
    } else {
        text.push(character);
    }
}

/// A text for people, on one line.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(&mut visible, character));
    visible
}

/// The same JSON with such characters as `\u202e` (RFC 8259 section 7): a parser reads the same values. `json` is
/// what a serialiser wrote, which escapes the control characters of ASCII but for DEL.
#[must_use]
pub fn json(json: String) -> String {
    // The line breaks between its tokens stay.
    let is_escaped = |character: char| character >= '\u{7f}' && is_deceptive(character);
    if !json.contains(is_escaped) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_shows_what_it_holds_and_means_the_same() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}\n\"größer 日本語 ✓\"\\";
        let value = serde_json::json!({ text: [text, 1], "b": {} });
        let written = json(format!("{value:#}"));
        assert!(!written.chars().any(|c| c != '\n' && is_deceptive(c)), "{written}");
        assert!(written.contains(r"\u007f\u009b\u202e\u200b\udb40\udc41\n"), "{written}");
        assert!(written.contains("größer 日本語 ✓"), "{written}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
    }
}
