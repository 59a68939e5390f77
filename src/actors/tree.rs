//! Puts the supervision tree together over any effects, and takes it down. What the effects are is
//! the composition root's business, so the same tree runs over a real cluster and over one in
//! memory.

mod branches;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::alerter::{self, AlerterSettings};
use super::link::Link;
use super::recoverer::{self, RecovererSettings, RecoveryProgressed};
use super::registry::ActionRegistry;
use super::root::{Fatal, Root};
use super::scaler::{self, ScalerSettings, ScalingProgressed};
use super::status::StatusBoard;
use super::supervisor::{InventoryChanged, Planner, ProbeCompleted, StopProbing};
use crate::clock::Clock;
use crate::effects::{Cluster, Notifier};
use crate::metrics::Metrics;
use branches::Branches;

/// How the actors that act behave.
#[derive(Debug, Clone, Default)]
pub struct TreeSettings {
    /// How people are told.
    pub alerter: AlerterSettings,
    /// How workloads are restarted.
    pub recoverer: RecovererSettings,
    /// How workloads are sized.
    pub scaler: ScalerSettings,
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

/// The running tree. Must be started inside an actix system.
pub struct Tree {
    // Held so that the root lives as long as the tree.
    _root: Addr<Root>,
    platforms: Vec<Arc<dyn Cluster>>,
    stop: Vec<Link<StopProbing>>,
    drain_alerter: Link<alerter::Drain>,
    drain_recoverer: Link<recoverer::Drain>,
    drain_scaler: Link<scaler::Drain>,
}

/// The links of one supervisor.
#[derive(Clone, Default)]
struct SupervisorLinks {
    reports: Link<ProbeCompleted>,
    inventory: Link<InventoryChanged>,
    recovery: Link<RecoveryProgressed>,
    scaling: Link<ScalingProgressed>,
    stop: Link<StopProbing>,
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
        let registry = ActionRegistry::default();
        let mut branches = Branches::new(parts);
        let drain_alerter = branches.add_alerter();
        let drain_recoverer = branches.add_recoverer(&supervisors, &registry);
        let drain_scaler = branches.add_scaler(&supervisors, &registry);
        branches.add_supervisors(&supervisors);
        let (children, parts) = branches.finish();
        let root = Root::create(move |ctx| {
            Root::new(children, ctx.address(), parts.fatal, parts.clock, parts.metrics)
        });
        let stop = supervisors.into_values().map(|links| links.stop).collect();
        Self { _root: root, platforms, stop, drain_alerter, drain_recoverer, drain_scaler }
    }

    /// Ends all probing.
    pub fn stop_probing(&self) {
        for supervisor in &self.stop {
            supervisor.send_unbounded(StopProbing);
        }
    }

    /// Ends all deciding, and delivers what can be delivered before the deadline.
    pub async fn drain(&self, drain: alerter::Drain) {
        let acting = async {
            self.drain_recoverer.ask(recoverer::Drain).await;
            self.drain_scaler.ask(scaler::Drain).await;
        };
        let telling = self.drain_alerter.ask(drain);
        let both = async { tokio::join!(acting, telling) };
        if tokio::time::timeout(drain.deadline, both).await.is_err() {
            tracing::warn!("not everything could be finished before the end");
        }
    }

    /// Ends watches, and the processes that falconer owns.
    pub async fn release_platforms(&self, grace: Duration) {
        join_all(self.platforms.iter().map(|platform| platform.shutdown(grace))).await;
    }
}
