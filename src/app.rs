//! The composition root: turns settings into effects, starts the supervision tree over them, and
//! takes it down again. The only place that knows every layer.

pub mod descriptors;
mod mapping;
mod once;
mod parts;
mod planner;
mod platform;
mod receivers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;

use crate::actors::alerter;
use crate::actors::heartbeat::Heartbeat;
use crate::actors::root::Fatal;
use crate::actors::status::StatusBoard;
use crate::actors::tree::{Tree, TreeParts};
use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::{Metrics, MetricsRegistry, MetricsSettings};
use crate::server::{About, Server, ServerSettings, ServerSources};

pub use once::probe_once;
use parts::Plan;
pub use planner::ClusterPlanner;
pub use platform::{ClusterPlatform, Purpose, start_platform};

/// How often the actors' thread gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long the last push of metrics may take.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// What the command line adds to the settings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Show every action instead of doing it, whatever the settings say.
    pub dry_run: bool,
    /// The configuration file, to be shown.
    pub config_path: Option<PathBuf>,
    /// What the configuration says without effect.
    pub warnings: Vec<String>,
}

/// The running system. Must be started and shut down inside an actix system.
pub struct App {
    tree: Tree,
    server: Server,
    board: StatusBoard,
    metrics: MetricsRegistry,
    fatal: mpsc::UnboundedReceiver<Fatal>,
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
        let plan = Plan::new(Arc::clone(&settings), options.dry_run);
        let receivers = plan.receivers()?;
        let (metrics, registry) = Metrics::new(&metrics_settings(&settings, clock))
            .context("cannot set up the metrics")?;
        let board = StatusBoard::default();
        let heartbeat = beat(clock);
        let server = Server::start(
            &ServerSettings::listening_on(settings.server.listen),
            ServerSources {
                status: board.clone(),
                metrics: registry.clone(),
                heartbeat,
                clock,
                about: about(&settings, &options),
            },
        )?;
        let (fatal_sender, fatal) = mpsc::unbounded_channel();
        let tree = Tree::start(TreeParts {
            receivers,
            clusters: plan.start_clusters(clock),
            settings: plan.tree_settings(),
            board: board.clone(),
            clock,
            metrics,
            fatal: fatal_sender,
        });
        Ok(Self { tree, server, board, metrics: registry, fatal })
    }

    /// The observable state of all actors.
    pub fn status(&self) -> StatusBoard {
        self.board.clone()
    }

    /// Where the server listens.
    pub fn server_addr(&self) -> std::net::SocketAddr {
        self.server.local_addr()
    }

    /// Waits until an actor is beyond help, which may be never.
    pub async fn fatal(&mut self) -> Fatal {
        match self.fatal.recv().await {
            Some(fatal) => fatal,
            None => Fatal { actor: "root".to_owned(), reason: "ended unexpectedly".to_owned() },
        }
    }

    /// Stops probing and deciding, delivers what can be delivered, lets go of the platforms, and
    /// returns within about `grace`.
    pub async fn shutdown(self, grace: Duration) {
        let clock = Clock::system();
        self.tree.stop_probing();
        // Processes that falconer owns may need most of the time to end in order.
        self.tree.drain(alerter::Drain { deadline: grace / 3 }).await;
        self.tree.release_platforms(grace.saturating_sub(clock.uptime())).await;
        // Both wait for threads of their own; a collector that does not answer must not hold us.
        let (metrics, server) = (self.metrics, self.server);
        let last = tokio::task::spawn_blocking(move || {
            metrics.shutdown();
            server.shutdown();
        });
        let _ = tokio::time::timeout(LAST_EXPORT, last).await;
    }
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

fn about(settings: &Settings, options: &Options) -> About {
    About {
        clusters: settings.clusters.keys().map(|name| Arc::from(name.as_str())).collect(),
        config_path: options.config_path.clone(),
        warnings: options.warnings.clone(),
    }
}

/// A heart that beats on the actors' thread as long as the system lives.
fn beat(clock: Clock) -> Heartbeat {
    let heartbeat = Heartbeat::new(clock);
    let beating = heartbeat.clone();
    actix::spawn(async move {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            beating.beat();
        }
    });
    heartbeat
}
