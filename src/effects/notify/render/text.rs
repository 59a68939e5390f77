//! A message as plain text. Owns its layout; the words are in `content.rs`.

use std::fmt::Write as _;

use super::content::{
    LINE_LIMIT, LOOK_CLOSER, alert_facts, alert_paragraphs, alert_tag, alert_title, brief, facts,
    rest_of_thread,
};
use super::safe::one_line;
use super::subject::{counts, headline, is_single};
use crate::model::{AlertMessage, Notification};

/// How many alerts are told in full.
pub(super) const MOST_IN_FULL: usize = 10;
/// How many more are told in a line each.
pub(super) const MOST_IN_BRIEF: usize = 200;
/// Beyond this no alert is told in full any more, in bytes.
const FULL_BUDGET: usize = 60_000;
/// The width of the names of facts.
const NAMES: usize = 11;

/// The message as plain text.
pub fn text(notification: &Notification) -> String {
    if is_single(notification) { single(notification) } else { several(notification) }
}

fn single(notification: &Notification) -> String {
    let mut text = String::new();
    push_facts(&mut text, &facts(notification));
    push_paragraphs(&mut text, &notification.lead);
    push_rest(&mut text, notification);
    let incident = one_line(notification.lead.incident.as_str(), LINE_LIMIT);
    let _ = write!(text, "\nIncident {incident}\n");
    text
}

fn several(notification: &Notification) -> String {
    let mut text = String::new();
    let now = notification.sent_at;
    let labels = group(notification);
    let mut facts = vec![("Alerts", counts(notification)), ("About", headline(notification))];
    facts.push(("Time", now.to_string()));
    if !labels.is_empty() {
        facts.push(("Group", labels));
    }
    push_facts(&mut text, &facts);
    let in_full = if notification.is_digest { 0 } else { MOST_IN_FULL };
    let mut rest = Vec::new();
    for (index, alert) in notification.alerts().enumerate() {
        if index >= in_full || text.len() > FULL_BUDGET {
            rest.push(alert);
            continue;
        }
        let heading = format!("[{}] {}", alert_tag(alert), alert_title(alert));
        let _ = write!(text, "\n\n{heading}\n{}\n", "-".repeat(heading.chars().count()));
        push_facts(&mut text, &alert_facts(alert, now));
        push_paragraphs(&mut text, alert);
    }
    let left_out = rest.len().saturating_sub(MOST_IN_BRIEF) + notification.left_out;
    if !rest.is_empty() || left_out > 0 {
        text.push_str("\nIn short:\n");
        for alert in rest.iter().take(MOST_IN_BRIEF) {
            let _ = writeln!(text, "  - {}", brief(alert, now));
        }
        if left_out > 0 {
            let _ = writeln!(text, "  - and {left_out} more");
        }
    }
    push_rest(&mut text, notification);
    text
}

/// `cluster=milvus-ha, severity=critical`; empty for no group.
pub(super) fn group(notification: &Notification) -> String {
    let labels = notification.group.iter().map(|(name, value)| format!("{name}={value}"));
    one_line(&labels.collect::<Vec<_>>().join(", "), LINE_LIMIT)
}

fn push_rest(text: &mut String, notification: &Notification) {
    if let Some(sentence) = rest_of_thread(notification) {
        let _ = write!(text, "\n{sentence}.\n");
    }
}

fn push_facts(text: &mut String, facts: &[(&'static str, String)]) {
    for (name, value) in facts {
        let _ = writeln!(text, "{:<NAMES$}{value}", format!("{name}:"));
    }
}

fn push_paragraphs(text: &mut String, alert: &AlertMessage) {
    for (heading, lines) in alert_paragraphs(alert) {
        let _ = write!(text, "\n{heading}:\n");
        let mark = if heading == LOOK_CLOSER { "  " } else { "  - " };
        for line in lines {
            let _ = writeln!(text, "{mark}{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, notification};
    use super::*;
    use crate::model::AlertStatus;

    #[test]
    fn a_resolved_message_says_how_long_it_lasted() {
        let text = text(&notification(AlertStatus::Resolved));
        assert!(text.contains("Lasted:    6 min 40 s\n"), "{text}");
    }

    #[test]
    fn a_thousand_alerts_with_long_evidence_stay_bounded_and_none_is_left_out_silently() {
        let mut storm = group();
        let one = notification(AlertStatus::Firing).lead;
        storm.others = vec![one; 999];
        for alert in &mut storm.others {
            alert.details = vec!["x".repeat(500); 100];
        }
        let text = text(&storm);
        assert!(text.len() < 120_000, "{}", text.len());
        let in_full = text.matches("\n---").count();
        let left_out = 1_000 - in_full - MOST_IN_BRIEF;
        assert!(text.contains(&format!("- and {left_out} more\n")), "{in_full}");
    }
}
