//! The ways to reach people: mail, Slack, PagerDuty, Alertmanager, any webhook, the log. Each is a [`Notifier`]; when to
//! send what is not decided here.
//!
//! [`Notifier`]: super::Notifier

pub mod alertmanager;
pub mod email;
pub mod heartbeat;
mod http;
pub mod log;
pub mod pagerduty;
pub mod render;
pub mod slack;
pub mod webhook;
mod words;

pub use alertmanager::{AlertmanagerLogin, AlertmanagerNotifier, AlertmanagerSettings};
pub use email::{EmailLogin, EmailNotifier, EmailSettings, SmtpSecurity};
pub use log::LogNotifier;
pub use pagerduty::{PAGERDUTY_URL, PagerDutyNotifier, PagerDutySettings};
pub use slack::{SLACK_API_URL, SlackAccess, SlackNotifier, SlackSettings};
pub use webhook::{
    WebhookFormat, WebhookNotifier, WebhookSettings, WebhookTemplate, WebhookUrl, check_template,
};

use std::time::Duration;

/// A receiver's settings make no sense; found before anything is sent.
#[derive(Debug, thiserror::Error)]
#[error("{receiver}: {message}")]
pub struct SetupError {
    /// The receiver's name.
    pub receiver: String,
    /// What is wrong with which setting; no secrets.
    pub message: String,
}

impl SetupError {
    pub(crate) fn new(receiver: &str, message: impl Into<String>) -> Self {
        Self { receiver: receiver.to_owned(), message: message.into() }
    }
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// No answer in time.
    #[error("{receiver}: no answer within {seconds} s")]
    Timeout {
        /// The receiver's name.
        receiver: String,
        /// The deadline.
        seconds: u64,
    },
    /// The far side cannot be reached, or cannot take it now (4xx of SMTP, 429 and 5xx of HTTP).
    #[error("{receiver}: {message}")]
    Unavailable {
        /// The receiver's name.
        receiver: String,
        /// What went wrong, cut to a line, without secrets.
        message: String,
    },
    /// The far side cannot take it now and says for how long it wants to be left alone
    /// (`Retry-After`).
    #[error("{receiver}: {message}")]
    Overloaded {
        /// The receiver's name.
        receiver: String,
        /// What went wrong, cut to a line, without secrets.
        message: String,
        /// For how long; as it was said, without a bound.
        retry_after: Duration,
    },
    /// The far side refuses this message or these credentials.
    #[error("{receiver}: refused: {message}")]
    Refused {
        /// The receiver's name.
        receiver: String,
        /// What it said, cut to a line, without secrets.
        message: String,
    },
}

impl NotifyError {
    pub(crate) fn timeout(receiver: &str, limit: Duration) -> Self {
        let seconds = limit.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Self::Timeout { receiver: receiver.to_owned(), seconds }
    }

    pub(crate) fn unavailable(receiver: &str, message: impl AsRef<str>) -> Self {
        let message = render::one_line(message.as_ref(), render::ERROR_LIMIT);
        Self::Unavailable { receiver: receiver.to_owned(), message }
    }

    /// As [`NotifyError::unavailable`], with the time for which the far side wants to be left
    /// alone, where it says so.
    pub(crate) fn busy(
        receiver: &str,
        message: impl AsRef<str>,
        retry_after: Option<Duration>,
    ) -> Self {
        let Some(retry_after) = retry_after else { return Self::unavailable(receiver, message) };
        let message = render::one_line(message.as_ref(), render::ERROR_LIMIT);
        Self::Overloaded { receiver: receiver.to_owned(), message, retry_after }
    }

    pub(crate) fn refused(receiver: &str, message: impl AsRef<str>) -> Self {
        let message = render::one_line(message.as_ref(), render::ERROR_LIMIT);
        Self::Refused { receiver: receiver.to_owned(), message }
    }

    /// Whether trying again soon makes sense. A refusal is retried too, but only slowly: somebody
    /// may mend the password.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unavailable { .. } | Self::Overloaded { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// For how long the far side wants to be left alone, where it says so. Nobody vouches for that
    /// figure: bound it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::Timeout { .. } | Self::Unavailable { .. } | Self::Refused { .. } => None,
        }
    }
}
