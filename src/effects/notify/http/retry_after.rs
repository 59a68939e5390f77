//! `Retry-After` (RFC 9110, section 10.2.3): for how long a server wants to be left alone. Reads
//! no clock: a date is held against the answer's own `Date`.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The time that the answer names, if it names one that can be read.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let named = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = named.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (seconds_of(named)?, seconds_of(text(DATE)?.trim())?);
    u64::try_from(until - now).ok().map(Duration::from_secs)
}

/// An HTTP date in seconds since 1970.
fn seconds_of(date: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pairs: &[(HeaderName, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name, value.parse().unwrap());
        }
        of(&headers).map(|time| time.as_secs())
    }

    #[test]
    fn it_is_a_number_of_seconds_or_a_date_beside_the_answers_own() {
        let now = (DATE, "Thu, 01 Jan 2026 00:00:00 GMT");
        let date = |text| (RETRY_AFTER, text);
        assert_eq!(after(&[date("30")]), Some(30));
        assert_eq!(after(&[now.clone(), date("Thu, 01 Jan 2026 00:02:05 GMT")]), Some(125));
        assert_eq!(after(&[now.clone(), date("Wed, 31 Dec 2025 23:00:00 GMT")]), None);
        assert_eq!(after(&[date("Thu, 01 Jan 2026 00:02:05 GMT")]), None);
        for odd in ["", "-1", "soon", "1e9", "99999999999999999999"] {
            assert_eq!(after(&[now.clone(), date(odd)]), None, "{odd}");
        }
        assert_eq!(after(&[now]), None);
    }
}
