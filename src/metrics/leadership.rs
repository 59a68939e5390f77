//! Whether this falconer acts.

use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::Metrics;

/// What is told of the election.
#[derive(Debug)]
pub(super) struct LeadershipInstruments {
    leader: Gauge<u64>,
    transitions: Counter<u64>,
}

impl LeadershipInstruments {
    /// Makes them known to `meter`.
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            leader: meter
                .u64_gauge("falconer_leader")
                .with_description("1 if this falconer acts: the leader, or the only one; else 0")
                .build(),
            transitions: meter
                .u64_counter("falconer_leader_transitions_total")
                .with_description("How often this falconer became the leader or ceased to be it")
                .build(),
        }
    }
}

impl Metrics {
    /// This falconer acts from now on, or no longer. `is_first`: nothing was known before.
    pub fn leads(&self, leads: bool, is_first: bool) {
        let LeadershipInstruments { leader, transitions } = &self.inner.instruments.leadership;
        leader.record(u64::from(leads), &[]);
        // So that the first one shows as an increase.
        transitions.add(u64::from(!is_first), &[]);
    }
}
