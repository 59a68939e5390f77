//! When children are made anew, and when they are beyond help.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::actors::testing::in_virtual_time;
use crate::policy::backoff::{BackoffSettings, Intensity};

/// A parent that nobody needs to be.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<ChildExited> for Nobody {
    type Result = ();

    fn handle(&mut self, _: ChildExited, _: &mut Self::Context) {}
}

/// Children that are tasks which do nothing, and how often each was made.
struct Nursery {
    children: Children,
    board: StatusBoard,
    made: Rc<RefCell<Vec<&'static str>>>,
}

impl Nursery {
    fn new() -> Self {
        let board = StatusBoard::default();
        let parts = ChildrenParts {
            parent: Nobody.start().recipient(),
            path: "milvus-ha/".to_owned(),
            board: board.clone(),
            clock: Clock::starting_at(Timestamp::default()),
            metrics: Metrics::default(),
        };
        Self { children: Children::new(parts), board, made: Rc::default() }
    }

    fn add(&mut self, key: &'static str, respawn: RespawnSettings) {
        let made = Rc::clone(&self.made);
        let factory = move |_| {
            made.borrow_mut().push(key);
            tokio::task::spawn_local(std::future::pending::<()>()).abort_handle()
        };
        self.children.add(key.into(), "prober", respawn, Box::new(factory));
    }

    /// The newest incarnation of `key` panics.
    fn panics(&mut self, key: &str) -> ExitDecision {
        let incarnation = self.children.children[key].incarnation;
        let reason = ExitReason::Panicked("index out of bounds".to_owned());
        self.children.on_exit(&ChildExited { key: key.into(), incarnation, reason }, 0.5)
    }

    fn made(&self) -> usize {
        self.made.borrow().len()
    }
}

fn respawn(burst: usize) -> RespawnSettings {
    let initial = Duration::from_millis(20);
    RespawnSettings {
        backoff: BackoffSettings { initial, jitter: 0.0, ..BackoffSettings::default() },
        intensity: Intensity { burst, ..Intensity::default() },
    }
}

fn after(decision: ExitDecision) -> (u128, RespawnDue) {
    match decision {
        ExitDecision::RespawnAfter(delay, due) => (delay.as_millis(), due),
        other => panic!("{other:?}"),
    }
}

#[test]
fn back_offs_double_and_begin_anew_after_a_minute_of_life() {
    in_virtual_time(async {
        let mut nursery = Nursery::new();
        nursery.add("prober/proxy", respawn(10));
        let mut delays = Vec::new();
        for _ in 0..4 {
            let (delay, due) = after(nursery.panics("prober/proxy"));
            delays.push(delay);
            assert!(nursery.children.respawn(&due));
        }
        assert_eq!(delays, [20, 40, 80, 160]);
        tokio::time::sleep(STABLE_AFTER).await;
        assert_eq!(after(nursery.panics("prober/proxy")).0, 20);
    });
}

#[test]
fn a_child_that_ends_too_often_is_beyond_help_and_named_with_its_last_reason() {
    in_virtual_time(async {
        let mut nursery = Nursery::new();
        nursery.add("prober/proxy", respawn(2));
        for _ in 0..2 {
            let (_, due) = after(nursery.panics("prober/proxy"));
            nursery.children.respawn(&due);
        }
        let ExitDecision::Escalate(beyond) = nursery.panics("prober/proxy") else {
            panic!("three ends in no time, two are allowed");
        };
        assert_eq!(beyond.actor, "milvus-ha/prober/proxy");
        assert_eq!(beyond.reason, "ended more than 2 times in 10m: panicked: index out of bounds");
    });
}

#[test]
fn other_settings_hold_for_the_next_end() {
    in_virtual_time(async {
        let mut nursery = Nursery::new();
        nursery.add("prober/proxy", respawn(10));
        let (_, due) = after(nursery.panics("prober/proxy"));
        nursery.children.respawn(&due);
        nursery.children.set_respawn("prober/proxy", respawn(1));
        assert!(matches!(nursery.panics("prober/proxy"), ExitDecision::Escalate(_)));
        assert!(nursery.board.snapshot().actors["milvus-ha/prober/proxy"].beyond_help);
        assert_eq!(nursery.made(), 2);
    });
}

#[test]
fn only_the_present_incarnation_and_its_own_back_off_count() {
    in_virtual_time(async {
        let mut nursery = Nursery::new();
        nursery.add("prober/proxy", respawn(10));
        let (_, stale) = after(nursery.panics("prober/proxy"));
        // Its settings change meanwhile: it is another child under the same name.
        nursery.add("prober/proxy", respawn(10));
        assert_eq!(nursery.made(), 2);
        assert!(!nursery.children.respawn(&stale), "it lives already");
        let reason = ExitReason::Aborted;
        let old = ChildExited { key: stale.key.clone(), incarnation: stale.incarnation, reason };
        assert_eq!(nursery.children.on_exit(&old, 0.5), ExitDecision::Ignore);
        let (_, due) = after(nursery.panics("prober/proxy"));
        assert!(!nursery.children.respawn(&stale), "its back-off is another one's");
        assert!(nursery.children.respawn(&due));
        assert!(!nursery.children.respawn(&due), "once");
        assert_eq!(nursery.made(), 3);
    });
}

#[test]
fn a_removed_child_is_not_made_anew_and_shown_no_more() {
    in_virtual_time(async {
        let mut nursery = Nursery::new();
        nursery.add("prober/proxy", respawn(10));
        let (_, due) = after(nursery.panics("prober/proxy"));
        let shown = nursery.board.snapshot().actors["milvus-ha/prober/proxy"].clone();
        assert_eq!(shown.reason, "panicked: index out of bounds");
        assert_eq!(shown.respawn_at, Some(Timestamp::from_millis(20)));
        assert!(nursery.children.respawn(&due));
        let shown = nursery.board.snapshot().actors["milvus-ha/prober/proxy"].clone();
        assert_eq!((shown.respawns, shown.respawn_at), (1, None));
        let (_, due) = after(nursery.panics("prober/proxy"));
        assert!(nursery.children.remove("prober/proxy"));
        assert!(!nursery.children.respawn(&due));
        assert!(nursery.board.snapshot().actors.is_empty());
    });
}
