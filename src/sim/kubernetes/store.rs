//! The objects with their versions and the history that watches read, as etcd keeps them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::json::{self, set};
use crate::clock::Clock;

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) struct Key {
    pub(in crate::sim) storage: &'static str,
    /// Empty for what belongs to no namespace.
    pub(in crate::sim) namespace: String,
    pub(in crate::sim) name: String,
}

impl Key {
    pub(in crate::sim) fn new(storage: &'static str, namespace: &str, name: &str) -> Self {
        Self { storage, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of a stored object.
    pub(in crate::sim) fn of(storage: &'static str, object: &Value) -> Self {
        Self::new(storage, json::namespace(object), json::name(object))
    }
}

/// One step of the history.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Change {
    pub(in crate::sim) revision: u64,
    pub(in crate::sim) key: Key,
    /// Before; `None` for a creation.
    pub(in crate::sim) before: Option<Arc<Value>>,
    /// After; `None` for a removal.
    pub(in crate::sim) after: Option<Arc<Value>>,
}

/// The history does not reach back that far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct TooOld;

/// The object exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Exists;

/// Shared handle to all objects. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Store {
    inner: Arc<Mutex<Inner>>,
    pulse: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Debug)]
struct Inner {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    history_limit: usize,
    uids: fastrand::Rng,
}

impl Store {
    /// An empty store that remembers `history_limit` changes.
    pub(in crate::sim) fn new(clock: Clock, history_limit: usize) -> Self {
        let inner = Inner {
            revision: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit,
            uids: fastrand::Rng::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), pulse: watch::Sender::new(0), clock }
    }

    /// Now, as Kubernetes writes times: whole seconds, UTC.
    pub(in crate::sim) fn now(&self) -> String {
        self.time_in(0)
    }

    /// So many seconds from now, as Kubernetes writes times.
    pub(in crate::sim) fn time_in(&self, seconds: i64) -> String {
        let then = self.time().as_second() + seconds;
        jiff::Timestamp::from_second(then).unwrap_or_default().to_string()
    }

    /// Now, in milliseconds.
    pub(in crate::sim) fn time(&self) -> jiff::Timestamp {
        let millis = i64::try_from(self.clock.now().as_millis()).unwrap_or_default();
        jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
    }

    /// The clock behind [`Store::now`].
    pub(in crate::sim) fn clock(&self) -> Clock {
        self.clock
    }

    /// Changes whenever an object does, or when [`Store::wake`] is called.
    pub(in crate::sim) fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    /// Wakes everybody who waits for a change.
    pub(in crate::sim) fn wake(&self) {
        self.pulse.send_modify(|count| *count += 1);
    }

    pub(in crate::sim) fn revision(&self) -> u64 {
        self.lock().revision
    }

    pub(in crate::sim) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects of a storage (of one namespace, if given) in the order of their names, and the
    /// revision of this view.
    pub(in crate::sim) fn list(
        &self,
        storage: &'static str,
        namespace: Option<&str>,
    ) -> (u64, Vec<Arc<Value>>) {
        let inner = self.lock();
        let found = inner
            .objects
            .range(Key::new(storage, "", "")..)
            .take_while(|(key, _)| key.storage == storage)
            .filter(|(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted))
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (inner.revision, found)
    }

    /// Stores a new object, completing its metadata.
    pub(in crate::sim) fn create(&self, key: Key, object: Value) -> Result<Arc<Value>, Exists> {
        let now = self.now();
        let mut inner = self.lock();
        if inner.objects.contains_key(&key) {
            return Err(Exists);
        }
        let mut object = object;
        let uid = inner.new_uid();
        set(&mut object, &["metadata", "name"], key.name.clone());
        if !key.namespace.is_empty() {
            set(&mut object, &["metadata", "namespace"], key.namespace.clone());
        }
        set(&mut object, &["metadata", "uid"], uid);
        set(&mut object, &["metadata", "creationTimestamp"], now);
        if object.get("spec").is_some() {
            set(&mut object, &["metadata", "generation"], 1);
        }
        let stored = inner.write(key, None, object);
        drop(inner);
        self.wake();
        Ok(stored)
    }

    /// Changes an object in place; nothing happens when `change` changes nothing. A change of the
    /// spec advances the generation. `None` when there is no such object.
    pub(in crate::sim) fn update(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Value),
    ) -> Option<Arc<Value>> {
        let mut inner = self.lock();
        let before = Arc::clone(inner.objects.get(key)?);
        let mut object = (*before).clone();
        change(&mut object);
        if object == *before {
            return Some(before);
        }
        if object.get("spec") != before.get("spec") {
            let generation = json::number(&before, "/metadata/generation").unwrap_or(0) + 1;
            set(&mut object, &["metadata", "generation"], generation);
        }
        let stored = inner.write(key.clone(), Some(before), object);
        drop(inner);
        self.wake();
        Some(stored)
    }

    /// Removes an object and gives its last state.
    pub(in crate::sim) fn remove(&self, key: &Key) -> Option<Arc<Value>> {
        let mut inner = self.lock();
        let before = inner.objects.remove(key)?;
        inner.revision += 1;
        let revision = inner.revision;
        // A watcher is told the revision of the removal with the last state.
        let mut last = (*before).clone();
        set(&mut last, &["metadata", "resourceVersion"], revision.to_string());
        let last = Arc::new(last);
        let before = Some(Arc::clone(&last));
        inner.remember(Change { revision, key: key.clone(), before, after: None });
        drop(inner);
        self.wake();
        Some(last)
    }

    /// What has happened to a storage after `revision`, and the newest revision.
    pub(in crate::sim) fn changes_since(
        &self,
        revision: u64,
        storage: &'static str,
    ) -> Result<(u64, Vec<Change>), TooOld> {
        let inner = self.lock();
        let oldest = inner.history.front().map_or(inner.revision, |change| change.revision - 1);
        if revision < oldest {
            return Err(TooOld);
        }
        let changes = inner
            .history
            .iter()
            .rev()
            .take_while(|change| change.revision > revision)
            .filter(|change| change.key.storage == storage)
            .cloned()
            .collect::<Vec<_>>();
        Ok((inner.revision, changes.into_iter().rev().collect()))
    }

    /// Forgets the history: whoever is behind gets [`TooOld`], and everybody is now behind.
    pub(in crate::sim) fn compact(&self) {
        let mut inner = self.lock();
        inner.history.clear();
        inner.revision += 1;
        drop(inner);
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, key: Key, before: Option<Arc<Value>>, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        set(&mut object, &["metadata", "resourceVersion"], self.revision.to_string());
        let object = Arc::new(object);
        self.objects.insert(key.clone(), Arc::clone(&object));
        let after = Some(Arc::clone(&object));
        self.remember(Change { revision: self.revision, key, before, after });
        object
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        while self.history.len() > self.history_limit {
            self.history.pop_front();
        }
    }

    fn new_uid(&mut self) -> String {
        let (high, low) = (self.uids.u64(..), self.uids.u64(..));
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store(history: usize) -> (Store, Key) {
        (Store::new(Clock::system(), history), Key::new("pods", "ns", "a"))
    }

    #[tokio::test]
    async fn only_a_change_of_the_spec_advances_the_generation() {
        let (store, key) = store(10);
        store.create(key.clone(), json!({"spec": {"replicas": 1}})).expect("new");
        let labelled = store.update(&key, |o| set(o, &["metadata", "labels"], json!({"a": "b"})));
        assert_eq!(json::number(&labelled.expect("there"), "/metadata/generation"), Some(1));
        let scaled = store.update(&key, |o| set(o, &["spec", "replicas"], 2));
        assert_eq!(json::number(&scaled.expect("there"), "/metadata/generation"), Some(2));
    }

    #[tokio::test]
    async fn writing_the_same_again_is_no_change() {
        let (store, key) = store(10);
        store.create(key.clone(), json!({"spec": {"replicas": 1}})).expect("new");
        let before = store.revision();
        store.update(&key, |object| set(object, &["spec", "replicas"], 1));
        assert_eq!(store.revision(), before);
    }

    #[tokio::test]
    async fn a_history_that_is_too_short_is_an_error_and_never_a_gap() {
        let (store, key) = store(2);
        store.create(key.clone(), json!({})).expect("new");
        let start = store.revision();
        for replicas in 0..2 {
            store.update(&key, |object| set(object, &["spec", "replicas"], replicas));
        }
        assert_eq!(store.changes_since(start, "pods").expect("reaches back").1.len(), 2);
        store.remove(&key);
        assert!(matches!(store.changes_since(start, "pods"), Err(TooOld)));
    }
}
