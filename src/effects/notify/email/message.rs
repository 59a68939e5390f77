//! What a mail is: headers that thread an incident's mails, a text and its HTML twin. Nothing from
//! outside reaches a header except through the title, which is one bounded line.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::effects::notify::render;
use crate::model::Notification;

/// Writes the mail. The same notification gives the same mail, byte by byte, so that a server that
/// has accepted an attempt whose answer was lost can recognise the next.
pub(super) fn build(
    from: &Mailbox,
    to: &[Mailbox],
    notification: &Notification,
) -> Result<Message, lettre::error::Error> {
    let thread = render::fingerprint(notification.lead.incident.as_str());
    let domain = from.email.domain();
    let sent_at = Duration::from_millis(notification.sent_at.as_millis());
    let status = notification.lead.status.as_str();
    // All mails of an incident answer one message that was never sent: clients thread by that,
    // and no mail needs to know which was the first.
    let root = format!("<falconer.{thread}@{domain}>");
    let id = format!("<falconer.{thread}.{status}.{}@{domain}>", sent_at.as_millis());
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(render::subject(notification))
        .date(UNIX_EPOCH + sent_at)
        .message_id(Some(id))
        .in_reply_to(root.clone())
        .references(root)
        .raw_header(constant("Auto-Submitted", "auto-generated"));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    let (text, html) = (render::text(notification), render::html(notification));
    let boundary = boundary(&thread, &[&text, &html]);
    builder.multipart(
        MultiPart::alternative()
            .boundary(boundary)
            .singlepart(SinglePart::plain(text))
            .singlepart(SinglePart::html(html)),
    )
}

fn constant(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A line that stands in none of the parts, whatever a hostile server has put there.
fn boundary(thread: &str, parts: &[&str]) -> String {
    let mut boundary = format!("falconer-{thread}");
    while parts.iter().any(|part| part.contains(&boundary)) {
        boundary.push('x');
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::{AlertStatus, Reason, ReasonKind};

    /// Compares with `tests/data/mails/<name>.txt`; with `FALCONER_REWRITE_EXPECTED` set, writes it.
    fn expect(name: &str, notification: &Notification) -> String {
        let from = "falconer <alerts@example.com>".parse().unwrap();
        let to = ["admin@example.com", "Ops <ops@example.com>"].map(|one| one.parse().unwrap());
        let mail = build(&from, &to, notification).unwrap().formatted();
        let mail = String::from_utf8(mail).unwrap();
        assert!(mail.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "bare line ends");
        let mail = mail.replace("\r\n", "\n");
        let path = format!("{}/tests/data/mails/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("FALCONER_REWRITE_EXPECTED").is_some() {
            std::fs::write(&path, &mail).unwrap();
        }
        assert_eq!(mail, std::fs::read_to_string(&path).unwrap(), "{path}");
        mail
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
    fn a_hostile_text_adds_no_header_no_part_and_no_markup() {
        let mut hostile = notification(AlertStatus::Firing);
        hostile.lead.title = "down\r\nBcc: everybody@example.com\r\n\r\n<script>".into();
        hostile.lead.reason =
            Reason::new(ReasonKind::BadAnswer, "500\r\n.\r\nMAIL FROM:<x@example.com>");
        let thread = render::fingerprint(hostile.lead.incident.as_str());
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
    fn an_attempt_repeated_is_the_same_mail_and_a_new_message_is_another() {
        let from: Mailbox = "alerts@example.com".parse().unwrap();
        let id = |notification: &Notification| {
            let mail = build(&from, std::slice::from_ref(&from), notification).unwrap();
            let headers = mail.headers();
            let raw = |name: &str| headers.get_raw(name).unwrap().to_owned();
            (raw("Message-ID"), raw("References"))
        };
        let firing = notification(AlertStatus::Firing);
        let mut later = firing.clone();
        later.sent_at = later.sent_at + Duration::from_secs(300);
        assert_eq!(id(&firing), id(&firing.clone()));
        assert_ne!(id(&firing).0, id(&later).0);
        assert_ne!(id(&firing).0, id(&notification(AlertStatus::Resolved)).0);
        assert_eq!(id(&firing).1, id(&later).1, "one thread");
    }
}
