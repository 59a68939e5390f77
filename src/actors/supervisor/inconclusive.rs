//! Probes that falconer itself could not make. They are counted, logged and shown, and change nothing
//! of what is known of a component: nobody is restarted because falconer ran out of descriptors.

use super::Supervisor;
use crate::model::ProbeReport;

impl Supervisor {
    /// A report that nothing follows from.
    pub(super) fn note_unjudged(&self, report: ProbeReport) {
        if !report.observation.outcome.is_inconclusive() {
            return;
        }
        let now = self.parts.clock.now();
        let mut memory = self.memory();
        if let Some(probes) = memory.inconclusive(now) {
            let reason = report.observation.outcome.reason().map(ToString::to_string);
            let cluster = &self.parts.cluster;
            tracing::warn!(%cluster, component = %report.id, probes, reason, "cannot probe");
        }
        if let Some(known) = memory.get(&report.id.component) {
            known.show(report);
        }
    }
}
