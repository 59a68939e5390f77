//! Beginnings and ends that were worked out by hand, also on the days on which clocks are changed.

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn at(text: &str) -> Timestamp {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap()
}

fn berlin(pattern: &str, duration: Duration) -> Recurrence {
    Recurrence::cron(pattern, "Europe/Berlin", duration).unwrap()
}

/// The next beginnings after `now`.
fn next(of: &Recurrence, now: &str, count: usize) -> Vec<String> {
    of.beginnings(at(now)).take(count).map(|begin| begin.to_string()).collect()
}

#[test]
fn an_expression_is_read_by_the_clocks_of_its_time_zone_summer_and_winter() {
    // Saturdays at 2 in Berlin are 1:00 UTC in winter and 0:00 UTC in summer.
    let weekly = berlin("0 2 * * sat", HOUR);
    assert_eq!(next(&weekly, "2026-01-01T00:00:00Z", 1), ["2026-01-03T01:00:00.000Z"]);
    assert_eq!(next(&weekly, "2026-07-01T00:00:00Z", 1), ["2026-07-04T00:00:00.000Z"]);
    assert_eq!(weekly.to_string(), "0 2 * * sat Europe/Berlin for 1h");
}

#[test]
fn it_is_open_from_its_first_instant_to_just_before_its_end() {
    let weekly = berlin("0 2 * * sat", HOUR * 2);
    for open in ["2026-01-03T01:00:00Z", "2026-01-03T02:59:59.999Z"] {
        assert_eq!(weekly.open_until(at(open)), Some(at("2026-01-03T03:00:00Z")), "{open}");
    }
    for shut in ["2026-01-03T00:59:59.999Z", "2026-01-03T03:00:00Z", "2026-01-03T03:00:00.5Z"] {
        assert_eq!(weekly.open_until(at(shut)), None, "{shut}");
    }
}

#[test]
fn a_time_that_the_clocks_leave_out_begins_when_they_were_put_forward() {
    // 29 March 2026, 01:00 UTC: in Berlin 02:00 becomes 03:00.
    let nightly = berlin("30 2 * * *", HOUR);
    assert_eq!(
        next(&nightly, "2026-03-27T12:00:00Z", 3),
        ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]
    );
    assert_eq!(nightly.open_until(at("2026-03-29T00:59:59Z")), None);
    assert_eq!(nightly.open_until(at("2026-03-29T01:00:00Z")), Some(at("2026-03-29T02:00:00Z")));
    assert_eq!(nightly.open_until(at("2026-03-29T02:00:00Z")), None);
}

#[test]
fn a_time_that_comes_twice_begins_the_first_time_only() {
    // 25 October 2026, 01:00 UTC: in Berlin 03:00 becomes 02:00. The first 02:30 is 00:30 UTC.
    let nightly = berlin("30 2 * * *", Duration::from_mins(30));
    assert_eq!(
        next(&nightly, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]
    );
    assert!(nightly.open_until(at("2026-10-25T00:45:00Z")).is_some(), "the first 02:45");
    assert!(nightly.open_until(at("2026-10-25T01:45:00Z")).is_none(), "the second 02:45");
}

#[test]
fn what_begins_every_hour_begins_in_both_hours_that_are_called_the_same() {
    let hourly = berlin("0 * * * *", Duration::from_mins(10));
    assert_eq!(
        next(&hourly, "2026-10-24T23:30:00Z", 3),
        ["2026-10-25T00:00:00.000Z", "2026-10-25T01:00:00.000Z", "2026-10-25T02:00:00.000Z"]
    );
    assert_eq!(
        next(&hourly, "2026-03-29T00:30:00Z", 2),
        ["2026-03-29T01:00:00.000Z", "2026-03-29T02:00:00.000Z"]
    );
}

#[test]
fn how_long_it_lasts_is_real_time_when_the_clocks_are_changed_meanwhile() {
    // From midnight to what the clocks call 05:00: an hour of them does not exist.
    let nightly = berlin("0 0 * * *", HOUR * 4);
    assert_eq!(
        nightly.open_until(at("2026-03-29T01:30:00Z")),
        Some(at("2026-03-29T03:00:00Z")),
        "began at 23:00 UTC of the day before"
    );
}

#[test]
fn a_window_of_the_week_is_what_it_always_was() {
    let days = [Weekday::Sat, Weekday::Sun];
    let weekend = Recurrence::weekly(&days, HOUR * 2, "UTC", HOUR * 2).unwrap();
    assert_eq!(weekend.to_string(), "sat, sun 02:00 UTC for 2h");
    // 3 January 2026 is a Saturday.
    assert_eq!(weekend.open_until(at("2026-01-04T02:30:00Z")), Some(at("2026-01-04T04:00:00Z")));
    assert_eq!(weekend.open_until(at("2026-01-05T02:30:00Z")), None);
    let nightly = Recurrence::weekly(&[], HOUR * 23, "UTC", HOUR * 2).unwrap();
    assert_eq!(nightly.open_until(at("2026-01-05T00:30:00Z")), Some(at("2026-01-05T01:00:00Z")));
    assert_eq!(nightly.open_until(at("1970-01-01T00:30:00Z")), None, "before all times");
    let week = Recurrence::weekly(&[], HOUR, "UTC", LONGEST_WINDOW).unwrap();
    assert_eq!(week.open_until(at("2026-01-05T00:30:00Z")), Some(at("2026-01-11T01:00:00Z")));
}

#[test]
fn what_makes_no_sense_is_refused_in_clear_words() {
    let refused =
        |pattern: &str, zone: &str| Recurrence::cron(pattern, zone, HOUR).unwrap_err().to_string();
    for pattern in ["", "0 2 * *", "0 0 2 * * sat", "@daily", "61 2 * * *", "0 2 * * someday", "x"]
    {
        let error = refused(pattern, "UTC");
        assert!(error.starts_with("is no cron expression of five fields"), "{pattern}: {error}");
    }
    assert_eq!(Recurrence::cron("0 2 30 2 *", "UTC", HOUR), Err(RecurrenceError::Never));
    for zone in ["", "Berlin", "Europe/Belin", "../etc/passwd"] {
        assert_eq!(Recurrence::cron("0 2 * * *", zone, HOUR), Err(RecurrenceError::Zone), "{zone}");
    }
    assert!(Recurrence::cron("0 2 * * *", "europe/berlin", HOUR).is_ok());
    assert!(time_zones().iter().any(|name| name == "Europe/Berlin"));
}

#[test]
fn how_often_something_comes_is_its_shortest_pause() {
    let period = |pattern: &str| berlin(pattern, HOUR).shortest_period().unwrap();
    assert_eq!(period("0 2 * * *"), HOUR * 24, "also in the night of 23 hours");
    assert_eq!(period("0 2,4 * * *"), HOUR * 2);
    assert_eq!(period("*/15 * * * *"), Duration::from_mins(15));
    assert_eq!(period("0 2 * * sat"), HOUR * 24 * 7);
    assert_eq!(period("0 2 1 * *"), HOUR * 24 * 28);
}

#[test]
fn times_leave_none_only_where_every_instant_of_the_week_is_in_one() {
    let daily = |hours: Duration| Recurrence::weekly(&[], HOUR * 3, "UTC", hours).unwrap();
    assert!(leave_no_time(&[daily(HOUR * 24)]));
    assert!(!leave_no_time(&[daily(Duration::from_mins(24 * 60 - 1))]));
    assert!(!leave_no_time(&[]));
    let wednesday = Recurrence::weekly(&[Weekday::Wed], HOUR * 23, "UTC", LONGEST_WINDOW).unwrap();
    assert!(leave_no_time(&[wednesday]));
    let hourly = Recurrence::cron("0 * * * *", "Asia/Tokyo", HOUR).unwrap();
    assert!(leave_no_time([&hourly]));
    let monthly = Recurrence::cron("0 0 1 * *", "UTC", LONGEST_WINDOW).unwrap();
    assert!(!leave_no_time([&monthly]));
}
