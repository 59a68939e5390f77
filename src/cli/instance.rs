//! A falconer that runs, as the command line asks it: a few bounded requests over HTTP. Owns where it
//! is, and the words where it does not answer.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{self, DEFAULT_FILE, Settings};
use crate::effects::http::{Trust, modest_client};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long one request may take as a whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// No answer is longer, in bytes.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// Of an answer that is no JSON so much is quoted, in characters.
const QUOTED: usize = 200;

/// What the configuration says of the falconer that runs, as far as it can be read.
#[derive(Debug)]
pub struct Known {
    /// The settings, or the defaults where there are none.
    pub settings: Settings,
    /// Why they are the defaults although there is a file.
    pub trouble: Option<String>,
}

/// Reads the configuration at `path`, or `actors.toml` where there is one. A file that is faulty at
/// the moment does not keep anybody from asking: falconer itself goes on with what it read before.
///
/// # Errors
/// When a file that was named cannot be used.
pub fn known(path: Option<&Path>) -> anyhow::Result<Known> {
    if path.is_none() && !Path::new(DEFAULT_FILE).exists() {
        return Ok(Known { settings: Settings::default(), trouble: None });
    }
    match config::load(path) {
        Ok(loaded) => Ok(Known { settings: loaded.settings, trouble: None }),
        Err(errors) if path.is_some() => Err(errors.into()),
        Err(errors) => {
            let problem = errors.problems().first().map(ToString::to_string).unwrap_or_default();
            let trouble = format!("{DEFAULT_FILE} is faulty and not used here: {problem}");
            Ok(Known { settings: Settings::default(), trouble: Some(trouble) })
        }
    }
}

/// Where somebody on the same machine reaches a server that listens on `listen`.
pub fn reachable_at(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// An answer that is not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Refused {
    /// The status code.
    pub status: StatusCode,
    /// What the far side says, as one line.
    pub words: String,
}

/// A falconer that runs.
#[derive(Debug)]
pub struct Instance {
    url: Url,
    client: Client,
}

impl Instance {
    /// The one at `url`, e.g. `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// When that is no URL of a server.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let wanted = || format!("{url:?} is not the URL of a server such as http://127.0.0.1:8000");
        let url = Url::parse(url).with_context(wanted)?;
        let is_http = matches!(url.scheme(), "http" | "https");
        if !is_http || url.host_str().is_none_or(str::is_empty) || url.cannot_be_a_base() {
            bail!(wanted());
        }
        let trust = if url.scheme() == "https" { Trust::System } else { Trust::Nobody };
        let builder = modest_client(trust).http1_only();
        let client = builder.connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).build();
        Ok(Self { url, client: client.context("cannot set up an HTTP client")? })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }

    /// Whether what is sent to it stays on this machine or is encrypted.
    pub fn is_private(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        self.url.scheme() == "https"
            || host == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// What it answers to a GET of the path made of `steps`.
    ///
    /// # Errors
    /// When it does not answer, or something else than was hoped for ([`Refused`]).
    pub async fn get<T: DeserializeOwned>(
        &self,
        steps: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let mut url = self.path(steps)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.client.get(url)).await
    }

    /// What it answers to a POST of `body` with the admin token.
    ///
    /// # Errors
    /// As for [`Instance::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        steps: &[&str],
        token: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<T> {
        self.ask(self.client.post(self.path(steps)?).bearer_auth(token).json(body)).await
    }

    /// What it answers to a DELETE with the admin token.
    ///
    /// # Errors
    /// As for [`Instance::get`].
    pub async fn delete<T: DeserializeOwned>(
        &self,
        steps: &[&str],
        token: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let mut url = self.path(steps)?;
        url.query_pairs_mut().extend_pairs(query);
        self.ask(self.client.delete(url).bearer_auth(token)).await
    }

    fn path(&self, steps: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} has no paths", self.url))?
            .pop_if_empty()
            .extend(steps);
        Ok(url)
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let silent = |error: reqwest::Error| anyhow!("{}", self.silence(&error));
        let response = request.send().await.map_err(silent)?;
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            return Err(Refused { status, words: refusal(status, &body) }.into());
        }
        serde_json::from_slice(&body).map_err(|error| {
            let quoted = quoted(&body);
            anyhow!(
                "what answers at {} is no falconer of this version ({error}): {quoted}",
                self.url()
            )
        })
    }

    async fn body(&self, mut response: Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        let cut = |error: reqwest::Error| anyhow!("{}", self.silence(&error));
        while let Some(piece) = response.chunk().await.map_err(cut)? {
            if body.len() + piece.len() > ANSWER_LIMIT {
                bail!("the answer of {} is longer than {ANSWER_LIMIT} bytes", self.url());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn silence(&self, error: &reqwest::Error) -> String {
        let url = self.url();
        if error.is_timeout() && !error.is_connect() {
            return format!("{url} gave no answer within {} s", ANSWER_WITHIN.as_secs());
        }
        format!("no falconer answers at {url}: {}", innermost(error))
    }
}

/// The cause at the bottom: `connection refused` rather than `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    harmless(cause)
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Words {
        error: String,
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { error }) => harmless(error),
        Err(_) => format!("{status}: {}", quoted(body)),
    }
}

fn quoted(body: &[u8]) -> String {
    let text = harmless(String::from_utf8_lossy(&body[..body.len().min(4 * QUOTED)]));
    let short: String = text.chars().take(QUOTED).collect();
    format!("{short:?}")
}

/// As one line without control characters: it may go to a terminal.
pub fn harmless(text: impl Display) -> String {
    let text = text.to_string();
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_this_machine() {
        let at = |listen: &str| reachable_at(listen.parse().unwrap());
        assert_eq!(at("0.0.0.0:8000"), "http://127.0.0.1:8000");
        assert_eq!(at("[::]:8000"), "http://[::1]:8000");
        assert_eq!(at("10.0.0.7:9"), "http://10.0.0.7:9");
    }

    #[test]
    fn only_this_machine_and_tls_are_private() {
        let private = |url: &str| Instance::at(url).unwrap().is_private();
        assert!(private("http://127.0.0.1:1") && private("http://[::1]:1"));
        assert!(private("https://falconer.example.com") && private("http://localhost:8000"));
        assert!(!private("http://10.0.0.7:8000"));
        for wrong in ["", "127.0.0.1:8000", "ftp://a/", "mailto:a@b"] {
            assert!(Instance::at(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_with_odd_letters_stay_one_step_of_the_path() {
        let instance = Instance::at("http://127.0.0.1:1/").unwrap();
        let url = instance.path(&["api", "v1", "explain", "a b", "../c"]).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:1/api/v1/explain/a%20b/..%2Fc");
    }

    #[test]
    fn what_is_quoted_is_one_short_harmless_line() {
        let words = refusal(StatusCode::NOT_FOUND, "\x1b[31mno\nsuch page".as_bytes());
        assert_eq!(words, "404 Not Found: \" [31mno such page\"");
        assert!(refusal(StatusCode::OK, &vec![b'x'; 1 << 20]).len() < 300);
    }
}
