//! The composition root: turns settings into effects, starts the supervision tree over them, and
//! takes it down again. The only place that knows every layer.

mod clusters;
pub mod descriptors;
pub mod election;
mod heartbeat;
mod history;
mod journal;
mod mapping;
mod once;
mod parts;
mod planner;
mod platform;
mod probes;
pub mod receivers;
mod reload;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use crate::actors::heartbeat::Heartbeat;
use crate::actors::keeper::{NamedStore, StateKeeper};
use crate::actors::leadership::LeadershipHandle;
use crate::actors::root::Fatal;
use crate::actors::status::StatusBoard;
use crate::actors::tree::{Tree, TreeParts, TreePlan};
use crate::clock::Clock;
use crate::config::Settings;
use crate::effects::{Journal, StateStore};
use crate::metrics::{Metrics, MetricsRegistry, MetricsSettings};
use crate::model::{ReloadTrigger, StateChanges};
use crate::server::{About, AboutBoard, Server, ServerSettings, ServerSources};

use election::{Election, Told};
use history::JournalHistory;
use journal::OpenJournal;
pub use once::probe_once;
use parts::Plan;
pub use planner::ClusterPlanner;
pub use platform::{ClusterPlatform, Purpose, start_platform};
pub use reload::ReloadSource;
use reload::file::FileWatch;
use reload::{Admin, Following, ReloadRequest, Reloader, ToAlerter, ToRecoverer, WAITING_REQUESTS};

/// How long the last push of metrics may take.
const LAST_EXPORT: Duration = Duration::from_secs(3);
/// How long the last change of the essential state may take.
const LAST_SAVE: Duration = Duration::from_secs(2);

/// What the command line adds to the settings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Show every action instead of doing it, whatever the settings say.
    pub dry_run: bool,
    /// The configuration file, to be shown.
    pub config_path: Option<PathBuf>,
    /// What the configuration says without effect.
    pub warnings: Vec<String>,
    /// The file to be read again when it changes; none = the settings hold to the end.
    pub reload: Option<ReloadSource>,
}

/// The running system. Must be started and shut down inside an actix system.
pub struct App {
    following: Rc<Mutex<Following>>,
    reloading: JoinHandle<()>,
    reload: mpsc::Sender<ReloadRequest>,
    drain_timeout: Rc<RefCell<Duration>>,
    server: Server,
    board: StatusBoard,
    election: Election,
    metrics: MetricsRegistry,
    fatal: mpsc::UnboundedReceiver<Fatal>,
    journal: OpenJournal,
    keeper: StateKeeper,
}

impl App {
    /// Starts everything. Returns as soon as the server listens; unreachable clusters are the
    /// probers' business.
    ///
    /// # Errors
    /// When the server cannot listen, or a receiver cannot be built from its settings.
    pub fn start(settings: Settings, options: Options) -> anyhow::Result<Self> {
        crate::effects::tls::install_tls_provider();
        let settings = Arc::new(settings);
        let clock = Clock::system();
        let (metrics, registry) = Metrics::new(&metrics_settings(&settings, clock))
            .context("cannot set up the metrics")?;
        metrics.config_loaded(clock.now());
        let board = StatusBoard::default();
        let about = AboutBoard::new(about(&settings, &options, clock));
        let (token, token_seen) = watch::channel(settings.server.admin_token_file.clone());
        let (reload, requests) = mpsc::channel(WAITING_REQUESTS);
        Plan::check(&settings)?;
        let history = Arc::new(JournalHistory::default());
        let (recoverer, alerter) = (ToRecoverer::default(), ToAlerter::default());
        let server = Server::start(
            &ServerSettings::listening_on(settings.server.listen),
            ServerSources {
                status: board.clone(),
                metrics: registry.clone(),
                heartbeat: beat(clock),
                clock,
                about: about.clone(),
                administration: Some(Arc::new(Admin {
                    token: token_seen,
                    requests: reload.clone(),
                    recoverer: Arc::clone(&recoverer),
                    alerter: Arc::clone(&alerter),
                })),
                history: Some(Arc::clone(&history) as _),
            },
        )?;
        let plan = Plan::new(Arc::clone(&settings), options.dry_run, clock)?;
        let told = Told { board: board.clone(), clock, metrics: metrics.clone() };
        let election = Election::start(&plan.settings, options.dry_run, told);
        let journal = OpenJournal::open(&settings.recorder, clock, &metrics)
            .context("cannot begin the journal")?;
        history.follow(Arc::clone(&journal.journal));
        let keeper = if options.dry_run {
            // It goes on with nothing, and leaves nothing that another one would go on with.
            StateKeeper::default()
        } else {
            StateKeeper::start(stores(&election, &journal, clock), clock, metrics.clone())
        };
        let around = Around { leadership: election.handle(), keeper: keeper.clone() };
        let (tree, fatal) = start_tree(&plan, around, &board, clock, &metrics, &journal);
        // Nobody else has set it.
        let _ = recoverer.set(tree.resume_recovery());
        let _ = alerter.set(tree.wishes());
        let drain_timeout = Rc::new(RefCell::new(settings.supervisor.drain_timeout.get()));
        let following = Rc::new(Mutex::new(Following { tree, plan }));
        let reloader = Reloader {
            file: options.reload.map(|source| FileWatch::new(source.path, source.content)),
            started: settings,
            following: Rc::clone(&following),
            drain_timeout: Rc::clone(&drain_timeout),
            token,
            about,
            clock,
            metrics,
            journal: journal.clone(),
        };
        let reloading = actix::spawn(reloader.run(requests));
        Ok(Self {
            following,
            reloading,
            reload,
            drain_timeout,
            server,
            board,
            election,
            metrics: registry,
            fatal,
            journal,
            keeper,
        })
    }

    /// Reads the configuration again, soon; what comes of it is logged and shown in the status.
    pub fn request_reload(&self, trigger: ReloadTrigger) {
        // A full queue holds wishes enough: the next reading meets them all.
        let _ = self.reload.try_send(ReloadRequest { trigger, reply: None });
    }

    /// How long the end may take, as it is configured now.
    pub fn drain_timeout(&self) -> Duration {
        *self.drain_timeout.borrow()
    }

    /// The observable state of all actors.
    pub fn status(&self) -> StatusBoard {
        self.board.clone()
    }

    /// Where everything is written down.
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal.journal)
    }

    /// Where the essential state is kept on this machine.
    pub fn state_store(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.journal.state)
    }

    /// Where the server listens.
    pub fn server_addr(&self) -> std::net::SocketAddr {
        self.server.local_addr()
    }

    /// Waits until an actor, the server's thread or the reading of the configuration is beyond
    /// help, which may be never.
    pub async fn fatal(&mut self) -> Fatal {
        let ended = |actor: &str| Fatal {
            actor: actor.to_owned(),
            reason: "ended unexpectedly".to_owned(),
        };
        tokio::select! {
            fatal = self.fatal.recv() => fatal.unwrap_or_else(|| ended("root")),
            () = self.server.ended() => ended("server"),
            // It never returns, so it has panicked, perhaps in the middle of a change.
            _ = &mut self.reloading => ended("reloader"),
        }
    }

    /// Stops probing and deciding, delivers what can be delivered, lets go of the platforms, and
    /// returns within about `grace`.
    pub async fn shutdown(self, grace: Duration) {
        let clock = Clock::system();
        // A reload under way is given up where it is: what it changes is about to end.
        self.reloading.abort();
        let following = self.following.lock().await;
        let Following { tree, plan } = &*following;
        let grace = grace.saturating_sub(LAST_EXPORT.min(grace / 5));
        tree.stop_probing();
        // Processes that falconer owns may need most of the time to end in order; meanwhile people
        // are told what is still to be told.
        let release = async {
            tree.hand_back(grace / 3).await;
            let left = grace.saturating_sub(clock.uptime());
            tokio::join!(tree.release_platforms(left), plan.clusters.release_unwatched(left));
        };
        let (undelivered, ()) = tokio::join!(tree.deliver(grace), release);
        if undelivered > 0 {
            tracing::warn!(undelivered, "not everybody could be told before the end");
        }
        let saved = self.keeper.persist(StateChanges::new(), LAST_SAVE).await;
        // Who does not lead has nothing to save.
        if let Err(error) = saved
            && self.keeper.snapshot().open
        {
            tracing::warn!(%error, "essential state was not saved at the end");
        }
        // Both wait for threads of their own; a collector that does not answer must not hold us.
        let (metrics, server, journal) = (self.metrics, self.server, self.journal);
        let last = tokio::task::spawn_blocking(move || {
            metrics.shutdown();
            server.shutdown();
        });
        let last = tokio::time::timeout(LAST_EXPORT, last);
        // Only now: another falconer leads at once, and finds everything done or handed back.
        let _ = tokio::join!(self.election.resign(LAST_EXPORT), last, journal.close(LAST_EXPORT));
    }
}

/// What the tree is not alone with.
struct Around {
    leadership: LeadershipHandle,
    keeper: StateKeeper,
}

/// Where the essential state is kept, the most believed store first: a disk may be gone with its pod,
/// or be that of a falconer that led long ago.
fn stores(election: &Election, journal: &OpenJournal, clock: Clock) -> Vec<NamedStore> {
    let map = election.state_store(clock);
    let map = map.map(|store| NamedStore { name: "configmap", store, is_decisive: true });
    let store = Arc::clone(&journal.state);
    let disk = NamedStore { name: journal.name(), store, is_decisive: false };
    map.into_iter().chain([disk]).collect()
}

fn start_tree(
    plan: &Plan,
    around: Around,
    board: &StatusBoard,
    clock: Clock,
    metrics: &Metrics,
    journal: &OpenJournal,
) -> (Tree, mpsc::UnboundedReceiver<Fatal>) {
    let (fatal, beyond_help) = mpsc::unbounded_channel();
    let TreePlan { clusters, receivers, settings } = plan.for_tree();
    let tree = Tree::start(TreeParts {
        clusters,
        receivers,
        settings,
        leadership: around.leadership,
        keeper: around.keeper,
        board: board.clone(),
        clock,
        metrics: metrics.clone(),
        journal: Arc::clone(&journal.journal),
        fatal,
    });
    (tree, beyond_help)
}

fn metrics_settings(settings: &Settings, clock: Clock) -> MetricsSettings {
    let endpoint = &settings.telemetry.otlp_endpoint;
    MetricsSettings {
        cluster_label: settings.clusters.len() > 1,
        otlp_endpoint: (!endpoint.is_empty()).then(|| endpoint.clone()),
        started_at: clock.now(),
        ..MetricsSettings::default()
    }
}

fn about(settings: &Settings, options: &Options, clock: Clock) -> About {
    About {
        clusters: settings.clusters.keys().map(|name| Arc::from(name.as_str())).collect(),
        config_path: options.config_path.clone(),
        warnings: options.warnings.clone(),
        configured_at: clock.now(),
        ..About::default()
    }
}

/// A heart that beats on the actors' thread as long as the system lives.
fn beat(clock: Clock) -> Heartbeat {
    let heartbeat = Heartbeat::new(clock);
    // Should it ever end, /livez fails: it is its own watchdog.
    actix::spawn(heartbeat.clone().keep_beating());
    heartbeat
}
