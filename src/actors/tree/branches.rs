//! How each actor of the tree is made, again and again: what its incarnations share, and where
//! each publishes its address.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;

use super::{ClusterParts, Drains, Shared, SupervisorLinks, TreeParts};
use crate::actors::alerter::Alerter;
use crate::actors::exit_guard::{self, ExitNotice, LastWords};
use crate::actors::post::Post;
use crate::actors::recoverer::{Recoverer, RecoveryProgressed};
use crate::actors::registry::Surroundings;
use crate::actors::root::RootChild;
use crate::actors::scaler::{Scaler, ScalingProgressed};
use crate::actors::supervisor::{Peers, ReportOutbox, Supervisor, SupervisorParts};
use crate::effects::Cluster;
use crate::policy::backoff::RespawnSettings;

/// Room for reports in a supervisor's mailbox; beyond it the newest report of a component wins.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Room in the mailboxes of the actors that act; their commands are bounded by incidents.
const PEER_MAILBOX: usize = 256;

type Supervisors = HashMap<Arc<str>, SupervisorLinks>;

/// The root's children while they are put together.
pub(super) struct Branches {
    children: Vec<RootChild>,
    parts: TreeParts,
    shared: Shared,
    drains: Drains,
    peers: Peers,
}

/// How a child of the root is known and kept.
struct Branch {
    key: String,
    kind: &'static str,
    mailbox: usize,
    respawn: RespawnSettings,
    last_words: LastWords,
}

impl Branch {
    fn peer(kind: &'static str, respawn: RespawnSettings) -> Self {
        let last_words = LastWords::default();
        Self { key: kind.to_owned(), kind, mailbox: PEER_MAILBOX, respawn, last_words }
    }
}

impl Branches {
    pub(super) fn new(parts: TreeParts, shared: Shared, drains: Drains) -> Self {
        let peers = Peers {
            raise: shared.inbox.raise.clone(),
            update: shared.inbox.update.clone(),
            resolve: shared.inbox.resolve.clone(),
            ..Peers::default()
        };
        Self { children: Vec::new(), parts, shared, drains, peers }
    }

    pub(super) fn finish(self) -> (Vec<RootChild>, TreeParts) {
        (self.children, self.parts)
    }

    fn add<A: Actor<Context = Context<A>>>(
        &mut self,
        branch: Branch,
        make: impl Fn(&mut Context<A>) -> A + Clone + 'static,
        publish: impl Fn(&Addr<A>) + 'static,
    ) {
        let Branch { key, kind, mailbox, respawn, last_words } = branch;
        let factory = Box::new(move |notice: ExitNotice| {
            let running = exit_guard::start(mailbox, make.clone(), last_words.heard_by(notice));
            publish(&running.address);
            running.abort
        });
        self.children.push(RootChild { key, kind, respawn, factory });
    }

    pub(super) fn add_alerter(&mut self) {
        let settings = self.parts.settings.alerter.clone();
        let receivers = self.parts.receivers.clone();
        let (inbox, book) = (self.shared.inbox.clone(), Arc::clone(&self.shared.book));
        let (board, clock) = (self.parts.board.clone(), self.parts.clock);
        let metrics = self.parts.metrics.clone();
        let waiting = inbox.clone();
        let make = move |_: &mut Context<Alerter>| {
            let (settings, receivers) = (settings.clone(), receivers.clone());
            let (inbox, book) = (inbox.clone(), Arc::clone(&book));
            Alerter::new(settings, receivers, inbox, book, board.clone(), clock, metrics.clone())
        };
        let drain = self.drains.alerter.clone();
        let branch = Branch::peer("alerter", self.parts.settings.respawns.alerter);
        self.add(branch, make, move |address| {
            waiting.publish(address);
            drain.publish(address);
        });
    }

    fn surroundings(&self, platform: impl Fn(&ClusterParts) -> &Arc<dyn Cluster>) -> Surroundings {
        let named =
            |cluster: &ClusterParts| (Arc::clone(&cluster.name), Arc::clone(platform(cluster)));
        Surroundings {
            clusters: self.parts.clusters.iter().map(named).collect(),
            registry: self.shared.registry.clone(),
            circuits: self.shared.circuits.clone(),
            board: self.parts.board.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        }
    }

    pub(super) fn add_recoverer(&mut self, supervisors: &Supervisors) {
        let settings = self.parts.settings.recoverer.clone();
        let around = self.surroundings(|cluster| &cluster.recoverer_platform);
        let ledger = Arc::clone(&self.shared.recoveries);
        let progress: HashMap<Arc<str>, Post<RecoveryProgressed>> = supervisors
            .iter()
            .map(|(name, links)| (Arc::clone(name), links.inbox.recovery.clone()))
            .collect();
        let make = move |_: &mut Context<Recoverer>| {
            let (settings, ledger) = (settings.clone(), Arc::clone(&ledger));
            Recoverer::new(settings, ledger, progress.clone(), around.clone())
        };
        let (peers, drain) = (self.peers.clone(), self.drains.recoverer.clone());
        let branch = Branch::peer("recoverer", self.parts.settings.respawns.recoverer);
        self.add(branch, make, move |address| {
            peers.recover.publish(address);
            peers.healthy.publish(address);
            drain.publish(address);
        });
    }

    pub(super) fn add_scaler(&mut self, supervisors: &Supervisors) {
        let settings = self.parts.settings.scaler.clone();
        let around = self.surroundings(|cluster| &cluster.scaler_platform);
        let ledger = Arc::clone(&self.shared.scalings);
        let progress: HashMap<Arc<str>, Post<ScalingProgressed>> = supervisors
            .iter()
            .map(|(name, links)| (Arc::clone(name), links.inbox.scaling.clone()))
            .collect();
        let make = move |_: &mut Context<Scaler>| {
            let (settings, ledger) = (settings.clone(), Arc::clone(&ledger));
            Scaler::new(settings, ledger, progress.clone(), around.clone())
        };
        let (peers, drain) = (self.peers.clone(), self.drains.scaler.clone());
        let branch = Branch::peer("scaler", self.parts.settings.respawns.scaler);
        self.add(branch, make, move |address| {
            peers.load.publish(address);
            drain.publish(address);
        });
    }

    pub(super) fn add_supervisors(&mut self, supervisors: &Supervisors) {
        for cluster in self.parts.clusters.clone() {
            self.add_supervisor(cluster, supervisors);
        }
    }

    fn add_supervisor(&mut self, cluster: ClusterParts, supervisors: &Supervisors) {
        let links = supervisors.get(&cluster.name).cloned().unwrap_or_default();
        let branch = Branch {
            key: format!("supervisor/{}", cluster.name),
            mailbox: SUPERVISOR_MAILBOX,
            ..Branch::peer("supervisor", self.parts.settings.respawns.supervisor)
        };
        let parts = SupervisorParts {
            cluster: cluster.name,
            depends_on: cluster.depends_on,
            planner: cluster.planner,
            inventory: cluster.platform.inventory(),
            memory: Arc::default(),
            reports: ReportOutbox::new(links.reports.clone(), self.parts.metrics.clone()),
            pacer: self.shared.pacer.clone(),
            inventory_link: links.inventory.clone(),
            inbox: links.inbox.clone(),
            respawn: branch.respawn,
            last_words: branch.last_words.clone(),
            peers: self.peers.clone(),
            board: self.parts.board.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        };
        let make =
            move |ctx: &mut Context<Supervisor>| Supervisor::new(parts.clone(), ctx.address());
        self.add(branch, make, move |address| {
            links.reports.publish(address);
            links.inventory.publish(address);
            links.inbox.publish(address);
        });
    }
}
