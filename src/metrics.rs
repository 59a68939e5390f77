//! Every instrument of falconer, in one place. Labels come from closed enums and from configured
//! names, never from error texts or pod names.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    AlertStatus, CollectionProbe, ComponentId, HealthState, Outcome, ProberKind, Severity,
};

/// How an attempt to act ended; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionOutcome {
    /// The platform accepted it.
    Started,
    /// Verified: it worked.
    Succeeded,
    /// Verified: it did not work in time.
    Failed,
    /// The platform refused or could not be reached.
    Error,
    /// A guard refused it.
    Refused,
    /// Dry-run: only shown.
    DryRun,
}

/// What kind of action; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// A rolling restart.
    Restart,
    /// More replicas.
    ScaleUp,
    /// Fewer replicas.
    ScaleDown,
}

/// Handles to all instruments. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    _inner: Arc<()>,
}

impl Metrics {
    /// One probe ended.
    pub fn probe_completed(
        &self,
        _id: &ComponentId,
        _kind: ProberKind,
        _outcome: &Outcome,
        _took: Duration,
    ) {
    }
    /// A canary query ended; feeds `milvus_query_latency_seconds`, `milvus_query_total` and
    /// `milvus_collection_size`.
    pub fn query_completed(&self, _id: &ComponentId, _canary: &CollectionProbe) {}
    /// A component's judged state; feeds `milvus_component_health` and `falconer_component_state`.
    pub fn state_changed(&self, _id: &ComponentId, _state: HealthState) {}
    /// A component is no longer watched: its series end.
    pub fn component_removed(&self, _id: &ComponentId) {}
    /// A message was replaced or dropped because the mailbox of `actor` was full.
    pub fn mailbox_dropped(&self, _actor: &'static str) {}
    /// How many messages wait in the mailbox of `actor`.
    pub fn mailbox_depth(&self, _actor: &'static str, _depth: usize) {}
    /// An actor was made anew.
    pub fn respawned(&self, _actor: &'static str) {}
    /// A message to people was accepted or not by a receiver.
    pub fn alert_sent(
        &self,
        _receiver: &str,
        _severity: Severity,
        _status: AlertStatus,
        _delivered: bool,
    ) {
    }
    /// An action was taken, verified or refused.
    pub fn action(&self, _id: &ComponentId, _kind: ActionKind, _outcome: ActionOutcome) {}
    /// Rates and quantiles of one component, from its own metrics pages.
    pub fn performance(&self, _id: &ComponentId, _performance: &crate::model::PerformanceReport) {}
    /// CPU and memory of one component's pods.
    pub fn usage(&self, _id: &ComponentId, _usage: &[crate::model::PodUsage]) {}
    /// A component's replicas as desired by its workload, and ready.
    pub fn replicas(&self, _id: &ComponentId, _desired: u32, _ready: u32) {}
}
