//! Why the replicas change or stay: closed sets, each with numbers and words. Why they are left alone is in `hold`.

use std::fmt;
use std::time::Duration;

use super::limits::Limiter;
use super::settings::{LimitSelect, ScalingSettings};
use super::step::Load;
use super::target::Summary;
use crate::model::Percent;

/// What asked for a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// A threshold is exceeded.
    AboveThreshold {
        /// The load.
        load: Load,
    },
    /// Every resource is below half of its threshold.
    BelowHalf {
        /// The load.
        load: Load,
    },
    /// There are fewer replicas than `min_replicas`.
    BelowMinimum {
        /// The minimum.
        min_replicas: u32,
    },
    /// Mode "target" asks for it.
    Target {
        /// What it saw and why.
        summary: Box<Summary>,
    },
}

impl Trigger {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AboveThreshold { .. } => "above_threshold",
            Self::BelowHalf { .. } => "below_half",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::Target { summary } => summary.reason.as_str(),
        }
    }
}

impl Trigger {
    /// The load as a multiple of its threshold, where that is what asked: of several the highest.
    pub fn pressure(&self) -> Option<f64> {
        match self {
            Self::AboveThreshold { load } | Self::BelowHalf { load } => load.pressure(),
            Self::BelowMinimum { .. } => None,
            Self::Target { summary } => summary.pressure(),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboveThreshold { load } => write!(f, "{load}: above the threshold"),
            Self::BelowHalf { load } => write!(f, "{load}: below half of the threshold"),
            Self::BelowMinimum { min_replicas } => write!(f, "min_replicas is {min_replicas}"),
            Self::Target { summary } => write!(f, "{summary}"),
        }
    }
}

/// Why the number of replicas stays for now.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepReason {
    /// The load is between half of the thresholds and the thresholds.
    WithinBand {
        /// The load.
        load: Load,
    },
    /// More would help, but the bound is reached.
    AtMaximum {
        /// The load.
        load: Load,
        /// The bound.
        max_replicas: u32,
    },
    /// Fewer would do, but the bound is reached.
    AtMinimum {
        /// The load.
        load: Load,
        /// The bound.
        min_replicas: u32,
    },
    /// No threshold is configured.
    NoThreshold,
    /// Nobody knows the load.
    NoMetrics {
        /// How many pods are ready and have no sample.
        ready_pods: usize,
    },
    /// A container has no request, so there is nothing to compare with.
    MissingRequest {
        /// The pod.
        pod: String,
        /// `CPU` or `memory`.
        resource: &'static str,
    },
    /// Fewer would do for the pods that have a sample, but not all have one.
    MissingSamples {
        /// How many ready pods lack one.
        missing: usize,
        /// Of how many.
        ready_pods: usize,
    },
    /// The samples are from before the last change.
    Settling,
    /// The data would not fit into the memory of the remaining pods.
    MemoryWouldNotFit {
        /// Predicted share of the smallest limit.
        predicted: Percent,
        /// The most that is accepted.
        allowed: Percent,
    },
    /// The recommendation is too young.
    Stabilizing {
        /// What is recommended.
        recommended: u32,
        /// For how long it must be.
        window: Duration,
    },
    /// The limits allow no further change for now.
    LimitReached {
        /// What is recommended.
        recommended: u32,
    },
    /// This direction is disabled.
    DirectionDisabled {
        /// What is recommended.
        recommended: u32,
    },
    /// Mode "target" asks for nothing else, or must not have it.
    Target {
        /// What it saw and why.
        summary: Box<Summary>,
    },
}

impl KeepReason {
    /// What kept the number from changing to what was recommended.
    pub(super) fn limited(
        by: Option<Limiter>,
        current: u32,
        recommended: u32,
        settings: &ScalingSettings,
    ) -> Self {
        let behavior =
            if recommended > current { &settings.scale_up } else { &settings.scale_down };
        if behavior.select == LimitSelect::Disabled {
            return Self::DirectionDisabled { recommended };
        }
        match by {
            Some(Limiter::Stabilization) => {
                Self::Stabilizing { recommended, window: behavior.stabilization }
            }
            Some(Limiter::Policy | Limiter::MinReplicas | Limiter::MaxReplicas) | None => {
                Self::LimitReached { recommended }
            }
        }
    }

    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::WithinBand { .. } => "within_band",
            Self::AtMaximum { .. } => "at_maximum",
            Self::AtMinimum { .. } => "at_minimum",
            Self::NoThreshold => "no_threshold",
            Self::NoMetrics { .. } => "no_metrics",
            Self::MissingRequest { .. } => "missing_request",
            Self::MissingSamples { .. } => "missing_samples",
            Self::Settling => "settling",
            Self::MemoryWouldNotFit { .. } => "memory_would_not_fit",
            Self::Stabilizing { .. } => "stabilizing",
            Self::LimitReached { .. } => "limit_reached",
            Self::DirectionDisabled { .. } => "direction_disabled",
            Self::Target { summary } => summary.reason.as_str(),
        }
    }
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithinBand { load } => write!(f, "no change: {load}"),
            Self::AtMaximum { load, max_replicas } => {
                write!(f, "no change: {load}, but max_replicas is {max_replicas}")
            }
            Self::AtMinimum { load, min_replicas } => {
                write!(f, "no change: {load}, and min_replicas is {min_replicas}")
            }
            Self::NoThreshold => f.write_str("no change: no threshold is configured"),
            Self::NoMetrics { ready_pods } => write!(
                f,
                "no change: the load is not known: none of {ready_pods} ready pods has a fresh \
                 CPU and memory sample"
            ),
            Self::MissingRequest { pod, resource } => write!(
                f,
                "no change: pod {pod} has a container without a {resource} request to compare with"
            ),
            Self::MissingSamples { missing, ready_pods } => write!(
                f,
                "no change: {missing} of {ready_pods} ready pods have no fresh sample, and \
                 unknown load is not zero load"
            ),
            Self::Settling => f.write_str("no change: waiting for samples after the last change"),
            Self::MemoryWouldNotFit { predicted, allowed } => write!(
                f,
                "no change: with one pod less the rest would need {predicted}% of the memory \
                 limit, more than {allowed}%"
            ),
            Self::Stabilizing { recommended, window } => write!(
                f,
                "no change yet: {recommended} replicas would do, if that stays so for {}",
                humantime::format_duration(*window)
            ),
            Self::LimitReached { recommended } => write!(
                f,
                "no change yet: {recommended} replicas recommended, but the policies allow no \
                 further change in their period"
            ),
            Self::DirectionDisabled { recommended } => write!(
                f,
                "no change: {recommended} replicas recommended, but this direction is disabled"
            ),
            Self::Target { summary } => write!(f, "no change: {summary}"),
        }
    }
}
