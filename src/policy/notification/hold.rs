//! What keeps an alert from being told for a while, and what becomes of it afterwards. Knows no
//! reason itself: each kind of hold decides in a file of its own.
//!
//! A hold keeps first messages, news of what goes on and reminders away, never the end of what a
//! receiver was told, nor what it would take for over if it were not told again. What is over before it was ever told is never mentioned.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alert::OpenAlert;
use super::book::AlertBook;
use super::delivery::Delivery;
use crate::model::{ComponentId, IncidentId, Timestamp};

/// Why an alert is held back; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Its cause is told instead.
    Inhibited,
    /// Something else fails that may be its cause; that is not decided yet.
    Suspected,
    /// Its cause is over, and it may be over in a moment as well.
    Settling,
    /// Somebody wants to hear nothing of it for a while.
    Silenced,
    /// It is a time at which nothing of the kind is told.
    Muted,
    /// Somebody looks after it, and nothing but a reminder is left to be said.
    Acknowledged,
}

impl HoldKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Inhibited,
        Self::Suspected,
        Self::Settling,
        Self::Silenced,
        Self::Muted,
        Self::Acknowledged,
    ];

    /// Lower case, as in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inhibited => "inhibited",
            Self::Suspected => "suspected",
            Self::Settling => "settling",
            Self::Silenced => "silenced",
            Self::Muted => "muted",
            Self::Acknowledged => "acknowledged",
        }
    }

    /// Whether it keeps more than reminders away.
    pub const fn keeps_away(self) -> bool {
        match self {
            Self::Inhibited | Self::Suspected | Self::Settling | Self::Silenced | Self::Muted => {
                true
            }
            Self::Acknowledged => false,
        }
    }

    /// Whether what it kept away is told at once when it ends, and not at the group's next flush.
    pub const fn ends_at_once(self) -> bool {
        match self {
            Self::Inhibited | Self::Suspected | Self::Settling => false,
            Self::Silenced | Self::Muted | Self::Acknowledged => true,
        }
    }

    /// Whether it is only a doubt, which makes the first message of a group wait for nothing but its own
    /// end: the flush that passed meanwhile has told nothing.
    pub const fn is_doubt(self) -> bool {
        match self {
            Self::Suspected => true,
            Self::Inhibited
            | Self::Settling
            | Self::Silenced
            | Self::Muted
            | Self::Acknowledged => false,
        }
    }

    /// Whether what it kept away until the end is not mentioned afterwards: it was told with
    /// something else, or nobody wanted to hear of it.
    pub const fn is_for_good(self) -> bool {
        match self {
            Self::Inhibited | Self::Settling | Self::Silenced | Self::Muted => true,
            Self::Suspected | Self::Acknowledged => false,
        }
    }

    /// Whether it holds even when falconer ends, and nobody may tell later.
    pub const fn outlasts_the_end(self) -> bool {
        match self {
            Self::Inhibited | Self::Silenced | Self::Muted | Self::Acknowledged => true,
            Self::Suspected | Self::Settling => false,
        }
    }
}

/// An alert is not told at a receiver for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which kind.
    pub kind: HoldKind,
    /// When to ask again at the latest; `None` where it ends with something that the book learns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, in a few words, e.g. `etcd is unhealthy`.
    pub why: Arc<str>,
    /// What is told instead, or may be, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<ComponentId>,
}

impl Hold {
    /// In the messages about what it is told.
    pub(super) fn named_with(&self) -> Vec<ComponentId> {
        if self.is_told_elsewhere() { self.causes.clone() } else { Vec::new() }
    }

    /// Whether it is told in the message about something else.
    pub fn is_told_elsewhere(&self) -> bool {
        match self.kind {
            HoldKind::Inhibited | HoldKind::Settling => true,
            HoldKind::Suspected | HoldKind::Silenced | HoldKind::Muted | HoldKind::Acknowledged => {
                false
            }
        }
    }
}

/// Says what is held back.
pub trait Holds {
    /// Why `open`, one of the book's alerts that are not over, is not told at `receiver` at `now`.
    /// Asked in every round of decisions, for every alert at every receiver: to be answered quickly.
    fn hold(
        &self,
        book: &AlertBook,
        open: &OpenAlert,
        receiver: &str,
        now: Timestamp,
    ) -> Option<Hold>;
}

/// Nothing is held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoHolds;

impl Holds for NoHolds {
    fn hold(&self, _: &AlertBook, _: &OpenAlert, _: &str, _: Timestamp) -> Option<Hold> {
        None
    }
}

/// Several together: the first that holds an alert back counts.
impl<A: Holds, B: Holds> Holds for (A, B) {
    fn hold(
        &self,
        book: &AlertBook,
        open: &OpenAlert,
        receiver: &str,
        now: Timestamp,
    ) -> Option<Hold> {
        let (first, second) = self;
        first.hold(book, open, receiver, now).or_else(|| second.hold(book, open, receiver, now))
    }
}

/// A change of what is held back.
struct Changed {
    incident: IncidentId,
    receiver: Arc<str>,
    hold: Option<Hold>,
}

impl AlertBook {
    /// Finds out what is held back from now on. What was held back until now is due: at once, or at
    /// its group's next flush.
    pub(super) fn look_at_holds(&mut self, holds: &dyn Holds, now: Timestamp) {
        let (mut causes, mut freed) = (BTreeSet::new(), Vec::new());
        for Changed { incident, receiver, hold } in self.changed_holds(holds, now) {
            let Some(open) = self.alerts.get_mut(&incident) else { continue };
            self.touched.incident(&incident);
            let is_free = hold.is_none();
            let before = match hold {
                Some(hold) => {
                    causes.extend(hold.named_with());
                    open.held.insert(Arc::clone(&receiver), hold)
                }
                None => open.held.remove(&receiver),
            };
            let Some(before) = before else { continue };
            causes.extend(before.named_with());
            let waiting = open.deliveries.get_mut(&receiver).filter(|_| is_free);
            if let Some(Delivery::Waiting { due }) = waiting {
                let key = open.groups.get(&receiver);
                let group = key.and_then(|key| self.groups.get(&receiver)?.get(key));
                let is_first = group.is_none_or(|group| group.told_at.is_none());
                let at_once = before.kind.ends_at_once() || (before.kind.is_doubt() && is_first);
                let flush = group.map_or(now, |group| group.flush_from(now));
                *due = if at_once { now.max(*due) } else { flush };
                freed.push((incident, receiver));
            }
        }
        for (incident, receiver) in freed {
            self.hurry(&incident, &receiver, now);
        }
        self.note_effects(&causes, now);
    }

    /// What is told with these has changed.
    pub(super) fn note_effects(&mut self, causes: &BTreeSet<ComponentId>, now: Timestamp) {
        if causes.is_empty() {
            return;
        }
        let about = self.alerts.values_mut().filter(|open| open.resolution.is_none());
        for open in about.filter(|open| causes.contains(&open.alert.component)) {
            open.note_change(now);
            self.touched.incident(&open.alert.incident);
        }
    }

    fn changed_holds(&self, holds: &dyn Holds, now: Timestamp) -> Vec<Changed> {
        let mut changed = Vec::new();
        for open in self.alerts.values().filter(|open| open.resolution.is_none()) {
            for receiver in open.deliveries.keys() {
                let hold = holds.hold(self, open, receiver, now);
                if hold.as_ref() != open.held.get(receiver) {
                    let (incident, receiver) = (open.alert.incident.clone(), Arc::clone(receiver));
                    changed.push(Changed { incident, receiver, hold });
                }
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, ReasonKind, Receipt, Severity};
    use crate::policy::notification::{Alert, NextStep, NotificationSettings, Pace};

    /// Holds everything back while it is on.
    struct Switch(bool);

    impl Holds for Switch {
        fn hold(&self, _: &AlertBook, _: &OpenAlert, _: &str, _: Timestamp) -> Option<Hold> {
            self.0.then(|| Hold {
                kind: HoldKind::Silenced,
                until: None,
                why: "quiet".into(),
                causes: Vec::new(),
            })
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn settings() -> NotificationSettings {
        NotificationSettings { receivers: vec!["email".into()], ..Default::default() }
    }

    fn raised() -> (AlertBook, IncidentId) {
        let component = ComponentId::new("milvus-ha", "proxy");
        let incident = IncidentId::new(&component, at(0));
        let alert = Alert {
            incident: incident.clone(),
            component,
            severity: Severity::Critical,
            title: "proxy is unhealthy".into(),
            reason: Reason::new(ReasonKind::Timeout, "timeout after 5s"),
            details: Vec::new(),
            action: String::new(),
            causes: Vec::new(),
            suspicion: None,
            settle_secs: 0,
            affects: Vec::new(),
            seen: Vec::new(),
            look_closer: Vec::new(),
            is_flapping: false,
            started_at: at(0),
        };
        let mut book = AlertBook::default();
        book.raise(alert, &settings(), at(0));
        (book, incident)
    }

    fn is_told(book: &mut AlertBook, is_held: bool, now: Timestamp) -> bool {
        book.settle(&settings(), &Switch(is_held), Pace::Normal, now);
        matches!(book.next("email", &settings(), Pace::Normal, now), NextStep::Send { .. })
    }

    #[test]
    fn what_is_held_back_is_told_when_the_hold_ends() {
        let (mut book, _) = raised();
        assert!(!is_told(&mut book, true, at(5)));
        assert!(!is_told(&mut book, true, at(500)));
        assert!(is_told(&mut book, false, at(501)));
    }

    #[test]
    fn what_is_over_while_it_is_held_back_is_never_mentioned() {
        let (mut book, incident) = raised();
        assert!(!is_told(&mut book, true, at(500)));
        book.resolve(&incident, at(501), at(501));
        assert!(!is_told(&mut book, false, at(501)));
        assert_eq!(book.alerts().count(), 0);
    }

    #[test]
    fn the_end_of_what_was_told_is_told_whatever_is_held_back() {
        let (mut book, incident) = raised();
        book.settle(&settings(), &NoHolds, Pace::Normal, at(5));
        let step = book.next("email", &settings(), Pace::Normal, at(5));
        let NextStep::Send { notification, .. } = step else {
            panic!("a message");
        };
        book.finish("email", &notification, Ok(Receipt::default()), &settings(), 0.5, at(5));
        assert!(!is_told(&mut book, true, at(5_000)));
        book.resolve(&incident, at(5_001), at(5_001));
        assert!(is_told(&mut book, true, at(5_100)));
    }
}
