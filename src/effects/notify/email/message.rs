//! What a mail is: headers by which mails are threaded and sorted, a text and its HTML twin. Nothing
//! from outside reaches a header but as one bounded, encoded line.
//!
//! All mails of a thread answer one message that was never sent, so that no mail needs to know which
//! was the first. Programs that thread by the headers (Thunderbird, Apple Mail, notmuch) take the
//! missing message for the common parent. Gmail wants references to one and the same message and
//! besides the same subject, brackets at its beginning aside, see `render::subject`. Outlook
//! follows `Thread-Index`, whose first 22 bytes are a conversation's.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart, SinglePart};

use crate::effects::notify::render;
use crate::model::Notification;

/// The longest value of a header for filters, in bytes.
const FILTER_LIMIT: usize = 200;

/// What is the same in every mail of one receiver.
#[derive(Debug, Clone)]
pub(super) struct Letterhead {
    /// The sender.
    pub from: Mailbox,
    /// The recipients.
    pub to: Vec<Mailbox>,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// What every subject begins with; may be empty.
    pub subject_prefix: String,
    /// Whether all subjects of a thread are the same but for the brackets.
    pub stable_subject: bool,
}

impl Letterhead {
    /// Writes the mail. The same notification gives the same mail, byte by byte, so that a server
    /// that has accepted an attempt whose answer was lost can recognise the next.
    pub(super) fn build(
        &self,
        notification: &Notification,
    ) -> Result<Message, lettre::error::Error> {
        let thread = render::fingerprint(&notification.thread);
        let message = render::fingerprint(&notification.id);
        let domain = self.from.email.domain();
        let sent_at = Duration::from_millis(notification.sent_at.as_millis());
        let root = format!("<falconer.{thread}@{domain}>");
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(self.subject(notification))
            .date(UNIX_EPOCH + sent_at)
            .message_id(Some(format!("<falconer.{thread}.{message}@{domain}>")))
            .in_reply_to(root.clone())
            .references(root);
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        for mailbox in &self.to {
            builder = builder.to(mailbox.clone());
        }
        let (text, html) = (render::text(notification), render::html(notification));
        let boundary = boundary(&thread, &[&text, &html]);
        with_marks(builder, notification).multipart(
            MultiPart::alternative()
                .boundary(boundary)
                .singlepart(SinglePart::plain(text))
                .singlepart(SinglePart::html(html)),
        )
    }

    fn subject(&self, notification: &Notification) -> String {
        let subject = if self.stable_subject {
            render::stable_subject(notification)
        } else {
            render::subject(notification)
        };
        if self.subject_prefix.is_empty() {
            return subject;
        }
        format!("{} {subject}", self.subject_prefix)
    }
}

/// The headers for machines: that one has written this, what belongs together, and what filters sort
/// by.
fn with_marks(builder: MessageBuilder, notification: &Notification) -> MessageBuilder {
    let names = |name: fn(&crate::model::AlertMessage) -> &str| {
        let names: BTreeSet<&str> = notification.alerts().map(name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        names.join(", ")
    };
    let marks = [
        ("Thread-Topic", render::topic(notification)),
        ("Thread-Index", thread_index(&notification.thread)),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("Precedence", "bulk".to_owned()),
        ("X-Falconer-Status", notification.status().as_str().to_owned()),
        ("X-Falconer-Severity", notification.severity().as_str().to_owned()),
        ("X-Falconer-Alerts", (notification.others.len() + notification.left_out + 1).to_string()),
        ("X-Falconer-Cluster", names(|alert| &alert.component.cluster)),
        ("X-Falconer-Component", names(|alert| &alert.component.component)),
    ];
    marks.into_iter().fold(builder, |builder, (name, value)| {
        let name = HeaderName::new_from_ascii_str(name);
        builder.raw_header(HeaderValue::new(name, render::one_line(&value, FILTER_LIMIT)))
    })
}

/// The first 22 bytes of what Outlook sends: a one, five bytes of time and a unique name. The time
/// of a thread's first mail is not known here; its place is taken by more of the name.
fn thread_index(thread: &str) -> String {
    let digits: String = ["", "/", "//"]
        .iter()
        .map(|salt| render::fingerprint(&format!("{thread}{salt}")))
        .collect();
    let mut bytes = vec![1];
    // 48 digits are 24 bytes, of which 21 are wanted.
    bytes.extend(
        (0..21).filter_map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()),
    );
    STANDARD.encode(bytes)
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
mod tests;
