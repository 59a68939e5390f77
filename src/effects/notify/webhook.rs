//! Any program that takes a POST: in falconer's own words, in those of Alertmanager, or in those of
//! a template.

mod payload;
mod template;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use super::http::{JSON, Post, parse};
use super::{NotifyError, SetupError, render};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::effects::small_file;
use crate::model::{Notification, Receipt};

pub use template::{TEMPLATE_LIMIT, check as check_template};

/// The longest flaw that is told, in bytes.
const FLAW_LIMIT: usize = 300;

/// The shape of the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The notification itself, with a `version`.
    #[default]
    Falconer,
    /// What Alertmanager sends to its own webhook receivers, version 4.
    Alertmanager,
    /// What this template makes of the notification.
    Template(WebhookTemplate),
}

/// A template of a webhook's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookTemplate {
    /// This text.
    Text(String),
    /// The text in this file; read for each message.
    File(PathBuf),
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
    /// The shape of the body.
    pub format: WebhookFormat,
    /// What the body of a template is; decides how values are escaped.
    pub content_type: String,
    /// PUT instead of POST.
    pub put: bool,
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
            content_type: JSON.to_owned(),
            put: false,
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
    content_type: HeaderValue,
    headers: HeaderMap,
    secret_headers: Vec<(HeaderName, SecretFile)>,
    settings: WebhookSettings,
}

/// What is sent, and what was wrong in making it.
struct Body {
    content_type: HeaderValue,
    bytes: Vec<u8>,
    flaw: Option<String>,
}

impl WebhookNotifier {
    /// A receiver with these settings.
    ///
    /// # Errors
    /// When the URL is not one of http or https, a header or the content type is not one, or the
    /// template makes no sense. A template in a file is looked at when it is needed.
    pub fn new(settings: WebhookSettings) -> Result<Self, SetupError> {
        let receiver = format!("webhook.{}", settings.name);
        let wrong = |message: String| SetupError::new(&receiver, message);
        match &settings.url {
            WebhookUrl::Plain(url) => drop(parse(url).map_err(wrong)?),
            WebhookUrl::Secret(_) => {}
        }
        if let WebhookFormat::Template(WebhookTemplate::Text(template)) = &settings.format {
            check_template(template, &settings.content_type)
                .map_err(|error| wrong(format!("template: {error}")))?;
        }
        let content_type = HeaderValue::try_from(&settings.content_type)
            .map_err(|_| wrong("content_type: not a header's value".into()))?;
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
        Ok(Self { receiver, content_type, headers, secret_headers, settings })
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

    /// Path and query, where the URL is a secret.
    fn secret_parts(&self, url: &Url) -> Vec<String> {
        match self.settings.url {
            WebhookUrl::Plain(_) => Vec::new(),
            WebhookUrl::Secret(_) => {
                let parts = [Some(url.path().trim_matches('/')), url.query()];
                parts.into_iter().flatten().map(str::to_owned).collect()
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

    async fn body(&self, notification: &Notification) -> Body {
        let settings = &self.settings;
        let json = |value: Value, flaw| Body {
            content_type: HeaderValue::from_static(JSON),
            bytes: value.to_string().into_bytes(),
            flaw,
        };
        match &settings.format {
            WebhookFormat::Falconer => json(payload::falconer(&self.receiver, notification), None),
            WebhookFormat::Alertmanager => {
                let external = &settings.external_url;
                json(payload::alertmanager(&settings.name, external, notification), None)
            }
            WebhookFormat::Template(template) => match self.filled(template, notification).await {
                Ok(bytes) => Body { content_type: self.content_type.clone(), bytes, flaw: None },
                // What was to be told matters more than how.
                Err(error) => {
                    let mut value = payload::falconer(&self.receiver, notification);
                    value["template_error"] = error.as_str().into();
                    json(value, Some(format!("the template failed: {error}")))
                }
            },
        }
    }

    async fn filled(
        &self,
        template: &WebhookTemplate,
        notification: &Notification,
    ) -> Result<Vec<u8>, String> {
        let settings = &self.settings;
        let context = template::context(&self.receiver, &settings.external_url, notification);
        match template {
            WebhookTemplate::Text(text) => template::make(text, &settings.content_type, &context),
            WebhookTemplate::File(path) => {
                let bytes = small_file::read(path, TEMPLATE_LIMIT).await;
                let bytes = bytes.map_err(|error| format!("{}: {error}", path.display()))?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
                template::make(&text, &settings.content_type, &context)
            }
        }
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    fn name(&self) -> &str {
        &self.receiver
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let url = self.url().await?;
        let headers = self.headers().await?;
        let Body { content_type, bytes, flaw } = self.body(notification).await;
        let mut post = Post::json(&self.receiver, url, &Value::Null, self.settings.timeout);
        post.method = if self.settings.put { Method::PUT } else { Method::POST };
        post.secrets = self.secret_parts(&post.url);
        post.headers = headers;
        post.content_type = content_type;
        post.body = bytes;
        post.ca_file = self.settings.ca_file.as_ref();
        let said = Some(post.send().await?);
        let flaw = flaw.map(|flaw| render::one_line(&flaw, FLAW_LIMIT).into());
        Ok(Receipt { reference: None, said, flaw })
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
