//! Builds the receivers that are configured, each once: one whose settings are as before is the
//! very same object.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::mapping::{self, given};
use crate::clock::Clock;
use crate::config::settings::{self, AlerterSettings, MailSecurity, WebhookMethod};
use crate::effects::Notifier;
use crate::effects::notify::email::OFFER_AGAIN;
use crate::effects::notify::{
    AlertmanagerLogin, AlertmanagerNotifier, AlertmanagerSettings, EmailLogin, EmailNotifier,
    EmailSettings, LogNotifier, PagerDutyNotifier, PagerDutySettings, SlackAccess, SlackNotifier,
    SlackSettings, SmtpSecurity, WebhookFormat, WebhookNotifier, WebhookSettings, WebhookTemplate,
    WebhookUrl,
};

/// Deadline of one message over HTTP.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that decides how one receiver is reached. Secrets are in it by the names of their
/// files.
#[derive(Clone, PartialEq)]
enum ReceiverSpec {
    Email(settings::EmailSettings),
    Slack(settings::SlackSettings),
    Alertmanager(settings::AlertmanagerSettings, External),
    PagerDuty(String, settings::PagerDutySettings, External),
    Webhook(String, settings::WebhookSettings, External),
    Log,
}

/// Where people find falconer; may be empty.
type External = String;

impl ReceiverSpec {
    fn make(&self, clock: Clock) -> anyhow::Result<Arc<dyn Notifier>> {
        Ok(match self {
            Self::Email(settings) => {
                Arc::new(EmailNotifier::new(email(settings)).context("[alerter.email]")?)
            }
            Self::Slack(settings) => {
                Arc::new(SlackNotifier::new(slack(settings)).context("[alerter.slack]")?)
            }
            Self::Alertmanager(settings, external) => {
                let settings = alertmanager(settings, external);
                let made = AlertmanagerNotifier::new(settings, clock);
                Arc::new(made.context("[alerter.alertmanager]")?)
            }
            Self::PagerDuty(name, settings, external) => {
                let made = PagerDutyNotifier::new(pagerduty(name, settings, external));
                Arc::new(made.with_context(|| format!("[alerter.pagerduty.{name}]"))?)
            }
            Self::Webhook(name, settings, external) => Arc::new(
                WebhookNotifier::new(webhook(name, settings, external))
                    .with_context(|| format!("[alerter.webhook.{name}]"))?,
            ),
            Self::Log => Arc::new(LogNotifier),
        })
    }
}

fn specs(settings: &AlerterSettings) -> Vec<ReceiverSpec> {
    let external = || settings.external_url.clone();
    let email = settings.email.is_set().then(|| ReceiverSpec::Email(settings.email.clone()));
    let slack = settings.slack.is_set().then(|| ReceiverSpec::Slack(settings.slack.clone()));
    let alertmanager = settings
        .alertmanager
        .is_set()
        .then(|| ReceiverSpec::Alertmanager(settings.alertmanager.clone(), external()));
    let pagerduty = settings
        .pagerduty
        .iter()
        .map(|(name, one)| ReceiverSpec::PagerDuty(name.clone(), one.clone(), external()));
    let webhooks = settings
        .webhook
        .iter()
        .map(|(name, one)| ReceiverSpec::Webhook(name.clone(), one.clone(), external()));
    let log = settings.log.enabled.then_some(ReceiverSpec::Log);
    let single = email.into_iter().chain(slack).chain(alertmanager);
    single.chain(pagerduty).chain(webhooks).chain(log).collect()
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
    pub fn following(&self, settings: &AlerterSettings, clock: Clock) -> anyhow::Result<Self> {
        let one = |spec: ReceiverSpec| {
            let present = self.made.iter().find(|(made_from, _)| *made_from == spec);
            let notifier = match present {
                Some((_, notifier)) => Arc::clone(notifier),
                None => spec.make(clock)?,
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
    Ok(Receivers::default().following(settings, Clock::system())?.all())
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

fn slack(settings: &settings::SlackSettings) -> SlackSettings {
    let access = if settings.bot_token_file.is_set() {
        SlackAccess::Bot {
            token: settings.bot_token_file.clone(),
            channel: settings.channel.clone(),
            api_url: settings.api_url.clone(),
        }
    } else {
        SlackAccess::Webhook { url: settings.webhook_url_file.clone() }
    };
    SlackSettings { access, timeout: HTTP_TIMEOUT }
}

fn pagerduty(
    name: &str,
    settings: &settings::PagerDutySettings,
    external: &str,
) -> PagerDutySettings {
    PagerDutySettings {
        name: name.to_owned(),
        routing_key: settings.routing_key_file.clone(),
        url: settings.url.clone(),
        external_url: external.to_owned(),
        timeout: HTTP_TIMEOUT,
    }
}

fn alertmanager(settings: &settings::AlertmanagerSettings, external: &str) -> AlertmanagerSettings {
    let login = if settings.token_file.is_set() {
        AlertmanagerLogin::Bearer(settings.token_file.clone())
    } else if settings.username.is_empty() {
        AlertmanagerLogin::None
    } else {
        AlertmanagerLogin::Basic {
            username: settings.username.clone(),
            password: settings.password_file.clone(),
        }
    };
    AlertmanagerSettings {
        urls: settings.urls.clone(),
        resend_every: settings.resend_every.get(),
        labels: settings.labels.clone(),
        login,
        ca_file: given(&settings.ca_file),
        external_url: external.to_owned(),
        timeout: HTTP_TIMEOUT,
    }
}

fn webhook(name: &str, settings: &settings::WebhookSettings, external: &str) -> WebhookSettings {
    let url = if settings.url_file.is_set() {
        WebhookUrl::Secret(settings.url_file.clone())
    } else {
        WebhookUrl::Plain(settings.url.clone())
    };
    let template = match given(&settings.template_file) {
        Some(path) => WebhookTemplate::File(path),
        None => WebhookTemplate::Text(settings.template.clone()),
    };
    let header = |(name, value): (&String, &crate::config::Secret)| {
        (name.clone(), value.expose().to_owned())
    };
    let secret_headers = settings.secret_headers.iter();
    WebhookSettings {
        format: match settings.format {
            settings::WebhookFormat::Alertmanager => WebhookFormat::Alertmanager,
            settings::WebhookFormat::Falconer => WebhookFormat::Falconer,
            settings::WebhookFormat::Template => WebhookFormat::Template(template),
        },
        content_type: settings.content_type.clone(),
        put: settings.method == WebhookMethod::Put,
        headers: settings.headers.iter().map(header).collect(),
        secret_headers: secret_headers.map(|(name, file)| (name.clone(), file.clone())).collect(),
        ca_file: given(&settings.ca_file),
        external_url: external.to_owned(),
        timeout: HTTP_TIMEOUT,
        ..WebhookSettings::new(name, url)
    }
}
