//! What all receivers but mail say of one alert, each piece made harmless: one line, bounded. Knows
//! nothing of transports and escapes nothing for them.

use std::fmt::Write as _;
use std::time::Duration;

use super::render::one_line;
use crate::model::{AlertMessage, AlertStatus, Notification, Severity, Timestamp};

/// The longest title, in bytes.
const TITLE_LIMIT: usize = 150;
/// The longest line of evidence, in bytes.
const LINE_LIMIT: usize = 400;
/// How many lines of evidence, or names, are shown.
const MAX_LINES: usize = 20;
/// How much of what was seen of late is shown.
const MAX_SEEN: usize = 5;

/// `CRITICAL`, `WARNING` or `RESOLVED`.
pub(super) fn tag(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "RESOLVED",
        (AlertStatus::Firing, Severity::Critical) => "CRITICAL",
        (AlertStatus::Firing, Severity::Warning) => "WARNING",
    }
}

/// What is wrong.
pub(super) fn title(alert: &AlertMessage) -> String {
    one_line(&alert.title, TITLE_LIMIT)
}

/// `milvus-ha/querynode`.
pub(super) fn component(alert: &AlertMessage) -> String {
    one_line(&alert.component.to_string(), TITLE_LIMIT)
}

/// `[CRITICAL] querynode is unhealthy (milvus-ha/querynode) and 2 more`.
pub(super) fn headline(notification: &Notification) -> String {
    let lead = &notification.lead;
    let tag = tag(notification.status(), notification.severity());
    let mut line = format!("[{tag}] {} ({})", title(lead), component(lead));
    let more = notification.others.len() + notification.left_out;
    if more > 0 {
        let _ = write!(line, " and {more} more");
    }
    line
}

/// What was seen.
pub(super) fn reason(alert: &AlertMessage) -> String {
    one_line(&alert.reason.text, LINE_LIMIT)
}

/// Lines of evidence, the last of which says how many were left out, and what was seen of late.
pub(super) fn evidence(alert: &AlertMessage) -> Vec<String> {
    let mut lines = bounded(&alert.details, |line| one_line(line, LINE_LIMIT));
    let seen = alert.seen.iter().rev().take(MAX_SEEN).rev();
    lines.extend(seen.map(|sighting| one_line(&sighting.to_string(), LINE_LIMIT)));
    lines
}

/// What falconer does, or did.
pub(super) fn action(alert: &AlertMessage) -> String {
    match one_line(&alert.action, LINE_LIMIT) {
        nothing if nothing.is_empty() => "nothing so far".to_owned(),
        action => action,
    }
}

/// What suffers from it; empty where nothing is known to.
pub(super) fn affects(alert: &AlertMessage) -> String {
    bounded(&alert.affects, |one| one_line(&one.to_string(), TITLE_LIMIT)).join(", ")
}

/// What is known to be its cause; empty where nothing is.
pub(super) fn causes(alert: &AlertMessage) -> String {
    bounded(&alert.causes, |id| one_line(&id.to_string(), TITLE_LIMIT)).join(", ")
}

/// Who looks after it: `alice: on it`; `None` where nobody has said so.
pub(super) fn acknowledged(alert: &AlertMessage) -> Option<String> {
    let word = alert.acknowledged.as_ref()?;
    let (by, comment) = (one_line(&word.by, TITLE_LIMIT), one_line(&word.comment, LINE_LIMIT));
    Some(if comment.is_empty() { by } else { format!("{by}: {comment}") })
}

/// The commands that show more, one a line.
pub(super) fn look_closer(alert: &AlertMessage) -> String {
    if alert.look_closer.is_empty() {
        return format!("falconer explain {}", component(alert));
    }
    bounded(&alert.look_closer, |command| one_line(command, LINE_LIMIT)).join("\n")
}

/// `6m 40s`: how long it lasted, or has lasted at `now`; in milliseconds below a second.
pub(super) fn lasted(alert: &AlertMessage, now: Timestamp) -> String {
    let exact = alert.ended_at.unwrap_or(now).since(alert.started_at);
    let shown =
        if exact < Duration::from_secs(1) { exact } else { Duration::from_secs(exact.as_secs()) };
    humantime::format_duration(shown).to_string()
}

/// Reason and evidence as the lines of one text.
pub(super) fn description(alert: &AlertMessage) -> String {
    let mut lines = vec![reason(alert)];
    lines.extend(evidence(alert));
    lines.join("\n")
}

/// At most `limit` characters, the last of which tells that more was cut off.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// The first few in words, and how many there are besides.
fn bounded<T>(all: &[T], in_words: impl Fn(&T) -> String) -> Vec<String> {
    let mut shown: Vec<String> = all.iter().take(MAX_LINES).map(in_words).collect();
    shown.retain(|line| !line.is_empty());
    let left_out = all.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        shown.push(format!("and {left_out} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::{Acknowledgement, Affected, ComponentId};

    #[test]
    fn a_headline_says_how_bad_what_where_and_how_many() {
        let mut several = notification(AlertStatus::Firing);
        assert_eq!(headline(&several), "[CRITICAL] querynode is unhealthy (milvus-ha/querynode)");
        several.others = vec![several.lead.clone(); 2];
        assert!(headline(&several).ends_with(" and 2 more"));
        let over = notification(AlertStatus::Resolved);
        assert!(headline(&over).starts_with("[RESOLVED] "));
        assert_eq!(lasted(&over.lead, over.sent_at), "6m 40s");
    }

    #[test]
    fn whatever_comes_from_outside_is_a_bounded_number_of_short_lines() {
        let mut alert = notification(AlertStatus::Firing).lead;
        alert.details = vec!["a\nb".repeat(10_000); 1_000];
        let (component, since) = (ComponentId::new("a", "b"), alert.started_at);
        alert.affects = vec![Affected { component, severity: None, since }; 500];
        alert.acknowledged = Some(Acknowledgement {
            by: "alice\n".into(),
            at: alert.started_at,
            comment: "on\tit".into(),
        });
        assert_eq!(evidence(&alert).last().unwrap(), "and 980 more");
        assert!(description(&alert).len() < 10_000);
        assert!(affects(&alert).ends_with("000Z, and 480 more"), "{}", affects(&alert));
        assert_eq!(acknowledged(&alert).unwrap(), "alice: on it");
        assert_eq!(cut("äöü", 2), "ä…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
