//! What the journal counts.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::Metrics;
use crate::model::JournalKind;

/// The instruments of the journal.
#[derive(Debug)]
pub(super) struct JournalInstruments {
    entries: Counter<u64>,
    dropped: Counter<u64>,
    degraded: Gauge<u64>,
    bytes: Gauge<u64>,
}

impl JournalInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name, help| meter.u64_counter(name).with_description(help).build();
        let gauge = |name, help| meter.u64_gauge(name).with_description(help).build();
        Self {
            entries: counter(
                "falconer_journal_entries_total",
                "Entries written to the journal, or kept in memory where it has no file",
            ),
            dropped: counter(
                "falconer_journal_dropped_total",
                "Entries that never reached the journal because memory had no room for more",
            ),
            degraded: gauge(
                "falconer_journal_degraded",
                "Whether the journal cannot be written and is kept in memory",
            ),
            bytes: gauge("falconer_journal_bytes", "Size of the journal"),
        }
    }
}

impl Metrics {
    /// `count` entries of this kind are in the journal.
    pub fn journal_recorded(&self, kind: JournalKind, count: u64) {
        let labels = [KeyValue::new("kind", kind.as_str())];
        self.inner.instruments.journal.entries.add(count, &labels);
    }

    /// `count` entries were lost.
    pub fn journal_dropped(&self, count: u64) {
        self.inner.instruments.journal.dropped.add(count, &[]);
    }

    /// Whether the journal is kept in memory because it cannot be written, and its size in bytes.
    pub fn journal_is(&self, degraded: bool, bytes: u64) {
        self.inner.instruments.journal.degraded.record(u64::from(degraded), &[]);
        self.inner.instruments.journal.bytes.record(bytes, &[]);
    }
}
