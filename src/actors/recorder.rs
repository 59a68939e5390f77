//! Looks after the journal: shows how it fares, tells people when it cannot be written and when it
//! can again, and lets it forget what is too old. Never writes into it, and never waits for it.

mod damage;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use damage::Damage;

use super::alerter::{RaiseAlert, ResolveAlert};
use super::post::Post;
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::{Journal, JournalHealth, JournalTrouble};
use crate::model::{ComponentId, IncidentId, Reason, ReasonKind, Severity, Timestamp};
use crate::policy::notification::Alert;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// People hear that it is well again when it has been for so long.
const WELL_FOR: Duration = Duration::from_secs(10);
/// How often it may forget.
const RETAIN_EVERY: Duration = Duration::from_hours(1);

/// The alert about the journal that is open; the same for all incarnations. Cheap to clone.
pub type JournalAlert = Arc<Mutex<Option<IncidentId>>>;

/// What a recorder is made of.
#[derive(Clone)]
pub struct RecorderParts {
    /// What it looks after.
    pub journal: Arc<dyn Journal>,
    /// Which alert is open.
    pub alert: JournalAlert,
    /// To the Alerter.
    pub raise: Post<RaiseAlert>,
    /// To the Alerter.
    pub resolve: Post<ResolveAlert>,
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
}

/// The actor.
pub struct Recorder {
    parts: RecorderParts,
    shown: Option<JournalHealth>,
    /// Since when the journal is well while people think it is not.
    well_since: Option<Timestamp>,
    retain_at: Timestamp,
    damage: Damage,
}

impl Recorder {
    /// A recorder.
    pub fn new(parts: RecorderParts) -> Self {
        let retain_at = parts.clock.now();
        Self { parts, shown: None, well_since: None, retain_at, damage: Damage::default() }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = self.parts.clock.now();
        let health = self.parts.journal.health();
        self.tell(health.trouble.as_ref(), now);
        self.damage.look(health.moved_aside.as_ref(), &self.parts, now);
        if self.shown.as_ref() != Some(&health) {
            self.parts.board.update(|status| status.journal = health.clone());
            self.shown = Some(health);
        }
        if now >= self.retain_at {
            self.retain_at = now + RETAIN_EVERY;
            self.parts.journal.retain(now);
        }
        ctx.run_later(LOOK_EVERY, Self::look);
    }

    /// Tells of trouble when it begins, and of its end when that lasts: a disk that is almost full
    /// is written now and then.
    fn tell(&mut self, trouble: Option<&JournalTrouble>, now: Timestamp) {
        let mut open = self.parts.alert.lock().unwrap_or_else(PoisonError::into_inner);
        match (trouble, open.clone()) {
            (None, None) => {}
            (Some(_), Some(_)) => self.well_since = None,
            (Some(trouble), None) => {
                let id = journal_id();
                let incident = IncidentId::new(&id, trouble.since);
                self.parts.raise.send(RaiseAlert(alert(incident.clone(), id, trouble)));
                (*open, self.well_since) = (Some(incident), None);
            }
            (None, Some(incident)) => {
                let well_since = *self.well_since.get_or_insert(now);
                if now.since(well_since) >= WELL_FOR {
                    self.parts.resolve.send(ResolveAlert { incident, ended_at: well_since });
                    *open = None;
                }
            }
        }
    }
}

/// The component of falconer itself under whose name people hear of the journal.
pub const JOURNAL: &str = "journal";

/// The name under which people hear of the journal.
fn journal_id() -> ComponentId {
    ComponentId::new("falconer", JOURNAL)
}

fn alert(incident: IncidentId, component: ComponentId, trouble: &JournalTrouble) -> Alert {
    Alert {
        incident,
        component,
        severity: Severity::Warning,
        title: "the journal cannot be written".to_owned(),
        reason: Reason::new(ReasonKind::OwnLimit, &trouble.why),
        details: Vec::new(),
        action: "falconer goes on; what happens is kept in memory as far as there is room, and \
                 written when the journal can be"
            .to_owned(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: trouble.since,
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("recorder", &ctx.address());
        self.look(ctx);
    }
}
