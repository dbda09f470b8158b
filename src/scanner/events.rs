//! What Falco's alerts and the API server's audit events have in common: events come as the lines of
//! a log, in an array, in a list object, or alone, and a stream of them shows when its writer ran.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::document::OtherLines;
use super::{Document, ReadError};

/// `EventList`.
#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

/// Reads the events of a document with their numbers from 0; returns the lines of a log that are no
/// events, as [`Document::read_lines`] does.
///
/// # Errors
/// [`ReadError`] when something that should be an event is none.
pub(super) fn read<'a, T: Deserialize<'a>>(
    document: &'a Document<'a>,
    mut each: impl FnMut(usize, T),
    is_own: fn(&str) -> bool,
) -> Result<OtherLines, ReadError> {
    if !is_listed(document) {
        return document.read_lines(each, is_own);
    }
    let events = if document.probe().is_array {
        document.read::<Vec<T>>()?
    } else {
        document.read::<List<T>>()?.items.unwrap_or_default()
    };
    for (index, event) in events.into_iter().enumerate() {
        each(index, event);
    }
    Ok(OtherLines::default())
}

/// The place of an event that [`read`] numbered.
pub(super) fn locator(document: &Document<'_>, index: usize) -> Box<str> {
    if document.probe().is_array {
        document.locator(&format!("/{index}"))
    } else if is_listed(document) {
        document.locator(&format!("/items/{index}"))
    } else {
        document.line_locator(index)
    }
}

/// A time of an event that [`read`] numbered.
pub(super) fn time(
    document: &Document<'_>,
    index: usize,
    field: &str,
    text: &str,
) -> Option<Timestamp> {
    let place = || format!("{}{field}", locator(document, index)).into();
    document.time_at(&place, field, text)
}

fn is_listed(document: &Document<'_>) -> bool {
    document.probe().is_array || document.probe().has("items")
}

/// The times at which a writer of events was seen at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    times: Vec<Timestamp>,
}

impl Stream {
    pub(super) fn saw(&mut self, at: Timestamp) {
        self.times.push(at);
    }

    /// The last sign of life.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.times.iter().max().copied()
    }

    /// `from 2026-01-02T03:04:05Z to 2026-01-02T04:04:05Z, longest silence 12m 3s`. Logs are not
    /// always in order.
    pub(super) fn describe(mut self) -> String {
        self.times.sort_unstable();
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else {
            return "at unknown times".to_owned();
        };
        let whole = |at: &Timestamp| {
            Timestamp::from_second(at.as_second())
                .map_or_else(|_| at.to_string(), |at| at.to_string())
        };
        if first == last {
            return format!("at {}", whole(first));
        }
        let gap = |pair: &[Timestamp]| match pair {
            [earlier, later] => later.duration_since(*earlier),
            _ => SignedDuration::ZERO,
        };
        let silence = self.times.windows(2).map(gap).max().unwrap_or_default();
        let silence = SignedDuration::from_secs(silence.as_secs());
        format!("from {} to {}, longest silence {silence:#}", whole(first), whole(last))
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn a_stream_tells_its_span_and_its_longest_silence() {
        let mut stream = Stream::default();
        assert_eq!(stream.clone().describe(), "at unknown times");
        for text in ["2026-01-02T00:10:00Z", "2026-01-02T00:00:00.5Z", "2026-01-02T01:10:03Z"] {
            stream.saw(text.parse().unwrap());
        }
        assert_eq!(stream.end().unwrap().to_string(), "2026-01-02T01:10:03Z");
        assert_eq!(
            stream.describe(),
            "from 2026-01-02T00:00:00Z to 2026-01-02T01:10:03Z, longest silence 1h 3s"
        );
    }
}
