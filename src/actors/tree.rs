//! Puts the supervision tree together over any effects, and takes it down. What the effects are is
//! the composition root's business, so the same tree runs over a real cluster and over one in
//! memory.

mod branches;
mod ending;
#[cfg(test)]
mod panics;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use tokio::sync::mpsc;

use super::alerter::{self, AlerterInbox, AlerterSettings};
use super::exit_guard::{self, Running};
use super::link::Link;
use super::pacer::Pacer;
use super::platform::PlatformCircuits;
use super::recoverer::{self, RecovererSettings};
use super::registry::ActionRegistry;
use super::root::{Fatal, Root, RootParts, root_ended};
use super::scaler::{self, ScalerSettings};
use super::status::StatusBoard;
use super::supervisor::{InventoryChanged, Planner, ProbeCompleted, StopProbing, SupervisorInbox};
use crate::clock::Clock;
use crate::effects::{Cluster, Notifier};
use crate::metrics::Metrics;
use crate::policy::backoff::RespawnSettings;
use crate::policy::notification::AlertBook;
use crate::policy::recovery::RecoveryLedger;
use crate::policy::scaling::ScalingLedger;
use branches::Branches;

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
}

/// What the tree is made of.
pub struct TreeParts {
    /// The clusters.
    pub clusters: Vec<ClusterParts>,
    /// The ways to reach people.
    pub receivers: Vec<Arc<dyn Notifier>>,
    /// How the actors behave.
    pub settings: TreeSettings,
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
    /// Where it is said that an actor is beyond help.
    pub fatal: mpsc::UnboundedSender<Fatal>,
}

/// The running tree. Must be started inside an actix system. Dropping it ends every actor.
pub struct Tree {
    root: Running<Root>,
    platforms: Vec<Arc<dyn Cluster>>,
    supervisors: Vec<SupervisorInbox>,
    drains: Drains,
    shared: Shared,
    clock: Clock,
}

/// The ways to tell the actors that act that the process ends.
#[derive(Clone, Default)]
struct Drains {
    alerter: Link<alerter::Drain>,
    recoverer: Link<recoverer::Drain>,
    scaler: Link<scaler::Drain>,
}

/// What the incarnations of an actor share and what actors of different kinds have in common; it
/// outlives them all.
#[derive(Clone, Default)]
struct Shared {
    pacer: Pacer,
    circuits: PlatformCircuits,
    alerter_settings: AlerterSettings,
    inbox: AlerterInbox,
    book: Arc<Mutex<AlertBook>>,
    recoveries: Arc<Mutex<RecoveryLedger>>,
    scalings: Arc<Mutex<ScalingLedger>>,
    registry: ActionRegistry,
}

/// The links of one supervisor.
#[derive(Clone, Default)]
struct SupervisorLinks {
    reports: Link<ProbeCompleted>,
    inventory: Link<InventoryChanged>,
    inbox: SupervisorInbox,
}

impl Tree {
    /// Starts every actor.
    pub fn start(parts: TreeParts) -> Self {
        let platforms = parts.clusters.iter().map(|c| Arc::clone(&c.platform)).collect();
        let supervisors: HashMap<Arc<str>, SupervisorLinks> = parts
            .clusters
            .iter()
            .map(|cluster| (Arc::clone(&cluster.name), SupervisorLinks::default()))
            .collect();
        let drains = Drains::default();
        let shared =
            Shared { alerter_settings: parts.settings.alerter.clone(), ..Shared::default() };
        let mut branches = Branches::new(parts, shared.clone(), drains.clone());
        branches.add_alerter();
        branches.add_recoverer(&supervisors);
        branches.add_scaler(&supervisors);
        branches.add_supervisors(&supervisors);
        let (children, parts) = branches.finish();
        let clock = parts.clock;
        let root = start_root(children, parts);
        let supervisors = supervisors.into_values().map(|links| links.inbox).collect();
        Self { root, platforms, supervisors, drains, shared, clock }
    }

    /// Ends all probing.
    pub fn stop_probing(&self) {
        for supervisor in &self.supervisors {
            supervisor.stop.send(StopProbing);
        }
    }
}

/// The root has no parent to make it anew: its end is told on the same way as that of a child which
/// is beyond help.
fn start_root(children: Vec<super::root::RootChild>, parts: TreeParts) -> Running<Root> {
    let notice = root_ended(parts.fatal.clone());
    let TreeParts { fatal, board, clock, metrics, .. } = parts;
    let parts = RootParts { fatal, board, clock, metrics };
    let make = move |ctx: &mut Context<Root>| Root::new(children, ctx.address(), parts);
    exit_guard::start(ROOT_MAILBOX, make, notice)
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.root.abort.abort();
    }
}
