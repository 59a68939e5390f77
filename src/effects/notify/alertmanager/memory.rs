//! As which severity each incident was told to Alertmanager last. The severity is one of the labels
//! by which Alertmanager knows an alert: one that gets worse is another alert to it, and the former
//! one would go on. Kept in this process only: after a restart the former one lapses by itself.

use std::collections::BTreeMap;

use crate::model::{AlertMessage, AlertStatus, IncidentId, Notification, Severity};

/// How many incidents are remembered; beyond that the former alert of one that gets worse lapses.
const MAX_INCIDENTS: usize = 10_000;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Memory {
    told: BTreeMap<IncidentId, Severity>,
}

impl Memory {
    /// The severity as which `alert` stands in Alertmanager, where that is another one by now.
    pub(super) fn outgrown(&self, alert: &AlertMessage) -> Option<Severity> {
        self.told.get(&alert.incident).copied().filter(|severity| *severity != alert.severity)
    }

    /// Alertmanager has accepted this message.
    pub(super) fn told(&mut self, notification: &Notification) {
        for alert in notification.alerts() {
            match alert.status {
                AlertStatus::Resolved => {
                    self.told.remove(&alert.incident);
                }
                AlertStatus::Firing => {
                    let is_known = self.told.contains_key(&alert.incident);
                    if is_known || self.told.len() < MAX_INCIDENTS {
                        self.told.insert(alert.incident.clone(), alert.severity);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;

    #[test]
    fn an_incident_that_got_worse_leaves_its_former_severity_behind_once() {
        let mut memory = Memory::default();
        let mut message = notification(AlertStatus::Firing);
        message.lead.severity = Severity::Warning;
        assert_eq!(memory.outgrown(&message.lead), None);
        memory.told(&message);
        assert_eq!(memory.outgrown(&message.lead), None);
        message.lead.severity = Severity::Critical;
        assert_eq!(memory.outgrown(&message.lead), Some(Severity::Warning));
        memory.told(&message);
        assert_eq!(memory.outgrown(&message.lead), None);
        memory.told(&notification(AlertStatus::Resolved));
        assert!(memory.told.is_empty());
    }
}
