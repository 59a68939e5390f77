//! What falconer would do about a workload that something else scales, and whom a change would
//! quarrel with. Words only; never a reason to act.

use std::fmt;

use super::{PlannedChange, ScalingDecision};
use crate::model::{Autoscaler, Workload, WorkloadRef};

/// A workload that something else scales: falconer looks on.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The workload.
    pub workload: WorkloadRef,
    /// What scales it.
    pub autoscaler: Autoscaler,
    /// What falconer would do if nothing else did.
    pub would: Box<ScalingDecision>,
}

impl Observed {
    /// The change that falconer would make; `None` where it would make none.
    pub fn change(&self) -> Option<&PlannedChange> {
        match &*self.would {
            ScalingDecision::Scale(plan) => Some(plan),
            ScalingDecision::Keep { .. }
            | ScalingDecision::Hold { .. }
            | ScalingDecision::Observe(_) => None,
        }
    }

    /// A name for machines, which tells the direction of the change that is not made.
    pub fn as_str(&self) -> &'static str {
        match self.change() {
            Some(plan) if plan.is_up() => "would_scale_up",
            Some(_) => "would_scale_down",
            None => "scaled_by_other",
        }
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not scaled: {}; ", self.autoscaler.claim(&self.workload))?;
        match &*self.would {
            ScalingDecision::Scale(plan) => write!(
                f,
                "falconer would scale it from {} to {} replicas: {}",
                plan.from, plan.to, plan.trigger
            ),
            ScalingDecision::Keep { reason } => write!(f, "falconer by itself: {reason}"),
            ScalingDecision::Hold { reason } => write!(f, "falconer by itself: {reason}"),
            // Nobody watches a watcher.
            ScalingDecision::Observe(_) => f.write_str("falconer looks on"),
        }
    }
}

/// Why a change of `workload` may not last: a GitOps tool looks after it. `None` where none does.
pub fn gitops_warning(workload: &Workload) -> Option<String> {
    let gitops = workload.gitops.as_ref()?;
    let reference = &workload.reference;
    Some(if gitops.sets_replicas {
        format!(
            "{gitops} sets the replicas of {reference} itself and will set back what falconer \
             changes: leave the replicas out of the repository, or the component out of [scaler]"
        )
    } else {
        format!(
            "{reference} is looked after by {gitops}: what falconer changes lasts only while the \
             repository leaves the number of replicas out"
        )
    })
}
