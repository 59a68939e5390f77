//! What was told of one component, and when it is told again. Because a message can be lost with
//! the mailbox that it is in, what goes on is repeated; because most reports change nothing, it is
//! not repeated with each of them.

use std::time::Duration;

use super::IncidentChange;
use crate::actors::recoverer::RecoveryPhase;
use crate::model::{HealthState, Timestamp};
use crate::policy::health::{HealthTracker, Transition};

/// An open incident about which there is nothing new is told again after this time.
const RAISE_AGAIN: Duration = Duration::from_secs(5);

/// What the recoverer decides depends on the time as well, so it is asked with nearly every report.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Who is to be told of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tell {
    /// The alerter: the incident is open.
    pub raise: bool,
    /// The recoverer: it is to decide what to do.
    pub recover: bool,
    /// The recoverer: the component is healthy.
    pub healthy: bool,
}

/// What was told of one component.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    raised_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    healthy_at: Option<Timestamp>,
    /// Whether the recoverer was asked and has not said since that its action is over: it may wait
    /// for the component to become healthy.
    is_recovery_open: bool,
}

impl Told {
    /// The recoverer said something.
    pub(super) fn recovery_progressed(&mut self, phase: RecoveryPhase) {
        match phase {
            RecoveryPhase::Recovered | RecoveryPhase::NotRecovered => self.is_recovery_open = false,
            RecoveryPhase::Refused
            | RecoveryPhase::Started
            | RecoveryPhase::DryRun
            | RecoveryPhase::Escalated => {}
        }
    }

    /// Who is told of a report that was folded in; counts as told.
    pub(super) fn decide(
        &mut self,
        tracker: &HealthTracker,
        has_incident: bool,
        transition: Transition,
        change: &IncidentChange,
        now: Timestamp,
    ) -> Tell {
        let news = transition != Transition::Stayed || *change == IncidentChange::News;
        let is = |state| tracker.state() == state;
        let raise = has_incident && (news || is_due(self.raised_at, RAISE_AGAIN, now));
        let recover = has_incident
            && is(HealthState::Unhealthy)
            && (news || is_due(self.asked_at, ASK_AGAIN, now));
        let healthy = is(HealthState::Healthy)
            && (news || self.is_recovery_open && is_due(self.healthy_at, ASK_AGAIN, now));
        if raise {
            self.raised_at = Some(now);
        }
        if recover {
            self.asked_at = Some(now);
            self.is_recovery_open = true;
        }
        if healthy {
            self.healthy_at = Some(now);
        }
        Tell { raise, recover, healthy }
    }
}

fn is_due(told_at: Option<Timestamp>, again: Duration, now: Timestamp) -> bool {
    told_at.is_none_or(|at| now.since(at) >= again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Outcome, ReasonKind};
    use crate::policy::health::HealthSettings;

    /// Folds in an outcome every 100 ms, from `from`, and counts who is told.
    fn tell(
        tracker: &mut HealthTracker,
        told: &mut Told,
        from: u64,
        outcomes: &[Outcome],
    ) -> [usize; 3] {
        let settings = HealthSettings {
            failure_threshold: 1,
            success_threshold: 1,
            ..HealthSettings::default()
        };
        let mut counts = [0; 3];
        for (outcome, step) in outcomes.iter().zip(0..) {
            let now = Timestamp::from_millis(from + step * 100);
            let transition = tracker.observe(outcome, settings, now);
            let sick = tracker.state() == HealthState::Unhealthy;
            let tell = told.decide(tracker, sick, transition, &IncidentChange::Open, now);
            counts[0] += usize::from(tell.raise);
            counts[1] += usize::from(tell.recover);
            counts[2] += usize::from(tell.healthy);
        }
        counts
    }

    #[test]
    fn a_healthy_component_is_told_of_once_and_while_a_recovery_may_wait_for_it() {
        let mut tracker = HealthTracker::new(HealthSettings::default(), Timestamp::default());
        let mut told = Told::default();
        let healthy = vec![Outcome::Healthy; 100];
        let failed = vec![Outcome::failed(ReasonKind::Timeout, "timeout"); 100];
        assert_eq!(tell(&mut tracker, &mut told, 0, &healthy), [0, 0, 1]);
        assert_eq!(tell(&mut tracker, &mut told, 10_000, &failed), [2, 20, 0]);
        assert_eq!(tell(&mut tracker, &mut told, 20_000, &healthy), [0, 0, 20]);
        told.recovery_progressed(RecoveryPhase::Started);
        assert_eq!(tell(&mut tracker, &mut told, 30_000, &healthy), [0, 0, 20]);
        told.recovery_progressed(RecoveryPhase::Recovered);
        assert_eq!(tell(&mut tracker, &mut told, 40_000, &healthy), [0, 0, 0]);
    }
}
