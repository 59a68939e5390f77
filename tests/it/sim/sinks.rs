//! The mail and webhook sinks.

use std::time::Duration;

use falconer::sim::smtp::{SmtpBehaviour, SmtpSettings, SmtpSink};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

const PATIENCE: Duration = Duration::from_secs(5);

fn mailer(sink: &SmtpSink, login: Option<(&str, &str)>) -> AsyncSmtpTransport<Tokio1Executor> {
    let address = sink.address();
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
        .port(address.port())
        .timeout(Some(PATIENCE));
    match login {
        Some((user, password)) => {
            builder.credentials(Credentials::new(user.to_owned(), password.to_owned())).build()
        }
        None => builder.build(),
    }
}

fn mail(subject: &str, body: &str) -> Message {
    Message::builder()
        .from("falconer@example.com".parse().expect("an address"))
        .to("admin@example.com".parse().expect("an address"))
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(body.to_owned())
        .expect("a message")
}

#[tokio::test]
async fn a_mail_arrives_in_the_sink_with_its_subject_and_text() {
    let sink = SmtpSink::start().expect("a sink");
    let message = mail("[CRITICAL] Überwachung", "first\r\n.dots\r\nünd umlauts\r\n");
    mailer(&sink, None).send(message).await.expect("accepted");
    let mail = sink.mails().wait_for(PATIENCE, |_| true).await.expect("arrived");
    assert_eq!(mail.subject(), "[CRITICAL] Überwachung");
    assert!(mail.body().starts_with("first\r\n.dots\r\nünd umlauts"), "{:?}", mail.body());
    assert_eq!(mail.from, "falconer@example.com");
    assert_eq!(mail.to, ["admin@example.com"]);
}

#[tokio::test]
async fn the_sink_demands_the_right_password() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let sink = SmtpSink::start_with(SmtpSettings { credentials, ..SmtpSettings::default() })
        .expect("a sink");
    let refused = mailer(&sink, Some(("user", "wrong"))).send(mail("a", "b")).await;
    assert!(refused.is_err());
    mailer(&sink, Some(("user", "secret"))).send(mail("a", "b")).await.expect("accepted");
    assert_eq!(sink.mails().all()[0].authenticated_as.as_deref(), Some("user"));
}

#[tokio::test]
async fn the_sink_can_refuse_mail_and_take_it_again_later() {
    let sink = SmtpSink::start().expect("a sink");
    sink.behave(SmtpBehaviour::RejectMessages("451 4.3.0 later".to_owned()));
    assert!(mailer(&sink, None).send(mail("a", "b")).await.is_err());
    assert!(sink.mails().is_empty());
    sink.behave(SmtpBehaviour::Accept);
    mailer(&sink, None).send(mail("a", "b")).await.expect("accepted");
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn a_webhook_is_kept_with_its_body_and_answered_as_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sink = WebhookSink::start().expect("a sink");
    let client = reqwest::Client::new();
    sink.answer_with(WebhookAnswer::status(503));
    let answer = client.post(sink.url("/hook?x=1")).body("{\"a\":1}").send().await.expect("sent");
    assert_eq!(answer.status(), 503);
    let request = sink.requests().wait_for(PATIENCE, |_| true).await.expect("arrived");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?x=1"));
    assert_eq!(request.json(), Some(serde_json::json!({"a": 1})));
    assert_eq!(request.answered, 503);
}
