//! From when until when a person's decision holds.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// A calendar day in UTC, written `2026-12-31`.
pub type Day = Date;

/// Reads a [`Day`] of a file that a person writes: nothing but `2026-12-31`, since a time of the day would be ignored.
///
/// # Errors
/// What was found, and the form that is expected.
pub fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_day = text.len() == "2026-12-31".len();
    text.parse().ok().filter(|_| is_day).ok_or_else(|| {
        D::Error::custom(format!("found `{text}`, expected a calendar day like 2026-12-31"))
    })
}

/// The same for a day that may be left out.
///
/// # Errors
/// As [`day`].
pub fn day_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    #[derive(Deserialize)]
    struct Written(#[serde(deserialize_with = "day")] Day);
    Ok(Option::<Written>::deserialize(deserializer)?.map(|written| written.0))
}

/// Does it hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    InForce,
    /// Its first day has not come.
    NotYetValid,
    /// Its last day has gone.
    Expired,
}

impl State {
    /// State at an instant of something that holds from the start of `from` to the end of `until`.
    #[must_use]
    pub fn at(at: Timestamp, from: Option<Day>, until: Day) -> Self {
        let today = TimeZone::UTC.to_datetime(at).date();
        if from.is_some_and(|from| today < from) {
            Self::NotYetValid
        } else if today > until {
            Self::Expired
        } else {
            Self::InForce
        }
    }

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in-force",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
        }
    }
}

/// Does it end within so many days after the instant?
#[must_use]
pub fn ends_within(at: Timestamp, until: Day, days: i64) -> bool {
    let today = TimeZone::UTC.to_datetime(at).date();
    today.checked_add(days.days()).is_ok_and(|limit| until <= limit)
}
