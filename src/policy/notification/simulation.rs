//! Whole lives of incidents against receivers that fail at random, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    AlertStatus, ComponentId, IncidentId, Notification, Reason, ReasonKind, Receipt, Severity,
    Timestamp,
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

/// One group for each component.
fn single(settings: NotificationSettings) -> NotificationSettings {
    NotificationSettings { group_by: vec![GroupLabel::Component], ..settings }
}

#[test]
fn a_receiver_that_wants_to_be_left_alone_is_but_not_beyond_the_longest_back_off() {
    for (asked, until) in [(2, 7), (60, 65), (1_000_000, 305)] {
        let (settings, mut book) = (settings(), AlertBook::default());
        book.raise(alert("proxy", Severity::Warning), &settings, at(0));
        let message = sent(book.next("email", &settings, Pace::Normal, at(5)));
        let retry_after = Some(Duration::from_secs(asked));
        let failure = SendFailure { retry_after, ..outage() };
        book.finish("email", &message, Err(failure), &settings, 0.5, at(5));
        let next = book.next("email", &settings, Pace::Normal, at(5));
        assert_eq!(next, NextStep::WaitUntil(at(until)));
        let again = sent(book.next("email", &settings, Pace::Normal, at(until)));
        assert_eq!(again.id, message.id);
    }
}

#[test]
fn a_receiver_out_of_reach_is_tried_with_one_message_at_a_time() {
    let (settings, mut book) = (single(settings()), AlertBook::default());
    for component in ["proxy", "querynode", "datanode"] {
        book.raise(alert(component, Severity::Warning), &settings, at(0));
    }
    let first = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish("email", &first, Err(outage()), &settings, 0.5, at(5));
    assert_eq!(
        book.next("email", &settings, Pace::Normal, at(5)),
        NextStep::WaitUntil(at(6)),
        "the other messages wait for the receiver"
    );
    let second = sent(book.next("email", &settings, Pace::Normal, at(6)));
    book.finish("email", &second, Err(outage()), &settings, 0.5, at(6));
    assert_eq!(book.next("email", &settings, Pace::Normal, at(6)), NextStep::WaitUntil(at(8)));
    sent(book.next("webhook.oncall", &settings, Pace::Normal, at(6)));
}

#[test]
fn a_refused_message_does_not_hold_up_the_others() {
    let (settings, mut book) = (single(settings()), AlertBook::default());
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    book.raise(alert("querynode", Severity::Warning), &settings, at(0));
    let refused = sent(book.next("email", &settings, Pace::Normal, at(5)));
    let failure = SendFailure { outage: false, error: "550 no".into(), retry_after: None };
    book.finish("email", &refused, Err(failure), &settings, 0.5, at(5));
    let other = sent(book.next("email", &settings, Pace::Normal, at(5)));
    assert_ne!(other.lead.incident, refused.lead.incident);
}

#[test]
fn a_retried_message_keeps_its_time_so_that_a_receiver_can_recognise_it() {
    let (settings, mut book) = (settings(), AlertBook::default());
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    let first = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish("email", &first, Err(outage()), &settings, 0.5, at(6));
    let again = sent(book.next("email", &settings, Pace::Normal, at(7)));
    assert_eq!(again.sent_at, first.sent_at);
}

#[test]
fn a_raised_severity_reaches_the_receivers_of_both_severities() {
    let mut settings = settings();
    settings.routes = vec![
        Route { severity: Some(Severity::Critical), to: vec!["oncall".into()], ..Route::default() },
        Route { to: vec!["email".into()], ..Route::default() },
    ];
    let mut book = AlertBook::default();
    book.raise(alert("proxy", Severity::Warning), &settings, at(0));
    assert_eq!(book.next("webhook.oncall", &settings, Pace::Normal, at(5)), NextStep::Idle);
    let warned = sent(book.next("email", &settings, Pace::Normal, at(5)));
    book.finish("email", &warned, Ok(Receipt::default()), &settings, 0.5, at(5));
    let raised = book.raise(alert("proxy", Severity::Critical), &settings, at(20));
    assert_eq!(raised, Raised::Worse);
    for receiver in ["email", "webhook.oncall"] {
        let message = sent(book.next(receiver, &settings, Pace::Normal, at(20)));
        assert_eq!(message.lead.severity, Severity::Critical);
    }
}

#[test]
fn the_most_severe_message_goes_first() {
    let (settings, mut book) = (single(settings()), AlertBook::default());
    book.raise(alert("datanode", Severity::Warning), &settings, at(0));
    book.raise(alert("querynode", Severity::Critical), &settings, at(1));
    let first = sent(book.next("email", &settings, Pace::Normal, at(10)));
    assert_eq!(first.lead.severity, Severity::Critical);
}

/// What one receiver knows of one incident.
#[derive(Debug, Default)]
struct Known {
    severity: Option<Severity>,
    is_over: bool,
    told_over: u32,
}

/// One receiver as it sees itself: it recognises messages that it has accepted before.
#[derive(Debug, Default)]
struct Reader {
    ids: BTreeMap<Arc<str>, Vec<(IncidentId, AlertStatus)>>,
    known: BTreeMap<IncidentId, Known>,
    /// When the newest message that named an incident was accepted and known to be.
    told_at: BTreeMap<IncidentId, Timestamp>,
    wrong: Vec<String>,
}

impl Reader {
    fn accept(&mut self, message: &Notification, is_seen: bool, repeat: Duration, now: Timestamp) {
        let content: Vec<(IncidentId, AlertStatus)> =
            message.alerts().map(|one| (one.incident.clone(), one.status)).collect();
        if let Some(before) = self.ids.get(&message.id) {
            if content.iter().any(|one| !before.contains(one)) {
                self.wrong.push(format!("{} says something else than before", message.id));
            }
            return;
        }
        self.ids.insert(Arc::clone(&message.id), content);
        let mut is_news = false;
        for one in message.alerts() {
            let known = self.known.entry(one.incident.clone()).or_default();
            match one.status {
                AlertStatus::Firing => {
                    is_news |= known.severity.is_none_or(|before| one.severity > before);
                    known.severity = Some(one.severity);
                    if known.is_over {
                        self.wrong.push(format!("{} fires after its end", one.incident));
                    }
                }
                AlertStatus::Resolved => {
                    is_news = true;
                    known.is_over = true;
                    known.told_over += 1;
                }
            }
        }
        let told = message.alerts().map(|one| self.told_at.get(&one.incident).copied());
        let last = told.map(Option::unwrap_or_default).max().unwrap_or_default();
        // Two seconds: an attempt may have begun before the one that was accepted ended.
        if !is_news && now.since(last) + Duration::from_secs(2) < repeat {
            self.wrong.push(format!("{} is neither news nor due: {message:?}", message.id));
        }
        if is_seen {
            let told = message.alerts().map(|one| (one.incident.clone(), now));
            self.told_at.extend(told);
        }
    }
}

/// One incident of a random life; seconds.
#[derive(Debug, Clone)]
struct Life {
    begins: u64,
    lasts: u64,
    /// Whether it becomes critical half-way.
    worsens: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (0_u64..400, 1_u64..1_500, any::<bool>());
    let life = life.prop_map(|(begins, lasts, worsens)| Life { begins, lasts, worsens });
    prop::collection::vec(life, 1..8)
}

/// Plays all lives against two receivers, second by second. `answers` says for each attempt in turn
/// how it ends: 0 accepted, 1 out of reach, 2 refused, 3 accepted and the answer lost, 4 falconer is
/// killed during it. After its end every attempt is accepted.
fn play(
    settings: &NotificationSettings,
    lives: &[Life],
    answers: &[u8],
    took: u64,
) -> (BTreeMap<Arc<str>, Reader>, AlertBook, Vec<Alert>) {
    let mut book = AlertBook::default();
    let alerts: Vec<Alert> = lives
        .iter()
        .enumerate()
        .map(|(n, life)| {
            let mut alert = alert(&format!("component-{n}"), Severity::Warning);
            alert.started_at = at(life.begins);
            alert.incident = IncidentId::new(&alert.component, alert.started_at);
            alert
        })
        .collect();
    let mut readers: BTreeMap<Arc<str>, Reader> =
        settings.receivers.iter().map(|name| (Arc::clone(name), Reader::default())).collect();
    let mut in_flight: BTreeMap<Arc<str>, (Notification, u64)> = BTreeMap::new();
    let mut answers = answers.iter().copied();
    for second in 0..16_000 {
        let now = at(second);
        for (life, alert) in lives.iter().zip(&alerts) {
            let worse = life.worsens && second == life.begins + life.lasts / 2;
            if second == life.begins || worse {
                let severity = if worse { Severity::Critical } else { Severity::Warning };
                book.raise(Alert { severity, ..alert.clone() }, settings, now);
            }
            if second == life.begins + life.lasts {
                book.resolve(&alert.incident, now, now);
            }
        }
        let ended: Vec<Arc<str>> = in_flight
            .iter()
            .filter(|(_, (_, ends))| *ends == second)
            .map(|(receiver, _)| Arc::clone(receiver))
            .collect();
        for receiver in ended {
            let Some((message, _)) = in_flight.remove(&receiver) else { continue };
            let answer = answers.next().unwrap_or(0);
            if matches!(answer, 0 | 3 | 4)
                && let Some(reader) = readers.get_mut(&receiver)
            {
                reader.accept(&message, answer == 0, settings.repeat_interval, now);
            }
            if answer == 4 {
                let kept = book.export();
                book = AlertBook::default();
                assert_eq!(book.adopt(&kept, now).unreadable, Vec::<String>::new());
                book.reroute(settings, &[], now);
                in_flight.clear();
                break;
            }
            let result = match answer {
                0 => Ok(Receipt::default()),
                one => Err(SendFailure { outage: one != 2, error: "no".into(), retry_after: None }),
            };
            book.finish(&receiver, &message, result, settings, 0.5, now);
        }
        book.settle(settings, &NoHolds, Pace::Normal, now);
        for receiver in &settings.receivers {
            if !in_flight.contains_key(receiver)
                && let NextStep::Send { notification, .. } =
                    book.next(receiver, settings, Pace::Normal, now)
            {
                in_flight.insert(Arc::clone(receiver), (*notification, second + took));
            }
        }
    }
    (readers, book, alerts)
}

fn grouping() -> impl Strategy<Value = (Vec<GroupLabel>, u64, u32)> {
    let by = prop_oneof![
        Just(vec![GroupLabel::Cluster]),
        Just(vec![GroupLabel::Component]),
        Just(vec![GroupLabel::Severity]),
        Just(Vec::new()),
    ];
    (by, prop_oneof![Just(0_u64), Just(60), Just(100)], prop_oneof![Just(30_u32), Just(2)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// No alert is lost and none is told twice, whatever the receivers do and wherever falconer is
    /// killed; and no message comes without news before a reminder is due.
    #[test]
    fn every_incident_is_told_and_its_end_exactly_once(
        lives in lives(),
        answers in prop::collection::vec(0_u8..5, 0..40),
        took in 1_u64..4,
        (group_by, interval, messages) in grouping(),
    ) {
        let settings = NotificationSettings {
            group_by,
            group_interval: Duration::from_secs(interval),
            rate_limit: RateLimit { messages, per: Duration::from_secs(120) },
            ..settings()
        };
        let (readers, book, alerts) = play(&settings, &lives, &answers, took);
        for (receiver, reader) in &readers {
            prop_assert_eq!(&reader.wrong, &Vec::<String>::new(), "{}", receiver);
            for (life, alert) in lives.iter().zip(&alerts) {
                let longest_wait = settings.group_wait.as_secs() + interval;
                match reader.known.get(&alert.incident) {
                    Some(known) => {
                        prop_assert_eq!(known.told_over, 1, "{} {:?}", receiver, life);
                        prop_assert!(life.lasts >= settings.group_wait.as_secs().min(1));
                    }
                    None => prop_assert!(life.lasts <= longest_wait, "never told: {:?}", life),
                }
            }
        }
        prop_assert_eq!(book.alerts().count(), 0, "what is over everywhere is forgotten");
        prop_assert_eq!(book.groups(at(16_000)).len(), 0);
    }
}
