//! How each actor of the tree is made, again and again: what its incarnations share, and where
//! each publishes its address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix::prelude::*;

use super::{PEER_MAILBOX, SUPERVISOR_MAILBOX, SupervisorLinks, TreeParts};
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
use crate::app::mapping;
use crate::app::planner::ClusterPlanner;
use crate::app::platform::ClusterPlatform;
use crate::effects::cluster::dry_run::DryRunCluster;
use crate::effects::{Cluster, Notifier};

type Platforms = HashMap<Arc<str>, ClusterPlatform>;
type Supervisors = HashMap<Arc<str>, SupervisorLinks>;

/// The root's children while they are put together.
pub(super) struct Children {
    pub(super) children: Vec<RootChild>,
    pub(super) parts: TreeParts,
    pub(super) peers: Peers,
    pub(super) shared: Shared,
}

/// What actors of different kinds have in common.
#[derive(Clone, Default)]
pub(super) struct Shared {
    pacer: Pacer,
    circuits: PlatformCircuits,
}

impl Children {
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

    pub(super) fn add_alerter(
        &mut self,
        receivers: Vec<Arc<dyn Notifier>>,
    ) -> Link<alerter::Drain> {
        let settings = mapping::alerter(&self.parts.settings.alerter);
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
        platforms: &Platforms,
        registry: &ActionRegistry,
        dry_run: bool,
    ) -> Surroundings {
        let wrap = |platform: &ClusterPlatform| -> Arc<dyn Cluster> {
            let cluster = Arc::clone(&platform.cluster);
            if dry_run { Arc::new(DryRunCluster::new(cluster)) } else { cluster }
        };
        Surroundings {
            clusters: platforms.iter().map(|(name, p)| (Arc::clone(name), wrap(p))).collect(),
            registry: registry.clone(),
            circuits: self.shared.circuits.clone(),
            board: self.parts.board.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        }
    }

    pub(super) fn add_recoverer(
        &mut self,
        platforms: &Platforms,
        supervisors: &Supervisors,
        registry: &ActionRegistry,
    ) -> Link<recoverer::Drain> {
        let dry_run = self.parts.dry_run || self.parts.settings.recoverer.defaults.dry_run;
        let settings = mapping::recoverer(
            &self.parts.settings.recoverer,
            self.parts.settings.probers.defaults.interval.get(),
            dry_run,
        );
        let around = self.surroundings(platforms, registry, dry_run);
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
        platforms: &Platforms,
        supervisors: &Supervisors,
        registry: &ActionRegistry,
    ) -> Link<scaler::Drain> {
        let dry_run = self.parts.dry_run || self.parts.settings.scaler.dry_run;
        let settings = mapping::scaler(&self.parts.settings.scaler, dry_run);
        let around = self.surroundings(platforms, registry, dry_run);
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

    pub(super) fn add_supervisor(
        &mut self,
        name: &Arc<str>,
        platform: &ClusterPlatform,
        links: &SupervisorLinks,
    ) {
        let Some(cluster) = self.parts.settings.clusters.get(&**name).cloned() else {
            return;
        };
        let (settings, clock) = (Arc::clone(&self.parts.settings), self.parts.clock);
        let depends_on = cluster.depends_on.iter().map(|name| Arc::from(name.as_str())).collect();
        let planner =
            ClusterPlanner::new(Arc::clone(name), settings, cluster, platform.clone(), clock);
        let parts = SupervisorParts {
            cluster: Arc::clone(name),
            depends_on,
            planner: Arc::new(planner),
            inventory: platform.cluster.inventory(),
            memory: Arc::default(),
            reports: ReportOutbox::new(links.reports.clone(), self.parts.metrics.clone()),
            pacer: self.shared.pacer.clone(),
            inventory_link: links.inventory.clone(),
            peers: self.peers.clone(),
            board: self.parts.board.clone(),
            clock,
            metrics: self.parts.metrics.clone(),
        };
        let make =
            move |ctx: &mut Context<Supervisor>| Supervisor::new(parts.clone(), ctx.address());
        let links = links.clone();
        self.add(
            format!("supervisor/{name}"),
            "supervisor",
            SUPERVISOR_MAILBOX,
            make,
            move |address| {
                links.reports.publish(address);
                links.inventory.publish(address);
                links.recovery.publish(address);
                links.scaling.publish(address);
                links.stop.publish(address);
            },
        );
    }
}
