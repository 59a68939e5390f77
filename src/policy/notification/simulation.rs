//! Whole lives of incidents against receivers that fail at random, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    AlertStatus, ComponentId, IncidentId, Notification, Reason, ReasonKind, Severity, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn settings() -> NotificationSettings {
    NotificationSettings {
        receivers: vec!["email".into(), "webhook.oncall".into()],
        ..NotificationSettings::default()
    }
}

fn alert(component: &str, severity: Severity) -> Alert {
    let component = ComponentId::new("milvus-ha", component);
    Alert {
        incident: IncidentId::new(&component, START),
        title: format!("{} is unhealthy", component.component),
        component,
        severity,
        reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
        details: vec![],
        action: String::new(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: START,
    }
}

fn sent(step: NextStep) -> Notification {
    match step {
        NextStep::Send { notification, .. } => *notification,
        other => panic!("nothing is sent: {other:?}"),
    }
}

fn outage() -> SendFailure {
    SendFailure { outage: true, error: "connection refused".into(), retry_after: None }
}

#[test]
fn an_incident_that_is_over_within_group_wait_is_never_mentioned() {
    let (settings, mut book) = (settings(), AlertBook::default());
    let alert = alert("proxy", Severity::Critical);
    let incident = alert.incident.clone();
    assert_eq!(book.raise(alert, &settings, at(0)), Raised::New);
    assert!(book.resolve(&incident, at(3), at(3)));
    let finished = book.settle(&settings, &NoHolds, Pace::Normal, at(3));
    assert_eq!(finished.len(), 1);
    assert!(finished[0].outcomes.values().all(|why| *why == CloseReason::NeverSent));
    assert_eq!(book.next("email", &settings, Pace::Normal, at(60)), NextStep::Idle);
}

#[test]
fn a_receiver_that_wants_to_be_left_alone_is_but_not_beyond_the_longest_back_off() {
    for (asked, until) in [(2, 7), (60, 65), (1_000_000, 305)] {
        let (settings, mut book) = (settings(), AlertBook::default());
        book.raise(alert("proxy", Severity::Warning), &settings, at(0));
        let message = sent(book.next("email", &settings, Pace::Normal, at(5)));
        let retry_after = Some(Duration::from_secs(asked));
        let failure = SendFailure { retry_after, ..outage() };
        book.finish(&message.lead.incident, "email", Err(failure), &settings, 0.5, at(5));
        let next = book.next("email", &settings, Pace::Normal, at(5));
        assert_eq!(next, NextStep::WaitUntil(at(until)));
        let again = sent(book.next("email", &settings, Pace::Normal, at(until)));
        assert_eq!(again.id, message.id);
    }
}

#[test]
fn a_receiver_out_of_reach_is_tried_with_one_message_at_a_time() {
    let (settings, mut book) = (settings(), AlertBook::default());
    for component in ["proxy", "querynode", "datanode"] {
        book.raise(alert(component, Severity::Warning), &settings, at(0));
    }
    let first = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish(&first.lead.incident, "email", Err(outage()), &settings, 0.5, at(5));
    assert_eq!(
        book.next("email", &settings, Pace::Normal, at(5)),
        NextStep::WaitUntil(at(6)),
        "the other messages wait for the receiver"
    );
    let second = sent(book.next("email", &settings, Pace::Normal, at(6)));
    book.finish(&second.lead.incident, "email", Err(outage()), &settings, 0.5, at(6));
    assert_eq!(book.next("email", &settings, Pace::Normal, at(6)), NextStep::WaitUntil(at(8)));
    sent(book.next("webhook.oncall", &settings, Pace::Normal, at(6)));
}

#[test]
fn a_refused_message_does_not_hold_up_the_others() {
    let (settings, mut book) = (settings(), AlertBook::default());
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    book.raise(alert("querynode", Severity::Warning), &settings, at(0));
    let refused = sent(book.next("email", &settings, Pace::Normal, at(5)));
    let failure = SendFailure { outage: false, error: "550 no".into(), retry_after: None };
    book.finish(&refused.lead.incident, "email", Err(failure), &settings, 0.5, at(5));
    let other = sent(book.next("email", &settings, Pace::Normal, at(5)));
    assert_ne!(other.lead.incident, refused.lead.incident);
}

#[test]
fn a_retried_message_keeps_its_time_so_that_a_receiver_can_recognise_it() {
    let (settings, mut book) = (settings(), AlertBook::default());
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    let first = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish(&first.lead.incident, "email", Err(outage()), &settings, 0.5, at(6));
    let again = sent(book.next("email", &settings, Pace::Normal, at(7)));
    assert_eq!(again.sent_at, first.sent_at);
}

#[test]
fn a_raised_severity_reaches_the_receivers_of_both_severities() {
    let mut settings = settings();
    settings.routes = vec![
        Route { severity: Some(Severity::Critical), to: vec!["oncall".into()], mute: Vec::new() },
        Route { severity: None, to: vec!["email".into()], mute: Vec::new() },
    ];
    let mut book = AlertBook::default();
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    assert_eq!(book.next("webhook.oncall", &settings, Pace::Normal, at(5)), NextStep::Idle);
    let warned = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish(&warned.lead.incident, "email", Ok(()), &settings, 0.5, at(5));
    let raised = book.raise(alert("proxy", Severity::Critical), &settings, at(20));
    assert_eq!(raised, Raised::Worse);
    for receiver in ["email", "webhook.oncall"] {
        let message = sent(book.next(receiver, &settings, Pace::Normal, at(20)));
        assert_eq!(message.lead.severity, Severity::Critical);
    }
}

#[test]
fn the_most_severe_message_goes_first() {
    let (settings, mut book) = (settings(), AlertBook::default());
    book.raise(alert("datanode", Severity::Warning), &settings, at(0));
    book.raise(alert("querynode", Severity::Critical), &settings, at(1));
    let first = sent(book.next("email", &settings, Pace::Normal, at(10)));
    assert_eq!(first.lead.severity, Severity::Critical);
}

/// What one receiver accepted about one incident.
#[derive(Default)]
struct Accepted {
    firing: Vec<Timestamp>,
    resolved: Vec<Timestamp>,
}

/// One incident of the random life: begins, ends, in seconds.
#[derive(Debug, Clone)]
struct Life {
    begins: u64,
    lasts: u64,
}

/// Plays all lives against two receivers; `fails` says for each attempt in turn whether it fails
/// (0 accepted, 1 outage, 2 refused), after its end every attempt is accepted.
fn play(
    lives: &[Life],
    fails: &[u8],
    took: u64,
    horizon: u64,
) -> BTreeMap<(usize, Arc<str>), Accepted> {
    let (settings, mut book) = (settings(), AlertBook::default());
    let incidents: Vec<Alert> =
        (0..lives.len()).map(|n| alert(&format!("component-{n}"), Severity::Critical)).collect();
    let mut attempts = fails.iter();
    let mut in_flight: BTreeMap<Arc<str>, (IncidentId, AlertStatus, u64)> = BTreeMap::new();
    let mut accepted: BTreeMap<(usize, Arc<str>), Accepted> = BTreeMap::new();
    for second in 0..horizon {
        let now = at(second);
        for (life, alert) in lives.iter().zip(&incidents) {
            if second == life.begins {
                book.raise(alert.clone(), &settings, now);
            } else if second == life.begins + life.lasts {
                book.resolve(&alert.incident, now, now);
            }
        }
        let ended: Vec<Arc<str>> = in_flight
            .iter()
            .filter(|(_, (_, _, until))| *until <= second)
            .map(|(receiver, _)| Arc::clone(receiver))
            .collect();
        for receiver in ended {
            let (incident, status, _) = in_flight.remove(&receiver).unwrap();
            let result = match attempts.next().copied().unwrap_or(0) {
                0 => Ok(()),
                kind => {
                    Err(SendFailure { outage: kind == 1, error: "no".into(), retry_after: None })
                }
            };
            if result.is_ok() {
                let n = incidents.iter().position(|alert| alert.incident == incident).unwrap();
                let record = accepted.entry((n, Arc::clone(&receiver))).or_default();
                match status {
                    AlertStatus::Firing => record.firing.push(now),
                    AlertStatus::Resolved => record.resolved.push(now),
                }
            }
            book.finish(&incident, &receiver, result, &settings, 0.5, now);
        }
        book.settle(&settings, &NoHolds, Pace::Normal, now);
        for receiver in &settings.receivers {
            if in_flight.contains_key(receiver) {
                continue;
            }
            if let NextStep::Send { notification, .. } =
                book.next(receiver, &settings, Pace::Normal, now)
            {
                let flight = (notification.lead.incident, notification.lead.status, second + took);
                in_flight.insert(Arc::clone(receiver), flight);
            }
        }
    }
    accepted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// No alert is lost and none is doubled, whatever the receivers do.
    #[test]
    fn every_incident_is_told_once_per_interval_and_resolved_once(
        lives in prop::collection::vec((0_u64..120, 1_u64..1_500), 1..5),
        fails in prop::collection::vec(0_u8..3, 0..40),
        took in 1_u64..4,
    ) {
        let lives: Vec<Life> =
            lives.into_iter().map(|(begins, lasts)| Life { begins, lasts }).collect();
        let settings = settings();
        // Forty failures in a row, each with the longest pause, and the last incident's end.
        let accepted = play(&lives, &fails, took, 1_700 + 40 * 310);
        for (n, life) in lives.iter().enumerate() {
            for receiver in &settings.receivers {
                let record = accepted.get(&(n, Arc::clone(receiver)));
                if life.lasts < settings.group_wait.as_secs() {
                    prop_assert!(record.is_none(), "a blip of {} s was mentioned", life.lasts);
                    continue;
                }
                let Some(record) = record else {
                    return Err(TestCaseError::fail(format!("{receiver} never heard of {n}")));
                };
                prop_assert_eq!(record.resolved.len(), 1, "resolved exactly once");
                for pair in record.firing.windows(2) {
                    prop_assert!(pair[1].since(pair[0]) >= settings.repeat_interval);
                    if fails.is_empty() {
                        let queue = Duration::from_secs(took * 10);
                        prop_assert!(pair[1].since(pair[0]) <= settings.repeat_interval + queue);
                    }
                }
            }
        }
    }
}
