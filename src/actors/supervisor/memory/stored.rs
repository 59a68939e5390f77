//! Open incidents as essential state: so that an incident goes on under its name after falconer was
//! killed, or after another falconer became the leader. One key for each, `incident/<cluster>/<component>`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sightings::Sightings;
use super::{ClusterMemory, ComponentMemory, OpenIncident};
use crate::model::state::{component_key, of_kind};
use crate::model::{
    ComponentId, HealthState, IncidentId, Reason, Severity, Sighting, StateChanges, StoredState,
    Timestamp,
};
use crate::policy::flapping::Changes;
use crate::policy::health::HealthTracker;
use crate::policy::notification::Alert;

/// What the keys of incidents begin with.
const KIND: &str = "incident";
/// The form of the text; one that this version does not know is not read.
const FORM: u32 = 1;

/// An open incident with the state that its component was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredIncident {
    form: u32,
    /// Its component.
    pub component: ComponentId,
    incident: IncidentId,
    since: Timestamp,
    severity: Severity,
    reason: Reason,
    state: HealthState,
    state_since: Timestamp,
    #[serde(default)]
    is_flapping: bool,
    #[serde(default)]
    well_since: Option<Timestamp>,
    /// When its component changed of late, from well to sick or back.
    #[serde(default)]
    changes: Vec<Timestamp>,
    #[serde(default)]
    seen: Vec<Sighting>,
}

impl StoredIncident {
    fn new(component: ComponentId, open: &OpenIncident, known: &ComponentMemory) -> Self {
        let OpenIncident { id, since, severity, reason, is_flapping, well_since } = open.clone();
        Self {
            form: FORM,
            component,
            incident: id,
            since,
            severity,
            reason,
            state: known.tracker.state(),
            state_since: known.tracker.since(),
            is_flapping,
            well_since,
            changes: known.changes.iter().collect(),
            seen: known.seen.to_vec(),
        }
    }

    /// The incident that an open alert is about; what else is known of it was lost.
    pub fn of(alert: &Alert) -> Self {
        let state = match alert.severity {
            Severity::Critical => HealthState::Unhealthy,
            Severity::Warning => HealthState::Degraded,
        };
        Self {
            form: FORM,
            component: alert.component.clone(),
            incident: alert.incident.clone(),
            since: alert.started_at,
            severity: alert.severity,
            reason: alert.reason.clone(),
            state,
            state_since: alert.started_at,
            is_flapping: alert.is_flapping,
            well_since: None,
            changes: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// All that can be read, and the keys of what makes no sense.
    pub fn all(stored: &StoredState) -> (Vec<Self>, Vec<String>) {
        let (mut all, mut unreadable) = (Vec::new(), Vec::new());
        for (key, text) in of_kind(stored, KIND) {
            match serde_json::from_str::<Self>(text) {
                Ok(one) if one.form == FORM && one.key() == *key => all.push(one),
                Ok(_) | Err(_) => unreadable.push(key.clone()),
            }
        }
        (all, unreadable)
    }

    /// Its name.
    pub fn incident(&self) -> &IncidentId {
        &self.incident
    }

    fn key(&self) -> String {
        component_key(KIND, &self.component)
    }

    fn open(&self) -> OpenIncident {
        OpenIncident {
            id: self.incident.clone(),
            since: self.since,
            severity: self.severity,
            reason: self.reason.clone(),
            is_flapping: self.is_flapping,
            well_since: self.well_since,
        }
    }
}

impl ClusterMemory {
    /// What has changed since the last call.
    pub fn take_changes(&mut self, cluster: &Arc<str>) -> StateChanges {
        let touched = std::mem::take(&mut self.touched);
        let change = |component: &Arc<str>| {
            let id = ComponentId::new(Arc::clone(cluster), Arc::clone(component));
            (component_key(KIND, &id), self.stored(id).and_then(|one| text_of(&one)))
        };
        touched.iter().map(change).collect()
    }

    /// Everything that is kept.
    pub fn export(&self, cluster: &Arc<str>) -> StoredState {
        let known = self.components.keys().chain(self.orphans.keys());
        let stored = known.filter_map(|name| {
            self.stored(ComponentId::new(Arc::clone(cluster), Arc::clone(name)))
        });
        stored.filter_map(|one| Some((one.key(), text_of(&one)?))).collect()
    }

    fn stored(&self, id: ComponentId) -> Option<StoredIncident> {
        let name = &id.component;
        if let Some(orphan) = self.orphans.get(name) {
            return Some(orphan.clone());
        }
        let known = self.components.get(name)?;
        known.incident.as_ref().map(|open| StoredIncident::new(id.clone(), open, known))
    }

    /// Goes on with an incident that this falconer, or the leader before it, had told of. One of a
    /// component that is not watched waits until it is, or until it is known to be gone.
    pub fn adopt(&mut self, stored: StoredIncident, now: Timestamp) {
        let name = Arc::clone(&stored.component.component);
        self.touched.insert(Arc::clone(&name));
        let Some(known) = self.components.get_mut(&name) else {
            self.orphans.insert(name, stored);
            return;
        };
        let was_sick = known.is_unhealthy_or_failing();
        known.adopt(&stored, now);
        self.totals.moved(known, was_sick);
    }

    /// Whether there is something to save.
    pub fn has_changes(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Whether there are incidents of components that are not watched.
    pub fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// The incidents of components that are not watched, now that it is known what is there.
    pub fn take_orphans(&mut self) -> Vec<IncidentId> {
        let orphans = std::mem::take(&mut self.orphans);
        self.touched.extend(orphans.keys().cloned());
        orphans.into_values().map(|orphan| orphan.incident).collect()
    }
}

impl ComponentMemory {
    /// Goes on with an incident. What is known of the component's state from before counts until it
    /// has been probed as often as it takes to be believed.
    pub(super) fn adopt(&mut self, stored: &StoredIncident, now: Timestamp) {
        let is_known = match self.tracker.state() {
            HealthState::Unknown => false,
            HealthState::Healthy => self.tracker.is_confirmed(*self.settings),
            HealthState::Degraded | HealthState::Unhealthy => true,
        };
        if !is_known {
            let since = stored.state_since.min(now);
            self.tracker = HealthTracker::resumed(stored.state, since, stored.reason.clone(), now);
            self.show_health();
        }
        self.changes = Changes::known(stored.changes.iter().map(|at| *at.min(&now)));
        self.seen = Sightings::known(stored.seen.clone());
        self.incident = Some(Box::new(stored.open()));
    }
}

fn text_of(stored: &StoredIncident) -> Option<String> {
    // Plain data with text for keys: there is nothing in it that JSON cannot say.
    serde_json::to_string(stored).ok()
}

#[cfg(test)]
mod tests;
