//! What is told and what waits for its cause, at each instant.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{AlertStatus, Notification, Reason, ReasonKind, Receipt, Severity};
use crate::policy::notification::GroupLabel;
use crate::policy::notification::{
    Alert, Finished, NextStep, NotificationSettings, Pace, Raised, Route, SendFailure, Suspicion,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

fn id(component: &str) -> ComponentId {
    ComponentId::new("milvus-ha", component)
}

fn alert(component: &str, since: u64, causes: &[&str]) -> Alert {
    Alert {
        incident: IncidentId::new(&id(component), at(since)),
        component: id(component),
        severity: Severity::Critical,
        title: format!("{component} is unhealthy"),
        reason: Reason::new(ReasonKind::Timeout, "timeout after 5s"),
        details: Vec::new(),
        action: String::new(),
        causes: causes.iter().map(|cause| id(cause)).collect(),
        suspicion: None,
        settle_secs: 20,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: at(since),
    }
}

fn suspecting(component: &str, since: u64, of: &str, until: u64) -> Alert {
    let suspicion = Some(Suspicion { of: vec![id(of)], until: at(until) });
    Alert { suspicion, ..alert(component, since, &[]) }
}

/// A book with receivers that accept what they are told, unless they refuse.
struct Desk {
    book: AlertBook,
    settings: NotificationSettings,
    refusing: Option<&'static str>,
    finished: Vec<Finished>,
}

impl Desk {
    fn new() -> Self {
        let receivers = vec!["email".into()];
        let settings = NotificationSettings {
            receivers, // One message for each incident, at once.
            group_by: vec![GroupLabel::Component],
            group_interval: Duration::ZERO,
            ..NotificationSettings::default()
        };
        Self { book: AlertBook::default(), settings, refusing: None, finished: Vec::new() }
    }

    fn raise(&mut self, alert: Alert, now: u64) -> Raised {
        self.book.raise(alert, &self.settings, at(now))
    }

    fn resolve(&mut self, component: &str, now: u64) {
        let open: Vec<IncidentId> =
            self.book.about(&id(component)).map(|open| open.alert.incident.clone()).collect();
        for incident in open {
            self.book.resolve(&incident, at(now), at(now));
        }
    }

    /// Everything that is sent at this instant: status, component, what suffers.
    fn told(&mut self, now: u64) -> Vec<String> {
        self.told_at("email", now)
    }

    fn told_at(&mut self, receiver: &str, now: u64) -> Vec<String> {
        let (pace, now) = (Pace::Normal, at(now));
        let mut told = Vec::new();
        loop {
            self.finished.extend(self.book.settle(
                &self.settings,
                &Inhibition::new(&self.settings),
                pace,
                now,
            ));
            let next = self.book.next(receiver, &self.settings, pace, now);
            let NextStep::Send { notification, .. } = next else { return told };
            let refused =
                SendFailure { outage: false, error: "no such column".into(), retry_after: None };
            let component = &notification.lead.component.component;
            let result = if self.refusing.is_some_and(|one| one == &**component) {
                Err(refused)
            } else {
                Ok(Receipt::default())
            };
            self.book.finish(receiver, &notification, result, &self.settings, 0.5, now);
            told.push(words(&notification));
        }
    }
}

fn words(notification: &Notification) -> String {
    let status = match notification.lead.status {
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    };
    let affects: Vec<&str> =
        notification.lead.affects.iter().map(|one| &*one.component.component).collect();
    let affects =
        if affects.is_empty() { String::new() } else { format!(" [{}]", affects.join(" ")) };
    format!("{status} {}{affects}", notification.lead.component.component)
}

#[test]
fn what_suffers_is_told_in_the_message_about_its_cause_and_ends_unmentioned() {
    let mut desk = Desk::new();
    desk.raise(alert("etcd", 0, &[]), 0);
    desk.raise(alert("mixcoord", 0, &["etcd"]), 1);
    desk.raise(alert("querynode", 0, &["etcd", "mixcoord"]), 1);
    assert_eq!(desk.told(6), ["firing etcd [mixcoord querynode]"]);
    desk.raise(alert("proxy", 60, &["etcd", "mixcoord"]), 60);
    assert_eq!(desk.told(100), [""; 0]);
    assert_eq!(desk.told(306), ["firing etcd [mixcoord querynode proxy]"], "a reminder is current");
    desk.resolve("etcd", 400);
    assert_eq!(desk.told(400), ["resolved etcd [mixcoord querynode proxy]"]);
    for component in ["mixcoord", "querynode", "proxy"] {
        desk.resolve(component, 410);
    }
    assert_eq!(desk.told(410), [""; 0]);
    assert_eq!(desk.book.alerts().count(), 0);
    assert_eq!(desk.finished.len(), 4);
}

#[test]
fn what_still_fires_when_it_had_time_to_get_well_is_told() {
    let mut desk = Desk::new();
    desk.raise(alert("etcd", 0, &[]), 0);
    desk.raise(alert("querynode", 0, &["etcd"]), 1);
    assert_eq!(desk.told(6), ["firing etcd [querynode]"]);
    desk.raise(alert("querynode", 0, &[]), 99);
    desk.resolve("etcd", 100);
    assert_eq!(desk.told(100), ["resolved etcd [querynode]"]);
    desk.raise(alert("querynode", 0, &[]), 110);
    assert_eq!(desk.told(119), [""; 0]);
    assert_eq!(desk.told(120), ["firing querynode"]);
    desk.resolve("querynode", 130);
    assert_eq!(desk.told(130), ["resolved querynode"]);
}

#[test]
fn reminders_of_what_was_told_before_its_cause_wait_and_its_end_does_not() {
    let mut desk = Desk::new();
    desk.raise(alert("querynode", 0, &[]), 0);
    assert_eq!(desk.told(5), ["firing querynode"]);
    desk.raise(alert("etcd", 10, &[]), 10);
    desk.raise(alert("querynode", 0, &["etcd"]), 11);
    assert_eq!(desk.told(15), ["firing etcd [querynode]"]);
    assert_eq!(desk.told(314), [""; 0], "the reminder is held back");
    desk.resolve("querynode", 314);
    assert_eq!(desk.told(314), ["resolved querynode"]);
}

#[test]
fn what_calls_for_a_person_is_told_whatever_its_cause() {
    let mut desk = Desk::new();
    desk.raise(alert("querynode", 0, &[]), 0);
    assert_eq!(desk.told(5), ["firing querynode"]);
    desk.raise(alert("etcd", 10, &[]), 10);
    desk.raise(alert("querynode", 0, &["etcd"]), 11);
    assert_eq!(desk.told(15), ["firing etcd [querynode]"]);
    let incident = IncidentId::new(&id("querynode"), at(0));
    desk.book.update(&incident, "left to a person".into(), true, at(30));
    assert_eq!(desk.told(20), ["firing querynode"]);
    assert_eq!(desk.told(21), [""; 0]);
}

#[test]
fn what_may_have_a_cause_waits_until_that_is_decided() {
    let mut desk = Desk::new();
    desk.raise(suspecting("querynode", 0, "etcd", 30), 0);
    assert_eq!(desk.told(29), [""; 0]);
    // Said again, it does not begin anew.
    desk.raise(suspecting("querynode", 0, "etcd", 50), 20);
    assert_eq!(desk.told(29), [""; 0]);
    desk.raise(alert("etcd", 29, &[]), 29);
    assert_eq!(desk.told(34), ["firing etcd [querynode]"], "it is the cause");

    let mut desk = Desk::new();
    desk.raise(suspecting("querynode", 0, "etcd", 30), 0);
    let raised = desk.raise(alert("querynode", 0, &[]), 10);
    assert_eq!(raised, Raised::OtherCauses, "somebody has to be told now");
    assert_eq!(desk.told(10), ["firing querynode"], "it is not the cause");

    let mut desk = Desk::new();
    desk.raise(suspecting("querynode", 0, "etcd", 30), 0);
    assert_eq!(desk.told(29), [""; 0]);
    assert_eq!(desk.told(30), ["firing querynode"], "nobody knows");

    let mut desk = Desk::new();
    desk.raise(suspecting("querynode", 0, "etcd", 1_000_000), 0);
    assert_eq!(desk.told(119), [""; 0]);
    assert_eq!(desk.told(120), ["firing querynode"], "it takes too long");
}

#[test]
fn what_was_over_before_its_cause_was_decided_is_told_as_a_whole_story() {
    let mut desk = Desk::new();
    desk.raise(suspecting("querynode", 0, "etcd", 30), 0);
    desk.resolve("querynode", 20);
    assert_eq!(desk.told(20), ["resolved querynode"]);
}

#[test]
fn nothing_is_hidden_behind_a_cause_that_was_never_told() {
    let mut desk = Desk::new();
    desk.raise(alert("etcd", 0, &[]), 0);
    desk.raise(alert("querynode", 0, &["etcd"]), 0);
    desk.resolve("etcd", 4);
    assert_eq!(desk.told(4), [""; 0], "over within group_wait");
    assert_eq!(desk.told(5), ["firing querynode"]);
}

#[test]
fn nothing_is_hidden_behind_a_cause_that_is_refused_again_and_again() {
    let mut desk = Desk::new();
    desk.refusing = Some("etcd");
    desk.raise(alert("etcd", 0, &[]), 0);
    desk.raise(alert("querynode", 0, &["etcd"]), 0);
    assert_eq!(desk.told(5), ["firing etcd [querynode]"]);
    assert_eq!(desk.told(100), ["firing etcd [querynode]"]);
    assert_eq!(desk.told(1_000), ["firing etcd [querynode]", "firing querynode"]);
}

#[test]
fn each_receiver_hides_only_behind_what_it_is_told_of_itself() {
    let mut desk = Desk::new();
    desk.settings.receivers = vec!["email".into(), "slack".into()];
    desk.settings.routes = vec![
        Route { severity: Some(Severity::Critical), to: vec!["email".into()], ..Route::default() },
        Route { to: vec!["email".into(), "slack".into()], ..Route::default() },
    ];
    desk.raise(alert("etcd", 0, &[]), 0);
    desk.raise(Alert { severity: Severity::Warning, ..alert("querynode", 0, &["etcd"]) }, 0);
    assert_eq!(desk.told_at("email", 5), ["firing etcd [querynode]"]);
    assert_eq!(desk.told_at("slack", 5), ["firing querynode"], "it never hears of etcd");
}

#[test]
fn of_alerts_that_name_each_other_the_oldest_is_told() {
    let mut desk = Desk::new();
    desk.raise(alert("a", 2, &["b"]), 2);
    desk.raise(alert("b", 1, &["c"]), 2);
    desk.raise(alert("c", 3, &["a"]), 3);
    desk.raise(alert("d", 0, &["c"]), 3);
    desk.raise(alert("e", 0, &["e"]), 3);
    let mut told = desk.told(10);
    told.sort();
    // d is older than all of them, but no cause of any.
    assert_eq!(told, ["firing b [d a c]", "firing e"]);
}

proptest! {
    /// Whatever names whatever as its cause: something is told, and whatever waits does so for
    /// something that is told.
    #[test]
    fn whatever_waits_waits_for_something_that_is_told(
        graph in prop::collection::vec((0_u64..5, prop::collection::vec(0_usize..8, 0..4)), 1..8),
    ) {
        let mut desk = Desk::new();
        for (place, (since, causes)) in graph.iter().enumerate() {
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
            desk.raise(alert(&place.to_string(), *since, &causes), 10);
        }
        let now = at(15);
        desk.book.settle(&desk.settings, &Inhibition::new(&desk.settings), Pace::Normal, now);
        let held = |component: &ComponentId| {
            let mut about = desk.book.about(component);
            about.next().is_some_and(|open| open.held.contains_key("email"))
        };
        prop_assert!(desk.book.alerts().any(|open| open.held.is_empty()));
        for open in desk.book.alerts() {
            let holds = open.held.values().flat_map(|hold| &hold.causes);
            for cause in holds {
                prop_assert!(!held(cause), "{} waits for {cause}, which waits", open.alert.component);
                prop_assert!(desk.book.about(cause).next().is_some());
            }
        }
    }
}

#[test]
fn a_name_that_begins_like_another_is_not_taken_for_it() {
    let mut desk = Desk::new();
    desk.raise(alert("etcd-2", 0, &[]), 0);
    desk.raise(alert("querynode", 0, &["etcd"]), 0);
    let etcd = id("etcd");
    assert_eq!(desk.book.about(&etcd).count(), 0);
    let receiver: Arc<str> = "email".into();
    desk.book.settle(&desk.settings, &Inhibition::new(&desk.settings), Pace::Normal, at(0));
    assert!(desk.book.alerts().all(|open| !open.held.contains_key(&receiver)));
}
