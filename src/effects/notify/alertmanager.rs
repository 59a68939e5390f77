//! Alertmanager through its API v2, as Prometheus speaks it: every alert goes to every member of the
//! cluster, and what fires is told again before it lapses there. Passwords and tokens come from
//! files that are read for each message.

mod memory;
mod postable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use super::http::{self, Post};
use super::{NotifyError, SetupError, render};
use crate::clock::Clock;
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{AlertStatus, Notification, Receipt};
use memory::Memory;
pub(super) use postable::ALERT_NAME;

/// How many times an alert may be told anew before it lapses in Alertmanager.
const LAPSES_AFTER: u32 = 3;
/// The longest list of what went wrong that is kept, in bytes.
const FLAW_LIMIT: usize = 300;

/// How falconer logs in to Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertmanagerLogin {
    /// As anybody.
    None,
    /// With a user's name and password.
    Basic {
        /// The user.
        username: String,
        /// The file with the password.
        password: SecretFile,
    },
    /// With a token.
    Bearer(SecretFile),
}

/// Settings of the receiver `alertmanager`.
#[derive(Debug, Clone)]
pub struct AlertmanagerSettings {
    /// The members of the cluster: `http://alertmanager-0:9093`, with a path prefix where there is
    /// one.
    pub urls: Vec<String>,
    /// How often what fires is told again.
    pub resend_every: Duration,
    /// Labels that every alert gets, e.g. for Alertmanager's routes.
    pub labels: BTreeMap<String, String>,
    /// Who falconer is.
    pub login: AlertmanagerLogin,
    /// PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Where people find falconer; may be empty.
    pub external_url: String,
    /// For one message as a whole.
    pub timeout: Duration,
}

/// Posts alerts to a cluster of Alertmanagers.
#[derive(Debug)]
pub struct AlertmanagerNotifier {
    urls: Vec<Url>,
    settings: AlertmanagerSettings,
    clock: Clock,
    /// As which severity each incident stands in Alertmanager.
    memory: Mutex<Memory>,
}

impl AlertmanagerNotifier {
    const NAME: &'static str = "alertmanager";

    /// A receiver with these settings.
    ///
    /// # Errors
    /// When there is no URL, or one of them is none.
    pub fn new(settings: AlertmanagerSettings, clock: Clock) -> Result<Self, SetupError> {
        let wrong = |message: String| SetupError::new(Self::NAME, message);
        if settings.urls.is_empty() {
            return Err(wrong("urls: none is given".into()));
        }
        let urls = settings.urls.iter().map(|url| endpoint(url)).collect::<Result<_, _>>();
        let urls = urls.map_err(wrong)?;
        Ok(Self { urls, settings, clock, memory: Mutex::default() })
    }

    async fn headers(&self) -> Result<HeaderMap, NotifyError> {
        let unusable = |error: crate::effects::secret::SecretError| {
            NotifyError::unavailable(Self::NAME, error.to_string())
        };
        let value = match &self.settings.login {
            AlertmanagerLogin::None => return Ok(HeaderMap::new()),
            AlertmanagerLogin::Basic { username, password } => {
                let password = password.read().await.map_err(unusable)?;
                let both = STANDARD.encode(format!("{username}:{password}"));
                let mut value = HeaderValue::try_from(format!("Basic {both}"))
                    .map_err(|error| NotifyError::refused(Self::NAME, error.to_string()))?;
                value.set_sensitive(true);
                value
            }
            AlertmanagerLogin::Bearer(token) => {
                http::bearer(Self::NAME, token.read().await.map_err(unusable)?.trim())?
            }
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    /// The alerts of a message, and those of the severities as which they stood there before.
    fn alerts(&self, notification: &Notification) -> Value {
        let frame = postable::Frame {
            labels: &self.settings.labels,
            external: &self.settings.external_url,
            now: self.clock.now(),
            lapses_after: self.settings.resend_every * LAPSES_AFTER,
        };
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = notification.alerts().flat_map(|alert| match alert.status {
            AlertStatus::Firing => {
                let outgrown = memory.outgrown(alert);
                let outgrown = outgrown.map(|severity| frame.over(alert, severity));
                [Some(frame.firing(alert)), outgrown]
            }
            AlertStatus::Resolved => {
                let severity = memory.outgrown(alert).unwrap_or(alert.severity);
                [Some(frame.over(alert, severity)), None]
            }
        });
        alerts.flatten().collect()
    }

    async fn post(&self, url: &Url, headers: HeaderMap, alerts: &Value) -> Result<(), NotifyError> {
        let mut post = Post::json(Self::NAME, url.clone(), alerts, self.settings.timeout);
        post.headers = headers;
        post.ca_file = self.settings.ca_file.as_ref();
        post.send().await.map(drop)
    }
}

#[async_trait]
impl Notifier for AlertmanagerNotifier {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let headers = self.headers().await?;
        let alerts = self.alerts(notification);
        let posts = self.urls.iter().map(|url| self.post(url, headers.clone(), &alerts));
        let results = join_all(posts).await;
        let mut failed = Vec::new();
        for (url, result) in self.urls.iter().zip(results) {
            if let Err(error) = result {
                failed.push((http::target(url), error));
            }
        }
        if failed.len() == self.urls.len() {
            return Err(worst_of(failed));
        }
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).told(notification);
        let of = self.urls.len();
        let said = format!("{} of {of} Alertmanagers took it", of - failed.len());
        Ok(Receipt { reference: None, said: Some(said), flaw: flaw(&failed, of) })
    }
}

/// Where the alerts of one member go.
fn endpoint(url: &str) -> Result<Url, String> {
    let url = Url::parse(&format!("{}/api/v2/alerts", url.trim_end_matches('/')))
        .map_err(|error| format!("urls: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("urls: must begin with http:// or https://".to_owned())
    }
}

/// Nobody took it: one that may take it soon decides how soon it is tried again.
fn worst_of(mut failed: Vec<(String, NotifyError)>) -> NotifyError {
    failed.sort_by_key(|(_, error)| (!error.is_retryable(), error.retry_after()));
    match failed.into_iter().next() {
        Some((_, error)) => error,
        None => NotifyError::unavailable(AlertmanagerNotifier::NAME, "there is no Alertmanager"),
    }
}

/// Who did not take it while others did.
fn flaw(failed: &[(String, NotifyError)], of: usize) -> Option<Arc<str>> {
    if failed.is_empty() {
        return None;
    }
    let each = failed.iter().map(|(target, error)| format!("{target}: {error}"));
    let each = each.collect::<Vec<_>>().join("; ");
    let line = format!("{} of {of} Alertmanagers did not take it: {each}", failed.len());
    Some(render::one_line(&line, FLAW_LIMIT).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_go_to_the_api_below_whatever_prefix_a_member_has() {
        let made = |url: &str| endpoint(url).map(|url| url.to_string());
        assert_eq!(made("http://a:9093").unwrap(), "http://a:9093/api/v2/alerts");
        assert_eq!(made("https://a/am/").unwrap(), "https://a/am/api/v2/alerts");
        assert!(made("ftp://a").is_err() && made("alertmanager:9093").is_err());
    }
}
