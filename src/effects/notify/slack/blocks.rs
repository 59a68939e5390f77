//! What a message looks like in Slack: a headline, and blocks beside a bar whose colour says how it
//! stands. Bounded as Slack wants it; everything from outside is escaped. Sends nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::escape;
use super::told::Change;
use crate::effects::notify::words;
use crate::model::{AlertMessage, AlertStatus, Notification, Severity};

/// Most blocks of one message; Slack takes 50.
const MAX_BLOCKS: usize = 48;
/// The longest text of one block, in characters, as Slack takes it.
const BLOCK_TEXT: usize = 3_000;
/// The longest headline or reply, in characters.
const LINE_TEXT: usize = 400;
/// How many commands are shown that look closer.
const MAX_COMMANDS: usize = 3;
/// The longest text without blocks, in characters.
const PLAIN_TEXT: usize = 4_000;

/// The message of a thread.
pub(super) fn message(notification: &Notification) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut told = 0;
    for alert in notification.alerts() {
        if blocks.len() + 2 > MAX_BLOCKS - 1 {
            break;
        }
        blocks.push(section(&about(alert)));
        blocks.push(context(&small_print(alert, notification)));
        told += 1;
    }
    if let Some(line) = remainder(notification, told) {
        blocks.push(context(&line));
    }
    let headline = headline(notification);
    json!({
        "text": headline,
        "attachments": [{
            "color": colour(notification),
            "fallback": headline,
            "blocks": blocks,
        }],
    })
}

/// The same without blocks, for when Slack does not like them.
pub(super) fn plain(notification: &Notification) -> Value {
    let mut text = headline(notification);
    for alert in notification.alerts() {
        text.push('\n');
        text.push_str(&about(alert));
    }
    json!({ "text": words::cut(&text, PLAIN_TEXT), "attachments": [], "blocks": [] })
}

/// A short word for those who are to be notified.
pub(super) fn reply(change: Change, notification: &Notification) -> Value {
    let lead = &notification.lead;
    let text = match change {
        Change::Over => {
            let lasted = words::lasted(lead, notification.sent_at);
            format!("It is over; it lasted {lasted}. {}", words::action(lead))
        }
        Change::LeftToPerson => {
            let waiting = notification.alerts().find(|alert| alert.is_left_to_person());
            let alert = waiting.unwrap_or(lead);
            format!("{} needs somebody: {}", words::component(alert), words::action(alert))
        }
        Change::Worse => {
            format!("It is {} by now: {}", notification.severity().as_str(), words::reason(lead))
        }
        Change::More => {
            let firing = notification.still_firing;
            format!("{firing} alerts fire by now; {}", words::headline(notification))
        }
    };
    json!({ "text": escape(&text, LINE_TEXT) })
}

fn headline(notification: &Notification) -> String {
    let mark = match (notification.status(), notification.severity()) {
        (AlertStatus::Resolved, _) => ":white_check_mark:",
        (AlertStatus::Firing, Severity::Critical) => ":red_circle:",
        (AlertStatus::Firing, Severity::Warning) => ":large_orange_circle:",
    };
    format!("{mark} {}", escape(&words::headline(notification), LINE_TEXT))
}

/// Green once it is over.
fn colour(notification: &Notification) -> &'static str {
    match (notification.status(), notification.severity()) {
        (AlertStatus::Resolved, _) => "#2eb67d",
        (AlertStatus::Firing, Severity::Critical) => "#d1242f",
        (AlertStatus::Firing, Severity::Warning) => "#d4a72c",
    }
}

/// What is wrong, what was seen, what falconer does about it.
fn about(alert: &AlertMessage) -> String {
    let tag = words::tag(alert.status, alert.severity);
    let bold = |text: &str| format!("*{}*", escape(text, LINE_TEXT));
    let mut lines = vec![
        format!("{} {tag}", bold(&words::title(alert))),
        escape(&words::reason(alert), LINE_TEXT),
    ];
    lines
        .extend(words::evidence(alert).iter().map(|line| format!("• {}", escape(line, LINE_TEXT))));
    let affects = words::affects(alert);
    if !affects.is_empty() {
        lines.push(format!("*Affects:* {}", escape(&affects, LINE_TEXT)));
    }
    let causes = words::causes(alert);
    if !causes.is_empty() {
        lines.push(format!("*Because of:* {}", escape(&causes, LINE_TEXT)));
    }
    if let Some(word) = words::acknowledged(alert) {
        lines.push(format!("*Acknowledged by* {}", escape(&word, LINE_TEXT)));
    }
    let heading = match alert.status {
        AlertStatus::Firing => "What falconer does",
        AlertStatus::Resolved => "What falconer did",
    };
    // First, so that a flood of evidence never cuts it off.
    lines.insert(2, format!("*{heading}:* {}", escape(&words::action(alert), LINE_TEXT)));
    let mut text = String::new();
    for line in lines {
        if text.chars().count() + line.chars().count() + 1 > BLOCK_TEXT - 1 {
            text.push_str("\n…");
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

fn small_print(alert: &AlertMessage, notification: &Notification) -> String {
    let lasted = words::lasted(alert, notification.sent_at);
    let time = match alert.status {
        AlertStatus::Firing => format!("since {} (for {lasted})", alert.started_at),
        AlertStatus::Resolved => format!("since {}, it lasted {lasted}", alert.started_at),
    };
    let flapping = if alert.is_flapping { "; it comes and goes" } else { "" };
    let component = escape(&words::component(alert), LINE_TEXT);
    let commands = words::look_closer(alert);
    let commands = commands.lines().take(MAX_COMMANDS);
    let mut text = format!("{component} {time}{flapping}; look closer:");
    for command in commands {
        let _ = write!(text, "\n`{}`", escape(command, LINE_TEXT));
    }
    text
}

/// What the message does not describe.
fn remainder(notification: &Notification, told: usize) -> Option<String> {
    let all = 1 + notification.others.len() + notification.left_out;
    let left_out = all.saturating_sub(told);
    let in_message =
        notification.alerts().filter(|alert| alert.status == AlertStatus::Firing).count();
    let elsewhere = notification.still_firing.saturating_sub(in_message + notification.left_out);
    match (left_out, elsewhere) {
        (0, 0) => None,
        (0, more) => Some(format!("{more} more of the same matter still fire")),
        (more, 0) => Some(format!("and {more} more alerts")),
        (more, firing) => Some(format!("and {more} more alerts; {firing} told before still fire")),
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text)] })
}

/// `verbatim`: nothing in it becomes a link or a mention by itself.
fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;

    fn texts(message: &Value) -> Vec<String> {
        let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
        let of = |block: &Value| match block["type"].as_str().unwrap() {
            "section" => block["text"]["text"].as_str().unwrap().to_owned(),
            _ => block["elements"][0]["text"].as_str().unwrap().to_owned(),
        };
        blocks.iter().map(of).collect()
    }

    #[test]
    fn a_message_stays_within_what_slack_takes_whatever_it_holds() {
        let mut flood = notification(AlertStatus::Firing);
        flood.lead.details = vec!["<&>".repeat(2_000); 100];
        flood.lead.title = "&".repeat(9_000);
        flood.others = vec![flood.lead.clone(); 300];
        flood.still_firing = 400;
        let message = message(&flood);
        let texts = texts(&message);
        assert!(texts.len() <= 50, "{}", texts.len());
        assert!(texts.iter().all(|text| text.chars().count() <= BLOCK_TEXT));
        assert!(texts.last().unwrap().starts_with("and 2"), "{:?}", texts.last());
        assert!(texts[0].contains("*What falconer does:*"));
        assert!(plain(&flood)["text"].as_str().unwrap().chars().count() <= PLAIN_TEXT);
    }

    #[test]
    fn nothing_from_outside_mentions_anybody_or_becomes_a_link() {
        let mut hostile = notification(AlertStatus::Firing);
        let evil = "<!channel> <@U1> <https://evil.example|click>";
        hostile.lead.title = evil.into();
        hostile.lead.reason.text = evil.into();
        hostile.lead.action = evil.into();
        hostile.lead.details = vec![evil.into()];
        for text in [message(&hostile), plain(&hostile), reply(Change::Over, &hostile)] {
            assert!(!text.to_string().contains('<'), "{text}");
        }
    }

    #[test]
    fn it_is_green_once_it_is_over() {
        let over = message(&notification(AlertStatus::Resolved));
        assert_eq!(over["attachments"][0]["color"], "#2eb67d");
        assert!(over["text"].as_str().unwrap().starts_with(":white_check_mark: [RESOLVED]"));
        assert!(texts(&over)[1].contains("it lasted 6m 40s"));
        let firing = message(&notification(AlertStatus::Firing));
        assert_ne!(firing["attachments"][0]["color"], over["attachments"][0]["color"]);
    }
}
