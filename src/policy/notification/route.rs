//! The settings of notification. What routes mean is in `routing.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::attention::EscalationLevel;
use super::decision::ABANDONED_MARGIN;
use super::limit::RateLimit;
use super::own::OwnAlerts;
use super::routing::GroupLabel;
use crate::model::Severity;
use crate::policy::backoff::BackoffSettings;
use crate::policy::calendar::Recurrence;
use crate::policy::circuit::CircuitSettings;
use crate::policy::maintenance::MaintenanceWindow;

/// Sends alerts that meet its conditions to some of the receivers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The severity it is for; `None` matches every severity.
    pub severity: Option<Severity>,
    /// The clusters it is for, `*` and `?` as in file names; any of them; empty matches every one.
    pub cluster: Vec<String>,
    /// The components it is for, likewise.
    pub component: Vec<String>,
    /// Names of receivers: `email`, `slack`, `log`, `webhook.oncall` or `oncall` for short.
    pub to: Vec<String>,
    /// Names of [`NotificationSettings::mutes`], at which nobody is told on this route.
    pub mute: Vec<String>,
    /// Whether the routes after it are looked at too, although it matches.
    pub goes_on: bool,
    /// By what its alerts are grouped, where not as all others.
    pub group_by: Option<Vec<GroupLabel>>,
    /// Its own interval, see [`NotificationSettings`].
    pub group_wait: Option<Duration>,
    /// Its own interval.
    pub group_interval: Option<Duration>,
    /// Its own interval.
    pub repeat_interval: Option<Duration>,
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
    /// While something of a group goes on, a receiver is reminded after this time; then after twice
    /// this time, and so on.
    pub repeat_interval: Duration,
    /// The longest time between two reminders; one that is shorter than `repeat_interval` keeps
    /// them from growing.
    pub repeat_max: Duration,
    /// How long the first message of a group waits for more alerts; an incident that is over by
    /// then is never mentioned.
    pub group_wait: Duration,
    /// The time between two flushes of a group, at which its news is told.
    pub group_interval: Duration,
    /// By what alerts are grouped where no route says otherwise.
    pub group_by: Vec<GroupLabel>,
    /// How many messages a receiver gets at most; beyond, one tells what several would.
    pub rate_limit: RateLimit,
    /// The same for single receivers.
    pub rate_limits: BTreeMap<Arc<str>, RateLimit>,
    /// Whether those who were told are also told of the end.
    pub send_resolved: bool,
    /// The first route that matches decides, and all receivers it names are told; where it goes on,
    /// the next one that matches adds its own. With no routes, or where none matches, every receiver is told: nothing is lost silently.
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
            repeat_max: Duration::from_hours(4),
            group_wait: Duration::from_secs(5),
            group_interval: Duration::from_secs(60),
            group_by: vec![GroupLabel::Cluster],
            rate_limit: RateLimit::default(),
            rate_limits: BTreeMap::new(),
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

    /// What is peculiar to a receiver.
    pub(super) fn policy(&self, receiver: &str) -> ReceiverPolicy {
        self.peculiar.get(receiver).copied().unwrap_or_default()
    }

    /// How many messages the receiver gets; `None` = as many as there are.
    pub(super) fn limit(&self, receiver: &str) -> Option<RateLimit> {
        let own = self.rate_limits.get(receiver).copied().unwrap_or(self.rate_limit);
        // Who forgets what it is not told again is a machine, which groups by itself.
        self.policy(receiver).resend_every.is_none().then_some(own)
    }

    /// The longest time for which news may wait for a flush.
    pub fn longest_wait(&self) -> Duration {
        let routes = self.routes.iter();
        let own = routes.flat_map(|route| [route.group_wait, route.group_interval]).flatten();
        own.chain([self.group_wait, self.group_interval]).max().unwrap_or_default()
    }

    /// Names in routes that no configured receiver bears; to be refused when the configuration is
    /// checked.
    pub fn unknown_receivers(&self) -> Vec<&str> {
        let names = self.routes.iter().flat_map(|route| &route.to);
        names.filter(|name| self.receiver_named(name).is_none()).map(String::as_str).collect()
    }

    /// `oncall` and `webhook.oncall` both name the webhook `oncall`, and `oncall` and
    /// `pagerduty.oncall` the PagerDuty service; an exact name wins.
    pub(super) fn receiver_named(&self, name: &str) -> Option<Arc<str>> {
        let exact = self.receivers.iter().find(|receiver| receiver.as_ref() == name);
        let found = exact.or_else(|| {
            let short = |receiver: &Arc<str>| {
                receiver.split_once('.').is_some_and(|(_, short)| short == name)
            };
            self.receivers.iter().find(|receiver| short(receiver))
        });
        found.cloned()
    }
}
