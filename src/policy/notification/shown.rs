//! An open alert as falconer shows it to people who ask.

use super::alert::OpenAlert;
use super::hold::HoldKind;
use crate::model::{AlertShown, AlertStatus};

impl OpenAlert {
    /// What there is to see of it.
    pub fn shown(&self) -> AlertShown {
        let told = self.deliveries.iter().filter(|(_, delivery)| delivery.progress().2.is_some());
        let held = self.held.values().find(|hold| match hold.kind {
            HoldKind::Inhibited
            | HoldKind::Suspected
            | HoldKind::Settling
            | HoldKind::Silenced
            | HoldKind::Muted => true,
            // That it is looked after is shown by itself.
            HoldKind::Acknowledged => false,
        });
        let held = held.map(|hold| match hold.until {
            Some(until) => format!("{} until {until}", hold.why),
            None => hold.why.to_string(),
        });
        let is_over = self.resolution.is_some();
        AlertShown {
            incident: self.alert.incident.clone(),
            cluster: self.alert.component.cluster.clone(),
            component: self.alert.component.component.clone(),
            severity: self.alert.severity,
            status: if is_over { AlertStatus::Resolved } else { AlertStatus::Firing },
            title: self.alert.title.clone(),
            reason: self.alert.reason.to_string(),
            started_at: self.alert.started_at,
            told: told.map(|(receiver, _)| receiver.clone()).collect(),
            held,
            acknowledged: self.acknowledged.clone(),
        }
    }
}
