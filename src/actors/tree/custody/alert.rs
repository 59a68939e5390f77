//! The alert that the essential state can be saved nowhere: it would be lost with the process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::adoption::OWN;
use crate::actors::alerter::{AlerterInbox, RaiseAlert, ResolveAlert};
use crate::actors::keeper::KeeperSnapshot;
use crate::model::{ComponentId, IncidentId, Reason, ReasonKind, Severity, Timestamp};
use crate::policy::notification::Alert;

/// The component that the alert is about.
pub(super) const STATE: &str = "state";
/// Somebody is told after this time.
const TELL_AFTER: Duration = Duration::from_secs(30);

/// The alert, while it is open. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::actors::tree) struct StateAlert(Arc<Mutex<Option<IncidentId>>>);

impl StateAlert {
    /// It was open when falconer ended.
    pub(super) fn adopt(&self, incident: IncidentId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(incident);
    }

    /// Tells of trouble when it lasts, and of its end.
    pub(super) fn look(&self, keeper: &KeeperSnapshot, inbox: &AlerterInbox, now: Timestamp) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who does not lead saves nothing, and misses nothing.
        let trouble = Trouble::of(keeper).filter(|_| keeper.open);
        match (trouble, &*open) {
            (Some(trouble), None) if now.since(trouble.since) >= TELL_AFTER => {
                let alert = alert(trouble);
                *open = Some(alert.incident.clone());
                inbox.raise.send(RaiseAlert(alert));
            }
            (None, Some(_)) if keeper.open => {
                if let Some(incident) = open.take() {
                    inbox.resolve.send(ResolveAlert { incident, ended_at: now });
                }
            }
            (Some(_) | None, _) => {}
        }
    }
}

/// What is wrong.
struct Trouble {
    since: Timestamp,
    title: &'static str,
    why: String,
    action: &'static str,
}

impl Trouble {
    fn of(keeper: &KeeperSnapshot) -> Option<Self> {
        if let Some(since) = keeper.failing_since() {
            let errors = keeper.stores.iter().filter_map(|store| store.error.as_deref());
            return Some(Self {
                since,
                title: "the essential state cannot be saved",
                why: errors.collect::<Vec<_>>().join("; "),
                action: "falconer goes on; if it is killed meanwhile, it does not know what it has \
                         done and told since",
            });
        }
        let (since, store) = keeper.full()?;
        let (name, left_out) = (store.name, store.left_out);
        Some(Self {
            since,
            title: "the essential state is too large",
            why: format!("{name} has no room for {left_out} keys of the oldest incidents"),
            action: "falconer goes on, and keeps what is newest; after a failover people may be told \
                     again of the oldest incidents",
        })
    }
}

fn alert(trouble: Trouble) -> Alert {
    let component = ComponentId::new(OWN, STATE);
    let Trouble { since, title, why, action } = trouble;
    Alert {
        incident: IncidentId::new(&component, since),
        component,
        severity: Severity::Warning,
        title: title.to_owned(),
        reason: Reason::new(ReasonKind::OwnLimit, why),
        details: Vec::new(),
        action: action.to_owned(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: since,
    }
}
