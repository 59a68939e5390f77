//! Probes a URL: one GET, judged by its status and, if asked for, by a word in its body.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::target;
use crate::effects::Probe;
use crate::effects::http::{
    Answer, Connection, HttpClientSettings, HttpGet, http_client, needs_tls, without_credentials,
};
use crate::model::{Outcome, ProbeObservation, Reason, ReasonKind};

/// Most bytes of a body that are read. A health page is far smaller; a larger one is a failure.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What to ask, and which answer is healthy.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpProbeSettings {
    /// The URL, `http://` or `https://`.
    pub url: String,
    /// The status of a healthy answer.
    pub expected_status: u16,
    /// What a healthy answer's body contains, if that matters.
    pub body_contains: Option<String>,
    /// A new connection for every probe, or one that is kept.
    pub connection: Connection,
    /// Headers to send, as name and value.
    pub headers: Vec<(String, String)>,
    /// A PEM file with the certificates to trust instead of the machine's own.
    pub ca_file: Option<PathBuf>,
}

impl HttpProbeSettings {
    /// Status 200 from `url` is healthy, whatever the body; a new connection every time.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            expected_status: 200,
            body_contains: None,
            connection: Connection::Fresh,
            headers: Vec::new(),
            ca_file: None,
        }
    }
}

/// Header values and credentials in the URL are left out.
impl fmt::Debug for HttpProbeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpProbeSettings")
            .field("url", &without_credentials(&self.url))
            .field("expected_status", &self.expected_status)
            .field("body_contains", &self.body_contains)
            .field("connection", &self.connection)
            .field("headers", &names)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct HttpProbe {
    settings: HttpProbeSettings,
    /// The URL as people may see it.
    shown: Arc<str>,
    get: Result<HttpGet, Reason>,
}

impl HttpProbe {
    /// Makes the probe. What cannot work (unreadable certificates, an impossible header) shows as
    /// the outcome of every probe.
    pub fn new(settings: HttpProbeSettings) -> Self {
        let get = header_map(&settings.headers).and_then(|headers| {
            let client = http_client(&HttpClientSettings {
                connection: settings.connection,
                headers,
                tls: needs_tls(&settings.url),
                ca_file: settings.ca_file.clone(),
            })?;
            client.get(&settings.url)
        });
        Self { shown: without_credentials(&settings.url).into(), settings, get }
    }

    async fn ask(&self, budget: Duration) -> Result<Answer, Reason> {
        let get = self.get.as_ref().map_err(Clone::clone)?;
        get.answer(BODY_LIMIT, budget).await
    }
}

#[async_trait]
impl Probe for HttpProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let started = tokio::time::Instant::now();
        let answer = self.ask(budget).await;
        let outcome = match answer {
            Err(reason) => Outcome::Failed { reason },
            Ok(answer) => judge(&self.settings, &answer),
        };
        target(Arc::clone(&self.shown), outcome, started.elapsed())
    }
}

fn judge(settings: &HttpProbeSettings, answer: &Answer) -> Outcome {
    if let Some(reason) = answer.unexpected_status(settings.expected_status) {
        return Outcome::Failed { reason };
    }
    if let Some(wanted) = &settings.body_contains
        && !answer.text().contains(wanted.as_str())
    {
        let text = format!("the body does not contain {wanted:?}");
        return Outcome::failed(ReasonKind::BadAnswer, text);
    }
    if answer.head.truncated {
        let text = format!("the body is larger than {} KiB", BODY_LIMIT / 1024);
        return Outcome::failed(ReasonKind::BadAnswer, text);
    }
    Outcome::Healthy
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, Reason> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let invalid = || {
            let text = format!("{name:?} cannot be sent as an HTTP header");
            Reason::new(ReasonKind::BadAnswer, text)
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let mut content = HeaderValue::from_str(value).map_err(|_| invalid())?;
        // Many a header is a token: keep it out of debug output.
        content.set_sensitive(true);
        map.append(key, content);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_headers_and_in_the_url_do_not_show_in_debug_output() {
        let mut settings = HttpProbeSettings::new("http://root:s3cret@127.0.0.1:1/");
        settings.headers.push(("authorization".into(), "s3cret".into()));
        let probe = HttpProbe::new(settings);
        let shown = format!("{probe:?}");
        assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    }
}
