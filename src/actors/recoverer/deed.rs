//! One step as it is asked of a platform and as people say it. Decides nothing.

use std::time::Duration;

use crate::actors::platform::within;
use crate::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, ClusterError, DeletePodRequest, RestartRequest,
    RollbackRequest,
};
use crate::model::{Timestamp, WorkloadRef};
use crate::policy::recovery::{
    ActionStep, ActionUnderWay, PlannedAction, PodTarget, RevisionChange,
};

/// A step on a workload, with all that makes it the same one when it is asked for again.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) step: ActionStep,
    pub(super) workload: WorkloadRef,
    pod: Option<PodTarget>,
    revisions: Option<RevisionChange>,
    pub(super) key: String,
    at: Timestamp,
}

/// A deed in the platform's terms.
enum Request {
    Restart(RestartRequest),
    DeletePod(DeletePodRequest),
    Rollback(RollbackRequest),
    /// The decision lacks what the step is about.
    Senseless,
}

impl From<&PlannedAction> for Deed {
    fn from(plan: &PlannedAction) -> Self {
        Self {
            step: plan.step,
            workload: plan.workload.clone(),
            pod: plan.pod.clone(),
            revisions: plan.revisions,
            key: plan.idempotency_key.clone(),
            at: plan.at,
        }
    }
}

impl From<&ActionUnderWay> for Deed {
    fn from(action: &ActionUnderWay) -> Self {
        Self {
            step: action.step,
            workload: action.workload.clone(),
            pod: action.pod.clone(),
            revisions: action.revisions,
            key: action.idempotency_key.clone(),
            at: action.at,
        }
    }
}

impl Deed {
    fn request(&self) -> Request {
        let (workload, idempotency_key) = (self.workload.clone(), self.key.clone());
        match (self.step, &self.pod, self.revisions) {
            (ActionStep::RolloutRestart, _, _) => {
                Request::Restart(RestartRequest { workload, at: self.at, idempotency_key })
            }
            (ActionStep::DeletePod | ActionStep::ForceDelete, Some(pod), _) => {
                let force = self.step == ActionStep::ForceDelete;
                let PodTarget { name: pod, uid } = pod.clone();
                Request::DeletePod(DeletePodRequest { workload, pod, uid, force, idempotency_key })
            }
            (ActionStep::Rollback, _, Some(RevisionChange { from, to })) => {
                Request::Rollback(RollbackRequest {
                    workload,
                    from_revision: from,
                    to_revision: to,
                    idempotency_key,
                })
            }
            (ActionStep::DeletePod | ActionStep::ForceDelete | ActionStep::Rollback, _, _) => {
                Request::Senseless
            }
        }
    }

    /// Asks `cluster` to do it.
    pub(super) async fn carry_out(
        &self,
        cluster: &dyn Cluster,
        deadline: Duration,
    ) -> Result<Applied, ClusterError> {
        let workload = &self.workload;
        match self.request() {
            Request::Restart(request) => {
                within(deadline, "restart", workload, cluster.restart(&request)).await
            }
            Request::DeletePod(request) => {
                within(deadline, "delete pod of", workload, cluster.delete_pod(&request)).await
            }
            Request::Rollback(request) => {
                within(deadline, "roll back", workload, cluster.rollback(&request)).await
            }
            Request::Senseless => {
                let (operation, object) = (self.step.as_str(), workload.to_string());
                let message = "the decision does not say on what".to_owned();
                Err(ClusterError::Unsupported { operation, object, message })
            }
        }
    }

    /// Asks `cluster` whether it was done.
    pub(super) async fn look_up(
        &self,
        cluster: &dyn Cluster,
        deadline: Duration,
    ) -> Result<ActionTrace, ClusterError> {
        let query = ActionQuery {
            workload: self.workload.clone(),
            pod: self.pod.clone().map(|pod| (pod.name, pod.uid)),
            force: self.step == ActionStep::ForceDelete,
            idempotency_key: self.key.clone(),
        };
        within(deadline, "find action on", &self.workload, cluster.find_action(&query)).await
    }

    /// The exact change as `cluster` would make it.
    pub(super) fn describe(&self, cluster: &dyn Cluster) -> String {
        match self.request() {
            Request::Restart(request) => cluster.describe_restart(&request),
            Request::DeletePod(request) => cluster.describe_delete_pod(&request),
            Request::Rollback(request) => cluster.describe_rollback(&request),
            Request::Senseless => String::new(),
        }
    }

    /// What it is done to, e.g. `deployment/milvus-proxy` or `pod/milvus-proxy-1`.
    pub(super) fn target(&self) -> String {
        match &self.pod {
            Some(pod) => format!("pod/{}", pod.name),
            None => self.workload.to_string(),
        }
    }

    /// As in `to restart deployment/milvus-proxy`.
    pub(super) fn infinitive(&self) -> String {
        let object = self.object();
        match self.step {
            ActionStep::DeletePod => format!("evict {object}"),
            ActionStep::ForceDelete => format!("remove by force {object}"),
            ActionStep::RolloutRestart => format!("restart {object}"),
            ActionStep::Rollback => format!("return {object}"),
        }
    }

    /// As in `restarting deployment/milvus-proxy`.
    pub(super) fn participle(&self) -> String {
        let object = self.object();
        match self.step {
            ActionStep::DeletePod => format!("evicting {object}"),
            ActionStep::ForceDelete => format!("removing by force {object}"),
            ActionStep::RolloutRestart => format!("restarting {object}"),
            ActionStep::Rollback => format!("returning {object}"),
        }
    }

    /// As in `deployment/milvus-proxy was restarted`.
    pub(super) fn past(&self) -> String {
        let (workload, object) = (&self.workload, self.object());
        match self.step {
            ActionStep::DeletePod => format!("{object} was evicted"),
            ActionStep::ForceDelete => format!("{object} was removed by force"),
            ActionStep::RolloutRestart => format!("{object} was restarted"),
            ActionStep::Rollback => match self.revisions {
                Some(change) => format!("{workload} was returned to revision {}", change.to),
                None => format!("{workload} was rolled back"),
            },
        }
    }

    fn object(&self) -> String {
        let workload = &self.workload;
        match (&self.pod, self.revisions) {
            (Some(pod), _) => format!("pod {} of {workload}", pod.name),
            (None, Some(change)) => {
                format!("{workload} from revision {} to {}", change.from, change.to)
            }
            (None, None) => workload.to_string(),
        }
    }

    /// The reason of the event that announces it.
    pub(super) const fn event_reason(&self) -> &'static str {
        match self.step {
            ActionStep::DeletePod => "DeletePod",
            ActionStep::ForceDelete => "ForceDeletePod",
            ActionStep::RolloutRestart => "RolloutRestart",
            ActionStep::Rollback => "Rollback",
        }
    }
}
