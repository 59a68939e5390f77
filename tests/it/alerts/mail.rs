//! Mail without TLS, to servers of every temper.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use falconer::effects::notify::{EmailLogin, EmailNotifier, EmailSettings};
use falconer::effects::secret::SecretFile;
use falconer::effects::{Notifier, NotifyError};
use falconer::sim::smtp::{SmtpBehaviour, SmtpSettings, SmtpSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fixtures::{converse, email, notification, server};

async fn send(settings: EmailSettings) -> Result<(), NotifyError> {
    EmailNotifier::new(settings).unwrap().notify(&notification()).await.map(drop)
}

/// The text of a failure that passes by itself.
async fn unavailable(settings: EmailSettings) -> String {
    match send(settings).await {
        Err(error @ NotifyError::Unavailable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The text of a failure that somebody has to mend.
async fn refused(settings: EmailSettings) -> String {
    match send(settings).await {
        Err(error @ NotifyError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// What a server that takes every mail answers to a line of the client.
fn obliging(line: &str) -> &'static str {
    match line {
        "DATA" => "354 go on\r\n",
        "." => "250 accepted\r\n",
        command if command.starts_with("EHLO") => "250 mail\r\n",
        command if command.starts_with("MAIL") || command.starts_with("RCPT") => "250 ok\r\n",
        _ => "",
    }
}

#[tokio::test]
async fn a_mail_arrives_once_for_all_recipients() {
    let sink = SmtpSink::start().unwrap();
    send(email(sink.address())).await.unwrap();
    let mails = sink.mails().all();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.from, "alerts@example.com");
    assert_eq!(mail.to, ["admin@example.com", "ops@example.com"]);
    assert_eq!(mail.subject(), "[CRITICAL] Milvus Alert: querynode is unhealthy");
    let body = mail.body();
    for expected in [
        "Severity:  CRITICAL",
        "Title:     querynode is unhealthy",
        "Time:      2026-01-01T00:00:35.000Z",
        "Component: querynode",
        "no answer within 5 s",
        "rollout restart of deployment/milvus-querynode",
    ] {
        assert!(body.contains(expected), "{expected} is not in {body}");
    }
    assert!(mail.header("references").is_some());
}

#[tokio::test]
async fn what_a_server_said_adds_no_header_and_ends_no_mail() {
    let sink = SmtpSink::start().unwrap();
    let mut hostile = notification();
    hostile.lead.title = "down\r\nBcc: spy@example.com".into();
    hostile.lead.details = vec!["\r\n.\r\nMAIL FROM:<spy@example.com>".into(), ".".into()];
    hostile.lead.action = "\n.\nQUIT".into();
    let notifier = EmailNotifier::new(email(sink.address())).unwrap();
    notifier.notify(&hostile).await.unwrap();
    let mails = sink.mails().all();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("bcc"), None);
    assert_eq!(mails[0].to.len(), 2);
    assert_eq!(mails[0].subject(), "[CRITICAL] Milvus Alert: down Bcc: spy@example.com");
    assert!(mails[0].body().contains("MAIL FROM:<spy@example.com>"), "{}", mails[0].body());
}

#[tokio::test]
async fn a_password_is_read_anew_for_each_mail_and_never_shown() {
    let credentials = Some(("falconer".to_owned(), "right-one".to_owned()));
    let sink = SmtpSink::start_with(SmtpSettings { credentials, ..Default::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let password = SecretFile::new(&path);
    let login = Some(EmailLogin { username: "falconer".into(), password });
    let settings = EmailSettings { login, ..email(sink.address()) };

    let missing = unavailable(settings.clone()).await;
    assert!(missing.contains("cannot read"), "{missing}");
    std::fs::write(&path, "wrong-one").unwrap();
    let wrong = refused(settings.clone()).await;
    assert_eq!(wrong, "email: refused: login: 535 5.7.8 wrong user or password");
    std::fs::write(&path, "right-one\n").unwrap();
    send(settings).await.unwrap();
    assert_eq!(sink.mails().all()[0].authenticated_as.as_deref(), Some("falconer"));
}

#[tokio::test]
async fn a_server_that_echoes_the_password_does_not_bring_it_into_the_error() {
    let address = server(|stream| {
        converse(stream, |line| {
            Some(if line.starts_with("EHLO") {
                "250-mail\r\n250 AUTH PLAIN\r\n"
            } else {
                "535 your password hunter22 is wrong\r\n"
            })
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "hunter22").unwrap();
    let login = EmailLogin { username: "falconer".into(), password: SecretFile::new(path) };
    let error = refused(EmailSettings { login: Some(login), ..email(address) }).await;
    assert_eq!(error, "email: refused: login: 535 your password *** is wrong");
}

#[tokio::test]
async fn answers_for_now_and_answers_for_good_are_told_apart() {
    let sink = SmtpSink::start().unwrap();
    let settings = email(sink.address());
    sink.behave(SmtpBehaviour::RejectMessages("452 4.2.2 mailbox full".into()));
    assert_eq!(unavailable(settings.clone()).await, "email: message: 452 4.2.2 mailbox full");
    sink.behave(SmtpBehaviour::RejectMessages("554 5.7.1 spam".into()));
    assert_eq!(refused(settings.clone()).await, "email: refused: message: 554 5.7.1 spam");
    sink.behave(SmtpBehaviour::RejectRecipients("450 4.2.0 greylisted".into()));
    assert_eq!(
        unavailable(settings.clone()).await,
        "email: recipient admin@example.com: 450 4.2.0 greylisted"
    );
    sink.behave(SmtpBehaviour::RejectRecipients("550 5.1.1 no such user".into()));
    assert_eq!(
        refused(settings).await,
        "email: refused: recipient ops@example.com: 550 5.1.1 no such user"
    );
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn one_bad_address_does_not_keep_the_mail_from_the_others() {
    let data = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&data);
    let address = server(move |stream| {
        let seen = Arc::clone(&seen);
        converse(stream, move |line| {
            Some(match line {
                "RCPT TO:<admin@example.com>" => "550 5.1.1 left the company\r\n",
                "." => {
                    seen.fetch_add(1, Ordering::Relaxed);
                    obliging(line)
                }
                "QUIT" => "221 bye\r\n",
                other => obliging(other),
            })
        })
    })
    .await;
    send(email(address)).await.unwrap();
    assert_eq!(data.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_cut_within_the_mail_is_no_delivery() {
    let address = server(|stream| {
        converse(stream, |line| (line != "Severity:  CRITICAL").then(|| obliging(line)))
    })
    .await;
    let error = unavailable(email(address)).await;
    let cut = [format!("closed by {address}"), format!("reset by {address}")];
    assert!(cut.iter().any(|text| error.ends_with(text.as_str())), "{error}");
}

#[tokio::test]
async fn a_server_that_never_says_goodbye_has_still_accepted_the_mail() {
    let address = server(|stream| converse(stream, |line| Some(obliging(line)))).await;
    send(email(address)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_a_timeout() {
    let sink = SmtpSink::start().unwrap();
    sink.behave(SmtpBehaviour::Hang);
    let settings = EmailSettings { timeout: Duration::from_millis(300), ..email(sink.address()) };
    assert_eq!(unavailable(settings).await, "email: greeting: no answer within 300 ms");
}

#[tokio::test]
async fn nobody_listening_reads_like_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = unavailable(email(address)).await;
    assert_eq!(error, format!("email: connection refused by {address}"));
}

#[tokio::test]
async fn a_server_that_hangs_up_reads_like_that() {
    let sink = SmtpSink::start().unwrap();
    sink.behave(SmtpBehaviour::HangUp);
    let error = unavailable(email(sink.address())).await;
    let cut = ["closed by", "reset by"];
    assert!(cut.iter().any(|text| error.contains(text)), "{error}");
}

#[tokio::test]
async fn garbage_and_endless_greetings_are_failures_with_a_bound() {
    let garbage = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 64]).await;
    })
    .await;
    let error = unavailable(email(garbage)).await;
    assert!(error.contains("not the answer of a mail server"), "{error}");

    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let endless = server(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            while stream.write_all(&[b'x'; 4_096]).await.is_ok() {
                count.fetch_add(4_096, Ordering::Relaxed);
            }
        }
    })
    .await;
    let error = unavailable(email(endless)).await;
    assert!(error.contains("says too much"), "{error}");
    // What is beyond our bound is in the buffers of the two sockets.
    assert!(written.load(Ordering::Relaxed) < 64 << 20);
}
