//! The line that names a message: how bad, where, what. Owns the words of subjects and durations.
//!
//! Mail programs tell by the subject, too, what belongs together: Gmail by the whole of it, and
//! RFC 5256 by what is left without the brackets at its beginning. So what changes while one
//! incident goes on (its state, how many suffer) stands in brackets at the beginning, and the rest
//! stays. What a group's message is mostly about changes, though; [`stable_subject`] leaves it out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::content::alert_title;
use super::safe::one_line;
use crate::model::{AlertStatus, Notification, Severity};

/// The longest name of a place in a subject, in bytes.
const PLACE_LIMIT: usize = 80;

/// How many alerts of a message are in which state.
struct Counts {
    critical: usize,
    warning: usize,
    resolved: usize,
}

impl Counts {
    fn of(notification: &Notification) -> Self {
        let mut counts = Self { critical: 0, warning: 0, resolved: 0 };
        for alert in notification.alerts() {
            match (alert.status, alert.severity) {
                (AlertStatus::Resolved, _) => counts.resolved += 1,
                (AlertStatus::Firing, Severity::Critical) => counts.critical += 1,
                (AlertStatus::Firing, Severity::Warning) => counts.warning += 1,
            }
        }
        counts
    }

    /// `2 critical, 1 warning`.
    fn words(&self) -> String {
        let states =
            [(self.critical, "critical"), (self.warning, "warning"), (self.resolved, "resolved")];
        let states = states.iter().filter(|(count, _)| *count > 0);
        states.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
    }
}

/// What stands in the subject's first brackets: the severity, or `RESOLVED`; of several alerts how
/// many are what, as `2 CRITICAL, 1 RESOLVED`.
pub fn tag(notification: &Notification) -> String {
    if !is_single(notification) {
        return Counts::of(notification).words().to_uppercase();
    }
    match notification.lead.status {
        AlertStatus::Firing => notification.lead.severity.as_str().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    }
}

/// The title of the alert that matters most, safe for a header.
pub fn title(notification: &Notification) -> String {
    alert_title(&notification.lead)
}

/// `[CRITICAL] [8 suffer] Milvus Alert: etcd is unhealthy`; of several
/// `[2 CRITICAL, 1 WARNING] milvus-ha: etcd is unhealthy and 2 more`.
pub fn subject(notification: &Notification) -> String {
    if is_single(notification) {
        let title = title(notification);
        return format!("{} Milvus Alert: {title}", brackets(notification));
    }
    format!("{} {}", brackets(notification), headline(notification))
}

/// The same with nothing that changes from one message of a thread to the next but the brackets.
pub fn stable_subject(notification: &Notification) -> String {
    format!("{} {}", brackets(notification), topic(notification))
}

/// What all messages of a thread are about, in the same words each time.
pub fn topic(notification: &Notification) -> String {
    let is_of_component =
        notification.group.is_empty() || notification.group.contains_key("component");
    if notification.is_digest {
        "Milvus Alert: digest".to_owned()
    } else if is_of_component {
        format!("Milvus Alert: {}", title(notification))
    } else {
        format!("Milvus Alert: {}", place(notification))
    }
}

/// What a message is about, without how bad it is: the title; of several alerts the place, the
/// first one's title and how many more there are.
pub fn headline(notification: &Notification) -> String {
    let others = notification.others.len() + notification.left_out;
    if notification.is_digest {
        return format!("digest of {} in {}", counted(others + 1, "alert"), place(notification));
    }
    let title = title(notification);
    match others {
        0 => title,
        others => format!("{}: {title} and {others} more", place(notification)),
    }
}

/// Whether it is about one alert only.
pub(super) fn is_single(notification: &Notification) -> bool {
    notification.others.is_empty() && notification.left_out == 0 && !notification.is_digest
}

/// How many alerts of the thread go on that this message does not hold.
pub(super) fn firing_elsewhere(notification: &Notification) -> usize {
    let counts = Counts::of(notification);
    notification.still_firing.saturating_sub(counts.critical + counts.warning)
}

/// `2 critical, 1 warning`.
pub(super) fn counts(notification: &Notification) -> String {
    Counts::of(notification).words()
}

fn brackets(notification: &Notification) -> String {
    let mut brackets = format!("[{}]", tag(notification));
    let firing = || notification.alerts().filter(|alert| alert.status == AlertStatus::Firing);
    let suffering: usize = firing().map(|alert| alert.affects.len()).sum();
    if suffering > 0 {
        let verb = if suffering == 1 { "suffers" } else { "suffer" };
        let _ = write!(brackets, " [{suffering} {verb}]");
    }
    if is_single(notification) && firing().any(|alert| alert.is_flapping) {
        brackets.push_str(" [flapping]");
    }
    match firing_elsewhere(notification) {
        0 => {}
        more => {
            let _ = write!(brackets, " [{more} more firing]");
        }
    }
    brackets
}

/// The labels of the group, or the cluster; `3 clusters` where there are several.
fn place(notification: &Notification) -> String {
    let labels: Vec<&str> = notification
        .group
        .iter()
        .filter(|(name, value)| name.as_str() != "severity" && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .collect();
    if !labels.is_empty() && !notification.is_digest {
        return one_line(&labels.join("/"), PLACE_LIMIT);
    }
    let clusters: BTreeSet<&str> =
        notification.alerts().map(|alert| alert.component.cluster.as_ref()).collect();
    match clusters.len() {
        1 => one_line(&notification.lead.component.cluster, PLACE_LIMIT),
        several => counted(several, "cluster"),
    }
}

pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How long the incident lasted, or has lasted when the message was made; in whole seconds, or in
/// milliseconds where it is shorter than one. For programs; people are told the [`span`].
pub fn lasted(notification: &Notification) -> String {
    let until = notification.lead.ended_at.unwrap_or(notification.sent_at);
    let exact = until.since(notification.lead.started_at);
    let shown =
        if exact < Duration::from_secs(1) { exact } else { Duration::from_secs(exact.as_secs()) };
    humantime::format_duration(shown).to_string()
}

/// A time in at most two units, rounded down: `250 ms`, `35 s`, `6 min 40 s`, `2 h 5 min`, `3 d`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (first, rest) = match seconds {
        0 if !duration.is_zero() => return format!("{} ms", duration.as_millis()),
        ..60 => return format!("{seconds} s"),
        60..3_600 => (format!("{} min", seconds / 60), (seconds % 60, "s")),
        3_600..86_400 => (format!("{} h", seconds / 3_600), (seconds % 3_600 / 60, "min")),
        86_400.. => (format!("{} d", seconds / 86_400), (seconds % 86_400 / 3_600, "h")),
    };
    match rest {
        (0, _) => first,
        (count, unit) => format!("{first} {count} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, notification};
    use super::*;

    #[test]
    fn subjects_of_one_alert_are_those_of_the_reference() {
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
    fn a_subject_of_several_alerts_counts_them_and_names_the_first() {
        let mut group = group();
        assert_eq!(
            subject(&group),
            "[1 CRITICAL, 1 WARNING, 1 RESOLVED] milvus-ha: querynode is unhealthy and 2 more"
        );
        assert_eq!(
            stable_subject(&group),
            "[1 CRITICAL, 1 WARNING, 1 RESOLVED] Milvus Alert: milvus-ha"
        );
        group.still_firing = 5;
        assert!(subject(&group).contains("] [3 more firing] milvus-ha: "), "{}", subject(&group));
        group.is_digest = true;
        group.others[0].component.cluster = "other".into();
        assert!(subject(&group).ends_with("digest of 3 alerts in 2 clusters"));
    }

    #[test]
    fn what_changes_while_an_incident_goes_on_stands_in_brackets() {
        let mut firing = notification(AlertStatus::Firing);
        let without = subject(&firing);
        firing.lead = super::super::tests::cause().lead;
        firing.lead.title = "querynode is unhealthy".into();
        firing.lead.is_flapping = true;
        assert_eq!(
            subject(&firing),
            without.replace("[CRITICAL]", "[CRITICAL] [8 suffer] [flapping]")
        );
    }

    #[test]
    fn a_time_is_told_in_two_units_at_most() {
        for (seconds, words) in [
            (0, "0 s"),
            (35, "35 s"),
            (60, "1 min"),
            (400, "6 min 40 s"),
            (7_500, "2 h 5 min"),
            (86_400, "1 d"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
