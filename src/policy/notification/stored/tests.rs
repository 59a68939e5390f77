//! Tests of the stored book: nothing is lost and nothing is told twice, wherever falconer is killed.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{
    AlertMessage, AlertStatus, ComponentId, Notification, Reason, ReasonKind, Receipt, Severity,
    StateChanges,
};
use crate::policy::notification::{
    NextStep, NoHolds, NotificationSettings, Pace, Raised, SendFailure, SendReason,
};

/// The group of everything in these tests.
const GROUP: &str = "cluster=milvus-ha";
const RECEIVERS: [&str; 2] = ["email", "webhook.oncall"];

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

fn settings() -> NotificationSettings {
    let receivers = RECEIVERS.map(Arc::from).to_vec();
    NotificationSettings { receivers, ..NotificationSettings::default() }
}

fn alert(component: &str, since: Timestamp) -> Alert {
    let component = ComponentId::new("milvus-ha", component);
    Alert {
        incident: IncidentId::new(&component, since),
        title: format!("{} is unhealthy", component.component),
        component,
        severity: Severity::Critical,
        reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
        details: vec!["proxy-1: timeout".into()],
        action: String::new(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: since,
    }
}

fn apply(state: &mut StoredState, changes: StateChanges) {
    for (key, value) in changes {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

/// The book of a falconer that was started at `now` with this state.
fn started(state: &StoredState, now: Timestamp) -> AlertBook {
    let mut book = AlertBook::default();
    let adopted = book.adopt(state, now);
    assert_eq!(adopted.unreadable, Vec::<String>::new());
    book.reroute(&settings(), &[], now);
    book
}

fn next(
    book: &mut AlertBook,
    receiver: &str,
    now: Timestamp,
) -> Option<(Notification, SendReason)> {
    book.settle(&settings(), &NoHolds, Pace::Normal, now);
    match book.next(receiver, &settings(), Pace::Normal, now) {
        NextStep::Send { notification, reason } => Some((*notification, reason)),
        NextStep::WaitUntil(_) | NextStep::Idle => None,
    }
}

fn accept(book: &mut AlertBook, receiver: &str, sent: &Notification, now: Timestamp) {
    book.finish(receiver, sent, Ok(Receipt::default()), &settings(), 0.5, now);
}

/// Raised at 0, and sent to the first receiver at 5, which has not answered.
fn sending() -> (AlertBook, Notification) {
    let mut book = AlertBook::default();
    assert_eq!(book.raise(alert("proxy", at(0)), &settings(), at(0)), Raised::New);
    let (sent, _) = next(&mut book, "email", at(5)).expect("a message");
    (book, sent)
}

#[test]
fn what_was_being_sent_is_sent_again_at_once_as_the_same_message() {
    let (mut book, sent) = sending();
    let mut state = StoredState::new();
    apply(&mut state, book.take_changes());
    let mut after = started(&state, at(7));
    let (again, reason) = next(&mut after, "email", at(7)).expect("a message");
    assert_eq!((again, reason), (sent, SendReason::Retry));
}

#[test]
fn what_was_accepted_is_told_again_only_after_the_repeat_interval() {
    let (mut book, sent) = sending();
    accept(&mut book, "email", &sent, at(6));
    let mut after = started(&book.export(), at(20));
    // The supervisor finds the component still sick.
    assert_eq!(after.raise(alert("proxy", at(0)), &settings(), at(20)), Raised::Known);
    assert_eq!(next(&mut after, "email", at(20)), None);
    let (_, reason) = next(&mut after, "webhook.oncall", at(20)).expect("never told here");
    assert_eq!(reason, SendReason::First);
    let repeat = 5 + settings().repeat_interval.as_secs();
    assert_eq!(next(&mut after, "email", at(repeat - 1)), None);
    let (_, reason) = next(&mut after, "email", at(repeat)).expect("a reminder");
    assert_eq!(reason, SendReason::Repeat);
}

#[test]
fn an_end_that_was_not_told_before_the_kill_is_told_after_it() {
    let (mut book, sent) = sending();
    accept(&mut book, "email", &sent, at(6));
    assert!(book.resolve(&sent.lead.incident, at(9), at(9)));
    let mut after = started(&book.export(), at(10));
    let (story, reason) = next(&mut after, "webhook.oncall", at(10)).expect("the whole story");
    assert_eq!(reason, SendReason::WholeStory);
    accept(&mut after, "webhook.oncall", &story, at(10));
    assert_eq!(next(&mut after, "email", at(64)), None, "the group's next flush is at 65");
    let (end, _) = next(&mut after, "email", at(65)).expect("the end");
    assert_eq!((end.lead.status, end.lead.ended_at), (AlertStatus::Resolved, Some(at(9))));
    assert_eq!(end.thread, sent.thread);
    accept(&mut after, "email", &end, at(65));
    after.settle(&settings(), &NoHolds, Pace::Normal, at(65));
    let groups = RECEIVERS.map(|receiver| (group_key(receiver, GROUP), None));
    let gone = groups.into_iter().chain([(key(&sent.lead.incident), None)]);
    assert_eq!(after.take_changes(), gone.collect::<StateChanges>());
}

#[test]
fn the_new_leader_goes_on_with_the_old_ones_incidents_under_their_names() {
    let (mut old, sent) = sending();
    accept(&mut old, "email", &sent, at(5));
    // It saw the same a moment later, and another incident that the old leader never saw.
    let mut new = AlertBook::default();
    new.raise(alert("proxy", at(1)), &settings(), at(1));
    new.raise(alert("etcd", at(30)), &settings(), at(30));
    let adopted = new.adopt(&old.export(), at(40));
    let own = alert("proxy", at(1)).incident;
    assert_eq!(adopted.superseded, BTreeMap::from([(own, sent.lead.incident.clone())]));
    assert_eq!(next(&mut new, "email", at(40)), None, "its group was told not long ago");
    let (told, _) = next(&mut new, "email", at(66)).expect("a message");
    let of = |message: &AlertMessage| (message.component.component.to_string(), message.is_news);
    let said: Vec<(String, bool)> = told.alerts().map(of).collect();
    assert_eq!(said, [("proxy".to_owned(), false), ("etcd".to_owned(), true)]);
    assert_eq!(told.thread, sent.thread, "the old leader's thread goes on");
}

#[test]
fn what_another_falconer_has_told_of_is_forgotten_and_what_happened_since_is_not() {
    let mut book = AlertBook::default();
    for (component, end) in [("proxy", 20), ("etcd", 40)] {
        let alert = alert(component, at(0));
        let incident = alert.incident.clone();
        book.raise(alert, &settings(), at(0));
        book.resolve(&incident, at(end), at(end));
    }
    assert_eq!(book.leave_to_leader(None, at(30)), None);
    let left: Vec<&str> = book.alerts().map(|open| &*open.alert.component.component).collect();
    assert_eq!(left, ["etcd"]);
}

#[test]
fn an_alert_is_kept_in_this_form() {
    let (mut book, _) = sending();
    let changes = book.take_changes();
    let kept = |key: &str| changes.get(key).cloned().flatten().expect("it is kept");
    let text = kept("alert/milvus-ha/proxy@2026-01-01T00:00:00.000Z");
    let expected = r#"{"form":3,"alert":{"incident":"milvus-ha/proxy@2026-01-01T00:00:00.000Z","component":{"cluster":"milvus-ha","component":"proxy"},"severity":"critical","title":"proxy is unhealthy","reason":{"kind":"timeout","text":"no answer within 5 s"},"details":["proxy-1: timeout"],"action":"","causes":[],"suspicion":null,"settle_secs":0,"affects":[],"seen":[],"look_closer":[],"is_flapping":false,"started_at":"2026-01-01T00:00:00.000Z"},"raised_at":"2026-01-01T00:00:00.000Z","resolution":null,"acknowledged":null,"groups":{"email":"cluster=milvus-ha","webhook.oncall":"cluster=milvus-ha"},"deliveries":{"email":{"state":"sending","draft":{"status":"firing","severity":"critical","made_at":"2026-01-01T00:00:05.000Z"},"failures":0,"since":"2026-01-01T00:00:05.000Z","told":null},"webhook.oncall":{"state":"waiting","due":"2026-01-01T00:00:05.000Z"}}}"#;
    assert_eq!(text, expected);
    let group = r#"{"form":1,"labels":{"cluster":"milvus-ha"},"base":"2026-01-01T00:00:05.000Z""#;
    let thread = r#","thread":"email/cluster=milvus-ha@2026-01-01T00:00:05.000Z"}"#;
    assert_eq!(kept("group/email/cluster=milvus-ha"), format!("{group}{thread}"));
    assert_eq!(kept("group/webhook.oncall/cluster=milvus-ha"), format!("{group}}}"));
}

#[test]
fn what_was_kept_before_there_were_groups_is_read_and_stays_told() {
    let told = |is_outdated: bool| {
        format!(
            r#"{{"form":1,"alert":{{"incident":"milvus-ha/proxy@2026-01-01T00:00:00.000Z","component":{{"cluster":"milvus-ha","component":"proxy"}},"severity":"critical","title":"proxy is unhealthy","reason":{{"kind":"timeout","text":"no answer within 5 s"}},"details":[],"action":"left to a person","started_at":"2026-01-01T00:00:00.000Z"}},"raised_at":"2026-01-01T00:00:00.000Z","resolution":null,"deliveries":{{"email":{{"state":"delivered","told":{{"at":"2026-01-01T00:00:05.000Z","severity":"critical","is_outdated":{is_outdated}}}}},"webhook.oncall":{{"state":"waiting","due":"2026-01-01T00:00:05.000Z"}}}}}}"#
        )
    };
    let state = |is_outdated| {
        let incident = alert("proxy", at(0)).incident;
        StoredState::from([(key(&incident), told(is_outdated))])
    };
    let mut book = started(&state(false), at(20));
    assert_eq!(next(&mut book, "email", at(20)), None);
    let (_, reason) = next(&mut book, "webhook.oncall", at(20)).expect("never told here");
    assert_eq!(reason, SendReason::First);
    assert_eq!(next(&mut book, "email", at(304)), None);
    let (_, reason) = next(&mut book, "email", at(380)).expect("a reminder");
    assert_eq!(reason, SendReason::Repeat);
    let mut book = started(&state(true), at(20));
    let (call, reason) = next(&mut book, "email", at(20)).expect("a person is called");
    assert_eq!(reason, SendReason::Escalated);
    accept(&mut book, "email", &call, at(21));
    assert_eq!(next(&mut book, "email", at(22)), None, "once");
}

#[test]
fn what_was_kept_with_what_was_closed_among_the_deliveries_is_read_and_stays_closed() {
    let (mut book, message) = sending();
    accept(&mut book, "email", &message, at(6));
    let incident = message.lead.incident.clone();
    book.resolve(&incident, at(60), at(60));
    let (end, _) = next(&mut book, "email", at(120)).expect("the end");
    accept(&mut book, "email", &end, at(121));
    let kept = book.export();
    let mut alert: Value = serde_json::from_str(&kept[&key(&incident)]).unwrap();
    let reason = alert.as_object_mut().unwrap().remove("closed").unwrap()["email"].take();
    assert_eq!(reason, "resolved_delivered");
    alert["deliveries"]["email"] = json!({ "state": "closed", "reason": reason });
    alert["form"] = 2.into();
    let earlier = StoredState::from([(key(&incident), alert.to_string())]);
    let mut book = started(&earlier, at(130));
    assert_eq!(next(&mut book, "email", at(130)), None, "it was told the end");
    assert!(next(&mut book, "webhook.oncall", at(130)).is_some(), "it was not");
}

#[test]
fn an_alert_of_many_words_is_kept_in_a_few_thousand_bytes() {
    let mut alert = alert("proxy", at(0));
    alert.details = vec!["größer als erlaubt ".repeat(1_000); 100];
    alert.action = "x".repeat(100_000);
    let mut book = AlertBook::default();
    book.raise(alert, &settings(), at(0));
    let size: usize = book.export().values().map(String::len).sum();
    assert!(size < 5_000, "{size}");
    assert_eq!(started(&book.export(), at(1)).alerts().count(), 1);
}

/// What may happen to an incident at a receiver.
#[derive(Debug, Clone)]
enum Event {
    Raise,
    Worse,
    Resolve,
    Send(usize),
    Answer(usize, bool),
    Kill,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Raise),
        Just(Event::Worse),
        Just(Event::Resolve),
        (0..2_usize).prop_map(Event::Send),
        (0..2_usize).prop_map(Event::Send),
        ((0..2_usize), any::<bool>()).prop_map(|(who, ok)| Event::Answer(who, ok)),
        Just(Event::Kill),
    ]
}

proptest! {
    /// A falconer that is killed at any instant knows afterwards exactly what it had saved; a message
    /// that was accepted and saved as such is never made again with another identity.
    #[test]
    fn a_book_that_is_saved_on_change_is_the_same_after_a_kill(
        events in prop::collection::vec((event(), 1..20_u64), 1..60),
    ) {
        let (settings, mut book, mut state) = (settings(), AlertBook::default(), StoredState::new());
        let (mut now, mut in_flight) = (0, [None, None]);
        let mut accepted: Vec<(usize, AlertStatus, Timestamp)> = Vec::new();
        let mut raised = alert("proxy", at(0));
        raised.severity = Severity::Warning;
        for (event, seconds) in events {
            now += seconds;
            match event {
                Event::Raise => {
                    book.raise(raised.clone(), &settings, at(now));
                }
                Event::Worse => {
                    raised.severity = Severity::Critical;
                    book.raise(raised.clone(), &settings, at(now));
                }
                Event::Resolve => {
                    book.resolve(&raised.incident, at(now), at(now));
                }
                Event::Send(who) if in_flight[who].is_none() => {
                    in_flight[who] = next(&mut book, RECEIVERS[who], at(now)).map(|(sent, _)| sent);
                }
                Event::Send(_) => {}
                Event::Answer(who, ok) => if let Some(sent) = in_flight[who].take() {
                    let failed = SendFailure { outage: true, error: "refused".into(), retry_after: None };
                    let result = if ok { Ok(Receipt::default()) } else { Err(failed) };
                    book.finish(RECEIVERS[who], &sent, result, &settings, 0.5, at(now));
                    if ok {
                        let message = (who, sent.lead.status, sent.sent_at);
                        prop_assert!(!accepted.contains(&message), "told twice: {:?}", message);
                        accepted.push(message);
                    }
                }
                Event::Kill => {
                    in_flight = [None, None];
                    book = started(&state, at(now));
                }
            }
            book.settle(&settings, &NoHolds, Pace::Normal, at(now));
            apply(&mut state, book.take_changes());
            prop_assert_eq!(&state, &book.export());
        }
    }

    #[test]
    fn whatever_stands_there_is_read_without_a_panic_and_named(
        entries in prop::collection::btree_map("((alert|group)/)?\\PC{0,40}", "\\PC{0,80}", 0..8),
        cut in 0..900_usize,
    ) {
        let (mut book, _) = sending();
        let mut stored: StoredState = entries;
        let expected = stored.keys().filter(|key| key.starts_with("alert/") || key.starts_with("group/")).count();
        let adopted = AlertBook::default().adopt(&stored, at(9));
        prop_assert_eq!(adopted.unreadable.len(), expected);
        let changes = book.take_changes();
        let expected = expected + changes.len();
        for (key, text) in changes {
            let text = text.unwrap_or_default();
            let cut = text.floor_char_boundary(cut.min(text.len() - 1));
            stored.insert(key, text[..cut].to_owned());
        }
        let mut torn = AlertBook::default();
        prop_assert_eq!(torn.adopt(&stored, at(9)).unreadable.len(), expected);
        prop_assert_eq!(torn.alerts().count(), 0);
    }
}

#[test]
fn a_clock_that_was_ahead_silences_nobody_for_long() {
    let mut book = AlertBook::default();
    book.raise(alert("proxy", at(100_000)), &settings(), at(100_000));
    let (sent, _) = next(&mut book, "email", at(100_005)).expect("a message");
    accept(&mut book, "email", &sent, at(100_006));
    let mut after = started(&book.export(), at(10));
    assert_eq!(next(&mut after, "email", at(10)), None);
    let latest = 10 + settings().repeat_interval.as_secs() + settings().group_interval.as_secs();
    let (_, reason) = next(&mut after, "email", at(latest)).expect("a reminder");
    assert_eq!(reason, SendReason::Repeat);
}
