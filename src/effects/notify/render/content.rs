//! What a message says of each alert: named facts and paragraphs, every line harmless and bounded.
//! Owns the words and their order; knows nothing of layout.

use super::safe::one_line;
use super::subject::{firing_elsewhere, span};
use crate::model::{AlertMessage, AlertStatus, Notification, Timestamp};

/// The heading of the paragraph whose lines are commands.
pub const LOOK_CLOSER: &str = "To look closer";
/// The longest title and name, in bytes.
const TITLE_LIMIT: usize = 150;
/// The longest line of evidence, in bytes.
pub(super) const LINE_LIMIT: usize = 400;
/// How many lines of one paragraph are shown.
const MAX_LINES: usize = 40;
/// What the paragraphs of one alert may hold together, in bytes.
const ALERT_BUDGET: usize = 12_000;
/// How many other alerts a short form tells of.
const MAX_OTHERS: usize = 20;

/// The title of one alert, safe for a header.
pub fn alert_title(alert: &AlertMessage) -> String {
    one_line(&alert.title, TITLE_LIMIT)
}

/// The severity in capitals, or `RESOLVED`.
pub(super) fn alert_tag(alert: &AlertMessage) -> String {
    match alert.status {
        AlertStatus::Firing => alert.severity.as_str().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    }
}

/// The facts about the alert that matters most, each with its name, in the order in which they are
/// shown.
pub fn facts(notification: &Notification) -> Vec<(&'static str, String)> {
    let lead = &notification.lead;
    let mut facts = vec![
        ("Severity", lead.severity.as_str().to_uppercase()),
        ("Title", alert_title(lead)),
        ("Status", lead.status.as_str().to_owned()),
        ("Time", notification.sent_at.to_string()),
        ("Cluster", one_line(&lead.component.cluster, TITLE_LIMIT)),
        ("Component", one_line(&lead.component.component, TITLE_LIMIT)),
    ];
    facts.extend(alert_facts(lead, notification.sent_at).into_iter().skip(1));
    facts
}

/// The facts about one alert of several, as of `now`: what, since when, and who looks after it.
pub fn alert_facts(alert: &AlertMessage, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Component", component(alert))];
    match (alert.status, alert.ended_at) {
        (AlertStatus::Resolved, Some(ended)) => facts.extend([
            ("Since", alert.started_at.to_string()),
            ("Until", ended.to_string()),
            ("Lasted", age(alert, now)),
        ]),
        (AlertStatus::Resolved, None) | (AlertStatus::Firing, _) => {
            facts.push(("Since", format!("{} (for {})", alert.started_at, age(alert, now))));
        }
    }
    if alert.is_flapping {
        facts.push(("Flapping", "it comes and goes, and is told as one alert".to_owned()));
    }
    if let Some(acknowledged) = &alert.acknowledged {
        let by = one_line(&acknowledged.by, TITLE_LIMIT);
        let mut text = format!("by {by} at {}", acknowledged.at);
        let comment = one_line(&acknowledged.comment, LINE_LIMIT);
        if !comment.is_empty() {
            text.push_str(": ");
            text.push_str(&comment);
        }
        facts.push(("Seen to", text));
    }
    facts
}

/// How long it lasted, or has lasted by `now`.
pub(super) fn age(alert: &AlertMessage, now: Timestamp) -> String {
    span(alert.ended_at.unwrap_or(now).since(alert.started_at))
}

/// `milvus-ha/querynode`.
pub(super) fn component(alert: &AlertMessage) -> String {
    one_line(&alert.component.to_string(), TITLE_LIMIT)
}

/// The paragraphs below the facts, each with its heading: those of the alert that matters most, and
/// a line for each of the others.
pub fn paragraphs(notification: &Notification) -> Vec<(&'static str, Vec<String>)> {
    let mut paragraphs = alert_paragraphs(&notification.lead);
    let now = notification.sent_at;
    let others = notification.others.iter().take(MAX_OTHERS);
    let mut lines: Vec<String> = others.map(|alert| brief(alert, now)).collect();
    let left_out = notification.others.len() - lines.len() + notification.left_out;
    if left_out > 0 {
        lines.push(format!("and {left_out} more"));
    }
    lines.extend(rest_of_thread(notification));
    if !lines.is_empty() {
        paragraphs.push(("Other alerts", lines));
    }
    paragraphs
}

/// One alert in one line.
pub fn brief(alert: &AlertMessage, now: Timestamp) -> String {
    let (tag, component, title) = (alert_tag(alert), component(alert), alert_title(alert));
    format!("[{tag}] {component}: {title}, {}", how_long(alert, now))
}

/// `for 5 min`, or `after 5 min` where it is over; and whether it was told before.
pub(super) fn how_long(alert: &AlertMessage, now: Timestamp) -> String {
    let verb = match alert.status {
        AlertStatus::Firing => "for",
        AlertStatus::Resolved => "after",
    };
    let before = if alert.is_news { "" } else { ", told before" };
    format!("{verb} {}{before}", age(alert, now))
}

/// What goes on beside what the message is about.
pub(super) fn rest_of_thread(notification: &Notification) -> Option<String> {
    match firing_elsewhere(notification).saturating_sub(notification.left_out) {
        0 => None,
        1 => Some("1 more alert goes on as it was told before".to_owned()),
        more => Some(format!("{more} more alerts go on as they were told before")),
    }
}

/// The paragraphs about one alert: the reason, its causes, what suffers, the evidence, what falconer
/// does or refuses to do, and how to look closer. Bounded together.
pub fn alert_paragraphs(alert: &AlertMessage) -> Vec<(&'static str, Vec<String>)> {
    let action = match one_line(&alert.action, LINE_LIMIT) {
        nothing if nothing.is_empty() => "nothing so far".to_owned(),
        action => action,
    };
    let (affects, does) = match alert.status {
        AlertStatus::Firing => ("What it affects", "What falconer does"),
        AlertStatus::Resolved => ("What it affected", "What falconer did"),
    };
    // What must not be cut for the sake of long evidence comes first.
    let mut budget = ALERT_BUDGET;
    let reason = bounded([&alert.reason.text], &mut budget);
    let did = bounded([&action], &mut budget);
    let causes = bounded(alert.causes.iter().map(ToString::to_string), &mut budget);
    let closer = bounded(look_closer(alert), &mut budget);
    let affected = bounded(alert.affects.iter().map(ToString::to_string), &mut budget);
    let details = bounded(&alert.details, &mut budget);
    let seen = bounded(alert.seen.iter().map(ToString::to_string), &mut budget);
    let all = [
        ("Reason", reason),
        ("Its cause", causes),
        (affects, affected),
        ("Details", details),
        ("What was seen", seen),
        (does, did),
        (LOOK_CLOSER, closer),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// Commands that show more; falconer's own where the alert names none.
fn look_closer(alert: &AlertMessage) -> Vec<String> {
    if alert.look_closer.is_empty() {
        return vec![format!("falconer explain {}", component(alert))];
    }
    alert.look_closer.clone()
}

/// Harmless lines, as many as may be and as fit into `budget` bytes, and how many more there are.
fn bounded<T: AsRef<str>>(lines: impl IntoIterator<Item = T>, budget: &mut usize) -> Vec<String> {
    let mut shown = Vec::new();
    let mut left_out = 0_usize;
    for line in lines {
        let line = one_line(line.as_ref(), LINE_LIMIT);
        if line.is_empty() {
            continue;
        }
        if left_out > 0 || shown.len() == MAX_LINES || line.len() > *budget {
            left_out += 1;
            continue;
        }
        *budget -= line.len();
        shown.push(line);
    }
    if left_out > 0 {
        shown.push(format!("and {left_out} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, notification};
    use super::*;

    #[test]
    fn a_short_form_tells_of_the_others_in_a_line_each() {
        let mut group = group();
        group.still_firing = 4;
        let paragraphs = paragraphs(&group);
        let (heading, lines) = paragraphs.last().unwrap();
        assert_eq!(*heading, "Other alerts");
        assert_eq!(
            *lines,
            [
                "[WARNING] milvus-ha/datanode: datanode is degraded, for 5 min 35 s",
                "[RESOLVED] milvus-ha/indexnode: indexnode is unhealthy, after 2 min",
                "2 more alerts go on as they were told before",
            ]
        );
    }

    #[test]
    fn the_evidence_is_bounded_and_what_was_cut_is_counted() {
        let mut long = notification(AlertStatus::Firing);
        long.lead.details = (0..1_000).map(|_| "x".repeat(1_000)).collect();
        long.lead.action = "y".repeat(1_000);
        let paragraphs = alert_paragraphs(&long.lead);
        let bytes: usize = paragraphs.iter().flat_map(|(_, lines)| lines).map(String::len).sum();
        assert!(bytes < ALERT_BUDGET + 100, "{bytes}");
        let lines = |wanted| paragraphs.iter().find(|(heading, _)| *heading == wanted).unwrap();
        let (_, details) = lines("Details");
        assert_eq!(*details.last().unwrap(), format!("and {} more", 1_001 - details.len()));
        assert_eq!(lines("What falconer does").1.len(), 1);
        assert_eq!(lines(LOOK_CLOSER).1, ["falconer explain milvus-ha/querynode"]);
    }
}
