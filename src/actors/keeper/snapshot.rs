//! What can be seen of the keeper from outside.

use serde::Serialize;

use super::StateKeeper;
use crate::model::Timestamp;

/// How the essential state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeeperSnapshot {
    /// Whether it was loaded, so that changes are saved.
    pub open: bool,
    /// How many keys there are.
    pub keys: usize,
    /// Their size with their texts, in bytes.
    pub bytes: usize,
    /// The stores, the most believed one first.
    pub stores: Vec<StoreSnapshot>,
}

/// One store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreSnapshot {
    /// Its name, e.g. `configmap`.
    pub name: &'static str,
    /// How many changes it lacks.
    pub lacks: usize,
    /// When something was saved the last time.
    pub saved_at: Option<Timestamp>,
    /// Since when nothing can be saved, while that is so.
    pub failing_since: Option<Timestamp>,
    /// Why.
    pub error: Option<String>,
    /// How many keys it has no room for: those of the oldest incidents.
    pub left_out: usize,
    /// Since when it has no room for everything, while that is so.
    pub full_since: Option<Timestamp>,
}

impl KeeperSnapshot {
    /// Since when nothing can be saved anywhere, while that is so.
    pub fn failing_since(&self) -> Option<Timestamp> {
        let since = self.stores.iter().map(|store| store.failing_since);
        since.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten()
    }
}

impl KeeperSnapshot {
    /// Since when a store has no room for everything, and how it is called.
    pub fn full(&self) -> Option<(Timestamp, &StoreSnapshot)> {
        let full = self.stores.iter().filter_map(|store| Some((store.full_since?, store)));
        full.min_by_key(|(since, _)| *since)
    }
}

impl StateKeeper {
    /// How it fares.
    pub fn snapshot(&self) -> KeeperSnapshot {
        let Some(inner) = &self.inner else { return KeeperSnapshot::default() };
        let shared = &inner.shared;
        let (open, keys, bytes) = {
            let kept = shared.kept();
            let bytes = kept.state.iter().map(|(key, text)| key.len() + text.len()).sum();
            (kept.is_open, kept.state.len(), bytes)
        };
        let progress = shared.progress.borrow();
        let store =
            |(slot, progress): (&super::slot::Slot, &super::slot::Progress)| StoreSnapshot {
                name: slot.name,
                lacks: slot.lacks(),
                saved_at: progress.saved_at,
                failing_since: progress.failing_since,
                error: progress.error.as_ref().map(ToString::to_string),
                left_out: progress.left_out,
                full_since: progress.full_since,
            };
        let stores = shared.slots.iter().zip(progress.iter()).map(store).collect();
        KeeperSnapshot { open, keys, bytes, stores }
    }
}
