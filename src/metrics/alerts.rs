//! What keeps people from being told.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Gauge, Meter};

use super::Metrics;

/// What is told of alerts besides the messages about them.
#[derive(Debug)]
pub(super) struct AlertInstruments {
    silences: Gauge<u64>,
    suppressed: Gauge<u64>,
}

impl AlertInstruments {
    /// Makes them known to `meter`.
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            silences: meter
                .u64_gauge("falconer_silences_active")
                .with_description("Silences in force")
                .build(),
            suppressed: meter
                .u64_gauge("falconer_alerts_suppressed")
                .with_description("Open alerts of which somebody is not told at the moment, by why")
                .build(),
        }
    }
}

impl Metrics {
    /// So many silences are in force.
    pub fn silences_active(&self, count: usize) {
        self.inner.instruments.people.silences.record(count as u64, &[]);
    }

    /// So many open alerts are held back for `reason`, which is from a closed set.
    pub fn alerts_suppressed(&self, reason: &'static str, count: usize) {
        let labels = [KeyValue::new("reason", reason)];
        self.inner.instruments.people.suppressed.record(count as u64, &labels);
    }
}
