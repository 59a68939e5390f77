//! From single probe outcomes to a component's state: thresholds in both directions, and grace
//! while it starts.

use std::time::Duration;

use serde::Serialize;

use crate::model::{ComponentHealth, HealthState, Outcome, Reason, Timestamp};

/// Thresholds of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HealthSettings {
    /// Consecutive failures before a component is unhealthy; at least 1.
    pub failure_threshold: u32,
    /// Consecutive successes before a sick component is healthy again; at least 1.
    pub success_threshold: u32,
    /// For how long after its start a component may fail without being unhealthy.
    pub startup_grace: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { failure_threshold: 3, success_threshold: 2, startup_grace: Duration::from_secs(60) }
    }
}

/// What one outcome did to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The state is as before.
    Stayed,
    /// The state has changed.
    Moved {
        /// From this one.
        from: HealthState,
        /// To this one.
        to: HealthState,
    },
}

/// Until when failures do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grace {
    until: Timestamp,
    /// A component that has come up has no more excuse; a service whose parts restart one by one has.
    ends_on_success: bool,
}

/// The running judgement of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthTracker {
    state: HealthState,
    since: Timestamp,
    reason: Option<Reason>,
    failures: u32,
    /// Outcomes in a row that were not failures.
    successes: u32,
    /// Healthy outcomes in a row.
    clean: u32,
    /// Degraded outcomes since the last clean one or failure.
    degraded: u32,
    grace: Option<Grace>,
}

impl HealthTracker {
    /// A component that was first seen at `now`, with its startup grace ahead of it.
    pub fn new(settings: HealthSettings, now: Timestamp) -> Self {
        Self {
            state: HealthState::Unknown,
            since: now,
            reason: None,
            failures: 0,
            successes: 0,
            clean: 0,
            degraded: 0,
            grace: Some(Grace { until: now + settings.startup_grace, ends_on_success: true }),
        }
    }

    /// Its workload was just restarted: failures do not count until `until`, or, with
    /// `ends_on_success`, until it has come up.
    pub fn grant_grace(&mut self, until: Timestamp, ends_on_success: bool) {
        self.grace = Some(Grace { until, ends_on_success });
    }

    /// Whether failures are excused at `now`.
    pub fn in_grace(&self, now: Timestamp) -> bool {
        self.grace.is_some_and(|grace| now < grace.until)
    }

    /// Folds in one outcome. One that is inconclusive changes nothing.
    pub fn observe(
        &mut self,
        outcome: &Outcome,
        settings: HealthSettings,
        now: Timestamp,
    ) -> Transition {
        if outcome.is_inconclusive() {
            return Transition::Stayed;
        }
        let next = match outcome {
            Outcome::Healthy => {
                self.clean = self.clean.saturating_add(1);
                self.degraded = 0;
                self.on_success(settings, HealthState::Healthy, now)
            }
            Outcome::Degraded { .. } => {
                self.clean = 0;
                self.degraded = self.degraded.saturating_add(1);
                self.on_success(settings, HealthState::Degraded, now)
            }
            Outcome::Failed { .. } => self.on_failure(settings, now),
        };
        if next == HealthState::Healthy && self.grace.is_some_and(|grace| grace.ends_on_success) {
            self.grace = None;
        }
        if !outcome.is_healthy() || next == HealthState::Healthy {
            self.reason = outcome.reason().cloned();
        }
        self.move_to(next, now)
    }

    /// Whether it has been degraded for so long that somebody should know: longer than its new
    /// replicas may take to start, so that a component that is being scaled up alarms nobody.
    pub fn is_persistently_degraded(&self, settings: HealthSettings, now: Timestamp) -> bool {
        self.state == HealthState::Degraded
            && self.degraded >= settings.failure_threshold
            && now.since(self.since) >= settings.startup_grace
            && !self.in_grace(now)
    }

    /// The state.
    pub fn state(&self) -> HealthState {
        self.state
    }

    /// The state with everything that belongs to it.
    pub fn health(&self) -> ComponentHealth {
        ComponentHealth {
            state: self.state,
            since: self.since,
            reason: self.reason.clone(),
            consecutive_failures: self.failures,
            consecutive_successes: self.successes,
        }
    }

    fn on_success(
        &mut self,
        settings: HealthSettings,
        target: HealthState,
        now: Timestamp,
    ) -> HealthState {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let confirmed = self.successes >= settings.success_threshold;
        match (self.state, target) {
            // The first good news is believed at once, and so is a blemish on a healthy one.
            (HealthState::Unknown, _) | (HealthState::Healthy, HealthState::Degraded) => target,
            // What was restarted a moment ago and serves again is at least not what it was.
            (HealthState::Unhealthy, HealthState::Degraded) if confirmed || self.in_grace(now) => {
                target
            }
            (_, HealthState::Healthy) if self.clean >= settings.success_threshold => target,
            (state, _) => state,
        }
    }

    fn on_failure(&mut self, settings: HealthSettings, now: Timestamp) -> HealthState {
        self.successes = 0;
        self.clean = 0;
        self.degraded = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures < settings.failure_threshold {
            return self.state;
        }
        match self.state {
            HealthState::Healthy | HealthState::Degraded if self.in_grace(now) => {
                HealthState::Degraded
            }
            HealthState::Unknown if self.in_grace(now) => HealthState::Unknown,
            HealthState::Unknown
            | HealthState::Healthy
            | HealthState::Degraded
            | HealthState::Unhealthy => HealthState::Unhealthy,
        }
    }

    fn move_to(&mut self, next: HealthState, now: Timestamp) -> Transition {
        if next == self.state {
            return Transition::Stayed;
        }
        let from = std::mem::replace(&mut self.state, next);
        self.since = now;
        Transition::Moved { from, to: next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReasonKind;

    const SETTINGS: HealthSettings = HealthSettings {
        failure_threshold: 3,
        success_threshold: 2,
        startup_grace: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn failed() -> Outcome {
        Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
    }

    fn degraded() -> Outcome {
        Outcome::degraded(ReasonKind::Limited, "CheckHealth is slow")
    }

    /// Feeds one outcome a second from second `start` and returns the states.
    fn feed(tracker: &mut HealthTracker, start: u64, outcomes: &[Outcome]) -> Vec<HealthState> {
        outcomes
            .iter()
            .zip(start..)
            .map(|(outcome, second)| {
                tracker.observe(outcome, SETTINGS, at(second));
                tracker.state()
            })
            .collect()
    }

    fn healthy_tracker() -> HealthTracker {
        let mut tracker = HealthTracker::new(SETTINGS, at(0));
        feed(&mut tracker, 0, &[Outcome::Healthy, Outcome::Healthy]);
        tracker
    }

    #[test]
    fn what_falconer_itself_could_not_probe_changes_nothing() {
        let own = || Outcome::failed(ReasonKind::OwnLimit, "too many open files");
        let mut tracker = healthy_tracker();
        feed(&mut tracker, 100, &[failed(), failed()]);
        let before = tracker.clone();
        feed(&mut tracker, 102, &vec![own(); 100]);
        assert_eq!(tracker, before, "neither a failure nor a success");
        assert_eq!(feed(&mut tracker, 300, &[failed()]), [HealthState::Unhealthy]);
    }

    #[test]
    fn the_first_success_is_believed_at_once() {
        let mut tracker = HealthTracker::new(SETTINGS, at(0));
        assert_eq!(feed(&mut tracker, 0, &[Outcome::Healthy]), [HealthState::Healthy]);
    }

    #[test]
    fn only_the_third_failure_in_a_row_makes_it_unhealthy() {
        let mut tracker = healthy_tracker();
        let outcomes = [failed(), failed(), Outcome::Healthy, failed(), failed(), failed()];
        use HealthState::{Healthy, Unhealthy};
        assert_eq!(
            feed(&mut tracker, 100, &outcomes),
            [Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy]
        );
        assert_eq!(tracker.health().reason.unwrap().text, "timeout after 5s");
        assert_eq!(tracker.health().since, at(105));
    }

    #[test]
    fn two_successes_in_a_row_make_it_healthy_again() {
        let mut tracker = healthy_tracker();
        feed(&mut tracker, 100, &[failed(), failed(), failed()]);
        use HealthState::{Healthy, Unhealthy};
        let outcomes = [Outcome::Healthy, failed(), Outcome::Healthy, Outcome::Healthy];
        assert_eq!(feed(&mut tracker, 103, &outcomes), [Unhealthy, Unhealthy, Unhealthy, Healthy]);
        assert_eq!(tracker.health().reason, None);
    }

    #[test]
    fn what_has_never_answered_is_unknown_until_its_grace_is_over() {
        let mut tracker = HealthTracker::new(SETTINGS, at(0));
        let states = feed(&mut tracker, 0, &vec![failed(); 61]);
        assert!(states[..60].iter().all(|state| *state == HealthState::Unknown));
        assert_eq!(states[60], HealthState::Unhealthy);
    }

    #[test]
    fn the_first_grace_ends_when_the_component_has_come_up() {
        let mut tracker = HealthTracker::new(SETTINGS, at(0));
        let states = feed(&mut tracker, 0, &[Outcome::Healthy, failed(), failed(), failed()]);
        assert_eq!(states[3], HealthState::Unhealthy);
    }

    #[test]
    fn a_service_in_grace_is_degraded_and_not_unhealthy() {
        let mut tracker = healthy_tracker();
        tracker.grant_grace(at(160), false);
        let states = feed(&mut tracker, 100, &[degraded(), failed(), failed(), failed(), failed()]);
        assert!(states.iter().all(|state| *state == HealthState::Degraded), "{states:?}");
        assert!(!tracker.is_persistently_degraded(SETTINGS, at(105)));
        assert_eq!(feed(&mut tracker, 160, &[failed()]), [HealthState::Unhealthy]);
    }

    #[test]
    fn a_sick_service_that_serves_again_in_its_grace_is_degraded_at_once() {
        let mut tracker = healthy_tracker();
        feed(&mut tracker, 100, &[failed(), failed(), failed()]);
        assert_eq!(tracker.state(), HealthState::Unhealthy);
        assert_eq!(feed(&mut tracker, 103, &[degraded()]), [HealthState::Unhealthy]);
        tracker.grant_grace(at(164), false);
        let states = feed(&mut tracker, 105, &[failed(), degraded(), failed(), failed(), failed()]);
        use HealthState::{Degraded, Unhealthy};
        assert_eq!(states, [Unhealthy, Degraded, Degraded, Degraded, Degraded]);
    }

    #[test]
    fn a_blemish_shows_at_once_and_is_worth_an_alert_once_it_outlasts_a_start() {
        let mut tracker = healthy_tracker();
        assert_eq!(feed(&mut tracker, 100, &[degraded()]), [HealthState::Degraded]);
        feed(&mut tracker, 101, &vec![degraded(); 59]);
        assert!(!tracker.is_persistently_degraded(SETTINGS, at(159)));
        assert!(tracker.is_persistently_degraded(SETTINGS, at(160)));
        assert_eq!(
            feed(&mut tracker, 161, &[Outcome::Healthy, Outcome::Healthy]),
            [HealthState::Degraded, HealthState::Healthy]
        );
    }
}
