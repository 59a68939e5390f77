//! The sign of life over HTTP, as healthchecks and its kin take it: a request to a URL that is a secret
//! in itself. Owns one request; when to send it is not decided here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, Url};

use super::http::{self, Post};
use super::webhook::WebhookUrl;
use super::{NotifyError, SetupError, render};
use crate::effects::LifeSign;
use crate::model::Condition;

/// What it is called in errors.
const NAME: &str = "heartbeat";
/// How long the words may be that go with a POST, in bytes.
const WORDS_LIMIT: usize = 500;

/// How the far side is asked; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeartbeatMethod {
    /// GET, which everybody takes.
    #[default]
    Get,
    /// POST, with falconer's condition as text.
    Post,
}

/// Where the sign of life goes.
#[derive(Clone, PartialEq, Eq)]
pub struct HeartbeatTarget {
    /// The URL.
    pub url: WebhookUrl,
    /// How it is asked.
    pub method: HeartbeatMethod,
    /// What is added to the URL's path when falconer is not well; empty: nothing is told then.
    pub fail_suffix: String,
    /// PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// For one request as a whole.
    pub timeout: Duration,
}

/// Without the URL, which is a secret.
impl fmt::Debug for HeartbeatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeartbeatTarget").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Asks one URL.
#[derive(Debug)]
pub struct HttpHeartbeat {
    target: HeartbeatTarget,
}

impl HttpHeartbeat {
    /// A sign of life to `target`.
    ///
    /// # Errors
    /// When its URL is not one of http or https.
    pub fn new(target: HeartbeatTarget) -> Result<Self, SetupError> {
        if let WebhookUrl::Plain(url) = &target.url {
            http::parse(url).map_err(|message| SetupError::new(NAME, message))?;
        }
        Ok(Self { target })
    }

    async fn url(&self, condition: &Condition) -> Result<Url, NotifyError> {
        let unusable = |message: String| NotifyError::unavailable(NAME, message);
        let mut url = match &self.target.url {
            WebhookUrl::Plain(url) => http::parse(url).map_err(unusable)?,
            WebhookUrl::Secret(source) => {
                let url = source.read().await.map_err(|error| unusable(error.to_string()))?;
                http::parse(url.trim()).map_err(unusable)?
            }
        };
        match condition {
            Condition::Well => {}
            Condition::Unwell { .. } => {
                let path =
                    format!("{}{}", url.path().trim_end_matches('/'), self.target.fail_suffix);
                url.set_path(&path);
            }
        }
        Ok(url)
    }

    async fn request(&self, condition: &Condition) -> Result<(), NotifyError> {
        let HeartbeatTarget { method, ca_file, timeout, .. } = &self.target;
        let (method, body) = match method {
            HeartbeatMethod::Get => (Method::GET, String::new()),
            HeartbeatMethod::Post => (Method::POST, words(condition)),
        };
        let mut post = Post::text(NAME, self.url(condition).await?, body, *timeout);
        // The far side may repeat any part of the path.
        post.secrets = post.url.path().split('/').map(str::to_owned).collect();
        post.method = method;
        post.ca_file = ca_file.as_ref();
        post.send().await.map(drop)
    }
}

fn words(condition: &Condition) -> String {
    match condition {
        Condition::Well => "falconer is well".to_owned(),
        Condition::Unwell { why } => {
            render::one_line(&format!("falconer is not well: {why}"), WORDS_LIMIT)
        }
    }
}

#[async_trait]
impl LifeSign for HttpHeartbeat {
    async fn tell(&self, condition: &Condition) -> Result<(), NotifyError> {
        let limit = self.target.timeout;
        tokio::time::timeout(limit, self.request(condition))
            .await
            .unwrap_or_else(|_| Err(NotifyError::timeout(NAME, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> HeartbeatTarget {
        HeartbeatTarget {
            url: url.into(),
            method: HeartbeatMethod::Get,
            fail_suffix: "/fail".to_owned(),
            ca_file: None,
            timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn the_suffix_belongs_to_the_path_and_a_query_stays() {
        let heartbeat = HttpHeartbeat::new(target("https://hc.example/ping/abc/?rid=1")).unwrap();
        let url = heartbeat.url(&Condition::Well).await.unwrap();
        assert_eq!(url.as_str(), "https://hc.example/ping/abc/?rid=1");
        let sick = Condition::Unwell { why: "oh".to_owned() };
        let url = heartbeat.url(&sick).await.unwrap();
        assert_eq!(url.as_str(), "https://hc.example/ping/abc/fail?rid=1");
    }

    #[test]
    fn a_target_is_refused_and_shown_without_its_secret() {
        let wrong = HttpHeartbeat::new(target("ftp://hc.example/secret")).unwrap_err().to_string();
        assert_eq!(wrong, "heartbeat: url: must begin with http:// or https://");
        let fine = HttpHeartbeat::new(target("https://hc.example/secret")).unwrap();
        assert!(!format!("{fine:?}").contains("secret"));
    }
}
