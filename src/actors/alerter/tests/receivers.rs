//! What the alerter tells of its receivers, and of itself.

use super::*;
use crate::policy::notification::own::{is_watchdog, receiver_component};

impl Fake {
    /// Seconds since the start and status of what it accepted about `component`.
    fn told_of(&self, component: &ComponentId) -> Vec<(u64, AlertStatus)> {
        let accepted = self.accepted.lock().unwrap();
        let about = |(at, notification): &(u64, Notification)| {
            let alerts = notification.alerts();
            let mut about = alerts.filter(|alert| alert.component == *component);
            about.next().map(|alert| (*at, alert.status))
        };
        accepted.iter().filter_map(about).collect()
    }
}

#[test]
fn a_receiver_that_stays_dead_is_told_of_through_another_one_and_never_through_itself() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Unavailable; 12]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        let about = receiver_component("email");
        pass(900).await;
        assert_eq!(slack.told_of(&about), [], "it is not dead for fifteen minutes");
        pass(60).await;
        let told = slack.told_of(&about);
        assert!(matches!(told[..], [(905..=925, Firing)]), "{told:?}");
        let shown = stage.board.snapshot().alerter.receivers["email"].clone();
        assert_eq!((shown.dead_since, shown.waiting), (Some(START + Duration::from_secs(5)), 1));
        pass(1_000).await;
        let told = slack.told_of(&about);
        assert_eq!(told.last().map(|(_, status)| *status), Some(Resolved), "{told:?}");
        assert_eq!(told.iter().filter(|(_, status)| *status == Resolved).count(), 1);
        assert_eq!(email.told_of(&about), []);
        assert_eq!(email.accepted()[0].1, Firing, "what waited has arrived");
        let shown = stage.board.snapshot().alerter.receivers["email"].clone();
        assert_eq!((shown.dead_since, shown.waiting), (None, 0));
    });
}

#[test]
fn a_receiver_that_hangs_for_ever_is_dead_too() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Hang; 100]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        pass(1_000).await;
        assert_eq!(slack.told_of(&receiver_component("email")).len(), 1);
    });
}

#[test]
fn the_alert_that_always_fires_is_repeated_where_it_is_wanted_until_it_is_not() {
    in_virtual_time(async {
        let mut stage = Stage::new();
        stage.settings.own.always_firing = true;
        stage.settings.own.always_firing_to = vec!["slack".to_owned()];
        let email = stage.fake("email", &[]);
        let slack = stage.fake("slack", &[]);
        let alerter = stage.start(&[&email, &slack]);
        pass(4_000).await;
        assert_eq!(email.accepted(), []);
        let told = slack.accepted();
        assert!(told.iter().all(|(_, status)| *status == Firing), "{told:?}");
        let gaps: Vec<u64> = told.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(told.len() >= 12 && gaps.iter().all(|gap| (300..=360).contains(gap)), "{told:?}");
        assert!(is_watchdog(&slack.last().lead.component));
        stage.settings.own.always_firing = false;
        alerter.address.do_send(Reconfigure {
            settings: stage.settings.clone(),
            receivers: vec![Arc::<Fake>::clone(&email), Arc::<Fake>::clone(&slack)],
        });
        pass(100).await;
        assert_eq!(slack.accepted().last().map(|(_, status)| *status), Some(Resolved));
        assert!(stage.board.snapshot().alerter.alerts.is_empty());
    });
}

#[test]
fn what_is_given_up_after_a_day_is_counted_written_down_and_told_through_another_one() {
    in_virtual_time(async {
        let mut stage = Stage::new();
        stage.settings.own.receiver_dead_after = Duration::from_hours(1_000);
        let email = stage.fake("email", &[Answer::Unavailable; 600]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        pass(60).await;
        stage.resolve(60).await;
        pass(86_000).await;
        assert_eq!(slack.told_of(&receiver_component("email")), []);
        pass(1_500).await;
        let told = slack.told_of(&receiver_component("email"));
        assert!(matches!(told[..], [(_, Firing), ..]), "{told:?}");
        let last = slack.last();
        assert!(last.lead.details[0].ends_with(" was given up"), "{:?}", last.lead.details);
        pass(4_000).await;
        let told = slack.told_of(&receiver_component("email"));
        assert_eq!(told.last().map(|(_, status)| *status), Some(Resolved));
    });
}
