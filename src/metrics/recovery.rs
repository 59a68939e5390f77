//! What keeps recovery from going on, and from being written down.

use std::sync::Arc;

use opentelemetry::metrics::{Counter, Gauge, Meter};
use opentelemetry::{KeyValue, StringValue};

use super::Metrics;

/// What is told of recovery besides its actions.
#[derive(Debug)]
pub(super) struct RecoveryInstruments {
    breaker_open: Gauge<u64>,
    unwritten: Counter<u64>,
}

impl RecoveryInstruments {
    /// Makes them known to `meter`.
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            breaker_open: meter
                .u64_gauge("falconer_recovery_breaker_open")
                .with_description(
                    "1 where recovery of the cluster is stopped until a person has looked, else 0",
                )
                .build(),
            unwritten: meter
                .u64_counter("falconer_actions_unwritten_total")
                .with_description("Actions taken although the journal could not be written before")
                .build(),
        }
    }
}

impl Metrics {
    /// Whether the circuit breaker of `cluster` is open.
    pub fn breaker(&self, cluster: &Arc<str>, is_open: bool) {
        let label = KeyValue::new("cluster", StringValue::from(Arc::clone(cluster)));
        self.inner.instruments.recovery.breaker_open.record(u64::from(is_open), &[label]);
    }

    /// An action is taken although the journal could not be written.
    pub fn action_unwritten(&self) {
        self.inner.instruments.recovery.unwritten.add(1, &[]);
    }
}
