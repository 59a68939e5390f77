//! What falconer does with a book that was left lying: the time for which no falconer lived is nobody's
//! fault, least of all the receiver's.

use std::time::Duration;

use super::alert::OpenAlert;
use super::delivery::Delivery;
use crate::model::Timestamp;

/// No back-off is longer: who has tried nothing for so long was dead.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// A first message waits for its flush no longer than this, whatever the clock said that wrote it.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

impl OpenAlert {
    /// The same as if falconer had lived all the time: messages about what is over are tried for as
    /// long as ever, and none waits for an instant that a wrong clock has set.
    pub(super) fn after_absence(mut self, now: Timestamp) -> Self {
        for delivery in self.deliveries.values_mut() {
            if let Delivery::Waiting { due } = delivery
                && *due > now + LONGEST_WAIT
            {
                *due = now;
            }
        }
        let tried = self.deliveries.values().filter_map(tried_at).max();
        if let (Some(end), Some(tried)) = (&mut self.resolution, tried) {
            let absence = now.since(tried.max(end.seen_at));
            if absence > LONGEST_PAUSE {
                end.seen_at = end.seen_at + absence;
            }
        }
        self
    }
}

/// When the newest attempt began or failed, of what is still to be delivered.
fn tried_at(delivery: &Delivery) -> Option<Timestamp> {
    match delivery {
        Delivery::Sending { since, .. } => Some(*since),
        Delivery::Retrying { failed_at, .. } => Some(*failed_at),
        Delivery::Waiting { .. } | Delivery::Delivered { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::own;
    use super::*;
    use crate::model::{ComponentId, Reason, ReasonKind, Severity};
    use crate::policy::notification::{
        AlertBook, CloseReason, NextStep, NoHolds, NotificationSettings, Pace, SendFailure,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn settings() -> NotificationSettings {
        NotificationSettings { receivers: vec!["email".into()], ..NotificationSettings::default() }
    }

    fn book() -> AlertBook {
        let component = ComponentId::new("milvus-ha", "proxy");
        let reason = Reason::new(ReasonKind::Timeout, "no answer");
        let alert = own::alert(component, Severity::Critical, "it is unhealthy", reason, at(0));
        let mut book = AlertBook::default();
        book.raise(alert, &settings(), at(0));
        book
    }

    /// Tries in vain; gives whether there was anything to try.
    fn fail(book: &mut AlertBook, now: Timestamp) -> bool {
        book.settle(&settings(), &NoHolds, Pace::Normal, now);
        let step = book.next("email", &settings(), Pace::Normal, now);
        let NextStep::Send { notification, .. } = step else { return false };
        let error =
            SendFailure { outage: true, error: "connection refused".to_owned(), retry_after: None };
        book.finish("email", &notification, Err(error), &settings(), 0.5, now);
        true
    }

    #[test]
    fn the_hours_for_which_falconer_was_dead_do_not_count_towards_giving_up() {
        let mut book = book();
        assert!(fail(&mut book, at(5)));
        let incident = book.alerts().next().unwrap().alert.incident.clone();
        book.resolve(&incident, at(10), at(10));
        let (stored, hour) = (book.export(), 3_600);
        let mut after = AlertBook::default();
        after.adopt(&stored, at(30 * hour));
        assert_eq!(after.settle(&settings(), &NoHolds, Pace::Normal, at(30 * hour)), []);
        assert!(fail(&mut after, at(30 * hour)), "it is tried at once");
        assert_eq!(after.settle(&settings(), &NoHolds, Pace::Normal, at(53 * hour)), []);
        let finished = after.settle(&settings(), &NoHolds, Pace::Normal, at(54 * hour + 1));
        let email: Arc<str> = "email".into();
        assert_eq!(finished[0].outcomes[&email], CloseReason::GaveUp);
    }

    #[test]
    fn a_restart_in_between_gives_no_new_day() {
        let mut book = book();
        assert!(fail(&mut book, at(5)));
        let incident = book.alerts().next().unwrap().alert.incident.clone();
        book.resolve(&incident, at(10), at(10));
        assert!(fail(&mut book, at(400)));
        let mut after = AlertBook::default();
        after.adopt(&book.export(), at(700));
        assert_eq!(after.settle(&settings(), &NoHolds, Pace::Normal, at(86_410)).len(), 1);
    }

    #[test]
    fn a_clock_that_was_years_ahead_keeps_nobody_from_being_told() {
        let mut book = book();
        for open in book.alerts.values_mut() {
            let due = at(10 * 365 * 86_400);
            open.deliveries.insert("email".into(), Delivery::Waiting { due });
        }
        let mut after = AlertBook::default();
        after.adopt(&book.export(), at(100));
        assert!(fail(&mut after, at(100)), "it is tried at once");
    }
}
