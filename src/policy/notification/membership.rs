//! Which alert belongs to which group at which receiver, and when a group begins and ends. Tells
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::alert::OpenAlert;
use super::book::{AlertBook, Touched};
use super::decision::{Case, Moment};
use super::delivery::Delivery;
use super::group::Group;
use super::route::NotificationSettings;
use super::routing::Place;
use crate::model::{AlertStatus, IncidentId, Timestamp};

/// The groups of each receiver, by their names.
pub(super) type Groups = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Group>>;

/// What can be seen of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// Who is told of it.
    pub receiver: Arc<str>,
    /// When it is told.
    #[serde(flatten)]
    pub group: Group,
    /// Its alerts that go on.
    pub firing: usize,
    /// Those of them that are held back.
    pub held: usize,
    /// Its next flush.
    pub next_flush: Timestamp,
    /// The next reminder, if nothing new happens.
    pub next_reminder: Option<Timestamp>,
}

impl AlertBook {
    /// Everything about one alert at one receiver; `None` where it is not told there.
    pub(super) fn case<'a>(
        &'a self,
        open: &'a OpenAlert,
        receiver: &str,
        moment: Moment<'a>,
    ) -> Option<Case<'a>> {
        let (delivery, key) = (open.deliveries.get(receiver)?, open.groups.get(receiver)?);
        Some(Case {
            open,
            delivery,
            held: open.held.get(receiver),
            group: self.groups.get(receiver)?.get(key)?,
            policy: moment.settings.policy(receiver),
            moment,
        })
    }

    /// Makes an alert a member of a group at a receiver, which begins where it is not there. Gives
    /// when what is new about the alert is due.
    pub(super) fn join(
        &mut self,
        incident: &IncidentId,
        receiver: &Arc<str>,
        place: &Place,
        now: Timestamp,
    ) -> Timestamp {
        let Some(open) = self.alerts.get_mut(incident) else { return now };
        open.groups.insert(Arc::clone(receiver), Arc::clone(&place.key));
        let group_wait = place.timing.group_wait;
        let waited = open.alert.started_at + group_wait < now;
        let is_alone = self.others(receiver, &place.key, incident).next().is_none();
        let groups = self.groups.entry(Arc::clone(receiver)).or_default();
        let group = groups
            .entry(Arc::clone(&place.key))
            .or_insert_with(|| Group::new(place, now + group_wait));
        if is_alone && group.base <= now {
            *group = Group::new(place, now + group_wait);
        }
        group.timing = Some(place.timing);
        // As Alertmanager does: an alert that began long ago has waited long enough.
        let is_early = waited && group.base > now;
        if is_early {
            group.base = now;
        }
        let due = group.flush_from(now);
        self.touched.group(receiver, &place.key);
        if is_early {
            self.flush_waiting(receiver, &place.key, now);
        }
        due
    }

    /// What is worse than all else that is told in its group waits for `group_wait` only: trouble that
    /// matters more waits for no flush that lesser trouble has set.
    pub(super) fn hurry(&mut self, incident: &IncidentId, receiver: &Arc<str>, now: Timestamp) {
        let Some(open) = self.alerts.get(incident) else { return };
        let Some(key) = open.groups.get(receiver) else { return };
        let group = self.groups.get(receiver).and_then(|groups| groups.get(key));
        let Some(timing) = group.and_then(|group| group.timing) else { return };
        let severity = open.alert.severity;
        let soon = now.max(open.raised_at + timing.group_wait);
        // What is held back sets no flush that could be waited for.
        let others = self.others(receiver, key, incident);
        let others = others.filter(|open| !open.is_held(receiver)).map(|open| open.alert.severity);
        let Some(worst) = others.max() else { return };
        let Some(open) = self.alerts.get_mut(incident) else { return };
        if severity > worst
            && let Some(Delivery::Waiting { due }) = open.deliveries.get_mut(receiver)
            && *due > soon
        {
            *due = soon;
            self.touched.incident(incident);
        }
    }

    /// The alerts that keep the group alive, this one aside.
    fn others(
        &self,
        receiver: &str,
        key: &Arc<str>,
        but: &IncidentId,
    ) -> impl Iterator<Item = &OpenAlert> {
        let lives = move |(incident, open): &(&IncidentId, &OpenAlert)| {
            *incident != but && open.groups.get(receiver) == Some(key)
        };
        self.open_at(receiver).filter(lives).map(|(_, open)| open)
    }

    /// What waits for the group's first flush is due now.
    fn flush_waiting(&mut self, receiver: &str, key: &Arc<str>, now: Timestamp) {
        let members =
            self.alerts.values_mut().filter(|open| open.groups.get(receiver) == Some(key));
        for open in members {
            if let Some(Delivery::Waiting { due }) = open.deliveries.get_mut(receiver)
                && *due > now
            {
                *due = now;
                self.touched.incident(&open.alert.incident);
            }
        }
    }

    /// Finds a group for whatever has none: what an older falconer has kept, or what only this
    /// incarnation forgets, such as intervals.
    pub(super) fn join_all(&mut self, settings: &NotificationSettings, now: Timestamp) {
        let mut strays = Vec::new();
        for (incident, open) in &self.alerts {
            for (receiver, delivery) in &open.deliveries {
                let key = open.groups.get(receiver);
                let group = key.and_then(|key| self.groups.get(receiver)?.get(key));
                if group.is_none_or(|group| group.timing.is_none()) {
                    strays.push((incident.clone(), Arc::clone(receiver), delivery.clone()));
                }
            }
        }
        for (incident, receiver, delivery) in strays {
            self.take_in(&incident, &receiver, &delivery, settings, now);
        }
    }

    fn take_in(
        &mut self,
        incident: &IncidentId,
        receiver: &Arc<str>,
        delivery: &Delivery,
        settings: &NotificationSettings,
        now: Timestamp,
    ) {
        let Some(open) = self.alerts.get_mut(incident) else { return };
        let alert = &open.alert;
        let place = Some(settings.place_at(receiver, &alert.component, alert.severity));
        // Where it was told it stays, whatever routes say now.
        let key = open.groups.get(receiver).cloned();
        let key = key.or_else(|| place.as_ref().map(|place| Arc::clone(&place.key)));
        let key = key.unwrap_or_else(|| "all".into());
        let fitting = place.as_ref().filter(|place| place.key == key);
        let timing = fitting.map_or_else(|| settings.timing(), |place| place.timing);
        open.groups.insert(Arc::clone(receiver), Arc::clone(&key));
        let labels = fitting.map(|place| place.labels.clone()).unwrap_or_default();
        let groups = self.groups.entry(Arc::clone(receiver)).or_default();
        let base = match delivery {
            Delivery::Waiting { due } => *due,
            Delivery::Sending { .. } | Delivery::Delivered { .. } | Delivery::Retrying { .. } => {
                now
            }
        };
        let place = Place { key: Arc::clone(&key), labels, timing };
        let group = groups.entry(Arc::clone(&key)).or_insert_with(|| Group::new(&place, base));
        group.timing.get_or_insert(timing);
        if group.thread.is_none() {
            // What an older falconer has told had no thread.
            group.told_at = group.told_at.max(delivery.told().map(|told| told.at));
        }
        self.touched.incident(incident);
        self.touched.group(receiver, &key);
    }

    /// Notes which groups ask for reminders, and forgets those of which all alerts are over.
    pub(super) fn look_at_groups(&mut self, now: Timestamp) {
        let mut living: BTreeSet<(&Arc<str>, &Arc<str>)> = BTreeSet::new();
        let mut reminding: BTreeSet<(&Arc<str>, &Arc<str>)> = BTreeSet::new();
        for open in self.alerts.values() {
            for (receiver, delivery) in &open.deliveries {
                let Some(key) = open.groups.get(receiver) else { continue };
                living.insert((receiver, key));
                let asks = delivery.told().is_some()
                    && open.resolution.is_none()
                    && open.acknowledged.is_none()
                    && !open.is_held(receiver);
                if asks {
                    reminding.insert((receiver, key));
                }
            }
        }
        for (receiver, groups) in &mut self.groups {
            groups.retain(|key, group| {
                if reminding.contains(&(receiver, key)) {
                    group.reminds_since.get_or_insert(now);
                } else {
                    group.reminds_since = None;
                }
                let keep = living.contains(&(receiver, key)) || group.base > now;
                if !keep {
                    self.touched.group(receiver, key);
                }
                keep
            });
        }
        self.groups.retain(|_, groups| !groups.is_empty());
    }

    /// How many alerts of the groups go on at the receiver, as far as it was told, but for those of
    /// which a message that is made now says otherwise.
    pub(super) fn told_firing(
        &self,
        receiver: &str,
        keys: &BTreeSet<Arc<str>>,
        saying: &BTreeMap<IncidentId, AlertStatus>,
    ) -> usize {
        let goes_on = |(_, open): &(&IncidentId, &OpenAlert)| {
            let is_member = open.groups.get(receiver).is_some_and(|key| keys.contains(key));
            // What was tried may have been told without our knowing it.
            let told = || {
                let delivery = open.deliveries.get(receiver);
                delivery.is_some_and(|one| one.told().is_some() || one.draft().is_some())
            };
            is_member
                && match saying.get(&open.alert.incident) {
                    Some(status) => *status == AlertStatus::Firing,
                    None => told(),
                }
        };
        self.open_at(receiver).filter(goes_on).count()
    }

    /// All groups, for the status.
    pub fn groups(&self, now: Timestamp) -> Vec<GroupView> {
        let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
        for open in self.alerts.values().filter(|open| open.resolution.is_none()) {
            for (receiver, key) in &open.groups {
                let (firing, held) = counts.entry((receiver, key)).or_default();
                *firing += 1;
                *held += usize::from(open.is_held(receiver));
            }
        }
        let all = self.groups.iter().flat_map(|(receiver, groups)| {
            groups.iter().map(move |(key, group)| (receiver, key, group))
        });
        let view = |(receiver, key, group): (&Arc<str>, &Arc<str>, &Group)| {
            let (firing, held) = counts.get(&(&**receiver, &**key)).copied().unwrap_or_default();
            GroupView {
                receiver: Arc::clone(receiver),
                group: group.clone(),
                firing,
                held,
                next_flush: group.flush_from(now),
                next_reminder: group.reminder(),
            }
        };
        all.map(view).collect()
    }
}

/// What has changed since it was last saved.
impl Touched {
    pub(super) fn group(&mut self, receiver: &Arc<str>, key: &Arc<str>) {
        self.groups.insert((Arc::clone(receiver), Arc::clone(key)));
    }

    pub(super) fn incident(&mut self, incident: &IncidentId) {
        self.incidents.insert(incident.clone());
    }
}
