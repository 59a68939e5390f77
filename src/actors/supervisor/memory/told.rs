//! What was told of one component, and when it is told again. Because a message can be lost with
//! the mailbox that it is in, what goes on is repeated; because most reports change nothing, it is
//! not repeated with each of them.

use std::time::Duration;

use crate::actors::recoverer::RecoveryPhase;
use crate::model::Timestamp;

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
            // Also one that was asked for before falconer itself was made anew.
            RecoveryPhase::Started => self.is_recovery_open = true,
            RecoveryPhase::Refused
            | RecoveryPhase::DryRun
            | RecoveryPhase::Escalated
            | RecoveryPhase::Stopped => {}
        }
    }

    /// Who of those whom a report concerns is told of it; counts as told.
    pub(super) fn decide(&mut self, concerned: Tell, is_news: bool, now: Timestamp) -> Tell {
        let is_due = |told_at: Option<Timestamp>, again| {
            is_news || told_at.is_none_or(|at| now.since(at) >= again)
        };
        let tell = Tell {
            raise: concerned.raise && is_due(self.raised_at, RAISE_AGAIN),
            recover: concerned.recover && is_due(self.asked_at, ASK_AGAIN),
            healthy: concerned.healthy
                && (is_news || self.is_recovery_open && is_due(self.healthy_at, ASK_AGAIN)),
        };
        if tell.raise {
            self.raised_at = Some(now);
        }
        if tell.recover {
            self.asked_at = Some(now);
            self.is_recovery_open = true;
        }
        if tell.healthy {
            self.healthy_at = Some(now);
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SICK: Tell = Tell { raise: true, recover: true, healthy: false };
    const WELL: Tell = Tell { raise: false, recover: false, healthy: true };

    /// A hundred reports, one every 100 ms, of which the first brings news; counts who is told.
    fn tell(told: &mut Told, from: u64, concerned: Tell) -> [usize; 3] {
        let mut counts = [0; 3];
        for step in 0..100 {
            let now = Timestamp::from_millis(from + step * 100);
            let tell = told.decide(concerned, step == 0, now);
            counts[0] += usize::from(tell.raise);
            counts[1] += usize::from(tell.recover);
            counts[2] += usize::from(tell.healthy);
        }
        counts
    }

    #[test]
    fn a_healthy_component_is_told_of_once_and_while_a_recovery_may_wait_for_it() {
        let mut told = Told::default();
        assert_eq!(tell(&mut told, 0, WELL), [0, 0, 1]);
        assert_eq!(tell(&mut told, 10_000, SICK), [2, 20, 0]);
        assert_eq!(tell(&mut told, 20_000, WELL), [0, 0, 20]);
        told.recovery_progressed(RecoveryPhase::Started);
        assert_eq!(tell(&mut told, 30_000, WELL), [0, 0, 20]);
        told.recovery_progressed(RecoveryPhase::Recovered);
        assert_eq!(tell(&mut told, 40_000, WELL), [0, 0, 1]);
    }
}
