//! How the keeper begins: which store is believed, and how the others are made to follow.

use std::sync::PoisonError;

use futures::future::join_all;

use super::{Shared, StateKeeper};
use crate::effects::StateError;
use crate::model::{StateChanges, StoredState};

/// Whether a store that cannot be read now is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It may hold what the others do not know.
    WaitForAll,
    /// Only if it is decisive: otherwise the others, or nothing, will do.
    WaitForDecisive,
}

/// What the stores hold.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What the most believed store holds that holds anything.
    pub state: StoredState,
    /// Which one that is; `None` where all are empty.
    pub from: Option<&'static str>,
    /// Whether it is what this keeper has written there itself.
    pub is_own: bool,
    /// What each holds, where it could be read.
    each: Vec<Option<StoredState>>,
}

impl StateKeeper {
    /// Reads all stores. The first one in their order that holds anything is believed.
    ///
    /// # Errors
    /// When one cannot be read that would be believed before those that can, that is waited for, and
    /// trying again makes sense.
    pub async fn load(&self, patience: Patience) -> Result<Loaded, StateError> {
        let Some(inner) = &self.inner else { return Ok(Loaded::default()) };
        let shared = &inner.shared;
        let answers = join_all(shared.slots.iter().map(super::slot::Slot::load)).await;
        choose(shared, answers, patience)
    }

    /// From now on changes are taken. `state` is everything that is to be kept; the stores, of which
    /// `loaded` says what they hold, are made to follow.
    pub fn open(&self, loaded: &Loaded, state: StoredState) {
        let Some(inner) = &self.inner else { return };
        let shared = &inner.shared;
        let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        shared.fenced.send_replace(None);
        kept.term += 1;
        kept.newest += 1;
        kept.is_open = true;
        for (index, slot) in shared.slots.iter().enumerate() {
            let there = loaded.each.get(index).and_then(Option::as_ref);
            slot.begin(there, &state, kept.newest, shared.clock.monotonic());
        }
        kept.state = state;
    }

    /// No changes are taken any more, until the state is loaded and opened again.
    pub fn close(&self) {
        let Some(inner) = &self.inner else { return };
        let mut kept = inner.shared.kept();
        kept.is_open = false;
        for slot in &inner.shared.slots {
            slot.end();
        }
    }
}

fn choose(
    shared: &Shared,
    answers: Vec<Result<StoredState, StateError>>,
    patience: Patience,
) -> Result<Loaded, StateError> {
    let mut loaded = Loaded::default();
    for (slot, answer) in shared.slots.iter().zip(answers) {
        let store = slot.name;
        match answer {
            Ok(state) => {
                if loaded.from.is_none() && !state.is_empty() {
                    loaded.from = Some(store);
                    loaded.is_own = slot.has_written(&state);
                    loaded.state.clone_from(&state);
                }
                loaded.each.push(Some(state));
            }
            Err(error) => {
                let is_waited_for = match patience {
                    Patience::WaitForAll => true,
                    Patience::WaitForDecisive => slot.is_decisive,
                };
                if is_waited_for && loaded.from.is_none() && error.is_retryable() {
                    return Err(error);
                }
                tracing::warn!(store, %error, "essential state is not read from here");
                loaded.each.push(None);
            }
        }
    }
    Ok(loaded)
}

/// What makes `there` follow `state`.
pub(super) fn difference(there: &StoredState, state: &StoredState) -> StateChanges {
    let gone = there.keys().filter(|key| !state.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), None));
    let fresh = state.iter().filter(|(key, value)| there.get(*key) != Some(*value));
    let fresh = fresh.map(|(key, value)| (key.clone(), Some(value.clone())));
    gone.chain(fresh).collect()
}
