//! What the alerter logs and writes down: every alert's beginning, changes and end, and every
//! attempt to tell a receiver.

use std::sync::Arc;

use super::{Alerter, ResolveAlert};
use crate::effects::NotifyError;
use crate::model::journal::{AlertChange, AlertRecord, DeliveryOutcome, DeliveryRecord};
use crate::model::{
    AlertMessage, ComponentId, IncidentId, JournalEntry, JournalRecord, Notification, Receipt,
    Severity,
};
use crate::policy::notification::{Alert, Finished, Raised, SendReason};

impl Alerter {
    pub(super) fn note_raised(&self, alert: &Alert, raised: Raised) {
        let change = match raised {
            Raised::New => AlertChange::Raised,
            Raised::Worse => AlertChange::Updated,
            Raised::OtherCauses | Raised::Known => return,
        };
        let Alert { incident, title, severity, .. } = alert;
        if raised == Raised::New {
            tracing::info!(%incident, title, severity = severity.as_str(), "alert raised");
        }
        let (severity, title) = (Some(*severity), title.as_str().into());
        let words = alert.reason.text.as_str().into();
        let record = AlertRecord { change, severity, title, words };
        self.write_down(&alert.component, incident, record);
    }

    /// What is done about an incident, where that is news.
    pub(super) fn update(&self, incident: &IncidentId, action: String, calls_person: bool) {
        let (id, severity) = {
            let mut book = self.book();
            let Some(known) = book.alert(incident) else { return };
            let is_news = known.action != action;
            let about = (known.component.clone(), known.severity);
            if !is_news {
                return;
            }
            book.update(incident, action.clone(), calls_person, self.clock.now());
            about
        };
        let (change, title) = (AlertChange::Updated, String::new().into());
        let record = AlertRecord { change, severity: Some(severity), title, words: action.into() };
        self.write_down(&id, incident, record);
    }

    pub(super) fn note_resolved(&self, message: &ResolveAlert) {
        let ResolveAlert { incident, ended_at } = message;
        tracing::info!(%incident, "alert resolved");
        let known = self.book().alert(incident).map(about);
        let Some((id, severity, title)) = known else { return };
        let words = format!("over since {ended_at}").into();
        let (change, title) = (AlertChange::Resolved, title.into());
        self.write_down(
            &id,
            incident,
            AlertRecord { change, severity: Some(severity), title, words },
        );
    }

    pub(super) fn write_down(&self, id: &ComponentId, incident: &IncidentId, record: AlertRecord) {
        let record = JournalRecord::Alert(Box::new(record));
        self.journal.record(JournalEntry::of(self.clock.now(), id, record).within(incident));
    }

    /// One attempt; to be called before the book hears of its end.
    pub(super) fn note_delivery(
        &self,
        receiver: &Arc<str>,
        notification: &Notification,
        reason: SendReason,
        result: &Result<Receipt, NotifyError>,
    ) {
        let (severity, status) = (notification.severity(), notification.status());
        self.metrics.alert_sent(receiver, severity, status, result.is_ok());
        if notification.is_digest {
            self.metrics.digest_sent(receiver, result.is_ok());
        }
        log_delivery(receiver, notification, reason, result);
        if let Ok(Receipt { flaw: Some(flaw), .. }) = result {
            self.metrics.delivery_flawed(receiver);
            let incident = &notification.lead.incident;
            tracing::warn!(%receiver, %incident, flaw = %flaw, "alert delivered with a flaw");
        }
        let attempt = self.book().attempt(receiver, notification);
        let error = result.as_ref().err().map(ToString::to_string);
        for AlertMessage { incident, component, status, .. } in notification.alerts() {
            let record = DeliveryRecord {
                receiver: receiver.to_string(),
                status: *status,
                message: notification.id.to_string(),
                attempt,
                outcome: match result {
                    Ok(_) => DeliveryOutcome::Delivered,
                    Err(_) => DeliveryOutcome::Failed,
                },
                error: error.as_deref().map(Into::into),
            };
            let record = JournalRecord::Delivery(Box::new(record));
            let entry = JournalEntry::of(self.clock.now(), component, record);
            self.journal.record(entry.within(incident));
        }
    }
}

fn log_delivery(
    receiver: &Arc<str>,
    notification: &Notification,
    reason: SendReason,
    result: &Result<Receipt, NotifyError>,
) {
    let incident = &notification.lead.incident;
    let (severity, status) = (notification.severity().as_str(), notification.status().as_str());
    let alerts = notification.others.len() + 1 + notification.left_out;
    match result {
        Ok(_) => {
            tracing::info!(%receiver, %incident, alerts, severity, status, ?reason, "alert delivered");
        }
        Err(error) => {
            tracing::warn!(%receiver, %incident, alerts, severity, status, %error, "alert not delivered");
        }
    }
}

fn about(alert: &Alert) -> (ComponentId, Severity, String) {
    (alert.component.clone(), alert.severity, alert.title.clone())
}

pub(super) fn log_finished(finished: &Finished) {
    let incident = &finished.incident;
    if finished.outcomes.is_empty() {
        tracing::info!(%incident, "alert closed without a receiver");
    }
    for (receiver, outcome) in &finished.outcomes {
        tracing::info!(%incident, %receiver, ?outcome, "alert closed");
    }
}
