//! When a group of alerts is told: its flushes, as Alertmanager has them, and its reminders. Owns no
//! alert and sends nothing.
//!
//! A group flushes for the first time `group_wait` after its first alert, then at every
//! `group_interval`. Flushes are computed, not counted: while nothing waits for one, no timer runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::routing::Place;
use crate::model::Timestamp;

/// A message that is begun this soon after a flush counts as begun at it: timers are late a little.
const PUNCTUAL: Duration = Duration::from_secs(1);
/// Reminders do not grow any further after so many doublings, whatever their cap is.
const MOST_DOUBLINGS: u32 = 16;

/// The intervals of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the first message waits for more alerts.
    pub group_wait: Duration,
    /// The time between flushes.
    pub group_interval: Duration,
    /// The time to the first reminder.
    pub repeat_interval: Duration,
    /// Reminders grow up to this; where it is shorter than the first, they do not grow.
    pub repeat_max: Duration,
}

/// Alerts that one receiver is told together, from the first that is raised to the last that is over
/// and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What its alerts have in common.
    pub labels: BTreeMap<String, String>,
    /// The first flush; the others follow from it.
    pub base: Timestamp,
    /// When the newest message that was accepted was sent; a flush where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Reminders since the newest trouble was told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reminders: u32,
    /// The name of the present matter: from the first message to the one that all is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Arc<str>>,
    /// What the receiver gave back for an earlier message of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// Its intervals, once its route is known.
    #[serde(skip)]
    pub(super) timing: Option<Timing>,
    /// Since when one of its alerts may cause a reminder, while one may.
    #[serde(skip)]
    pub(super) reminds_since: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Group {
    /// A group that begins with an alert and flushes for the first time at `base`.
    pub(super) fn new(place: &Place, base: Timestamp) -> Self {
        Self {
            labels: place.labels.clone(),
            base,
            told_at: None,
            reminders: 0,
            thread: None,
            reference: None,
            timing: Some(place.timing),
            reminds_since: None,
        }
    }

    /// The first flush at `at` or later.
    pub fn flush_from(&self, at: Timestamp) -> Timestamp {
        let every = self.timing.map_or(Duration::ZERO, |timing| timing.group_interval);
        if at <= self.base || every.is_zero() {
            return at.max(self.base);
        }
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        let passed = at.as_millis() - self.base.as_millis();
        self.base + Duration::from_millis(passed.div_ceil(every).saturating_mul(every))
    }

    /// The flush at which something that was begun at `at` was begun, or `at` where it was none.
    pub(super) fn flush_of(&self, at: Timestamp) -> Timestamp {
        let every = self.timing.map_or(Duration::ZERO, |timing| timing.group_interval);
        if every <= PUNCTUAL {
            return at;
        }
        let flush = self.flush_from(at.minus(PUNCTUAL));
        if flush <= at { flush } else { at }
    }

    /// When the next reminder is due; `None` where nobody has been told or nothing asks for one.
    pub fn reminder(&self) -> Option<Timestamp> {
        let (told_at, since) = (self.told_at?, self.reminds_since?);
        Some(self.flush_from(since.max(told_at + self.gap())))
    }

    /// From the newest message to the next reminder: each is twice as long as the one before.
    fn gap(&self) -> Duration {
        let Some(timing) = self.timing else { return Duration::ZERO };
        let doublings = self.reminders.min(MOST_DOUBLINGS);
        let cap = timing.repeat_max.max(timing.repeat_interval);
        timing.repeat_interval.saturating_mul(1 << doublings).min(cap)
    }

    /// The matter is over; what comes next in this group is another one.
    pub(super) fn end_thread(&mut self) {
        (self.told_at, self.reminders) = (None, 0);
        (self.thread, self.reference) = (None, None);
    }

    /// What a clock that was wrong has written must not keep people from being told.
    pub(super) fn not_after(mut self, now: Timestamp, longest: Duration) -> Self {
        let latest = if self.told_at.is_some() { now } else { now + longest };
        if self.base > latest {
            self.base = now;
        }
        self.told_at = self.told_at.map(|at| at.min(now));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn group() -> Group {
        let timing = Timing {
            group_wait: Duration::from_secs(5),
            group_interval: Duration::from_secs(60),
            repeat_interval: Duration::from_secs(300),
            repeat_max: Duration::from_secs(4 * 3_600),
        };
        let place = Place { key: "".into(), labels: BTreeMap::new(), timing };
        Group { reminds_since: Some(at(5)), ..Group::new(&place, at(5)) }
    }

    #[test]
    fn flushes_follow_from_the_first_one() {
        let group = group();
        for (from, flush) in [(0, 5), (5, 5), (6, 65), (65, 65), (66, 125), (3_606, 3_665)] {
            assert_eq!(group.flush_from(at(from)), at(flush), "{from}");
        }
    }

    #[test]
    fn what_begins_a_moment_after_a_flush_belongs_to_it() {
        let group = group();
        let late = at(65) + Duration::from_millis(400);
        assert_eq!(group.flush_of(late), at(65));
        assert_eq!(group.flush_of(at(65)), at(65));
        assert_eq!(group.flush_of(at(80)), at(80));
    }

    #[test]
    fn reminders_grow_up_to_their_cap_and_never_shrink_below_the_first() {
        let mut group = group();
        group.told_at = Some(at(5));
        for (reminders, gap) in
            [(0, 300), (1, 600), (2, 1_200), (5, 9_600), (6, 14_400), (99, 14_400)]
        {
            group.reminders = reminders;
            assert_eq!(group.reminder(), Some(at(5 + gap)), "{reminders}");
        }
        let constant = Timing { repeat_max: Duration::ZERO, ..group.timing.unwrap() };
        group.timing = Some(constant);
        assert_eq!(group.reminder(), Some(at(305)));
    }
}
