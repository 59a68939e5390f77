//! One store of the keeper: what it still lacks, and the task that writes it.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::loading::difference;
use super::room::left_out;
use super::{NamedStore, Shared, apply};
use crate::effects::{StateError, StateStore};
use crate::metrics::StateSave;
use crate::model::{StateChanges, StoredState, Timestamp};

/// No load or save takes longer, whatever the store says of its own deadlines.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// No pause after a failure is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How far a store has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// It has everything up to the change of this number.
    pub(super) durable: u64,
    /// It was tried up to the change of this number.
    pub(super) tried: u64,
    /// Why the newest try failed; `None` after one that did not.
    pub(super) error: Option<StateError>,
    /// Since when tries fail.
    pub(super) failing_since: Option<Timestamp>,
    /// When something was saved the last time.
    pub(super) saved_at: Option<Timestamp>,
    /// How many keys it has no room for.
    pub(super) left_out: usize,
    /// Since when it has no room for everything.
    pub(super) full_since: Option<Timestamp>,
}

/// One store.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) store: Arc<dyn StateStore>,
    pub(super) is_decisive: bool,
    queue: Mutex<Queue>,
    arrived: Notify,
}

/// What a store lacks.
#[derive(Default)]
struct Queue {
    waiting: StateChanges,
    /// The number of the newest change.
    newest: u64,
    /// When to write.
    due: Option<Instant>,
    /// Whether it is known what stands in the store; until then nothing is written to it.
    is_loaded: bool,
    /// What stands in the store, as far as this keeper knows.
    there: StoredState,
    failures: u32,
}

impl Slot {
    pub(super) fn new(store: NamedStore) -> Self {
        let NamedStore { name, store, is_decisive } = store;
        Self { name, store, is_decisive, queue: Mutex::default(), arrived: Notify::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lacks(&self) -> usize {
        self.queue().waiting.len()
    }

    /// It lacks `changes` as well, and is to have them by `due`.
    pub(super) fn put(&self, changes: &StateChanges, number: u64, due: Instant) {
        let mut queue = self.queue();
        queue.waiting.extend(changes.iter().map(|(key, value)| (key.clone(), value.clone())));
        queue.newest = number;
        queue.due = Some(queue.due.map_or(due, |other| other.min(due)));
        drop(queue);
        self.arrived.notify_one();
    }

    /// From now on it follows `state`. `there` is what stands in it, where that is known.
    pub(super) fn begin(
        &self,
        there: Option<&StoredState>,
        state: &StoredState,
        number: u64,
        now: Instant,
    ) {
        let mut queue = self.queue();
        *queue = Queue { newest: number, due: Some(now), ..Queue::default() };
        if let Some(there) = there {
            queue.waiting = difference(there, state);
            queue.is_loaded = true;
            queue.there.clone_from(there);
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Nothing more is written to it.
    pub(super) fn end(&self) {
        let mut queue = self.queue();
        let there = std::mem::take(&mut queue.there);
        *queue = Queue { there, ..Queue::default() };
    }

    /// Whether `there` is what this keeper has written, and nobody else has since.
    pub(super) fn has_written(&self, there: &StoredState) -> bool {
        self.queue().there == *there
    }

    /// Loads it, within bounds.
    pub(super) async fn load(&self) -> Result<StoredState, StateError> {
        self.bounded(self.store.load()).await
    }

    async fn bounded<T>(
        &self,
        asked: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let store = || self.name.to_owned();
        match tokio::time::timeout(LONGEST, AssertUnwindSafe(asked).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(StateError::Unavailable { store: store(), why: "it panicked".to_owned() })
            }
            Err(_) => Err(StateError::Timeout { store: store(), within: LONGEST }),
        }
    }

    /// Waits until something is to be written.
    async fn due(&self) {
        loop {
            let arrived = self.arrived.notified();
            let due = self.queue().due;
            match due {
                None => arrived.await,
                Some(due) => {
                    if tokio::time::timeout_at(due, arrived).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What to write now, and the number of the newest change in it. What is `left_out` it goes on to
    /// lack, until there is room.
    fn batch(&self, left_out: &BTreeSet<String>) -> (StateChanges, u64) {
        let mut queue = self.queue();
        queue.due = None;
        let mut changes = StateChanges::new();
        for key in left_out {
            if let Some(text) = queue.there.get(key).cloned() {
                changes.insert(key.clone(), None);
                queue.waiting.entry(key.clone()).or_insert(Some(text));
            }
        }
        let fits = queue.waiting.iter().filter(|(key, _)| !left_out.contains(*key));
        changes.extend(fits.map(|(key, value)| (key.clone(), value.clone())));
        (changes, queue.newest)
    }

    /// It has `changes` now. What was changed again meanwhile it still lacks.
    fn saved(&self, changes: &StateChanges) {
        let mut queue = self.queue();
        queue.waiting.retain(|key, value| changes.get(key) != Some(value));
        apply(&mut queue.there, changes);
        queue.failures = 0;
    }

    fn failed(&self, now: Instant) {
        let mut queue = self.queue();
        let pause = FIRST_PAUSE.saturating_mul(1 << queue.failures.min(16)).min(LONGEST_PAUSE);
        queue.failures += 1;
        let again = now + pause;
        queue.due = Some(queue.due.map_or(again, |other| other.min(again)));
    }
}

impl Shared {
    /// Writes to one store what it lacks, for ever.
    pub(super) async fn serve(self: Arc<Self>, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        loop {
            slot.due().await;
            let term = {
                let kept = self.kept();
                if !kept.is_open {
                    slot.end();
                    continue;
                }
                kept.term
            };
            let (number, result) = self.write(index, slot).await;
            self.note(index, slot, term, number, result);
        }
    }

    async fn write(&self, index: usize, slot: &Slot) -> (u64, Result<(), StateError>) {
        let is_loaded = slot.queue().is_loaded;
        if !is_loaded {
            let newest = slot.queue().newest;
            match slot.load().await {
                Ok(there) => self.found(slot, &there),
                Err(error) => {
                    slot.queue().due = None;
                    return (newest, Err(error));
                }
            }
        }
        let left_out = slot.store.room().map(|room| left_out(&self.kept().state, room));
        let left_out = left_out.unwrap_or_default();
        self.note_room(index, slot, left_out.len());
        let (changes, number) = slot.batch(&left_out);
        if changes.is_empty() {
            return (number, Ok(()));
        }
        match slot.bounded(slot.store.save(&changes)).await {
            Ok(()) => {
                slot.saved(&changes);
                (number, Ok(()))
            }
            // One of them cannot be saved: that must not cost the others.
            Err(StateError::Refused { .. }) if changes.len() > 1 => {
                (number, save_one_by_one(slot, changes).await)
            }
            Err(error) => (number, Err(error)),
        }
    }

    /// It is known now what stands in a store that could not be read at first.
    fn found(&self, slot: &Slot, there: &StoredState) {
        let kept = self.kept();
        let mut queue = slot.queue();
        queue.waiting = difference(there, &kept.state);
        queue.there.clone_from(there);
        queue.newest = kept.newest;
        queue.is_loaded = true;
    }

    fn note(
        &self,
        index: usize,
        slot: &Slot,
        term: u64,
        number: u64,
        result: Result<(), StateError>,
    ) {
        let now = self.clock.now();
        let (store, error) = (slot.name, result.err());
        self.metrics.state_saved(store, save_of(error.as_ref()));
        if let Some(error) = &error {
            slot.failed(self.clock.monotonic());
            if let StateError::Fenced { .. } = error {
                self.fence(term, error);
            }
        }
        self.progress.send_modify(|all| {
            let Some(progress) = all.get_mut(index) else { return };
            progress.tried = progress.tried.max(number);
            match (&error, &progress.error) {
                (None, before) => {
                    if before.is_some() {
                        tracing::info!(store, "essential state is saved again");
                    }
                    progress.durable = progress.durable.max(number);
                    progress.saved_at = Some(now);
                    progress.failing_since = None;
                }
                (Some(error), None) => {
                    tracing::warn!(store, %error, "essential state is not saved");
                    progress.failing_since = Some(now);
                }
                (Some(_), Some(_)) => {}
            }
            progress.error = error;
        });
    }

    /// How many keys a store has no room for.
    fn note_room(&self, index: usize, slot: &Slot, left_out: usize) {
        let (now, store) = (self.clock.now(), slot.name);
        self.progress.send_if_modified(|all| {
            let Some(progress) = all.get_mut(index) else { return false };
            let before = std::mem::replace(&mut progress.left_out, left_out);
            match (before, left_out) {
                (0, 1..) => {
                    tracing::warn!(store, left_out, "no room for all of the essential state");
                    progress.full_since = Some(now);
                }
                (1.., 0) => {
                    tracing::info!(store, "room for all of the essential state again");
                    progress.full_since = None;
                }
                (_, _) => {}
            }
            before != left_out
        });
    }

    /// Another falconer has taken the state over: this one changes nothing more.
    fn fence(&self, term: u64, error: &StateError) {
        let mut kept = self.kept();
        if kept.term != term || !kept.is_open {
            return;
        }
        kept.is_open = false;
        for slot in &self.slots {
            slot.end();
        }
        self.fenced.send_replace(Some(error.clone()));
    }
}

async fn save_one_by_one(slot: &Slot, changes: StateChanges) -> Result<(), StateError> {
    let mut result = Ok(());
    for (key, value) in changes {
        let one = StateChanges::from([(key, value)]);
        match slot.bounded(slot.store.save(&one)).await {
            Ok(()) => slot.saved(&one),
            Err(error @ StateError::Refused { .. }) => result = Err(error),
            Err(error) => return Err(error),
        }
    }
    result
}

fn save_of(error: Option<&StateError>) -> StateSave {
    match error {
        None => StateSave::Saved,
        Some(StateError::Unavailable { .. }) => StateSave::Unavailable,
        Some(StateError::Timeout { .. }) => StateSave::Timeout,
        Some(StateError::Conflict { .. }) => StateSave::Conflict,
        Some(StateError::Refused { .. }) => StateSave::Refused,
        Some(StateError::Fenced { .. }) => StateSave::Fenced,
    }
}
