//! One POST of JSON to a receiver: bounded in time and memory, no redirects, no proxy from the
//! environment, and no URL in any error, since a URL can be a secret.

mod clients;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};

use super::{NotifyError, render};
use crate::effects::failure;
use crate::effects::small_file::{self, CA_FILE_LIMIT};
use clients::Authorities;

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024;
/// How much of an answer is shown, in bytes.
const SHOWN_LIMIT: usize = 150;

/// What is sent where.
pub(super) struct Post<'a> {
    /// The receiver's name.
    pub receiver: &'a str,
    /// Where to.
    pub url: Url,
    /// Beside the content type.
    pub headers: HeaderMap,
    /// The JSON text.
    pub body: Vec<u8>,
    /// For everything from the connection to the end of the answer.
    pub timeout: Duration,
    /// PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<&'a PathBuf>,
}

impl Post<'_> {
    /// Sends it once.
    ///
    /// # Errors
    /// Unless the far side answers with 2xx.
    pub(super) async fn send(self) -> Result<(), NotifyError> {
        let (receiver, limit) = (self.receiver, self.timeout);
        // The client's own deadline ends first, as a rule; this one also covers reading the CA file.
        tokio::time::timeout(limit, self.attempt())
            .await
            .unwrap_or_else(|_| Err(NotifyError::timeout(receiver, limit)))
    }

    async fn attempt(self) -> Result<(), NotifyError> {
        let receiver = self.receiver;
        let target = target(&self.url);
        let client = self.client().await?;
        let request = client
            .post(self.url)
            .headers(self.headers)
            .header(CONTENT_TYPE, "application/json")
            .timeout(self.timeout)
            .body(self.body);
        let response = request
            .send()
            .await
            .map_err(|error| describe(receiver, &target, self.timeout, error))?;
        judge(receiver, response).await
    }

    async fn client(&self) -> Result<Client, NotifyError> {
        client_for(self.receiver, &self.url, self.ca_file).await
    }
}

/// The client for `url`. The file with its authorities is read anew each time.
///
/// # Errors
/// When that file cannot be used.
pub(super) async fn client_for(
    receiver: &str,
    url: &Url,
    ca_file: Option<&PathBuf>,
) -> Result<Client, NotifyError> {
    let unusable = |path: &PathBuf, error: &dyn std::fmt::Display| {
        NotifyError::unavailable(receiver, format!("cannot use {}: {error}", path.display()))
    };
    match ca_file {
        _ if url.scheme() == "http" => clients::client(Authorities::None),
        None => clients::client(Authorities::System),
        Some(path) => {
            let pem = small_file::read(path, CA_FILE_LIMIT).await;
            let pem = pem.map_err(|error| unusable(path, &error))?;
            return clients::client(Authorities::Only(pem)).map_err(|error| unusable(path, &error));
        }
    }
    .map_err(|error| NotifyError::unavailable(receiver, error))
}

/// A URL of http or https. The error does not show it.
pub(super) fn parse(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("url: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("url: must begin with http:// or https://".to_owned())
    }
}

/// `host:port`, the part of a URL that is never a secret.
pub(super) fn target(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(super) async fn judge(receiver: &str, response: Response) -> Result<(), NotifyError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let message = format!("answered with a redirect ({status}), which is not followed");
        return Err(NotifyError::refused(receiver, message));
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let mut message = format!("answered {status}");
    if let Some(seconds) = retry_after {
        message.push_str(" (retry after ");
        message.push_str(&render::one_line(seconds, 30));
        message.push(')');
    }
    let answer = render::one_line(&answer(response).await, SHOWN_LIMIT);
    if !answer.is_empty() {
        message.push_str(": ");
        message.push_str(&answer);
    }
    if status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
    {
        Err(NotifyError::unavailable(receiver, message))
    } else {
        Err(NotifyError::refused(receiver, message))
    }
}

/// The beginning of the answer; what cannot be read is left out.
async fn answer(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_LIMIT.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() >= ANSWER_LIMIT {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn describe(
    receiver: &str,
    target: &str,
    limit: Duration,
    error: reqwest::Error,
) -> NotifyError {
    if error.is_timeout() {
        return NotifyError::timeout(receiver, limit);
    }
    let error = error.without_url();
    NotifyError::unavailable(
        receiver,
        match io_kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => format!("connection refused by {target}"),
            Some(io::ErrorKind::ConnectionReset) => format!("connection reset by {target}"),
            Some(io::ErrorKind::UnexpectedEof) => format!("connection closed by {target}"),
            _ => format!("cannot reach {target}: {}", failure::describe(&error)),
        },
    )
}

/// The kind of the innermost I/O error.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut kind = None;
    let mut next = Some(error);
    while let Some(error) = next {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        next = error.source();
    }
    kind
}
