//! What stands in Slack for a thread, as the short text that is given back and handed in again:
//! where its message is, and what people have been notified of.

use std::sync::Arc;

use crate::model::{AlertMessage, AlertStatus, Notification, Severity};

/// Where the message of a thread is, and what was told with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The channel's identifier.
    pub channel: String,
    /// The message's.
    pub ts: String,
    /// What people have been notified of.
    pub news: News,
}

/// What a change is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    pub status: AlertStatus,
    /// The worst so far.
    pub severity: Severity,
    /// The most alerts at a time so far.
    pub firing: usize,
    /// Whether it was left to a person.
    pub left_to_person: bool,
}

/// Why people are notified of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is over.
    Over,
    /// falconer can do no more.
    LeftToPerson,
    /// It is critical by now.
    Worse,
    /// More fires than before.
    More,
}

impl News {
    pub(super) fn of(notification: &Notification) -> Self {
        Self {
            status: notification.status(),
            severity: notification.severity(),
            firing: notification.still_firing,
            left_to_person: notification.alerts().any(AlertMessage::is_left_to_person),
        }
    }

    /// What of `self` people must hear who have heard of `before`.
    pub(super) fn since(self, before: Self) -> Option<Change> {
        match (self.status, before.status) {
            (AlertStatus::Resolved, AlertStatus::Firing) => Some(Change::Over),
            (AlertStatus::Firing, _) if self.left_to_person && !before.left_to_person => {
                Some(Change::LeftToPerson)
            }
            (AlertStatus::Firing, _) if self.severity > before.severity => Some(Change::Worse),
            (AlertStatus::Firing, _) if self.firing > before.firing => Some(Change::More),
            (AlertStatus::Firing | AlertStatus::Resolved, _) => None,
        }
    }

    /// What people have heard of after `self`. A message need not hold all of a thread's alerts, so
    /// the worst is kept.
    pub(super) fn after(self, before: Self) -> Self {
        Self {
            status: self.status,
            severity: self.severity.max(before.severity),
            firing: self.firing.max(before.firing),
            left_to_person: self.left_to_person || before.left_to_person,
        }
    }
}

impl Told {
    /// As the reference that is given back.
    pub(super) fn to_reference(&self) -> Arc<str> {
        let News { status, severity, firing, left_to_person } = self.news;
        let person = if left_to_person { "person" } else { "falconer" };
        let (status, severity) = (status.as_str(), severity.as_str());
        format!("{}/{}/{status}/{severity}/{firing}/{person}", self.channel, self.ts).into()
    }

    /// `None` where the text is none of ours.
    pub(super) fn from_reference(reference: &str) -> Option<Self> {
        let mut parts = reference.split('/');
        let (channel, ts) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let status = match parts.next()? {
            "firing" => AlertStatus::Firing,
            "resolved" => AlertStatus::Resolved,
            _ => return None,
        };
        let severity = match parts.next()? {
            "warning" => Severity::Warning,
            "critical" => Severity::Critical,
            _ => return None,
        };
        let firing = parts.next()?.parse().ok()?;
        let left_to_person = parts.next()? == "person";
        Some(Self { channel, ts, news: News { status, severity, firing, left_to_person } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: News = News {
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        firing: 1,
        left_to_person: false,
    };

    #[test]
    fn a_reference_comes_back_as_what_it_was() {
        let told = Told { channel: "C1".into(), ts: "17.0001".into(), news: FIRST };
        assert_eq!(&*told.to_reference(), "C1/17.0001/firing/warning/1/falconer");
        assert_eq!(Told::from_reference(&told.to_reference()), Some(told));
        for odd in ["", "C1", "C1/17", "C1/17/firing/bad/1/person", "C1/17/firing/critical/x/y"] {
            assert_eq!(Told::from_reference(odd), None, "{odd}");
        }
    }

    #[test]
    fn people_are_notified_of_what_is_worse_of_what_is_left_to_them_and_of_the_end() {
        let worse = News { severity: Severity::Critical, ..FIRST };
        let more = News { firing: 2, ..FIRST };
        let person = News { left_to_person: true, ..worse };
        let over = News { status: AlertStatus::Resolved, firing: 0, ..FIRST };
        assert_eq!(FIRST.since(FIRST), None);
        assert_eq!(worse.since(FIRST), Some(Change::Worse));
        assert_eq!(more.since(FIRST), Some(Change::More));
        assert_eq!(person.since(FIRST), Some(Change::LeftToPerson));
        assert_eq!(over.since(person), Some(Change::Over));
        assert_eq!(over.since(over), None);
        let heard = FIRST.after(worse);
        assert_eq!(worse.since(heard), None, "a message may hold the milder ones alone");
    }
}
