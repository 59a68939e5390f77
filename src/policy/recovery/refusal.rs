//! Why nothing is done: a closed set, each with its numbers. Its words are in `refusal/sentences.rs`.

mod sentences;

pub use self::sentences::words;

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
        /// What was spent.
        why: String,
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
        /// What the component has been sick for longer than, where that is too long to be silent.
        sick_for: Option<Duration>,
    },
    /// Of this role only one instance runs, and nobody said that it may be restarted.
    SingleInstance {
        /// The role.
        role: Role,
    },
    /// Of several replicas of this role, of which one serves and the others stand by, only one is
    /// ready, and nobody said that it may be taken down.
    NoStandby {
        /// The role.
        role: Role,
        /// How many there should be.
        replicas: u32,
    },
    /// The component serves, and no step is for single pods of it.
    StillServes {
        /// The steps that could not be taken, each with its reason.
        skipped: Vec<String>,
    },
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
        /// As for `Held`.
        sick_for: Option<Duration>,
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
        /// As for `Held`.
        sick_for: Option<Duration>,
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
            | Self::NoStandby { .. }
            | Self::StillServes { .. }
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
            // Another name, so that it is told anew.
            Self::Held { sick_for: Some(_), .. } => "held_for_long",
            Self::Held { sick_for: None, .. } => "held",
            Self::SingleInstance { .. } => "single_instance",
            Self::NoStandby { .. } => "no_standby",
            Self::StillServes { .. } => "still_serves",
            Self::HealthyPod { .. } => "healthy_pod",
            Self::RestartOrder { .. } => "restart_order",
            Self::NoWorkload => "no_workload",
            Self::NoPlatform => "no_platform",
            Self::PlatformUnavailable { .. } => "platform_unavailable",
            Self::DependencySick { .. } => "dependency_sick",
            Self::CommonCause { .. } => "common_cause",
            Self::ScaledToZero { .. } => "scaled_to_zero",
            Self::SeveralWorkloads { .. } => "several_workloads",
            Self::Paused { sick_for: Some(_), .. } => "paused_for_long",
            Self::Paused { sick_for: None, .. } => "paused",
            Self::UnknownOwner { .. } => "unknown_owner",
            Self::RolloutInProgress { sick_for: Some(_), .. } => "rollout_for_long",
            Self::RolloutInProgress { sick_for: None, .. } => "rollout_in_progress",
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
