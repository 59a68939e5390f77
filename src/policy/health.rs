//! From single probe outcomes to a component's state: thresholds in both directions, and grace
//! while it starts.

use std::time::Duration;

use serde::Serialize;

use super::flapping::FlapSettings;
use crate::model::{ComponentHealth, HealthState, Outcome, Reason, ReasonKind, Timestamp};

/// Thresholds of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HealthSettings {
    /// Consecutive failures before a component is unhealthy; at least 1.
    pub failure_threshold: u32,
    /// Consecutive successes before a sick component is healthy again; at least 1.
    pub success_threshold: u32,
    /// For how long after its start a component may fail without being unhealthy.
    pub startup_grace: Duration,
    /// When it comes and goes too often.
    pub flapping: FlapSettings,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            failure_threshold: 3,
            success_threshold: 2,
            startup_grace: Duration::from_secs(60),
            flapping: FlapSettings::default(),
        }
    }
}

/// How much a failed outcome weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Made when the schedule said so. Only such failures add up to `failure_threshold`: probes
    /// out of turn come in quick succession and say the same again and again.
    pub scheduled: bool,
    /// The platform says by itself, after thresholds of its own, that nothing serves.
    pub confirmed: bool,
}

impl Weight {
    /// A probe of the schedule, of which the platform says nothing.
    pub const SCHEDULED: Self = Self { scheduled: true, confirmed: false };
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
    /// Since when every outcome was a failure, on schedule or out of turn; `None` where the newest
    /// was none.
    failing_since: Option<Timestamp>,
    /// Outcomes in a row that were not failures.
    successes: u32,
    /// Healthy outcomes in a row.
    clean: u32,
    /// Degraded outcomes since the last clean one or failure.
    degraded: u32,
    grace: Option<Grace>,
    /// The platform replaces what served: until then failures are excused.
    coming_up_until: Option<Timestamp>,
    /// Scaled to zero by its owner.
    off: bool,
    /// Whether `failure_threshold` failures in a row have made it unhealthy, and not the
    /// platform's word alone.
    counted_out: bool,
}

impl HealthTracker {
    /// A component that was first seen at `now`, with its startup grace ahead of it.
    pub fn new(settings: HealthSettings, now: Timestamp) -> Self {
        Self {
            state: HealthState::Unknown,
            since: now,
            reason: None,
            failures: 0,
            failing_since: None,
            successes: 0,
            clean: 0,
            degraded: 0,
            grace: Some(startup_grace(settings, now)),
            coming_up_until: None,
            off: false,
            counted_out: false,
        }
    }

    /// A component of which it is known from before falconer was started in which state it was. It
    /// has no startup grace, and has to be found sick `failure_threshold` times anew before anything
    /// is done to it.
    pub fn resumed(state: HealthState, since: Timestamp, reason: Reason, now: Timestamp) -> Self {
        let grace = None;
        let settings = HealthSettings::default();
        Self { state, since, reason: Some(reason), grace, ..Self::new(settings, now) }
    }

    /// Whether it was found well as often as it takes to be believed.
    pub fn is_confirmed(&self, settings: HealthSettings) -> bool {
        self.successes >= settings.success_threshold
    }

    /// Its workload was just restarted: failures do not count until `until`, or, with
    /// `ends_on_success`, until it has come up.
    pub fn grant_grace(&mut self, until: Timestamp, ends_on_success: bool) {
        self.grace = Some(Grace { until, ends_on_success });
    }

    /// Whether failures are excused at `now`.
    pub fn in_grace(&self, now: Timestamp) -> bool {
        self.grace.is_some_and(|grace| now < grace.until)
            || self.coming_up_until.is_some_and(|until| now < until)
    }

    /// Folds in the outcome of a scheduled probe.
    pub fn observe(
        &mut self,
        outcome: &Outcome,
        settings: HealthSettings,
        now: Timestamp,
    ) -> Transition {
        self.observe_as(Weight::SCHEDULED, outcome, settings, now)
    }

    /// Folds in one outcome. One that is inconclusive changes nothing.
    pub fn observe_as(
        &mut self,
        weight: Weight,
        outcome: &Outcome,
        settings: HealthSettings,
        now: Timestamp,
    ) -> Transition {
        if outcome.is_inconclusive() {
            return Transition::Stayed;
        }
        self.failing_since = outcome.is_failed().then(|| self.failing_since.unwrap_or(now));
        if let Some(reason) = switched_off(outcome) {
            return self.switch_off(reason, now);
        }
        if std::mem::take(&mut self.off) {
            self.grace = Some(startup_grace(settings, now));
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
            Outcome::Failed { .. } => self.on_failure(weight, settings, now),
        };
        if next == HealthState::Healthy && !outcome.is_failed() {
            self.coming_up_until = None;
            self.grace = self.grace.filter(|grace| !grace.ends_on_success);
        }
        let settled = !outcome.is_healthy() || next == HealthState::Healthy;
        if settled && self.reason.as_ref() != outcome.reason() {
            self.reason = outcome.reason().cloned();
        }
        self.move_to(next, now)
    }

    /// The platform says, before any probe does, that fewer pods serve than did. Shown at once;
    /// that it is unhealthy takes a failed probe. `coming_up`: it is replacing what served, which
    /// excuses failures for the startup grace, once until it serves again.
    pub fn note(
        &mut self,
        reason: &Reason,
        coming_up: bool,
        settings: HealthSettings,
        now: Timestamp,
    ) -> Transition {
        self.explain(reason, coming_up, settings, now);
        match self.state {
            HealthState::Healthy => self.move_to(HealthState::Degraded, now),
            HealthState::Unknown | HealthState::Degraded | HealthState::Unhealthy => {
                Transition::Stayed
            }
        }
    }

    /// As [`HealthTracker::note`], of something that is done to it on purpose: the state stays.
    pub fn explain(
        &mut self,
        reason: &Reason,
        coming_up: bool,
        settings: HealthSettings,
        now: Timestamp,
    ) {
        if self.state == HealthState::Unhealthy {
            return;
        }
        if self.state == HealthState::Healthy && coming_up && self.coming_up_until.is_none() {
            self.coming_up_until = Some(now + settings.startup_grace);
        }
        self.clean = 0;
        self.reason = Some(reason.clone());
    }

    /// Whether its owner has scaled it to zero: nothing is there that could be well or sick.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Whether it is unhealthy because `failure_threshold` probes in a row have failed. The
    /// platform's word makes it unhealthy sooner, for people to know; acting takes this.
    pub fn is_counted_out(&self) -> bool {
        self.counted_out
    }

    /// Whether it has been degraded for so long that somebody should know: longer than its new
    /// replicas may take to start, so that a component that is being scaled up alarms nobody.
    pub fn is_persistently_degraded(&self, settings: HealthSettings, now: Timestamp) -> bool {
        self.state == HealthState::Degraded
            && self.degraded >= settings.failure_threshold
            && now.since(self.since) >= settings.startup_grace
            && !self.in_grace(now)
    }

    /// Failed probes in a row.
    pub fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    /// Probes in a row that found it degraded.
    pub fn consecutive_degraded(&self) -> u32 {
        self.degraded
    }

    /// The state.
    pub fn state(&self) -> HealthState {
        self.state
    }

    /// Since when it is in this state.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Why it is in this state, where there is a reason.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// Whether it is unhealthy, or its newest outcome was a failure, below the threshold too.
    pub fn is_unhealthy_or_failing(&self) -> bool {
        self.state == HealthState::Unhealthy || self.failing_since.is_some()
    }

    /// Since when every outcome was a failure, where the newest was one.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
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

    fn on_failure(
        &mut self,
        weight: Weight,
        settings: HealthSettings,
        now: Timestamp,
    ) -> HealthState {
        self.successes = 0;
        self.clean = 0;
        self.degraded = 0;
        if weight.scheduled {
            self.failures = self.failures.saturating_add(1);
        }
        if weight.confirmed {
            // What was coming up did not.
            self.coming_up_until = None;
        }
        let counted = self.failures >= settings.failure_threshold;
        if !counted && !weight.confirmed {
            return self.state;
        }
        let next = self.after_failures(now);
        self.counted_out |= counted && next == HealthState::Unhealthy;
        next
    }

    fn after_failures(&self, now: Timestamp) -> HealthState {
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

    fn switch_off(&mut self, reason: &Reason, now: Timestamp) -> Transition {
        (self.failures, self.successes, self.clean, self.degraded) = (0, 0, 0, 0);
        (self.grace, self.coming_up_until) = (None, None);
        self.off = true;
        self.reason = Some(reason.clone());
        self.move_to(HealthState::Unknown, now)
    }

    fn move_to(&mut self, next: HealthState, now: Timestamp) -> Transition {
        self.counted_out &= next == HealthState::Unhealthy;
        if next == self.state {
            return Transition::Stayed;
        }
        let from = std::mem::replace(&mut self.state, next);
        self.since = now;
        Transition::Moved { from, to: next }
    }
}

fn startup_grace(settings: HealthSettings, now: Timestamp) -> Grace {
    Grace { until: now + settings.startup_grace, ends_on_success: true }
}

/// Why there is nothing to judge, where its owner has switched it off.
fn switched_off(outcome: &Outcome) -> Option<&Reason> {
    outcome.reason().filter(|reason| reason.kind == ReasonKind::ScaledToZero)
}

#[cfg(test)]
mod tests;
