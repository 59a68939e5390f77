//! Why a workload is left alone whatever its load: a closed set, each with numbers and words.

use std::fmt;
use std::time::Duration;

use crate::model::{ComponentId, HealthState, Role, Timestamp, WorkloadRef};

/// Why falconer leaves the workload alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldReason {
    /// The component is not listed in `[scaler] components`.
    NotListed,
    /// Scaling is switched off for the component.
    Disabled,
    /// More replicas of this role do not share its work.
    RoleNeverScales {
        /// The role.
        role: Role,
    },
    /// Nothing runs the component.
    NoWorkload,
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
    /// Such a workload has no number of replicas.
    KindNeverScales {
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
    /// The workload's rollout is paused.
    Paused {
        /// The workload.
        workload: WorkloadRef,
    },
    /// The last change is not finished.
    ChangeUnderWay {
        /// From this number.
        from: u32,
        /// To this number.
        to: u32,
    },
    /// A maintenance window or a silence holds it.
    Quiet {
        /// Which window, or whose silence.
        why: String,
        /// Its end.
        until: Timestamp,
    },
    /// falconer restarts the workload right now.
    BeingRestarted {
        /// The workload.
        workload: WorkloadRef,
    },
    /// The platform did not take the last change.
    AfterError {
        /// When it is asked again, from now.
        left: Duration,
    },
    /// An incident goes on, or nothing is known yet.
    NotHealthy {
        /// The state.
        state: HealthState,
    },
    /// An incident goes on of what the component depends on.
    DependencySick {
        /// Of that.
        cause: ComponentId,
    },
    /// A rollout is in progress.
    RollingOut {
        /// The workload.
        workload: WorkloadRef,
    },
    /// Not all replicas are ready, so the load is not that of all.
    NotAllReady {
        /// Ready.
        ready: u32,
        /// Asked for.
        desired: u32,
    },
}

impl HoldReason {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::Disabled => "disabled",
            Self::RoleNeverScales { .. } => "role_never_scales",
            Self::NoWorkload => "no_workload",
            Self::ScaledToZero { .. } => "scaled_to_zero",
            Self::SeveralWorkloads { .. } => "several_workloads",
            Self::KindNeverScales { .. } => "kind_never_scales",
            Self::UnknownOwner { .. } => "unknown_owner",
            Self::Paused { .. } => "paused",
            Self::ChangeUnderWay { .. } => "change_under_way",
            Self::Quiet { .. } => "quiet",
            Self::BeingRestarted { .. } => "being_restarted",
            Self::AfterError { .. } => "after_error",
            Self::NotHealthy { .. } => "not_healthy",
            Self::DependencySick { .. } => "dependency_sick",
            Self::RollingOut { .. } => "rolling_out",
            Self::NotAllReady { .. } => "not_all_ready",
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed => f.write_str("not scaled: not listed in [scaler] components"),
            Self::Disabled => f.write_str("not scaled: scaling is disabled"),
            Self::RoleNeverScales { role } => {
                write!(f, "not scaled: more replicas of a {role} do not share its work")
            }
            Self::NoWorkload => f.write_str("not scaled: no workload runs it"),
            Self::ScaledToZero { workload } => {
                write!(f, "not scaled: {workload} is scaled to zero on purpose")
            }
            Self::SeveralWorkloads { workloads } => f.write_str(&several(workloads)),
            Self::KindNeverScales { workload } => {
                write!(f, "not scaled: {workload} has no number of replicas")
            }
            Self::UnknownOwner { workload, kind, name } => write!(
                f,
                "not scaled: {workload} is owned by {kind}/{name}, which falconer does not know"
            ),
            Self::Paused { workload } => {
                write!(f, "not scaled: the rollout of {workload} is paused")
            }
            Self::ChangeUnderWay { from, to } => {
                write!(f, "the change from {from} to {to} replicas is under way")
            }
            Self::Quiet { why, until } => write!(f, "not scaled: {why} until {until}"),
            Self::BeingRestarted { workload } => {
                write!(f, "not scaled: {workload} is being restarted")
            }
            Self::AfterError { left } => write!(
                f,
                "not scaled: the platform did not take the last change; again in {}s",
                left.as_secs() + 1
            ),
            Self::NotHealthy { state } => {
                write!(f, "not scaled: the component is {}", state.as_str())
            }
            Self::DependencySick { cause } => write!(
                f,
                "not scaled: {} is unhealthy, and the component depends on it",
                cause.component
            ),
            Self::RollingOut { workload } => {
                write!(f, "not scaled: a rollout of {workload} is in progress")
            }
            Self::NotAllReady { ready, desired } => {
                write!(f, "not scaled: {ready} of {desired} replicas are ready")
            }
        }
    }
}

fn several(workloads: &[WorkloadRef]) -> String {
    let names: Vec<String> = workloads.iter().map(ToString::to_string).collect();
    let names = names.join(" and ");
    format!(
        "not scaled: {names} have replicas at the same time: a rollout may be in progress, or the \
         component has several groups, and which of them is to grow or shrink is not guessed"
    )
}
