//! When an outside party is asked again after it stopped answering: a circuit breaker as a state
//! machine. Owns no party, asks nobody, and reads no clock.
//!
//! Closed: everybody may ask. After `threshold` failures to answer in a row it opens: nobody asks
//! before the end of a back-off, which grows with each further failure. Then one asks, as a trial
//! (half-open), while the others still wait. The first answer closes it, whatever the answer says:
//! who refuses is there.

use std::time::Duration;

use serde::Serialize;

use super::backoff::BackoffSettings;
use crate::model::Timestamp;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CircuitSettings {
    /// Failures to answer in a row before it opens; at least 1.
    pub threshold: u32,
    /// How long it stays open: the first delay after the failure that opens it, the next one after
    /// each trial that fails.
    pub backoff: BackoffSettings,
    /// A trial of which nothing was heard for this long counts as lost, and another is allowed.
    pub trial_timeout: Duration,
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Circuit {
    /// The party answers, or has not failed often enough.
    Closed {
        /// Failures to answer in a row.
        failures: u32,
    },
    /// The party does not answer and is left alone.
    Open {
        /// Failures to answer in a row.
        failures: u32,
        /// Until when.
        until: Timestamp,
    },
    /// One asks to see whether it answers again.
    HalfOpen {
        /// Failures to answer in a row before the trial.
        failures: u32,
        /// When the trial began.
        asked_at: Timestamp,
    },
}

/// Whether the party may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitDecision {
    /// Ask, and say how it went.
    Ask {
        /// Why.
        reason: AskReason,
    },
    /// Do not ask before `until`.
    Wait {
        /// When to decide anew.
        until: Timestamp,
        /// Why.
        reason: WaitReason,
    },
}

/// Why the party may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskReason {
    /// It answers, as far as is known.
    Closed,
    /// Its back-off is over: this is the trial.
    Trial,
    /// The trial before was lost: this is another.
    TrialLost,
}

/// Why the party is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// It has failed not long ago.
    Backoff,
    /// Somebody else is trying it right now.
    TrialUnderWay,
}

/// What an event did to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitChange {
    /// It stands as before: closed.
    Stayed,
    /// It was closed and is open now.
    Opened {
        /// Until when.
        until: Timestamp,
    },
    /// The trial failed; it is open for longer.
    Reopened {
        /// Until when.
        until: Timestamp,
    },
    /// It was open and is closed now.
    Closed {
        /// How many failures to answer it took to bring it down.
        failures: u32,
    },
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether the party may be asked at `now`. Changes nothing: see [`Circuit::begin`].
    pub fn decide(&self, settings: &CircuitSettings, now: Timestamp) -> CircuitDecision {
        match *self {
            Self::Closed { .. } => CircuitDecision::Ask { reason: AskReason::Closed },
            Self::Open { until, .. } if now < until => {
                CircuitDecision::Wait { until, reason: WaitReason::Backoff }
            }
            Self::Open { .. } => CircuitDecision::Ask { reason: AskReason::Trial },
            Self::HalfOpen { asked_at, .. } => {
                let until = asked_at + settings.trial_timeout;
                if now < until {
                    CircuitDecision::Wait { until, reason: WaitReason::TrialUnderWay }
                } else {
                    CircuitDecision::Ask { reason: AskReason::TrialLost }
                }
            }
        }
    }

    /// The party is being asked: where the circuit is not closed, this is the trial.
    pub fn begin(&mut self, now: Timestamp) {
        match *self {
            Self::Closed { .. } => {}
            Self::Open { failures, .. } | Self::HalfOpen { failures, .. } => {
                *self = Self::HalfOpen { failures, asked_at: now };
            }
        }
    }

    /// The party has answered.
    pub fn answered(&mut self) -> CircuitChange {
        let change = match *self {
            Self::Closed { .. } => CircuitChange::Stayed,
            Self::Open { failures, .. } | Self::HalfOpen { failures, .. } => {
                CircuitChange::Closed { failures }
            }
        };
        *self = Self::default();
        change
    }

    /// The party has not answered. `random` is uniform in 0..1.
    pub fn unanswered(
        &mut self,
        settings: &CircuitSettings,
        random: f64,
        now: Timestamp,
    ) -> CircuitChange {
        let failures = self.failures().saturating_add(1);
        let threshold = settings.threshold.max(1);
        let was_closed = self.is_closed();
        if was_closed && failures < threshold {
            *self = Self::Closed { failures };
            return CircuitChange::Stayed;
        }
        let until = now + settings.backoff.delay(failures.saturating_sub(threshold), random);
        *self = Self::Open { failures, until };
        if was_closed { CircuitChange::Opened { until } } else { CircuitChange::Reopened { until } }
    }

    /// The party has said until when it wants to be left alone: an open circuit stays so at least
    /// until `at`.
    pub fn rest_until(&mut self, at: Timestamp) {
        match self {
            Self::Open { until, .. } => *until = at.max(*until),
            Self::Closed { .. } | Self::HalfOpen { .. } => {}
        }
    }

    /// Failures to answer in a row.
    pub fn failures(&self) -> u32 {
        match *self {
            Self::Closed { failures }
            | Self::Open { failures, .. }
            | Self::HalfOpen { failures, .. } => failures,
        }
    }

    /// Whether everybody may ask.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { .. } | Self::HalfOpen { .. } => false,
        }
    }

    /// The end of the present back-off, while the party is left alone.
    pub fn open_until(&self) -> Option<Timestamp> {
        match *self {
            Self::Open { until, .. } => Some(until),
            Self::Closed { .. } | Self::HalfOpen { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: CircuitSettings = CircuitSettings {
        threshold: 3,
        backoff: BackoffSettings {
            initial: Duration::from_secs(2),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: 0.2,
        },
        trial_timeout: Duration::from_secs(60),
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    /// A circuit that opened at 0, without jitter.
    fn opened() -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..2 {
            assert_eq!(circuit.unanswered(&SETTINGS, 0.5, at(0)), CircuitChange::Stayed);
        }
        let opened = CircuitChange::Opened { until: at(2_000) };
        assert_eq!(circuit.unanswered(&SETTINGS, 0.5, at(0)), opened);
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_starts_the_count_anew() {
        let mut circuit = Circuit::default();
        for _ in 0..10 {
            circuit.unanswered(&SETTINGS, 0.5, at(0));
            circuit.unanswered(&SETTINGS, 0.5, at(0));
            assert_eq!(circuit.answered(), CircuitChange::Stayed);
        }
        assert_eq!(
            circuit.decide(&SETTINGS, at(0)),
            CircuitDecision::Ask { reason: AskReason::Closed }
        );
    }

    #[test]
    fn after_its_back_off_one_asks_and_the_others_wait_for_the_trial() {
        let mut circuit = opened();
        let (until, reason) = (at(2_000), WaitReason::Backoff);
        assert_eq!(circuit.decide(&SETTINGS, at(1_999)), CircuitDecision::Wait { until, reason });
        let trial = CircuitDecision::Ask { reason: AskReason::Trial };
        assert_eq!(circuit.decide(&SETTINGS, at(2_000)), trial);
        circuit.begin(at(2_000));
        let (until, reason) = (at(62_000), WaitReason::TrialUnderWay);
        assert_eq!(circuit.decide(&SETTINGS, at(2_001)), CircuitDecision::Wait { until, reason });
        let another = CircuitDecision::Ask { reason: AskReason::TrialLost };
        assert_eq!(circuit.decide(&SETTINGS, at(62_000)), another);
        assert_eq!(circuit.answered(), CircuitChange::Closed { failures: 3 });
        assert!(circuit.is_closed());
    }

    #[test]
    fn each_failed_trial_keeps_it_open_for_longer_up_to_the_maximum() {
        let mut circuit = opened();
        let mut now = 2_000;
        let mut periods = Vec::new();
        for _ in 0..6 {
            circuit.begin(at(now));
            circuit.unanswered(&SETTINGS, 0.5, at(now));
            let until = circuit.open_until().expect("open");
            periods.push(until.since(at(now)).as_secs());
            now = until.since(at(0)).as_millis() as u64;
        }
        assert_eq!(periods, [4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_party_that_asks_to_be_left_alone_is_for_that_long_and_never_for_less() {
        let mut circuit = opened();
        let before = circuit.open_until().expect("open");
        circuit.rest_until(at(1_500));
        assert_eq!(circuit.open_until(), Some(before));
        circuit.rest_until(at(9_000));
        assert_eq!(circuit.open_until(), Some(at(9_000)));
        circuit.answered();
        circuit.rest_until(at(20_000));
        assert!(circuit.is_closed());
    }

    proptest! {
        /// Whatever happens, somebody may ask again after the longest back-off, and while it is
        /// open nobody asks more often than the back-off says.
        #[test]
        fn it_never_stays_open_for_ever_and_never_lets_anybody_hammer(
            steps in proptest::collection::vec((0_u64..5_000, 0_u8..3, 0.0_f64..1.0), 1..200),
        ) {
            let mut circuit = Circuit::default();
            let mut now = 0;
            for (pause, answer, random) in steps {
                now += pause;
                if let CircuitDecision::Wait { until, .. } = circuit.decide(&SETTINGS, at(now)) {
                    prop_assert!(!circuit.is_closed());
                    prop_assert!(until > at(now));
                    prop_assert!(until <= at(now) + Duration::from_secs(60));
                    continue;
                }
                circuit.begin(at(now));
                match answer {
                    0 => {
                        circuit.answered();
                        prop_assert!(circuit.is_closed());
                    }
                    1 => {
                        let before = circuit.failures();
                        circuit.unanswered(&SETTINGS, random, at(now));
                        prop_assert_eq!(circuit.failures(), before + 1);
                        if let Some(until) = circuit.open_until() {
                            prop_assert!(until >= at(now) + Duration::from_millis(1_600));
                        }
                    }
                    _ => {} // Its end is never told.
                }
            }
        }
    }
}
