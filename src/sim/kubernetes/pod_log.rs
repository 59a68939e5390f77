//! `GET …/pods/NAME/log`: what a container has written, as its node has kept it.

use std::fmt::Write;

use axum::body::Body;
use axum::response::Response;
use serde_json::Value;

use super::json::{self, condition, list, text};
use super::request::Call;
use super::resource::{NODES, Resource};
use super::server::Api;
use super::status::{Failure, raw};
use super::store::Key;
use crate::sim::logs::{Line, Which};

/// What of the log is wanted.
#[derive(Debug)]
struct Options {
    previous: bool,
    timestamps: bool,
    tail: Option<usize>,
    limit: Option<usize>,
    /// Milliseconds since the epoch; nothing older.
    since: u64,
}

/// Answers with the wanted lines. A log that is to be followed ends with what there is.
pub(in crate::sim) fn answer(
    api: &Api,
    resource: &Resource,
    key: &Key,
    call: &Call,
) -> Result<Response, Failure> {
    let pod = api.store.get(key).ok_or_else(|| Failure::not_found(resource, &key.name))?;
    let options = options(api, &key.name, call)?;
    let container = container(&pod, call.query("container"))?;
    let node = text(&pod, "/spec/nodeName");
    if node.is_empty() {
        let message = format!("pod {} does not have a host assigned", key.name);
        return Err(Failure::bad_request(message));
    }
    if !is_reachable(api, node) {
        let address = text(&pod, "/status/hostIP");
        let message = format!(
            "Get \"https://{address}:10250/containerLogs/{}/{}/{container}\": dial tcp \
             {address}:10250: i/o timeout",
            key.namespace, key.name
        );
        return Err(Failure::new(500, "", message));
    }
    let which = which(&pod, &container, options.previous)?;
    let lines = api.logs.read(json::uid(&pod), which);
    Ok(raw(200, "text/plain", Body::from(options.render(&lines))))
}

fn options(api: &Api, pod: &str, call: &Call) -> Result<Options, Failure> {
    let bounded = |name: &str, least: i64| -> Result<Option<usize>, Failure> {
        match call.whole_number(name)? {
            Some(value) if value < least => Err(Failure::new(
                422,
                "Invalid",
                format!(
                    "PodLogOptions \"{pod}\" is invalid: {name}: Invalid value: {value}: must be \
                     greater than or equal to {least}"
                ),
            )),
            value => Ok(value.and_then(|value| usize::try_from(value).ok())),
        }
    };
    let now = api.store.clock().now();
    let seconds = bounded("sinceSeconds", 1)?;
    let time = call.query("sinceTime");
    let since = if time.is_empty() {
        seconds.map_or(0, |seconds| now.as_millis().saturating_sub(seconds as u64 * 1_000))
    } else {
        let parsed = time.parse::<jiff::Timestamp>();
        let parsed = parsed.map_err(|error| Failure::bad_request(error.to_string()))?;
        u64::try_from(parsed.as_millisecond()).unwrap_or(0)
    };
    Ok(Options {
        previous: call.flag("previous"),
        timestamps: call.flag("timestamps"),
        tail: bounded("tailLines", 0)?,
        limit: bounded("limitBytes", 1)?,
        since,
    })
}

fn container(pod: &Value, asked: &str) -> Result<String, Failure> {
    let containers = list(pod, "/spec/containers").iter();
    let names: Vec<&str> = containers.map(|container| text(container, "/name")).collect();
    let pod = json::name(pod);
    match (asked, names.as_slice()) {
        ("", [only]) => Ok((*only).to_owned()),
        ("", several) => Err(Failure::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            several.join(" ")
        ))),
        (asked, all) if all.contains(&asked) => Ok(asked.to_owned()),
        (asked, _) => {
            Err(Failure::bad_request(format!("container {asked} is not valid for pod {pod}")))
        }
    }
}

fn is_reachable(api: &Api, node: &str) -> bool {
    let node = api.store.get(&Key::new(NODES, "", node));
    node.is_some_and(|node| condition(&node, "Ready") == "True")
}

/// Which run of the container is meant: the one that was before, or the newest that has begun.
fn which(pod: &Value, container: &str, previous: bool) -> Result<Which, Failure> {
    let name = json::name(pod);
    let statuses = list(pod, "/status/containerStatuses").iter();
    let status = statuses.clone().find(|status| text(status, "/name") == container);
    let has = |pointer: &str| status.is_some_and(|status| status.pointer(pointer).is_some());
    if previous {
        return if has("/lastState/terminated") {
            let waiting = has("/state/waiting");
            Ok(if waiting { Which::Current } else { Which::Previous })
        } else {
            Err(Failure::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{name}\" not found"
            )))
        };
    }
    let begun = has("/state/running") || has("/state/terminated") || has("/lastState/terminated");
    if begun {
        return Ok(Which::Current);
    }
    let reason = status.map_or("", |status| text(status, "/state/waiting/reason"));
    let words = match reason {
        "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        "" => "waiting to start: ContainerCreating".to_owned(),
        reason => format!("waiting to start: {reason}"),
    };
    Err(Failure::bad_request(format!("container \"{container}\" in pod \"{name}\" is {words}")))
}

impl Options {
    fn render(&self, lines: &[Line]) -> String {
        let recent: Vec<&Line> =
            lines.iter().filter(|line| line.at.as_millis() >= self.since).collect();
        let skipped = self.tail.map_or(0, |tail| recent.len().saturating_sub(tail));
        let mut text = String::new();
        for line in &recent[skipped..] {
            if self.timestamps {
                let millis = i64::try_from(line.at.as_millis()).unwrap_or_default();
                let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
                let _ = write!(text, "{time:.9} ");
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        let mut limit = self.limit.unwrap_or(usize::MAX).min(text.len());
        while !text.is_char_boundary(limit) {
            limit -= 1;
        }
        text.truncate(limit);
        text
    }
}
