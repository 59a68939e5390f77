//! How much memory the query nodes that remain would need. What a node uses follows the data that
//! it holds; what one gives up is taken over by the others in equal parts.

use std::sync::Arc;

use super::{CautionReason, CautionSettings};
use crate::model::{Percent, Pod, PodCondition, Timestamp};
use crate::policy::scaling::{PlannedChange, ScalingRequest};

/// The memory of one pod, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodMemory {
    pub(super) pod: Arc<str>,
    pub(super) used: u64,
    pub(super) limit: u64,
}

/// The memory of every pod of the workload that is there to stay.
///
/// # Errors
/// Where one of them is not known.
pub(super) fn of(
    request: &ScalingRequest,
    plan: &PlannedChange,
    settings: &CautionSettings,
    now: Timestamp,
) -> Result<Vec<PodMemory>, CautionReason> {
    let pods = request.pods.iter().filter(|pod| belongs(pod, plan));
    let known = |pod: &Pod| {
        let unknown = |what| CautionReason::MemoryUnknown { pod: Arc::clone(&pod.name), what };
        let sample = request.usage.iter().find(|usage| *usage.pod == *pod.name);
        let fresh = sample.filter(|usage| {
            // A source that does not date its samples measures when it is asked.
            usage.sampled_at.is_none_or(|at| now.since(at) <= settings.evidence_age)
        });
        let used = fresh.and_then(|usage| usage.memory_bytes);
        let used = used.ok_or_else(|| unknown("a fresh sample of the memory"))?;
        let limit = pod.limits.memory_bytes.filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| unknown("the memory limit"))?;
        Ok(PodMemory { pod: Arc::clone(&pod.name), used, limit })
    };
    pods.map(known).collect()
}

fn belongs(pod: &Pod, plan: &PlannedChange) -> bool {
    let ours = pod.workload.as_ref().is_none_or(|own| *own == plan.workload);
    ours && match pod.condition {
        PodCondition::Pending { .. }
        | PodCondition::Ready
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. } => true,
        PodCondition::Terminating | PodCondition::Ended { .. } => false,
    }
}

/// Whether the data fits without `victim`; where it is not known who goes, whoever that is.
///
/// # Errors
/// Where it does not: the fullest pod of the worst case.
pub(super) fn fits(
    pods: &[PodMemory],
    victim: Option<&str>,
    allowed: Percent,
) -> Result<(), CautionReason> {
    let remaining = pods.len().saturating_sub(1);
    let may_go = |pod: &&PodMemory| victim.is_none_or(|victim| *pod.pod == *victim);
    let mut worst: Option<(u128, &PodMemory)> = None;
    for gone in pods.iter().filter(may_go) {
        for stays in pods.iter().filter(|pod| pod.pod != gone.pod) {
            let share = u128::from(gone.used).div_ceil(remaining.max(1) as u128);
            // Cut off as the threshold is met at its whole per cent.
            let percent = (u128::from(stays.used) + share) * 100 / u128::from(stays.limit);
            if worst.is_none_or(|(most, _)| percent > most) {
                worst = Some((percent, stays));
            }
        }
    }
    let Some((predicted, fullest)) = worst else {
        let pod = pods.first().map_or_else(|| Arc::from("?"), |pod| Arc::clone(&pod.pod));
        return Err(CautionReason::MemoryUnknown { pod, what: "who would take over the data" });
    };
    let predicted = Percent::try_from(predicted).unwrap_or(Percent::MAX);
    if predicted < allowed {
        return Ok(());
    }
    let pod = Arc::clone(&fullest.pod);
    Err(CautionReason::MemoryWouldNotFit { pod, predicted, allowed, remaining })
}
