//! The observable state of all actors, shared with the server's thread and the tests.
//!
//! Every component has a cell with a lock of its own, so that whoever reads ten thousand of them
//! keeps the supervisor from one at a time, for as long as one is copied. What is read is a copy:
//! nothing is written out under a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::Serialize;

use super::alerter::AlerterSnapshot;
use super::beacon::BeaconSnapshot;
use super::keeper::KeeperSnapshot;
use super::recoverer::RecovererSnapshot;
use super::scaler::ScalerSnapshot;
use crate::effects::JournalHealth;
use crate::model::{
    AlertState, ComponentHealth, ComponentInventory, Leadership, MilvusReport, PodUsage,
    ProberKind, Reason, TargetReport, Timestamp,
};

/// Everything observable of this process; what `/api/v1/status` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusSnapshot {
    /// Whether this falconer acts, or another one.
    pub leadership: LeadershipSnapshot,
    /// By the cluster's name.
    pub clusters: BTreeMap<Arc<str>, ClusterSnapshot>,
    /// Open alerts and their delivery.
    pub alerter: Arc<AlerterSnapshot>,
    /// Actions under way and budgets.
    pub recoverer: Arc<RecovererSnapshot>,
    /// The newest scaling decisions.
    pub scaler: Arc<ScalerSnapshot>,
    /// How the journal fares.
    pub journal: JournalHealth,
    /// How the essential state is kept.
    pub state: KeeperSnapshot,
    /// How the signs of life fare.
    pub beacon: BeaconSnapshot,
    /// The actors that have ended unexpectedly, by name: made anew since, or backing off.
    pub actors: BTreeMap<String, ActorSnapshot>,
}

impl StatusSnapshot {
    /// What of it the actors show that serve all clusters.
    pub fn actors_status(&self) -> ActorsStatus {
        ActorsStatus {
            leadership: self.leadership.clone(),
            alerter: Arc::clone(&self.alerter),
            recoverer: Arc::clone(&self.recoverer),
            scaler: Arc::clone(&self.scaler),
            journal: self.journal.clone(),
            state: self.state.clone(),
            beacon: self.beacon.clone(),
            actors: self.actors.clone(),
        }
    }
}

/// What the actors show that serve all clusters.
#[derive(Debug, Clone, Default)]
pub struct ActorsStatus {
    /// Whether this falconer acts, or another one.
    pub leadership: LeadershipSnapshot,
    /// Open alerts and their delivery.
    pub alerter: Arc<AlerterSnapshot>,
    /// Actions under way and budgets.
    pub recoverer: Arc<RecovererSnapshot>,
    /// The newest scaling decisions.
    pub scaler: Arc<ScalerSnapshot>,
    /// How the journal fares.
    pub journal: JournalHealth,
    /// How the essential state is kept.
    pub state: KeeperSnapshot,
    /// How the signs of life fare.
    pub beacon: BeaconSnapshot,
    /// The actors that have ended unexpectedly, by name: made anew since, or backing off.
    pub actors: BTreeMap<String, ActorSnapshot>,
}

/// Whether this falconer acts, as of the newest step of the election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeadershipSnapshot {
    /// The name under which this falconer takes part; `None` without an election.
    pub identity: Option<Arc<str>>,
    /// What it is.
    #[serde(flatten)]
    pub leadership: Leadership,
}

impl Default for LeadershipSnapshot {
    fn default() -> Self {
        Self { identity: None, leadership: Leadership::Standalone }
    }
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
    /// Whether its trouble is pending or firing.
    pub alert: AlertState,
    /// When the newest probe began.
    pub probed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Its parts.
    pub targets: Vec<TargetReport>,
    /// CPU and memory per pod.
    pub usage: Vec<PodUsage>,
    /// Details of the Milvus service.
    pub milvus: Option<Box<MilvusReport>>,
    /// What runs it.
    pub inventory: Option<Box<ComponentInventory>>,
    /// The newest words of the recoverer about it.
    pub recovery: Option<String>,
    /// The newest words of the scaler about it.
    pub scaling: Option<String>,
}

impl ComponentSnapshot {
    /// A component that was not probed yet.
    pub fn blank(kind: ProberKind, health: ComponentHealth) -> Self {
        Self {
            kind,
            health,
            alert: AlertState::Inactive,
            probed_at: None,
            latency_ms: None,
            targets: Vec::new(),
            usage: Vec::new(),
            milvus: None,
            inventory: None,
            recovery: None,
            scaling: None,
        }
    }
}

/// One component's place on the board. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ComponentCell(Arc<Mutex<ComponentSnapshot>>);

impl ComponentCell {
    /// A place that shows `snapshot`, once it is put on the board.
    pub fn new(snapshot: ComponentSnapshot) -> Self {
        Self(Arc::new(Mutex::new(snapshot)))
    }

    /// Changes what is shown. `change` must be short: it holds the component's lock.
    pub fn update(&self, change: impl FnOnce(&mut ComponentSnapshot)) {
        change(&mut lock(&self.0));
    }

    /// A copy of the judged state.
    pub fn health(&self) -> ComponentHealth {
        lock(&self.0).health.clone()
    }

    /// A copy of the judged state, and of what it means for people.
    pub fn judged(&self) -> (AlertState, ComponentHealth) {
        let shown = lock(&self.0);
        (shown.alert.clone(), shown.health.clone())
    }

    /// What `look` makes of what is shown. It must be short: it holds the component's lock.
    pub fn look<T>(&self, look: impl FnOnce(&ComponentSnapshot) -> T) -> T {
        look(&lock(&self.0))
    }

    /// A copy of what is shown.
    pub fn snapshot(&self) -> ComponentSnapshot {
        lock(&self.0).clone()
    }
}

/// What a cluster shows beside its components.
#[derive(Debug, Clone, Default)]
struct ClusterState {
    synced: bool,
    platform_error: Option<Reason>,
}

/// One cluster's part of the board. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ClusterBoard {
    state: Arc<Mutex<ClusterState>>,
    components: Arc<Mutex<BTreeMap<Arc<str>, ComponentCell>>>,
}

impl ClusterBoard {
    /// What discovery says of the cluster as a whole.
    pub fn discovered(&self, synced: bool, platform_error: Option<Reason>) {
        *lock(&self.state) = ClusterState { synced, platform_error };
    }

    /// Shows `cell` as the component `name`.
    pub fn show(&self, name: Arc<str>, cell: ComponentCell) {
        lock(&self.components).insert(name, cell);
    }

    /// Shows the component `name` no longer.
    pub fn hide(&self, name: &str) {
        lock(&self.components).remove(name);
    }

    /// Changes what is shown of one component, if it is shown.
    pub fn update(&self, name: &str, change: impl FnOnce(&mut ComponentSnapshot)) {
        let cell = lock(&self.components).get(name).cloned();
        if let Some(cell) = cell {
            cell.update(change);
        }
    }

    /// The component `name`, if it is shown.
    pub fn cell(&self, name: &str) -> Option<ComponentCell> {
        lock(&self.components).get(name).cloned()
    }

    /// Every component that is shown, by name.
    pub fn cells(&self) -> Vec<(Arc<str>, ComponentCell)> {
        let components = lock(&self.components);
        components.iter().map(|(name, cell)| (Arc::clone(name), cell.clone())).collect()
    }

    /// Whether discovery is complete, and why the platform cannot be asked.
    pub fn discovery(&self) -> (bool, Option<Reason>) {
        let state = lock(&self.state);
        (state.synced, state.platform_error.clone())
    }

    /// The first `most` components that were not probed yet. Copies nothing else.
    pub fn unprobed(&self, most: usize) -> Vec<Arc<str>> {
        let components = lock(&self.components);
        let unprobed = components.iter().filter(|(_, cell)| lock(&cell.0).probed_at.is_none());
        unprobed.take(most).map(|(name, _)| Arc::clone(name)).collect()
    }

    fn snapshot(&self) -> ClusterSnapshot {
        let ClusterState { synced, platform_error } = lock(&self.state).clone();
        let cells = self.cells().into_iter();
        let components = cells.map(|(name, cell)| (name, cell.snapshot())).collect();
        ClusterSnapshot { synced, platform_error, components }
    }
}

/// Shared handle to what is observable. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard {
    clusters: Arc<Mutex<BTreeMap<Arc<str>, ClusterBoard>>>,
    actors: Arc<RwLock<ActorsStatus>>,
}

impl StatusBoard {
    /// A copy of everything.
    pub fn snapshot(&self) -> StatusSnapshot {
        let clusters = lock(&self.clusters).clone().into_iter();
        let clusters = clusters.map(|(name, cluster)| (name, cluster.snapshot())).collect();
        let ActorsStatus { leadership, alerter, recoverer, scaler, journal, state, beacon, actors } =
            self.actors();
        StatusSnapshot {
            leadership,
            clusters,
            alerter,
            recoverer,
            scaler,
            journal,
            state,
            beacon,
            actors,
        }
    }

    /// Looks at a copy of everything.
    pub fn read<T>(&self, look: impl FnOnce(&StatusSnapshot) -> T) -> T {
        look(&self.snapshot())
    }

    /// A copy of what the actors show that serve all clusters.
    pub fn actors(&self) -> ActorsStatus {
        self.actors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every cluster that is shown.
    pub fn shown_clusters(&self) -> BTreeMap<Arc<str>, ClusterBoard> {
        lock(&self.clusters).clone()
    }

    /// The part of the cluster `name`, if it is shown.
    pub fn shown(&self, name: &str) -> Option<ClusterBoard> {
        lock(&self.clusters).get(name).cloned()
    }

    /// The part of the cluster `name`, which is made where there is none yet.
    pub fn cluster(&self, name: &Arc<str>) -> ClusterBoard {
        lock(&self.clusters).entry(Arc::clone(name)).or_default().clone()
    }

    /// The cluster `name` is no longer shown.
    pub fn remove_cluster(&self, name: &str) {
        lock(&self.clusters).remove(name);
    }

    /// Changes what the actors show that serve all clusters. `change` must be short: it holds the
    /// lock.
    pub fn update(&self, change: impl FnOnce(&mut ActorsStatus)) {
        change(&mut self.actors.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
