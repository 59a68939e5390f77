//! One event as PagerDuty's Events API v2 describes it, and what its answer to a wrong one says.
//! Sends nothing.

use serde_json::{Value, json};

use crate::effects::notify::{render, words};
use crate::model::{AlertMessage, AlertStatus, Notification};

/// The longest `dedup_key`, in characters.
const DEDUP_KEY_LIMIT: usize = 255;
/// The longest `summary`, in characters.
const SUMMARY_LIMIT: usize = 1_024;
/// How many alerts of one message are described.
const MAX_ALERTS: usize = 20;

/// What an event does to the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Begins it, or adds to it.
    Trigger,
    /// Somebody looks after it.
    Acknowledge,
    /// It is over.
    Resolve,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }

    /// An alert is acknowledged once everything that fires is: what the message does not hold
    /// counts as not acknowledged.
    pub(super) fn of(notification: &Notification) -> Self {
        match notification.status() {
            AlertStatus::Resolved => Self::Resolve,
            AlertStatus::Firing => {
                let firing =
                    notification.alerts().filter(|alert| alert.status == AlertStatus::Firing);
                let looked_after = firing.filter(|alert| alert.acknowledged.is_some()).count();
                if looked_after >= notification.still_firing {
                    Self::Acknowledge
                } else {
                    Self::Trigger
                }
            }
        }
    }
}

/// The same for all messages of a thread, and as long as PagerDuty takes it.
fn dedup_key(thread: &str) -> String {
    if thread.chars().count() <= DEDUP_KEY_LIMIT {
        return thread.to_owned();
    }
    let mark = render::fingerprint(thread);
    let room = DEDUP_KEY_LIMIT - mark.len() - 1;
    thread.chars().take(room).chain(['#']).chain(mark.chars()).collect()
}

/// The JSON of one event.
pub(super) fn event(
    action: Action,
    routing_key: &str,
    external: &str,
    notification: &Notification,
) -> Value {
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action.as_str(),
        "dedup_key": dedup_key(&notification.thread),
    });
    match action {
        Action::Acknowledge | Action::Resolve => {}
        Action::Trigger => {
            event["payload"] = payload(notification);
            event["client"] = "falconer".into();
            if !external.is_empty() {
                event["client_url"] = external.into();
                event["links"] = json!([{ "href": external, "text": "What falconer knows" }]);
            }
        }
    }
    event
}

fn payload(notification: &Notification) -> Value {
    let lead = &notification.lead;
    let alerts: Vec<Value> =
        notification.alerts().take(MAX_ALERTS).map(|alert| details(alert, notification)).collect();
    json!({
        "summary": words::cut(&words::headline(notification), SUMMARY_LIMIT),
        "source": words::component(lead),
        "severity": notification.severity().as_str(),
        "timestamp": lead.started_at.to_string(),
        "component": render::one_line(&lead.component.component, 200),
        "group": render::one_line(&lead.component.cluster, 200),
        "class": lead.reason.kind.as_str(),
        "custom_details": {
            "alerts": alerts,
            "alerts_in_this_message": 1 + notification.others.len() + notification.left_out,
            "still_firing": notification.still_firing,
            "thread": notification.thread,
        },
    })
}

/// One alert, without the fields that say nothing.
fn details(alert: &AlertMessage, notification: &Notification) -> Value {
    let mut fields = json!({
        "component": words::component(alert),
        "status": alert.status.as_str(),
        "severity": alert.severity.as_str(),
        "title": words::title(alert),
        "reason": words::reason(alert),
        "evidence": words::evidence(alert),
        "what_falconer_does": words::action(alert),
        "since": alert.started_at.to_string(),
        "lasted": words::lasted(alert, notification.sent_at),
        "incident": alert.incident.as_str(),
        "look_closer": words::look_closer(alert),
    });
    if !alert.affects.is_empty() {
        fields["affects"] = words::affects(alert).into();
    }
    if !alert.causes.is_empty() {
        fields["causes"] = words::causes(alert).into();
    }
    if alert.is_flapping {
        fields["flapping"] = true.into();
    }
    if let Some(word) = words::acknowledged(alert) {
        fields["acknowledged"] = word.into();
    }
    fields
}

/// What PagerDuty says is wrong with an event.
pub(super) fn reasons(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let listed = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let listed = listed.collect::<Vec<_>>().join("; ");
    if listed.is_empty() { answer["message"].as_str().map(str::to_owned) } else { Some(listed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::Acknowledgement;

    #[test]
    fn an_alert_is_acknowledged_only_when_all_that_fires_is() {
        let mut message = notification(AlertStatus::Firing);
        assert_eq!(Action::of(&message), Action::Trigger);
        let word =
            Acknowledgement { by: "alice".into(), at: message.sent_at, comment: String::new() };
        message.lead.acknowledged = Some(word);
        assert_eq!(Action::of(&message), Action::Acknowledge);
        message.still_firing = 2;
        assert_eq!(Action::of(&message), Action::Trigger);
        assert_eq!(Action::of(&notification(AlertStatus::Resolved)), Action::Resolve);
    }

    #[test]
    fn nothing_is_longer_than_pagerduty_takes_it() {
        let mut message = notification(AlertStatus::Firing);
        message.thread = "ä".repeat(400).into();
        message.lead.title = "x".repeat(5_000);
        message.lead.details = vec!["y".repeat(5_000); 5_000];
        message.others = vec![message.lead.clone(); 200];
        let event = event(Action::Trigger, "key", "", &message);
        assert_eq!(event["dedup_key"].as_str().unwrap().chars().count(), DEDUP_KEY_LIMIT);
        assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= SUMMARY_LIMIT);
        assert!(event.to_string().len() < 512 * 1_024);
        let mut other = message.clone();
        other.thread = format!("{}b", message.thread).into();
        assert_ne!(dedup_key(&other.thread), dedup_key(&message.thread));
    }

    #[test]
    fn the_reasons_of_a_refusal_are_found() {
        let answer = r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid","Length of 'routing_key' is incorrect (should be 32 characters)"]}"#;
        let found = reasons(answer).unwrap();
        assert!(found.starts_with("'payload.severity' is invalid; Length of"), "{found}");
        assert_eq!(reasons(r#"{"message":"no"}"#).as_deref(), Some("no"));
        assert_eq!(reasons("<html>"), None);
    }
}
