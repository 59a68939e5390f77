//! Logs and events as text that can be kept: which logs a pod has, its newest events, and how much of
//! all of it there is room for. Pure.

use std::fmt;

use k8s_openapi::api::core::v1 as core;

use crate::model::{Evidence, EvidenceSource, Timestamp};

use super::super::log_end::last;
use super::life::timestamp;
use super::pods::containers;

/// Containers of one pod of which logs are kept.
const CONTAINERS: usize = 8;
/// Newest events of one object that are kept.
const EVENTS: usize = 20;
/// Longest event that is kept, in characters.
const EVENT_LENGTH: usize = 600;
/// Bytes of everything that is kept for one action.
const TOTAL: usize = 256 << 10;

/// One log of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOf {
    /// The container.
    pub container: String,
    /// The run before the present one.
    pub is_previous: bool,
}

impl fmt::Display for LogOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.container)?;
        if self.is_previous { f.write_str(" (previous)") } else { Ok(()) }
    }
}

/// The logs that there are of `pod`: of a container that waits to be started again only the run that
/// ended, of one that never ran none.
pub fn logs(pod: &core::Pod) -> Vec<LogOf> {
    let seen = pod.status.iter().flat_map(containers).filter(|seen| !is_done(seen));
    seen.take(CONTAINERS)
        .flat_map(|seen| {
            let log = |is_previous| LogOf { container: seen.name.clone(), is_previous };
            let runs = seen.state.as_ref();
            let has_run = runs.is_some_and(|run| run.running.is_some() || run.terminated.is_some());
            let has_ended = seen.last_state.as_ref().is_some_and(|run| run.terminated.is_some());
            let previous = has_ended.then(|| log(true));
            previous.into_iter().chain(has_run.then(|| log(false)))
        })
        .collect()
}

/// An init container that has done its work.
fn is_done(seen: &core::ContainerStatus) -> bool {
    let ended = seen.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| ended.exit_code == 0) && seen.last_state.is_none()
}

/// The newest events, the last one at the end, a line each.
pub fn events(mut events: Vec<core::Event>) -> String {
    events.sort_by_key(seen_at);
    let lines: Vec<String> =
        events.iter().skip(events.len().saturating_sub(EVENTS)).map(event).collect();
    if lines.is_empty() { "no events".to_owned() } else { lines.join("\n") }
}

fn seen_at(event: &core::Event) -> Option<Timestamp> {
    let micro = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime| {
        u64::try_from(time.0.as_millisecond()).ok().map(Timestamp::from_millis)
    };
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let created = event.metadata.creation_timestamp.as_ref();
    series
        .and_then(micro)
        .or_else(|| event.last_timestamp.as_ref().and_then(timestamp))
        .or_else(|| event.event_time.as_ref().and_then(micro))
        .or_else(|| event.first_timestamp.as_ref().or(created).and_then(timestamp))
}

/// e.g. `2026-01-01T00:00:00.000Z Warning BackOff (7 times): Back-off restarting failed container`.
fn event(event: &core::Event) -> String {
    let at = seen_at(event).map_or_else(|| "(no time)".to_owned(), |at| at.to_string());
    let kind = event.type_.as_deref().unwrap_or("Normal");
    let reason = event.reason.as_deref().unwrap_or("(no reason)");
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    let count = if count > 1 { format!(" ({count} times)") } else { String::new() };
    let message = event.message.as_deref().unwrap_or_default();
    let text = format!("{at} {kind} {reason}{count}: {message}");
    let text = text.split(|c: char| c.is_whitespace() || c.is_control());
    let text = text.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text.chars().take(EVENT_LENGTH).collect()
}

/// How much more can be kept.
#[derive(Debug)]
pub struct Room {
    left: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: TOTAL }
    }
}

impl Room {
    /// Cuts `evidence` to what there is room for; of logs and events the newest end stays.
    pub fn fit(&mut self, evidence: &mut Evidence) {
        if evidence.text.len() > self.left {
            let what = match evidence.source {
                EvidenceSource::Log => "log",
                EvidenceSource::Event => "events",
                EvidenceSource::Probe => "probes",
            };
            evidence.text = match last(&evidence.text, self.left) {
                "" => format!("no {what}: there is no room for more"),
                rest => format!("(cut)\n{rest}"),
            };
        }
        self.left = self.left.saturating_sub(evidence.text.len());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(name: &str, state: Value, last: Value) -> Value {
        json!({"name": name, "image": "m", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last})
    }

    #[test]
    fn only_logs_that_exist_are_asked_for_and_none_twice() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let ended = |code: i32| json!({"terminated": {"exitCode": code}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let pod = serde_json::from_value(json!({"metadata": {}, "status": {
        "initContainerStatuses": [status("done", ended(0), Value::Null),
            status("broken", ended(1), Value::Null)],
        "containerStatuses": [
            status("fresh", running.clone(), json!({})),
            status("again", running, ended(2)),
            status("crashing", waiting.clone(), ended(2)),
            status("never", waiting, json!({})),
        ]}}))
        .expect("a pod");
        let names: Vec<String> = logs(&pod).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["broken", "fresh", "again (previous)", "again", "crashing (previous)"]);
    }

    #[test]
    fn events_are_the_newest_ones_in_their_order_a_line_each() {
        let one = |second: u32, message: &str| -> core::Event {
            serde_json::from_value(json!({"metadata": {}, "involvedObject": {}, "type": "Warning",
                "reason": "BackOff", "message": message, "count": second,
                "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z")}))
            .expect("an event")
        };
        let all: Vec<_> = (1..=25).rev().map(|second| one(second, "a\nb")).collect();
        let text = events(all);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), EVENTS);
        assert_eq!(lines[19], "2026-01-01T00:00:25.000Z Warning BackOff (25 times): a b");
        assert!(lines[0].starts_with("2026-01-01T00:00:06"), "{}", lines[0]);
        assert_eq!(events(Vec::new()), "no events");
    }

    #[test]
    fn what_there_is_no_room_for_is_named() {
        let mut room = Room { left: 12 };
        let mut fit = |text: &str| {
            let mut evidence =
                Evidence { source: EvidenceSource::Log, object: "o".into(), text: text.to_owned() };
            room.fit(&mut evidence);
            evidence.text
        };
        assert_eq!(fit("short"), "short");
        assert_eq!(fit("much too long\nend"), "(cut)\nend");
        assert_eq!(fit("x"), "no log: there is no room for more");
    }
}
