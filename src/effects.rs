//! What falconer does to and learns from the world, as few object-safe traits in domain verbs.
//!
//! Adapters live in the folders below; they know the model, the clock and the metrics, and nothing
//! of actors or policies. Every method bounds its own time and the size of what it reads.

pub(crate) mod background;
pub mod cluster;
pub mod descriptors;
pub mod failure;
pub mod grpc;
pub mod http;
pub mod journal;
pub mod milvus;
pub mod notify;
pub mod probe;
pub mod secret;
pub mod small_file;
pub mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::{
    ClusterEvent, Condition, Evidence, Inventory, JournalEntry, JournalQuery, LeaseRecord,
    Notification, ProbeObservation, QueryNode, Reason, Receipt, RolloutStatus, Serving,
    StoredLease, Timestamp, WorkloadRef,
};

pub use cluster::ClusterError;
pub use journal::{JournalError, JournalHealth, JournalTrouble, MovedAside, StateError};
pub use milvus::management::ManagementError;
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

    /// Removes one pod: by eviction, so that disruption budgets hold, or by force where
    /// `request.force` says so. Returns as soon as the platform has accepted it.
    ///
    /// # Errors
    /// When the platform refuses (`Conflict` where a disruption budget does, or where the pod is
    /// another one by now), cannot be reached or does not answer in time.
    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError>;

    /// Begins to return to an earlier revision, as `kubectl rollout undo` does.
    ///
    /// # Errors
    /// As for `restart`; `NotFound` where the revision is gone.
    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError>;

    /// What is known of an action whose answer was lost: asked of the platform itself, never of
    /// what a watch has seen.
    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError>;

    /// What a person would want to see of the pods before they are gone: the ends of their logs and
    /// their events. Bounded in size; what cannot be had is named in the text.
    async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError>;

    /// How far the newest rollout of `workload` has come.
    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError>;

    /// Sets the number of replicas in the object in which it stands, only if it is still
    /// `request.from`, and nothing else scales the workload.
    ///
    /// # Errors
    /// As for `restart`; `Conflict` where the number is another one by now, `ScaledByOther` where
    /// something else scales the workload.
    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError>;

    /// The exact change that `scale` would make now, as text. Asks all that `scale` asks, and
    /// changes nothing.
    ///
    /// # Errors
    /// Those of `scale`.
    async fn plan_scale(&self, request: &ScaleRequest) -> Result<String, ClusterError> {
        let ScaleRequest { workload, from, to } = request;
        Ok(format!("scale {workload} from {from} to {to} replicas"))
    }

    /// How far a change of the number of replicas has come: `Failed` where it is none of the two
    /// numbers of `request` any more.
    async fn scaling_status(&self, request: &ScaleRequest) -> Result<RolloutStatus, ClusterError> {
        self.rollout_status(&request.workload).await
    }

    /// The exact change that `restart` would make, as text; nothing is asked or changed.
    fn describe_restart(&self, request: &RestartRequest) -> String {
        format!("restart {} at {}", request.workload, request.at)
    }

    /// The exact change that `delete_pod` would make, as text; nothing is asked or changed.
    fn describe_delete_pod(&self, request: &DeletePodRequest) -> String {
        let how = if request.force { "force-delete" } else { "evict" };
        format!("{how} pod {} of {}", request.pod, request.workload)
    }

    /// The exact change that `rollback` would make, as text; nothing is asked or changed.
    fn describe_rollback(&self, request: &RollbackRequest) -> String {
        format!("return {} to revision {}", request.workload, request.to_revision)
    }

    /// Makes the platform take this pod first when replicas of its workload are removed, or makes it
    /// one of many again.
    ///
    /// # Errors
    /// When the platform refuses (`Conflict` where the pod is another one by now), cannot be reached
    /// or does not answer in time; `Unsupported` where it knows no such thing.
    async fn prefer_removal(&self, request: &RemovalPreference) -> Result<Applied, ClusterError> {
        let object = format!("pod {} of {}", request.pod, request.workload);
        let message = "its pods have no order".to_owned();
        Err(ClusterError::Unsupported { operation: "prefer", object, message })
    }

    /// Writes a line into the workload's event log.
    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError>;

    /// Ends what the adapter owns (watches, processes it started), within `grace`.
    async fn shutdown(&self, grace: Duration);
}

/// What Milvus itself says of its query nodes, and does with them.
#[async_trait]
pub trait QueryNodes: Send + Sync {
    /// What is loaded, where it is, and what is on its way, all asked within `budget`.
    ///
    /// # Errors
    /// When not all of it can be had.
    async fn survey(&self, budget: Duration) -> Result<Serving, Reason>;

    /// From now on the node is given nothing more.
    ///
    /// # Errors
    /// When Milvus does not let nodes be managed, or did not do it.
    async fn suspend(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError>;

    /// The node takes part again. One that Milvus does not know any more is no error.
    ///
    /// # Errors
    /// As for `suspend`.
    async fn resume(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError>;

    /// Begins to move everything that the node holds to the others. May be asked again.
    ///
    /// # Errors
    /// As for `suspend`.
    async fn empty(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError>;

    /// What the node holds; `None` where Milvus does not know it any more.
    ///
    /// # Errors
    /// As for `suspend`.
    async fn holdings(
        &self,
        node: i64,
        budget: Duration,
    ) -> Result<Option<QueryNode>, ManagementError>;

    /// Queries every loaded collection once, up to a bound. Gives how many.
    ///
    /// # Errors
    /// When a query fails, with the collection's name.
    async fn query_all(&self, budget: Duration) -> Result<usize, Reason>;
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

/// The removal of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePodRequest {
    /// The workload that will replace it.
    pub workload: WorkloadRef,
    /// The pod's name.
    pub pod: Arc<str>,
    /// Its identifier: another pod of the same name is not meant.
    pub uid: Option<Arc<str>>,
    /// Without waiting for the pod to end; for one that hangs.
    pub force: bool,
    /// Incident, step and pod; the same key never deletes twice.
    pub idempotency_key: String,
}

/// A return to an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackRequest {
    /// The workload.
    pub workload: WorkloadRef,
    /// Only if this is still its newest revision.
    pub from_revision: u64,
    /// The revision whose template it gets.
    pub to_revision: u64,
    /// Incident and step; the same key never rolls back twice.
    pub idempotency_key: String,
}

/// An action that may or may not have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionQuery {
    /// On what.
    pub workload: WorkloadRef,
    /// The pod that was to be removed, with its identifier; `None` for a restart or rollback.
    pub pod: Option<(Arc<str>, Option<Arc<str>>)>,
    /// Whether it was to be removed by force: one that hangs in its end was on its way out before.
    pub force: bool,
    /// Its key.
    pub idempotency_key: String,
}

/// What the platform knows of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionTrace {
    /// It was carried out: its key stands in the workload, or its pod is gone or going.
    Done,
    /// It never arrived.
    NotDone,
}

/// Which pods to ask, and how much at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRequest {
    /// The workload.
    pub workload: WorkloadRef,
    /// The pods.
    pub pods: Vec<Arc<str>>,
    /// Newest lines of each container's log, the previous container's included.
    pub log_lines: u32,
    /// Bytes of each log.
    pub log_bytes: u32,
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

/// Which pod goes first when replicas are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalPreference {
    /// Its workload.
    pub workload: WorkloadRef,
    /// Its name.
    pub pod: Arc<str>,
    /// Its identifier: another pod of the same name is not meant.
    pub uid: Option<Arc<str>>,
    /// Whether it goes first, or is one of many again.
    pub preferred: bool,
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
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError>;
}

/// Tells a watchdog outside that falconer lives, so that somebody hears of it when it does not.
#[async_trait]
pub trait LifeSign: Send + Sync {
    /// Tells it once. `Ok` only after the far side has accepted it.
    async fn tell(&self, condition: &Condition) -> Result<(), NotifyError>;
}

/// Where everything that was seen, decided, done and told is written down. The adapter has a thread
/// of its own; where it cannot write, it keeps what fits into memory and tells so.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes `entry` down, soon. Never waits: a probe report may be lost when too many come at
    /// once; everything else only beyond a bound that no number of incidents should reach. What is
    /// lost is counted.
    fn record(&self, entry: JournalEntry);

    /// Returns when everything recorded before the call is on the disk, which is what must be
    /// before an action is taken. A journal that cannot write answers at once, and the caller goes
    /// on without it.
    ///
    /// # Errors
    /// When the journal cannot write at the moment, or does not answer within `deadline`.
    async fn flush(&self, deadline: Duration) -> Result<(), JournalError>;

    /// How the journal fares.
    fn health(&self) -> JournalHealth;

    /// The newest entries that `query` asks for, the newest first: what memory still holds
    /// included.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn recent(&self, query: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError>;

    /// Lets go of what is too old at `now`, or too much, soon and bit by bit.
    fn retain(&self, now: Timestamp);
}

/// The essential state, which survives that falconer is killed: small JSON texts by key, such as
/// `breaker/<cluster>`.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Everything that was saved.
    ///
    /// # Errors
    /// When it cannot be read: whether there is any is unknown then.
    async fn load(&self) -> Result<BTreeMap<String, String>, StateError>;

    /// Saves `changes` all together; they are durable when this returns `Ok`. `None` removes a key.
    ///
    /// # Errors
    /// When they could not be made durable. They may have been all the same, and are never in part.
    async fn save(&self, changes: &BTreeMap<String, Option<String>>) -> Result<(), StateError>;

    /// How much it takes, keys and texts together, in bytes; `None`: as much as there is.
    fn room(&self) -> Option<usize> {
        None
    }
}

/// The one object that says which of several falconers is the leader.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// What stands in it; `None` where it does not exist.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    async fn read(&self) -> Result<Option<StoredLease>, ClusterError>;

    /// Makes it.
    ///
    /// # Errors
    /// A conflict where it exists; otherwise when it is not known to have been made.
    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, ClusterError>;

    /// Writes it, only if it is still the one of `version`.
    ///
    /// # Errors
    /// A conflict where it is not, not found where it is gone; otherwise when it is not known to
    /// have been written.
    async fn update(
        &self,
        version: &str,
        record: &LeaseRecord,
    ) -> Result<StoredLease, ClusterError>;
}
