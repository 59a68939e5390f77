//! The sign of life over real HTTP: of the adapter, and of a whole falconer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use actix::System;
use falconer::app::{App, Options};
use falconer::config::Settings;
use falconer::effects::notify::heartbeat::{HeartbeatMethod, HeartbeatTarget, HttpHeartbeat};
use falconer::effects::secret::SecretFile;
use falconer::effects::{LifeSign as _, NotifyError};
use falconer::model::Condition;
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use tokio::time::{Instant, sleep};

fn target(sink: &WebhookSink) -> HeartbeatTarget {
    HeartbeatTarget {
        url: sink.url("/ping/s3cret").into(),
        method: HeartbeatMethod::Post,
        fail_suffix: "/fail".to_owned(),
        ca_file: None,
        timeout: Duration::from_millis(500),
    }
}

#[tokio::test]
async fn health_and_trouble_arrive_where_the_watchdog_expects_them() {
    let sink = WebhookSink::start().unwrap();
    let heartbeat = HttpHeartbeat::new(target(&sink)).unwrap();
    let sick = Condition::Unwell { why: "the alerter is beyond help".to_owned() };
    heartbeat.tell(&Condition::Well).await.unwrap();
    heartbeat.tell(&sick).await.unwrap();
    let get = HeartbeatTarget { method: HeartbeatMethod::Get, ..target(&sink) };
    HttpHeartbeat::new(get).unwrap().tell(&Condition::Well).await.unwrap();
    let requests = sink.requests().all();
    let seen: Vec<(&str, &str, &str)> = requests
        .iter()
        .map(|one| (one.method.as_str(), one.path.as_str(), one.body.as_str()))
        .collect();
    let expected = [
        ("POST", "/ping/s3cret", "falconer is well"),
        ("POST", "/ping/s3cret/fail", "falconer is not well: the alerter is beyond help"),
        ("GET", "/ping/s3cret", ""),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_watchdog_of_any_temper_costs_no_more_than_the_deadline_and_no_secret() {
    let sink = WebhookSink::start().unwrap();
    let heartbeat = HttpHeartbeat::new(target(&sink)).unwrap();
    let mut answers = vec![WebhookAnswer::status(503), WebhookAnswer::status(404)];
    answers.extend([WebhookAnswer::Hang]);
    for answer in answers {
        sink.answer_with(answer);
        let begun = Instant::now();
        let error: NotifyError = heartbeat.tell(&Condition::Well).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    drop(sink);
    let error = heartbeat.tell(&Condition::Well).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
}

#[test]
fn a_falconer_that_runs_is_heard_and_one_that_is_blocked_is_not() {
    System::new().block_on(async {
        let sink = WebhookSink::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("url");
        std::fs::write(&url, sink.url("/ping/s3cret\n")).unwrap();
        let mut settings = Settings::default();
        settings.recorder.path = PathBuf::new();
        settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.heartbeat.url_file = SecretFile::new(url);
        settings.heartbeat.interval = "1s".parse().unwrap();
        let app = App::start(settings, Options::default()).expect("it starts");
        let begun = Instant::now();
        while sink.requests().len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no sign of life");
            sleep(Duration::from_millis(50)).await;
        }
        let shown = serde_json::to_string(&app.status().snapshot().beacon).unwrap();
        assert!(shown.contains("\"enabled\":true") && !shown.contains("s3cret"), "{shown}");
        let heard = sink.requests().len();
        // The actors' thread is ours.
        #[allow(clippy::disallowed_methods, reason = "to block it is what is tested")]
        std::thread::sleep(Duration::from_secs(3));
        assert!(sink.requests().len() <= heard + 1, "one may have been on its way");
        while sink.requests().len() < heard + 2 {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not go on");
            sleep(Duration::from_millis(50)).await;
        }
        app.shutdown(Duration::from_secs(2)).await;
    });
}
