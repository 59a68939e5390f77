//! A question to mode "step": the same pods in that mode's terms.

use super::answer::{Answer, Decided};
use crate::model::{
    ComponentId, HealthState, Owner, Percent, Pod, PodCondition, PodLife, PodUsage, Resources,
    Role, Timestamp, Workload, WorkloadKind, WorkloadRef,
};
use crate::policy::scaling::limits::{History, Limiter, limit};
use crate::policy::scaling::load::{PodLoad, PodPhase};
use crate::policy::scaling::step::{self, Load};
use crate::policy::scaling::target::{MetricError, Observation, Utilization, at_bounds};
use crate::policy::scaling::{
    KeepReason, Recommendation, ScalingLedger, ScalingRequest, ScalingSettings, Trigger,
};

/// Asks mode "step". Nothing is known of an earlier change's end, so it never waits for one.
pub(super) fn answer<'a>(
    name: Option<&'a str>,
    seen: &Observation,
    history: &History<'_>,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Answer<'a> {
    if let Some(judged) = at_bounds(seen.current, settings) {
        return Answer::of_target(name, seen.current, &judged);
    }
    let mut decided = match seen.raw_desired {
        Some(raw) => asks_for(raw, Utilization::default(), "raw_desired"),
        None => recommended(seen, settings, now),
    };
    if let Some(raw) = decided.raw.filter(|_| decided.error.is_none()) {
        let limited = limit(seen.current, raw, history, settings, now);
        decided.desired = limited.replicas;
        decided.limited_by = limited.by.or(decided.limited_by);
    }
    Answer::new(name, seen.current, &decided)
}

fn asks_for(raw: u32, utilization: Utilization, reason: &'static str) -> Decided {
    let (limited_by, error) = (None, None);
    Decided { desired: raw, raw: Some(raw), utilization, reason, limited_by, error }
}

fn recommended(seen: &Observation, settings: &ScalingSettings, now: Timestamp) -> Decided {
    let workload = workload(seen);
    let request = ScalingRequest {
        component: ComponentId::new("whatif", "component"),
        // Of no role more is asked than of this one.
        role: Role::Proxy,
        workloads: Vec::new(),
        pods: seen.pods.iter().map(pod).collect(),
        usage: seen.pods.iter().filter_map(usage).collect(),
        figures: Vec::new(),
        health: HealthState::Healthy,
        being_restarted: Vec::new(),
        sick_below: Vec::new(),
        quiet: None,
    };
    let ledger = ScalingLedger::default();
    match step::recommend(&request, &workload, &ledger, settings, now) {
        Recommendation::Change { replicas, trigger } => {
            let utilization = load_of_trigger(&trigger).map(used).unwrap_or_default();
            asks_for(replicas, utilization, trigger.as_str())
        }
        Recommendation::Keep(reason) => kept(seen.current, &reason),
    }
}

fn kept(current: u32, reason: &KeepReason) -> Decided {
    let (load, limited_by, error) = match reason {
        KeepReason::WithinBand { load } => (Some(*load), None, None),
        KeepReason::AtMaximum { load, .. } => (Some(*load), Some(Limiter::MaxReplicas), None),
        KeepReason::AtMinimum { load, .. } => (Some(*load), Some(Limiter::MinReplicas), None),
        KeepReason::MissingRequest { .. } => (None, None, Some(MetricError::MissingRequest)),
        KeepReason::NoThreshold
        | KeepReason::NoMetrics { .. }
        | KeepReason::MissingSamples { .. }
        | KeepReason::Settling
        | KeepReason::MemoryWouldNotFit { .. }
        | KeepReason::Stabilizing { .. }
        | KeepReason::LimitReached { .. }
        | KeepReason::DirectionDisabled { .. }
        | KeepReason::Target { .. } => (None, None, Some(MetricError::NoMetrics)),
    };
    let utilization = load.map(used).unwrap_or_default();
    let raw = error.is_none().then_some(current);
    Decided { desired: current, raw, utilization, reason: reason.as_str(), limited_by, error }
}

const fn load_of_trigger(trigger: &Trigger) -> Option<Load> {
    match trigger {
        Trigger::AboveThreshold { load } | Trigger::BelowHalf { load } => Some(*load),
        Trigger::BelowMinimum { .. } | Trigger::Target { .. } => None,
    }
}

fn used(load: Load) -> Utilization {
    let percent = |one: step::ResourceLoad| one.average as Percent;
    Utilization { cpu: load.cpu.map(percent), memory: load.memory.map(percent) }
}

fn workload(seen: &Observation) -> Workload {
    let ready = seen.pods.iter().filter(|pod| is_ready(pod)).count();
    Workload {
        reference: WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "".into(),
            name: "whatif".into(),
        },
        desired_replicas: seen.current,
        ready_replicas: u32::try_from(ready).unwrap_or(u32::MAX),
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        gitops: None,
        holds: Vec::new(),
        revision: None,
    }
}

fn is_ready(pod: &PodLoad) -> bool {
    pod.phase == PodPhase::Running && pod.ready == Some(true) && !pod.terminating
}

fn pod(load: &PodLoad) -> Pod {
    let condition = match load.phase {
        _ if load.terminating => PodCondition::Terminating,
        PodPhase::Pending => PodCondition::Pending { message: String::new() },
        PodPhase::Succeeded | PodPhase::Failed => PodCondition::Ended { message: String::new() },
        PodPhase::Running | PodPhase::Unknown if load.ready == Some(true) => PodCondition::Ready,
        PodPhase::Running | PodPhase::Unknown => PodCondition::NotReady,
    };
    Pod {
        name: load.name.clone(),
        ip: None,
        condition,
        requests: load.requests,
        limits: Resources::default(),
        started_at: load.started_at,
        workload: None,
        life: PodLife::default(),
    }
}

fn usage(pod: &PodLoad) -> Option<PodUsage> {
    let sample = pod.usage?;
    let Resources { cpu_milli, memory_bytes } = sample.used;
    Some(PodUsage {
        pod: pod.name.to_string(),
        cpu_milli,
        memory_bytes,
        cpu_percent_of_request: percent(cpu_milli, pod.requests.cpu_milli),
        memory_percent_of_request: percent(memory_bytes, pod.requests.memory_bytes),
        cpu_percent_of_limit: None,
        memory_percent_of_limit: None,
        sampled_at: Some(sample.sampled_at),
        window: sample.window,
    })
}

/// In whole per cent, cut off.
fn percent(used: Option<u64>, requested: Option<u64>) -> Option<Percent> {
    let percent = (u128::from(used?) * 100).checked_div(u128::from(requested?))?;
    Some(Percent::try_from(percent).unwrap_or(Percent::MAX))
}
