//! What the far side has seen, in order of arrival: bounded, shared, and possible to wait for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A bounded, append-only record of `T`. Cheap to clone; all clones share one record.
#[derive(Debug)]
pub struct Evidence<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    entries: Mutex<VecDeque<T>>,
    capacity: usize,
    arrived: Notify,
}

impl<T> Clone for Evidence<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone> Evidence<T> {
    /// An empty record that keeps the newest `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        let entries = Mutex::new(VecDeque::new());
        Self { shared: Arc::new(Shared { entries, capacity, arrived: Notify::new() }) }
    }

    /// Appends an entry and wakes whoever waits.
    pub fn push(&self, entry: T) {
        let mut entries = self.lock();
        if entries.len() >= self.shared.capacity {
            entries.pop_front();
        }
        entries.push_back(entry);
        drop(entries);
        self.shared.arrived.notify_waiters();
    }

    /// A copy of everything kept, oldest first.
    pub fn all(&self) -> Vec<T> {
        self.lock().iter().cloned().collect()
    }

    /// Copies of the entries that `wanted` accepts, oldest first.
    pub fn matching(&self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        self.lock().iter().filter(|entry| wanted(entry)).cloned().collect()
    }

    /// The oldest entry that `wanted` accepts.
    pub fn first(&self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        self.lock().iter().find(|entry| wanted(entry)).cloned()
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until an entry that `wanted` accepts is there; `None` when `within` has passed.
    pub async fn wait_for(&self, within: Duration, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let waiting = async {
            loop {
                let arrived = self.shared.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if let Some(entry) = self.first(&wanted) {
                    return entry;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(within, waiting).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_entries_are_kept() {
        let evidence = Evidence::new(2);
        for number in 1..=3 {
            evidence.push(number);
        }
        assert_eq!(evidence.all(), [2, 3]);
        assert_eq!(evidence.first(|number| *number > 2), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_entry_or_with_the_deadline() {
        let evidence = Evidence::new(8);
        let writer = evidence.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            writer.push("mail");
        });
        let found = evidence.wait_for(Duration::from_secs(2), |entry| *entry == "mail").await;
        assert_eq!(found, Some("mail"));
        let missing = evidence.wait_for(Duration::from_secs(2), |entry| *entry == "other").await;
        assert_eq!(missing, None);
        task.await.expect("the writer ends");
    }
}
