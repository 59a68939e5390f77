//! What Milvus itself says of the load of its pods, read from their metrics pages. Plain data in
//! whole thousandths, in which the HPA counts as well; never decides anything.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{Role, TargetReport, Timestamp};

/// A figure of Milvus; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Requests a second, in thousandths.
    Qps,
    /// The 99th percentile of the latency of searches and queries, in microseconds.
    LatencyP99,
    /// Requests that wait to be executed, in thousandths.
    ReadQueue,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Qps, Self::LatencyP99, Self::ReadQueue];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Qps => "QPS per replica",
            Self::LatencyP99 => "the p99 latency",
            Self::ReadQueue => "the read queue",
        }
    }

    /// `value` as people write it.
    pub fn shown(self, value: u64) -> String {
        let value = value as f64 / 1_000.0;
        let digits = usize::from(value.fract() != 0.0);
        match self {
            Self::Qps | Self::ReadQueue => format!("{value:.digits$}"),
            Self::LatencyP99 => format!("{value:.digits$}ms"),
        }
    }

    /// Whether pods of this role have such a figure.
    pub const fn is_told_by(self, role: Role) -> bool {
        match role {
            Role::QueryNode => true,
            Role::Proxy => match self {
                Self::Qps | Self::LatencyP99 => true,
                Self::ReadQueue => false,
            },
            // Standalone and coordinators are never scaled; the others serve no requests.
            Role::Standalone
            | Role::MixCoord
            | Role::RootCoord
            | Role::DataCoord
            | Role::QueryCoord
            | Role::IndexCoord
            | Role::DataNode
            | Role::IndexNode
            | Role::StreamingNode
            | Role::Cdc => false,
        }
    }
}

/// One number for each figure, in its unit: what was measured, or the target for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// See [`Figure::Qps`].
    pub qps: Option<u64>,
    /// See [`Figure::LatencyP99`].
    pub latency_p99: Option<u64>,
    /// See [`Figure::ReadQueue`].
    pub read_queue: Option<u64>,
}

impl Figures {
    /// One of them.
    pub const fn get(&self, figure: Figure) -> Option<u64> {
        match figure {
            Figure::Qps => self.qps,
            Figure::LatencyP99 => self.latency_p99,
            Figure::ReadQueue => self.read_queue,
        }
    }

    /// The same with another `value` of one.
    #[must_use]
    pub const fn with(mut self, figure: Figure, value: Option<u64>) -> Self {
        match figure {
            Figure::Qps => self.qps = value,
            Figure::LatencyP99 => self.latency_p99 = value,
            Figure::ReadQueue => self.read_queue = value,
        }
        self
    }

    /// Those that pods of this role have.
    #[must_use]
    pub fn told_by(self, role: Role) -> Self {
        let told = Figure::ALL.into_iter().filter(|figure| figure.is_told_by(role));
        told.fold(Self::default(), |some, figure| some.with(figure, self.get(figure)))
    }
}

/// The figures of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFigures {
    /// The pod's name.
    pub pod: Arc<str>,
    /// Its figures; `None` = not known.
    pub figures: Figures,
    /// When its page was read.
    pub sampled_at: Timestamp,
}

impl PodFigures {
    /// What the probe of one pod found, which began at `sampled_at`; `None` where its metrics page
    /// was not read.
    pub fn of(target: &TargetReport, sampled_at: Timestamp) -> Option<Self> {
        let page = target.performance.as_ref()?;
        // Where no request failed, one that nobody asked to search or query let nobody wait.
        let is_well = page.qps.is_some() && page.error_rate.is_none_or(|rate| rate <= 0.0);
        let figures = Figures {
            qps: page.qps.and_then(thousandths),
            latency_p99: page.latency_p99_ms.or(is_well.then_some(0.0)).and_then(thousandths),
            read_queue: page.read_queue_length.and_then(thousandths),
        };
        Some(Self { pod: Arc::clone(&target.name), figures, sampled_at })
    }
}

/// `None` for what is no quantity. The cast saturates.
fn thousandths(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then_some((value * 1_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Outcome, PerformanceReport};

    fn of(page: PerformanceReport) -> Figures {
        let target = TargetReport {
            name: "p-0".into(),
            address: Arc::default(),
            outcome: Outcome::Healthy,
            latency: Duration::ZERO,
            performance: Some(Box::new(page)),
        };
        PodFigures::of(&target, Timestamp::default()).expect("a page").figures
    }

    #[test]
    fn a_page_is_read_in_thousandths_and_what_is_no_quantity_is_not_known() {
        let page = PerformanceReport {
            qps: Some(12.3456),
            latency_p99_ms: Some(80.5),
            read_queue_length: Some(f64::NAN),
            ..PerformanceReport::default()
        };
        let expected = Figures { qps: Some(12_346), latency_p99: Some(80_500), read_queue: None };
        assert_eq!(of(page), expected);
        assert_eq!(of(PerformanceReport::default()), Figures::default());
    }

    #[test]
    fn a_pod_that_nobody_asks_lets_nobody_wait_and_one_that_fails_is_not_idle() {
        let page = |qps, error_rate| PerformanceReport {
            qps: Some(qps),
            error_rate,
            ..PerformanceReport::default()
        };
        assert_eq!(of(page(0.0, None)).latency_p99, Some(0));
        assert_eq!(of(page(9.0, Some(0.0))).latency_p99, Some(0), "inserts only");
        assert_eq!(of(page(9.0, Some(1.0))).latency_p99, None);
    }

    #[test]
    fn figures_are_shown_with_one_digit_at_most() {
        assert_eq!(Figure::Qps.shown(1_000), "1");
        assert_eq!(Figure::LatencyP99.shown(250_460), "250.5ms");
        assert_eq!(Figure::ReadQueue.shown(500), "0.5");
    }
}
