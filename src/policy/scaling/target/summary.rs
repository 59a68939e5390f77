//! What mode "target" saw and why it asks for what it asks, with its numbers, in words.

use std::fmt::{self, Write as _};

use super::{Metric, Observation, TargetJudgement, TargetReason, Utilization};
use crate::model::Percent;
use crate::policy::scaling::figures::{Figure, Figures};
use crate::policy::scaling::limits::Limiter;
use crate::policy::scaling::settings::ScalingSettings;

/// A judgement without its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Why.
    pub reason: TargetReason,
    /// What was measured.
    pub utilization: Utilization,
    /// The target of CPU, in per cent of the requests.
    pub cpu_target: Option<Percent>,
    /// The target of memory.
    pub memory_target: Option<Percent>,
    /// What Milvus says of itself.
    pub figures: Figures,
    /// The targets of that.
    pub figure_targets: Figures,
    /// The first metric that could not tell, where that decided.
    pub unknown: Option<Metric>,
    /// What the metrics ask for.
    pub raw: Option<u32>,
    /// The last constraint that changed that.
    pub limited_by: Option<Limiter>,
}

impl Summary {
    /// The summary of `judged`.
    pub fn of(judged: &TargetJudgement, seen: &Observation, settings: &ScalingSettings) -> Self {
        Self {
            reason: judged.reason,
            utilization: judged.utilization,
            cpu_target: settings.cpu_threshold,
            memory_target: settings.memory_threshold,
            figures: judged.figures,
            figure_targets: seen.figure_targets,
            unknown: judged.unknown,
            raw: judged.raw,
            limited_by: judged.limited_by,
        }
    }
}

impl Summary {
    /// The figures that were measured, with their targets.
    fn figures(&self) -> impl Iterator<Item = (Figure, u64, u64)> {
        Figure::ALL.into_iter().filter_map(|figure| {
            Some((figure, self.figures.get(figure)?, self.figure_targets.get(figure)?))
        })
    }

    /// What is used as a multiple of its target; of several the highest.
    pub(in crate::policy::scaling) fn pressure(&self) -> Option<f64> {
        let pairs = [
            (self.utilization.cpu, self.cpu_target),
            (self.utilization.memory, self.memory_target),
        ];
        let known = pairs.into_iter().filter_map(|(used, target)| used.zip(target));
        let shares = known.map(|(used, target)| f64::from(used) / f64::from(target.max(1)));
        let figures = self.figures();
        let told = figures.map(|(_, measured, target)| measured as f64 / target.max(1) as f64);
        shares.chain(told).reduce(f64::max)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("CPU", self.utilization.cpu, self.cpu_target),
            ("memory", self.utilization.memory, self.memory_target),
        ];
        let mut measured = String::new();
        for (name, used, target) in named {
            if let (Some(used), Some(target)) = (used, target) {
                let gap = if measured.is_empty() { "" } else { ", " };
                let _ = write!(measured, "{gap}{name} {used}% of the requests (target {target}%)");
            }
        }
        for (figure, value, target) in self.figures() {
            let gap = if measured.is_empty() { "" } else { ", " };
            let (value, target) = (figure.shown(value), figure.shown(target));
            let _ = write!(measured, "{gap}{} {value} (target {target})", figure.words());
        }
        if !measured.is_empty() {
            write!(f, "{measured}: ")?;
        }
        f.write_str(self.reason.words())?;
        if let Some(metric) = self.unknown {
            write!(f, " ({})", metric.words())?;
        }
        if let (Some(limiter), Some(raw)) = (self.limited_by, self.raw) {
            write!(f, "; it asks for {raw}, limited by {}", limiter.words())?;
        }
        Ok(())
    }
}
