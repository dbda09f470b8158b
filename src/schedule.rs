//! When a run was due, by a cron expression.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use jiff::Timestamp;

/// Most due times that are looked at: a year of minutes would be silly, a year of hours is not.
const MAX_OCCURRENCES: usize = 10_000;

/// A cron schedule in UTC.
#[derive(Clone, Debug)]
pub struct Schedule(cron::Schedule);

/// Why a text is no schedule.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no cron expression (minute hour day month weekday): {reason}")]
pub struct ScheduleError {
    text: String,
    reason: String,
}

impl Schedule {
    /// Reads the five fields of crontab(5), as Kubernetes does: weekdays 0–7 from Sunday.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let error = |reason: String| ScheduleError { text: text.to_owned(), reason };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(error(format!("{} fields instead of 5", fields.len())));
        };
        // The crate has a field for seconds and counts weekdays from Sunday = 1.
        let weekday = weekday_names(weekday).ok_or_else(|| error("the weekday".to_owned()))?;
        cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
            .map(Self)
            .map_err(|reason| error(reason.to_string()))
    }

    /// Due times after `from` up to and with `to`, ascending.
    #[must_use]
    pub fn due(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        self.after(from).take_while(|due| *due <= to).take(MAX_OCCURRENCES).collect()
    }

    /// The longest time between two of the next runs, in seconds: how old a head may become
    /// without anything being wrong.
    #[must_use]
    pub fn interval_seconds(&self, at: Timestamp) -> u64 {
        let next: Vec<i64> = self.after(at).take(64).map(Timestamp::as_second).collect();
        let gaps = next.windows(2).filter_map(|pair| match pair {
            [first, second] => u64::try_from(second - first).ok(),
            _ => None,
        });
        gaps.max().unwrap_or(0)
    }

    fn after(&self, from: Timestamp) -> impl Iterator<Item = Timestamp> {
        let from = DateTime::<Utc>::from_timestamp(from.as_second(), 0).unwrap_or_default();
        self.0.after_owned(from).filter_map(|due| Timestamp::from_second(due.timestamp()).ok())
    }
}

/// `1-5` → `MON-FRI`; `None` for a number above 7.
fn weekday_names(field: &str) -> Option<String> {
    const NAMES: [&str; 8] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let name = |day: &str| -> Option<String> {
        match day.parse::<usize>() {
            Ok(number) => NAMES.get(number).map(ToString::to_string),
            Err(_) => Some(day.to_owned()),
        }
    };
    let range = |part: &str| -> Option<String> {
        let (days, step) = part.split_once('/').map_or((part, None), |(d, s)| (d, Some(s)));
        let days = days.split('-').map(name).collect::<Option<Vec<_>>>()?.join("-");
        Some(step.map_or(days.clone(), |step| format!("{days}/{step}")))
    };
    Some(field.split(',').map(range).collect::<Option<Vec<_>>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn weekdays_count_as_in_crontab() {
        // 2026-11-23 is a Monday.
        let schedule = Schedule::parse("0 2 * * 1-5").unwrap();
        let due = schedule.due(at("2026-11-20T02:00:00Z"), at("2026-11-24T02:00:00Z"));
        assert_eq!(due, [at("2026-11-23T02:00:00Z"), at("2026-11-24T02:00:00Z")]);
        assert_eq!(schedule.interval_seconds(at("2026-11-20T00:00:00Z")), 3 * 86_400);
        let sunday = Schedule::parse("0 0 * * 0").unwrap();
        let due = sunday.due(at("2026-11-20T00:00:00Z"), at("2026-11-24T00:00:00Z"));
        assert_eq!(due, [at("2026-11-22T00:00:00Z")]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "* * * *", "0 25 * * *", "0 2 * * 8", "@daily"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
