//! How each actor of the tree is made, again and again: what its incarnations share, and where
//! each publishes its address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix::prelude::*;

use super::{ClusterParts, SupervisorLinks, TreeParts};
use crate::actors::alerter::{self, Alerter};
use crate::actors::exit_guard::{self, ExitNotice};
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::platform::PlatformCircuits;
use crate::actors::recoverer::{self, Recoverer, RecoveryProgressed};
use crate::actors::registry::{ActionRegistry, Surroundings};
use crate::actors::root::RootChild;
use crate::actors::scaler::{self, Scaler, ScalingProgressed};
use crate::actors::supervisor::{Peers, ReportOutbox, Supervisor, SupervisorParts};
use crate::effects::Cluster;

/// Room for reports in a supervisor's mailbox; beyond it the newest report of a component wins.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Room in the mailboxes of the actors that act; their commands are bounded by incidents.
const PEER_MAILBOX: usize = 256;

type Supervisors = HashMap<Arc<str>, SupervisorLinks>;

/// The root's children while they are put together.
pub(super) struct Branches {
    children: Vec<RootChild>,
    parts: TreeParts,
    peers: Peers,
    shared: Shared,
}

/// What actors of different kinds have in common.
#[derive(Clone, Default)]
struct Shared {
    pacer: Pacer,
    circuits: PlatformCircuits,
}

impl Branches {
    pub(super) fn new(parts: TreeParts) -> Self {
        let peers = Peers::counted(&parts.metrics);
        Self { children: Vec::new(), parts, peers, shared: Shared::default() }
    }

    pub(super) fn finish(self) -> (Vec<RootChild>, TreeParts) {
        (self.children, self.parts)
    }

    fn add<A: Actor<Context = Context<A>>>(
        &mut self,
        key: String,
        kind: &'static str,
        mailbox: usize,
        make: impl Fn(&mut Context<A>) -> A + Clone + 'static,
        publish: impl Fn(&Addr<A>) + 'static,
    ) {
        let factory = Box::new(move |notice: ExitNotice| {
            let running = exit_guard::start(mailbox, make.clone(), notice);
            publish(&running.address);
            running.abort
        });
        self.children.push(RootChild { key, kind, factory });
    }

    pub(super) fn add_alerter(&mut self) -> Link<alerter::Drain> {
        let settings = self.parts.settings.alerter.clone();
        let receivers = self.parts.receivers.clone();
        let book = Arc::new(Mutex::default());
        let (board, clock) = (self.parts.board.clone(), self.parts.clock);
        let metrics = self.parts.metrics.clone();
        let make = move |_: &mut Context<Alerter>| {
            let (settings, receivers) = (settings.clone(), receivers.clone());
            let (book, board) = (Arc::clone(&book), board.clone());
            Alerter::new(settings, receivers, book, board, clock, metrics.clone())
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        self.add("alerter".to_owned(), "alerter", PEER_MAILBOX, make, move |address| {
            peers.raise.publish(address);
            peers.update.publish(address);
            peers.resolve.publish(address);
            draining.publish(address);
        });
        drain
    }

    fn surroundings(
        &self,
        registry: &ActionRegistry,
        platform: impl Fn(&ClusterParts) -> &Arc<dyn Cluster>,
    ) -> Surroundings {
        let named =
            |cluster: &ClusterParts| (Arc::clone(&cluster.name), Arc::clone(platform(cluster)));
        Surroundings {
            clusters: self.parts.clusters.iter().map(named).collect(),
            registry: registry.clone(),
            circuits: self.shared.circuits.clone(),
            board: self.parts.board.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        }
    }

    pub(super) fn add_recoverer(
        &mut self,
        supervisors: &Supervisors,
        registry: &ActionRegistry,
    ) -> Link<recoverer::Drain> {
        let settings = self.parts.settings.recoverer.clone();
        let around = self.surroundings(registry, |cluster| &cluster.recoverer_platform);
        let ledger = Arc::new(Mutex::default());
        let progress: HashMap<Arc<str>, Link<RecoveryProgressed>> = supervisors
            .iter()
            .map(|(name, links)| (Arc::clone(name), links.recovery.clone()))
            .collect();
        let make = move |_: &mut Context<Recoverer>| {
            let (settings, ledger) = (settings.clone(), Arc::clone(&ledger));
            Recoverer::new(settings, ledger, progress.clone(), around.clone())
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        self.add("recoverer".to_owned(), "recoverer", PEER_MAILBOX, make, move |address| {
            peers.recover.publish(address);
            peers.healthy.publish(address);
            draining.publish(address);
        });
        drain
    }

    pub(super) fn add_scaler(
        &mut self,
        supervisors: &Supervisors,
        registry: &ActionRegistry,
    ) -> Link<scaler::Drain> {
        let settings = self.parts.settings.scaler.clone();
        let around = self.surroundings(registry, |cluster| &cluster.scaler_platform);
        let ledger = Arc::new(Mutex::default());
        let progress: HashMap<Arc<str>, Link<ScalingProgressed>> = supervisors
            .iter()
            .map(|(name, links)| (Arc::clone(name), links.scaling.clone()))
            .collect();
        let make = move |_: &mut Context<Scaler>| {
            let (settings, ledger) = (settings.clone(), Arc::clone(&ledger));
            Scaler::new(settings, ledger, progress.clone(), around.clone())
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        self.add("scaler".to_owned(), "scaler", PEER_MAILBOX, make, move |address| {
            peers.load.publish(address);
            draining.publish(address);
        });
        drain
    }

    pub(super) fn add_supervisors(&mut self, supervisors: &Supervisors) {
        for cluster in self.parts.clusters.clone() {
            self.add_supervisor(cluster, supervisors);
        }
    }

    fn add_supervisor(&mut self, cluster: ClusterParts, supervisors: &Supervisors) {
        let links = supervisors.get(&cluster.name).cloned().unwrap_or_default();
        let key = format!("supervisor/{}", cluster.name);
        let parts = SupervisorParts {
            cluster: cluster.name,
            depends_on: cluster.depends_on,
            planner: cluster.planner,
            inventory: cluster.platform.inventory(),
            memory: Arc::default(),
            reports: ReportOutbox::new(links.reports.clone(), self.parts.metrics.clone()),
            pacer: self.shared.pacer.clone(),
            inventory_link: links.inventory.clone(),
            peers: self.peers.clone(),
            board: self.parts.board.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        };
        let make =
            move |ctx: &mut Context<Supervisor>| Supervisor::new(parts.clone(), ctx.address());
        self.add(key, "supervisor", SUPERVISOR_MAILBOX, make, move |address| {
            links.reports.publish(address);
            links.inventory.publish(address);
            links.recovery.publish(address);
            links.scaling.publish(address);
            links.stop.publish(address);
        });
    }
}
