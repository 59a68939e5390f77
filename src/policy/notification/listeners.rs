//! Which alerts each receiver still has to hear of, or may have to. With a hundred receivers, of which
//! one is out of reach, there are many alerts that ninety-nine have heard the end of: a decision about
//! those looks at none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert::OpenAlert;
use super::book::AlertBook;
use crate::model::IncidentId;

/// The incidents with a delivery, by the receiver's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listeners(BTreeMap<Arc<str>, BTreeSet<IncidentId>>);

impl Listeners {
    /// Those of all open alerts.
    pub(super) fn of(alerts: &BTreeMap<IncidentId, OpenAlert>) -> Self {
        let mut listeners = Self::default();
        for (incident, open) in alerts {
            for receiver in open.deliveries.keys() {
                listeners.add(receiver, incident);
            }
        }
        listeners
    }

    pub(super) fn add(&mut self, receiver: &Arc<str>, incident: &IncidentId) {
        self.0.entry(Arc::clone(receiver)).or_default().insert(incident.clone());
    }

    pub(super) fn remove(&mut self, receiver: &str, incident: &IncidentId) {
        if let Some(incidents) = self.0.get_mut(receiver) {
            incidents.remove(incident);
            if incidents.is_empty() {
                self.0.remove(receiver);
            }
        }
    }

    fn incidents(&self, receiver: &str) -> impl Iterator<Item = &IncidentId> {
        self.0.get(receiver).into_iter().flatten()
    }
}

impl AlertBook {
    /// The alerts with a delivery at the receiver, in the order of their incidents.
    pub(super) fn open_at(
        &self,
        receiver: &str,
    ) -> impl Iterator<Item = (&IncidentId, &OpenAlert)> {
        let incidents = self.listeners.incidents(receiver);
        incidents.filter_map(|incident| self.alerts.get_key_value(incident))
    }
}
