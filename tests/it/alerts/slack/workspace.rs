//! A Slack workspace: the methods `chat.postMessage` and `chat.update` as Slack documents them, its
//! bounds and errors included.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The identifier of `#alerts`.
pub(super) const CHANNEL: &str = "C024BE91L";

/// One message, or a word below one.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub channel: String,
    pub ts: String,
    pub thread: Option<String>,
    pub broadcast: bool,
    pub text: String,
    pub attachments: Value,
    pub edits: usize,
}

impl Message {
    /// All that is to be seen.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.text, self.attachments)
    }
}

#[derive(Default)]
struct Inner {
    token: String,
    messages: Vec<Message>,
    count: usize,
    limit: Option<u64>,
    refused: String,
    dislikes_blocks: bool,
}

#[derive(Clone)]
pub(super) struct Workspace {
    inner: Arc<Mutex<Inner>>,
    url: String,
}

impl Workspace {
    /// One whose bot has this token.
    pub(super) async fn start(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner { token: token.to_owned(), ..Inner::default() }));
        let workspace = Self { inner, url };
        let router = Router::new().route("/api/{method}", post(call)).with_state(workspace.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        workspace
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        let inner = self.inner();
        inner.messages.iter().filter(|message| message.thread.is_none()).cloned().collect()
    }

    pub(super) fn replies(&self) -> Vec<Message> {
        let inner = self.inner();
        inner.messages.iter().filter(|message| message.thread.is_some()).cloned().collect()
    }

    pub(super) fn delete_everything(&self) {
        self.inner().messages.clear();
    }

    pub(super) fn rotate(&self, token: &str) {
        token.clone_into(&mut self.inner().token);
    }

    /// Every call is answered with 429 and this many seconds.
    pub(super) fn limit(&self, seconds: Option<u64>) {
        self.inner().limit = seconds;
    }

    /// `chat.postMessage` answers with this error; empty: it works.
    pub(super) fn refuse_posts(&self, error: &str) {
        error.clone_into(&mut self.inner().refused);
    }

    pub(super) fn dislike_blocks(&self) {
        self.inner().dislikes_blocks = true;
    }
}

async fn call(
    State(workspace): State<Workspace>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut inner = workspace.inner();
    if let Some(seconds) = inner.limit {
        let headers = [("retry-after", seconds.to_string())];
        let answer = json!({ "ok": false, "error": "ratelimited" }).to_string();
        return (StatusCode::TOO_MANY_REQUESTS, headers, answer).into_response();
    }
    let answer = match answer(&mut inner, &method, &headers, &body) {
        Ok(answer) => answer,
        Err(error) => json!({ "ok": false, "error": error }),
    };
    answer.to_string().into_response()
}

fn answer(
    inner: &mut Inner,
    method: &str,
    headers: &HeaderMap,
    body: &str,
) -> Result<Value, String> {
    let authorization = headers.get("authorization").ok_or("not_authed")?;
    if authorization.as_bytes() != format!("Bearer {}", inner.token).as_bytes() {
        return Err("invalid_auth".into());
    }
    if headers["content-type"] != "application/json; charset=utf-8" {
        return Err("invalid_post_type".into());
    }
    let asked: Value = serde_json::from_str(body).map_err(|_| "invalid_json")?;
    check_form(inner, &asked)?;
    match method {
        "chat.postMessage" => post_message(inner, &asked),
        "chat.update" => update(inner, &asked),
        _ => Err("unknown_method".into()),
    }
}

fn check_form(inner: &Inner, asked: &Value) -> Result<(), String> {
    let text = asked["text"].as_str().unwrap_or_default();
    let attachments = asked["attachments"].as_array().cloned().unwrap_or_default();
    if text.is_empty() && attachments.is_empty() {
        return Err("no_text".into());
    }
    if text.chars().count() > 40_000 {
        return Err("msg_too_long".into());
    }
    let blocks: Vec<&Value> =
        attachments.iter().filter_map(|one| one["blocks"].as_array()).flatten().collect();
    let is_wrong = |block: &&Value| match block["type"].as_str() {
        Some("section") => !is_text(&block["text"], 3_000),
        Some("context") => {
            let elements = block["elements"].as_array().map_or(&[][..], Vec::as_slice);
            elements.is_empty()
                || elements.len() > 10
                || !elements.iter().all(|element| is_text(element, 3_000))
        }
        _ => true,
    };
    if blocks.len() > 50
        || blocks.iter().any(is_wrong)
        || (inner.dislikes_blocks && !blocks.is_empty())
    {
        return Err("invalid_attachments".into());
    }
    Ok(())
}

fn is_text(value: &Value, limit: usize) -> bool {
    let length = value["text"].as_str().map_or(0, |text| text.chars().count());
    value["type"] == "mrkdwn" && (1..=limit).contains(&length)
}

fn channel(named: &Value) -> Result<String, String> {
    match named.as_str().unwrap_or_default() {
        "#alerts" | "alerts" | CHANNEL => Ok(CHANNEL.to_owned()),
        "#private" => Err("not_in_channel".into()),
        "#old" => Err("is_archived".into()),
        _ => Err("channel_not_found".into()),
    }
}

fn post_message(inner: &mut Inner, asked: &Value) -> Result<Value, String> {
    if !inner.refused.is_empty() {
        return Err(inner.refused.clone());
    }
    let channel = channel(&asked["channel"])?;
    let thread = asked["thread_ts"].as_str().map(str::to_owned);
    if thread.as_ref().is_some_and(|ts| !inner.messages.iter().any(|known| known.ts == *ts)) {
        return Err("thread_not_found".into());
    }
    inner.count += 1;
    let ts = format!("1503435956.{:06}", inner.count);
    inner.messages.push(Message {
        channel: channel.clone(),
        ts: ts.clone(),
        thread,
        broadcast: asked["reply_broadcast"] == true,
        text: asked["text"].as_str().unwrap_or_default().to_owned(),
        attachments: asked["attachments"].clone(),
        edits: 0,
    });
    Ok(json!({ "ok": true, "channel": channel, "ts": ts, "message": asked }))
}

/// Takes a channel's identifier only, unlike posting.
fn update(inner: &mut Inner, asked: &Value) -> Result<Value, String> {
    if asked["channel"] != CHANNEL {
        return Err("channel_not_found".into());
    }
    let known = inner.messages.iter_mut().find(|known| asked["ts"] == known.ts.as_str());
    let message = known.ok_or("message_not_found")?;
    asked["text"].as_str().unwrap_or_default().clone_into(&mut message.text);
    if !asked["attachments"].is_null() {
        message.attachments = asked["attachments"].clone();
    }
    message.edits += 1;
    Ok(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts, "text": message.text }))
}
