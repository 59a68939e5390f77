//! What a supervisor writes down: every probe, and every change of a component's state.

use super::Supervisor;
use crate::model::{ComponentId, IncidentId, JournalEntry, JournalRecord, ProbeReport, Reason};
use crate::policy::health::Transition;

impl Supervisor {
    /// A probe ended, whether anything follows from it or not.
    pub(super) fn note_probe(&self, report: &ProbeReport) {
        let (outcome, latency) = (report.observation.outcome.clone(), report.duration);
        let record = JournalRecord::Probe { outcome, latency };
        self.parts.journal.record(JournalEntry::of(report.started_at, &report.id, record));
    }

    /// One line for every change of a component's state, in the log and in the journal.
    pub(super) fn note_transition(
        &self,
        component: &ComponentId,
        transition: Transition,
        reason: Option<&Reason>,
        incident: Option<&IncidentId>,
    ) {
        let Transition::Moved { from, to } = transition else {
            return;
        };
        let words = reason.map(ToString::to_string);
        let (from_name, to_name) = (from.as_str(), to.as_str());
        tracing::info!(%component, from = from_name, to = to_name, reason = words, "component state changed");
        let record = JournalRecord::State { from, to, reason: reason.cloned() };
        let entry = JournalEntry::of(self.parts.clock.now(), component, record);
        let entry = match incident {
            Some(incident) => entry.within(incident),
            None => entry,
        };
        self.parts.journal.record(entry);
    }
}
