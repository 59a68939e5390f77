//! The alerts that the alerter raises of itself: that a receiver is dead, and the one that always
//! fires. Owns their names and who is told of them, whatever the routes say; decides nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::alert::Alert;
use super::route::NotificationSettings;
use crate::model::{ComponentId, IncidentId, Reason, ReasonKind, Severity, Timestamp};

/// falconer's own alerts are about components of a cluster of this name.
pub const OWN: &str = "falconer";
/// What the components begin with that stand for receivers.
const RECEIVER: &str = "alerter.";
/// The component of the alert that always fires.
const WATCHDOG: &str = "watchdog";

/// Which alerts the alerter raises of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnAlerts {
    /// A receiver is dead when every attempt has failed for so long while messages wait for it.
    pub receiver_dead_after: Duration,
    /// Whether one alert always fires, so that whoever misses it knows that falconer is dead.
    pub always_firing: bool,
    /// The receivers of that alert, as routes name them; empty: all.
    pub always_firing_to: Vec<String>,
}

impl Default for OwnAlerts {
    fn default() -> Self {
        Self {
            receiver_dead_after: Duration::from_mins(15),
            always_firing: false,
            always_firing_to: Vec::new(),
        }
    }
}

/// What stands for a receiver where people are told of it, e.g. `falconer/alerter.email`.
pub fn receiver_component(receiver: &str) -> ComponentId {
    ComponentId::new(OWN, format!("{RECEIVER}{receiver}"))
}

/// The receiver for which a component stands.
pub fn receiver_of(component: &ComponentId) -> Option<&str> {
    (&*component.cluster == OWN).then(|| component.component.strip_prefix(RECEIVER)).flatten()
}

/// The component of the alert that always fires.
pub fn watchdog_component() -> ComponentId {
    ComponentId::new(OWN, WATCHDOG)
}

/// Whether an alert about this component always fires.
pub fn is_watchdog(component: &ComponentId) -> bool {
    &*component.cluster == OWN && &*component.component == WATCHDOG
}

/// Whether the alerter itself ends what it has raised about this component.
pub fn is_of_the_alerter(component: &ComponentId) -> bool {
    is_watchdog(component) || receiver_of(component).is_some()
}

impl NotificationSettings {
    /// Who is told of an alert that the alerter has raised of itself; `None` where the routes say. Of
    /// a dead receiver everybody else hears.
    pub(super) fn told_of_own(&self, component: &ComponentId) -> Option<BTreeSet<Arc<str>>> {
        if let Some(dead) = receiver_of(component) {
            let others = self.receivers.iter().filter(|receiver| &***receiver != dead);
            return Some(others.cloned().collect());
        }
        if !is_watchdog(component) {
            return None;
        }
        let named = self.own.always_firing_to.iter().filter_map(|name| self.receiver_named(name));
        let named: BTreeSet<Arc<str>> = named.collect();
        Some(if named.is_empty() { self.receivers.iter().cloned().collect() } else { named })
    }

    /// The alert that always fires, begun now.
    pub fn watchdog(&self, now: Timestamp) -> Alert {
        let reason = Reason::new(ReasonKind::OwnLimit, "falconer watches and can tell people");
        let action = "nothing is to be done while this is repeated: when it is not, falconer, or \
                      the way from it to here, is broken";
        Alert {
            action: action.to_owned(),
            ..alert(watchdog_component(), Severity::Warning, "Watchdog", reason, now)
        }
    }
}

/// An alert of the alerter's own that begins now.
pub(super) fn alert(
    component: ComponentId,
    severity: Severity,
    title: impl Into<String>,
    reason: Reason,
    now: Timestamp,
) -> Alert {
    Alert {
        incident: IncidentId::new(&component, now),
        component,
        severity,
        title: title.into(),
        reason,
        details: Vec::new(),
        action: String::new(),
        causes: Vec::new(),
        suspicion: None,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        settle_secs: 0,
        is_flapping: false,
        started_at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(always_firing_to: &[&str]) -> NotificationSettings {
        NotificationSettings {
            receivers: ["email", "slack", "webhook.oncall"].map(Arc::from).to_vec(),
            own: OwnAlerts {
                always_firing_to: always_firing_to.iter().map(ToString::to_string).collect(),
                ..OwnAlerts::default()
            },
            ..NotificationSettings::default()
        }
    }

    fn told(settings: &NotificationSettings, component: &ComponentId) -> Option<Vec<String>> {
        let told = settings.told_of_own(component)?;
        Some(told.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn of_a_dead_receiver_everybody_else_hears_and_routes_decide_about_the_rest() {
        let settings = settings(&[]);
        let email = receiver_component("email");
        assert_eq!(email.to_string(), "falconer/alerter.email");
        assert_eq!(told(&settings, &email).unwrap(), ["slack", "webhook.oncall"]);
        assert_eq!(told(&settings, &ComponentId::new("a", "alerter.email")), None);
        assert_eq!(told(&settings, &ComponentId::new(OWN, "journal")), None);
    }

    #[test]
    fn the_alert_that_always_fires_goes_where_it_is_wanted_or_everywhere() {
        let watchdog = watchdog_component();
        assert_eq!(told(&settings(&["oncall"]), &watchdog).unwrap(), ["webhook.oncall"]);
        assert_eq!(told(&settings(&[]), &watchdog).unwrap().len(), 3);
    }
}
