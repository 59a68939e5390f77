//! All open alerts at all receivers: what is open, what is next, what became of it. The one piece
//! of state that survives a respawn of the alerter. Sends nothing and reads no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, OpenAlert, ReceiverState};
use super::attention::Attention;
use super::delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, Resolution, SendReason, accepted,
    decide,
};
use super::hold::{HoldKind, Holds};
use super::route::NotificationSettings;
use crate::model::{AlertStatus, IncidentId, Notification, Severity, Timestamp};
use crate::policy::circuit::CircuitChange;

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

/// A message that could be sent now.
struct Candidate {
    /// The smallest goes first: by severity, news before repeats, by age.
    rank: (Reverse<Severity>, bool, Timestamp),
    incident: IncidentId,
    status: AlertStatus,
    reason: SendReason,
}

/// The alerter's memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertBook {
    pub(super) alerts: BTreeMap<IncidentId, OpenAlert>,
    pub(super) receivers: BTreeMap<Arc<str>, ReceiverState>,
    /// Incidents of which something has changed since that was last saved.
    pub(super) touched: BTreeSet<IncidentId>,
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
        self.touched.insert(alert.incident.clone());
        let severity = alert.severity;
        let told_of_own = settings.told_of_own(&alert.component);
        let (open, due, raised) = match self.alerts.entry(alert.incident.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => {
                let open = entry.into_mut();
                if open.resolution.is_some() {
                    return Raised::Known;
                }
                let is_worse = severity > open.alert.severity;
                let raised = match is_worse {
                    true => Raised::Worse,
                    false if alert.has_other_causes(&open.alert) => Raised::OtherCauses,
                    false => Raised::Known,
                };
                alert.action = std::mem::take(&mut open.alert.action);
                alert.started_at = open.alert.started_at;
                alert.keep_first_suspicion(&open.alert);
                open.alert = alert;
                open.reconsider_attention();
                let due = now.max(open.raised_at + settings.group_wait);
                (open, due, raised)
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                let deliveries = BTreeMap::new();
                let (resolution, acknowledged) = (None, None);
                let (raised_at, held) = (now, BTreeMap::new());
                let attention = Attention::default();
                let open = OpenAlert {
                    alert,
                    raised_at,
                    resolution,
                    acknowledged,
                    held,
                    attention,
                    deliveries,
                };
                (entry.insert(open), now + settings.group_wait, Raised::New)
            }
        };
        for receiver in told_of_own.unwrap_or_else(|| settings.receivers_for(severity)) {
            open.deliveries.entry(receiver).or_insert(Delivery::Waiting { due });
        }
        raised
    }

    /// What falconer does about an incident has changed. False where the incident is unknown. Where
    /// it `calls_person`, whoever was told of the incident is told again, at once; where it does not
    /// any more, a call that has not begun is not made.
    pub fn update(&mut self, incident: &IncidentId, action: String, calls_person: bool) -> bool {
        let Some(open) = self.alerts.get_mut(incident) else { return false };
        open.alert.action = action;
        for delivery in open.deliveries.values_mut() {
            match delivery {
                Delivery::Delivered { told } => told.is_outdated = calls_person,
                // What is under way may have been written before this.
                Delivery::Sending { draft, .. } => draft.is_outdated = calls_person,
                // What is still to be written says it anyway.
                Delivery::Waiting { .. } | Delivery::Retrying { .. } | Delivery::Closed { .. } => {}
            }
        }
        self.touched.insert(incident.clone());
        true
    }

    /// An incident is over. False where it is unknown or was over before.
    pub fn resolve(&mut self, incident: &IncidentId, ended_at: Timestamp, now: Timestamp) -> bool {
        let Some(open) = self.alerts.get_mut(incident) else { return false };
        if open.resolution.is_some() {
            return false;
        }
        open.resolution = Some(Resolution { ended_at, seen_at: now });
        self.touched.insert(incident.clone());
        true
    }

    /// Looks at what is held back, closes what needs no further message, and forgets the alerts that
    /// are over everywhere. To be called before [`Self::next`].
    pub fn settle(
        &mut self,
        settings: &NotificationSettings,
        holds: &dyn Holds,
        pace: Pace,
        now: Timestamp,
    ) -> Vec<Finished> {
        self.look_at_holds(holds, now);
        for open in self.alerts.values_mut() {
            for (receiver, delivery) in &mut open.deliveries {
                let hold = open.held.get(receiver).map(|hold| hold.kind);
                let is_held = hold.is_some_and(HoldKind::is_for_good);
                if let (Delivery::Waiting { .. }, true, Some(_)) =
                    (&*delivery, is_held, open.resolution)
                {
                    *delivery = Delivery::Closed { reason: CloseReason::NeverSent };
                    self.touched.insert(open.alert.incident.clone());
                    continue;
                }
                let severity = open.alert.severity;
                let decision = decide(delivery, severity, open.resolution, settings, pace, now);
                let closed = match decision {
                    NotificationDecision::Close { reason } => Delivery::Closed { reason },
                    NotificationDecision::Send { .. } | NotificationDecision::Wait { .. } => {
                        continue;
                    }
                };
                if *delivery != closed {
                    *delivery = closed;
                    self.touched.insert(open.alert.incident.clone());
                }
            }
        }
        let over = self.alerts.extract_if(.., |_, open| {
            open.resolution.is_some()
                && open.deliveries.values().all(|one| matches!(one, Delivery::Closed { .. }))
        });
        let finished: Vec<Finished> =
            over.map(|(incident, open)| Finished { incident, outcomes: open.outcomes() }).collect();
        self.touched.extend(finished.iter().map(|one| one.incident.clone()));
        finished
    }

    /// Forgets the incidents that were over at `before`: another falconer has told their end. Gives
    /// when the next one that is over will be so old, counted from `before`.
    pub fn leave_to_leader(&mut self, before: Timestamp) -> Option<Duration> {
        let left = self
            .alerts
            .extract_if(.., |_, open| open.resolution.is_some_and(|end| end.seen_at <= before));
        let left: Vec<IncidentId> = left.map(|(incident, _)| incident).collect();
        self.touched.extend(left);
        let ends = self.alerts.values().filter_map(|open| open.resolution);
        ends.map(|end| end.seen_at.since(before)).min()
    }

    /// The next step for a receiver that has nothing in flight: the most severe message first,
    /// news before repeats, then the oldest. A message to send is marked as in flight.
    pub fn next(
        &mut self,
        receiver: &str,
        settings: &NotificationSettings,
        pace: Pace,
        now: Timestamp,
    ) -> NextStep {
        let (best, wake) = self.choose(receiver, settings, pace, now);
        if let Some(Candidate { incident, status, reason, .. }) = best {
            if let Some(until) = self.receiver(receiver).blocked_for(settings, pace, now) {
                return NextStep::WaitUntil(until);
            }
            if let Some(notification) = self.begin(&incident, receiver, status, pace, now) {
                self.receivers.entry(Arc::from(receiver)).or_default().circuit.begin(now);
                return NextStep::Send { notification: Box::new(notification), reason };
            }
        }
        wake.map_or(NextStep::Idle, NextStep::WaitUntil)
    }

    /// The message to send first, and when the earliest of the others is due.
    fn choose(
        &self,
        receiver: &str,
        settings: &NotificationSettings,
        pace: Pace,
        now: Timestamp,
    ) -> (Option<Candidate>, Option<Timestamp>) {
        let (mut best, mut wake): (Option<Candidate>, Option<Timestamp>) = (None, None);
        for open in self.alerts.values() {
            let Some(delivery) = open.deliveries.get(receiver) else { continue };
            let severity = open.alert.severity;
            // The end of what was told is told, whatever holds the rest back.
            let hold = open.held.get(receiver);
            let hold = hold.filter(|one| pace == Pace::Normal || one.kind.outlasts_the_end());
            if let (None, Some(hold)) = (open.resolution, hold) {
                wake = wake.into_iter().chain(hold.until).min();
                continue;
            }
            match decide(delivery, severity, open.resolution, settings, pace, now) {
                NotificationDecision::Send { status, reason } => {
                    let rank = (Reverse(severity), reason == SendReason::Repeat, open.raised_at);
                    if best.as_ref().is_none_or(|other| rank < other.rank) {
                        let incident = open.alert.incident.clone();
                        best = Some(Candidate { rank, incident, status, reason });
                    }
                }
                NotificationDecision::Wait { until, .. } => {
                    wake = Some(wake.map_or(until, |other| other.min(until)));
                }
                NotificationDecision::Close { .. } => {}
            }
        }
        (best, wake)
    }

    /// Marks a message as in flight and writes it.
    fn begin(
        &mut self,
        incident: &IncidentId,
        receiver: &str,
        status: AlertStatus,
        pace: Pace,
        now: Timestamp,
    ) -> Option<Notification> {
        let open = self.alerts.get_mut(incident)?;
        let delivery = open.deliveries.get_mut(receiver)?;
        let severity = open.alert.severity;
        let (known, failures, told) = delivery.progress();
        let draft = match known {
            Some(draft) if draft.status == status && draft.severity == severity => {
                Draft { is_outdated: false, ..draft }
            }
            Some(_) | None => Draft { status, severity, made_at: now, is_outdated: false },
        };
        let is_last = pace == Pace::Draining;
        *delivery = Delivery::Sending { draft, failures, since: now, told, is_last };
        self.touched.insert(incident.clone());
        let mut notification = open.message(draft);
        notification.lead.affects = self.affected_by(incident, receiver);
        Some(notification)
    }

    /// What is known of an open incident.
    pub fn alert(&self, incident: &IncidentId) -> Option<&Alert> {
        self.alerts.get(incident).map(|open| &open.alert)
    }

    /// Which attempt of the message is under way, counted from 1.
    pub fn attempt(&self, incident: &IncidentId, receiver: &str) -> u32 {
        let delivery = self.alerts.get(incident).and_then(|open| open.deliveries.get(receiver));
        delivery.map_or(0, |delivery| delivery.progress().1).saturating_add(1)
    }

    /// An attempt has ended. `random` is uniform in 0..1. Nothing happens where no attempt was in
    /// flight. Gives what this did to the receiver's circuit.
    pub fn finish(
        &mut self,
        incident: &IncidentId,
        receiver: &str,
        result: Result<(), SendFailure>,
        settings: &NotificationSettings,
        random: f64,
        now: Timestamp,
    ) -> CircuitChange {
        let open = self.alerts.get_mut(incident);
        let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
            return CircuitChange::Stayed;
        };
        let Delivery::Sending { draft, failures, told, is_last, .. } = *delivery else {
            return CircuitChange::Stayed;
        };
        let state = self.receivers.entry(Arc::from(receiver)).or_default();
        let (next, change) = match result {
            Ok(()) => {
                let change = state.circuit.answered();
                *state = ReceiverState { delivered_at: Some(now), ..ReceiverState::default() };
                (accepted(draft, now), change)
            }
            Err(SendFailure { outage, error, retry_after }) => {
                state.last_error = Some(error.clone());
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
                let failures = failures.saturating_add(1);
                let failed_at = now;
                let next = Delivery::Retrying {
                    draft,
                    failures,
                    failed_at,
                    retry_at,
                    error,
                    told,
                    is_last,
                };
                (next, change)
            }
        };
        *delivery = next;
        self.touched.insert(incident.clone());
        change
    }
}
