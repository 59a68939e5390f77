//! Watches: the changes of a storage as a stream of lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::json;
use super::request::{Call, Target};
use super::resource::Resource;
use super::selector::Selector;
use super::server::Api;
use super::status::{Failure, raw};
use super::store::Change;
use super::verbs::selector_of;
use super::{events, table};

const BOOKMARK_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);

/// Where a watch stands.
struct Watch {
    api: Arc<Api>,
    resource: &'static Resource,
    namespace: Option<String>,
    name: Option<String>,
    selector: Selector,
    as_table: bool,
    bookmarks: bool,
    cursor: u64,
    pulse: Receiver<u64>,
    ends: Instant,
    next_bookmark: Instant,
    ready: VecDeque<Bytes>,
    ended: bool,
}

/// Starts a watch.
pub(in crate::sim) fn stream(
    api: &Arc<Api>,
    target: Target,
    call: &Call,
) -> Result<Response, Failure> {
    let now = Instant::now();
    let timeout = call.query("timeoutSeconds").parse().map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let asked = call.query("resourceVersion");
    let mut watch = Watch {
        resource: target.resource,
        namespace: target.namespace.clone(),
        name: target.name().map(str::to_owned),
        selector: selector_of(target.resource, call)?,
        as_table: call.wants_table(),
        bookmarks: call.query("allowWatchBookmarks") == "true",
        cursor: 0,
        pulse: api.store.pulse(),
        ends: now + timeout,
        next_bookmark: now + BOOKMARK_INTERVAL,
        ready: VecDeque::new(),
        ended: false,
        api: Arc::clone(api),
    };
    let wants_initial = call.query("sendInitialEvents") == "true";
    if wants_initial && call.query("resourceVersionMatch") != "NotOlderThan" {
        return Err(Failure::invalid(
            "resourceVersionMatch: must be NotOlderThan when sendInitialEvents is set",
        ));
    }
    if wants_initial || asked.is_empty() || asked == "0" {
        watch.send_initial(wants_initial);
    } else {
        watch.cursor = asked
            .parse()
            .map_err(|_| Failure::bad_request(format!("invalid resourceVersion: {asked}")))?;
    }
    let lines = futures::stream::unfold(watch, |mut watch| async move {
        let line = watch.next_line().await?;
        Some((Ok::<_, std::convert::Infallible>(line), watch))
    });
    Ok(raw(200, "application/json", Body::from_stream(lines)))
}

impl Watch {
    fn send_initial(&mut self, mark_end: bool) {
        let (revision, objects) =
            self.api.store.list(self.resource.storage, self.namespace.as_deref());
        for object in objects {
            if self.is_wanted(&object) {
                self.push("ADDED", &object);
            }
        }
        self.cursor = revision;
        if mark_end {
            self.push_bookmark(json!({"k8s.io/initial-events-end": "true"}));
        }
    }

    fn is_wanted(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == json::namespace(object))
            && self.name.as_deref().is_none_or(|wanted| wanted == json::name(object))
            && self.selector.matches(object)
    }

    async fn next_line(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.ended || self.api.faults.api().is_some() || Instant::now() >= self.ends {
                return None;
            }
            self.pulse.mark_unchanged();
            self.collect();
            if !self.ready.is_empty() {
                continue;
            }
            let wake = self.ends.min(self.next_bookmark);
            tokio::select! {
                changed = self.pulse.changed() => self.ended |= changed.is_err(),
                () = tokio::time::sleep_until(wake) => {}
            }
            if Instant::now() >= self.next_bookmark {
                self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                if self.bookmarks && self.ready.is_empty() {
                    self.collect();
                    self.push_bookmark(json!({}));
                }
            }
        }
    }

    fn collect(&mut self) {
        let changes = self.api.store.changes_since(self.cursor, self.resource.storage);
        let Ok((revision, changes)) = changes else {
            let expired = Failure::expired(self.cursor, self.api.store.revision());
            self.push_line(&json!({"type": "ERROR", "object": expired.object()}));
            self.ended = true;
            return;
        };
        for change in &changes {
            self.tell(change);
        }
        self.cursor = self.cursor.max(revision);
    }

    /// An object that begins or ceases to be selected appears or disappears for this watch.
    fn tell(&mut self, change: &Change) {
        let before = change.before.as_ref().filter(|object| self.is_wanted(object));
        let after = change.after.as_ref().filter(|object| self.is_wanted(object));
        match (before, after) {
            (None, Some(after)) => self.push("ADDED", after),
            (Some(_), Some(after)) => self.push("MODIFIED", after),
            (Some(before), None) => {
                let last = change.after.as_ref().unwrap_or(before);
                self.push("DELETED", last);
            }
            (None, None) => {}
        }
    }

    fn push(&mut self, kind: &str, object: &Value) {
        let shown = events::view(self.resource, object);
        let shown = if self.as_table {
            table::render(&self.api, self.resource, &[shown], None)
        } else {
            shown
        };
        self.push_line(&json!({"type": kind, "object": shown}));
    }

    fn push_bookmark(&mut self, annotations: Value) {
        let mut object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": self.cursor.to_string(), "creationTimestamp": null},
        });
        if annotations.as_object().is_some_and(|all| !all.is_empty()) {
            object["metadata"]["annotations"] = annotations;
        }
        self.push_line(&json!({"type": "BOOKMARK", "object": object}));
    }

    fn push_line(&mut self, line: &Value) {
        self.ready.push_back(Bytes::from(format!("{line}\n")));
    }
}
