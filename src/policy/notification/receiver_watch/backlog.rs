//! What waits for one receiver. Counts; decides nothing.

use crate::model::{Severity, Timestamp};
use crate::policy::notification::book::AlertBook;
use crate::policy::notification::delivery::Delivery;

/// What waits for one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Alerts of which a message is on its way or was not accepted.
    pub alerts: usize,
    /// Since when the oldest of them is tried.
    pub tried_since: Option<Timestamp>,
    /// The worst of them.
    pub worst: Option<Severity>,
    /// When it accepted something about an alert that is still open.
    pub accepted_at: Option<Timestamp>,
}

impl Backlog {
    /// Since when nothing was accepted although it was tried, as far as the open alerts tell.
    pub(super) fn failing_since(&self) -> Option<Timestamp> {
        let tried_since = self.tried_since?;
        Some(self.accepted_at.map_or(tried_since, |at| at.max(tried_since)))
    }
}

impl AlertBook {
    /// What waits for `receiver`: what was tried and not accepted, and what should have been tried.
    pub fn backlog(&self, receiver: &str, now: Timestamp) -> Backlog {
        let mut backlog = Backlog::default();
        for (_, open) in self.open_at(receiver) {
            let Some(delivery) = open.deliveries.get(receiver) else { continue };
            let told_at = delivery.progress().2.map(|told| told.at);
            backlog.accepted_at = backlog.accepted_at.max(told_at);
            let (is_waiting, tried_since) = match delivery {
                Delivery::Sending { draft, .. } | Delivery::Retrying { draft, .. } => {
                    (true, Some(draft.made_at))
                }
                Delivery::Waiting { due } => (*due < now && !open.is_held(receiver), None),
                Delivery::Delivered { .. } => (false, None),
            };
            if is_waiting {
                backlog.alerts += 1;
                backlog.worst = backlog.worst.max(Some(open.alert.severity));
                let oldest = backlog.tried_since.into_iter().chain(tried_since).min();
                backlog.tried_since = oldest;
            }
        }
        backlog
    }
}
