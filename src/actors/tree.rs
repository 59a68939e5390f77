//! Puts the supervision tree together over any effects, and takes it down. What the effects are is
//! the composition root's business, so the same tree runs over a real cluster and over one in
//! memory.

mod branches;
mod custody;
mod ending;
#[cfg(test)]
mod panics;
mod reconfigure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::alerter::{self, AlerterSettings, AlerterWishes};
use super::beacon::{self, BeaconSettings};
use super::exit_guard::{self, Running};
use super::keeper::StateKeeper;
use super::leadership::LeadershipHandle;
use super::link::Link;
use super::recoverer::{self, RecovererSettings};
use super::root::{Fatal, Root, RootChild, RootParts, root_ended};
use super::scaler::{self, ScalerSettings};
use super::status::StatusBoard;
use super::supervisor::{
    self, ClusterMemory, GetSickness, InventoryChanged, Planner, ProbeCompleted, Retire,
    StopProbing, SupervisorInbox,
};
use crate::clock::Clock;
use crate::effects::{Cluster, Journal, Notifier, QueryNodes};
use crate::metrics::Metrics;
use crate::policy::backoff::RespawnSettings;
use branches::{Branch, Common, WaysByCluster, ways_to_supervisors};
use custody::Custody;

/// Room in the root's mailbox; what its children's guards say is never refused.
const ROOT_MAILBOX: usize = 16;

/// How the actors that act behave.
#[derive(Debug, Clone, Default)]
pub struct TreeSettings {
    /// How people are told.
    pub alerter: AlerterSettings,
    /// How workloads are restarted.
    pub recoverer: RecovererSettings,
    /// How workloads are sized.
    pub scaler: ScalerSettings,
    /// How the actors themselves are made anew.
    pub respawns: Respawns,
    /// How signs of life go out.
    pub beacon: BeaconSettings,
}

/// How each actor that is no prober is made anew after it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Respawns {
    /// Each supervisor, and its discovery.
    pub supervisor: RespawnSettings,
    /// The alerter.
    pub alerter: RespawnSettings,
    /// The recoverer.
    pub recoverer: RespawnSettings,
    /// The scaler.
    pub scaler: RespawnSettings,
}

/// One cluster to supervise.
#[derive(Clone)]
pub struct ClusterParts {
    /// Its name.
    pub name: Arc<str>,
    /// Names of probers that it depends on.
    pub depends_on: BTreeSet<Arc<str>>,
    /// How its components are watched.
    pub planner: Arc<dyn Planner>,
    /// What runs it.
    pub platform: Arc<dyn Cluster>,
    /// The same, as the recoverer may use it: in dry-run wrapped so that it changes nothing.
    pub recoverer_platform: Arc<dyn Cluster>,
    /// The same, as the scaler may use it.
    pub scaler_platform: Arc<dyn Cluster>,
    /// What Milvus says of its query nodes, as the scaler may use it; `None` where nobody asks it.
    pub query_nodes: Option<Arc<dyn QueryNodes>>,
}

/// What the tree consists of; another plan can be followed while it runs.
pub struct TreePlan {
    /// The clusters.
    pub clusters: Vec<ClusterParts>,
    /// The ways to reach people.
    pub receivers: Vec<Arc<dyn Notifier>>,
    /// How the actors behave.
    pub settings: TreeSettings,
}

/// What the tree is made of.
pub struct TreeParts {
    /// The clusters.
    pub clusters: Vec<ClusterParts>,
    /// The ways to reach people.
    pub receivers: Vec<Arc<dyn Notifier>>,
    /// How the actors behave.
    pub settings: TreeSettings,
    /// Whether this falconer acts.
    pub leadership: LeadershipHandle,
    /// Where is kept what must survive that the process is killed.
    pub keeper: StateKeeper,
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
    /// Where everything is written down.
    pub journal: Arc<dyn Journal>,
    /// Where it is said that an actor is beyond help.
    pub fatal: mpsc::UnboundedSender<Fatal>,
}

/// The running tree. Must be started inside an actix system. Dropping it ends every actor.
pub struct Tree {
    root: Running<Root>,
    /// Reads what was done before; `None` where nothing is kept.
    custody: Option<JoinHandle<()>>,
    common: Common,
    /// What it consists of now.
    plan: TreePlan,
    supervisors: BTreeMap<Arc<str>, Watched>,
    alerter: Branch<alerter::Reconfigure>,
    recoverer: Branch<recoverer::Reconfigure>,
    scaler: Branch<scaler::Reconfigure>,
    beacon: Branch<beacon::Reconfigure>,
    drain_alerter: Link<alerter::Drain>,
    drain_recoverer: Link<recoverer::Drain>,
    drain_scaler: Link<scaler::Drain>,
}

/// One cluster's supervisor.
struct Watched {
    links: SupervisorLinks,
    memory: Arc<Mutex<ClusterMemory>>,
    branch: Branch<supervisor::Reconfigure>,
}

/// The links of one supervisor.
#[derive(Clone, Default)]
struct SupervisorLinks {
    reports: Link<ProbeCompleted>,
    inventory: Link<InventoryChanged>,
    inbox: SupervisorInbox,
    retire: Link<Retire>,
    sickness: Link<GetSickness>,
}

impl Tree {
    /// Starts every actor.
    pub fn start(parts: TreeParts) -> Self {
        let (gate, leadership) = if parts.keeper.keeps() {
            let (gate, leadership) = Custody::gate(&parts.leadership);
            (Some(gate), leadership)
        } else {
            (None, parts.leadership.clone())
        };
        let common = Common::new(&parts, leadership);
        let custody = gate.map(|gate| common.custody(gate, parts.leadership.clone()));
        let TreeParts { clusters, receivers, settings, board, clock, metrics, fatal, .. } = parts;
        let respawns = settings.respawns;
        let plan = TreePlan { clusters, receivers, settings };
        let links: HashMap<Arc<str>, SupervisorLinks> = plan
            .clusters
            .iter()
            .map(|cluster| (Arc::clone(&cluster.name), SupervisorLinks::default()))
            .collect();
        let ways = ways_to_supervisors(links.iter());
        let (alerter, recoverer, scaler) = plans_of_the_acting(&plan, ways);
        let (first, alerter, drain_alerter) = common.alerter(alerter, respawns.alerter);
        let (second, recoverer, drain_recoverer) = common.recoverer(recoverer, respawns.recoverer);
        let (third, scaler, drain_scaler) = common.scaler(scaler, respawns.scaler);
        let (fourth, beacon) = common.beacon(beacon::Reconfigure(plan.settings.beacon.clone()));
        let mut children = vec![first, second, third, fourth, common.recorder()];
        let mut supervisors = BTreeMap::new();
        for cluster in &plan.clusters {
            let links = links.get(&cluster.name).cloned().unwrap_or_default();
            let (child, watched) = common.supervisor(cluster, links, respawns.supervisor);
            children.push(child);
            supervisors.insert(Arc::clone(&cluster.name), watched);
        }
        let root = start_root(children, RootParts { fatal, board, clock, metrics });
        Self {
            root,
            custody: custody.map(|custody| actix::spawn(custody.run())),
            common,
            plan,
            supervisors,
            alerter,
            recoverer,
            scaler,
            beacon,
            drain_alerter,
            drain_recoverer,
            drain_scaler,
        }
    }

    /// The way on which a person says that recovery of a cluster may go on.
    pub fn resume_recovery(&self) -> Link<recoverer::Resume> {
        self.common.resume_recovery.clone()
    }

    /// The ways on which people say what they want to hear, and what somebody looks after.
    pub fn wishes(&self) -> AlerterWishes {
        self.common.wishes.clone()
    }

    /// Ends all probing.
    pub fn stop_probing(&self) {
        for supervisor in self.supervisors.values() {
            supervisor.links.inbox.stop.send(StopProbing);
        }
    }
}

/// The root has no parent to make it anew: its end is told on the same way as that of a child which
/// is beyond help.
fn start_root(children: Vec<RootChild>, parts: RootParts) -> Running<Root> {
    let notice = root_ended(parts.fatal.clone());
    let make = move |ctx: &mut Context<Root>| Root::new(children, ctx.address(), parts);
    exit_guard::start(ROOT_MAILBOX, make, notice)
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.root.abort.abort();
        if let Some(custody) = &self.custody {
            custody.abort();
        }
    }
}

/// The settings of the actors that act, as they take them.
fn plans_of_the_acting(
    plan: &TreePlan,
    (supervisors, scaling): WaysByCluster,
) -> (alerter::Reconfigure, recoverer::Reconfigure, scaler::Reconfigure) {
    let platforms = |of: fn(&ClusterParts) -> &Arc<dyn Cluster>| {
        let named = |cluster: &ClusterParts| (Arc::clone(&cluster.name), Arc::clone(of(cluster)));
        plan.clusters.iter().map(named).collect::<HashMap<_, _>>()
    };
    let settings = &plan.settings;
    let alerter = alerter::Reconfigure {
        settings: settings.alerter.clone(),
        receivers: plan.receivers.clone(),
    };
    let recoverer = recoverer::Reconfigure {
        settings: settings.recoverer.clone(),
        clusters: platforms(|cluster| &cluster.recoverer_platform),
        supervisors,
    };
    let scaler = scaler::Reconfigure {
        settings: settings.scaler.clone(),
        clusters: platforms(|cluster| &cluster.scaler_platform),
        progress: scaling,
        query_nodes: plan
            .clusters
            .iter()
            .filter_map(|one| Some((Arc::clone(&one.name), Arc::clone(one.query_nodes.as_ref()?))))
            .collect(),
    };
    (alerter, recoverer, scaler)
}
