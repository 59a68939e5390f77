//! What can be seen of the alerter from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Alerter;
use crate::model::{AlertShown, Silence, Timestamp};
use crate::policy::notification::{GroupView, OpenAlert, Pace, ReceiverState};

/// Open alerts and their delivery.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AlerterSnapshot {
    /// Every open alert with its state at each receiver: when it was told, when it is retried, and
    /// why the newest attempt failed.
    pub alerts: Vec<OpenAlert>,
    /// What is told together: when it was told, and when it is told next.
    pub groups: Vec<GroupView>,
    /// The silences that people made; those that end first come first.
    pub silences: Vec<Silence>,
    /// By the receiver's name.
    pub receivers: BTreeMap<Arc<str>, ReceiverSnapshot>,
    /// Whether this falconer tells people, or leaves that to the leader.
    pub speaks: bool,
    /// Whether the process ends and the waits are skipped.
    pub draining: bool,
}

impl AlerterSnapshot {
    /// The open alerts as they are shown to people.
    pub fn shown(&self) -> Vec<AlertShown> {
        self.alerts.iter().map(OpenAlert::shown).collect()
    }
}

/// One receiver.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReceiverSnapshot {
    /// Whether a message is on its way at the moment.
    pub in_flight: bool,
    /// Since when every attempt has failed, where that is so long that somebody is told.
    pub dead_since: Option<Timestamp>,
    /// Messages that it has not accepted yet.
    pub waiting: usize,
    /// Outages, the end of the back-off, the newest error and the newest success.
    #[serde(flatten)]
    pub state: ReceiverState,
}

impl Alerter {
    /// Shows the present state.
    pub(super) fn publish(&self) {
        let (book, now) = (self.book(), self.clock.now());
        let receiver = |name: &Arc<str>| ReceiverSnapshot {
            in_flight: self.in_flight.contains(name),
            dead_since: self.watch.dead_since(name, &book, &self.settings, now),
            waiting: book.backlog(name, now).alerts,
            state: book.receiver(name),
        };
        let snapshot = AlerterSnapshot {
            alerts: book.alerts().cloned().collect(),
            groups: book.groups(now),
            silences: self.silences().all(),
            receivers: self
                .receivers
                .keys()
                .map(|name| (Arc::clone(name), receiver(name)))
                .collect(),
            draining: self.pace == Pace::Draining,
            speaks: self.speaks(),
        };
        drop(book);
        for receiver in self.receivers.keys() {
            let groups = snapshot.groups.iter().filter(|group| group.receiver == *receiver);
            self.metrics.alert_groups(receiver, groups.count());
        }
        self.board.update(|status| status.alerter = snapshot.into());
    }
}
