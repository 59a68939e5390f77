//! A notification as text for people. Everything that came from outside is made harmless here: one
//! line, bounded, escaped. Knows nothing of transports.

use std::fmt::Write as _;
use std::time::Duration;

use crate::model::{AlertStatus, Notification};

/// The longest error text that is kept, in bytes.
pub const ERROR_LIMIT: usize = 300;
/// The longest title in a subject, in bytes.
const TITLE_LIMIT: usize = 150;
/// The longest line of evidence, in bytes.
const LINE_LIMIT: usize = 400;
/// How many lines of evidence are shown.
const MAX_LINES: usize = 40;

/// One line without control characters, at most `limit` bytes and an ellipsis.
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit {
            line.truncate(line.floor_char_boundary(limit));
            line.push('…');
            break;
        }
    }
    line
}

/// Characters that change the direction or the look of the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The word in the subject's brackets: the severity, or `RESOLVED`.
pub fn tag(notification: &Notification) -> String {
    match notification.lead.status {
        AlertStatus::Firing => notification.lead.severity.as_str().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    }
}

/// The title, safe for a header.
pub fn title(notification: &Notification) -> String {
    one_line(&notification.lead.title, TITLE_LIMIT)
}

/// `[CRITICAL] Milvus Alert: querynode is unhealthy`.
pub fn subject(notification: &Notification) -> String {
    format!("[{}] Milvus Alert: {}", tag(notification), title(notification))
}

/// How long the incident lasted, or has lasted when the message was made; in whole seconds, or in
/// milliseconds where it is shorter than one.
pub fn lasted(notification: &Notification) -> String {
    let until = notification.lead.ended_at.unwrap_or(notification.sent_at);
    let exact = until.since(notification.lead.started_at);
    let shown =
        if exact < Duration::from_secs(1) { exact } else { Duration::from_secs(exact.as_secs()) };
    humantime::format_duration(shown).to_string()
}

/// The facts, each with its name, in the order in which they are shown.
pub fn facts(notification: &Notification) -> Vec<(&'static str, String)> {
    let lasted = lasted(notification);
    let mut facts = vec![
        ("Severity", notification.lead.severity.as_str().to_uppercase()),
        ("Title", title(notification)),
        ("Status", notification.lead.status.as_str().to_owned()),
        ("Time", notification.sent_at.to_string()),
        ("Cluster", one_line(&notification.lead.component.cluster, TITLE_LIMIT)),
        ("Component", one_line(&notification.lead.component.component, TITLE_LIMIT)),
    ];
    match (notification.lead.status, notification.lead.ended_at) {
        (AlertStatus::Resolved, Some(ended)) => facts.extend([
            ("Since", notification.lead.started_at.to_string()),
            ("Until", ended.to_string()),
            ("Lasted", lasted),
        ]),
        (AlertStatus::Resolved, None) | (AlertStatus::Firing, _) => {
            facts.push(("Since", format!("{} (for {lasted})", notification.lead.started_at)));
        }
    }
    facts
}

/// The paragraphs below the facts, each with its heading.
pub fn paragraphs(notification: &Notification) -> Vec<(&'static str, Vec<String>)> {
    let mut details: Vec<String> = notification
        .lead
        .details
        .iter()
        .take(MAX_LINES)
        .map(|line| one_line(line, LINE_LIMIT))
        .filter(|line| !line.is_empty())
        .collect();
    let left_out = notification.lead.details.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        details.push(format!("and {left_out} more"));
    }
    let action = match one_line(&notification.lead.action, LINE_LIMIT) {
        nothing if nothing.is_empty() => "nothing so far".to_owned(),
        action => action,
    };
    let mut paragraphs =
        vec![("Reason", vec![one_line(&notification.lead.reason.text, LINE_LIMIT)])];
    if !details.is_empty() {
        paragraphs.push(("Details", details));
    }
    let heading = match notification.lead.status {
        AlertStatus::Firing => "What falconer does",
        AlertStatus::Resolved => "What falconer did",
    };
    paragraphs.push((heading, vec![action]));
    paragraphs
}

/// The message as plain text.
pub fn text(notification: &Notification) -> String {
    let mut text = String::new();
    for (name, value) in facts(notification) {
        let _ = writeln!(text, "{:<11}{value}", format!("{name}:"));
    }
    for (heading, lines) in paragraphs(notification) {
        let _ = write!(text, "\n{heading}:\n");
        for line in lines {
            let _ = writeln!(text, "  - {line}");
        }
    }
    let _ =
        write!(text, "\nIncident {}\n", one_line(notification.lead.incident.as_str(), LINE_LIMIT));
    text
}

/// The message as HTML; every value is escaped.
pub fn html(notification: &Notification) -> String {
    let colour = match (notification.lead.status, notification.lead.severity) {
        (AlertStatus::Resolved, _) => "#1a7f37",
        (AlertStatus::Firing, crate::model::Severity::Critical) => "#b42318",
        (AlertStatus::Firing, crate::model::Severity::Warning) => "#b54708",
    };
    let mut html = format!(
        "<!doctype html>\n<html><body style=\"font-family:sans-serif\">\n\
         <h2 style=\"color:{colour}\">[{}] {}</h2>\n<table>\n",
        tag(notification),
        escape(&title(notification))
    );
    for (name, value) in facts(notification) {
        let _ =
            writeln!(html, "<tr><th align=\"left\">{name}</th><td>{}</td></tr>", escape(&value));
    }
    html.push_str("</table>\n");
    for (heading, lines) in paragraphs(notification) {
        let _ = writeln!(html, "<h3>{heading}</h3>\n<ul>");
        for line in lines {
            let _ = writeln!(html, "<li>{}</li>", escape(&line));
        }
        html.push_str("</ul>\n");
    }
    let incident = one_line(notification.lead.incident.as_str(), LINE_LIMIT);
    let _ = write!(html, "<p><small>Incident {}</small></p>\n</body></html>\n", escape(&incident));
    html
}

/// Text that means nothing but itself in HTML, also within quotes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A short, stable name for a text: 64-bit FNV-1a as 16 hexadecimal digits.
pub fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::model::{
        AlertMessage, ComponentId, IncidentId, Reason, ReasonKind, Severity, Timestamp,
    };

    pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A notification of a querynode that has been sick for 35 s, or was for 400 s.
    pub(crate) fn notification(status: AlertStatus) -> Notification {
        let component = ComponentId::new("milvus-ha", "querynode");
        let incident = IncidentId::new(&component, START);
        let sent_at = match status {
            AlertStatus::Firing => START + Duration::from_secs(35),
            AlertStatus::Resolved => START + Duration::from_millis(400_300),
        };
        let lead = AlertMessage {
            incident: incident.clone(),
            component,
            severity: Severity::Critical,
            status,
            title: "querynode is unhealthy".into(),
            reason: Reason::new(ReasonKind::SomePods, "1/3 pods healthy: querynode-abc timed out"),
            details: vec![
                "querynode-abc: no answer within 5 s".into(),
                "querynode-def: status 500 <b>\"no\"</b>".into(),
            ],
            action: "rollout restart of deployment/milvus-querynode (1 of 3 this hour)".into(),
            seen: vec![],
            causes: vec![],
            affects: vec![],
            look_closer: vec![],
            is_flapping: false,
            is_news: true,
            acknowledged: None,
            started_at: START,
            ended_at: match status {
                AlertStatus::Firing => None,
                AlertStatus::Resolved => Some(START + Duration::from_millis(400_250)),
            },
        };
        Notification {
            id: format!("{incident}/{}/{}", status.as_str(), sent_at.as_millis()).into(),
            thread: incident.as_str().into(),
            group: BTreeMap::new(),
            is_digest: false,
            lead,
            others: vec![],
            left_out: 0,
            still_firing: usize::from(status == AlertStatus::Firing),
            reference: None,
            sent_at,
        }
    }

    #[test]
    fn subjects_are_those_of_the_reference() {
        assert_eq!(
            subject(&notification(AlertStatus::Firing)),
            "[CRITICAL] Milvus Alert: querynode is unhealthy"
        );
        assert_eq!(
            subject(&notification(AlertStatus::Resolved)),
            "[RESOLVED] Milvus Alert: querynode is unhealthy"
        );
    }

    #[test]
    fn a_resolved_message_says_how_long_it_lasted() {
        let text = text(&notification(AlertStatus::Resolved));
        assert!(text.contains("Lasted:    6m 40s\n"), "{text}");
    }

    #[test]
    fn a_line_is_one_line_and_bounded_whatever_it_holds() {
        assert_eq!(one_line("a\r\nBcc: b\u{0}\u{202e}c", 100), "a Bcc: b c");
        assert!(one_line(&"é".repeat(10_000), 99).len() <= 99 + '…'.len_utf8());
    }

    #[test]
    fn html_holds_no_markup_from_outside() {
        let html = html(&notification(AlertStatus::Firing));
        assert!(html.contains("&lt;b&gt;&quot;no&quot;&lt;/b&gt;"));
        assert!(!html.contains("<b>"));
    }

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(""), "cbf29ce484222325");
        assert_eq!(fingerprint("a"), "af63dc4c8601ec8c");
    }
}
