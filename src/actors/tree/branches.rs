//! How each actor of the tree is made, again and again: what its incarnations share, where each
//! publishes its address, and which settings the next one gets.

mod onlookers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use super::custody::{Custody, Memories, StateAlert};
use super::{ClusterParts, SupervisorLinks, TreeParts, Watched};
use crate::actors::alerter::{
    self, Alerter, AlerterInbox, AlerterParts, AlerterWishes, ResolveAlert, UpdateAlert,
};
use crate::actors::exit_guard::{self, ExitNotice, LastWords};
use crate::actors::keeper::StateKeeper;
use crate::actors::leadership::{LeadershipHandle, StateGate};
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::platform::PlatformCircuits;
use crate::actors::post::Post;
use crate::actors::recorder::JournalAlert;
use crate::actors::recoverer::{self, Recoverer, SupervisorWays};
use crate::actors::registry::{ActionRegistry, Surroundings};
use crate::actors::root::RootChild;
use crate::actors::scaler::{self, Scaler, ScalingProgressed};
use crate::actors::status::StatusBoard;
use crate::actors::supervisor::{
    self, ClusterMemory, NOT_WATCHED, Peers, ReportOutbox, Supervisor, SupervisorParts,
};
use crate::clock::Clock;
use crate::effects::{Cluster, Journal};
use crate::metrics::Metrics;
use crate::policy::backoff::RespawnSettings;
use crate::policy::notification::AlertBook;
use crate::policy::recovery::RecoveryLedger;
use crate::policy::scaling::ScalingLedger;
use crate::policy::silence::SilenceBook;

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
    pub(super) leadership: LeadershipHandle,
    pub(super) keeper: StateKeeper,
    pub(super) resume_recovery: Link<recoverer::Resume>,
    pub(super) wishes: AlerterWishes,
    pub(super) lasting: Lasting,
    pub(super) board: StatusBoard,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    journal: Arc<dyn Journal>,
}

/// What the actors that act leave to their next incarnations.
#[derive(Clone, Default)]
pub(super) struct Lasting {
    pub(super) inbox: AlerterInbox,
    pub(super) book: Arc<Mutex<AlertBook>>,
    pub(super) silences: Arc<Mutex<SilenceBook>>,
    pub(super) recoveries: Arc<Mutex<RecoveryLedger>>,
    pub(super) scalings: Arc<Mutex<ScalingLedger>>,
    pub(super) journal_alert: JournalAlert,
    pub(super) state_alert: StateAlert,
    pub(super) memories: Memories,
}

impl Common {
    pub(super) fn new(parts: &TreeParts, leadership: LeadershipHandle) -> Self {
        let lasting =
            Lasting { inbox: AlerterInbox::counted(&parts.metrics), ..Lasting::default() };
        Self {
            peers: Peers::counted(&parts.metrics, &lasting.inbox),
            lasting,
            registry: ActionRegistry::default(),
            pacer: Pacer::default(),
            circuits: PlatformCircuits::default(),
            leadership,
            keeper: parts.keeper.clone(),
            resume_recovery: Link::new(),
            wishes: AlerterWishes::default(),
            board: parts.board.clone(),
            clock: parts.clock,
            metrics: parts.metrics.clone(),
            journal: Arc::clone(&parts.journal),
        }
    }

    pub(super) fn alerter(
        &self,
        first: alerter::Reconfigure,
        respawn: RespawnSettings,
    ) -> (RootChild, Branch<alerter::Reconfigure>, Link<alerter::Drain>) {
        let Lasting { inbox, book, silences, .. } = self.lasting.clone();
        let (waiting, wishes) = (inbox.clone(), self.wishes.clone());
        let parts = AlerterParts {
            inbox,
            book,
            silences,
            board: self.board.clone(),
            journal: Arc::clone(&self.journal),
            keeper: self.keeper.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        };
        let leadership = self.leadership.clone();
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let make = move |_: &mut Context<Alerter>| {
            let alerter::Reconfigure { settings, receivers } = made_with.newest();
            Alerter::new(settings, receivers, parts.clone()).led_by(leadership.clone())
        };
        let drain = Link::new();
        let draining = drain.clone();
        let child = child(Kept::peer("alerter", respawn), make, move |address| {
            waiting.publish(address);
            wishes.publish(address);
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
            leadership: self.leadership.clone(),
            keeper: self.keeper.clone(),
            silences: Arc::clone(&self.lasting.silences),
            board: self.board.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
            journal: Arc::clone(&self.journal),
        }
    }

    pub(super) fn recoverer(
        &self,
        first: recoverer::Reconfigure,
        respawn: RespawnSettings,
    ) -> (RootChild, Branch<recoverer::Reconfigure>, Link<recoverer::Drain>) {
        let ledger = Arc::clone(&self.lasting.recoveries);
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let common = self.clone();
        let make = move |_: &mut Context<Recoverer>| {
            let recoverer::Reconfigure { settings, clusters, supervisors } = made_with.newest();
            let around = common.surroundings(clusters);
            Recoverer::new(settings, Arc::clone(&ledger), supervisors, around)
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        let resume = self.resume_recovery.clone();
        let child = child(Kept::peer("recoverer", respawn), make, move |address| {
            resume.publish(address);
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
        respawn: RespawnSettings,
    ) -> (RootChild, Branch<scaler::Reconfigure>, Link<scaler::Drain>) {
        let ledger = Arc::clone(&self.lasting.scalings);
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let common = self.clone();
        let make = move |_: &mut Context<Scaler>| {
            let scaler::Reconfigure { settings, clusters, progress, query_nodes } =
                made_with.newest();
            let around = common.surroundings(clusters);
            Scaler::new(settings, Arc::clone(&ledger), progress, around)
                .with_query_nodes(query_nodes)
        };
        let drain = Link::new();
        let (peers, draining) = (self.peers.clone(), drain.clone());
        let child = child(Kept::peer("scaler", respawn), make, move |address| {
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
        respawn: RespawnSettings,
    ) -> (RootChild, Watched) {
        let first = supervisor_settings(cluster, respawn);
        let key = supervisor_key(&cluster.name);
        let kept = Kept { key, mailbox: SUPERVISOR_MAILBOX, ..Kept::peer("supervisor", respawn) };
        let memory: Arc<Mutex<ClusterMemory>> = Arc::default();
        let mut memories = self.lasting.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(Arc::clone(&cluster.name), Arc::clone(&memory));
        drop(memories);
        let parts = SupervisorParts {
            cluster: Arc::clone(&cluster.name),
            depends_on: first.depends_on.clone(),
            planner: Arc::clone(&first.planner),
            inventory: first.inventory.clone(),
            memory: Arc::clone(&memory),
            reports: ReportOutbox::new(links.reports.clone(), self.metrics.clone()),
            pacer: self.pacer.clone(),
            inventory_link: links.inventory.clone(),
            inbox: links.inbox.clone(),
            respawn,
            last_words: kept.last_words.clone(),
            peers: self.peers.clone(),
            board: self.board.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
            journal: Arc::clone(&self.journal),
            keeper: self.keeper.clone(),
        };
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let make = move |ctx: &mut Context<Supervisor>| {
            let supervisor::Reconfigure { planner, depends_on, inventory, respawn } =
                made_with.newest();
            let parts =
                SupervisorParts { depends_on, planner, inventory, respawn, ..parts.clone() };
            Supervisor::new(parts, ctx.address())
        };
        let watched = Watched { links: links.clone(), memory, branch };
        let child = child(kept, make, move |address| {
            links.reports.publish(address);
            links.inventory.publish(address);
            links.inbox.publish(address);
            links.retire.publish(address);
            links.sickness.publish(address);
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
            self.peers.update.send(UpdateAlert {
                incident: incident.clone(),
                action,
                calls_person: false,
            });
            self.peers.resolve.send(ResolveAlert { incident, ended_at });
        }
    }
}

impl Common {
    /// Reads what was done before, and opens `gate` then.
    pub(super) fn custody(
        &self,
        gate: watch::Sender<StateGate>,
        leadership: LeadershipHandle,
    ) -> Custody {
        Custody {
            keeper: self.keeper.clone(),
            leadership,
            gate,
            lasting: self.lasting.clone(),
            board: self.board.clone(),
            clock: self.clock,
        }
    }
}

/// The root's name for the supervisor of `cluster`.
pub(super) fn supervisor_key(cluster: &str) -> String {
    format!("supervisor/{cluster}")
}

/// How a child of the root is known and kept.
struct Kept {
    key: String,
    kind: &'static str,
    mailbox: usize,
    respawn: RespawnSettings,
    last_words: LastWords,
}

impl Kept {
    fn peer(kind: &'static str, respawn: RespawnSettings) -> Self {
        let last_words = LastWords::default();
        Self { key: kind.to_owned(), kind, mailbox: PEER_MAILBOX, respawn, last_words }
    }
}

fn child<A: Actor<Context = Context<A>>>(
    kept: Kept,
    make: impl Fn(&mut Context<A>) -> A + Clone + Send + 'static,
    publish: impl Fn(&Addr<A>) + Send + 'static,
) -> RootChild {
    let Kept { key, kind, mailbox, respawn, last_words } = kept;
    let factory = Box::new(move |notice: ExitNotice| {
        let running = exit_guard::start(mailbox, make.clone(), last_words.heard_by(notice));
        publish(&running.address);
        running.abort
    });
    RootChild { key, kind, respawn, factory }
}

/// How the supervisor of `cluster` watches it.
pub(super) fn supervisor_settings(
    cluster: &ClusterParts,
    respawn: RespawnSettings,
) -> supervisor::Reconfigure {
    supervisor::Reconfigure {
        planner: Arc::clone(&cluster.planner),
        depends_on: cluster.depends_on.clone(),
        inventory: cluster.platform.inventory(),
        respawn,
    }
}

/// The recoverer's and the scaler's ways to each cluster's supervisor, by the cluster's name.
pub(super) type WaysByCluster =
    (HashMap<Arc<str>, SupervisorWays>, HashMap<Arc<str>, Post<ScalingProgressed>>);

/// The ways from the recoverer and the scaler to each cluster's supervisor.
pub(super) fn ways_to_supervisors<'a>(
    links: impl Iterator<Item = (&'a Arc<str>, &'a SupervisorLinks)>,
) -> WaysByCluster {
    let name = |(name, links): (&Arc<str>, &SupervisorLinks)| {
        let (progress, sickness) = (links.inbox.recovery.clone(), links.sickness.clone());
        let recovery = SupervisorWays { progress, sickness };
        ((Arc::clone(name), recovery), (Arc::clone(name), links.inbox.scaling.clone()))
    };
    links.map(name).unzip()
}
