//! What people are told.

mod content;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::component::ComponentId;
use super::report::Reason;
use super::time::Timestamp;

pub use content::{Affected, Sighting};

/// How bad it is; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// Lower case, as in `actors.toml` and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Whether the incident goes on; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
}

impl AlertStatus {
    /// Lower case, as in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One incident: a component's time from unhealthy (or degraded) to healthy. Unique across
/// restarts of falconer, e.g. `milvus-ha/querynode@2026-01-01T00:00:00.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(Arc<str>);

impl IncidentId {
    /// The incident of `component` that began at `since`.
    pub fn new(component: &ComponentId, since: Timestamp) -> Self {
        Self(format!("{component}@{since}").into())
    }

    /// An identifier that was written down as text before.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The identifier as text; also the idempotency key's first half.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody has said that they look after an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they said; may be empty.
    pub comment: String,
}

/// What one message says about one alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertMessage {
    /// The incident it is about.
    pub incident: IncidentId,
    /// The component that is sick.
    pub component: ComponentId,
    /// How bad.
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// Short, constant for one kind of incident, e.g. `querynode is unhealthy`.
    pub title: String,
    /// What was seen.
    pub reason: Reason,
    /// Lines of evidence: one per sick pod, quota state and so on.
    pub details: Vec<String>,
    /// What falconer does about it, or why it does nothing.
    pub action: String,
    /// What was seen of late, the newest last: a few distinct reasons with their times.
    pub seen: Vec<Sighting>,
    /// What is known to be its cause and is not told of here, the most basic first.
    pub causes: Vec<ComponentId>,
    /// What is sick because of it and has no message of its own, the worst first.
    pub affects: Vec<Affected>,
    /// Commands that show more of it, to be typed into a shell; the closest look last.
    pub look_closer: Vec<String>,
    /// Whether it has come and gone so often that it is told as one.
    pub is_flapping: bool,
    /// Whether the receiver is told this for the first time; the rest is there to show what else
    /// goes on, or is a reminder.
    pub is_news: bool,
    /// Who looks after it, if somebody has said so.
    pub acknowledged: Option<Acknowledgement>,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
}

/// How [`AlertMessage::action`] begins once falconer does nothing more about an incident by itself.
pub const LEFT_TO_PERSON: &str = "left to a person";

impl AlertMessage {
    /// Whether it waits for a person: falconer does nothing more about it by itself.
    pub fn is_left_to_person(&self) -> bool {
        self.status == AlertStatus::Firing && self.action.starts_with(LEFT_TO_PERSON)
    }
}

/// One message to people, for any receiver: about one alert, or about several of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// The same for every attempt to deliver this message, and for no other message: the mark by
    /// which a receiver recognises what it has accepted before.
    pub id: Arc<str>,
    /// The same for all messages of one matter, from the first that fires to the last that is over.
    pub thread: Arc<str>,
    /// The labels that its alerts share and by which they were grouped, e.g. `cluster`.
    pub group: BTreeMap<String, String>,
    /// Whether it stands for messages of several groups, which would have been too many.
    pub is_digest: bool,
    /// The alert that matters most: a firing one where there is one, the worst, the oldest.
    pub lead: AlertMessage,
    /// The other alerts, in the same order.
    pub others: Vec<AlertMessage>,
    /// How many more alerts it is about, for which there was no room: a message is bounded.
    pub left_out: usize,
    /// How many alerts of the thread go on after this message, those in it included. With none
    /// the matter is over.
    pub still_firing: usize,
    /// What the receiver gave back for an earlier message of the thread, see [`Receipt`].
    pub reference: Option<Arc<str>>,
    /// When this message was made.
    pub sent_at: Timestamp,
}

impl Notification {
    /// All alerts, the one that matters most first.
    pub fn alerts(&self) -> impl Iterator<Item = &AlertMessage> {
        std::iter::once(&self.lead).chain(&self.others)
    }

    /// Whether the matter goes on.
    pub fn status(&self) -> AlertStatus {
        if self.still_firing > 0 { AlertStatus::Firing } else { AlertStatus::Resolved }
    }

    /// The worst of what fires; of what is over where nothing does.
    pub fn severity(&self) -> Severity {
        let of = |status| {
            let such = self.alerts().filter(move |alert| alert.status == status);
            such.map(|alert| alert.severity).max()
        };
        of(AlertStatus::Firing).or(of(AlertStatus::Resolved)).unwrap_or(self.lead.severity)
    }
}

/// What a receiver gave back when it accepted a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The receiver's own name of the message, by which a later one of the thread can replace or
    /// answer it; a short text.
    pub reference: Option<Arc<str>>,
    /// What did not go as it should have, although the message was accepted: one of several servers
    /// refused it, a template failed. One line, without secrets.
    pub flaw: Option<Arc<str>>,
    /// What the far side said when it accepted, for the person who tries a receiver: one line, e.g.
    /// `250 2.0.0 queued as 4bXx`.
    pub said: Option<String>,
}
