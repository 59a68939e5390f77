//! Holds back what people want to hear nothing of: what is silenced, what is in a maintenance window,
//! what a mute time of its route keeps away, and reminders of what somebody looks after.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alert::OpenAlert;
use super::book::AlertBook;
use super::delivery::Delivery;
use super::hold::{Hold, HoldKind, Holds};
use super::route::NotificationSettings;
use crate::model::{Held, Timestamp};
use crate::policy::quiet::InForce;
use crate::policy::silence::SilenceBook;

/// What holds at one instant.
#[derive(Debug, Clone)]
pub struct QuietHolds<'a> {
    settings: &'a NotificationSettings,
    in_force: InForce,
    /// The mute times that it is, each with its end.
    muted: BTreeMap<&'a str, Timestamp>,
}

impl<'a> QuietHolds<'a> {
    /// What holds at `now`.
    pub fn at(settings: &'a NotificationSettings, silences: &SilenceBook, now: Timestamp) -> Self {
        let in_force = InForce::at(&settings.maintenance, silences, Held::Alerts, now);
        let open = settings.mutes.iter();
        let open = open.filter_map(|(name, time)| Some((&**name, time.open_until(now)?)));
        Self { settings, in_force, muted: open.collect() }
    }

    fn silenced(&self, open: &OpenAlert) -> Option<Hold> {
        let quiet = self.in_force.over(&open.alert.component, Some(open.alert.severity))?;
        let (why, until) = (quiet.why.as_str().into(), Some(quiet.until));
        Some(Hold { kind: HoldKind::Silenced, until, why, causes: Vec::new() })
    }

    fn muted(&self, open: &OpenAlert, receiver: &str) -> Option<Hold> {
        if self.muted.is_empty() {
            return None;
        }
        let named = self.settings.mutes_of(&open.alert, receiver).iter();
        let shut = named.filter_map(|name| Some((name, *self.muted.get(name.as_str())?)));
        let (name, until) = shut.max_by_key(|(_, until)| *until)?;
        let why: Arc<str> = format!("mute time {name}").into();
        Some(Hold { kind: HoldKind::Muted, until: Some(until), why, causes: Vec::new() })
    }

    /// Only where nothing but a reminder is left to be said.
    fn acknowledged(open: &OpenAlert, told: &Delivery) -> Option<Hold> {
        let by = open.acknowledged.as_ref()?;
        match told {
            Delivery::Delivered { told } if !open.is_worse_than(told) => {
                let why = format!("acknowledged by {}", by.by).into();
                Some(Hold { kind: HoldKind::Acknowledged, until: None, why, causes: Vec::new() })
            }
            Delivery::Delivered { .. }
            | Delivery::Waiting { .. }
            | Delivery::Sending { .. }
            | Delivery::Retrying { .. } => None,
        }
    }
}

impl Holds for QuietHolds<'_> {
    fn hold(&self, _: &AlertBook, open: &OpenAlert, receiver: &str, _: Timestamp) -> Option<Hold> {
        let delivery = open.deliveries.get(receiver)?;
        let policy = self.settings.peculiar.get(receiver);
        let forgets = policy.is_some_and(|policy| policy.resend_every.is_some());
        if forgets && delivery.progress().2.is_some() {
            // It would take what it is not told again for being over.
            return None;
        }
        let held = self.silenced(open).or_else(|| self.muted(open, receiver));
        held.or_else(|| Self::acknowledged(open, delivery))
    }
}
