//! Slack's methods `chat.postMessage` and `chat.update`: what is asked, what comes back, and what
//! each error means for whoever has to mend it.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::NAME;
use crate::effects::notify::http::{self, Post};
use crate::effects::notify::{NotifyError, render};
use crate::effects::secret::SecretFile;

/// Slack repeats the message in its answer, which may be long, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;
/// What JSON has to be called for Slack not to warn of it.
const JSON_TYPE: &str = "application/json; charset=utf-8";

/// What a method answers.
#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: String,
    /// The scope that the token lacks, with `missing_scope`.
    #[serde(default)]
    needed: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

/// A message that Slack has accepted.
#[derive(Debug)]
pub(super) struct Posted {
    pub channel: String,
    pub ts: String,
}

/// Why a method did not do what it was asked.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The message to change, or its channel, is not there any more or may not be changed.
    Gone(NotifyError),
    /// Slack does not like the form of the message.
    Form(NotifyError),
    /// Anything else.
    Other(NotifyError),
}

impl Trouble {
    /// The error as it is told.
    pub(super) fn into_error(self) -> NotifyError {
        match self {
            Self::Gone(error) | Self::Form(error) | Self::Other(error) => error,
        }
    }
}

/// Calls the methods.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: Url,
    token: SecretFile,
    timeout: Duration,
}

impl Api {
    /// `base` may lack the slash at its end.
    pub(super) fn new(base: &str, token: SecretFile, timeout: Duration) -> Result<Self, String> {
        let base = http::confidential(&format!("{}/", base.trim_end_matches('/')));
        let base = base.map_err(|message| format!("api_url: {message}"))?;
        Ok(Self { base, token, timeout })
    }

    /// Calls `method` with these arguments.
    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Posted, Trouble> {
        let other = |error| Trouble::Other(error);
        let unavailable = |message: String| NotifyError::unavailable(NAME, message);
        let url = self.base.join(method).map_err(|error| other(unavailable(error.to_string())))?;
        let token = self.token.read().await;
        let token = token.map_err(|error| other(unavailable(error.to_string())))?;
        let mut post = Post::json(NAME, url, body, self.timeout);
        post.content_type = HeaderValue::from_static(JSON_TYPE);
        post.headers.insert(AUTHORIZATION, http::bearer(NAME, token.trim()).map_err(other)?);
        post.answer_limit = ANSWER_LIMIT;
        let answer = post.exchange().await.map_err(other)?;
        answer.judge(NAME).map_err(other)?;
        let parsed: Answer = serde_json::from_str(&answer.text()).map_err(|_| {
            other(unavailable("the answer is not one of Slack's; is api_url right?".to_owned()))
        })?;
        if parsed.ok {
            return Ok(Posted { channel: parsed.channel, ts: parsed.ts });
        }
        Err(trouble(&parsed.error, &parsed.needed, answer.retry_after))
    }
}

/// What an error of Slack's means, and what to do about it.
fn trouble(error: &str, needed: &str, retry_after: Option<Duration>) -> Trouble {
    let error = render::one_line(error, 60);
    let refused = |advice: &str| NotifyError::refused(NAME, format!("{error}: {advice}"));
    match error.as_str() {
        "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
            Trouble::Gone(refused("the message is gone, or may not be changed any more"))
        }
        "channel_not_found" => Trouble::Gone(refused(
            "there is no such channel, or it is private and the bot is no member: correct \
             \"channel\" in [alerter.slack], or /invite the bot there",
        )),
        "not_in_channel" => {
            Trouble::Gone(refused("the bot is no member of the channel: /invite it there"))
        }
        "is_archived" => {
            Trouble::Gone(refused("the channel is archived: name another in [alerter.slack]"))
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "too_many_attachments"
        | "msg_too_long"
        | "msg_blocks_too_long" => {
            Trouble::Form(refused("Slack does not take a message of this form"))
        }
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            Trouble::Other(refused(
                "Slack does not know the token: put a valid bot token (xoxb-…) into the file that \
                 \"bot_token_file\" names",
            ))
        }
        "missing_scope" | "not_allowed_token_type" | "no_permission" => {
            let scope = if needed.is_empty() { "chat:write" } else { needed };
            let scope = render::one_line(scope, 60);
            Trouble::Other(refused(&format!(
                "the token may not do that: give the bot the scope {scope} and install it anew"
            )))
        }
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            let message = format!("{error}: Slack wants fewer messages");
            Trouble::Other(NotifyError::busy(NAME, message, retry_after))
        }
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => {
            let message = format!("{error}: Slack cannot do it now");
            Trouble::Other(NotifyError::busy(NAME, message, retry_after))
        }
        _ => Trouble::Other(refused("Slack refuses the message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_to_do_and_whether_time_helps() {
        let error = |name: &str| trouble(name, "", Some(Duration::from_secs(30))).into_error();
        for (name, advice) in [
            ("invalid_auth", "bot_token_file"),
            ("not_in_channel", "/invite"),
            ("channel_not_found", "\"channel\" in [alerter.slack]"),
            ("missing_scope", "chat:write"),
            ("something_new", "refuses"),
        ] {
            let error = error(name);
            assert!(!error.is_retryable(), "{error}");
            assert!(error.to_string().contains(advice), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert_eq!(error("ratelimited").retry_after(), Some(Duration::from_secs(30)));
        assert!(error("internal_error").is_retryable());
        assert!(matches!(trouble("message_not_found", "", None), Trouble::Gone(_)));
    }
}
