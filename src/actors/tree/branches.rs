//! How each actor of the tree is made, again and again: what its incarnations share, where each
//! publishes its address, and which settings the next one gets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::{ClusterParts, SupervisorLinks, TreeParts, Watched};
use crate::actors::alerter::{self, Alerter, ResolveAlert, UpdateAlert};
use crate::actors::exit_guard::{self, ExitNotice};
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::platform::PlatformCircuits;
use crate::actors::recoverer::{self, Recoverer, RecoveryProgressed};
use crate::actors::registry::{ActionRegistry, Surroundings};
use crate::actors::root::RootChild;
use crate::actors::scaler::{self, Scaler, ScalingProgressed};
use crate::actors::status::StatusBoard;
use crate::actors::supervisor::{
    self, ClusterMemory, NOT_WATCHED, Peers, ReportOutbox, Supervisor, SupervisorParts,
};
use crate::clock::Clock;
use crate::effects::Cluster;
use crate::metrics::Metrics;

/// Room for reports in a supervisor's mailbox; beyond it the newest report of a component wins.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Room in the mailboxes of the actors that act; their commands are bounded by incidents.
const PEER_MAILBOX: usize = 256;
/// How long an actor may take to answer that it has taken its new settings.
const RECONFIGURE_WITHIN: Duration = Duration::from_secs(10);

/// An actor that can be given other settings: `R` says which. Cheap to clone.
#[derive(Clone)]
pub(super) struct Branch<R>
where
    R: Message + Clone + Send + 'static,
    R::Result: Send,
{
    /// What the next incarnation is made with.
    newest: Arc<Mutex<R>>,
    link: Link<R>,
}

impl<R> Branch<R>
where
    R: Message + Clone + Send + 'static,
    R::Result: Send,
{
    fn new(first: R) -> Self {
        Self { newest: Arc::new(Mutex::new(first)), link: Link::new() }
    }

    fn newest(&self) -> R {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the living incarnation and all later ones other settings. `None` where none lives
    /// at the moment, or it did not answer in time.
    pub(super) async fn reconfigure(&self, with: R) -> Option<R::Result> {
        // First of all for an incarnation that is made while the message is under way.
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = with.clone();
        tokio::time::timeout(RECONFIGURE_WITHIN, self.link.ask(with)).await.ok().flatten()
    }
}

/// What every actor of the tree is made with, whatever the settings are.
#[derive(Clone)]
pub(super) struct Common {
    peers: Peers,
    registry: ActionRegistry,
    pacer: Pacer,
    pub(super) circuits: PlatformCircuits,
    pub(super) board: StatusBoard,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

impl Common {
    pub(super) fn new(parts: &TreeParts) -> Self {
        Self {
            peers: Peers::default(),
            registry: ActionRegistry::default(),
            pacer: Pacer::default(),
            circuits: PlatformCircuits::default(),
            board: parts.board.clone(),
            clock: parts.clock,
            metrics: parts.metrics.clone(),
        }
    }

    pub(super) fn alerter(
        &self,
        first: alerter::Reconfigure,
    ) -> (RootChild, Branch<alerter::Reconfigure>, Link<alerter::Drain>) {
        let book = Arc::new(Mutex::default());
        let (board, clock, metrics) = (self.board.clone(), self.clock, self.metrics.clone());
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let make = move |_: &mut Context<Alerter>| {
            let alerter::Reconfigure { settings, receivers } = made_with.newest();
            let (book, board) = (Arc::clone(&book), board.clone());
            Alerter::new(settings, receivers, book, board, clock, metrics.clone())
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        let child = child("alerter", "alerter", PEER_MAILBOX, make, move |address| {
            peers.raise.publish(address);
            peers.update.publish(address);
            peers.resolve.publish(address);
            published.publish(address);
            draining.publish(address);
        });
        (child, branch, drain)
    }

    fn surroundings(&self, clusters: HashMap<Arc<str>, Arc<dyn Cluster>>) -> Surroundings {
        Surroundings {
            clusters,
            registry: self.registry.clone(),
            circuits: self.circuits.clone(),
            board: self.board.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        }
    }

    pub(super) fn recoverer(
        &self,
        first: recoverer::Reconfigure,
    ) -> (RootChild, Branch<recoverer::Reconfigure>, Link<recoverer::Drain>) {
        let ledger = Arc::new(Mutex::default());
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let common = self.clone();
        let make = move |_: &mut Context<Recoverer>| {
            let recoverer::Reconfigure { settings, clusters, progress } = made_with.newest();
            let around = common.surroundings(clusters);
            Recoverer::new(settings, Arc::clone(&ledger), progress, around)
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        let child = child("recoverer", "recoverer", PEER_MAILBOX, make, move |address| {
            peers.recover.publish(address);
            peers.healthy.publish(address);
            published.publish(address);
            draining.publish(address);
        });
        (child, branch, drain)
    }

    pub(super) fn scaler(
        &self,
        first: scaler::Reconfigure,
    ) -> (RootChild, Branch<scaler::Reconfigure>, Link<scaler::Drain>) {
        let ledger = Arc::new(Mutex::default());
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let common = self.clone();
        let make = move |_: &mut Context<Scaler>| {
            let scaler::Reconfigure { settings, clusters, progress } = made_with.newest();
            let around = common.surroundings(clusters);
            Scaler::new(settings, Arc::clone(&ledger), progress, around)
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        let child = child("scaler", "scaler", PEER_MAILBOX, make, move |address| {
            peers.load.publish(address);
            published.publish(address);
            draining.publish(address);
        });
        (child, branch, drain)
    }

    pub(super) fn supervisor(
        &self,
        cluster: &ClusterParts,
        links: SupervisorLinks,
    ) -> (RootChild, Watched) {
        let first = supervisor_settings(cluster);
        let memory: Arc<Mutex<ClusterMemory>> = Arc::default();
        let parts = SupervisorParts {
            cluster: Arc::clone(&cluster.name),
            depends_on: first.depends_on.clone(),
            planner: Arc::clone(&first.planner),
            inventory: first.inventory.clone(),
            memory: Arc::clone(&memory),
            reports: ReportOutbox::new(links.reports.clone(), self.metrics.clone()),
            pacer: self.pacer.clone(),
            inventory_link: links.inventory.clone(),
            peers: self.peers.clone(),
            board: self.board.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        };
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let make = move |ctx: &mut Context<Supervisor>| {
            let supervisor::Reconfigure { planner, depends_on, inventory } = made_with.newest();
            let parts = SupervisorParts { depends_on, planner, inventory, ..parts.clone() };
            Supervisor::new(parts, ctx.address())
        };
        let watched = Watched { links: links.clone(), memory, branch };
        let key = supervisor_key(&cluster.name);
        let child = child(&key, "supervisor", SUPERVISOR_MAILBOX, make, move |address| {
            links.reports.publish(address);
            links.inventory.publish(address);
            links.recovery.publish(address);
            links.scaling.publish(address);
            links.stop.publish(address);
            links.retire.publish(address);
            published.publish(address);
        });
        (child, watched)
    }
}

impl Common {
    /// Ends the incidents of a cluster whose supervisor does not live to do so.
    pub(super) fn resolve_all(&self, memory: &Mutex<ClusterMemory>) {
        let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let ended_at = self.clock.now();
        for open in memory.iter().filter_map(|(_, known)| known.incident.as_ref()) {
            let (incident, action) = (open.id.clone(), NOT_WATCHED.to_owned());
            self.peers.update.send_unbounded(UpdateAlert { incident: incident.clone(), action });
            self.peers.resolve.send_unbounded(ResolveAlert { incident, ended_at });
        }
    }
}

/// The root's name for the supervisor of `cluster`.
pub(super) fn supervisor_key(cluster: &str) -> String {
    format!("supervisor/{cluster}")
}

fn child<A: Actor<Context = Context<A>>>(
    key: &str,
    kind: &'static str,
    mailbox: usize,
    make: impl Fn(&mut Context<A>) -> A + Clone + Send + 'static,
    publish: impl Fn(&Addr<A>) + Send + 'static,
) -> RootChild {
    let factory = Box::new(move |notice: ExitNotice| {
        let running = exit_guard::start(mailbox, make.clone(), notice);
        publish(&running.address);
        running.abort
    });
    RootChild { key: key.to_owned(), kind, factory }
}

/// How the supervisor of `cluster` watches it.
pub(super) fn supervisor_settings(cluster: &ClusterParts) -> supervisor::Reconfigure {
    supervisor::Reconfigure {
        planner: Arc::clone(&cluster.planner),
        depends_on: cluster.depends_on.clone(),
        inventory: cluster.platform.inventory(),
    }
}

/// A link by the cluster's name.
pub(super) type LinksByCluster<M> = HashMap<Arc<str>, Link<M>>;

/// The ways from the recoverer and the scaler to each cluster's supervisor.
pub(super) fn progress_links<'a>(
    links: impl Iterator<Item = (&'a Arc<str>, &'a SupervisorLinks)>,
) -> (LinksByCluster<RecoveryProgressed>, LinksByCluster<ScalingProgressed>) {
    let name = |(name, links): (&Arc<str>, &SupervisorLinks)| {
        let (recovery, scaling) = (links.recovery.clone(), links.scaling.clone());
        ((Arc::clone(name), recovery), (Arc::clone(name), scaling))
    };
    links.map(name).unzip()
}
