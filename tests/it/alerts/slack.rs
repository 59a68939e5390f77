//! A Slack bot: one message for each matter, kept up to date.

mod workspace;

use std::time::Duration;

use falconer::effects::notify::{SlackAccess, SlackNotifier, SlackSettings};
use falconer::effects::secret::SecretFile;
use falconer::effects::{Notifier, NotifyError};
use falconer::model::{Acknowledgement, AlertStatus, Notification, Receipt, Severity};
use tempfile::TempDir;

use super::fixtures::{START, notification};
use workspace::{CHANNEL, Workspace};

struct Stage {
    slack: SlackNotifier,
    workspace: Workspace,
    folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::in_channel("#alerts").await
    }

    async fn in_channel(channel: &str) -> Self {
        let workspace = Workspace::start("xoxb-first-token").await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "xoxb-first-token\n").unwrap();
        let access = SlackAccess::Bot {
            token: SecretFile::new(folder.path().join("token")),
            channel: channel.into(),
            api_url: workspace.url(),
        };
        let settings = SlackSettings { access, timeout: Duration::from_secs(10) };
        Self { slack: SlackNotifier::new(settings).unwrap(), workspace, folder }
    }

    async fn tell(&self, message: &Notification) -> Result<Receipt, NotifyError> {
        self.slack.notify(message).await
    }

    /// Tells a later message of the thread that `before` was the receipt of.
    async fn follow(&self, before: &Receipt, mut message: Notification) -> Receipt {
        message.reference.clone_from(&before.reference);
        self.tell(&message).await.unwrap()
    }
}

fn warning() -> Notification {
    let mut message = notification();
    message.lead.severity = Severity::Warning;
    message
}

fn over() -> Notification {
    let mut message = notification();
    message.lead.status = AlertStatus::Resolved;
    message.lead.ended_at = Some(message.sent_at);
    message.still_firing = 0;
    message
}

#[tokio::test]
async fn a_matter_is_one_message_from_its_beginning_to_its_green_end() {
    let stage = Stage::new().await;
    let first = stage.tell(&warning()).await.unwrap();
    let reminded = stage.follow(&first, warning()).await;
    assert_eq!(stage.workspace.replies().len(), 0, "a reminder changes the message and no more");
    let mut looked_after = warning();
    looked_after.lead.acknowledged =
        Some(Acknowledgement { by: "alice".into(), at: START, comment: "on it".into() });
    let acknowledged = stage.follow(&reminded, looked_after).await;
    assert!(stage.workspace.messages()[0].shown().contains("*Acknowledged by* alice: on it"));
    let worse = stage.follow(&acknowledged, notification()).await;
    let mut left = notification();
    left.lead.action = "left to a person: 2 automatic steps did not help".into();
    let left = stage.follow(&worse, left).await;
    let end = stage.follow(&left, over()).await;
    assert_eq!(end.flaw, None);

    let messages = stage.workspace.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((messages[0].channel.as_str(), messages[0].edits), (CHANNEL, 5));
    assert!(messages[0].shown().contains("[RESOLVED] querynode is unhealthy"));
    assert!(messages[0].shown().contains("#2eb67d"));
    let replies = stage.workspace.replies();
    let said: Vec<(&str, bool)> =
        replies.iter().map(|reply| (reply.text.as_str(), reply.broadcast)).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].0.starts_with("It is critical by now") && said[0].1, "{said:?}");
    assert!(said[1].0.starts_with("milvus-ha/querynode needs somebody: left to a person"));
    assert!(said[2].0.starts_with("It is over; it lasted 35s") && !said[2].1, "{said:?}");
    assert!(replies.iter().all(|reply| reply.thread.as_ref() == Some(&messages[0].ts)));
}

#[tokio::test]
async fn a_message_that_is_gone_is_posted_anew() {
    let stage = Stage::new().await;
    let first = stage.tell(&notification()).await.unwrap();
    stage.workspace.delete_everything();
    let second = stage.follow(&first, notification()).await;
    assert_ne!(first.reference, second.reference);
    assert_eq!(stage.workspace.messages().len(), 1);
    stage.follow(&second, over()).await;
    assert_eq!(stage.workspace.messages().len(), 1);
}

#[tokio::test]
async fn each_refusal_says_what_to_do_and_a_rotated_token_is_used_at_once() {
    for (channel, words) in [
        ("#nowhere", "channel_not_found: there is no such channel"),
        ("#private", "not_in_channel: the bot is no member of the channel: /invite"),
        ("#old", "is_archived: the channel is archived"),
    ] {
        let stage = Stage::in_channel(channel).await;
        let error = stage.tell(&notification()).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains(words), "{error}");
    }
    let stage = Stage::new().await;
    stage.workspace.rotate("xoxb-second-token");
    let error = stage.tell(&notification()).await.unwrap_err();
    assert!(error.to_string().contains("invalid_auth"), "{error}");
    assert!(error.to_string().contains("bot_token_file"), "{error}");
    assert!(!format!("{error:?}").contains("xoxb-first"), "{error:?}");
    std::fs::write(stage.folder.path().join("token"), "xoxb-second-token").unwrap();
    stage.tell(&notification()).await.unwrap();
}

#[tokio::test]
async fn a_limit_is_respected_and_nothing_is_told_twice_because_of_it() {
    let stage = Stage::new().await;
    stage.workspace.limit(Some(42));
    let error = stage.tell(&notification()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(42)));
    stage.workspace.limit(None);
    let first = stage.tell(&warning()).await.unwrap();
    // The message is changed, the word below it is not taken: both are tried again.
    stage.workspace.refuse_posts("ratelimited");
    let mut worse = notification();
    worse.reference.clone_from(&first.reference);
    assert!(stage.tell(&worse).await.unwrap_err().is_retryable());
    stage.workspace.refuse_posts("");
    stage.tell(&worse).await.unwrap();
    assert_eq!(stage.workspace.messages().len(), 1);
    assert_eq!(stage.workspace.replies().len(), 1);
}

#[tokio::test]
async fn a_word_that_is_refused_for_good_is_a_flaw_and_a_form_that_is_refused_becomes_text() {
    let stage = Stage::new().await;
    let first = stage.tell(&warning()).await.unwrap();
    stage.workspace.refuse_posts("restricted_action");
    let worse = stage.follow(&first, notification()).await;
    assert!(worse.flaw.unwrap().starts_with("no reply: refused: restricted_action"));
    stage.workspace.refuse_posts("");
    stage.workspace.dislike_blocks();
    let plain = stage.tell(&notification()).await.unwrap();
    assert!(plain.flaw.unwrap().starts_with("sent as plain text: refused: invalid_attachments"));
    let message = stage.workspace.messages().pop().unwrap();
    assert!(message.text.contains("*What falconer does:* rollout restart"), "{}", message.text);
}

#[tokio::test]
async fn a_flood_from_outside_is_taken_and_mentions_nobody() {
    let stage = Stage::new().await;
    let mut flood = notification();
    flood.lead.details = vec!["<!channel> & <@U123>".repeat(500); 200];
    flood.lead.title = "<!here>".repeat(1_000);
    flood.others = vec![flood.lead.clone(); 200];
    flood.still_firing = 201;
    let receipt = stage.tell(&flood).await.unwrap();
    assert_eq!(receipt.flaw, None, "within what Slack takes");
    assert!(!stage.workspace.messages()[0].shown().contains("<!"));
}

#[tokio::test]
async fn what_is_not_slack_is_not_believed() {
    let sink = falconer::sim::webhook::WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "xoxb-token").unwrap();
    let access = SlackAccess::Bot {
        token: SecretFile::new(folder.path().join("token")),
        channel: "#alerts".into(),
        api_url: sink.url("/api"),
    };
    let settings = SlackSettings { access, timeout: Duration::from_secs(5) };
    let slack = SlackNotifier::new(settings).unwrap();
    let error = slack.notify(&notification()).await.unwrap_err();
    assert!(error.to_string().contains("is api_url right?"), "{error}");
    let request = &sink.requests().all()[0];
    assert_eq!(request.path, "/api/chat.postMessage");
    assert_eq!(request.header("authorization"), Some("Bearer xoxb-token"));
}
