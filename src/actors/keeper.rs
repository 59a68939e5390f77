//! Keeps the essential state: what the actors must not forget when the process is killed. Owns what
//! is kept, which store has which part of it, and how long anybody waits; what a key means is the
//! business of whoever changes it.
//!
//! Every store gets every change, in a task of its own: one that hangs holds up no other. They stand
//! in the order in which they are believed: in Kubernetes the ConfigMap before the disk, because a
//! disk may be gone, or be that of a falconer that was the leader long ago.

mod loading;
mod room;
mod slot;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::effects::{StateError, StateStore};
use crate::metrics::Metrics;
use crate::model::{StateChanges, StoredState};

pub use loading::{Loaded, Patience};
use slot::{Progress, Slot};
pub use snapshot::{KeeperSnapshot, StoreSnapshot};

/// What nobody waits for is saved this long after it was changed, together with what comes meanwhile.
const SOON: Duration = Duration::from_millis(100);

/// One place where the state is kept.
#[derive(Clone)]
pub struct NamedStore {
    /// For logs, metrics and the status, e.g. `configmap`; from a closed set.
    pub name: &'static str,
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// Whether nothing may be done before it was read: what it holds may have been written by
    /// another falconer.
    pub is_decisive: bool,
}

/// The keeper. Cheap to clone. The default one keeps nothing, and says that all is well.
#[derive(Clone, Default)]
pub struct StateKeeper {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the handle and the tasks of the stores share.
struct Shared {
    slots: Vec<Slot>,
    kept: Mutex<Kept>,
    /// How far each store has come.
    progress: watch::Sender<Vec<Progress>>,
    /// Whether another falconer has taken the state over.
    fenced: watch::Sender<Option<StateError>>,
    clock: Clock,
    metrics: Metrics,
}

#[derive(Default)]
struct Kept {
    /// The newest of everything.
    state: StoredState,
    /// The number of the newest change.
    newest: u64,
    /// Whether changes are taken: the state was loaded, and nobody else has taken it over since.
    is_open: bool,
    /// How often it was opened.
    term: u64,
}

impl StateKeeper {
    /// A keeper that keeps the state in `stores`, the most believed one first. Takes no changes before
    /// it was loaded and opened. Must be called within a tokio runtime.
    pub fn start(stores: Vec<NamedStore>, clock: Clock, metrics: Metrics) -> Self {
        let (progress, _) = watch::channel(vec![Progress::default(); stores.len()]);
        let (fenced, _) = watch::channel(None);
        let slots: Vec<Slot> = stores.into_iter().map(Slot::new).collect();
        let kept = Mutex::default();
        let shared = Arc::new(Shared { slots, kept, progress, fenced, clock, metrics });
        let task = |index| tokio::spawn(Arc::clone(&shared).serve(index));
        let tasks = (0..shared.slots.len()).map(task).collect();
        Self { inner: Some(Arc::new(Inner { shared, tasks })) }
    }

    /// Whether there is anywhere to keep anything.
    pub fn keeps(&self) -> bool {
        self.inner.is_some()
    }

    /// Saves `changes` soon. Never waits and never fails: what could not be saved is tried again.
    pub fn keep(&self, changes: StateChanges) {
        if let Some(inner) = &self.inner {
            inner.shared.change(changes, SOON);
        }
    }

    /// Saves `changes` as soon as can be. Never waits.
    pub fn keep_now(&self, changes: StateChanges) {
        if let Some(inner) = &self.inner {
            inner.shared.change(changes, Duration::ZERO);
        }
    }

    /// Saves `changes`, and everything that was changed before, now: it has begun when this is called.
    /// The future ends when all stores have it that are in order; where one does not answer within
    /// `deadline`, when another has it. One that failed the last time is not waited for while another
    /// is in order.
    ///
    /// # Errors
    /// When it is durable nowhere, or when another falconer has taken the state over.
    pub fn persist(
        &self,
        changes: StateChanges,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), StateError>> + Send + 'static {
        let saving = self.inner.as_ref().map(|inner| {
            let until = inner.shared.clock.monotonic() + deadline;
            (Arc::clone(inner), inner.shared.change(changes, Duration::ZERO), until)
        });
        async move {
            let Some((inner, number, until)) = saving else { return Ok(()) };
            let Some(number) = number else { return Err(inner.shared.closed()) };
            inner.shared.durable(number, until, deadline).await
        }
    }

    /// Ends when another falconer has taken the state over, with what the store says; never for a
    /// keeper that keeps nothing.
    pub async fn fenced(&self) -> StateError {
        let Some(inner) = &self.inner else { return std::future::pending().await };
        let mut fenced = inner.shared.fenced.subscribe();
        match fenced.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is new of `changes`, to be saved within `within`. Gives the number by which its
    /// progress is told; `None` where no changes are taken.
    fn change(&self, changes: StateChanges, within: Duration) -> Option<u64> {
        let mut kept = self.kept();
        if !kept.is_open {
            return None;
        }
        let fresh: StateChanges = changes
            .into_iter()
            .filter(|(key, value)| kept.state.get(key) != value.as_ref())
            .collect();
        if fresh.is_empty() && within > Duration::ZERO {
            return Some(kept.newest);
        }
        if !fresh.is_empty() {
            kept.newest += 1;
            apply(&mut kept.state, &fresh);
        }
        let (number, due) = (kept.newest, self.clock.monotonic() + within);
        // Under the lock, so that no store gets two changes in another order.
        for slot in &self.slots {
            slot.put(&fresh, number, due);
        }
        Some(number)
    }

    /// Waits until the change `number` is saved; see [`StateKeeper::persist`].
    async fn durable(
        &self,
        number: u64,
        until: Instant,
        deadline: Duration,
    ) -> Result<(), StateError> {
        let mut progress = self.progress.subscribe();
        let in_order: Vec<bool> =
            progress.borrow_and_update().iter().map(|one| one.error.is_none()).collect();
        loop {
            let verdict = verdict(&progress.borrow_and_update(), &in_order, number);
            if let Some(fenced) = self.fenced.borrow().clone() {
                return Err(fenced);
            }
            if let Some(verdict) = verdict {
                return verdict;
            }
            let Ok(changed) = tokio::time::timeout_at(until, progress.changed()).await else {
                let somewhere = progress.borrow().iter().any(|one| one.durable >= number);
                return if somewhere { Ok(()) } else { Err(self.too_late(deadline)) };
            };
            if changed.is_err() {
                return Err(self.closed());
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.slots.iter().map(|slot| slot.name).collect();
        names.join(", ")
    }

    fn too_late(&self, within: Duration) -> StateError {
        StateError::Timeout { store: self.names(), within }
    }

    fn closed(&self) -> StateError {
        if let Some(fenced) = self.fenced.borrow().clone() {
            return fenced;
        }
        let why = "it was not loaded yet".to_owned();
        StateError::Unavailable { store: self.names(), why }
    }
}

/// What came of the change `number`, if that is known by now.
fn verdict(
    progress: &[Progress],
    in_order: &[bool],
    number: u64,
) -> Option<Result<(), StateError>> {
    let is_saved = |one: &Progress| one.durable >= number;
    let is_pending = |one: &Progress| one.durable < number && one.tried < number;
    let mut waited_for = progress.iter().zip(in_order).filter(|(_, in_order)| **in_order);
    if progress.iter().any(is_saved) {
        return (!waited_for.any(|(one, _)| is_pending(one))).then_some(Ok(()));
    }
    if progress.iter().any(is_pending) {
        return None;
    }
    let error = progress.iter().find_map(|one| one.error.clone());
    error.map_or(Some(Ok(())), |error| Some(Err(error)))
}

fn apply(state: &mut StoredState, changes: &StateChanges) {
    for (key, value) in changes {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
}
