//! What to do about one alert at one receiver now. Pure: looks at the alert, its delivery and its
//! group, and changes nothing.

use std::time::Duration;

use super::alert::OpenAlert;
use super::delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, SendReason, Told, WaitReason,
};
use super::group::Group;
use super::hold::Hold;
use super::route::{NotificationSettings, ReceiverPolicy};
use crate::model::{AlertStatus, Timestamp};

/// Beyond its deadline a send in flight gets this long to report before it counts as abandoned.
pub(super) const ABANDONED_MARGIN: Duration = Duration::from_secs(1);

/// When a decision is made, and by which rules.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) settings: &'a NotificationSettings,
    pub(super) pace: Pace,
    pub(super) now: Timestamp,
}

/// One alert at one receiver.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) open: &'a OpenAlert,
    pub(super) delivery: &'a Delivery,
    /// Why it may be held back, see [`Self::hold`].
    pub(super) held: Option<&'a Hold>,
    pub(super) group: &'a Group,
    pub(super) policy: ReceiverPolicy,
    pub(super) moment: Moment<'a>,
}

impl Case<'_> {
    /// Decides.
    pub(super) fn decide(&self) -> NotificationDecision {
        match self.delivery {
            Delivery::Waiting { due } => self.first(*due),
            Delivery::Sending { draft, since, is_last, .. } => {
                self.in_flight(*draft, *since, *is_last)
            }
            Delivery::Delivered { told } => self.after(*told),
            Delivery::Retrying { retry_at, told, is_last, .. } => {
                self.again(*retry_at, told.is_some(), *is_last)
            }
        }
    }

    /// What a message that is made at `made_at` says of it; `None` where nothing is to be said.
    pub(super) fn said(&self, made_at: Timestamp, is_digest: bool) -> Option<Draft> {
        let told = self.delivery.told();
        let (never_tried, wants_end) = (
            matches!(self.delivery, Delivery::Waiting { .. }),
            told.is_none() || self.moment.settings.send_resolved,
        );
        let status = match self.open.resolution {
            Some(_) if !wants_end || (never_tried && !self.was_due()) => return None,
            Some(_) => AlertStatus::Resolved,
            None if self.hold().is_some() && !self.is_kept_alive() => return None,
            None => AlertStatus::Firing,
        };
        Some(Draft {
            status,
            severity: self.open.alert.severity,
            made_at,
            called_at: self.open.called_at,
            changed_at: self.open.changed_at.filter(|_| self.policy.keeps_current),
            is_digest,
            is_void: false,
        })
    }

    /// Whether `draft` still is what is to be said.
    pub(super) fn is_said_by(&self, draft: Draft) -> bool {
        let newest = self.said(draft.made_at, draft.is_digest);
        !draft.is_void
            && newest.is_some_and(|newest| {
                newest.status == draft.status
                    && newest.severity == draft.severity
                    && (newest.called_at <= draft.called_at
                        || draft.status == AlertStatus::Resolved)
            })
    }

    /// Why it is held back. That somebody looks after it keeps reminders away and nothing else.
    fn hold(&self) -> Option<&Hold> {
        let may_wait =
            |hold: &&Hold| self.moment.pace == Pace::Normal || hold.kind.outlasts_the_end();
        self.held.filter(|hold| hold.kind.keeps_away()).filter(may_wait)
    }

    /// Whether the receiver would take it for over if it were not told again.
    fn is_kept_alive(&self) -> bool {
        self.policy.resend_every.is_some() && self.delivery.told().is_some()
    }

    /// Whether its first message was due before it was over: only the receiver kept it away.
    fn was_due(&self) -> bool {
        match (self.delivery, self.open.resolution) {
            (Delivery::Waiting { due }, Some(end)) => {
                let is_lost = self.held.is_some_and(|hold| hold.kind.is_for_good());
                end.seen_at >= *due && !is_lost
            }
            (
                Delivery::Waiting { .. }
                | Delivery::Sending { .. }
                | Delivery::Delivered { .. }
                | Delivery::Retrying { .. },
                _,
            ) => true,
        }
    }

    fn first(&self, due: Timestamp) -> NotificationDecision {
        let Moment { pace, now, .. } = self.moment;
        let is_due = now >= due || pace == Pace::Draining;
        match (self.open.resolution, self.hold()) {
            (Some(_), _) if !self.was_due() => close(CloseReason::NeverSent),
            (Some(_), _) => send(AlertStatus::Resolved, SendReason::WholeStory),
            (None, Some(hold)) => held(hold),
            (None, None) if is_due => send(AlertStatus::Firing, SendReason::First),
            (None, None) if due <= self.group.base => wait(due, WaitReason::GroupWait),
            (None, None) => wait(due, WaitReason::GroupInterval),
        }
    }

    fn in_flight(&self, draft: Draft, since: Timestamp, is_last: bool) -> NotificationDecision {
        let Moment { settings, pace, now } = self.moment;
        let until = since + settings.send_timeout + ABANDONED_MARGIN;
        let is_over = match pace {
            Pace::Normal => now >= until,
            // Only asked for a receiver with nothing in flight: a former incarnation began it.
            Pace::Draining => !is_last || now >= until,
        };
        match (is_over, self.open.resolution, self.hold()) {
            (false, ..) => wait(until, WaitReason::InFlight),
            (true, Some(_), _) => send(AlertStatus::Resolved, SendReason::Abandoned),
            (true, None, Some(hold)) => held(hold),
            (true, None, None) => send(draft.status, SendReason::Abandoned),
        }
    }

    fn after(&self, told: Told) -> NotificationDecision {
        let Moment { settings, now, pace } = self.moment;
        if let Some(end) = self.open.resolution {
            let flush = self.group.flush_from(end.seen_at);
            return match (settings.send_resolved, now >= flush || pace == Pace::Draining) {
                (false, _) => close(CloseReason::ResolvedNotWanted),
                (true, true) => send(AlertStatus::Resolved, SendReason::Resolved),
                (true, false) => wait(flush, WaitReason::GroupInterval),
            };
        }
        let is_worse = self.open.is_worse_than(&told);
        match (self.policy.resend_every, self.hold()) {
            (_, None) if is_worse => send(AlertStatus::Firing, SendReason::Escalated),
            // Whoever forgets would take it for over.
            (Some(every), _) => {
                self.at(told.at + every, SendReason::Resent, WaitReason::RepeatInterval)
            }
            (None, Some(hold)) => held(hold),
            (None, None) => self.later(told),
        }
    }

    /// What goes on, was told, and is not worse than that.
    fn later(&self, told: Told) -> NotificationDecision {
        let is_changed = self.policy.keeps_current && self.open.changed_at > told.changed_at;
        let change = self.open.changed_at.filter(|_| is_changed);
        let change = change.map(|at| self.group.flush_from(at));
        let is_looked_after = self.open.acknowledged.is_some();
        let reminder = self.group.reminder().filter(|_| !is_looked_after);
        match (change, reminder) {
            (Some(change), reminder) if reminder.is_none_or(|reminder| change <= reminder) => {
                self.at(change, SendReason::Changed, WaitReason::GroupInterval)
            }
            (_, Some(reminder)) => {
                self.at(reminder, SendReason::Repeat, WaitReason::RepeatInterval)
            }
            (_, None) if is_looked_after => {
                NotificationDecision::Wait { until: None, reason: WaitReason::Acknowledged }
            }
            (_, None) => {
                NotificationDecision::Wait { until: None, reason: WaitReason::RepeatInterval }
            }
        }
    }

    fn again(&self, retry_at: Timestamp, is_told: bool, is_last: bool) -> NotificationDecision {
        let Moment { settings, pace, now } = self.moment;
        if let Some(end) = self.open.resolution {
            if is_told && !settings.send_resolved {
                return close(CloseReason::ResolvedNotWanted);
            }
            if now.since(end.seen_at) >= settings.give_up_after {
                return close(CloseReason::GaveUp);
            }
        }
        let is_due = match pace {
            Pace::Normal => now >= retry_at,
            Pace::Draining => !is_last || now >= retry_at,
        };
        match (is_due, self.open.resolution, self.hold()) {
            (_, None, Some(hold)) => held(hold),
            (false, ..) => wait(retry_at, WaitReason::Backoff),
            (true, None, None) => send(AlertStatus::Firing, SendReason::Retry),
            (true, Some(_), _) if is_told => send(AlertStatus::Resolved, SendReason::Retry),
            (true, Some(_), _) => send(AlertStatus::Resolved, SendReason::WholeStory),
        }
    }

    fn at(&self, due: Timestamp, why: SendReason, until_then: WaitReason) -> NotificationDecision {
        if self.moment.now >= due { send(AlertStatus::Firing, why) } else { wait(due, until_then) }
    }
}

fn send(status: AlertStatus, reason: SendReason) -> NotificationDecision {
    NotificationDecision::Send { status, reason }
}

fn wait(until: Timestamp, reason: WaitReason) -> NotificationDecision {
    NotificationDecision::Wait { until: Some(until), reason }
}

fn held(hold: &Hold) -> NotificationDecision {
    NotificationDecision::Wait { until: hold.until, reason: WaitReason::Held }
}

fn close(reason: CloseReason) -> NotificationDecision {
    NotificationDecision::Close { reason }
}

#[cfg(test)]
mod tests;
