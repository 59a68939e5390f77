//! The observable state of all actors, shared with the server's thread and the tests.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

use super::alerter::AlerterSnapshot;
use super::recoverer::RecovererSnapshot;
use super::scaler::ScalerSnapshot;
use crate::model::{
    ComponentHealth, ComponentInventory, MilvusReport, PodUsage, ProberKind, Reason, TargetReport,
    Timestamp,
};

/// Everything observable of this process; what `/api/v1/status` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusSnapshot {
    /// By the cluster's name.
    pub clusters: BTreeMap<Arc<str>, ClusterSnapshot>,
    /// Open alerts and their delivery.
    pub alerter: AlerterSnapshot,
    /// Actions under way and budgets.
    pub recoverer: RecovererSnapshot,
    /// The newest scaling decisions.
    pub scaler: ScalerSnapshot,
    /// The actors that have ended unexpectedly, by name: made anew since, or backing off.
    pub actors: BTreeMap<String, ActorSnapshot>,
}

/// An actor that has ended unexpectedly at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActorSnapshot {
    /// What kind of actor it is.
    pub kind: &'static str,
    /// How often it was made anew.
    pub respawns: u64,
    /// When it ended the last time.
    pub ended_at: Timestamp,
    /// Why it ended the last time.
    pub reason: String,
    /// When it is made anew; `None` while it lives, and when it is beyond help.
    pub respawn_at: Option<Timestamp>,
    /// Whether it ended too often and is not made anew.
    pub beyond_help: bool,
}

/// One cluster.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClusterSnapshot {
    /// Whether discovery has seen a complete list.
    pub synced: bool,
    /// Why the platform cannot be asked at the moment.
    pub platform_error: Option<Reason>,
    /// By the component's name.
    pub components: BTreeMap<Arc<str>, ComponentSnapshot>,
}

/// One component: its judged state and the newest report.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentSnapshot {
    /// How it is probed.
    pub kind: ProberKind,
    /// State, since, reason and counters.
    pub health: ComponentHealth,
    /// When the newest probe began.
    pub probed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Its parts.
    pub targets: Vec<TargetReport>,
    /// CPU and memory per pod.
    pub usage: Vec<PodUsage>,
    /// Details of the Milvus service.
    pub milvus: Option<MilvusReport>,
    /// What runs it.
    pub inventory: Option<ComponentInventory>,
    /// The newest words of the recoverer about it.
    pub recovery: Option<String>,
    /// The newest words of the scaler about it.
    pub scaling: Option<String>,
}

/// Shared handle to the snapshot. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard {
    inner: Arc<RwLock<StatusSnapshot>>,
}

impl StatusBoard {
    /// A copy of everything.
    pub fn snapshot(&self) -> StatusSnapshot {
        self.read(StatusSnapshot::clone)
    }

    /// Looks at the snapshot without copying it. `look` must be short: it holds the lock.
    pub fn read<T>(&self, look: impl FnOnce(&StatusSnapshot) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the snapshot in place. `change` must be short: it holds the lock.
    pub fn update(&self, change: impl FnOnce(&mut StatusSnapshot)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }
}
