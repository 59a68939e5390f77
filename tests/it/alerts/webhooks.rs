//! Webhooks and Slack, to receivers of every temper.

use std::time::Duration;

use falconer::effects::notify::{
    SlackAccess, SlackNotifier, SlackSettings, WebhookFormat, WebhookNotifier, WebhookSettings,
    WebhookUrl,
};
use falconer::effects::secret::SecretFile;
use falconer::effects::{Notifier, NotifyError};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use tokio::net::TcpListener;

use super::fixtures::{Authority, notification};

async fn post(settings: WebhookSettings) -> Result<(), NotifyError> {
    WebhookNotifier::new(settings).unwrap().notify(&notification()).await.map(drop)
}

#[tokio::test]
async fn both_formats_arrive_as_json_with_their_headers() {
    let sink = WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer s3cret\n").unwrap();
    let mut settings = WebhookSettings::new("oncall", sink.url("/hook?team=a"));
    settings.headers = vec![("X-Team".into(), "vectors".into())];
    settings.secret_headers = vec![("Authorization".into(), SecretFile::new(token))];
    post(settings.clone()).await.unwrap();
    settings.format = WebhookFormat::Alertmanager;
    post(settings).await.unwrap();
    let requests = sink.requests().all();
    for request in &requests {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?team=a"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-team"), Some("vectors"));
        assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    }
    let ours = requests[0].json().unwrap();
    assert_eq!(ours["alerts"][0]["title"], "querynode is unhealthy");
    assert_eq!(ours["version"], 2);
    let theirs = requests[1].json().unwrap();
    assert_eq!(theirs["receiver"], "oncall");
    assert_eq!(theirs["alerts"][0]["labels"]["severity"], "critical");
}

#[tokio::test]
async fn answers_for_now_and_answers_for_good_are_told_apart() {
    let sink = WebhookSink::start().unwrap();
    let settings = WebhookSettings::new("oncall", sink.url("/hook"));
    for (status, retryable) in
        [(500, true), (503, true), (429, true), (400, false), (401, false), (404, false)]
    {
        sink.answer_with(WebhookAnswer::status(status));
        let error = post(settings.clone()).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(error.to_string().ends_with("answer of the sink"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sink, other) = (WebhookSink::start().unwrap(), WebhookSink::start().unwrap());
    sink.answer_with(WebhookAnswer::Status {
        status: 302,
        headers: vec![("location".into(), other.url("/elsewhere"))],
        body: String::new(),
    });
    let error = post(WebhookSettings::new("oncall", sink.url("/hook"))).await.unwrap_err();
    assert!(matches!(error, NotifyError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_or_a_gigantic_one_is_not_read_to_its_end() {
    let sink = WebhookSink::start().unwrap();
    let settings = WebhookSettings::new("oncall", sink.url("/hook"));
    sink.answer_with(WebhookAnswer::Endless);
    post(settings.clone()).await.unwrap();
    sink.answer_with(WebhookAnswer::Status {
        status: 500,
        headers: Vec::new(),
        body: "x".repeat(64 << 20),
    });
    let error = post(settings).await.unwrap_err().to_string();
    assert!(error.len() < 400, "{}", error.len());
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_a_timeout() {
    let sink = WebhookSink::start().unwrap();
    sink.answer_with(WebhookAnswer::Hang);
    let mut settings = WebhookSettings::new("oncall", sink.url("/hook"));
    settings.timeout = Duration::from_millis(300);
    let error = post(settings).await.unwrap_err();
    assert!(matches!(error, NotifyError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn https_is_verified_against_the_given_authority() {
    let sink = WebhookSink::start().unwrap();
    let (authority, other) = (Authority::for_host("127.0.0.1"), Authority::for_host("127.0.0.1"));
    let front = authority.tls_front(sink.address()).await;
    let mut settings = WebhookSettings::new("oncall", format!("https://{front}/hook"));
    settings.ca_file = Some(other.ca_file());
    let error = post(settings.clone()).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(sink.requests().is_empty());
    settings.ca_file = Some(authority.ca_file());
    post(settings).await.unwrap();
    assert_eq!(sink.requests().len(), 1);
}

#[tokio::test]
async fn slack_gets_its_text_and_its_url_stays_a_secret() {
    let sink = WebhookSink::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slack");
    let access = SlackAccess::Webhook { url: SecretFile::new(&path) };
    let timeout = Duration::from_secs(5);
    let slack = SlackNotifier::new(SlackSettings { access, timeout }).unwrap();
    std::fs::write(&path, sink.url("/services/T0/B0/s3cret\n")).unwrap();
    slack.notify(&notification()).await.unwrap();
    let request = &sink.requests().all()[0];
    assert_eq!(request.path, "/services/T0/B0/s3cret");
    let text = request.json().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("[CRITICAL] Milvus Alert: querynode is unhealthy"), "{text}");

    sink.answer_with(WebhookAnswer::status(404));
    let gone = slack.notify(&notification()).await.unwrap_err();
    std::fs::write(&path, format!("http://{nobody}/services/T0/B0/s3cret")).unwrap();
    let unreachable = slack.notify(&notification()).await.unwrap_err();
    assert_eq!(unreachable.to_string(), format!("slack: connection refused by {nobody}"));

    sink.answer_with(WebhookAnswer::status(200));
    let url = WebhookUrl::Secret(SecretFile::new(&path));
    let settings = WebhookSettings::new("oncall", url);
    let secret_url = post(settings.clone()).await.unwrap_err();
    std::fs::write(&path, sink.url("/services/T0/B0/s3cret")).unwrap();
    post(settings).await.unwrap();
    assert_eq!(sink.requests().len(), 3);
    for error in [gone, unreachable, secret_url] {
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}
