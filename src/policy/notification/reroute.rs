//! What other settings mean for the alerts that are open: who is told of them from now on, and what
//! nobody is waiting for any more. Decides; sends and logs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alert::ReceiverState;
use super::book::AlertBook;
use super::delivery::Delivery;
use super::listeners::Listeners;
use super::route::NotificationSettings;
use crate::model::{IncidentId, Timestamp};

/// A message that was never accepted and will not be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The incident.
    pub incident: IncidentId,
    /// The receiver that is gone, or is told of such alerts no longer.
    pub receiver: Arc<str>,
}

/// What other settings did to the book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rerouted {
    /// What nobody will be told.
    pub dropped: Vec<Dropped>,
    /// How many receivers that were out of reach are so no longer, as far as is known.
    pub circuits_closed: usize,
}

impl AlertBook {
    /// Makes the open alerts follow other settings.
    ///
    /// A receiver that is gone is forgotten with what it was still to be told, which is handed
    /// back. One that the routes name now learns of the alerts that still fire. One that they name
    /// no longer is told the end of what it knows of, and nothing new. One of `changed`, which has
    /// the same name and works otherwise, is tried at once: its back-off was about the old one.
    /// Who was told already is not told again.
    pub fn reroute(
        &mut self,
        settings: &NotificationSettings,
        changed: &[Arc<str>],
        now: Timestamp,
    ) -> Rerouted {
        let is_there = |receiver: &Arc<str>| settings.receivers.contains(receiver);
        let mut rerouted = Rerouted::default();
        let Rerouted { dropped, circuits_closed } = &mut rerouted;
        self.receivers.retain(|receiver, state| {
            let keep = is_there(receiver);
            let is_other = changed.contains(receiver);
            *circuits_closed += usize::from((is_other || !keep) && !state.circuit.is_closed());
            if is_other {
                let delivered_at = state.delivered_at;
                *state = ReceiverState { delivered_at, ..ReceiverState::default() };
            }
            keep
        });
        self.groups.retain(|receiver, _| is_there(receiver));
        for group in self.groups.values_mut().flat_map(BTreeMap::values_mut) {
            group.timing = None;
        }
        let incidents: Vec<IncidentId> = self.alerts.keys().cloned().collect();
        for incident in incidents {
            let Some(open) = self.alerts.get_mut(&incident) else { continue };
            let wanted = settings.places(&open.alert.component, open.alert.severity);
            open.deliveries.retain(|receiver, delivery| {
                let keep = is_there(receiver)
                    && (wanted.contains_key(receiver)
                        || !matches!(delivery, Delivery::Waiting { .. }));
                if !keep && is_owed(delivery) {
                    let (incident, receiver) = (incident.clone(), Arc::clone(receiver));
                    dropped.push(Dropped { incident, receiver });
                }
                keep
            });
            open.closed.retain(|receiver, _| is_there(receiver));
            open.groups.retain(|receiver, _| open.deliveries.contains_key(receiver));
            open.held.retain(|receiver, _| open.deliveries.contains_key(receiver));
            for receiver in changed {
                if let Some(Delivery::Retrying { retry_at, .. }) = open.deliveries.get_mut(receiver)
                {
                    *retry_at = now.min(*retry_at);
                }
            }
            let is_over = open.resolution.is_some();
            self.touched.incident(&incident);
            for (receiver, place) in wanted.iter().filter(|_| !is_over) {
                self.enlist(&incident, receiver, place, now);
            }
        }
        self.listeners = Listeners::of(&self.alerts);
        self.join_all(settings, now);
        rerouted
    }
}

/// Whether there is a message that was not accepted yet.
fn is_owed(delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Waiting { .. } | Delivery::Sending { .. } | Delivery::Retrying { .. } => true,
        Delivery::Delivered { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ComponentId, Reason, ReasonKind, Receipt, Severity};
    use crate::policy::notification::{
        Alert, NextStep, NoHolds, Pace, Route, SendFailure, SendReason,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn settings(receivers: &[&str], routes: &[&str]) -> NotificationSettings {
        let to: Vec<String> = routes.iter().map(ToString::to_string).collect();
        NotificationSettings {
            receivers: receivers.iter().map(|name| Arc::from(*name)).collect(),
            routes: if to.is_empty() { Vec::new() } else { vec![Route { to, ..Route::default() }] },
            ..NotificationSettings::default()
        }
    }

    fn book(settings: &NotificationSettings) -> AlertBook {
        let component = ComponentId::new("milvus-ha", "proxy");
        let mut book = AlertBook::default();
        let alert = Alert {
            incident: IncidentId::new(&component, at(0)),
            component,
            severity: Severity::Critical,
            title: "milvus-ha/proxy is unhealthy".into(),
            reason: Reason::new(ReasonKind::Timeout, "timeout after 5s"),
            details: Vec::new(),
            action: String::new(),
            causes: Vec::new(),
            suspicion: None,
            settle_secs: 0,
            affects: Vec::new(),
            seen: Vec::new(),
            look_closer: Vec::new(),
            is_flapping: false,
            started_at: at(0),
        };
        book.raise(alert, settings, at(0));
        book
    }

    /// Sends what is due to `receiver`, with this result.
    fn send(
        book: &mut AlertBook,
        receiver: &str,
        settings: &NotificationSettings,
        result: Result<Receipt, SendFailure>,
        now: Timestamp,
    ) -> Option<SendReason> {
        let step = book.next(receiver, settings, Pace::Normal, now);
        let NextStep::Send { notification, reason } = step else { return None };
        book.finish(receiver, &notification, result, settings, 0.5, now);
        Some(reason)
    }

    const ACCEPTS: Result<Receipt, SendFailure> =
        Ok(Receipt { reference: None, flaw: None, said: None });

    fn unreachable() -> Result<Receipt, SendFailure> {
        Err(SendFailure { outage: true, error: "connection refused".into(), retry_after: None })
    }

    #[test]
    fn who_was_told_is_not_told_again_and_who_is_new_is_told_once() {
        let before = settings(&["email"], &[]);
        let mut book = book(&before);
        assert_eq!(send(&mut book, "email", &before, ACCEPTS, at(5)), Some(SendReason::First));
        let after = settings(&["email", "slack"], &[]);
        assert_eq!(book.reroute(&after, &[], at(10)), Rerouted::default());
        assert_eq!(send(&mut book, "email", &after, ACCEPTS, at(10)), None);
        assert_eq!(send(&mut book, "slack", &after, ACCEPTS, at(10)), Some(SendReason::First));
        assert_eq!(book.reroute(&after, &[], at(11)), Rerouted::default());
        assert_eq!(send(&mut book, "slack", &after, ACCEPTS, at(11)), None);
    }

    #[test]
    fn what_a_receiver_that_is_gone_was_owed_is_handed_back_and_holds_nothing_up() {
        let before = settings(&["email", "slack"], &[]);
        let mut book = book(&before);
        assert!(send(&mut book, "email", &before, ACCEPTS, at(5)).is_some());
        assert!(send(&mut book, "slack", &before, unreachable(), at(5)).is_some());
        let after = settings(&["email"], &[]);
        let Rerouted { dropped, circuits_closed } = book.reroute(&after, &[], at(6));
        assert_eq!(dropped.iter().map(|one| &*one.receiver).collect::<Vec<_>>(), ["slack"]);
        assert_eq!(circuits_closed, 1, "nobody knows whether it is out of reach any more");
        let incident = dropped[0].incident.clone();
        assert!(book.resolve(&incident, at(7), at(7)));
        assert_eq!(send(&mut book, "email", &after, ACCEPTS, at(65)), Some(SendReason::Resolved));
        assert_eq!(book.settle(&after, &NoHolds, Pace::Normal, at(66)).len(), 1);
        assert_eq!(book.alerts().count(), 0);
    }

    #[test]
    fn who_is_routed_to_no_longer_is_told_the_end_of_what_it_knows_of_only() {
        let before = settings(&["email", "slack"], &[]);
        let mut book = book(&before);
        assert!(send(&mut book, "email", &before, ACCEPTS, at(5)).is_some());
        let after = settings(&["email", "log", "slack"], &["log"]);
        let dropped = book.reroute(&after, &[], at(6)).dropped;
        assert_eq!(dropped.iter().map(|one| &*one.receiver).collect::<Vec<_>>(), ["slack"]);
        assert_eq!(send(&mut book, "log", &after, ACCEPTS, at(6)), Some(SendReason::First));
        let incident = dropped[0].incident.clone();
        assert!(book.resolve(&incident, at(7), at(7)));
        assert_eq!(send(&mut book, "email", &after, ACCEPTS, at(65)), Some(SendReason::Resolved));
        assert_eq!(send(&mut book, "slack", &after, ACCEPTS, at(7)), None);
    }

    #[test]
    fn a_receiver_that_works_otherwise_now_is_tried_at_once() {
        let settings = settings(&["email"], &[]);
        let mut book = book(&settings);
        assert!(send(&mut book, "email", &settings, unreachable(), at(5)).is_some());
        assert_eq!(send(&mut book, "email", &settings, ACCEPTS, at(5)), None);
        let email: Arc<str> = "email".into();
        assert_eq!(book.reroute(&settings, &[email], at(5)).circuits_closed, 1);
        assert_eq!(send(&mut book, "email", &settings, ACCEPTS, at(5)), Some(SendReason::Retry));
    }
}
