//! Why nothing is done: a closed set, each with its numbers and its words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::settings::Budget;
use crate::model::{ComponentId, Hold, Reason, Role, Timestamp, WorkloadRef};

/// Why a guard refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalReason {
    /// Recovery is switched off for the component.
    Disabled,
    /// Not enough probes failed in a row.
    BelowThreshold {
        /// How many failed.
        failures: u32,
        /// How many it takes.
        threshold: u32,
    },
    /// Another falconer acts, or may before this action would end.
    NotLeader {
        /// Who or why.
        why: String,
    },
    /// More was done to the cluster than its budget allows; a person must look first.
    BreakerOpen {
        /// The cluster.
        cluster: Arc<str>,
        /// When it opened.
        since: Timestamp,
    },
    /// People want nothing to be done now.
    Quiet {
        /// Which window, or whose silence.
        why: String,
        /// Its end.
        until: Timestamp,
    },
    /// milvus-operator is at work there, or was told to keep off.
    Held {
        /// The workload.
        workload: WorkloadRef,
        /// What it says.
        hold: Hold,
    },
    /// Of this role only one instance runs, and nobody said that it may be restarted.
    SingleInstance {
        /// The role.
        role: Role,
    },
    /// The component serves, and no step is for single pods of it.
    StillServes,
    /// The pod is healthy.
    HealthyPod {
        /// The pod.
        pod: Arc<str>,
    },
    /// Something that is restarted before it is sick too.
    RestartOrder {
        /// What comes first.
        first: ComponentId,
    },
    /// Nothing runs the component as far as falconer knows.
    NoWorkload,
    /// No platform is configured for the cluster.
    NoPlatform,
    /// The platform cannot be asked, so what is known of the workload may be old.
    PlatformUnavailable {
        /// Why.
        error: Reason,
    },
    /// What the cluster depends on is sick.
    DependencySick {
        /// Which.
        dependencies: Vec<ComponentId>,
    },
    /// So much is sick at once that it must have one cause, which a restart does not remove.
    CommonCause {
        /// How many components are sick.
        sick: usize,
        /// Of how many.
        watched: usize,
    },
    /// The component is switched off on purpose.
    ScaledToZero {
        /// The workload.
        workload: WorkloadRef,
    },
    /// More than one workload has replicas.
    SeveralWorkloads {
        /// Which.
        workloads: Vec<WorkloadRef>,
    },
    /// The workload's rollout is paused.
    Paused {
        /// The workload.
        workload: WorkloadRef,
    },
    /// Something falconer does not know owns the workload.
    UnknownOwner {
        /// The workload.
        workload: WorkloadRef,
        /// The owner's kind.
        kind: String,
        /// The owner's name.
        name: String,
    },
    /// Somebody rolls the workload out right now.
    RolloutInProgress {
        /// The workload.
        workload: WorkloadRef,
    },
    /// falconer changes the workload's replicas right now.
    BeingScaled {
        /// The workload.
        workload: WorkloadRef,
    },
    /// As many actions as allowed are under way in the cluster.
    AnotherInFlight {
        /// On which components.
        components: Vec<ComponentId>,
        /// How many are allowed.
        max_concurrent: usize,
    },
    /// The last action on the component is too recent.
    Cooldown {
        /// How much of the cooldown is left.
        left: Duration,
    },
    /// The component has had its share of actions.
    ComponentBudgetSpent {
        /// The budget.
        budget: Budget,
        /// When it has room again, from now.
        free_in: Duration,
    },
    /// The cluster has had its share of actions.
    ClusterBudgetSpent {
        /// The budget.
        budget: Budget,
        /// When it has room again, from now.
        free_in: Duration,
    },
    /// All components together have had their share of actions.
    GlobalBudgetSpent {
        /// The budget.
        budget: Budget,
        /// When it has room again, from now.
        free_in: Duration,
    },
    /// The incident was escalated.
    LeftToPerson {
        /// When.
        since: Timestamp,
    },
}

impl RefusalReason {
    /// How long it holds, where time alone ends it.
    pub const fn free_in(&self) -> Option<Duration> {
        match self {
            Self::Cooldown { left: free_in }
            | Self::ComponentBudgetSpent { free_in, .. }
            | Self::ClusterBudgetSpent { free_in, .. }
            | Self::GlobalBudgetSpent { free_in, .. } => Some(*free_in),
            Self::Disabled
            | Self::BelowThreshold { .. }
            | Self::NotLeader { .. }
            | Self::BreakerOpen { .. }
            | Self::Quiet { .. }
            | Self::Held { .. }
            | Self::SingleInstance { .. }
            | Self::StillServes
            | Self::HealthyPod { .. }
            | Self::RestartOrder { .. }
            | Self::NoWorkload
            | Self::NoPlatform
            | Self::PlatformUnavailable { .. }
            | Self::DependencySick { .. }
            | Self::CommonCause { .. }
            | Self::ScaledToZero { .. }
            | Self::SeveralWorkloads { .. }
            | Self::Paused { .. }
            | Self::UnknownOwner { .. }
            | Self::RolloutInProgress { .. }
            | Self::BeingScaled { .. }
            | Self::AnotherInFlight { .. }
            | Self::LeftToPerson { .. } => None,
        }
    }

    /// Whether so much was done already that nothing more is until a person has looked.
    pub const fn trips_breaker(&self) -> bool {
        matches!(self, Self::ClusterBudgetSpent { .. } | Self::GlobalBudgetSpent { .. })
    }

    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::BelowThreshold { .. } => "below_threshold",
            Self::NotLeader { .. } => "not_leader",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Quiet { .. } => "quiet",
            Self::Held { .. } => "held",
            Self::SingleInstance { .. } => "single_instance",
            Self::StillServes => "still_serves",
            Self::HealthyPod { .. } => "healthy_pod",
            Self::RestartOrder { .. } => "restart_order",
            Self::NoWorkload => "no_workload",
            Self::NoPlatform => "no_platform",
            Self::PlatformUnavailable { .. } => "platform_unavailable",
            Self::DependencySick { .. } => "dependency_sick",
            Self::CommonCause { .. } => "common_cause",
            Self::ScaledToZero { .. } => "scaled_to_zero",
            Self::SeveralWorkloads { .. } => "several_workloads",
            Self::Paused { .. } => "paused",
            Self::UnknownOwner { .. } => "unknown_owner",
            Self::RolloutInProgress { .. } => "rollout_in_progress",
            Self::BeingScaled { .. } => "being_scaled",
            Self::AnotherInFlight { .. } => "another_in_flight",
            Self::Cooldown { .. } => "cooldown",
            Self::ComponentBudgetSpent { .. } => "component_budget_spent",
            Self::ClusterBudgetSpent { .. } => "cluster_budget_spent",
            Self::GlobalBudgetSpent { .. } => "global_budget_spent",
            Self::LeftToPerson { .. } => "left_to_person",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("recovery is disabled for this component"),
            Self::BelowThreshold { failures, threshold } => {
                write!(
                    f,
                    "not restarted yet: {failures} failed probes in a row, {threshold} needed"
                )
            }
            Self::NotLeader { why } => write!(f, "not restarted by this falconer: {why}"),
            Self::BreakerOpen { cluster, since } => write!(
                f,
                "not restarted: recovery of {cluster} is stopped since {since}, because more was \
                 done than its budget allows; look at the cluster, then `falconer resume {cluster}`"
            ),
            Self::Quiet { why, until } => write!(f, "not restarted: {why} until {until}"),
            Self::Held { workload, hold } => write!(f, "not restarted: {workload}: {hold}"),
            Self::SingleInstance { role } => write!(
                f,
                "not restarted: the only {role} would be gone meanwhile; write a ladder under \
                 [recoverer.{role}] to allow it"
            ),
            Self::StillServes => f.write_str(
                "not restarted: it still serves, and no step is for its sick pods alone",
            ),
            Self::HealthyPod { pod } => write!(f, "not removed: pod {pod} is healthy"),
            Self::RestartOrder { first } => {
                write!(f, "not restarted yet: {first} is sick and is restarted before it")
            }
            Self::NoWorkload => f.write_str("nothing to restart: falconer only tells"),
            Self::NoPlatform => {
                f.write_str("no platform is configured for this cluster: falconer only tells")
            }
            Self::PlatformUnavailable { error } => {
                write!(f, "not restarted: the platform cannot be asked ({error})")
            }
            Self::DependencySick { dependencies } => write!(
                f,
                "not restarted: it depends on {}, which {} sick: mend that first",
                list(dependencies),
                if dependencies.len() == 1 { "is" } else { "are" }
            ),
            Self::CommonCause { sick, watched } => write!(
                f,
                "not restarted: {sick} of {watched} components are sick at once, which points to \
                 a common cause"
            ),
            Self::ScaledToZero { workload } => {
                write!(f, "not restarted: {workload} is scaled to zero on purpose")
            }
            Self::SeveralWorkloads { workloads } => write!(
                f,
                "not restarted: {} have replicas at the same time: a rollout may be in progress",
                list(workloads)
            ),
            Self::Paused { workload } => {
                write!(f, "not restarted: the rollout of {workload} is paused")
            }
            Self::UnknownOwner { workload, kind, name } => write!(
                f,
                "not restarted: {workload} is owned by {kind}/{name}, which falconer does not know"
            ),
            Self::RolloutInProgress { workload } => {
                write!(f, "not restarted: a rollout of {workload} is in progress already")
            }
            Self::BeingScaled { workload } => {
                write!(f, "not restarted yet: the replicas of {workload} are being changed")
            }
            Self::AnotherInFlight { components, max_concurrent } => write!(
                f,
                "not restarted yet: {} under way in this cluster, at most {max_concurrent} at a \
                 time",
                list(components)
            ),
            Self::Cooldown { .. } => f.write_str("not restarted yet: cooldown"),
            Self::ComponentBudgetSpent { budget, .. } => {
                f.write_str(&spent("component's", *budget))
            }
            Self::ClusterBudgetSpent { budget, .. } => f.write_str(&spent("cluster's", *budget)),
            Self::GlobalBudgetSpent { budget, .. } => f.write_str(&spent("global", *budget)),
            Self::LeftToPerson { since } => write!(f, "left to a person since {since}"),
        }
    }
}

fn spent(whose: &str, budget: Budget) -> String {
    let (actions, per) = (budget.actions, words(budget.per));
    format!("not restarted: the {whose} budget of {actions} actions per {per} is spent")
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A duration for people: whole seconds, rounded up, so that nothing left to wait is "0s".
pub fn words(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
