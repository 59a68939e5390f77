//! Mode "target": the algorithm of the Kubernetes `HorizontalPodAutoscaler`, version 2, to the
//! letter. What the metrics ask for is in `target/proposal.rs`, what delays or shrinks it in
//! `limits.rs`; here both are put together. Pure: everything it knows it is handed.
//!
//! Sources: the Kubernetes page on horizontal pod autoscaling, and what the controller does
//! (`pkg/controller/podautoscaler/horizontal.go`).

mod proposal;
mod reason;
mod summary;
#[cfg(test)]
mod tests;

pub use proposal::{MetricError, Tolerance};
pub use reason::TargetReason;
pub use summary::Summary;

use super::limits::{self, History, Limiter};
use super::load::{PodLoad, Resource, StartRules};
use super::settings::ScalingSettings;
use crate::model::{Percent, Timestamp};
use proposal::{Measured, propose};

/// What is to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The replicas that are asked for now.
    pub current: u32,
    /// Every pod of the workload.
    pub pods: Vec<PodLoad>,
    /// Skips the metrics: only stabilization, policies and bounds apply to this number.
    pub raw_desired: Option<u32>,
}

/// How much of the requests is used, as the HPA reports it: without the pods that were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utilization {
    /// CPU; `None` where it is not looked at or could not be told.
    pub cpu: Option<Percent>,
    /// Memory.
    pub memory: Option<Percent>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetJudgement {
    /// How many replicas there should be now.
    pub desired: u32,
    /// What the metrics ask for, before stabilization, policies and bounds; this is what is to be
    /// remembered as recommended. `None` where they were not asked or could not tell.
    pub raw: Option<u32>,
    /// What was measured.
    pub utilization: Utilization,
    /// Why.
    pub reason: TargetReason,
    /// The last constraint that changed the number.
    pub limited_by: Option<Limiter>,
    /// Why the metrics could not decide; then the number stays.
    pub error: Option<MetricError>,
}

impl TargetJudgement {
    fn at_once(desired: u32, reason: TargetReason, limited_by: Option<Limiter>) -> Self {
        let utilization = Utilization::default();
        Self { desired, raw: None, utilization, reason, limited_by, error: None }
    }
}

/// Judges the load as the HPA would.
pub fn judge(
    seen: &Observation,
    history: &History<'_>,
    settings: &ScalingSettings,
    now: Timestamp,
) -> TargetJudgement {
    if let Some(judged) = at_bounds(seen.current, settings) {
        return judged;
    }
    let asked = match seen.raw_desired {
        Some(raw) => Asked { raw, ..Asked::default() },
        None => match ask_metrics(seen, settings, now) {
            Ok(asked) => asked,
            Err(failed) => return failed,
        },
    };
    let limited = limits::limit(seen.current, asked.raw, history, settings, now);
    TargetJudgement {
        desired: limited.replicas,
        raw: Some(asked.raw),
        utilization: asked.utilization,
        reason: asked.reason,
        limited_by: limited.by,
        error: None,
    }
}

/// What follows from the number of replicas alone, before all else: none stay none, and what is
/// outside of the bounds goes to them at once.
pub fn at_bounds(current: u32, settings: &ScalingSettings) -> Option<TargetJudgement> {
    let (min, max) = (settings.min_replicas, settings.max_replicas);
    let (desired, reason, limiter) = if current == 0 {
        (0, TargetReason::ScaledToZero, None)
    } else if current > max {
        (max, TargetReason::AboveMaximum, Some(Limiter::MaxReplicas))
    } else if current < min {
        (min, TargetReason::BelowMinimum, Some(Limiter::MinReplicas))
    } else {
        return None;
    };
    Some(TargetJudgement::at_once(desired, reason, limiter))
}

/// What the metrics ask for.
#[derive(Default)]
struct Asked {
    raw: u32,
    reason: TargetReason,
    utilization: Utilization,
}

/// The largest of what the metrics ask for. Where one cannot tell, the others may add replicas, and
/// never take any away.
fn ask_metrics(
    seen: &Observation,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Result<Asked, TargetJudgement> {
    let rules = StartRules {
        cpu_initialization: settings.cpu_initialization_period,
        readiness_delay: settings.initial_readiness_delay,
    };
    let metrics =
        [(Resource::Cpu, settings.cpu_threshold), (Resource::Memory, settings.memory_threshold)];
    let mut utilization = Utilization::default();
    let (mut best, mut first_error): (Option<(u32, TargetReason)>, Option<MetricError>) =
        (None, None);
    for (resource, target) in metrics {
        let Some(target) = target else { continue };
        let measured =
            Measured { pods: &seen.pods, resource, target, rules: &rules, current: seen.current };
        match propose(&measured, &settings.tolerance, now) {
            Ok(proposal) => {
                match resource {
                    Resource::Cpu => utilization.cpu = Some(proposal.utilization),
                    Resource::Memory => utilization.memory = Some(proposal.utilization),
                }
                let reason = TargetReason::of(resource, proposal.replicas, seen.current);
                if best.is_none_or(|(replicas, _)| proposal.replicas > replicas) {
                    best = Some((proposal.replicas, reason));
                }
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match (best, first_error) {
        (Some((raw, _)), Some(error)) if raw < seen.current => {
            Err(undecided(seen.current, utilization, error))
        }
        (Some((raw, reason)), _) => Ok(Asked { raw, reason, utilization }),
        (None, error) => {
            Err(undecided(seen.current, utilization, error.unwrap_or(MetricError::NoMetrics)))
        }
    }
}

fn undecided(current: u32, utilization: Utilization, error: MetricError) -> TargetJudgement {
    TargetJudgement {
        utilization,
        error: Some(error),
        ..TargetJudgement::at_once(current, TargetReason::from(error), None)
    }
}
