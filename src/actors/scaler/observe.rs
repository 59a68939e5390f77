//! Looking on where something else scales a workload, and warning of whom a change may quarrel with.
//! Changes nothing.

use super::Scaler;
use super::snapshot::ObservedScaling;
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ComponentId, JournalEntry, JournalRecord};
use crate::policy::scaling::{Observed, ScalingRequest, gitops_warning};
use crate::policy::workload_choice::choose;

impl Scaler {
    /// Says what would be done, once for each direction; the numbers are kept up to date.
    pub(super) fn on_observed(&mut self, component: &ComponentId, observed: &Observed) {
        self.ledger().forget_shown(component);
        let kind = observed.as_str();
        let shown = ObservedScaling::of(component, observed);
        let summary = shown.summary.clone();
        let is_new = self.observed.get(component) != Some(&shown);
        self.observed.insert(component.clone(), shown);
        if self.told.get(component) != Some(&kind) {
            if let Some(plan) = observed.change() {
                let direction =
                    if plan.is_up() { ActionKind::ScaleUp } else { ActionKind::ScaleDown };
                self.around.metrics.action(component, direction, ActionOutcome::Observed);
            }
            self.tell(component, kind, summary);
        } else if is_new {
            self.publish();
        }
    }

    /// Nothing else scales the component any more.
    pub(super) fn on_unobserved(&mut self, component: &ComponentId) {
        if self.observed.remove(component).is_some() {
            self.publish();
        }
    }

    /// Warns once for each workload.
    pub(super) fn warn_of_gitops(&mut self, load: &ScalingRequest) {
        let Ok(workload) = choose(&load.workloads) else { return };
        let (component, words) = (&load.component, gitops_warning(workload));
        let news = self.ledger().warn(component, &workload.reference, words.clone());
        let Some(words) = words.filter(|_| news) else { return };
        tracing::warn!(component = %component, workload = %workload.reference, words,
            "scaling may be undone");
        let (decision, words) = ("gitops".to_owned(), words.as_str().into());
        let record = JournalRecord::Scaling { decision, words };
        self.around.journal.record(JournalEntry::of(self.around.clock.now(), component, record));
        self.publish();
    }
}
