//! The beacon in virtual time, over a watchdog in memory.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::status::ActorSnapshot;
use crate::actors::testing::in_virtual_time;
use crate::effects::NotifyError;
use crate::model::Leadership;

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What the watchdog does with one sign of life.
#[derive(Clone, Copy)]
enum Answer {
    Refuse,
    Hang,
    Panic,
}

struct Hound {
    clock: Clock,
    script: Mutex<VecDeque<Answer>>,
    /// Seconds since the start, and whether falconer said that it was well.
    heard: Mutex<Vec<(u64, bool)>>,
}

#[async_trait]
impl LifeSign for Hound {
    async fn tell(&self, condition: &Condition) -> Result<(), NotifyError> {
        self.heard
            .lock()
            .unwrap()
            .push((self.clock.now().since(START).as_secs(), condition.is_well()));
        let answer = self.script.lock().unwrap().pop_front();
        match answer {
            None => Ok(()),
            Some(Answer::Refuse) => Err(NotifyError::unavailable("heartbeat", "answered 503")),
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Panic) => panic!("a bug in an adapter"),
        }
    }
}

struct Stage {
    hound: Arc<Hound>,
    settings: BeaconSettings,
    parts: BeaconParts,
    leadership: watch::Sender<Leadership>,
}

impl Stage {
    fn new(script: &[Answer]) -> Self {
        let clock = Clock::starting_at(START);
        let hound = Arc::new(Hound {
            clock,
            script: Mutex::new(script.iter().copied().collect()),
            heard: Mutex::default(),
        });
        let mut heartbeat =
            HeartbeatSettings { tells_failure: true, ..HeartbeatSettings::default() };
        heartbeat.backoff.jitter = 0.0;
        let target: Arc<dyn LifeSign> = Arc::<Hound>::clone(&hound);
        let (leadership, seen) = watch::channel(Leadership::Standalone);
        let parts = BeaconParts {
            leadership: LeadershipHandle::new(seen, Duration::from_secs(5)),
            board: StatusBoard::default(),
            clock,
            metrics: Metrics::default(),
        };
        let settings = BeaconSettings { heartbeat, target: Some(target) };
        Self { hound, settings, parts, leadership }
    }

    fn start(&self) -> Running<Beacon> {
        let beacon = Beacon::new(self.settings.clone(), self.parts.clone());
        exit_guard::start(4, move |_| beacon, Box::new(|_| {}))
    }

    fn heard(&self) -> Vec<(u64, bool)> {
        self.hound.heard.lock().unwrap().clone()
    }

    fn shown(&self) -> BeaconSnapshot {
        self.parts.board.actors().beacon
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn a_sign_of_life_goes_out_every_minute_and_a_lost_one_is_repeated_soon() {
    in_virtual_time(async {
        let stage = Stage::new(&[Answer::Refuse, Answer::Hang, Answer::Panic]);
        let _beacon = stage.start();
        pass(20).await;
        assert_eq!(stage.heard(), [(0, true), (1, true), (13, true), (17, true)]);
        assert_eq!(stage.shown().failing_since, None);
        pass(120).await;
        assert_eq!(stage.heard()[4..], [(77, true), (137, true)]);
        assert_eq!(stage.shown().accepted_at, Some(START + Duration::from_secs(137)));
    });
}

#[test]
fn a_watchdog_that_does_not_answer_is_shown_with_its_reason() {
    in_virtual_time(async {
        let stage = Stage::new(&[Answer::Refuse; 3]);
        let _beacon = stage.start();
        pass(5).await;
        let shown = stage.shown();
        assert_eq!(shown.failing_since, Some(START));
        assert_eq!(shown.error.as_deref(), Some("heartbeat: answered 503"));
    });
}

#[test]
fn an_actor_beyond_help_is_told_at_once_and_so_is_its_return() {
    in_virtual_time(async {
        let stage = Stage::new(&[]);
        let _beacon = stage.start();
        pass(10).await;
        let gone = ActorSnapshot {
            kind: "alerter",
            respawns: 10,
            ended_at: START,
            reason: "panicked: oh".to_owned(),
            respawn_at: None,
            beyond_help: true,
        };
        stage.parts.board.update(|status| {
            status.actors.insert("alerter".to_owned(), gone);
        });
        pass(10).await;
        stage.parts.board.update(|status| status.actors.clear());
        pass(10).await;
        let heard: Vec<bool> = stage.heard().iter().map(|(_, is_well)| *is_well).collect();
        assert_eq!(heard, [true, false, true]);
    });
}

#[test]
fn only_a_falconer_that_would_tell_people_sends_signs_of_life() {
    in_virtual_time(async {
        let stage = Stage::new(&[]);
        let follower = Leadership::Follower { leader: Some("b".into()), since: START };
        stage.leadership.send_replace(follower);
        let _beacon = stage.start();
        pass(300).await;
        assert_eq!(stage.heard(), []);
        assert!(stage.shown().silent.is_some());
        let since = stage.parts.clock.now();
        let until = since + Duration::from_hours(1);
        stage.leadership.send_replace(Leadership::Leader { since, until });
        pass(2).await;
        assert_eq!(stage.heard().len(), 1);
        assert_eq!(stage.shown().silent, None);
    });
}

#[test]
fn other_settings_hold_at_once() {
    in_virtual_time(async {
        let stage = Stage::new(&[]);
        let beacon = stage.start();
        pass(10).await;
        let mut settings = stage.settings.clone();
        settings.heartbeat.interval = Duration::from_secs(10);
        beacon.address.do_send(Reconfigure(settings));
        pass(21).await;
        assert_eq!(stage.heard().len(), 4);
        beacon.address.do_send(Reconfigure(BeaconSettings::default()));
        pass(60).await;
        assert_eq!(stage.heard().len(), 4);
        assert!(!stage.shown().enabled);
    });
}
