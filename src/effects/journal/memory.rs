//! A journal and a state store without a file: for `path = ""`, and for tests. What it keeps is
//! bounded, and ends with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::ring::{Ring, RingLimits};
use super::{JournalError, JournalHealth, StateError};
use crate::effects::{Journal, StateStore};
use crate::metrics::Metrics;
use crate::model::{JournalEntry, JournalQuery, Timestamp};

/// Keeps the newest entries in memory.
#[derive(Debug)]
pub struct MemoryJournal {
    kept: Mutex<Kept>,
    retention: Duration,
    metrics: Metrics,
}

#[derive(Debug)]
struct Kept {
    ring: Ring,
    dropped: u64,
    state: BTreeMap<String, String>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(Duration::MAX, Metrics::default())
    }
}

impl MemoryJournal {
    /// An empty one that forgets what is older than `retention`.
    pub fn new(retention: Duration, metrics: Metrics) -> Self {
        let ring = Ring::new(RingLimits::default());
        let kept = Kept { ring, dropped: 0, state: BTreeMap::new() };
        Self { kept: Mutex::new(kept), retention, metrics }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn record(&self, entry: JournalEntry) {
        self.metrics.journal_recorded(entry.record.kind(), 1);
        let mut kept = self.kept();
        let dropped = kept.ring.push(entry);
        // Room is made for the new by the old, as meant: nothing is lost before its time here.
        kept.dropped += dropped;
    }

    async fn flush(&self, _: Duration) -> Result<(), JournalError> {
        Ok(())
    }

    fn health(&self) -> JournalHealth {
        let kept = self.kept();
        JournalHealth {
            in_memory: kept.ring.len() as u64,
            dropped: kept.dropped,
            bytes: kept.ring.bytes() as u64,
            ..JournalHealth::default()
        }
    }

    async fn recent(&self, query: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError> {
        Ok(self.kept().ring.recent(query))
    }

    fn retain(&self, now: Timestamp) {
        self.kept().ring.forget_before(now.minus(self.retention));
    }
}

#[async_trait]
impl StateStore for MemoryJournal {
    async fn load(&self) -> Result<BTreeMap<String, String>, StateError> {
        Ok(self.kept().state.clone())
    }

    async fn save(&self, changes: &BTreeMap<String, Option<String>>) -> Result<(), StateError> {
        apply(&mut self.kept().state, changes);
        Ok(())
    }
}

/// Makes `state` follow `changes`.
pub(super) fn apply(
    state: &mut BTreeMap<String, String>,
    changes: &BTreeMap<String, Option<String>>,
) {
    for (key, value) in changes {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
}
