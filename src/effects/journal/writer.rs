//! The journal's thread: takes what waits, writes it, and gets over a file that cannot be written.
//! While it cannot, everything stays in memory, the oldest giving way, and the file is tried again
//! with a back-off; when it can be written again, it gets what memory kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::{JournalError, StateError};
use super::health::{JournalTrouble, MovedAside};
use super::lock::{Lock, NotLocked};
use super::memory::apply;
use super::queue::{BATCH, Inner, Queue, State, Work};
use super::retention::Retention;
use super::schema::OpenError;
use super::store::{Batch, Store};
use super::trouble::{Trouble, move_aside};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::{JournalEntry, JournalKind, Timestamp};

/// The first pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A disk that damages every file must not be filled with damaged files.
const MOST_MOVED_ASIDE: u32 = 5;

/// The thread's own.
pub(super) struct Writer {
    path: PathBuf,
    queue: Arc<Queue>,
    clock: Clock,
    metrics: Metrics,
    /// Held from the first time that the file is opened until falconer ends.
    lock: Option<Lock>,
    store: Option<Store>,
    /// The state as the file has it, once it was read.
    state: Option<State>,
    /// Whether the file that had the state is gone, so that the next one must get all of it.
    is_state_lost: bool,
    retention: Retention,
    /// In a row; also those shortly after the file could be written again, as on a disk that is
    /// almost full.
    failures: u32,
    recovered_at: Timestamp,
    moved_aside: u32,
}

impl Writer {
    pub(super) fn new(path: PathBuf, queue: Arc<Queue>, clock: Clock, metrics: Metrics) -> Self {
        Self {
            path,
            queue,
            clock,
            metrics,
            lock: None,
            store: None,
            state: None,
            is_state_lost: false,
            retention: Retention::default(),
            failures: 0,
            recovered_at: Timestamp::default(),
            moved_aside: 0,
        }
    }

    /// Writes until falconer ends.
    pub(super) fn run(&mut self) {
        loop {
            if self.store.is_none() {
                let is_last = !self.is_trying() && self.queue.rest(self.pause());
                if !self.reopen() {
                    if is_last {
                        self.give_up();
                        return;
                    }
                    continue;
                }
            }
            let work = self.queue.next(!self.retention.is_due());
            let is_last = work.is_last;
            let is_written = self.carry_out(work);
            if is_last && (is_written || !self.is_trying()) {
                self.give_up();
                return;
            }
            if is_written && let Err(error) = self.let_go() {
                self.failed(&error.into());
            }
        }
    }

    /// Whether the file may be opened anew at once, rather than after a pause.
    fn is_trying(&self) -> bool {
        self.queue.lock().trouble.is_none()
    }

    fn pause(&self) -> Duration {
        let doubled = 1_u32 << self.failures.saturating_sub(1).min(10);
        FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
    }

    /// Opens the file, and makes sure that it can be written.
    fn reopen(&mut self) -> bool {
        match self.try_open() {
            Ok(()) => true,
            Err(error) => {
                self.failed(&error);
                // A damaged file is out of the way now.
                self.is_trying() && self.try_open().map_err(|error| self.failed(&error)).is_ok()
            }
        }
    }

    /// Makes sure that no other falconer writes the file. Where no lock is to be had, what SQLite says
    /// of the file explains it better, or it is written without one.
    fn lock(&mut self) -> Result<(), OpenError> {
        if self.lock.as_ref().is_some_and(Lock::is_in_place) {
            return Ok(());
        }
        self.lock = None;
        match Lock::take(&self.path) {
            Ok(lock) => self.lock = Some(lock),
            Err(NotLocked::Held(who)) => return Err(OpenError::Held { who }),
            Err(NotLocked::Impossible(error)) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "journal has no lock against another falconer");
            }
        }
        Ok(())
    }

    fn try_open(&mut self) -> Result<(), OpenError> {
        self.lock()?;
        let mut store = Store::open(&self.path)?;
        let (entries, now) = (&[][..], self.clock.now());
        store.write(&Batch { entries, changes: &super::Changes::new(), durable: true, now })?;
        let saved = store.state()?;
        if self.is_state_lost && saved.is_empty() {
            let known = self.state.take().unwrap_or_default();
            let again = known.into_iter().map(|(key, value)| (key, Some(value)));
            self.queue.ask(|inner| put_under(inner, again));
        }
        self.is_state_lost = false;
        self.state = Some(saved);
        self.store = Some(store);
        if !self.is_trying() {
            self.catch_up()?;
        }
        tracing::info!(path = %self.path.display(), "journal is open");
        Ok(())
    }

    /// Writes what memory has kept, and only then says that all is well again.
    fn catch_up(&mut self) -> Result<(), OpenError> {
        loop {
            let mut work = self.queue.take_now();
            let was_full = work.entries.len() >= BATCH;
            if let Err(error) = self.write(&mut work) {
                self.put_back(work);
                self.store = None;
                return Err(error.into());
            }
            if !was_full {
                let lost = self.queue.ask(|inner| {
                    inner.trouble = None;
                    inner.dropped
                });
                self.recovered_at = self.clock.now();
                let path = self.path.display();
                tracing::info!(%path, dropped = lost, "journal is written again");
                return Ok(());
            }
        }
    }

    /// Whether it was done.
    fn carry_out(&mut self, mut work: Work) -> bool {
        if self.store.as_ref().is_some_and(|store| !store.is_in_place()) {
            let path = self.path.display();
            tracing::warn!(%path, "journal file was deleted or replaced, going on with another one");
            (self.store, self.is_state_lost) = (None, true);
            self.put_back(work);
            return false;
        }
        match self.write(&mut work) {
            Ok(()) => true,
            Err(error) => {
                self.put_back(work);
                self.failed(&error.into());
                false
            }
        }
    }

    /// Writes, and answers those who wait for it.
    fn write(&mut self, work: &mut Work) -> rusqlite::Result<()> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let Work { entries, changes, .. } = &*work;
        let durable = !work.flushes.is_empty() || work.is_last;
        store.write(&Batch { entries, changes, durable, now: self.clock.now() })?;
        let bytes = store.bytes();
        count(&self.metrics, entries);
        let state = self.state.get_or_insert_default();
        apply(state, changes);
        let count = entries.len() as u64;
        let degraded = self.queue.ask(|inner| {
            (inner.written, inner.bytes) = (inner.written + count, bytes);
            inner.trouble.is_some()
        });
        self.metrics.journal_is(degraded, bytes);
        // Who has stopped waiting needs no answer.
        work.flushes.drain(..).for_each(|waiting| drop(waiting.send(Ok(()))));
        work.saves.drain(..).for_each(|waiting| drop(waiting.send(Ok(()))));
        work.loads.drain(..).for_each(|waiting| drop(waiting.send(Ok(state.clone()))));
        if let Some(now) = work.retain.take() {
            self.retention.begin(work.limits, now);
        }
        Ok(())
    }

    /// Lets go of a bit of what is too old or too much.
    fn let_go(&mut self) -> rusqlite::Result<()> {
        let limits = self.queue.lock().limits;
        let Some(store) = &mut self.store else { return Ok(()) };
        self.retention.look(&store.connection, limits)?;
        if self.retention.is_due() {
            if self.retention.step(&mut store.connection)? {
                store.forget_ids();
            }
            let bytes = store.bytes();
            self.queue.lock().bytes = bytes;
        }
        Ok(())
    }

    fn put_back(&self, work: Work) {
        let lost = self.queue.ask(|inner| {
            put_under(inner, work.changes);
            inner.flushes.extend(work.flushes);
            inner.saves.extend(work.saves);
            inner.loads.extend(work.loads);
            inner.retain = inner.retain.or(work.retain);
            let lost = inner.ring.put_back(work.entries);
            inner.dropped += lost;
            lost
        });
        self.metrics.journal_dropped(lost);
    }

    /// The file cannot be used: moves it aside where it is damaged, and otherwise tells so.
    fn failed(&mut self, error: &OpenError) {
        self.store = None;
        match Trouble::of(error, &self.path) {
            Trouble::Wait(why) => self.degrade(why),
            Trouble::Damaged(why) => self.set_aside(why),
        }
    }

    fn set_aside(&mut self, why: String) {
        self.is_state_lost = true;
        let forgot = self.state.is_none();
        if self.moved_aside >= MOST_MOVED_ASIDE {
            return self.degrade(format!("{why}; so were {} files before it", self.moved_aside));
        }
        self.moved_aside += 1;
        let path = self.path.display();
        let at = self.clock.now();
        match move_aside(&self.path, at) {
            Ok(aside) => {
                let aside = aside.display().to_string();
                tracing::error!(%path, aside, why, "journal is damaged, moved aside and begun anew");
                let moved = MovedAside { path: aside, at, why, forgot };
                self.queue.ask(|inner| inner.moved_aside = Some(moved));
            }
            Err(error) => self.degrade(format!("{why}; it cannot be moved aside: {error}")),
        }
    }

    /// Tells those who wait, and everybody who looks at the health.
    fn degrade(&mut self, why: String) {
        let now = self.clock.now();
        if now.since(self.recovered_at) > LONGEST_PAUSE && self.is_trying() {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let path = self.path.display().to_string();
        let unavailable = || JournalError::Unavailable { path: path.clone(), why: why.clone() };
        let no_state = || StateError::Unavailable { store: path.clone(), why: why.clone() };
        let (is_new, bytes) = self.queue.ask(|inner| {
            let refused =
                |waiting: tokio::sync::oneshot::Sender<_>| drop(waiting.send(Err(unavailable())));
            inner.flushes.drain(..).for_each(refused);
            inner.saves.drain(..).for_each(|waiting| drop(waiting.send(Err(no_state()))));
            inner.loads.drain(..).for_each(|waiting| drop(waiting.send(Err(no_state()))));
            let since = inner.trouble.as_ref().map(|trouble| trouble.since);
            let trouble = JournalTrouble { since: since.unwrap_or(now), why: why.clone() };
            inner.trouble = Some(trouble);
            (since.is_none(), inner.bytes)
        });
        self.metrics.journal_is(true, bytes);
        if is_new {
            tracing::error!(path, why, "journal cannot be written, it is kept in memory");
        } else {
            tracing::debug!(path, why, failures = self.failures, "journal still cannot be written");
        }
    }

    /// Falconer ends.
    fn give_up(&mut self) {
        // Carries the log over into the file.
        self.store = None;
        let left = self.queue.ask(|inner| {
            inner.closing = true;
            inner.ring.len()
        });
        if left > 0 {
            let path = self.path.display();
            tracing::error!(%path, entries = left, "journal entries lost, the file cannot be written");
        }
    }

    /// A bug of ours costs the file's connection, and not the journal.
    pub(super) fn panicked(&mut self, message: &str) {
        self.store = None;
        self.degrade(format!("its thread panicked: {message}"));
    }
}

/// Puts changes back under those that came meanwhile.
fn put_under(inner: &mut Inner, changes: impl IntoIterator<Item = (String, Option<String>)>) {
    for (key, value) in changes {
        inner.changes.entry(key).or_insert(value);
    }
}

fn count(metrics: &Metrics, entries: &[JournalEntry]) {
    let mut counts = BTreeMap::<JournalKind, u64>::new();
    for entry in entries {
        *counts.entry(entry.record.kind()).or_default() += 1;
    }
    for (kind, count) in counts {
        metrics.journal_recorded(kind, count);
    }
}
