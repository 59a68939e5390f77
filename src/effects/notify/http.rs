//! One request to a receiver: bounded in time and memory, no redirects, no proxy from the
//! environment, and no URL in any error, since a URL can be a secret.

mod answer;
mod clients;
mod retry_after;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};

use super::NotifyError;
use crate::effects::failure;
use crate::effects::small_file::{self, CA_FILE_LIMIT};
use answer::Answer;
use clients::Authorities;

/// What JSON is sent as.
pub(super) const JSON: &str = "application/json";
/// How much of an answer is read where only its status matters, in bytes.
const SHORT_ANSWER: usize = 4 * 1024;
/// A shorter text is not looked for in answers: it would be found everywhere.
const SHORTEST_SECRET: usize = 4;

/// What is sent where.
#[derive(Debug)]
pub(super) struct Post<'a> {
    /// The receiver's name.
    pub receiver: &'a str,
    /// POST or PUT.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Beside the content type.
    pub headers: HeaderMap,
    /// The type of the body.
    pub content_type: HeaderValue,
    /// The body.
    pub body: Vec<u8>,
    /// For everything from the connection to the end of the answer.
    pub timeout: Duration,
    /// PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<&'a PathBuf>,
    /// How much of the answer is read, in bytes.
    pub answer_limit: usize,
    /// Texts that no error may show even if the far side repeats them, beside sensitive headers.
    pub secrets: Vec<String>,
}

impl<'a> Post<'a> {
    /// A POST of this JSON, of whose answer only the status matters.
    pub(super) fn json(
        receiver: &'a str,
        url: Url,
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Self {
        Self {
            receiver,
            method: Method::POST,
            url,
            headers: HeaderMap::new(),
            content_type: HeaderValue::from_static(JSON),
            body: body.to_string().into_bytes(),
            timeout,
            ca_file: None,
            answer_limit: SHORT_ANSWER,
            secrets: Vec::new(),
        }
    }

    /// A POST of this plain text.
    pub(super) fn text(receiver: &'a str, url: Url, body: String, timeout: Duration) -> Self {
        let mut post = Self::json(receiver, url, &serde_json::Value::Null, timeout);
        post.content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        post.body = body.into_bytes();
        post
    }

    /// Sends it once. Gives the status, e.g. `202 Accepted`.
    ///
    /// # Errors
    /// Unless the far side answers with 2xx.
    pub(super) async fn send(self) -> Result<String, NotifyError> {
        let receiver = self.receiver;
        self.exchange().await?.judge(receiver)
    }

    /// Sends it once and gives the answer, whatever that says.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub(super) async fn exchange(self) -> Result<Answer, NotifyError> {
        let (receiver, limit) = (self.receiver, self.timeout);
        // The client's own deadline ends first, as a rule; this one also covers reading the CA file.
        tokio::time::timeout(limit, self.attempt())
            .await
            .unwrap_or_else(|_| Err(NotifyError::timeout(receiver, limit)))
    }

    async fn attempt(self) -> Result<Answer, NotifyError> {
        let (receiver, limit) = (self.receiver, self.answer_limit);
        let secrets = self.hidden();
        let target = target(&self.url);
        let client = client_for(receiver, &self.url, self.ca_file).await?;
        let request = client
            .request(self.method, self.url)
            .headers(self.headers)
            .header(CONTENT_TYPE, self.content_type)
            .timeout(self.timeout)
            .body(self.body);
        let response = request
            .send()
            .await
            .map_err(|error| describe(receiver, &target, self.timeout, error))?;
        Ok(Answer::read(response, limit, secrets).await)
    }

    /// What an echo of the request must not bring into an error: also a token without the scheme
    /// that stands before it.
    fn hidden(&self) -> Vec<String> {
        let sensitive = self.headers.values().filter(|value| value.is_sensitive());
        let sensitive = sensitive.filter_map(|value| value.to_str().ok());
        let tokens = sensitive.flat_map(|value| [Some(value), value.split_once(' ').map(|p| p.1)]);
        let tokens = tokens.flatten().map(str::to_owned);
        let hidden = tokens.chain(self.secrets.iter().cloned());
        let mut hidden: Vec<String> = hidden.filter(|text| text.len() >= SHORTEST_SECRET).collect();
        // The whole of one goes before a part of it.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden
    }
}

/// The client for `url`. The file with its authorities is read anew each time.
///
/// # Errors
/// When that file cannot be used.
async fn client_for(
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

/// Whether the URL leads to this machine without asking a name server.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A URL to which secrets may be sent: https, or http to this machine. The error does not repeat it.
pub(super) fn confidential(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Ok(url);
    }
    Err("must begin with https:// (http:// only to this machine)".to_owned())
}

/// The value of an `Authorization` with this token, which no log shows.
pub(super) fn bearer(receiver: &str, token: &str) -> Result<HeaderValue, NotifyError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        NotifyError::refused(receiver, "the token is not one: it has odd characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn describe(receiver: &str, target: &str, limit: Duration, error: reqwest::Error) -> NotifyError {
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
