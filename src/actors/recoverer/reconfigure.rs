//! Other settings and platforms for a living recoverer. The ledger stays: budgets, cooldowns and
//! the action under way are what they were; its verification goes on.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;

use super::{Recoverer, RecovererSettings, RecoveryPhase, SupervisorWays};
use crate::effects::Cluster;

/// From now on these settings, platforms and supervisors hold.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// The settings.
    pub settings: RecovererSettings,
    /// The platforms by the cluster's name; in dry-run wrapped so that they change nothing.
    pub clusters: HashMap<Arc<str>, Arc<dyn Cluster>>,
    /// The ways to each cluster's supervisor.
    pub supervisors: HashMap<Arc<str>, SupervisorWays>,
}

impl Recoverer {
    fn reconfigure(&mut self, with: Reconfigure) {
        if self.settings.dry_run != with.settings.dry_run {
            // What would have been done is no news about what is done.
            self.told.retain(|_, told| told.phase != RecoveryPhase::DryRun);
        }
        self.settings = with.settings;
        let before = std::mem::replace(&mut self.around.clusters, with.clusters);
        let gone = before.into_keys().filter(|name| !self.around.clusters.contains_key(name));
        let gone: Vec<Arc<str>> = gone.collect();
        self.show_breakers(&gone);
        self.supervisors = with.supervisors;
        self.publish();
    }
}

impl Handler<Reconfigure> for Recoverer {
    type Result = ();

    fn handle(&mut self, message: Reconfigure, _: &mut Self::Context) {
        self.reconfigure(message);
    }
}
