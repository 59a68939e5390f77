//! When a sign of life goes out: at an interval, at once when falconer's condition changes, and again
//! soon where one was lost. Pure.

use std::time::Duration;

use serde::Serialize;

use super::backoff::BackoffSettings;
use crate::model::{Condition, Timestamp};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeartbeatSettings {
    /// Between two signs of life.
    pub interval: Duration,
    /// For one attempt.
    pub timeout: Duration,
    /// Whether the far side can be told that falconer is not well. Where it cannot, silence says so.
    pub tells_failure: bool,
    /// Between attempts after one that failed; never longer than the interval.
    pub backoff: BackoffSettings,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            tells_failure: false,
            backoff: BackoffSettings::default(),
        }
    }
}

/// Why a sign of life goes out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatReason {
    /// The first one of this process.
    First,
    /// The interval is over.
    Due,
    /// falconer's condition is another than the one that was told.
    Changed,
    /// The newest attempt failed and its back-off is over.
    Retry,
}

/// Why none goes out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SilenceReason {
    /// The newest one is not long ago.
    Interval,
    /// The newest attempt failed not long ago.
    Backoff,
    /// falconer is not well, and the far side learns that from silence alone.
    Unwell,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatDecision {
    /// Tell the present condition now.
    Send {
        /// Why.
        reason: BeatReason,
    },
    /// Decide anew at `until`.
    Wait {
        /// When.
        until: Timestamp,
        /// Why.
        reason: SilenceReason,
    },
}

/// What was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// Whether the newest sign that was accepted said that all is well.
    told_well: Option<bool>,
    /// When the next one is due.
    due: Option<Timestamp>,
    /// Attempts that failed in a row.
    failures: u32,
}

impl Pulse {
    /// What to do in this condition.
    pub fn decide(
        &self,
        condition: &Condition,
        settings: &HeartbeatSettings,
        now: Timestamp,
    ) -> BeatDecision {
        let is_well = condition.is_well();
        if !is_well && !settings.tells_failure {
            let until = now + settings.interval;
            return BeatDecision::Wait { until, reason: SilenceReason::Unwell };
        }
        let is_other = self.told_well.is_some_and(|told| told != is_well);
        // A back-off holds whatever is to be said: the far side does not answer.
        let reason = match (self.due, self.failures) {
            (Some(until), 1..) if now < until => {
                return BeatDecision::Wait { until, reason: SilenceReason::Backoff };
            }
            (_, 1..) => BeatReason::Retry,
            (None, 0) => BeatReason::First,
            (Some(_), 0) if is_other => BeatReason::Changed,
            (Some(until), 0) if now < until => {
                return BeatDecision::Wait { until, reason: SilenceReason::Interval };
            }
            (Some(_), 0) => BeatReason::Due,
        };
        BeatDecision::Send { reason }
    }

    /// A sign of life that began at `since` was accepted.
    pub fn accepted(
        &mut self,
        condition: &Condition,
        settings: &HeartbeatSettings,
        since: Timestamp,
    ) {
        *self = Self {
            told_well: Some(condition.is_well()),
            due: Some(since + settings.interval),
            failures: 0,
        };
    }

    /// A sign of life was not accepted. `random` is uniform in 0..1.
    pub fn failed(&mut self, settings: &HeartbeatSettings, random: f64, now: Timestamp) {
        let pause = settings.backoff.delay(self.failures, random).min(settings.interval);
        self.due = Some(now + pause);
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn settings() -> HeartbeatSettings {
        let backoff = BackoffSettings { jitter: 0.0, ..BackoffSettings::default() };
        HeartbeatSettings { backoff, ..HeartbeatSettings::default() }
    }

    fn sick() -> Condition {
        Condition::of(&["the alerter is beyond help".to_owned()])
    }

    fn send(reason: BeatReason) -> BeatDecision {
        BeatDecision::Send { reason }
    }

    fn wait(seconds: u64, reason: SilenceReason) -> BeatDecision {
        BeatDecision::Wait { until: at(seconds), reason }
    }

    #[test]
    fn a_sign_of_life_goes_out_at_once_and_then_at_the_interval() {
        let (mut pulse, settings) = (Pulse::default(), settings());
        assert_eq!(pulse.decide(&Condition::Well, &settings, at(0)), send(BeatReason::First));
        pulse.accepted(&Condition::Well, &settings, at(0));
        let waits = wait(60, SilenceReason::Interval);
        assert_eq!(pulse.decide(&Condition::Well, &settings, at(59)), waits);
        assert_eq!(pulse.decide(&Condition::Well, &settings, at(60)), send(BeatReason::Due));
    }

    #[test]
    fn one_that_was_lost_is_repeated_with_a_back_off_that_is_never_longer_than_the_interval() {
        let (mut pulse, settings) = (Pulse::default(), settings());
        let mut tries = Vec::new();
        let mut now = 0;
        while tries.len() < 10 {
            match pulse.decide(&Condition::Well, &settings, at(now)) {
                BeatDecision::Send { .. } => {
                    tries.push(now);
                    pulse.failed(&settings, 0.5, at(now));
                }
                BeatDecision::Wait { .. } => now += 1,
            }
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn a_change_is_told_at_once_where_the_far_side_understands_it() {
        let settings = HeartbeatSettings { tells_failure: true, ..settings() };
        let mut pulse = Pulse::default();
        pulse.accepted(&Condition::Well, &settings, at(0));
        assert_eq!(pulse.decide(&sick(), &settings, at(5)), send(BeatReason::Changed));
        pulse.accepted(&sick(), &settings, at(5));
        let waits = wait(65, SilenceReason::Interval);
        assert_eq!(pulse.decide(&sick(), &settings, at(6)), waits);
        assert_eq!(pulse.decide(&Condition::Well, &settings, at(7)), send(BeatReason::Changed));
    }

    #[test]
    fn where_the_far_side_understands_silence_only_it_gets_silence() {
        let (mut pulse, settings) = (Pulse::default(), settings());
        pulse.accepted(&Condition::Well, &settings, at(0));
        let silent = wait(65, SilenceReason::Unwell);
        assert_eq!(pulse.decide(&sick(), &settings, at(5)), silent);
        assert_eq!(pulse.decide(&Condition::Well, &settings, at(70)), send(BeatReason::Due));
    }
}
