//! What a supervisor is made of.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{ClusterMemory, InventoryChanged, ReportOutbox, SupervisorInbox};
use crate::actors::alerter::{AlerterInbox, RaiseAlert, ResolveAlert, UpdateAlert};
use crate::actors::exit_guard::LastWords;
use crate::actors::keeper::StateKeeper;
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::post::Post;
use crate::actors::prober::ProberSettings;
use crate::actors::recoverer::{ComponentHealthy, Recover};
use crate::actors::scaler::LoadObserved;
use crate::actors::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::{Journal, Probe};
use crate::metrics::Metrics;
use crate::model::{Inventory, ProberKind};
use crate::policy::backoff::RespawnSettings;
use crate::policy::health::HealthSettings;

/// How one component is watched.
#[derive(Clone)]
pub struct ComponentPlan {
    /// Its name.
    pub component: Arc<str>,
    /// How it is probed.
    pub kind: ProberKind,
    /// Its schedule. Many components have the same.
    pub prober: Arc<ProberSettings>,
    /// Its thresholds.
    pub health: HealthSettings,
    /// The probe itself.
    pub probe: Arc<dyn Probe>,
}

/// Knows how to watch what a cluster consists of. Implemented where effects are put together.
pub trait Planner: Send + Sync {
    /// What is watched whatever the inventory says: the service, its dependencies, the platform,
    /// and components that the user listed.
    fn fixed(&self) -> Vec<ComponentPlan>;

    /// How a discovered component is watched; `None` where the user listed components and this is
    /// not one of them.
    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan>;
}

/// Everything a supervisor is made of.
#[derive(Clone)]
pub struct SupervisorParts {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Names of probers below that the cluster depends on.
    pub depends_on: BTreeSet<Arc<str>>,
    /// How its components are watched.
    pub planner: Arc<dyn Planner>,
    /// The platform's inventory.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// What survives a respawn.
    pub memory: Arc<Mutex<ClusterMemory>>,
    /// Where probers of this cluster report to; published by the parent at each respawn.
    pub reports: ReportOutbox,
    /// Spreads the probes of all clusters; the same one for all supervisors.
    pub pacer: Pacer,
    /// Where discovery reports to.
    pub inventory_link: Link<InventoryChanged>,
    /// Where outcomes wait for it.
    pub inbox: SupervisorInbox,
    /// How discovery is made anew after it has ended; each prober has its own.
    pub respawn: RespawnSettings,
    /// Heard by the parent when the supervisor gives up.
    pub last_words: LastWords,
    /// The actors that act.
    pub peers: Peers,
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
    /// Where open incidents are kept.
    pub keeper: StateKeeper,
    /// Where probes and changes of state are written down.
    pub journal: Arc<dyn Journal>,
}

/// The ways to the actors that act.
#[derive(Clone, Default)]
pub struct Peers {
    /// To the Alerter.
    pub raise: Post<RaiseAlert>,
    /// To the Alerter.
    pub update: Post<UpdateAlert>,
    /// To the Alerter.
    pub resolve: Post<ResolveAlert>,
    /// To the Recoverer.
    pub recover: Link<Recover>,
    /// To the Recoverer.
    pub healthy: Link<ComponentHealthy>,
    /// To the Scaler.
    pub load: Link<LoadObserved>,
}

impl Peers {
    /// Ways whose messages are counted in `metrics`; to the Alerter through `inbox`.
    pub fn counted(metrics: &Metrics, inbox: &AlerterInbox) -> Self {
        let AlerterInbox { raise, update, resolve } = inbox.clone();
        let recoverer = metrics.mailbox("recoverer");
        Self {
            raise,
            update,
            resolve,
            recover: Link::new().counted(recoverer.clone()),
            healthy: Link::new().counted(recoverer),
            load: Link::new().counted(metrics.mailbox("scaler")),
        }
    }
}
