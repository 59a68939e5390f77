//! Slack, in one of two ways: an incoming webhook, which can only post, or a bot, which keeps one
//! message per thread and changes it. The webhook's URL and the bot's token are secrets: they come
//! from files that are read for each message, and stand in no error.

mod api;
mod blocks;
mod bot;
mod text;
mod told;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;

use super::{NotifyError, SetupError};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};
use bot::Bot;

/// Where Slack's methods are unless told otherwise.
pub const SLACK_API_URL: &str = "https://slack.com/api/";
/// The receiver's name.
const NAME: &str = "slack";

/// How Slack is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackAccess {
    /// An incoming webhook: a message for each piece of news.
    Webhook {
        /// The file with its URL.
        url: SecretFile,
    },
    /// A bot with the scope `chat:write`: one message for each thread.
    Bot {
        /// The file with its token.
        token: SecretFile,
        /// The channel's name or identifier.
        channel: String,
        /// Where the methods are, [`SLACK_API_URL`] as a rule.
        api_url: String,
    },
}

/// Settings of the receiver `slack`.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// How it is reached.
    pub access: SlackAccess,
    /// For one message as a whole.
    pub timeout: Duration,
}

/// Posts to Slack.
#[derive(Debug, Clone)]
pub struct SlackNotifier {
    way: Way,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Way {
    Webhook(SecretFile),
    Bot(Box<Bot>),
}

impl SlackNotifier {
    /// A receiver with these settings.
    ///
    /// # Errors
    /// When the URL of the methods cannot be used: the token goes over TLS, or stays on this
    /// machine.
    pub fn new(settings: SlackSettings) -> Result<Self, SetupError> {
        let SlackSettings { access, timeout } = settings;
        let way = match access {
            SlackAccess::Webhook { url } => Way::Webhook(url),
            SlackAccess::Bot { token, channel, api_url } => {
                let bot = Bot::new(token, channel, &api_url, timeout);
                Way::Bot(Box::new(bot.map_err(|message| SetupError::new(NAME, message))?))
            }
        };
        Ok(Self { way, timeout })
    }
}

#[async_trait]
impl Notifier for SlackNotifier {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        match &self.way {
            Way::Webhook(url) => webhook::post(url, notification, self.timeout).await,
            // Up to three requests make one message.
            Way::Bot(bot) => tokio::time::timeout(self.timeout, bot.tell(notification))
                .await
                .unwrap_or_else(|_| Err(NotifyError::timeout(NAME, self.timeout))),
        }
    }
}
