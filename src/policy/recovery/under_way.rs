//! An action from its decision to the end of its verification: plain data.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decision::{PodTarget, RevisionChange};
use super::settings::ActionStep;
use super::trouble::Trouble;
use crate::model::{ComponentId, IncidentId, RolloutStatus, Timestamp, WorkloadRef};

/// How far the rollout of an action has come, as last heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RolloutProgress {
    /// Not asked yet.
    NotAsked,
    /// Goes on.
    InProgress {
        /// The platform's words.
        message: String,
    },
    /// Done.
    Complete,
    /// Will not complete.
    Failed {
        /// The platform's words.
        message: String,
    },
    /// The platform did not answer the question.
    Unreadable {
        /// Why.
        message: String,
    },
}

impl fmt::Display for RolloutProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("its rollout status is not known yet"),
            Self::Complete => f.write_str("rolled out"),
            Self::InProgress { message } | Self::Failed { message } => f.write_str(message),
            Self::Unreadable { message } => write!(f, "its rollout cannot be read: {message}"),
        }
    }
}

/// An action from the decision to the end of its verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionUnderWay {
    /// The incident.
    pub incident: IncidentId,
    /// The component.
    pub component: ComponentId,
    /// The step.
    pub step: ActionStep,
    /// Its place in the ladder.
    pub index: usize,
    /// On what.
    pub workload: WorkloadRef,
    /// The pod that is removed.
    pub pod: Option<PodTarget>,
    /// The revisions that are left and returned to.
    pub revisions: Option<RevisionChange>,
    /// The rungs that were passed over, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Against what it and the steps shortly before it are.
    #[serde(default)]
    pub troubles: BTreeSet<Trouble>,
    /// The pods that were sick when it was decided, by name, `pod` included.
    pub sick_before: BTreeSet<Arc<str>>,
    /// The pods that were sick when a report was last judged after the rollout had ended; `None`
    /// before.
    pub sick_after: Option<BTreeSet<Arc<str>>>,
    /// Incident and step, and the pod where there is one.
    pub idempotency_key: String,
    /// The instant written into the workload.
    pub at: Timestamp,
    /// When it was decided.
    pub requested_at: Timestamp,
    /// When the platform accepted it; `None` while the request is on its way.
    pub accepted_at: Option<Timestamp>,
    /// What is known of the rollout.
    pub rollout: RolloutProgress,
    /// Since when the component is healthy, if it is so after the action.
    pub healthy_since: Option<Timestamp>,
    /// Whether Milvus as a whole must serve again before the action counts as a help.
    #[serde(default)]
    pub waits_for_milvus: bool,
}

impl From<RolloutStatus> for RolloutProgress {
    fn from(status: RolloutStatus) -> Self {
        match status {
            RolloutStatus::InProgress { message } => Self::InProgress { message },
            RolloutStatus::Complete => Self::Complete,
            RolloutStatus::Failed { message } => Self::Failed { message },
        }
    }
}
