//! Outside parties that do not answer, by what they are.

use opentelemetry::KeyValue;

use super::Metrics;

/// What an outside party is; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitParty {
    /// A component that is probed.
    Target,
    /// A receiver of alerts.
    Receiver,
    /// The platform of a cluster, when it is asked to change something.
    Platform,
}

impl CircuitParty {
    /// The value of the metric label, e.g. `target`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Receiver => "receiver",
            Self::Platform => "platform",
        }
    }
}

impl Metrics {
    /// A party has stopped answering: it is asked less often from now on.
    pub fn circuit_opened(&self, party: CircuitParty) {
        let label = [KeyValue::new("party", party.as_str())];
        self.inner.instruments.circuit_openings.add(1, &label);
        self.inner.instruments.open_circuits.add(1, &label);
    }

    /// A party answers again, or is of no interest any more.
    pub fn circuit_closed(&self, party: CircuitParty) {
        let label = [KeyValue::new("party", party.as_str())];
        self.inner.instruments.open_circuits.add(-1, &label);
    }
}
