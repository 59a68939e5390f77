//! A book, some receivers, and what people hear of them.

use super::*;
use crate::model::{ComponentId, Receipt};
use crate::policy::notification::{GroupLabel, NextStep, NoHolds, Pace, SendFailure};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

struct Stage {
    book: AlertBook,
    watch: ReceiverWatch,
    settings: NotificationSettings,
}

impl Stage {
    fn new(receivers: &[&str]) -> Self {
        let settings = NotificationSettings {
            receivers: receivers.iter().map(|name| Arc::from(*name)).collect(),
            // One message for each incident, at once.
            group_by: vec![GroupLabel::Component],
            group_interval: Duration::ZERO,
            ..NotificationSettings::default()
        };
        Self { book: AlertBook::default(), watch: ReceiverWatch::default(), settings }
    }

    fn raise(&mut self, component: &str, severity: Severity, now: u64) -> IncidentId {
        let component = ComponentId::new("milvus-ha", component);
        let reason = Reason::new(ReasonKind::Timeout, "no answer");
        let alert = own::alert(component, severity, "it is unhealthy", reason, at(now));
        let incident = alert.incident.clone();
        self.book.raise(alert, &self.settings, at(now));
        incident
    }

    /// Sends what is due to `receiver`; gives whether anything was.
    fn send(&mut self, receiver: &str, error: Option<&str>, now: u64) -> bool {
        let name: Arc<str> = receiver.into();
        let step = self.book.next(receiver, &self.settings, Pace::Normal, at(now));
        let NextStep::Send { notification, .. } = step else { return false };
        self.watch.attempted(&name, error, &self.book, at(now));
        let failure =
            |error: &str| SendFailure { outage: true, error: error.to_owned(), retry_after: None };
        let result = error.map_or(Ok(Receipt::default()), |error| Err(failure(error)));
        self.book.finish(receiver, &notification, result, &self.settings, 0.5, at(now));
        true
    }

    /// Every second from `from` to before `to`; gives when what was said.
    fn pass(&mut self, down: &[&str], from: u64, to: u64) -> Vec<(u64, ReceiverNews)> {
        let mut heard = Vec::new();
        for now in from..to {
            for receiver in self.settings.receivers.clone() {
                let error = down.contains(&&*receiver).then_some("connection refused");
                while self.send(&receiver, error, now) {}
            }
            for news in self.watch.look(&self.book, &self.settings, at(now)) {
                match &news {
                    ReceiverNews::Raise(alert) => {
                        self.book.raise(*alert.clone(), &self.settings, at(now));
                    }
                    ReceiverNews::Resolve { incident, ended_at, .. } => {
                        self.book.resolve(incident, *ended_at, at(now));
                    }
                }
                heard.push((now, news));
            }
            self.book.settle(&self.settings, &NoHolds, Pace::Normal, at(now));
        }
        heard
    }

    fn backlog(&self, receiver: &str, now: u64) -> Backlog {
        self.book.backlog(receiver, at(now))
    }
}

/// When which receiver's alert began or ended.
fn short(heard: &[(u64, ReceiverNews)]) -> Vec<(u64, bool)> {
    heard.iter().map(|(at, news)| (*at, matches!(news, ReceiverNews::Raise(_)))).collect()
}

#[test]
fn a_receiver_that_accepts_nothing_for_fifteen_minutes_is_told_of_through_the_others() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    let heard = stage.pass(&["email"], 0, 1_200);
    let [(905, ReceiverNews::Raise(alert))] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(alert.title, "receiver email of falconer accepts nothing");
    assert_eq!(alert.severity, Severity::Critical, "what waits is critical");
    assert_eq!(alert.reason.text, "connection refused");
    assert_eq!(
        alert.details,
        ["1 alert wait to be told, the oldest since 2026-01-01T00:00:05.000Z"]
    );
    assert_eq!(alert.started_at, at(5));
    let about_email = stage.book.alerts().find(|open| open.alert.incident == alert.incident);
    let told: Vec<&str> = about_email.unwrap().deliveries.keys().map(|name| &**name).collect();
    assert_eq!(told, ["slack"]);
    assert_eq!(stage.backlog("slack", 1_200).alerts, 0, "slack was told");
}

#[test]
fn it_is_over_when_the_receiver_has_accepted_messages_for_a_while() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    assert_eq!(short(&stage.pass(&["email"], 0, 1_200)), [(905, true)]);
    // It accepts one message, and fails again: people hear nothing of that.
    assert_eq!(stage.pass(&[], 1_200, 1_320), [], "its back-off is not over");
    let heard = stage.pass(&[], 1_320, 1_800);
    let [(ended, ReceiverNews::Resolve { action, .. })] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(action, "it accepts messages again");
    assert!(stage.backlog("email", *ended).alerts == 0);
    assert_eq!(stage.pass(&[], 1_800, 4_000), []);
}

#[test]
fn a_receiver_that_comes_and_goes_is_one_alert_that_does_not_flap() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    assert_eq!(short(&stage.pass(&["email"], 0, 1_000)), [(905, true)]);
    let mut heard = Vec::new();
    let mut now = 1_000;
    for round in 0..40 {
        let down: &[&str] = if round % 2 == 0 { &[] } else { &["email"] };
        let name = format!("component-{round}");
        stage.raise(&name, Severity::Critical, now);
        heard.extend(stage.pass(down, now, now + 25));
        now += 25;
    }
    let ends = heard.iter().filter(|(_, news)| matches!(news, ReceiverNews::Resolve { .. }));
    assert!(ends.count() <= 1, "{heard:?}");
    let began: BTreeSet<&IncidentId> = heard
        .iter()
        .filter_map(|(_, news)| match news {
            ReceiverNews::Raise(alert) => Some(&alert.incident),
            ReceiverNews::Resolve { .. } => None,
        })
        .collect();
    assert!(began.len() <= 1, "{began:?}");
}

#[test]
fn two_dead_receivers_are_told_of_once_each_and_do_not_set_each_other_off() {
    let mut stage = Stage::new(&["email", "log", "slack"]);
    let incident = stage.raise("proxy", Severity::Critical, 0);
    let heard = stage.pass(&["email", "slack"], 0, 4_000);
    assert_eq!(short(&heard)[..2], [(905, true), (905, true)]);
    // Each waits for the other one too by then: that is said, and nothing more.
    assert!(heard.len() <= 4, "{heard:?}");
    assert_eq!(stage.book.alerts().count(), 3);
    stage.book.resolve(&incident, at(4_000), at(4_000));
    let heard = stage.pass(&[], 4_000, 6_000);
    let resolved = heard.iter().filter(|(_, news)| matches!(news, ReceiverNews::Resolve { .. }));
    assert_eq!(resolved.count(), 2, "{heard:?}");
    assert_eq!(stage.book.alerts().count(), 0);
}

#[test]
fn the_only_receiver_has_nobody_who_could_tell_of_it() {
    let mut stage = Stage::new(&["email"]);
    stage.raise("proxy", Severity::Warning, 0);
    let heard = stage.pass(&["email"], 0, 1_000);
    let [(905, ReceiverNews::Raise(alert))] = &heard[..] else { panic!("{heard:?}") };
    assert!(alert.action.ends_with("no other receiver that could be told"), "{}", alert.action);
    assert!(stage.watch.dead_since("email", &stage.book, &stage.settings, at(1_000)).is_some());
    assert!(!short(&stage.pass(&[], 1_000, 2_000)).contains(&(0, true)));
    assert_eq!(stage.book.alerts().count(), 1, "the incident alone");
}

#[test]
fn a_life_that_begins_with_messages_that_were_tried_for_long_does_not_wait_all_over_again() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    stage.pass(&["email"], 0, 800);
    let stored = stage.book.export();
    let mut after = Stage::new(&["email", "slack"]);
    after.book.adopt(&stored, at(950));
    let heard = after.pass(&["email"], 950, 1_000);
    assert_eq!(short(&heard), [(951, true)], "after its second attempt in vain");
}

#[test]
fn an_alert_that_was_open_at_a_kill_ends_when_the_receiver_accepts_and_not_before() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    assert_eq!(short(&stage.pass(&["email"], 0, 1_000)), [(905, true)]);
    let stored = stage.book.export();
    let mut after = Stage::new(&["email", "slack"]);
    after.book.adopt(&stored, at(1_100));
    assert!(after.pass(&["email"], 1_100, 1_200).iter().all(|(_, news)| match news {
        ReceiverNews::Raise(_) => true,
        ReceiverNews::Resolve { .. } => false,
    }));
    let heard = after.pass(&[], 1_200, 1_400);
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[test]
fn a_message_that_is_lost_is_told_of_for_an_hour() {
    let mut stage = Stage::new(&["email", "slack"]);
    let incident = IncidentId::from_text("milvus-ha/proxy@x");
    let reason = LossReason::GaveUp;
    stage.watch.lost(Loss { receiver: "email".into(), incident, reason, at: at(0) });
    let heard = stage.pass(&[], 0, 4_000);
    assert_eq!(short(&heard), [(0, true), (3_630, false)]);
    let ReceiverNews::Raise(alert) = &heard[0].1 else { panic!("{heard:?}") };
    assert_eq!(alert.title, "receiver email of falconer was not told everything");
    assert_eq!(alert.details, ["at 2026-01-01T00:00:00.000Z: milvus-ha/proxy@x was given up"]);
}

#[test]
fn a_receiver_that_is_not_configured_any_more_is_no_trouble_any_more() {
    let mut stage = Stage::new(&["email", "slack"]);
    stage.raise("proxy", Severity::Critical, 0);
    assert_eq!(short(&stage.pass(&["email"], 0, 1_000)), [(905, true)]);
    stage.settings.receivers = vec!["slack".into()];
    stage.book.reroute(&stage.settings, &[], at(1_000));
    let heard = stage.pass(&[], 1_000, 1_010);
    assert_eq!(short(&heard), [(1_000, false)]);
}
