//! Times that come again, in somebody's time zone. Owns what a cron expression means there, also on
//! the days on which the clocks are changed; never reads a clock and never asks the machine for its
//! time zones: those of this build are the same everywhere.
//!
//! A fixed time that the clocks leave out begins when they have been put forward (02:30 becomes 03:00),
//! and one that comes twice begins the first time only. An expression that begins several times a day,
//! such as `0 * * * *`, begins whenever the clock shows such a time: not in an hour that is left out,
//! and twice in one that comes twice. How long it lasts is real time, whatever the clocks show.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Serialize, Serializer};

use crate::model::Timestamp;
use crate::policy::recovery::refusal::words;

/// Nothing that comes again lasts longer.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(7 * 24);
/// More beginnings than these are never looked at: each of them may last a week.
const MOST_BEGINNINGS: usize = 10_000;
/// So many beginnings say how often something comes.
const SAMPLE: usize = 3_000;
/// The first instant of a year, from which beginnings are looked at where none is now.
const REFERENCE: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// A week from then on is looked at as a whole.
const WEEK: Duration = Duration::from_hours(7 * 24);

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

    /// The name as it stands in `actors.toml`, and in cron expressions.
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
}

/// Why something cannot come again; a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// The expression is none.
    #[error(
        "is no cron expression of five fields (minute, hour, day of month, month, day of week), such \
         as \"0 2 * * sat\": {0}"
    )]
    Pattern(String),
    /// Nobody knows the time zone.
    #[error("is no time zone of the IANA database, such as \"Europe/Berlin\" or \"UTC\"")]
    Zone,
    /// No day is like that.
    #[error("never comes: no day is like that")]
    Never,
}

/// A time that comes again, and how long it lasts.
#[derive(Clone, PartialEq, Eq)]
pub struct Recurrence {
    cron: Cron,
    zone: TimeZone,
    duration: Duration,
    /// As people wrote it, e.g. `0 2 * * sat`.
    text: String,
}

impl Recurrence {
    /// What begins as the cron expression `pattern` says by the clocks of the time zone `zone`.
    ///
    /// # Errors
    /// When one of both makes no sense.
    pub fn cron(pattern: &str, zone: &str, duration: Duration) -> Result<Self, RecurrenceError> {
        let fields = pattern.split_whitespace().count();
        if fields != 5 {
            let words = format!("it has {fields} fields");
            return Err(RecurrenceError::Pattern(words));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let cron = parser.build().parse(pattern);
        let cron = cron.map_err(|error| RecurrenceError::Pattern(error.to_string()))?;
        let zone = time_zone(zone).ok_or(RecurrenceError::Zone)?;
        let recurrence = Self { cron, zone, duration, text: pattern.trim().to_owned() };
        recurrence.next_beginning(REFERENCE).ok_or(RecurrenceError::Never)?;
        Ok(recurrence)
    }

    /// What begins `from` after midnight on these days of the week; with none on every day.
    ///
    /// # Errors
    /// When there is no such time zone.
    pub fn weekly(
        days: &[Weekday],
        from: Duration,
        zone: &str,
        duration: Duration,
    ) -> Result<Self, RecurrenceError> {
        let (hours, minutes) = (from.as_secs() / 3_600, from.as_secs() / 60 % 60);
        let names: Vec<&str> = days.iter().map(|day| day.as_str()).collect();
        let on = if names.is_empty() { "*".to_owned() } else { names.join(",") };
        let recurrence = Self::cron(&format!("{minutes} {hours} * * {on}"), zone, duration)?;
        let on = if names.is_empty() { "every day".to_owned() } else { names.join(", ") };
        Ok(Self { text: format!("{on} {hours:02}:{minutes:02}"), ..recurrence })
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The end of what is open at `now`; of several the latest.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        // What began no later than this is over.
        let beginnings = self.beginnings(now.minus(self.duration));
        let begun = beginnings.take_while(|begin| *begin <= now);
        begun.last().map(|begin| begin + self.duration).filter(|end| now < *end)
    }

    /// When it begins next, after `now`.
    pub fn next_beginning(&self, now: Timestamp) -> Option<Timestamp> {
        let after = self.by_our_clock(now)?;
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        let millis = u64::try_from(next.timestamp().as_millisecond()).ok()?;
        // Two beginnings are never one instant.
        Some(Timestamp::from_millis(millis)).filter(|next| *next > now)
    }

    /// Its beginnings after `now`, as many as are ever looked at.
    fn beginnings(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let all = std::iter::successors(Some(now), |last| self.next_beginning(*last));
        all.skip(1).take(MOST_BEGINNINGS)
    }

    fn by_our_clock(&self, at: Timestamp) -> Option<Zoned> {
        let millis = i64::try_from(at.as_millis()).ok()?;
        let instant = jiff::Timestamp::from_millisecond(millis).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }

    /// The shortest time from one beginning to the next, clocks that are changed left aside.
    pub fn shortest_period(&self) -> Option<Duration> {
        let unchanged = Self { zone: TimeZone::UTC, ..self.clone() };
        let beginnings: Vec<Timestamp> = unchanged.beginnings(REFERENCE).take(SAMPLE).collect();
        beginnings.windows(2).map(|pair| pair[1].since(pair[0])).min()
    }
}

/// Whether some of them leave no instant of a week.
pub fn leave_no_time<'a>(times: impl IntoIterator<Item = &'a Recurrence>) -> bool {
    let (first, last) = (REFERENCE + WEEK, REFERENCE + WEEK * 2);
    let mut open: Vec<(Timestamp, Timestamp)> = Vec::new();
    for time in times {
        let begun = time.beginnings(REFERENCE).take_while(|begin| *begin < last);
        open.extend(begun.map(|begin| (begin, begin + time.duration)));
    }
    open.sort_unstable();
    let covered =
        open.into_iter().fold(
            first,
            |covered, (begin, end)| {
                if begin <= covered { covered.max(end) } else { covered }
            },
        );
    covered >= last
}

/// The names of all time zones.
pub fn time_zones() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

/// Whether there is such a time zone.
pub fn is_time_zone(name: &str) -> bool {
    time_zone(name).is_some()
}

fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// `sat, sun 02:00 UTC for 2h`
impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} {zone} for {}", self.text, words(self.duration))
    }
}

impl fmt::Debug for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recurrence({self})")
    }
}

impl Serialize for Recurrence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
