//! The receivers that are reached over HTTP: Slack, PagerDuty, Alertmanager, webhooks. Owns their
//! shape and defaults; judges nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::config::secret::Secret;
use crate::config::values::HumanDuration;
use crate::effects::secret::SecretFile;

/// `[alerter.slack]`: an incoming webhook, or a bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlackSettings {
    /// The file with the URL of the incoming webhook, which is a secret.
    pub webhook_url_file: SecretFile,
    /// The file with the bot's token.
    pub bot_token_file: SecretFile,
    /// Where the bot posts: the channel's name or identifier.
    pub channel: String,
    /// Where Slack's methods are.
    pub api_url: String,
}

impl Default for SlackSettings {
    fn default() -> Self {
        Self {
            webhook_url_file: SecretFile::default(),
            bot_token_file: SecretFile::default(),
            channel: String::new(),
            api_url: "https://slack.com/api/".into(),
        }
    }
}

impl SlackSettings {
    /// Whether Slack can be reached in one way or the other.
    pub fn is_set(&self) -> bool {
        self.webhook_url_file.is_set() || self.bot_token_file.is_set()
    }
}

/// `[alerter.pagerduty.NAME]`: one service of PagerDuty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PagerDutySettings {
    /// The file with the routing key of an Events API v2 integration.
    pub routing_key_file: SecretFile,
    /// Where events go; PagerDuty has another place in the EU.
    pub url: String,
}

impl Default for PagerDutySettings {
    fn default() -> Self {
        let url = "https://events.pagerduty.com/v2/enqueue".into();
        Self { routing_key_file: SecretFile::default(), url }
    }
}

/// `[alerter.alertmanager]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertmanagerSettings {
    /// The members of one cluster, each of which gets every alert; empty = no Alertmanager.
    pub urls: Vec<String>,
    /// How often what fires is told again; after three times that it lapses.
    pub resend_every: HumanDuration,
    /// Labels that every alert gets.
    pub labels: BTreeMap<String, String>,
    /// The user; empty = no basic authentication.
    pub username: String,
    /// The file with the user's password.
    pub password_file: SecretFile,
    /// The file with a token instead of user and password.
    pub token_file: SecretFile,
    /// The certificate authority that signed the servers' certificates (PEM); empty = the system's.
    pub ca_file: PathBuf,
}

impl Default for AlertmanagerSettings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            resend_every: HumanDuration::from_secs(60),
            labels: BTreeMap::new(),
            username: String::new(),
            password_file: SecretFile::default(),
            token_file: SecretFile::default(),
            ca_file: PathBuf::new(),
        }
    }
}

impl AlertmanagerSettings {
    /// Whether there is an Alertmanager.
    pub fn is_set(&self) -> bool {
        !self.urls.is_empty()
    }

    /// Whether falconer logs in.
    pub fn has_login(&self) -> bool {
        !self.username.is_empty() || self.token_file.is_set()
    }
}

/// What a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// The shape of Alertmanager's webhooks, which many tools take.
    #[default]
    Alertmanager,
    /// falconer's own notification.
    Falconer,
    /// What a template makes of it.
    Template,
}

/// How a webhook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WebhookMethod {
    /// As nearly all want it.
    #[default]
    Post,
    /// As some do.
    Put,
}

/// `[alerter.webhook.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookSettings {
    /// The URL; empty where it is in `url_file`. Shown without what may be a secret.
    #[serde(serialize_with = "without_path")]
    pub url: String,
    /// The file with the URL, where that is a secret.
    pub url_file: SecretFile,
    /// What is sent.
    pub format: WebhookFormat,
    /// The template, with `format = "template"`.
    pub template: String,
    /// The file that holds it instead; read for each message.
    pub template_file: PathBuf,
    /// What the template makes.
    pub content_type: String,
    /// POST or PUT.
    pub method: WebhookMethod,
    /// Headers that are added.
    pub headers: BTreeMap<String, Secret>,
    /// Headers whose values are in files.
    pub secret_headers: BTreeMap<String, SecretFile>,
    /// The certificate authority that signed the server's certificate (PEM); empty = the system's.
    pub ca_file: PathBuf,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            url_file: SecretFile::default(),
            format: WebhookFormat::default(),
            template: String::new(),
            template_file: PathBuf::new(),
            content_type: "application/json".into(),
            method: WebhookMethod::default(),
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            ca_file: PathBuf::new(),
        }
    }
}

/// Many a webhook's path or query is its password: only the host is shown.
pub(in crate::config::settings) fn without_path<S: Serializer>(
    url: &str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let host_end = url.find("://").map_or(0, |at| at + 3);
    match url[host_end..].find(['/', '?', '#']) {
        Some(at) if url.len() > host_end + at + 1 => {
            serializer.serialize_str(&format!("{}/***", &url[..host_end + at]))
        }
        Some(_) | None => serializer.serialize_str(url),
    }
}
