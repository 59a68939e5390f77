//! Scalars that people write as text: durations and byte sizes. Owns their parsing and printing;
//! never judges whether a value makes sense (see `rules`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration as people write it: `"250ms"`, `"30s"`, `"5m"`, `"30d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration itself.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(human: HumanDuration) -> Self {
        human.0
    }
}

impl FromStr for HumanDuration {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text.trim()).map(Self)
    }
}

/// Units in which a duration is printed, largest first, in nanoseconds.
const DURATION_UNITS: [(u128, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// In the largest unit that needs no fraction: `5m`, `90s`, `250ms`.
impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let unit =
            DURATION_UNITS.into_iter().find(|(size, _)| nanos > 0 && nanos.is_multiple_of(*size));
        match unit {
            Some((size, name)) => write!(f, "{}{name}", nanos / size),
            None => f.write_str("0s"),
        }
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"250ms\", \"30s\" or \"5m\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A time of day as people write it: `"02:00"`, from midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// The time since midnight.
    pub const fn since_midnight(self) -> Duration {
        Duration::from_mins(self.hour as u64 * 60 + self.minute as u64)
    }
}

impl FromStr for TimeOfDay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hour, minute) = text.trim().split_once(':').ok_or(())?;
        let number = |digits: &str| {
            let fine = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if fine { digits.parse::<u8>().map_err(|_| ()) } else { Err(()) }
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        if hour < 24 && minute < 60 { Ok(Self { hour, minute }) } else { Err(()) }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = TimeOfDay;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time of day in UTC such as \"02:00\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TimeOfDay, E> {
                text.parse().map_err(|()| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A duration, or an empty text for none, which is the same as `"0s"`.
pub(crate) fn duration_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HumanDuration, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = HumanDuration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"15m\", or \"\" for never")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HumanDuration, E> {
            if text.trim().is_empty() {
                return Ok(HumanDuration::default());
            }
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Text)
}

/// A size in bytes: a whole number, or text such as `"10MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

/// Units of sizes, largest first, so that a size prints in the largest that fits.
const SIZE_UNITS: [(u64, &str); 7] = [
    (1 << 30, "GiB"),
    (1_000_000_000, "GB"),
    (1 << 20, "MiB"),
    (1_000_000, "MB"),
    (1 << 10, "KiB"),
    (1_000, "kB"),
    (1, "B"),
];

impl ByteSize {
    /// `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// In the largest binary or decimal unit that needs no fraction.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            SIZE_UNITS.into_iter().find(|(size, _)| self.0 > 0 && self.0.is_multiple_of(*size));
        match unit {
            Some((size, name)) => write!(f, "{}{name}", self.0 / size),
            None => f.write_str("0B"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ())?;
        let unit = unit.trim();
        let factor = SIZE_UNITS
            .into_iter()
            .find(|(_, name)| unit.is_empty() && *name == "B" || unit.eq_ignore_ascii_case(name))
            .map(|(size, _)| size)
            .ok_or(())?;
        number.checked_mul(factor).map(Self).ok_or(())
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"10MiB\", or a number of bytes")
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(|()| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

/// Reads one member of a closed set by its name; for model enums, which know their names but not
/// how to be read.
pub(crate) fn named<'de, D, T, const N: usize>(
    deserializer: D,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    let text = String::deserialize(deserializer)?;
    all.into_iter().find(|item| name(*item) == text).ok_or_else(|| {
        let names: Vec<String> = all.into_iter().map(|item| format!("`{}`", name(item))).collect();
        D::Error::custom(format_args!(
            "unknown variant `{text}`, expected one of {}",
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_they_are_written() {
        for text in ["0s", "250ms", "1s", "90s", "5m", "1h", "30d", "1500us"] {
            let parsed: HumanDuration = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
        assert!("30".parse::<HumanDuration>().is_err());
        assert!("-1s".parse::<HumanDuration>().is_err());
    }

    #[test]
    fn a_time_of_day_has_two_digits_on_both_sides() {
        assert_eq!(
            "02:30".parse::<TimeOfDay>().unwrap().since_midnight(),
            Duration::from_mins(150)
        );
        assert_eq!("23:59".parse::<TimeOfDay>().unwrap().to_string(), "23:59");
        for text in ["", "2", "2:00", "24:00", "12:60", "12:5", "+1:00", "12:00:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_text_with_a_unit_or_a_number() {
        for (text, bytes) in [("10MiB", 10 << 20), ("1 kb", 1_000), ("5", 5), ("7B", 7)] {
            assert_eq!(text.parse(), Ok(ByteSize::from_bytes(bytes)), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "10XB", "99999999999GiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(()), "{text}");
        }
        assert_eq!(ByteSize::from_bytes(10 << 20).to_string(), "10MiB");
        assert_eq!(ByteSize::from_bytes(1_025).to_string(), "1025B");
    }
}
