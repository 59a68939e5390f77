//! What mails look like, compared with the files below `tests/data/mails`: `NAME.txt` is the mail as
//! it is sent, `NAME.html` its second part as a browser would get it.

use super::*;
use crate::effects::notify::render::tests::{cause, digest, group, notification};
use crate::model::{AlertStatus, Reason, ReasonKind};

fn letterhead() -> Letterhead {
    Letterhead {
        from: "falconer <alerts@example.com>".parse().unwrap(),
        to: ["admin@example.com", "Ops <ops@example.com>"].map(|one| one.parse().unwrap()).into(),
        reply_to: None,
        subject_prefix: String::new(),
        stable_subject: false,
    }
}

/// Compares with a file; with `FALCONER_REWRITE_EXPECTED` set, writes it.
fn compare(name: &str, text: &str) {
    let path = format!("{}/tests/data/mails/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("FALCONER_REWRITE_EXPECTED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{path}");
}

/// Compares both forms of the mail with their files; returns the mail.
fn expect(name: &str, notification: &Notification) -> String {
    let mail = letterhead().build(notification).unwrap().formatted();
    let mail = String::from_utf8(mail).unwrap();
    assert!(mail.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "bare line ends");
    assert!(mail.split("\r\n").all(|line| line.len() <= 998), "longer than RFC 5322 allows");
    let mail = mail.replace("\r\n", "\n");
    compare(&format!("{name}.txt"), &mail);
    compare(&format!("{name}.html"), &render::html(notification));
    mail
}

/// The value of a header, unfolded.
fn header(mail: &Message, name: &str) -> String {
    let value = mail.headers().get_raw(name).unwrap_or_else(|| panic!("no {name}"));
    value.replace("\r\n", "")
}

#[test]
fn a_firing_mail_reads_as_expected() {
    expect("firing", &notification(AlertStatus::Firing));
}

#[test]
fn a_resolved_mail_reads_as_expected() {
    expect("resolved", &notification(AlertStatus::Resolved));
}

#[test]
fn a_mail_about_a_cause_lists_what_suffers() {
    let mail = expect("cause", &cause());
    assert!(mail.contains("Subject: [CRITICAL] [8 suffer] Milvus Alert: etcd is unhealthy\n"));
}

#[test]
fn a_mail_about_a_group_tells_of_each_alert() {
    expect("group", &group());
}

#[test]
fn a_digest_is_an_overview() {
    expect("digest", &digest());
}

#[test]
fn a_hostile_text_adds_no_header_no_part_and_no_markup() {
    let mut hostile = notification(AlertStatus::Firing);
    hostile.lead.title = "down\r\nBcc: everybody@example.com\r\n\r\n<script>".into();
    hostile.lead.reason =
        Reason::new(ReasonKind::BadAnswer, "500\r\n.\r\nMAIL FROM:<x@example.com>");
    let thread = render::fingerprint(&hostile.thread);
    hostile.lead.details = vec![
        format!("\r\n--falconer-{thread}--\r\n"),
        "<script>alert(1)</script>".into(),
        "größer als \u{202e}erlaubt".into(),
    ];
    let mail = expect("hostile", &hostile);
    let head = mail.split("\n\n").next().unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    let html = mail.split("text/html").nth(1).unwrap();
    assert!(!html.contains("<script>"), "{html}");
}

#[test]
fn a_name_that_is_a_header_stays_a_name() {
    let mut hostile = group();
    hostile.lead.component = crate::model::ComponentId::new("a\r\nBcc: x@example.com", "größe");
    hostile.others[0].component.component = "n".repeat(5_000).into();
    hostile.group = [("c".to_owned(), "d\r\nBcc: y@example.com".to_owned())].into();
    let mail = letterhead().build(&hostile).unwrap();
    assert!(mail.headers().get_raw("Bcc").is_none());
    let mail = String::from_utf8(mail.formatted()).unwrap();
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    assert!(head.lines().all(|line| line.len() < 998 && line.is_ascii()), "{head}");
}

#[test]
fn an_attempt_repeated_is_the_same_mail_and_a_new_message_is_another() {
    let build = |notification: &Notification| letterhead().build(notification).unwrap();
    let firing = notification(AlertStatus::Firing);
    let mut reminder = firing.clone();
    reminder.id = format!("{}/2", firing.id).into();
    let over = notification(AlertStatus::Resolved);
    assert_eq!(build(&firing).formatted(), build(&firing.clone()).formatted());
    let messages = [&firing, &reminder, &over];
    let ids: BTreeSet<String> =
        messages.iter().map(|message| header(&build(message), "Message-ID")).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    for same in ["References", "In-Reply-To", "Thread-Index", "Thread-Topic"] {
        let values: BTreeSet<String> =
            messages.iter().map(|message| header(&build(message), same)).collect();
        assert_eq!(values.len(), 1, "{values:?}");
    }
    let root = header(&build(&firing), "References");
    assert!(!ids.contains(&root), "{root}");
}

#[test]
fn what_filters_sort_by_stands_in_headers() {
    let mail = letterhead().build(&group()).unwrap();
    for (name, value) in [
        ("X-Falconer-Status", "firing"),
        ("X-Falconer-Severity", "critical"),
        ("X-Falconer-Alerts", "3"),
        ("X-Falconer-Cluster", "milvus-ha"),
        ("X-Falconer-Component", "datanode, indexnode, querynode"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        assert_eq!(header(&mail, name), value);
    }
    // As long as Outlook's own, which are 22 bytes.
    assert_eq!(STANDARD.decode(header(&mail, "Thread-Index")).unwrap().len(), 22);
}

#[test]
fn a_prefix_an_address_for_answers_and_a_stable_subject_are_as_people_want_them() {
    let reply_to = Some("oncall@example.com".parse().unwrap());
    let wishes = Letterhead {
        reply_to,
        subject_prefix: "prod:".into(),
        stable_subject: true,
        ..letterhead()
    };
    let mail = wishes.build(&group()).unwrap();
    assert_eq!(header(&mail, "Reply-To"), "oncall@example.com");
    assert_eq!(
        header(&mail, "Subject"),
        "prod: [1 CRITICAL, 1 WARNING, 1 RESOLVED] Milvus Alert: milvus-ha"
    );
}
