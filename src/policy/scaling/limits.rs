//! What may delay or shrink a recommended change: stabilization windows, limits per period, bounds.
//! Independent of the mode that recommended it.
//!
//! Source: what the HPA does with `behavior` (`stabilizeRecommendationWithBehaviors` and
//! `convertDesiredReplicasWithBehaviorRate` of `pkg/controller/podautoscaler/horizontal.go`).

use std::cmp::Ordering;

use crate::model::Timestamp;

use super::settings::{
    ChangeLimit, ChangeLimitKind, LimitSelect, ScalingBehavior, ScalingSettings,
};

/// What was recommended and done before, in any order.
#[derive(Debug, Clone, Copy, Default)]
pub struct History<'a> {
    /// When how many replicas were recommended, before anything limited that.
    pub recommendations: &'a [(Timestamp, u32)],
    /// When how many replicas were added, or, below zero, removed.
    pub changes: &'a [(Timestamp, i64)],
}

impl History<'_> {
    /// The recommendations that are younger than the window.
    fn recommended(&self, behavior: &ScalingBehavior, now: Timestamp) -> impl Iterator<Item = u32> {
        let window = behavior.stabilization;
        let young = self.recommendations.iter().filter(move |(at, _)| now.since(*at) < window);
        young.map(|(_, replicas)| *replicas)
    }

    /// How many replicas there were at the start of the limit's period.
    fn at_start(&self, current: u32, limit: &ChangeLimit, now: Timestamp) -> i64 {
        let young = self.changes.iter().filter(|(at, _)| now.since(*at) < limit.period);
        young.fold(i64::from(current), |replicas, (_, change)| replicas.saturating_sub(*change))
    }
}

/// What changed the number last; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// Other numbers were recommended within the window.
    Stabilization,
    /// A limit per period, or the direction is disabled.
    Policy,
    /// The lower bound.
    MinReplicas,
    /// The upper bound.
    MaxReplicas,
}

impl Limiter {
    /// A name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stabilization => "stabilization",
            Self::Policy => "policy",
            Self::MinReplicas => "min_replicas",
            Self::MaxReplicas => "max_replicas",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stabilization => "the stabilization window",
            Self::Policy => "the policies",
            Self::MinReplicas => "min_replicas",
            Self::MaxReplicas => "max_replicas",
        }
    }
}

/// The number of replicas that may be set now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// It lies between the present and the recommended number.
    pub replicas: u32,
    /// Where it is not the recommended one: why.
    pub by: Option<Limiter>,
}

/// The number of replicas that may be set now, on the way from `current`, which must be within the
/// bounds, to `recommended`.
pub fn limit(
    current: u32,
    recommended: u32,
    history: &History<'_>,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Limited {
    // Upwards the lowest, downwards the highest recommendation of the window holds.
    let lowest = history.recommended(&settings.scale_up, now).fold(recommended, u32::min);
    let highest = history.recommended(&settings.scale_down, now).fold(recommended, u32::max);
    let stable = current.max(lowest).min(highest);
    let (replicas, bounded_by) = match stable.cmp(&current) {
        Ordering::Greater => {
            let limit = ceiling(current, history, &settings.scale_up, now).max(current.into());
            let (max, by) = stricter(limit, settings.max_replicas, Limiter::MaxReplicas, i64::lt);
            (stable.min(max), (stable > max).then_some(by))
        }
        Ordering::Less => {
            let limit = floor(current, history, &settings.scale_down, now).min(current.into());
            let (min, by) = stricter(limit, settings.min_replicas, Limiter::MinReplicas, i64::gt);
            (stable.max(min), (stable < min).then_some(by))
        }
        Ordering::Equal => (stable, None),
    };
    let by = bounded_by.or((stable != recommended).then_some(Limiter::Stabilization));
    Limited { replicas, by }
}

/// The one of a policy's limit and a bound that allows less; where they are equal, the bound.
fn stricter(
    limit: i64,
    bound: u32,
    name: Limiter,
    is_stricter: fn(&i64, &i64) -> bool,
) -> (u32, Limiter) {
    match u32::try_from(limit) {
        Ok(limit) if is_stricter(&limit.into(), &bound.into()) => (limit, Limiter::Policy),
        Ok(_) | Err(_) => (bound, name),
    }
}

/// The most replicas that the limits upwards allow; without any there is none.
fn ceiling(current: u32, history: &History<'_>, behavior: &ScalingBehavior, now: Timestamp) -> i64 {
    let limits = behavior.policies.iter().map(|policy| {
        let start = history.at_start(current, policy, now);
        match policy.kind {
            ChangeLimitKind::Pods => start.saturating_add(policy.value.into()),
            ChangeLimitKind::Percent => {
                (start as f64 * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i64
            }
        }
    });
    match behavior.select {
        LimitSelect::Disabled => current.into(),
        LimitSelect::Max => limits.max().unwrap_or(i64::MAX),
        LimitSelect::Min => limits.min().unwrap_or(i64::MAX),
    }
}

/// The fewest replicas that the limits downwards allow; without any there is none.
fn floor(current: u32, history: &History<'_>, behavior: &ScalingBehavior, now: Timestamp) -> i64 {
    let limits = behavior.policies.iter().map(|policy| {
        let start = history.at_start(current, policy, now);
        match policy.kind {
            ChangeLimitKind::Pods => start.saturating_sub(policy.value.into()),
            ChangeLimitKind::Percent => {
                (start as f64 * (1.0 - f64::from(policy.value) / 100.0)) as i64
            }
        }
    });
    match behavior.select {
        LimitSelect::Disabled => current.into(),
        // The limit that allows most is the lowest.
        LimitSelect::Max => limits.min().unwrap_or(i64::MIN),
        LimitSelect::Min => limits.max().unwrap_or(i64::MIN),
    }
}
