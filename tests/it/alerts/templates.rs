//! Webhooks whose body people write themselves, and what must never be lost or shown on the way.

use std::collections::BTreeSet;

use falconer::effects::Notifier;
use falconer::effects::notify::{
    WebhookFormat, WebhookNotifier, WebhookSettings, WebhookTemplate, WebhookUrl,
};
use falconer::effects::secret::SecretFile;
use falconer::model::{Acknowledgement, Affected, Receipt, Sighting};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};

use super::fixtures::{START, notification};

async fn tell(settings: WebhookSettings) -> Receipt {
    WebhookNotifier::new(settings).unwrap().notify(&notification()).await.unwrap()
}

/// The names of all fields, however deep.
fn fields(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_field_of_our_own_format_is_described() {
    let sink = WebhookSink::start().unwrap();
    let mut message = notification();
    message.lead.acknowledged =
        Some(Acknowledgement { by: "alice".into(), at: START, comment: "on it".into() });
    let (component, reason) = (message.lead.component.clone(), message.lead.reason.clone());
    message.lead.affects = vec![Affected { component, severity: None, since: START }];
    let (first_at, last_at) = (START, START);
    message.lead.seen = vec![Sighting { reason, first_at, last_at, times: 1, latency_ms: 1 }];
    let webhook = WebhookNotifier::new(WebhookSettings::new("hook", sink.url("/"))).unwrap();
    webhook.notify(&message).await.unwrap();
    let mut found = BTreeSet::new();
    fields(&sink.requests().all()[0].json().unwrap(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    let described = include_str!("../../../docs/receivers.md");
    let missing: Vec<&String> =
        found.iter().filter(|name| !described.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/receivers.md does not describe {missing:?}");
}

#[tokio::test]
async fn a_template_is_sent_with_its_method_and_content_type() {
    let sink = WebhookSink::start().unwrap();
    let mut settings = WebhookSettings::new("chat", sink.url("/hook"));
    let text = "{{ subject }}\n{% for alert in alerts %}- {{ alert.action }}{% endfor %}";
    settings.format = WebhookFormat::Template(WebhookTemplate::Text(text.into()));
    settings.content_type = "text/plain; charset=utf-8".into();
    settings.put = true;
    let receipt = tell(settings).await;
    assert_eq!((receipt.said.as_deref(), receipt.flaw), (Some("200 OK"), None));
    let request = &sink.requests().all()[0];
    assert_eq!(request.method, "PUT");
    assert_eq!(request.header("content-type"), Some("text/plain; charset=utf-8"));
    let (subject, action) = request.body.split_once('\n').unwrap();
    assert!(subject.contains("querynode is unhealthy"), "{subject}");
    assert_eq!(action, "- rollout restart of deployment/milvus-querynode");
}

#[tokio::test]
async fn a_template_that_fails_at_run_time_costs_its_form_and_not_the_message() {
    let sink = WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook.j2");
    let mut settings = WebhookSettings::new("chat", sink.url("/hook"));
    settings.format = WebhookFormat::Template(WebhookTemplate::File(path.clone()));
    for (template, words) in [
        (None, "No such file"),
        (Some("{{ nonsense }}"), "line 1: undefined value"),
        (Some("{\"text\": \"{{ subject }}\"}"), "makes no JSON"),
        (Some("{\"text\": {{ subject }}}"), ""),
    ] {
        if let Some(template) = template {
            std::fs::write(&path, template).unwrap();
        }
        let receipt = tell(settings.clone()).await;
        let body = sink.requests().all().last().unwrap().json().expect("JSON in any case");
        if words.is_empty() {
            assert_eq!(receipt.flaw, None);
            assert!(body["text"].as_str().unwrap().contains("querynode"), "{body}");
        } else {
            assert!(receipt.flaw.unwrap().contains(words), "{words}");
            assert!(body["template_error"].as_str().unwrap().contains(words), "{body}");
            assert_eq!(body["alerts"][0]["title"], "querynode is unhealthy");
        }
    }
}

#[tokio::test]
async fn a_secret_header_rotates_with_its_file_and_an_echo_of_it_is_not_shown() {
    let sink = WebhookSink::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (token, url) = (folder.path().join("token"), folder.path().join("url"));
    std::fs::write(&url, sink.url("/hooks/pa55word?key=0pensesame")).unwrap();
    let mut settings = WebhookSettings::new("chat", WebhookUrl::Secret(SecretFile::new(&url)));
    settings.secret_headers = vec![("Authorization".into(), SecretFile::new(&token))];
    let notifier = WebhookNotifier::new(settings).unwrap();
    for secret in ["Bearer first-s3cret", "Bearer second-s3cret"] {
        std::fs::write(&token, secret).unwrap();
        notifier.notify(&notification()).await.unwrap();
        let request = sink.requests().all().pop().unwrap();
        assert_eq!(request.header("authorization"), Some(secret));
    }
    for status in [500, 403] {
        sink.answer_with(WebhookAnswer::Status {
            status,
            headers: Vec::new(),
            body: "second-s3cret may not see hooks/pa55word?key=0pensesame".into(),
        });
        let error = notifier.notify(&notification()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        for secret in ["s3cret", "pa55word", "0pensesame"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("*** may not see ***"), "{shown}");
    }
}

#[tokio::test]
async fn retry_after_is_told_and_a_redirect_takes_no_secret_along() {
    let (sink, elsewhere) = (WebhookSink::start().unwrap(), WebhookSink::start().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer s3cret").unwrap();
    let mut settings = WebhookSettings::new("chat", sink.url("/hook"));
    settings.secret_headers = vec![("Authorization".into(), SecretFile::new(&token))];
    let notifier = WebhookNotifier::new(settings).unwrap();
    let answer = |status, name: &str, value: String| WebhookAnswer::Status {
        status,
        headers: vec![(name.into(), value)],
        body: String::new(),
    };
    sink.answer_with(answer(503, "retry-after", "90".into()));
    let error = notifier.notify(&notification()).await.unwrap_err();
    assert_eq!(error.retry_after().map(|time| time.as_secs()), Some(90));
    sink.answer_with(answer(307, "location", elsewhere.url("/")));
    let error = notifier.notify(&notification()).await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(elsewhere.requests().is_empty());
}
