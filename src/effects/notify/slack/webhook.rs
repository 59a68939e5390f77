//! An incoming webhook: one message of plain text for each piece of news. Knows nothing of threads.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Url;

use super::{NAME, text};
use crate::effects::notify::http::{self, Post};
use crate::effects::notify::{NotifyError, render, words};
use crate::effects::secret::SecretFile;
use crate::model::{AlertMessage, AlertStatus, Notification, Receipt};

/// The longest text that Slack shows in one piece, in characters.
const TEXT_LIMIT: usize = 4_000;
/// How many alerts of one message are described.
const MAX_ALERTS: usize = 20;

pub(super) async fn post(
    url: &SecretFile,
    notification: &Notification,
    timeout: Duration,
) -> Result<Receipt, NotifyError> {
    let url = read(url).await?;
    let body = serde_json::json!({ "text": message(notification), "mrkdwn": false });
    let secrets = vec![url.path().to_owned()];
    let mut post = Post::json(NAME, url, &body, timeout);
    post.secrets = secrets;
    let said = post.send().await?;
    Ok(Receipt { said: Some(said), ..Receipt::default() })
}

async fn read(url: &SecretFile) -> Result<Url, NotifyError> {
    let text = url.read().await;
    let text = text.map_err(|error| NotifyError::unavailable(NAME, error.to_string()))?;
    // Which of the reasons it is does not matter: the URL is never repeated.
    http::confidential(text.trim()).map_err(|message| {
        NotifyError::refused(NAME, format!("the configured webhook URL cannot be used: {message}"))
    })
}

fn message(notification: &Notification) -> String {
    let mut said = text::escape(&render::subject(notification), TEXT_LIMIT);
    for alert in notification.alerts().take(MAX_ALERTS) {
        let _ = write!(said, "\n{}", about(alert, notification));
    }
    let beyond = notification.others.len().saturating_sub(MAX_ALERTS - 1);
    let left_out = beyond + notification.left_out;
    if left_out > 0 {
        let _ = write!(said, "\nand {left_out} more");
    }
    words::cut(&said, TEXT_LIMIT)
}

fn about(alert: &AlertMessage, notification: &Notification) -> String {
    let tag = words::tag(alert.status, alert.severity);
    let lasted = words::lasted(alert, notification.sent_at);
    let time = match alert.status {
        AlertStatus::Firing => format!("since {} (for {lasted})", alert.started_at),
        AlertStatus::Resolved => format!("it lasted {lasted}"),
    };
    let mut lines =
        vec![format!("[{tag}] {} ({}), {time}", words::title(alert), words::component(alert))];
    lines.push(format!("Reason: {}", words::reason(alert)));
    lines.extend(words::evidence(alert).into_iter().map(|line| format!("• {line}")));
    let affects = words::affects(alert);
    if !affects.is_empty() {
        lines.push(format!("Affects: {affects}"));
    }
    let causes = words::causes(alert);
    if !causes.is_empty() {
        lines.push(format!("Because of: {causes}"));
    }
    if let Some(word) = words::acknowledged(alert) {
        lines.push(format!("Acknowledged by {word}"));
    }
    lines.push(format!("What falconer does: {}", words::action(alert)));
    lines.push(format!("Look closer:\n{}", words::look_closer(alert)));
    text::escape(&lines.join("\n"), TEXT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;

    #[test]
    fn nobody_is_mentioned_by_what_a_server_says() {
        let mut notification = notification(AlertStatus::Firing);
        notification.lead.details = vec!["<!channel> boo".into()];
        let text = message(&notification);
        assert!(text.contains("&lt;!channel&gt;"), "{text}");
        assert!(!text.contains("<!"), "{text}");
    }

    #[test]
    fn every_alert_is_told_and_the_whole_stays_short() {
        let mut several = notification(AlertStatus::Firing);
        let mut second = several.lead.clone();
        second.title = "proxy is unhealthy".into();
        several.others = vec![second];
        assert!(message(&several).contains("\n[CRITICAL] proxy is unhealthy"));
        several.others = vec![several.lead.clone(); 500];
        assert!(message(&several).chars().count() <= TEXT_LIMIT);
    }

    #[tokio::test]
    async fn a_webhook_url_that_is_none_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slack");
        let url = SecretFile::new(&path);
        for content in ["s3cret", "http://hooks.example/s3cret", "ftp://hooks.example/s3cret"] {
            std::fs::write(&path, content).unwrap();
            let message = notification(AlertStatus::Firing);
            let error = post(&url, &message, Duration::from_secs(1)).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
