//! Mail under TLS: whom we trust, and what we say to whom.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use falconer::effects::notify::{EmailLogin, EmailNotifier, EmailSettings, SmtpSecurity};
use falconer::effects::secret::SecretFile;
use falconer::effects::{Notifier, NotifyError};
use falconer::sim::smtp::{SmtpSettings, SmtpSink};
use tempfile::TempDir;

use super::fixtures::{Authority, converse, email, notification, server};

async fn send(settings: EmailSettings) -> Result<(), NotifyError> {
    EmailNotifier::new(settings).unwrap().notify(&notification()).await.map(drop)
}

fn sink_with_login() -> SmtpSink {
    let credentials = Some(("falconer".to_owned(), "s3cret".to_owned()));
    SmtpSink::start_with(SmtpSettings { credentials, ..Default::default() }).unwrap()
}

fn login() -> (TempDir, Option<EmailLogin>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "s3cret\n").unwrap();
    let password = SecretFile::new(path);
    (folder, Some(EmailLogin { username: "falconer".into(), password }))
}

#[tokio::test]
async fn a_mail_goes_through_starttls_with_login_and_an_authority_of_our_own() {
    let (sink, authority) = (sink_with_login(), Authority::for_host("127.0.0.1"));
    let address = authority.starttls_front(sink.address(), "").await;
    let (_folder, login) = login();
    let security = SmtpSecurity::StartTls;
    let ca_file = Some(authority.ca_file());
    send(EmailSettings { security, login, ca_file, ..email(address) }).await.unwrap();
    let mails = sink.mails().all();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].authenticated_as.as_deref(), Some("falconer"));
}

#[tokio::test]
async fn a_mail_goes_through_tls_with_login_and_an_authority_of_our_own() {
    let (sink, authority) = (sink_with_login(), Authority::for_host("127.0.0.1"));
    let address = authority.tls_front(sink.address()).await;
    let (_folder, login) = login();
    let security = SmtpSecurity::Tls;
    let ca_file = Some(authority.ca_file());
    send(EmailSettings { security, login, ca_file, ..email(address) }).await.unwrap();
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn an_unknown_authority_or_another_name_gets_neither_password_nor_mail() {
    let sink = sink_with_login();
    let (_folder, login) = login();
    let (other, wrong_name) = (Authority::for_host("127.0.0.1"), Authority::for_host("other.test"));
    let authority = Authority::for_host("127.0.0.1");
    for (front, ca_file, expected) in [
        (&authority, Some(other.ca_file()), "invalid peer certificate"),
        (&authority, None, "invalid peer certificate"),
        (&wrong_name, Some(wrong_name.ca_file()), "certificate not valid for name"),
    ] {
        let fronts = [
            (SmtpSecurity::Tls, front.tls_front(sink.address()).await),
            (SmtpSecurity::StartTls, front.starttls_front(sink.address(), "").await),
        ];
        for (security, address) in fronts {
            let (login, ca_file) = (login.clone(), ca_file.clone());
            let settings = EmailSettings { security, login, ca_file, ..email(address) };
            let error = send(settings).await.unwrap_err();
            assert!(matches!(error, NotifyError::Unavailable { .. }), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_server_without_starttls_hears_neither_password_nor_mail() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let address = server(move |stream| {
        let log = Arc::clone(&log);
        converse(stream, move |line| {
            log.lock().unwrap().push(line.to_owned());
            Some("250-mail\r\n250 AUTH PLAIN\r\n")
        })
    })
    .await;
    let (_folder, login) = login();
    let security = SmtpSecurity::StartTls;
    let error = send(EmailSettings { security, login, ..email(address) }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("email: refused: {address} does not offer STARTTLS"));
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{heard:?}");
}

#[tokio::test]
async fn what_is_said_in_plain_after_starttls_is_not_taken_for_an_answer_under_tls() {
    let (sink, authority) = (SmtpSink::start().unwrap(), Authority::for_host("127.0.0.1"));
    let injected = "250-evil.example.com\r\n250 AUTH PLAIN\r\n";
    let address = authority.starttls_front(sink.address(), injected).await;
    let settings = EmailSettings {
        security: SmtpSecurity::StartTls,
        ca_file: Some(authority.ca_file()),
        timeout: Duration::from_secs(5),
        ..email(address)
    };
    let error = send(settings).await.unwrap_err();
    assert!(error.to_string().contains("TLS: "), "{error}");
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_missing_ca_file_is_named() {
    let sink = SmtpSink::start().unwrap();
    let settings = EmailSettings {
        security: SmtpSecurity::Tls,
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..email(sink.address())
    };
    let error = send(settings).await.unwrap_err();
    assert!(error.to_string().contains("cannot use /nonexistent/ca.pem"), "{error}");
}
