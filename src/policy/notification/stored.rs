//! The book of alerts as essential state: what of it survives that falconer is killed, and how a
//! falconer takes over what it, or the leader before it, had told whom. Pure; saves nothing itself.
//!
//! One key for each open alert, `alert/<incident>`, with a small JSON text: what the incident is,
//! and where it stands at each receiver. What receivers are in reach is not kept: that is found out
//! soon enough.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{Alert, OpenAlert};
use super::book::AlertBook;
use super::delivery::{Delivery, Resolution};
use crate::model::state::of_kind;
use crate::model::{IncidentId, StateChanges, StoredState, Timestamp};

/// What the keys of alerts begin with.
const KIND: &str = "alert";
/// The form of the text; one that this version does not know is not read.
const FORM: u32 = 1;
/// Lines of evidence that are kept of one incident: the next report brings all of them again.
const MAX_DETAILS: usize = 8;
/// No text in an alert is longer when it is kept, in bytes.
const MAX_TEXT: usize = 300;
/// Why the newest attempt failed, where falconer ended during it.
const CUT_OFF: &str = "falconer ended while this was being sent";

/// One alert as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored<A> {
    form: u32,
    #[serde(flatten)]
    open: A,
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
        let touched = std::mem::take(&mut self.touched);
        touched.iter().map(|incident| (key(incident), self.text_of(incident))).collect()
    }

    /// Everything that is kept.
    pub fn export(&self) -> StoredState {
        let text = |incident| Some((key(incident), self.text_of(incident)?));
        self.alerts.keys().filter_map(text).collect()
    }

    fn text_of(&self, incident: &IncidentId) -> Option<String> {
        let open = shortened(self.alerts.get(incident)?.clone());
        serde_json::to_string(&Stored { form: FORM, open }).ok()
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
                self.touched.insert(own.clone());
                adopted.superseded.insert(own, incident.clone());
                // Whoever was told of it hears of its end; who was not never hears of it.
                other.alert.action = format!("goes on as {incident}, as it was called before");
                other.resolution.get_or_insert(Resolution { ended_at: now, seen_at: now });
                other.deliveries.retain(|_, delivery| is_told(delivery));
            }
            adopted.open.push(open.alert.clone());
        }
        self.touched.insert(incident.clone());
        self.alerts.insert(incident.clone(), open);
    }

    /// Forgets the alerts that were over before `at` and of which nobody was told here: another
    /// falconer, which leads, has told of them.
    pub fn forget_untold(&mut self, at: Timestamp) {
        let told_elsewhere = self.alerts.extract_if(.., |_, open| {
            open.resolution.is_some_and(|end| end.seen_at < at)
                && !open.deliveries.values().any(is_told)
        });
        let told_elsewhere: Vec<IncidentId> =
            told_elsewhere.map(|(incident, _)| incident).collect();
        self.touched.extend(told_elsewhere);
    }

    /// A message that was marked as being sent is not sent now after all.
    pub fn put_back(
        &mut self,
        incident: &IncidentId,
        receiver: &str,
        why: &str,
        retry_at: Timestamp,
    ) {
        let open = self.alerts.get_mut(incident);
        let Some(delivery) = open.and_then(|open| open.deliveries.get_mut(receiver)) else {
            return;
        };
        if let Delivery::Sending { .. } = delivery {
            *delivery = cut_off(delivery.clone(), why, retry_at);
            self.touched.insert(incident.clone());
        }
    }
}

/// Whether somebody was told, or may have been.
fn is_told(delivery: &Delivery) -> bool {
    !matches!(delivery, Delivery::Waiting { .. })
}

fn key(incident: &IncidentId) -> String {
    format!("{KIND}/{incident}")
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
    let Stored { form, mut open } = serde_json::from_str::<Stored<OpenAlert>>(text).ok()?;
    if form != FORM || key(&open.alert.incident) != stored_as {
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
        Delivery::Waiting { .. } | Delivery::Closed { .. } => delivery,
    }
}

fn cut_off(delivery: Delivery, why: &str, retry_at: Timestamp) -> Delivery {
    match delivery {
        Delivery::Sending { draft, failures, since, told, .. } => Delivery::Retrying {
            draft,
            failures,
            failed_at: since,
            retry_at,
            error: why.to_owned(),
            told,
            is_last: false,
        },
        Delivery::Waiting { .. }
        | Delivery::Delivered { .. }
        | Delivery::Retrying { .. }
        | Delivery::Closed { .. } => delivery,
    }
}

#[cfg(test)]
mod tests;
