//! The commands that the alerter takes, and where they wait for it.

use actix::prelude::*;

use super::Alerter;
use crate::actors::post::{Command, Post};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::{IncidentId, Timestamp};
use crate::policy::notification::Alert;

/// An incident has begun, or its severity, reason or evidence has changed.
/// Sending it again for the same incident only updates what the next message will say; `action` is
/// for [`UpdateAlert`] to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseAlert(pub Alert);

/// What falconer does about an incident has changed. Unknown incidents are ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateAlert {
    /// The incident.
    pub incident: IncidentId,
    /// What falconer does, did, or refuses to do and why.
    pub action: String,
    /// Whether a person must hear of it now, and not with the next reminder.
    pub calls_person: bool,
}

/// An incident is over.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolveAlert {
    /// The incident.
    pub incident: IncidentId,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl Command for RaiseAlert {
    type Key = IncidentId;

    fn key(&self) -> IncidentId {
        self.0.incident.clone()
    }
}

impl Command for UpdateAlert {
    type Key = IncidentId;

    fn key(&self) -> IncidentId {
        self.incident.clone()
    }
}

impl Command for ResolveAlert {
    type Key = IncidentId;

    fn key(&self) -> IncidentId {
        self.incident.clone()
    }
}

/// Where commands wait for the alerter; the same for all its incarnations. Cheap to clone.
#[derive(Clone, Default)]
pub struct AlerterInbox {
    /// What is wrong.
    pub raise: Post<RaiseAlert>,
    /// What is done about it.
    pub update: Post<UpdateAlert>,
    /// What is over.
    pub resolve: Post<ResolveAlert>,
}

impl AlerterInbox {
    /// An inbox whose commands are counted in `metrics`.
    pub fn counted(metrics: &Metrics) -> Self {
        let count = metrics.mailbox("alerter");
        Self {
            raise: Post::new().counted(count.clone()),
            update: Post::new().counted(count.clone()),
            resolve: Post::new().counted(count),
        }
    }

    /// From now on `address` is woken when something arrives.
    pub fn publish(&self, address: &Addr<Alerter>) {
        self.raise.publish(address);
        self.update.publish(address);
        self.resolve.publish(address);
    }

    /// For a new incarnation, before it takes anything.
    pub(super) fn begin_anew(&self, clock: Clock, metrics: &Metrics) {
        self.raise.begin_anew("alerter", clock, metrics);
        self.update.begin_anew("alerter", clock, metrics);
        self.resolve.begin_anew("alerter", clock, metrics);
    }
}
