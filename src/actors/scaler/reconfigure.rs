//! Other settings and platforms for a living scaler. The ledger stays: recommendations, waits and
//! the change under way are what they were.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;

use super::{Scaler, ScalerSettings, ScalingProgressed};
use crate::actors::post::Post;
use crate::effects::{Cluster, QueryNodes};

/// From now on these settings, platforms and supervisors hold.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// The settings.
    pub settings: ScalerSettings,
    /// The platforms by the cluster's name; in dry-run wrapped so that they change nothing.
    pub clusters: HashMap<Arc<str>, Arc<dyn Cluster>>,
    /// The way to each cluster's supervisor.
    pub progress: HashMap<Arc<str>, Post<ScalingProgressed>>,
    /// What Milvus says of its query nodes; in dry-run wrapped so that they change nothing.
    pub query_nodes: HashMap<Arc<str>, Arc<dyn QueryNodes>>,
}

impl Scaler {
    fn reconfigure(&mut self, with: Reconfigure) {
        if self.settings.dry_run != with.settings.dry_run {
            // What was only shown is to be done now, and the other way round.
            let told = std::mem::take(&mut self.told);
            let mut ledger = self.ledger();
            for component in told.keys() {
                ledger.forget_shown(component);
            }
        }
        self.settings = with.settings;
        self.around.clusters = with.clusters;
        self.progress = with.progress;
        self.query_nodes = with.query_nodes;
        self.publish();
    }
}

impl Handler<Reconfigure> for Scaler {
    type Result = ();

    fn handle(&mut self, message: Reconfigure, _: &mut Self::Context) {
        self.reconfigure(message);
    }
}
