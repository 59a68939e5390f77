//! One alert and one receiver as the book keeps them. Plain data and what a message says of it;
//! decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attention::Attention;
use super::delivery::{CloseReason, Delivery, Draft, Pace, Resolution, Told};
use super::hold::Hold;
use super::route::NotificationSettings;
use crate::model::{
    Acknowledgement, Affected, AlertMessage, AlertStatus, ComponentId, IncidentId, Reason,
    Severity, Sighting, Timestamp,
};
use crate::policy::circuit::{Circuit, CircuitDecision};

/// What may be the cause of an incident: it fails, and has not failed often enough yet to be called
/// unhealthy, or it was not asked since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// What.
    pub of: Vec<ComponentId>,
    /// By when it is decided.
    pub until: Timestamp,
}

/// What is known of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The incident.
    pub incident: IncidentId,
    /// The sick component.
    pub component: ComponentId,
    /// How bad.
    pub severity: Severity,
    /// e.g. `querynode is unhealthy`.
    pub title: String,
    /// What was seen.
    pub reason: Reason,
    /// Lines of evidence.
    pub details: Vec<String>,
    /// What falconer does about it.
    pub action: String,
    /// What is known to be its cause, the most basic first: while that is told, this is not told by
    /// itself.
    #[serde(default)]
    pub causes: Vec<ComponentId>,
    /// What may be its cause, and is not decided yet.
    #[serde(default)]
    pub suspicion: Option<Suspicion>,
    /// How long after its cause is over it may take to be found healthy as well, in seconds.
    #[serde(default)]
    pub settle_secs: u64,
    /// What fails because of it and has no alert yet.
    #[serde(default)]
    pub affects: Vec<Affected>,
    /// What was seen of late, the newest last.
    #[serde(default)]
    pub seen: Vec<Sighting>,
    /// Commands that show more of it.
    #[serde(default)]
    pub look_closer: Vec<String>,
    /// Whether it has come and gone so often that it is told as one.
    #[serde(default)]
    pub is_flapping: bool,
    /// Since when.
    pub started_at: Timestamp,
}

impl Alert {
    /// Whether other things are known or suspected to be its cause.
    pub(super) fn has_other_causes(&self, before: &Self) -> bool {
        let suspects = |alert: &Self| alert.suspicion.as_ref().map(|one| one.of.clone());
        self.causes != before.causes || suspects(self) != suspects(before)
    }

    /// What may be the cause was to be decided by then, and is not put off again and again.
    pub(super) fn keep_first_suspicion(&mut self, before: &Self) {
        if let (Some(suspicion), Some(before)) = (&mut self.suspicion, &before.suspicion) {
            suspicion.until = suspicion.until.min(before.until);
        }
    }
}

/// One alert and where it stands at each receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// What the next message will say.
    pub alert: Alert,
    /// When the alerter learnt of it.
    pub raised_at: Timestamp,
    /// Its end, if it is over.
    pub resolution: Option<Resolution>,
    /// Who looks after it, if somebody has said so.
    #[serde(default)]
    pub acknowledged: Option<Acknowledgement>,
    /// When it was left to a person for the newest time, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Timestamp>,
    /// When something about it changed that is of interest to those who show its newest state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// The name of the group to which it belongs, by the receiver's name.
    #[serde(default)]
    pub groups: BTreeMap<Arc<str>, Arc<str>>,
    /// Why it is not told at some receivers at present, as of the newest look at that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<Arc<str>, Hold>,
    /// The attention that it gets.
    #[serde(default, skip_serializing_if = "Attention::is_blank")]
    pub attention: Attention,
    /// Where something is, or may be, left to be said, by the receiver's name.
    pub deliveries: BTreeMap<Arc<str>, Delivery>,
    /// Where nothing is, and why, by the receiver's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub closed: BTreeMap<Arc<str>, CloseReason>,
}

/// How one receiver does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverState {
    /// Whether it is in reach; while it is not, nothing is tried before the end of its back-off.
    pub circuit: Circuit,
    /// When it was last found out of reach, while it is.
    pub failed_at: Option<Timestamp>,
    /// Whether the attempt that found it so was begun because the process ends.
    #[serde(skip)]
    pub failed_last: bool,
    /// Why the newest failed attempt failed; cleared by a success.
    pub last_error: Option<String>,
    /// When it last accepted a message.
    pub delivered_at: Option<Timestamp>,
    /// Whether messages wait because it has got as many as it should.
    pub is_limited: bool,
    /// How much of its rate limit is used up, see [`super::RateLimit`].
    #[serde(skip)]
    pub(super) spent: Timestamp,
    /// When the newest message to it was made; no other one has the same.
    #[serde(skip)]
    pub(super) made_at: Timestamp,
}

impl ReceiverState {
    /// Until when nothing is tried, if that is still to come. While draining, one attempt is made
    /// whatever the back-off says.
    pub(super) fn blocked_for(
        &self,
        settings: &NotificationSettings,
        pace: Pace,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let CircuitDecision::Wait { until, .. } = self.circuit.decide(&settings.circuit(), now)
        else {
            return None;
        };
        match pace {
            Pace::Normal => Some(until),
            Pace::Draining => self.failed_last.then_some(until),
        }
    }
}

impl OpenAlert {
    /// An alert of which nobody has been told.
    pub(super) fn new(alert: Alert, raised_at: Timestamp) -> Self {
        Self {
            alert,
            raised_at,
            resolution: None,
            acknowledged: None,
            called_at: None,
            changed_at: None,
            groups: BTreeMap::new(),
            held: BTreeMap::new(),
            attention: Attention::default(),
            deliveries: BTreeMap::new(),
            closed: BTreeMap::new(),
        }
    }

    /// Something that is of interest to those who show its newest state is different from now on.
    pub(super) fn note_change(&mut self, now: Timestamp) {
        self.changed_at = Some(later(self.changed_at, now));
    }

    /// Whether it is held back there, and not only looked after.
    pub(super) fn is_held(&self, receiver: &str) -> bool {
        self.held.get(receiver).is_some_and(|hold| hold.kind.keeps_away())
    }

    /// Whether whoever was told this has to hear more at once: it is worse, or left to a person.
    pub(super) fn is_worse_than(&self, told: &Told) -> bool {
        self.alert.severity > told.severity || self.called_at > told.called_at || told.is_outdated
    }

    /// It is left to a person from now on.
    pub(super) fn call_person(&mut self, now: Timestamp) {
        self.called_at = Some(later(self.called_at, now));
    }

    /// What a message says of it, with at most so many lines of evidence.
    pub(super) fn said(&self, draft: Draft, is_news: bool, lines: usize) -> AlertMessage {
        let Alert { incident, component, title, reason, mut details, action, .. } =
            self.alert.clone();
        let words = self.attention.words.iter().cloned();
        details = words.chain(details).take(lines).collect();
        let Alert { causes, affects, seen, look_closer, .. } = self.alert.clone();
        AlertMessage {
            incident,
            component,
            severity: draft.severity,
            status: draft.status,
            title,
            reason,
            details,
            action,
            seen,
            causes,
            affects,
            look_closer,
            is_flapping: self.alert.is_flapping,
            is_news,
            acknowledged: self.acknowledged.clone(),
            started_at: self.alert.started_at,
            ended_at: self.resolution.map(|end| end.ended_at).filter(|_| match draft.status {
                AlertStatus::Resolved => true,
                AlertStatus::Firing => false,
            }),
        }
    }

    /// Nothing is left to be said there.
    pub(super) fn close(&mut self, receiver: &str, reason: CloseReason) {
        if let Some((receiver, _)) = self.deliveries.remove_entry(receiver) {
            self.groups.remove(&receiver);
            self.held.remove(&receiver);
            self.closed.insert(receiver, reason);
        }
    }
}

/// `now`, or the moment after `before` where that is not over yet: each has an instant of its own.
fn later(before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    before.map_or(now, |before| now.max(before + Duration::from_millis(1)))
}
