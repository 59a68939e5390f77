//! A bot: the first message of a thread is posted, later ones change it, and what people must hear
//! is said below it as well. Owns that order; what is written is made beside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::NAME;
use super::api::{Api, Posted, Trouble};
use super::blocks;
use super::told::{Change, News, Told};
use crate::effects::notify::{NotifyError, render};
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};

/// The longest flaw that is kept, in bytes.
const FLAW_LIMIT: usize = 300;

/// See the module's description.
#[derive(Debug, Clone)]
pub(super) struct Bot {
    api: Api,
    channel: String,
}

impl Bot {
    pub(super) fn new(
        token: SecretFile,
        channel: String,
        api_url: &str,
        timeout: Duration,
    ) -> Result<Self, String> {
        if channel.is_empty() {
            return Err("channel: none is given".to_owned());
        }
        Ok(Self { api: Api::new(api_url, token, timeout)?, channel })
    }

    /// Makes Slack say what the notification says.
    pub(super) async fn tell(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let told = notification.reference.as_deref().and_then(Told::from_reference);
        let Some(told) = told else { return self.begin(notification).await };
        let place = json!({ "channel": told.channel, "ts": told.ts });
        let flaw = match self.show("chat.update", place, notification).await {
            Ok((_, flaw)) => flaw,
            Err(Trouble::Gone(_)) => return self.begin(notification).await,
            Err(trouble) => return Err(trouble.into_error()),
        };
        let news = News::of(notification);
        let reply_flaw = match news.since(told.news) {
            Some(change) => self.reply(&told, change, notification).await?,
            None => None,
        };
        let told = Told { news: news.after(told.news), ..told };
        Ok(receipt(&told, flaw.or(reply_flaw)))
    }

    /// A message of its own.
    async fn begin(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let place =
            json!({ "channel": self.channel, "unfurl_links": false, "unfurl_media": false });
        let shown = self.show("chat.postMessage", place, notification).await;
        let (Posted { channel, ts }, flaw) = shown.map_err(Trouble::into_error)?;
        let told = Told { channel, ts, news: News::of(notification) };
        Ok(receipt(&told, flaw))
    }

    /// Posts or changes the message of a thread; as plain text where Slack does not like its form.
    async fn show(
        &self,
        method: &str,
        place: Value,
        notification: &Notification,
    ) -> Result<(Posted, Option<Arc<str>>), Trouble> {
        match self.api.call(method, &with(place.clone(), blocks::message(notification))).await {
            Ok(posted) => Ok((posted, None)),
            Err(Trouble::Form(error)) => {
                let posted = self.api.call(method, &with(place, blocks::plain(notification))).await;
                Ok((posted?, Some(flaw("sent as plain text", &error))))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// A short word below the message, so that people are notified: of an end only those who follow
    /// the thread, of what is worse the whole channel.
    async fn reply(
        &self,
        told: &Told,
        change: Change,
        notification: &Notification,
    ) -> Result<Option<Arc<str>>, NotifyError> {
        let broadcast = match change {
            Change::Over => false,
            Change::LeftToPerson | Change::Worse | Change::More => true,
        };
        let place = json!({
            "channel": told.channel,
            "thread_ts": told.ts,
            "reply_broadcast": broadcast,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        let body = with(place, blocks::reply(change, notification));
        match self.api.call("chat.postMessage", &body).await {
            Ok(_) => Ok(None),
            Err(trouble) => {
                let error = trouble.into_error();
                // The message itself says it: only what may succeed soon is worth another try.
                if error.is_retryable() { Err(error) } else { Ok(Some(flaw("no reply", &error))) }
            }
        }
    }
}

fn receipt(told: &Told, flaw: Option<Arc<str>>) -> Receipt {
    let said = format!("ok: message {} in {}", told.ts, told.channel);
    let said = Some(render::one_line(&said, FLAW_LIMIT));
    Receipt { reference: Some(told.to_reference()), said, flaw }
}

fn with(mut place: Value, content: Value) -> Value {
    if let (Value::Object(place), Value::Object(content)) = (&mut place, content) {
        place.extend(content);
    }
    place
}

fn flaw(what: &str, error: &NotifyError) -> Arc<str> {
    let error = error.to_string();
    let error = error.strip_prefix(&format!("{NAME}: ")).unwrap_or(&error);
    render::one_line(&format!("{what}: {error}"), FLAW_LIMIT).into()
}
