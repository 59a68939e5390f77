//! What ends a guard's objection: a line for each, for whoever wants falconer to act. Pure.

use crate::policy::recovery::Guard;

/// What would have to change for the guard of this name to let an action pass; nothing for a guard
/// that this version does not know.
pub fn remedy(guard: &str) -> Option<&'static str> {
    Guard::ALL.into_iter().find(|known| known.as_str() == guard).map(of)
}

const fn of(guard: Guard) -> &'static str {
    match guard {
        Guard::Enabled => "set enabled = true in [recoverer] and in the component's own table",
        Guard::Workload => "nothing that falconer can restart runs it: only people can act",
        Guard::FailureThreshold => "more probes in a row must fail (failure_threshold)",
        Guard::StartupGrace => "it must have had its time to start (startup_grace in [supervisor])",
        Guard::Leader => "the falconer that leads decides: ask that one",
        Guard::Breaker => "look at the cluster, then say: falconer resume CLUSTER",
        Guard::Platform => "the platform must answer again",
        Guard::Dependency => "mend what it depends on first",
        Guard::CommonCause => "find the common cause; a restart of each would not remove it",
        Guard::Quiet => "the window or silence must end",
        Guard::Ownership => "act through the workload's owner",
        Guard::OneWorkload => "only one of its workloads may have replicas",
        Guard::Paused => "let the rollout go on: kubectl rollout resume",
        Guard::OperatorHold => "milvus-operator must be done, or be allowed to act again",
        Guard::LeftToPerson => "a person must act; falconer tries again in the next incident",
        Guard::SingleInstance => "write its ladder in [recoverer.COMPONENT] to allow it",
        Guard::Ladder => "a person must act, or its ladder must have another step",
        Guard::Rollout => "its rollout must end",
        Guard::Scaling => "the change of its replicas must end",
        Guard::LastHealthyPod => "another pod of it must serve first",
        Guard::Kubelet => "the kubelet must have had its turn",
        Guard::RestartOrder => "what is restarted before it must be healthy",
        Guard::OneAtATime => "the other action must end (max_concurrent in [recoverer])",
        Guard::Cooldown => "time must pass (cooldown)",
        Guard::ComponentBudget => "time must pass, or its budget must be larger (budget)",
        Guard::ClusterBudget => "time must pass, or the budget must be larger (cluster_budget)",
        Guard::GlobalBudget => "time must pass, or the budget must be larger (global_budget)",
        Guard::Settled => "the rest of the cluster must have been probed",
        Guard::PlatformRetry => "a moment must pass before the platform is asked again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_of_another_version_has_no_remedy_and_is_no_trouble() {
        assert!(remedy("cooldown").is_some());
        assert_eq!(remedy("phase_of_the_moon"), None);
    }
}
