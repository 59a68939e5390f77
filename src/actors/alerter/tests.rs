//! The alerter in virtual time, with receivers in memory.

mod quiet;
mod receivers;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::fault_injection::Crash;
use crate::actors::testing::in_virtual_time;
use crate::effects::journal::MemoryJournal;
use crate::model::journal::DeliveryOutcome;
use crate::model::{
    AlertStatus, ComponentId, IncidentId, JournalKind, JournalQuery, JournalRecord, Leadership,
    Reason, ReasonKind, Severity, Timestamp,
};
use crate::policy::notification::{Delivery, GroupLabel};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What a receiver does with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Unavailable,
    Hang,
    Panic,
    /// Accepts after five seconds.
    Slow,
}

/// A receiver in memory: follows its script, then accepts.
struct Fake {
    name: &'static str,
    clock: Clock,
    script: Mutex<VecDeque<Answer>>,
    tried: Mutex<Vec<(u64, AlertStatus)>>,
    accepted: Mutex<Vec<(u64, Notification)>>,
    busy: AtomicUsize,
}

impl Fake {
    fn seconds(&self) -> u64 {
        self.clock.now().since(START).as_secs()
    }

    /// Seconds since the start and status of what was accepted.
    fn accepted(&self) -> Vec<(u64, AlertStatus)> {
        let accepted = self.accepted.lock().unwrap();
        accepted.iter().map(|(at, notification)| (*at, notification.lead.status)).collect()
    }

    fn last(&self) -> Notification {
        self.accepted.lock().unwrap().last().unwrap().1.clone()
    }
}

#[async_trait]
impl Notifier for Fake {
    fn name(&self) -> &str {
        self.name
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        self.tried.lock().unwrap().push((self.seconds(), notification.lead.status));
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Accept);
        match answer {
            Answer::Accept => {
                self.accepted.lock().unwrap().push((self.seconds(), notification.clone()));
                Ok(Receipt::default())
            }
            Answer::Unavailable => Err(NotifyError::Unavailable {
                receiver: self.name.into(),
                message: "connection refused".into(),
            }),
            Answer::Slow => {
                let busy = self.busy.fetch_add(1, Ordering::Relaxed);
                assert_eq!(busy, 0, "two messages in flight");
                pass(5).await;
                self.busy.fetch_sub(1, Ordering::Relaxed);
                self.accepted.lock().unwrap().push((self.seconds(), notification.clone()));
                Ok(Receipt::default())
            }
            Answer::Hang => std::future::pending().await,
            Answer::Panic => panic!("a bug in a receiver"),
        }
    }
}

struct Stage {
    clock: Clock,
    inbox: AlerterInbox,
    board: StatusBoard,
    book: Arc<Mutex<AlertBook>>,
    silences: Arc<Mutex<SilenceBook>>,
    settings: AlerterSettings,
    leadership: LeadershipHandle,
    journal: Arc<MemoryJournal>,
}

impl Stage {
    fn new() -> Self {
        let mut settings = AlerterSettings::default();
        settings.backoff.jitter = 0.0;
        // Most of these tests are about single incidents: nothing is told together.
        settings.group_by = vec![GroupLabel::Component];
        settings.group_interval = Duration::ZERO;
        settings.rate_limit.messages = 1_000;
        Self {
            clock: Clock::starting_at(START),
            inbox: AlerterInbox::default(),
            board: StatusBoard::default(),
            book: Arc::default(),
            silences: Arc::default(),
            settings,
            leadership: LeadershipHandle::default(),
            journal: Arc::default(),
        }
    }

    fn fake(&self, name: &'static str, script: &[Answer]) -> Arc<Fake> {
        Arc::new(Fake {
            name,
            clock: self.clock,
            script: Mutex::new(script.iter().copied().collect()),
            tried: Mutex::default(),
            accepted: Mutex::default(),
            busy: AtomicUsize::default(),
        })
    }

    fn start(&self, fakes: &[&Arc<Fake>]) -> Running<Alerter> {
        let receivers = fakes.iter().map(|fake| Arc::clone(*fake) as Arc<dyn Notifier>).collect();
        let alerter = Alerter::new(
            self.settings.clone(),
            receivers,
            AlerterParts {
                keeper: crate::actors::keeper::StateKeeper::default(),
                inbox: self.inbox.clone(),
                book: Arc::clone(&self.book),
                silences: Arc::clone(&self.silences),
                board: self.board.clone(),
                journal: Arc::clone(&self.journal) as Arc<dyn Journal>,
                clock: self.clock,
                metrics: Metrics::default(),
            },
        )
        .led_by(self.leadership.clone());
        let running = exit_guard::start(16, move |_| alerter, Box::new(|_| {}));
        self.inbox.publish(&running.address);
        running
    }

    async fn raise(&self, severity: Severity) {
        self.inbox.raise.send(raise(severity));
        a_moment().await;
    }

    async fn resolve(&self, seconds: u64) {
        let ended_at = START + Duration::from_secs(seconds);
        self.inbox.resolve.send(ResolveAlert { incident: incident(), ended_at });
        a_moment().await;
    }
}

/// Lets everybody work who can, without any time passing.
async fn a_moment() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

fn component() -> ComponentId {
    ComponentId::new("milvus-ha", "querynode")
}

fn incident() -> IncidentId {
    IncidentId::new(&component(), START)
}

fn raise(severity: Severity) -> RaiseAlert {
    RaiseAlert(Alert {
        incident: incident(),
        component: component(),
        severity,
        title: "querynode is unhealthy".into(),
        reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
        details: vec!["querynode-abc: timeout after 5s".into()],
        action: String::new(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at: START,
    })
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

use AlertStatus::{Firing, Resolved};

#[test]
fn an_incident_is_told_repeated_and_resolved() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        let update = UpdateAlert {
            incident: incident(),
            action: "restarting deployment/querynode".into(),
            calls_person: false,
        };
        stage.inbox.update.send(update);
        pass(400).await;
        stage.resolve(400).await;
        pass(1_000).await;
        assert_eq!(email.accepted(), [(5, Firing), (305, Firing), (400, Resolved)]);
        let last = email.last();
        assert_eq!(last.lead.action, "restarting deployment/querynode");
        assert_eq!(last.lead.ended_at, Some(START + Duration::from_secs(400)));
        assert!(stage.board.snapshot().alerter.alerts.is_empty());
    });
}

#[test]
fn what_is_left_to_a_person_is_told_at_once_and_once() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(60).await;
        for _ in 0..3 {
            stage.inbox.update.send(UpdateAlert {
                incident: incident(),
                action: "left to a person: 2 automatic steps did not help".to_owned(),
                calls_person: true,
            });
            pass(10).await;
        }
        assert_eq!(email.accepted(), [(5, Firing), (60, Firing)]);
        assert_eq!(email.last().lead.action, "left to a person: 2 automatic steps did not help");
    });
}

#[test]
fn what_is_left_to_a_person_while_a_message_is_under_way_is_told_after_it() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Slow]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(7).await;
        let action = "recovery of milvus-ha is stopped".to_owned();
        let update = UpdateAlert { incident: incident(), action, calls_person: true };
        stage.inbox.update.send(update);
        pass(60).await;
        assert_eq!(email.accepted(), [(10, Firing), (10, Firing)]);
        assert_eq!(email.last().lead.action, "recovery of milvus-ha is stopped");
    });
}

#[test]
fn raising_again_sends_nothing_by_itself() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        for _ in 0..20 {
            stage.raise(Severity::Critical).await;
            pass(10).await;
        }
        assert_eq!(email.accepted(), [(5, Firing)]);
    });
}

#[test]
fn a_blip_within_group_wait_bothers_nobody() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(4).await;
        stage.resolve(4).await;
        pass(1_000).await;
        assert_eq!(email.tried.lock().unwrap().len(), 0);
    });
}

#[test]
fn a_failed_send_is_retried_with_back_off_and_is_not_marked_as_sent() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Unavailable; 3]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Warning).await;
        pass(6).await;
        let snapshot = stage.board.snapshot().alerter;
        let Delivery::Retrying { error, told, .. } = &snapshot.alerts[0].deliveries["email"] else {
            panic!("{:?}", snapshot.alerts[0].deliveries);
        };
        assert_eq!((error.as_str(), *told), ("email: connection refused", None));
        assert!(!snapshot.receivers["email"].state.circuit.is_closed());
        pass(30).await;
        let tried: Vec<u64> = email.tried.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert_eq!(tried, [5, 6, 8, 12]);
        assert_eq!(email.accepted(), [(12, Firing)]);
        assert_eq!(stage.board.snapshot().alerter.receivers["email"].state.last_error, None);
    });
}

#[test]
fn a_receiver_that_missed_the_incident_is_told_the_whole_story_once() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Unavailable; 4]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        pass(13).await;
        stage.resolve(13).await;
        pass(600).await;
        assert_eq!(slack.accepted(), [(5, Firing), (13, Resolved)]);
        assert_eq!(email.accepted(), [(20, Resolved)]);
    });
}

#[test]
fn a_receiver_that_hangs_does_not_slow_the_others() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Hang]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        pass(10).await;
        assert!(stage.board.snapshot().alerter.receivers["email"].in_flight);
        stage.resolve(10).await;
        pass(600).await;
        assert_eq!(slack.accepted(), [(5, Firing), (10, Resolved)]);
        let tried: Vec<u64> = email.tried.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert_eq!(tried, [5, 36], "a timeout after 30 s, then the first back-off");
        assert_eq!(email.accepted(), [(36, Resolved)]);
    });
}

#[test]
fn a_dead_receiver_is_tried_no_more_often_for_many_incidents_and_slows_nobody() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Unavailable; 8]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        for number in 0..10 {
            let component = ComponentId::new("milvus-ha", format!("component-{number}"));
            let incident = IncidentId::new(&component, START);
            let alert = RaiseAlert(Alert { incident, component, ..raise(Severity::Critical).0 });
            stage.inbox.raise.send(alert);
        }
        pass(200).await;
        assert_eq!(slack.accepted(), [(5, Firing); 10]);
        let tried: Vec<u64> = email.tried.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert_eq!(tried, [5, 6, 8, 12, 20, 36, 68, 132], "one trial after each back-off");
        pass(80).await;
        assert_eq!(email.accepted(), [(260, Firing); 10], "all at once after the first answer");
    });
}

#[test]
fn a_receiver_gets_one_message_after_the_other_and_no_slower_receiver_matters() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Slow; 3]);
        let slack = stage.fake("slack", &[]);
        let _alerter = stage.start(&[&email, &slack]);
        for name in ["proxy", "querynode", "datanode"] {
            let component = ComponentId::new("milvus-ha", name);
            let incident = IncidentId::new(&component, START);
            let alert = RaiseAlert(Alert { incident, component, ..raise(Severity::Critical).0 });
            stage.inbox.raise.send(alert);
        }
        pass(60).await;
        assert_eq!(slack.accepted(), [(5, Firing); 3]);
        assert_eq!(email.accepted(), [(10, Firing), (15, Firing), (20, Firing)]);
    });
}

#[test]
fn a_raised_severity_is_told_at_once() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Warning).await;
        pass(60).await;
        stage.raise(Severity::Critical).await;
        pass(10).await;
        assert_eq!(email.accepted(), [(5, Firing), (60, Firing)]);
        assert_eq!(email.last().lead.severity, Severity::Critical);
    });
}

#[test]
fn a_respawned_alerter_goes_on_from_the_book() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Accept, Answer::Hang]);
        let first = stage.start(&[&email]);
        stage.raise(Severity::Warning).await;
        pass(60).await;
        // The first incarnation ends while the escalation is on its way.
        stage.raise(Severity::Critical).await;
        first.abort.abort();
        a_moment().await;
        assert!(!first.address.connected());
        let _second = stage.start(&[&email]);
        pass(20).await;
        assert_eq!(email.accepted(), [(5, Firing)], "what may be under way is not doubled");
        pass(20).await;
        assert_eq!(email.accepted(), [(5, Firing), (91, Firing)]);
        assert_eq!(email.last().lead.severity, Severity::Critical);
    });
}

#[test]
fn what_is_said_while_nobody_lives_to_hear_it_is_heard_by_the_next_incarnation() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let first = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(60).await;
        first.abort.abort();
        a_moment().await;
        stage.resolve(60).await;
        pass(100).await;
        assert_eq!(email.accepted(), [(5, Firing)]);
        let _second = stage.start(&[&email]);
        pass(1).await;
        assert_eq!(email.accepted(), [(5, Firing), (160, Resolved)]);
    });
}

#[test]
fn a_resolve_in_the_mailbox_of_an_alerter_that_panics_is_not_lost() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let first = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(60).await;
        first.address.do_send(Crash::Handler);
        stage.resolve(60).await;
        assert!(!first.address.connected());
        let _second = stage.start(&[&email]);
        pass(10).await;
        assert_eq!(email.accepted(), [(5, Firing), (60, Resolved)]);
    });
}

#[test]
fn a_receiver_with_a_bug_costs_its_own_messages_only() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Panic, Answer::Panic]);
        let slack = stage.fake("slack", &[]);
        let alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        pass(10).await;
        let snapshot = stage.board.snapshot().alerter;
        let error = snapshot.receivers["email"].state.last_error.clone();
        assert_eq!(error.as_deref(), Some("email: refused: panicked: a bug in a receiver"));
        pass(600).await;
        assert!(alerter.address.connected());
        assert_eq!(slack.accepted()[0], (5, Firing));
        assert!(!email.accepted().is_empty());
    });
}

#[test]
fn an_attempt_that_fails_in_the_instant_of_the_drain_is_made_once_more() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Unavailable]);
        let alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(5).await;
        a_moment().await;
        assert_eq!(email.tried.lock().unwrap().len(), 1);
        alerter.address.send(Drain { deadline: Duration::from_secs(10) }).await.unwrap();
        assert_eq!(email.accepted(), [(5, Firing)]);
        assert!(
            stage.book.lock().unwrap().undelivered(&stage.settings, stage.clock.now()).is_empty()
        );
    });
}

#[test]
fn draining_delivers_what_waits_and_answers_when_it_is_done() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(1).await;
        alerter.address.send(Drain { deadline: Duration::from_secs(10) }).await.unwrap();
        assert_eq!(email.accepted(), [(1, Firing)]);
        assert_eq!(stage.clock.now().since(START).as_secs(), 1);
    });
}

#[test]
fn draining_ends_at_its_deadline_though_a_receiver_hangs() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[Answer::Hang]);
        let slack = stage.fake("slack", &[Answer::Unavailable]);
        let alerter = stage.start(&[&email, &slack]);
        stage.raise(Severity::Critical).await;
        alerter.address.send(Drain { deadline: Duration::from_secs(10) }).await.unwrap();
        assert_eq!(stage.clock.now().since(START).as_secs(), 10);
        assert_eq!(slack.accepted().len(), 1);
    });
}

#[test]
fn an_idle_drain_answers_at_once() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let alerter = stage.start(&[&email]);
        alerter.address.send(Drain { deadline: Duration::from_secs(10) }).await.unwrap();
        assert_eq!(stage.clock.now(), START);
    });
}

#[test]
fn without_send_resolved_the_alert_just_closes() {
    in_virtual_time(async {
        let mut stage = Stage::new();
        stage.settings.send_resolved = false;
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(20).await;
        stage.resolve(20).await;
        pass(20).await;
        assert_eq!(email.accepted(), [(5, Firing)]);
        assert!(stage.board.snapshot().alerter.alerts.is_empty());
    });
}

#[test]
fn an_alert_without_any_receiver_shows_in_the_status_until_it_is_over() {
    in_virtual_time(async {
        let stage = Stage::new();
        let _alerter = stage.start(&[]);
        stage.raise(Severity::Critical).await;
        assert_eq!(stage.board.snapshot().alerter.alerts.len(), 1);
        stage.resolve(1).await;
        pass(1).await;
        assert_eq!(stage.board.snapshot().alerter.alerts.len(), 0);
    });
}

#[test]
fn hundreds_of_incidents_at_once_are_shown_soon_and_each_is_told_once() {
    in_virtual_time(async {
        let stage = Stage::new();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        let named = |index: usize| ComponentId::new("milvus-ha", format!("component-{index}"));
        for second in 0..20 {
            // They go on, and their supervisor says so again and again.
            for component in (0..300).map(named) {
                let incident = IncidentId::new(&component, START);
                let alert = Alert { incident, component, ..raise(Severity::Critical).0 };
                stage.inbox.raise.send(RaiseAlert(alert));
                tokio::task::yield_now().await;
            }
            pass(1).await;
            assert_eq!(stage.board.snapshot().alerter.alerts.len(), 300, "second {second}");
        }
        assert_eq!(email.accepted(), [(5, Firing); 300]);
    });
}

#[test]
fn a_storm_is_one_message_its_end_another_and_each_incident_is_on_record() {
    in_virtual_time(async {
        let mut stage = Stage::new();
        stage.settings = AlerterSettings::default();
        let email = stage.fake("email", &[]);
        let _alerter = stage.start(&[&email]);
        let named = |index: usize| ComponentId::new("milvus-ha", format!("component-{index}"));
        for component in (0..150).map(named) {
            let incident = IncidentId::new(&component, START);
            let alert = Alert { incident, component, ..raise(Severity::Critical).0 };
            stage.inbox.raise.send(RaiseAlert(alert));
        }
        pass(10).await;
        let snapshot = stage.board.snapshot().alerter;
        assert_eq!(snapshot.groups.len(), 1);
        let group = &snapshot.groups[0];
        assert_eq!((group.firing, group.held), (150, 0));
        assert_eq!(group.next_flush, START + Duration::from_secs(65));
        assert_eq!(group.next_reminder, Some(START + Duration::from_secs(305)));
        for component in (0..150).map(named) {
            let (incident, ended_at) = (IncidentId::new(&component, START), stage.clock.now());
            stage.inbox.resolve.send(ResolveAlert { incident, ended_at });
        }
        pass(100).await;
        let told: Vec<(u64, usize, usize)> = email
            .accepted
            .lock()
            .unwrap()
            .iter()
            .map(|(at, one)| (*at, one.alerts().count(), one.left_out))
            .collect();
        assert_eq!(told, [(5, 100, 50), (65, 100, 50)]);
        assert!(stage.board.snapshot().alerter.groups.is_empty());
        let kinds = vec![JournalKind::Delivery];
        let all = JournalQuery { component: None, kinds, limit: JournalQuery::MOST };
        let recorded = stage.journal.recent(&all).await.unwrap();
        let is_delivered = |record: &JournalRecord| match record {
            JournalRecord::Delivery(one) => one.outcome == DeliveryOutcome::Delivered,
            _ => false,
        };
        let delivered = recorded.iter().filter(|entry| is_delivered(&entry.record));
        assert_eq!(delivered.count(), 200);
    });
}

#[test]
fn a_follower_keeps_its_book_and_tells_people_at_once_when_it_becomes_the_leader() {
    in_virtual_time(async {
        let follower = || Leadership::Follower { leader: Some("a".into()), since: START };
        let (told, newest) = watch::channel(follower());
        let mut stage = Stage::new();
        stage.leadership = LeadershipHandle::new(newest, Duration::from_secs(5));
        let email = stage.fake("email", &[]);
        let _running = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(600).await;
        assert_eq!(email.tried.lock().unwrap().len(), 0, "the leader tells");
        assert_eq!(stage.book.lock().unwrap().alerts().count(), 1);
        assert!(!stage.board.actors().alerter.speaks);

        let until = stage.clock.now() + Duration::from_secs(10);
        told.send_replace(Leadership::Leader { since: stage.clock.now(), until });
        a_moment().await;
        assert_eq!(email.tried.lock().unwrap().len(), 1, "at once, without any time passing");

        // What nobody knows of the Lease does not silence the one that led.
        let why: Arc<str> = "no answer".into();
        let since = stage.clock.now();
        told.send_replace(Leadership::Unknown { why: Arc::clone(&why), since, speaks: true });
        stage.resolve(600).await;
        assert_eq!(email.tried.lock().unwrap().len(), 2);
        told.send_replace(Leadership::Unknown { why, since, speaks: false });
        a_moment().await;
        assert!(stage.leadership.speaks().is_err());
    });
}

#[test]
fn a_follower_that_ends_has_nothing_to_deliver() {
    in_virtual_time(async {
        let follower = Leadership::Follower { leader: None, since: START };
        let (_told, newest) = watch::channel(follower);
        let mut stage = Stage::new();
        stage.leadership = LeadershipHandle::new(newest, Duration::from_secs(5));
        let email = stage.fake("email", &[]);
        let running = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        let deadline = Duration::from_secs(60);
        running.address.send(Drain { deadline }).await.unwrap();
        assert_eq!(stage.clock.now(), START, "at once");
        assert_eq!(email.tried.lock().unwrap().len(), 0);
    });
}

#[test]
fn what_began_and_ended_under_another_leader_is_left_to_that_one() {
    in_virtual_time(async {
        let follower = Leadership::Follower { leader: Some("a".into()), since: START };
        let (told, newest) = watch::channel(follower);
        let mut stage = Stage::new();
        stage.leadership = LeadershipHandle::new(newest, Duration::from_secs(5));
        let email = stage.fake("email", &[]);
        let _running = stage.start(&[&email]);
        stage.raise(Severity::Critical).await;
        pass(100).await;
        stage.resolve(100).await;
        assert_eq!(stage.book.lock().unwrap().alerts().count(), 1, "the leader may just have died");
        pass(120).await;
        assert_eq!(stage.book.lock().unwrap().alerts().count(), 0, "a book that only grows");
        let until = stage.clock.now() + Duration::from_secs(10);
        told.send_replace(Leadership::Leader { since: stage.clock.now(), until });
        pass(10).await;
        assert_eq!(email.tried.lock().unwrap().len(), 0);
    });
}
