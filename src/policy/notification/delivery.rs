//! One alert at one receiver as a state machine. What to do next is decided in `decision.rs`; what
//! several alerts have to do with each other is known in `book.rs`.

use serde::{Deserialize, Serialize};

use crate::model::{AlertStatus, Severity, Timestamp};

/// A firing message that a receiver has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it was accepted.
    pub at: Timestamp,
    /// The severity that it carried.
    pub severity: Severity,
    /// The newest call for a person of which it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Timestamp>,
    /// The newest change of which it told; of receivers that are kept current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Whether it has to be told again, whatever it has told.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_outdated: bool,
}

/// What a message that is being delivered says of one alert. All of the message have the same
/// `made_at`, which is no other message's to this receiver, and so have all attempts: a receiver can
/// recognise one that it has accepted before without our knowing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Whether it says that the incident goes on or that it is over.
    pub status: AlertStatus,
    /// The severity that it carries.
    pub severity: Severity,
    /// When the message was first tried.
    pub made_at: Timestamp,
    /// The newest call for a person of which it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Timestamp>,
    /// The newest change of which it tells, at a receiver that is kept current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Whether the message is a digest.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_digest: bool,
    /// Whether another message took the place of this one and could not take this along.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_void: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Draft {
    /// What a receiver knows that accepts it at `at`.
    pub(super) fn told(&self, at: Timestamp) -> Told {
        let Self { severity, called_at, changed_at, .. } = *self;
        Told { at, severity, called_at, changed_at, is_outdated: false }
    }

    /// Whether it tells of trouble that is new after `told`: an incident, a worse one, or one that is
    /// left to a person.
    pub(super) fn is_trouble(&self, told: Option<Told>) -> bool {
        let newer = |told: Told| {
            let is_worse = self.severity > told.severity;
            is_worse || self.called_at > told.called_at || told.is_outdated
        };
        match self.status {
            AlertStatus::Firing => told.is_none_or(newer),
            AlertStatus::Resolved => false,
        }
    }

    /// Whether it tells anything that `told` did not.
    pub(super) fn is_news(&self, told: Option<Told>) -> bool {
        match self.status {
            AlertStatus::Firing => {
                self.is_trouble(told) || told.is_some_and(|told| self.changed_at > told.changed_at)
            }
            AlertStatus::Resolved => true,
        }
    }
}

/// The end of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// When the component was healthy again.
    pub ended_at: Timestamp,
    /// When the alerter learnt of it.
    pub seen_at: Timestamp,
}

/// Where one alert stands at one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    /// Nothing was tried yet.
    Waiting {
        /// When the first message is due.
        due: Timestamp,
    },
    /// An attempt is under way.
    Sending {
        /// The message.
        draft: Draft,
        /// Attempts of this message that failed before this one.
        failures: u32,
        /// When this attempt began.
        since: Timestamp,
        /// The newest firing message that was accepted before.
        told: Option<Told>,
        /// Whether it was begun because the process ends.
        #[serde(skip)]
        is_last: bool,
    },
    /// The newest firing message was accepted.
    Delivered {
        /// That message.
        told: Told,
    },
    /// The newest attempt failed.
    Retrying {
        /// The message.
        draft: Draft,
        /// Attempts that failed in a row.
        failures: u32,
        /// When the newest one failed.
        failed_at: Timestamp,
        /// When the next one is due.
        retry_at: Timestamp,
        /// Why the newest one failed; one line, no secrets.
        error: String,
        /// The newest firing message that was accepted before.
        told: Option<Told>,
        /// Whether the newest one was begun because the process ends.
        #[serde(skip)]
        is_last: bool,
    },
}

impl Delivery {
    /// Why the newest attempt failed.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Retrying { error, .. } => Some(error),
            Self::Waiting { .. } | Self::Sending { .. } | Self::Delivered { .. } => None,
        }
    }

    /// The message under way, its failed attempts, and what was accepted before.
    pub(super) fn progress(&self) -> (Option<Draft>, u32, Option<Told>) {
        match self {
            Self::Waiting { .. } => (None, 0, None),
            Self::Delivered { told } => (None, 0, Some(*told)),
            Self::Sending { draft, failures, told, .. }
            | Self::Retrying { draft, failures, told, .. } => (Some(*draft), *failures, *told),
        }
    }

    /// The message under way.
    pub(super) fn draft(&self) -> Option<Draft> {
        self.progress().0
    }

    /// The newest firing message that was accepted.
    pub(super) fn told(&self) -> Option<Told> {
        self.progress().2
    }
}

/// Why a message is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SendReason {
    /// The incident's first message.
    First,
    /// The incident became worse than what the receiver was told.
    Escalated,
    /// At a receiver that shows the newest state: something else is to be shown.
    Changed,
    /// The incident still goes on after the repeat interval.
    Repeat,
    /// At a receiver that forgets what it is not told again: it is told again.
    Resent,
    /// The previous attempt failed and its back-off is over.
    Retry,
    /// An attempt began, and its end was never reported: the alerter was respawned meanwhile.
    Abandoned,
    /// The incident is over.
    Resolved,
    /// The incident is over, and no message about it was ever accepted here: the resolved message
    /// tells the whole story.
    WholeStory,
}

/// Why nothing is sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The incident may be over in a moment, or others may join it.
    GroupWait,
    /// The group was told not long ago, and others may join it.
    GroupInterval,
    /// It is held back.
    Held,
    /// Somebody looks after it: nobody is reminded.
    Acknowledged,
    /// An attempt is under way.
    InFlight,
    /// The receiver was told not long ago.
    RepeatInterval,
    /// The previous attempt failed not long ago.
    Backoff,
}

/// Why nothing is left to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The incident was over before its first message was due; nobody was bothered.
    NeverSent,
    /// The resolved message was accepted.
    ResolvedDelivered,
    /// The incident is over and `send_resolved` is off.
    ResolvedNotWanted,
    /// The incident is over, and no attempt to say so succeeded within `give_up_after`.
    GaveUp,
}

/// What to do about one alert at one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationDecision {
    /// Send a message now.
    Send {
        /// Firing or resolved.
        status: AlertStatus,
        /// Why.
        reason: SendReason,
    },
    /// Do nothing before `until`, unless something new is learnt.
    Wait {
        /// When to decide anew; `None` = when something new is learnt.
        until: Option<Timestamp>,
        /// Why.
        reason: WaitReason,
    },
    /// Nothing is left to be said.
    Close {
        /// Why.
        reason: CloseReason,
    },
}

/// Whether time is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All intervals hold.
    Normal,
    /// The process ends: what was never accepted is tried once more, at once.
    Draining,
}
