//! Silences, windows, mute times, acknowledgement and escalation: the instants at which people are
//! told, worked out by hand.

use super::*;
use crate::model::{Held, Matchers, NewSilence, RefusalKind};
use crate::policy::calendar::Recurrence;
use crate::policy::maintenance::MaintenanceWindow;
use crate::policy::notification::{EscalationLevel, Route};

/// What happens to the one component there is.
#[derive(Debug, Clone, Copy)]
enum Event {
    Raise(Severity),
    Resolve,
    /// For so many seconds from then on.
    Silence(u64),
    /// From so many seconds later on, for so many seconds.
    SilenceLater(u64, u64),
    /// Warnings only.
    SilenceWarnings(u64),
    Expire,
    Acknowledge,
}

use Event::{Acknowledge, Expire, Raise, Resolve, Silence, SilenceLater, SilenceWarnings};
use Severity::{Critical, Warning};

type Told = Vec<(u64, AlertStatus)>;

/// A receiver that everything goes to, and one that is called only where nobody acknowledges.
struct Play {
    stage: Stage,
    email: Arc<Fake>,
    oncall: Arc<Fake>,
    alerter: Running<Alerter>,
}

impl Play {
    fn begin(change: impl FnOnce(&mut AlerterSettings)) -> Self {
        let mut stage = Stage::new();
        let (to, mute) = (vec!["email".into()], Vec::new());
        stage.settings.routes = vec![Route { to, mute, ..Route::default() }];
        change(&mut stage.settings);
        let (email, oncall) = (stage.fake("email", &[]), stage.fake("oncall", &[]));
        let alerter = stage.start(&[&email, &oncall]);
        Self { stage, email, oncall, alerter }
    }

    fn wanted(&self, later: u64, lasts: u64) -> NewSilence {
        let starts_at = self.stage.clock.now() + Duration::from_secs(later);
        NewSilence {
            matchers: Matchers { component: Some("query*".into()), ..Matchers::default() },
            holds: [].into(),
            starts_at,
            ends_at: starts_at + Duration::from_secs(lasts),
            created_by: "ada".into(),
            comment: "new disks".into(),
        }
    }

    async fn silence(&self, wanted: NewSilence) {
        self.alerter.address.send(AddSilence(wanted)).await.unwrap().unwrap();
    }

    async fn perform(&self, event: Event) {
        let ask = &self.alerter.address;
        match event {
            Raise(severity) => self.stage.raise(severity).await,
            Resolve => {
                self.stage.resolve(self.stage.clock.now().since(START).as_secs()).await;
            }
            Silence(lasts) => self.silence(self.wanted(0, lasts)).await,
            SilenceLater(later, lasts) => self.silence(self.wanted(later, lasts)).await,
            SilenceWarnings(lasts) => {
                let mut wanted = self.wanted(0, lasts);
                wanted.matchers.severity = Some(Warning);
                self.silence(wanted).await;
            }
            Expire => {
                let silences = self.stage.board.snapshot().alerter.silences.clone();
                let id = silences[0].id.to_string();
                ask.send(ExpireSilence { id, by: "bob".into() }).await.unwrap().unwrap();
            }
            Acknowledge => {
                let (incident, by, comment) = (incident(), "bob".into(), "on it".into());
                let wish = AcknowledgeAlert { incident, by, comment };
                ask.send(wish).await.unwrap().unwrap();
            }
        }
        a_moment().await;
    }

    /// Lets the events happen at their seconds and waits an hour more. Gives what each was told.
    async fn play(self, events: &[(u64, Event)]) -> (Told, Told) {
        for (at, event) in events {
            pass(at.saturating_sub(self.email.seconds())).await;
            self.perform(*event).await;
        }
        pass(3_600).await;
        self.alerter.abort.abort();
        a_moment().await;
        (self.email.accepted(), self.oncall.accepted())
    }
}

fn daily(pattern: &str) -> Recurrence {
    Recurrence::cron(pattern, "UTC", Duration::from_mins(10)).unwrap()
}

/// In the first hour of the year 2026, a Thursday: the first message after 5 seconds, reminders
/// after 300.
#[test]
fn what_is_quiet_is_told_afterwards_and_its_end_only_to_who_knows_of_it() {
    type Row<'a> = (&'a str, &'a [(u64, Event)], &'a [(u64, AlertStatus)]);
    let table: [Row<'_>; 8] = [
        (
            "a silence that ends by itself",
            &[(0, Silence(600)), (0, Raise(Critical)), (700, Resolve)],
            &[(600, Firing), (700, Resolved)],
        ),
        (
            "a silence that is ended by hand",
            &[(0, Silence(600)), (0, Raise(Critical)), (50, Expire), (60, Resolve)],
            &[(50, Firing), (60, Resolved)],
        ),
        (
            "the reminder that was due at 305 waits for the end of the silence",
            &[(0, Raise(Critical)), (100, Silence(300)), (450, Resolve)],
            &[(5, Firing), (400, Firing), (450, Resolved)],
        ),
        (
            "a silence that begins later",
            &[(0, SilenceLater(100, 300)), (0, Raise(Critical)), (450, Resolve)],
            &[(5, Firing), (400, Firing), (450, Resolved)],
        ),
        (
            "who was told is told of the end whatever is silenced",
            &[(0, Raise(Critical)), (100, Silence(3_000)), (200, Resolve)],
            &[(5, Firing), (200, Resolved)],
        ),
        (
            "what is over before anybody was told is never mentioned",
            &[(0, Silence(600)), (0, Raise(Critical)), (300, Resolve)],
            &[],
        ),
        (
            "a silence of warnings does not hold what becomes critical",
            &[
                (0, SilenceWarnings(3_000)),
                (0, Raise(Warning)),
                (60, Raise(Critical)),
                (70, Resolve),
            ],
            &[(60, Firing), (70, Resolved)],
        ),
        (
            "two silences hold until the later one ends",
            &[(0, Silence(100)), (0, Silence(200)), (0, Raise(Critical)), (250, Resolve)],
            &[(200, Firing), (250, Resolved)],
        ),
    ];
    for (name, events, expected) in table {
        in_virtual_time(async move {
            assert_eq!(Play::begin(|_| {}).play(events).await.0, expected, "{name}");
        });
    }
}

#[test]
fn a_window_and_a_mute_time_hold_as_long_as_they_are_open() {
    in_virtual_time(async {
        let events = [(0, Raise(Critical)), (650, Resolve)];
        let window = |settings: &mut AlerterSettings| {
            settings.maintenance = vec![MaintenanceWindow {
                time: daily("0 0 * * *"),
                matchers: Matchers { cluster: Some("milvus-ha".into()), ..Matchers::default() },
                holds: [Held::Alerts].into(),
                comment: "storage".into(),
            }];
        };
        let expected = [(600, Firing), (650, Resolved)];
        assert_eq!(Play::begin(window).play(&events).await.0, expected);
        let muted = |settings: &mut AlerterSettings| {
            settings.routes[0].mute = vec!["midnight".into()];
            settings.mutes = [("midnight".into(), daily("0 0 * * *"))].into();
        };
        assert_eq!(Play::begin(muted).play(&events).await.0, expected);
    });
}

#[test]
fn reminders_wait_for_the_end_of_a_mute_time() {
    in_virtual_time(async {
        let muted = |settings: &mut AlerterSettings| {
            settings.routes[0].mute = vec!["ten".into()];
            settings.mutes = [("ten".into(), daily("10 0 * * *"))].into();
            settings.repeat_interval = Duration::from_secs(900);
        };
        // A reminder would be due at 905; from 600 to 1200 nobody is told.
        let events = [(0, Raise(Critical)), (1_300, Resolve)];
        let expected = [(5, Firing), (1_200, Firing), (1_300, Resolved)];
        assert_eq!(Play::begin(muted).play(&events).await.0, expected);
    });
}

#[test]
fn who_looks_after_an_alert_is_not_reminded_until_it_gets_worse() {
    in_virtual_time(async {
        let events =
            [(0, Raise(Warning)), (20, Acknowledge), (1_000, Raise(Critical)), (1_100, Resolve)];
        let (email, _) = Play::begin(|_| {}).play(&events).await;
        assert_eq!(email, [(5, Firing), (1_000, Firing), (1_100, Resolved)]);
        // It needs a new acknowledgement: reminded after 300 seconds.
        let play = Play::begin(|_| {});
        let events =
            [(0, Raise(Warning)), (20, Acknowledge), (1_000, Raise(Critical)), (1_301, Resolve)];
        let (email, _) = play.play(&events).await;
        assert_eq!(email, [(5, Firing), (1_000, Firing), (1_300, Firing), (1_301, Resolved)]);
    });
}

#[test]
fn a_receiver_that_shows_the_present_state_is_told_who_looks_after_it() {
    in_virtual_time(async {
        let play = Play::begin(|settings| {
            settings.peculiar.entry("email".into()).or_default().keeps_current = true;
        });
        let email = Arc::clone(&play.email);
        let events = [(0, Raise(Critical)), (20, Acknowledge), (30, Resolve)];
        let told = play.play(&events).await.0;
        assert_eq!(told, [(5, Firing), (20, Firing), (30, Resolved)]);
        let by = email.accepted.lock().unwrap()[1].1.lead.acknowledged.clone().unwrap();
        assert_eq!((&*by.by, &*by.comment), ("bob", "on it"));
    });
}

/// After 15 minutes the one on call is told, after an hour both are.
fn levels(settings: &mut AlerterSettings) {
    settings.repeat_interval = Duration::from_hours(2);
    let level = |minutes: u64, to: &[&str]| EscalationLevel {
        after: Duration::from_mins(minutes),
        to: to.iter().map(ToString::to_string).collect(),
    };
    settings.escalation = vec![level(15, &["oncall"]), level(60, &["oncall", "email"])];
}

#[test]
fn what_nobody_acknowledges_is_told_to_the_next_one() {
    type Row<'a> =
        (&'a str, &'a [(u64, Event)], &'a [(u64, AlertStatus)], &'a [(u64, AlertStatus)]);
    let table: [Row<'_>; 6] = [
        (
            "level by level, from the moment at which somebody was told",
            &[(0, Raise(Critical)), (4_000, Resolve)],
            &[(5, Firing), (3_605, Firing), (4_000, Resolved)],
            &[(905, Firing), (3_605, Firing), (4_000, Resolved)],
        ),
        (
            "not where somebody looks after it",
            &[(0, Raise(Critical)), (600, Acknowledge), (4_000, Resolve)],
            &[(5, Firing), (4_000, Resolved)],
            &[],
        ),
        (
            "not what is over",
            &[(0, Raise(Critical)), (904, Resolve)],
            &[(5, Firing), (904, Resolved)],
            &[],
        ),
        (
            "not what is silenced: the time counts anew from 1200",
            &[(0, Raise(Critical)), (300, Silence(900)), (2_200, Resolve)],
            &[(5, Firing), (2_200, Resolved)],
            &[(2_100, Firing), (2_200, Resolved)],
        ),
        (
            "not a warning, before it is critical",
            &[(0, Raise(Warning)), (100, Raise(Critical)), (1_500, Resolve)],
            &[(5, Firing), (100, Firing), (1_500, Resolved)],
            &[(1_000, Firing), (1_500, Resolved)],
        ),
        (
            "once, and who was called is told what was not done",
            &[(0, Raise(Critical)), (1_000, Acknowledge), (3_900, Resolve)],
            &[(5, Firing), (3_900, Resolved)],
            &[(905, Firing), (3_900, Resolved)],
        ),
    ];
    for (name, events, email, oncall) in table {
        in_virtual_time(async move {
            let told = Play::begin(levels).play(events).await;
            assert_eq!(told, (email.to_vec(), oncall.to_vec()), "{name}");
        });
    }
}

#[test]
fn who_is_called_is_told_that_nobody_has_acknowledged() {
    in_virtual_time(async {
        let play = Play::begin(levels);
        let oncall = Arc::clone(&play.oncall);
        play.play(&[(0, Raise(Critical)), (1_000, Acknowledge)]).await;
        assert_eq!(oncall.last().lead.details[0], "not acknowledged for 15m");
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    in_virtual_time(async {
        let play = Play::begin(|_| {});
        let mut wanted = play.wanted(0, 60);
        wanted.matchers = Matchers::default();
        let ask = &play.alerter.address;
        let refused = ask.send(AddSilence(wanted)).await.unwrap().unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Invalid);
        let nosuch = ExpireSilence { id: "nosuch".into(), by: "ada".into() };
        assert_eq!(ask.send(nosuch).await.unwrap().unwrap_err().kind, RefusalKind::Unknown);
        let wish =
            AcknowledgeAlert { incident: incident(), by: "ada".into(), comment: String::new() };
        let refused = ask.send(wish).await.unwrap().unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unknown);
        assert!(play.stage.board.snapshot().alerter.silences.is_empty());
    });
}

#[test]
fn one_that_does_not_lead_takes_no_silence_and_names_the_leader() {
    in_virtual_time(async {
        let leader = Some("falconer-1".into());
        let (_lead, newest) = watch::channel(Leadership::Follower { leader, since: START });
        let mut stage = Stage::new();
        stage.leadership = LeadershipHandle::new(newest, Duration::from_secs(5));
        let email = stage.fake("email", &[]);
        let alerter = stage.start(&[&email]);
        let play = Play { oncall: stage.fake("oncall", &[]), email, stage, alerter };
        let wanted = AddSilence(play.wanted(0, 60));
        let refused = play.alerter.address.send(wanted).await.unwrap().unwrap_err();
        assert_eq!(refused.kind, RefusalKind::NotLeader);
        assert_eq!(refused.words, "this falconer does not act, falconer-1 does: ask there");
        a_moment().await;
        assert!(play.stage.silences.lock().unwrap().all().is_empty());
    });
}
