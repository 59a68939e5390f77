//! Mode "target": the algorithm of the Kubernetes `HorizontalPodAutoscaler`, version 2, to the
//! letter. What the metrics ask for is in `target/proposal.rs`, what delays or shrinks it in
//! `limits.rs`; here both are put together. Pure: everything it knows it is handed.
//!
//! Sources: the Kubernetes page on horizontal pod autoscaling, and what the controller does
//! (`pkg/controller/podautoscaler/horizontal.go`).

mod figure;
#[cfg(test)]
mod figure_tests;
mod metric;
mod proposal;
mod reason;
mod summary;
#[cfg(test)]
mod tests;

pub use metric::Metric;
pub use proposal::{MetricError, Tolerance};
pub use reason::TargetReason;
pub use summary::Summary;

use super::figures::{Figure, Figures};
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
    /// What each of Milvus's own figures should be; `None` = it is not looked at.
    pub figure_targets: Figures,
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
    /// What Milvus says of itself: the average over the pods, of a latency the highest.
    pub figures: Figures,
    /// Why.
    pub reason: TargetReason,
    /// The last constraint that changed the number.
    pub limited_by: Option<Limiter>,
    /// Why the metrics could not decide; then the number stays.
    pub error: Option<MetricError>,
    /// Which of them could not; the first one.
    pub unknown: Option<Metric>,
}

impl TargetJudgement {
    fn at_once(desired: u32, reason: TargetReason, limited_by: Option<Limiter>) -> Self {
        Self {
            desired,
            raw: None,
            utilization: Utilization::default(),
            figures: Figures::default(),
            reason,
            limited_by,
            error: None,
            unknown: None,
        }
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
        figures: asked.figures,
        reason: asked.reason,
        limited_by: limited.by,
        error: None,
        unknown: None,
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
    figures: Figures,
}

/// What was heard of the metrics so far.
#[derive(Default)]
struct Heard {
    best: Option<(u32, TargetReason)>,
    first_error: Option<(Metric, MetricError)>,
    utilization: Utilization,
    figures: Figures,
}

impl Heard {
    fn hear(&mut self, metric: Metric, answer: Result<u32, MetricError>, current: u32) {
        match answer {
            Ok(replicas) if self.best.is_none_or(|(best, _)| replicas > best) => {
                self.best = Some((replicas, TargetReason::of(metric, replicas, current)));
            }
            Ok(_) => {}
            Err(error) => self.first_error = self.first_error.or(Some((metric, error))),
        }
    }

    /// The largest of what the metrics ask for. Where one cannot tell, the others may add replicas,
    /// and never take any away.
    fn conclude(self, current: u32) -> Result<Asked, TargetJudgement> {
        let Self { best, first_error, utilization, figures } = self;
        let (metric, error) = match (best, first_error) {
            (Some((raw, _)), Some((metric, error))) if raw < current => (Some(metric), error),
            (Some((raw, reason)), _) => return Ok(Asked { raw, reason, utilization, figures }),
            (None, Some((metric, error))) => (Some(metric), error),
            (None, None) => (None, MetricError::NoMetrics),
        };
        Err(TargetJudgement {
            utilization,
            figures,
            error: Some(error),
            unknown: metric,
            ..TargetJudgement::at_once(current, TargetReason::from(error), None)
        })
    }
}

fn ask_metrics(
    seen: &Observation,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Result<Asked, TargetJudgement> {
    let rules = StartRules {
        cpu_initialization: settings.cpu_initialization_period,
        readiness_delay: settings.initial_readiness_delay,
    };
    let (pods, current) = (seen.pods.as_slice(), seen.current);
    let mut heard = Heard::default();
    let resources =
        [(Resource::Cpu, settings.cpu_threshold), (Resource::Memory, settings.memory_threshold)];
    for (resource, target) in resources {
        let Some(target) = target else { continue };
        let measured = Measured { pods, resource, target, rules: &rules, current };
        let answer = propose(&measured, &settings.tolerance, now).map(|proposal| {
            match resource {
                Resource::Cpu => heard.utilization.cpu = Some(proposal.utilization),
                Resource::Memory => heard.utilization.memory = Some(proposal.utilization),
            }
            proposal.replicas
        });
        heard.hear(Metric::Resource(resource), answer, current);
    }
    for figure in Figure::ALL {
        let Some(target) = seen.figure_targets.get(figure) else { continue };
        let measured = figure::Measured { pods, figure, target, current };
        let answer = figure::propose(&measured, &settings.tolerance).map(|proposal| {
            heard.figures = heard.figures.with(figure, Some(proposal.measured));
            proposal.replicas
        });
        heard.hear(Metric::Figure(figure), answer, current);
    }
    heard.conclude(current)
}
