//! Who looks after an alert, and who is called where nobody does: acknowledgement and escalation.
//! Pure; sends nothing itself.

use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::OpenAlert;
use super::book::AlertBook;
use super::delivery::Delivery;
use super::hold::HoldKind;
use super::route::NotificationSettings;
use crate::model::{Acknowledgement, IncidentId, Severity, Timestamp};
use crate::policy::recovery::refusal::words;

/// Who is called where nobody acknowledges a critical incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EscalationLevel {
    /// So long after somebody was told of it.
    pub after: Duration,
    /// Names of receivers, as in routes.
    pub to: Vec<String>,
}

/// What is known of the attention that an alert gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attention {
    /// How bad it was when somebody said that they look after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_as: Option<Severity>,
    /// Since when somebody knows of it, as something critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Whether people wanted to hear nothing of it at the newest look.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub was_quiet: bool,
    /// How many levels were called.
    pub levels: usize,
    /// What those were told who were called, e.g. `not acknowledged for 15m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl Attention {
    /// Whether there is nothing to remember.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody is called because nobody has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalated {
    /// The incident.
    pub incident: IncidentId,
    /// Who.
    pub receivers: Vec<Arc<str>>,
    /// Why, e.g. `not acknowledged for 15m`.
    pub words: String,
}

/// Why an alert cannot be acknowledged; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeRefusal {
    /// There is none.
    #[error("there is no such open alert")]
    Unknown,
    /// It has ended, and not everybody was told yet.
    #[error("it is over: there is nothing to acknowledge")]
    Over,
}

impl AlertBook {
    /// Somebody looks after it: nobody is reminded of it or called for it, until it gets worse. Who
    /// shows the newest state of it is told.
    ///
    /// # Errors
    /// Where there is nothing to look after.
    pub fn acknowledge(
        &mut self,
        incident: &IncidentId,
        by: Acknowledgement,
    ) -> Result<&OpenAlert, AcknowledgeRefusal> {
        let open = self.alerts.get_mut(incident).ok_or(AcknowledgeRefusal::Unknown)?;
        if open.resolution.is_some() {
            return Err(AcknowledgeRefusal::Over);
        }
        let at = by.at;
        open.acknowledged = Some(by);
        open.attention = Attention {
            acknowledged_as: Some(open.alert.severity),
            ..std::mem::take(&mut open.attention)
        };
        open.note_change(at);
        self.touched.incident(incident);
        Ok(open)
    }

    /// Calls whoever is to be called by now, at once: where a critical incident goes on that somebody
    /// knows of and nobody has acknowledged. Silence and a cause that is told instead take back that
    /// somebody knows: the time counts anew from their end. To be called after [`Self::settle`] and
    /// before [`Self::next`]. Gives who is called, and when to ask again.
    pub fn escalate(
        &mut self,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> (Vec<Escalated>, Option<Timestamp>) {
        let (mut called, mut wake) = (Vec::new(), None::<Timestamp>);
        if settings.escalation.is_empty() {
            return (called, wake);
        }
        for open in self.alerts.values_mut().filter(|open| open.resolution.is_none()) {
            if open.follow_attention(now) {
                self.touched.incident(&open.alert.incident);
            }
            let Some(told_at) = open.waits_since() else { continue };
            let due = settings.escalation.iter().skip(open.attention.levels);
            let due = due.take_while(|level| told_at + level.after <= now).cloned();
            for level in due.collect::<Vec<_>>() {
                let receivers = open.call(&level, settings, now);
                let incident = open.alert.incident.clone();
                self.touched.incident(&incident);
                let told = receivers.iter().filter(|one| open.deliveries.contains_key(*one));
                told.for_each(|receiver| self.listeners.add(receiver, &incident));
                let words = open.attention.words.clone().unwrap_or_default();
                called.push(Escalated { incident, receivers, words });
            }
            let next = settings.escalation.get(open.attention.levels);
            wake = wake.into_iter().chain(next.map(|level| told_at + level.after)).min();
        }
        self.join_all(settings, now);
        (called, wake)
    }
}

impl OpenAlert {
    /// It has got worse, or not: who looked after it looked after something else then.
    pub(super) fn reconsider_attention(&mut self) {
        let severity = self.alert.severity;
        if self.attention.acknowledged_as.is_some_and(|known| severity > known) {
            self.acknowledged = None;
            self.attention = Attention::default();
        }
    }

    /// Since when people know of something critical that nobody looks after.
    fn waits_since(&self) -> Option<Timestamp> {
        let is_critical = self.alert.severity == Severity::Critical;
        let told_at = self.attention.told_at?;
        let counts = is_critical && self.acknowledged.is_none() && !self.attention.was_quiet;
        counts.then_some(told_at)
    }

    /// Finds out since when somebody knows of it. Whether that has changed.
    fn follow_attention(&mut self, now: Timestamp) -> bool {
        let before = (self.attention.told_at, self.attention.was_quiet);
        let is_quiet = self.is_quiet();
        let was_quiet = std::mem::replace(&mut self.attention.was_quiet, is_quiet);
        if self.attention.was_quiet {
            self.attention.told_at = None;
        } else if let Some(first) = self.first_told() {
            let since = if was_quiet { now } else { first };
            self.attention.told_at.get_or_insert(since);
        }
        before != (self.attention.told_at, self.attention.was_quiet)
    }

    fn is_quiet(&self) -> bool {
        self.held.values().any(|hold| match hold.kind {
            HoldKind::Inhibited | HoldKind::Suspected | HoldKind::Settling | HoldKind::Silenced => {
                true
            }
            // Others may be told of it.
            HoldKind::Muted | HoldKind::Acknowledged => false,
        })
    }

    /// When the first receiver accepted that it is critical, as far as is known.
    fn first_told(&self) -> Option<Timestamp> {
        let told = self.deliveries.values().filter_map(|delivery| delivery.progress().2);
        let critical = told.filter(|told| told.severity == Severity::Critical);
        critical.map(|told| told.at).min()
    }

    /// Has the receivers of `level` told at once. Gives those that there are.
    fn call(
        &mut self,
        level: &EscalationLevel,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Vec<Arc<str>> {
        self.attention.levels += 1;
        self.attention.words = Some(format!("not acknowledged for {}", words(level.after)));
        let receivers = level.to.iter().filter_map(|name| settings.receiver_named(name));
        let receivers: Vec<Arc<str>> = receivers.collect();
        for receiver in receivers.iter().filter(|one| !self.closed.contains_key(*one)) {
            match self.deliveries.entry(Arc::clone(receiver)) {
                Entry::Vacant(entry) => {
                    entry.insert(Delivery::Waiting { due: now });
                }
                Entry::Occupied(mut entry) => match entry.get_mut() {
                    Delivery::Waiting { due } => *due = now.min(*due),
                    Delivery::Delivered { told } => told.is_outdated = true,
                    // It is being told.
                    Delivery::Sending { .. } | Delivery::Retrying { .. } => {}
                },
            }
        }
        receivers
    }
}
