//! What one message says: which alerts of which groups, in which order, and how many are left out
//! because a message is bounded. Marks them as in flight; sends nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::book::AlertBook;
use super::decision::Moment;
use super::delivery::{Delivery, Draft, Pace, SendReason, Told};
use super::limit::RateLimit;
use super::outcome::cut_off;
use super::sending::{Survey, Unit};
use crate::model::{AlertMessage, AlertStatus, IncidentId, Notification, Severity, Timestamp};

/// Alerts that one message tells of in words; how many more there are it says.
pub const MAX_ALERTS: usize = 100;
/// Lines of evidence of one message, shared by its alerts.
const MAX_LINES: usize = 200;
/// Lines of evidence of one alert, at most and at least.
const LINES_EACH: (usize, usize) = (2, 40);

/// What a digest is called where others bear the name of their group.
const DIGEST: &str = "digest";
/// Why something is not in flight any more.
const LEFT_BEHIND: &str = "the message was sent without it";

/// What to send.
#[derive(Debug)]
pub(super) enum Choice {
    /// The same message once more.
    Again { made_at: Timestamp, reason: SendReason },
    /// A new one about these groups; `limit` counts it.
    Anew { keys: BTreeSet<Arc<str>>, reason: SendReason, limit: Option<RateLimit> },
}

/// One alert in a message.
struct Member {
    incident: IncidentId,
    draft: Draft,
    told: Option<Told>,
    started_at: Timestamp,
    key: Arc<str>,
}

impl Member {
    fn is_news(&self) -> bool {
        self.draft.is_news(self.told)
    }

    /// The smallest matters most: what fires, the worst, the oldest.
    fn importance(&self) -> (bool, Reverse<Severity>, Timestamp, IncidentId) {
        let is_over = self.draft.status == AlertStatus::Resolved;
        (is_over, Reverse(self.draft.severity), self.started_at, self.incident.clone())
    }
}

impl AlertBook {
    /// Marks the chosen message as in flight and writes it; `None` where nothing is to be said.
    pub(super) fn begin(
        &mut self,
        receiver: &str,
        choice: Choice,
        survey: &Survey,
        moment: Moment<'_>,
    ) -> Option<(Notification, SendReason)> {
        let (members, keys, made_at, reason) = match choice {
            Choice::Again { made_at, reason } => {
                let unit = survey.units.get(&made_at)?;
                self.release(receiver, moment.now, |incident, draft| {
                    draft.made_at == made_at && !unit.members.contains(incident)
                });
                (self.members_of(receiver, made_at), unit.keys.clone(), made_at, reason)
            }
            Choice::Anew { keys, reason, limit } => {
                let made_at = self.new_instant(receiver, survey, moment.now);
                let members = self.compose(receiver, &keys, made_at, survey, moment);
                if members.is_empty() {
                    return None;
                }
                let state = self.receivers.entry(Arc::from(receiver)).or_default();
                state.made_at = made_at;
                if let Some(limit) = limit {
                    state.spent = limit.spend(state.spent, moment.now);
                }
                let taken: BTreeSet<&IncidentId> =
                    members.iter().map(|one| &one.incident).collect();
                self.release(receiver, moment.now, |incident, draft| {
                    let unit = survey.units.get(&draft.made_at);
                    unit.is_some_and(Unit::is_pointless) && !taken.contains(incident)
                });
                (members, keys, made_at, reason)
            }
        };
        self.mark(receiver, &members, moment);
        let message = self.write(receiver, members, &keys, made_at, moment)?;
        Some((message, reason))
    }

    /// An instant that is no other message's.
    fn new_instant(&self, receiver: &str, survey: &Survey, now: Timestamp) -> Timestamp {
        const STEP: Duration = Duration::from_millis(1);
        let newest = self.receivers.get(receiver).map(|state| state.made_at).unwrap_or_default();
        let mut instant = now.max(newest + STEP);
        while survey.units.contains_key(&instant) {
            instant = instant + STEP;
        }
        instant
    }

    /// The alerts of a message that was tried before.
    fn members_of(&self, receiver: &str, made_at: Timestamp) -> Vec<Member> {
        let member = |(incident, open): (&IncidentId, &super::OpenAlert)| {
            let delivery = open.deliveries.get(receiver)?;
            Some(Member {
                incident: incident.clone(),
                draft: delivery.draft().filter(|one| one.made_at == made_at && !one.is_void)?,
                told: delivery.told(),
                started_at: open.alert.started_at,
                key: Arc::clone(open.groups.get(receiver)?),
            })
        };
        self.open_at(receiver).filter_map(member).collect()
    }

    /// The alerts of a new message: all news of its groups, and as much of what else goes on there
    /// as there is room for.
    fn compose(
        &self,
        receiver: &str,
        keys: &BTreeSet<Arc<str>>,
        made_at: Timestamp,
        survey: &Survey,
        moment: Moment<'_>,
    ) -> Vec<Member> {
        let is_digest = keys.len() > 1;
        let mut members = Vec::new();
        for (incident, open) in self.open_at(receiver) {
            let Some(case) = self.case(open, receiver, moment) else { continue };
            let key = &open.groups[receiver];
            if !keys.contains(key) || survey.is_under_way(incident) {
                continue;
            }
            let Some(draft) = case.said(made_at, is_digest) else { continue };
            let (incident, told) = (incident.clone(), case.delivery.told());
            let (started_at, key) = (open.alert.started_at, Arc::clone(key));
            members.push(Member { incident, draft, told, started_at, key });
        }
        if moment.settings.policy(receiver).resend_every.is_some() {
            // Who has to be told everything again gets the rest in the next message.
            members.sort_by_key(|one| (!one.is_news(), one.told.map(|told| told.at)));
            members.truncate(MAX_ALERTS);
            return members;
        }
        let newsy: BTreeSet<Arc<str>> =
            members.iter().filter(|one| one.is_news()).map(|one| Arc::clone(&one.key)).collect();
        members.retain(|one| !is_digest || one.is_news() || !newsy.contains(&one.key));
        members.sort_by_key(|one| (!one.is_news(), one.importance()));
        let news = members.iter().filter(|one| one.is_news()).count();
        members.truncate(news.max(MAX_ALERTS));
        members
    }

    /// What a message leaves behind is as it was before, or waits for a message of its own.
    fn release(
        &mut self,
        receiver: &str,
        now: Timestamp,
        is_left: impl Fn(&IncidentId, &Draft) -> bool,
    ) {
        let left = self.open_at(receiver).filter(|(incident, open)| {
            let draft = open.deliveries.get(receiver).and_then(Delivery::draft);
            draft.is_some_and(|draft| is_left(incident, &draft))
        });
        let left: Vec<IncidentId> = left.map(|(incident, _)| incident.clone()).collect();
        for incident in &left {
            let open = self.alerts.get_mut(incident);
            let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
                continue;
            };
            *delivery = match delivery.told() {
                Some(told) => Delivery::Delivered { told },
                None => cut_off(delivery.clone(), LEFT_BEHIND, now),
            };
            if let Delivery::Retrying { draft, .. } = delivery {
                draft.is_void = true;
            }
            self.touched.incident(incident);
        }
    }

    fn mark(&mut self, receiver: &str, members: &[Member], moment: Moment<'_>) {
        let is_last = moment.pace == Pace::Draining;
        for Member { incident, draft, told, .. } in members {
            let open = self.alerts.get_mut(incident);
            let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
                continue;
            };
            let (known, failures, _) = delivery.progress();
            let is_same = known.is_some_and(|known| known.made_at == draft.made_at);
            *delivery = Delivery::Sending {
                draft: *draft,
                failures: if is_same { failures } else { 0 },
                since: moment.now,
                told: *told,
                is_last,
            };
            self.touched.incident(incident);
        }
    }

    fn write(
        &mut self,
        receiver: &str,
        mut members: Vec<Member>,
        keys: &BTreeSet<Arc<str>>,
        made_at: Timestamp,
        moment: Moment<'_>,
    ) -> Option<Notification> {
        let saying: BTreeMap<IncidentId, AlertStatus> =
            members.iter().map(|one| (one.incident.clone(), one.draft.status)).collect();
        let is_digest = members.first()?.draft.is_digest;
        let still_firing = self.told_firing(receiver, keys, &saying);
        members.sort_by_key(|one| (!one.is_news(), one.importance()));
        let rest = members.split_off(members.len().min(MAX_ALERTS));
        members.sort_by_key(Member::importance);
        let (least, most) = LINES_EACH;
        let lines = (MAX_LINES / members.len()).clamp(least, most);
        let said = |one: &Member| {
            let mut said = self.alerts.get(&one.incident)?.said(one.draft, one.is_news(), lines);
            said.affects = self.affected_by(&one.incident, receiver);
            Some(said)
        };
        let mut alerts: Vec<AlertMessage> = members.iter().filter_map(said).collect();
        if alerts.is_empty() {
            return None;
        }
        let is_complete = is_digest || moment.settings.policy(receiver).resend_every.is_some();
        let omitted = if is_complete { 0 } else { self.omitted(receiver, keys, &saying) };
        let others = alerts.split_off(1);
        let (thread, reference) = self.thread(receiver, keys, made_at, is_digest);
        Some(Notification {
            id: id(receiver, keys, is_digest, made_at),
            thread,
            group: self.common_labels(receiver, keys),
            is_digest,
            lead: alerts.pop()?,
            others,
            left_out: rest.len() + omitted,
            still_firing,
            reference,
            sent_at: made_at,
        })
    }

    /// How many alerts of the groups go on and would be in the message, had it room for them.
    fn omitted(
        &self,
        receiver: &str,
        keys: &BTreeSet<Arc<str>>,
        saying: &BTreeMap<IncidentId, AlertStatus>,
    ) -> usize {
        let is_omitted = |(incident, open): &(&IncidentId, &super::OpenAlert)| {
            open.groups.get(receiver).is_some_and(|key| keys.contains(key))
                && open.resolution.is_none()
                && !open.is_held(receiver)
                && matches!(open.deliveries.get(receiver), Some(Delivery::Delivered { .. }))
                && !saying.contains_key(*incident)
        };
        self.open_at(receiver).filter(is_omitted).count()
    }

    /// The thread of the message, which begins with it where there is none; a digest is one of its
    /// own.
    fn thread(
        &mut self,
        receiver: &str,
        keys: &BTreeSet<Arc<str>>,
        made_at: Timestamp,
        is_digest: bool,
    ) -> (Arc<str>, Option<Arc<str>>) {
        let key = keys.first().filter(|_| !is_digest);
        let groups = self.groups.get_mut(receiver);
        let Some((key, group)) = key.and_then(|key| Some((key, groups?.get_mut(key)?))) else {
            return (format!("{receiver}/{DIGEST}@{made_at}").into(), None);
        };
        if group.thread.is_none() {
            group.thread = Some(format!("{receiver}/{key}@{made_at}").into());
            self.touched.groups.insert((Arc::from(receiver), Arc::clone(key)));
        }
        (group.thread.clone().unwrap_or_default(), group.reference.clone())
    }

    fn common_labels(&self, receiver: &str, keys: &BTreeSet<Arc<str>>) -> BTreeMap<String, String> {
        let groups = self.groups.get(receiver);
        let mut all = keys.iter().filter_map(|key| groups?.get(key)).map(|group| &group.labels);
        let mut common = all.next().cloned().unwrap_or_default();
        for labels in all {
            common.retain(|name, value| labels.get(name) == Some(value));
        }
        common
    }
}

/// Does not depend on what has become of other messages since this one was made.
fn id(receiver: &str, keys: &BTreeSet<Arc<str>>, is_digest: bool, made_at: Timestamp) -> Arc<str> {
    let key = keys.first().filter(|_| !is_digest);
    let about = key.map_or(DIGEST, |key| &**key);
    format!("{receiver}/{about}/{}", made_at.as_millis()).into()
}
