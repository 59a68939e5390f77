//! How each receiver of messages fares.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::Metrics;

/// Why a message will not be tried again; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageLoss {
    /// No attempt has succeeded in time.
    GivenUp,
    /// Its receiver is not configured any more.
    Removed,
}

impl MessageLoss {
    /// The value of the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GivenUp => "given_up",
            Self::Removed => "removed",
        }
    }
}

/// The instruments of receivers.
#[derive(Debug)]
pub(super) struct ReceiverInstruments {
    waiting: Gauge<u64>,
    dead: Gauge<u64>,
    lost: Counter<u64>,
}

impl ReceiverInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let gauge = |name, help| meter.u64_gauge(name).with_description(help).build();
        let lost = meter
            .u64_counter("falconer_messages_lost_total")
            .with_description("Messages that were not accepted and will not be tried again");
        Self {
            waiting: gauge(
                "falconer_receiver_waiting",
                "Alerts of which a receiver has not accepted the newest message",
            ),
            dead: gauge(
                "falconer_receiver_dead",
                "Whether a receiver has accepted nothing for long although messages wait",
            ),
            lost: lost.build(),
        }
    }
}

impl Metrics {
    /// How many alerts wait for a receiver, and whether it is dead. `receiver` is a configured name.
    pub fn receiver_is(&self, receiver: &str, waiting: u64, is_dead: bool) {
        let labels = [KeyValue::new("receiver", receiver.to_owned())];
        let instruments = &self.inner.instruments.receivers;
        instruments.waiting.record(waiting, &labels);
        instruments.dead.record(u64::from(is_dead), &labels);
    }

    /// A message will not be tried again although it was not accepted.
    pub fn message_lost(&self, receiver: &str, reason: MessageLoss) {
        let labels = [
            KeyValue::new("receiver", receiver.to_owned()),
            KeyValue::new("reason", reason.as_str()),
        ];
        self.inner.instruments.receivers.lost.add(1, &labels);
    }
}
