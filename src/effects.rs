//! What falconer does to and learns from the world, as few object-safe traits in domain verbs.
//!
//! Adapters live in the folders below; they know the model, the clock and the metrics, and nothing
//! of actors or policies. Every method bounds its own time and the size of what it reads.

mod background;
pub mod cluster;
pub mod descriptors;
pub mod failure;
pub mod grpc;
pub mod http;
pub mod milvus;
pub mod notify;
pub mod probe;
pub mod secret;
pub mod small_file;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::{
    ClusterEvent, Inventory, Notification, ProbeObservation, RolloutStatus, Timestamp, WorkloadRef,
};

pub use cluster::ClusterError;
pub use notify::NotifyError;
pub use tls::install_tls_provider;

/// Asks one component how it is.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Probes once, within `budget` as a whole. Never fails: what goes wrong is the outcome.
    /// Dropping the future abandons the probe and closes its connections.
    async fn probe(&self, budget: Duration) -> ProbeObservation;
}

/// The platform that runs a cluster's workloads.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// The newest inventory and its changes. Kept up to date in the background by the adapter,
    /// which retries by itself for ever; trouble shows as `Inventory::error`.
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>>;

    /// Begins a rolling restart. Returns as soon as the platform has accepted it.
    ///
    /// # Errors
    /// When the platform refuses, cannot be reached or does not answer in time.
    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError>;

    /// How far the newest rollout of `workload` has come.
    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError>;

    /// Sets the number of replicas through the scale subresource, only if it is still
    /// `request.from`.
    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError>;

    /// The exact change that `restart` would make, as text; nothing is asked or changed.
    fn describe_restart(&self, request: &RestartRequest) -> String {
        format!("restart {} at {}", request.workload, request.at)
    }

    /// The exact change that `scale` would make, as text; nothing is asked or changed.
    fn describe_scale(&self, request: &ScaleRequest) -> String {
        format!("scale {} from {} to {} replicas", request.workload, request.from, request.to)
    }

    /// Writes a line into the workload's event log.
    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError>;

    /// Ends what the adapter owns (watches, processes it started), within `grace`.
    async fn shutdown(&self, grace: Duration);
}

/// A rolling restart of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartRequest {
    /// What to restart.
    pub workload: WorkloadRef,
    /// Written as the restart annotation, as `kubectl rollout restart` does.
    pub at: Timestamp,
    /// Incident and step; the same key never restarts twice.
    pub idempotency_key: String,
}

/// A change of the number of replicas of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleRequest {
    /// What to scale.
    pub workload: WorkloadRef,
    /// The number of replicas that the decision was based on.
    pub from: u32,
    /// The number of replicas to set.
    pub to: u32,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// False in dry-run: nothing was changed.
    pub applied: bool,
    /// The exact change, e.g. `PATCH deployments/milvus-proxy {"spec":…}`.
    pub change: String,
}

/// One way to reach people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The receiver's name as it stands in `actors.toml`: `email`, `slack`, `webhook.oncall`, `log`.
    fn name(&self) -> &str;

    /// Delivers one message. `Ok` only after the far side has accepted it.
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError>;
}
