//! What is counted with every probe: its verdict, why it failed, how long it took. The series of a
//! component are looked up once, so that counting a probe is a few additions.

use std::cell::OnceCell;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram};

use super::Metrics;
use super::instruments::Naming;
use crate::model::{ComponentId, Outcome, ProberKind};

/// The series of one component's probes. Belongs to its prober; a prober made anew goes on with
/// the same figures.
#[derive(Debug)]
pub struct ProbeMetrics {
    metrics: Metrics,
    id: ComponentId,
    kind: ProberKind,
    // A series appears with its first probe, not before.
    duration: OnceCell<BoundHistogram<f64>>,
    healthy: OnceCell<BoundCounter<u64>>,
    degraded: OnceCell<BoundCounter<u64>>,
    failed: OnceCell<BoundCounter<u64>>,
}

impl ProbeMetrics {
    pub(super) fn new(metrics: Metrics, id: ComponentId, kind: ProberKind) -> Self {
        Self {
            metrics,
            id,
            kind,
            duration: OnceCell::new(),
            healthy: OnceCell::new(),
            degraded: OnceCell::new(),
            failed: OnceCell::new(),
        }
    }

    /// One probe ended.
    pub fn completed(&self, outcome: &Outcome, took: Duration) {
        let instruments = &self.metrics.inner.instruments;
        let duration =
            self.duration.get_or_init(|| instruments.probe_duration.bind(&self.labels(None)));
        duration.record(took.as_secs_f64());
        let verdict = match outcome {
            Outcome::Healthy => &self.healthy,
            Outcome::Degraded { .. } => &self.degraded,
            Outcome::Failed { reason } => {
                let why = KeyValue::new("reason", reason.kind.as_str());
                instruments.probe_failures.add(1, &self.labels(Some(why)));
                &self.failed
            }
        };
        let counter = verdict.get_or_init(|| {
            let verdict = KeyValue::new("outcome", outcome.as_str());
            instruments.probes.bind(&self.labels(Some(verdict)))
        });
        counter.add(1);
    }

    /// In alphabetical order, so that the library keeps one copy of them: `cluster`, `component`,
    /// `kind`, and the one that differs.
    fn labels(&self, more: Option<KeyValue>) -> Vec<KeyValue> {
        let mut labels = Naming::own(&self.id);
        labels.push(KeyValue::new("kind", self.kind.as_str()));
        labels.extend(more);
        labels
    }
}
