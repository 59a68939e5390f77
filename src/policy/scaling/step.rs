//! Mode "step": one replica more above a threshold, one less below half of all thresholds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::ledger::ScalingLedger;
use super::reason::{KeepReason, Trigger};
use super::settings::ScalingSettings;
use super::{Recommendation, ScalingRequest};
use crate::model::{Percent, Pod, PodCondition, PodUsage, Role, Timestamp, Workload};

/// An older sample says nothing about the load of now.
const SAMPLE_MAX_AGE: Duration = Duration::from_secs(300);

/// So long after a change samples from before it are waited out; then they count as they are.
const SETTLING_LIMIT: Duration = Duration::from_secs(120);

/// CPU and memory, averaged over the ready pods that have a sample, in per cent of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// CPU, and its threshold; `None` where CPU is not looked at.
    pub cpu: Option<ResourceLoad>,
    /// Memory, and its threshold; `None` where memory is not looked at.
    pub memory: Option<ResourceLoad>,
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceLoad {
    /// The average in per cent of the request.
    pub average: f64,
    /// The threshold in per cent.
    pub threshold: Percent,
}

impl Load {
    fn resources(self) -> impl Iterator<Item = ResourceLoad> {
        self.cpu.into_iter().chain(self.memory)
    }

    /// The load as a multiple of its threshold; of several the highest.
    pub(super) fn pressure(self) -> Option<f64> {
        let all = self.resources().map(|load| load.average / f64::from(load.threshold.max(1)));
        all.reduce(f64::max)
    }

    fn is_above_any(self) -> bool {
        self.resources().any(|load| load.average > f64::from(load.threshold))
    }

    fn is_below_half_of_all(self) -> bool {
        self.resources().all(|load| load.average < f64::from(load.threshold) / 2.0)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("CPU", self.cpu), ("memory", self.memory)];
        let parts: Vec<String> = named
            .into_iter()
            .filter_map(|(name, load)| {
                let load = load?;
                Some(format!("{name} {:.0}% (threshold {}%)", load.average, load.threshold))
            })
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// What the load asks for.
pub fn recommend(
    request: &ScalingRequest,
    workload: &Workload,
    ledger: &ScalingLedger,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Recommendation {
    let current = workload.desired_replicas;
    if current < settings.min_replicas {
        let min_replicas = settings.min_replicas;
        let trigger = Trigger::BelowMinimum { min_replicas };
        return Recommendation::Change { replicas: min_replicas, trigger };
    }
    let survey = match Survey::of(request, workload, settings, now) {
        Ok(survey) => survey,
        Err(reason) => return Recommendation::Keep(reason),
    };
    if survey.is_settling(ledger.last_change_ended(&request.component), now) {
        return Recommendation::Keep(KeepReason::Settling);
    }
    let load = survey.load;
    if load.is_above_any() {
        let max_replicas = settings.max_replicas;
        if current >= max_replicas {
            return Recommendation::Keep(KeepReason::AtMaximum { load, max_replicas });
        }
        let trigger = Trigger::AboveThreshold { load };
        return Recommendation::Change { replicas: current.saturating_add(1), trigger };
    }
    if !load.is_below_half_of_all() {
        return Recommendation::Keep(KeepReason::WithinBand { load });
    }
    let min_replicas = settings.min_replicas.max(1);
    if current <= min_replicas {
        return Recommendation::Keep(KeepReason::AtMinimum { load, min_replicas });
    }
    match survey.speaks_against_removal(request.role, settings.caution.memory_percent) {
        Some(reason) => Recommendation::Keep(reason),
        None => Recommendation::Change {
            replicas: current.saturating_sub(1),
            trigger: Trigger::BelowHalf { load },
        },
    }
}

/// The ready pods of the workload and their samples.
struct Survey<'a> {
    ready: Vec<(&'a Pod, Option<&'a PodUsage>)>,
    missing: usize,
    load: Load,
}

impl<'a> Survey<'a> {
    fn of(
        request: &'a ScalingRequest,
        workload: &Workload,
        settings: &ScalingSettings,
        now: Timestamp,
    ) -> Result<Self, KeepReason> {
        if settings.cpu_threshold.is_none() && settings.memory_threshold.is_none() {
            return Err(KeepReason::NoThreshold);
        }
        let samples: BTreeMap<&str, &PodUsage> = request
            .usage
            .iter()
            .filter(|usage| usage.sampled_at.is_none_or(|at| now.since(at) <= SAMPLE_MAX_AGE))
            .map(|usage| (usage.pod.as_str(), usage))
            .collect();
        let ready: Vec<_> = request
            .pods
            .iter()
            .filter(|pod| counts(pod, workload))
            .map(|pod| (pod, samples.get(&*pod.name).copied()))
            .collect();
        let cpu = Resource {
            name: "CPU",
            threshold: settings.cpu_threshold,
            used: |usage| usage.cpu_milli,
            percent: |usage| usage.cpu_percent_of_request,
        };
        let memory = Resource {
            name: "memory",
            threshold: settings.memory_threshold,
            used: |usage| usage.memory_bytes,
            percent: |usage| usage.memory_percent_of_request,
        };
        let load = Load { cpu: cpu.load(&ready)?, memory: memory.load(&ready)? };
        let missing = ready.iter().filter(|(_, usage)| {
            !usage.is_some_and(|usage| cpu.is_known(usage) && memory.is_known(usage))
        });
        Ok(Self { missing: missing.count(), load, ready })
    }

    /// Whether a ready pod's newest sample is from before the end of the last change.
    fn is_settling(&self, last_change: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(ended) = last_change.filter(|ended| now.since(*ended) < SETTLING_LIMIT) else {
            return false;
        };
        self.ready.iter().any(|(_, usage)| match usage {
            None => true,
            Some(usage) => usage.sampled_at.is_some_and(|at| at < ended),
        })
    }

    fn speaks_against_removal(&self, role: Role, allowed: Percent) -> Option<KeepReason> {
        let ready_pods = self.ready.len();
        if self.missing > 0 {
            return Some(KeepReason::MissingSamples { missing: self.missing, ready_pods });
        }
        if role != Role::QueryNode {
            return None;
        }
        // The data of a query node that goes is loaded by the others.
        let used: Option<Vec<u64>> = self
            .ready
            .iter()
            .map(|(_, usage)| usage.and_then(|usage| usage.memory_bytes))
            .collect();
        let Some(used) = used else {
            return Some(KeepReason::MissingSamples { missing: 1, ready_pods });
        };
        let smallest = self.ready.iter().filter_map(|(pod, _)| pod.limits.memory_bytes).min()?;
        let remaining = u64::try_from(ready_pods.saturating_sub(1)).unwrap_or(u64::MAX);
        let room = u128::from(smallest) * u128::from(remaining);
        let sum: u128 = used.into_iter().map(u128::from).sum();
        let predicted = (sum * 100).checked_div(room).unwrap_or(u128::MAX);
        let predicted = Percent::try_from(predicted).unwrap_or(Percent::MAX);
        (predicted >= allowed).then_some(KeepReason::MemoryWouldNotFit { predicted, allowed })
    }
}

/// Whether `pod` carries a share of the workload's load.
fn counts(pod: &Pod, workload: &Workload) -> bool {
    let ours = pod.workload.as_ref().is_none_or(|owner| *owner == workload.reference);
    ours && match pod.condition {
        PodCondition::Ready => true,
        PodCondition::Pending { .. }
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. }
        | PodCondition::Terminating
        | PodCondition::Ended { .. } => false,
    }
}

/// How one resource is read from a sample.
struct Resource {
    name: &'static str,
    threshold: Option<Percent>,
    used: fn(&PodUsage) -> Option<u64>,
    percent: fn(&PodUsage) -> Option<Percent>,
}

impl Resource {
    fn is_known(&self, usage: &PodUsage) -> bool {
        self.threshold.is_none() || (self.percent)(usage).is_some()
    }

    fn load(
        &self,
        ready: &[(&Pod, Option<&PodUsage>)],
    ) -> Result<Option<ResourceLoad>, KeepReason> {
        let Some(threshold) = self.threshold else { return Ok(None) };
        let mut sum = 0.0;
        let mut count = 0_u32;
        for (pod, usage) in ready {
            let Some(usage) = usage else { continue };
            match ((self.percent)(usage), (self.used)(usage)) {
                (Some(percent), _) => {
                    sum += f64::from(percent);
                    count += 1;
                }
                (None, Some(_)) => {
                    let pod = pod.name.to_string();
                    return Err(KeepReason::MissingRequest { pod, resource: self.name });
                }
                (None, None) => {}
            }
        }
        if count == 0 {
            return Err(KeepReason::NoMetrics { ready_pods: ready.len() });
        }
        Ok(Some(ResourceLoad { average: sum / f64::from(count), threshold }))
    }
}
