//! Puts the supervision tree together over any effects, and takes it down. What the effects are is
//! the composition root's business, so the same tree runs over a real cluster and over one in
//! memory.

mod branches;
mod reconfigure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::alerter::{self, AlerterSettings};
use super::link::Link;
use super::recoverer::{self, RecovererSettings, RecoveryProgressed};
use super::root::{Fatal, Root};
use super::scaler::{self, ScalerSettings, ScalingProgressed};
use super::status::StatusBoard;
use super::supervisor::{
    self, ClusterMemory, InventoryChanged, Planner, ProbeCompleted, Retire, StopProbing,
};
use crate::clock::Clock;
use crate::effects::{Cluster, Notifier};
use crate::metrics::Metrics;
use branches::{Branch, Common, LinksByCluster, progress_links};

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
    root: Addr<Root>,
    common: Common,
    /// What it consists of now.
    plan: TreePlan,
    supervisors: BTreeMap<Arc<str>, Watched>,
    alerter: Branch<alerter::Reconfigure>,
    recoverer: Branch<recoverer::Reconfigure>,
    scaler: Branch<scaler::Reconfigure>,
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
    recovery: Link<RecoveryProgressed>,
    scaling: Link<ScalingProgressed>,
    stop: Link<StopProbing>,
    retire: Link<Retire>,
}

impl Tree {
    /// Starts every actor.
    pub fn start(parts: TreeParts) -> Self {
        let common = Common::new(&parts);
        let TreeParts { clusters, receivers, settings, clock, metrics, fatal, .. } = parts;
        let plan = TreePlan { clusters, receivers, settings };
        let links: HashMap<Arc<str>, SupervisorLinks> = plan
            .clusters
            .iter()
            .map(|cluster| (Arc::clone(&cluster.name), SupervisorLinks::default()))
            .collect();
        let (recovery, scaling) = progress_links(links.iter());
        let (alerter, recoverer, scaler) = plans_of_the_acting(&plan, recovery, scaling);
        let (first, alerter, drain_alerter) = common.alerter(alerter);
        let (second, recoverer, drain_recoverer) = common.recoverer(recoverer);
        let (third, scaler, drain_scaler) = common.scaler(scaler);
        let mut children = vec![first, second, third];
        let mut supervisors = BTreeMap::new();
        for cluster in &plan.clusters {
            let links = links.get(&cluster.name).cloned().unwrap_or_default();
            let (child, watched) = common.supervisor(cluster, links);
            children.push(child);
            supervisors.insert(Arc::clone(&cluster.name), watched);
        }
        let root =
            Root::create(move |ctx| Root::new(children, ctx.address(), fatal, clock, metrics));
        Self {
            root,
            common,
            plan,
            supervisors,
            alerter,
            recoverer,
            scaler,
            drain_alerter,
            drain_recoverer,
            drain_scaler,
        }
    }

    /// Ends all probing.
    pub fn stop_probing(&self) {
        for supervisor in self.supervisors.values() {
            supervisor.links.stop.send_unbounded(StopProbing);
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
        join_all(self.plan.clusters.iter().map(|cluster| cluster.platform.shutdown(grace))).await;
    }
}

/// The settings of the actors that act, as they take them.
fn plans_of_the_acting(
    plan: &TreePlan,
    recovery: LinksByCluster<RecoveryProgressed>,
    scaling: LinksByCluster<ScalingProgressed>,
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
        progress: recovery,
    };
    let scaler = scaler::Reconfigure {
        settings: settings.scaler.clone(),
        clusters: platforms(|cluster| &cluster.scaler_platform),
        progress: scaling,
    };
    (alerter, recoverer, scaler)
}
