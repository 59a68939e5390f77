//! What is counted with every probe: its verdict, why it failed, how long it took. The series of a
//! component are looked up once, so that counting a probe is a few additions.

use std::cell::OnceCell;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram};

use super::Metrics;
use super::instruments::Naming;
use crate::model::{ComponentId, Outcome, ProberKind};

/// The series of one component's probes, each from its first use on. Belongs to its prober; a prober
/// made anew goes on with the same figures. There are as many as components, so it is small.
#[derive(Debug, Default)]
pub struct ProbeSeries {
    duration: OnceCell<BoundHistogram<f64>>,
    healthy: OnceCell<BoundCounter<u64>>,
    troubled: OnceCell<Box<Troubled>>,
}

/// What hardly any component needs.
#[derive(Debug, Default)]
struct Troubled {
    degraded: OnceCell<BoundCounter<u64>>,
    failed: OnceCell<BoundCounter<u64>>,
}

impl ProbeSeries {
    fn of(&self, outcome: &Outcome) -> &OnceCell<BoundCounter<u64>> {
        match outcome {
            Outcome::Healthy => &self.healthy,
            Outcome::Degraded { .. } => &self.troubled.get_or_init(Box::default).degraded,
            Outcome::Failed { .. } => &self.troubled.get_or_init(Box::default).failed,
        }
    }
}

impl Metrics {
    /// A probe of `id` ended. `series` must be of this component alone.
    pub fn probe_completed(
        &self,
        series: &ProbeSeries,
        (id, kind): (&ComponentId, ProberKind),
        outcome: &Outcome,
        took: Duration,
    ) {
        let instruments = &self.inner.instruments;
        let duration = series
            .duration
            .get_or_init(|| instruments.probe_duration.bind(&labels(id, kind, None)));
        duration.record(took.as_secs_f64());
        if let Outcome::Failed { reason } = outcome {
            let why = KeyValue::new("reason", reason.kind.as_str());
            instruments.probe_failures.add(1, &labels(id, kind, Some(why)));
        }
        let counter = series.of(outcome).get_or_init(|| {
            let verdict = KeyValue::new("outcome", outcome.as_str());
            instruments.probes.bind(&labels(id, kind, Some(verdict)))
        });
        counter.add(1);
    }
}

/// In alphabetical order, so that the library keeps one copy of them: `cluster`, `component`,
/// `kind`, and the one that differs.
fn labels(id: &ComponentId, kind: ProberKind, more: Option<KeyValue>) -> Vec<KeyValue> {
    let mut labels = Naming::own(id);
    labels.push(KeyValue::new("kind", kind.as_str()));
    labels.extend(more);
    labels
}
