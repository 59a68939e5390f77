//! What is decided about a sick component, in a form that can be carried out and explained.

use std::fmt;
use std::sync::Arc;

use super::refusal::RefusalReason;
use super::settings::ActionStep;
use crate::model::{LEFT_TO_PERSON, Timestamp, WorkloadRef};

/// What to do about a sick component.
#[derive(Debug, Clone, PartialEq)]
pub enum RecoveryDecision {
    /// Take this step.
    Act(PlannedAction),
    /// Do nothing, and say why.
    Refuse {
        /// Why.
        reason: RefusalReason,
    },
    /// Nothing speaks against it but the time.
    Wait {
        /// When to decide again.
        until: Timestamp,
        /// For what.
        reason: WaitReason,
    },
    /// Leave it to a person, and say so once.
    Escalate {
        /// Why.
        reason: EscalationReason,
    },
    /// An action for this component is under way and not verified yet.
    InFlight,
}

/// One step that may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAction {
    /// The step.
    pub step: ActionStep,
    /// Its place in the ladder, from 0.
    pub index: usize,
    /// On what.
    pub workload: WorkloadRef,
    /// The pod to remove; `None` for what is done to the workload as a whole.
    pub pod: Option<PodTarget>,
    /// The revisions to leave and to return to; `None` but for a rollback.
    pub revisions: Option<RevisionChange>,
    /// The rungs that were passed over, each with its reason.
    pub skipped: Vec<String>,
    /// Incident and step, and the pod or the revision where there is one; a repeated try after a
    /// platform error has the same key.
    pub idempotency_key: String,
    /// The instant that is written into the workload; a repeated try writes the same one, so that
    /// a first try that did arrive is not carried out twice.
    pub at: Timestamp,
}

/// One pod, and no other of its name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodTarget {
    /// Its name.
    pub name: Arc<str>,
    /// Its identifier.
    pub uid: Option<Arc<str>>,
}

/// From which revision to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RevisionChange {
    /// The newest one.
    pub from: u64,
    /// The one to return to.
    pub to: u64,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Something of the cluster was not probed since the incident began: a common cause may still
    /// show itself.
    Settling,
    /// The platform could not be reached for the same step a moment ago.
    PlatformRetry,
    /// The component, or a pod of it, may still be starting.
    Starting {
        /// What.
        what: String,
    },
    /// The kubelet sees the trouble too and is about to restart the container.
    Kubelet {
        /// Which pod.
        pod: Arc<str>,
    },
    /// Another pod of the component is not up yet, or not gone: one at a time.
    OtherPod {
        /// Which pod.
        pod: Arc<str>,
    },
}

impl WaitReason {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::PlatformRetry => "platform_retry",
            Self::Starting { .. } => "starting",
            Self::Kubelet { .. } => "kubelet",
            Self::OtherPod { .. } => "other_pod",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settling => f.write_str("waiting for word whether something else is sick too"),
            Self::PlatformRetry => {
                f.write_str("the platform did not take the last request; trying again")
            }
            Self::Starting { what } => write!(f, "{what} may still be starting"),
            Self::OtherPod { pod } => {
                write!(f, "one pod at a time: {pod} is not up yet, or not gone")
            }
            Self::Kubelet { pod } => write!(
                f,
                "the kubelet's own liveness probe sees the trouble of {pod} and is about to restart \
                 its container"
            ),
        }
    }
}

/// A step that was taken, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TriedStep {
    /// The step.
    pub step: ActionStep,
    /// What came of it.
    pub end: TriedEnd,
}

/// What came of a step after which something is still to be done; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriedEnd {
    /// The component was not healthy in its time.
    Failed,
    /// The platform did not do it.
    Refused,
    /// The component was healthy, and soon sick again.
    CameBack,
}

impl fmt::Display for TriedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.as_str();
        match self.end {
            TriedEnd::Failed => write!(f, "{step} did not help"),
            TriedEnd::Refused => write!(f, "{step} was refused by the platform"),
            TriedEnd::CameBack => write!(f, "{step} helped, but not for long"),
        }
    }
}

/// Why it is left to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EscalationReason {
    /// The ladder says so, or has no further step.
    LadderEnds {
        /// The steps that were taken, oldest first.
        tried: Vec<TriedStep>,
        /// The steps that could not be taken, each with its reason.
        skipped: Vec<String>,
    },
    /// The rollout of the previous restart still has not finished, so another one cannot help.
    RolloutStuck {
        /// The workload.
        workload: WorkloadRef,
    },
}

impl EscalationReason {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::LadderEnds { .. } => "ladder_ends",
            Self::RolloutStuck { .. } => "rollout_stuck",
        }
    }
}

impl fmt::Display for EscalationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LadderEnds { tried, skipped } if tried.is_empty() => {
                write!(f, "{LEFT_TO_PERSON}: the ladder has no automatic step")?;
                write_skipped(f, skipped)
            }
            Self::LadderEnds { tried, skipped } => {
                let words: Vec<String> = tried.iter().map(ToString::to_string).collect();
                write!(f, "{LEFT_TO_PERSON}: {}", words.join(", then "))?;
                if !skipped.is_empty() {
                    write!(f, "; not tried: {}", skipped.join("; "))?;
                }
                Ok(())
            }
            Self::RolloutStuck { workload } => write!(
                f,
                "{LEFT_TO_PERSON}: {workload} still rolls out after its restart, and another \
                 restart would not help"
            ),
        }
    }
}

/// The end of a sentence: what could not be done, each with its reason.
pub(super) fn write_skipped(f: &mut fmt::Formatter<'_>, skipped: &[String]) -> fmt::Result {
    if skipped.is_empty() { Ok(()) } else { write!(f, " ({})", skipped.join("; ")) }
}
