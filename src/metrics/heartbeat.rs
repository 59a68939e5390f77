//! What is counted of the signs of life.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use super::Metrics;

/// What became of a sign of life; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatOutcome {
    /// The far side took it.
    Accepted,
    /// It did not.
    Failed,
    /// It was not sent: falconer is not well, or another one leads. Counted when that begins.
    Withheld,
}

impl HeartbeatOutcome {
    /// The value of the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Withheld => "withheld",
        }
    }
}

/// The instruments of the signs of life.
#[derive(Debug)]
pub(super) struct HeartbeatInstruments {
    beats: Counter<u64>,
}

impl HeartbeatInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let beats = meter
            .u64_counter("falconer_heartbeats_total")
            .with_description("Signs of life to the watchdog outside, by what became of them");
        Self { beats: beats.build() }
    }
}

impl Metrics {
    /// A sign of life was accepted, lost, or withheld.
    pub fn heartbeat(&self, outcome: HeartbeatOutcome) {
        let labels = [KeyValue::new("outcome", outcome.as_str())];
        self.inner.instruments.heartbeat.beats.add(1, &labels);
    }
}
