//! What is counted of messages to people.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::Metrics;

/// The instruments of messages to people.
#[derive(Debug)]
pub(super) struct AlertInstruments {
    digests: Counter<u64>,
    groups: Gauge<u64>,
    held: Gauge<u64>,
}

impl AlertInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let gauge = |name, help| meter.u64_gauge(name).with_description(help).build();
        Self {
            digests: meter
                .u64_counter("falconer_alert_digests_total")
                .with_description("Messages to people that stood for those of several groups")
                .build(),
            groups: gauge("falconer_alert_groups", "Groups of alerts that are not over"),
            held: gauge("falconer_alerts_held", "Alerts that are held back, by why"),
        }
    }
}

impl Metrics {
    /// A digest was accepted or not by a receiver. `receiver` is a configured name.
    pub fn digest_sent(&self, receiver: &str, delivered: bool) {
        let outcome = if delivered { "delivered" } else { "failed" };
        let labels =
            [KeyValue::new("receiver", receiver.to_owned()), KeyValue::new("outcome", outcome)];
        self.inner.instruments.messages.digests.add(1, &labels);
    }

    /// How many groups of alerts there are at a receiver. `receiver` is a configured name.
    pub fn alert_groups(&self, receiver: &str, groups: usize) {
        let label = [KeyValue::new("receiver", receiver.to_owned())];
        self.inner.instruments.messages.groups.record(groups as u64, &label);
    }

    /// How many alerts are held back somewhere for this reason, which is of a closed set.
    pub fn alerts_held(&self, kind: &'static str, alerts: usize) {
        let label = [KeyValue::new("kind", kind)];
        self.inner.instruments.messages.held.record(alerts as u64, &label);
    }
}
