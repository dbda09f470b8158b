//! When a run is due, by a cron expression and a time zone.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Most due times that are looked at: a year of minutes would be silly, a year of hours is not.
const MAX_OCCURRENCES: usize = 10_000;

/// A time zone where none is named.
pub const UTC: &str = "UTC";

/// A cron schedule in a time zone.
///
/// Its times are those of Kubernetes: local time as a clock on the wall shows it. A time that the
/// clock jumps over in spring does not come; one that it shows twice in autumn comes twice.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As it was written.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    times: cron::Schedule,
    zone: TimeZone,
}

/// Why a text is no schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Not five fields of cron, or one of them.
    #[error("`{text}` is no cron expression (minute hour day month weekday): {reason}")]
    Cron {
        /// As written.
        text: String,
        /// Why.
        reason: String,
    },
    /// Not in the IANA database.
    #[error("`{0}` is no time zone of the IANA database, like Europe/Berlin")]
    Zone(String),
}

impl Schedule {
    /// Reads the five fields of crontab(5), as Kubernetes does: weekdays 0–7 from Sunday.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn parse(text: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let error = |reason: String| ScheduleError::Cron { text: text.to_owned(), reason };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(error(format!("{} fields instead of 5", fields.len())));
        };
        // The crate has a field for seconds and counts weekdays from Sunday = 1.
        let weekday = weekday_names(weekday).ok_or_else(|| error("the weekday".to_owned()))?;
        let times = cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
            .map_err(|reason| error(reason.to_string()))?;
        let zone =
            TimeZone::get(time_zone).map_err(|_| ScheduleError::Zone(time_zone.to_owned()))?;
        Ok(Self { cron: fields.join(" "), time_zone: time_zone.to_owned(), times, zone })
    }

    /// Due times after `from` up to and with `to`, ascending; at most ten thousand.
    #[must_use]
    pub fn due(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        self.after(from).take_while(|due| *due <= to).take(MAX_OCCURRENCES).collect()
    }

    /// The first due time after an instant; `None` for a schedule that has no more.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.after(after).next()
    }

    /// The longest time between two of the next runs, in seconds.
    #[must_use]
    pub fn interval_seconds(&self, at: Timestamp) -> u64 {
        let next: Vec<i64> = self.after(at).take(64).map(Timestamp::as_second).collect();
        let gaps = next.windows(2).filter_map(|pair| match pair {
            [first, second] => u64::try_from(second - first).ok(),
            _ => None,
        });
        gaps.max().unwrap_or(0)
    }

    /// Due times after an instant. The zone's offset is fixed between two of its transitions, so the
    /// expression is read in stretches of fixed offset, each as if it were UTC.
    fn after(&self, from: Timestamp) -> impl Iterator<Item = Timestamp> {
        let mut before = from;
        std::iter::from_fn(move || {
            loop {
                let first = before.checked_add(SignedDuration::from_secs(1)).ok()?;
                let offset = i64::from(self.zone.to_offset(first).seconds());
                let change = self.zone.following(first).next().map(|change| change.timestamp());
                let local = DateTime::<Utc>::from_timestamp(before.as_second() + offset, 0)?;
                let due = self.times.after_owned(local).next();
                let due = due.map(|due| Timestamp::from_second(due.timestamp() - offset));
                match (due.transpose().ok()?, change) {
                    (Some(due), Some(change)) if due < change => before = due,
                    // Nothing is due in this stretch.
                    (_, Some(change)) => {
                        before = change.checked_sub(SignedDuration::from_secs(1)).ok()?;
                        continue;
                    }
                    (due, None) => before = due?,
                }
                return Some(before);
            }
        })
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
        let schedule = Schedule::parse("0 2 * * 1-5", UTC).unwrap();
        let due = schedule.due(at("2026-11-20T02:00:00Z"), at("2026-11-24T02:00:00Z"));
        assert_eq!(due, [at("2026-11-23T02:00:00Z"), at("2026-11-24T02:00:00Z")]);
        assert_eq!(schedule.interval_seconds(at("2026-11-20T00:00:00Z")), 3 * 86_400);
        let sunday = Schedule::parse("0 0 * * 0", UTC).unwrap();
        let due = sunday.due(at("2026-11-20T00:00:00Z"), at("2026-11-24T00:00:00Z"));
        assert_eq!(due, [at("2026-11-22T00:00:00Z")]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "* * * *", "0 25 * * *", "0 2 * * 8", "@daily"] {
            assert!(Schedule::parse(text, UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn clocks_that_jump_are_read_as_kubernetes_reads_them() {
        // 2026-03-29: 02:00 becomes 03:00 in Berlin. 2026-10-25: 03:00 becomes 02:00.
        let due = |cron: &str, from: &str, to: &str| {
            let schedule = Schedule::parse(cron, "Europe/Berlin").unwrap();
            let due = schedule.due(at(from), at(to));
            due.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let nights = due("30 2 * * *", "2026-03-27T12:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(nights, ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]);
        let nights = due("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"];
        assert_eq!(nights, twice);
        let hours = due("0 * * * *", "2026-10-24T23:30:00Z", "2026-10-25T03:00:00Z");
        let four = [0, 1, 2, 3].map(|hour| format!("2026-10-25T0{hour}:00:00Z"));
        assert_eq!(hours, four);
    }

    #[test]
    fn a_schedule_that_never_comes_ends() {
        let schedule = Schedule::parse("0 0 30 2 *", "Europe/Berlin").unwrap();
        assert_eq!(schedule.next(at("2026-01-01T00:00:00Z")), None);
        assert!(matches!(
            Schedule::parse("0 2 * * *", "Mars/Olympus"),
            Err(ScheduleError::Zone(_))
        ));
    }
}
