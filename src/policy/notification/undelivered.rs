//! What nobody was told although somebody should have been: the last words of a falconer that ends.

use std::sync::Arc;

use super::book::AlertBook;
use super::decision::Moment;
use super::delivery::{NotificationDecision, Pace, SendReason, WaitReason};
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
        let moment = Moment { settings, pace: Pace::Draining, now };
        let mut found = Vec::new();
        for open in self.alerts.values() {
            for (receiver, delivery) in &open.deliveries {
                let Some(case) = self.case(open, receiver, moment) else { continue };
                if is_owed(case.decide()) {
                    let over = open.resolution.is_some();
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

/// Whether a message that is due was not accepted; reminders are owed to nobody.
fn is_owed(decision: NotificationDecision) -> bool {
    match decision {
        NotificationDecision::Send { reason, .. } => match reason {
            SendReason::First
            | SendReason::Escalated
            | SendReason::Retry
            | SendReason::Abandoned
            | SendReason::Resolved
            | SendReason::WholeStory => true,
            SendReason::Repeat | SendReason::Changed | SendReason::Resent => false,
        },
        NotificationDecision::Wait { reason, .. } => match reason {
            WaitReason::GroupWait
            | WaitReason::GroupInterval
            | WaitReason::InFlight
            | WaitReason::Backoff => true,
            WaitReason::Held | WaitReason::Acknowledged | WaitReason::RepeatInterval => false,
        },
        NotificationDecision::Close { .. } => false,
    }
}
