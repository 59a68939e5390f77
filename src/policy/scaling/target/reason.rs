//! Why mode "target" asks for what it asks: a closed set.

use super::{Metric, MetricError};
use crate::policy::scaling::figures::Figure;
use crate::policy::scaling::load::Resource;

/// What decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TargetReason {
    /// A number was given instead of metrics.
    #[default]
    Given,
    /// CPU is used more than its target says; more than any other metric asks for.
    CpuAboveTarget,
    /// Memory is.
    MemoryAboveTarget,
    /// CPU is used less than its target says, and no metric asks for more.
    CpuBelowTarget,
    /// Memory is.
    MemoryBelowTarget,
    /// There are more requests for each replica than the target says.
    QpsAboveTarget,
    /// Searches and queries take longer.
    LatencyAboveTarget,
    /// More requests wait in each query node.
    QueueAboveTarget,
    /// There are fewer requests for each replica than the target says, and no metric asks for more.
    QpsBelowTarget,
    /// Searches and queries are faster.
    LatencyBelowTarget,
    /// Fewer requests wait in each query node.
    QueueBelowTarget,
    /// The metric that asks for most asks for as many as there are.
    WithinTolerance,
    /// There are more replicas than `max_replicas`.
    AboveMaximum,
    /// There are fewer replicas than `min_replicas`.
    BelowMinimum,
    /// There are none: somebody has switched the workload off.
    ScaledToZero,
    /// Nobody knows the load.
    NoMetrics,
    /// A container has no request, so there is nothing to compare with.
    MissingRequest,
}

impl TargetReason {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Given,
        Self::CpuAboveTarget,
        Self::MemoryAboveTarget,
        Self::CpuBelowTarget,
        Self::MemoryBelowTarget,
        Self::QpsAboveTarget,
        Self::LatencyAboveTarget,
        Self::QueueAboveTarget,
        Self::QpsBelowTarget,
        Self::LatencyBelowTarget,
        Self::QueueBelowTarget,
        Self::WithinTolerance,
        Self::AboveMaximum,
        Self::BelowMinimum,
        Self::ScaledToZero,
        Self::NoMetrics,
        Self::MissingRequest,
    ];

    /// A name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "raw_desired",
            Self::CpuAboveTarget => "cpu_above_target",
            Self::MemoryAboveTarget => "memory_above_target",
            Self::CpuBelowTarget => "cpu_below_target",
            Self::MemoryBelowTarget => "memory_below_target",
            Self::QpsAboveTarget => "qps_above_target",
            Self::LatencyAboveTarget => "latency_p99_above_target",
            Self::QueueAboveTarget => "read_queue_above_target",
            Self::QpsBelowTarget => "qps_below_target",
            Self::LatencyBelowTarget => "latency_p99_below_target",
            Self::QueueBelowTarget => "read_queue_below_target",
            Self::WithinTolerance => "within_tolerance",
            Self::AboveMaximum => "above_max_replicas",
            Self::BelowMinimum => "below_min_replicas",
            Self::ScaledToZero => "scaled_to_zero",
            Self::NoMetrics => "no_metrics",
            Self::MissingRequest => "missing_request",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Given => "a number was given",
            Self::CpuAboveTarget => "CPU is above its target",
            Self::MemoryAboveTarget => "memory is above its target",
            Self::CpuBelowTarget => "CPU is below its target, and nothing asks for more",
            Self::MemoryBelowTarget => "memory is below its target, and nothing asks for more",
            Self::QpsAboveTarget => "QPS per replica is above its target",
            Self::LatencyAboveTarget => "the p99 latency is above its target",
            Self::QueueAboveTarget => "the read queue is above its target",
            Self::QpsBelowTarget => {
                "QPS per replica is below its target, and nothing asks for more"
            }
            Self::LatencyBelowTarget => {
                "the p99 latency is below its target, and nothing asks for more"
            }
            Self::QueueBelowTarget => {
                "the read queue is below its target, and nothing asks for more"
            }
            Self::WithinTolerance => "as many as there are",
            Self::AboveMaximum => "there are more than max_replicas",
            Self::BelowMinimum => "there are fewer than min_replicas",
            Self::ScaledToZero => "it is scaled to zero on purpose",
            Self::NoMetrics => "the load is not known: no pod that counts has a sample",
            Self::MissingRequest => {
                "a container has no request, so there is nothing to compare with"
            }
        }
    }

    /// The reason for asking for `replicas` where there are `current`.
    pub(super) const fn of(metric: Metric, replicas: u32, current: u32) -> Self {
        if replicas == current {
            return Self::WithinTolerance;
        }
        match (metric, replicas > current) {
            (Metric::Resource(Resource::Cpu), true) => Self::CpuAboveTarget,
            (Metric::Resource(Resource::Cpu), false) => Self::CpuBelowTarget,
            (Metric::Resource(Resource::Memory), true) => Self::MemoryAboveTarget,
            (Metric::Resource(Resource::Memory), false) => Self::MemoryBelowTarget,
            (Metric::Figure(Figure::Qps), true) => Self::QpsAboveTarget,
            (Metric::Figure(Figure::Qps), false) => Self::QpsBelowTarget,
            (Metric::Figure(Figure::LatencyP99), true) => Self::LatencyAboveTarget,
            (Metric::Figure(Figure::LatencyP99), false) => Self::LatencyBelowTarget,
            (Metric::Figure(Figure::ReadQueue), true) => Self::QueueAboveTarget,
            (Metric::Figure(Figure::ReadQueue), false) => Self::QueueBelowTarget,
        }
    }
}

impl From<MetricError> for TargetReason {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::NoMetrics => Self::NoMetrics,
            MetricError::MissingRequest => Self::MissingRequest,
        }
    }
}
