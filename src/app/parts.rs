//! From the settings to what the supervision tree is made of: one adapter per cluster, one
//! notifier per receiver, and how each actor behaves.

use std::sync::Arc;

use super::clusters::{Clusters, DryRun};
use super::heartbeat::Heartbeat;
use super::mapping;
use super::receivers::Receivers;
use crate::actors::tree::{TreePlan, TreeSettings};
use crate::clock::Clock;
use crate::config::Settings;

/// How falconer is configured, as its actors need it, with the adapters that are there.
#[derive(Clone)]
pub struct Plan {
    /// The settings it follows from.
    pub settings: Arc<Settings>,
    /// The clusters on their platforms.
    pub clusters: Clusters,
    receivers: Receivers,
    heartbeat: Heartbeat,
    /// Show every action instead of doing it, whatever the settings say.
    dry_run: bool,
}

impl Plan {
    /// Whether a plan can be made of `settings`; starts nothing.
    ///
    /// # Errors
    /// When a receiver cannot be built from its settings.
    pub fn check(settings: &Settings) -> anyhow::Result<()> {
        Heartbeat::default().following(&settings.heartbeat)?;
        Receivers::default().following(&settings.alerter, Clock::system()).map(|_| ())
    }

    /// The plan that follows from `settings`; starts the adapter of each cluster's platform.
    ///
    /// # Errors
    /// When a receiver cannot be built from its settings; then nothing is started.
    pub fn new(settings: Arc<Settings>, dry_run: bool, clock: Clock) -> anyhow::Result<Self> {
        Self {
            settings: Arc::default(),
            clusters: Clusters::default(),
            receivers: Receivers::default(),
            heartbeat: Heartbeat::default(),
            dry_run,
        }
        .following(settings, clock)
    }

    /// The plan that follows from other settings: what they leave as it is, is the same object
    /// in both.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn following(&self, settings: Arc<Settings>, clock: Clock) -> anyhow::Result<Self> {
        let dry_run = self.dry_run;
        let receivers = self.receivers.following(&settings.alerter, clock)?;
        let heartbeat = self.heartbeat.following(&settings.heartbeat)?;
        let clusters = self.clusters.following(&settings, dry_runs(&settings, dry_run), clock);
        Ok(Self { settings, clusters, receivers, heartbeat, dry_run })
    }

    /// What the tree is to follow.
    pub fn for_tree(&self) -> TreePlan {
        TreePlan {
            clusters: self.clusters.parts(),
            receivers: self.receivers.all(),
            settings: self.tree_settings(),
        }
    }

    fn tree_settings(&self) -> TreeSettings {
        let Settings { alerter, recoverer, scaler, probers, .. } = self.settings.as_ref();
        let maintenance = mapping::maintenance(&self.settings.maintenance);
        let settle = probers.defaults.interval.get();
        let dry_run = dry_runs(&self.settings, self.dry_run);
        TreeSettings {
            alerter: mapping::alerter(alerter, maintenance.clone()),
            recoverer: mapping::recoverer(
                recoverer,
                maintenance.clone(),
                settle,
                dry_run.recoverer,
            ),
            scaler: mapping::scaler(scaler, maintenance, dry_run.scaler),
            respawns: mapping::respawns(&self.settings),
            beacon: self.heartbeat.for_tree(),
        }
    }
}

fn dry_runs(settings: &Settings, all: bool) -> DryRun {
    DryRun {
        all,
        recoverer: all || settings.recoverer.defaults.dry_run,
        scaler: all || settings.scaler.defaults.dry_run,
    }
}
