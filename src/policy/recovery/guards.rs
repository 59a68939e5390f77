//! The guards before an action: each one alone, in the order in which they are asked. All of them
//! are asked every time, so that people see the whole picture; the first that objects decides.

mod limits;
mod surroundings;
mod target;

use std::fmt;

pub use surroundings::speaks_against;

use super::decision::{EscalationReason, WaitReason};
use super::ladder::{NextStep, NoStep};
use super::ledger::RecoveryLedger;
use super::refusal::RefusalReason;
use super::request::RecoveryRequest;
use super::settings::{GlobalSettings, RecoverySettings};
use crate::model::{Timestamp, Workload};
use crate::policy::workload_choice::NoChoice;

/// A guard; a closed set, in the order in which they decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// Recovery is switched on.
    Enabled,
    /// Something runs the component.
    Workload,
    /// Enough probes failed in a row.
    FailureThreshold,
    /// The component is not just starting.
    StartupGrace,
    /// This falconer is the leader for long enough.
    Leader,
    /// The circuit breaker of the cluster is closed.
    Breaker,
    /// The platform can be asked.
    Platform,
    /// What the cluster depends on is well.
    Dependency,
    /// Not so much is sick that it must have one cause.
    CommonCause,
    /// No maintenance window and no silence.
    Quiet,
    /// It is known who owns the workload.
    Ownership,
    /// Exactly one workload has replicas.
    OneWorkload,
    /// Its rollout is not paused.
    Paused,
    /// milvus-operator is not at work there and not told to keep off.
    OperatorHold,
    /// The incident was not left to a person.
    LeftToPerson,
    /// What has one instance only has a ladder of its own.
    SingleInstance,
    /// The ladder has a step that makes sense.
    Ladder,
    /// No rollout is in progress.
    Rollout,
    /// Its replicas are not being changed.
    Scaling,
    /// The pod to remove is not the last that serves.
    LastHealthyPod,
    /// The kubelet is not about to act by itself.
    Kubelet,
    /// Nothing that comes earlier in Milvus' restart order is sick.
    RestartOrder,
    /// The rest of the cluster was probed since the incident began. Before the budgets: a common
    /// cause that shows itself must not open the breaker.
    Settled,
    /// No other action is under way in the cluster.
    OneAtATime,
    /// The platform was not bothered with the same request a moment ago.
    PlatformRetry,
    /// The last action on the component is long enough ago.
    Cooldown,
    /// The component's budget has room.
    ComponentBudget,
    /// The cluster's budget has room.
    ClusterBudget,
    /// The budget of everything has room.
    GlobalBudget,
}

impl Guard {
    /// Every guard, in the order in which they decide.
    pub const ALL: [Self; 29] = [
        Self::Enabled,
        Self::Workload,
        Self::FailureThreshold,
        Self::StartupGrace,
        Self::Leader,
        Self::Breaker,
        Self::Platform,
        Self::Dependency,
        Self::CommonCause,
        Self::Quiet,
        Self::Ownership,
        Self::OneWorkload,
        Self::Paused,
        Self::OperatorHold,
        Self::LeftToPerson,
        Self::SingleInstance,
        Self::Ladder,
        Self::Rollout,
        Self::Scaling,
        Self::LastHealthyPod,
        Self::Kubelet,
        Self::RestartOrder,
        Self::Settled,
        Self::OneAtATime,
        Self::PlatformRetry,
        Self::Cooldown,
        Self::ComponentBudget,
        Self::ClusterBudget,
        Self::GlobalBudget,
    ];

    /// The name for machines, e.g. `one_at_a_time`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Workload => "workload",
            Self::FailureThreshold => "failure_threshold",
            Self::StartupGrace => "startup_grace",
            Self::Leader => "leader",
            Self::Breaker => "breaker",
            Self::Platform => "platform",
            Self::Dependency => "dependency",
            Self::CommonCause => "common_cause",
            Self::Quiet => "quiet",
            Self::Ownership => "ownership",
            Self::OneWorkload => "one_workload",
            Self::Paused => "paused",
            Self::OperatorHold => "operator_hold",
            Self::LeftToPerson => "left_to_person",
            Self::SingleInstance => "single_instance",
            Self::Ladder => "ladder",
            Self::Rollout => "rollout",
            Self::Scaling => "scaling",
            Self::LastHealthyPod => "last_healthy_pod",
            Self::Kubelet => "kubelet",
            Self::RestartOrder => "restart_order",
            Self::OneAtATime => "one_at_a_time",
            Self::Cooldown => "cooldown",
            Self::ComponentBudget => "component_budget",
            Self::ClusterBudget => "cluster_budget",
            Self::GlobalBudget => "global_budget",
            Self::Settled => "settled",
            Self::PlatformRetry => "platform_retry",
        }
    }

    fn ask(self, scene: &Scene<'_>) -> Finding {
        match self {
            Self::Enabled => surroundings::enabled(scene),
            Self::Workload => target::exists(scene),
            Self::FailureThreshold => surroundings::failure_threshold(scene),
            Self::StartupGrace => surroundings::startup_grace(scene),
            Self::Leader => surroundings::leader(scene),
            Self::Breaker => limits::breaker(scene),
            Self::Platform => surroundings::platform(scene.request),
            Self::Dependency => surroundings::dependency(scene.request),
            Self::CommonCause => surroundings::common_cause(scene.request),
            Self::Quiet => surroundings::quiet(scene),
            Self::Ownership => target::ownership(scene),
            Self::OneWorkload => target::one_workload(scene),
            Self::Paused => target::paused(scene),
            Self::OperatorHold => target::operator_hold(scene),
            Self::LeftToPerson => limits::left_to_person(scene),
            Self::SingleInstance => target::single_instance(scene),
            Self::Ladder => target::ladder(scene),
            Self::Rollout => target::rollout(scene),
            Self::Scaling => target::scaling(scene),
            Self::LastHealthyPod => target::last_healthy_pod(scene),
            Self::Kubelet => target::kubelet(scene),
            Self::RestartOrder => surroundings::restart_order(scene),
            Self::OneAtATime => limits::one_at_a_time(scene),
            Self::Cooldown => limits::cooldown(scene),
            Self::ComponentBudget => limits::component_budget(scene),
            Self::ClusterBudget => limits::cluster_budget(scene),
            Self::GlobalBudget => limits::global_budget(scene),
            Self::Settled => limits::settled(scene),
            Self::PlatformRetry => limits::platform_retry(scene),
        }
    }
}

/// What one guard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Nothing against it, in words with its numbers.
    Pass(String),
    /// Not now, or not at all.
    Refuse(RefusalReason),
    /// Not before an instant.
    Wait {
        /// When to decide again.
        until: Timestamp,
        /// For what.
        reason: WaitReason,
    },
    /// Leave it to a person.
    Escalate(EscalationReason),
    /// There is nothing to guard, because an earlier one found nothing to act on.
    NotAsked,
}

impl Finding {
    /// The verdict for machines: `pass`, `refuse`, `wait`, `escalate` or `not_asked`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Refuse(_) => "refuse",
            Self::Wait { .. } => "wait",
            Self::Escalate(_) => "escalate",
            Self::NotAsked => "not_asked",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(words) => f.write_str(words),
            Self::Refuse(reason) => match reason.free_in() {
                Some(left) => write!(f, "{reason}; {} left", super::refusal::words(left)),
                None => reason.fmt(f),
            },
            Self::Wait { until, reason } => write!(f, "{reason}, until {until}"),
            Self::Escalate(reason) => reason.fmt(f),
            Self::NotAsked => f.write_str("nothing to act on"),
        }
    }
}

/// A guard and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardVerdict {
    /// The guard.
    pub guard: Guard,
    /// What it says.
    pub finding: Finding,
}

/// What the guards look at.
pub(super) struct Scene<'a> {
    pub(super) request: &'a RecoveryRequest,
    pub(super) ledger: &'a RecoveryLedger,
    pub(super) settings: &'a RecoverySettings,
    pub(super) global: &'a GlobalSettings,
    pub(super) now: Timestamp,
    pub(super) workload: Result<&'a Workload, NoChoice>,
    /// `None` without a workload.
    pub(super) next: Option<Result<NextStep, NoStep>>,
}

impl Scene<'_> {
    /// The next step, if there is one.
    pub(super) fn step(&self) -> Option<&NextStep> {
        self.next.as_ref()?.as_ref().ok()
    }

    /// Its key; empty without a step, which is no action's.
    fn key(&self) -> String {
        self.step().map_or_else(String::new, |step| step.key(self.request))
    }

    /// All verdicts.
    pub(super) fn verdicts(&self) -> Vec<GuardVerdict> {
        Guard::ALL.map(|guard| GuardVerdict { guard, finding: guard.ask(self) }).into()
    }
}
