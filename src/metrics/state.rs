//! What is counted of the essential state.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use super::Metrics;

/// How an attempt to save the essential state ended; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateSave {
    /// It is durable.
    Saved,
    /// The store cannot be reached or written.
    Unavailable,
    /// The store did not answer in time.
    Timeout,
    /// Somebody else changed it meanwhile.
    Conflict,
    /// The store refuses it for good.
    Refused,
    /// Another falconer has taken it over.
    Fenced,
}

impl StateSave {
    /// The value of the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saved => "saved",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Fenced => "fenced",
        }
    }
}

/// The instruments of the essential state.
#[derive(Debug)]
pub(super) struct StateInstruments {
    saves: Counter<u64>,
}

impl StateInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let saves = meter
            .u64_counter("falconer_state_saves_total")
            .with_description("Attempts to save the essential state, by store and how they ended");
        Self { saves: saves.build() }
    }
}

impl Metrics {
    /// An attempt to save the essential state in `store` has ended.
    pub fn state_saved(&self, store: &'static str, how: StateSave) {
        let labels = [KeyValue::new("store", store), KeyValue::new("outcome", how.as_str())];
        self.inner.instruments.state.saves.add(1, &labels);
    }
}
