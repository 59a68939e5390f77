//! The way up the ladder so far: against which trouble, by which steps, and which were passed over.
//! Changes nothing but what it is handed.

use std::collections::BTreeSet;

use super::{LastStep, RecoveryLedger, StepEnd};
use crate::model::ComponentId;
use crate::policy::recovery::decision::{PlannedAction, TriedEnd, TriedStep};
use crate::policy::recovery::request::RecoveryRequest;
use crate::policy::recovery::settings::RecoverySettings;
use crate::policy::recovery::trouble::Trouble;
use crate::policy::recovery::under_way::ActionUnderWay;

impl RecoveryLedger {
    /// Which step of the ladder is next for a component. What comes back soon after a step had
    /// helped was not helped by it, unless it is another trouble: each kind has its own try.
    pub fn ladder_index(&self, request: &RecoveryRequest, settings: &RecoverySettings) -> usize {
        let Some(last) = self.last_step(&request.component) else { return 0 };
        let came_back = match &last.end {
            StepEnd::Failed => true,
            StepEnd::PodReplaced { .. } => false,
            StepEnd::Helped { .. } => {
                last.incident == request.incident
                    || (last.is_recent(request, settings) && last.was_against(request.trouble))
            }
        };
        last.index.saturating_add(usize::from(came_back))
    }

    /// What was tried on the way up to the step `index`, oldest first, and what was passed over, each
    /// with its reason.
    pub fn way_to(&self, component: &ComponentId, index: usize) -> (Vec<TriedStep>, Vec<String>) {
        match self.last_step(component) {
            Some(last) if last.index < index => (last.way(), last.skipped.clone()),
            Some(last) => (last.before.clone(), last.skipped.clone()),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// The troubles against which `plan` and the steps before it are.
    pub(super) fn troubles(
        &self,
        request: &RecoveryRequest,
        plan: &PlannedAction,
        settings: &RecoverySettings,
    ) -> BTreeSet<Trouble> {
        let last = self.last_step(&request.component);
        let goes_on =
            |last: &&LastStep| plan.index > last.index || last.is_recent(request, settings);
        let mut troubles =
            last.filter(goes_on).map(|last| last.troubles.clone()).unwrap_or_default();
        troubles.insert(request.trouble);
        troubles
    }
}

impl LastStep {
    /// The end of `action`, which followed `earlier`.
    pub(super) fn after(earlier: Option<Self>, action: &ActionUnderWay, end: StepEnd) -> Self {
        let goes_on = |earlier: &Self| match &earlier.end {
            StepEnd::PodReplaced { .. } => action.index >= earlier.index,
            StepEnd::Helped { .. } | StepEnd::Failed => action.index > earlier.index,
        };
        let (before, mut skipped) = match earlier.filter(goes_on) {
            // The same rung for the next pod.
            Some(earlier) if earlier.index == action.index => (earlier.before, earlier.skipped),
            Some(earlier) => (earlier.way(), earlier.skipped),
            None => (Vec::new(), Vec::new()),
        };
        for one in &action.skipped {
            if !skipped.contains(one) {
                skipped.push(one.clone());
            }
        }
        Self {
            index: action.index,
            step: action.step,
            incident: action.incident.clone(),
            workload: action.workload.clone(),
            began_at: action.requested_at,
            refused: end == StepEnd::Failed && action.accepted_at.is_none(),
            troubles: action.troubles.clone(),
            before,
            skipped,
            end,
        }
    }

    /// Every step up to this one.
    fn way(&self) -> Vec<TriedStep> {
        let end = match &self.end {
            StepEnd::Failed if self.refused => TriedEnd::Refused,
            StepEnd::Failed => TriedEnd::Failed,
            StepEnd::Helped { .. } | StepEnd::PodReplaced { .. } => TriedEnd::CameBack,
        };
        let mut way = self.before.clone();
        way.push(TriedStep { step: self.step, end });
        way
    }

    /// Whether what it helped against was over so short a time ago that this may be the same.
    fn is_recent(&self, request: &RecoveryRequest, settings: &RecoverySettings) -> bool {
        match &self.end {
            StepEnd::Helped { at } => {
                request.unhealthy_since.since(*at) < settings.recurrence_window
            }
            StepEnd::PodReplaced { .. } => true,
            StepEnd::Failed => false,
        }
    }

    /// Whether it, or a step shortly before it, was against this kind of trouble.
    fn was_against(&self, trouble: Trouble) -> bool {
        // Earlier versions did not say.
        self.troubles.is_empty() || self.troubles.contains(&trouble)
    }
}
