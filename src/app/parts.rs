//! From the settings to what the supervision tree is made of: one adapter per cluster, one
//! notifier per receiver, and how each actor behaves.

use std::sync::Arc;

use super::mapping;
use super::planner::ClusterPlanner;
use super::platform::{Purpose, start_platform};
use super::receivers;
use crate::actors::tree::{ClusterParts, TreeSettings};
use crate::clock::Clock;
use crate::config::Settings;
use crate::effects::cluster::dry_run::DryRunCluster;
use crate::effects::{Cluster, Notifier};

/// How falconer is configured, as its actors need it.
pub struct Plan {
    settings: Arc<Settings>,
    /// Show every action instead of doing it, whatever the settings say.
    dry_run: bool,
}

impl Plan {
    /// The plan that follows from `settings`.
    pub fn new(settings: Arc<Settings>, dry_run: bool) -> Self {
        Self { settings, dry_run }
    }

    fn dry_recoverer(&self) -> bool {
        self.dry_run || self.settings.recoverer.defaults.dry_run
    }

    fn dry_scaler(&self) -> bool {
        self.dry_run || self.settings.scaler.dry_run
    }

    /// How the actors that act behave.
    pub fn tree_settings(&self) -> TreeSettings {
        let settle = self.settings.probers.defaults.interval.get();
        TreeSettings {
            alerter: mapping::alerter(&self.settings.alerter),
            recoverer: mapping::recoverer(&self.settings.recoverer, settle, self.dry_recoverer()),
            scaler: mapping::scaler(&self.settings.scaler, self.dry_scaler()),
            respawns: mapping::respawns(&self.settings),
        }
    }

    /// One notifier for each receiver.
    ///
    /// # Errors
    /// When a receiver cannot be built from its settings.
    pub fn receivers(&self) -> anyhow::Result<Vec<Arc<dyn Notifier>>> {
        receivers::build(&self.settings.alerter)
    }

    /// Starts the adapter of each cluster's platform.
    pub fn start_clusters(&self, clock: Clock) -> Vec<ClusterParts> {
        self.settings.clusters.keys().filter_map(|name| self.start_cluster(name, clock)).collect()
    }

    /// Starts the adapter of the cluster `name`; `None` where it is not configured.
    pub fn start_cluster(&self, name: &str, clock: Clock) -> Option<ClusterParts> {
        let settings = self.settings.clusters.get(name)?.clone();
        // In dry-run not even a process is started: nothing is done to anything.
        let purpose = if self.dry_run { Purpose::Observe } else { Purpose::Supervise };
        let started = start_platform(name, &settings, purpose, clock);
        let platform = Arc::clone(&started.cluster);
        let name: Arc<str> = name.into();
        let depends_on = settings.depends_on.iter().map(|one| Arc::from(one.as_str())).collect();
        let planner = ClusterPlanner::new(
            Arc::clone(&name),
            Arc::clone(&self.settings),
            settings,
            started,
            clock,
        );
        Some(ClusterParts {
            name,
            depends_on,
            planner: Arc::new(planner),
            recoverer_platform: only_shown(&platform, self.dry_recoverer()),
            scaler_platform: only_shown(&platform, self.dry_scaler()),
            platform,
        })
    }
}

/// The platform itself, or in dry-run one that changes nothing.
fn only_shown(platform: &Arc<dyn Cluster>, dry_run: bool) -> Arc<dyn Cluster> {
    let platform = Arc::clone(platform);
    if dry_run { Arc::new(DryRunCluster::new(platform)) } else { platform }
}
