//! Periods that are reported on, and what an archive says about one.

pub mod model;
mod over_time;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

pub use model::OverTime;
pub use over_time::{PeriodError, over_time};

/// Longest period that is reported on, in years.
const MOST_YEARS: i16 = 10;

/// From one instant until just before another, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
    /// As it was asked for: `2026-Q3`.
    pub label: String,
    /// Why it is that long, where a standard says so; empty otherwise.
    pub basis: &'static str,
}

/// A period by the name of the standard that asks for it.
struct Preset {
    name: &'static str,
    years: i64,
    basis: &'static str,
}

/// Periods that end now.
const PRESETS: [Preset; 2] = [
    Preset {
        name: "pci-dss",
        years: 1,
        basis: "PCI DSS 4.0.1 requirement 10.5.1 keeps audit records for at least 12 months.",
    },
    Preset {
        name: "hipaa",
        years: 6,
        basis: "45 CFR 164.316(b)(2)(i) keeps documentation for 6 years.",
    },
];

/// Why a text is no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no period: {reason}")]
pub struct ParseError {
    text: String,
    reason: &'static str,
}

impl Period {
    /// Reads `2026`, `2026-Q3`, `2026-10`, `2026-10-05`, or `pci-dss` (12 months) and `hipaa` (six
    /// years), which end `now`.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, ParseError> {
        let error = |reason| ParseError { text: text.to_owned(), reason };
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == text) {
            let end = TimeZone::UTC.to_datetime(now);
            let start = end
                .checked_sub(preset.years.years())
                .map_err(|_| error("it begins before the calendar"))?;
            return Ok(Self {
                from: utc(start).ok_or_else(|| error("it begins before the calendar"))?,
                to: now,
                label: text.to_owned(),
                basis: preset.basis,
            });
        }
        let unknown = || error("2026, 2026-Q3, 2026-10, 2026-10-05, pci-dss or hipaa is one");
        let parts: Vec<&str> = text.split('-').collect();
        let year = |part: &str| (part.len() == 4).then(|| part.parse::<i16>().ok()).flatten();
        let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
        let (first, length) = match parts.as_slice() {
            [y] => (year(y).and_then(|y| Date::new(y, 1, 1).ok()), 1.year()),
            [y, part] => match part.strip_prefix('Q').and_then(|q| q.parse::<i8>().ok()) {
                Some(quarter @ 1..=4) => {
                    (year(y).and_then(|y| Date::new(y, quarter * 3 - 2, 1).ok()), 3.months())
                }
                Some(_) => (None, Span::new()),
                None => {
                    (year(y).zip(two(part)).and_then(|(y, m)| Date::new(y, m, 1).ok()), 1.month())
                }
            },
            [y, m, d] => (
                year(y).zip(two(m)).zip(two(d)).and_then(|((y, m), d)| Date::new(y, m, d).ok()),
                1.day(),
            ),
            _ => (None, Span::new()),
        };
        let first = first.ok_or_else(unknown)?;
        let next = first.checked_add(length).map_err(|_| unknown())?;
        let instant = |day: Date| utc(day.at(0, 0, 0, 0)).ok_or_else(unknown);
        Ok(Self { from: instant(first)?, to: instant(next)?, label: text.to_owned(), basis: "" })
    }

    /// From a day or instant to another; a day as the end is in it.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn between(from: &str, to: &str) -> Result<Self, ParseError> {
        let read = |text: &str, days: i64| {
            let day = |date: Date| {
                let date = date.checked_add(days.days()).ok()?;
                utc(date.at(0, 0, 0, 0))
            };
            let instant = match text.parse::<Date>() {
                Ok(date) if text.len() == 10 => day(date),
                _ => text.parse::<Timestamp>().ok(),
            };
            let reason = "neither a day (2026-10-05) nor an instant (2026-10-05T02:00:00Z)";
            instant.ok_or_else(|| ParseError { text: text.to_owned(), reason })
        };
        let period = Self {
            from: read(from, 0)?,
            to: read(to, 1)?,
            label: format!("{from} to {to}"),
            basis: "",
        };
        let error = |reason| Err(ParseError { text: period.label.clone(), reason });
        if period.from >= period.to {
            return error("it ends before it begins");
        }
        let years = TimeZone::UTC.to_datetime(period.from).checked_add(MOST_YEARS.years());
        if years.ok().and_then(utc).is_none_or(|limit| limit < period.to) {
            return error("it is longer than 10 years");
        }
        Ok(period)
    }
}

fn utc(at: jiff::civil::DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(at).ok()
}

/// The day of an instant in UTC.
fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str) -> (String, String) {
        let period = Period::parse(text, "2026-11-25T12:00:00Z".parse().unwrap()).unwrap();
        (period.from.to_string(), period.to.to_string())
    }

    #[test]
    fn calendar_periods_begin_and_end_at_midnight() {
        for (text, from, to) in [
            ("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-Q3", "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z"),
            ("2026-Q4", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("pci-dss", "2025-11-25T12:00:00Z", "2026-11-25T12:00:00Z"),
            ("hipaa", "2020-11-25T12:00:00Z", "2026-11-25T12:00:00Z"),
        ] {
            assert_eq!(spans(text), (from.to_owned(), to.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_period_is_named() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for text in ["", "26", "2026-Q5", "2026-Q0", "2026-13", "2026-2-1", "2025-02-29", "soc2"] {
            let error = Period::parse(text, now).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no period")), "{error}");
        }
    }

    #[test]
    fn the_last_day_of_a_span_is_in_it() {
        let period = Period::between("2026-07-01", "2026-09-30").unwrap();
        assert_eq!(period.to.to_string(), "2026-10-01T00:00:00Z");
        let period = Period::between("2026-07-01T12:00:00Z", "2026-07-01T13:00:00Z").unwrap();
        assert_eq!(period.to.duration_since(period.from).as_secs(), 3600);
        for (from, to) in [("2026-07-02", "2026-07-01"), ("2010-01-01", "2026-01-01"), ("x", "y")] {
            assert!(Period::between(from, to).is_err(), "{from} {to}");
        }
    }
}
