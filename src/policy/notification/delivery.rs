//! One alert at one receiver: a state machine and the decision what to do next. Owns no list and
//! no queue; those are in `book.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::route::NotificationSettings;
use crate::model::{AlertStatus, Severity, Timestamp};

/// Beyond its deadline a send in flight gets this long to report before it counts as abandoned.
pub(super) const ABANDONED_MARGIN: Duration = Duration::from_secs(1);

/// A firing message that a receiver has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it was accepted.
    pub at: Timestamp,
    /// The severity that it carried.
    pub severity: Severity,
    /// Whether it was left to a person since, who must hear of that before the next reminder.
    #[serde(default)]
    pub is_outdated: bool,
}

/// A message that is being delivered. Its attempts share `made_at`, so that a receiver can
/// recognise an attempt that it has accepted before without our knowing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Whether it says that the incident goes on or that it is over.
    pub status: AlertStatus,
    /// The severity that it carries.
    pub severity: Severity,
    /// When it was first tried.
    pub made_at: Timestamp,
    /// As for [`Told`]: whether it was left to a person while this was under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_outdated: bool,
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
    /// Nothing is left to be said.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

impl Delivery {
    /// Why the newest attempt failed.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Retrying { error, .. } => Some(error),
            Self::Waiting { .. }
            | Self::Sending { .. }
            | Self::Delivered { .. }
            | Self::Closed { .. } => None,
        }
    }

    /// The message under way, its failed attempts, and what was accepted before.
    pub(super) fn progress(&self) -> (Option<Draft>, u32, Option<Told>) {
        match self {
            Self::Waiting { .. } | Self::Closed { .. } => (None, 0, None),
            Self::Delivered { told } => (None, 0, Some(*told)),
            Self::Sending { draft, failures, told, .. }
            | Self::Retrying { draft, failures, told, .. } => (Some(*draft), *failures, *told),
        }
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
    /// The incident still goes on after the repeat interval.
    Repeat,
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
    /// The incident may be over in a moment.
    GroupWait,
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
    /// The incident was over within `group_wait`; nobody was bothered.
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
        /// When to decide anew.
        until: Timestamp,
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

/// Decides about one alert at one receiver. `severity` is the incident's present one, `resolution`
/// its end, if it is over.
pub fn decide(
    delivery: &Delivery,
    severity: Severity,
    resolution: Option<Resolution>,
    settings: &NotificationSettings,
    pace: Pace,
    now: Timestamp,
) -> NotificationDecision {
    match delivery {
        Delivery::Waiting { due } => first(*due, resolution, pace, now),
        Delivery::Sending { draft, since, is_last, .. } => {
            let until = *since + settings.send_timeout + ABANDONED_MARGIN;
            let status = if resolution.is_some() { AlertStatus::Resolved } else { draft.status };
            let is_over = match pace {
                Pace::Normal => now >= until,
                // Only asked for a receiver with nothing in flight: a former incarnation began it.
                Pace::Draining => !is_last || now >= until,
            };
            if is_over { abandoned(status) } else { wait(until, WaitReason::InFlight) }
        }
        Delivery::Delivered { told } => match resolution {
            Some(_) if settings.send_resolved => send(AlertStatus::Resolved, SendReason::Resolved),
            Some(_) => close(CloseReason::ResolvedNotWanted),
            None if severity > told.severity || told.is_outdated => {
                send(AlertStatus::Firing, SendReason::Escalated)
            }
            None => repeat(told.at + settings.repeat_interval, now),
        },
        Delivery::Retrying { retry_at, told, is_last, .. } => {
            if let Some(end) = resolution {
                if told.is_some() && !settings.send_resolved {
                    return close(CloseReason::ResolvedNotWanted);
                }
                if now.since(end.seen_at) >= settings.give_up_after {
                    return close(CloseReason::GaveUp);
                }
            }
            let due = match pace {
                Pace::Normal => now >= *retry_at,
                Pace::Draining => !is_last || now >= *retry_at,
            };
            match (due, resolution, told) {
                (false, ..) => wait(*retry_at, WaitReason::Backoff),
                (true, None, _) => send(AlertStatus::Firing, SendReason::Retry),
                (true, Some(_), Some(_)) => send(AlertStatus::Resolved, SendReason::Retry),
                (true, Some(_), None) => send(AlertStatus::Resolved, SendReason::WholeStory),
            }
        }
        Delivery::Closed { reason } => close(*reason),
    }
}

fn first(
    due: Timestamp,
    resolution: Option<Resolution>,
    pace: Pace,
    now: Timestamp,
) -> NotificationDecision {
    match (resolution, pace) {
        (Some(end), _) if end.seen_at < due => close(CloseReason::NeverSent),
        (Some(_), _) => send(AlertStatus::Resolved, SendReason::WholeStory),
        (None, Pace::Draining) => send(AlertStatus::Firing, SendReason::First),
        (None, Pace::Normal) if now >= due => send(AlertStatus::Firing, SendReason::First),
        (None, Pace::Normal) => wait(due, WaitReason::GroupWait),
    }
}

fn repeat(due: Timestamp, now: Timestamp) -> NotificationDecision {
    if now >= due {
        send(AlertStatus::Firing, SendReason::Repeat)
    } else {
        wait(due, WaitReason::RepeatInterval)
    }
}

fn abandoned(status: AlertStatus) -> NotificationDecision {
    send(status, SendReason::Abandoned)
}

fn send(status: AlertStatus, reason: SendReason) -> NotificationDecision {
    NotificationDecision::Send { status, reason }
}

fn wait(until: Timestamp, reason: WaitReason) -> NotificationDecision {
    NotificationDecision::Wait { until, reason }
}

fn close(reason: CloseReason) -> NotificationDecision {
    NotificationDecision::Close { reason }
}

/// Where it stands once the receiver has taken the message.
pub(super) fn accepted(draft: Draft, now: Timestamp) -> Delivery {
    match draft.status {
        AlertStatus::Firing => Delivery::Delivered {
            told: Told { at: now, severity: draft.severity, is_outdated: draft.is_outdated },
        },
        AlertStatus::Resolved => Delivery::Closed { reason: CloseReason::ResolvedDelivered },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_767_225_600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((START + seconds) * 1_000)
    }

    fn ended(seconds: u64) -> Resolution {
        Resolution { ended_at: at(seconds), seen_at: at(seconds) }
    }

    fn draft(status: AlertStatus) -> Draft {
        Draft { status, severity: Severity::Warning, made_at: at(5), is_outdated: false }
    }

    fn waiting() -> Delivery {
        Delivery::Waiting { due: at(5) }
    }

    fn delivered() -> Delivery {
        Delivery::Delivered {
            told: Told { at: at(5), severity: Severity::Warning, is_outdated: false },
        }
    }

    fn sending() -> Delivery {
        let draft = draft(AlertStatus::Firing);
        Delivery::Sending { draft, failures: 0, since: at(5), told: None, is_last: false }
    }

    fn retrying(told: bool) -> Delivery {
        Delivery::Retrying {
            draft: draft(AlertStatus::Firing),
            failures: 1,
            failed_at: at(10),
            retry_at: at(20),
            error: "connection refused".into(),
            told: told.then_some(Told {
                at: at(5),
                severity: Severity::Warning,
                is_outdated: false,
            }),
            is_last: false,
        }
    }

    fn judge(delivery: &Delivery, end: Option<Resolution>, now: u64) -> NotificationDecision {
        let settings = NotificationSettings::default();
        decide(delivery, Severity::Warning, end, &settings, Pace::Normal, at(now))
    }

    #[test]
    fn each_state_has_its_decision_at_each_instant() {
        use AlertStatus::{Firing, Resolved};
        let table = [
            (waiting(), None, 4, wait(at(5), WaitReason::GroupWait)),
            (waiting(), None, 5, send(Firing, SendReason::First)),
            (waiting(), Some(ended(4)), 4, close(CloseReason::NeverSent)),
            (waiting(), Some(ended(4)), 60, close(CloseReason::NeverSent)),
            (waiting(), Some(ended(6)), 6, send(Resolved, SendReason::WholeStory)),
            (sending(), None, 35, wait(at(36), WaitReason::InFlight)),
            (sending(), None, 36, send(Firing, SendReason::Abandoned)),
            (sending(), Some(ended(6)), 35, wait(at(36), WaitReason::InFlight)),
            (sending(), Some(ended(6)), 36, send(Resolved, SendReason::Abandoned)),
            (delivered(), None, 304, wait(at(305), WaitReason::RepeatInterval)),
            (delivered(), None, 305, send(Firing, SendReason::Repeat)),
            (delivered(), Some(ended(6)), 6, send(Resolved, SendReason::Resolved)),
            (retrying(false), None, 19, wait(at(20), WaitReason::Backoff)),
            (retrying(false), None, 20, send(Firing, SendReason::Retry)),
            (retrying(false), Some(ended(15)), 15, wait(at(20), WaitReason::Backoff)),
            (retrying(false), Some(ended(15)), 20, send(Resolved, SendReason::WholeStory)),
            (retrying(true), Some(ended(15)), 20, send(Resolved, SendReason::Retry)),
            (retrying(true), Some(ended(15)), 86_414, send(Resolved, SendReason::Retry)),
            (retrying(true), Some(ended(15)), 86_415, close(CloseReason::GaveUp)),
        ];
        for (delivery, end, now, expected) in table {
            assert_eq!(judge(&delivery, end, now), expected, "{delivery:?} {end:?} at {now}");
        }
    }

    #[test]
    fn a_raised_severity_is_sent_at_once() {
        let settings = NotificationSettings::default();
        let decision =
            decide(&delivered(), Severity::Critical, None, &settings, Pace::Normal, at(6));
        assert_eq!(decision, send(AlertStatus::Firing, SendReason::Escalated));
    }

    #[test]
    fn without_send_resolved_only_what_was_never_told_is_sent_after_the_end() {
        let settings = NotificationSettings { send_resolved: false, ..Default::default() };
        let judge = |delivery: &Delivery| {
            decide(delivery, Severity::Warning, Some(ended(15)), &settings, Pace::Normal, at(20))
        };
        assert_eq!(judge(&delivered()), close(CloseReason::ResolvedNotWanted));
        assert_eq!(judge(&retrying(true)), close(CloseReason::ResolvedNotWanted));
        assert_eq!(
            judge(&retrying(false)),
            send(AlertStatus::Resolved, SendReason::WholeStory),
            "a receiver that missed everything is told what happened"
        );
    }

    #[test]
    fn draining_skips_the_waits_once() {
        let settings = NotificationSettings::default();
        let judge = |delivery: &Delivery| {
            decide(delivery, Severity::Warning, None, &settings, Pace::Draining, at(12))
        };
        let tried_again = |mut delivery: Delivery| {
            if let Delivery::Retrying { is_last, .. } | Delivery::Sending { is_last, .. } =
                &mut delivery
            {
                *is_last = true;
            }
            delivery
        };
        assert_eq!(judge(&waiting()), send(AlertStatus::Firing, SendReason::First));
        assert_eq!(judge(&retrying(false)), send(AlertStatus::Firing, SendReason::Retry));
        assert_eq!(judge(&tried_again(retrying(false))), wait(at(20), WaitReason::Backoff));
        assert_eq!(judge(&sending()), send(AlertStatus::Firing, SendReason::Abandoned));
        assert_eq!(judge(&tried_again(sending())), wait(at(36), WaitReason::InFlight));
        assert_eq!(judge(&delivered()), wait(at(305), WaitReason::RepeatInterval));
    }
}
