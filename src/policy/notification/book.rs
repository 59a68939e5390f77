//! All open alerts at all receivers: what is open, what is next, what became of it. The one piece
//! of state that survives a respawn of the alerter. Sends nothing and reads no clock.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, OpenAlert, ReceiverState};
use super::decision::Moment;
use super::delivery::{CloseReason, Delivery, NotificationDecision, Pace, Resolution, SendReason};
use super::hold::{Hold, Holds};
use super::listeners::Listeners;
use super::membership::Groups;
use super::route::NotificationSettings;
use super::routing::Place;
use crate::model::{IncidentId, Notification, Timestamp};

/// Evidence lines that are kept of one incident.
const MAX_DETAILS: usize = 40;

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// True where the receiver is out of reach or overloaded, so that no other message would
    /// fare better; false where it refused this message.
    pub outage: bool,
    /// One line, no secrets.
    pub error: String,
    /// For how long the receiver wants to be left alone, where it says so; held against the longest
    /// back-off.
    pub retry_after: Option<Duration>,
}

/// What to do for one receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum NextStep {
    /// Send this; the book has marked it as in flight.
    Send {
        /// The message.
        notification: Box<Notification>,
        /// Why now.
        reason: SendReason,
    },
    /// Ask again at this instant.
    WaitUntil(Timestamp),
    /// Nothing is due, ever, unless something new is learnt.
    Idle,
}

/// An alert that nobody needs to be told about any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The incident.
    pub incident: IncidentId,
    /// How it ended at each receiver.
    pub outcomes: BTreeMap<Arc<str>, CloseReason>,
}

/// What it means that an incident was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It was not known.
    New,
    /// It is worse than it was: somebody may have to be told at once.
    Worse,
    /// It has other causes than it had: it may have to be told by itself now.
    OtherCauses,
    /// At most what the next message will say has changed.
    Known,
}

/// What has changed since it was last saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Touched {
    pub(super) incidents: BTreeSet<IncidentId>,
    /// Receivers and the names of groups.
    pub(super) groups: BTreeSet<(Arc<str>, Arc<str>)>,
}

/// The alerter's memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertBook {
    pub(super) alerts: BTreeMap<IncidentId, OpenAlert>,
    pub(super) receivers: BTreeMap<Arc<str>, ReceiverState>,
    pub(super) groups: Groups,
    /// Follows from the deliveries of the alerts.
    pub(super) listeners: Listeners,
    pub(super) touched: Touched,
}

impl AlertBook {
    /// The open alerts, in the order of their incidents.
    pub fn alerts(&self) -> impl Iterator<Item = &OpenAlert> {
        self.alerts.values()
    }

    /// How a receiver does.
    pub fn receiver(&self, name: &str) -> ReceiverState {
        self.receivers.get(name).cloned().unwrap_or_default()
    }

    /// An incident has begun or changed. What falconer does about a known one stays as it is, and so
    /// does its beginning. A raised severity adds the receivers that are told about it at once.
    pub fn raise(
        &mut self,
        mut alert: Alert,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Raised {
        alert.details.truncate(MAX_DETAILS);
        let incident = alert.incident.clone();
        self.touched.incident(&incident);
        let places = settings.places(&alert.component, alert.severity);
        let raised = match self.alerts.entry(incident.clone()) {
            Entry::Occupied(entry) => {
                let open = entry.into_mut();
                if open.resolution.is_some() {
                    return Raised::Known;
                }
                let raised = match alert.severity > open.alert.severity {
                    true => Raised::Worse,
                    false if alert.has_other_causes(&open.alert) => Raised::OtherCauses,
                    false => Raised::Known,
                };
                if alert.affects != open.alert.affects {
                    open.note_change(now);
                }
                alert.action = std::mem::take(&mut open.alert.action);
                alert.started_at = open.alert.started_at;
                alert.keep_first_suspicion(&open.alert);
                open.alert = alert;
                open.reconsider_attention();
                raised
            }
            Entry::Vacant(entry) => {
                entry.insert(OpenAlert::new(alert, now));
                Raised::New
            }
        };
        for (receiver, place) in places {
            self.enlist(&incident, &receiver, &place, now);
        }
        raised
    }

    /// A receiver is to be told of an alert, in this group. Where it was told already, or may have
    /// been, the alert stays in its group.
    pub(super) fn enlist(
        &mut self,
        incident: &IncidentId,
        receiver: &Arc<str>,
        place: &Place,
        now: Timestamp,
    ) {
        let Some(open) = self.alerts.get(incident) else { return };
        let is_there = open.groups.get(receiver) == Some(&place.key);
        match open.deliveries.get(receiver) {
            Some(Delivery::Waiting { .. }) if is_there => {
                self.hurry(incident, receiver, now);
                return;
            }
            Some(Delivery::Waiting { .. }) => {}
            None if !open.closed.contains_key(receiver) => {}
            Some(_) | None => return,
        }
        let due = self.join(incident, receiver, place, now);
        if let Some(open) = self.alerts.get_mut(incident) {
            open.deliveries.insert(Arc::clone(receiver), Delivery::Waiting { due });
            self.listeners.add(receiver, incident);
            self.touched.incident(incident);
        }
        self.hurry(incident, receiver, now);
    }

    /// What falconer does about an incident has changed. False where the incident is unknown. Where
    /// it `calls_person`, whoever was told of the incident is told again, at once; where it does not
    /// any more, a call that has not begun is not made.
    pub fn update(
        &mut self,
        incident: &IncidentId,
        action: String,
        calls_person: bool,
        now: Timestamp,
    ) -> bool {
        let Some(open) = self.alerts.get_mut(incident) else { return false };
        open.alert.action = action;
        open.note_change(now);
        if calls_person {
            open.call_person(now);
        } else {
            open.called_at = None;
        }
        self.touched.incident(incident);
        true
    }

    /// Something about an alert has changed that is of interest to those who show its newest state,
    /// such as an acknowledgement.
    pub fn note_change(&mut self, incident: &IncidentId, now: Timestamp) {
        if let Some(open) = self.alerts.get_mut(incident) {
            open.note_change(now);
            self.touched.incident(incident);
        }
    }

    /// An incident is over. False where it is unknown or was over before.
    pub fn resolve(&mut self, incident: &IncidentId, ended_at: Timestamp, now: Timestamp) -> bool {
        let Some(open) = self.alerts.get_mut(incident) else { return false };
        if open.resolution.is_some() {
            return false;
        }
        open.resolution = Some(Resolution { ended_at, seen_at: now });
        let causes = open.held.values().flat_map(Hold::named_with).collect();
        self.note_effects(&causes, now);
        self.touched.incident(incident);
        true
    }

    /// Looks at what is held back, closes what needs no further message, and forgets the alerts and
    /// groups that are over everywhere. To be called before [`Self::next`].
    pub fn settle(
        &mut self,
        settings: &NotificationSettings,
        holds: &dyn Holds,
        pace: Pace,
        now: Timestamp,
    ) -> Vec<Finished> {
        self.join_all(settings, now);
        self.look_at_holds(holds, now);
        self.close(Moment { settings, pace, now });
        let over = self
            .alerts
            .extract_if(.., |_, open| open.resolution.is_some() && open.deliveries.is_empty());
        let finished: Vec<Finished> =
            over.map(|(incident, open)| Finished { incident, outcomes: open.closed }).collect();
        self.touched.incidents.extend(finished.iter().map(|one| one.incident.clone()));
        self.look_at_groups(now);
        debug_assert_eq!(self.listeners, Listeners::of(&self.alerts));
        finished
    }

    fn close(&mut self, moment: Moment<'_>) {
        let mut closed = Vec::new();
        for (incident, open) in &self.alerts {
            for receiver in open.deliveries.keys() {
                let case = self.case(open, receiver, moment);
                if let Some(NotificationDecision::Close { reason }) = case.map(|one| one.decide()) {
                    closed.push((incident.clone(), Arc::clone(receiver), reason));
                }
            }
        }
        for (incident, receiver, reason) in closed {
            if let Some(open) = self.alerts.get_mut(&incident) {
                open.close(&receiver, reason);
                self.listeners.remove(&receiver, &incident);
                self.touched.incident(&incident);
            }
        }
    }

    /// Forgets what was over long enough ago for another falconer, which leads, to have told it: all
    /// that was over at `told_by`, and what was over at `untold_by` if nobody was told of it here.
    /// Gives when the next that is over will be as old as that, counted from `told_by`.
    pub fn leave_to_leader(
        &mut self,
        told_by: Option<Timestamp>,
        untold_by: Timestamp,
    ) -> Option<Duration> {
        let left = self.alerts.extract_if(.., |_, open| {
            let Some(end) = open.resolution else { return false };
            let is_told = |one: &Delivery| !matches!(one, Delivery::Waiting { .. });
            told_by.is_some_and(|by| end.seen_at <= by)
                || (end.seen_at < untold_by && !open.deliveries.values().any(is_told))
        });
        let left: Vec<IncidentId> = left.map(|(incident, _)| incident).collect();
        self.touched.incidents.extend(left);
        self.listeners = Listeners::of(&self.alerts);
        let ends = self.alerts.values().filter_map(|open| open.resolution);
        let by = told_by?;
        ends.map(|end| end.seen_at.since(by)).min()
    }

    /// What is known of an open incident.
    pub fn alert(&self, incident: &IncidentId) -> Option<&Alert> {
        self.alerts.get(incident).map(|open| &open.alert)
    }
}
