//! What was done to the simulated cluster, told from the requests that its API has accepted.

use crate::model::Timestamp;
use crate::sim::{ApiRequest, Simulation};

/// A kind of disruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// A pod is asked to go, as disruption budgets allow.
    Eviction,
    /// A pod is deleted.
    Deletion,
    /// A pod is removed without waiting for its end.
    ForcedDeletion,
    /// All pods of a workload are replaced.
    Restart,
    /// A workload returns to an earlier revision.
    Rollback,
    /// A workload has another number of replicas.
    Scaling,
    /// Anything else that changes a workload.
    Change,
}

impl Deed {
    /// Its name in the timeline and in the report.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Eviction => "eviction",
            Self::Deletion => "deletion",
            Self::ForcedDeletion => "forced deletion",
            Self::Restart => "restart",
            Self::Rollback => "rollback",
            Self::Scaling => "scaling",
            Self::Change => "change",
        }
    }

    /// What a disruptive request does.
    pub(super) fn of(request: &ApiRequest) -> Self {
        if request.resource == "pods" {
            let at_once = format!("{} {}", request.query, request.body).replace([' ', '"'], "");
            return if request.subresource == "eviction" {
                Self::Eviction
            } else if ["gracePeriodSeconds:0", "gracePeriodSeconds=0"]
                .iter()
                .any(|grace| at_once.contains(grace))
            {
                Self::ForcedDeletion
            } else {
                Self::Deletion
            };
        }
        if request.subresource == "scale" {
            Self::Scaling
        } else if request.body.contains("returned from revision") {
            // A template of before may hold the mark of an earlier restart.
            Self::Rollback
        } else if request.body.contains("restartedAt") {
            Self::Restart
        } else {
            Self::Change
        }
    }
}

/// The disruptions since then, oldest first.
pub(super) fn disruptions(sim: &Simulation, since: Timestamp) -> Vec<ApiRequest> {
    sim.api_requests().matching(|request| request.at >= since && request.is_disruption())
}

/// Whether the request is for a workload or a pod of the component.
pub(super) fn concerns(sim: &Simulation, request: &ApiRequest, component: &str) -> bool {
    let workload = format!("{}-{component}", sim.settings().instance);
    let rest = request.name.strip_prefix(&workload);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
