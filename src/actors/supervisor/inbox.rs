//! What waits for a supervisor and must not get lost with one of its incarnations.

use actix::prelude::*;

use super::Supervisor;
use crate::actors::post::{Command, Post};
use crate::actors::recoverer::RecoveryProgressed;
use crate::actors::scaler::ScalingProgressed;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// Ends all probing of this cluster, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopProbing;

impl Command for StopProbing {
    type Key = ();

    fn key(&self) {}
}

/// Where outcomes wait for a supervisor; the same for all its incarnations. Cheap to clone.
#[derive(Clone, Default)]
pub struct SupervisorInbox {
    /// From the Recoverer.
    pub recovery: Post<RecoveryProgressed>,
    /// From the Scaler.
    pub scaling: Post<ScalingProgressed>,
    /// From the process, when it ends.
    pub stop: Post<StopProbing>,
}

impl SupervisorInbox {
    /// From now on `address` is woken when something arrives.
    pub fn publish(&self, address: &Addr<Supervisor>) {
        self.recovery.publish(address);
        self.scaling.publish(address);
        self.stop.publish(address);
    }

    /// For a new incarnation, before it takes anything.
    pub(super) fn begin_anew(&self, clock: Clock, metrics: &Metrics) {
        self.recovery.begin_anew("supervisor", clock, metrics);
        self.scaling.begin_anew("supervisor", clock, metrics);
        self.stop.begin_anew("supervisor", clock, metrics);
    }
}

impl Supervisor {
    pub(super) fn take_commands(&mut self) {
        while self.parts.inbox.stop.next().is_some() {
            self.memory().stop();
            self.children.clear();
        }
        while let Some(progress) = self.parts.inbox.recovery.next() {
            self.on_recovery(progress);
        }
        while let Some(progress) = self.parts.inbox.scaling.next() {
            self.view.scaling(&progress.component, progress.summary);
        }
    }

    /// A supervisor that was told to end stays so in its next incarnation.
    pub(super) fn is_stopped(&self) -> bool {
        self.memory().is_stopped()
    }
}
