//! Builds the receivers that are configured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::mapping::given;
use crate::config::settings::{self, AlerterSettings, MailSecurity};
use crate::effects::Notifier;
use crate::effects::notify::email::{EmailLogin, EmailNotifier, EmailSettings, SmtpSecurity};
use crate::effects::notify::log::LogNotifier;
use crate::effects::notify::slack::{SlackNotifier, SlackSettings};
use crate::effects::notify::webhook::{
    WebhookFormat, WebhookNotifier, WebhookSettings, WebhookUrl,
};

/// Deadline of one delivery over HTTP.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// One notifier for each receiver in the settings.
///
/// # Errors
/// When settings that look right cannot work, e.g. an address that is none.
pub fn build(settings: &AlerterSettings) -> anyhow::Result<Vec<Arc<dyn Notifier>>> {
    let mut receivers: Vec<Arc<dyn Notifier>> = Vec::new();
    if settings.email.is_set() {
        let email = EmailNotifier::new(email(&settings.email));
        receivers.push(Arc::new(email.context("[alerter.email]")?));
    }
    if settings.slack.webhook_url_file.is_set() {
        receivers.push(Arc::new(SlackNotifier::new(SlackSettings {
            webhook_url: settings.slack.webhook_url_file.clone(),
            timeout: HTTP_TIMEOUT,
        })));
    }
    for (name, webhook) in &settings.webhook {
        let built = WebhookNotifier::new(webhook_settings(name, webhook))
            .with_context(|| format!("[alerter.webhook.{name}]"))?;
        receivers.push(Arc::new(built));
    }
    if settings.log.enabled {
        receivers.push(Arc::new(LogNotifier));
    }
    Ok(receivers)
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
        ca_file: given(&settings.ca_file),
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
