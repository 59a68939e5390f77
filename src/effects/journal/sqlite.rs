//! The journal in an SQLite file, as the rest of falconer sees it: nothing here touches the file, the
//! thread does.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::{JournalError, StateError};
use super::health::JournalHealth;
use super::queries::read_file;
use super::queue::{Changes, Inner, JournalLimits, Queue, State};
use super::ring::newest_first;
use super::writer::Writer;
use crate::clock::Clock;
use crate::effects::{Journal, StateStore};
use crate::metrics::Metrics;
use crate::model::{JournalEntry, JournalQuery, Timestamp};

/// How long the state may take to be read or saved.
const STATE_WITHIN: Duration = Duration::from_secs(10);
/// How long a question waits for what is on its way to the file.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// How the file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Where it is.
    pub path: PathBuf,
    /// How much it may keep.
    pub limits: JournalLimits,
}

/// A journal in a file. Its thread ends when it is closed or dropped.
pub struct SqliteJournal {
    path: PathBuf,
    queue: Arc<Queue>,
    metrics: Metrics,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl SqliteJournal {
    /// Begins to open the file. A file that cannot be opened is no error: it is tried again for ever,
    /// and meanwhile everything is kept in memory.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(settings: SqliteSettings, clock: Clock, metrics: Metrics) -> io::Result<Self> {
        let SqliteSettings { path, limits } = settings;
        let queue = Arc::new(Queue::new(limits));
        let writer = Writer::new(path.clone(), Arc::clone(&queue), clock, metrics.clone());
        let (end, ended) = oneshot::channel();
        let named = thread::Builder::new().name("falconer-journal".to_owned());
        named.spawn(move || {
            keep_writing(writer);
            // Nobody may wait for it.
            let _ = end.send(());
        })?;
        Ok(Self { path, queue, metrics, ended: Mutex::new(Some(ended)) })
    }

    /// From now on the file may keep so much.
    pub fn limit(&self, limits: JournalLimits) {
        self.queue.lock().limits = limits;
    }

    /// Writes what waits and closes the file, within `deadline`. Gives whether that was in time.
    pub async fn close(&self, deadline: Duration) -> bool {
        self.queue.ask(|inner| inner.closing = true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ended {
            Some(ended) => timeout(deadline, ended).await.is_ok(),
            None => true,
        }
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Asks the thread something, unless it has its trouble with the file already.
    fn ask(&self, question: impl FnOnce(&mut Inner)) -> Result<(), String> {
        self.queue.ask(|inner| {
            let trouble = inner.trouble.as_ref().map(|trouble| trouble.why.clone());
            let why = trouble.or_else(|| inner.closing.then(|| CLOSED.to_owned()));
            if let Some(why) = why {
                return Err(why);
            }
            question(inner);
            Ok(())
        })
    }

    fn unavailable(&self, why: impl Into<String>) -> JournalError {
        JournalError::Unavailable { path: self.path(), why: why.into() }
    }

    /// The answer of the thread about the state.
    async fn state_answer<T>(
        &self,
        asked: Result<(), String>,
        answer: oneshot::Receiver<Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let store = || self.path();
        asked.map_err(|why| StateError::Unavailable { store: store(), why })?;
        match timeout(STATE_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StateError::Unavailable { store: store(), why: CLOSED.into() }),
            Err(_) => Err(StateError::Timeout { store: store(), within: STATE_WITHIN }),
        }
    }
}

const CLOSED: &str = "it is closed";

fn keep_writing(mut writer: Writer) {
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| writer.run())) {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        writer.panicked(&text.unwrap_or_default());
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.queue.ask(|inner| inner.closing = true);
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn record(&self, entry: JournalEntry) {
        let dropped = self.queue.push(entry);
        if dropped > 0 {
            self.metrics.journal_dropped(dropped);
        }
    }

    async fn flush(&self, deadline: Duration) -> Result<(), JournalError> {
        let (done, answer) = oneshot::channel();
        self.ask(|inner| inner.flushes.push(done)).map_err(|why| self.unavailable(why))?;
        match timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.unavailable(CLOSED)),
            Err(_) => Err(JournalError::Timeout { path: self.path(), within: deadline }),
        }
    }

    fn health(&self) -> JournalHealth {
        let inner = self.queue.lock();
        JournalHealth {
            path: self.path(),
            trouble: inner.trouble.clone(),
            moved_aside: inner.moved_aside.clone(),
            in_memory: inner.ring.len() as u64,
            dropped: inner.dropped,
            written: inner.written,
            bytes: inner.bytes,
        }
    }

    async fn recent(&self, query: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError> {
        // Where it does not succeed, what is on its way is still in memory.
        let is_settled = self.flush(SETTLE_WITHIN).await.is_ok();
        let (path, asked) = (self.path.clone(), query.clone());
        let read = tokio::task::spawn_blocking(move || read_file(&path, &asked)).await;
        let read = read.map_err(|error| self.unavailable(error.to_string()))?;
        let waiting = self.queue.lock().ring.recent(query);
        let mut found = match read {
            Ok(found) => found,
            // What memory has is better than nothing.
            Err(_) if !is_settled && !waiting.is_empty() => Vec::new(),
            Err(error) => return Err(error),
        };
        found.extend(waiting);
        Ok(newest_first(found, query.bounded_limit()))
    }

    fn retain(&self, now: Timestamp) {
        self.queue.ask(|inner| inner.retain = Some(now));
    }
}

#[async_trait]
impl StateStore for SqliteJournal {
    async fn load(&self) -> Result<State, StateError> {
        let (done, answer) = oneshot::channel();
        let asked = self.ask(|inner| inner.loads.push(done));
        self.state_answer(asked, answer).await
    }

    /// A change that could not be saved is kept, and saved when the file can be written again.
    async fn save(&self, changes: &Changes) -> Result<(), StateError> {
        let (done, answer) = oneshot::channel();
        let asked = self.queue.ask(|inner| {
            inner.changes.extend(changes.clone());
            inner.trouble.as_ref().map(|trouble| trouble.why.clone())
        });
        let asked = match asked {
            Some(why) => Err(why),
            None => self.ask(|inner| inner.saves.push(done)),
        };
        self.state_answer(asked, answer).await
    }
}
