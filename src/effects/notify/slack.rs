//! Slack through an incoming webhook. Its URL is a secret: it comes from a file that is read for
//! each message, and stands in no error.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::http::Post;
use super::{NotifyError, render};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};

/// Settings of the receiver `slack`.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// The file with the webhook's URL.
    pub webhook_url: SecretFile,
    /// For one message as a whole.
    pub timeout: Duration,
}

/// Posts to an incoming webhook.
#[derive(Debug, Clone)]
pub struct SlackNotifier {
    settings: SlackSettings,
}

impl SlackNotifier {
    const NAME: &'static str = "slack";

    /// A receiver with these settings.
    pub fn new(settings: SlackSettings) -> Self {
        Self { settings }
    }

    async fn url(&self) -> Result<Url, NotifyError> {
        let text = self.settings.webhook_url.read().await;
        let text = text.map_err(|error| NotifyError::unavailable(Self::NAME, error.to_string()))?;
        let url = Url::parse(text.trim()).map_err(|_| {
            NotifyError::unavailable(Self::NAME, "the configured webhook URL is not a URL")
        })?;
        if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
            return Ok(url);
        }
        Err(NotifyError::refused(Self::NAME, "the webhook URL must begin with https://"))
    }
}

#[async_trait]
impl Notifier for SlackNotifier {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let url = self.url().await?;
        let body = serde_json::json!({ "text": message(notification), "mrkdwn": false });
        let body = body.to_string().into_bytes();
        let timeout = self.settings.timeout;
        let headers = HeaderMap::new();
        Post { receiver: Self::NAME, url, headers, body, timeout, ca_file: None }.send().await?;
        Ok(Receipt::default())
    }
}

/// Whether the URL leads to this machine without asking a name server.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn message(notification: &Notification) -> String {
    let mut text = escape(&render::subject(notification));
    for (name, value) in render::facts(notification) {
        if name != "Title" {
            let _ = write!(text, "\n{name}: {}", escape(&value));
        }
    }
    for (heading, lines) in render::paragraphs(notification) {
        let _ = write!(text, "\n{heading}:");
        for line in lines {
            let _ = write!(text, "\n• {}", escape(&line));
        }
    }
    text
}

/// Text in which Slack sees no link, mention or channel.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::AlertStatus;

    #[test]
    fn nobody_is_mentioned_by_what_a_server_says() {
        let mut notification = notification(AlertStatus::Firing);
        notification.lead.details = vec!["<!channel> boo".into()];
        let text = message(&notification);
        assert!(text.contains("&lt;!channel&gt;"), "{text}");
        assert!(!text.contains("<!"), "{text}");
    }

    #[tokio::test]
    async fn a_webhook_url_that_is_none_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slack");
        let webhook_url = SecretFile::new(&path);
        let slack =
            SlackNotifier::new(SlackSettings { webhook_url, timeout: Duration::from_secs(1) });
        for content in ["s3cret", "http://hooks.example/s3cret", "ftp://hooks.example/s3cret"] {
            std::fs::write(&path, content).unwrap();
            let error = slack.notify(&notification(AlertStatus::Firing)).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
