//! Puts the supervision tree together and takes it down.

mod children;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::platform::{ClusterPlatform, Purpose, start_platform};
use super::receivers;
use crate::actors::link::Link;
use crate::actors::recoverer::RecoveryProgressed;
use crate::actors::registry::ActionRegistry;
use crate::actors::root::{Fatal, Root};
use crate::actors::scaler::ScalingProgressed;
use crate::actors::status::StatusBoard;
use crate::actors::supervisor::{InventoryChanged, Peers, ProbeCompleted, StopProbing};
use crate::actors::{alerter, recoverer, scaler};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::settings::ClusterSettings;
use crate::metrics::Metrics;
use children::{Children, Shared};

/// Room for reports in a supervisor's mailbox; beyond it the newest report of a component wins.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Room in the mailboxes of the actors that act; their commands are bounded by incidents.
const PEER_MAILBOX: usize = 256;

/// What the tree is made of.
pub struct TreeParts {
    /// Everything configured.
    pub settings: Arc<Settings>,
    /// Show every action instead of doing it.
    pub dry_run: bool,
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
    /// Where it is said that an actor is beyond help.
    pub fatal: mpsc::UnboundedSender<Fatal>,
}

/// The running tree.
pub struct Tree {
    // Held so that the root lives as long as the tree.
    _root: Addr<Root>,
    platforms: HashMap<Arc<str>, ClusterPlatform>,
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
    /// Starts the platforms' adapters and every actor.
    ///
    /// # Errors
    /// When a receiver cannot be built from its settings.
    pub fn start(parts: TreeParts) -> anyhow::Result<Self> {
        let receivers = receivers::build(&parts.settings.alerter)?;
        let platforms = start_platforms(&parts);
        let supervisors: HashMap<Arc<str>, SupervisorLinks> =
            platforms.keys().map(|name| (Arc::clone(name), SupervisorLinks::default())).collect();
        let peers = Peers::default();
        let shared = Shared::default();
        let mut tree = Children { children: Vec::new(), parts, peers, shared };
        let drain_alerter = tree.add_alerter(receivers);
        let registry = ActionRegistry::default();
        let drain_recoverer = tree.add_recoverer(&platforms, &supervisors, &registry);
        let drain_scaler = tree.add_scaler(&platforms, &supervisors, &registry);
        for (name, platform) in &platforms {
            tree.add_supervisor(name, platform, &supervisors[name]);
        }
        let Children { children, parts, .. } = tree;
        let root = Root::create(move |ctx| {
            Root::new(children, ctx.address(), parts.fatal, parts.clock, parts.metrics)
        });
        let stop = supervisors.into_values().map(|links| links.stop).collect();
        Ok(Self { _root: root, platforms, stop, drain_alerter, drain_recoverer, drain_scaler })
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
        join_all(self.platforms.values().map(|platform| platform.cluster.shutdown(grace))).await;
    }
}

fn start_platforms(parts: &TreeParts) -> HashMap<Arc<str>, ClusterPlatform> {
    // In dry-run not even a process is started: nothing is done to anything.
    let purpose = if parts.dry_run { Purpose::Observe } else { Purpose::Supervise };
    let start = |(name, cluster): (&String, &ClusterSettings)| {
        (Arc::from(name.as_str()), start_platform(name, cluster, purpose, parts.clock))
    };
    parts.settings.clusters.iter().map(start).collect()
}
