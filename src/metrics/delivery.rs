//! How messages fare on their way to the receivers, beyond whether they arrive.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::Metrics;

/// What is told of deliveries besides their outcome.
#[derive(Debug)]
pub(super) struct DeliveryInstruments {
    duration: Histogram<f64>,
    flawed: Counter<u64>,
}

impl DeliveryInstruments {
    /// Makes them known to `meter`; `bounds` are those of latencies, in seconds.
    pub(super) fn new(meter: &Meter, bounds: &[f64]) -> Self {
        Self {
            duration: meter
                .f64_histogram("falconer_delivery_duration_seconds")
                .with_description("From the sending of a message to its acceptance")
                .with_boundaries(bounds.to_vec())
                .build(),
            flawed: meter
                .u64_counter("falconer_flawed_deliveries_total")
                .with_description("Messages that were accepted, but not as they should have been")
                .build(),
        }
    }
}

impl Metrics {
    /// A receiver has accepted a message, so long after that was sent. `receiver` is a configured
    /// name.
    pub fn message_accepted(&self, receiver: &str, took: Duration) {
        let label = KeyValue::new("receiver", receiver.to_owned());
        self.inner.instruments.delivery.duration.record(took.as_secs_f64(), &[label]);
    }

    /// A receiver has accepted a message, but something was not as it should have been.
    pub fn delivery_flawed(&self, receiver: &str) {
        let label = KeyValue::new("receiver", receiver.to_owned());
        self.inner.instruments.delivery.flawed.add(1, &[label]);
    }
}
