//! The Kubernetes adapter: watches a namespace, restarts and scales workloads, writes events. Owns
//! its tasks and its client; retries by itself for ever and decides nothing.

pub mod access;
mod autoscalers;
pub mod changes;
mod client;
mod exact;
mod gitops;
mod guard;
mod inventory;
pub mod kubeconfig;
mod labels;
pub mod lease;
mod life;
mod objects;
mod operations;
mod operator;
mod pods;
mod problem;
pub mod quantity;
mod revisions;
mod rollout;
pub mod samples;
pub mod settings;
mod sources;
mod state;
pub mod state_map;
mod undo;
mod watching;
mod witness;
mod workloads;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::effects::background::keep_alive;
use crate::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RemovalPreference, RestartRequest, RollbackRequest, ScaleRequest,
};
use crate::model::{
    ClusterEvent, Evidence, Inventory, Reason, ReasonKind, RolloutStatus, WorkloadRef,
};

use operations::Operation;
use samples::PodSample;
use state::{Shared, WatchHealth};

pub use settings::{ClientSource, Components, KubeSettings, Layout, Place, Selection, Timing};

/// One Milvus cluster in one namespace.
pub struct KubeCluster {
    shared: Arc<Shared>,
    clock: Clock,
    events: AtomicU64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl KubeCluster {
    /// Begins to watch. Never blocks and never fails: an API that cannot be reached shows as
    /// `Inventory::error`. Must be called within a tokio runtime.
    pub fn start(settings: KubeSettings, clock: Clock) -> Arc<Self> {
        let shared = Arc::new(Shared::new(settings));
        let sources = sources::all(&shared);
        shared.change(|state| {
            state.health =
                sources.iter().map(|(kind, _)| (*kind, WatchHealth::default())).collect();
        });
        let mut tasks: Vec<_> = sources.into_iter().map(|(_, task)| tokio::spawn(task)).collect();
        let publisher = shared.clone();
        tasks.push(tokio::spawn(keep_alive(
            format!("{}: inventory", shared.settings.cluster),
            move || {
                let publisher = Arc::clone(&publisher);
                async move { publisher.publish().await }
            },
            publishing_failed(&shared),
        )));
        Arc::new(Self { shared, clock, events: AtomicU64::new(0), tasks: Mutex::new(tasks) })
    }

    /// The samples of metrics.k8s.io for the namespace, within `budget`.
    ///
    /// # Errors
    /// The reason says what is missing.
    pub async fn pod_samples(&self, budget: Duration) -> Result<Vec<PodSample>, Reason> {
        samples::list(&self.shared, budget).await
    }

    fn take_tasks(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses what would get in the way of somebody who is at work there. milvus-operator's pauses
    /// stand in its custom resource, not in the Deployment.
    fn check_not_paused(&self, operation: &Operation<'_>) -> Result<(), ClusterError> {
        let inventory = self.shared.subscribe().borrow().clone();
        let mut all = inventory.components.values().flat_map(|component| &component.workloads);
        let paused =
            all.find(|found| found.reference == *operation.workload() && found.is_paused());
        let Some(paused) = paused else { return Ok(()) };
        let why = match paused.holds.iter().find(|hold| hold.is_pause()) {
            Some(hold) => format!("{hold}; somebody is at work there"),
            None => "it is paused; somebody is at work there".to_owned(),
        };
        Err(operation.unsupported(why))
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.shared.subscribe()
    }

    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        let operation = Operation::new(&self.shared, "restart", &request.workload);
        self.check_not_paused(&operation)?;
        operation.restart(request).await
    }

    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        let operation = Operation::new(&self.shared, "delete", &request.workload);
        let operation = operation.on_pod(&request.pod);
        self.check_not_paused(&operation)?;
        operation.delete_pod(request).await
    }

    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        let operation = Operation::new(&self.shared, "roll back", &request.workload);
        self.check_not_paused(&operation)?;
        operation.rollback(request).await
    }

    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        Operation::new(&self.shared, "find action on", &action.workload).find_action(action).await
    }

    async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        let operation = Operation::new(&self.shared, "evidence of", &request.workload);
        Ok(operation.evidence(request).await)
    }

    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        Operation::new(&self.shared, "rollout status", workload).rollout_status().await
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        Operation::new(&self.shared, "scale", &request.workload).scale(request).await
    }

    async fn plan_scale(&self, request: &ScaleRequest) -> Result<String, ClusterError> {
        let operation = Operation::new(&self.shared, "scale", &request.workload);
        Ok(operation.plan_scale(request).await?.patch.to_string())
    }

    async fn prefer_removal(&self, request: &RemovalPreference) -> Result<Applied, ClusterError> {
        let operation = Operation::new(&self.shared, "mark", &request.workload);
        operation.on_pod(&request.pod).prefer_removal(request).await
    }

    async fn scaling_status(&self, request: &ScaleRequest) -> Result<RolloutStatus, ClusterError> {
        let operation = Operation::new(&self.shared, "scaling status", &request.workload);
        operation.scaling_status(request).await
    }

    fn describe_restart(&self, request: &RestartRequest) -> String {
        changes::restart_change(request)
    }

    fn describe_delete_pod(&self, request: &DeletePodRequest) -> String {
        changes::delete_pod_change(request)
    }

    fn describe_rollback(&self, request: &RollbackRequest) -> String {
        changes::rollback_change(request)
    }

    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError> {
        let operation = Operation::new(&self.shared, "record event", &event.workload);
        // `kubectl describe` finds events by the object's identifier.
        let seen = self.shared.state().uid(&event.workload);
        let uid = match seen {
            Some(uid) => Some(uid),
            None => operation.uid().await?,
        };
        let sequence = self.events.fetch_add(1, Ordering::Relaxed);
        let event = changes::event(event, uid, self.clock.now(), sequence);
        operation.create_event(&event).await
    }

    async fn shutdown(&self, grace: Duration) {
        let tasks = self.take_tasks();
        for task in &tasks {
            task.abort();
        }
        let ended = futures::future::join_all(tasks);
        if timeout(grace, ended).await.is_err() {
            tracing::warn!(cluster = &*self.shared.settings.cluster, "kubernetes watches linger");
        }
    }
}

/// Nobody must take the inventory for the present one while it is not made anew.
fn publishing_failed(shared: &Arc<Shared>) -> impl FnMut(&str) + use<> {
    let shared = Arc::clone(shared);
    move |words| {
        let text = format!("the inventory cannot be made: it panicked: {words}");
        shared.publishing_failed(Reason::new(ReasonKind::PlatformUnavailable, text));
    }
}

impl Drop for KubeCluster {
    fn drop(&mut self) {
        for task in self.take_tasks() {
            task.abort();
        }
    }
}
