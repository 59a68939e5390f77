//! What reports and the platform tell of a component, written into the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::record::{Escalated, RevisionMark};
use super::stored::StoredKey;
use super::{RecoveryLedger, RolloutProgress};
use crate::model::{ComponentId, IncidentId, Timestamp};
use crate::policy::recovery::request::RecoveryRequest;

/// How old the instant of the newest sick report may be where it is saved.
const SICK_GRAIN: Duration = Duration::from_mins(1);

impl RecoveryLedger {
    /// A component was reported sick. Forgets its ladder when it was well for `memory`.
    pub fn saw_sick(&mut self, request: &RecoveryRequest, memory: Duration, now: Timestamp) {
        let (component, since) = (&request.component, request.unhealthy_since);
        let record = self.components.entry(component.clone()).or_default();
        let before = record.last_sick_at;
        let mut changed = false;
        if before.is_some_and(|at| since.since(at) >= memory) {
            changed |= !record.is_vacuous();
            record.forget_ladder();
        }
        let incident = &request.incident;
        changed |= record.escalated.take_if(|one| one.incident != *incident).is_some();
        changed |= record.stopped.take_if(|one| one.incident != *incident).is_some();
        changed |= record.retry.take_if(|retry| retry.incident != *incident).is_some();
        if request.failures >= request.failure_threshold {
            for mark in newest_revisions(request) {
                changed |= record.note_sick_revision(mark);
            }
        }
        // Never backwards, whatever the clock does: an incident must not forget its own ladder.
        let seen_at = before.unwrap_or(since).max(since).max(now);
        record.last_sick_at = Some(seen_at);
        // Falling sick again and again is no reason to write it down every time.
        let grain = SICK_GRAIN.min(memory / 8);
        let is_old = record.sick_saved_at.is_none_or(|at| seen_at.since(at) >= grain);
        changed |= is_old && !record.is_vacuous();
        if changed {
            record.sick_saved_at = Some(seen_at);
        }
        // A component that falls sick again during its verification is not healthy.
        if let Some(action) = self.under_way.get_mut(component) {
            changed |= action.healthy_since.take_if(|healthy| since >= *healthy).is_some();
        }
        if changed {
            self.changed.insert(StoredKey::Component(component.clone()));
        }
    }

    /// People are told that nothing is done about the component because the breaker of its cluster is
    /// open since `since`. Says whether that is the first time in this incident.
    pub fn told_stopped(
        &mut self,
        component: &ComponentId,
        incident: &IncidentId,
        since: Timestamp,
    ) -> bool {
        let told = Some(Escalated { incident: incident.clone(), at: since });
        let record = self.components.entry(component.clone()).or_default();
        let is_first = record.stopped != told;
        if is_first {
            record.stopped = told;
            self.changed.insert(StoredKey::Component(component.clone()));
        }
        is_first
    }

    /// A report after the rollout of the action under way told which pods are sick.
    pub fn saw_sick_pods(&mut self, component: &ComponentId, sick: &[Arc<str>]) {
        self.change_action(component, |action| {
            if action.rollout == RolloutProgress::Complete {
                action.sick_after = Some(sick.iter().cloned().collect());
            }
        });
    }

    /// A report found the component healthy since `since`. Counts for the action under way if the
    /// health is younger than the action, or if it was seen after the rollout had ended.
    pub fn saw_healthy(&mut self, component: &ComponentId, since: Timestamp) {
        self.change_action(component, |action| {
            let Some(accepted_at) = action.accepted_at else { return };
            let after_rollout =
                action.rollout == RolloutProgress::Complete && since >= action.requested_at;
            if since >= accepted_at || after_rollout {
                action.healthy_since = Some(since);
            }
        });
    }

    /// The platform told how far the rollout has come.
    pub fn saw_rollout(&mut self, component: &ComponentId, key: &str, progress: RolloutProgress) {
        self.change_action(component, |action| {
            if action.idempotency_key == key {
                action.rollout = progress;
            }
        });
    }
}

/// The newest revision of what runs the component.
fn newest_revisions(request: &RecoveryRequest) -> impl Iterator<Item = RevisionMark> {
    let running = request.workloads.iter().filter(|workload| workload.desired_replicas > 0);
    running.filter_map(|workload| {
        let revision = workload.revision.as_ref()?.number;
        Some(RevisionMark { workload: workload.reference.clone(), revision })
    })
}
