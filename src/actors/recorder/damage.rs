//! Tells people that the journal's file was damaged and where it is now: what is lost with it, nobody
//! would miss before it is needed.

use std::time::Duration;

use super::RecorderParts;
use crate::actors::alerter::{RaiseAlert, ResolveAlert};
use crate::effects::MovedAside;
use crate::model::{ComponentId, IncidentId, Reason, ReasonKind, Severity, Timestamp};
use crate::policy::notification::Alert;

/// For how long it is told: there is no end of it, and nothing to be done by falconer.
const TOLD_FOR: Duration = Duration::from_mins(30);

/// The component of falconer itself under whose name people hear of it.
const DAMAGE: &str = "journal-damage";

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Damage {
    told: Option<IncidentId>,
    over: Option<IncidentId>,
}

impl Damage {
    /// Tells of the newest file that was moved aside, and after some time that this is over.
    pub(super) fn look(
        &mut self,
        moved: Option<&MovedAside>,
        parts: &RecorderParts,
        now: Timestamp,
    ) {
        let Some(moved) = moved else { return };
        let component = ComponentId::new("falconer", DAMAGE);
        let incident = IncidentId::new(&component, moved.at);
        if now.since(moved.at) >= TOLD_FOR {
            // Also where a former incarnation has told it.
            self.end(incident, parts, now);
        } else if self.told.as_ref() != Some(&incident) {
            if let Some(older) = self.told.take() {
                self.end(older, parts, now);
            }
            parts.raise.send(RaiseAlert(alert(incident.clone(), component, moved)));
            self.told = Some(incident);
        }
    }

    fn end(&mut self, incident: IncidentId, parts: &RecorderParts, now: Timestamp) {
        if self.over.as_ref() != Some(&incident) {
            parts.resolve.send(ResolveAlert { incident: incident.clone(), ended_at: now });
            self.over = Some(incident);
        }
    }
}

fn alert(incident: IncidentId, component: ComponentId, moved: &MovedAside) -> Alert {
    let lost = if moved.forgot {
        "what falconer had done and told before it was started is only there, unless it is kept in a \
         ConfigMap as well: cooldowns and budgets begin anew, open incidents may be told again"
    } else {
        "falconer's own state is written again from memory"
    };
    Alert {
        incident,
        component,
        severity: Severity::Warning,
        title: "the journal was damaged and is begun anew".to_owned(),
        reason: Reason::new(ReasonKind::OwnLimit, &moved.why),
        details: vec![format!("the damaged file is now {}", moved.path)],
        action: lost.to_owned(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: moved.at,
    }
}
