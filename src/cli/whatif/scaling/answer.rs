//! An answer: its fields.

use serde::Serialize;

use crate::model::Percent;
use crate::policy::scaling::limits::Limiter;
use crate::policy::scaling::target::{MetricError, TargetJudgement, Utilization};

/// What would be done.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    name: Option<&'a str>,
    desired_replicas: u32,
    raw_desired: Option<u32>,
    utilization: Used,
    decision: &'static str,
    reason: &'static str,
    limited_by: Option<&'static str>,
    error: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Used {
    cpu: Option<Percent>,
    memory: Option<Percent>,
}

/// What a mode other than "target" decided.
pub(super) struct Decided {
    pub desired: u32,
    pub raw: Option<u32>,
    pub utilization: Utilization,
    pub reason: &'static str,
    pub limited_by: Option<Limiter>,
    pub error: Option<MetricError>,
}

impl<'a> Answer<'a> {
    pub(super) fn of_target(name: Option<&'a str>, current: u32, judged: &TargetJudgement) -> Self {
        let TargetJudgement { desired, raw, utilization, reason, limited_by, error, .. } = *judged;
        let reason = reason.as_str();
        let decided = Decided { desired, raw, utilization, reason, limited_by, error };
        Self::new(name, current, &decided)
    }

    pub(super) fn new(name: Option<&'a str>, current: u32, decided: &Decided) -> Self {
        let Utilization { cpu, memory } = decided.utilization;
        Self {
            name,
            desired_replicas: decided.desired,
            raw_desired: decided.raw,
            utilization: Used { cpu, memory },
            decision: match decided.desired.cmp(&current) {
                std::cmp::Ordering::Greater => "scale_up",
                std::cmp::Ordering::Less => "scale_down",
                std::cmp::Ordering::Equal => "keep",
            },
            reason: decided.reason,
            limited_by: decided.limited_by.map(Limiter::as_str),
            error: decided.error.map(MetricError::as_str),
        }
    }
}
