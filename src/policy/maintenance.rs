//! Maintenance windows: times of the week, in UTC, in which people work on the cluster themselves
//! and nothing is done to it. Owns the calendar arithmetic; never decides what else speaks for it.

use std::time::Duration;

use serde::Serialize;

use super::recovery::Quiet;
use super::recovery::refusal::words;
use crate::model::Timestamp;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// Minutes of a week.
const WEEK_MINUTES: usize = 7 * 24 * 60;

/// No window is longer: one that began a week ago begins again now.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(7 * 24);

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// Every day, in order.
    pub const ALL: [Self; 7] =
        [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }

    /// The day of the week of the day `days` after 1 January 1970, a Thursday.
    fn of(days: u64) -> Self {
        Self::ALL[((days + 3) % 7) as usize]
    }
}

/// A window that comes again every week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MaintenanceWindow {
    /// On which days it begins; none = every day.
    pub days: Vec<Weekday>,
    /// When it begins, from midnight UTC.
    pub from: Duration,
    /// How long it lasts; at most [`LONGEST_WINDOW`].
    pub duration: Duration,
    /// What it is for, in people's words; may be empty.
    pub comment: String,
}

impl MaintenanceWindow {
    fn begins_on(&self, day: Weekday) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }

    /// The end of the window that is open at `now`; of several the latest.
    fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.as_millis() / DAY.as_millis() as u64;
        let days_back = self.duration.as_millis().div_ceil(DAY.as_millis()) as u64;
        let ends = (0..=days_back.min(8)).filter_map(|back| {
            let day = today.checked_sub(back).filter(|day| self.begins_on(Weekday::of(*day)))?;
            let begin = Timestamp::default() + DAY * u32::try_from(day).ok()? + self.from;
            let end = begin + self.duration;
            (begin <= now && now < end).then_some(end)
        });
        ends.max()
    }

    fn name(&self) -> String {
        if !self.comment.is_empty() {
            return format!("maintenance window \"{}\"", self.comment);
        }
        let (hours, minutes) = (self.from.as_secs() / 3_600, self.from.as_secs() / 60 % 60);
        let days: Vec<&str> = self.days.iter().map(|day| day.as_str()).collect();
        let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
        let lasts = words(self.duration);
        format!("maintenance window ({days} {hours:02}:{minutes:02} UTC for {lasts})")
    }
}

/// The window in force at `now`; of several the one that ends last.
pub fn in_force(windows: &[MaintenanceWindow], now: Timestamp) -> Option<Quiet> {
    let open = windows.iter().filter_map(|window| Some((window.open_until(now)?, window)));
    let (until, window) = open.max_by_key(|(until, _)| *until)?;
    Some(Quiet { why: window.name(), until })
}

/// Whether the windows leave no minute of the week.
pub fn leave_no_time(windows: &[MaintenanceWindow]) -> bool {
    let mut quiet = vec![false; WEEK_MINUTES];
    for window in windows {
        let days = Weekday::ALL.into_iter().enumerate();
        for (number, _) in days.filter(|(_, day)| window.begins_on(*day)) {
            let begin = DAY * number as u32 + window.from;
            let minutes = window.duration.min(LONGEST_WINDOW).as_secs() / MINUTE.as_secs();
            let first = (begin.as_secs() / MINUTE.as_secs()) as usize;
            for minute in first..first + minutes as usize {
                quiet[minute % WEEK_MINUTES] = true;
            }
        }
    }
    quiet.into_iter().all(|minute| minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap()
    }

    fn window(days: &[Weekday], from_hours: u64, hours: u64) -> MaintenanceWindow {
        MaintenanceWindow {
            days: days.to_vec(),
            from: Duration::from_hours(from_hours),
            duration: Duration::from_hours(hours),
            comment: String::new(),
        }
    }

    #[test]
    fn a_window_is_open_from_its_first_instant_to_just_before_its_end() {
        let windows = [window(&[Weekday::Sat, Weekday::Sun], 2, 2)];
        // 3 January 2026 is a Saturday.
        for open in ["2026-01-03T02:00:00Z", "2026-01-03T03:59:59.999Z", "2026-01-04T02:30:00Z"] {
            assert!(in_force(&windows, at(open)).is_some(), "{open}");
        }
        for shut in ["2026-01-03T01:59:59.999Z", "2026-01-03T04:00:00Z", "2026-01-05T02:30:00Z"] {
            assert!(in_force(&windows, at(shut)).is_none(), "{shut}");
        }
        let quiet = in_force(&windows, at("2026-01-03T02:00:00Z")).unwrap();
        assert_eq!(quiet.until, at("2026-01-03T04:00:00Z"));
        assert_eq!(quiet.why, "maintenance window (sat, sun 02:00 UTC for 2h)");
    }

    #[test]
    fn a_window_goes_on_after_midnight_and_of_several_the_latest_end_counts() {
        let mut long = window(&[Weekday::Fri], 20, 36);
        long.comment = "storage".to_owned();
        let windows = [window(&[], 23, 2), long];
        let quiet = in_force(&windows, at("2026-01-03T00:30:00Z")).unwrap();
        assert_eq!(quiet.why, "maintenance window \"storage\"");
        assert_eq!(quiet.until, at("2026-01-04T08:00:00Z"));
        assert!(in_force(&windows[..1], at("1970-01-01T00:30:00Z")).is_none());
    }

    #[test]
    fn windows_leave_no_time_only_where_every_minute_of_the_week_is_in_one() {
        assert!(leave_no_time(&[window(&[], 3, 24)]));
        assert!(leave_no_time(&[window(&[Weekday::Wed], 23, 7 * 24)]));
        let mut nearly = window(&[], 3, 24);
        nearly.duration -= MINUTE;
        assert!(!leave_no_time(&[nearly]));
        assert!(!leave_no_time(&[]));
    }
}
