//! An instant on the wall clock, as plain data. Never reads the clock itself: see `clock.rs`.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch. Arithmetic saturates: it never panics and never goes below
/// the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time that passed from `earlier` to `self`; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The instant `by` before `self`, at the earliest the epoch.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_millis(by)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(saturating_millis(by)))
    }
}

fn saturating_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Follows the milliseconds of an instant that no calendar has.
const AFTER_THE_EPOCH: &str = " ms after the epoch";

/// RFC 3339 in UTC with milliseconds, as `2026-01-01T00:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}{AFTER_THE_EPOCH}", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What [`Timestamp`]'s own `Display` writes, and any other RFC 3339 instant after the epoch.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        if let Some(millis) = text.strip_suffix(AFTER_THE_EPOCH) {
            return millis.parse().map(Self).map_err(serde::de::Error::custom);
        }
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        let millis = u64::try_from(instant.as_millisecond()).map_err(serde::de::Error::custom)?;
        Ok(Self(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_read_back_as_it_was_written() {
        for millis in [0, 1_767_225_600_123, u64::MAX - 1] {
            let instant = Timestamp::from_millis(millis);
            let text = serde_json::to_string(&instant).expect("JSON");
            assert_eq!(serde_json::from_str::<Timestamp>(&text).expect("an instant"), instant);
        }
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn a_timestamp_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_767_225_600_042).to_string(),
            "2026-01-01T00:00:00.042Z"
        );
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let start = Timestamp::from_millis(5);
        assert_eq!(start.minus(Duration::from_secs(1)), Timestamp::default());
        assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((start + Duration::MAX).as_millis(), u64::MAX);
    }
}
