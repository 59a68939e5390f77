//! The book of alerts as essential state: what of it survives that falconer is killed, and how a
//! falconer takes over what it, or the leader before it, had told whom. Pure; saves nothing itself.
//!
//! One key for each open alert, `alert/<incident>`, with a small JSON text: what the incident is,
//! and where it stands at each receiver; and one for each group, `group/<receiver>/<group>`: when it
//! is told, and how its present matter is called. What receivers are in reach is not kept: that is found out
//! soon enough.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert::{Alert, OpenAlert};
use super::book::{AlertBook, Touched};
use super::delivery::{Delivery, Resolution};
use super::group::Group;
use super::listeners::Listeners;
use super::outcome::cut_off;
use crate::model::state::of_kind;
use crate::model::{IncidentId, StateChanges, StoredState, Timestamp};

/// What the keys of alerts begin with.
const KIND: &str = "alert";
/// What the keys of groups begin with.
const GROUP_KIND: &str = "group";
/// The form of an alert's text; one that this version does not know is not read.
const FORM: u32 = 3;
/// The form in which deliveries were listed too of which nothing was left to be said.
const FORM_WITH_CLOSED_DELIVERIES: u32 = 2;
/// The form before there were groups: everything in it means the same.
const FORM_WITHOUT_GROUPS: u32 = 1;
/// The form of a group's text.
const GROUP_FORM: u32 = 1;
/// No group flushes for the first time later than this after it began.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Lines of evidence that are kept of one incident: the next report brings all of them again.
const MAX_DETAILS: usize = 8;
/// No text in an alert is longer when it is kept, in bytes.
const MAX_TEXT: usize = 300;
/// Why the newest attempt failed, where falconer ended during it.
const CUT_OFF: &str = "falconer ended while this was being sent";

/// One alert or group as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored<A> {
    form: u32,
    #[serde(flatten)]
    kept: A,
}

/// What came of taking a stored book over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adopted {
    /// The alerts that were taken over and are not over.
    pub open: Vec<Alert>,
    /// Incidents of this falconer that people know by another name: the one that was taken over.
    pub superseded: BTreeMap<IncidentId, IncidentId>,
    /// Keys whose text makes no sense.
    pub unreadable: Vec<String>,
}

impl AlertBook {
    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> StateChanges {
        let Touched { incidents, groups } = std::mem::take(&mut self.touched);
        let alerts = incidents.iter().map(|incident| (key(incident), self.text_of(incident)));
        let groups = groups.iter().map(|(receiver, group)| {
            (group_key(receiver, group), self.group_text(receiver, group))
        });
        alerts.chain(groups).collect()
    }

    /// Everything that is kept.
    pub fn export(&self) -> StoredState {
        let text = |incident| Some((key(incident), self.text_of(incident)?));
        let alerts = self.alerts.keys().filter_map(text);
        let groups = self.groups.iter().flat_map(|(receiver, groups)| {
            let kept = |name: &Arc<str>| {
                Some((group_key(receiver, name), self.group_text(receiver, name)?))
            };
            groups.keys().filter_map(kept).collect::<Vec<_>>()
        });
        alerts.chain(groups).collect()
    }

    fn text_of(&self, incident: &IncidentId) -> Option<String> {
        let kept = shortened(self.alerts.get(incident)?.clone());
        serde_json::to_string(&Stored { form: FORM, kept }).ok()
    }

    fn group_text(&self, receiver: &str, group: &str) -> Option<String> {
        let kept = self.groups.get(receiver)?.get(group)?;
        serde_json::to_string(&Stored { form: GROUP_FORM, kept }).ok()
    }

    /// Takes over what was told of `stored`, which counts more than what is in the book: it was told
    /// by a falconer that is no more. Other keys are not looked at.
    ///
    /// A message that was being sent is sent again at once, as the same message, for nobody knows
    /// whether it arrived. An alert of the book about a component of which the stored book knows an
    /// open one is the same matter under another name: it ends.
    pub fn adopt(&mut self, stored: &StoredState, now: Timestamp) -> Adopted {
        let mut adopted = Adopted::default();
        for (key, text) in of_kind(stored, KIND) {
            match read(key, text, now) {
                Some(open) => self.take_over(open, &mut adopted, now),
                None => adopted.unreadable.push(key.clone()),
            }
        }
        for (key, text) in of_kind(stored, GROUP_KIND) {
            match read_group(key, text, now) {
                Some((receiver, name, group)) => {
                    self.touched.group(&receiver, &name);
                    self.groups.entry(receiver).or_default().insert(name, group);
                }
                None => adopted.unreadable.push(key.clone()),
            }
        }
        self.listeners = Listeners::of(&self.alerts);
        adopted
    }

    fn take_over(&mut self, open: OpenAlert, adopted: &mut Adopted, now: Timestamp) {
        let (incident, component) = (&open.alert.incident, &open.alert.component);
        if open.resolution.is_none() {
            let is_same = |other: &OpenAlert| {
                other.alert.component == *component && other.alert.incident != *incident
            };
            for other in self.alerts.values_mut().filter(|other| is_same(other)) {
                let own = other.alert.incident.clone();
                self.touched.incident(&own);
                adopted.superseded.insert(own, incident.clone());
                // Whoever was told of it hears of its end; who was not never hears of it.
                other.alert.action = format!("goes on as {incident}, as it was called before");
                other.resolution.get_or_insert(Resolution { ended_at: now, seen_at: now });
                other.deliveries.retain(|_, delivery| is_told(delivery));
            }
            adopted.open.push(open.alert.clone());
        }
        self.touched.incident(incident);
        self.alerts.insert(incident.clone(), open);
    }
}

/// Whether somebody was told, or may have been.
fn is_told(delivery: &Delivery) -> bool {
    !matches!(delivery, Delivery::Waiting { .. })
}

fn key(incident: &IncidentId) -> String {
    format!("{KIND}/{incident}")
}

fn group_key(receiver: &str, group: &str) -> String {
    format!("{GROUP_KIND}/{receiver}/{group}")
}

/// Without what would make it large.
fn shortened(mut open: OpenAlert) -> OpenAlert {
    let Alert { title, details, action, affects, seen, look_closer, .. } = &mut open.alert;
    details.truncate(MAX_DETAILS);
    // The next report brings these anew.
    (*affects, *seen, *look_closer) = (Vec::new(), Vec::new(), Vec::new());
    for text in details.iter_mut().chain([title, action]) {
        shorten(text);
    }
    for delivery in open.deliveries.values_mut() {
        if let Delivery::Retrying { error, .. } = delivery {
            shorten(error);
        }
    }
    open
}

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT - '…'.len_utf8()));
        text.push('…');
    }
}

/// `None` where the text makes no sense.
fn read(stored_as: &str, text: &str, now: Timestamp) -> Option<OpenAlert> {
    let kept = brought_forward(serde_json::from_str(text).ok()?)?;
    let mut open = serde_json::from_value::<OpenAlert>(kept).ok()?;
    if key(&open.alert.incident) != stored_as {
        return None;
    }
    open = shortened(open);
    // A clock that was wrong must not keep people from being told.
    open.raised_at = open.raised_at.min(now);
    if let Some(end) = &mut open.resolution {
        end.seen_at = end.seen_at.min(now);
    }
    for delivery in open.deliveries.values_mut() {
        *delivery = resumed(delivery.clone(), now);
    }
    Some(open.after_absence(now))
}

/// An alert that was kept in this or an earlier form, in this one.
fn brought_forward(mut kept: Value) -> Option<Value> {
    match u32::try_from(kept.get("form")?.as_u64()?).ok()? {
        FORM => {}
        FORM_WITH_CLOSED_DELIVERIES | FORM_WITHOUT_GROUPS => {
            let deliveries = std::mem::take(kept.get_mut("deliveries")?.as_object_mut()?);
            let is_closed = |(_, one): &(String, Value)| one["state"] == "closed";
            let (closed, open): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(is_closed);
            let reason = |(receiver, one): (String, Value)| (receiver, one["reason"].clone());
            kept["closed"] = closed.into_iter().map(reason).collect();
            kept["deliveries"] = open.into_iter().collect();
        }
        _ => return None,
    }
    Some(kept)
}

/// `None` where the text makes no sense.
fn read_group(stored_as: &str, text: &str, now: Timestamp) -> Option<(Arc<str>, Arc<str>, Group)> {
    let Stored { form, kept } = serde_json::from_str::<Stored<Group>>(text).ok()?;
    let (kind, rest) = stored_as.split_once('/')?;
    let (receiver, name) = rest.split_once('/')?;
    let is_known = form == GROUP_FORM && kind == GROUP_KIND;
    is_known.then(|| (receiver.into(), name.into(), kept.not_after(now, LONGEST_WAIT)))
}

/// Where it goes on after the end of the falconer that began it.
fn resumed(delivery: Delivery, now: Timestamp) -> Delivery {
    match delivery {
        Delivery::Sending { .. } => cut_off(delivery, CUT_OFF, now),
        Delivery::Retrying { draft, failures, failed_at, error, told, .. } => {
            // Whoever could not be reached from there may be in reach from here.
            let (retry_at, is_last) = (now, false);
            Delivery::Retrying { draft, failures, failed_at, retry_at, error, told, is_last }
        }
        Delivery::Delivered { mut told } => {
            told.at = told.at.min(now);
            Delivery::Delivered { told }
        }
        Delivery::Waiting { .. } => delivery,
    }
}

#[cfg(test)]
mod tests;
