//! Any program that takes a POST of JSON: in falconer's own words, or in those of Alertmanager.

mod payload;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::http::{Post, parse};
use super::{NotifyError, SetupError};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};

/// The shape of the JSON; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The notification itself, with a `version`.
    #[default]
    Falconer,
    /// What Alertmanager sends to its own webhook receivers, version 4.
    Alertmanager,
}

impl WebhookFormat {
    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Falconer => "falconer",
            Self::Alertmanager => "alertmanager",
        }
    }
}

/// Where a webhook is.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// This URL.
    Plain(String),
    /// A URL that is a secret; read for each message.
    Secret(SecretFile),
}

impl<T: Into<String>> From<T> for WebhookUrl {
    fn from(url: T) -> Self {
        Self::Plain(url.into())
    }
}

/// Settings of one receiver `webhook.<name>`.
#[derive(Clone)]
pub struct WebhookSettings {
    /// The key of its table, e.g. `oncall`.
    pub name: String,
    /// Where to; http or https.
    pub url: WebhookUrl,
    /// The shape of the JSON.
    pub format: WebhookFormat,
    /// Headers beside the content type.
    pub headers: Vec<(String, String)>,
    /// Headers whose values are secrets, e.g. `authorization`; read for each message.
    pub secret_headers: Vec<(String, SecretFile)>,
    /// PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Where people find falconer; may be empty.
    pub external_url: String,
    /// For one message as a whole.
    pub timeout: Duration,
}

impl WebhookSettings {
    /// The defaults, with a name and a URL.
    pub fn new(name: impl Into<String>, url: impl Into<WebhookUrl>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            format: WebhookFormat::default(),
            headers: Vec::new(),
            secret_headers: Vec::new(),
            ca_file: None,
            external_url: String::new(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Without URL and headers, which can hold secrets.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, format, timeout, .. } = self;
        f.debug_struct("WebhookSettings")
            .field("name", name)
            .field("format", format)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

/// Posts to one URL.
#[derive(Debug, Clone)]
pub struct WebhookNotifier {
    receiver: String,
    headers: HeaderMap,
    secret_headers: Vec<(HeaderName, SecretFile)>,
    settings: WebhookSettings,
}

impl WebhookNotifier {
    /// A receiver with these settings.
    ///
    /// # Errors
    /// When the URL is not one of http or https, or a header is not one.
    pub fn new(settings: WebhookSettings) -> Result<Self, SetupError> {
        let receiver = format!("webhook.{}", settings.name);
        let wrong = |message: String| SetupError::new(&receiver, message);
        match &settings.url {
            WebhookUrl::Plain(url) => drop(parse(url).map_err(wrong)?),
            WebhookUrl::Secret(_) => {}
        }
        let header_name = |name: &str| {
            HeaderName::try_from(name).map_err(|_| wrong(format!("header {name:?}: not a name")))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| wrong(format!("header {name:?}: not a header's value")))?;
            value.set_sensitive(true);
            headers.append(header_name(name)?, value);
        }
        let mut secret_headers = Vec::new();
        for (name, source) in &settings.secret_headers {
            secret_headers.push((header_name(name)?, source.clone()));
        }
        Ok(Self { receiver, headers, secret_headers, settings })
    }

    async fn url(&self) -> Result<Url, NotifyError> {
        let unusable = |message: String| NotifyError::unavailable(&self.receiver, message);
        match &self.settings.url {
            WebhookUrl::Plain(url) => parse(url).map_err(unusable),
            WebhookUrl::Secret(source) => {
                let url = source.read().await.map_err(|error| unusable(error.to_string()))?;
                parse(url.trim()).map_err(unusable)
            }
        }
    }

    async fn headers(&self) -> Result<HeaderMap, NotifyError> {
        let mut headers = self.headers.clone();
        for (name, source) in &self.secret_headers {
            let secret = source.read().await;
            let secret = secret
                .map_err(|error| NotifyError::unavailable(&self.receiver, error.to_string()))?;
            let mut value = HeaderValue::try_from(secret).map_err(|_| {
                let message = format!("the secret for header {name} is not a header's value");
                NotifyError::refused(&self.receiver, message)
            })?;
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
        Ok(headers)
    }

    fn body(&self, notification: &Notification) -> serde_json::Value {
        match self.settings.format {
            WebhookFormat::Falconer => payload::falconer(&self.receiver, notification),
            WebhookFormat::Alertmanager => payload::alertmanager(
                &self.settings.name,
                &self.settings.external_url,
                notification,
            ),
        }
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    fn name(&self) -> &str {
        &self.receiver
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let post = Post {
            receiver: &self.receiver,
            url: self.url().await?,
            headers: self.headers().await?,
            body: self.body(notification).to_string().into_bytes(),
            timeout: self.settings.timeout,
            ca_file: self.settings.ca_file.as_ref(),
        };
        post.send().await?;
        Ok(Receipt::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_before_anything_is_sent() {
        let refusal = |change: fn(&mut WebhookSettings)| {
            let mut settings = WebhookSettings::new("oncall", "https://example.com/hook");
            change(&mut settings);
            WebhookNotifier::new(settings).map(|_| ()).unwrap_err().to_string()
        };
        assert!(WebhookNotifier::new(WebhookSettings::new("a", "http://a.example/")).is_ok());
        assert_eq!(
            refusal(|settings| settings.url = "ftp://example.com".into()),
            "webhook.oncall: url: must begin with http:// or https://"
        );
        assert!(refusal(|settings| settings.url = "example".into()).contains("url: "));
        assert!(
            refusal(|settings| settings.headers = vec![("a b".into(), "c".into())])
                .contains("not a name")
        );
        assert!(
            refusal(|settings| settings.headers = vec![("a".into(), "b\r\nc: d".into())])
                .contains("not a header's value")
        );
    }
}
