//! What nobody was told although somebody should have been: the last words of a falconer that ends.

use std::sync::Arc;

use super::book::AlertBook;
use super::delivery::{NotificationDecision, Pace, SendReason, WaitReason, decide};
use super::hold::HoldKind;
use super::route::NotificationSettings;
use crate::model::{AlertStatus, IncidentId, Timestamp};

/// A message that was due and was not accepted when the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The incident.
    pub incident: IncidentId,
    /// Who was to be told.
    pub receiver: Arc<str>,
    /// Whether the incident goes on or is over.
    pub status: AlertStatus,
    /// Why the newest attempt failed, if there was one.
    pub error: Option<String>,
}

impl AlertBook {
    /// What somebody should still be told and was not: for the last words of a process that ends.
    pub fn undelivered(&self, settings: &NotificationSettings, now: Timestamp) -> Vec<Undelivered> {
        let mut found = Vec::new();
        for open in self.alerts.values() {
            for (receiver, delivery) in &open.deliveries {
                let severity = open.alert.severity;
                let (pace, end) = (Pace::Draining, open.resolution);
                let hold = open.held.get(receiver).map(|hold| hold.kind);
                if hold.is_some_and(HoldKind::outlasts_the_end) && end.is_none() {
                    continue;
                }
                let is_due = match decide(delivery, severity, end, settings, pace, now) {
                    NotificationDecision::Send { reason, .. } => reason != SendReason::Repeat,
                    NotificationDecision::Wait { reason, .. } => {
                        reason != WaitReason::RepeatInterval
                    }
                    NotificationDecision::Close { .. } => false,
                };
                if is_due {
                    let over = end.is_some();
                    found.push(Undelivered {
                        incident: open.alert.incident.clone(),
                        receiver: Arc::clone(receiver),
                        status: if over { AlertStatus::Resolved } else { AlertStatus::Firing },
                        error: delivery.error().map(str::to_owned),
                    });
                }
            }
        }
        found
    }
}
