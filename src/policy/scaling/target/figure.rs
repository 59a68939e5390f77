//! How many replicas one of Milvus's own figures asks for.
//!
//! Requests and the read queue are shared by the pods: they are what the HPA calls a metric of type
//! `Pods`, whose average over the pods is compared with the target
//! (`calcPlainMetricReplicas` of `pkg/controller/podautoscaler/replica_calculator.go`).
//!
//! A latency is not shared: twice the pods do not each have half of it, so it has no value per
//! replica. It is what the HPA calls a target of type `Value`: one number for all, whose ratio to
//! the target is applied to the pods that serve (`GetObjectMetricReplicas`). Percentiles cannot be
//! averaged either; the highest of the pods' is taken, which that of all requests never exceeds.

use std::cmp::Ordering;

use super::proposal::{MetricError, Shares, Tolerance, rounded_up};
use crate::policy::scaling::figures::Figure;
use crate::policy::scaling::load::{PodLoad, PodPhase, Standing, figure_standing};

/// One figure.
pub(super) struct Measured<'a> {
    pub pods: &'a [PodLoad],
    pub figure: Figure,
    /// The target, in the figure's unit.
    pub target: u64,
    /// The replicas that are asked for now.
    pub current: u32,
}

/// What it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub replicas: u32,
    /// The average, or the highest, of what was measured.
    pub measured: u64,
}

/// What is known of the pods that count.
#[derive(Default)]
struct Survey {
    known: u32,
    sum: u128,
    highest: u64,
    unready: u32,
    missing: u32,
}

impl Survey {
    fn of(pods: &[PodLoad], figure: Figure) -> Self {
        let mut all = Self::default();
        for pod in pods {
            match figure_standing(pod, figure) {
                Standing::Ignored => {}
                Standing::Unready => all.unready += 1,
                Standing::Missing => all.missing += 1,
                Standing::Measured(value) => {
                    all.known += 1;
                    all.sum += u128::from(value);
                    all.highest = all.highest.max(value);
                }
            }
        }
        all
    }
}

/// Asks one figure.
///
/// # Errors
/// Where no pod that counts has it.
pub(super) fn propose(
    measured: &Measured<'_>,
    tolerance: &Tolerance,
) -> Result<Proposal, MetricError> {
    let survey = Survey::of(measured.pods, measured.figure);
    if survey.known == 0 || measured.target == 0 {
        return Err(MetricError::NoMetrics);
    }
    match measured.figure {
        Figure::Qps | Figure::ReadQueue => Ok(of_average(measured, &survey, tolerance)),
        Figure::LatencyP99 => of_value(measured, &survey, tolerance),
    }
}

fn of_average(measured: &Measured<'_>, survey: &Survey, tolerance: &Tolerance) -> Proposal {
    // Cut off, as the HPA does.
    let average = |sum: u128, pods: u32| (sum / u128::from(pods.max(1))) as f64;
    let ratio = |sum, pods| average(sum, pods) / measured.target as f64;
    let first = ratio(survey.sum, survey.known);
    // Who was not measured is taken for what speaks against the change: for as busy as the target
    // where replicas would go, for idle where some would come.
    let unready = if first > 1.0 { survey.unready } else { 0 };
    let careful = (unready > 0 || survey.missing > 0).then(|| {
        let (mut sum, mut pods) = (survey.sum, survey.known.saturating_add(unready));
        match first.total_cmp(&1.0) {
            Ordering::Less => {
                sum += u128::from(measured.target) * u128::from(survey.missing);
                pods = pods.saturating_add(survey.missing);
            }
            Ordering::Greater => pods = pods.saturating_add(survey.missing),
            Ordering::Equal => {}
        }
        (ratio(sum, pods), pods)
    });
    let shares = Shares { measured: (first, survey.known), careful };
    let replicas = shares.replicas(measured.current, tolerance);
    let average = survey.sum / u128::from(survey.known.max(1));
    Proposal { replicas, measured: u64::try_from(average).unwrap_or(u64::MAX) }
}

fn of_value(
    measured: &Measured<'_>,
    survey: &Survey,
    tolerance: &Tolerance,
) -> Result<Proposal, MetricError> {
    let serves = |pod: &&PodLoad| pod.phase == PodPhase::Running && pod.ready == Some(true);
    let serving = measured.pods.iter().filter(serves).count();
    if serving == 0 {
        return Err(MetricError::NoMetrics);
    }
    let ratio = survey.highest as f64 / measured.target as f64;
    let asked = rounded_up(ratio, u32::try_from(serving).unwrap_or(u32::MAX));
    let current = measured.current;
    // One that was not measured may be as slow as the target allows. The HPA might ask for fewer
    // than there are although the latency is too high, where some do not serve; here that keeps.
    let is_blind = ratio < 1.0 && survey.missing > 0;
    let is_backwards = (ratio < 1.0 && asked > current) || (ratio > 1.0 && asked < current);
    let keeps = is_blind || is_backwards || tolerance.covers(ratio);
    Ok(Proposal { replicas: if keeps { current } else { asked }, measured: survey.highest })
}
