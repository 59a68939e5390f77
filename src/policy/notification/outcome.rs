//! What became of a message: accepted, failed, or not sent after all. Notes it; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert::ReceiverState;
use super::book::{AlertBook, SendFailure};
use super::delivery::{CloseReason, Delivery};
use super::route::NotificationSettings;
use crate::model::{AlertStatus, IncidentId, Notification, Receipt, Timestamp};
use crate::policy::circuit::CircuitChange;

/// What an accepted message told of one group.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    trouble: bool,
    news: bool,
    since: Timestamp,
}

impl AlertBook {
    /// Which attempt of the message is under way, counted from 1.
    pub fn attempt(&self, receiver: &str, message: &Notification) -> u32 {
        let members = self.in_flight(receiver, message.sent_at);
        let failures = members.iter().filter_map(|incident| {
            Some(self.alerts.get(incident)?.deliveries.get(receiver)?.progress().1)
        });
        failures.max().unwrap_or(0).saturating_add(1)
    }

    /// An attempt has ended. `random` is uniform in 0..1. Nothing happens where no attempt of this
    /// message was in flight. Gives what this did to the receiver's circuit.
    pub fn finish(
        &mut self,
        receiver: &str,
        message: &Notification,
        result: Result<Receipt, SendFailure>,
        settings: &NotificationSettings,
        random: f64,
        now: Timestamp,
    ) -> CircuitChange {
        let members = self.in_flight(receiver, message.sent_at);
        if members.is_empty() {
            return CircuitChange::Stayed;
        }
        match result {
            Ok(receipt) => {
                let state = self.receivers.entry(Arc::from(receiver)).or_default();
                let change = state.circuit.answered();
                state.reached(now);
                self.accepted(receiver, &members, &receipt, now);
                change
            }
            Err(failure) => self.failed(receiver, &members, failure, settings, random, now),
        }
    }

    /// The alerts of the message that is in flight to the receiver.
    fn in_flight(&self, receiver: &str, made_at: Timestamp) -> Vec<IncidentId> {
        let is_member = |delivery: &Delivery| match delivery {
            Delivery::Sending { draft, .. } => draft.made_at == made_at,
            Delivery::Waiting { .. } | Delivery::Delivered { .. } | Delivery::Retrying { .. } => {
                false
            }
        };
        let members = self.open_at(receiver);
        let members =
            members.filter(|(_, open)| open.deliveries.get(receiver).is_some_and(is_member));
        members.map(|(incident, _)| incident.clone()).collect()
    }

    fn accepted(
        &mut self,
        receiver: &str,
        members: &[IncidentId],
        receipt: &Receipt,
        now: Timestamp,
    ) {
        let mut said: BTreeMap<Arc<str>, Said> = BTreeMap::new();
        let mut is_digest = false;
        for incident in members {
            let Some(open) = self.alerts.get_mut(incident) else { continue };
            let Some(delivery) = open.deliveries.get_mut(receiver) else { continue };
            let Delivery::Sending { draft, told, since, .. } = *delivery else { continue };
            if let Some(key) = open.groups.get(receiver) {
                let said = said.entry(Arc::clone(key)).or_default();
                said.trouble |= draft.is_trouble(told);
                said.news |= draft.is_news(told);
                said.since = since;
            }
            is_digest |= draft.is_digest;
            match draft.status {
                AlertStatus::Firing => *delivery = Delivery::Delivered { told: draft.told(now) },
                AlertStatus::Resolved => {
                    open.close(receiver, CloseReason::ResolvedDelivered);
                    self.listeners.remove(receiver, incident);
                }
            }
            self.touched.incident(incident);
        }
        for (key, said) in said {
            let keys = BTreeSet::from([Arc::clone(&key)]);
            let is_over = self.told_firing(receiver, &keys, &BTreeMap::new()) == 0;
            let group = self.groups.get_mut(receiver).and_then(|groups| groups.get_mut(&key));
            let Some(group) = group else { continue };
            group.told_at = Some(group.flush_of(said.since));
            group.reminders = match said {
                Said { trouble: true, .. } => 0,
                Said { news: true, .. } => group.reminders,
                Said { .. } => group.reminders.saturating_add(1),
            };
            if let (Some(reference), false) = (&receipt.reference, is_digest) {
                group.reference = Some(Arc::clone(reference));
            }
            if is_over {
                group.end_thread();
            }
            self.touched.groups.insert((Arc::from(receiver), key));
        }
    }

    fn failed(
        &mut self,
        receiver: &str,
        members: &[IncidentId],
        failure: SendFailure,
        settings: &NotificationSettings,
        random: f64,
        now: Timestamp,
    ) -> CircuitChange {
        let SendFailure { outage, error, retry_after } = failure;
        let state = self.receivers.entry(Arc::from(receiver)).or_default();
        state.last_error = Some(error.clone());
        let sending = members.iter().filter_map(|incident| {
            match self.alerts.get(incident)?.deliveries.get(receiver)? {
                Delivery::Sending { failures, is_last, .. } => Some((*failures, *is_last)),
                Delivery::Waiting { .. }
                | Delivery::Delivered { .. }
                | Delivery::Retrying { .. } => None,
            }
        });
        let (failures, is_last) = sending.max().unwrap_or_default();
        let (retry_at, change) = if outage {
            state.failed_at = Some(now);
            state.failed_last = is_last;
            let change = state.circuit.unanswered(&settings.circuit(), random, now);
            if let Some(asked) = retry_after {
                state.circuit.rest_until(now + asked.min(settings.backoff.max));
            }
            (state.circuit.open_until().unwrap_or(now), change)
        } else {
            // Who refuses a message is in reach of others.
            let pause = settings.refused_backoff.delay(failures, random);
            (now + pause, state.circuit.answered())
        };
        for incident in members {
            self.retry_later(incident, receiver, &error, (now, retry_at), failures + 1);
        }
        change
    }

    fn retry_later(
        &mut self,
        incident: &IncidentId,
        receiver: &str,
        error: &str,
        (failed_at, retry_at): (Timestamp, Timestamp),
        failures: u32,
    ) {
        let open = self.alerts.get_mut(incident);
        let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
            return;
        };
        let Delivery::Sending { draft, told, is_last, .. } = *delivery else { return };
        let error = error.to_owned();
        *delivery =
            Delivery::Retrying { draft, failures, failed_at, retry_at, error, told, is_last };
        self.touched.incident(incident);
    }

    /// A message that was marked as being sent is not sent now after all.
    pub fn put_back(
        &mut self,
        receiver: &str,
        message: &Notification,
        why: &str,
        retry_at: Timestamp,
    ) {
        for incident in self.in_flight(receiver, message.sent_at) {
            let open = self.alerts.get_mut(&incident);
            let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
                continue;
            };
            *delivery = cut_off(delivery.clone(), why, retry_at);
            self.touched.incident(&incident);
        }
    }
}

impl ReceiverState {
    fn reached(&mut self, now: Timestamp) {
        (self.failed_at, self.failed_last, self.last_error) = (None, false, None);
        self.delivered_at = Some(now);
    }
}

/// A message that was being sent is tried again at `retry_at`, as the same one.
pub(super) fn cut_off(delivery: Delivery, why: &str, retry_at: Timestamp) -> Delivery {
    match delivery {
        Delivery::Sending { draft, failures, since, told, .. } => Delivery::Retrying {
            draft,
            failures,
            failed_at: since,
            retry_at,
            error: why.to_owned(),
            told,
            is_last: false,
        },
        Delivery::Waiting { .. } | Delivery::Delivered { .. } | Delivery::Retrying { .. } => {
            delivery
        }
    }
}
