//! Mail to a server that is not ours: STARTTLS and login, and everything that can go wrong on the way.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use falconer::effects::notify::{EmailNotifier, EmailSettings, LogNotifier};
use falconer::effects::{Notifier, NotifyError};
use futures::future::join_all;

use super::delivery::Stage;
use super::fixtures::notification;
use super::real_server::{Mail, PASSWORD, RealServer};

/// How long a server may hang.
const SHORT: Duration = Duration::from_millis(1_900);

async fn send(settings: EmailSettings) -> Result<String, NotifyError> {
    let sent = EmailNotifier::new(settings).unwrap().notify(&notification()).await;
    sent.map(|receipt| {
        let said = receipt.said.unwrap_or_default();
        receipt.flaw.map_or_else(|| said.clone(), |flaw| format!("{said}; {flaw}"))
    })
}

/// What must come of a mail.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The server takes it.
    Accepted,
    /// It passes by itself: tried again after the back-off.
    Later,
    /// Somebody has to mend it: tried again too, but it does not count as an outage.
    Refused,
}

struct Case {
    what: &'static str,
    temper: &'static str,
    change: fn(&mut EmailSettings),
    fate: Fate,
    /// Part of what people are told.
    words: &'static str,
}

const fn case(what: &'static str, temper: &'static str, fate: Fate, words: &'static str) -> Case {
    Case { what, temper, change: |_| {}, fate, words }
}

/// `words` says in which phase.
const fn hangs(what: &'static str, temper: &'static str, words: &'static str) -> Case {
    let change = |settings: &mut EmailSettings| settings.timeout = SHORT;
    Case { what, temper, change, fate: Fate::Later, words }
}

fn cases() -> Vec<Case> {
    let mut wrong_password = case("wrong password", "accept", Fate::Refused, "login: 535 5.7.8");
    wrong_password.change = |settings| {
        let login = settings.login.as_mut().unwrap();
        login.password = falconer::effects::secret::SecretFile::new("env:CARGO_MANIFEST_DIR");
    };
    let mut system_trust = case(
        "signed by an authority that only ca_file would name",
        "accept",
        Fate::Later,
        "invalid peer certificate",
    );
    system_trust.change = |settings| settings.ca_file = None;
    let mut wrong_port = case(
        "TLS from the first byte where STARTTLS is expected",
        "implicit_tls",
        Fate::Later,
        "greeting: no answer within 1 s",
    );
    wrong_port.change = |settings| settings.timeout = SHORT;
    let mut tls = case("TLS from the first byte", "implicit_tls", Fate::Accepted, "250 2.0.0 Ok");
    tls.change = |settings| settings.security = falconer::effects::notify::SmtpSecurity::Tls;
    vec![
        case("STARTTLS and login", "accept", Fate::Accepted, "250 2.0.0 Ok: queued as accept-1"),
        tls,
        wrong_password,
        case(
            "greylisting",
            "greylist",
            Fate::Later,
            "recipient admin@example.com: 451 4.7.1 Greylisted",
        ),
        case(
            "greylisting of one of two",
            "greylist_one",
            Fate::Accepted,
            "put off ops@example.com: 451",
        ),
        case(
            "one of two refused",
            "refuse_one",
            Fate::Accepted,
            "refused ops@example.com: 550 5.1.1",
        ),
        case(
            "all recipients refused",
            "refuse_all",
            Fate::Refused,
            "recipient ops@example.com: 550",
        ),
        case("sender refused", "refuse_sender", Fate::Refused, "sender: 553 5.7.1"),
        case("mail refused", "refuse_mail", Fate::Refused, "message: 554 5.7.1"),
        case("mailbox full", "full", Fate::Later, "message: 452 4.2.2"),
        hangs("hangs before the greeting", "hang_greeting", "greeting: no answer within 1 s"),
        hangs("hangs after EHLO", "hang_ehlo", "greeting: no answer within 1 s"),
        hangs("hangs after STARTTLS", "hang_starttls", "TLS: no answer within 1 s"),
        hangs("hangs within the TLS handshake", "hang_tls", "TLS: no answer within 1 s"),
        hangs("hangs in the login", "hang_login", "login: no answer within 1 s"),
        hangs("hangs after MAIL", "hang_sender", "sender: no answer within 1 s"),
        hangs("hangs after RCPT", "hang_recipient", "recipient: no answer within 1 s"),
        hangs("hangs after DATA", "hang_data", "message: no answer within 1 s"),
        hangs("hangs after the mail", "hang_end", "message: no answer within 1 s"),
        case("cut within the mail", "cut_data", Fate::Later, "message: connection "),
        case("closes at once", "close", Fate::Later, "connection "),
        case(
            "another authority's certificate",
            "untrusted",
            Fate::Later,
            "invalid peer certificate",
        ),
        system_trust,
        case("no STARTTLS", "no_starttls", Fate::Refused, "does not offer STARTTLS"),
        wrong_port,
    ]
}

impl Fate {
    fn is(self, result: &Result<String, NotifyError>) -> bool {
        match (self, result) {
            (Self::Accepted, Ok(_))
            | (Self::Later, Err(NotifyError::Unavailable { .. }))
            | (Self::Refused, Err(NotifyError::Refused { .. })) => true,
            (Self::Accepted | Self::Later | Self::Refused, _) => false,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Later => "later",
            Self::Refused => "refused",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_a_real_server_can_do_has_its_outcome() {
    let server = RealServer::start();
    let tried = join_all(cases().into_iter().map(|case| {
        let mut settings = server.email(case.temper);
        (case.change)(&mut settings);
        async move { (case, send(settings).await) }
    }))
    .await;
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (case, result) in &tried {
        let said = result.as_ref().map_or_else(ToString::to_string, Clone::clone);
        let _ = writeln!(table, "{:<52} {:<9} {said}", case.what, case.fate.words());
        if !case.fate.is(result) || !said.contains(case.words) {
            wrong.push(format!("{}: {result:?}", case.what));
        }
        assert!(!said.contains(PASSWORD), "{said}");
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");

    let mails = server.mails("accept");
    assert_eq!(mails.len(), 1, "neither the wrong password nor the unknown authority");
    assert_eq!(server.mails("implicit_tls").len(), 1);
    assert_eq!(server.mails("refuse_one")[0].to, ["admin@example.com"]);
    for nothing in ["greylist", "refuse_mail", "full", "cut_data", "hang_end", "untrusted"] {
        assert!(server.mails(nothing).is_empty(), "{nothing}");
    }
    // Neither a password nor a mail in plain, and no password for a stranger.
    assert_eq!(server.logins("no_starttls"), "");
    assert_eq!(server.logins("untrusted"), "");
    assert!(server.logins("accept").lines().all(|login| login.ends_with(" tls")));
}

fn is_well_formed(mail: &Mail) {
    assert_eq!(mail.defects, Vec::<String>::new());
    assert!(mail.tls);
    assert_eq!(mail.kind, "multipart/alternative");
    assert_eq!(mail.from, "alerts@example.com");
    assert_eq!(mail.addresses, ["admin@example.com", "ops@example.com"]);
    let headers = &mail.headers;
    assert_eq!(headers["from"], "falconer <alerts@example.com>");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert_eq!(headers["x-falconer-cluster"], "milvus-ha");
    assert_eq!(headers["x-falconer-component"], "querynode");
    assert_eq!(headers["in-reply-to"], headers["references"]);
    assert_ne!(headers["message-id"], headers["references"]);
    for (kind, begin) in [("text/plain", "Severity:  CRITICAL"), ("text/html", "<!doctype html>")] {
        let part = &mail.parts[kind];
        assert!(part.starts_with(begin), "{part}");
        assert!(part.contains("querynode-abc: no answer within 5 s"), "{part}");
    }
}

#[test]
fn a_greylisted_mail_arrives_once_after_the_back_off_and_its_end_joins_the_thread() {
    System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    })
    .block_on(async {
        let server = RealServer::start();
        let stage = Stage::new();
        let receivers: Vec<Arc<dyn Notifier>> = vec![
            Arc::new(EmailNotifier::new(server.email("greylist")).unwrap()),
            Arc::new(LogNotifier),
        ];
        let _alerter = stage.alerter_with(receivers);
        stage.inbox.raise.send(stage.raise());
        server.accepted("greylist", 1).await;
        stage.shown("email", |one| one.state.last_error.is_none()).await;
        stage.inbox.resolve.send(stage.resolve());
        let mails = server.accepted("greylist", 2).await;
        assert_eq!(mails.len(), 2);
        for mail in &mails {
            is_well_formed(mail);
        }
        let header =
            |name: &str| mails.iter().map(|mail| mail.headers[name].clone()).collect::<Vec<_>>();
        assert_eq!(
            header("subject"),
            [
                "[CRITICAL] Milvus Alert: querynode is unhealthy",
                "[RESOLVED] Milvus Alert: querynode is unhealthy"
            ]
        );
        assert_eq!(header("x-falconer-status"), ["firing", "resolved"]);
        assert_eq!(header("references")[0], header("references")[1]);
        assert_ne!(header("message-id")[0], header("message-id")[1]);
        // The first attempt was put off after the login.
        assert_eq!(server.logins("greylist").lines().count(), 3);
    });
}

#[tokio::test]
async fn who_was_put_off_while_others_got_the_mail_gets_it_later() {
    let server = RealServer::start();
    let offer_again = vec![Duration::from_millis(50)];
    let said = send(EmailSettings { offer_again, ..server.email("greylist_one") }).await.unwrap();
    assert!(said.contains("put off ops@example.com"), "{said}");
    let mails = server.accepted("greylist_one", 2).await;
    assert_eq!(mails[0].to, ["admin@example.com"]);
    assert_eq!(mails[1].to, ["ops@example.com"]);
    assert_eq!(mails[0].headers, mails[1].headers, "it is the same mail");
}

#[tokio::test]
async fn a_password_that_is_changed_in_its_file_is_used_for_the_next_mail() {
    let server = RealServer::start();
    let notifier = EmailNotifier::new(server.email("accept")).unwrap();
    let send = async || notifier.notify(&notification()).await;
    std::fs::write(server.password_file(), "the one of last month").unwrap();
    assert!(matches!(send().await, Err(NotifyError::Refused { .. })));
    std::fs::write(server.password_file(), format!("{PASSWORD}\n")).unwrap();
    send().await.unwrap();
    std::fs::remove_file(server.password_file()).unwrap();
    let error = send().await.unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
    std::fs::write(server.password_file(), PASSWORD).unwrap();
    send().await.unwrap();
    assert_eq!(server.mails("accept").len(), 2);
}
