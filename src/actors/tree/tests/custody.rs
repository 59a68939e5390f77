//! A falconer that is killed, or that takes over from another one, goes on with what was told.

use super::*;
use crate::actors::alerter::{AcknowledgeAlert, AddSilence, ExpireSilence};
use crate::actors::supervisor::GONE;
use crate::effects::StateError;
use crate::model::{IncidentId, Leadership, Matchers, NewSilence, StateChanges, StoredState};

/// A store that a test can make unreadable, or hand to another falconer.
#[derive(Default)]
pub(super) struct Drawer {
    state: Mutex<StoredState>,
    unreadable: AtomicBool,
    taken: AtomicBool,
    /// Cannot be written: the disk is full.
    pub(super) is_full: AtomicBool,
}

#[async_trait]
impl StateStore for Drawer {
    async fn load(&self) -> Result<StoredState, StateError> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(StateError::Unavailable { store: "drawer".into(), why: "stuck".into() });
        }
        Ok(self.state.lock().unwrap().clone())
    }

    async fn save(&self, changes: &StateChanges) -> Result<(), StateError> {
        if self.taken.load(Ordering::SeqCst) {
            return Err(StateError::Fenced { store: "drawer".into(), why: "b has it".into() });
        }
        if self.is_full.load(Ordering::SeqCst) {
            let why = "no space left on device".into();
            return Err(StateError::Unavailable { store: "drawer".into(), why });
        }
        let mut state = self.state.lock().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        Ok(())
    }
}

pub(super) fn around(drawer: &Arc<Drawer>) -> Around {
    let store: Arc<dyn StateStore> = Arc::<Drawer>::clone(drawer);
    Around { store: Some(store), ..Around::default() }
}

impl Mailbox {
    /// What was said of which incident.
    fn told(&self) -> Vec<(AlertStatus, IncidentId)> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|message| (message.lead.status, message.lead.incident.clone()))
            .collect()
    }
}

#[test]
fn an_incident_goes_on_under_its_name_after_a_kill_and_its_end_is_told_once() {
    in_virtual_time(async {
        let around = around(&Arc::default());
        let before = Fixture::start_in(&around, 2);
        before.make_sick("c0");
        seconds(20).await;
        let first = around.mail.told();
        assert_eq!(first.len(), 1);
        drop(before);
        seconds(5).await;
        let after = Fixture::start_in(&around, 2);
        after.make_sick("c0");
        seconds(60).await;
        assert_eq!(around.mail.told(), first, "nothing new has happened");
        assert_eq!(after.health("c0").unwrap().state, HealthState::Unhealthy);
        after.probes["c0"].sick.store(false, Ordering::SeqCst);
        seconds(60).await;
        let end = (AlertStatus::Resolved, first[0].1.clone());
        assert_eq!(around.mail.told(), [first[0].clone(), end]);
    });
}

#[test]
fn a_message_that_was_being_sent_at_the_kill_is_sent_again_as_the_same_message() {
    in_virtual_time(async {
        let around = around(&Arc::default());
        let before = Fixture::start_in(&around, 1);
        before.make_sick("c0");
        around.mail.hangs.store(true, Ordering::SeqCst);
        seconds(20).await;
        drop(before);
        around.mail.hangs.store(false, Ordering::SeqCst);
        let after = Fixture::start_in(&around, 1);
        after.make_sick("c0");
        seconds(60).await;
        let received = around.mail.received.lock().unwrap();
        assert_eq!(received.len(), 2);
        let identity =
            |one: &Notification| (one.lead.incident.clone(), one.lead.status, one.sent_at);
        assert_eq!(identity(&received[0]), identity(&received[1]));
    });
}

#[test]
fn an_incident_that_ended_while_falconer_was_dead_is_told_to_be_over() {
    in_virtual_time(async {
        let drawer = Arc::default();
        let around = around(&drawer);
        let before = Fixture::start_in(&around, 1);
        before.make_sick("c0");
        seconds(20).await;
        drop(before);
        let _after = Fixture::start_in(&around, 1);
        seconds(20).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        assert_eq!(*drawer.state.lock().unwrap(), StoredState::new(), "nothing is left behind");
    });
}

#[test]
fn an_incident_of_a_component_that_is_gone_is_told_to_be_over_with_that_word() {
    in_virtual_time(async {
        let around = around(&Arc::default());
        let before = Fixture::start_in(&around, 2);
        before.make_sick("c1");
        seconds(20).await;
        drop(before);
        let _after = Fixture::start_in(&around, 1);
        seconds(20).await;
        let received = around.mail.received.lock().unwrap();
        assert_eq!(received.len(), 2);
        assert_eq!(
            (received[1].lead.status, &*received[1].lead.action),
            (AlertStatus::Resolved, GONE)
        );
    });
}

#[test]
fn nothing_is_told_before_it_is_known_what_was_told_unless_that_takes_long() {
    in_virtual_time(async {
        let drawer: Arc<Drawer> = Arc::default();
        drawer.unreadable.store(true, Ordering::SeqCst);
        let around = around(&drawer);
        let fixture = Fixture::start_in(&around, 1);
        fixture.make_sick("c0");
        seconds(9).await;
        assert_eq!(around.mail.statuses(), []);
        seconds(20).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing]);
        drawer.unreadable.store(false, Ordering::SeqCst);
        seconds(60).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing], "what was told is kept");
        assert_eq!(drawer.state.lock().unwrap().len(), 3, "an alert, its group, an incident");
    });
}

fn lead(since: Timestamp) -> Leadership {
    Leadership::Leader { since, until: since + Duration::from_hours(1) }
}

#[test]
fn a_follower_is_silent_and_goes_on_as_the_leader_where_the_old_one_ended() {
    in_virtual_time(async {
        let drawer = Arc::default();
        let mut around = around(&drawer);
        let follows = Leadership::Follower { leader: None, since: around.clock.now() };
        let old = Fixture::start_in(&around, 2);
        old.make_sick("c0");
        let (seat, seen) = watch::channel(follows);
        around.leadership = LeadershipHandle::new(seen, Duration::from_secs(5));
        seconds(1).await;
        let new = Fixture::start_in(&around, 2);
        new.make_sick("c0");
        seconds(20).await;
        let first = around.mail.told();
        assert_eq!(first.len(), 1, "told by the old leader alone");
        drop(old);
        new.make_sick("c1");
        seconds(10).await;
        seat.send_replace(lead(around.clock.now()));
        seconds(20).await;
        let told = around.mail.told();
        assert_eq!(told.len(), 2, "what the old leader did not see is told: {told:?}");
        new.probes["c0"].sick.store(false, Ordering::SeqCst);
        new.probes["c1"].sick.store(false, Ordering::SeqCst);
        seconds(20).await;
        let mut ended: Vec<_> = around.mail.told().drain(2..).collect();
        ended.sort_by(|one, other| one.1.cmp(&other.1));
        let end = |at: usize| (AlertStatus::Resolved, told[at].1.clone());
        assert_eq!(ended, [end(0), end(1)]);
    });
}

#[test]
fn a_falconer_whose_state_another_one_took_over_tells_nobody_anything() {
    in_virtual_time(async {
        let drawer: Arc<Drawer> = Arc::default();
        let around = around(&drawer);
        let fixture = Fixture::start_in(&around, 1);
        seconds(5).await;
        drawer.taken.store(true, Ordering::SeqCst);
        fixture.make_sick("c0");
        seconds(30).await;
        assert_eq!(around.mail.statuses(), []);
    });
}

#[test]
fn who_leads_again_without_another_leader_between_tells_nothing_twice() {
    in_virtual_time(async {
        let mut around = around(&Arc::default());
        let (seat, seen) = watch::channel(lead(around.clock.now()));
        around.leadership = LeadershipHandle::new(seen, Duration::from_secs(5));
        let fixture = Fixture::start_in(&around, 1);
        fixture.make_sick("c0");
        seconds(20).await;
        let (why, since) = ("the API is silent".into(), around.clock.now());
        seat.send_replace(Leadership::Unknown { why, since, speaks: true });
        fixture.probes["c0"].sick.store(false, Ordering::SeqCst);
        seconds(20).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        seat.send_replace(lead(around.clock.now()));
        seconds(60).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
    });
}

#[test]
fn who_has_never_led_and_does_not_know_who_leads_is_silent_at_first() {
    in_virtual_time(async {
        let mut around = around(&Arc::default());
        let (why, since) = ("the API is silent".into(), around.clock.now());
        let (_seat, seen) = watch::channel(Leadership::Unknown { why, since, speaks: true });
        around.leadership = LeadershipHandle::new(seen, Duration::from_secs(5));
        let fixture = Fixture::start_in(&around, 1);
        fixture.make_sick("c0");
        seconds(9).await;
        assert_eq!(around.mail.statuses(), []);
        seconds(9).await;
        assert_eq!(around.mail.statuses(), [AlertStatus::Firing]);
    });
}

#[test]
fn silences_and_who_looks_after_an_alert_survive_a_kill() {
    in_virtual_time(async {
        let around = around(&Arc::default());
        let before = Fixture::start_in(&around, 2);
        seconds(1).await;
        let now = before.clock.now();
        let wanted = NewSilence {
            matchers: Matchers { component: Some("c0".into()), ..Matchers::default() },
            holds: [].into(),
            starts_at: now,
            ends_at: now + Duration::from_mins(10),
            created_by: "ada".into(),
            comment: "new disks".into(),
        };
        let wishes = before.tree.as_ref().unwrap().wishes();
        let made = wishes.silence.ask(AddSilence(wanted)).await.unwrap().unwrap();
        before.make_sick("c0");
        before.make_sick("c1");
        seconds(20).await;
        let told = around.mail.told();
        assert_eq!(told.len(), 1, "of c1 only");
        let (by, comment) = ("bob".to_owned(), "mine".to_owned());
        let wish = AcknowledgeAlert { incident: told[0].1.clone(), by, comment };
        wishes.acknowledge.ask(wish).await.unwrap().unwrap();
        drop(before);
        seconds(5).await;
        let after = Fixture::start_in(&around, 2);
        after.make_sick("c0");
        after.make_sick("c1");
        seconds(500).await;
        assert_eq!(around.mail.told(), told, "one is silenced, of the other nobody is reminded");
        let expire = ExpireSilence { id: made.id.to_string(), by: "ada".into() };
        after.tree.as_ref().unwrap().wishes().expire.ask(expire).await.unwrap().unwrap();
        seconds(1).await;
        assert_eq!(around.mail.told().len(), 2);
        let received = around.mail.received.lock().unwrap();
        assert_eq!(&*received[1].lead.component.component, "c0");
    });
}
