//! `[alerter]` and its receivers: who is told, how and how often.

pub mod receivers;
pub mod routes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::respawn::RespawnLimit;
use super::window::TimeSettings;
use crate::config::values::HumanDuration;
use crate::effects::secret::SecretFile;

pub use receivers::{
    AlertmanagerSettings, PagerDutySettings, SlackSettings, WebhookFormat, WebhookMethod,
    WebhookSettings,
};

pub use routes::{Grouping, Patterns, RateLimitSettings, Route};

/// `[alerter]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlerterSettings {
    /// How long after a message people are reminded of what goes on; then twice this, and so on.
    pub repeat_interval: HumanDuration,
    /// Reminders grow up to this.
    pub repeat_max: HumanDuration,
    /// By what alerts are told together.
    pub group_by: Grouping,
    /// How long the first message of a group waits for more alerts.
    pub group_wait: HumanDuration,
    /// How long a change of a group waits for more changes.
    pub group_interval: HumanDuration,
    /// How many messages each receiver gets at most; beyond, one stands for several.
    pub rate_limit: RateLimitSettings,
    /// Whether the end of an incident is told.
    pub send_resolved: bool,
    /// Who gets what; empty = everybody gets everything.
    pub routes: Vec<Route>,
    /// A receiver that accepts nothing for so long is told of through the others.
    pub receiver_dead_after: HumanDuration,
    /// Whether one alert always fires.
    pub always_firing: bool,
    /// Who is told of that one; empty = everybody.
    pub always_firing_to: Vec<String>,
    /// Who is told too where nobody acknowledges, and after what time.
    pub escalation: Vec<EscalationSettings>,
    /// `[alerter.mute.NAME]`: times at which routes are quiet.
    pub mute: BTreeMap<String, TimeSettings>,
    /// How often the actor may be made anew.
    pub respawn: RespawnLimit,
    /// `[alerter.email]`.
    pub email: EmailSettings,
    /// `[alerter.slack]`.
    pub slack: SlackSettings,
    /// `[alerter.log]`.
    pub log: LogReceiverSettings,
    /// Where people find falconer; empty = messages hold no link.
    pub external_url: String,
    /// `[alerter.alertmanager]`.
    pub alertmanager: AlertmanagerSettings,
    /// `[alerter.pagerduty.NAME]`.
    pub pagerduty: BTreeMap<String, PagerDutySettings>,
    /// `[alerter.webhook.NAME]`.
    pub webhook: BTreeMap<String, WebhookSettings>,
}

impl Default for AlerterSettings {
    fn default() -> Self {
        Self {
            repeat_interval: HumanDuration::from_secs(300),
            repeat_max: HumanDuration::from_secs(4 * 3_600),
            group_by: Grouping::default(),
            group_wait: HumanDuration::from_secs(5),
            group_interval: HumanDuration::from_secs(60),
            rate_limit: RateLimitSettings::default(),
            send_resolved: true,
            routes: Vec::new(),
            receiver_dead_after: HumanDuration::from_secs(900),
            always_firing: false,
            always_firing_to: Vec::new(),
            escalation: Vec::new(),
            mute: BTreeMap::new(),
            respawn: RespawnLimit::default(),
            email: EmailSettings::default(),
            slack: SlackSettings::default(),
            log: LogReceiverSettings::default(),
            external_url: String::new(),
            alertmanager: AlertmanagerSettings::default(),
            pagerduty: BTreeMap::new(),
            webhook: BTreeMap::new(),
        }
    }
}

impl AlerterSettings {
    /// The names of all receivers that are set up, as routes name them: `email`, `slack`,
    /// `alertmanager`, `log`, and the names of the PagerDuty services and of the webhooks.
    pub fn receivers(&self) -> Vec<&str> {
        let fixed = [
            ("email", self.email.is_set()),
            ("slack", self.slack.is_set()),
            ("alertmanager", self.alertmanager.is_set()),
            ("log", self.log.enabled),
        ];
        let fixed = fixed.into_iter().filter(|(_, set)| *set).map(|(name, _)| name);
        let named = self.pagerduty.keys().chain(self.webhook.keys());
        fixed.chain(named.map(String::as_str)).collect()
    }
}

/// One level of `escalation`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EscalationSettings {
    /// So long after somebody was told of a critical incident that nobody has acknowledged.
    pub after: HumanDuration,
    /// Names of receivers, as in routes.
    pub to: Vec<String>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain first, then STARTTLS, which must succeed.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None; to loopback only.
    None,
}

/// `[alerter.email]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmailSettings {
    /// The mail server; empty = no mail.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// The user; empty = no login.
    pub username: String,
    /// The file with the user's password.
    pub password_file: SecretFile,
    /// The sender.
    pub from: String,
    /// The addressees.
    pub to: Vec<String>,
    /// Where answers go; empty = to the sender.
    pub reply_to: String,
    /// What every subject begins with.
    pub subject_prefix: String,
    /// Whether all subjects of a thread are the same but for the brackets at their beginning.
    pub stable_subject: bool,
    /// The deadline of one delivery.
    pub timeout: HumanDuration,
    /// The certificate authority that signed the server's certificate (PEM); empty = the system's.
    pub ca_file: PathBuf,
}

impl Default for EmailSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            security: MailSecurity::default(),
            username: String::new(),
            password_file: SecretFile::default(),
            from: String::new(),
            to: Vec::new(),
            reply_to: String::new(),
            subject_prefix: String::new(),
            stable_subject: false,
            timeout: HumanDuration::from_secs(30),
            ca_file: PathBuf::new(),
        }
    }
}

impl EmailSettings {
    /// Whether there is a mail server.
    pub fn is_set(&self) -> bool {
        !self.host.is_empty()
    }
}

/// `[alerter.log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogReceiverSettings {
    /// Whether alerts are written to the log too.
    pub enabled: bool,
}

impl Default for LogReceiverSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}
