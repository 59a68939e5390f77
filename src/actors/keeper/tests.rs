//! Tests of the keeper over stores in memory, in virtual time.

use std::collections::VecDeque;
use std::future::pending;

use async_trait::async_trait;
use tokio::time::sleep;

use super::*;
use crate::model::Timestamp;

/// What a store does when it is asked to save.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Saves,
    Fails,
    Hangs,
    Panics,
    RefusesLarge,
    Fenced,
}

#[derive(Default)]
struct Shelf {
    state: StoredState,
    answers: VecDeque<Answer>,
    always: Option<Answer>,
    unreadable: bool,
    saves: Vec<StateChanges>,
}

#[derive(Default)]
struct FakeStore(Mutex<Shelf>);

impl FakeStore {
    fn holding(entries: &[(&str, &str)]) -> Arc<Self> {
        let store = Self::default();
        store.shelf().state = state(entries);
        Arc::new(store)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap()
    }

    fn answers(&self, answer: Option<Answer>) {
        self.shelf().always = answer;
    }
}

#[async_trait]
impl StateStore for FakeStore {
    async fn load(&self) -> Result<StoredState, StateError> {
        let shelf = self.shelf();
        if shelf.unreadable { Err(unavailable()) } else { Ok(shelf.state.clone()) }
    }

    async fn save(&self, changes: &StateChanges) -> Result<(), StateError> {
        let answer = {
            let mut shelf = self.shelf();
            shelf.saves.push(changes.clone());
            shelf.answers.pop_front().or(shelf.always).unwrap_or(Answer::Saves)
        };
        let is_large = changes.values().flatten().any(|text| text == "large");
        match answer {
            Answer::Saves => {}
            Answer::RefusesLarge if !is_large => {}
            Answer::RefusesLarge => {
                return Err(StateError::Refused { store: "fake".into(), why: "too large".into() });
            }
            Answer::Fails => return Err(unavailable()),
            Answer::Hangs => pending().await,
            Answer::Panics => panic!("a store with a bug"),
            Answer::Fenced => {
                return Err(StateError::Fenced { store: "fake".into(), why: "b has it".into() });
            }
        }
        apply(&mut self.shelf().state, changes);
        Ok(())
    }
}

fn unavailable() -> StateError {
    StateError::Unavailable { store: "fake".into(), why: "down".into() }
}

fn state(entries: &[(&str, &str)]) -> StoredState {
    entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

fn set(key: &str, text: &str) -> StateChanges {
    StateChanges::from([(key.to_owned(), Some(text.to_owned()))])
}

const DEADLINE: Duration = Duration::from_secs(2);

fn keeper(stores: &[(&'static str, &Arc<FakeStore>)]) -> StateKeeper {
    let named = |(name, store): &(&'static str, &Arc<FakeStore>)| NamedStore {
        name,
        store: Arc::clone(store) as Arc<dyn StateStore>,
        is_decisive: *name == "decisive",
    };
    let clock = Clock::starting_at(Timestamp::from_millis(1_767_225_600_000));
    StateKeeper::start(stores.iter().map(named).collect(), clock, Metrics::default())
}

/// Loads and opens it with what was found.
async fn open(keeper: &StateKeeper) -> Loaded {
    let loaded = keeper.load(Patience::WaitForAll).await.expect("a readable store");
    keeper.open(&loaded, loaded.state.clone());
    loaded
}

#[tokio::test(start_paused = true)]
async fn the_first_store_that_holds_anything_is_believed_and_the_others_follow() {
    let (map, disk) =
        (FakeStore::holding(&[("a", "new")]), FakeStore::holding(&[("a", "old"), ("b", "old")]));
    let keeper = keeper(&[("configmap", &map), ("disk", &disk)]);
    let loaded = open(&keeper).await;
    assert_eq!((loaded.from, loaded.state), (Some("configmap"), state(&[("a", "new")])));
    keeper.persist(set("c", "1"), DEADLINE).await.expect("saved");
    for store in [map, disk] {
        assert_eq!(store.shelf().state, state(&[("a", "new"), ("c", "1")]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_store_is_filled_from_the_disk() {
    let (map, disk) = (FakeStore::holding(&[]), FakeStore::holding(&[("a", "1")]));
    let keeper = keeper(&[("configmap", &map), ("disk", &disk)]);
    assert_eq!(open(&keeper).await.from, Some("disk"));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(map.shelf().state, state(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_first_store_that_cannot_be_read_is_waited_for_only_by_who_is_patient() {
    let (map, disk) = (FakeStore::holding(&[("a", "new")]), FakeStore::holding(&[("a", "old")]));
    map.shelf().unreadable = true;
    let keeper = keeper(&[("configmap", &map), ("disk", &disk)]);
    assert_eq!(keeper.load(Patience::WaitForAll).await.unwrap_err(), unavailable());
    let loaded = keeper.load(Patience::WaitForDecisive).await.expect("the disk");
    assert_eq!(loaded.from, Some("disk"));
    keeper.open(&loaded, loaded.state.clone());
    keeper.persist(set("b", "1"), DEADLINE).await.expect("saved on the disk");
    map.shelf().unreadable = false;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(map.shelf().state, state(&[("a", "old"), ("b", "1")]));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_written_together_and_only_where_it_is_new() {
    let disk = FakeStore::holding(&[]);
    let keeper = keeper(&[("disk", &disk)]);
    open(&keeper).await;
    sleep(Duration::from_millis(1)).await;
    for text in ["1", "2", "3"] {
        keeper.keep(set("a", text));
        keeper.keep(set("b", text));
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(1)).await;
    keeper.keep(set("a", "3"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(disk.shelf().saves.len(), 1);
    assert_eq!(disk.shelf().state, state(&[("a", "3"), ("b", "3")]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_the_deadline_once_and_is_made_up_for_later() {
    let (map, disk) = (FakeStore::holding(&[]), FakeStore::holding(&[]));
    let keeper = keeper(&[("configmap", &map), ("disk", &disk)]);
    open(&keeper).await;
    map.answers(Some(Answer::Hangs));
    let begun = Instant::now();
    keeper.persist(set("a", "1"), DEADLINE).await.expect("the disk has it");
    assert_eq!(begun.elapsed(), DEADLINE);
    assert_eq!(disk.shelf().state, state(&[("a", "1")]));
    sleep(slot::LONGEST).await;
    let begun = Instant::now();
    keeper.persist(set("b", "1"), DEADLINE).await.expect("the disk has it");
    assert!(begun.elapsed() < Duration::from_millis(10), "{:?}", begun.elapsed());
    map.answers(None);
    sleep(slot::LONGEST * 3).await;
    assert_eq!(map.shelf().state, state(&[("a", "1"), ("b", "1")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_nowhere_is_an_error_and_is_tried_again() {
    let disk = FakeStore::holding(&[]);
    let keeper = keeper(&[("disk", &disk)]);
    open(&keeper).await;
    for bad in [Answer::Fails, Answer::Panics] {
        disk.answers(Some(bad));
        let error = keeper.persist(set("a", "1"), DEADLINE).await.unwrap_err();
        assert!(matches!(error, StateError::Unavailable { .. }), "{error}");
        assert!(keeper.snapshot().failing_since().is_some());
    }
    disk.answers(None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(disk.shelf().state, state(&[("a", "1")]));
    assert_eq!(keeper.snapshot().failing_since(), None);
}

#[tokio::test(start_paused = true)]
async fn one_text_that_is_refused_does_not_cost_the_others() {
    let disk = FakeStore::holding(&[]);
    disk.answers(Some(Answer::RefusesLarge));
    let keeper = keeper(&[("disk", &disk)]);
    open(&keeper).await;
    keeper.keep(set("a", "1"));
    keeper.keep(set("b", "large"));
    keeper.keep(set("c", "1"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(disk.shelf().state, state(&[("a", "1"), ("c", "1")]));
    assert_eq!(keeper.snapshot().stores[0].lacks, 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_another_falconer_has_taken_over_is_not_touched_any_more() {
    let (map, disk) = (FakeStore::holding(&[]), FakeStore::holding(&[]));
    let keeper = keeper(&[("configmap", &map), ("disk", &disk)]);
    open(&keeper).await;
    map.answers(Some(Answer::Fenced));
    let error = keeper.persist(set("a", "1"), DEADLINE).await.unwrap_err();
    assert!(matches!(error, StateError::Fenced { .. }), "{error}");
    assert_eq!(keeper.fenced().await, error);
    let saves = map.shelf().saves.len();
    keeper.keep(set("b", "1"));
    assert_eq!(keeper.persist(set("c", "1"), DEADLINE).await.unwrap_err(), error);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(map.shelf().saves.len(), saves);
    map.answers(None);
    open(&keeper).await;
    keeper.persist(set("d", "1"), DEADLINE).await.expect("it leads again");
}

#[tokio::test(start_paused = true)]
async fn a_decisive_store_is_waited_for_by_everybody() {
    let (map, disk) = (FakeStore::holding(&[]), FakeStore::holding(&[("a", "old")]));
    map.shelf().unreadable = true;
    let keeper = keeper(&[("decisive", &map), ("disk", &disk)]);
    assert_eq!(keeper.load(Patience::WaitForDecisive).await.unwrap_err(), unavailable());
}

#[tokio::test(start_paused = true)]
async fn what_the_keeper_has_written_itself_is_recognised() {
    let disk = FakeStore::holding(&[("a", "1")]);
    let keeper = keeper(&[("disk", &disk)]);
    assert!(!open(&keeper).await.is_own);
    keeper.persist(set("b", "1"), DEADLINE).await.expect("saved");
    keeper.close();
    assert!(open(&keeper).await.is_own);
    keeper.close();
    disk.shelf().state.insert("b".into(), "2".into());
    assert!(!open(&keeper).await.is_own);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_before_the_state_was_loaded_and_after_it_was_given_up() {
    let disk = FakeStore::holding(&[("a", "1")]);
    let keeper = keeper(&[("disk", &disk)]);
    keeper.keep(set("a", "2"));
    assert!(keeper.persist(set("a", "2"), DEADLINE).await.is_err());
    open(&keeper).await;
    keeper.keep(set("a", "3"));
    keeper.close();
    assert!(keeper.persist(set("a", "4"), DEADLINE).await.is_err());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(disk.shelf().state, state(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_without_a_store_says_that_all_is_well() {
    let keeper = StateKeeper::default();
    keeper.keep(set("a", "1"));
    keeper.persist(set("a", "1"), DEADLINE).await.expect("nothing to save");
    assert_eq!(keeper.snapshot(), KeeperSnapshot::default());
}

/// A store that takes so many bytes.
struct Shelved {
    within: Arc<FakeStore>,
    room: usize,
}

#[async_trait]
impl StateStore for Shelved {
    async fn load(&self) -> Result<StoredState, StateError> {
        self.within.load().await
    }

    async fn save(&self, changes: &StateChanges) -> Result<(), StateError> {
        let mut after = self.within.shelf().state.clone();
        apply(&mut after, changes);
        let size: usize = after.iter().map(|(key, text)| key.len() + text.len()).sum();
        if size > self.room {
            let why = format!("{size} bytes");
            return Err(StateError::Refused { store: "shelf".into(), why });
        }
        self.within.save(changes).await
    }

    fn room(&self) -> Option<usize> {
        Some(self.room)
    }
}

/// The key of an incident that began so many seconds after the others.
fn alert_key(second: u64) -> String {
    let at = Timestamp::from_millis(1_767_225_600_000 + second * 1_000);
    format!("alert/milvus-ha/c{}@{at}", 100_000 - second)
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_alerts_a_store_with_an_end_keeps_the_newest_and_one_without_all() {
    const ALERTS: u64 = 10_000;
    let (small, large) = (Arc::<FakeStore>::default(), Arc::<FakeStore>::default());
    let room = 800 << 10;
    let store = Arc::new(Shelved { within: Arc::clone(&small), room });
    let named = |name, store| NamedStore { name, store, is_decisive: false };
    let stores = vec![named("small", store as _), named("large", Arc::clone(&large) as _)];
    let keeper =
        StateKeeper::start(stores, Clock::starting_at(Timestamp::default()), Metrics::default());
    open(&keeper).await;
    let text = "x".repeat(4_000);
    keeper.keep_now(set("recovery/milvus-ha/proxy", "what was done"));
    for second in 0..ALERTS {
        keeper.keep_now(set(&alert_key(second), &text));
        if second % 500 == 0 {
            sleep(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(keeper.persist(StateChanges::new(), DEADLINE).await, Ok(()));
    assert_eq!(large.shelf().state.len() as u64, ALERTS + 1);
    let kept = small.shelf().state.clone();
    let size: usize = kept.iter().map(|(key, text)| key.len() + text.len()).sum();
    assert!(size <= room && size > room * 9 / 10, "{size} bytes");
    assert!(kept.contains_key("recovery/milvus-ha/proxy"));
    let newest = (0..ALERTS).rev().take(kept.len() - 1);
    assert!(newest.clone().all(|second| kept.contains_key(&alert_key(second))), "the newest");
    let shown = keeper.snapshot().stores[0].clone();
    assert_eq!(shown.left_out as u64, ALERTS - (kept.len() as u64 - 1));
    assert!(shown.full_since.is_some() && shown.error.is_none(), "{shown:?}");
    let saves = small.shelf().saves.len();
    assert!(saves < 100, "{saves} saves");

    // When most of them are over, there is room for the rest.
    for second in 100..ALERTS {
        keeper.keep_now(StateChanges::from([(alert_key(second), None)]));
    }
    assert_eq!(keeper.persist(StateChanges::new(), DEADLINE).await, Ok(()));
    assert_eq!(small.shelf().state, large.shelf().state);
    assert_eq!(keeper.snapshot().stores[0].full_since, None);
}
