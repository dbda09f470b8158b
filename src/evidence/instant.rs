//! Instants as the format writes them: `2026-11-23T02:00:00Z`, UTC, whole seconds.

use jiff::Timestamp;

/// Writes an instant; parts of a second are cut off.
#[must_use]
pub fn format(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads exactly the form that [`format()`] writes.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    (format(at) == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_is_read() {
        let text = "2026-11-23T02:00:00Z";
        assert_eq!(parse(text).map(format).as_deref(), Some(text));
        for other in ["2026-11-23T02:00:00.5Z", "2026-11-23T02:00:00+00:00", "2026-11-23 02:00:00Z"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
