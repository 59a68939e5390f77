//! Builds the receivers that are configured, each once: one whose settings are as before is the
//! very same object.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::mapping::{self, given};
use crate::config::settings::{self, AlerterSettings, MailSecurity};
use crate::effects::Notifier;
use crate::effects::notify::email::{
    EmailLogin, EmailNotifier, EmailSettings, OFFER_AGAIN, SmtpSecurity,
};
use crate::effects::notify::log::LogNotifier;
use crate::effects::notify::slack::{SlackNotifier, SlackSettings};
use crate::effects::notify::webhook::{
    WebhookFormat, WebhookNotifier, WebhookSettings, WebhookUrl,
};

/// Deadline of one delivery over HTTP.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that decides how one receiver is reached. Secrets are in it by the names of their
/// files.
#[derive(Clone, PartialEq)]
enum ReceiverSpec {
    Email(settings::EmailSettings),
    Slack(settings::SlackSettings),
    Webhook(String, settings::WebhookSettings),
    Log,
}

impl ReceiverSpec {
    fn make(&self) -> anyhow::Result<Arc<dyn Notifier>> {
        Ok(match self {
            Self::Email(settings) => {
                Arc::new(EmailNotifier::new(email(settings)).context("[alerter.email]")?)
            }
            Self::Slack(settings) => Arc::new(SlackNotifier::new(SlackSettings {
                webhook_url: settings.webhook_url_file.clone(),
                timeout: HTTP_TIMEOUT,
            })),
            Self::Webhook(name, settings) => Arc::new(
                WebhookNotifier::new(webhook_settings(name, settings))
                    .with_context(|| format!("[alerter.webhook.{name}]"))?,
            ),
            Self::Log => Arc::new(LogNotifier),
        })
    }
}

fn specs(settings: &AlerterSettings) -> Vec<ReceiverSpec> {
    let email = settings.email.is_set().then(|| ReceiverSpec::Email(settings.email.clone()));
    let slack = &settings.slack;
    let slack = slack.webhook_url_file.is_set().then(|| ReceiverSpec::Slack(slack.clone()));
    let webhook = |(name, one): (&String, &settings::WebhookSettings)| {
        ReceiverSpec::Webhook(name.clone(), one.clone())
    };
    let log = settings.log.enabled.then_some(ReceiverSpec::Log);
    let webhooks = settings.webhook.iter().map(webhook);
    email.into_iter().chain(slack).chain(webhooks).chain(log).collect()
}

/// The notifiers with what each was made from.
#[derive(Clone, Default)]
pub struct Receivers {
    made: Vec<(ReceiverSpec, Arc<dyn Notifier>)>,
}

impl Receivers {
    /// One notifier for each receiver in the settings, the present one where there is one.
    ///
    /// # Errors
    /// When settings that look right cannot work, e.g. an address that is none.
    pub fn following(&self, settings: &AlerterSettings) -> anyhow::Result<Self> {
        let one = |spec: ReceiverSpec| {
            let present = self.made.iter().find(|(made_from, _)| *made_from == spec);
            let notifier = match present {
                Some((_, notifier)) => Arc::clone(notifier),
                None => spec.make()?,
            };
            Ok((spec, notifier))
        };
        let made: anyhow::Result<Vec<_>> = specs(settings).into_iter().map(one).collect();
        Ok(Self { made: made? })
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<dyn Notifier>> {
        self.made.iter().map(|(_, notifier)| Arc::clone(notifier)).collect()
    }
}

/// The receivers that are set up, for whoever sends without a running falconer.
///
/// # Errors
/// When settings that look right cannot work, e.g. an address that is none.
pub fn configured(settings: &AlerterSettings) -> anyhow::Result<Vec<Arc<dyn Notifier>>> {
    Ok(Receivers::default().following(settings)?.all())
}

/// How long one attempt to deliver a message may take, whoever receives it.
pub fn send_timeout(settings: &AlerterSettings) -> Duration {
    mapping::alerter(settings, Vec::new()).send_timeout
}

fn email(settings: &settings::EmailSettings) -> EmailSettings {
    let login = (!settings.username.is_empty()).then(|| EmailLogin {
        username: settings.username.clone(),
        password: settings.password_file.clone(),
    });
    EmailSettings {
        host: settings.host.clone(),
        port: settings.port,
        security: match settings.security {
            MailSecurity::Starttls => SmtpSecurity::StartTls,
            MailSecurity::Tls => SmtpSecurity::Tls,
            MailSecurity::None => SmtpSecurity::None,
        },
        login,
        from: settings.from.clone(),
        to: settings.to.clone(),
        reply_to: settings.reply_to.clone(),
        subject_prefix: settings.subject_prefix.clone(),
        stable_subject: settings.stable_subject,
        ca_file: given(&settings.ca_file),
        offer_again: OFFER_AGAIN.to_vec(),
        timeout: settings.timeout.get(),
    }
}

fn webhook_settings(name: &str, settings: &settings::WebhookSettings) -> WebhookSettings {
    let url = if settings.url_file.is_set() {
        WebhookUrl::Secret(settings.url_file.clone())
    } else {
        WebhookUrl::Plain(settings.url.clone())
    };
    let header = |(name, value): (&String, &crate::config::Secret)| {
        (name.clone(), value.expose().to_owned())
    };
    WebhookSettings {
        format: match settings.format {
            settings::WebhookFormat::Alertmanager => WebhookFormat::Alertmanager,
            settings::WebhookFormat::Falconer => WebhookFormat::Falconer,
        },
        headers: settings.headers.iter().map(header).collect(),
        timeout: HTTP_TIMEOUT,
        ..WebhookSettings::new(name, url)
    }
}
