//! Which message a receiver is sent next. Chooses; what a message says is put together in
//! `message.rs`, and what became of it is noted in `outcome.rs`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::{AlertBook, NextStep};
use super::decision::Moment;
use super::delivery::{NotificationDecision, Pace, SendReason};
use super::message::Choice;
use super::route::NotificationSettings;
use crate::model::{IncidentId, Severity, Timestamp};

/// The smallest goes first: by severity, news before reminders, by age.
type Rank = (Reverse<Severity>, bool, Timestamp);

/// A message that was tried and not accepted, as far as is known, and may be tried again: what of it
/// still is what is to be said.
#[derive(Debug)]
pub(super) struct Unit {
    /// The alerts of which it still says what is to be said.
    pub(super) members: BTreeSet<IncidentId>,
    /// The groups that it is about.
    pub(super) keys: BTreeSet<Arc<str>>,
    rank: Rank,
    reason: SendReason,
    /// Whether it tells anything that was not told.
    has_news: bool,
    /// Whether it said of other alerts what is not so any more.
    is_reduced: bool,
}

impl Unit {
    /// Whether it is not worth being sent: what was new in it is told otherwise now.
    pub(super) fn is_pointless(&self) -> bool {
        self.is_reduced && !self.has_news
    }
}

/// A group with something to say.
#[derive(Debug, Clone, Copy)]
struct Ready {
    rank: Rank,
    reason: SendReason,
}

/// Everything that may be sent to one receiver.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By when they were made; those that are due.
    pub(super) units: BTreeMap<Timestamp, Unit>,
    /// When messages were made of which something is not so any more.
    reduced: BTreeSet<Timestamp>,
    /// By the group's name.
    ready: BTreeMap<Arc<str>, Ready>,
    /// What is under way and goes on beside a new message.
    under_way: BTreeSet<IncidentId>,
    wake: Option<Timestamp>,
}

impl AlertBook {
    /// The next step for a receiver that has nothing in flight: the most severe message first,
    /// news before reminders, then the oldest. A message to send is marked as in flight.
    pub fn next(
        &mut self,
        receiver: &str,
        settings: &NotificationSettings,
        pace: Pace,
        now: Timestamp,
    ) -> NextStep {
        let moment = Moment { settings, pace, now };
        let survey = self.survey(receiver, moment);
        let mut wake = survey.wake;
        let (choice, paid_from) = self.choose(receiver, &survey, moment);
        if let Some(choice) = choice {
            if let Some(until) = self.receiver(receiver).blocked_for(settings, pace, now) {
                return NextStep::WaitUntil(until);
            }
            if let Some((notification, reason)) = self.begin(receiver, choice, &survey, moment) {
                self.receivers.entry(Arc::from(receiver)).or_default().circuit.begin(now);
                return NextStep::Send { notification: Box::new(notification), reason };
            }
        }
        wake = wake.into_iter().chain(paid_from).min();
        wake.map_or(NextStep::Idle, NextStep::WaitUntil)
    }

    fn survey(&self, receiver: &str, moment: Moment<'_>) -> Survey {
        let mut survey = Survey::default();
        for (incident, open) in self.open_at(receiver) {
            let Some(case) = self.case(open, receiver, moment) else { continue };
            let key = &open.groups[receiver];
            let ready = match case.decide() {
                NotificationDecision::Send { reason, .. } => {
                    let is_reminder = reason == SendReason::Repeat;
                    let rank = (Reverse(open.alert.severity), is_reminder, open.raised_at);
                    Ready { rank, reason }
                }
                NotificationDecision::Wait { until, .. } => {
                    survey.wake = survey.wake.into_iter().chain(until).min();
                    if let Some(draft) = case.delivery.draft() {
                        survey.under_way.insert(incident.clone());
                        // Held back, while the rest of its message may go.
                        survey.reduced.insert(draft.made_at);
                    }
                    continue;
                }
                NotificationDecision::Close { .. } => continue,
            };
            match case.delivery.draft() {
                Some(draft) if case.is_said_by(draft) => {
                    let is_news = draft.is_news(case.delivery.told());
                    survey.again(draft.made_at, incident, key, ready, is_news);
                }
                Some(draft) => {
                    survey.reduced.insert(draft.made_at);
                    survey.note(key, ready);
                }
                None => survey.note(key, ready),
            }
        }
        survey.finish();
        survey
    }

    /// What to send now, if anything, and when more may be sent, where the receiver has got as many
    /// messages as it should.
    fn choose(
        &mut self,
        receiver: &str,
        survey: &Survey,
        moment: Moment<'_>,
    ) -> (Option<Choice>, Option<Timestamp>) {
        let Moment { settings, pace, now } = moment;
        let state = self.receivers.entry(Arc::from(receiver)).or_default();
        let again = survey.units.iter().filter(|(_, unit)| !unit.is_pointless());
        let again = again.min_by_key(|(made_at, unit)| (unit.rank, **made_at));
        let ready = survey.free();
        let limit = match pace {
            Pace::Normal => settings.limit(receiver),
            Pace::Draining => None,
        };
        let blocked = limit.and_then(|limit| limit.wait(state.spent, now));
        state.is_limited = !ready.is_empty() && (blocked.is_some() || state.is_limited);
        let anew = ready.iter().min_by_key(|(_, one)| one.rank).filter(|_| blocked.is_none());
        let choice = match (again, anew) {
            (Some((made_at, unit)), other)
                if other.is_none_or(|(_, one)| unit.rank <= one.rank) =>
            {
                Some(Choice::Again { made_at: *made_at, reason: unit.reason })
            }
            (_, Some((key, _))) => {
                let policy = settings.policy(receiver);
                let is_fit = !policy.keeps_current && policy.resend_every.is_none();
                let is_digest = is_fit && state.is_limited;
                let parts = ready.iter().filter(|(other, _)| is_digest || *other == key);
                let keys = parts.clone().map(|(key, _)| Arc::clone(key)).collect();
                let reason = parts.map(|(_, one)| one.reason).min_by_key(|reason| weight(*reason));
                reason.map(|reason| Choice::Anew { keys, reason, limit })
            }
            (_, None) => None,
        };
        (choice, blocked.filter(|_| state.is_limited))
    }
}

/// Which of several reasons a message is sent for; the smallest counts.
const fn weight(reason: SendReason) -> u8 {
    match reason {
        SendReason::First => 0,
        SendReason::Escalated => 1,
        SendReason::WholeStory => 2,
        SendReason::Resolved => 3,
        SendReason::Changed => 4,
        SendReason::Abandoned => 5,
        SendReason::Retry => 6,
        SendReason::Resent => 7,
        SendReason::Repeat => 8,
    }
}

fn stronger(one: SendReason, other: SendReason) -> SendReason {
    if weight(other) < weight(one) { other } else { one }
}

impl Survey {
    /// Something of a group is to be told in a new message.
    fn note(&mut self, key: &Arc<str>, ready: Ready) {
        let known = self.ready.entry(Arc::clone(key)).or_insert(ready);
        known.rank = known.rank.min(ready.rank);
        known.reason = stronger(known.reason, ready.reason);
    }

    /// Something of a message that was tried before is to be said as it was.
    fn again(
        &mut self,
        made_at: Timestamp,
        incident: &IncidentId,
        key: &Arc<str>,
        ready: Ready,
        is_news: bool,
    ) {
        let Ready { rank, reason } = ready;
        let unit = self.units.entry(made_at).or_insert_with(|| Unit {
            members: BTreeSet::new(),
            keys: BTreeSet::new(),
            rank,
            reason,
            has_news: false,
            is_reduced: false,
        });
        unit.members.insert(incident.clone());
        unit.keys.insert(Arc::clone(key));
        unit.rank = unit.rank.min(rank);
        unit.reason = stronger(unit.reason, reason);
        unit.has_news |= is_news;
    }

    /// Decides which messages are tried again.
    fn finish(&mut self) {
        for (made_at, unit) in &mut self.units {
            unit.is_reduced = self.reduced.contains(made_at);
            if !unit.is_pointless() {
                self.under_way.extend(unit.members.iter().cloned());
            }
        }
    }

    /// The groups that may speak now: what was tried before goes first, and news follow it.
    fn free(&self) -> BTreeMap<&Arc<str>, Ready> {
        let again = self.units.values().filter(|unit| !unit.is_pointless());
        let busy: BTreeSet<&Arc<str>> = again.flat_map(|unit| &unit.keys).collect();
        let free = self.ready.iter().filter(|(key, _)| !busy.contains(key));
        free.map(|(key, ready)| (key, *ready)).collect()
    }

    /// Whether what is under way about it goes on beside a new message.
    pub(super) fn is_under_way(&self, incident: &IncidentId) -> bool {
        self.under_way.contains(incident)
    }
}
