//! Shows what would be done instead of doing it. Owns nothing; everything that only looks is
//! passed on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RemovalPreference, RestartRequest, RollbackRequest, ScaleRequest,
};
use crate::model::{ClusterEvent, Evidence, Inventory, RolloutStatus, WorkloadRef};

/// A cluster that is watched and never changed.
pub struct DryRunCluster {
    inner: Arc<dyn Cluster>,
}

impl DryRunCluster {
    /// Puts a glass pane before `inner`.
    pub fn new(inner: Arc<dyn Cluster>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl Cluster for DryRunCluster {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inner.inventory()
    }

    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        let change = self.inner.describe_restart(request);
        tracing::info!(change, "dry run: would restart");
        Ok(Applied { applied: false, change })
    }

    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        let change = self.inner.describe_delete_pod(request);
        tracing::info!(change, "dry run: would delete pod");
        Ok(Applied { applied: false, change })
    }

    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        let change = self.inner.describe_rollback(request);
        tracing::info!(change, "dry run: would roll back");
        Ok(Applied { applied: false, change })
    }

    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        self.inner.find_action(action).await
    }

    async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        self.inner.evidence(request).await
    }

    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        self.inner.rollout_status(workload).await
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        let change = self.inner.plan_scale(request).await?;
        tracing::info!(change, "dry run: would scale");
        Ok(Applied { applied: false, change })
    }

    async fn prefer_removal(&self, request: &RemovalPreference) -> Result<Applied, ClusterError> {
        let what = if request.preferred { "prefer" } else { "not prefer" };
        let change = format!("{what} pod {} for removal", request.pod);
        tracing::info!(change, "dry run: would mark pod");
        Ok(Applied { applied: false, change })
    }

    async fn plan_scale(&self, request: &ScaleRequest) -> Result<String, ClusterError> {
        self.inner.plan_scale(request).await
    }

    async fn scaling_status(&self, request: &ScaleRequest) -> Result<RolloutStatus, ClusterError> {
        self.inner.scaling_status(request).await
    }

    fn describe_restart(&self, request: &RestartRequest) -> String {
        self.inner.describe_restart(request)
    }

    fn describe_delete_pod(&self, request: &DeletePodRequest) -> String {
        self.inner.describe_delete_pod(request)
    }

    fn describe_rollback(&self, request: &RollbackRequest) -> String {
        self.inner.describe_rollback(request)
    }

    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError> {
        let (workload, reason) = (event.workload.to_string(), event.reason);
        tracing::info!(workload, reason, message = event.message, "dry run: would record event");
        Ok(())
    }

    async fn shutdown(&self, grace: Duration) {
        self.inner.shutdown(grace).await;
    }
}
