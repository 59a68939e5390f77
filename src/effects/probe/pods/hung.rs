//! Pods that hang in their end: told of, and, where somebody allowed it, a failure, so that they are
//! removed. Pure.

use std::time::Duration;

use crate::model::{ComponentInventory, Outcome, Pod, PodCondition, ReasonKind, Timestamp};

/// Nobody waits longer for a pod than this, whatever it was granted: milvus-operator grants 30 days.
const LONGEST_GRACE: Duration = Duration::from_secs(30);
/// Most pods that a reason names.
const NAMED_PODS: usize = 3;

/// When a pod that does not end is worth a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HungLimits {
    /// It is told after this time beyond its grace period.
    pub told_after: Duration,
    /// After this time it counts as a failure; `None` = never.
    pub fails_after: Option<Duration>,
}

impl Default for HungLimits {
    fn default() -> Self {
        Self { told_after: Duration::from_mins(10), fails_after: None }
    }
}

/// `verdict`, with what has to be said of pods that do not end.
pub fn judge_hung(
    verdict: Outcome,
    inventory: &ComponentInventory,
    limits: &HungLimits,
    now: Timestamp,
) -> Outcome {
    let shortest = limits.fails_after.map_or(limits.told_after, |it| it.min(limits.told_after));
    let hung: Vec<(&Pod, Duration)> = inventory
        .pods
        .iter()
        .filter_map(|pod| Some((pod, hangs_for(pod, now)?)))
        .filter(|(_, time)| *time >= shortest)
        .collect();
    let Some(longest) = hung.iter().map(|(_, time)| *time).max() else { return verdict };
    let text = words(&hung);
    let must_go = limits.fails_after.is_some_and(|after| longest >= after);
    match verdict {
        Outcome::Failed { reason } => Outcome::failed(reason.kind, format!("{reason}; {text}")),
        Outcome::Degraded { reason } if !must_go => {
            Outcome::degraded(reason.kind, format!("{reason}; {text}"))
        }
        Outcome::Healthy | Outcome::Degraded { .. } if must_go => {
            Outcome::failed(ReasonKind::Terminating, text)
        }
        Outcome::Healthy | Outcome::Degraded { .. } => {
            Outcome::degraded(ReasonKind::Terminating, text)
        }
    }
}

/// For how long a pod has not ended although it should have.
fn hangs_for(pod: &Pod, now: Timestamp) -> Option<Duration> {
    if pod.condition != PodCondition::Terminating {
        return None;
    }
    let ending = pod.life.terminating?;
    let due = ending.since + ending.grace.min(LONGEST_GRACE);
    (now > due).then(|| now.since(due))
}

fn words(hung: &[(&Pod, Duration)]) -> String {
    let named = hung.iter().take(NAMED_PODS).map(|(pod, time)| {
        let time = humantime::format_duration(Duration::from_secs(time.as_secs()));
        format!("pod {} hangs in its end for {time}", pod.name)
    });
    let text = named.collect::<Vec<_>>().join("; ");
    match hung.len().saturating_sub(NAMED_PODS) {
        0 => text,
        others => format!("{text}; and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PodLife, Reason, Resources, Terminating};

    fn inventory(asked_minutes_ago: u64) -> ComponentInventory {
        let since = now().minus(Duration::from_mins(asked_minutes_ago));
        let grace = Duration::from_hours(30 * 24);
        let pod = Pod {
            name: "querynode-a".into(),
            ip: None,
            condition: PodCondition::Terminating,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: None,
            workload: None,
            life: PodLife { terminating: Some(Terminating { since, grace }), ..PodLife::default() },
        };
        ComponentInventory { pods: vec![pod], ..ComponentInventory::default() }
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000)
    }

    fn judged(verdict: Outcome, minutes: u64, fails_after: Option<u64>) -> Outcome {
        let fails_after = fails_after.map(Duration::from_mins);
        let limits = HungLimits { fails_after, ..HungLimits::default() };
        judge_hung(verdict, &inventory(minutes), &limits, now())
    }

    #[test]
    fn a_pod_that_does_not_end_is_told_of_however_long_it_was_granted() {
        assert_eq!(judged(Outcome::Healthy, 10, None), Outcome::Healthy);
        let text = "pod querynode-a hangs in its end for 10m 30s";
        let expected = Outcome::degraded(ReasonKind::Terminating, text);
        assert_eq!(judged(Outcome::Healthy, 11, None), expected);
        let worse = judged(Outcome::failed(ReasonKind::Timeout, "timeout"), 11, None);
        let reason = Reason::new(ReasonKind::Timeout, format!("timeout; {text}"));
        assert_eq!(worse, Outcome::Failed { reason });
    }

    #[test]
    fn it_fails_only_where_it_may_be_removed_by_force() {
        let is_failed = |outcome| matches!(outcome, Outcome::Failed { .. });
        assert!(!is_failed(judged(Outcome::Healthy, 60, None)));
        assert!(!is_failed(judged(Outcome::Healthy, 14, Some(15))));
        assert!(is_failed(judged(Outcome::Healthy, 16, Some(15))));
        let degraded = || Outcome::degraded(ReasonKind::SomePods, "1 of 2 pods exist");
        assert!(!is_failed(judged(degraded(), 11, Some(15))));
        assert!(is_failed(judged(degraded(), 16, Some(15))));
        assert!(is_failed(judged(Outcome::Healthy, 6, Some(5))));
    }
}
