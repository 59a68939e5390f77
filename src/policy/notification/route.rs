//! The settings of notification and who is told about which severity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::alert::Alert;
use super::attention::EscalationLevel;
use super::delivery::ABANDONED_MARGIN;
use super::own::OwnAlerts;
use crate::model::Severity;
use crate::policy::backoff::BackoffSettings;
use crate::policy::calendar::Recurrence;
use crate::policy::circuit::CircuitSettings;
use crate::policy::maintenance::MaintenanceWindow;

/// Sends alerts of one severity (or of all) to some of the receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The severity it is for; `None` matches every severity.
    pub severity: Option<Severity>,
    /// Names of receivers: `email`, `slack`, `log`, `webhook.oncall` or `oncall` for short.
    pub to: Vec<String>,
    /// Names of [`NotificationSettings::mutes`], at which nobody is told on this route.
    pub mute: Vec<String>,
}

/// What is peculiar to one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ReceiverPolicy {
    /// It forgets what it is not told again: everything that fires is sent anew so often, whatever
    /// `repeat_interval` says.
    pub resend_every: Option<Duration>,
    /// It shows one message per matter and changes it: an acknowledgement or another action of
    /// falconer's is news to it.
    pub keeps_current: bool,
}

/// When and to whom messages go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotificationSettings {
    /// While an incident goes on, a receiver that was told is told again after this time.
    pub repeat_interval: Duration,
    /// How long the first message of an incident waits; an incident that is over by then is
    /// never mentioned.
    pub group_wait: Duration,
    /// Whether those who were told are also told of the end.
    pub send_resolved: bool,
    /// The first route that matches the severity decides, and all receivers it names are told.
    /// With no routes, or where none matches, every receiver is told: nothing is lost silently.
    pub routes: Vec<Route>,
    /// Who is told too where nobody acknowledges a critical incident; the shortest time first.
    pub escalation: Vec<EscalationLevel>,
    /// Windows that come again; those that hold alerts hold them here.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Times at which routes are quiet, by the name under which those know them.
    pub mutes: BTreeMap<Arc<str>, Recurrence>,
    /// The names of all configured receivers.
    pub receivers: Vec<Arc<str>>,
    /// What is peculiar to some of them.
    pub peculiar: BTreeMap<Arc<str>, ReceiverPolicy>,
    /// The deadline of one attempt to deliver one message.
    pub send_timeout: Duration,
    /// The time between attempts while a receiver cannot be reached or cannot take messages.
    pub backoff: BackoffSettings,
    /// The time between attempts after a receiver has refused a message or our credentials:
    /// somebody has to mend something first.
    pub refused_backoff: BackoffSettings,
    /// A message about an incident that is over is given up after this time.
    pub give_up_after: Duration,
    /// Which alerts the alerter raises of itself.
    pub own: OwnAlerts,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            repeat_interval: Duration::from_secs(300),
            group_wait: Duration::from_secs(5),
            send_resolved: true,
            routes: Vec::new(),
            escalation: Vec::new(),
            maintenance: Vec::new(),
            mutes: BTreeMap::new(),
            receivers: Vec::new(),
            peculiar: BTreeMap::new(),
            send_timeout: Duration::from_secs(30),
            backoff: BackoffSettings::default(),
            refused_backoff: BackoffSettings {
                initial: Duration::from_secs(30),
                ..BackoffSettings::default()
            },
            give_up_after: Duration::from_hours(24),
            own: OwnAlerts::default(),
        }
    }
}

impl NotificationSettings {
    /// When a receiver is left alone: from its first failure to take a message, as its back-off
    /// says.
    pub(super) fn circuit(&self) -> CircuitSettings {
        CircuitSettings {
            threshold: 1,
            backoff: self.backoff,
            trial_timeout: self.send_timeout + ABANDONED_MARGIN,
        }
    }

    /// The receivers that are told about an alert of this severity, each once.
    pub fn receivers_for(&self, severity: Severity) -> BTreeSet<Arc<str>> {
        let matching =
            self.routes.iter().find(|route| route.severity.is_none_or(|only| only == severity));
        let named: BTreeSet<Arc<str>> = matching
            .iter()
            .flat_map(|route| &route.to)
            .filter_map(|name| self.receiver_named(name))
            .collect();
        if named.is_empty() { self.receivers.iter().cloned().collect() } else { named }
    }

    /// The names of the mute times that hold for `alert` at `receiver`: those of its route. Who is
    /// called because nobody acknowledges is called at any time.
    pub fn mutes_of(&self, alert: &Alert, receiver: &str) -> &[String] {
        let severity = alert.severity;
        let matching =
            self.routes.iter().find(|route| route.severity.is_none_or(|only| only == severity));
        let names = |route: &&Route| {
            let mut named = route.to.iter().filter_map(|name| self.receiver_named(name));
            named.any(|name| *name == *receiver)
        };
        matching.filter(names).map_or(&[], |route| &route.mute)
    }

    /// Names in routes that no configured receiver bears; to be refused when the configuration is
    /// checked.
    pub fn unknown_receivers(&self) -> Vec<&str> {
        let names = self.routes.iter().flat_map(|route| &route.to);
        names.filter(|name| self.receiver_named(name).is_none()).map(String::as_str).collect()
    }

    /// `oncall` and `webhook.oncall` both name the webhook `oncall`; an exact name wins.
    pub(super) fn receiver_named(&self, name: &str) -> Option<Arc<str>> {
        let exact = self.receivers.iter().find(|receiver| receiver.as_ref() == name);
        let found = exact.or_else(|| {
            self.receivers.iter().find(|receiver| receiver.strip_prefix("webhook.") == Some(name))
        });
        found.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(routes: &[(Option<Severity>, &[&str])]) -> NotificationSettings {
        NotificationSettings {
            routes: routes
                .iter()
                .map(|(severity, to)| Route {
                    severity: *severity,
                    mute: Vec::new(),
                    to: to.iter().map(ToString::to_string).collect(),
                })
                .collect(),
            receivers: ["email", "slack", "webhook.oncall"].map(Arc::from).to_vec(),
            ..NotificationSettings::default()
        }
    }

    fn told(settings: &NotificationSettings, severity: Severity) -> Vec<String> {
        settings.receivers_for(severity).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_routes_every_receiver_is_told() {
        let settings = settings(&[]);
        assert_eq!(told(&settings, Severity::Warning), ["email", "slack", "webhook.oncall"]);
    }

    #[test]
    fn the_first_matching_route_decides_and_all_its_receivers_are_told() {
        let settings = settings(&[
            (Some(Severity::Critical), &["email", "oncall", "webhook.oncall"]),
            (None, &["slack"]),
        ]);
        assert_eq!(told(&settings, Severity::Critical), ["email", "webhook.oncall"]);
        assert_eq!(told(&settings, Severity::Warning), ["slack"]);
    }

    #[test]
    fn a_severity_that_no_route_matches_goes_to_everybody() {
        let settings = settings(&[(Some(Severity::Critical), &["email"])]);
        assert_eq!(told(&settings, Severity::Warning), ["email", "slack", "webhook.oncall"]);
    }

    #[test]
    fn a_route_to_an_unknown_receiver_is_reported_and_loses_nothing() {
        let settings = settings(&[(None, &["pager"])]);
        assert_eq!(settings.unknown_receivers(), ["pager"]);
        assert_eq!(told(&settings, Severity::Critical), ["email", "slack", "webhook.oncall"]);
    }
}
