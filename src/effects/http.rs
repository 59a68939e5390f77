//! One bounded HTTP GET, for every probe that asks over HTTP. Follows no redirect, uses no proxy
//! from the environment, reads no more than it was told to, and ends within its budget. Owns what
//! all HTTP clients of falconer have in common.

mod chunked;
mod connecting;
mod exchange;
mod reading;
mod request;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use tokio::time::{Instant, timeout};

use super::failure;
use super::small_file::{self, CA_FILE_LIMIT};
use super::tls::install_tls_provider;
use crate::model::{Reason, ReasonKind};
use exchange::exchange;
use request::Request;

/// Most header lines that an answer may have.
const MAX_HEADERS: usize = 100;

/// What falconer calls itself.
const AGENT: &str = concat!("falconer/", env!("CARGO_PKG_VERSION"));

/// Whether each probe opens its own connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// A new connection for every probe: sees what a new client of the service sees.
    #[default]
    Fresh,
    /// The connection is kept between probes: cheaper, above all with TLS.
    Reuse,
}

/// How to make an HTTP client.
#[derive(Debug, Clone, Default)]
pub struct HttpClientSettings {
    /// Fresh or kept connections.
    pub connection: Connection,
    /// Headers sent with every request.
    pub headers: HeaderMap,
    /// Whether the client needs TLS at all. Without it no root certificates are loaded.
    pub tls: bool,
    /// A PEM file with the certificates to trust instead of the machine's own.
    pub ca_file: Option<PathBuf>,
}

/// Whose certificates a client believes.
pub(crate) enum Trust {
    /// Nobody's: for plain HTTP, which an image without root certificates must still be able to do.
    Nobody,
    /// The machine's own authorities.
    System,
    /// These authorities alone.
    Only(Vec<Certificate>),
}

/// What every HTTP client of falconer starts from: it says who it is, follows no redirect and uses
/// no proxy from the environment.
pub(crate) fn modest_client(trust: Trust) -> ClientBuilder {
    install_tls_provider();
    let builder = Client::builder()
        .user_agent(AGENT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false);
    match trust {
        Trust::Nobody => builder.tls_certs_only([]),
        Trust::System => builder,
        Trust::Only(authorities) => builder.tls_certs_only(authorities),
    }
}

/// What asks over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient(Means);

#[derive(Debug, Clone)]
enum Means {
    /// Plain HTTP over a new connection each time, which costs little more than its packets. These
    /// headers go with every request.
    Wire(HeaderMap),
    /// TLS, or connections that are kept.
    Full(Client),
}

impl HttpClient {
    /// A GET of `url`, to be sent as often as one likes.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn get(&self, url: &str) -> Result<HttpGet, Reason> {
        Ok(HttpGet(match &self.0 {
            Means::Wire(headers) => Prepared::Wire(Request::get(url, headers)?),
            Means::Full(client) => Prepared::Full(client.clone(), url.to_owned()),
        }))
    }
}

/// Makes a client for [`http_get`] and [`http_stream`].
///
/// # Errors
/// When the certificates cannot be read.
pub fn http_client(settings: &HttpClientSettings) -> Result<HttpClient, Reason> {
    let trust = match &settings.ca_file {
        Some(path) => Trust::Only(read_certificates(path)?),
        None if settings.tls => Trust::System,
        None => Trust::Nobody,
    };
    if settings.connection == Connection::Fresh && matches!(trust, Trust::Nobody) {
        return Ok(HttpClient(Means::Wire(settings.headers.clone())));
    }
    let mut builder = modest_client(trust)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .default_headers(settings.headers.clone());
    if settings.connection == Connection::Fresh {
        builder = builder.pool_max_idle_per_host(0);
    }
    let client = builder.build().map_err(|error| {
        Reason::new(ReasonKind::Connection, format!("TLS: {}", failure::describe(&error)))
    })?;
    Ok(HttpClient(Means::Full(client)))
}

/// Whether `url` is one that needs TLS.
pub fn needs_tls(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Reason> {
    let pem = small_file::read_now(path, CA_FILE_LIMIT)
        .map_err(|error| failure::unreadable(path, &error))?;
    Certificate::from_pem_bundle(&pem).map_err(|error| {
        Reason::new(ReasonKind::Connection, format!("{}: {error}", path.display()))
    })
}

/// `url` without the user and password that may stand in it, for people to see.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The first line and the interesting headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status, e.g. 200.
    pub status: u16,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// Whether the body went on after the limit; the rest was not read.
    pub truncated: bool,
    /// From the start of the connection to the end of what was read.
    pub latency: Duration,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Everything but the body.
    pub head: AnswerHead,
    /// The body, or as much of it as the limit allowed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reason for an answer whose status is not `expected`, or `None` where it is.
    pub fn unexpected_status(&self, expected: u16) -> Option<Reason> {
        let status = self.head.status;
        if status == expected {
            return None;
        }
        if (300..400).contains(&status)
            && let Some(location) = &self.head.location
        {
            return Some(Reason::new(ReasonKind::BadAnswer, format!("redirected to {location}")));
        }
        let text = self.text();
        let body = text.trim();
        let separator = if body.is_empty() { "" } else { ": " };
        Some(Reason::new(ReasonKind::Status, format!("status {status}{separator}{body}")))
    }
}

/// A GET of one URL, made by [`HttpClient::get`].
#[derive(Debug, Clone)]
pub struct HttpGet(Prepared);

#[derive(Debug, Clone)]
enum Prepared {
    Wire(Request),
    Full(Client, String),
}

impl HttpGet {
    /// Asks once and keeps at most `limit` bytes of the body, all within `budget`.
    ///
    /// # Errors
    /// When there is no HTTP answer in time. A status other than 200 is not an error here.
    pub async fn answer(&self, limit: usize, budget: Duration) -> Result<Answer, Reason> {
        let mut body = Vec::new();
        let head = self.stream(limit as u64, budget, |part| body.extend_from_slice(part)).await?;
        Ok(Answer { head, body })
    }

    /// Asks once and hands at most `limit` bytes of the body to `on_part`, piece by piece, all
    /// within `budget`. Nothing is kept, so the memory used does not grow with the body.
    ///
    /// # Errors
    /// When there is no HTTP answer in time, or it breaks off.
    pub async fn stream(
        &self,
        limit: u64,
        budget: Duration,
        on_part: impl FnMut(&[u8]),
    ) -> Result<AnswerHead, Reason> {
        let result = match &self.0 {
            Prepared::Wire(request) => timeout(budget, exchange(request, limit, on_part)).await,
            // In a box: its state is large, and plain requests would carry it around.
            Prepared::Full(client, url) => {
                Box::pin(timeout(budget, stream_body(client, url, limit, on_part))).await
            }
        };
        result.unwrap_or_else(|_| Err(failure::timeout(budget)))
    }
}

/// Asks `url` once, as [`HttpGet::answer`] does.
///
/// # Errors
/// When the URL cannot be used, or there is no HTTP answer in time.
pub async fn http_get(
    client: &HttpClient,
    url: &str,
    limit: usize,
    budget: Duration,
) -> Result<Answer, Reason> {
    client.get(url)?.answer(limit, budget).await
}

/// Asks `url` once, as [`HttpGet::stream`] does.
///
/// # Errors
/// When the URL cannot be used, there is no HTTP answer in time, or it breaks off.
pub async fn http_stream(
    client: &HttpClient,
    url: &str,
    limit: u64,
    budget: Duration,
    on_part: impl FnMut(&[u8]),
) -> Result<AnswerHead, Reason> {
    client.get(url)?.stream(limit, budget, on_part).await
}

async fn stream_body(
    client: &Client,
    url: &str,
    limit: u64,
    mut on_part: impl FnMut(&[u8]),
) -> Result<AnswerHead, Reason> {
    let started = Instant::now();
    let mut response = client.get(url).send().await.map_err(|error| request_reason(&error))?;
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(reqwest::header::LOCATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut left = limit;
    let mut truncated = false;
    while let Some(part) = response.chunk().await.map_err(|error| request_reason(&error))? {
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
        on_part(&part[..fits]);
        left -= fits as u64;
        if fits < part.len() {
            truncated = true;
            break;
        }
    }
    Ok(AnswerHead { status, location, truncated, latency: started.elapsed() })
}

fn request_reason(error: &reqwest::Error) -> Reason {
    if error.is_builder() {
        return Reason::new(ReasonKind::BadAnswer, failure::describe(error));
    }
    failure::classify(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        for (url, shown) in [
            ("http://root:p@ss@host:1/a@b", "http://host:1/a@b"),
            ("https://host?x=a@b", "https://host?x=a@b"),
            ("no url", "no url"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
