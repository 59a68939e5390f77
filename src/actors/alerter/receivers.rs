//! What the alerter tells of itself: a receiver that is dead, messages that are lost, and the alert that
//! always fires. What that is, and who hears of it, is the policy's business.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{Alerter, ResolveAlert};
use crate::effects::NotifyError;
use crate::metrics::MessageLoss;
use crate::model::journal::{DeliveryOutcome, DeliveryRecord};
use crate::model::{
    AlertMessage, AlertStatus, ComponentId, IncidentId, JournalEntry, JournalRecord, Notification,
    Receipt,
};
use crate::policy::notification::own::{is_of_the_alerter, is_watchdog};
use crate::policy::notification::{
    CloseReason, Finished, Loss, LossReason, OpenAlert, ReceiverNews,
};

/// How often it is looked how the receivers fare.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Alerter {
    /// Looks how the receivers fare, for as long as this incarnation lives.
    pub(super) fn watch_receivers(ctx: &mut Context<Self>) {
        ctx.run_later(LOOK_EVERY, |alerter, ctx| {
            Self::watch_receivers(ctx);
            alerter.look_at_receivers(ctx);
        });
    }

    fn look_at_receivers(&mut self, ctx: &mut Context<Self>) {
        self.measure_receivers();
        if !self.speaks() {
            return;
        }
        let is_news = self.tell_of_receivers() | self.keep_watchdog_firing();
        if is_news {
            self.keep();
            self.advance(ctx);
        }
    }

    fn measure_receivers(&self) {
        let (book, now) = (self.book(), self.clock.now());
        for name in self.receivers.keys() {
            let waiting = book.backlog(name, now).alerts as u64;
            let is_dead = self.watch.dead_since(name, &book, &self.settings, now).is_some();
            self.metrics.receiver_is(name, waiting, is_dead);
        }
    }

    /// Whether somebody may have to be told.
    fn tell_of_receivers(&mut self) -> bool {
        let now = self.clock.now();
        let news = {
            let book = self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.watch.look(&book, &self.settings, now)
        };
        let mut is_decision_due = false;
        for one in news {
            is_decision_due |= match one {
                ReceiverNews::Raise(alert) => {
                    tracing::error!(incident = %alert.incident, title = alert.title, reason = %alert.reason, "receiver is in trouble");
                    self.raise(*alert)
                }
                ReceiverNews::Resolve { incident, ended_at, action } => {
                    self.update(&incident, action, false);
                    self.resolve(&ResolveAlert { incident, ended_at })
                }
            };
        }
        is_decision_due
    }

    /// Begins or ends the alert that always fires, as the settings want it.
    fn keep_watchdog_firing(&mut self) -> bool {
        let now = self.clock.now();
        let is_it =
            |open: &&OpenAlert| open.resolution.is_none() && is_watchdog(&open.alert.component);
        let open = self.book().alerts().find(is_it).map(|open| open.alert.incident.clone());
        match (self.settings.own.always_firing, open) {
            (true, None) => self.raise(self.settings.watchdog(now)),
            (false, Some(incident)) => self.resolve(&ResolveAlert { incident, ended_at: now }),
            (true, Some(_)) | (false, None) => false,
        }
    }

    /// An attempt has ended; to be called before the book hears of it.
    pub(super) fn note_attempt(
        &mut self,
        receiver: &Arc<str>,
        result: &Result<Receipt, NotifyError>,
    ) {
        let error = result.as_ref().err().map(ToString::to_string);
        let book = self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.watch.attempted(receiver, error.as_deref(), &book, self.clock.now());
    }

    /// A message was made, and is about to be sent; told of its first attempt alone.
    pub(super) fn note_made(&self, receiver: &Arc<str>, notification: &Notification) {
        let attempt = self.book().attempt(receiver, notification);
        let alerts = notification.alerts().filter(|_| attempt == 1);
        for AlertMessage { incident, component, status, .. } in alerts {
            let record = DeliveryRecord {
                receiver: receiver.to_string(),
                status: *status,
                message: notification.id.to_string(),
                attempt,
                outcome: DeliveryOutcome::Made,
                error: None,
            };
            self.note_outcome(incident, component, record);
        }
    }

    /// What was given up is not lost silently.
    pub(super) fn note_given_up(&mut self, finished: &Finished) {
        for (receiver, outcome) in &finished.outcomes {
            if *outcome == CloseReason::GaveUp {
                self.lose(receiver, &finished.incident, LossReason::GaveUp);
            }
        }
    }

    /// A message will not be tried again although it was not accepted.
    pub(super) fn lose(&mut self, receiver: &Arc<str>, incident: &IncidentId, reason: LossReason) {
        let Some(component) = component_of(incident) else { return };
        let (label, outcome) = match reason {
            LossReason::GaveUp => (MessageLoss::GivenUp, DeliveryOutcome::GivenUp),
            LossReason::Removed => (MessageLoss::Removed, DeliveryOutcome::Dropped),
        };
        tracing::error!(%incident, %receiver, reason = label.as_str(), "message lost");
        self.metrics.message_lost(receiver, label);
        let record = DeliveryRecord {
            receiver: receiver.to_string(),
            status: AlertStatus::Resolved,
            message: String::new(),
            attempt: 0,
            outcome,
            error: None,
        };
        self.note_outcome(incident, &component, record);
        // Of an alert about a receiver nobody needs an alert about a receiver.
        if !is_of_the_alerter(&component) {
            let (receiver, incident) = (Arc::clone(receiver), incident.clone());
            self.watch.lost(Loss { receiver, incident, reason, at: self.clock.now() });
        }
    }

    fn note_outcome(&self, incident: &IncidentId, component: &ComponentId, record: DeliveryRecord) {
        let record = JournalRecord::Delivery(Box::new(record));
        self.journal.record(JournalEntry::of(self.clock.now(), component, record).within(incident));
    }
}

/// The component of an incident of which nothing else is known any more.
fn component_of(incident: &IncidentId) -> Option<ComponentId> {
    let (component, _) = incident.as_str().rsplit_once('@')?;
    let (cluster, component) = component.split_once('/')?;
    Some(ComponentId::new(cluster, component))
}
