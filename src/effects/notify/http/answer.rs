//! What a receiver answered: its status, what that means, and the beginning of what it said.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Response, StatusCode};

use super::retry_after;
use crate::effects::notify::{NotifyError, render};

/// How much of an answer is shown, in bytes.
const SHOWN_LIMIT: usize = 150;

/// What came back.
#[derive(Debug)]
pub(in crate::effects::notify) struct Answer {
    pub status: StatusCode,
    /// For how long the far side wants to be left alone.
    pub retry_after: Option<Duration>,
    /// As much of the body as the limit allowed.
    pub body: Vec<u8>,
    secrets: Vec<String>,
}

impl Answer {
    /// Reads no more than `limit` bytes of the body. `secrets` are never shown.
    pub(super) async fn read(response: Response, limit: usize, secrets: Vec<String>) -> Self {
        let status = response.status();
        let retry_after = retry_after::of(response.headers());
        Self { status, retry_after, body: beginning(response, limit).await, secrets }
    }

    /// What the status means; where it is good, the status itself.
    ///
    /// # Errors
    /// Unless it is 2xx.
    pub(in crate::effects::notify) fn judge(&self, receiver: &str) -> Result<String, NotifyError> {
        let status = self.status;
        if status.is_success() {
            return Ok(status.to_string());
        }
        if status.is_redirection() {
            let message = format!("answered with a redirect ({status}), which is not followed");
            return Err(NotifyError::refused(receiver, message));
        }
        let message = self.sentence();
        if status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
        {
            Err(NotifyError::busy(receiver, message, self.retry_after))
        } else {
            Err(NotifyError::refused(receiver, message))
        }
    }

    /// The body as text in which no secret of the request stands.
    pub(in crate::effects::notify) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, "***"))
    }

    /// The status, and the beginning of what was said.
    fn sentence(&self) -> String {
        let mut message = format!("answered {}", self.status);
        if let Some(time) = self.retry_after {
            let _ = write!(message, " (retry after {} s)", time.as_secs());
        }
        let said = render::one_line(&self.text(), SHOWN_LIMIT);
        if !said.is_empty() {
            message.push_str(": ");
            message.push_str(&said);
        }
        message
    }
}

/// The beginning of the answer; what cannot be read is left out.
async fn beginning(mut response: Response, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() >= limit {
            break;
        }
    }
    bytes
}
