//! What keeps people from being told, and what they are told together.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::Metrics;

/// What is told of alerts besides the messages about them.
#[derive(Debug)]
pub(super) struct AlertInstruments {
    silences: Gauge<u64>,
    suppressed: Gauge<u64>,
    groups: Gauge<u64>,
    digests: Counter<u64>,
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
            groups: meter
                .u64_gauge("falconer_alert_groups")
                .with_description("Groups of alerts that are not over")
                .build(),
            digests: meter
                .u64_counter("falconer_alert_digests_total")
                .with_description("Messages to people that stood for those of several groups")
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

    /// How many groups of alerts there are at a receiver. `receiver` is a configured name.
    pub fn alert_groups(&self, receiver: &str, groups: usize) {
        let label = [KeyValue::new("receiver", receiver.to_owned())];
        self.inner.instruments.people.groups.record(groups as u64, &label);
    }

    /// A digest was accepted or not by a receiver. `receiver` is a configured name.
    pub fn digest_sent(&self, receiver: &str, delivered: bool) {
        let outcome = if delivered { "delivered" } else { "failed" };
        let labels =
            [KeyValue::new("receiver", receiver.to_owned()), KeyValue::new("outcome", outcome)];
        self.inner.instruments.people.digests.add(1, &labels);
    }
}
