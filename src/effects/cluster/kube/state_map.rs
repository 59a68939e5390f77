//! The essential state in a ConfigMap, for a falconer whose disk goes with its pod. Owns the queue
//! of what is to be saved and the task that writes it; what is in the state is nobody's business
//! here.
//!
//! Whoever loads the state as the leader takes it over: it writes its name and a number one higher
//! than the one it finds. A former leader that writes later finds a number that is not its own, and
//! is refused. Each write names the version that it is based on, so that no two ever mix.

mod keeper;
mod keys;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::settings::Place;
use crate::clock::Clock;
use crate::effects::StateStore;
use crate::effects::background::keep_alive;
use crate::effects::journal::StateError;
use crate::model::Leadership;
use keeper::{Claim, Keeper};

/// More than this is never waiting to be saved.
const MOST_WAITING: usize = 1_024;
/// Well below what the keeper refuses and the API takes, in bytes.
const ROOM: usize = 800 << 10;
/// How many requests one load or save takes at most.
const MOST_REQUESTS: u32 = 8;

type Entries = BTreeMap<String, String>;
type Changes = BTreeMap<String, Option<String>>;

/// What is asked of the task.
enum Wish {
    Load(oneshot::Sender<Result<Entries, StateError>>),
    Save(Changes, oneshot::Sender<Result<(), StateError>>),
}

struct Shared {
    keeper: Keeper,
    waiting: Mutex<VecDeque<Wish>>,
    arrived: Notify,
    /// What was taken over, and what stands there; outlives a panic of the task.
    claim: Mutex<Option<Claim>>,
}

/// The state in one ConfigMap. Dropping it ends its task; what was not confirmed may be lost.
pub struct KubeStateMap {
    shared: Arc<Shared>,
    store: String,
    patience: Duration,
    task: JoinHandle<()>,
}

impl KubeStateMap {
    /// The state in the ConfigMap at `place`, kept by the falconer `identity` as long as
    /// `leadership` says that it may. Asks nothing yet. Must be called within a tokio runtime.
    pub fn start(
        place: Place,
        identity: Arc<str>,
        leadership: watch::Receiver<Leadership>,
        clock: Clock,
    ) -> Arc<Self> {
        let store = format!("configmap/{} in {}", place.name, place.namespace);
        let patience = place.request * MOST_REQUESTS;
        let shared = Arc::new(Shared {
            keeper: Keeper::new(place, identity, leadership, clock, store.clone()),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            claim: Mutex::default(),
        });
        let kept = Arc::clone(&shared);
        let make = move || {
            let shared = Arc::clone(&kept);
            async move { shared.serve().await }
        };
        let task = tokio::spawn(keep_alive("state".to_owned(), make, |_| ()));
        Arc::new(Self { shared, store, patience, task })
    }

    async fn ask<T>(
        &self,
        wish: impl FnOnce(oneshot::Sender<Result<T, StateError>>) -> Wish,
    ) -> Result<T, StateError> {
        let (reply, answer) = oneshot::channel();
        if !self.shared.push(wish(reply)) {
            let why = format!("{MOST_WAITING} changes are waiting already");
            return Err(StateError::Unavailable { store: self.store.clone(), why });
        }
        match timeout(self.patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                let why = "its keeper has ended unexpectedly, and begins anew".to_owned();
                Err(StateError::Unavailable { store: self.store.clone(), why })
            }
            Err(_) => Err(StateError::Timeout { store: self.store.clone(), within: self.patience }),
        }
    }
}

impl Drop for KubeStateMap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl StateStore for KubeStateMap {
    async fn load(&self) -> Result<Entries, StateError> {
        self.ask(Wish::Load).await
    }

    async fn save(&self, changes: &Changes) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.ask(|reply| Wish::Save(changes.clone(), reply)).await
    }

    fn room(&self) -> Option<usize> {
        Some(ROOM)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Wish>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where too much is waiting.
    fn push(&self, wish: Wish) -> bool {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST_WAITING {
            return false;
        }
        waiting.push_back(wish);
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    fn next(&self) -> Option<Wish> {
        self.waiting().pop_front()
    }

    /// All saves that are next in line.
    fn next_saves(&self) -> Vec<(Changes, oneshot::Sender<Result<(), StateError>>)> {
        let mut waiting = self.waiting();
        let mut saves = Vec::new();
        while let Some(Wish::Save(..)) = waiting.front() {
            if let Some(Wish::Save(changes, reply)) = waiting.pop_front() {
                saves.push((changes, reply));
            }
        }
        saves
    }

    /// Does what is asked, for ever. What is asked while a request is on its way goes with the next
    /// one, however much it is.
    async fn serve(&self) {
        loop {
            match self.next() {
                None => self.arrived.notified().await,
                Some(Wish::Load(reply)) => {
                    let loaded = self.keeper.load().await;
                    let (loaded, claim) =
                        loaded.map_or_else(|e| (Err(e), None), |(l, c)| (Ok(l), c));
                    self.set_claim(claim);
                    // Who has stopped waiting loads again.
                    let _ = reply.send(loaded);
                }
                Some(Wish::Save(changes, reply)) => {
                    let mut saves = vec![(changes, reply)];
                    saves.extend(self.next_saves());
                    self.save(saves).await;
                }
            }
        }
    }

    async fn save(&self, saves: Vec<(Changes, oneshot::Sender<Result<(), StateError>>)>) {
        let all: Changes = saves.iter().flat_map(|(changes, _)| changes.clone()).collect();
        let is_one = saves.len() == 1;
        match self.save_one(&all).await {
            // One of them cannot be saved: that must not cost the others.
            Err(StateError::Refused { .. }) if !is_one => {
                for (changes, reply) in saves {
                    let _ = reply.send(self.save_one(&changes).await);
                }
            }
            answer => {
                for (_, reply) in saves {
                    let _ = reply.send(answer.clone());
                }
            }
        }
    }

    async fn save_one(&self, changes: &Changes) -> Result<(), StateError> {
        let claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (claim, answer) = self.keeper.save(claim, changes).await;
        self.set_claim(claim);
        answer
    }

    fn set_claim(&self, claim: Option<Claim>) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = claim;
    }
}
