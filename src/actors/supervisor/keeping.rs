//! What of a supervisor's memory survives that falconer is killed, and what becomes of incidents of
//! components that are there no more.

use super::Supervisor;
use super::memory::ClusterMemory;
use crate::actors::alerter::UpdateAlert;

/// What is told last about an incident of a component that went while nobody watched.
pub const GONE: &str = "its component no longer exists";

impl Supervisor {
    /// Saves what has changed of the incidents, soon.
    pub(super) fn keep(&self, memory: &mut ClusterMemory) {
        if memory.has_changes() {
            self.parts.keeper.keep(memory.take_changes(&self.parts.cluster));
        }
    }

    /// Ends the incidents of components that are not there, once it is known what is.
    pub(super) fn settle_orphans(&self, memory: &mut ClusterMemory) {
        if !self.inventory.synced || !memory.has_orphans() {
            return;
        }
        for incident in memory.take_orphans() {
            tracing::info!(%incident, "incident is over, its component no longer exists");
            let update = UpdateAlert {
                incident: incident.clone(),
                action: GONE.to_owned(),
                calls_person: false,
            };
            self.parts.peers.update.send(update);
            self.resolve(incident);
        }
        self.keep(memory);
    }
}
