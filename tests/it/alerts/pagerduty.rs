//! PagerDuty, as its documentation says it behaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use falconer::effects::Notifier;
use falconer::effects::notify::{PagerDutyNotifier, PagerDutySettings};
use falconer::effects::secret::SecretFile;
use falconer::model::{Acknowledgement, AlertStatus, Notification};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fixtures::{START, notification};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// The alerts of one service, by their keys, and the events that were taken.
#[derive(Clone, Default)]
struct Service {
    alerts: Arc<Mutex<BTreeMap<String, &'static str>>>,
    events: Arc<Mutex<Vec<Value>>>,
    key: Arc<Mutex<String>>,
}

impl Service {
    async fn start() -> (Self, String) {
        let service = Self::default();
        KEY.clone_into(&mut service.key.lock().unwrap());
        let router = Router::new().route("/v2/enqueue", post(enqueue)).with_state(service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v2/enqueue", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (service, url)
    }

    fn alerts(&self) -> Vec<&'static str> {
        self.alerts.lock().unwrap().values().copied().collect()
    }

    fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }
}

fn faults(event: &Value, key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let length = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::len);
    if event["routing_key"] != key {
        faults.push("'routing_key' is invalid".to_owned());
    }
    if length("/dedup_key").is_none_or(|length| length == 0 || length > 255) {
        faults.push("Length of 'dedup_key' is incorrect (should be 255 at most)".to_owned());
    }
    if event["event_action"] == "trigger" {
        for field in ["/payload/summary", "/payload/source"] {
            if length(field).is_none_or(|length| length == 0 || length > 1_024) {
                faults.push(format!("'{field}' is missing, blank or too long"));
            }
        }
        let severity = event["payload"]["severity"].as_str().unwrap_or_default();
        if !["critical", "error", "warning", "info"].contains(&severity) {
            faults.push("'payload.severity' is invalid (must be one of the following)".to_owned());
        }
        let timestamp = event["payload"]["timestamp"].as_str().unwrap_or_default();
        if timestamp.parse::<jiff::Timestamp>().is_err() {
            faults.push("'payload.timestamp' is invalid".to_owned());
        }
    }
    faults
}

async fn enqueue(
    State(service): State<Service>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    assert_eq!(headers["content-type"], "application/json");
    let event: Value = serde_json::from_str(&body).unwrap();
    let faults = faults(&event, &service.key.lock().unwrap());
    if !faults.is_empty() {
        let answer = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": faults });
        return (StatusCode::BAD_REQUEST, answer.to_string());
    }
    let key = event["dedup_key"].as_str().unwrap().to_owned();
    let mut alerts = service.alerts.lock().unwrap();
    // An event about an alert that is not there, or is over, does nothing.
    let known = alerts.get(&key).copied().filter(|state| *state != "resolved");
    let next = match (event["event_action"].as_str().unwrap(), known) {
        ("trigger", None) => Some("triggered"),
        ("trigger", known) => known,
        ("acknowledge", known) => known.map(|_| "acknowledged"),
        (_, known) => known.map(|_| "resolved"),
    };
    if let Some(next) = next {
        alerts.insert(key.clone(), next);
    }
    service.events.lock().unwrap().push(event);
    let answer = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    (StatusCode::ACCEPTED, answer.to_string())
}

fn pagerduty(folder: &tempfile::TempDir, url: &str) -> PagerDutyNotifier {
    std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
    PagerDutyNotifier::new(PagerDutySettings {
        name: "oncall".into(),
        routing_key: SecretFile::new(folder.path().join("key")),
        url: url.into(),
        external_url: "https://falconer.example/".into(),
        timeout: Duration::from_secs(10),
    })
    .unwrap()
}

fn acknowledged(mut message: Notification) -> Notification {
    message.lead.acknowledged =
        Some(Acknowledgement { by: "alice".into(), at: START, comment: "on it".into() });
    message
}

fn over() -> Notification {
    let mut message = notification();
    message.lead.status = AlertStatus::Resolved;
    message.lead.ended_at = Some(message.sent_at);
    message.still_firing = 0;
    message
}

#[tokio::test]
async fn a_matter_is_one_alert_that_is_triggered_acknowledged_and_resolved() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let pagerduty = pagerduty(&folder, &url);
    let receipt = pagerduty.notify(&notification()).await.unwrap();
    assert_eq!(receipt.said.as_deref(), Some("202 Accepted"));
    assert_eq!(service.alerts(), ["triggered"]);
    let mut message = acknowledged(notification());
    message.reference = receipt.reference;
    pagerduty.notify(&message).await.unwrap();
    assert_eq!(service.alerts(), ["acknowledged"]);
    pagerduty.notify(&over()).await.unwrap();
    assert_eq!(service.alerts(), ["resolved"]);
    let events = service.events();
    assert_eq!(events.len(), 3);
    let trigger = &events[0];
    assert_eq!(trigger["payload"]["severity"], "critical");
    assert_eq!(trigger["payload"]["component"], "querynode");
    assert_eq!(trigger["payload"]["group"], "milvus-ha");
    assert_eq!(trigger["payload"]["class"], "timeout");
    assert_eq!(trigger["client"], "falconer");
    assert_eq!(trigger["links"][0]["href"], "https://falconer.example/");
    let told = &trigger["payload"]["custom_details"]["alerts"][0];
    assert_eq!(told["what_falconer_does"], "rollout restart of deployment/milvus-querynode");
}

#[tokio::test]
async fn what_is_acknowledged_before_the_first_message_is_triggered_first() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let pagerduty = pagerduty(&folder, &url);
    pagerduty.notify(&acknowledged(notification())).await.unwrap();
    assert_eq!(service.alerts(), ["acknowledged"]);
}

#[tokio::test]
async fn a_refusal_says_why_and_a_rotated_key_is_used_at_once() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let pagerduty = pagerduty(&folder, &url);
    OTHER_KEY.clone_into(&mut service.key.lock().unwrap());
    let error = pagerduty.notify(&notification()).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("'routing_key' is invalid"), "{error}");
    std::fs::write(folder.path().join("key"), OTHER_KEY).unwrap();
    pagerduty.notify(&notification()).await.unwrap();
    assert_eq!(service.alerts(), ["triggered"]);
}

#[tokio::test]
async fn an_overloaded_service_is_left_alone_for_as_long_as_it_says() {
    let sink = WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pagerduty = pagerduty(&folder, &sink.url("/v2/enqueue"));
    sink.answer_with(WebhookAnswer::Status {
        status: 429,
        headers: vec![("retry-after".into(), "17".into())],
        body: format!("too many events for {KEY}"),
    });
    let error = pagerduty.notify(&notification()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    assert!(error.is_retryable());
    assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
    assert!(error.to_string().contains("too many events for ***"), "{error}");
    sink.answer_with(WebhookAnswer::status(503));
    let error = pagerduty.notify(&notification()).await.unwrap_err();
    assert_eq!((error.is_retryable(), error.retry_after()), (true, None));
}
