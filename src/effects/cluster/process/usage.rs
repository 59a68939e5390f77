//! CPU and memory of the owned processes, from `/proc`. Of a process that somebody else runs
//! nothing is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::ProcessCluster;
use super::group::{self, ProcessStat};
use crate::clock::Clock;
use crate::effects::Probe;
use crate::model::{Outcome, PodUsage, ProbeObservation, ReasonKind};

/// Clock ticks in a second, as the kernel counts for user space on every platform Milvus runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of every process of one group at one instant.
struct Sample {
    at: Instant,
    /// By process number and start: a number can be used again.
    ticks: HashMap<(i32, u64), u64>,
}

/// Turns the counters of `/proc` into usage over the time since the previous call.
pub struct ProcessUsage {
    cluster: Arc<ProcessCluster>,
    clock: Clock,
    previous: Mutex<HashMap<Arc<str>, Sample>>,
}

impl ProcessUsage {
    /// The usage of all owned processes of `cluster`.
    pub fn new(cluster: Arc<ProcessCluster>, clock: Clock) -> Self {
        Self { cluster, clock, previous: Mutex::default() }
    }

    /// One entry per process that runs. CPU is `None` at the first call.
    pub fn sample(&self) -> Vec<PodUsage> {
        let mut previous = self.previous.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = self.cluster.groups();
        previous.retain(|name, _| groups.iter().any(|(running, _)| running == name));
        let mut usage = Vec::new();
        for (name, group) in groups {
            let members = group::members(group);
            if members.is_empty() {
                continue;
            }
            let sample = Sample { at: self.clock.monotonic(), ticks: ticks(&members) };
            let resident: u64 = members.iter().filter_map(|m| group::resident_bytes(m.pid)).sum();
            usage.push(PodUsage {
                pod: name.to_string(),
                cpu_milli: previous.get(&name).and_then(|before| cpu_milli(before, &sample)),
                memory_bytes: Some(resident),
                cpu_percent_of_request: None,
                memory_percent_of_request: None,
                cpu_percent_of_limit: None,
                memory_percent_of_limit: None,
                sampled_at: Some(self.clock.now()),
                window: std::time::Duration::ZERO,
            });
            previous.insert(name, sample);
        }
        usage
    }
}

fn ticks(members: &[ProcessStat]) -> HashMap<(i32, u64), u64> {
    members.iter().map(|stat| ((stat.pid, stat.started_ticks), stat.cpu_ticks)).collect()
}

/// CPU used between two samples in thousandths of a core. A process that is new since then counts
/// with everything it has used; one that has ended no longer counts.
fn cpu_milli(before: &Sample, now: &Sample) -> Option<u64> {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let used = |(process, ticks): (&(i32, u64), &u64)| {
        ticks.saturating_sub(before.ticks.get(process).copied().unwrap_or_default())
    };
    let used: u64 = now.ticks.iter().map(used).sum();
    Some((used as f64 / TICKS_PER_SECOND / seconds * 1000.0).round() as u64)
}

/// The `resources` probe of a cluster of processes.
pub struct ProcessResourcesProbe {
    usage: Arc<ProcessUsage>,
}

impl ProcessResourcesProbe {
    /// A probe of the processes that `usage` knows.
    pub fn new(usage: Arc<ProcessUsage>) -> Self {
        Self { usage }
    }
}

#[async_trait]
impl Probe for ProcessResourcesProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        if !self.usage.cluster.knows_any() {
            return ProbeObservation::of(Outcome::degraded(
                ReasonKind::Unsupported,
                "CPU and memory are only known of processes that falconer starts itself",
            ));
        }
        let usage = Arc::clone(&self.usage);
        let sampled = tokio::task::spawn_blocking(move || usage.sample());
        if let Ok(Ok(usage)) = tokio::time::timeout(budget, sampled).await {
            return ProbeObservation { usage, ..ProbeObservation::of(Outcome::Healthy) };
        }
        let text = format!("/proc was not read within {} s", budget.as_secs_f64());
        ProbeObservation::of(Outcome::failed(ReasonKind::Timeout, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_counts_new_processes_and_not_reused_numbers() {
        let at = Instant::now();
        let sample = |after: u64, ticks: &[((i32, u64), u64)]| Sample {
            at: at + Duration::from_secs(after),
            ticks: ticks.iter().copied().collect(),
        };
        let before = sample(0, &[((1, 5), 100), ((2, 6), 900)]);
        // 1 used 50 ticks, 2 has ended and its number is used by a newcomer with 30, 3 is new.
        let now = sample(2, &[((1, 5), 150), ((2, 99), 30), ((3, 7), 20)]);
        assert_eq!(cpu_milli(&before, &now), Some(500));
        assert_eq!(cpu_milli(&now, &now), None);
    }
}
