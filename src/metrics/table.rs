//! The present values behind the gauges: one entry per watched component. Owns the aggregation
//! over a component's pods. Never touches an exporter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{ComponentId, HealthState, PerformanceReport, PodUsage};

/// The present values of one component.
#[derive(Debug, Clone, Default)]
pub(super) struct ComponentSeries {
    /// The judged state.
    pub(super) state: Option<HealthState>,
    /// Desired and ready replicas.
    pub(super) replicas: Option<(u32, u32)>,
    /// Rows by the name of a canary collection.
    pub(super) collections: BTreeMap<String, u64>,
    /// What its own metrics pages say, over all pods.
    pub(super) performance: Option<Box<PerformanceReport>>,
    /// CPU and memory over all pods, once they were read.
    pub(super) usage: Option<Box<UsageRatios>>,
}

/// A figure over a component's pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// The mean over the pods that have the figure.
    pub(super) average: f64,
    /// The highest of them.
    pub(super) max: f64,
}

impl Spread {
    fn of(percents: impl Iterator<Item = u32>) -> Option<Self> {
        let ratios: Vec<f64> = percents.map(|percent| f64::from(percent) / 100.0).collect();
        let max = ratios.iter().copied().reduce(f64::max)?;
        Some(Self { average: ratios.iter().sum::<f64>() / ratios.len() as f64, max })
    }
}

/// Usage of a component's pods as shares of their requests; 1.0 is the whole request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct UsageRatios {
    /// CPU.
    pub(super) cpu: Option<Spread>,
    /// Memory.
    pub(super) memory: Option<Spread>,
}

impl UsageRatios {
    /// Over the pods that have a sample and a request.
    pub(super) fn of(usage: &[PodUsage]) -> Self {
        Self {
            cpu: Spread::of(usage.iter().filter_map(|pod| pod.cpu_percent_of_request)),
            memory: Spread::of(usage.iter().filter_map(|pod| pod.memory_percent_of_request)),
        }
    }
}

type Entry = Arc<Mutex<ComponentSeries>>;

/// Shared between the callers of [`super::Metrics`] and whoever scrapes. Who scrapes holds the lock
/// of one component at a time: an actor never waits for a page of ten thousand.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedTable {
    components: Arc<Mutex<BTreeMap<ComponentId, Entry>>>,
}

impl SharedTable {
    /// Changes the entry of one component, making it where there is none.
    pub(super) fn component(&self, id: &ComponentId, change: impl FnOnce(&mut ComponentSeries)) {
        let mut components = lock(&self.components);
        if let Some(entry) = components.get(id) {
            change(&mut lock(entry));
        } else {
            change(&mut lock(components.entry(id.clone()).or_default()));
        }
    }

    /// Forgets one component.
    pub(super) fn remove(&self, id: &ComponentId) {
        lock(&self.components).remove(id);
    }

    /// Looks at every entry.
    pub(super) fn for_each(&self, mut look: impl FnMut(&ComponentId, &ComponentSeries)) {
        let entries: Vec<(ComponentId, Entry)> = lock(&self.components)
            .iter()
            .map(|(id, entry)| (id.clone(), Arc::clone(entry)))
            .collect();
        for (id, entry) in entries {
            look(&id, &lock(&entry));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One report for a whole component out of those of its pods: sums of rates, CPU, memory and
/// queues; the error rate weighted by each pod's rate; the latencies of the slowest pod, since
/// quantiles cannot be averaged. `None` where no pod was scraped.
pub fn aggregate_performance<'a>(
    pods: impl IntoIterator<Item = &'a PerformanceReport>,
) -> Option<PerformanceReport> {
    let pods: Vec<&PerformanceReport> = pods.into_iter().collect();
    if pods.is_empty() {
        return None;
    }
    let sum = |figure: fn(&PerformanceReport) -> Option<f64>| {
        pods.iter().filter_map(|pod| figure(pod)).reduce(|left, right| left + right)
    };
    let max = |figure: fn(&PerformanceReport) -> Option<f64>| {
        pods.iter().filter_map(|pod| figure(pod)).reduce(f64::max)
    };
    Some(PerformanceReport {
        qps: sum(|pod| pod.qps),
        error_rate: weighted_error_rate(&pods),
        latency_p50_ms: max(|pod| pod.latency_p50_ms),
        latency_p99_ms: max(|pod| pod.latency_p99_ms),
        resident_memory_bytes: pods
            .iter()
            .filter_map(|pod| pod.resident_memory_bytes)
            .reduce(u64::saturating_add),
        cpu_cores: sum(|pod| pod.cpu_cores),
        read_queue_length: sum(|pod| pod.read_queue_length),
        error: pods.iter().find_map(|pod| pod.error.clone()),
    })
}

fn weighted_error_rate(pods: &[&PerformanceReport]) -> Option<f64> {
    let known = || pods.iter().filter_map(|pod| Some((pod.qps?, pod.error_rate?)));
    let requests: f64 = known().map(|(qps, _)| qps).sum();
    if requests > 0.0 {
        return Some(known().map(|(qps, rate)| qps * rate).sum::<f64>() / requests);
    }
    pods.iter().filter_map(|pod| pod.error_rate).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(qps: f64, error_rate: f64, p99: f64) -> PerformanceReport {
        PerformanceReport {
            qps: Some(qps),
            error_rate: Some(error_rate),
            latency_p99_ms: Some(p99),
            ..PerformanceReport::default()
        }
    }

    #[test]
    fn rates_are_summed_errors_weighted_and_the_slowest_pod_counts() {
        let pods = [pod(90.0, 0.0, 5.0), pod(10.0, 0.5, 70.0), PerformanceReport::default()];
        let whole = aggregate_performance(&pods).unwrap();
        assert_eq!(whole.qps, Some(100.0));
        assert_eq!(whole.error_rate, Some(0.05));
        assert_eq!(whole.latency_p99_ms, Some(70.0));
        assert_eq!(whole.latency_p50_ms, None);
    }

    #[test]
    fn no_scraped_pod_is_no_report_rather_than_zero_load() {
        assert_eq!(aggregate_performance([]), None);
        assert_eq!(UsageRatios::of(&[]), UsageRatios::default());
    }
}
