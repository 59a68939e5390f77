//! Alertmanager: what every member of a cluster is told, and what a real one makes of it.

mod real;

use std::collections::BTreeMap;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::notify::{AlertmanagerLogin, AlertmanagerNotifier, AlertmanagerSettings};
use falconer::effects::secret::SecretFile;
use falconer::effects::{Notifier, NotifyError};
use falconer::model::{AlertStatus, Notification, Receipt, Severity, Timestamp};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use serde_json::Value;

use super::fixtures::{Authority, notification};

fn settings(urls: &[String]) -> AlertmanagerSettings {
    AlertmanagerSettings {
        urls: urls.to_vec(),
        resend_every: Duration::from_secs(60),
        labels: BTreeMap::from([("team".to_owned(), "vectors".to_owned())]),
        login: AlertmanagerLogin::None,
        ca_file: None,
        external_url: "https://falconer.example/".into(),
        timeout: Duration::from_secs(5),
    }
}

fn alertmanager(urls: &[String]) -> AlertmanagerNotifier {
    AlertmanagerNotifier::new(settings(urls), Clock::system()).unwrap()
}

fn warning() -> Notification {
    let mut message = notification();
    message.lead.severity = Severity::Warning;
    message
}

fn over() -> Notification {
    let mut message = notification();
    message.lead.status = AlertStatus::Resolved;
    message.lead.ended_at = Some(message.sent_at);
    message.still_firing = 0;
    message
}

/// The alerts of the newest request.
fn newest(sink: &WebhookSink) -> Vec<Value> {
    let request = sink.requests().all().pop().unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v2/alerts"));
    request.json().unwrap().as_array().unwrap().clone()
}

#[tokio::test]
async fn every_member_gets_every_alert_and_one_that_takes_it_is_enough() {
    let (one, other) = (WebhookSink::start().unwrap(), WebhookSink::start().unwrap());
    let alertmanager = alertmanager(&[one.url(""), other.url("/")]);
    let mut several = notification();
    several.others = vec![warning().lead];
    let receipt = alertmanager.notify(&several).await.unwrap();
    let receipt = (receipt.said.unwrap(), receipt.flaw);
    assert_eq!(receipt, ("2 of 2 Alertmanagers took it".to_owned(), None));
    for sink in [&one, &other] {
        let alerts = newest(sink);
        assert_eq!(alerts.len(), 2);
        assert_eq!(alerts[0]["labels"]["component"], "querynode");
        assert_eq!(alerts[0]["labels"]["team"], "vectors");
        assert_eq!(alerts[0]["generatorURL"], "https://falconer.example/");
    }
    other.answer_with(WebhookAnswer::status(500));
    let Receipt { flaw, .. } = alertmanager.notify(&notification()).await.unwrap();
    let flaw = flaw.unwrap();
    assert!(flaw.starts_with("1 of 2 Alertmanagers did not take it: 127.0.0.1:"), "{flaw}");
    assert!(flaw.contains("answered 500"), "{flaw}");
    one.answer_with(WebhookAnswer::status(400));
    let error = alertmanager.notify(&notification()).await.unwrap_err();
    assert!(error.is_retryable(), "one of them may take it soon: {error}");
    other.answer_with(WebhookAnswer::status(400));
    let error = alertmanager.notify(&notification()).await.unwrap_err();
    assert!(matches!(error, NotifyError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn what_fires_lapses_counted_from_now_and_what_got_worse_leaves_nothing_behind() {
    let sink = WebhookSink::start().unwrap();
    let clock = Clock::system();
    let alertmanager = AlertmanagerNotifier::new(settings(&[sink.url("")]), clock).unwrap();
    alertmanager.notify(&warning()).await.unwrap();
    let alerts = newest(&sink);
    let ends: Timestamp = serde_json::from_value(alerts[0]["endsAt"].clone()).unwrap();
    let left = ends.since(clock.now());
    assert!(left > Duration::from_secs(120) && left <= Duration::from_secs(180), "{left:?}");

    // Not taken: the former severity is still to be ended with the next attempt.
    sink.answer_with(WebhookAnswer::status(503));
    alertmanager.notify(&notification()).await.unwrap_err();
    sink.answer_with(WebhookAnswer::status(200));
    alertmanager.notify(&notification()).await.unwrap();
    let alerts = newest(&sink);
    let state = |alert: &Value| {
        let ends: Timestamp = serde_json::from_value(alert["endsAt"].clone()).unwrap();
        (alert["labels"]["severity"].as_str().unwrap().to_owned(), ends > clock.now())
    };
    let states: Vec<(String, bool)> = alerts.iter().map(state).collect();
    assert_eq!(states, [("critical".to_owned(), true), ("warning".to_owned(), false)]);
    alertmanager.notify(&notification()).await.unwrap();
    assert_eq!(newest(&sink).len(), 1, "once is enough");
    alertmanager.notify(&over()).await.unwrap();
    let alerts = newest(&sink);
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["endsAt"], "2026-01-01T00:00:35.000Z");
}

#[tokio::test]
async fn logins_come_from_files_that_may_rotate_and_are_not_shown() {
    let sink = WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let with = |login| {
        let settings = AlertmanagerSettings { login, ..settings(&[sink.url("")]) };
        AlertmanagerNotifier::new(settings, Clock::system()).unwrap()
    };
    let seen = || sink.requests().all().pop().unwrap().header("authorization").unwrap().to_owned();
    let (username, password) = ("falconer".to_owned(), SecretFile::new(&file));
    let basic = with(AlertmanagerLogin::Basic { username, password });
    std::fs::write(&file, "hunter2\n").unwrap();
    basic.notify(&notification()).await.unwrap();
    assert_eq!(seen(), "Basic ZmFsY29uZXI6aHVudGVyMg==");
    let bearer = with(AlertmanagerLogin::Bearer(SecretFile::new(&file)));
    for token in ["first-token", "second-token"] {
        std::fs::write(&file, token).unwrap();
        bearer.notify(&notification()).await.unwrap();
        assert_eq!(seen(), format!("Bearer {token}"));
    }
    sink.answer_with(WebhookAnswer::Status {
        status: 401,
        headers: Vec::new(),
        body: "no second-token here".into(),
    });
    let error = bearer.notify(&notification()).await.unwrap_err();
    assert!(!format!("{error} {error:?} {bearer:?}").contains("second-token"), "{error}");
}

#[tokio::test]
async fn its_certificate_is_verified() {
    let sink = WebhookSink::start().unwrap();
    let (authority, other) = (Authority::for_host("127.0.0.1"), Authority::for_host("127.0.0.1"));
    let front = authority.tls_front(sink.address()).await;
    let mut settings = settings(&[format!("https://{front}")]);
    settings.ca_file = Some(other.ca_file());
    let untrusting = AlertmanagerNotifier::new(settings.clone(), Clock::system()).unwrap();
    let error = untrusting.notify(&notification()).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(sink.requests().is_empty());
    settings.ca_file = Some(authority.ca_file());
    let trusting = AlertmanagerNotifier::new(settings, Clock::system()).unwrap();
    trusting.notify(&notification()).await.unwrap();
}
