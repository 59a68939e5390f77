//! PagerDuty through its Events API v2: all messages of one thread are one alert there, which is
//! triggered, acknowledged and resolved. The routing key is a secret: it comes from a file that is
//! read for each message, and stands in no error.

mod event;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{StatusCode, Url};

use super::http::{self, Post};
use super::{NotifyError, SetupError, render};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};
use event::Action;

/// Where events go unless told otherwise.
pub const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// What is given back once an alert exists: without one, an acknowledgement would be about nothing.
const TRIGGERED: &str = "triggered";
/// How much of PagerDuty's reasons is shown, in bytes.
const REASON_LIMIT: usize = 200;

/// Settings of one receiver `pagerduty.<name>`.
#[derive(Debug, Clone)]
pub struct PagerDutySettings {
    /// The key of its table, e.g. `oncall`.
    pub name: String,
    /// The file with the integration's routing key.
    pub routing_key: SecretFile,
    /// Where events go.
    pub url: String,
    /// Where people find falconer; may be empty.
    pub external_url: String,
    /// For one message as a whole.
    pub timeout: Duration,
}

/// Sends events to one service.
#[derive(Debug, Clone)]
pub struct PagerDutyNotifier {
    receiver: String,
    url: Url,
    settings: PagerDutySettings,
}

impl PagerDutyNotifier {
    /// A receiver with these settings.
    ///
    /// # Errors
    /// When the URL cannot be used: the routing key goes over TLS, or stays on this machine.
    pub fn new(settings: PagerDutySettings) -> Result<Self, SetupError> {
        let receiver = format!("pagerduty.{}", settings.name);
        let url = http::confidential(&settings.url);
        let url = url.map_err(|message| SetupError::new(&receiver, format!("url: {message}")))?;
        Ok(Self { receiver, url, settings })
    }

    async fn tell(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let action = Action::of(notification);
        if action == Action::Acknowledge && notification.reference.is_none() {
            self.send(Action::Trigger, notification).await?;
        }
        let said = self.send(action, notification).await?;
        Ok(Receipt { reference: Some(TRIGGERED.into()), said: Some(said), flaw: None })
    }

    async fn send(
        &self,
        action: Action,
        notification: &Notification,
    ) -> Result<String, NotifyError> {
        let receiver = &self.receiver;
        let key = self.settings.routing_key.read().await;
        let key = key.map_err(|error| NotifyError::unavailable(receiver, error.to_string()))?;
        let key = key.trim();
        let event = event::event(action, key, &self.settings.external_url, notification);
        let mut post = Post::json(receiver, self.url.clone(), &event, self.settings.timeout);
        post.secrets = vec![key.to_owned()];
        let answer = post.exchange().await?;
        if answer.status == StatusCode::BAD_REQUEST
            && let Some(reasons) = event::reasons(&answer.text())
        {
            let reasons = render::one_line(&reasons, REASON_LIMIT);
            let message = format!("PagerDuty finds fault with the event: {reasons}");
            return Err(NotifyError::refused(receiver, message));
        }
        answer.judge(receiver)
    }
}

#[async_trait]
impl Notifier for PagerDutyNotifier {
    fn name(&self) -> &str {
        &self.receiver
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let limit = self.settings.timeout;
        tokio::time::timeout(limit, self.tell(notification))
            .await
            .unwrap_or_else(|_| Err(NotifyError::timeout(&self.receiver, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routing_key_goes_over_tls_or_stays_on_this_machine() {
        let settings = |url: &str| PagerDutySettings {
            name: "oncall".into(),
            routing_key: SecretFile::new("/nowhere"),
            url: url.into(),
            external_url: String::new(),
            timeout: Duration::from_secs(1),
        };
        let made = |url: &str| PagerDutyNotifier::new(settings(url)).map(drop);
        for fine in [PAGERDUTY_URL, "http://127.0.0.1:1/v2/enqueue", "https://pd.example/x"] {
            assert!(made(fine).is_ok(), "{fine}");
        }
        let refused = made("http://events.pagerduty.com/v2/enqueue").unwrap_err().to_string();
        assert!(
            refused.starts_with("pagerduty.oncall: url: must begin with https://"),
            "{refused}"
        );
        assert!(made("events").is_err());
    }
}
