//! When an incident begins, becomes worse and ends. Tells nobody.

use super::ComponentMemory;
use crate::model::{
    ComponentId, HealthState, IncidentId, Outcome, ProberKind, Reason, ReasonKind, Severity,
    Timestamp,
};

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncident {
    /// Its identifier.
    pub id: IncidentId,
    /// Since when.
    pub since: Timestamp,
    /// The worst it has been.
    pub severity: Severity,
    /// Its newest reason.
    pub reason: Reason,
}

/// What one report means for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentChange {
    /// Nothing.
    None,
    /// An incident began, became worse or has another reason.
    News,
    /// It goes on as before.
    Open,
    /// It is over.
    Resolved(IncidentId),
}

impl ComponentMemory {
    /// Which severity the present state deserves, if any.
    fn severity(&self, now: Timestamp) -> Option<Severity> {
        let kind = self.tracker.reason().map(|reason| reason.kind);
        if kind == Some(ReasonKind::PlatformUnavailable) && self.kind != ProberKind::Platform {
            // The platform's own prober tells of this, once for all components.
            return None;
        }
        match self.tracker.state() {
            HealthState::Unhealthy => Some(Severity::Critical),
            // Something optional that does not exist here is shown, and nobody is woken for it.
            HealthState::Degraded if kind == Some(ReasonKind::Unsupported) => None,
            HealthState::Degraded if self.tracker.is_persistently_degraded(self.settings, now) => {
                Some(Severity::Warning)
            }
            HealthState::Degraded | HealthState::Unknown | HealthState::Healthy => None,
        }
    }

    /// Folds the newest outcome in.
    pub(super) fn update_incident(
        &mut self,
        id: &ComponentId,
        outcome: &Outcome,
        now: Timestamp,
    ) -> IncidentChange {
        if self.tracker.state() == HealthState::Healthy || self.tracker.is_off() {
            let over = self.incident.take();
            return over.map_or(IncidentChange::None, |open| IncidentChange::Resolved(open.id));
        }
        let reason = outcome.reason().or(self.tracker.reason());
        let (Some(severity), Some(reason)) = (self.severity(now), reason) else {
            return IncidentChange::None;
        };
        let Some(open) = &mut self.incident else {
            let since = self.tracker.since();
            let (id, reason) = (IncidentId::new(id, since), reason.clone());
            self.incident = Some(OpenIncident { id, since, severity, reason });
            return IncidentChange::News;
        };
        if severity <= open.severity && *reason == open.reason {
            return IncidentChange::Open;
        }
        open.severity = open.severity.max(severity);
        open.reason = reason.clone();
        IncidentChange::News
    }
}
