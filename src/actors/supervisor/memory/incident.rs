//! When an incident begins, becomes worse and ends. Tells nobody.
//!
//! What comes and goes too often stays one incident, which ends only after a time of calm.

use super::ComponentMemory;
use crate::model::{
    AlertState, ComponentId, HealthState, IncidentId, Outcome, ProberKind, Reason, ReasonKind,
    Severity, Timestamp,
};
use crate::policy::flapping::Changes;

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
    /// Whether its component has come and gone too often, which keeps it open.
    pub is_flapping: bool,
    /// Since when its component is well, where it is open nevertheless.
    pub well_since: Option<Timestamp>,
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
        if self.is_told_of_platform() {
            return None;
        }
        let kind = self.tracker.reason().map(|reason| reason.kind);
        match self.tracker.state() {
            HealthState::Unhealthy => Some(Severity::Critical),
            // Something optional that does not exist here is shown, and nobody is woken for it.
            HealthState::Degraded if kind == Some(ReasonKind::Unsupported) => None,
            HealthState::Degraded if self.tracker.is_persistently_degraded(*self.settings, now) => {
                Some(Severity::Warning)
            }
            HealthState::Degraded | HealthState::Unknown | HealthState::Healthy => None,
        }
    }

    /// Whether the platform's own prober tells of what ails it, once for all components.
    fn is_told_of_platform(&self) -> bool {
        let kind = self.tracker.reason().map(|reason| reason.kind);
        kind == Some(ReasonKind::PlatformUnavailable) && self.kind != ProberKind::Platform
    }

    /// What becomes, or has become, an alert.
    pub fn alert_state(&self) -> AlertState {
        if let Some(open) = &self.incident {
            let OpenIncident { id, since, severity, is_flapping, .. } = OpenIncident::clone(open);
            return AlertState::Firing { incident: id, since, severity, is_flapping };
        }
        match self.tracker.failing_since() {
            Some(since) if !self.tracker.is_off() && !self.is_told_of_platform() => {
                AlertState::Pending {
                    since,
                    failures: self.tracker.consecutive_failures(),
                    failure_threshold: self.settings.failure_threshold,
                }
            }
            Some(_) | None => AlertState::Inactive,
        }
    }

    /// Folds the newest outcome in.
    pub(super) fn update_incident(
        &mut self,
        id: &ComponentId,
        outcome: &Outcome,
        now: Timestamp,
    ) -> IncidentChange {
        if self.tracker.is_off() {
            return self.end_incident();
        }
        if self.tracker.state() == HealthState::Healthy {
            return self.on_well(now);
        }
        let reason = outcome.reason().or(self.tracker.reason());
        let (Some(severity), Some(reason)) = (self.severity(now), reason) else {
            return IncidentChange::None;
        };
        let flapping = self.settings.flapping;
        let Some(open) = &mut self.incident else {
            let since = self.tracker.since();
            self.changes.note(flapping, now);
            self.incident = Some(Box::new(OpenIncident {
                id: IncidentId::new(id, since),
                since,
                severity,
                reason: reason.clone(),
                is_flapping: self.changes.is_flapping(flapping, now),
                well_since: None,
            }));
            return IncidentChange::News;
        };
        let is_back = open.well_since.take().is_some();
        if is_back {
            self.changes.note(flapping, now);
        }
        if !is_back && severity <= open.severity && *reason == open.reason {
            return IncidentChange::Open;
        }
        open.severity = open.severity.max(severity);
        open.reason = reason.clone();
        IncidentChange::News
    }

    /// It is well: its incident is over, unless that comes and goes too often.
    fn on_well(&mut self, now: Timestamp) -> IncidentChange {
        let Some(open) = &mut self.incident else { return IncidentChange::None };
        let flapping = self.settings.flapping;
        let is_news = open.well_since.is_none();
        let well_since = *open.well_since.get_or_insert(now);
        if is_news {
            self.changes.note(flapping, now);
            open.is_flapping |= self.changes.is_flapping(flapping, now);
        }
        if !open.is_flapping {
            return self.end_incident();
        }
        if now.since(well_since) >= flapping.calm() {
            // What comes next begins to be counted anew.
            self.changes = Changes::default();
            return self.end_incident();
        }
        if is_news { IncidentChange::News } else { IncidentChange::Open }
    }

    fn end_incident(&mut self) -> IncidentChange {
        let over = self.incident.take();
        over.map_or(IncidentChange::None, |open| IncidentChange::Resolved(open.id))
    }
}
