//! How many replicas one metric asks for, from the use of each pod: the replica calculator of the
//! HPA (`pkg/controller/podautoscaler/replica_calculator.go`, `metrics/utilization.go`).

use serde::Serialize;

use crate::model::{Percent, Timestamp};
use crate::policy::scaling::load::{PodLoad, Resource, Standing, StartRules, standing};

/// How far the use may be from its target without anything being done, as shares of the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// Above it.
    pub up: f64,
    /// Below it.
    pub down: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { up: 0.1, down: 0.1 }
    }
}

impl Tolerance {
    pub(super) fn covers(&self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// Why a metric cannot decide; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricError {
    /// No pod that counts has a sample, or the requests sum up to nothing.
    NoMetrics,
    /// A container of some pod has no request.
    MissingRequest,
}

impl MetricError {
    /// A name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoMetrics => "no_metrics",
            Self::MissingRequest => "missing_request",
        }
    }
}

/// One metric: the use of a resource in per cent of what was requested.
pub(super) struct Measured<'a> {
    pub pods: &'a [PodLoad],
    pub resource: Resource,
    /// The target, in per cent.
    pub target: Percent,
    pub rules: &'a StartRules,
    /// The replicas that are asked for now.
    pub current: u32,
}

/// What a metric asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub replicas: u32,
    /// What is used of the requests of the pods that count.
    pub utilization: Percent,
}

/// Sums over the pods that count.
#[derive(Clone, Copy, Default)]
struct Sums {
    used: u128,
    requested: u128,
    pods: u32,
}

impl Sums {
    fn add(&mut self, used: u128, requested: u64) {
        self.used += used;
        self.requested += u128::from(requested);
        self.pods = self.pods.saturating_add(1);
    }

    /// In whole per cent, cut off; `None` where nothing was requested.
    fn utilization(&self) -> Option<Percent> {
        let percent = (self.used * 100).checked_div(self.requested)?;
        // The HPA counts in 32 bits.
        Some(Percent::try_from(percent.min(i32::MAX.unsigned_abs().into())).unwrap_or(Percent::MAX))
    }
}

/// Asks one metric.
///
/// # Errors
/// Why it cannot tell.
pub(super) fn propose(
    measured: &Measured<'_>,
    tolerance: &Tolerance,
    now: Timestamp,
) -> Result<Proposal, MetricError> {
    let Measured { pods, resource, target, rules, current } = *measured;
    let (mut ready, mut unready, mut missing) = (Sums::default(), Vec::new(), Vec::new());
    for pod in pods {
        let request = resource.request(pod).unwrap_or_default();
        match standing(pod, resource, rules, now) {
            Standing::Ignored => {}
            Standing::Unready => unready.push(request),
            Standing::Missing => missing.push(request),
            Standing::Measured(used) => ready.add(used.into(), request),
        }
    }
    if ready.pods == 0 {
        return Err(MetricError::NoMetrics);
    }
    if pods.iter().any(|pod| resource.request(pod).is_none()) {
        return Err(MetricError::MissingRequest);
    }
    let utilization = ready.utilization().ok_or(MetricError::NoMetrics)?;
    let ratio = ratio(utilization, target);
    let counts_unready = !unready.is_empty() && ratio > 1.0;
    let mut shares = Shares { measured: (ratio, ready.pods), careful: None };
    if !counts_unready && missing.is_empty() {
        return Ok(Proposal { replicas: shares.replicas(current, tolerance), utilization });
    }
    // Who was not measured is taken for what speaks against the change: for busy where replicas
    // would go, for idle where some would come.
    let mut all = ready;
    for request in missing {
        if ratio < 1.0 {
            all.add(u128::from(request) * u128::from(target.max(100)) / 100, request);
        } else if ratio > 1.0 {
            all.add(0, request);
        }
    }
    if counts_unready {
        for request in unready {
            all.add(0, request);
        }
    }
    let careful = self::ratio(all.utilization().ok_or(MetricError::NoMetrics)?, target);
    shares.careful = Some((careful, all.pods));
    Ok(Proposal { replicas: shares.replicas(current, tolerance), utilization })
}

/// How much of its target a metric is, and over how many pods.
pub(super) struct Shares {
    /// Of those that were measured.
    pub measured: (f64, u32),
    /// The same with those that were not, where there are some, each taken for what speaks against
    /// the change.
    pub careful: Option<(f64, u32)>,
}

impl Shares {
    /// How many replicas that asks for where there are `current`.
    pub(super) fn replicas(&self, current: u32, tolerance: &Tolerance) -> u32 {
        let (ratio, pods) = self.measured;
        let Some((careful, all)) = self.careful else {
            return if tolerance.covers(ratio) { current } else { rounded_up(ratio, pods) };
        };
        let flipped = (ratio < 1.0 && careful > 1.0) || (ratio > 1.0 && careful < 1.0);
        if tolerance.covers(careful) || flipped {
            return current;
        }
        let asked = rounded_up(careful, all);
        let backwards = (careful < 1.0 && asked > current) || (careful > 1.0 && asked < current);
        if backwards { current } else { asked }
    }
}

fn ratio(utilization: Percent, target: Percent) -> f64 {
    f64::from(utilization) / f64::from(target)
}

pub(super) fn rounded_up(ratio: f64, pods: u32) -> u32 {
    // The HPA counts in 32 bits; the cast saturates.
    ((ratio * f64::from(pods)).ceil() as u32).min(i32::MAX.unsigned_abs())
}
